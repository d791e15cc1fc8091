//! Newest values, those who publish them, and what they take.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::time::LogicalTime;
use crate::wire::{self, Form, Instance, Meta, Value};

fn at(nanos: u64) -> MonoTime {
    MonoTime::from_nanos(nanos)
}

fn offer(table: &mut Table, sender: &str, name: &str, clock: u64, size: usize) -> Result<Slot, Refusal> {
    offer_by(ConnId(1), table, sender, name, clock, size)
}

fn offer_by(
    conn: ConnId,
    table: &mut Table,
    sender: &str,
    name: &str,
    clock: u64,
    size: usize,
) -> Result<Slot, Refusal> {
    let mut value = Vec::new();
    Value::Bytes(&vec![7; size]).encode(&mut value);
    offer_body(conn, table, sender, name, clock, (&value, 0), at(0))
}

/// Puts a value with this stamp under this key.
pub fn put(table: &mut Table, sender: &str, name: &str, clock: u64) -> Slot {
    offer(table, sender, name, clock, 1).expect("there is room")
}

/// That a key has no value any more.
fn clear(table: &mut Table, sender: &str, name: &str, clock: u64, mono: MonoTime) -> Result<Slot, Refusal> {
    offer_body(ConnId(1), table, sender, name, clock, (&[2], Meta::CLEAR), mono)
}

fn offer_body(
    conn: ConnId,
    table: &mut Table,
    sender: &str,
    name: &str,
    clock: u64,
    (data, flags): (&[u8], u32),
    mono: MonoTime,
) -> Result<Slot, Refusal> {
    let stamp = Stamp { clock: LogicalTime::from_bits(clock), instance: Instance([1; 16]) };
    let mut body = Vec::new();
    wire::encode(&mut body, Form::V1, sender, name, data, &Meta { stamp: Some(stamp), flags, ..Meta::default() });
    let wire::Body { meta_at, kind, .. } = wire::decode(&body, Form::V1).expect("a body");
    let (body, shared, origin) = (&body[..], None, Some(conn));
    table.offer(Offer {
        body,
        shared,
        meta_at,
        sender: sender.as_bytes(),
        name: name.as_bytes(),
        kind,
        stamp,
        origin,
        mono,
    })
}

/// Forgets what has expired, in small steps.
fn expire(table: &mut Table, mono: MonoTime) {
    table.expire(mono);
    while table.is_untidy() {
        table.tidy(&mut 3);
    }
}

#[test]
fn an_entry_gives_back_its_parts_whatever_their_lengths() {
    let mut table = Table::new(Capacity::default());
    for (sender, name) in [(1, 1), (31, 31), (32, 32), (255, 255), (3, 256), (255, 1024)] {
        let (sender, name) = ("s".repeat(sender), "n".repeat(name));
        let slot = offer(&mut table, &sender, &name, 1, 10).unwrap();
        let entry = table.get(slot).unwrap();
        assert_eq!((entry.sender(), entry.name(), entry.data().len()), (&*sender, &*name, 12));
        assert!(table.find(&sender, &name).is_some());
    }
}

#[test]
fn a_value_keeps_its_slot_and_what_it_takes_is_counted_through_every_size() {
    let mut table = Table::new(Capacity::default());
    let slot = offer(&mut table, "a", "x", 1, 0).unwrap();
    for (clock, size) in [(2, 5000), (3, 100), (4, 4000), (5, 1), (6, SHARE_FROM), (7, 0)] {
        assert_eq!(offer(&mut table, "a", "x", clock, size), Ok(slot));
        let entry = table.get(slot).unwrap();
        assert_eq!((entry.version(), entry.stamp().clock.to_bits()), (clock, clock));
        let held = entry.bytes().len() + table.entries.overhead();
        assert!(table.bytes() >= held && table.bytes() <= 5 * held + 64, "{} for {held}", table.bytes());
    }
    table.departed(at(0), ConnId(1), &mut { usize::MAX });
    let stays = table.capacity.departed;
    expire(&mut table, at(0) + stays);
    assert_eq!((table.len(), table.bytes()), (0, 0));
}

