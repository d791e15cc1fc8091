//! Sockets, their connections, and how many messages they have queued.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};

use ::nng as sys;
use parking_lot::Mutex;

use super::aio::Aio;
use super::library::{check, error, Library};
use super::message::Message;
use crate::transport::url::malformed;
use crate::{Error, Result, Status};

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Sends each message to all; who is behind loses the oldest of its queue.
    Pub,
    /// Receives from all in turn.
    Pull,
    /// Answers requests: [`super::Responder`].
    Rep,
    /// Answers surveys: [`super::Responder`].
    Respondent,
    #[cfg(test)]
    Sub,
    #[cfg(test)]
    Push,
    #[cfg(test)]
    Req,
    #[cfg(test)]
    Surveyor,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_uppercase())
    }
}

impl Protocol {
    fn open(self) -> unsafe extern "C" fn(*mut sys::nng_socket) -> c_int {
        match self {
            Protocol::Pub => sys::nng_pub0_open,
            Protocol::Pull => sys::nng_pull0_open,
            Protocol::Rep => sys::nng_rep0_open,
            Protocol::Respondent => sys::nng_respondent0_open,
            #[cfg(test)]
            Protocol::Sub => sys::nng_sub0_open,
            #[cfg(test)]
            Protocol::Push => sys::nng_push0_open,
            #[cfg(test)]
            Protocol::Req => sys::nng_req0_open,
            #[cfg(test)]
            Protocol::Surveyor => sys::nng_surveyor0_open,
        }
    }
}

/// What happens to a connection of a socket.
///
/// Each one is `Adding` first and `Removed` last, exactly once, even if it is not let in. `Added` may be missing: if
/// it is not let in, speaks the wrong protocol, or ends at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PipeEvent {
    /// It is made, and no message goes over it yet. It is let in if the function says true.
    Adding,
    /// It was let in.
    Added,
    /// It is over.
    Removed,
}

/// A connection. It may be gone already: then it is nowhere, and closing it does nothing.
pub struct Pipe(sys::nng_pipe);

impl Pipe {
    /// The connection with this [number](Pipe::id).
    pub(super) fn of(id: u32) -> Pipe {
        Pipe(sys::nng_pipe { _bindgen_opaque_blob: id })
    }

    /// Closes it, soon: another thread of NNG does.
    pub(super) fn close(&self) {
        // SAFETY: NNG looks the connection up by its number.
        unsafe { sys::nng_pipe_close(self.0) };
    }

    /// The number that messages have ([`Message::pipe`]): not 0, and of this connection alone as long as NNG runs.
    pub fn id(&self) -> u32 {
        self.0._bindgen_opaque_blob
    }

    /// A header of the request that opened a WebSocket connection, by its name in any case. None for what has none.
    pub fn header(&self, name: &str) -> Option<String> {
        let prefix = text(sys::NNG_OPT_WS_HEADER).to_str().expect("ASCII");
        let option = CString::new(format!("{prefix}{name}")).ok()?;
        let mut value: *mut c_char = ptr::null_mut();
        // SAFETY: NNG looks the connection up by its number and gives a copy.
        let code = unsafe { sys::nng_pipe_get_strdup(self.0, option.as_ptr(), &mut value) };
        if code != sys::nng_err::NNG_OK || value.is_null() {
            return None;
        }
        // SAFETY: the copy is ours, ends with NUL, and is freed once.
        let words = unsafe {
            let words = CStr::from_ptr(value).to_string_lossy().into_owned();
            sys::nng_strfree(value);
            words
        };
        Some(words)
    }

    /// Where the other side is: `127.0.0.1:5555`, `[::1]:5555`; for `inproc` `inproc`.
    pub fn address(&self) -> String {
        let mut address = sys::nng_sockaddr::default();
        // SAFETY: `address` is writable; NNG looks the connection up by its number.
        if unsafe { sys::nng_pipe_peer_addr(self.0, &mut address) } != sys::nng_err::NNG_OK {
            return "unknown".to_owned();
        }
        // SAFETY: every variant begins with the family.
        let family = sys::nng_sockaddr_family::try_convert_from(i32::from(unsafe { address.s_family }));
        match family {
            Some(sys::nng_sockaddr_family::NNG_AF_INET | sys::nng_sockaddr_family::NNG_AF_INET6) => {
                // The longest is an IPv6 address with a scope and a port.
                let mut buffer = [0 as c_char; 128];
                // SAFETY: NNG fills in at most that many bytes, the last one a NUL.
                unsafe {
                    sys::nng_str_sockaddr(&address, buffer.as_mut_ptr(), buffer.len());
                    CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned()
                }
            }
            Some(sys::nng_sockaddr_family::NNG_AF_INPROC) => "inproc".to_owned(),
            _ => "unknown".to_owned(),
        }
    }
}

