//! Tests of what an app received and owes its program.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::time::LogicalTime;
use crate::wire::{self, Form, Kind, Meta, Value};

fn sized(sender: &str, name: &str, bits: u64, size: usize) -> State {
    let (mut value, mut body) = (Vec::new(), Vec::new());
    Value::Bytes(&vec![0; size]).encode(&mut value);
    wire::encode(&mut body, Form::Old, sender, name, &value, &Meta::default());
    let body = wire::decode(&body, Form::Old).expect("a body");
    State::new(&mut Vec::new(), &body, Stamp { clock: LogicalTime::from_bits(bits), ..Stamp::default() }, 0)
}

fn state(sender: &str, name: &str, bits: u64) -> State {
    sized(sender, name, bits, 0)
}

fn cleared(sender: &str, name: &str, bits: u64) -> State {
    let (mut body, stamp) = (Vec::new(), Stamp { clock: LogicalTime::from_bits(bits), ..Stamp::default() });
    let meta = Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() };
    wire::encode(&mut body, Form::V1, sender, name, &[5], &meta);
    State::new(&mut Vec::new(), &wire::decode(&body, Form::V1).expect("a body"), stamp, 0)
}

fn insert(kept: &mut Received, state: State) -> bool {
    kept.insert(kept.place(state.sender(), state.name()), state)
}

fn put(kept: &mut Received, name: &str, number: u64) {
    insert(kept, state("a", name, number));
}

/// What names a state in here: its key, and its number, which is its stamp.
fn told(state: &State) -> (String, u64) {
    (state.name().to_owned(), state.stamp().clock.to_bits())
}

fn taken(kept: &mut Received) -> Vec<String> {
    std::iter::from_fn(|| kept.take())
        .map(|state| told(&state))
        .map(|(name, number)| format!("{name}{number}"))
        .collect()
}

#[test]
fn the_newest_of_a_name_is_that_with_the_greatest_stamp() {
    let mut kept = Received::new(1 << 20, 0);
    for (sender, clock, newest) in [("a", 5, "a"), ("b", 3, "a"), ("b", 7, "b"), ("a", 6, "b"), ("c", 8, "c")] {
        insert(&mut kept, state(sender, "x", clock));
        assert_eq!(kept.newest("x").map(State::sender), Some(newest));
    }
    assert_eq!(kept.find("a", "x").map(|state| state.stamp().clock.to_bits()), Some(6));
    assert!(kept.newest("y").is_none() && kept.find("d", "x").is_none());
}

#[test]
fn a_value_with_an_older_stamp_than_before_is_no_longer_the_newest() {
    let mut kept = Received::new(1 << 20, 0);
    for (sender, clock, newest) in [("a", 5, "a"), ("b", 3, "a"), ("a", 2, "b"), ("a", 1, "b"), ("a", 4, "a")] {
        insert(&mut kept, state(sender, "x", clock));
        assert_eq!(kept.newest("x").map(State::sender), Some(newest), "{sender} {clock}");
    }
    kept.forget_if(|state| state.stamp().clock.to_bits() == 4);
    assert_eq!(kept.newest("x").map(State::sender), Some("b"));
    assert!(kept.find("a", "x").is_none());
}

#[test]
fn the_newest_of_a_name_is_the_same_whether_asked_for_early_or_late() {
    let states: Vec<_> = (0..300u64)
        .map(|i| state(["a", "b", "c"][(i % 3) as usize], &format!("n{}", i * i % 17), i * 7919 % 301))
        .collect();
    let (mut early, mut late) = (Received::new(1 << 20, 0), Received::new(1 << 20, 0));
    early.newest("n0");
    for state in states {
        let newer =
            |kept: &Received| kept.find(state.sender(), state.name()).is_none_or(|held| state.stamp() > held.stamp());
        if newer(&late) {
            insert(&mut early, state.clone());
            insert(&mut late, state);
        }
    }
    for i in 0..17 {
        let name = format!("n{i}");
        assert_eq!(early.newest(&name).map(State::stamp), late.newest(&name).map(State::stamp));
    }
}

#[test]
fn over_its_limit_it_forgets_and_stays_whole() {
    let limit = 50 * state("a", "n100", 1).allocated();
    let mut kept = Received::new(limit, 0);
    for i in 0..1000 {
        let (sender, name) = (["a", "b"][i % 2], format!("n{}", i % 200));
        insert(&mut kept, state(sender, &name, i as u64));
        assert!(kept.take().is_some() && kept.bytes <= limit);
        assert_eq!(kept.find(sender, &name).map(|state| state.stamp().clock.to_bits()), Some(i as u64));
        // From the middle on: what is made late is the same.
        assert!(i < 500 || kept.newest(&name).is_some());
    }
    assert!(kept.values.end() <= 60, "slots are used again");
    kept.clear();
    assert!(kept.bytes == 0 && kept.find("a", "n0").is_none() && kept.newest("n0").is_none());
}

