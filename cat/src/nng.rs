//! NNG, as far as this program uses it: one socket, whose calls wait.

#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nng_sys as sys;

use crate::protocol::Protocol;

/// What NNG returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error(sys::nng_err);

impl Error {
    pub const TIMED_OUT: Error = Error(sys::nng_err::NNG_ETIMEDOUT);
    /// No survey, or no request, is open.
    pub const STATE: Error = Error(sys::nng_err::NNG_ESTATE);
    pub const CLOSED: Error = Error(sys::nng_err::NNG_ECLOSED);
    /// The other side has closed the connection.
    pub const SHUT: Error = Error(sys::nng_err::NNG_ECONNSHUT);

    /// Whether it lies in the address itself, so that another try does not help.
    pub fn is_about_the_address(self) -> bool {
        use sys::nng_err as E;
        matches!(self.0, E::NNG_EINVAL | E::NNG_EADDRINVAL | E::NNG_ENOTSUP)
    }

    fn check(code: c_int) -> Result<(), Error> {
        match code {
            0 => Ok(()),
            code => Err(Error(sys::nng_err(code as _))),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: any code has a text, which lives as long as the thread does nothing else with NNG.
        let text = unsafe { CStr::from_ptr(sys::nng_strerror(self.0)) }.to_string_lossy();
        let mut rest = text.chars();
        match rest.next() {
            Some(first) => write!(f, "{}{}", first.to_lowercase(), rest.as_str()),
            None => f.write_str("unknown error"),
        }
    }
}

/// A warning of NNG's log: its name for this kind of warning, and its text.
type OnWarning = fn(&str, &str);

static ON_WARNING: OnceLock<OnWarning> = OnceLock::new();

/// How many peers there are now that one came (true) or went.
type OnPeers = fn(usize, bool);

static ON_PEERS: OnceLock<OnPeers> = OnceLock::new();

/// Starts NNG. Its threads run until the process ends. The first warning of each kind goes to `on_warning`, and each
/// change of the peers to `on_peers`, from one of these threads.
pub fn start(on_warning: OnWarning, on_peers: OnPeers) -> Result<(), Error> {
    let _ = (ON_WARNING.set(on_warning), ON_PEERS.set(on_peers));
    // The least that NNG takes; it is one socket with few connections.
    let params = sys::nng_init_params {
        num_task_threads: 2,
        max_task_threads: 2,
        num_expire_threads: 1,
        max_expire_threads: 1,
        num_poller_threads: 1,
        max_poller_threads: 1,
        num_resolver_threads: 1,
        ..Default::default()
    };
    // SAFETY: the parameters are valid and copied, and nothing else has started NNG. Nothing uses NNG yet, so nothing
    // logs while the log is set up; the function is valid for ever.
    unsafe {
        Error::check(sys::nng_init(&params).0 as c_int)?;
        sys::nng_log_set_level(sys::nng_log_level::NNG_LOG_WARN);
        sys::nng_log_set_logger(Some(log));
    }
    Ok(())
}

unsafe extern "C" fn log(level: sys::nng_log_level, _: sys::nng_log_facility, id: *const c_char, text: *const c_char) {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !matches!(level, sys::nng_log_level::NNG_LOG_ERR | sys::nng_log_level::NNG_LOG_WARN) {
        return;
    }
    let words = |pointer: *const c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: NNG gives strings that end with NUL and live until the logger returns.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    };
    let (id, text) = (words(id), words(text));
    if KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
        if let Some(on_warning) = ON_WARNING.get() {
            on_warning(&id, &text);
        }
    }
}

/// A message that came.
pub struct Message(NonNull<sys::nng_msg>);

impl Message {
    pub fn body(&self) -> &[u8] {
        let raw = self.0.as_ptr();
        // SAFETY: the message is ours, and nothing changes it.
        let (start, length) = unsafe { (sys::nng_msg_body(raw), sys::nng_msg_len(raw)) };
        if length == 0 {
            return &[];
        }
        // SAFETY: NNG gives the place and the length of the body, which lives as long as the message.
        unsafe { std::slice::from_raw_parts(start.cast_const().cast(), length) }
    }
}

// SAFETY: a message is memory that belongs to nobody else.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours.
        unsafe { sys::nng_msg_free(self.0.as_ptr()) };
    }
}

/// The connections of the socket, of which there is one in a process: NNG's threads tell of them until its end.
static PEERS: Peers = Peers { state: Mutex::new(Connected::new()), changed: Condvar::new() };