type PipeFunction = Box<dyn Fn(PipeEvent, &Pipe) -> bool + Send + Sync>;

/// Why a message was not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// There is no room for it.
    Full,
    /// The socket is closed.
    Closed,
    /// Anything else.
    Other(Error),
}

/// What a publishing socket did with messages since it was opened; each one counts once for each subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueCounts {
    /// Given to the connection at once.
    pub direct: u64,
    /// Put in the connection's queue.
    pub queued: u64,
    /// Taken from a full queue unsent; one for each message that was sent when there was no subscriber.
    pub discarded: u64,
}

/// A socket. Dropping it closes it and its connections, and waits for [`Socket::on_pipe`]'s function: not in there.
pub struct Socket {
    raw: sys::nng_socket,
    protocol: Protocol,
    /// What [`Socket::try_send`] sends with. None after closing.
    sending: Mutex<Option<Aio>>,
    on_pipe: Option<NonNull<PipeFunction>>,
    library: Library,
}

// SAFETY: NNG's sockets are made for many threads; the function is Send and Sync.
unsafe impl Send for Socket {}
// SAFETY: as above; what `on_pipe` sets needs `&mut`.
unsafe impl Sync for Socket {}

/// NNG 2.0.0 fails to copy a longer URL (`nni_url_clone_inline`), which it does for those of the web.
const MAX_WEB_URL: usize = 127;

impl Socket {
    /// A socket that listens nowhere yet.
    pub fn open(library: &Library, protocol: Protocol) -> Result<Socket> {
        // SAFETY: without a callback.
        let sending = unsafe { Aio::new(library, None, ptr::null_mut()) }?;
        let mut raw = sys::nng_socket::default();
        // SAFETY: `raw` is writable, and NNG is initialised.
        check(unsafe { protocol.open()(&mut raw) }, format_args!("a socket of {protocol}"))?;
        Ok(Socket { raw, protocol, sending: Mutex::new(Some(sending)), on_pipe: None, library: library.clone() })
    }

    pub(super) fn raw(&self) -> sys::nng_socket {
        self.raw
    }

    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    /// The longest message that it takes, 0 for any; who sends a longer one is disconnected. For listeners that come
    /// later.
    ///
    /// NNG allocates, and fills with zeros, what a peer says that it will send, before it has sent it: each connection
    /// costs up to this much memory for nothing. `inproc` heeds no limit.
    pub fn set_max_message(&self, bytes: usize) -> Result<()> {
        self.library.check()?;
        let option = text(sys::NNG_OPT_RECVMAXSZ).as_ptr();
        // SAFETY: an open socket; the name ends with NUL.
        check(unsafe { sys::nng_socket_set_size(self.raw, option, bytes) }, format_args!("{bytes} bytes"))
    }

    /// How many messages wait to be sent, for each connection of [`Protocol::Pub`] (1 to 8192). For connections that come
    /// later: those that are there may lose what waits, and more (NNG 2.0.0 writes behind the end of a full queue of a
    /// length that is a power of two when it gets shorter).
    pub fn set_send_buffer(&self, messages: usize) -> Result<()> {
        self.library.check()?;
        let length = c_int::try_from(messages).unwrap_or(c_int::MAX);
        let option = text(sys::NNG_OPT_SENDBUF).as_ptr();
        // SAFETY: an open socket.
        check(unsafe { sys::nng_socket_set_int(self.raw, option, length) }, format_args!("{messages} messages"))
    }

