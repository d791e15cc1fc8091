//! A value that is written where the one before it is, and one who remembers where that was.

use super::super::newest::Place;
use super::super::slots::NONE;
use super::{Offer, Slot, Table};
use crate::time::MonoTime;
use crate::wire::{Kind, Meta, Stamp, Value};

/// Where the entry of a key was found, for one who will ask for it again: it is there as long as none was removed.
#[derive(Clone, Copy)]
pub struct Found {
    /// The place, or the largest number if there is none.
    pub slot: u32,
    /// How many entries had been removed then.
    pub removed: u64,
}

impl Default for Found {
    fn default() -> Found {
        Found { slot: NONE, removed: 0 }
    }
}

/// A value that is not encoded yet.
pub struct Rewrite<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Its kind, which is not [`Kind::Cleared`].
    pub kind: Kind,
    /// Its stamp.
    pub stamp: Stamp,
    /// What is encoded behind it; has that stamp.
    pub meta: Meta<'a>,
    /// How long that is at most.
    pub meta_room: usize,
    /// When it came.
    pub mono: MonoTime,
}

impl Table {
    /// The place of a key, which is remembered.
    #[inline]
    pub fn place(&self, found: &mut Found, sender: &str, name: &str) -> Place {
        if found.removed == self.entries.removed() {
            if let Some(entry) = self.entries.get(found.slot) {
                return Place { hash: entry.hash, slot: Some(found.slot) };
            }
        }
        let place = self.entries.place(sender, name);
        *found = Found { slot: place.slot.unwrap_or(NONE), removed: self.entries.removed() };
        place
    }

    /// The place of the key of an offer.
    #[inline]
    pub(super) fn place_of(&self, offer: &Offer<'_>) -> Place {
        self.entries.place_by(offer.sender, offer.name, |entry| entry.begins_as(offer))
    }

    /// As [`Table::replace`], of a value that comes from where the one before it came from. It is encoded where that is;
    /// sender and name stay. Returns how long the body is. None, and nothing changed: it may not fit there, or is of more than
    /// `most` bytes without its meta.
    #[inline]
    pub fn rewrite(&mut self, slot: Slot, new: &Rewrite<'_>, most: usize) -> Option<usize> {
        let entry = self.entries.get_mut(slot.0)?;
        let (at, was_transient) = (entry.data_at(), entry.is_transient());
        let meta_at = at + new.value.max_encoded_len();
        if meta_at > most {
            return None;
        }
        let bytes = entry.body.room_for(meta_at + new.meta_room)?;
        bytes.truncate(at);
        new.value.encode(bytes);
        entry.meta_at = bytes.len() as u32;
        new.meta.encode(bytes);
        let len = bytes.len();
        self.changed(slot.0, was_transient, new.kind, new.stamp, new.mono);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::super::{Capacity, Entry};
    use super::*;
    use crate::time::LogicalTime;
    use crate::wire::{self, Form, Instance};

    #[derive(Clone, Debug)]
    enum Sent {
        Bytes(usize),
        Text(usize),
        Int(i64),
        Double,
        Time(u32),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            (0usize..300).prop_map(Sent::Bytes),
            (0usize..300).prop_map(Sent::Text),
            (any::<i64>(), 0u32..64).prop_map(|(value, shift)| Sent::Int(value >> shift)),
            Just(Sent::Double),
            any::<u32>().prop_map(Sent::Time),
        ]
    }

    fn stamp(clock: usize) -> Stamp {
        Stamp { clock: LogicalTime::from_bits(clock as u64), instance: Instance([1; 16]) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Also while keys are removed and others take their places, which somebody remembers.
        #[test]
        fn what_is_rewritten_is_as_if_it_had_been_replaced(
            steps in vec((0usize..4, option::weighted(0.9, (sent(), any::<(bool, bool)>(), 0usize..400))), 1..80),
        ) {
            let (mut table, mut model) = (Table::new(Capacity::default()), Table::new(Capacity::default()));
            let mut found = [Found::default(); 4];
            let text = "x".repeat(300);
            for (clock, (key, step)) in steps.into_iter().enumerate() {
                let (name, mono) = (format!("name-{key}"), MonoTime::default());
                let place = table.place(&mut found[key], "me", &name);
                prop_assert_eq!(place.slot.map(Slot), model.find_at("me", &name));
                let Some((sent, (is_transient, expires), most)) = step else {
                    place.slot.into_iter().for_each(|slot| {
                        table.forget(Slot(slot));
                        model.forget(Slot(slot));
                    });
                    continue;
                };
                let value = match sent {
                    Sent::Bytes(len) => Value::Bytes(&text.as_bytes()[..len]),
                    Sent::Text(len) => Value::Text(&text[..len]),
                    Sent::Int(value) => Value::Int(value),
                    Sent::Double => Value::Double(0.5),
                    Sent::Time(seconds) => Value::Time(wire::Time::from_millis(i64::from(seconds) << 9)),
                };
                let (kind, stamp) = (value.kind().expect("well-formed"), stamp(clock));
                let flags = if is_transient { Meta::TRANSIENT } else { 0 };
                let meta = Meta { stamp: Some(stamp), flags, lifetime: expires.then_some(9), ..Meta::default() };
                let mut body = Vec::new();
                let meta_at = wire::encode_value(&mut body, Form::V1, "me", &name, value, &meta);
                let new = Rewrite { value, kind, stamp, meta, meta_room: body.len() - meta_at, mono };
                let rewritten = place.slot.and_then(|slot| table.rewrite(Slot(slot), &new, most));
                prop_assert!(rewritten.is_none_or(|len| len == body.len() && meta_at <= most));
                let (sender, name) = (&b"me"[..], name.as_bytes());
                let offer = || Offer { body: &body, shared: None, meta_at, sender, name, kind, stamp, origin: None, mono };
                if rewritten.is_none() {
                    table.replace(offer()).expect("there is room");
                }
                model.replace(offer()).expect("there is room");
                let all = |table: &Table| -> Vec<_> {
                    let each = |entry: &Entry| {
                        (entry.bytes().to_vec(), entry.meta_at(), entry.kind(), entry.stamp(), entry.version())
                    };
                    table.iter().map(each).collect()
                };
                prop_assert_eq!(all(&table), all(&model));
                prop_assert_eq!((table.version(), table.values()), (model.version(), model.values()));
            }
        }
    }
}
