//! Values by key and by name, against a plain map.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::time::LogicalTime;

/// What has one of these clocks is a tombstone.
fn is_cleared(clock: u64) -> bool {
    (40..50).contains(&clock)
}

struct Value {
    hash: KeyHash,
    sender: String,
    name: String,
    clock: u64,
    /// How often one of them was compared with another.
    compared: Rc<Cell<usize>>,
}

impl Keyed for Value {
    fn key_hash(&self) -> KeyHash {
        self.hash
    }

    fn sender(&self) -> &str {
        &self.sender
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_of(&self, sender: &[u8], name: &[u8]) -> bool {
        self.sender.as_bytes() == sender && self.name.as_bytes() == name
    }

    fn is_named(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name
    }

    fn stamp(&self) -> Stamp {
        Stamp { clock: LogicalTime::from_bits(self.clock), ..Stamp::default() }
    }

    fn is_cleared(&self) -> bool {
        is_cleared(self.clock)
    }

    fn age_order(&self) -> (bool, Stamp, &str) {
        self.compared.set(self.compared.get() + 1);
        (!self.is_cleared(), self.stamp(), &self.sender)
    }
}

#[derive(Default)]
struct World {
    newest: Newest<Value>,
    compared: Rc<Cell<usize>>,
}

impl Default for Newest<Value> {
    fn default() -> Newest<Value> {
        Newest::new()
    }
}

impl World {
    fn set(&mut self, sender: usize, name: usize, clock: u64) {
        let (sender, name) = (sender.to_string(), name.to_string());
        let Place { hash, slot } = self.newest.place(&sender, &name);
        match slot {
            Some(slot) => {
                let value = self.newest.get_mut(slot).unwrap();
                value.clock = clock;
                self.newest.restamped(slot);
            }
            None => {
                let compared = self.compared.clone();
                self.newest.insert(Value { hash, sender, name, clock, compared });
            }
        }
    }

    fn remove(&mut self, sender: usize, name: usize) -> bool {
        let slot = self.newest.place(sender.to_string(), name.to_string()).slot;
        slot.is_some_and(|slot| self.newest.remove(slot).is_some())
    }

    fn newest(&self, name: usize) -> Option<(u64, String)> {
        self.newest.newest(&name.to_string()).map(|value| (value.clock, value.sender.clone()))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set { sender: usize, name: usize, clock: u64 },
    Remove { sender: usize, name: usize },
    Index,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..12_usize, 0..3_usize, 0..60_u64).prop_map(|(sender, name, clock)| Step::Set { sender, name, clock }),
        6 => (0..12_usize, 0..3_usize).prop_map(|(sender, name)| Step::Remove { sender, name }),
        1 => Just(Step::Index),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_are_found_by_key_and_the_newest_by_name(steps in vec(step(), 0..300)) {
        let (mut world, mut model) = (World::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Set { sender, name, clock } => {
                    world.set(sender, name, clock);
                    model.insert((name, sender), clock);
                }
                Step::Remove { sender, name } => {
                    prop_assert_eq!(world.remove(sender, name), model.remove(&(name, sender)).is_some());
                }
                Step::Index => world.newest.index_names(),
            }
            prop_assert_eq!(world.newest.len(), model.len());
            for name in 0..3 {
                let of_name = model.range((name, 0)..(name + 1, 0));
                let of_name = of_name.filter(|(_, &clock)| !is_cleared(clock));
                let newest = of_name.map(|(&(_, sender), &clock)| (clock, sender.to_string())).max();
                prop_assert_eq!(world.newest(name), newest);
            }
        }
        for (&(name, sender), &clock) in &model {
            let found = world.newest.find(sender.to_string(), name.to_string());
            prop_assert_eq!(found.map(|value| value.clock), Some(clock));
        }
    }
}

/// However the values came, and whichever goes.
#[test]
fn the_newest_of_a_name_is_found_in_few_steps_among_many_senders() {
    const SENDERS: usize = 10_000;
    let random = |sender: usize| (sender as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let orders: [&dyn Fn(usize) -> u64; 3] = [&|sender| sender as u64, &|sender| (SENDERS - sender) as u64, &random];
    for clock in orders {
        let mut world = World::default();
        world.newest.index_names();
        (0..SENDERS).for_each(|sender| world.set(sender, 0, 50 + clock(sender)));
        assert!(world.compared.get() <= 2 * SENDERS, "to add one is one comparison");
        for (sender, clock) in (0..SENDERS).step_by(2).zip(1 << 50..) {
            world.set(sender, 0, clock);
        }
        while let Some((_, sender)) = world.newest(0) {
            // The newest becomes the oldest, and the next one goes.
            world.set(sender.parse().unwrap(), 0, 0);
            let (_, sender) = world.newest(0).unwrap();
            assert!(world.remove(sender.parse().unwrap(), 0));
        }
        let each = world.compared.get() / (3 * SENDERS);
        assert!(each <= 25, "{each} values were looked at for each change");
    }
}
