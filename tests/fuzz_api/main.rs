//! Sequences of C calls in any order, with arguments good and bad, held against what `include/nanostate.h` promises.
//!
//! A sequence has a few apps, hubs and states; callbacks call the API too, and free their own handle. After each call:
//! its status is one that its comment lists, a failure left its words, and the out-parameters are what they have to be.
//! After each sequence no thread and no descriptor is left. `NANOSTATE_FUZZ_RUNS` and `NANOSTATE_FUZZ_SEED` are those
//! of `tests/fuzz`; the system's timing is not in the seed.

#![cfg(feature = "capi")]
// This calls the C API, as a C program does.
#![allow(unsafe_code)]
// The argument of `ns!` is one call, and all that is unsafe is that call.
#![allow(clippy::macro_metavars_in_unsafe)]

#[path = "../sim/mod.rs"]
mod sim;

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_void, CStr, CString};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use callbacks::*;
use nanostate::ffi::*;
use nanostate::wire::{self, Value};
use nanostate::Kind;
use sim::{each_seed, value, Rng};

/// Only a failure waits this long.
const LONG: Duration = Duration::from_secs(60);

const APPS: usize = 4;
const HUBS: usize = 2;
/// States that are held at most.
const STATES: usize = 24;
/// The identity of the call that [`mark`] lets fail.
const MARK: &[u8] = b"mark\xff\0";

const HEADER: &str = include_str!("../../include/nanostate.h");

/// Where the header declares a function that returns a status.
fn declared(function: &str) -> Option<usize> {
    let plain = [" ", "*"].iter().find_map(|before| HEADER.find(&format!("\nns_status{before}{function}(")));
    plain.or_else(|| HEADER.find(&format!("\nNS_MUST_CHECK ns_status {function}(")))
}

/// The comment before a function in the header, on one line for each of its items.
fn comment(function: &str) -> &'static str {
    let before = &HEADER[..declared(function).unwrap_or_else(|| panic!("{function} is not in the header"))];
    &before[before.rfind("/**").expect("a comment")..]
}

/// The status with this name.
fn number(name: &str) -> ns_status {
    let value = HEADER.split_once(&format!(" {name} = ")).unwrap_or_else(|| panic!("{name} is not in the header")).1;
    value[..value.find([',', '\n', ' ']).expect("an end")].parse().expect("a number")
}

/// The failures that the comment of a function lists: each item begins with their names. A comment that speaks of the
/// errors of another function means those, too.
fn listed(function: &'static str) -> &'static [ns_status] {
    static LISTED: Mutex<BTreeMap<&str, &[ns_status]>> = Mutex::new(BTreeMap::new());
    if let Some(known) = lock(&LISTED).get(function) {
        return known;
    }
    let comment = comment(function);
    let names = |text: &'static str, prefix: &'static str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(move |word| word.starts_with(prefix))
    };
    let items = comment.lines().filter_map(|line| line.strip_prefix(" * - NS_ERR_").map(|_| line.split(':').next()));
    let mut statuses: Vec<_> = items.flatten().flat_map(|item| names(item, "NS_ERR_")).map(number).collect();
    if comment.contains("errors") {
        let others = names(comment, "ns_app_").chain(names(comment, "ns_hub_"));
        let others = others.filter(|&other| other != function && declared(other).is_some());
        others.for_each(|other| statuses.extend_from_slice(listed(other)));
    }
    assert!(!statuses.is_empty(), "no errors are listed for {function}");
    let statuses = statuses.leak();
    lock(&LISTED).insert(function, statuses);
    statuses
}

thread_local! {
    /// The handles that this thread has a call on, outermost first, and whether that call is `ns_app_recv`.
    static USED: RefCell<Vec<(*const (), bool)>> = const { RefCell::new(Vec::new()) };
    /// The callbacks that this thread is in.
    static INSIDE: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
    /// What `ns_last_error` has to say until something fails.
    static LAST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The words of the call of [`mark`].
    static MARKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Which thread of the sequence this is; 0: one of the library.
    static NUMBER_OF_THREAD: Cell<u64> = const { Cell::new(0) };
}

/// One call of the C API.
macro_rules! ns {
    ($call:expr) => {{
        // SAFETY: handles are not freed while a call is made on them (`Slot`, `States`); strings, data and
        // out-parameters are NULL or valid, and live as long as the call.
        unsafe { $call }
    }};
}

/// One call that returns a status: NS_OK, or one that the header lists.
macro_rules! status {
    ($run:expr, $function:ident($($argument:expr),*)) => {
        status!($run, listed(stringify!($function)), $function($($argument),*))
    };
    ($run:expr, $allowed:expr, $function:ident($($argument:expr),*)) => {{
        mark();
        let status = ns!($function($($argument),*));
        $run.check(stringify!($function), status, $allowed);
        status
    }};
}