/// The connections that the protocol has accepted.
struct Peers {
    state: Mutex<Connected>,
    changed: Condvar,
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Connected {
    /// Each message goes to all of them.
    to_all: bool,
    /// Those that are there, each with the count of messages that were sent before it came.
    present: BTreeMap<u32, u64>,
    /// How many messages were sent.
    sent: u64,
    /// How many of them were written by connections that are gone.
    written_by_gone: u64,
    /// Nobody asks any more.
    closing: bool,
}

impl Connected {
    const fn new() -> Connected {
        Connected { to_all: false, present: BTreeMap::new(), sent: 0, written_by_gone: 0, closing: false }
    }
}

/// A socket. It is closed by [`Socket::close`], or with the process.
#[derive(Clone, Copy)]
pub struct Socket {
    raw: sys::nng_socket,
}

/// What is not written to the system yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unwritten {
    /// How many messages; one for several peers counts as many.
    pub messages: u64,
    /// How many connections there are.
    pub peers: usize,
}

impl Socket {
    /// NNG has been started.
    pub fn open(protocol: Protocol) -> Result<Socket, Error> {
        let open = match protocol {
            Protocol::Pair => sys::nng_pair0_open,
            Protocol::Pair1 => sys::nng_pair1_open,
            Protocol::Bus => sys::nng_bus0_open,
            Protocol::Pub => sys::nng_pub0_open,
            Protocol::Sub => sys::nng_sub0_open,
            Protocol::Push => sys::nng_push0_open,
            Protocol::Pull => sys::nng_pull0_open,
            Protocol::Req => sys::nng_req0_open,
            Protocol::Rep => sys::nng_rep0_open,
            Protocol::Surveyor => sys::nng_surveyor0_open,
            Protocol::Respondent => sys::nng_respondent0_open,
        };
        let mut raw = sys::nng_socket::default();
        // SAFETY: NNG runs, and `raw` is writable.
        Error::check(unsafe { open(&mut raw) })?;
        PEERS.lock().to_all = protocol.to_all();
        for event in [sys::NNG_PIPE_EV_ADD_POST, sys::NNG_PIPE_EV_REM_POST] {
            // SAFETY: the socket is open; the function may be called at any time, and takes no argument.
            Error::check(unsafe { sys::nng_pipe_notify(raw, event, Some(pipe_event), ptr::null_mut()) }.0 as c_int)?;
        }
        Ok(Socket { raw })
    }

    /// Has a SUB socket take what begins with `prefix`.
    pub fn subscribe(self, prefix: &[u8]) -> Result<(), Error> {
        // SAFETY: the socket is not used after it is closed; the bytes are readable and copied.
        Error::check(unsafe { sys::nng_sub0_socket_subscribe(self.raw, prefix.as_ptr().cast(), prefix.len()) })
    }

    /// The largest message that is received, in bytes; 0: any.
    pub fn limit(self, bytes: usize) -> Result<(), Error> {
        // SAFETY: as in `subscribe`, and the name is a string that ends with NUL.
        Error::check(unsafe { sys::nng_socket_set_size(self.raw, name(sys::NNG_OPT_RECVMAXSZ), bytes) })
    }

    /// How many messages that came may wait. Protocols without such a queue take no notice.
    pub fn receive_queue(self, messages: c_int) {
        // SAFETY: as in `limit`.
        unsafe { sys::nng_socket_set_int(self.raw, name(sys::NNG_OPT_RECVBUF), messages) };
    }

    /// How many messages may wait for each peer. Protocols without such a queue take no notice.
    pub fn send_queue(self, messages: c_int) {
        // SAFETY: as in `limit`.
        unsafe { sys::nng_socket_set_int(self.raw, name(sys::NNG_OPT_SENDBUF), messages) };
    }

    /// For how long a SURVEYOR takes answers.
    pub fn survey_time(self, time: Duration) -> Result<(), Error> {
        let option = name(sys::NNG_OPT_SURVEYOR_SURVEYTIME);
        // SAFETY: as in `limit`.
        Error::check(unsafe { sys::nng_socket_set_ms(self.raw, option, milliseconds(Some(time))) })
    }

    /// Listens. Returns the port if the URL left it to the system.
    pub fn listen(self, url: &str, limit: usize) -> Result<Option<u16>, Error> {
        let text = c_string(url)?;
        let mut listener = sys::nng_listener::default();
        // SAFETY: as in `limit`; `listener` and `port` are writable.
        unsafe {
            Error::check(sys::nng_listener_create(&mut listener, self.raw, text.as_ptr()))?;
            // Transports without frames do not know it.
            sys::nng_listener_set_size(listener, name(sys::NNG_OPT_WS_RECVMAXFRAME), limit);
            Error::check(sys::nng_listener_start(listener, 0))?;
            let mut port: c_int = 0;
            let bound = sys::nng_listener_get_int(listener, name(sys::NNG_OPT_BOUND_PORT), &mut port);
            Ok((bound == 0).then(|| u16::try_from(port).ok()).flatten())
        }
    }

