//! Which peers are sent the states of a name: those that take every name, and those that have a pattern for it.

use std::sync::Arc;

use super::super::mutations::{is_on, Mutation};
use super::super::patterns::{PatternIndex, KEPT};
use super::super::table::Entry;
use super::groups::Groups;
use crate::limits;
use crate::pattern::{Beginning, Pattern};

/// What a peer is sent that has subscribed.
#[derive(Default)]
pub struct Listed {
    patterns: Vec<Arc<Pattern>>,
    /// From here on they are new: what the hub holds of these is on its way.
    fresh: usize,
    /// Up to which version of the table it was sent everything of the others.
    sent: u64,
}

impl Listed {
    /// Its patterns.
    pub fn patterns(&self) -> &[Arc<Pattern>] {
        &self.patterns
    }

    /// It has these, too, and is to be sent what is held of them. `sent`: up to which version it was sent everything of the
    /// others; `None`: that has to be looked at again.
    pub fn add(&mut self, patterns: Vec<Arc<Pattern>>, sent: Option<u64>) {
        (self.fresh, self.sent) = match sent {
            Some(sent) => (self.patterns.len(), sent),
            // What was on its way to it still is.
            None if self.sent > 0 => (self.fresh, self.sent),
            None => (0, 0),
        };
        self.patterns.extend(patterns);
    }

    /// It has one no longer. That pattern, if it had it.
    pub fn remove(&mut self, pattern: &str) -> Option<Arc<Pattern>> {
        let at = self.patterns.iter().position(|one| one.as_str() == pattern)?;
        self.fresh -= usize::from(at < self.fresh);
        Some(self.patterns.remove(at))
    }

    /// It was sent what the hub held of all of them.
    pub fn settle(&mut self) {
        (self.fresh, self.sent) = (self.patterns.len(), 0);
    }

    /// Everything of all of them is to be sent again.
    pub fn restart(&mut self) {
        (self.fresh, self.sent) = (0, 0);
    }

    /// Whether one of its patterns matches this name.
    pub fn has(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether it is sent an entry that a walk comes to. Takes `steps`.
    pub fn wants(&self, entry: &Entry, steps: &mut usize) -> bool {
        let mut matches = |patterns: &[Arc<Pattern>]| {
            patterns.iter().any(|pattern| {
                *steps = steps.saturating_sub(1 + pattern.steps(entry.name().len()));
                pattern.matches(entry.name())
            })
        };
        let (old, fresh) = self.patterns.split_at(self.fresh);
        if entry.version() <= self.sent {
            return matches(fresh) && !matches(old);
        }
        matches(old) || matches(fresh)
    }
}

/// Sets of lines in which it is kept who is sent the names that came last: 640 KiB in all, and 4 MiB of places at most.
const SETS: usize = 4 << 10;

/// Which peers are sent the states of a name.
pub struct Subscriptions {
    /// The peers that are sent every name, in the order of their places.
    everyone: Vec<u32>,
    index: PatternIndex<u32, SETS>,
    /// What was found in it, as entries keep it.
    groups: Groups,
    held: Held,
}

/// How much there is in an index.
#[derive(Clone, Copy, Default)]
struct Held {
    /// Patterns with a star.
    stars: usize,
    bytes: usize,
}

impl Subscriptions {
    /// Nobody is sent anything.
    pub fn new() -> Subscriptions {
        let (everyone, index, held) = Default::default();
        Subscriptions { everyone, index, groups: Groups::new(), held }
    }

    /// The peers that are sent every name, and those that have a pattern for that of this entry, both in the order of their
    /// places; and what it took to find the latter, in steps.
    #[inline]
    pub fn audience(&mut self, entry: &Entry) -> (&[u32], &[u32], usize) {
        if self.index.patterns() == 0 {
            return (&self.everyone, &[], 0);
        }
        let mut steps = 0;
        if self.groups.get(entry.audience()).is_none() {
            let (listed, looked) = self.index.listed(entry.name());
            if listed.len() > KEPT {
                return (&self.everyone, listed, looked);
            }
            entry.set_audience(self.groups.audience(listed));
            steps = looked;
        }
        (&self.everyone, self.groups.get(entry.audience()).unwrap_or_default(), steps)
    }

    /// A pattern came or went: no set that was found before is good any more.
    fn changed(&mut self) {
        if !is_on(Mutation::AudienceKept) {
            self.groups.clear();
        }
    }

    /// The peer at this place is sent every name from now on.
    pub fn enter(&mut self, place: usize) {
        if let Err(at) = self.everyone.binary_search(&(place as u32)) {
            self.everyone.insert(at, place as u32);
        }
    }

