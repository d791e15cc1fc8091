//! Many patterns, and for a name those that match it: found once for each name, whatever the number of patterns.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use super::hash::{key_hasher, KeyHasher};
use super::mutations::{is_on, Mutation};
use crate::effort::{did, Work};
use crate::pattern::{Beginning, Pattern};

/// Who has a pattern for a name. Each is named by a place; what was found last for a name is kept, in one of so many sets of
/// lines.
pub struct PatternIndex<P, const SETS: usize> {
    index: Index<P>,
    cache: Cache<P, SETS>,
    /// How many patterns there are, of all places together.
    patterns: usize,
}

impl<P: Copy + Ord, const SETS: usize> Default for PatternIndex<P, SETS> {
    /// Nobody has a pattern.
    fn default() -> PatternIndex<P, SETS> {
        let (sets, many) = (Vec::new(), Vec::new());
        let cache = Cache { sets, turn: 0, generation: 1, hasher: key_hasher(), many };
        let index = Index { names: HashMap::new(), beginnings: HashMap::new(), others: Vec::new() };
        PatternIndex { index, cache, patterns: 0 }
    }
}

impl<P: Copy + Ord, const SETS: usize> PatternIndex<P, SETS> {
    /// How many patterns there are, of all places together.
    #[inline]
    pub fn patterns(&self) -> usize {
        self.patterns
    }

    /// This place has a pattern, which it had not.
    pub fn add(&mut self, place: P, pattern: &Arc<Pattern>) {
        self.index.add(place, pattern);
        self.patterns += 1;
        if self.cache.sets.is_empty() {
            self.cache.sets.resize_with(SETS, Default::default);
        }
        self.cache.forget(pattern);
    }

    /// This place has these patterns no longer. Returns what that took, in steps.
    pub fn remove(&mut self, place: P, patterns: &[Arc<Pattern>]) -> usize {
        let steps = self.index.remove(place, patterns);
        did(Work::Look, steps);
        patterns.iter().for_each(|pattern| self.cache.forget(pattern));
        self.patterns -= patterns.len();
        if self.patterns == 0 {
            self.cache.sets = Vec::new();
        }
        steps
    }

    /// The places that have a pattern for a name, in their order, and what it took to find them, in steps.
    pub fn listed(&mut self, name: &str) -> (&[P], usize) {
        match self.patterns {
            0 => (&[], 0),
            _ => self.cache.listed(&self.index, name),
        }
    }

    /// Whether nothing is kept.
    #[cfg(test)]
    pub fn is_bare(&self) -> bool {
        self.cache.sets.is_empty() && self.index.names.is_empty() && self.index.beginnings.is_empty()
    }
}

/// The places with a pattern, by patterns.
struct Index<P> {
    /// By names.
    names: HashMap<Arc<str>, Vec<P>>,
    /// By first segments.
    beginnings: HashMap<Arc<str>, Vec<(P, Arc<Pattern>)>>,
    /// Those with a star in the first segment.
    others: Vec<(P, Arc<Pattern>)>,
}

/// Who has a pattern for a name, as long as no pattern changes.
struct Line<P> {
    /// The hash of the name.
    hash: u64,
    /// That of the patterns.
    generation: u64,
    places: Vec<P>,
}

impl<P> Default for Line<P> {
    fn default() -> Line<P> {
        Line { hash: 0, generation: 0, places: Vec::new() }
    }
}

/// Who has a pattern for the names that came last.
struct Cache<P, const SETS: usize> {
    /// A name may be in each line of one set. None before there is a pattern.
    sets: Vec<[Line<P>; WAYS]>,
    /// Which line of a set makes room next.
    turn: usize,
    /// Counts the changes of the index.
    generation: u64,
    hasher: KeyHasher,
    /// Those that are too many to be kept.
    many: Vec<P>,
}

/// Lines of a set. Names that are in use at the same time and fall into the same line would be looked up again and again.
const WAYS: usize = 4;
/// More places are not kept in a line: sending to them costs more than to find them.
pub const KEPT: usize = 64;

