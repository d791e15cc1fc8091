//! Sequences of C calls in any order, with arguments good and bad, held against what `include/nanostate.h` promises.
//!
//! A sequence has a few apps, hubs and states; callbacks call the API too, and free their own handle. After each call:
//! its status is one that its comment lists, a failure left its words, and the out-parameters are what they have to be.
//! After each sequence no thread and no descriptor is left. `NANOSTATE_FUZZ_RUNS` and `NANOSTATE_FUZZ_SEED` are those
//! of `tests/fuzz.rs`; the system's timing is not in the seed.

#![cfg(feature = "capi")]
// This calls the C API, as a C program does.
#![allow(unsafe_code)]
// The argument of `ns!` is one call, and all that is unsafe is that call.
#![allow(clippy::macro_metavars_in_unsafe)]

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

const HEADER: &str = include_str!("../include/nanostate.h");

/// The comment before a function in the header, on one line for each of its items.
fn comment(function: &str) -> &'static str {
    let declared = [" ", "*"].iter().find_map(|before| HEADER.find(&format!("\nns_status{before}{function}(")));
    let declared = declared.or_else(|| HEADER.find(&format!("\nNS_MUST_CHECK ns_status {function}(")));
    let before = &HEADER[..declared.unwrap_or_else(|| panic!("{function} is not in the header"))];
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
    functions: [Mutex<Option<Arc<Context<T>>>>; 3],
}

/// What a callback is given as `ctx`.
struct Context<T> {
    run: Weak<Run>,
    slot: usize,
    handle: Arc<Handle<T>>,
    running: AtomicUsize,
    /// It is not to run any more.
    replaced: AtomicBool,
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

    // States ------------------------------------------------------------------------------------------------------

    /// Calls an accessor with a pointer and a length, each NULL at times, and checks both.
    fn slice(
        &self,
        rng: &mut Rng,
        what: &'static str,
        is_text: bool,
        call: impl FnOnce(*mut *const c_void, *mut usize) -> ns_status,
    ) -> Result<Vec<u8>, ns_status> {
        let (mut data, mut len) = (ptr::dangling::<c_void>(), 77);
        let (no_data, no_len) = (rng.one_in(8), rng.one_in(8));
        mark();
        let status =
            call(if no_data { ptr::null_mut() } else { &mut data }, if no_len { ptr::null_mut() } else { &mut len });
        self.check(what, status, listed(what));
        if no_data || (no_len && !is_text) {
            self.require(status == NS_ERR_INVALID, || format!("{what} with NULL: {status}"));
        }
        if status != NS_OK {
            self.require(no_len || len == 0, || format!("{what} failed and its length is {len}"));
            if !no_data && is_text {
                self.require(self.c_str(what, data.cast()).is_empty(), || format!("{what} failed and is not \"\""));
            } else if !no_data {
                self.require(data.is_null(), || format!("{what} failed and is not NULL"));
            }
            return Err(status);
        }
        if is_text && no_len {
            return Ok(self.c_str(what, data.cast()));
        }
        if len == 0 && !is_text {
            return Ok(Vec::new());
        }
        // SAFETY: the accessor says that so many bytes are there, with text a NUL behind them.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len + usize::from(is_text)) };
        if is_text {
            self.require(bytes[len] == 0, || format!("{what}: no NUL at the end"));
            self.require(std::str::from_utf8(bytes).is_ok(), || format!("{what}: not UTF-8"));
        }
        Ok(bytes[..len].to_vec())
    }

