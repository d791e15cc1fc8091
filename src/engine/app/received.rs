//! What an app received: the newest value of each key, and what of it the program has not taken.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use super::super::expiring::Expiring;
use super::super::hash::KeyHash;
use super::super::newest::{Keyed, Newest, Place};
use super::super::slots::NONE;
use super::uptake::Uptake;
use crate::limits;
use crate::state::State;
use crate::time::MonoTime;
use crate::wire::Stamp;

/// Newest values by (sender, name), and what is owed to the program.
///
/// A program that keeps up is owed every value, from a queue. Once that is full, the keys of the queue are owed instead,
/// each at the place of its oldest value and with its newest: the list of owed keys goes through the newest values
/// themselves, so it needs no memory that grows with what comes. It stays until the program has taken all of it. Either the
/// queue or the list is empty.
///
/// Over its limit it forgets the keys that are not owed: first what was cleared, then those known longest. Owed keys may
/// take the queue's limit in addition; only beyond that the oldest of them are dropped.
pub struct Received {
    values: Newest<Known>,
    /// Bytes of the values.
    bytes: usize,
    limit: usize,
    /// The keys whose value the program is to be given, in the order in which it is.
    owed: List,
    /// All other keys that have a value.
    others: List,
    /// All other keys whose value was cleared.
    cleared: List,
    /// Values that the program is to be given, in the order in which they came.
    queue: VecDeque<State>,
    /// So many of them, from the first on, came before keys were forgotten on purpose.
    voided: usize,
    queue_limit: usize,
    /// Bytes that the program has not taken, whether from the queue or from the list.
    waiting: usize,
    uptake: Uptake,
    /// When values expire, by slot, and which: another one may be there by then.
    ends: Expiring<Stamp>,
    /// Values replaced by newer ones before the program took them.
    pub conflated: u64,
    /// Values dropped for lack of room.
    pub dropped: u64,
}

struct Known {
    state: State,
    key_hash: KeyHash,
    /// Its neighbours in the list that it is in.
    previous: u32,
    next: u32,
    is_owed: bool,
    /// It is here for the program only, to which it is owed: the key was forgotten on purpose.
    is_gone: bool,
}

impl Keyed for Known {
    fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    fn sender(&self) -> &str {
        self.state.sender()
    }

    fn name(&self) -> &str {
        self.state.name()
    }

    #[inline]
    fn is_of(&self, sender: &[u8], name: &[u8]) -> bool {
        self.state.is_of(sender, name)
    }

    #[inline]
    fn is_named(&self, name: &[u8]) -> bool {
        self.state.is_named(name)
    }

    fn stamp(&self) -> Stamp {
        self.state.stamp()
    }

    fn is_cleared(&self) -> bool {
        self.state.is_cleared() || self.is_gone
    }
}

