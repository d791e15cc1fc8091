//! The way from a table to one connection.
//!
//! While the other side keeps up it is *live*: every change is written behind the last. Once more than the limit waits
//! it is *catching up*: nothing is added, and when what waits is written, a walk takes the newest values from the
//! table, until there is nothing it has not been sent. Joining, overflow and coming back are this one state.

use std::io::IoSlice;

use super::super::gateway::prefix_len;
use super::super::mutations::{is_on, Mutation};
use super::super::table::{Entry, EntryBody, Table, SHARE_FROM};
use super::outbox::{Outbox, Pool};
use super::walk::{Met, Walk};
use crate::framing::ws::{self, Masks};
use crate::framing::{frame_head, Framing, MAX_HEAD};
use crate::wire::{self, Features, Form, Meta};

/// What the other side is told of a value, beside its stamp.
#[derive(Clone, Copy, Default)]
struct Tells {
    /// That it was there when a walk was asked for.
    retained: bool,
    /// How much is left of its life.
    lifetime: bool,
    /// That it is transient.
    transient: bool,
}

/// What one connection is sent.
pub struct Feed {
    framing: Framing,
    /// Of a client of a WebSocket: what it sends is masked.
    masks: Option<Box<Masks>>,
    form: Form,
    /// The name of a state and a NUL stand before its body.
    named: bool,
    outbox: Outbox,
    /// None while live.
    walk: Option<Walk>,
    limit: usize,
    /// Changes that came while catching up, and how many of them were sent after all.
    missed: u64,
    late: u64,
    /// The table's version when catching up began.
    fell_behind: u64,
    tells: Tells,
    /// Up to which version values are marked in the first pass of a walk that was asked for, while that is not over.
    first_pass: Option<u64>,
    /// Kept for its allocation.
    scratch: Vec<u8>,
    /// Values and their bytes put into the outbox.
    pub sent: u64,
    /// Bytes of their bodies.
    pub sent_bytes: u64,
}

impl Feed {
    /// A feed that has nothing to send: live. Behind more than `limit` bytes nothing is put to wait; what waits is in
    /// chunks of `pool`.
    pub fn new(framing: Framing, limit: usize, pool: &Pool) -> Feed {
        Feed {
            framing,
            masks: None,
            form: Form::V1,
            named: false,
            outbox: Outbox::new(pool.clone()),
            walk: None,
            limit,
            missed: 0,
            late: 0,
            fell_behind: 0,
            tells: Tells::default(),
            first_pass: None,
            scratch: Vec::new(),
            sent: 0,
            sent_bytes: 0,
        }
    }

    /// From here on what is sent is masked.
    pub fn set_masks(&mut self, masks: Masks) {
        self.masks = Some(Box::new(masks));
    }

    /// From here on bodies have three elements.
    pub fn set_old(&mut self) {
        self.form = Form::Old;
    }

    /// From here on bodies have three elements, and their name and a NUL in front.
    pub fn set_named(&mut self) {
        self.form = Form::Old;
        self.named = true;
    }

    /// From here on what is in the table when all of it is asked for is marked as retained.
    pub fn mark_retained(&mut self) {
        self.tells.retained = true;
    }

    /// From here on it is told of values what it has announced that it knows.
    pub fn tell_features(&mut self, features: Features) {
        self.tells.lifetime = features.contains(Features::LIFETIME);
        self.tells.transient = features.contains(Features::TRANSIENT);
    }

    /// Whether bodies have three elements.
    pub fn is_old(&self) -> bool {
        self.form == Form::Old
    }

    /// Whether every change so far is in the outbox.
    pub fn is_live(&self) -> bool {
        self.walk.is_none()
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Whether there is nothing to write.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_empty() && self.walk.is_none()
    }

    /// Changes that were replaced by newer ones before they were sent.
    pub fn conflated(&self) -> u64 {
        self.missed.saturating_sub(self.late)
    }

