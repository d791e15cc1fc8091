//! NNG: the BUS protocol around a socket that forwards, nng_bus(7).

use super::peer;
use crate::system::System;

const NAME: &str = "nng ipc";

#[cfg(not(have_nng))]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![peer::Absent::boxed(NAME, "libnng-dev")]
}

#[cfg(have_nng)]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(here::Nng)]
}

#[cfg(have_nng)]
mod here {
    use std::ffi::{c_char, c_int, c_void, CStr};
    use std::mem::{offset_of, size_of};
    use std::process::Command;
    use std::time::Duration;

    use super::peer::{self, bus_crowd, message_size, milliseconds, put_message, BusClient, BusSocket};
    use crate::system::{hub_role, Crowd, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/nng.rs"));

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct RawSocket {
        id: u32,
    }

    const _: () = assert!(size_of::<RawSocket>() == NNG_SOCKET_SIZE && offset_of!(RawSocket, id) == NNG_SOCKET_ID);

    extern "C" {
        fn nng_version() -> *const c_char;
        fn nng_strerror(error: c_int) -> *const c_char;
        fn nng_bus0_open(socket: *mut RawSocket) -> c_int;
        fn nng_bus0_open_raw(socket: *mut RawSocket) -> c_int;
        fn nng_close(socket: RawSocket) -> c_int;
        fn nng_socket_set_int(socket: RawSocket, option: *const c_char, value: c_int) -> c_int;
        fn nng_socket_set_size(socket: RawSocket, option: *const c_char, value: usize) -> c_int;
        fn nng_socket_set_ms(socket: RawSocket, option: *const c_char, value: i32) -> c_int;
        fn nng_socket_get_int(socket: RawSocket, option: *const c_char, value: *mut c_int) -> c_int;
        fn nng_listen(socket: RawSocket, url: *const c_char, listener: *mut c_void, flags: c_int) -> c_int;
        fn nng_dial(socket: RawSocket, url: *const c_char, dialer: *mut c_void, flags: c_int) -> c_int;
        fn nng_device(one: RawSocket, other: RawSocket) -> c_int;
        fn nng_sendmsg(socket: RawSocket, message: *mut c_void, flags: c_int) -> c_int;
        fn nng_recvmsg(socket: RawSocket, message: *mut *mut c_void, flags: c_int) -> c_int;
        fn nng_msg_alloc(message: *mut *mut c_void, size: usize) -> c_int;
        fn nng_msg_free(message: *mut c_void);
        fn nng_msg_body(message: *mut c_void) -> *mut c_void;
        fn nng_msg_len(message: *const c_void) -> usize;
    }

    /// Messages that wait for a connection, and for the program: the most there can be. The bus drops what does not
    /// fit, and its default of 16 would lose nearly everything of a burst. nng_options(5): NNG_OPT_SENDBUF,
    /// NNG_OPT_RECVBUF.
    const BUFFER: c_int = 8192;

    fn check(result: c_int, what: &str) -> Result<()> {
        match result {
            0 => Ok(()),
            // SAFETY: the texts of the library live on.
            _ => Err(format!("NNG cannot {what}: {}", unsafe { peer::words(nng_strerror(result)) })),
        }
    }

    struct Message(*mut c_void);

    impl AsRef<[u8]> for Message {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: the body has that length, and lives as long as the message.
            unsafe { std::slice::from_raw_parts(nng_msg_body(self.0).cast(), nng_msg_len(self.0)) }
        }
    }

    impl AsMut<[u8]> for Message {
        fn as_mut(&mut self) -> &mut [u8] {
            // SAFETY: as above, and the message is this one's alone.
            unsafe { std::slice::from_raw_parts_mut(nng_msg_body(self.0).cast(), nng_msg_len(self.0)) }
        }
    }

    impl Drop for Message {
        fn drop(&mut self) {
            // SAFETY: it is ours, unless it was sent and forgotten.
            unsafe { nng_msg_free(self.0) };
        }
    }

