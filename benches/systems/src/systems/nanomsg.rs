//! nanomsg: the BUS protocol around a socket that forwards, nn_bus(7).

use super::peer;
use crate::system::System;

const NAME: &str = "nanomsg ipc";

#[cfg(not(have_nanomsg))]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![peer::Absent::boxed(NAME, "libnanomsg-dev")]
}

#[cfg(have_nanomsg)]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(here::Nanomsg)]
}

#[cfg(have_nanomsg)]
mod here {
    use std::ffi::{c_char, c_int, c_void, CString};
    use std::mem::size_of;
    use std::process::Command;
    use std::time::Duration;

    use super::peer::{self, bus_crowd, message_size, milliseconds, put_message, BusClient, BusSocket};
    use crate::system::{hub_role, Crowd, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/nanomsg.rs"));

    /// NN_MSG: the library allocates, or takes, the memory of a message.
    const NN_MSG: usize = usize::MAX;

    extern "C" {
        fn nn_errno() -> c_int;
        fn nn_strerror(errno: c_int) -> *const c_char;
        fn nn_socket(domain: c_int, protocol: c_int) -> c_int;
        fn nn_close(socket: c_int) -> c_int;
        fn nn_setsockopt(socket: c_int, level: c_int, option: c_int, value: *const c_void, size: usize) -> c_int;
        fn nn_getsockopt(socket: c_int, level: c_int, option: c_int, value: *mut c_void, size: *mut usize) -> c_int;
        fn nn_bind(socket: c_int, url: *const c_char) -> c_int;
        fn nn_connect(socket: c_int, url: *const c_char) -> c_int;
        fn nn_device(one: c_int, other: c_int) -> c_int;
        fn nn_send(socket: c_int, message: *const c_void, size: usize, flags: c_int) -> c_int;
        fn nn_recv(socket: c_int, message: *mut c_void, size: usize, flags: c_int) -> c_int;
        fn nn_allocmsg(size: usize, kind: c_int) -> *mut c_void;
        fn nn_freemsg(message: *mut c_void) -> c_int;
        fn nn_get_statistic(socket: c_int, statistic: c_int) -> u64;
    }

    fn last_errno() -> c_int {
        // SAFETY: takes no memory.
        unsafe { nn_errno() }
    }

    fn last_error(what: &str) -> String {
        // SAFETY: the texts of the library are constants.
        unsafe { format!("nanomsg cannot {what}: {}", peer::words(nn_strerror(nn_errno()))) }
    }

    fn check(result: c_int, what: &str) -> Result<c_int> {
        match result {
            0.. => Ok(result),
            _ => Err(last_error(what)),
        }
    }

    struct Socket {
        raw: c_int,
        timeout: Option<Duration>,
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            // SAFETY: it is open, and not used any more.
            unsafe { nn_close(self.raw) };
        }
    }

    /// The memory of a message that arrived.
    struct Message {
        data: *mut c_void,
        size: usize,
    }