    /// Has `function` called with what happens to connections; what it answers counts for [`PipeEvent::Adding`] only,
    /// and a panic there is a no. For connections that come later; once for a socket.
    pub fn on_pipe(&mut self, function: impl Fn(PipeEvent, &Pipe) -> bool + Send + Sync + 'static) -> Result<()> {
        self.library.check()?;
        if self.on_pipe.is_some() {
            // One that is running could not be freed.
            return Err(Error::new(Status::State, format!("{}: a second function", Status::State.text())));
        }
        let function: Box<PipeFunction> = Box::new(Box::new(function));
        let function = NonNull::from(Box::leak(function));
        // Freed when the socket is closed, whatever happens below.
        self.on_pipe = Some(function);
        for event in [sys::NNG_PIPE_EV_ADD_PRE, sys::NNG_PIPE_EV_ADD_POST, sys::NNG_PIPE_EV_REM_POST] {
            // SAFETY: an open socket, whose closing waits for the callback; the function is freed after that.
            let code = unsafe { sys::nng_pipe_notify(self.raw, event, Some(pipe_event), function.as_ptr().cast()) };
            check(code.0 as c_int, "nng_pipe_notify")?;
        }
        Ok(())
    }

    /// Listens at `url`, which NNG binds; a host name is resolved, which may take seconds. The port that it got, 0 where
    /// there are no ports.
    pub fn listen(&self, url: &str) -> Result<u16> {
        self.start(url, |_| Ok(()))
    }

    /// [`Socket::listen`] at a WebSocket's URL. Messages come in frames, of which none may be longer.
    pub fn listen_web(&self, url: &str, max_frame: usize) -> Result<u16> {
        if url.len() > MAX_WEB_URL {
            return Err(malformed(url, format_args!("{} bytes, at most {MAX_WEB_URL}", url.len())));
        }
        self.start(url, |listener| {
            let option = text(sys::NNG_OPT_WS_RECVMAXFRAME).as_ptr();
            // SAFETY: a listener that was not started.
            check(unsafe { sys::nng_listener_set_size(listener, option, max_frame) }, format_args!("{max_frame} bytes"))
        })
    }

    /// Makes a listener, sets it up, and starts it.
    fn start(&self, url: &str, set_up: impl FnOnce(sys::nng_listener) -> Result<()>) -> Result<u16> {
        self.library.check()?;
        let c_url =
            CString::new(url).map_err(|_| Error::new(Status::Url, format!("{}: {url:?}", Status::Url.text())))?;
        let mut listener = sys::nng_listener::default();
        // SAFETY: an open socket; `listener` is writable and the URL ends with NUL.
        match sys::nng_err(unsafe { sys::nng_listener_create(&mut listener, self.raw, c_url.as_ptr()) } as u32) {
            sys::nng_err::NNG_OK => {}
            // Nothing else was given to it.
            sys::nng_err::NNG_EINVAL => return Err(error(sys::nng_err::NNG_EADDRINVAL, url)),
            code => return Err(error(code, url)),
        }
        let started = set_up(listener).and_then(|()| {
            // SAFETY: made above.
            match sys::nng_err(unsafe { sys::nng_listener_start(listener, 0) } as u32) {
                sys::nng_err::NNG_OK => Ok(()),
                // The URL was found good above: it is the system's EADDRNOTAVAIL.
                code @ sys::nng_err::NNG_EADDRINVAL => Err(Error::new(Status::Io, format!("{code}: {url}"))),
                code => Err(error(code, url)),
            }
        });
        match started {
            Ok(()) => Ok(bound_port(listener)),
            Err(error) => {
                // SAFETY: made above, and closed once.
                unsafe { sys::nng_listener_close(listener) };
                Err(error)
            }
        }
    }

    /// Sends without waiting, or gives the message back.
    pub fn try_send(&self, message: Message) -> std::result::Result<(), (SendError, Message)> {
        if self.library.forked() {
            return Err((SendError::Closed, message));
        }
        let sending = self.sending.lock();
        let Some(aio) = &*sending else { return Err((SendError::Closed, message)) };
        let aio = aio.raw();
        // An operation without a callback is over when the call returns if there is room.
        // SAFETY: the lock is held, so no other operation runs; it has ended before the message is taken back.
        let (code, message) = unsafe {
            sys::nng_aio_set_msg(aio, message.into_raw());
            sys::nng_socket_send(self.raw, aio);
            if sys::nng_aio_busy(aio) {
                sys::nng_aio_cancel(aio);
                sys::nng_aio_wait(aio);
            }
            let left = sys::nng_aio_get_msg(aio);
            sys::nng_aio_set_msg(aio, ptr::null_mut());
            // Who takes the message sets it to null. The result may be that of a cancellation that came too late.
            (sys::nng_aio_result(aio), Message::from_raw(left))
        };
        let Some(message) = message else { return Ok(()) };
        let why = match code {
            sys::nng_err::NNG_ECANCELED | sys::nng_err::NNG_EAGAIN | sys::nng_err::NNG_ETIMEDOUT => SendError::Full,
            sys::nng_err::NNG_ECLOSED | sys::nng_err::NNG_ESTOPPED => SendError::Closed,
            code => SendError::Other(error(code, format_args!("a message of {}", self.protocol))),
        };
        Err((why, message))
    }

