//! A process that may have no more memory: calls say so, and it goes on. A program of its own, for its allocator.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // prlimit, and an allocator

mod sim;
#[cfg_attr(all(feature = "cli", feature = "capi"), allow(dead_code, unused_imports))] // Part of it is not used here.
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::IoSlice;
use std::process::Command;
use std::ptr;

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{ConnId, Protocol, Role};
use nanostate::framing::{frame_head, header, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Form, Instance, Meta, Stamp};
use nanostate::{App, AppOption, Kind, Status, Value};
use sim::{body, Direct, DirectApp, SEC};
use support::build::{compile_c_text, Link, Standard};
use support::{nanostate, receive, receive_until, Process, Raw, PATIENCE};

// ---- whole processes, with a limit of their address space

/// A program in C, run once for each of its cases. Its waits are shorter than the one for its end, so that it says which
/// of them came to nothing.
const PROGRAM: &str = r#"
    #include <stdlib.h>
    #include <string.h>
    #include <sys/resource.h>

    enum { MEGA = 1 << 20, LARGE = 15 * MEGA };

    static struct rlimit before;
    /* Leaves so many bytes of address space. */
    static void leave(rlim_t bytes)
    {
        unsigned long pages;
        struct rlimit limit;
        FILE *statm = fopen("/proc/self/statm", "r");
        CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1 && fclose(statm) == 0);
        CHECK(getrlimit(RLIMIT_AS, &before) == 0);
        limit = before;
        limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    }
    static void give_back(void)
    {
        CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    }

    static char *large;

    static void sends(void)
    {
        char *json = (char *)malloc(LARGE);
        size_t i;
        ns_hub *hub;
        ns_app *app;
        ns_status status;
        CHECK(json != NULL);
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
        CHECK(ns_app_new("app", &app) == NS_OK);

        /* The stack of a thread that runs callbacks is larger than what is left. */
        CHECK(ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1) == NS_OK);
        leave(MEGA);
        status = ns_app_connect(app, ns_hub_address(hub, 0));
        give_back();
        CHECK(status == NS_ERR_IO || status == NS_ERR_NO_MEMORY);

        leave(4 * MEGA);
        status = ns_app_send_bytes(app, "large", large, LARGE);
        CHECK(status == NS_ERR_NO_MEMORY && strstr(ns_last_error(), "\"large\"") != NULL);
        CHECK(ns_app_send_textn(app, "large", large, LARGE) == NS_ERR_NO_MEMORY);
        CHECK(ns_app_send_json(app, "large", large, LARGE) == NS_ERR_NO_MEMORY);
        json[0] = '[';
        for (i = 1; i + 4 < LARGE; i += 4)
            memcpy(json + i, "1.5,", 4);
        memcpy(json + i - 1, "]", 2);
        give_back();
        /* As a value it is more than twice as large as the text. */
        leave(LARGE + 4 * MEGA);
        CHECK(ns_app_send_json(app, "numbers", json, i) == NS_ERR_NO_MEMORY);
        CHECK(strstr(ns_last_error(), "\"numbers\"") != NULL);
        CHECK(ns_app_send_bytes(app, "small", large, 1000) == NS_OK);
        give_back();

        CHECK(ns_app_connect(app, ns_hub_address(hub, 0)) == NS_OK && ns_app_flush(app, 30000) == NS_OK);
        CHECK(ns_app_send_bytes(app, "large", large, LARGE) == NS_OK && ns_app_flush(app, 30000) == NS_OK);
        ns_app_free(app);
        ns_hub_free(hub);
        free(json);
    }

    static ns_app *app_at(const char *identity, const char *url, int shared, uint32_t accept)
    {
        ns_app *app;
        CHECK(ns_app_new(identity, &app) == NS_OK && ns_app_set(app, NS_OPT_SHARED, shared) == NS_OK);
        CHECK(ns_app_set_accept(app, accept) == NS_OK);
        CHECK(ns_app_connect(app, url) == NS_OK && ns_app_wait_connected(app, 30000) == NS_OK);
        return app;
    }
    /* The next state of this name; the others that come are counted as large or small. */
    static size_t large_ones;
    static ns_state *receive(ns_app *app, const char *name)
    {
        ns_state *state;
        const void *value;
        size_t len;
        for (large_ones = 0;; ns_state_free(state)) {
            CHECK(ns_app_recv(app, 30000, &state) == NS_OK);
            if (strcmp(ns_state_name(state), name) == 0)
                return state;
            CHECK(ns_state_msgpack(state, &value, &len) == NS_OK);
            large_ones += len > MEGA;
        }
    }
    static void ask(ns_app *app, const char *wanted)
    {
        CHECK(ns_app_send_text(app, "wanted", wanted) == NS_OK);
    }
    static bool goes_on(ns_app *app, const ns_state *state, void *ctx)
    {
        (void)app, (void)state, (void)ctx;
        return true;
    }

    /* The other side sends what is asked for, and then "sent". */
    static void receives(const char *url)
    {
        ns_app *app = app_at("display", url, 0, NS_ACCEPT_ANY), *pair;
        ns_app_stats_t stats;
        ns_state *state;
        const char *json;
        const void *value;
        size_t len;
        CHECK(ns_app_send_bytes(app, "own", large, LARGE) == NS_OK && ns_app_flush(app, 30000) == NS_OK);

        leave(4 * MEGA);
        CHECK(ns_app_get(app, NULL, "own", &state) == NS_ERR_NO_MEMORY && state == NULL);
        CHECK(ns_app_each(app, NULL, goes_on, NULL) == NS_ERR_NO_MEMORY);
        ask(app, "large");
        ns_state_free(receive(app, "sent"));
        give_back();
        CHECK(large_ones == 0 && ns_app_stats(app, &stats, sizeof stats) == NS_OK);
        CHECK(stats.too_large == 1 && stats.connects == 1);

        ask(app, "large again");
        state = receive(app, "large");
        leave(4 * MEGA);
        CHECK(ns_state_json(state, &json, &len) == NS_ERR_NO_MEMORY && *json == '\0' && len == 0);
        give_back();
        CHECK(ns_state_json(state, &json, &len) == NS_OK && len > LARGE);
        ns_state_free(state);
        ns_state_free(receive(app, "sent"));
        CHECK(ns_app_get(app, NULL, "own", &state) == NS_OK);
        ns_state_free(state);

        /* There is memory for what comes, and none for the copy that is announced in the place of the own value. */
        CHECK(ns_app_set_accept(app, NS_ACCEPT(NS_KIND_INT)) == NS_OK && ns_app_flush(app, 30000) == NS_OK);
        pair = app_at("pair", url, 1, NS_ACCEPT(NS_KIND_TEXT) | NS_ACCEPT(NS_KIND_INT));
        CHECK(ns_app_send_text(pair, "shared", "own") == NS_OK && ns_app_flush(pair, 30000) == NS_OK);
        leave(LARGE + 4 * MEGA);
        ask(app, "shared");
        state = receive(pair, "shared");
        CHECK(ns_state_msgpack(state, &value, &len) == NS_OK && len > LARGE);
        ns_state_free(receive(pair, "sent"));
        give_back();
        ns_state_free(state);
        CHECK(ns_app_stats(pair, &stats, sizeof stats) == NS_OK);
        CHECK(stats.too_large == 0 && stats.connects == 1);
        ns_app_free(pair);
        ns_app_free(app);
    }

    /* A pipe in memory grows while there is memory, and carries all the same. */
    static void carries(void)
    {
        ns_hub *hub;
        ns_app *app, *other;
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "inproc://memory") == NS_OK);
        CHECK(ns_app_new("app", &app) == NS_OK && ns_app_connect(app, "inproc://later") == NS_OK);
        other = app_at("other", "inproc://memory", 0, NS_ACCEPT_ANY);
        CHECK(ns_app_send_bytes(app, "large", large, LARGE) == NS_OK);
        leave(MEGA / 2);
        CHECK(ns_hub_listen(hub, "inproc://later") == NS_OK);
        CHECK(ns_app_flush(app, 30000) == NS_ERR_FULL && strstr(ns_last_error(), "\"large\"") != NULL);
        CHECK(ns_app_send_text(app, "small", "1") == NS_OK);
        ns_state_free(receive(other, "small"));
        CHECK(large_ones == 0);
        give_back();
        CHECK(ns_app_send_bytes(app, "large", large, LARGE) == NS_OK && ns_app_flush(app, 30000) == NS_OK);
        ns_state_free(receive(other, "large"));
        ns_app_free(other);
        ns_app_free(app);
        ns_hub_free(hub);
    }

    int main(int count, char **arguments)
    {
        const char *what = count > 1 ? arguments[1] : "";
        large = (char *)malloc(LARGE);
        CHECK(large != NULL);
        memset(large, '1', LARGE);
        if (strcmp(what, "sends") == 0)
            sends();
        else if (strcmp(what, "receives") == 0 && count > 2)
            receives(arguments[2]);
        else if (strcmp(what, "carries") == 0)
            carries();
        else
            return 2;
        free(large);
        return 0;
    }