#[test]
fn slots_of_forgotten_values_are_used_again() {
    let mut table = Table::new(Capacity::default());
    for round in 0..5 {
        for i in 0..200 {
            offer(&mut table, &format!("s{}", i % 7), &format!("n{i}"), 1, 10).unwrap();
        }
        assert_eq!((table.len(), table.slots()), (200, 200), "round {round}");
        table.departed(at(round), ConnId(1), &mut { usize::MAX });
        expire(&mut table, MonoTime::MAX);
        assert!(table.is_empty() && table.find("s0", "n0").is_none());
    }
}

#[test]
fn senders_that_come_and_go_leave_no_trail() {
    let mut table = Table::new(Capacity::default());
    offer(&mut table, "first", "x", 1, 1).unwrap();
    offer(&mut table, "flaps", "x", 1, 1).unwrap();
    table.departed(at(0), ConnId(1), &mut { usize::MAX });
    for i in 0..10_000 {
        table.arrived("flaps", ConnId(i));
        table.departed(at(i), ConnId(i), &mut { usize::MAX });
    }
    assert!(table.owners.departures() <= 2, "{} departures are remembered", table.owners.departures());
    assert_eq!(table.next_expiry(), Some(at(0) + table.capacity.departed));
}

#[test]
fn the_newest_of_a_name_is_found_again_when_its_sender_is_forgotten() {
    for indexed in [false, true] {
        let mut table = Table::new(Capacity::default());
        if indexed {
            table.index_names();
        }
        for (conn, sender, clock) in [(1, "a", 5), (2, "b", 7), (3, "c", 6), (1, "a", 8), (4, "d", 4)] {
            offer_by(ConnId(conn), &mut table, sender, "x", clock, 1).unwrap();
        }
        offer_by(ConnId(2), &mut table, "b", "y", 9, 1).unwrap();
        // As they leave, newest, oldest, and what is between.
        for (conn, newest) in [(0, Some("a")), (1, Some("b")), (4, Some("b")), (2, Some("c")), (3, None)] {
            table.departed(at(conn), ConnId(conn), &mut { usize::MAX });
            let stays = table.capacity.departed;
            expire(&mut table, at(conn) + stays);
            assert_eq!(table.newest("x").map(Entry::sender), newest, "indexed: {indexed}");
        }
        assert!(table.newest("y").is_none() && table.is_empty() && table.bytes() == 0);
    }
}

#[test]
fn the_index_of_names_is_counted_and_costs_nothing_until_it_is_made() {
    let (mut early, mut late) = (Table::new(Capacity::default()), Table::new(Capacity::default()));
    early.index_names();
    for table in [&mut early, &mut late] {
        for i in 0..100 {
            offer(table, &format!("s{}", i % 7), &format!("n{}", i % 30), i + 1, 10).unwrap();
        }
    }
    let index = early.entries.overhead() - late.entries.overhead();
    assert_eq!(early.bytes(), late.bytes() + 100 * index);
    assert!(index > 0);
    late.index_names();
    late.index_names();
    assert_eq!(early.bytes(), late.bytes());
    for table in [&mut early, &mut late] {
        table.departed(at(0), ConnId(1), &mut { usize::MAX });
        expire(table, MonoTime::MAX);
        assert_eq!((table.len(), table.bytes()), (0, 0));
        assert!(table.owners.iter_mut().all(|owner| owner.bytes == 0));
    }
}

#[test]
fn a_tombstone_is_no_value_and_ends_after_its_time() {
    let mut table = Table::new(Capacity::default());
    let stays = table.capacity.cleared;
    let slot = offer(&mut table, "a", "x", 1, 10).unwrap();
    offer(&mut table, "b", "x", 2, 10).unwrap();
    assert_eq!(clear(&mut table, "a", "x", 1, at(5)), Err(Refusal::Stale));
    assert_eq!(clear(&mut table, "b", "x", 3, at(5)).map(|_| ()), Ok(()));
    assert_eq!(clear(&mut table, "a", "x", 4, at(7)), Ok(slot));
    assert_eq!((table.len(), table.values(), table.newest("x").is_none()), (2, 0, true));
    let entry = table.get(slot).unwrap();
    assert_eq!((entry.kind(), entry.value_kind()), (Kind::Cleared, Some(Kind::Bytes)));
    assert_eq!(entry.accepted_by(), Kind::Bytes.mask());
    // A value that is later than it wins, one that is not does not.
    assert_eq!(offer(&mut table, "a", "x", 4, 1), Err(Refusal::Stale));
    assert_eq!(table.next_expiry(), Some(at(5) + stays));
    expire(&mut table, at(5) + stays);
    assert_eq!((table.len(), table.next_expiry()), (1, Some(at(7) + stays)));
    assert_eq!(offer(&mut table, "a", "x", 5, 1), Ok(slot));
    assert_eq!((table.values(), table.next_expiry()), (1, None));
    expire(&mut table, MonoTime::MAX);
    assert!(table.newest("x").is_some_and(|entry| entry.sender() == "a"));
}

