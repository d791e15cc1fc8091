//! Reads many connections in one thread and counts the states that arrive: the same reader for every system whose wire
//! is simple enough, so that a crowd costs the same with each of these systems.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::system::{Crowd, Result};

/// Finds the states in the bytes of one connection. What belongs to the protocol only does not count.
pub trait FrameCounter: Send {
    /// Takes the bytes that follow those of the calls before; returns how many states are complete with them.
    fn count(&mut self, bytes: &[u8]) -> u64;
}

/// Connections whose hand-shakes are done.
pub struct Drain {
    epoll: OwnedFd,
    connections: Vec<(OwnedFd, Box<dyn FrameCounter>)>,
    buffer: Vec<u8>,
}

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// Descriptors of one wait.
const EVENTS: usize = 256;

impl Drain {
    /// Takes sockets, blocking or not, that are subscribed.
    pub fn new(connections: Vec<(OwnedFd, Box<dyn FrameCounter>)>) -> Result<Drain> {
        // SAFETY: no memory is passed.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(format!("cannot create an epoll descriptor: {}", std::io::Error::last_os_error()));
        }
        // SAFETY: it is open, and has no other owner.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        for (index, (socket, _)) in connections.iter().enumerate() {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index as u64 };
            // SAFETY: both descriptors are open, the event lives until the call returns.
            let added =
                unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event) };
            if added < 0 {
                let error = std::io::Error::last_os_error();
                return Err(format!("cannot wait for connection {index}: {error}"));
            }
        }
        Ok(Drain { epoll, connections, buffer: vec![0; READ] })
    }
}

impl Crowd for Drain {
    fn drain(&mut self, states: u64, _payload: usize, patience: Duration) -> Result<u64> {
        let wanted = states * self.connections.len() as u64;
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        let mut arrived = 0;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        while arrived < wanted {
            // SAFETY: the array has EVENTS elements.
            let ready =
                unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, patience) };
            if ready < 0 {
                let error = std::io::Error::last_os_error();
                if error.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(format!("cannot wait for {} connections: {error}", self.connections.len()));
            }
            if ready == 0 {
                break;
            }
            for event in &events[..ready as usize] {
                let index = event.u64 as usize;
                let (socket, counter) = &mut self.connections[index];
                // SAFETY: the buffer has that many bytes.
                let n = unsafe {
                    libc::recv(
                        socket.as_raw_fd(),
                        self.buffer.as_mut_ptr().cast(),
                        self.buffer.len(),
                        libc::MSG_DONTWAIT,
                    )
                };
                if n > 0 {
                    arrived += counter.count(&self.buffer[..n as usize]);
                    continue;
                }
                let error = std::io::Error::last_os_error();
                let again = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::Interrupted];
                if n == 0 || !again.contains(&error.kind()) {
                    let why = if n == 0 { "closed by the hub".to_string() } else { error.to_string() };
                    return Err(format!("connection {index} of {} ended: {why}", self.connections.len()));
                }
            }
        }
        Ok(arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    /// Each byte is a state.
    struct Bytes;

    impl FrameCounter for Bytes {
        fn count(&mut self, bytes: &[u8]) -> u64 {
            bytes.len() as u64
        }
    }

    fn pairs(n: usize) -> (Vec<UnixStream>, Drain) {
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..n).map(|_| UnixStream::pair().unwrap()).unzip();
        let connections = theirs.into_iter().map(|socket| (socket.into(), Box::new(Bytes) as _)).collect();
        (ours, Drain::new(connections).unwrap())
    }

    #[test]
    fn what_arrives_on_any_connection_is_counted_until_it_is_enough() {
        let (mut sockets, mut drain) = pairs(3);
        for socket in &mut sockets {
            socket.write_all(b"12").unwrap();
        }
        assert_eq!(drain.drain(2, 1, Duration::from_secs(60)), Ok(6));
    }

    #[test]
    fn what_does_not_arrive_is_waited_for_no_longer_than_told() {
        let (mut sockets, mut drain) = pairs(2);
        sockets[1].write_all(b"1").unwrap();
        assert_eq!(drain.drain(1, 1, Duration::ZERO), Ok(1));
        assert_eq!(drain.drain(1, 1, Duration::ZERO), Ok(0));
    }

    #[test]
    fn a_connection_that_the_hub_closes_is_named() {
        let (mut sockets, mut drain) = pairs(2);
        sockets.remove(1);
        let error = drain.drain(1, 1, Duration::from_secs(60)).unwrap_err();
        assert!(error.contains("connection 1 of 2") && error.contains("closed"), "{error}");
    }
}