impl<P: Copy + Ord, const SETS: usize> Cache<P, SETS> {
    /// A pattern came or went: who has one for the names that it matches is to be looked up again.
    fn forget(&mut self, pattern: &Pattern) {
        if is_on(Mutation::AudienceKept) {
            return;
        }
        let Beginning::Name(name) = pattern.beginning() else {
            self.generation += 1;
            return;
        };
        let hash = self.hasher.hash_one(name);
        let lines = self.sets[hash as usize % SETS].iter_mut();
        lines.filter(|line| line.hash == hash).for_each(|line| line.generation = 0);
    }

    /// The places that have a pattern for a name, and what it took to find them.
    fn listed(&mut self, index: &Index<P>, name: &str) -> (&[P], usize) {
        let hash = self.hasher.hash_one(name);
        let (set, now) = (&mut self.sets[hash as usize % SETS], self.generation);
        if let Some(way) = set.iter().position(|line| line.hash == hash && line.generation == now) {
            return (&set[way].places, 0);
        }
        self.turn += 1;
        let void = set.iter().position(|line| line.generation != now);
        let line = &mut set[void.unwrap_or(self.turn % WAYS)];
        let (mut places, mut steps) = (std::mem::take(&mut line.places), 1);
        places.clear();
        index.collect(name, &mut places, &mut steps);
        did(Work::Look, steps);
        places.sort_unstable();
        places.dedup();
        if places.len() > KEPT {
            line.generation = 0;
            self.many = places;
            return (&self.many, steps);
        }
        *line = Line { hash, generation: now, places };
        (&line.places, steps)
    }
}

/// Removes from the list of a key what `is_it` says yes to, and the list if nothing is left. Returns how long it was.
fn remove<T>(map: &mut HashMap<Arc<str>, Vec<T>>, key: &str, is_it: impl Fn(&T) -> bool) -> usize {
    let Some(list) = map.get_mut(key) else { return 0 };
    let len = list.len();
    list.retain(|one| !is_it(one));
    if list.is_empty() {
        map.remove(key);
    }
    len
}

impl<P: Copy + Ord> Index<P> {
    fn add(&mut self, place: P, pattern: &Arc<Pattern>) {
        match pattern.beginning() {
            Beginning::Name(name) => self.names.entry(name.into()).or_default().push(place),
            Beginning::Segment(first) => {
                self.beginnings.entry(first.into()).or_default().push((place, pattern.clone()));
            }
            Beginning::Any => self.others.push((place, pattern.clone())),
        }
    }

    /// Removes these patterns of a place, each list of others looked at once. Returns what that took, in steps.
    fn remove(&mut self, place: P, patterns: &[Arc<Pattern>]) -> usize {
        /// So many patterns that are looked at are a step.
        const LOOKS: usize = 16;
        let (mut firsts, mut any, mut looks) = (BTreeSet::new(), false, 0);
        for pattern in patterns {
            match pattern.beginning() {
                Beginning::Name(name) => looks += remove(&mut self.names, name, |&at| at == place),
                Beginning::Segment(first) => _ = firsts.insert(first),
                Beginning::Any => any = true,
            }
        }
        // Of one that leaves all go, of any other one.
        let is_it =
            |(at, one): &(P, Arc<Pattern>)| *at == place && patterns.iter().any(|pattern| Arc::ptr_eq(pattern, one));
        for first in firsts {
            looks += remove(&mut self.beginnings, first, is_it);
        }
        if any {
            looks += self.others.len();
            self.others.retain(|one| !is_it(one));
        }
        looks / LOOKS
    }

    /// Adds the places that have a pattern for a name, and what it takes to find them.
    fn collect(&self, name: &str, places: &mut Vec<P>, steps: &mut usize) {
        let exact = self.names.get(name).map_or(&[][..], Vec::as_slice);
        places.extend_from_slice(exact);
        let first = name.split('/').next().unwrap_or_default();
        let beginnings = self.beginnings.get(first).map_or(&[][..], Vec::as_slice);
        for (place, pattern) in beginnings.iter().chain(&self.others) {
            *steps += 1 + pattern.steps(name.len());
            if pattern.matches(name) {
                places.push(*place);
            }
        }
    }
}
