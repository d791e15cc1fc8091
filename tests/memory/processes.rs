//! Whole processes, with a limit of their address space.

use std::process::Command;
use std::{fs, ptr};

use nanostate::wire::{self, Control, Form, Meta};
use nanostate::{App, AppOption, Kind, Status, Value};

use crate::support::build::{compile_c_text, Link, Standard};
use crate::support::{self, nanostate, receive, receive_until, Process, Raw, PATIENCE};

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
        ns_app *app, *pair;
        ns_app_stats_t stats;
        ns_state *state;
        const char *json;
        const void *value;
        size_t len;
        /* Under any limit all large bodies are malloc's, so that it is known for how many there is memory. */
        CHECK(getrlimit(RLIMIT_AS, &before) == 0);
        before.rlim_cur = before.rlim_max == RLIM_INFINITY ? (rlim_t)1 << 46 : before.rlim_max;
        give_back();
        app = app_at("display", url, 0, NS_ACCEPT_ANY);
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
