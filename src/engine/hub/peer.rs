//! What a hub keeps of each peer.

use super::super::feed::Feed;
use super::super::{ConnInfo, Now};
use super::audience::Profile;
use super::config::RouterConfig;
use super::peers::PeerId;
use super::stats::PeerStats;
use crate::framing::{Decoder, HEADER_LEN};
use crate::limits;
use crate::visible::one_line;
use crate::wire::{HelloFlags, Secret};

/// More answers are not added where so many bytes wait: as many clients as there may be must not fill memory.
const ANSWERS: usize = 256 << 10;

pub enum Stage {
    /// Its SP header is being read.
    Header([u8; HEADER_LEN], usize),
    /// A v1 link that has not said hello.
    Hello,
    /// Its identity is held by `holder`, which is being asked by this ping whether it lives.
    Probing { holder: PeerId, token: u64 },
    /// It takes part.
    Up,
    /// To be closed.
    Closing,
}

pub struct Peer {
    pub info: ConnInfo,
    pub stage: Stage,
    pub profile: Profile,
    pub feed: Feed,
    pub decoder: Decoder,
    /// What it sent and is left for later, from there on.
    pub deferred: (Vec<u8>, usize),
    /// What the decoder, and what is left for later, had allocated when last looked at.
    pub unfinished: usize,
    pub epoch: u64,
    pub secret: Option<Secret>,
    pub flags: HelloFlags,
    /// When it was first asked whether it lives since it last sent bytes.
    pub probed: Option<u64>,
    /// Peers that want its identity, and wait for it to answer or to leave.
    pub claimants: Vec<PeerId>,
    /// There were as many peers as there may be when it came.
    pub surplus: bool,
    /// When it last sent bytes.
    pub progress: u64,
    pub flushing: bool,
    /// The newest ping that found no room for its answer.
    pub pong: Option<u64>,
    /// It was told of states that were not taken, and does not read that: it is not read either.
    pub behind: bool,
    /// Its logical time when it said hello.
    pub time: Option<u64>,
    pub counters: PeerStats,
    pub warned: Warned,
}

/// What was logged of a peer: each once.
#[derive(Default)]
pub struct Warned {
    pub malformed: bool,
    pub withheld: bool,
    pub refused: bool,
    pub other: bool,
}

impl Peer {
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// Whether this is another connection of the same app. The instance is in every stamp, so that it proves nothing: the
    /// secret does.
    pub fn is_same_app(&self, other: &Peer) -> bool {
        let proven = match (&self.secret, &other.secret) {
            (Some(one), Some(other)) => one.matches(other),
            (None, None) => true,
            _ => false,
        };
        proven && self.profile.instance == other.profile.instance
    }

    /// Notes that it is asked whether it lives. The time counts from the first such question since it last sent bytes.
    pub fn probe(&mut self, now: Now) {
        if self.probed.is_none_or(|at| self.progress > at) {
            self.probed = Some(now.mono);
        }
    }

    /// Whether it has left a question unanswered for so long that it counts as lost.
    pub fn is_lost(&self, now: Now) -> bool {
        let lost = limits::LOST.as_nanos() as u64;
        self.probed.is_some_and(|at| self.progress <= at && now.mono - at >= lost)
    }

    /// Whether an answer may be added: a peer that asks and does not read must not fill memory.
    pub fn has_room(&self, config: &RouterConfig) -> bool {
        self.feed.waiting() <= config.outbox.min(ANSWERS)
    }

    pub fn name(&self) -> String {
        if self.profile.identity.is_empty() {
            self.info.from.clone()
        } else {
            format!("{} ({})", one_line(&self.profile.identity), self.info.from)
        }
    }
}
