//! Answering requests and surveys, many at a time.
//!
//! A context of NNG carries one request at a time, from receiving it until its answer is on the way. There are as many
//! as it takes: one receives, and the others hold a request that is being answered, or an answer that its connection
//! has not taken yet. A raw socket would do without, and lose what its short queues have no room for.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ::nng as sys;
use parking_lot::{Mutex, MutexGuard};

use super::aio::Aio;
use super::library::{check, error, Library};
use super::message::Message;
use super::socket::{Pipe, Socket};
use crate::Result;

/// Answers that one connection may leave waiting, and their bytes: a few of the largest.
const MOST: usize = 4096;
pub(super) const MOST_BYTES: usize = 16 << 20;
/// The same of all connections together.
const MOST_TOGETHER: usize = 4 * MOST;
const MOST_BYTES_TOGETHER: usize = 64 << 20;

/// Names a request until it is answered.
pub type Ticket = u32;

/// Receives requests, and takes their answers. Each request holds memory until it is [answered](Responder::answer).
///
/// Dropping it waits for its function, so it must not happen in there. Answers that wait are lost.
pub struct Responder {
    shared: NonNull<Shared>,
    /// Closed after the contexts: NNG 2.0.0 waits for ever in closing a socket for which one is made meanwhile.
    socket: Arc<Socket>,
}

// SAFETY: the function is Send and called by one thread at a time; the rest is locked.
unsafe impl Send for Responder {}
// SAFETY: as above.
unsafe impl Sync for Responder {}

/// A connection that was closed because it left too many answers waiting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Where its other side is.
    pub address: String,
    /// The answers that it did not take.
    pub answers: usize,
    /// Their bytes.
    pub bytes: usize,
}

type Function = Box<dyn FnMut(Ticket, Message) -> bool + Send>;

/// What the callbacks have.
struct Shared {
    socket: sys::nng_socket,
    library: Library,
    state: Mutex<State>,
    /// Locked by the callback that received; nobody else does. Never inside `state`.
    function: Mutex<Function>,
}

struct State {
    /// By their tickets. Never fewer: callbacks have their addresses.
    contexts: Vec<(NonNull<Context>, Aio)>,
    /// What each of them does.
    phases: Vec<Phase>,
    /// Those that do nothing.
    free: Vec<Ticket>,
    receiving: Receiving,
    /// What each connection has not taken yet, by its number.
    waiting: HashMap<u32, Waiting>,
    together: Waiting,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiving {
    /// A context receives, or the function is called with what it got.
    Going,
    /// As Going, and `resume` was called since the function was.
    Resumed,
    /// The function said false.
    Paused,
    /// There was no memory for one more context: the next that is free goes on.
    Starved,
    /// The socket is closed, this is dropped, or the function panicked: for ever.
    Stopped,
}

#[derive(Clone, Copy, Default, Debug)]
struct Waiting {
    answers: usize,
    bytes: usize,
    /// The connection is being closed.
    cut: bool,
}

impl Waiting {
    fn add(&mut self, bytes: usize) {
        self.answers += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.answers -= 1;
        self.bytes -= bytes;
    }
}

struct Context {
    raw: sys::nng_ctx,
    /// Its operation, which `State` holds.
    aio: *mut sys::nng_aio,
    ticket: Ticket,
    shared: NonNull<Shared>,
}

#[derive(Clone, Copy)]
enum Phase {
    Free,
    Receiving,
    /// Its request, of this connection, is being answered.
    Answering {
        pipe: u32,
    },
    /// Its answer waits for the connection.
    Sending {
        pipe: u32,
        bytes: usize,
    },
}

impl Responder {
    /// Starts to receive what comes to `socket`, of a protocol that answers. The function is called with each request,
    /// one at a time, in one of NNG's threads, until it says false; then [`Responder::resume`] goes on.
    pub fn new(
        socket: &Arc<Socket>,
        function: impl FnMut(Ticket, Message) -> bool + Send + 'static,
    ) -> Result<Responder> {
        let shared = NonNull::from(Box::leak(Box::new(Shared {
            socket: socket.raw(),
            library: socket.library().clone(),
            state: Mutex::new(State {
                contexts: Vec::new(),
                phases: Vec::new(),
                free: Vec::new(),
                receiving: Receiving::Going,
                waiting: HashMap::new(),
                together: Waiting::default(),
            }),
            function: Mutex::new(Box::new(function)),
        })));
        // From here on dropped with what it has.
        let responder = Responder { shared, socket: socket.clone() };
        // SAFETY: freed with `responder`.
        let shared = unsafe { shared.as_ref() };
        shared.state.lock().new_context(shared)?;
        shared.receive_next(shared.state.lock());
        Ok(responder)
    }