    impl AsRef<[u8]> for Message {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: the library gave this much.
            unsafe { std::slice::from_raw_parts(self.data.cast(), self.size) }
        }
    }

    impl Drop for Message {
        fn drop(&mut self) {
            // SAFETY: it came from the library and is freed once.
            unsafe { nn_freemsg(self.data) };
        }
    }

    impl Socket {
        fn new(domain: c_int) -> Result<Socket> {
            // SAFETY: takes no memory.
            let raw = check(unsafe { nn_socket(domain, NN_BUS) }, "make a socket")?;
            let socket = Socket { raw, timeout: None };
            // No limit, for states of 1 MiB and their names; 1 MiB by default. nn_setsockopt(3): NN_RCVMAXSIZE.
            // The buffers, NN_SNDBUF and NN_RCVBUF, stay as they are: a bus holds one message for each connection, and
            // drops those that come before it is written. nn_bus(7) warns of "overloading individual nodes".
            socket.set(NN_RCVMAXSIZE, -1)?;
            Ok(socket)
        }

        fn connected(place: &Place) -> Result<Socket> {
            let socket = Socket::new(AF_SP)?;
            // SAFETY: the text lives until the call returns.
            check(unsafe { nn_connect(socket.raw, url(place)?.as_ptr()) }, "connect")?;
            Ok(socket)
        }

        fn set(&self, option: c_int, value: c_int) -> Result<()> {
            // SAFETY: the value is copied.
            let result = unsafe {
                nn_setsockopt(self.raw, NN_SOL_SOCKET, option, (&raw const value).cast(), size_of::<c_int>())
            };
            check(result, "set an option of a socket").map(drop)
        }

        /// The next message, or None when there is none.
        fn take(&self, flags: c_int) -> Result<Option<Message>> {
            let mut data = std::ptr::null_mut::<c_void>();
            loop {
                // SAFETY: with NN_MSG, a pointer to a pointer is what it wants.
                let size = unsafe { nn_recv(self.raw, (&raw mut data).cast(), NN_MSG, flags) };
                if let Ok(size) = usize::try_from(size) {
                    return Ok(Some(Message { data, size }));
                }
                match last_errno() {
                    libc::EAGAIN | libc::ETIMEDOUT => return Ok(None),
                    libc::EINTR => {}
                    _ => return Err(last_error("receive")),
                }
            }
        }
    }

    impl Publisher for Socket {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            let size = message_size(name, payload);
            // SAFETY: takes no memory.
            let mut message = unsafe { nn_allocmsg(size, 0) };
            if message.is_null() {
                return Err(last_error("get memory for a message"));
            }
            // SAFETY: it has that size, and there is no other reference to it; each byte is written before it is read.
            put_message(unsafe { std::slice::from_raw_parts_mut(message.cast(), size) }, name, payload);
            loop {
                // SAFETY: with NN_MSG, a pointer to a pointer is what it wants; on success it takes the memory.
                if unsafe { nn_send(self.raw, (&raw mut message).cast(), NN_MSG, 0) } >= 0 {
                    return Ok(());
                }
                if last_errno() != libc::EINTR {
                    let why = last_error("send");
                    // SAFETY: it was not taken.
                    unsafe { nn_freemsg(message) };
                    return Err(why);
                }
            }
        }
    }

    impl BusSocket for Socket {
        type Message = Message;

        fn receive(&mut self, patience: Duration) -> Result<Option<Message>> {
            if self.timeout != Some(patience) {
                self.set(NN_RCVTIMEO, milliseconds(patience))?;
                self.timeout = Some(patience);
            }
            self.take(0)
        }

        fn receive_now(&self) -> Result<Option<Message>> {
            self.take(NN_DONTWAIT)
        }

        fn descriptor(&self) -> Result<c_int> {
            let mut value: c_int = -1;
            let mut size = size_of::<c_int>();
            // SAFETY: room for an int, which is what this option is.
            let result =
                unsafe { nn_getsockopt(self.raw, NN_SOL_SOCKET, NN_RCVFD, (&raw mut value).cast(), &mut size) };
            check(result, "tell when a socket is readable").map(|_| value)
        }
    }

    fn url(place: &Place) -> Result<CString> {
        peer::c_string(&format!("ipc://{}/nanomsg.ipc", peer::text(&place.directory)?))
    }

    pub struct Nanomsg;

    impl System for Nanomsg {
        fn name(&self) -> &'static str {
            super::NAME
        }

        fn version(&self) -> Result<String> {
            Ok(format!("nanomsg {}", env!("NANOMSG_VERSION")))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            Some(hub_role(self.name(), place))
        }

        fn serve_hub(&self, place: &Place) -> Result<()> {
            // A raw socket that sends each message to every connection but the one it came from. nn_device(3): loopback.
            let socket = Socket::new(AF_SP_RAW)?;
            // SAFETY: the text lives until the call returns.
            check(unsafe { nn_bind(socket.raw, url(place)?.as_ptr()) }, "listen")?;
            // SAFETY: the socket is open, and not used elsewhere.
            check(unsafe { nn_device(socket.raw, -1) }, "forward").map(drop)
        }

        fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            let socket = Socket::connected(place)?;
            peer::until_there(|| {
                // SAFETY: the socket is open.
                match unsafe { nn_get_statistic(socket.raw, NN_STAT_CURRENT_CONNECTIONS) } {
                    1.. => Ok(()),
                    0 => Err(format!("no hub at {:?} after {:?}", url(place)?, peer::PATIENCE)),
                }
            })?;
            Ok(Box::new(socket))
        }

        fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            Ok(Box::new(BusClient::new(Socket::connected(place)?, names)))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            let sockets = (0..n)
                .map(|index| {
                    Socket::connected(place).map_err(|why| {
                        // EMFILE also when descriptors are left: NN_MAX_SOCKETS is a constant of the library.
                        let limit = if last_errno() == libc::EMFILE { " (it has at most 512 per process)" } else { "" };
                        format!("{why} number {index} of {n}{limit}")
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            bus_crowd(sockets, self.publisher(place, "crowd")?)
        }

        fn is_lossy(&self) -> bool {
            true
        }
    }
}
