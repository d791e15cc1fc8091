//! What NNG does meanwhile: receiving indefinitely, and waiting for a time.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ::nng as sys;
use parking_lot::Mutex;

use super::library::{check, error, Library};
use super::message::Message;
use super::socket::Socket;
use crate::Result;

type Callback = unsafe extern "C" fn(*mut c_void);

/// A place for one operation of NNG at a time. Dropping it ends the operation and waits for a callback that runs.
pub(super) struct Aio {
    raw: NonNull<sys::nng_aio>,
    library: Library,
}

// SAFETY: NNG's functions for operations lock what they touch; who uses one takes care that two do not overlap.
unsafe impl Send for Aio {}
// SAFETY: as above.
unsafe impl Sync for Aio {}

impl Aio {
    /// # Safety
    /// `callback` may be called with `argument` from any thread until this is dropped.
    pub(super) unsafe fn new(library: &Library, callback: Option<Callback>, argument: *mut c_void) -> Result<Aio> {
        library.check()?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable, NNG is initialised, and the caller answers for the callback.
        check(unsafe { sys::nng_aio_alloc(&mut raw, callback, argument) }.0 as c_int, "an operation of NNG")?;
        let raw = NonNull::new(raw).expect("NNG gives an operation or an error");
        Ok(Aio { raw, library: library.clone() })
    }

    pub(super) fn raw(&self) -> *mut sys::nng_aio {
        self.raw.as_ptr()
    }

    pub(super) fn forked(&self) -> bool {
        self.library.forked()
    }

    /// Ends the operation and waits for a callback that runs. No operation begins after that.
    pub(super) fn stop(&self) {
        // SAFETY: ours.
        unsafe { sys::nng_aio_stop(self.raw()) };
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        if self.forked() {
            return;
        }
        self.stop();
        // SAFETY: ours. It waits for a callback, too.
        unsafe { sys::nng_aio_free(self.raw()) };
    }
}

/// No operation runs, since the function said false.
const PAUSED: u8 = 0;
/// An operation runs, or its callback does.
const RECEIVING: u8 = 1;
/// As RECEIVING; and `resume` was called since the callback began, so that a false of its function is out of date.
const RESUMED: u8 = 2;
/// The socket is closed, this is dropped, or the function panicked: for ever.
const STOPPED: u8 = 3;

/// Receives indefinitely: one of NNG's threads calls a function with each message, and goes on as soon as it says true.
///
/// Dropping it stops it: when that returns the function is not running and will not run, so it must not happen in the
/// function. Messages that NNG has taken from a connection and not yet given to the function may be lost then.
pub struct Receiver {
    /// Stopped before `shared` is freed.
    aio: Option<Aio>,
    shared: NonNull<Receiving>,
}

// SAFETY: the function is Send, and called by one thread at a time; the rest is made for many threads.
unsafe impl Send for Receiver {}
// SAFETY: `resume` is all that there is to share, and it uses atomics and a call into NNG that any thread may make.
unsafe impl Sync for Receiver {}

/// What the callback has.
struct Receiving {
    state: AtomicU8,
    socket: sys::nng_socket,
    /// That of the `Receiver`.
    aio: *mut sys::nng_aio,
    function: UnsafeCell<Box<dyn FnMut(Message) -> bool + Send>>,
}

impl Receiver {
    /// Starts to receive what comes to `socket`. The socket may be closed before this is dropped: nothing comes then.
    pub fn new(socket: &Socket, function: impl FnMut(Message) -> bool + Send + 'static) -> Result<Receiver> {
        let shared = NonNull::from(Box::leak(Box::new(Receiving {
            state: AtomicU8::new(RECEIVING),
            socket: socket.raw(),
            aio: ptr::null_mut(),
            function: UnsafeCell::new(Box::new(function)),
        })));
        // From here on dropped with what it has.
        let mut receiver = Receiver { aio: None, shared };
        // SAFETY: `shared` is freed after the operation is dropped.
        let aio = unsafe { Aio::new(socket.library(), Some(received), shared.as_ptr().cast()) }?;
        // SAFETY: nobody else has it: no operation was begun.
        unsafe { (*shared.as_ptr()).aio = aio.raw() };
        receiver.aio = Some(aio);
        // SAFETY: the first operation, as the state says.
        unsafe { receive(shared.as_ref()) };
        Ok(receiver)
    }

