//! Connections that are carried elsewhere: in memory, or by another library.

use std::io::{self, IoSlice};
use std::sync::{Arc, Weak};

use super::mailbox::{Letter, Mailbox};

/// Carries the bytes of one connection of a [`Driver`](super::Driver), which closes it by dropping it.
pub trait Carrier: Send {
    /// Gives it to a loop. It is then read and written as if it were ready.
    fn attach(&mut self, ready: Ready);

    /// As of a socket that does not block: 0 is the end of the stream. After [`io::ErrorKind::WouldBlock`] the loop is
    /// told once there is something.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// As of a socket that does not block. After less than all of `slices` the loop is told once there is room.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// The loop of a connection, and the connection's key there.
#[derive(Clone)]
pub struct Ready {
    mailbox: Weak<Mailbox>,
    key: u64,
}

impl Ready {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, key: u64) -> Ready {
        Ready { mailbox: Arc::downgrade(mailbox), key }
    }

    /// Has the loop read and write the connection again. From any thread that holds no lock of the loop; does not
    /// block.
    pub fn notify(&self) {
        if let Some(mailbox) = self.mailbox.upgrade() {
            mailbox.post(Letter::Ready(self.key));
        }
    }
}