    /// Calls an accessor of one value, with NULL at times. `None`: it failed.
    fn scalar<T: Copy + PartialEq + Default>(
        &self,
        rng: &mut Rng,
        (what, other): (&'static str, T),
        call: impl FnOnce(*mut T) -> ns_status,
    ) -> Result<T, ns_status> {
        let mut out = other;
        let null = rng.one_in(8);
        mark();
        let status = call(if null { ptr::null_mut() } else { &mut out });
        self.check(what, status, listed(what));
        self.require(!null || status == NS_ERR_INVALID, || format!("{what} with NULL: {status}"));
        if status == NS_OK {
            return Ok(out);
        }
        self.require(null || out == T::default(), || format!("{what} failed and is not 0"));
        Err(status)
    }

    /// Calls every accessor. Returns a digest of what the state holds.
    fn check_state(&self, rng: &mut Rng, state: *const ns_state) -> u64 {
        mark();
        let kind = ns!(ns_state_kind(state));
        let sender = self.c_str("sender", ns!(ns_state_sender(state)));
        let name = self.c_str("name", ns!(ns_state_name(state)));
        let time = ns!(ns_state_time(state));
        let null = state.is_null();
        self.check_value("ns_state_time and others", null);
        let known = Kind::ALL.iter().copied().find(|known| *known as i32 == kind);
        if null {
            self.require(kind == 0 && time == 0 && sender.is_empty() && name.is_empty(), || {
                "NULL has something".into()
            });
        } else {
            self.require(known.is_some(), || format!("kind {kind}"));
            self.require((1..=255).contains(&sender.len()), || format!("sender {sender:?}"));
            self.require((1..=1024).contains(&name.len()), || format!("name {name:?}"));
            self.require(time >= 0, || format!("time {time}"));
        }

        let text = self.slice(rng, "ns_state_text", true, |text, len| ns!(ns_state_text(state, text.cast(), len)));
        let bytes = self.slice(rng, "ns_state_bytes", false, |data, len| ns!(ns_state_bytes(state, data, len)));
        let json = self.slice(rng, "ns_state_json", true, |json, len| ns!(ns_state_json(state, json.cast(), len)));
        let msgpack = self.slice(rng, "ns_state_msgpack", false, |value, len| ns!(ns_state_msgpack(state, value, len)));
        let mut number = 7;
        let no_number = rng.one_in(8);
        let number_out = if no_number { ptr::null_mut() } else { &raw mut number };
        let ext = self.slice(rng, "ns_state_ext", false, |data, len| ns!(ns_state_ext(state, number_out, data, len)));
        self.require(!no_number || ext.is_err(), || "ns_state_ext without type succeeded".into());
        self.require(ext.is_ok() || no_number || number == 0, || "ns_state_ext failed and its type is not 0".into());
        let bool_ = self.scalar(rng, ("ns_state_bool", true), |out| ns!(ns_state_bool(state, out)));
        let int = self.scalar(rng, ("ns_state_int", 77), |out| ns!(ns_state_int(state, out)));
        let uint = self.scalar(rng, ("ns_state_uint", 77), |out| ns!(ns_state_uint(state, out)));
        let double = self.scalar(rng, ("ns_state_double", 7.5), |out| ns!(ns_state_double(state, out)));

        // Whether it is of that kind; NS_ERR_INVALID was explained above.
        let of_kind = |what: &str, status: Option<ns_status>, is: bool| {
            let fits = match status {
                Some(NS_ERR_INVALID) => true,
                Some(NS_ERR_KIND) => !is,
                _ => is,
            };
            self.require(fits, || format!("{what} of kind {kind}: {status:?}"));
        };
        if null {
            let statuses = [text.err(), bytes.err(), json.err(), msgpack.err(), ext.err(), bool_.err()];
            let numbers = [int.err(), uint.err(), double.err()];
            let all = statuses.iter().chain(&numbers).all(|status| *status == Some(NS_ERR_INVALID));
            self.require(all, || format!("accessors of NULL: {statuses:?} {numbers:?}"));
            return 0;
        }
        if kind != NS_KIND_BYTES || text.is_ok() {
            of_kind("text", text.as_ref().err().copied(), matches!(kind, NS_KIND_TEXT | NS_KIND_BYTES));
        }
        of_kind("bytes", bytes.as_ref().err().copied(), kind == NS_KIND_BYTES);
        of_kind("ext", ext.as_ref().err().copied(), kind == NS_KIND_EXT);
        of_kind("bool", bool_.err(), kind == NS_KIND_BOOL);
        let is_number = matches!(kind, NS_KIND_INT | NS_KIND_UINT | NS_KIND_DOUBLE);
        of_kind("int", int.err(), is_number);
        of_kind("uint", uint.err(), is_number);
        of_kind("double", double.err(), is_number);
        self.require(kind != NS_KIND_INT || int != Err(NS_ERR_RANGE), || "an int that is none".into());
        self.require(kind != NS_KIND_UINT || int.is_err(), || format!("a uint that is the int {int:?}"));
        self.require(kind != NS_KIND_UINT || uint != Err(NS_ERR_RANGE), || "a uint that is none".into());
        self.require(kind != NS_KIND_DOUBLE || double != Err(NS_ERR_RANGE), || "a double that is none".into());
        if let (Ok(int), Ok(uint)) = (int, uint) {
            self.require(i128::from(int) == i128::from(uint), || format!("int {int} and uint {uint}"));
        }
        if let (Ok(int), Ok(double)) = (int, double) {
            self.require(double as i128 == i128::from(int), || format!("int {int} and double {double}"));
        }
        if let (Ok(text), Ok(bytes)) = (&text, &bytes) {
            self.require(text.starts_with(bytes) || bytes.starts_with(text), || "text is not its bytes".into());
        }
        if let Ok(json) = json {
            use serde_json::Value as Json;
            let fits = serde_json::from_slice(&json).is_ok_and(|read: Json| match kind {
                NS_KIND_TEXT | NS_KIND_BYTES => read.is_string(),
                NS_KIND_NIL => read.is_null(),
                NS_KIND_BOOL => read.is_boolean(),
                NS_KIND_INT | NS_KIND_UINT => read.is_number(),
                NS_KIND_DOUBLE => read.is_number() || read.is_null(),
                NS_KIND_ARRAY => read.is_array(),
                _ => read.is_object(),
            });
            // An embedded NUL is escaped in JSON, so the text is whole also without its length.
            self.require(fits, || format!("kind {kind} as JSON: {}", String::from_utf8_lossy(&json)));
        }
        let mut hasher = DefaultHasher::new();
        (kind, sender, name, time).hash(&mut hasher);
        match msgpack {
            Ok(value) => {
                self.require(wire::check(&value).ok() == known, || format!("kind {kind} as MessagePack: {value:?}"));
                value.hash(&mut hasher);
            }
            Err(_) => {
                let (mut value, mut len) = (ptr::null(), 0);
                status!(self, &[], ns_state_msgpack(state, &mut value, &mut len));
                // SAFETY: the accessor says that so many bytes are there, and no value is of none.
                unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Takes a reference into the pool.
    fn keep(&self, rng: &mut Rng, state: *mut ns_state) {
        if state.is_null() {
            return self.fail("a state is NULL".into());
        }
        let digest = self.check_state(rng, state);
        let mut states = lock(&self.states);
        let too_many = (states.len() >= STATES).then(|| states.swap_remove(rng.index(STATES)));
        states.push(Held { state: AtomicPtr::new(state), digest });
        drop(states);
        if let Some(old) = too_many {
            ns!(ns_state_free(old.state.load(SeqCst)));
        }
    }

    fn state_op(&self, rng: &mut Rng) {
        let held = {
            let mut states = lock(&self.states);
            if states.is_empty() || rng.one_in(10) {
                None
            } else {
                let at = rng.index(states.len());
                Some(states.swap_remove(at))
            }
        };
        let Some(held) = held else {
            mark();
            let none = ns!(ns_state_ref(ptr::null()));
            self.check_value("ns_state_ref(NULL)", true);
            self.require(none.is_null(), || "a reference to NULL".into());
            ns!(ns_state_free(ptr::null_mut()));
            self.check_state(rng, ptr::null());
            return;
        };
        let state = held.state.load(SeqCst);
        let digest = self.check_state(rng, state);
        self.require(digest == held.digest, || "a state has changed".into());
        match rng.below(4) {
            0 => ns!(ns_state_free(state)),
            1 => {
                mark();
                let again = ns!(ns_state_ref(state));
                self.check_value("ns_state_ref", false);
                self.require(again == state, || "ns_state_ref returned another".into());
                let second = Held { state: AtomicPtr::new(again), digest };
                lock(&self.states).extend([held, second]);
            }
            _ => lock(&self.states).push(held),
        }
    }

    // Apps --------------------------------------------------------------------------------------------------------

    fn app_new(&self, rng: &mut Rng, slot: usize) {
        let number = self.made.fetch_add(1, SeqCst);
        let (identity, allowed) = match rng.below(16) {
            0 => (None, false),
            1 => (Some(c"".into()), false),
            2 => (Some(c"\xc3(".into()), false),
            3 => (CString::new("i".repeat(256)).ok(), false),
            4 => (CString::new(format!("{number}-{}", "i".repeat(240))).ok(), true),
            5 => (Some(c"same".into()), true),
            _ => (CString::new(format!("app-{number}")).ok(), true),
        };
        let mut app = ptr::dangling_mut();
        if rng.one_in(20) {
            let status = status!(self, ns_app_new(pointer(&identity), ptr::null_mut()));
            self.require(status != NS_OK, || "an app without a handle".into());
        }
        let status = status!(self, ns_app_new(pointer(&identity), &mut app));
        self.require((status == NS_OK) == allowed, || format!("ns_app_new with identity {identity:?}: {status}"));
        self.require((status == NS_OK) != app.is_null(), || format!("ns_app_new: {status} and {app:?}"));
        if status != NS_OK {
            return;
        }
        let handle = Arc::new(handle(app, identity.unwrap_or_default()));
        // Nobody is to wait a second for what no hub will take.
        status!(self, &[], ns_app_set(app, NS_OPT_LINGER_MS, rng.below(15) as i64));
        if rng.one_in(3) {
            status!(self, &[], ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1));
            handle.callback_thread.store(true, SeqCst);
        }
        if rng.one_in(2) {
            status!(self, &[], ns_app_set(app, NS_OPT_BACKOFF_MIN_MS, 1));
            status!(self, &[], ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 5));
        }
        let mut handle = Some(handle);
        let mut held = lock(&self.apps[slot].0);
        if held.is_none() {
            *held = handle.take();
        }
        drop(held);
        // Another thread was faster.
        handle.into_iter().for_each(|handle| ns!(ns_app_free(handle.raw())));
    }

    /// Frees the app, if no other thread uses it.
    fn app_free(&self, slot: usize, only: Option<&Arc<Handle<ns_app>>>) {
        let Some(handle) = self.apps[slot].take(only) else { return };
        let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
        self.note(format!("ns_app_free {slot}"));
        mark();
        ns!(ns_app_free(handle.raw()));
        handle.freed.store(true, SeqCst);
        self.check_success("ns_app_free");
        let running = handle.running.load(SeqCst);
        self.require(running == own, || format!("ns_app_free returned and {running} callbacks run, {own} around it"));
    }

    /// A URL and whether it is well-formed and supported, which is not all that it needs.
    fn a_url(&self, rng: &mut Rng) -> (Option<CString>, bool) {
        let url = match rng.below(14) {
            0 => return (None, true),
            1 => return (Some(c"inproc://\xff".into()), false),
            2 => {
                let bad = ["", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc://", "inproc://"];
                return (CString::new(rng.pick(&bad)).ok(), false);
            }
            3 => return (CString::new(rng.pick(&["ws://127.0.0.1:1", "mqtt://h:1"])).ok(), false),
            4 => return (CString::new(format!("ipc:///{}", "p".repeat(300))).ok(), false),
            5 => rng.pick(&["tcp://127.0.0.1:1", "ipc:///nonexistent/directory"]).to_owned(),
            _ => {
                let urls = lock(&self.urls);
                let at = if rng.one_in(2) { 0 } else { rng.index(urls.len()) };
                urls[at].clone()
            }
        };
        (CString::new(url).ok(), true)
    }

    fn send(&self, rng: &mut Rng, handle: Option<&Handle<ns_app>>, prefix: &str) {
        let app = handle.map_or(ptr::null_mut(), Handle::raw);
        let ((name, name_allowed), mut expected, mut allowed) = (a_name(rng, prefix), Vec::new(), true);
        let n = pointer(&name);
        let number = rng.any() >> rng.below(64);
        let status = match rng.below(11) {
            0 => {
                let text = a_text(rng);
                Value::Text(&text).encode(&mut expected);
                let text = if rng.one_in(12) { None } else { CString::new(text).ok() };
                allowed = text.is_some();
                status!(self, ns_app_send_text(app, n, pointer(&text)))
            }
            1 => {
                let text = a_text(rng) + if rng.one_in(2) { "a\0b" } else { "" };
                Value::Text(&text).encode(&mut expected);
                status!(self, ns_app_send_textn(app, n, text.as_ptr().cast(), text.len()))
            }
            2 => {
                allowed = false;
                let bad = [&b"\xffabc"[..], b"ab\xc3", b"\xed\xa0\x80"];
                let bad = rng.pick(&bad);
                status!(self, ns_app_send_textn(app, n, bad.as_ptr().cast(), bad.len()))
            }
            3 => {
                let len = a_length(rng);
                let bytes = if rng.one_in(2) { vec![b'b'; len] } else { rng.bytes(len) };
                Value::Bytes(&bytes).encode(&mut expected);
                let data = if len == 0 { ptr::null() } else { bytes.as_ptr() };
                status!(self, ns_app_send_bytes(app, n, data.cast(), len))
            }
            4 => {
                Value::Bool(number % 2 == 1).encode(&mut expected);
                status!(self, ns_app_send_bool(app, n, number % 2 == 1))
            }
            5 => {
                let number = if rng.one_in(2) { number as i64 } else { (number as i64).wrapping_neg() };
                Value::Int(number).encode(&mut expected);
                status!(self, ns_app_send_int(app, n, number))
            }
            6 => {
                Value::Uint(number).encode(&mut expected);
                status!(self, ns_app_send_uint(app, n, number))
            }
            7 => {
                let double = rng.pick(&[0.0, -0.0, 0.5, 1e300, f64::NAN, f64::INFINITY, 2e9, 9.3e18, number as f64]);
                Value::Double(double).encode(&mut expected);
                status!(self, ns_app_send_double(app, n, double))
            }
            8 => {
                Value::Nil.encode(&mut expected);
                status!(self, ns_app_send_nil(app, n))
            }
            9 => {
                let good =
                    ["{\"a\":[1,2.5,null]}", "[]", " -7 ", "\"\\u0000x\"", "18446744073709551615", "true", "1e400"];
                let bad = ["", "{", "[1,]", "nul", "1 2", "\"\\ud800\"", "{\"a\" 1}"];
                let deep = rng.below(60) as usize;
                let json = match rng.below(4) {
                    0 => rng.pick(&bad).to_owned(),
                    1 => "[".repeat(deep) + "1" + &"]".repeat(deep),
                    _ => rng.pick(&good).to_owned(),
                };
                allowed = wire::to_msgpack(&json, &mut expected).is_ok();
                status!(self, ns_app_send_json(app, n, json.as_ptr().cast(), json.len()))
            }
            _ => {
                let size = a_length(rng);
                expected = value(rng.pick(Kind::ALL), number, size);
                if rng.one_in(3) {
                    let at = rng.index(expected.len());
                    expected[at] = rng.any() as u8;
                }
                allowed = wire::check(&expected).is_ok();
                status!(self, ns_app_send_msgpack(app, n, expected.as_ptr().cast(), expected.len()))
            }
        };
        self.note(format!(
            "  which was name {:?} and {} bytes",
            name.as_ref().map(|n| n.count_bytes()),
            expected.len()
        ));
        self.require((name_allowed && allowed) || status != NS_OK, || "a send of what is not allowed".into());
        self.check_open(handle, "a send", status);
        // Of several faults any may be told.
        if handle.is_none() && name_allowed && allowed && status != NS_ERR_INVALID {
            self.fail(format!("a send by NULL: {status}"));
        }
        let Some(handle) = handle.filter(|handle| status == NS_OK && handle.identity.as_c_str() != c"same") else {
            return;
        };
        if !self.single || INSIDE.with_borrow(|inside| !inside.is_empty()) {
            return;
        }
        // Nobody else sends this key.
        let mut state = ptr::null_mut();
        if status!(self, ns_app_get(app, handle.identity.as_ptr(), n, &mut state)) != NS_OK {
            let closing = handle.closing.load(SeqCst);
            return self.require(closing, || "an app does not know what it has sent".into());
        }
        let (mut data, mut len) = (ptr::null(), 0);
        status!(self, &[], ns_state_msgpack(state, &mut data, &mut len));
        // SAFETY: the accessor says that so many bytes are there, and no value is of none.
        let same = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) } == expected;
        self.require(same, || "an app has another value than it has sent".into());
        self.keep(rng, state);
    }

    /// Whether a status fits what is known of the app: closed or not.
    fn check_open(&self, handle: Option<&Handle<ns_app>>, what: &str, status: ns_status) {
        let Some(handle) = handle else { return };
        let may_be_closed = handle.closing.load(SeqCst) || handle.freed.load(SeqCst);
        self.require(may_be_closed || status != NS_ERR_CLOSED, || format!("{what}: closed, but nobody closed the app"));
        // A callback in it, or another thread, may have closed the app when the work was done.
        let runs_callbacks = matches!(what, "ns_app_recv" | "ns_app_dispatch");
        let freed = runs_callbacks && handle.freed.load(SeqCst);
        self.require(!freed || status == NS_ERR_CLOSED, || format!("{what} of which a callback freed it: {status}"));
        let is_open = !handle.closed.load(SeqCst) || status != NS_OK || runs_callbacks || !self.single;
        self.require(is_open, || format!("{what} succeeded on a closed app"));
    }

    /// One call on an app, or a few. `only`: in a callback of this app.
    fn app_op(self: &Arc<Run>, rng: &mut Rng, slot: usize, only: Option<&Arc<Handle<ns_app>>>) {
        let inside = only.is_some();
        let op = rng.below(34);
        if op == 0 && rng.one_in(2) || inside && rng.one_in(12) {
            return self.app_free(slot, only);
        }
        let used = self.apps[slot].enter(only, op == 1 || op == 2);
        if used.is_none() && inside {
            return;
        }
        if used.is_none() && !rng.one_in(4) {
            return self.app_new(rng, slot);
        }
        // At times the handle is NULL.
        let handle = used.as_ref().map(|used| &used.handle).filter(|_| !rng.one_in(25));
        let app = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let own_thread = inside && handle.is_some_and(|handle| handle.callback_thread.load(SeqCst));
        let wait = if inside { 0 } else { rng.pick(&[-2, 0, 0, 0, 1, 4]) };
        let invalid_if = |what: &str, invalid: bool, status: ns_status| {
            self.require(!invalid || status == NS_ERR_INVALID, || format!("{what} with NULL or so: {status}"));
        };
        let null = app.is_null();
        let handle_ref = handle.map(|handle| &**handle);
        match op {
            1 | 2 => {
                let mut state = ptr::dangling_mut();
                let out = if rng.one_in(20) { ptr::null_mut() } else { &raw mut state };
                let status = status!(self, ns_app_recv(app, wait, out));
                invalid_if("ns_app_recv", null || out.is_null(), status);
                self.check_open(handle_ref, "ns_app_recv", status);
                if status == NS_OK {
                    self.keep(rng, state);
                } else if !out.is_null() {
                    self.require(state.is_null(), || "ns_app_recv failed and its state is not NULL".into());
                }
                self.check_callback_thread(handle_ref, "ns_app_recv", status);
            }
            3..=5 => {
                let status = status!(self, ns_app_dispatch(app, wait, rng.below(4) as usize));
                invalid_if("ns_app_dispatch", null || wait < -1, status);
                self.check_open(handle_ref, "ns_app_dispatch", status);
                self.check_callback_thread(handle_ref, "ns_app_dispatch", status);
                self.require(!inside || status != NS_OK, || "ns_app_dispatch inside a callback".into());
            }
            6 => {
                mark();
                let fd = ns!(ns_app_fd(app));
                self.check_value("ns_app_fd", fd == -1);
                self.require(fd >= -1 && (!null || fd == -1), || format!("ns_app_fd: {fd}"));
                if fd >= 0 {
                    self.check_callback_thread(handle_ref, "ns_app_fd", NS_OK);
                    self.check_open(handle_ref, "ns_app_fd", NS_OK);
                    let again = ns!(ns_app_fd(app));
                    let closing = handle.is_some_and(|handle| handle.closing.load(SeqCst));
                    self.require(again == fd || closing, || format!("ns_app_fd: {fd}, then {again}"));
                }
            }
            7 => {
                let (option, value) = self.an_option(rng, 1);
                let mut is = -7;
                let status = status!(self, ns_app_option(app, option, &mut is));
                invalid_if("ns_app_option", null || nanostate::AppOption::from_code(option).is_none(), status);
                self.require(status == NS_OK || is == 0, || format!("ns_app_option {option}: {status}, {is}"));
                let status = status!(self, ns_app_set(app, option, value));
                invalid_if("ns_app_set", null || nanostate::AppOption::from_code(option).is_none(), status);
                self.check_open(handle_ref, "ns_app_set", status);
                if let (Some(handle), NS_OK, NS_OPT_CALLBACK_THREAD) = (handle, status, option) {
                    handle.callback_thread.store(value == 1, SeqCst);
                }
            }
            8..=10 => {
                let (url, well_formed) = self.a_url(rng);
                let status = status!(self, ns_app_connect(app, pointer(&url)));
                invalid_if("ns_app_connect", null, status);
                self.check_open(handle_ref, "ns_app_connect", status);
                self.require(well_formed || status != NS_OK, || format!("ns_app_connect to {url:?}"));
            }
            11 => {
                let status = status!(self, ns_app_wait_connected(app, wait));
                invalid_if("ns_app_wait_connected", null || (wait < -1 && !own_thread), status);
                self.check_open(handle_ref, "ns_app_wait_connected", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_wait_connected in a callback".into());
            }
            12 => {
                let status = status!(self, ns_app_flush(app, wait));
                invalid_if("ns_app_flush", null || (wait < -1 && !own_thread), status);
                self.check_open(handle_ref, "ns_app_flush", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_flush in a callback".into());
            }
            13 => {
                let status = status!(self, ns_app_disconnect(app));
                invalid_if("ns_app_disconnect", null, status);
                self.check_open(handle_ref, "ns_app_disconnect", status);
            }
            14 if rng.one_in(3) => {
                let linger = rng.pick(&[-2, -1, 0, 3]);
                if linger >= -1 {
                    handle.inspect(|handle| handle.closing.store(true, SeqCst));
                }
                let status = status!(self, ns_app_close(app, linger));
                self.require((status == NS_OK) == (!null && linger >= -1), || {
                    format!("ns_app_close {linger}: {status}")
                });
                if status == NS_OK {
                    handle.inspect(|handle| handle.closed.store(true, SeqCst));
                }
            }
            15 => {
                mark();
                ns!(ns_app_interrupt(app));
                self.check_value("ns_app_interrupt", false);
            }
            16 => {
                mark();
                let identity = self.c_str("ns_app_identity", ns!(ns_app_identity(app)));
                self.check_value("ns_app_identity", null);
                let same = handle.map_or(identity.is_empty(), |handle| handle.identity.as_bytes() == identity);
                self.require(same, || format!("ns_app_identity: {identity:?}"));
                let link = ns!(ns_app_link(app));
                self.require((NS_LINK_IDLE..=NS_LINK_REFUSED).contains(&link), || format!("ns_app_link: {link}"));
                let idle = handle.is_none_or(|handle| handle.closed.load(SeqCst));
                self.require(!idle || link == NS_LINK_IDLE, || format!("ns_app_link of a closed app: {link}"));
            }
            17 => {
                let status = status!(self, ns_app_set_accept(app, self.a_mask(rng)));
                invalid_if("ns_app_set_accept", null, status);
                self.check_open(handle_ref, "ns_app_set_accept", status);
            }
            18 => self.stats(rng, "ns_app_stats", size_of::<ns_app_stats_t>(), null, |out, size| {
                ns!(ns_app_stats(app, out.cast(), size))
            }),
            19 => {
                let sender = match rng.below(4) {
                    0 => Some(c"\xfe".into()),
                    1 => CString::new(format!("app-{}", rng.below(8))).ok(),
                    _ => None,
                };
                let prefix = rng.pick(&["n/", "callback/"]);
                let (name, _) = a_name(rng, prefix);
                let mut state = ptr::dangling_mut();
                let out = if rng.one_in(20) { ptr::null_mut() } else { &raw mut state };
                let status = status!(self, ns_app_get(app, pointer(&sender), pointer(&name), out));
                invalid_if("ns_app_get", null || (name.is_none() && sender.is_none()) || out.is_null(), status);
                if status == NS_OK {
                    self.keep(rng, state);
                } else if !out.is_null() {
                    self.require(state.is_null(), || "ns_app_get failed and its state is not NULL".into());
                }
            }
            20 => {
                let mut shown = Shown { size: 0, most: rng.pick(&[1, 3, usize::MAX]), count: 0 };
                let pattern = rng.pick(&[None, Some(c"**"), Some(c"n/*"), Some(c""), Some(c"\xfe")]);
                let function = (!rng.one_in(20)).then_some(count_state as unsafe extern "C" fn(_, _, _) -> _);
                let text = pattern.map_or(ptr::null(), CStr::as_ptr);
                let status = status!(self, ns_app_each(app, text, function, (&raw mut shown).cast()));
                invalid_if("ns_app_each", null || function.is_none(), status);
                let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most);
                self.require(fits, || format!("ns_app_each: {status} and {} of {}", shown.count, shown.most));
                self.check_open(handle_ref, "ns_app_each", status);
            }
            21..=22 => self.set_function(rng, slot, handle, inside),
            _ => self.send(rng, handle_ref, if inside { "callback/" } else { "n/" }),
        }
    }

    /// With callbacks on the app's own thread some calls are refused.
    fn check_callback_thread(&self, handle: Option<&Handle<ns_app>>, what: &str, status: ns_status) {
        let refused = self.single && handle.is_some_and(|handle| handle.callback_thread.load(SeqCst));
        let fits = matches!(status, NS_ERR_STATE | NS_ERR_CLOSED | NS_ERR_INVALID);
        self.require(!refused || fits, || format!("{what} with NS_OPT_CALLBACK_THREAD: {status}"));
    }

    fn an_option(&self, rng: &mut Rng, first: i32) -> (ns_opt, i64) {
        let option = first + rng.below(18) as i32 - 1;
        let option = if rng.one_in(20) { rng.any() as i32 } else { option };
        let any = rng.any() as i64;
        let value = rng.pick(&[0, 1, 1, 2, 300, 5000, 100_000, 1 << 24, -1, i64::MIN, i64::MAX, any]);
        let too_long = option == NS_OPT_LINGER_MS && value > 15;
        (option, if too_long { 3 } else { value })
    }

    fn a_mask(&self, rng: &mut Rng) -> u32 {
        let any = rng.any() as u32;
        rng.pick(&[u32::MAX, u32::MAX, u32::MAX, 0, 1 << NS_KIND_TEXT, any])
    }

    /// Reads counters with any size.
    fn stats(
        &self,
        rng: &mut Rng,
        what: &'static str,
        known: usize,
        null: bool,
        call: impl FnOnce(*mut u64, usize) -> ns_status,
    ) {
        let mut buffer = [0xAAAA_AAAA_AAAA_AAAA_u64; 256];
        let size = rng.pick(&[0, 1, 7, 8, 12, known - 1, known, known, known, known + 3, known + 64, 2000]);
        let no_out = rng.one_in(12);
        mark();
        let status = call(if no_out { ptr::null_mut() } else { buffer.as_mut_ptr() }, size);
        self.check(what, status, listed(what));
        let invalid = null || no_out || size == 0;
        self.require(!invalid || status == NS_ERR_INVALID, || format!("{what} with NULL or no size: {status}"));
        let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let written = if no_out { 0 } else { size };
        self.require(bytes[written..].iter().all(|byte| *byte == 0xAA), || format!("{what} wrote behind its {size}"));
        let zero_from = if status == NS_OK { known.min(written) } else { 0 };
        self.require(bytes[zero_from..written].iter().all(|byte| *byte == 0), || format!("{what}: {size} not all 0"));
    }

    /// Sets or clears a callback.
    fn set_function(self: &Arc<Run>, rng: &mut Rng, slot: usize, handle: Option<&Arc<Handle<ns_app>>>, inside: bool) {
        let which = rng.index(3);
        let clear = rng.one_in(4);
        let Some(handle) = handle else {
            let status = match which {
                0 => status!(self, ns_app_on_state(ptr::null_mut(), None, ptr::null_mut())),
                1 => status!(self, ns_app_on_link(ptr::null_mut(), None, ptr::null_mut())),
                _ => status!(self, ns_app_on_reject(ptr::null_mut(), None, ptr::null_mut())),
            };
            return self.require(status == NS_ERR_INVALID, || format!("a function of NULL: {status}"));
        };
        // Who sets it in another thread waits for the callback that this may be in.
        let Some(mut function) = self.try_function(&handle.functions[which], inside) else { return };
        let new = (!clear).then(|| Arc::new(context(self, slot, handle, rng)));
        let ctx = new.as_ref().map_or(ptr::null(), Arc::as_ptr).cast_mut().cast::<c_void>();
        lock(&self.app_contexts).extend(new.clone());
        let app = handle.raw();
        let status = match which {
            0 => {
                let function = if clear { None } else { Some(on_state as _) };
                status!(self, ns_app_on_state(app, function, ctx))
            }
            1 => {
                let function = if clear { None } else { Some(on_link as _) };
                status!(self, ns_app_on_link(app, function, ctx))
            }
            _ => {
                let function = if clear { None } else { Some(on_reject as _) };
                status!(self, ns_app_on_reject(app, function, ctx))
            }
        };
        // To clear is also a success when there is nothing to clear any more.
        let shown = if clear && status == NS_OK { NS_ERR_INVALID } else { status };
        self.check_open(Some(handle), "ns_app_on_", shown);
        self.replaced(&mut function, new, status);
    }

    fn try_function<'a, T>(
        &self,
        function: &'a Mutex<Option<Arc<Context<T>>>>,
        inside: bool,
    ) -> Option<MutexGuard<'a, Option<Arc<Context<T>>>>> {
        if inside || INSIDE.with_borrow(|inside| !inside.is_empty()) {
            return function.try_lock().ok();
        }
        Some(lock(function))
    }