    /// What can dial `url`.
    pub fn dialler(self, url: &str, limit: usize) -> Result<Dialler, Error> {
        let text = c_string(url)?;
        let mut dialler = sys::nng_dialer::default();
        // SAFETY: as in `listen`.
        unsafe {
            Error::check(sys::nng_dialer_create(&mut dialler, self.raw, text.as_ptr()))?;
            sys::nng_dialer_set_size(dialler, name(sys::NNG_OPT_WS_RECVMAXFRAME), limit);
        }
        Ok(Dialler(dialler))
    }

    /// Sends a message, as the protocol does: to all peers, to one, or into a queue.
    pub fn send(self, message: &[u8], end: Option<Instant>) -> Result<(), Error> {
        PEERS.lock().sent += 1;
        // SAFETY: as in `limit`; NNG copies the message, since the flag that would give it away is not set.
        unsafe {
            Error::check(sys::nng_socket_set_ms(self.raw, name(sys::NNG_OPT_SENDTIMEO), left(end)))?;
            Error::check(sys::nng_send(self.raw, message.as_ptr().cast_mut().cast(), message.len(), 0))
        }
    }

    /// The next message, if it comes before `end`.
    pub fn receive(self, end: Option<Instant>) -> Result<Message, Error> {
        // SAFETY: as in `limit`.
        Error::check(unsafe { sys::nng_socket_set_ms(self.raw, name(sys::NNG_OPT_RECVTIMEO), left(end)) })?;
        self.receive_next()
    }

    /// The next message, with the time-out of the last [`Socket::receive`]; before the first there is none.
    pub fn receive_next(self) -> Result<Message, Error> {
        let mut raw = ptr::null_mut();
        // SAFETY: as in `limit`, and `raw` is writable.
        Error::check(unsafe { sys::nng_recvmsg(self.raw, &mut raw, 0) })?;
        Ok(Message(NonNull::new(raw).ok_or(Error::CLOSED)?))
    }