    /// Goes on after the function said false. At any other time it does nothing; while the function runs it counts as
    /// after it, so that none is lost that comes just before the false: the function is then called once more.
    pub fn resume(&self) {
        if self.aio.as_ref().is_none_or(Aio::forked) {
            return;
        }
        // SAFETY: freed with `self` only; no one has it mutably.
        let shared = unsafe { self.shared.as_ref() };
        let mut state = shared.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                PAUSED => RECEIVING,
                RECEIVING => RESUMED,
                _ => return,
            };
            // What the function did before it said false happens before it is called again.
            match shared.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Err(now) => state = now,
                Ok(_) if next == RECEIVING => {
                    // SAFETY: none runs: only one thread makes PAUSED RECEIVING, and only a callback PAUSED.
                    return unsafe { receive(shared) };
                }
                Ok(_) => return,
            }
        }
    }
}

/// Begins an operation. Its callback may run, and `shared` may be used by another thread, before this returns.
///
/// # Safety
/// The state is RECEIVING or RESUMED, and no operation runs.
unsafe fn receive(shared: &Receiving) {
    // SAFETY: the operation is allocated and idle. If the socket is closed already, the operation fails and says so.
    unsafe { sys::nng_socket_recv(shared.socket, shared.aio) };
}

/// What NNG calls when an operation of a [`Receiver`] is over.
unsafe extern "C" fn received(argument: *mut c_void) {
    // SAFETY: the argument of `Receiver::new`, which is freed only when no callback runs. All of it is shared, but
    // for the function.
    let shared = unsafe { &*argument.cast::<Receiving>() };
    // SAFETY: the operation is over, and the next one begins below; NNG gives the message away with it.
    let (result, message) = unsafe {
        let result = sys::nng_aio_result(shared.aio);
        let message = if result == sys::nng_err::NNG_OK { sys::nng_aio_get_msg(shared.aio) } else { ptr::null_mut() };
        sys::nng_aio_set_msg(shared.aio, ptr::null_mut());
        (result, Message::from_raw(message))
    };
    let Some(message) = message else {
        shared.state.store(STOPPED, Ordering::Release);
        if !matches!(result, sys::nng_err::NNG_ECLOSED | sys::nng_err::NNG_ESTOPPED) {
            log::error!("a gateway receives no more: {}", error(result, "nng_socket_recv"));
        }
        return;
    };
    // What was resumed before the function is called says nothing about what it will answer.
    shared.state.swap(RECEIVING, Ordering::AcqRel);
    let called = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: operations do not overlap, and only their callbacks use the function; the next one begins below.
        let function = unsafe { &mut *shared.function.get() };
        function(message)
    }));
    let go_on = match called {
        Ok(true) => true,
        Ok(false) => shared.state.compare_exchange(RECEIVING, PAUSED, Ordering::AcqRel, Ordering::Acquire).is_err(),
        Err(_) => {
            shared.state.store(STOPPED, Ordering::Release);
            log::error!("a gateway receives no more: its function panicked");
            false
        }
    };
    if go_on {
        // SAFETY: this callback's operation is over, and nobody else begins one while the state is not PAUSED.
        unsafe { receive(shared) };
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.aio.as_ref().is_some_and(Aio::forked) {
            return;
        }
        // Waits for the callback.
        self.aio = None;
        // SAFETY: made by Box::leak; NNG has forgotten it.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

/// Calls a function in one of NNG's threads, once and a while after each [`Timer::start`].
///
/// Dropping it waits for the function, so it must not happen in the function.
pub struct Timer {
    /// Stopped before `shared` is freed.
    aio: Option<Aio>,
    shared: NonNull<Timing>,
}

// SAFETY: the function is Send, and called by one thread at a time.
unsafe impl Send for Timer {}
// SAFETY: `start` is all that there is to share, and it locks.
unsafe impl Sync for Timer {}

/// What the callback has.
struct Timing {
    state: Mutex<TimerState>,
    /// That of the `Timer`.
    aio: *mut sys::nng_aio,
    function: Box<dyn Fn() + Send>,
}

#[derive(Clone, Copy)]
enum TimerState {
    Idle,
    Waiting,
    /// The function runs.
    Calling,
    /// The function runs, and `start` was called since it began.
    CallingThenWaiting(sys::nng_duration),
    /// The function panicked.
    Stopped,
}

impl Timer {
    /// A timer that does not yet run.
    pub fn new(library: &Library, function: impl Fn() + Send + 'static) -> Result<Timer> {
        let shared = NonNull::from(Box::leak(Box::new(Timing {
            state: Mutex::new(TimerState::Idle),
            aio: ptr::null_mut(),
            function: Box::new(function),
        })));
        let mut timer = Timer { aio: None, shared };
        // SAFETY: `shared` is freed after the operation is dropped.
        let aio = unsafe { Aio::new(library, Some(expired), shared.as_ptr().cast()) }?;
        // SAFETY: nobody else has it: the timer was not started.
        unsafe { (*shared.as_ptr()).aio = aio.raw() };
        timer.aio = Some(aio);
        Ok(timer)
    }

    /// Has the function called once, `after` from now, to a few milliseconds. Does nothing while it runs: what was
    /// started first counts. While the function is called the timer does not run.
    pub fn start(&self, after: Duration) {
        if self.aio.as_ref().is_none_or(Aio::forked) {
            return;
        }
        // Rounded up.
        let after = sys::nng_duration::try_from(after.as_micros().div_ceil(1000)).unwrap_or(sys::nng_duration::MAX);
        // SAFETY: freed with `self` only; no one has it mutably.
        let shared = unsafe { self.shared.as_ref() };
        let mut state = shared.state.lock();
        match *state {
            TimerState::Idle => {
                *state = TimerState::Waiting;
                drop(state);
                // SAFETY: the operation is allocated, and idle: only one thread makes Idle Waiting.
                unsafe { sys::nng_sleep_aio(after, shared.aio) };
            }
            TimerState::Calling => *state = TimerState::CallingThenWaiting(after),
            TimerState::Waiting | TimerState::CallingThenWaiting(_) | TimerState::Stopped => {}
        }
    }
}

/// What NNG calls when the time of a [`Timer`] is over.
unsafe extern "C" fn expired(argument: *mut c_void) {
    // SAFETY: the argument of `Timer::new`, which is freed only when no callback runs, and is only read.
    let shared = unsafe { &*argument.cast::<Timing>() };
    // SAFETY: the operation is over.
    if unsafe { sys::nng_aio_result(shared.aio) } != sys::nng_err::NNG_OK {
        // Dropped meanwhile.
        *shared.state.lock() = TimerState::Stopped;
        return;
    }
    *shared.state.lock() = TimerState::Calling;
    let called = catch_unwind(AssertUnwindSafe(|| (shared.function)()));
    if called.is_err() {
        log::error!("a timer of a gateway runs no more: its function panicked");
        *shared.state.lock() = TimerState::Stopped;
        return;
    }
    let mut state = shared.state.lock();
    match *state {
        TimerState::CallingThenWaiting(after) => {
            *state = TimerState::Waiting;
            drop(state);
            // SAFETY: this callback's operation is over, and nobody else begins one in this state.
            unsafe { sys::nng_sleep_aio(after, shared.aio) };
        }
        _ => *state = TimerState::Idle,
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.aio.as_ref().is_some_and(Aio::forked) {
            return;
        }
        // Waits for the callback.
        self.aio = None;
        // SAFETY: made by Box::leak; NNG has forgotten it.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}
