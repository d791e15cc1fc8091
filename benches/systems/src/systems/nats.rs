//! NATS: core publish and subscribe over TCP, with nats.c.

use super::peer;
use crate::system::System;

const NAME: &str = "nats tcp";

#[cfg(not(have_nats))]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![peer::Absent::boxed(NAME, "libnats-dev")]
}

#[cfg(have_nats)]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(here::Nats)]
}

#[cfg(have_nats)]
mod here {
    use std::ffi::{c_char, c_int, c_void};
    use std::net::TcpStream;
    use std::process::Command;
    use std::time::Duration;

    use super::peer;
    use crate::drain::FrameCounter;
    use crate::system::{Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/nats.rs"));

    const PROGRAM: &str = "nats-server";
    const PACKAGE: &str = "nats-server";
    const HOST: &str = "127.0.0.1";
    /// Every name.
    const EVERYTHING: &str = ">";

    extern "C" {
        fn nats_GetVersion() -> *const c_char;
        fn natsStatus_GetText(status: c_int) -> *const c_char;
        fn natsOptions_Create(options: *mut *mut c_void) -> c_int;
        fn natsOptions_Destroy(options: *mut c_void);
        fn natsOptions_SetURL(options: *mut c_void, url: *const c_char) -> c_int;
        fn natsOptions_SetName(options: *mut c_void, name: *const c_char) -> c_int;
        fn natsOptions_SetNoEcho(options: *mut c_void, on: bool) -> c_int;
        fn natsOptions_SetSendAsap(options: *mut c_void, on: bool) -> c_int;
        fn natsOptions_SetAllowReconnect(options: *mut c_void, on: bool) -> c_int;
        fn natsConnection_Connect(connection: *mut *mut c_void, options: *mut c_void) -> c_int;
        fn natsConnection_Close(connection: *mut c_void);
        fn natsConnection_Destroy(connection: *mut c_void);
        fn natsConnection_FlushTimeout(connection: *mut c_void, milliseconds: i64) -> c_int;
        fn natsConnection_Publish(
            connection: *mut c_void,
            subject: *const c_char,
            data: *const c_void,
            size: c_int,
        ) -> c_int;
        fn natsConnection_SubscribeSync(
            subscription: *mut *mut c_void,
            connection: *mut c_void,
            subject: *const c_char,
        ) -> c_int;
        fn natsSubscription_SetPendingLimits(subscription: *mut c_void, messages: c_int, bytes: c_int) -> c_int;
        fn natsSubscription_NextMsg(message: *mut *mut c_void, subscription: *mut c_void, milliseconds: i64) -> c_int;
        fn natsSubscription_Destroy(subscription: *mut c_void);
        fn natsMsg_GetSubject(message: *const c_void) -> *const c_char;
        fn natsMsg_GetData(message: *const c_void) -> *const c_char;
        fn natsMsg_GetDataLength(message: *const c_void) -> c_int;
        fn natsMsg_Destroy(message: *mut c_void);
    }

    fn check(status: c_int, what: &str) -> Result<()> {
        match status {
            NATS_OK => Ok(()),
            // SAFETY: the texts of the library are constants.
            _ => Err(format!("nats.c cannot {what}: {}", unsafe { peer::words(natsStatus_GetText(status)) })),
        }
    }

    struct Options(*mut c_void);

    impl Drop for Options {
        fn drop(&mut self) {
            // SAFETY: connections have copies.
            unsafe { natsOptions_Destroy(self.0) };
        }
    }

    /// When what is published leaves.
    #[derive(Clone, Copy, PartialEq)]
    enum Leaves {
        /// By and by, by a thread of the library: the default.
        Together,
        /// At once.
        Alone,
    }

    struct Connection(*mut c_void);

    impl Drop for Connection {
        fn drop(&mut self) {
            // What is buffered would be lost. It is lost if the server has gone, which a drop cannot return.
            let _ = self.flush();
            // SAFETY: it is not used any more.
            unsafe { natsConnection_Destroy(self.0) };
        }
    }

    impl Connection {
        fn connect(place: &Place, identity: &str, leaves: Leaves) -> Result<Connection> {
            let url = format!("nats://{HOST}:{}", place.port);
            let (address, name) = (peer::c_string(&url)?, peer::c_string(identity)?);
            let mut options = std::ptr::null_mut();
            // SAFETY: a pointer to write to.
            check(unsafe { natsOptions_Create(&mut options) }, "make options")?;
            let options = Options(options);
            // NoEcho: no self-delivery. SendAsap: "reducing latency, but also throughput".
            // https://nats-io.github.io/nats.c/group__opts_group.html
            // SAFETY: the options live, the texts are copied.
            let statuses = unsafe {
                [
                    natsOptions_SetURL(options.0, address.as_ptr()),
                    natsOptions_SetName(options.0, name.as_ptr()),
                    natsOptions_SetNoEcho(options.0, true),
                    natsOptions_SetSendAsap(options.0, leaves == Leaves::Alone),
                    natsOptions_SetAllowReconnect(options.0, false),
                ]
            };
            statuses.into_iter().try_for_each(|status| check(status, "set an option"))?;
            peer::until_there(|| {
                let mut connection = std::ptr::null_mut();
                // SAFETY: a pointer to write to, and the options live.
                check(unsafe { natsConnection_Connect(&mut connection, options.0) }, &format!("connect to {url}"))?;
                Ok(Connection(connection))
            })
        }

        /// Returns once the server has got everything.
        fn flush(&self) -> Result<()> {
            let patience = peer::milliseconds(peer::PATIENCE).into();
            // SAFETY: the connection lives.
            check(unsafe { natsConnection_FlushTimeout(self.0, patience) }, "flush")
        }
    }

    /// Needs no flush: either a message leaves at once, or a thread of the library writes it within a millisecond. The
    /// flush of the library would have an answer from the server for each.
    impl Publisher for Connection {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            let subject = peer::c_string(name)?;
            let size = c_int::try_from(payload.len()).map_err(|_| format!("{} bytes are too many", payload.len()))?;
            // SAFETY: the connection lives; subject and payload are copied.
            let status = unsafe { natsConnection_Publish(self.0, subject.as_ptr(), payload.as_ptr().cast(), size) };
            check(status, "publish")
        }
    }