    /// The version of the table up to which every change, or a newer one of its key, is in the outbox.
    pub fn through(&self, table: &Table) -> u64 {
        match &self.walk {
            None => table.version(),
            Some(walk) => walk.through(),
        }
    }

    /// Whether this entry was a [`Feed::change`], or would have been, since catching up began.
    pub fn came_while_behind(&self, entry: &Entry) -> bool {
        entry.version() > self.fell_behind
    }

    /// Sends everything in the table, from the start.
    pub fn walk_all(&mut self, table: &Table) {
        self.fell_behind = table.version();
        self.walk = Some(Walk::from(0));
        self.first_pass = Some(if self.tells.retained { table.version() } else { 0 });
    }

    /// Whether some of what the table held when all of it was asked for is not in the outbox yet.
    pub fn owes_what_was_held(&self) -> bool {
        self.first_pass.is_some() && !is_on(Mutation::SyncedEarly)
    }

    /// Bytes that are no body: a header.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.outbox.copy(&[], bytes);
    }

    /// What `write` appends, and masks if there are masks: a frame of a WebSocket that is no body.
    pub fn control(&mut self, write: impl FnOnce(Option<&mut Masks>, &mut Vec<u8>)) {
        self.scratch.clear();
        write(self.masks.as_deref_mut(), &mut self.scratch);
        self.outbox.copy(&[], &self.scratch);
    }

    /// A body that is not in the table.
    pub fn message(&mut self, body: &[u8]) {
        if let Some(masks) = &mut self.masks {
            return write_masked(masks, &mut self.outbox, &mut self.scratch, &[body]);
        }
        self.outbox.copy(&frame_head(self.framing, body.len()), body);
    }

    /// A message that is `start` and then `rest`, which is not copied if it is large.
    pub fn message_behind(&mut self, start: &mut Vec<u8>, rest: Vec<u8>) {
        let head = frame_head(self.framing, start.len() + rest.len());
        if rest.len() < SHARE_FROM {
            start.extend_from_slice(&rest);
            return self.outbox.copy(&head, start);
        }
        self.outbox.copy(&head, start);
        self.outbox.append(rest);
    }

    /// A change. The entry is in the table already. Whether this is the one with which the other side falls behind: as it
    /// does at `most` waiting bytes, if the feed's own limit is not lower.
    pub fn change(&mut self, table: &Table, entry: &Entry, most: usize) -> bool {
        if self.walk.is_some() {
            self.missed += 1;
            return false;
        }
        self.send(table, entry, false);
        let behind = self.outbox.len() > self.limit.min(most);
        if behind {
            self.fall_behind(table);
        }
        behind
    }

    /// What changes from here on is sent by a walk.
    pub fn fall_behind(&mut self, table: &Table) {
        if self.walk.is_none() {
            self.fell_behind = table.version();
            self.walk = Some(Walk::from(table.version()));
        }
    }

    /// An entry that may have been sent already.
    pub fn again(&mut self, table: &Table, entry: &Entry) {
        self.send(table, entry, false);
    }

    /// The length of the entry's body on this connection.
    pub fn body_len(&self, entry: &Entry) -> usize {
        match self.form {
            Form::Old => entry.meta_at(),
            Form::V1 => entry.bytes().len(),
        }
    }

    fn write(&mut self, entry: &Entry) {
        let len = self.body_len(entry);
        self.sent += 1;
        self.sent_bytes += len as u64;
        if self.named {
            let head = frame_head(self.framing, prefix_len(entry.name()) + len);
            self.outbox.copy(&head, entry.name().as_bytes());
            return self.write_from(1, &[0, Form::Old.head()], entry, len);
        }
        if let Some(masks) = &mut self.masks {
            let bytes = &entry.bytes()[..len];
            let old = [Form::Old.head()];
            let parts = if self.form == Form::Old { [&old, &bytes[1..]] } else { [bytes, &[]] };
            return write_masked(masks, &mut self.outbox, &mut self.scratch, &parts);
        }
        let head = frame_head(self.framing, len);
        match self.form {
            Form::V1 => self.write_from(0, &head, entry, len),
            Form::Old => {
                let mut start = [Form::Old.head(); MAX_HEAD + 1];
                start[..head.len()].copy_from_slice(&head);
                self.write_from(1, &start[..head.len() + 1], entry, len);
            }
        }
    }

    /// An entry of this table. `is_retained`: it was held when this side asked for all.
    #[inline]
    fn send(&mut self, table: &Table, entry: &Entry, is_retained: bool) {
        if !is_retained && entry.has_bare_meta() {
            return self.write(entry);
        }
        self.send_special(table, entry, is_retained);
    }

    /// One that is retained, or may be transient or expire.
    fn send_special(&mut self, table: &Table, entry: &Entry, is_retained: bool) {
        match (is_retained, table.lifetime(entry)) {
            (false, None) if self.tells.transient || !entry.is_transient() => self.write(entry),
            // Its tombstone follows.
            (_, Some(0)) => {}
            (_, lifetime) => self.write_with(entry, is_retained, lifetime),
        }
    }

    /// An entry with something else in its meta than the table has: that it is retained, how much is left of its life, and not
    /// that it is transient.
    fn write_with(&mut self, entry: &Entry, is_retained: bool, lifetime: Option<u64>) {
        if self.form == Form::Old {
            return self.write(entry);
        }
        let (mut meta, meta_at) = (std::mem::take(&mut self.scratch), entry.meta_at());
        meta.clear();
        let raw = &entry.bytes()[meta_at..];
        let is_transient = entry.is_transient();
        if is_retained || is_transient {
            let own = if entry.is_cleared() { Meta::CLEAR } else { 0 };
            let transient = if is_transient && self.tells.transient { Meta::TRANSIENT } else { 0 };
            let retained = if is_retained { Meta::RETAINED } else { 0 };
            wire::with_flags(raw, own | transient | retained, &mut meta);
        } else {
            meta.extend_from_slice(raw);
        }
        if lifetime.is_some() {
            let mut with = Vec::with_capacity(meta.len() + Meta::LIFETIME_LEN);
            wire::with_lifetime(&meta, lifetime.filter(|_| self.tells.lifetime), &mut with);
            meta = with;
        }
        let len = meta_at + meta.len();
        self.sent += 1;
        self.sent_bytes += len as u64;
        if let Some(masks) = &mut self.masks {
            let parts = [&entry.bytes()[..meta_at], &meta];
            return write_masked(masks, &mut self.outbox, &mut self.scratch, &parts);
        }
        self.write_from(0, &frame_head(self.framing, len), entry, meta_at);
        self.outbox.copy(&[], &meta);
        self.scratch = meta;
    }

    fn write_from(&mut self, first: usize, start: &[u8], entry: &Entry, len: usize) {
        match entry.body() {
            EntryBody::Small(bytes) => self.outbox.copy(start, &bytes[first..len]),
            EntryBody::Shared(bytes) => self.outbox.share(start, bytes.clone(), first..len),
        }
    }

    /// Whether more than what waits comes out of the table, and there is room for it while less than `most` waits.
    pub fn wants_more(&self, most: usize) -> bool {
        self.walk.is_some() && self.takes_more(most)
    }

    /// Whether a walk may add to what waits.
    fn takes_more(&self, most: usize) -> bool {
        /// A walk adds values while less than this waits.
        const FILL: usize = 256 << 10;
        self.outbox.len() < FILL.min(self.limit.min(most).max(1))
    }

    /// While catching up, takes what there is room for from the table, while less than `most` waits: of the entries that
    /// `wanted` says yes to, which may take steps, too. Looks at as many entries as it has `steps`; if these run out, it
    /// [wants more](Feed::wants_more).
    pub fn fill(
        &mut self,
        table: &Table,
        steps: &mut usize,
        most: usize,
        mut wanted: impl FnMut(&Feed, &Entry, &mut usize) -> bool,
    ) {
        let Some(mut walk) = self.walk.take() else { return };
        loop {
            let met = if self.takes_more(most) { walk.next(table, steps) } else { Met::Pause };
            match met {
                Met::Pause => {
                    walk.pause(table);
                    self.walk = Some(walk);
                    return;
                }
                Met::Entry(slot) => {
                    let entry = table.get(slot).expect("a walk gives slots that hold an entry");
                    if wanted(self, entry, steps) {
                        self.late += u64::from(self.came_while_behind(entry));
                        let is_retained = self.first_pass.is_some_and(|held| entry.version() <= held);
                        self.send(table, entry, is_retained);
                    }
                }
                Met::End => {
                    self.first_pass = None;
                    if walk.again(table) {
                        self.outbox_done();
                        return;
                    }
                }
            }
        }
    }

    /// Live again: what was missed and not sent late stays counted.
    fn outbox_done(&mut self) {
        self.missed = self.conflated();
        self.late = 0;
    }

    /// Appends what is to be written next to `slices`.
    pub fn gather<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        self.outbox.gather(slices);
    }

    /// The first `n` bytes were written. Whether there is more to write.
    pub fn wrote(&mut self, n: usize) -> bool {
        self.outbox.advance(n);
        !self.is_drained()
    }
}