#[test]
fn what_is_cleared_is_no_value_of_its_name_and_forgotten_before_all_values() {
    let size = state("a", "n0", 1).allocated();
    let mut kept = Received::new(3 * size, 1 << 20);
    for (sender, number) in [("a", 1), ("b", 2)] {
        insert(&mut kept, state(sender, "n0", number));
    }
    insert(&mut kept, cleared("b", "n0", 3));
    assert_eq!(kept.newest("n0").map(State::sender), Some("a"));
    assert_eq!(kept.find("b", "n0").map(State::kind), Some(Kind::Cleared));
    insert(&mut kept, state("a", "n1", 4));
    insert(&mut kept, state("a", "n2", 5));
    assert!(kept.find("b", "n0").is_none() && kept.find("a", "n0").is_some(), "older, but a value");
    // A key that has a value again is one of the values.
    insert(&mut kept, cleared("a", "n1", 6));
    insert(&mut kept, state("a", "n1", 7));
    insert(&mut kept, state("a", "n3", 8));
    assert!(kept.find("a", "n1").is_some() && kept.cleared.len == 0);
    assert_eq!(taken(&mut kept), ["n01", "n02", "n03", "n14", "n25", "n16", "n17", "n38"]);
    kept.forget_key("a", "n1");
    assert!(kept.find("a", "n1").is_none());
}

#[test]
fn so_many_keys_are_remembered_as_cleared_and_the_oldest_is_forgotten() {
    let mut kept = Received::new(usize::MAX, 0);
    for i in 0..=limits::RECEIVED_CLEARED as u64 {
        insert(&mut kept, cleared("a", &format!("n{i}"), i));
    }
    assert_eq!((kept.cleared.len, kept.owed.len), (0, limits::RECEIVED_CLEARED + 1), "the program has taken none");
    while kept.take().is_some() {}
    assert_eq!((kept.cleared.len, kept.values.len()), (limits::RECEIVED_CLEARED, limits::RECEIVED_CLEARED));
    assert!(kept.find("a", "n0").is_none() && kept.find("a", "n1").is_some());
}

#[test]
fn within_its_limit_the_queue_gives_everything_in_order() {
    let mut kept = Received::new(1 << 20, 1 << 20);
    (0..100).for_each(|i| put(&mut kept, "x", i));
    assert_eq!((kept.waiting(), kept.waiting_bytes()), (100, 100 * state("a", "x", 0).allocated()));
    assert_eq!(taken(&mut kept), (0..100).map(|i| format!("x{i}")).collect::<Vec<_>>());
    assert_eq!((kept.waiting_bytes(), kept.conflated, kept.dropped), (0, 0, 0));
}

#[test]
fn over_its_limit_each_key_has_its_newest_value_in_the_place_of_its_oldest() {
    let mut kept = Received::new(1 << 20, 4 * state("a", "x", 1).allocated());
    for (name, number) in [("x", 1), ("y", 2), ("x", 3), ("z", 4), ("y", 5), ("x", 6)] {
        insert(&mut kept, state("a", name, number));
    }
    assert_eq!((kept.conflated, kept.dropped, kept.waiting()), (3, 0, 3));
    assert_eq!(taken(&mut kept), ["x6", "y5", "z4"]);
    // It has caught up: nothing is conflated any more.
    (7..11).for_each(|number| put(&mut kept, "x", number));
    assert_eq!(taken(&mut kept), ["x7", "x8", "x9", "x10"]);
}

#[test]
fn a_key_that_changes_all_the_time_keeps_no_other_waiting() {
    let mut kept = Received::new(1 << 20, 0);
    (0..50).for_each(|key| put(&mut kept, &format!("k{key}-"), 0));
    let mut order = Vec::new();
    for number in 1..=100 {
        (0..10).for_each(|_| put(&mut kept, "k0-", number));
        order.extend(kept.take().map(|state| state.name().to_owned()));
    }
    let expected = (0..50).map(|key| format!("k{key}-")).chain(vec!["k0-".to_owned(); 50]);
    assert_eq!(order, expected.collect::<Vec<_>>());
}