"#;

/// One of its cases.
fn case(arguments: &[&str]) -> Command {
    let name = format!("memory_{}", arguments[0]);
    let mut command = Command::new(compile_c_text(&name, PROGRAM, Standard::C99, Link::Shared));
    scarce(command.args(arguments));
    command
}

/// What it allocates for large values is what the limit is about, and not what malloc keeps for later.
fn scarce(command: &mut Command) {
    command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_TOP_PAD_", "0");
}

/// Leaves a process so many bytes of address space; none: as many as there were. Returns what the limit was.
fn leave(process: u32, bytes: Option<usize>) {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    let pages: usize = statm.split(' ').next().unwrap().parse().unwrap();
    // SAFETY: the limits outlive the calls; sysconf takes no pointer.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::prlimit(process as i32, libc::RLIMIT_AS, ptr::null(), &mut limit), 0);
        let taken = pages * libc::sysconf(libc::_SC_PAGESIZE) as usize;
        limit.rlim_cur = bytes.map_or(limit.rlim_max, |bytes| (taken + bytes) as libc::rlim_t);
        assert_eq!(libc::prlimit(process as i32, libc::RLIMIT_AS, &limit, ptr::null_mut()), 0);
    }
}

const MEGA: usize = 1 << 20;
const LARGE: usize = 15 * MEGA;