    /// A function was set, or could not be.
    fn replaced<T>(&self, held: &mut Option<Arc<Context<T>>>, new: Option<Arc<Context<T>>>, status: ns_status) {
        if status != NS_OK {
            new.inspect(|new| new.replaced.store(true, SeqCst));
            return;
        }
        if let Some(old) = std::mem::replace(held, new) {
            old.replaced.store(true, SeqCst);
            let inside = INSIDE.with_borrow(|inside| inside.contains(&Arc::as_ptr(&old).cast()));
            let running = old.running.load(SeqCst);
            self.require(inside || running == 0, || "a function was replaced and still runs".into());
        }
    }

    // Hubs --------------------------------------------------------------------------------------------------------

    fn hub_op(self: &Arc<Run>, rng: &mut Rng, slot: usize, only: Option<&Arc<Handle<ns_hub>>>) {
        let inside = only.is_some();
        let op = rng.below(12);
        if op == 0 && rng.one_in(2) {
            return self.hub_free(slot, only);
        }
        let used = self.hubs[slot].enter(only, false);
        if used.is_none() && inside {
            return;
        }
        if used.is_none() && !rng.one_in(4) {
            return self.hub_new(rng, slot);
        }
        let handle = used.as_ref().map(|used| &used.handle).filter(|_| !rng.one_in(25));
        let hub = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let null = hub.is_null();
        match op {
            1 => {
                let (option, value) = self.an_option(rng, 101);
                let mut is = -7;
                let status = status!(self, ns_hub_option(hub, option, &mut is));
                let known = !null && nanostate::HubOption::from_code(option).is_some();
                self.require((status == NS_OK) == known, || format!("ns_hub_option {option}: {status}, {is}"));
                let status = status!(self, ns_hub_set(hub, option, value));
                let invalid = null || nanostate::HubOption::from_code(option).is_none();
                self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_hub_set {option}: {status}"));
            }
            2..=4 => self.listen(rng, handle),
            5 => {
                mark();
                let address = ns!(ns_hub_address(hub, rng.below(5) as usize));
                if null {
                    self.check_value("ns_hub_address", true);
                    self.require(address.is_null(), || "NULL has an address".into());
                } else if !address.is_null() {
                    self.check_value("ns_hub_address", false);
                    let address = self.c_str("ns_hub_address", address);
                    self.require(address.windows(3).any(|w| w == b"://"), || format!("ns_hub_address: {address:?}"));
                }
            }
            6 => self.stats(rng, "ns_hub_stats", size_of::<ns_hub_stats_t>(), null, |out, size| {
                ns!(ns_hub_stats(hub, out.cast(), size))
            }),
            7 => {
                let mut shown =
                    Shown { size: rng.pick(&[0, 1, 8, 500, 65536, usize::MAX]), most: rng.index(3), count: 0 };
                let size = if rng.one_in(2) { size_of::<ns_peer_stats_t>() } else { shown.size };
                shown.size = size;
                let function = (!rng.one_in(20)).then_some(count_peer as unsafe extern "C" fn(_, _, _) -> _);
                let status = status!(self, ns_hub_each_peer(hub, function, (&raw mut shown).cast(), size));
                let invalid = null || function.is_none() || size == 0 || size == usize::MAX;
                self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_hub_each_peer: {status}"));
                let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most.max(1));
                self.require(fits, || format!("ns_hub_each_peer: {status} and {} of {}", shown.count, shown.most));
            }
            8 | 9 => {
                let Some(handle) = handle else {
                    let status = status!(self, ns_hub_on_peer(hub, None, ptr::null_mut()));
                    return self.require(status != NS_OK, || "a function of NULL".into());
                };
                let Some(mut function) = self.try_function(&handle.functions[0], inside) else { return };
                let new = (!rng.one_in(4)).then(|| Arc::new(context(self, slot, handle, rng)));
                let ctx = new.as_ref().map_or(ptr::null(), Arc::as_ptr).cast_mut().cast::<c_void>();
                lock(&self.hub_contexts).extend(new.clone());
                let set: ns_peer_fn = if new.is_some() { Some(on_peer) } else { None };
                let status = status!(self, &[], ns_hub_on_peer(hub, set, ctx));
                self.replaced(&mut function, new, status);
            }
            _ => {
                mark();
                ns!(ns_app_free(ptr::null_mut()));
                ns!(ns_hub_free(ptr::null_mut()));
                ns!(ns_app_interrupt(ptr::null_mut()));
                self.check_value("ns_hub_free(NULL)", false);
                let status = if rng.one_in(2) { -(rng.below(26) as i32) } else { rng.any() as i32 };
                for name in [ns_status_name, ns_kind_name, ns_link_name, ns_peer_event_name, ns_malformed_name] {
                    let name = self.c_str("a name", name(status));
                    self.require(!name.is_empty(), || format!("{status} has no name"));
                }
                let text = self.c_str("ns_strerror", ns_strerror(status));
                let is_status = (NS_ERR_IO..=NS_OK).contains(&status);
                self.require((text != b"unknown status") == is_status, || format!("ns_strerror {status}: {text:?}"));
            }
        }
    }

    fn hub_new(&self, rng: &mut Rng, slot: usize) {
        if rng.one_in(10) {
            status!(self, ns_hub_new(ptr::null_mut()));
        }
        let mut hub = ptr::dangling_mut();
        if status!(self, &[], ns_hub_new(&mut hub)) != NS_OK {
            return;
        }
        let mut handle = Some(Arc::new(handle(hub, c"".into())));
        let mut held = lock(&self.hubs[slot].0);
        if held.is_none() {
            *held = handle.take();
        }
        drop(held);
        // Another thread was faster.
        handle.into_iter().for_each(|handle| ns!(ns_hub_free(handle.raw())));
    }

    fn listen(&self, rng: &mut Rng, handle: Option<&Arc<Handle<ns_hub>>>) {
        let hub = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let (url, well_formed) =
            if rng.one_in(4) { (Some(c"tcp://127.0.0.1:0".into()), true) } else { self.a_url(rng) };
        let status = status!(self, ns_hub_listen(hub, pointer(&url)));
        let null = hub.is_null() || url.is_none();
        self.require(!null || status == NS_ERR_INVALID, || format!("ns_hub_listen with NULL: {status}"));
        self.require(well_formed || status != NS_OK, || format!("ns_hub_listen at {url:?}"));
        if status != NS_OK {
            return;
        }
        let mut i = 0;
        loop {
            let address = ns!(ns_hub_address(hub, i));
            if address.is_null() {
                break self.require(i > 0, || "a hub that listens has no address".into());
            }
            let address = String::from_utf8_lossy(&self.c_str("ns_hub_address", address)).into_owned();
            let mut urls = lock(&self.urls);
            if !urls.contains(&address) {
                urls.push(address);
            }
            i += 1;
        }
    }

    fn hub_free(&self, slot: usize, only: Option<&Arc<Handle<ns_hub>>>) {
        let Some(handle) = self.hubs[slot].take(only) else { return };
        let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
        self.note(format!("ns_hub_free {slot}"));
        mark();
        ns!(ns_hub_free(handle.raw()));
        handle.freed.store(true, SeqCst);
        self.check_success("ns_hub_free");
        let running = handle.running.load(SeqCst);
        self.require(running == own, || format!("ns_hub_free returned and {running} callbacks run, {own} around it"));
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
                // A callback may be using it at this moment.
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

fn handle<T>(ptr: *mut T, identity: CString) -> Handle<T> {
    Handle {
        ptr: AtomicPtr::new(ptr),
        identity,
        users: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        freed: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        callback_thread: AtomicBool::new(false),
        functions: Default::default(),
    }
}

fn context<T>(run: &Arc<Run>, slot: usize, handle: &Arc<Handle<T>>, rng: &mut Rng) -> Context<T> {
    Context {
        run: Arc::downgrade(run),
        slot,
        handle: handle.clone(),
        running: AtomicUsize::new(0),
        replaced: AtomicBool::new(false),
        rng: Mutex::new(Rng::new(rng.any())),
    }
}

/// A callback: checks that it may run, and makes calls of its own.
fn callback<T>(what: &str, shown: *mut T, ctx: *mut c_void, body: impl FnOnce(&Arc<Run>, &Context<T>, &mut Rng)) {
    // SAFETY: contexts live until all threads of the sequence have ended.
    let context = unsafe { &*ctx.cast::<Context<T>>() };
    let Some(run) = context.run.upgrade() else { return };
    let handle = &context.handle;
    run.note(format!("{what} of {} runs", context.slot));
    let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
    let running = handle.running.fetch_add(1, SeqCst);
    context.running.fetch_add(1, SeqCst);
    run.require(running == own, || format!("{what} runs beside another callback of the handle"));
    run.require(!handle.freed.load(SeqCst), || format!("{what} of a freed handle"));
    run.require(!context.replaced.load(SeqCst), || format!("{what} after it was replaced"));
    run.require(shown == handle.raw(), || format!("{what} of another handle"));
    INSIDE.with_borrow_mut(|inside| inside.extend([handle.id(), ptr::from_ref(context).cast()]));
    let mut rng = Rng::new(lock(&context.rng).any());
    body(&run, context, &mut rng);
    INSIDE.with_borrow_mut(|inside| inside.truncate(inside.len() - 2));
    context.running.fetch_sub(1, SeqCst);
    handle.running.fetch_sub(1, SeqCst);
}

/// Calls of an app's callback.
fn in_callback(run: &Arc<Run>, context: &Context<ns_app>, rng: &mut Rng) {
    if run.single {
        let calling = USED.with_borrow(|used| used.last().copied());
        let expected = !context.handle.callback_thread.load(SeqCst);
        let calling = calling.is_some_and(|(id, _)| id == context.handle.id());
        run.require(calling == expected, || "a callback in the wrong thread".into());
    }
    // Not without end: a callback may run others.
    if INSIDE.with_borrow(Vec::len) <= 4 && rng.one_in(3) {
        (0..rng.below(4)).for_each(|_| run.app_op(rng, context.slot, Some(&context.handle)));
    }
}

unsafe extern "C" fn on_state(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) {
    callback("on_state", app, ctx, |run, context: &Context<ns_app>, rng| {
        let in_recv = USED.with_borrow(|used| used.last().is_some_and(|(_, recv)| *recv));
        run.require(!in_recv, || "on_state in ns_app_recv".into());
        run.check_state(rng, state);
        if rng.one_in(4) {
            let kept = ns!(ns_state_ref(state));
            run.keep(rng, kept);
        }
        in_callback(run, context, rng);
        // Also when the app is freed, the state is borrowed for the whole call.
        run.check_state(rng, state);
    });
}

/// What a walk shows: it ends after `most`.
struct Shown {
    size: usize,
    most: usize,
    count: usize,
}

impl Shown {
    fn goes_on(&mut self) -> bool {
        self.count += 1;
        self.count < self.most
    }
}

/// Reads each peer that ns_hub_each_peer shows, also what a later version would read, and counts them.
unsafe extern "C" fn count_peer(_hub: *mut ns_hub, peer: *const ns_peer_stats_t, ctx: *mut c_void) -> bool {
    // SAFETY: the caller of ns_hub_each_peer gave it.
    let shown = unsafe { &mut *ctx.cast::<Shown>() };
    let size = shown.size.max(size_of::<ns_peer_stats_t>());
    // SAFETY: the struct has as many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(peer.cast::<u8>(), size) };
    assert!(bytes[..256].contains(&0) && bytes[256..384].contains(&0));
    assert!(bytes[size_of::<ns_peer_stats_t>()..].iter().all(|byte| *byte == 0));
    shown.goes_on()
}

/// Reads each state that ns_app_each shows, and counts them.
unsafe extern "C" fn count_state(_app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) -> bool {
    let mut len = 0;
    let mut value = ptr::null();
    assert_eq!(ns!(ns_state_msgpack(state, &mut value, &mut len)), NS_OK);
    assert!(ns!(ns_state_matches(state, c"**".as_ptr())) && len > 0);
    // SAFETY: the caller of ns_app_each gave it.
    unsafe { &mut *ctx.cast::<Shown>() }.goes_on()
}

unsafe extern "C" fn on_link(app: *mut ns_app, link: ns_link, why: ns_status, text: *const c_char, ctx: *mut c_void) {
    callback("on_link", app, ctx, |run, context: &Context<ns_app>, rng| {
        run.require((NS_LINK_IDLE..=NS_LINK_REFUSED).contains(&link), || format!("on_link: link {link}"));
        run.require((NS_ERR_IO..=NS_OK).contains(&why), || format!("on_link: why {why}"));
        in_callback(run, context, rng);
        run.c_str("text of on_link", text);
    });
}

unsafe extern "C" fn on_reject(
    app: *mut ns_app,
    sender: *const c_char,
    name: *const c_char,
    kind: ns_kind,
    ctx: *mut c_void,
) {
    callback("on_reject", app, ctx, |run, context: &Context<ns_app>, rng| {
        run.require((NS_KIND_TEXT..=NS_KIND_EXT).contains(&kind), || format!("on_reject: kind {kind}"));
        in_callback(run, context, rng);
        run.require(!run.c_str("sender of on_reject", sender).is_empty(), || "on_reject: no sender".into());
        run.require(!run.c_str("name of on_reject", name).is_empty(), || "on_reject: no name".into());
    });
}

unsafe extern "C" fn on_peer(
    hub: *mut ns_hub,
    identity: *const c_char,
    from: *const c_char,
    event: ns_peer_event,
    why: ns_status,
    ctx: *mut c_void,
) {
    callback("on_peer", hub, ctx, |run, context: &Context<ns_hub>, rng| {
        run.require((NS_PEER_JOINED..=NS_PEER_REFUSED).contains(&event), || format!("on_peer: event {event}"));
        run.require((NS_ERR_IO..=NS_OK).contains(&why), || format!("on_peer: why {why}"));
        if rng.one_in(3) {
            (0..rng.below(4)).for_each(|_| run.hub_op(rng, context.slot, Some(&context.handle)));
        }
        run.c_str("identity of on_peer", identity);
        run.c_str("from of on_peer", from);
    });
}

// What is left behind ---------------------------------------------------------------------------------------------

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