mod apps;
mod callbacks;
mod handlers;
mod hubs;
mod states;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last_error() -> Vec<u8> {
    // SAFETY: the text is NUL-terminated and valid until the next failure in this thread.
    unsafe { CStr::from_ptr(ns_last_error()) }.to_bytes().to_vec()
}

/// Lets a call fail, so that the words of the next failure are known from words that were there before.
fn mark() {
    let mut out = ptr::null_mut();
    ns!(ns_app_new(MARK.as_ptr().cast(), &mut out));
    let text = last_error();
    LAST.set(text.clone());
    MARKED.set(text);
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// A handle and what is known of it.
struct Handle<T> {
    ptr: AtomicPtr<T>,
    identity: CString,
    /// Calls that run on it. Changed under the lock of its slot.
    users: AtomicUsize,
    /// Callbacks that run.
    running: AtomicUsize,
    freed: AtomicBool,
    /// A close was begun; a close has returned.
    closing: AtomicBool,
    closed: AtomicBool,
    callback_thread: AtomicBool,
    /// The functions that are set. Held while one is replaced.
    functions: [Mutex<Option<Arc<Context<T>>>>; 6],
}

/// What a callback is given as `ctx`.
struct Context<T> {
    run: Weak<Run>,
    slot: usize,
    handle: Arc<Handle<T>>,
    running: AtomicUsize,
    /// It is not to run any more.
    replaced: AtomicBool,
    /// Of a function for a pattern: it was set; how often it was destroyed.
    owed: AtomicBool,
    destroyed: AtomicUsize,
    rng: Mutex<Rng>,
}

/// The place of a handle. It is taken out to be freed, when no other thread has a call on it.
struct Slot<T>(Mutex<Option<Arc<Handle<T>>>>);

/// A call, or a few, on a handle.
struct Use<'a, T> {
    slot: &'a Slot<T>,
    handle: Arc<Handle<T>>,
}

impl<T> Handle<T> {
    fn id(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    fn raw(&self) -> *mut T {
        self.ptr.load(SeqCst)
    }
}

impl<T> Slot<T> {
    /// Begins to use the handle; with `only`, if it is that one.
    fn enter(&self, only: Option<&Arc<Handle<T>>>, recv: bool) -> Option<Use<'_, T>> {
        let held = lock(&self.0);
        let handle = held.as_ref().filter(|held| only.is_none_or(|only| Arc::ptr_eq(only, held)))?.clone();
        handle.users.fetch_add(1, SeqCst);
        drop(held);
        USED.with_borrow_mut(|used| used.push((handle.id(), recv)));
        Some(Use { slot: self, handle })
    }

    /// Takes the handle to free it, unless another thread uses it.
    fn take(&self, only: Option<&Arc<Handle<T>>>) -> Option<Arc<Handle<T>>> {
        let mut held = lock(&self.0);
        let handle = held.as_ref().filter(|held| only.is_none_or(|only| Arc::ptr_eq(only, held)))?;
        let own = USED.with_borrow(|used| used.iter().filter(|(id, _)| *id == handle.id()).count());
        if handle.users.load(SeqCst) != own {
            return None;
        }
        held.take()
    }
}

impl<T> Drop for Use<'_, T> {
    fn drop(&mut self) {
        USED.with_borrow_mut(Vec::pop);
        let _held = lock(&self.slot.0);
        self.handle.users.fetch_sub(1, SeqCst);
    }
}

/// A reference to a state, and a digest of what it held.
struct Held {
    state: AtomicPtr<ns_state>,
    digest: u64,
}

/// One sequence of calls.
struct Run {
    apps: [Slot<ns_app>; APPS],
    hubs: [Slot<ns_hub>; HUBS],
    states: Mutex<Vec<Held>>,
    /// Where hubs listen or might.
    urls: Mutex<Vec<String>>,
    /// Keeps what callbacks point to until all threads have ended.
    app_contexts: Mutex<Vec<Arc<Context<ns_app>>>>,
    /// Functions for patterns that are set, unless their apps were freed.
    handlers: Mutex<Vec<handlers::Set>>,
    hub_contexts: Mutex<Vec<Arc<Context<ns_hub>>>>,
    /// One thread alone makes calls, besides callbacks.
    single: bool,
    made: AtomicU64,
    calls: Mutex<Vec<String>>,
    failed: Mutex<Option<String>>,
}

