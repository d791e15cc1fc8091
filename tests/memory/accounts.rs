//! What a hub says that its table takes is what it has allocated.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Role;
use nanostate::limits;
use nanostate::wire::{Form, Kind, Meta};

use crate::allocator::allocated;
use crate::sim::{body, value, Direct};

/// Not far below a power of two, since tables grow by doubling.
const STATES: usize = 60_000;

/// The sender, the name and the length of a state, by its number.
type State = fn(usize) -> (String, String, usize);

/// What a hub with so many states counts and what it has allocated, in bytes.
fn fill(with_names: bool, state: State) -> (usize, usize) {
    let before = allocated();
    let mut hub = Direct::new(RouterConfig::default());
    if with_names {
        hub.router.serves(Role::Rep);
    }
    let old = hub.open_old();
    for i in 0..STATES {
        let (sender, name, len) = state(i);
        let body = body(Form::Old, &sender, &name, &value(Kind::Text, i as u64, len), &Meta::default());
        hub.send(old, &body);
    }
    let stats = hub.router.stats();
    assert_eq!(stats.states, STATES as u64);
    let taken = allocated() - before;
    // What departs is counted as long as it is there.
    hub.lose(old);
    hub.settle();
    assert_eq!(hub.router.stats().table_bytes, stats.table_bytes);
    (stats.table_bytes as usize, taken)
}

#[test]
fn what_a_table_counts_is_what_it_has_allocated_within_a_tenth() {
    const WIDTH: usize = limits::MAX_SENDER;
    let cases: [(&str, bool, State); 6] = [
        ("senders with the longest names", false, |i| (format!("{i:0WIDTH$}"), "x".into(), 1)),
        ("senders with short names", false, |i| (format!("{i}"), "x".into(), 1)),
        ("one name of many senders, indexed", true, |i| (format!("sender-{i}"), "same".into(), 1)),
        ("short states", false, |i| ("sender".into(), format!("state/{i}"), 8)),
        ("short states, indexed by name", true, |i| ("sender".into(), format!("state/{i}"), 8)),
        ("states of 1 kB", false, |i| ("sender".into(), format!("state/{i}"), 1000)),
    ];
    for (what, with_names, state) in cases {
        let (counted, taken) = fill(with_names, state);
        println!("{what}: {} counted, {} allocated for each", counted / STATES, taken / STATES);
        assert!(counted.abs_diff(taken) <= taken / 10, "{what}: {counted} counted, {taken} allocated");
    }
}
