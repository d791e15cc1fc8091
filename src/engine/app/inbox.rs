//! What an app received and its program has not taken.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::HashTable;

use super::super::hash::{key_hasher, KeyHasher};
use super::accepted::Accepted;
use crate::limits;
use crate::state::State;
use crate::time::MonoTime;

/// A program that took no state for so long does not hold up the link. Shorter than the time in which
/// a probed app has to answer.
const PATIENCE: Duration = Duration::from_nanos(limits::IDENTITY_PROBE.as_nanos() as u64 / 2);

/// Whether the program takes states.
#[derive(Default)]
struct Uptake {
    /// States that it took.
    taken: u64,
    /// How many these were when that was last looked at.
    seen: u64,
    /// When it was last seen to have taken some.
    at: MonoTime,
}

/// A bounded queue of states. Over its limit it conflates, each key keeping its place in the queue; then it drops the
/// oldest. Both are counted.
pub struct Inbox {
    /// The kinds of states that go into it.
    pub accepted: Accepted,
    queue: VecDeque<State>,
    /// The number of the queue's first place, counted from the beginning of time.
    first: u64,
    bytes: usize,
    limit: usize,
    /// Where each key stands, once it has come to that.
    places: Option<HashTable<u64>>,
    hasher: KeyHasher,
    uptake: Uptake,
    /// States replaced by newer ones.
    pub conflated: u64,
    /// States dropped for lack of room.
    pub dropped: u64,
}

impl Inbox {
    /// An empty inbox of at most `limit` bytes.
    pub fn new(limit: usize) -> Inbox {
        Inbox {
            accepted: Accepted::all(),
            queue: VecDeque::new(),
            first: 0,
            bytes: 0,
            limit,
            places: None,
            hasher: key_hasher(),
            uptake: Uptake::default(),
            conflated: 0,
            dropped: 0,
        }
    }

    /// Changes the limit for what comes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// States that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn hash(hasher: &KeyHasher, state: &State) -> u64 {
        hasher.hash_one(state.key_bytes())
    }

    /// Adds the newest value of a key.
    pub fn push(&mut self, state: State) {
        if self.bytes + state.allocated() > self.limit && self.places.is_none() {
            self.conflate();
        }
        if self.places.is_some() {
            self.push_conflated(state);
        } else {
            self.append(state);
        }
        while self.bytes > self.limit && self.queue.len() > 1 {
            if self.pop().is_some() {
                self.dropped += 1;
            }
        }
    }

    fn append(&mut self, state: State) {
        self.bytes += state.allocated();
        self.queue.push_back(state);
    }

    fn push_conflated(&mut self, state: State) {
        let Inbox { queue, first, places: Some(places), hasher, .. } = self else { return };
        let hash = Self::hash(hasher, &state);
        let held = places.find(hash, |&place| same_key(queue, *first, place, &state)).copied();
        if let Some(place) = held {
            let old = std::mem::replace(&mut queue[(place - *first) as usize], state);
            self.bytes = self.bytes + queue[(place - *first) as usize].allocated() - old.allocated();
            self.conflated += 1;
            return;
        }
        let place = *first + queue.len() as u64;
        places.insert_unique(hash, place, |&place| rehash(queue, *first, hasher, place));
        self.append(state);
    }

    /// Keeps the newest of each key, each at the place of its oldest.
    fn conflate(&mut self) {
        self.places = Some(HashTable::with_capacity(self.queue.len()));
        let queue = std::mem::take(&mut self.queue);
        self.first += queue.len() as u64;
        self.bytes = 0;
        for state in queue {
            self.push_conflated(state);
        }
    }

    /// The oldest state, for the program.
    pub fn take(&mut self) -> Option<State> {
        let state = self.pop()?;
        self.uptake.taken += 1;
        Some(state)
    }

    /// The link was opened at this time: the program has its patience from here on.
    pub fn begin(&mut self, mono: MonoTime) {
        self.uptake.at = mono;
    }

    /// Until when the program is waited for to take states, if it takes some and has half of what it may have. To be asked
    /// whenever something came.
    pub fn full_until(&mut self, mono: MonoTime) -> Option<MonoTime> {
        let Uptake { taken, seen, at } = &mut self.uptake;
        if taken != seen {
            (*seen, *at) = (*taken, mono);
        }
        let until = *at + PATIENCE;
        (self.bytes >= self.limit / 2 && mono < until).then_some(until)
    }

    /// The oldest state.
    pub fn pop(&mut self) -> Option<State> {
        let state = self.queue.pop_front()?;
        let place = self.first;
        self.first += 1;
        if let Some(places) = &mut self.places {
            let hash = Self::hash(&self.hasher, &state);
            if let Ok(found) = places.find_entry(hash, |&other| other == place) {
                found.remove();
            }
        }
        self.bytes -= state.allocated();
        if self.bytes <= self.limit / 2 {
            self.places = None;
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(1024);
        }
        Some(state)
    }
}