#[test]
fn a_process_without_memory_is_told_so_and_goes_on() {
    let ended = support::run(case(&["sends"]), b"");
    assert!(ended.code == Some(0), "{ended:?}");
}

#[test]
fn a_pipe_in_memory_without_memory_carries_less_at_a_time() {
    let ended = support::run(case(&["carries"]), b"");
    assert!(ended.code == Some(0), "{ended:?}");
}

#[test]
fn an_app_without_memory_for_what_comes_counts_it_and_keeps_its_link() {
    let (_hub, url) = support::hub("tcp://127.0.0.1:0");
    let sender = support::app("sender", &url);
    let pair = App::new("pair").unwrap();
    pair.set(AppOption::Shared, 1).unwrap();
    pair.set_accept(Kind::Text.mask()).unwrap();
    pair.connect(Some(&url)).unwrap();
    let text = "x".repeat(LARGE);
    let mut command = case(&["receives", &url]);
    command.env("NANOSTATE_LOG", "warn");
    let program = Process::spawn(command);
    for (round, wanted) in ["large", "large again", "shared"].into_iter().enumerate() {
        receive_until(&sender, wanted, |state| state.name() == "wanted" && state.text().unwrap() == wanted);
        if wanted == "shared" {
            // Of two holders' values the newer one counts, and this clock may be behind until it observes the other.
            receive(&pair, "pair", "shared");
        }
        let (app, name, value) = match wanted {
            "shared" => (&pair, "shared", Value::Text(&text)),
            _ => (&sender, "large", Value::Bytes(text.as_bytes())),
        };
        app.send(name, value).unwrap();
        app.flush(Some(PATIENCE)).unwrap();
        sender.send("sent", Value::Uint(round as u64)).unwrap();
    }
    let ended = program.wait();
    assert!(ended.code == Some(0), "{ended:?}");
    for told in ["display: message of ", "pair: \"shared\" is not announced"] {
        let told = |line: &&String| line.contains(told) && line.ends_with(": out of memory");
        assert_eq!(ended.stderr.iter().filter(told).count(), 1, "{ended:?}");
    }
}