    struct Subscription(*mut c_void);

    impl Drop for Subscription {
        fn drop(&mut self) {
            // SAFETY: it is not used any more.
            unsafe { natsSubscription_Destroy(self.0) };
        }
    }

    struct Message(*mut c_void);

    impl Drop for Message {
        fn drop(&mut self) {
            // SAFETY: it is freed once.
            unsafe { natsMsg_Destroy(self.0) };
        }
    }

    impl Message {
        fn name(&self) -> Result<&str> {
            // SAFETY: it ends with a NUL and lives as long as the message.
            peer::name_text(unsafe { std::ffi::CStr::from_ptr(natsMsg_GetSubject(self.0)) }.to_bytes())
        }

        fn payload(&self) -> &[u8] {
            // SAFETY: that many bytes, which live as long as the message.
            unsafe {
                match usize::try_from(natsMsg_GetDataLength(self.0)) {
                    Ok(size @ 1..) => std::slice::from_raw_parts(natsMsg_GetData(self.0).cast(), size),
                    _ => &[],
                }
            }
        }
    }

    impl Subscription {
        /// The next message, or None when there is none within `patience`.
        fn next(&self, patience: Duration) -> Result<Option<Message>> {
            let mut message = std::ptr::null_mut();
            let patience = peer::milliseconds(patience).into();
            // SAFETY: a pointer to write to, and the subscription lives.
            match unsafe { natsSubscription_NextMsg(&mut message, self.0, patience) } {
                NATS_OK => Ok(Some(Message(message))),
                NATS_TIMEOUT => Ok(None),
                status => check(status, "receive").map(|()| None),
            }
        }
    }

    struct Client {
        subscription: Subscription,
        connection: Connection,
        /// Where they are several, there is one subscription to everything.
        names: Vec<String>,
    }

    impl Drop for Client {
        fn drop(&mut self) {
            // Ends the thread that reads, which in nats.c 3.4.1 may still be using a subscription that is destroyed.
            // SAFETY: the connection lives.
            unsafe { natsConnection_Close(self.connection.0) };
        }
    }