#[test]
fn owed_keys_are_not_forgotten_for_others_and_take_the_limit_of_the_queue_too() {
    let size = state("a", "k10", 0).allocated();
    let mut kept = Received::new(10 * size, 10 * size);
    let fill = |kept: &mut Received, keys: std::ops::Range<u64>| {
        keys.fold(false, |dropped, key| insert(kept, state("a", &format!("k{key}"), key)) | dropped)
    };
    assert!(!fill(&mut kept, 10..20) && taken(&mut kept).len() == 10 && kept.find("a", "k10").is_some());
    assert!(!fill(&mut kept, 20..40), "what was taken before is forgotten, what is owed is not");
    assert!((10..40).all(|key| kept.find("a", format!("k{key}")).is_some() == (key >= 20)));
    assert!(fill(&mut kept, 40..43));
    assert_eq!((kept.dropped, kept.conflated, kept.waiting_bytes()), (3, 0, 20 * size));
    assert_eq!(taken(&mut kept), (23..43).map(|key| format!("k{key}{key}")).collect::<Vec<_>>());
    assert_eq!(kept.bytes, 10 * size, "what was taken is forgotten down to the limit");
    let large = sized("a", "large", 1, 100 * size);
    assert!(!insert(&mut kept, large), "one that is larger than all limits is owed all the same");
    assert_eq!((taken(&mut kept), kept.dropped), (vec!["large1".to_owned()], 3));
}

#[test]
fn what_is_owed_stays_so_when_keys_are_forgotten() {
    let mut kept = Received::new(1 << 20, 0);
    let all = ["x1", "y2", "z3"];
    let fill = |kept: &mut Received| {
        all.iter().zip(1..).for_each(|(key, number)| put(kept, &key[..1], number));
    };
    fill(&mut kept);
    kept.forget_if(|state| state.stamp().clock.to_bits() == 2);
    assert!(kept.find("a", "y").is_none() && kept.find("a", "x").is_some());
    assert_eq!(taken(&mut kept), all);
    fill(&mut kept);
    kept.clear();
    assert!(kept.find("a", "x").is_none() && kept.waiting() == 3);
    insert(&mut kept, state("a", "y", 9));
    assert_eq!(taken(&mut kept), ["x1", "y9", "z3"]);
}

#[test]
fn nobody_finds_what_was_forgotten_because_it_is_still_owed() {
    let size = state("a", "x", 1).allocated();
    // With the fourth the queue is over its limit.
    let mut kept = Received::new(1 << 20, 3 * size);
    ["x", "y", "z"].iter().zip(1..).for_each(|(key, number)| put(&mut kept, key, number));
    kept.forget_if(|state| state.name() != "z");
    let known = |kept: &mut Received| {
        let known = ["x", "y", "z"].map(|name| kept.find("a", name).is_some());
        assert_eq!(known, ["x", "y", "z"].map(|name| kept.newest(name).is_some()));
        assert_eq!(known.iter().filter(|&&is_known| is_known).count(), kept.iter().count());
        known
    };
    assert_eq!(known(&mut kept), [false, false, true]);
    put(&mut kept, "z", 4);
    assert_eq!((known(&mut kept), kept.waiting()), ([false, false, true], 3));
    // It is known again once it comes again, in the place of the one that is owed.
    put(&mut kept, "y", 5);
    assert_eq!((known(&mut kept), kept.waiting()), ([false, true, true], 3));
    assert_eq!(taken(&mut kept), ["x1", "y5", "z4"]);
    assert_eq!((known(&mut kept), kept.bytes), ([false, true, true], 2 * size));
    // Nor is it found after another hub was connected to.
    ["x", "y", "z"].iter().zip(6..).for_each(|(key, number)| put(&mut kept, key, number));
    kept.clear();
    put(&mut kept, "z", 9);
    assert_eq!(known(&mut kept), [false, false, true]);
    assert_eq!((taken(&mut kept), kept.bytes), (["x6", "y7", "z9"].map(str::to_owned).to_vec(), size));
}

#[test]
fn a_program_that_takes_states_is_waited_for_while_half_of_its_queue_is_full() {
    let mut kept = Received::new(1 << 20, 4 * state("a", "x", 1).allocated());
    let begin = MonoTime::from_nanos(100);
    kept.begin(begin);
    insert(&mut kept, state("a", "a", 1));
    assert_eq!(kept.full_until(begin), None);
    insert(&mut kept, state("a", "b", 1));
    let until = kept.full_until(begin).expect("half of it is full");
    assert_eq!(kept.full_until(until), None, "it takes nothing");
    insert(&mut kept, state("a", "c", 1));
    assert!(kept.take().is_some());
    assert!(kept.full_until(until + Duration::from_secs(1)).is_some());
}