#[test]
fn a_hub_without_memory_says_so_to_the_sender_and_serves_all_others() {
    let mut command = nanostate(["hub", "--listen", "tcp://127.0.0.1:0"]);
    scarce(&mut command);
    let mut hub = Process::spawn(command);
    let url = hub.next_line_with("listening on ").split(' ').next_back().unwrap().to_owned();
    let (sender, display) = (support::app("sender", &url), support::app("display", &url));
    let (mut old, mut app) = (Raw::old(&url, "old"), Raw::v1(&url, "app"));
    let large = vec![7; LARGE];
    let mut round = 0;
    // Everybody's small states arrive, and none that is large.
    let mut small_arrive = |old: &mut Raw, app: &mut Raw| {
        round += 1;
        sender.send("small", Value::Uint(round)).unwrap();
        old.send("small", Value::Uint(round));
        app.send("small", Value::Uint(round));
        app.sync();
        let mut missing = vec!["sender", "old", "app"];
        receive_until(&display, "small states", |state| {
            assert_eq!((state.name(), state.uint()), ("small", Ok(round)));
            missing.retain(|sender| *sender != state.sender());
            missing.is_empty()
        });
    };
    small_arrive(&mut old, &mut app);

    // None for what comes: the decoder skips it.
    leave(hub.id(), Some(4 * MEGA));
    sender.send("large", Value::Bytes(&large)).unwrap();
    let error = sender.flush(Some(PATIENCE)).unwrap_err();
    assert_eq!((error.status(), error.to_string().contains("\"large\"")), (Status::Full, true), "{error}");
    small_arrive(&mut old, &mut app);

    // Enough for what comes, and none for a copy with a stamp of the hub.
    leave(hub.id(), Some(LARGE + 4 * MEGA));
    let mut unstamped = Vec::new();
    let mut value = Vec::new();
    Value::Bytes(&large).encode(&mut value);
    wire::encode(&mut unstamped, Form::V1, "app", "large", &value, &Meta::default());
    app.send_raw(&unstamped);
    let rejected = app.receive_until("$ns/rejected").pop().unwrap();
    let rejected = app.decode(&rejected);
    assert_eq!(Control::decode(&rejected), Ok(Control::Rejected { status: Status::Full.code(), name: "large" }));
    old.send("large", Value::Bytes(&large));
    small_arrive(&mut old, &mut app);
    hub.error_line("what was not taken", |line| line.contains("not taken: no memory for a message of 157"));

    leave(hub.id(), None);
    let large_arrives = |from: &str| {
        let state = receive_until(&display, from, |state| state.name() == "large").pop().unwrap();
        assert_eq!((state.sender(), state.bytes().map(<[u8]>::len)), (from, Ok(LARGE)));
    };
    sender.send("large", Value::Bytes(&large)).unwrap();
    sender.flush(Some(PATIENCE)).unwrap();
    large_arrives("sender");
    app.send_raw(&unstamped);
    large_arrives("app");
    old.send("large", Value::Bytes(&large));
    large_arrives("old");
}

// ---- the engines, each of whose large allocations is refused once

/// The system's allocator, which refuses what a test wants refused.
struct Refusing;

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// What is larger follows the size of a body or value. A buffer that grows by doubling may be this large for a small one.
const SMALL: usize = 128 << 10;
const VALUE: usize = 3 * SMALL;

thread_local! {
    /// Whether allocations of this thread are those of an engine.
    static ENGINE: Cell<bool> = const { Cell::new(false) };
    /// How many of them were large.
    static ASKED: Cell<u32> = const { Cell::new(0) };
    /// Which of these is refused.
    static REFUSED: Cell<u32> = const { Cell::new(u32::MAX) };
}

fn is_refused(bytes: usize) -> bool {
    if bytes <= SMALL || !ENGINE.get() {
        return false;
    }
    let asked = ASKED.get();
    ASKED.set(asked + 1);
    asked == REFUSED.get()
}

// SAFETY: the system's allocator does what is asked for; null says that there is no memory.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes > layout.size() && is_refused(bytes) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

/// Runs what only an engine does.
fn engine<T>(run: impl FnOnce() -> T) -> T {
    ENGINE.set(true);
    let done = run();
    ENGINE.set(false);
    done
}

/// Runs a scenario with each of its large allocations refused, one at a time. One that has to succeed ends the process.
fn each_refused(scenario: impl Fn()) {
    let mut refused = 0;
    loop {
        ASKED.set(0);
        REFUSED.set(refused);
        scenario();
        if ASKED.get() <= refused {
            break;
        }
        refused += 1;
    }
    assert!(refused > 0, "it allocates something large");
    println!("{refused} large allocations");
}

/// Whether the one that is to be refused has been.
fn was_refused() -> bool {
    ASKED.get() > REFUSED.get()
}

fn large_text() -> Vec<u8> {
    let mut value = Vec::new();
    Value::Text(&"x".repeat(VALUE)).encode(&mut value);
    value
}

/// Sends a message to the hub as a driver reads it, and lets the hub go on with what it left for later.
fn tell(hub: &mut Direct, conn: ConnId, message: &[u8]) {
    let frame = [&frame_head(Framing::Tcp, message.len())[..], message].concat();
    for piece in frame.chunks(64 << 10) {
        assert!(hub.router.reads(conn));
        engine(|| hub.bytes(conn, piece));
        engine(|| hub.settle());
    }
}