    impl Publisher for Client {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.connection.publish(name, payload)
        }
    }

    impl Subscriber for Client {
        fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
            while let Some(message) = self.subscription.next(patience)? {
                let name = message.name()?;
                if peer::wants(&self.names, name)
                    && handler(&mut self.connection, name, message.payload()) == Flow::Stop
                {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }

    /// Counts MSG: a line, of which the last word is the size of the payload; the payload; a line end.
    /// https://docs.nats.io/reference/reference-protocols/nats-protocol
    #[derive(Default)]
    struct Messages {
        /// The line that is not whole yet, without what ends it.
        line: Vec<u8>,
        /// Bytes still to come of a payload and its line end.
        skip: usize,
    }

    impl FrameCounter for Messages {
        fn count(&mut self, mut bytes: &[u8]) -> u64 {
            let mut complete = 0;
            while !bytes.is_empty() {
                if self.skip > 0 {
                    let skipped = self.skip.min(bytes.len());
                    bytes = &bytes[skipped..];
                    self.skip -= skipped;
                    complete += u64::from(self.skip == 0);
                    continue;
                }
                let end = bytes.iter().position(|&byte| byte == b'\n');
                self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                if end.is_some() {
                    if self.line.starts_with(b"MSG ") {
                        let text = String::from_utf8_lossy(&self.line);
                        let size = text.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok());
                        self.skip = size.map_or(0, |size: usize| size + 2);
                    }
                    self.line.clear();
                }
            }
            complete
        }
    }

    pub struct Nats;

    impl System for Nats {
        fn name(&self) -> &'static str {
            super::NAME
        }

        fn version(&self) -> Result<String> {
            let server = peer::server_version(PROGRAM, PACKAGE, "--version", ": v")
                .or_else(|_| peer::server_version(PROGRAM, PACKAGE, "--version", ": "))?;
            // SAFETY: the text of the library is a constant.
            Ok(format!("nats-server {server}, nats.c {}", unsafe { peer::words(nats_GetVersion()) }))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            // https://docs.nats.io/running-a-nats-service/configuration#limits
            let configuration = [
                format!("listen: \"{HOST}:{}\"", place.port),
                // States of 1 MiB and more; 1 MB by default.
                "max_payload: 8MB".to_string(),
                // What may wait for a receiver that is behind before it is cut off; 64 MB by default.
                "max_pending: 2GB".to_string(),
                // How long a write to it may take; 10 s by default.
                "write_deadline: \"2m\"".to_string(),
                // The connections of a crowd are only read: they answer no ping.
                "ping_interval: \"1h\"".to_string(),
                "logtime: false".to_string(),
            ]
            .join("\n");
            Some(peer::server(PROGRAM, PACKAGE, place, &(configuration + "\n"), &["-c"]))
        }

        fn publisher(&self, place: &Place, identity: &str) -> Result<Box<dyn Publisher>> {
            Ok(Box::new(Connection::connect(place, identity, Leaves::Together)?))
        }

        fn subscriber(&self, place: &Place, identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            let connection = Connection::connect(place, identity, Leaves::Alone)?;
            let (subject, names) = match names {
                [] => (EVERYTHING, vec![]),
                [name] => (*name, vec![]),
                several => (EVERYTHING, several.iter().map(|name| name.to_string()).collect()),
            };
            let subject = peer::c_string(subject)?;
            let mut subscription = std::ptr::null_mut();
            // SAFETY: a pointer to write to; the connection lives, the subject is copied.
            let status = unsafe { natsConnection_SubscribeSync(&mut subscription, connection.0, subject.as_ptr()) };
            check(status, "subscribe")?;
            let subscription = Subscription(subscription);
            // What may wait in the library before it drops; 65536 messages by default.
            // https://nats-io.github.io/nats.c/group__sub_group.html, natsSubscription_SetPendingLimits
            // SAFETY: the subscription lives.
            let status = unsafe { natsSubscription_SetPendingLimits(subscription.0, c_int::MAX, c_int::MAX) };
            check(status, "lift limits")?;
            connection.flush()?;
            Ok(Box::new(Client { subscription, connection, names }))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"echo":false}"#;
            let request = format!("{CONNECT}\r\nSUB {EVERYTHING} 1\r\nPING\r\n");
            peer::raw_crowd(
                n,
                || TcpStream::connect((HOST, place.port)),
                |_, socket| peer::ask(socket, request.as_bytes(), b"PONG\r\n"),
                || Box::<Messages>::default(),
            )
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const MESSAGE: &[u8] = b"MSG a/b 1 9\r\nMSG \r\n x \r\n";

        #[test]
        fn a_message_counts_once_however_it_is_cut() {
            for cut in 1..MESSAGE.len() {
                let mut counter = Messages::default();
                assert_eq!(counter.count(&MESSAGE[..cut]), 0, "cut at {cut}");
                assert_eq!(counter.count(&MESSAGE[cut..]), 1, "cut at {cut}");
            }
        }

        #[test]
        fn an_empty_payload_counts_and_a_ping_does_not() {
            let bytes = [b"PING\r\n", MESSAGE, b"MSG c 1 0\r\n\r\nPING\r\n", MESSAGE].concat();
            assert_eq!(Messages::default().count(&bytes), 3);
        }
    }
}