    struct Socket {
        raw: RawSocket,
        timeout: Option<Duration>,
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            // SAFETY: it is open, and not used any more.
            unsafe { nng_close(self.raw) };
        }
    }

    impl Socket {
        fn new(open: unsafe extern "C" fn(*mut RawSocket) -> c_int) -> Result<Socket> {
            let mut raw = RawSocket { id: 0 };
            // SAFETY: a socket to write to.
            check(unsafe { open(&mut raw) }, "make a socket")?;
            let socket = Socket { raw, timeout: None };
            socket.set(NNG_OPT_SENDBUF, BUFFER)?;
            socket.set(NNG_OPT_RECVBUF, BUFFER)?;
            // No limit, which is what 0 means. nng_options(5): NNG_OPT_RECVMAXSZ.
            // SAFETY: the option is a text.
            let limit = unsafe { nng_socket_set_size(raw, NNG_OPT_RECVMAXSZ.as_ptr(), 0) };
            check(limit, "lift the limit on the size of a message")?;
            Ok(socket)
        }

        fn connected(place: &Place) -> Result<Socket> {
            let socket = Socket::new(nng_bus0_open)?;
            let url = peer::c_string(&url(place)?)?;
            peer::until_there(|| {
                // SAFETY: the text lives until the call returns; the dialer is not asked for.
                let result = unsafe { nng_dial(socket.raw, url.as_ptr(), std::ptr::null_mut(), 0) };
                check(result, "connect")
            })?;
            Ok(socket)
        }

        fn set(&self, option: &CStr, value: c_int) -> Result<()> {
            // SAFETY: the option is a text.
            let result = unsafe { nng_socket_set_int(self.raw, option.as_ptr(), value) };
            check(result, &format!("set {option:?} of a socket to {value}"))
        }

        /// The next message, or None when there is none.
        fn take(&self, flags: c_int) -> Result<Option<Message>> {
            let mut message = std::ptr::null_mut();
            // SAFETY: a pointer to write to; on success the message is ours.
            match unsafe { nng_recvmsg(self.raw, &mut message, flags) } {
                0 => Ok(Some(Message(message))),
                NNG_EAGAIN | NNG_ETIMEDOUT => Ok(None),
                error => check(error, "receive").map(|()| None),
            }
        }
    }

    impl Publisher for Socket {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            let mut raw = std::ptr::null_mut();
            // SAFETY: a pointer to write to.
            check(unsafe { nng_msg_alloc(&mut raw, message_size(name, payload)) }, "get memory for a message")?;
            let mut message = Message(raw);
            put_message(message.as_mut(), name, payload);
            // SAFETY: on success it takes the message.
            check(unsafe { nng_sendmsg(self.raw, message.0, 0) }, "send")?;
            std::mem::forget(message);
            Ok(())
        }
    }

    impl BusSocket for Socket {
        type Message = Message;

        fn receive(&mut self, patience: Duration) -> Result<Option<Message>> {
            if self.timeout != Some(patience) {
                // SAFETY: the option is a text.
                let result = unsafe { nng_socket_set_ms(self.raw, NNG_OPT_RECVTIMEO.as_ptr(), milliseconds(patience)) };
                check(result, "set how long a socket waits")?;
                self.timeout = Some(patience);
            }
            self.take(0)
        }

        fn receive_now(&self) -> Result<Option<Message>> {
            self.take(NNG_FLAG_NONBLOCK)
        }

        fn descriptor(&self) -> Result<c_int> {
            let mut value = -1;
            // SAFETY: the option is a text, and the value an int.
            let result = unsafe { nng_socket_get_int(self.raw, NNG_OPT_RECVFD.as_ptr(), &mut value) };
            check(result, "tell when a socket is readable").map(|()| value)
        }
    }

    fn url(place: &Place) -> Result<String> {
        Ok(format!("ipc://{}/nng.ipc", peer::text(&place.directory)?))
    }

    pub struct Nng;

    impl System for Nng {
        fn name(&self) -> &'static str {
            super::NAME
        }

        fn version(&self) -> Result<String> {
            // SAFETY: the text of the library lives on.
            Ok(format!("NNG {}", unsafe { peer::words(nng_version()) }))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            Some(hub_role(self.name(), place))
        }

        fn serve_hub(&self, place: &Place) -> Result<()> {
            let socket = Socket::new(nng_bus0_open_raw)?;
            let url = peer::c_string(&url(place)?)?;
            // SAFETY: the text lives until the call returns; the listener is not asked for.
            check(unsafe { nng_listen(socket.raw, url.as_ptr(), std::ptr::null_mut(), 0) }, "listen")?;
            // A reflector: each message goes to every connection but the one it came from. nng_device(3): one of the
            // sockets is not initialised, nng_bus(7): raw mode.
            // SAFETY: the socket is open, and not used elsewhere.
            check(unsafe { nng_device(socket.raw, RawSocket { id: 0 }) }, "forward")
        }

        fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            Ok(Box::new(Socket::connected(place)?))
        }

        fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            Ok(Box::new(BusClient::new(Socket::connected(place)?, names)))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            let sockets = (0..n)
                .map(|index| Socket::connected(place).map_err(|why| format!("{why} (socket {index} of {n})")))
                .collect::<Result<Vec<_>>>()?;
            bus_crowd(sockets, self.publisher(place, "crowd")?)
        }

        fn is_lossy(&self) -> bool {
            true
        }
    }
}