/// A name of a state and whether it is allowed.
fn a_name(rng: &mut Rng, prefix: &str) -> (Option<CString>, bool) {
    let allowed = |text: String| (CString::new(text).ok(), true);
    match rng.below(20) {
        0 => (None, false),
        1 => (Some(c"".into()), false),
        2 => (Some(c"$ns/hello".into()), false),
        3 => (Some(c"bad\xff".into()), false),
        4 => (CString::new("n".repeat(1025)).ok(), false),
        5 => allowed(format!("{prefix}{}", "n".repeat(1024 - prefix.len()))),
        6 => allowed(format!("{prefix}\u{1F980}\"\\")),
        _ => allowed(format!("{prefix}{}", rng.below(6))),
    }
}

/// A length: mostly small.
fn a_length(rng: &mut Rng) -> usize {
    let most = if rng.one_in(15) { 100_000 } else { 60 };
    rng.length(most)
}

fn a_text(rng: &mut Rng) -> String {
    let filler = rng.pick(&["a", "\"", "é", "\u{1F980}", "\\", "\u{1}"]);
    filler.repeat(a_length(rng) / filler.len())
}

impl Run {
    fn new(single: bool, seed: u64, dir: &Path) -> Run {
        let ipc = |n: u32| format!("ipc://{}/{seed}-{n}.sock", dir.display());
        Run {
            apps: std::array::from_fn(|_| Slot(Mutex::new(None))),
            hubs: std::array::from_fn(|_| Slot(Mutex::new(None))),
            states: Mutex::default(),
            urls: Mutex::new(vec![
                format!("inproc://fuzz-{seed}-1"),
                ipc(1),
                format!("inproc://fuzz-{seed}-2"),
                ipc(2),
            ]),
            app_contexts: Mutex::default(),
            handlers: Mutex::default(),
            hub_contexts: Mutex::default(),
            single,
            made: AtomicU64::new(0),
            calls: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// A promise was broken. Callbacks cannot panic, so it is kept.
    fn fail(&self, text: String) {
        lock(&self.failed).get_or_insert_with(|| {
            let calls = lock(&self.calls);
            let from = calls.len().saturating_sub(25);
            format!("{text}\nthe last calls:\n  {}", calls[from..].join("\n  "))
        });
    }

    fn require(&self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.fail(text());
        }
    }

    /// Notes a call for the words of a failure.
    fn note(&self, call: String) {
        let depth = INSIDE.with_borrow(Vec::len);
        let thread = NUMBER_OF_THREAD.get();
        lock(&self.calls).push(format!("{thread} {}{call}", "  ".repeat(depth)));
    }

    /// A call returned this status.
    fn check(&self, what: &str, status: ns_status, allowed: &[ns_status]) {
        self.note(format!("{what}: {status}"));
        if status == NS_OK {
            return self.check_success(what);
        }
        let said = String::from_utf8_lossy(&last_error()).into_owned();
        self.require(allowed.contains(&status), || format!("{what}: status {status} is not listed: {said}"));
        self.check_failure(what);
    }

    fn check_success(&self, what: &str) {
        let (now, before) = (last_error(), LAST.with_borrow(Vec::clone));
        self.require(now == before, || format!("{what} succeeded and changed ns_last_error"));
    }

    /// A call failed, and says why.
    fn check_failure(&self, what: &str) {
        let text = last_error();
        let marked = MARKED.with_borrow(|marked| *marked == text);
        self.require(!text.is_empty() && !marked, || format!("{what} failed and did not set ns_last_error"));
        self.require(std::str::from_utf8(&text).is_ok(), || format!("{what}: ns_last_error is not UTF-8"));
        LAST.set(text);
    }

    /// A call that does not return a status did fail or did not.
    fn check_value(&self, what: &str, failed: bool) {
        self.note(format!("{what}: {}", if failed { "failed" } else { "done" }));
        if failed {
            self.check_failure(what);
        } else {
            self.check_success(what);
        }
    }

    fn c_str(&self, what: &str, text: *const c_char) -> Vec<u8> {
        if text.is_null() {
            self.fail(format!("{what} is NULL"));
            return Vec::new();
        }
        // SAFETY: the library says that it is NUL-terminated and lives as long as its handle or call.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes().to_vec();
        self.require(std::str::from_utf8(&text).is_ok(), || format!("{what} is not UTF-8"));
        text
    }

    /// Mostly there is a hub from the start.
    fn begin(&self, rng: &mut Rng) {
        if rng.one_in(4) {
            return;
        }
        self.hub_new(rng, 0);
        let hub = self.hubs[0].enter(None, false).expect("a hub that was just made");
        lock(&self.urls).rotate_left(rng.index(4));
        let url = CString::new(lock(&self.urls)[0].as_str()).ok();
        status!(self, &[], ns_hub_listen(hub.handle.raw(), pointer(&url)));
    }

    /// Random calls.
    fn act(self: &Arc<Run>, rng: &mut Rng, calls: u64) {
        for _ in 0..calls {
            match rng.below(10) {
                0 => self.state_op(rng),
                1 | 2 => {
                    let slot = rng.index(HUBS);
                    self.hub_op(rng, slot, None);
                }
                _ => {
                    let slot = rng.index(APPS);
                    self.app_op(rng, slot, None);
                }
            }
            if lock(&self.failed).is_some() {
                break;
            }
        }
    }

    /// Frees all, in any order.
    fn end(&self, rng: &mut Rng) {
        let mut all: Vec<usize> = (0..APPS + HUBS + 1).collect();
        while !all.is_empty() {
            match all.swap_remove(rng.index(all.len())) {
                // A callback may be using it now.
                app @ 0..APPS => {
                    while lock(&self.apps[app].0).is_some() {
                        self.app_free(app, None);
                        thread::yield_now();
                    }
                }
                states if states == APPS + HUBS => {
                    for held in std::mem::take(&mut *lock(&self.states)) {
                        let state = held.state.load(SeqCst);
                        let digest = self.check_state(rng, state);
                        self.require(digest == held.digest, || "a state has changed".into());
                        ns!(ns_state_free(state));
                    }
                }
                hub => {
                    while lock(&self.hubs[hub - APPS].0).is_some() {
                        self.hub_free(hub - APPS, None);
                        thread::yield_now();
                    }
                }
            }
        }
    }
}

fn descriptors() -> Vec<String> {
    let list = fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    let name =
        |entry: fs::DirEntry| fs::read_link(entry.path()).ok().map(|to| format!("{:?} {to:?}", entry.file_name()));
    // The descriptor of the list itself has a name of this process.
    list.filter_map(|entry| name(entry.ok()?)).filter(|name| !name.contains("/proc/")).collect()
}

fn library_threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("a list of threads");
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).ok();
    let names = tasks.filter_map(|entry| name(entry.ok()?));
    names.filter(|name| name.starts_with("nanostate-") || name.starts_with("ns-")).collect()
}