    /// Goes on after the function said false, as [`super::Receiver::resume`].
    pub fn resume(&self) {
        if self.socket.library().forked() {
            return;
        }
        // SAFETY: freed with `self` only; no one has it mutably.
        let shared = unsafe { self.shared.as_ref() };
        let mut state = shared.state.lock();
        match state.receiving {
            Receiving::Paused | Receiving::Starved => shared.receive_next(state),
            Receiving::Going => state.receiving = Receiving::Resumed,
            Receiving::Resumed | Receiving::Stopped => {}
        }
    }

    /// Answers a request, without waiting; of no effect if it was answered already. Who has left too many answers
    /// waiting by now is disconnected, and told of.
    pub fn answer(&self, ticket: Ticket, message: Message) -> Option<Cut> {
        if self.socket.library().forked() {
            return None;
        }
        // SAFETY: as in `resume`.
        let shared = unsafe { self.shared.as_ref() };
        let mut state = shared.state.lock();
        let Some(&Phase::Answering { pipe }) = state.phases.get(ticket as usize) else { return None };
        if state.waiting.get(&pipe).is_some_and(|waiting| waiting.cut) {
            shared.is_free(state, ticket);
            return None;
        }
        let bytes = message.body().len();
        state.phases[ticket as usize] = Phase::Sending { pipe, bytes };
        state.waiting.entry(pipe).or_default().add(bytes);
        state.together.add(bytes);
        let cut = state.too_many(pipe);
        // SAFETY: contexts live as long as `shared`.
        let context = unsafe { state.contexts[ticket as usize].0.as_ref() };
        // What NNG does below may call back.
        drop(state);
        // SAFETY: the operation is idle: the callback of the one before has made the phase Answering, of which only
        // one thread makes Sending, and does nothing with it after that. The message is given away.
        unsafe {
            sys::nng_aio_set_msg(context.aio, message.into_raw());
            sys::nng_ctx_send(context.raw, context.aio);
        }
        let (pipe, Waiting { answers, bytes, .. }) = cut?;
        let pipe = Pipe::of(pipe);
        let address = pipe.address();
        // Its answers are then over as if they were sent.
        pipe.close();
        Some(Cut { address, answers, bytes })
    }

    /// How many contexts there are, and how many answers wait.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        // SAFETY: as in `resume`.
        let state = unsafe { self.shared.as_ref() }.state.lock();
        (state.contexts.len(), state.together.answers)
    }
}

impl State {
    /// One more context, that is free.
    fn new_context(&mut self, shared: &Shared) -> Result<()> {
        shared.library.check()?;
        let mut raw = sys::nng_ctx::default();
        // SAFETY: `raw` is writable, and the socket open.
        check(unsafe { sys::nng_ctx_open(&mut raw, shared.socket) }, "a context of NNG")?;
        let ticket = self.contexts.len() as Ticket;
        let context = Context { raw, aio: ptr::null_mut(), ticket, shared: NonNull::from(shared) };
        let context = NonNull::from(Box::leak(Box::new(context)));
        // SAFETY: the context is freed after the operation is.
        let aio = match unsafe { Aio::new(&shared.library, Some(over), context.as_ptr().cast()) } {
            Ok(aio) => aio,
            Err(error) => {
                // SAFETY: opened above; made by Box::leak, and nobody else has it.
                unsafe {
                    sys::nng_ctx_close(raw);
                    drop(Box::from_raw(context.as_ptr()));
                }
                return Err(error);
            }
        };
        // SAFETY: nobody else has it: no operation was begun.
        unsafe { (*context.as_ptr()).aio = aio.raw() };
        self.contexts.push((context, aio));
        self.phases.push(Phase::Free);
        self.free.push(ticket);
        Ok(())
    }

    /// Who has too many answers waiting, now that `pipe` has one more, and has not been told of yet.
    fn too_many(&mut self, pipe: u32) -> Option<(u32, Waiting)> {
        let over = |waiting: &Waiting, most: usize, bytes: usize| waiting.answers > most || waiting.bytes > bytes;
        let worst = if over(&self.waiting[&pipe], MOST, MOST_BYTES) {
            pipe
        } else if over(&self.together, MOST_TOGETHER, MOST_BYTES_TOGETHER) {
            // Whichever limit it is: who is nearer to his own.
            let share = |waiting: &Waiting| waiting.answers * (MOST_BYTES / MOST) + waiting.bytes;
            let others = self.waiting.iter().filter(|(_, waiting)| !waiting.cut);
            *others.max_by_key(|(_, waiting)| share(waiting))?.0
        } else {
            return None;
        };
        let waiting = self.waiting.get_mut(&worst)?;
        waiting.cut = true;
        Some((worst, *waiting))
    }
}