#[test]
fn tombstones_make_room_before_all_others() {
    let room = Capacity { states: 8, share: 2, ..Capacity::default() };
    let mut table = Table::new(room);
    for i in 0..4 {
        offer(&mut table, "a", &format!("n{i}"), 1, 1).unwrap();
        clear(&mut table, "a", &format!("n{i}"), 2, at(i)).unwrap();
    }
    // Of its own share, the oldest.
    offer(&mut table, "a", "more", 1, 1).unwrap();
    assert!(table.find("a", "n0").is_none() && table.find("a", "n1").is_some());
    for i in 0..3 {
        offer_by(ConnId(2), &mut table, "left", &format!("n{i}"), 1, 1).unwrap();
    }
    table.departed(at(0), ConnId(2), &mut { usize::MAX });
    for i in 0..4 {
        offer(&mut table, "b", &format!("n{i}"), 1, 1).unwrap();
    }
    let names: Vec<_> = table.iter().filter(|entry| entry.is_from(b"a")).map(Entry::name).collect();
    assert_eq!((names, table.values(), table.len()), (vec!["more"], 8, 8), "before those of who has left");
    offer(&mut table, "a", "n0", 1, 1).unwrap();
    assert_eq!(table.iter().filter(|entry| entry.is_from(b"left")).count(), 2);
    // One that grows does not go for itself.
    let mut table = Table::new(Capacity { bytes: 3_000, share: 1, ..Capacity::default() });
    clear(&mut table, "a", "x", 1, at(1)).unwrap();
    assert_eq!(offer(&mut table, "a", "x", 2, 3_000), Err(Refusal::Full));
    assert!(table.find("a", "x").is_some_and(Entry::is_cleared));
    assert!(offer(&mut table, "a", "x", 2, 1_000).is_ok() && table.values() == 1);
    // Nothing is left of a sender that had nothing else.
    let mut table = Table::new(Capacity { states: 2, share: 1, ..Capacity::default() });
    clear(&mut table, "gone", "x", 1, at(1)).unwrap();
    offer(&mut table, "a", "x", 1, 1).unwrap();
    offer(&mut table, "a", "y", 1, 1).unwrap();
    assert_eq!((table.owners.iter_mut().count(), table.tombstones.bytes()), (1, 0));
}

/// What happens to a table. Senders, names and connections by their numbers.
#[derive(Clone, Debug)]
enum Event {
    Offer { conn: u64, sender: u8, name: u8, clock: u64 },
    Clear { sender: u8, name: u8, clock: u64 },
    Arrived { conn: u64, sender: u8 },
    Departed { conn: u64 },
    Expire,
    Index,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..4_u64, 0..6_u8, 0..5_u8, 0..50_u64)
            .prop_map(|(conn, sender, name, clock)| Event::Offer { conn, sender, name, clock }),
        6 => (0..6_u8, 0..5_u8, 0..50_u64).prop_map(|(sender, name, clock)| Event::Clear { sender, name, clock }),
        1 => (0..4_u64, 0..6_u8).prop_map(|(conn, sender)| Event::Arrived { conn, sender }),
        3 => (0..4_u64).prop_map(|conn| Event::Departed { conn }),
        2 => Just(Event::Expire),
        1 => Just(Event::Index),
    ]
}

/// Carries it out at this time.
fn happen(table: &mut Table, event: &Event, mono: MonoTime) -> Option<Result<Slot, Refusal>> {
    match *event {
        Event::Offer { conn, sender, name, clock } => {
            let (sender, name) = (sender.to_string(), name.to_string());
            return Some(offer_by(ConnId(conn), table, &sender, &name, clock, 1));
        }
        Event::Clear { sender, name, clock } => {
            return Some(clear(table, &sender.to_string(), &name.to_string(), clock, mono));
        }
        Event::Arrived { conn, sender } => table.arrived(&sender.to_string(), ConnId(conn)),
        Event::Departed { conn } => table.departed(mono, ConnId(conn), &mut { usize::MAX }),
        Event::Expire => expire(table, mono),
        Event::Index => table.index_names(),
    }
    None
}

