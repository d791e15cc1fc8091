//! Sets of peers, each of them kept once: names are many, and most have one of few audiences.

use std::hash::BuildHasher as _;
use std::ops::Range;

use hashbrown::HashTable;

use super::super::hash::{key_hasher, KeyHasher};
use super::super::table::Audience;

/// So many bits of an [`Audience`] say which group it is; the others, in which generation.
const BITS: u32 = 12;
/// Places that the groups of one generation may have together.
const PLACES: usize = 64 << 10;

/// Groups of peers, numbered. A number is good until any group may have changed.
pub struct Groups {
    generation: u64,
    /// Where the places of each are.
    groups: Vec<Range<u32>>,
    places: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: KeyHasher,
}

impl Groups {
    /// None.
    pub fn new() -> Groups {
        let (groups, places, numbers) = Default::default();
        // An audience that was never looked for is of generation 0.
        Groups { generation: 1, groups, places, numbers, hasher: key_hasher() }
    }

    /// No audience that was given out is good any more.
    pub fn clear(&mut self) {
        self.generation += 1;
        (self.groups, self.places, self.numbers) = Default::default();
    }

    /// Those of an audience, if it is still good.
    #[inline]
    pub fn get(&self, audience: Audience) -> Option<&[u32]> {
        if audience.0 >> BITS != self.generation {
            return None;
        }
        let group = self.groups.get(audience.0 as usize % (1 << BITS))?;
        self.places.get(group.start as usize..group.end as usize)
    }

    /// The audience that consists of these. If that is one too many, all others are forgotten.
    pub fn audience(&mut self, places: &[u32]) -> Audience {
        let hash = self.hasher.hash_one(places);
        let known = self.numbers.find(hash, |&number| self.of(number) == places).copied();
        // First: it may begin a new generation.
        let number = known.unwrap_or_else(|| self.add(hash, places));
        Audience(self.generation << BITS | u64::from(number))
    }

    fn of(&self, number: u32) -> &[u32] {
        let group = &self.groups[number as usize];
        &self.places[group.start as usize..group.end as usize]
    }

    fn add(&mut self, hash: u64, places: &[u32]) -> u32 {
        if self.groups.len() == 1 << BITS || self.places.len() + places.len() > PLACES {
            self.clear();
        }
        let (number, start) = (self.groups.len() as u32, self.places.len() as u32);
        self.places.extend_from_slice(places);
        self.groups.push(start..self.places.len() as u32);
        let Groups { numbers, groups, places, hasher, .. } = self;
        numbers.insert_unique(hash, number, |&other| {
            let group = &groups[other as usize];
            hasher.hash_one(&places[group.start as usize..group.end as usize])
        });
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_good_until_there_are_too_many_groups_or_places() {
        for (many, len) in [(5_000, 1), (1_100, 64)] {
            let mut groups = Groups::new();
            assert!(groups.get(Audience::default()).is_none(), "nothing was looked for");
            let none = groups.audience(&[]);
            assert_eq!(groups.get(none), Some(&[][..]));
            for first in 0..many {
                let places: Vec<u32> = (first..first + len).collect();
                let audience = groups.audience(&places);
                assert_eq!(groups.get(audience), Some(&places[..]));
                assert_eq!(groups.audience(&places).0, audience.0, "it is kept once");
                assert!(groups.groups.len() <= 1 << BITS && groups.places.len() <= PLACES);
            }
            assert!(groups.get(none).is_none());
        }
    }
}