    /// Waits for this many peers. False if `end` comes before.
    pub fn wait_for_peers(self, count: usize, end: Option<Instant>) -> bool {
        let mut state = PEERS.lock();
        while state.present.len() < count {
            let Some(end) = end else {
                state = PEERS.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = PEERS.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// What of the messages sent is not written yet, by NNG's statistics, which count on `tcp` and `ipc`. None for lack
    /// of memory.
    pub fn unwritten(self) -> Option<Unwritten> {
        // Before the statistics: what comes meanwhile counts as unwritten until the next look.
        let connected = PEERS.lock().clone();
        let written = statistics()?;
        let by = |id: &u32| written.get(id).copied().unwrap_or(0);
        let messages = if connected.to_all {
            connected.present.iter().map(|(id, before)| (connected.sent - before).saturating_sub(by(id))).sum()
        } else {
            let written: u64 = connected.present.keys().map(by).sum();
            connected.sent.saturating_sub(connected.written_by_gone + written)
        };
        Some(Unwritten { messages, peers: connected.present.len() })
    }

    /// Waits until it takes another message, for so long at most. A PUSH or PAIR with one peer, which has no queue, does
    /// so once the last one is written.
    pub fn takes_another(self, time: Duration) -> Result<bool, Error> {
        let mut polled = libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 };
        // SAFETY: as in `limit`; the descriptor is NNG's, and open as long as the socket.
        unsafe {
            Error::check(sys::nng_socket_get_send_poll_fd(self.raw, &mut polled.fd))?;
            Ok(libc::poll(&mut polled, 1, milliseconds(Some(time))) > 0)
        }
    }

    /// How many peers there are.
    pub fn peers(self) -> usize {
        PEERS.lock().present.len()
    }

    /// Closes it, and removes the sockets at which it listened.
    pub fn close(self) {
        PEERS.lock().closing = true;
        // SAFETY: it is not used after this.
        unsafe { sys::nng_socket_close(self.raw) };
    }
}

/// How many messages each connection has written. None for lack of memory.
fn statistics() -> Option<BTreeMap<u32, u64>> {
    let mut all = ptr::null_mut();
    // SAFETY: `all` is writable.
    Error::check(unsafe { sys::nng_stats_get(&mut all) }).ok()?;
    let mut written = BTreeMap::new();
    // SAFETY: `all` is a tree that is freed after its last use here.
    unsafe {
        for (name, scope, _) in children(all) {
            if name != c"pipe" {
                continue;
            }
            let value = |wanted| children(scope).find(|(name, ..)| *name == wanted).map(|(.., value)| value);
            if let (Some(id), Some(count)) = (value(c"id").and_then(|id| u32::try_from(id).ok()), value(c"tx_msgs")) {
                written.insert(id, count);
            }
        }
        sys::nng_stats_free(all);
    }
    Some(written)
}

/// The names, places and values below a statistic.
///
/// # Safety
/// The tree that `scope` is in is not freed before the iterator is dropped.
unsafe fn children(scope: *const sys::nng_stat) -> impl Iterator<Item = (&'static CStr, *const sys::nng_stat, u64)> {
    // SAFETY: what the caller promises; the names are static strings.
    unsafe {
        let there = |stat: *const sys::nng_stat| Some(stat).filter(|stat| !stat.is_null());
        std::iter::successors(there(sys::nng_stat_child(scope)), move |stat| there(sys::nng_stat_next(*stat)))
            .map(|stat| (CStr::from_ptr(sys::nng_stat_name(stat)), stat, sys::nng_stat_value(stat)))
    }
}

/// Dials one address.
pub struct Dialler(sys::nng_dialer);

impl Dialler {
    /// Dials, and waits until it is connected. On failure it has stopped.
    pub fn dial(&self) -> Result<(), Error> {
        // SAFETY: a dialler of an open socket; of a closed one NNG says so.
        Error::check(unsafe { sys::nng_dialer_start(self.0, 0) })
    }

    /// Dials again and again, in the background.
    pub fn keep_dialling(&self) -> Result<(), Error> {
        // SAFETY: as in `dial`.
        Error::check(unsafe { sys::nng_dialer_start(self.0, sys::NNG_FLAG_NONBLOCK as c_int) })
    }
}

/// What NNG calls when a connection was added, and when it is gone.
unsafe extern "C" fn pipe_event(pipe: sys::nng_pipe, event: sys::nng_pipe_ev, _: *mut c_void) {
    let id = pipe._bindgen_opaque_blob;
    // Its statistics are there until this returns.
    let written = match event {
        sys::NNG_PIPE_EV_REM_POST => last_count(id),
        _ => 0,
    };
    let mut state = PEERS.lock();
    let came = event == sys::NNG_PIPE_EV_ADD_POST;
    if came {
        let sent = state.sent;
        state.present.insert(id, sent);
    } else if state.present.remove(&id).is_some() {
        state.written_by_gone += written;
    } else {
        // The protocol did not accept it.
        return;
    }
    let count = state.present.len();
    drop(state);
    PEERS.changed.notify_all();
    if let Some(on_peers) = ON_PEERS.get() {
        on_peers(count, came);
    }
}

/// How many messages a closed connection has written.
///
/// NNG counts a message a moment after it is written, and the other side may have read it and left by then. So if one is
/// missing, this waits for a moment, too. Where each message goes to all peers, the count is not needed.
fn last_count(id: u32) -> u64 {
    const LOOKS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    for look in 0..LOOKS {
        let connected = PEERS.lock().clone();
        if connected.to_all {
            break;
        }
        let Some(written) = statistics() else { break };
        let by = |id: &u32| written.get(id).copied().unwrap_or(0);
        let total = connected.written_by_gone + connected.present.keys().map(by).sum::<u64>();
        let is_known = connected.present.contains_key(&id);
        if total >= connected.sent || !is_known || connected.closing || look + 1 == LOOKS {
            return by(&id);
        }
        thread::sleep(PAUSE);
    }
    0
}

/// One of NNG's names.
fn name(name: &[u8]) -> *const c_char {
    debug_assert_eq!(name.last(), Some(&0));
    name.as_ptr().cast()
}

fn c_string(url: &str) -> Result<CString, Error> {
    CString::new(url).map_err(|_| Error(sys::nng_err::NNG_EADDRINVAL))
}

/// As NNG takes it: -1 is without a limit. A fraction counts as a whole millisecond, so that the time is never cut.
fn milliseconds(time: Option<Duration>) -> i32 {
    match time {
        None => -1,
        Some(time) => i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(-1),
    }
}

/// The time that is left until `end`.
fn left(end: Option<Instant>) -> i32 {
    milliseconds(end.map(|end| end.saturating_duration_since(Instant::now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_cut_and_the_longest_are_without_a_limit() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_secs(1))), 1000);
        assert_eq!(milliseconds(Some(Duration::MAX)), -1);
    }

    #[test]
    fn errors_are_in_words_that_fit_into_a_sentence() {
        assert_eq!(Error(sys::nng_err::NNG_ECONNREFUSED).to_string(), "connection refused");
        assert!(!Error(sys::nng_err(123_456)).to_string().is_empty());
    }
}
