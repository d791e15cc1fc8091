//! What a hub keeps of each peer.

use super::super::link::handshake::Side;
use super::super::link::outbox::Pool;
use super::super::link::{Link, LinkLimits};
use super::super::{ConnId, ConnInfo, Now};
use super::audience::Profile;
use super::config::RouterConfig;
use super::counting::Ask;
use super::life::Life;
use super::overhead::Overhead;
use super::presence::Watch;
use super::queries::Listing;
use super::unfinished::Share;
use crate::limits;
use crate::options::HubOption;
use crate::time::MonoTime;
use crate::wire::{Control, Features, PeerStats};
use crate::Status;

/// More answers are not added where so many bytes wait: as many clients as there may be must not fill memory.
const ANSWERS: usize = 256 << 10;

/// How far a peer has come.
pub enum Stage {
    /// Its handshake goes on.
    Handshake,
    /// A v1 link that has not said hello.
    Hello,
    /// It has said hello, and waits for the holder of its identity.
    Claiming,
    /// It named a wrong token, and is told so later, in these words.
    Denied(Box<str>),
    /// It takes part.
    Up,
    /// It asked for a page, and is sent that.
    Served,
    /// To be closed.
    Closing,
}

/// One connection of a hub.
pub struct Peer {
    pub stage: Stage,
    pub profile: Profile,
    pub tally: Tally,
    pub link: Link,
    /// What it sent and is left for later, from there on.
    pub deferred: (Vec<u8>, usize),
    /// A list that it asked for and that is being made, and what the answer begins with.
    pub listing: Option<(Box<Listing>, Vec<u8>)>,
    /// What the decoder, and what is left for later, had allocated when last looked at.
    pub unfinished: Share,
    /// Whether it lives.
    pub life: Life,
    /// Since when something waits for it without a pause.
    pub backlog: Option<MonoTime>,
    /// There were as many peers as there may be when it came, by this limit.
    pub surplus: Option<HubOption>,
    /// It was told of states that were not taken, and does not read that: it is not read either.
    pub behind: bool,
    /// What it is to be told.
    pub owed: Owed,
    /// What it sent beside messages.
    pub overhead: Overhead,
    /// Its connection has ended, and why; what it sent before is left for later.
    pub ended: Option<(Status, String)>,
}

/// What a peer is to be told beside states.
#[derive(Default)]
pub struct Owed {
    /// How often it has asked for more since its hello.
    pub asks: u64,
    /// How many wills it has left since its hello: an answer names one by its number.
    pub wills: u64,
    /// It is to be told when it has all that it has asked for.
    pub synced: bool,
    /// What the hub counts, if it has asked.
    pub stats: Option<Ask>,
    /// Which apps are there, if it wants to know.
    pub watch: Option<Box<Watch>>,
}

/// What is counted of a peer, and what was logged of it.
#[derive(Default)]
pub struct Tally {
    pub counters: PeerStats,
    /// When it connected.
    pub since: MonoTime,
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
    /// A peer of which nothing is known but its connection.
    pub fn new(now: Now, conn: ConnId, info: ConnInfo, config: &RouterConfig, pool: &Pool) -> Peer {
        let profile = Profile::new(conn, &info);
        // Apps over a transport without a handshake say hello at once.
        let frame = if info.framing.has_handshake() { profile.max_frame(config) } else { limits::MAX_HELLO };
        let limits = LinkLimits { frame, outbox: config.outbox, answers: config.outbox.min(ANSWERS) };
        let link = Link::new(now, conn, &info, Side::of_hub(info.gateway), limits, pool);
        Peer {
            stage: if link.is_open() { Stage::Hello } else { Stage::Handshake },
            profile,
            link,
            tally: Tally { since: now.mono, ..Tally::default() },
            deferred: Default::default(),
            listing: None,
            unfinished: Share::default(),
            life: Life::default(),
            backlog: None,
            surplus: None,
            behind: false,
            owed: Owed::default(),
            overhead: Overhead::default(),
            ended: None,
        }
    }

    /// Whether it takes part.
    #[inline]
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    /// Whether it is to be closed.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    /// Notes that it is asked for its identity.
    pub fn probe(&mut self, now: Now) {
        self.life.probe(now, self.link.progress());
    }

    /// Whether it has left that question unanswered for so long that it counts as lost.
    pub fn is_lost(&self, now: Now) -> bool {
        self.life.has_left_probe_unanswered(now, self.link.progress())
    }

    /// It asks for everything, or for more than before, and is told when it has that.
    pub fn asks_for_all(&mut self) {
        self.owed.synced = self.profile.features.contains(Features::SYNCED);
    }

    /// What it is told now: that it has everything that it has asked for.
    pub fn due_synced(&mut self) -> Option<Control<'static>> {
        let due = self.owed.synced && self.is_up() && !self.link.feed.owes_what_was_held() && self.link.has_room();
        self.owed.synced &= !due;
        due.then_some(Control::Synced { asks: self.owed.asks })
    }

    /// Whether something that it asks for is left for later.
    pub fn has_left_over(&self) -> bool {
        !self.deferred.0.is_empty() || self.listing.is_some()
    }

    /// Bytes that are allocated for what it is sent, and for a list that it asked for.
    pub fn held(&self) -> usize {
        self.link.feed.waiting() + self.listing.as_ref().map_or(0, |(listing, _)| listing.allocated())
    }

    /// What decides which peer gives way when there is no memory: what it holds, by how long that waits. `None`: it takes
    /// what it is sent.
    pub fn weight(&self, now: Now) -> Option<u128> {
        let waits = now.mono.since(self.backlog?).as_nanos() + 1;
        Some(self.held() as u128 * waits).filter(|&weight| weight > 0)
    }

    /// Whether the driver is to read from it.
    pub fn is_read(&self) -> bool {
        if self.overhead.is_too_much() || self.behind && !self.link.has_room() {
            return false;
        }
        !self.has_left_over() && self.may_go_on()
    }

    /// Whether it goes on with what was left for later. Not if it sends requests and does not take the answers.
    pub fn may_go_on(&self) -> bool {
        !self.profile.is_answered() || self.link.has_room()
    }

    /// What is counted of it.
    pub fn stats_at(&self, now: Now) -> PeerStats {
        PeerStats { connected_ms: now.mono.since(self.tally.since).as_millis() as u64, ..self.stats() }
    }

    /// The same without the time that it has been connected.
    pub fn stats(&self) -> PeerStats {
        PeerStats {
            connection: self.profile.conn.0,
            identity: self.profile.identity.to_string(),
            from: self.profile.from.clone(),
            old: self.profile.is_old(),
            live: self.link.feed.is_live(),
            suspect: self.life.is_suspect,
            messages_out: self.link.feed.sent,
            bytes_out: self.link.feed.sent_bytes,
            conflated: self.link.feed.conflated(),
            outbox_bytes: self.link.feed.waiting() as u64,
            ..self.tally.counters.clone()
        }
    }
}