impl Shared {
    /// Has one more context receive.
    fn receive_next(&self, mut state: MutexGuard<'_, State>) {
        if state.receiving == Receiving::Stopped {
            return;
        }
        if state.free.is_empty() {
            if let Err(error) = state.new_context(self) {
                log::error!("a gateway waits for an answer to be taken before it receives more: {error}");
            }
        }
        let Some(ticket) = state.free.pop() else {
            state.receiving = Receiving::Starved;
            return;
        };
        state.receiving = Receiving::Going;
        state.phases[ticket as usize] = Phase::Receiving;
        // SAFETY: contexts live as long as `self`.
        let context = unsafe { state.contexts[ticket as usize].0.as_ref() };
        drop(state);
        // SAFETY: the operation is idle: the context was free, and only one thread has taken it. If the socket is
        // closed already, the operation fails and says so.
        unsafe { sys::nng_ctx_recv(context.raw, context.aio) };
    }

    /// The context has nothing to do any more.
    fn is_free(&self, mut state: MutexGuard<'_, State>, ticket: Ticket) {
        state.phases[ticket as usize] = Phase::Free;
        state.free.push(ticket);
        if state.receiving == Receiving::Starved {
            self.receive_next(state);
        }
    }

    /// The context has received `message`, or failed to.
    fn received(&self, ticket: Ticket, result: sys::nng_err, message: Option<Message>) {
        let mut state = self.state.lock();
        let Some(message) = message else {
            state.receiving = Receiving::Stopped;
            self.is_free(state, ticket);
            if !matches!(result, sys::nng_err::NNG_ECLOSED | sys::nng_err::NNG_ESTOPPED) {
                log::error!("a gateway receives no more: {}", error(result, "nng_ctx_recv"));
            }
            return;
        };
        if state.receiving == Receiving::Stopped {
            return self.is_free(state, ticket);
        }
        state.phases[ticket as usize] = Phase::Answering { pipe: message.pipe() };
        // What was resumed before the function is called says nothing about what it will answer.
        state.receiving = Receiving::Going;
        drop(state);
        let called = catch_unwind(AssertUnwindSafe(|| (self.function.lock())(ticket, message)));
        let mut state = self.state.lock();
        match called {
            Ok(false) if state.receiving == Receiving::Going => state.receiving = Receiving::Paused,
            Ok(_) => self.receive_next(state),
            Err(_) => {
                state.receiving = Receiving::Stopped;
                drop(state);
                log::error!("a gateway receives no more: its function panicked");
            }
        }
    }
}

/// What NNG calls when an operation of a context is over.
unsafe extern "C" fn over(argument: *mut c_void) {
    // SAFETY: the argument of `new_context`, which is freed only when no callback runs, and is only read.
    let context = unsafe { &*argument.cast::<Context>() };
    // SAFETY: freed after the contexts are.
    let shared = unsafe { context.shared.as_ref() };
    let (aio, ticket) = (context.aio, context.ticket);
    // SAFETY: the operation is over, and the next one begins when the phase is another. A message that is there is
    // ours: one that was received, or an answer that was not taken.
    let (result, message) = unsafe {
        let message = Message::from_raw(sys::nng_aio_get_msg(aio));
        sys::nng_aio_set_msg(aio, ptr::null_mut());
        (sys::nng_aio_result(aio), message)
    };
    let mut state = shared.state.lock();
    match state.phases[ticket as usize] {
        Phase::Sending { pipe, bytes } => {
            state.together.remove(bytes);
            if let Some(waiting) = state.waiting.get_mut(&pipe) {
                waiting.remove(bytes);
                if waiting.answers == 0 {
                    state.waiting.remove(&pipe);
                }
            }
            shared.is_free(state, ticket);
        }
        Phase::Receiving => {
            drop(state);
            shared.received(ticket, result, message);
        }
        Phase::Free | Phase::Answering { .. } => debug_assert!(false, "no operation runs"),
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.socket.library().forked() {
            return;
        }
        // SAFETY: freed below.
        let shared = unsafe { self.shared.as_ref() };
        let contexts = {
            let mut state = shared.state.lock();
            // From here on a callback begins no operation, but one that runs may have decided to, on any context.
            state.receiving = Receiving::Stopped;
            std::mem::take(&mut state.contexts)
        };
        // Waits for the callbacks that run.
        for (_, aio) in &contexts {
            aio.stop();
        }
        // And for those of operations that these began meanwhile, which begin none.
        let contexts: Vec<_> = contexts.into_iter().map(|(context, _)| context).collect();
        for context in contexts {
            // SAFETY: made by Box::leak; NNG has forgotten it.
            unsafe {
                let context = Box::from_raw(context.as_ptr());
                sys::nng_ctx_close(context.raw);
            }
        }
        // SAFETY: made by Box::leak, and no callback runs.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}