/// A list of keys, linked by their slots.
struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl List {
    const EMPTY: List = List { first: NONE, last: NONE, len: 0 };

    fn push(&mut self, values: &mut Newest<Known>, slot: u32) {
        let previous = mem::replace(&mut self.last, slot);
        match values.get_mut(previous) {
            Some(known) => known.next = slot,
            None => self.first = slot,
        }
        let known = values.get_mut(slot).expect("a key that is known");
        (known.previous, known.next) = (previous, NONE);
        self.len += 1;
    }

    fn remove(&mut self, values: &mut Newest<Known>, slot: u32) {
        let &Known { previous, next, .. } = values.get(slot).expect("a key that is known");
        match values.get_mut(previous) {
            Some(known) => known.next = next,
            None => self.first = next,
        }
        match values.get_mut(next) {
            Some(known) => known.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }

    /// The first of them but this one.
    fn first_but(&self, values: &Newest<Known>, but: u32) -> Option<u32> {
        let first = if self.first == but { values.get(but)?.next } else { self.first };
        (first != NONE).then_some(first)
    }
}

impl Received {
    /// Nothing yet. It keeps `limit` bytes of newest values, and the program has a queue of `queue_limit` bytes.
    pub fn new(limit: usize, queue_limit: usize) -> Received {
        Received {
            values: Newest::new(),
            bytes: 0,
            limit,
            owed: List::EMPTY,
            others: List::EMPTY,
            cleared: List::EMPTY,
            queue: VecDeque::new(),
            voided: 0,
            queue_limit,
            waiting: 0,
            uptake: Uptake::default(),
            ends: Expiring::default(),
            conflated: 0,
            dropped: 0,
        }
    }

    /// Changes the limit of the queue for what comes.
    pub fn set_queue_limit(&mut self, limit: usize) {
        self.queue_limit = limit;
    }

    /// The limit of the queue, in bytes.
    pub fn queue_limit(&self) -> usize {
        self.queue_limit
    }

    /// How many values the program has not taken.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.owed.len
    }

    /// Their bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting
    }

    /// The place of a key.
    pub fn place(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Place {
        self.values.place(sender, name)
    }

    /// The value there.
    pub fn at(&self, place: Place) -> Option<&State> {
        self.values.get(place.slot?).filter(|known| !known.is_gone).map(|known| &known.state)
    }

    /// The value of a key.
    pub fn find(&self, sender: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Option<&State> {
        self.at(self.place(sender, name))
    }

    /// The newest value of any sender. Values are indexed by name from the first time on.
    pub fn newest(&mut self, name: &str) -> Option<&State> {
        self.values.index_names();
        self.values.newest(name).map(|known| &known.state)
    }

    /// Every value, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &State> {
        self.values.iter().filter(|known| !known.is_gone).map(|known| &known.state)
    }

    /// The value with this stamp, which was taken for this place, expires then.
    pub fn set_end(&mut self, place: Place, stamp: Stamp, end: MonoTime) {
        if let Some(slot) = place.slot {
            self.ends.set(slot, end, stamp);
        }
    }

    /// When the next value expires.
    pub fn next_to_expire(&self) -> Option<MonoTime> {
        self.ends.first()
    }

    /// The next value that has expired by then.
    pub fn take_expired(&mut self, mono: MonoTime) -> Option<State> {
        while let Some((slot, stamp)) = self.ends.take_due(mono) {
            let known = self.values.get(slot).filter(|known| !known.is_cleared() && known.state.stamp() == stamp);
            if let Some(known) = known {
                return Some(known.state.clone());
            }
        }
        None
    }

    /// Takes what came for the place of its key: it is the newest value, and owed to the program. Whether values that are
    /// owed were dropped for it.
    #[inline]
    pub fn insert(&mut self, place: Place, state: State) -> bool {
        let waiting = self.waiting + state.allocated();
        let slot = if self.owed.len == 0 && waiting <= self.queue_limit {
            self.waiting = waiting;
            self.queue.push_back(state.clone());
            self.remember(place, state, false)
        } else {
            self.insert_owed(place, state)
        };
        self.bytes > self.limit && self.forget_but(slot)
    }

    /// Makes it the newest value of its key, whose slot is returned. `is_gone`: for the program only.
    #[inline]
    fn remember(&mut self, place: Place, state: State, is_gone: bool) -> u32 {
        let size = state.allocated();
        self.bytes += size;
        match place.slot {
            Some(slot) => {
                let known = self.values.get_mut(slot).expect("nothing has changed since");
                let before = known.state.allocated();
                self.bytes -= before;
                known.is_gone = is_gone;
                if known.is_owed {
                    self.waiting = self.waiting + size - before;
                }
                let turns = known.state.is_cleared() != state.is_cleared() && !known.is_owed;
                if turns {
                    self.turn(slot, state);
                } else {
                    known.state = state;
                }
                self.values.restamped(slot);
                slot
            }
            None => {
                let known = Known { state, key_hash: place.hash, previous: NONE, next: NONE, is_owed: false, is_gone };
                let slot = self.values.insert(known);
                self.go_home(slot);
                slot
            }
        }
    }

    #[cold]
    fn insert_owed(&mut self, mut place: Place, state: State) -> u32 {
        if !self.queue.is_empty() {
            self.waiting = 0;
            // As if they came now: also the keys that were forgotten meanwhile are there again, but nobody finds those that
            // were forgotten on purpose.
            let voided = mem::take(&mut self.voided);
            for (at, state) in mem::take(&mut self.queue).into_iter().enumerate() {
                let place = self.place(state.sender(), state.name());
                let is_gone = at < voided && self.at(place).is_none();
                let slot = self.remember(place, state, is_gone);
                self.owe(slot);
            }
            place = self.place(state.sender(), state.name());
        }
        let slot = self.remember(place, state, false);
        self.owe(slot);
        slot
    }

    /// Adds a key to the list of those that are not owed, to which it belongs by its value. Of what was cleared, the oldest
    /// is forgotten where that is too much.
    #[inline]
    fn go_home(&mut self, slot: u32) {
        if !self.values.get(slot).is_some_and(|known| known.state.is_cleared()) {
            return self.others.push(&mut self.values, slot);
        }
        self.cleared.push(&mut self.values, slot);
        if self.cleared.len > limits::RECEIVED_CLEARED {
            self.forget(self.cleared.first);
        }
    }

    /// A key that is not owed has no value any more, or has one again.
    #[cold]
    fn turn(&mut self, slot: u32, state: State) {
        self.leave_home(slot);
        self.values.get_mut(slot).expect("a key that is known").state = state;
        self.go_home(slot);
    }

    /// Takes a key out of that list.
    #[inline]
    fn leave_home(&mut self, slot: u32) {
        let is_cleared = self.values.get(slot).is_some_and(|known| known.state.is_cleared());
        let list = if is_cleared { &mut self.cleared } else { &mut self.others };
        list.remove(&mut self.values, slot);
    }

    /// A key has another value for the program.
    fn owe(&mut self, slot: u32) {
        let known = self.values.get_mut(slot).expect("a key that is known");
        if mem::replace(&mut known.is_owed, true) {
            self.conflated += 1;
            return;
        }
        self.waiting += known.state.allocated();
        self.leave_home(slot);
        self.owed.push(&mut self.values, slot);
    }

    /// A key is owed no longer. Its value.
    fn settle(&mut self, slot: u32) -> Option<State> {
        let known = self.values.get_mut(slot)?;
        known.is_owed = false;
        let (state, is_gone) = (known.state.clone(), known.is_gone);
        self.waiting -= state.allocated();
        self.owed.remove(&mut self.values, slot);
        self.go_home(slot);
        if is_gone {
            self.forget(slot);
        }
        Some(state)
    }

    /// The next value for the program.
    pub fn take(&mut self) -> Option<State> {
        let state = match self.queue.pop_front() {
            Some(state) => {
                self.waiting -= state.allocated();
                self.voided = self.voided.saturating_sub(1);
                if self.queue.is_empty() {
                    self.queue.shrink_to(1024);
                }
                state
            }
            None => {
                let state = self.settle(self.owed.first)?;
                self.forget_others(NONE);
                state
            }
        };
        self.uptake.takes();
        Some(state)
    }

    /// The link was opened at this time.
    pub fn begin(&mut self, mono: MonoTime) {
        self.uptake.begin(mono);
    }

    /// Until when the program is waited for to take states, if it takes some and has half of what fits into its queue. To be
    /// asked whenever something came.
    pub fn full_until(&mut self, mono: MonoTime) -> Option<MonoTime> {
        let until = self.uptake.patience(mono);
        until.filter(|_| self.waiting >= self.queue_limit / 2)
    }

    /// Forgets keys other than this one, as far as the limits demand it. Whether values that are owed were among them.
    #[cold]
    fn forget_but(&mut self, slot: u32) -> bool {
        self.forget_others(slot);
        let dropped = self.dropped;
        while self.bytes > self.limit.saturating_add(self.queue_limit) {
            let Some(owed) = self.owed.first_but(&self.values, slot) else { break };
            self.settle(owed);
            self.forget(owed);
            self.dropped += 1;
        }
        self.dropped != dropped
    }

    /// Forgets keys that are not owed, other than this one, as far as the limit demands it.
    fn forget_others(&mut self, but: u32) {
        while self.bytes > self.limit {
            let cleared = self.cleared.first_but(&self.values, but);
            let Some(slot) = cleared.or_else(|| self.others.first_but(&self.values, but)) else { return };
            self.forget(slot);
        }
    }

    /// Forgets values that say yes to this. What is owed stays so.
    pub fn forget_if(&mut self, is_one: impl Fn(&State) -> bool) {
        for slot in 0..self.values.end() as u32 {
            if self.values.get(slot).is_some_and(|known| !known.is_gone && is_one(&known.state)) {
                self.queue_owed();
                self.forget(slot);
                self.voided = self.queue.len();
            }
        }
    }

    /// Forgets a key, if it is known. What is owed stays so.
    pub fn forget_key(&mut self, sender: &str, name: &str) {
        let Some(slot) = self.place(sender, name).slot else { return };
        if self.values.get(slot).is_some_and(|known| known.is_owed) {
            self.queue_owed();
        }
        self.forget(slot);
        self.voided = self.queue.len();
    }

    /// Puts what is owed into the queue, whatever its limit: it does not depend on the keys any more.
    fn queue_owed(&mut self) {
        while let Some(state) = self.settle(self.owed.first) {
            self.waiting += state.allocated();
            self.queue.push_back(state);
        }
    }

    /// Forgets a key that is not owed, if it is known.
    fn forget(&mut self, slot: u32) {
        if self.values.get(slot).is_none() {
            return;
        }
        self.leave_home(slot);
        if let Some(known) = self.values.remove(slot) {
            self.bytes -= known.state.allocated();
        }
    }

    /// Forgets every key. What is owed stays so.
    pub fn clear(&mut self) {
        self.queue_owed();
        (self.values, self.bytes) = (Newest::new(), 0);
        self.ends = Expiring::default();
        (self.others, self.cleared) = (List::EMPTY, List::EMPTY);
        self.voided = self.queue.len();
    }
}