/// The messages that wait for a peer.
fn messages(hub: &mut Direct, conn: ConnId) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut slices: Vec<IoSlice> = Vec::with_capacity(64);
        ENGINE.set(true);
        hub.router.gather(hub.now, conn, &mut slices);
        ENGINE.set(false);
        let len = slices.iter().map(|slice| slice.len()).sum();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        if len == 0 {
            break;
        }
        engine(|| hub.router.wrote(hub.now, conn, len));
    }
    let input = if bytes.starts_with(b"\0SP\0") { &bytes[HEADER_LEN..] } else { &bytes };
    sim::whole_frames(Framing::Tcp, input)
}

/// The names of the states that a hub says it did not take.
fn rejected(messages: &[Vec<u8>]) -> Vec<String> {
    let rejected = |bytes: &Vec<u8>| match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
        Ok(Control::Rejected { status, name }) if status == Status::Full.code() => Some(name.to_owned()),
        _ => None,
    };
    messages.iter().filter_map(rejected).collect()
}

#[test]
fn a_hub_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    each_refused(|| {
        let mut hub = Direct::new(RouterConfig::default());
        hub.router.serves(Role::Rep);
        let (app, display, old) = (hub.open_v1("app", 1), hub.open_v1("display", 2), hub.open_old());
        let client = hub.join_client(Role::Rep, false);
        messages(&mut hub, old);
        let stamp = |hub: &Direct| Stamp { instance: Instance([1; 16]), ..sim::stamp(hub.now.wall.as_millis()) };
        let states = |hub: &Direct| {
            let stamped = Meta { stamp: Some(stamp(hub)), ..Meta::default() };
            let other_keys = [&[0x81, 0x19, 0xA1][..], b"k"].concat();
            let mut odd = body(Form::V1, "app", "odd", &value, &Meta::default());
            odd.pop();
            odd.extend(other_keys);
            [
                ("stamped", body(Form::V1, "app", "stamped", &value, &stamped)),
                ("unstamped", body(Form::V1, "app", "unstamped", &value, &Meta::default())),
                ("small", body(Form::V1, "app", "small", &value, &Meta::default())),
                ("odd", odd),
            ]
        };
        let small = body(Form::V1, "app", "small", &[1], &Meta::default());
        tell(&mut hub, app, &small);
        let states = states(&hub);
        for (_, state) in &states {
            tell(&mut hub, app, state);
        }
        tell(&mut hub, old, &body(Form::Old, "old", "large", &value, &Meta::default()));
        let request = |json: &str| {
            let mut request = b"\x80\0\0\x01".to_vec();
            wire::to_msgpack(json, &mut request).unwrap();
            request
        };
        let publish = [b"\x80\0\0\x01", &body(Form::Old, "client", "large", &value, &Meta::default())[..]].concat();
        let mut answers = Vec::new();
        for request in [request(r#"["get", "stamped"]"#), request(r#"["list", "*stamped"]"#), publish] {
            tell(&mut hub, client, &request);
            answers.extend(messages(&mut hub, client));
        }
        let late = hub.open_v1("late", 3);
        for conn in [display, old, late] {
            messages(&mut hub, conn);
        }
        let rejected = rejected(&messages(&mut hub, app));

        // At most one of all that was refused; what is held and what is told of agree.
        let held = |hub: &Direct, sender: &str, name: &str| {
            hub.router.table().find(sender, name).is_some_and(|entry| entry.data().len() > VALUE)
        };
        for (name, _) in &states {
            assert_eq!(held(&hub, "app", name), !rejected.iter().any(|rejected| rejected == name), "{name}");
        }
        let missing = [("old", "large"), ("client", "large")].into_iter();
        let missing = missing.filter(|(sender, name)| !held(&hub, sender, name)).count() + rejected.len();
        assert_eq!(hub.router.stats().refused, missing as u64);
        assert!(missing <= usize::from(was_refused()));
        let published = usize::from(held(&hub, "client", "large"));
        assert!((2 + published..=3).contains(&answers.len()), "what came whole is answered");
        assert!(answers.iter().all(|answer| wire::check(&answer[4..]).is_ok()));

        // The hub goes on, and takes what it did not before.
        hub.pass(SEC);
        hub.bytes(app, &[&frame_head(Framing::Tcp, small.len())[..], &small].concat());
        assert_eq!(hub.said(display), ["small"]);
        hub.pass(SEC);
        for name in ["stamped", "unstamped", "small", "odd"] {
            hub.publish(app, "app", name, &value);
            assert!(held(&hub, "app", name), "{name}");
        }
        assert_eq!(hub.bodies(display).len(), 4);
        assert!(!hub.is_closed(app) && !hub.is_closed(old) && !hub.is_closed(client));
    });
}