/// A sender of the model: its values by name, and since when they are cleared, who speaks for it, and since when nobody does.
#[derive(Default)]
struct Sender {
    clocks: BTreeMap<u8, (u64, Option<MonoTime>)>,
    holder: Option<u64>,
    departed: Option<MonoTime>,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_of_each_name_agrees_with_a_plain_model(events in vec(event(), 0..200)) {
        const STAYS: Duration = Duration::from_nanos(7);
        const CLEARED: Duration = Duration::from_nanos(11);
        let mut table = Table::new(Capacity { departed: STAYS, cleared: CLEARED, ..Capacity::default() });
        let mut model: BTreeMap<u8, Sender> = BTreeMap::new();
        for (mono, event) in (0..).map(at).zip(&events) {
            let taken = happen(&mut table, event, mono).map(|taken| taken.is_ok());
            match *event {
                Event::Offer { sender, name, clock, .. } | Event::Clear { sender, name, clock } => {
                    let (conn, cleared) = match *event {
                        Event::Offer { conn, .. } => (conn, None),
                        _ => (1, Some(mono)),
                    };
                    let held = model.get(&sender).and_then(|held| held.clocks.get(&name));
                    let newer = held.is_none_or(|&(held, _)| clock > held);
                    prop_assert_eq!(taken, Some(newer));
                    if newer {
                        let held = model.entry(sender).or_default();
                        held.clocks.insert(name, (clock, cleared));
                        (held.holder, held.departed) = (Some(conn), None);
                    }
                }
                Event::Arrived { conn, sender } => {
                    if let Some(held) = model.get_mut(&sender) {
                        (held.holder, held.departed) = (Some(conn), None);
                    }
                }
                Event::Departed { conn } => {
                    for held in model.values_mut().filter(|held| held.holder == Some(conn)) {
                        (held.holder, held.departed) = (None, Some(mono));
                    }
                }
                Event::Expire => {
                    model.retain(|_, held| held.departed.is_none_or(|since| since + STAYS > mono));
                    for held in model.values_mut() {
                        held.clocks.retain(|_, (_, cleared)| cleared.is_none_or(|since| since + CLEARED > mono));
                    }
                    model.retain(|_, held| !held.clocks.is_empty());
                }
                Event::Index => {}
            }
            for name in 0..5 {
                // Of equal clocks that of the greatest sender.
                let held = model.iter().filter_map(|(sender, held)| Some((*held.clocks.get(&name)?, *sender)));
                let clocks = held.filter_map(|((clock, cleared), sender)| cleared.is_none().then_some((clock, sender)));
                let newest = clocks.max().map(|(clock, sender)| (sender.to_string(), clock));
                let found = table.newest(&name.to_string());
                prop_assert!(found.is_none_or(|entry| entry.name() == name.to_string()));
                prop_assert_eq!(found.map(|entry| (entry.sender().to_owned(), entry.stamp().clock.to_bits())), newest);
            }
            prop_assert_eq!(table.departed_senders(), model.values().filter(|held| held.departed.is_some()).count());
            let all = model.values().flat_map(|held| held.clocks.values());
            prop_assert_eq!((table.len(), table.values()), (all.clone().count(), all.filter(|held| held.1.is_none()).count()));
        }
    }

    #[test]
    fn a_table_that_is_full_finds_the_same_with_the_index_and_without(events in vec(event(), 0..200)) {
        let room = Capacity { states: 9, share: 1, departed: Duration::from_nanos(40), ..Capacity::default() };
        let (mut indexed, mut plain) = (Table::new(room), Table::new(room));
        indexed.index_names();
        for (mono, event) in (0..).map(at).zip(events.iter().filter(|event| !matches!(event, Event::Index))) {
            prop_assert_eq!(happen(&mut indexed, event, mono), happen(&mut plain, event, mono));
            for name in 0..5 {
                let newest = |table: &Table| {
                    table.newest(&name.to_string()).map(|entry| (entry.sender().to_owned(), entry.stamp().clock))
                };
                prop_assert_eq!(newest(&indexed), newest(&plain));
            }
        }
        plain.index_names();
        prop_assert_eq!(indexed.bytes(), plain.bytes());
    }
}