    /// What a [`Protocol::Pub`] did with its messages; none for others, or for lack of memory.
    ///
    /// NNG copies all statistics of the process for it, each one of every connection in an allocation of its own: not
    /// for every message.
    pub fn queue_counts(&self) -> Option<QueueCounts> {
        if self.protocol != Protocol::Pub || self.library.forked() {
            return None;
        }
        let mut all = ptr::null_mut();
        // SAFETY: `all` is writable.
        if unsafe { sys::nng_stats_get(&mut all) } != 0 {
            return None;
        }
        // SAFETY: a tree that is ours until it is freed; the names are those of static strings.
        unsafe {
            let (mut direct, mut queued, mut discarded) = (None, None, None);
            let socket = sys::nng_stat_find_socket(all, self.raw);
            let mut stat = if socket.is_null() { ptr::null() } else { sys::nng_stat_child(socket) };
            while !stat.is_null() {
                let value = match CStr::from_ptr(sys::nng_stat_name(stat)).to_bytes() {
                    b"tx_direct" => &mut direct,
                    b"tx_queued" => &mut queued,
                    b"tx_discard" => &mut discarded,
                    _ => &mut None,
                };
                *value = Some(sys::nng_stat_value(stat));
                stat = sys::nng_stat_next(stat);
            }
            sys::nng_stats_free(all);
            Some(QueueCounts { direct: direct?, queued: queued?, discarded: discarded? })
        }
    }
}

/// The port of a listener that was started.
fn bound_port(listener: sys::nng_listener) -> u16 {
    let mut port: c_int = 0;
    let option = text(sys::NNG_OPT_BOUND_PORT).as_ptr();
    // SAFETY: `port` is writable.
    match unsafe { sys::nng_listener_get_int(listener, option, &mut port) } {
        0 => port.try_into().unwrap_or(0),
        _ => 0,
    }
}

/// What NNG calls when something happens to a connection.
unsafe extern "C" fn pipe_event(pipe: sys::nng_pipe, event: sys::nng_pipe_ev, argument: *mut c_void) {
    let event = match event {
        sys::NNG_PIPE_EV_ADD_PRE => PipeEvent::Adding,
        sys::NNG_PIPE_EV_ADD_POST => PipeEvent::Added,
        sys::NNG_PIPE_EV_REM_POST => PipeEvent::Removed,
        _ => return,
    };
    // SAFETY: the argument of `on_pipe`, which is freed when the socket has closed.
    let function = unsafe { &*argument.cast::<PipeFunction>() };
    let let_in = catch_unwind(AssertUnwindSafe(|| function(event, &Pipe(pipe)))).unwrap_or_else(|_| {
        log::error!("the function for a gateway's connections panicked");
        false
    });
    if event == PipeEvent::Adding && !let_in {
        // SAFETY: the connection is being made; NNG's other thread tears it down.
        unsafe { sys::nng_pipe_close(pipe) };
    }
}

/// One of NNG's names.
fn text(name: &[u8]) -> &CStr {
    CStr::from_bytes_with_nul(name).expect("a name of NNG ends with NUL")
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.library.forked() {
            return;
        }
        self.sending.get_mut().take();
        // SAFETY: open until here. It waits until every connection is gone, and with it the last event.
        unsafe { sys::nng_socket_close(self.raw) };
        if let Some(function) = self.on_pipe.take() {
            // SAFETY: made by Box::leak; NNG has forgotten it.
            drop(unsafe { Box::from_raw(function.as_ptr()) });
        }
    }
}