/// What the app hears from its hub, as a driver reads it.
fn hear(app: &mut DirectApp, body: &[u8]) {
    let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
    for piece in frame.chunks(64 << 10) {
        engine(|| app.bytes(piece));
    }
}

#[test]
fn an_app_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    let of_another = |app: &DirectApp| sim::stamp(app.now.wall.as_millis() + 5);
    for shared in [false, true] {
        each_refused(|| {
            let mut app = DirectApp::new();
            app.session.config.shared = shared;
            app.link(1);
            let now = app.now;
            app.publish("shared", &[1]).unwrap();
            let sent = engine(|| app.session.publish(now, "own", Value::Msgpack(&value), Kind::Text));
            assert_eq!(
                sent.clone().map_err(|error| error.status()),
                match was_refused() {
                    true => Err(Status::NoMemory),
                    false => Ok(()),
                }
            );
            let version = app.session.request_ack();
            // The hub holds a later one, while the own one waits to be written: it gets another stamp, or gives way.
            if let Some(own) = app.session.get(None, "own").filter(|_| sent.is_ok()) {
                let (held, mut stale) = (of_another(&app), Vec::new());
                Control::Stale { name: "own", offered: own.stamp(), held: Some(held), time: held.clock }
                    .encode(wire::HUB_SENDER, &mut stale);
                let refused = was_refused();
                hear(&mut app, &stale);
                let lost = was_refused() && !refused;
                let why = app.session.check_taken(version).map_err(|error| error.status());
                assert_eq!(why, if lost { Err(Status::NoMemory) } else { Ok(()) });
            }
            // The value of another app, and one of another that shares the identity.
            let meta = Meta { stamp: Some(of_another(&app)), ..Meta::default() };
            for (sender, name) in [("b", "x"), ("a", "shared")] {
                hear(&mut app, &body(Form::V1, sender, name, &value, &meta));
            }
            let kept = engine(|| app.session.get(None, "own").is_some());
            assert!(kept || was_refused() || shared);
            drop(engine(|| app.session.states(|_| true)));
            let json = |app: &mut DirectApp| app.session.inbox.pop().map(|state| engine(|| state.json().len()));
            while let Some(len) = json(&mut app) {
                assert!(len > VALUE || was_refused());
            }

            // The app goes on, and takes what it did not before.
            assert_eq!((app.session.link(), app.closed.len()), (LinkState::Connected, 0));
            let dropped = app.session.stats().too_large;
            assert!(dropped <= u64::from(was_refused()));
            app.pass(SEC);
            app.publish("own", &value).unwrap();
            assert!(app.session.get(Some("a"), "own").is_some_and(|state| state.msgpack() == value));
            let meta = Meta { stamp: Some(of_another(&app)), ..Meta::default() };
            for name in ["x", "y"] {
                app.receive(&body(Form::V1, "b", name, &value, &meta));
                assert!(app.session.inbox.pop().is_some_and(|state| state.name() == name && state.msgpack() == value));
            }
        });
    }
}

#[test]
fn an_app_on_an_old_hub_needs_no_large_allocation_to_succeed() {
    let value = large_text();
    each_refused(|| {
        let mut app = DirectApp::new();
        app.open();
        app.bytes(&header(Version::Old));
        app.pass(0);
        app.open();
        app.bytes(&header(Version::Old));
        assert_eq!(app.session.link(), LinkState::Connected);
        hear(&mut app, &body(Form::Old, "b", "x", &value, &Meta::default()));
        let state = app.session.inbox.pop();
        assert_eq!((state.is_none(), app.session.stats().too_large), (was_refused(), u64::from(was_refused())));
        assert!(state.is_none_or(|state| state.msgpack() == value && state.sender_c() == c"b"));
        assert_eq!(app.session.link(), LinkState::Connected);
    });
}

#[test]
fn json_needs_no_large_allocation_to_succeed() {
    let numbers = format!("[{}1]", "1.5,".repeat(VALUE));
    each_refused(|| {
        let mut value = vec![7];
        let done = engine(|| wire::to_msgpack(&numbers, &mut value).map_err(|error| error.status()));
        assert_eq!(done, if was_refused() { Err(Status::NoMemory) } else { Ok(()) });
        assert_eq!(value == [7], was_refused());
    });
}