    /// The peer at this place is not sent every name any more, but those of its patterns.
    pub fn leave(&mut self, place: usize) {
        if let Ok(at) = self.everyone.binary_search(&(place as u32)) {
            self.everyone.remove(at);
        }
    }

    /// Whether there is room for these patterns, too.
    pub fn have_room_for(&self, patterns: &[Arc<Pattern>]) -> bool {
        let Held { stars, bytes } = self.held;
        self.index.patterns() + patterns.len() <= limits::HUB_PATTERNS
            && stars + patterns.iter().filter(|pattern| has_star(pattern)).count() <= limits::HUB_STARS
            && bytes + patterns.iter().map(|pattern| pattern.as_str().len()).sum::<usize>() <= limits::HUB_PATTERN_BYTES
    }

    /// The peer at this place has a pattern, which it had not.
    pub fn add(&mut self, place: usize, pattern: &Arc<Pattern>) {
        self.index.add(place as u32, pattern);
        self.changed();
        self.held.stars += usize::from(has_star(pattern));
        self.held.bytes += pattern.as_str().len();
    }

    /// The peer at this place has these patterns no longer. Returns what that took, in steps.
    pub fn remove(&mut self, place: usize, patterns: &[Arc<Pattern>]) -> usize {
        for pattern in patterns {
            self.held.stars -= usize::from(has_star(pattern));
            self.held.bytes -= pattern.as_str().len();
        }
        self.changed();
        self.index.remove(place as u32, patterns)
    }
}

fn has_star(pattern: &Pattern) -> bool {
    !matches!(pattern.beginning(), Beginning::Name(_))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::super::table::tests::put;
    use super::super::super::table::{Capacity, Table};
    use super::*;

    impl Subscriptions {
        fn listed(&mut self, name: &str) -> (&[u32], usize) {
            self.index.listed(name)
        }
    }

    fn pattern(text: &str) -> Arc<Pattern> {
        Arc::new(Pattern::new(text).expect("a pattern"))
    }

    const PATTERNS: [&str; 9] = ["a", "a/b", "a/*", "a/**", "*", "**", "**/b", "*/b", "b/*/c"];
    const NAMES: [&str; 8] = ["a", "b", "a/b", "a/c", "b/b", "b/x/c", "a/b/c", "c"];

    proptest! {
        #[test]
        fn whoever_has_a_pattern_for_a_name_is_found_whatever_was_asked_before(
            changes in vec((any::<bool>(), 0..5_usize, select(&PATTERNS[..]), select(&NAMES[..])), 0..200),
        ) {
            let mut subscriptions = Subscriptions::new();
            let mut table = Table::new(Capacity::default());
            let mut model = BTreeMap::<usize, BTreeMap<&str, Arc<Pattern>>>::new();
            for (adds, place, text, name) in changes {
                let has = model.entry(place).or_default();
                match has.remove(text) {
                    None if adds => {
                        let pattern = has.entry(text).or_insert(pattern(text));
                        subscriptions.add(place, pattern);
                    }
                    Some(pattern) if adds => _ = has.insert(text, pattern),
                    // One of them, or all when the peer leaves.
                    Some(pattern) if text.len() % 2 == 0 => _ = subscriptions.remove(place, &[pattern]),
                    Some(pattern) => {
                        let all: Vec<_> = std::mem::take(has).into_values().chain([pattern]).collect();
                        subscriptions.remove(place, &all);
                    }
                    None => {}
                }
                let wants = |has: &BTreeMap<&str, Arc<Pattern>>| has.values().any(|pattern| pattern.matches(name));
                let expected: Vec<_> = model.iter().filter(|(_, has)| wants(has)).map(|(&at, _)| at as u32).collect();
                // Each sender has an entry of the name, some of which have kept what was found before.
                for sender in ["a", "b", "a"] {
                    let slot = table.find_at(sender, name).unwrap_or_else(|| put(&mut table, sender, name, 1));
                    prop_assert_eq!(subscriptions.audience(table.get(slot).expect("it was put there")).1, &expected[..]);
                    prop_assert_eq!(subscriptions.listed(name).0, &expected[..]);
                }
            }
        }
    }

    #[test]
    fn a_name_is_looked_up_once_until_a_pattern_changes_and_only_among_patterns_that_begin_so() {
        let mut subscriptions = Subscriptions::new();
        for place in 0..200 {
            for n in 0..50 {
                subscriptions.add(place, &pattern(&format!("elsewhere/{n}/*")));
            }
        }
        subscriptions.add(7, &pattern("here/x"));
        assert_eq!(subscriptions.listed("here/x"), (&[7][..], 1));
        assert_eq!(subscriptions.listed("here/x"), (&[7][..], 0));
        subscriptions.add(8, &pattern("here/*"));
        let (places, steps) = subscriptions.listed("here/x");
        assert!(places == [7, 8] && steps < 5);
        assert_eq!(subscriptions.listed("here/x").1, 0);
    }

    #[test]
    fn an_entry_knows_who_is_sent_it_until_a_pattern_changes_or_there_are_too_many_audiences() {
        let mut subscriptions = Subscriptions::new();
        let mut table = Table::new(Capacity::default());
        // Each name is of another audience: of the places whose bits its number has.
        const NAMES: usize = 3 << 11;
        for name in 0..NAMES {
            let one = pattern(&format!("n/{name}"));
            (0..13).filter(|place| name >> place & 1 == 1).for_each(|place| subscriptions.add(place, &one));
        }
        let slots: Vec<_> = (0..NAMES).map(|name| put(&mut table, "a", &format!("n/{name}"), 1)).collect();
        for _ in 0..2 {
            for (name, &slot) in slots.iter().enumerate() {
                let entry = table.get(slot).expect("it was put there");
                let expected: Vec<_> = (0..13).filter(|place| name >> place & 1 == 1).collect();
                assert_eq!(subscriptions.audience(entry).1, expected);
                assert!(subscriptions.groups.get(entry.audience()).is_some());
            }
        }
        let last = table.get(slots[NAMES - 1]).expect("it was put there");
        subscriptions.add(20, &pattern("elsewhere"));
        assert!(subscriptions.groups.get(last.audience()).is_none());
    }

    #[test]
    fn names_in_use_at_the_same_time_do_not_drive_each_other_out() {
        let mut subscriptions = Subscriptions::new();
        subscriptions.add(1, &pattern("**"));
        let names: Vec<_> = (0..1000).map(|n| format!("x/{n}")).collect();
        names.iter().for_each(|name| assert!(subscriptions.listed(name).1 > 0));
        let again = names.iter().filter(|name| subscriptions.listed(name).1 > 0).count();
        assert!(again <= 10, "{again} of {} are looked up again", names.len());
    }

    #[test]
    fn many_are_found_each_time_and_nothing_is_kept_when_nobody_has_a_pattern() {
        let mut subscriptions = Subscriptions::new();
        let many = KEPT + 1;
        let x = pattern("x");
        (0..many).for_each(|place| subscriptions.add(place, &x));
        for _ in 0..2 {
            assert_eq!(subscriptions.listed("x").0.len(), many);
        }
        (0..many).for_each(|place| _ = subscriptions.remove(place, std::slice::from_ref(&x)));
        assert!(subscriptions.listed("x").0.is_empty() && subscriptions.index.is_bare());
    }

    #[test]
    fn those_who_are_sent_everything_are_in_order_and_each_is_there_once() {
        let mut subscriptions = Subscriptions::new();
        [3, 1, 2, 1].iter().for_each(|&place| subscriptions.enter(place));
        assert_eq!(subscriptions.everyone, [1, 2, 3]);
        [1, 1, 9].iter().for_each(|&place| subscriptions.leave(place));
        assert_eq!(subscriptions.everyone, [2, 3]);
    }

    #[test]
    fn a_pattern_that_is_a_name_makes_no_other_name_be_looked_up_again() {
        let mut subscriptions = Subscriptions::new();
        let (all, x) = (pattern("**"), pattern("x"));
        subscriptions.add(1, &all);
        assert!(subscriptions.listed("x").1 > 0 && subscriptions.listed("y").1 > 0);
        subscriptions.add(2, &x);
        assert_eq!(subscriptions.listed("y"), (&[1][..], 0));
        assert_eq!(subscriptions.listed("x").0, [1, 2]);
        subscriptions.remove(2, &[x]);
        assert_eq!((subscriptions.listed("y").1, subscriptions.listed("x").0), (0, &[1][..]));
    }

    #[test]
    fn all_apps_together_have_so_many_patterns_and_bytes_and_not_more() {
        let mut subscriptions = Subscriptions::new();
        let star = [pattern("x/*")];
        for place in 0..limits::HUB_STARS {
            assert!(subscriptions.have_room_for(&star));
            subscriptions.add(place, &star[0]);
        }
        assert!(!subscriptions.have_room_for(&star) && subscriptions.have_room_for(&[pattern("x")]));
        assert!(subscriptions.remove(0, &star) >= limits::HUB_STARS / 16, "it is charged for");
        assert!(subscriptions.have_room_for(&star));
        let mut subscriptions = Subscriptions::new();
        let long = [pattern(&"x".repeat(1024))];
        for place in 0..limits::HUB_PATTERN_BYTES / 1024 {
            assert!(subscriptions.have_room_for(&long));
            subscriptions.add(place, &long[0]);
        }
        assert!(!subscriptions.have_room_for(&long));
    }
}