fn same_key(queue: &VecDeque<State>, first: u64, place: u64, state: &State) -> bool {
    queue[(place - first) as usize].is_of_key_of(state)
}

fn rehash(queue: &VecDeque<State>, first: u64, hasher: &KeyHasher, place: u64) -> u64 {
    Inbox::hash(hasher, &queue[(place - first) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Form, Meta, Stamp, Value};

    fn state(name: &str, number: u64, size: usize) -> State {
        let (mut value, mut body) = (Vec::new(), Vec::new());
        Value::Text(&format!("{number}{}", ".".repeat(size))).encode(&mut value);
        wire::encode(&mut body, Form::Old, "a", name, &value, &Meta::default());
        let body = wire::decode(&body, Form::Old).expect("a body");
        State::new(&mut Vec::new(), &body, Stamp::default(), 0)
    }

    fn taken(inbox: &mut Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.pop()).map(|state| format!("{} {}", state.name(), state.text().unwrap())).collect()
    }

    #[test]
    fn within_its_limit_it_gives_everything_in_order() {
        let mut inbox = Inbox::new(1 << 20);
        (0..100).for_each(|i| inbox.push(state("x", i, 0)));
        assert_eq!(taken(&mut inbox), (0..100).map(|i| format!("x {i}")).collect::<Vec<_>>());
        assert_eq!((inbox.bytes(), inbox.conflated, inbox.dropped), (0, 0, 0));
    }

    #[test]
    fn over_its_limit_each_key_has_its_newest_value_in_the_place_of_its_oldest() {
        let mut inbox = Inbox::new(4 * state("x", 1, 0).allocated());
        for (name, number) in [("x", 1), ("y", 2), ("x", 3), ("z", 4), ("y", 5), ("x", 6)] {
            inbox.push(state(name, number, 0));
        }
        assert_eq!((inbox.conflated, inbox.dropped), (3, 0));
        assert_eq!(taken(&mut inbox), ["x 6", "y 5", "z 4"]);
    }

    #[test]
    fn with_too_many_keys_the_oldest_go_and_one_that_is_too_large_stays() {
        let mut inbox = Inbox::new(10 * state("k0", 0, 0).allocated());
        (0..100).for_each(|i| inbox.push(state(&format!("k{i}"), 0, 0)));
        assert_eq!((inbox.len(), inbox.dropped), (9, 91));
        inbox.push(state("large", 1, 100_000));
        assert_eq!((inbox.len(), inbox.dropped), (1, 100));
        assert!(inbox.pop().is_some_and(|state| state.name() == "large"));
        assert_eq!(inbox.bytes(), 0);
    }

    #[test]
    fn a_program_that_takes_states_is_waited_for_while_it_has_half_of_what_it_may() {
        let mut inbox = Inbox::new(4 * state("x", 1, 0).allocated());
        let (begin, nano) = (MonoTime::from_nanos(100), Duration::from_nanos(1));
        inbox.begin(begin);
        inbox.push(state("a", 1, 0));
        assert_eq!(inbox.full_until(begin), None);
        inbox.push(state("b", 1, 0));
        assert_eq!(inbox.full_until(begin + (PATIENCE - nano)), Some(begin + PATIENCE));
        assert_eq!(inbox.full_until(begin + PATIENCE), None, "it takes nothing");
        inbox.push(state("c", 1, 0));
        assert!(inbox.take().is_some());
        let later = begin + 2 * PATIENCE;
        assert_eq!(
            (inbox.full_until(later), inbox.full_until(later + nano)),
            (Some(later + PATIENCE), Some(later + PATIENCE))
        );
    }

    #[test]
    fn once_there_is_room_again_nothing_is_conflated() {
        let mut inbox = Inbox::new(10 * state("x", 0, 0).allocated());
        (0..20).for_each(|i| inbox.push(state("x", i, 0)));
        assert_eq!(taken(&mut inbox), ["x 19"]);
        inbox.push(state("x", 20, 0));
        inbox.push(state("x", 21, 0));
        assert_eq!(taken(&mut inbox), ["x 20", "x 21"]);
    }
}
