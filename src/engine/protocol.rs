//! The seam between an engine and whatever moves its bytes.
//!
//! [`Router`](super::hub::Router) and [`Session`](super::app::Session) are driven through [`Protocol`] by a
//! loop of `crate::runtime`, by a test, or by a fuzzer.

use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;

use super::gateway::Gateway;
use crate::framing::http::server::Site;
use crate::framing::{Framing, Room};
use crate::time::{BootTime, MonoTime, WallTime};
use crate::Error;

/// A moment, as the driver of an engine tells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// By the monotonic clock.
    pub mono: MonoTime,
    /// By the wall clock, which may jump.
    pub wall: WallTime,
    /// By the boot clock, which goes on while the machine is suspended.
    pub boot: BootTime,
}

/// One connection; never used again by the same driver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// What a transport knows of a connection.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// How bodies are cut out of the bytes.
    pub framing: Framing,
    /// The other side in words, for logs and `ns_peer_fn`: an address, or the process id where the system tells it.
    pub from: String,
    /// The address of the other side, if it was accepted and has one; an IPv4 one in IPv6 is as IPv4. Limits are by it.
    pub host: Option<IpAddr>,
    /// Whether it is a socket of another protocol, and not one peer.
    pub gateway: Option<Gateway>,
    /// What is known of it if it is a WebSocket.
    pub web: Option<Web>,
}

/// What a transport knows of a WebSocket.
#[derive(Clone, Debug)]
pub enum Web {
    /// It was accepted, and this is served there.
    Site(Arc<Site>),
    /// It was dialled.
    Target {
        /// Host and port of the URL.
        host: String,
        /// Its path.
        path: String,
        /// Random; the other side learns it.
        key: [u8; 16],
        /// Random, and kept secret: what is sent is masked by it.
        masks: [u8; 16],
    },
}

/// What an engine asks of its driver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// This connection has something to write: gather and write until it would block, once.
    Flush(ConnId),
    /// Close this connection, after an attempt to write what it has. [`Protocol::closed`] is not called for it.
    Close(ConnId),
    /// Open a connection to this URL. Answered by [`Protocol::opened`] or [`Protocol::dial_failed`] with `token`.
    Dial {
        /// Names the attempt.
        token: u64,
        /// Where to, one address.
        url: String,
    },
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The other side closed it.
    ByPeer,
    /// Reading or writing failed.
    Failed(Error),
}

/// The seam between an engine and whatever moves its bytes.
///
/// After every call the driver takes all [`Protocol::next_action`]s, each after it has carried out the one before, and
/// calls [`Protocol::tick`] once it [is due](Protocol::is_due).
pub trait Protocol {
    /// A connection is there. `token` is that of the [`Action::Dial`] it answers; an accepted one has none.
    fn opened(&mut self, now: Now, conn: ConnId, info: ConnInfo, token: Option<u64>);
    /// An attempt to dial failed.
    fn dial_failed(&mut self, now: Now, token: u64, error: Error);
    /// Bytes arrived; `input` is not kept.
    fn bytes(&mut self, now: Now, conn: ConnId, input: &[u8]);
    /// Where the next bytes may be put instead of being given to [`Protocol::bytes`]: a large body is under way. The driver
    /// appends what it reads, and calls [`Protocol::placed`] before anything else.
    fn room(&mut self, _now: Now, _conn: ConnId) -> Option<Room<'_>> {
        None
    }
    /// So many bytes were appended where there was [room](Protocol::room).
    fn placed(&mut self, _now: Now, _conn: ConnId, _n: usize) {}
    /// Whether more bytes are taken now. While not, the driver leaves them where they are, so that the other side feels
    /// it, and asks again whenever it has taken the actions.
    fn reads(&self, _conn: ConnId) -> bool {
        true
    }
    /// The connection ended.
    fn closed(&mut self, now: Now, conn: ConnId, why: Closed);
    /// Appends what is to be written next, in order, to `slices` (as many as make a large write; none: nothing to write).
    fn gather<'a>(&'a mut self, now: Now, conn: ConnId, slices: &mut Vec<IoSlice<'a>>);
    /// The first `n` bytes of what [`Protocol::gather`] last gave were written. Whether it would give something again.
    fn wrote(&mut self, now: Now, conn: ConnId, n: usize) -> bool;
    /// The next thing to do, or none for now.
    fn next_action(&mut self) -> Option<Action>;
    /// When [`Protocol::tick`] is to be called.
    fn deadline(&self) -> Option<MonoTime>;
    /// Whether there is work that waits for nothing but for others to have their turn: [`Protocol::tick`] is to be called
    /// in the driver's next turn, whatever the time.
    fn is_ready(&self) -> bool {
        false
    }
    /// Whether [`Protocol::tick`] is to be called now.
    fn is_due(&self, now: Now) -> bool {
        self.is_ready() || self.deadline().is_some_and(|deadline| deadline <= now.mono)
    }
    /// Whether there is something for the thread of the loop, which takes it after each of its turns: what only that thread
    /// tells the program.
    fn has_news(&self) -> bool {
        false
    }
    /// Does what [is due](Protocol::is_due).
    fn tick(&mut self, now: Now);
}