/// Looks until it is so. Only what another thread still does is waited for.
fn until<T>(mut look: impl FnMut() -> Vec<T>, is: impl Fn(&[T]) -> bool) -> Result<(), Vec<T>> {
    let end = Instant::now() + LONG;
    loop {
        let seen = look();
        if is(&seen) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(seen);
        }
        thread::yield_now();
    }
}

/// A directory for sockets, short enough for their names.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let dir = env::temp_dir().join(format!("nanostate-fuzz-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for sockets");
        Directory(dir)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Sequences by `threads` threads at once, from seeds.
fn sequences(default: u64, threads: u64) {
    // Threads and descriptors are those of the process: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = lock(&ALONE);
    let dir = Directory::new();
    env::set_var("NANOSTATE_URL", format!("ipc://{}/default.sock", dir.0.display()));
    each_seed(default, 1000, |seed| {
        let before = descriptors();
        let run = Arc::new(Run::new(threads == 1, seed, &dir.0));
        run.begin(&mut Rng::new(seed));
        let (done, all_done) = mpsc::channel();
        let mut workers = Vec::new();
        for number in 0..threads {
            let (run, done) = (run.clone(), done.clone());
            workers.push(thread::spawn(move || {
                NUMBER_OF_THREAD.set(number + 1);
                let mut rng = Rng::new(seed.wrapping_mul(31).wrapping_add(number));
                let calls = 30 + rng.below(51);
                run.act(&mut rng, calls);
                let _ = done.send(());
            }));
        }
        let wait = |what: &str| {
            if all_done.recv_timeout(LONG).is_err() {
                run.fail(format!("{what} does not return, or panicked"));
                panic!("{}", lock(&run.failed).clone().unwrap_or_default());
            }
        };
        (0..threads).for_each(|_| wait("a call"));
        workers.into_iter().for_each(|worker| worker.join().expect("a thread that has said that it is done"));
        let (last, done) = (run.clone(), done.clone());
        let worker = thread::spawn(move || {
            last.end(&mut Rng::new(seed));
            let _ = done.send(());
        });
        wait("a free");
        worker.join().expect("a thread that has said that it is done");
        let threads = until(library_threads, <[_]>::is_empty);
        run.require(threads.is_ok(), || format!("threads are left: {threads:?}"));
        run.check_destroyed();
        let left = until(descriptors, |now| now.len() == before.len());
        run.require(left.is_ok(), || format!("descriptors: {before:?} before, {left:?} now"));
        let failed = lock(&run.failed).take();
        assert!(failed.is_none(), "{}", failed.unwrap_or_default());
    });
}

#[test]
fn calls_in_any_order_do_what_the_header_says() {
    sequences(500, 1);
}

#[test]
fn calls_of_several_threads_at_once_do_what_the_header_says() {
    sequences(250, 3);
}