/// A body of these parts, which a large one costs a copy.
fn write_masked(masks: &mut Masks, outbox: &mut Outbox, scratch: &mut Vec<u8>, parts: &[&[u8]]) {
    scratch.clear();
    ws::message(parts, masks, scratch);
    if scratch.len() < SHARE_FROM {
        outbox.copy(&[], scratch);
    } else {
        outbox.append(std::mem::take(scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Capacity;
    use super::super::walk::tests::put;
    use super::*;

    #[test]
    fn a_walk_takes_no_more_steps_than_it_is_given_and_goes_on_where_it_was() {
        const STATES: usize = 500;
        let mut table = Table::new(Capacity::default());
        for key in 0..STATES {
            put(&mut table, key, 1);
        }
        let mut feed = Feed::new(Framing::Tcp, 1 << 20, &Pool::new(0));
        feed.walk_all(&table);
        let (mut looks, mut turns) = (0, 0);
        while feed.wants_more(usize::MAX) {
            let (mut steps, before) = (60, looks);
            // Of what is not wanted nothing waits.
            feed.fill(&table, &mut steps, usize::MAX, |_, _, _| {
                looks += 1;
                looks % 100 == 0
            });
            turns += 1;
            assert!(looks - before <= 60 && (steps == 0 || feed.is_live()));
        }
        assert_eq!((looks, turns, feed.sent), (STATES, STATES.div_ceil(60), 5));
    }

    #[test]
    fn a_feed_tells_up_to_where_it_has_everything() {
        let mut table = Table::new(Capacity::default());
        let mut feed = Feed::new(Framing::Tcp, 100, &Pool::new(0));
        for key in 0..10 {
            put(&mut table, key, 1);
        }
        assert_eq!(feed.through(&table), 10);
        feed.walk_all(&table);
        assert_eq!(feed.through(&table), 0);
        feed.fill(&table, &mut { usize::MAX }, usize::MAX, |_, _, _| true);
        assert!(!feed.is_live() && feed.waiting() >= 100);
        assert_eq!(feed.through(&table), 0);
        while !feed.is_live() {
            feed.wrote(feed.waiting());
            feed.fill(&table, &mut { usize::MAX }, usize::MAX, |_, _, _| true);
        }
        assert_eq!((feed.through(&table), feed.sent, feed.conflated()), (10, 10, 0));
    }
}
