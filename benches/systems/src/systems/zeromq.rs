//! ZeroMQ: publishers and subscribers around a forwarding proxy, zmq_proxy(3).

use super::peer;
use crate::system::System;

const NAMES: [&str; 2] = ["zeromq ipc", "zeromq tcp"];

#[cfg(not(have_zeromq))]
pub fn systems() -> Vec<Box<dyn System>> {
    NAMES.into_iter().map(|name| peer::Absent::boxed(name, "libzmq3-dev")).collect()
}

#[cfg(have_zeromq)]
pub fn systems() -> Vec<Box<dyn System>> {
    let [ipc, tcp] = NAMES;
    vec![Box::new(here::ZeroMq { name: ipc, is_local: true }), Box::new(here::ZeroMq { name: tcp, is_local: false })]
}

#[cfg(have_zeromq)]
mod here {
    use std::ffi::{c_char, c_int, c_long, c_short, c_void};
    use std::mem::{offset_of, size_of, MaybeUninit};
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Duration;

    use super::peer::{self, message_size, milliseconds, put_message, split_message, SocketCrowd, Sockets};
    use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/zeromq.rs"));

    #[repr(C, align(8))]
    struct RawMessage([u8; ZMQ_MSG_T_SIZE]);

    #[repr(C)]
    struct PollItem {
        socket: *mut c_void,
        fd: c_int,
        events: c_short,
        revents: c_short,
    }

    const _: () = assert!(
        size_of::<PollItem>() == ZMQ_POLLITEM_T_SIZE
            && offset_of!(PollItem, socket) == ZMQ_POLLITEM_T_SOCKET
            && offset_of!(PollItem, fd) == ZMQ_POLLITEM_T_FD
            && offset_of!(PollItem, events) == ZMQ_POLLITEM_T_EVENTS
            && offset_of!(PollItem, revents) == ZMQ_POLLITEM_T_REVENTS
    );