/// The same in plain words.
#[derive(Default)]
struct Model {
    waiting: Vec<(String, u64, usize)>,
    behind: bool,
    conflated: u64,
    dropped: u64,
}

impl Model {
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|(.., size)| size).sum()
    }

    fn conflate(&mut self, state: (String, u64, usize)) {
        match self.waiting.iter_mut().find(|(name, ..)| *name == state.0) {
            Some(held) => (*held, self.conflated) = (state, self.conflated + 1),
            None => self.waiting.push(state),
        }
    }

    fn insert(&mut self, state: (String, u64, usize), limit: usize, queue_limit: usize) {
        if !self.behind && self.bytes() + state.2 <= queue_limit {
            return self.waiting.push(state);
        }
        if !self.behind {
            self.behind = true;
            for state in mem::take(&mut self.waiting) {
                self.conflate(state);
            }
        }
        let new = state.1;
        self.conflate(state);
        while self.bytes() > limit + queue_limit {
            let Some(oldest) = self.waiting.iter().position(|(_, number, _)| *number != new) else { break };
            self.waiting.remove(oldest);
            self.dropped += 1;
        }
    }

    fn take(&mut self) -> Option<(String, u64)> {
        let next = (!self.waiting.is_empty()).then(|| self.waiting.remove(0)).map(|(name, number, _)| (name, number));
        self.behind &= !self.waiting.is_empty();
        next
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, size: usize },
    Cleared { key: u8 },
    Take(usize),
    QueueLimit(usize),
    Astray(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![20 => 0..100usize, 1 => 0..6000usize];
    prop_oneof![
        60 => (0..20u8, size).prop_map(|(key, size)| Step::Insert { key, size }),
        20 => (0..20u8).prop_map(|key| Step::Cleared { key }),
        20 => (1..6usize).prop_map(Step::Take),
        1 => (0..5000usize).prop_map(Step::QueueLimit),
        1 => (2..10u64).prop_map(Step::Astray),
        1 => Just(Step::Clear),
        1 => Just(Step::Take(1000)),
    ]
}

proptest! {
    #[test]
    fn it_gives_what_a_plain_model_gives(limit in 0..6000usize, steps in vec(step(), 1..200)) {
        let mut queue_limit = 1000;
        let (mut kept, mut model) = (Received::new(limit, queue_limit), Model::default());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert { key, .. } | Step::Cleared { key } => {
                    let (name, number) = (format!("k{key}"), number as u64);
                    let state = match step {
                        Step::Insert { size, .. } => sized("a", &name, number, size),
                        _ => cleared("a", &name, number),
                    };
                    let dropped = model.dropped;
                    model.insert((name.clone(), number, state.allocated()), limit, queue_limit);
                    prop_assert_eq!(insert(&mut kept, state), model.dropped != dropped);
                    prop_assert_eq!(kept.find("a", &name).map(told), Some((name, number)), "the last is kept");
                }
                Step::Take(times) => {
                    for _ in 0..times {
                        let state = kept.take();
                        prop_assert_eq!(state.as_ref().map(told), model.take());
                        if state.is_none() {
                            break;
                        }
                    }
                }
                Step::QueueLimit(limit) => {
                    queue_limit = limit;
                    kept.set_queue_limit(limit);
                }
                Step::Astray(of) => {
                    let astray = |number: u64| number % of == 0;
                    if kept.iter().any(|state| astray(told(state).1)) {
                        model.behind = false;
                    }
                    kept.forget_if(|state| astray(state.stamp().clock.to_bits()));
                    prop_assert!(kept.iter().all(|state| !astray(told(state).1)));
                }
                Step::Clear => {
                    model.behind = false;
                    kept.clear();
                    prop_assert_eq!((kept.bytes, kept.iter().count()), (0, 0));
                }
            }
            prop_assert_eq!((kept.conflated, kept.dropped), (model.conflated, model.dropped));
            prop_assert_eq!((kept.waiting(), kept.waiting_bytes()), (model.waiting.len(), model.bytes()));
            prop_assert_eq!(kept.bytes, kept.values.iter().map(|known| known.state.allocated()).sum::<usize>());
            prop_assert_eq!(kept.owed.len + kept.others.len + kept.cleared.len, kept.values.len());
            let is_gone = |slot| kept.values.get(slot).is_some_and(|known| known.state.is_cleared() && !known.is_owed);
            prop_assert_eq!((0..kept.values.end() as u32).filter(|&slot| is_gone(slot)).count(), kept.cleared.len);
        }
        loop {
            let state = kept.take();
            prop_assert_eq!(state.as_ref().map(told), model.take());
            if state.is_none() {
                break;
            }
        }
    }
}
