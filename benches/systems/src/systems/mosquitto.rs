//! Eclipse Mosquitto: MQTT with QoS 0, with libmosquitto.

use super::peer;
use crate::system::System;

const NAMES: [&str; 2] = ["mosquitto unix", "mosquitto tcp"];

#[cfg(not(have_mosquitto))]
pub fn systems() -> Vec<Box<dyn System>> {
    NAMES.into_iter().map(|name| peer::Absent::boxed(name, "libmosquitto-dev")).collect()
}

#[cfg(have_mosquitto)]
pub fn systems() -> Vec<Box<dyn System>> {
    let [unix, tcp] = NAMES;
    vec![
        Box::new(here::Mosquitto { name: unix, is_local: true }),
        Box::new(here::Mosquitto { name: tcp, is_local: false }),
    ]
}

#[cfg(have_mosquitto)]
mod here {
    use std::ffi::{c_char, c_int, c_void};
    use std::mem::{offset_of, size_of};
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use super::peer;
    use crate::drain::FrameCounter;
    use crate::system::{Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/mosquitto.rs"));

    const PROGRAM: &str = "mosquitto";
    const PACKAGE: &str = "mosquitto";
    const HOST: &str = "127.0.0.1";
    /// Every name but those of the server itself.
    const EVERYTHING: &str = "#";

    #[repr(C)]
    struct RawMessage {
        mid: c_int,
        topic: *const c_char,
        payload: *const c_void,
        payloadlen: c_int,
        qos: c_int,
        retain: bool,
    }

    const _: () = assert!(
        size_of::<RawMessage>() == MOSQUITTO_MESSAGE_SIZE
            && offset_of!(RawMessage, topic) == MOSQUITTO_MESSAGE_TOPIC
            && offset_of!(RawMessage, payload) == MOSQUITTO_MESSAGE_PAYLOAD
            && offset_of!(RawMessage, payloadlen) == MOSQUITTO_MESSAGE_PAYLOADLEN
    );

    /// struct mosquitto.
    type Raw = c_void;
    type OnConnect = unsafe extern "C" fn(client: *mut Raw, object: *mut c_void, code: c_int);
    type OnSubscribe =
        unsafe extern "C" fn(client: *mut Raw, object: *mut c_void, mid: c_int, count: c_int, granted: *const c_int);
    type OnMessage = unsafe extern "C" fn(client: *mut Raw, object: *mut c_void, message: *const RawMessage);

    extern "C" {
        fn mosquitto_lib_version(major: *mut c_int, minor: *mut c_int, revision: *mut c_int) -> c_int;
        fn mosquitto_lib_init() -> c_int;
        fn mosquitto_strerror(error: c_int) -> *const c_char;
        fn mosquitto_connack_string(code: c_int) -> *const c_char;
        fn mosquitto_new(identity: *const c_char, clean: bool, object: *mut c_void) -> *mut Raw;
        fn mosquitto_destroy(client: *mut Raw);
        fn mosquitto_int_option(client: *mut Raw, option: c_int, value: c_int) -> c_int;
        fn mosquitto_connect_callback_set(client: *mut Raw, callback: OnConnect);
        fn mosquitto_subscribe_callback_set(client: *mut Raw, callback: OnSubscribe);
        fn mosquitto_message_callback_set(client: *mut Raw, callback: OnMessage);
        fn mosquitto_connect(client: *mut Raw, host: *const c_char, port: c_int, keepalive: c_int) -> c_int;
        fn mosquitto_subscribe_v5(
            client: *mut Raw,
            mid: *mut c_int,
            pattern: *const c_char,
            qos: c_int,
            options: c_int,
            properties: *const c_void,
        ) -> c_int;
        fn mosquitto_publish(
            client: *mut Raw,
            mid: *mut c_int,
            topic: *const c_char,
            size: c_int,
            payload: *const c_void,
            qos: c_int,
            retain: bool,
        ) -> c_int;
        fn mosquitto_socket(client: *mut Raw) -> c_int;
        fn mosquitto_want_write(client: *mut Raw) -> bool;
        fn mosquitto_loop_read(client: *mut Raw, packets: c_int) -> c_int;
        fn mosquitto_loop_write(client: *mut Raw, packets: c_int) -> c_int;
    }

    fn check(result: c_int, what: &str) -> Result<()> {
        match result {
            MOSQ_ERR_SUCCESS => Ok(()),
            // SAFETY: the texts of the library are constants.
            _ => Err(format!("libmosquitto cannot {what}: {}", unsafe { peer::words(mosquitto_strerror(result)) })),
        }
    }

    /// What the callbacks leave: a handler that publishes has to run outside of them, for in them the library only
    /// queues.
    #[derive(Default)]
    struct Inbox {
        connected: Option<c_int>,
        subscribed: usize,
        /// Names and payloads, one after the other.
        bytes: Vec<u8>,
        /// Where each name and each payload ends.
        ends: Vec<(usize, usize)>,
        /// How many of them the handler has got.
        taken: usize,
    }

    impl Inbox {
        /// Where the next message starts, and where its name and its payload end.
        fn next(&mut self) -> Option<(usize, usize, usize)> {
            let (name_end, end) = *self.ends.get(self.taken)?;
            let start = self.taken.checked_sub(1).map_or(0, |before| self.ends[before].1);
            self.taken += 1;
            Some((start, name_end, end))
        }
    }

    unsafe extern "C" fn on_connect(_client: *mut Raw, object: *mut c_void, code: c_int) {
        // SAFETY: the object is the inbox, which is not used otherwise while the library runs.
        unsafe { (*object.cast::<Inbox>()).connected = Some(code) };
    }

    unsafe extern "C" fn on_subscribe(_: *mut Raw, object: *mut c_void, _: c_int, _: c_int, _: *const c_int) {
        // SAFETY: as above.
        unsafe { (*object.cast::<Inbox>()).subscribed += 1 };
    }

    unsafe extern "C" fn on_message(_client: *mut Raw, object: *mut c_void, message: *const RawMessage) {
        // SAFETY: as above; the message is whole, its topic ends with a NUL.
        let (inbox, topic, payload, size) = unsafe {
            let message = &*message;
            let topic = std::ffi::CStr::from_ptr(message.topic);
            (&mut *object.cast::<Inbox>(), topic, message.payload, message.payloadlen as usize)
        };
        inbox.bytes.extend_from_slice(topic.to_bytes());
        let name = inbox.bytes.len();
        if size > 0 {
            // SAFETY: that many bytes are there.
            inbox.bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(payload.cast(), size) });
        }
        inbox.ends.push((name, inbox.bytes.len()));
    }

    /// A connection that is read and written in the thread that calls. libmosquitto(3): mosquitto_loop_read,
    /// mosquitto_loop_write "for use in other event loops"; mosquitto_loop would read one message for each select.
    struct Link {
        raw: *mut Raw,
        inbox: *mut Inbox,
    }

    impl Drop for Link {
        fn drop(&mut self) {
            // SAFETY: it is not used any more; the library goes first, since it refers to the inbox.
            unsafe {
                mosquitto_destroy(self.raw);
                drop(Box::from_raw(self.inbox));
            }
        }
    }

    impl Link {
        fn connect(system: &Mosquitto, place: &Place, identity: &str) -> Result<Link> {
            static STARTED: OnceLock<c_int> = OnceLock::new();
            // SAFETY: once, and before any other call.
            check(*STARTED.get_or_init(|| unsafe { mosquitto_lib_init() }), "start")?;
            // A server takes a second client of one name for the first, and closes that.
            let identity = peer::c_string(&format!("{identity}-{}-{}", std::process::id(), next_number()))?;
            let inbox = Box::into_raw(Box::<Inbox>::default());
            // SAFETY: the identity is copied.
            let raw = unsafe { mosquitto_new(identity.as_ptr(), true, inbox.cast()) };
            if raw.is_null() {
                // SAFETY: there is no other reference to it.
                drop(unsafe { Box::from_raw(inbox) });
                return Err(format!("libmosquitto cannot make a client: {}", std::io::Error::last_os_error()));
            }
            let mut link = Link { raw, inbox };
            // SAFETY: the client lives, and the callbacks fit their types.
            unsafe {
                mosquitto_connect_callback_set(raw, on_connect);
                mosquitto_subscribe_callback_set(raw, on_subscribe);
                mosquitto_message_callback_set(raw, on_message);
            }
            link.set(MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5)?;
            if !system.is_local {
                // mosquitto.h, MOSQ_OPT_TCP_NODELAY: "reducing latency of individual messages".
                link.set(MOSQ_OPT_TCP_NODELAY, 1)?;
            }
            let (host, port) = system.address(place)?;
            let name = peer::c_string(&host)?;
            peer::until_there(|| {
                // No keepalive: clients that idle are not cut off. MQTT 5.0, 3.1.2.10.
                // SAFETY: the client lives, the host is copied.
                let result = unsafe { mosquitto_connect(raw, name.as_ptr(), port, 0) };
                check(result, &format!("connect to {host}, port {port}"))
            })?;
            match link.until(|inbox| inbox.connected)? {
                0 => Ok(link),
                // SAFETY: the texts of the library are constants.
                code => Err(format!("Mosquitto refused: {}", unsafe { peer::words(mosquitto_connack_string(code)) })),
            }
        }

        fn inbox(&mut self) -> &mut Inbox {
            // SAFETY: it lives as long as the link, and the library uses it only while one of its functions runs.
            unsafe { &mut *self.inbox }
        }

        fn set(&self, option: c_int, value: c_int) -> Result<()> {
            // SAFETY: the client lives.
            check(unsafe { mosquitto_int_option(self.raw, option, value) }, "set an option")
        }

        /// Subscribes to everything that others publish: "no local". MQTT 5.0, 3.8.3.1.
        fn subscribe(&mut self, names: &[&str]) -> Result<()> {
            let all = if names.is_empty() { &[EVERYTHING] } else { names };
            for name in all {
                let pattern = peer::c_string(name)?;
                // SAFETY: the client lives, the pattern is copied.
                let result = unsafe {
                    mosquitto_subscribe_v5(
                        self.raw,
                        std::ptr::null_mut(),
                        pattern.as_ptr(),
                        0,
                        MQTT_SUB_OPT_NO_LOCAL,
                        std::ptr::null(),
                    )
                };
                check(result, &format!("subscribe to {name}"))?;
            }
            let wanted = all.len();
            self.until(|inbox| (inbox.subscribed >= wanted).then_some(()))
        }

        /// Reads and writes until the inbox has what is waited for.
        fn until<T>(&mut self, has: impl Fn(&Inbox) -> Option<T>) -> Result<T> {
            let end = Instant::now() + peer::PATIENCE;
            loop {
                if let Some(it) = has(self.inbox()) {
                    return Ok(it);
                }
                self.write()?;
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() || !self.wait(libc::POLLIN, left)? {
                    return Err(format!("Mosquitto did not answer within {:?}", peer::PATIENCE));
                }
                self.read()?;
            }
        }

        fn wait(&self, events: libc::c_short, patience: Duration) -> Result<bool> {
            // SAFETY: the client lives.
            match unsafe { mosquitto_socket(self.raw) } {
                descriptor @ 0.. => peer::wait_for(descriptor, events, patience),
                _ => Err("Mosquitto closed the connection".into()),
            }
        }

        /// Reads one packet, if there is one.
        fn read(&mut self) -> Result<()> {
            // SAFETY: the client lives.
            check(unsafe { mosquitto_loop_read(self.raw, 1) }, "read")
        }

        /// Writes what is queued; waits while the server does not read.
        fn write(&mut self) -> Result<()> {
            // SAFETY: the client lives.
            while unsafe { mosquitto_want_write(self.raw) } {
                if !self.wait(libc::POLLOUT, peer::PATIENCE)? {
                    return Err(format!("Mosquitto read nothing for {:?}", peer::PATIENCE));
                }
                // SAFETY: the client lives.
                check(unsafe { mosquitto_loop_write(self.raw, 1) }, "write")?;
            }
            Ok(())
        }
    }

    impl Publisher for Link {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            let topic = peer::c_string(name)?;
            let size = c_int::try_from(payload.len()).map_err(|_| format!("{} bytes are too many", payload.len()))?;
            // SAFETY: the client lives; topic and payload are copied.
            let result = unsafe {
                mosquitto_publish(
                    self.raw,
                    std::ptr::null_mut(),
                    topic.as_ptr(),
                    size,
                    payload.as_ptr().cast(),
                    0,
                    false,
                )
            };
            check(result, "publish")?;
            self.write()
        }
    }

    impl Subscriber for Link {
        fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
            loop {
                while let Some((start, name_end, end)) = self.inbox().next() {
                    // The handler gets bytes of the inbox, and the link itself, which may not touch them meanwhile.
                    let bytes = std::mem::take(&mut self.inbox().bytes);
                    let name = peer::name_text(&bytes[start..name_end])?;
                    let flow = handler(self, name, &bytes[name_end..end]);
                    self.inbox().bytes = bytes;
                    if flow == Flow::Stop {
                        return Ok(true);
                    }
                }
                let inbox = self.inbox();
                inbox.bytes.clear();
                inbox.ends.clear();
                inbox.taken = 0;
                self.read()?;
                // A read that brought nothing: now it is worth to wait.
                if self.inbox().ends.is_empty() && !self.wait(libc::POLLIN, patience)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Counts PUBLISH packets. MQTT 3.1.1, 2.2.
    #[derive(Default)]
    struct Packets {
        state: Part,
        is_publish: bool,
    }

    #[derive(Default)]
    enum Part {
        #[default]
        Kind,
        /// The size so far, and by how many bits the next byte of it is shifted.
        Size(usize, u32),
        /// Bytes still to come.
        Body(usize),
    }

    impl FrameCounter for Packets {
        fn count(&mut self, mut bytes: &[u8]) -> u64 {
            const PUBLISH: u8 = 3;
            let mut complete = 0;
            while let [first, rest @ ..] = bytes {
                let left = match self.state {
                    Part::Kind => {
                        self.is_publish = first >> 4 == PUBLISH;
                        self.state = Part::Size(0, 0);
                        bytes = rest;
                        continue;
                    }
                    Part::Size(size, shift) => {
                        bytes = rest;
                        let size = size | usize::from(first & 0x7f) << shift;
                        if first & 0x80 != 0 {
                            self.state = Part::Size(size, shift + 7);
                            continue;
                        }
                        size
                    }
                    Part::Body(left) => left,
                };
                let read = left.min(bytes.len());
                bytes = &bytes[read..];
                if read < left {
                    self.state = Part::Body(left - read);
                } else {
                    self.state = Part::Kind;
                    complete += u64::from(self.is_publish);
                }
            }
            complete
        }
    }

    /// What a raw client says: CONNECT with a clean session and no keepalive, then SUBSCRIBE to everything. MQTT 3.1.1.
    fn greet<S: std::io::Read + std::io::Write>(index: usize, socket: &mut S) -> Result<()> {
        let packet = |kind: u8, body: &[u8]| [&[kind, body.len() as u8], body].concat();
        let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let identity = text(&format!("crowd-{}-{index}", std::process::id()));
        let connect = packet(0x10, &[&text("MQTT")[..], &[4, 2, 0, 0], &identity].concat());
        let subscribe = packet(0x82, &[&[0, 1][..], &text(EVERYTHING), &[0]].concat());
        peer::ask(socket, &connect, &[0x20, 2, 0, 0])?;
        peer::ask(socket, &subscribe, &[0x90, 3, 0, 1, 0])
    }

    /// For identities: a process has many clients.
    fn next_number() -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    pub struct Mosquitto {
        pub name: &'static str,
        pub is_local: bool,
    }

    impl Mosquitto {
        fn socket(&self, place: &Place) -> PathBuf {
            place.directory.join("mosquitto.sock")
        }

        /// Host and port as the library wants them: port 0 is a Unix socket.
        fn address(&self, place: &Place) -> Result<(String, c_int)> {
            match self.is_local {
                true => Ok((peer::text(&self.socket(place))?.to_string(), 0)),
                false => Ok((HOST.to_string(), place.port.into())),
            }
        }
    }

    impl System for Mosquitto {
        fn name(&self) -> &'static str {
            self.name
        }

        fn version(&self) -> Result<String> {
            let server = peer::server_version(PROGRAM, PACKAGE, "-h", "version ")?;
            let (mut major, mut minor, mut revision) = (0, 0, 0);
            // SAFETY: three numbers to write to.
            unsafe { mosquitto_lib_version(&mut major, &mut minor, &mut revision) };
            Ok(format!("Mosquitto {server}, libmosquitto {major}.{minor}.{revision}"))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            let listener = match self.is_local {
                true => format!("listener 0 {}", self.socket(place).display()),
                false => format!("listener {} {HOST}", place.port),
            };
            // Each of them is in mosquitto.conf(5).
            let configuration = [
                &listener,
                "allow_anonymous true",
                // "reducing latency of some messages".
                "set_tcp_nodelay true",
                // No limit on what waits for a receiver that is behind: 0 is no maximum.
                "max_queued_messages 0",
                "max_queued_bytes 0",
                "max_inflight_bytes 0",
                "max_inflight_messages 0",
                "persistence false",
                // No messages of its own.
                "sys_interval 0",
                // Where root starts it, it stays root: it writes to the directory, and ends with its parent, which a
                // change of the user would undo.
                "user root",
                "log_dest stderr",
                "log_type error",
            ]
            .join("\n");
            Some(peer::server(PROGRAM, PACKAGE, place, &(configuration + "\n"), &["-c"]))
        }

        fn publisher(&self, place: &Place, identity: &str) -> Result<Box<dyn Publisher>> {
            Ok(Box::new(Link::connect(self, place, identity)?))
        }

        fn subscriber(&self, place: &Place, identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            let mut link = Link::connect(self, place, identity)?;
            link.subscribe(names)?;
            Ok(Box::new(link))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            let counter = || Box::<Packets>::default() as Box<dyn FrameCounter>;
            let path = self.socket(place);
            match self.is_local {
                true => peer::raw_crowd(n, || UnixStream::connect(&path), greet, counter),
                false => peer::raw_crowd(n, || TcpStream::connect((HOST, place.port)), greet, counter),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// A PUBLISH of `size` bytes in all after its head.
        fn publish(size: usize) -> Vec<u8> {
            let mut packet = vec![0x30];
            let mut left = size;
            while left > 0x7f {
                packet.push(left as u8 & 0x7f | 0x80);
                left >>= 7;
            }
            packet.push(left as u8);
            packet.resize(packet.len() + size, 0xff);
            packet
        }

        #[test]
        fn a_publish_counts_once_however_it_is_cut() {
            for size in [3, 0x7f, 0x80, 20_000] {
                let packet = publish(size);
                for cut in (1..packet.len()).step_by(size.div_ceil(200)) {
                    let mut counter = Packets::default();
                    assert_eq!(counter.count(&packet[..cut]), 0, "{size} cut at {cut}");
                    assert_eq!(counter.count(&packet[cut..]), 1, "{size} cut at {cut}");
                }
            }
        }

        #[test]
        fn only_publishes_count() {
            let mut counter = Packets::default();
            let bytes = [&publish(5)[..], &[0xd0, 0], &publish(300), &[0x90, 3, 0, 1, 0], &publish(1)].concat();
            assert_eq!(counter.count(&bytes), 3);
        }
    }
}
