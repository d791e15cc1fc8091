//! What a hub holds in all, and who pays when that is too much.
//!
//! There is one limit for all of it. The table may take half, unfinished messages a quarter; the rest is for what waits
//! to be written. Once more than half of that rest is in use, a peer falls behind, and gets newest values only, when its
//! share of it is used up. Beyond the limit, the hub closes the peers that have most waiting for the longest. One that
//! takes what it is sent has the least weight.

use super::core::{Core, Timer};
use super::peer::Peer;
use super::reclaim::Reclaim;
use super::{reclaim, Now, Router};
use crate::Status;

/// The limits of the parts, made from that of the whole, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Ceilings {
    /// All that peers may cost.
    pub memory: usize,
    /// Unfinished messages.
    unfinished: usize,
    /// What waits to be written.
    queued: usize,
}

/// What is known of the memory of a hub, beside what its parts know.
#[derive(Default)]
pub struct Memory {
    ceilings: Ceilings,
    reclaim: Reclaim,
    /// Bytes that are allocated for lists that are being made.
    pub listings: usize,
}

impl Core {
    /// Makes the limits of the parts. To be called before there is a peer.
    pub fn set_ceilings(&mut self) {
        let memory = self.most_memory();
        self.intake.table.ceiling = memory / 2;
        self.memory.ceilings =
            Ceilings { memory, unfinished: self.config.unfinished.min(memory / 4), queued: memory / 4 };
    }

    /// The most bytes for states and messages.
    pub fn most_memory(&self) -> usize {
        match self.config.memory {
            0 => self.intake.table.capacity.bytes.saturating_mul(2),
            memory => memory,
        }
    }

    /// Bytes that are allocated for what waits to be written: outboxes, bodies that only they hold, and lists that are
    /// being made. At most so many, since bodies that are gone are noticed late.
    #[inline]
    pub fn queued(&self) -> usize {
        self.pool.held() + self.intake.table.pinned.bytes() + self.memory.listings
    }

    /// Bytes that are allocated for states and messages.
    #[inline]
    pub fn held(&self) -> usize {
        self.intake.table.bytes() + self.intake.table.reserved + self.passing()
    }

    /// Those of them that are not the table's: they are freed when they are taken, or when their peers leave.
    #[inline]
    fn passing(&self) -> usize {
        self.unfinished.bytes() + self.queued()
    }

    /// Tells the owner if much was freed.
    pub fn reclaim(&mut self) {
        if self.memory.reclaim.take(self.held()) {
            self.reports.freed();
        }
    }

    /// With so many bytes waiting, one of so many peers falls behind, and is sent no more from the table, if its own limit
    /// is not lower.
    #[inline]
    pub fn share(&self, peers: usize) -> usize {
        /// A share below this would be used up by a moment's work.
        const LEAST: usize = 16 << 10;
        let all = self.memory.ceilings.queued;
        if self.queued() <= all / 2 {
            return usize::MAX;
        }
        (all / peers.max(1)).max(LEAST)
    }

    /// The list that a peer asked for, if there is one, will not be answered.
    pub fn drop_listing(&mut self, peer: &mut Peer) {
        if let Some((listing, _)) = peer.listing.take() {
            self.memory.listings -= listing.allocated();
        }
    }
}

impl Router {
    /// Closes peers while there is too much of anything.
    #[inline]
    pub fn relieve(&mut self, now: Now) {
        let Ceilings { memory, unfinished, .. } = self.core.memory.ceilings;
        let (held, passing) = (self.core.held(), self.core.passing());
        if self.core.memory.reclaim.holds(held, passing) && !self.core.timers.is_set(Timer::Reclaim) {
            self.core.timers.set(Timer::Reclaim, now.mono + reclaim::PAUSE);
        }
        if self.core.unfinished.bytes() > unfinished || held > memory {
            self.relieve_unfinished(now, unfinished);
            self.relieve_all(now, memory);
        }
    }

    /// Those pay that make no progress, or that hold most for the longest, and not the one that comes last.
    #[cold]
    fn relieve_unfinished(&mut self, now: Now, most: usize) {
        let floor = self.core.config.floor();
        while self.core.unfinished.bytes() > most {
            let peers = self.peers.iter_mut_with_places().filter(|(_, peer)| !peer.is_closing());
            let weights = peers.filter_map(|(i, peer)| Some((peer.unfinished.weight(now, floor)?, i)));
            let Some(((slow, _), i)) = weights.max() else { return };
            let which = if slow { "makes the least progress" } else { "holds most of it, for the longest" };
            let text = format!("unfinished messages take more than {most} bytes together, and this one {which}");
            self.close(now, i, Status::NoMemory, text);
        }
    }

    /// Those pay that have most waiting for the longest.
    #[cold]
    fn relieve_all(&mut self, now: Now, most: usize) {
        self.core.intake.table.pinned.sweep();
        let over = self.core.held().saturating_sub(most);
        // What waits for a peer that is to be closed is as good as gone.
        let mut freed: usize = self.peers.iter().filter(|peer| peer.is_closing()).map(|peer| peer.held()).sum();
        while freed < over {
            let peers = self.peers.iter_mut_with_places().filter(|(_, peer)| !peer.is_closing());
            let weights = peers.filter_map(|(i, peer)| Some((peer.weight(now)?, i)));
            let Some((_, i)) = weights.max() else { return };
            let held = self.peers[i].held();
            freed += held;
            let text = format!("the hub holds more than {most} bytes, {held} of which wait for this peer to take them");
            self.close(now, i, Status::NoMemory, text);
        }
    }
}