    extern "C" {
        fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
        fn zmq_errno() -> c_int;
        fn zmq_strerror(errno: c_int) -> *const c_char;
        fn zmq_ctx_new() -> *mut c_void;
        fn zmq_ctx_set(context: *mut c_void, option: c_int, value: c_int) -> c_int;
        fn zmq_ctx_term(context: *mut c_void) -> c_int;
        fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
        fn zmq_close(socket: *mut c_void) -> c_int;
        fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, size: usize) -> c_int;
        fn zmq_bind(socket: *mut c_void, url: *const c_char) -> c_int;
        fn zmq_connect(socket: *mut c_void, url: *const c_char) -> c_int;
        fn zmq_proxy(frontend: *mut c_void, backend: *mut c_void, capture: *mut c_void) -> c_int;
        fn zmq_poll(items: *mut PollItem, count: c_int, timeout: c_long) -> c_int;
        fn zmq_socket_monitor(socket: *mut c_void, url: *const c_char, events: c_int) -> c_int;
        fn zmq_msg_init(message: *mut RawMessage) -> c_int;
        fn zmq_msg_init_size(message: *mut RawMessage, size: usize) -> c_int;
        fn zmq_msg_send(message: *mut RawMessage, socket: *mut c_void, flags: c_int) -> c_int;
        fn zmq_msg_recv(message: *mut RawMessage, socket: *mut c_void, flags: c_int) -> c_int;
        fn zmq_msg_data(message: *mut RawMessage) -> *mut c_void;
        fn zmq_msg_size(message: *const RawMessage) -> usize;
        fn zmq_msg_close(message: *mut RawMessage) -> c_int;
    }

    /// The last error of this thread.
    fn last_error(what: &str) -> String {
        // SAFETY: the texts of the library are constants.
        unsafe { format!("ZeroMQ cannot {what}: {}", peer::words(zmq_strerror(zmq_errno()))) }
    }

    fn last_errno() -> c_int {
        // SAFETY: takes no memory.
        unsafe { zmq_errno() }
    }

    fn check(result: c_int, what: &str) -> Result<()> {
        match result {
            0.. => Ok(()),
            _ => Err(last_error(what)),
        }
    }

    struct Context(*mut c_void);

    // SAFETY: a context may be used in any thread, zmq_ctx_new(3).
    unsafe impl Send for Context {}
    // SAFETY: as above.
    unsafe impl Sync for Context {}

    impl Context {
        fn new() -> Result<Arc<Context>> {
            // SAFETY: takes nothing.
            let context = unsafe { zmq_ctx_new() };
            if context.is_null() {
                return Err(last_error("make a context"));
            }
            Ok(Arc::new(Context(context)))
        }

        fn set(&self, option: c_int, value: usize) -> Result<()> {
            let value = c_int::try_from(value).map_err(|_| format!("{value} is too many for ZeroMQ"))?;
            // SAFETY: the context is not terminated before it is dropped.
            check(unsafe { zmq_ctx_set(self.0, option, value) }, "set an option of a context")
        }
    }

    impl Drop for Context {
        fn drop(&mut self) {
            // SAFETY: its sockets hold it, so they are all closed.
            unsafe { zmq_ctx_term(self.0) };
        }
    }

    /// How long what was published may take to leave when its socket is closed.
    const LINGER: Duration = Duration::from_secs(10);

    struct Socket {
        raw: *mut c_void,
        timeout: Option<Duration>,
        _context: Arc<Context>,
    }

    // SAFETY: a socket may move to another thread, as long as one at a time uses it, zmq_socket(3).
    unsafe impl Send for Socket {}

    impl Drop for Socket {
        fn drop(&mut self) {
            // SAFETY: it is open, and not used any more.
            unsafe { zmq_close(self.raw) };
        }
    }

    impl Socket {
        fn new(context: &Arc<Context>, kind: c_int) -> Result<Socket> {
            // SAFETY: the context lives.
            let raw = unsafe { zmq_socket(context.0, kind) };
            if raw.is_null() {
                return Err(last_error("make a socket"));
            }
            let socket = Socket { raw, timeout: None, _context: context.clone() };
            // No limit, so that nothing is lost; 1000 by default. zmq_setsockopt(3): ZMQ_SNDHWM, ZMQ_RCVHWM.
            socket.set(ZMQ_SNDHWM, 0)?;
            socket.set(ZMQ_RCVHWM, 0)?;
            // What was published leaves before the socket is gone. zmq_setsockopt(3): ZMQ_LINGER.
            socket.set(ZMQ_LINGER, milliseconds(LINGER))?;
            // TCP_NODELAY needs no option: libzmq sets it on every TCP socket.
            Ok(socket)
        }

        fn set(&self, option: c_int, value: c_int) -> Result<()> {
            self.set_bytes(option, &value.to_ne_bytes())
        }

        fn set_bytes(&self, option: c_int, value: &[u8]) -> Result<()> {
            // SAFETY: the value has that size and is copied.
            let result = unsafe { zmq_setsockopt(self.raw, option, value.as_ptr().cast(), value.len()) };
            check(result, "set an option of a socket")
        }

        fn bind(&self, url: &str) -> Result<()> {
            // SAFETY: the text lives until the call returns.
            check(unsafe { zmq_bind(self.raw, peer::c_string(url)?.as_ptr()) }, &format!("listen on {url}"))
        }

        fn connect(&self, url: &str) -> Result<()> {
            // SAFETY: the text lives until the call returns.
            check(unsafe { zmq_connect(self.raw, peer::c_string(url)?.as_ptr()) }, &format!("connect to {url}"))
        }

        fn subscribe(&self, names: &[&str]) -> Result<()> {
            if names.is_empty() {
                return self.set_bytes(ZMQ_SUBSCRIBE, &[]);
            }
            // With the NUL that ends a name it is the whole name, not a prefix.
            names.iter().try_for_each(|name| self.set_bytes(ZMQ_SUBSCRIBE, &[name.as_bytes(), &[0]].concat()))
        }

        /// The next message, or None when there is none within `patience`.
        fn receive(&mut self, patience: Duration) -> Result<Option<Message>> {
            if self.timeout != Some(patience) {
                self.set(ZMQ_RCVTIMEO, milliseconds(patience))?;
                self.timeout = Some(patience);
            }
            self.take(0)
        }

        fn take(&self, flags: c_int) -> Result<Option<Message>> {
            let mut message = Message::empty();
            loop {
                // SAFETY: the message is initialised, the socket open.
                if unsafe { zmq_msg_recv(&mut message.0, self.raw, flags) } >= 0 {
                    return Ok(Some(message));
                }
                match last_errno() {
                    libc::EAGAIN => return Ok(None),
                    libc::EINTR => {}
                    _ => return Err(last_error("receive")),
                }
            }
        }
    }

    struct Message(RawMessage);

    impl Message {
        fn empty() -> Message {
            let mut message = MaybeUninit::uninit();
            // SAFETY: initialises all that the library needs of it; it cannot fail.
            unsafe {
                zmq_msg_init(message.as_mut_ptr());
                Message(message.assume_init())
            }
        }

        fn new(size: usize) -> Result<Message> {
            let mut message = MaybeUninit::uninit();
            // SAFETY: as above, when it returns 0.
            unsafe {
                check(zmq_msg_init_size(message.as_mut_ptr(), size), "get memory for a message")?;
                Ok(Message(message.assume_init()))
            }
        }

        fn bytes(&mut self) -> &mut [u8] {
            // SAFETY: the data has that size and lives as long as the message.
            unsafe { std::slice::from_raw_parts_mut(zmq_msg_data(&mut self.0).cast(), zmq_msg_size(&self.0)) }
        }
    }

    impl Drop for Message {
        fn drop(&mut self) {
            // SAFETY: it is initialised; after a send it is empty.
            unsafe { zmq_msg_close(&mut self.0) };
        }
    }

    /// Name and payload in one frame: half the frames of a message with two, and a subscription still is a prefix.
    struct Sender(Socket);

    impl Sender {
        fn connect(context: &Arc<Context>, url: &str) -> Result<Sender> {
            let socket = Socket::new(context, ZMQ_PUB)?;
            socket.connect(url)?;
            Ok(Sender(socket))
        }

        /// Returns once the hub has answered: what is published before is dropped.
        fn connect_and_wait(context: &Arc<Context>, url: &str) -> Result<Sender> {
            const MONITOR: &str = "inproc://monitor";
            let socket = Socket::new(context, ZMQ_PUB)?;
            let mut monitor = Socket::new(context, ZMQ_PAIR)?;
            // SAFETY: the text is copied.
            let result = unsafe {
                zmq_socket_monitor(socket.raw, peer::c_string(MONITOR)?.as_ptr(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            };
            check(result, "watch a socket")?;
            monitor.connect(MONITOR)?;
            socket.connect(url)?;
            monitor.receive(peer::PATIENCE)?.ok_or_else(|| format!("no hub at {url} after {:?}", peer::PATIENCE))?;
            // SAFETY: NULL ends the watch.
            check(unsafe { zmq_socket_monitor(socket.raw, std::ptr::null(), 0) }, "end the watch of a socket")?;
            Ok(Sender(socket))
        }
    }

    impl Publisher for Sender {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            let mut message = Message::new(message_size(name, payload))?;
            put_message(message.bytes(), name, payload);
            // SAFETY: both are open. What was sent is emptied by the library.
            while unsafe { zmq_msg_send(&mut message.0, self.0.raw, 0) } < 0 {
                if last_errno() != libc::EINTR {
                    return Err(last_error("send"));
                }
            }
            Ok(())
        }
    }

    /// Hears what it publishes itself when it is subscribed to that name: a proxy does not know that the two sockets are
    /// of one client.
    struct Client {
        sender: Sender,
        receiver: Socket,
    }

    impl Publisher for Client {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.sender.publish(name, payload)
        }
    }

    impl Subscriber for Client {
        fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
            while let Some(mut message) = self.receiver.receive(patience)? {
                let (name, payload) = split_message(message.bytes())?;
                if handler(&mut self.sender, name, payload) == Flow::Stop {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }

    struct Receivers {
        sockets: Vec<Socket>,
        items: Vec<PollItem>,
    }

    impl Sockets for Receivers {
        fn len(&self) -> usize {
            self.sockets.len()
        }

        fn receive(&mut self, patience: Duration, take: &mut dyn FnMut(usize, usize)) -> Result<bool> {
            let count = self.items.len() as c_int;
            let ready = loop {
                // SAFETY: the items have that count, and their sockets are open.
                let ready = unsafe { zmq_poll(self.items.as_mut_ptr(), count, milliseconds(patience).into()) };
                if ready >= 0 || last_errno() != libc::EINTR {
                    break ready;
                }
            };
            check(ready, "wait for the sockets of a crowd")?;
            for (index, (socket, item)) in self.sockets.iter().zip(&self.items).enumerate() {
                if item.revents != 0 {
                    while let Some(mut message) = socket.take(ZMQ_DONTWAIT)? {
                        take(index, peer::payload_size(message.bytes())?);
                    }
                }
            }
            Ok(ready > 0)
        }
    }

    pub struct ZeroMq {
        pub name: &'static str,
        pub is_local: bool,
    }

    impl ZeroMq {
        /// Where publishers connect to, and where subscribers do.
        fn urls(&self, place: &Place) -> Result<[String; 2]> {
            if !self.is_local {
                return Ok([0, 1].map(|offset| format!("tcp://127.0.0.1:{}", place.port + offset)));
            }
            let directory = peer::text(&place.directory)?;
            Ok(["in", "out"].map(|side| format!("ipc://{directory}/zeromq.{side}")))
        }
    }

    impl System for ZeroMq {
        fn name(&self) -> &'static str {
            self.name
        }

        fn version(&self) -> Result<String> {
            let (mut major, mut minor, mut patch) = (0, 0, 0);
            // SAFETY: three numbers to write to.
            unsafe { zmq_version(&mut major, &mut minor, &mut patch) };
            Ok(format!("libzmq {major}.{minor}.{patch}"))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            Some(hub_role(self.name, place))
        }

        fn serve_hub(&self, place: &Place) -> Result<()> {
            // One I/O thread, the default: one for each gigabyte per second is the rule.
            // https://zguide.zeromq.org/docs/chapter2/#I-O-Threads
            let context = Context::new()?;
            let [publishers, subscribers] = self.urls(place)?;
            let frontend = Socket::new(&context, ZMQ_XSUB)?;
            let backend = Socket::new(&context, ZMQ_XPUB)?;
            frontend.bind(&publishers)?;
            backend.bind(&subscribers)?;
            // The proxy of the documentation for publishers and subscribers. zmq_proxy(3): Forwarder.
            // SAFETY: both sockets are open, and not used elsewhere.
            check(unsafe { zmq_proxy(frontend.raw, backend.raw, std::ptr::null_mut()) }, "forward")
        }

        fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            let [publishers, _] = self.urls(place)?;
            Ok(Box::new(Sender::connect_and_wait(&Context::new()?, &publishers)?))
        }

        fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            let context = Context::new()?;
            let [publishers, subscribers] = self.urls(place)?;
            let receiver = Socket::new(&context, ZMQ_SUB)?;
            receiver.subscribe(names)?;
            receiver.connect(&subscribers)?;
            Ok(Box::new(Client { sender: Sender::connect(&context, &publishers)?, receiver }))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            let context = Context::new()?;
            // 1023 by default. zmq_ctx_set(3): ZMQ_MAX_SOCKETS.
            context.set(ZMQ_MAX_SOCKETS, n + 1)?;
            let [_, subscribers] = self.urls(place)?;
            let sockets = (0..n)
                .map(|_| {
                    let socket = Socket::new(&context, ZMQ_SUB)?;
                    socket.subscribe(&[])?;
                    socket.connect(&subscribers)?;
                    Ok(socket)
                })
                .collect::<Result<Vec<_>>>()?;
            let items = sockets
                .iter()
                .map(|socket| PollItem { socket: socket.raw, fd: 0, events: ZMQ_POLLIN as c_short, revents: 0 })
                .collect();
            let publisher = self.publisher(place, "crowd")?;
            Ok(Box::new(SocketCrowd::new(Receivers { sockets, items }, publisher)?))
        }
    }
}
