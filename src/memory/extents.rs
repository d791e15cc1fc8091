//! Which parts of a stretch of memory are free, in pages.
//!
//! Numbers only: no memory is touched here. A free page may hold memory of the system, so that writing to it costs no page
//! fault; it is *resident* then. What is freed stays resident while there is not much of it.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// Pages, by number.
pub type Pages = Range<usize>;

/// A free stretch, which begins where it is filed.
#[derive(Clone, Copy, Debug)]
struct Free {
    len: usize,
    is_resident: bool,
}

/// The free stretches of a memory of which more and more is used.
#[derive(Debug)]
pub struct Extents {
    /// By their first page. Neighbours differ in whether they are resident.
    free: BTreeMap<usize, Free>,
    /// How many pages there are; the rest of the memory is not in use yet.
    end: usize,
    /// How many pages there can be.
    most: usize,
    used: usize,
    resident: usize,
}

impl Extents {
    /// `most` pages, none of which is in use.
    pub const fn new(most: usize) -> Extents {
        Extents { free: BTreeMap::new(), end: 0, most, used: 0, resident: 0 }
    }

    /// Takes `len` pages that lie one behind the other: the first that are free, so that what is in use lies close together.
    pub fn take(&mut self, len: usize) -> Option<Pages> {
        let mut run = 0..0;
        for (&at, free) in &self.free {
            if at != run.end {
                run = at..at;
            }
            run.end += free.len;
            if run.len() >= len {
                let taken = run.start..run.start + len;
                self.remove(taken.clone());
                self.used += len;
                return Some(taken);
            }
        }
        None
    }

    /// Puts more pages to use, at the end, so that `len` can be taken; in multiples of `step`. Returns which are new. `None`:
    /// there are not so many.
    pub fn grow(&mut self, len: usize, step: usize) -> Option<Pages> {
        // What is free at the end is used first.
        let mut start = self.end;
        for (&at, free) in self.free.iter().rev() {
            if at + free.len < start {
                break;
            }
            start = at;
        }
        let end = (start + len).next_multiple_of(step);
        if end > self.most {
            return None;
        }
        let new = self.end..end;
        self.end = end;
        self.add(new.clone(), false);
        Some(new)
    }

    /// Takes back what was put to use last, since there is no memory for it.
    pub fn shrink(&mut self, new: Pages) {
        self.remove(new.clone());
        self.end = new.start;
    }

    /// Gives pages back that were taken. They are resident.
    pub fn give(&mut self, pages: Pages) {
        self.used -= pages.len();
        self.add(pages, true);
    }

    /// Free pages that should not stay resident, the last ones first: at most half as many stay so as are in use, but no
    /// fewer than `kept` has at the least, and no more than it has at the most.
    pub fn surplus(&self, kept: &RangeInclusive<usize>) -> Option<Pages> {
        let stay = (self.used / 2).clamp(*kept.start(), *kept.end());
        let surplus = self.resident.checked_sub(stay).filter(|&surplus| surplus > 0)?;
        let (&at, free) = self.free.iter().rev().find(|(_, free)| free.is_resident)?;
        let end = at + free.len;
        Some(end - surplus.min(free.len)..end)
    }

    /// These free pages are resident no longer.
    pub fn vacate(&mut self, pages: Pages) {
        self.remove(pages.clone());
        self.add(pages, false);
    }

    /// The free stretches that are resident.
    pub fn residents(&self) -> Vec<Pages> {
        self.free.iter().filter(|(_, free)| free.is_resident).map(|(&at, free)| at..at + free.len).collect()
    }

    /// Files free pages, with their neighbours of the same kind.
    fn add(&mut self, pages: Pages, is_resident: bool) {
        let Pages { mut start, mut end } = pages;
        if start == end {
            return;
        }
        if is_resident {
            self.resident += end - start;
        }
        if let Some((&at, free)) = self.free.range(..start).next_back() {
            if at + free.len == start && free.is_resident == is_resident {
                start = at;
            }
        }
        if let Some(free) = self.free.get(&end).copied().filter(|free| free.is_resident == is_resident) {
            self.free.remove(&end);
            end += free.len;
        }
        self.free.insert(start, Free { len: end - start, is_resident });
    }

    /// Removes free pages, of whichever kinds.
    fn remove(&mut self, pages: Pages) {
        let before = self.free.range(..pages.start).next_back().map(|(&at, _)| at);
        let first = before.filter(|at| at + self.free[at].len > pages.start).unwrap_or(pages.start);
        let met: Vec<_> = self.free.range(first..pages.end).map(|(&at, &free)| (at, free)).collect();
        for (at, Free { len, is_resident }) in met {
            self.free.remove(&at);
            let (start, end) = (at.max(pages.start), (at + len).min(pages.end));
            if is_resident {
                self.resident -= end - start;
            }
            if at < start {
                self.free.insert(at, Free { len: start - at, is_resident });
            }
            if end < at + len {
                self.free.insert(end, Free { len: at + len - end, is_resident });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_gap_that_is_large_enough_is_taken() {
        let mut extents = Extents::new(100);
        assert_eq!((extents.take(10), extents.grow(10, 16)), (None, Some(0..16)));
        assert_eq!((extents.take(10), extents.take(6), extents.take(1)), (Some(0..10), Some(10..16), None));
        extents.give(0..10);
        assert_eq!((extents.used, extents.resident), (6, 10));
        assert_eq!((extents.take(4), extents.take(7), extents.take(6)), (Some(0..4), None, Some(4..10)));
    }

    #[test]
    fn pages_at_the_end_are_used_before_there_are_more() {
        let mut extents = Extents::new(64);
        extents.grow(10, 16);
        assert_eq!(extents.take(10), Some(0..10));
        assert_eq!(extents.grow(20, 16), Some(16..32), "six of the twenty are there");
        assert_eq!((extents.take(20), extents.grow(35, 16)), (Some(10..30), None));
        assert_eq!(extents.grow(34, 16), Some(32..64));
        extents.shrink(32..64);
        assert_eq!((extents.end, extents.take(3), extents.take(2)), (32, None, Some(30..32)));
    }

    #[test]
    fn what_is_vacated_is_free_still_and_joins_its_neighbours() {
        let mut extents = Extents::new(32);
        extents.grow(32, 32);
        assert_eq!((extents.take(8), extents.take(8)), (Some(0..8), Some(8..16)));
        extents.give(0..8);
        extents.give(8..16);
        assert_eq!((extents.residents().len(), extents.residents()[0].clone()), (1, 0..16));
        extents.vacate(4..12);
        assert_eq!((extents.resident, extents.residents()), (8, vec![0..4, 12..16]));
        assert_eq!(extents.take(32), Some(0..32), "it may be of both kinds");
        assert_eq!((extents.used, extents.resident), (32, 0));
    }

    #[test]
    fn half_as_much_stays_resident_as_is_in_use_within_bounds() {
        /// How many free pages are resident after each of eight stretches of eight pages is given back.
        fn resident(kept: RangeInclusive<usize>) -> Vec<usize> {
            let mut extents = Extents::new(64);
            extents.grow(64, 64);
            let taken: Vec<_> = (0..8).map(|_| extents.take(8).expect("it is free")).collect();
            let give = |pages| {
                extents.give(pages);
                while let Some(pages) = extents.surplus(&kept) {
                    extents.vacate(pages);
                }
                extents.resident
            };
            taken.into_iter().map(give).collect()
        }
        assert_eq!(resident(0..=64), [8, 16, 20, 16, 12, 8, 4, 0]);
        assert_eq!(resident(14..=64), [8, 16, 20, 16, 14, 14, 14, 14]);
        assert_eq!(resident(0..=9), [8, 9, 9, 9, 9, 8, 4, 0]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(usize),
        Give(usize),
        Vacate(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..9_usize).prop_map(Step::Take),
            any::<usize>().prop_map(Step::Give),
            any::<usize>().prop_map(Step::Vacate)
        ]
    }

    proptest! {
        #[test]
        fn no_page_is_given_out_twice_and_none_is_lost(steps in prop::collection::vec(step(), 1..200)) {
            const MOST: usize = 64;
            #[derive(Clone, Copy, PartialEq, Debug)]
            enum Page { New, Taken, Resident, Vacant }
            let mut extents = Extents::new(MOST);
            let (mut pages, mut taken) = ([Page::New; MOST], Vec::<Pages>::new());
            for step in steps {
                match step {
                    Step::Take(len) => {
                        let got = extents.take(len).or_else(|| {
                            let new = extents.grow(len, 8)?;
                            pages[new].fill(Page::Vacant);
                            Some(extents.take(len).expect("it has grown"))
                        });
                        let free = |page: &Page| matches!(page, Page::Resident | Page::Vacant);
                        match got {
                            Some(got) => {
                                prop_assert!(got.len() == len && pages[got.clone()].iter().all(free));
                                pages[got.clone()].fill(Page::Taken);
                                taken.push(got);
                            }
                            None => prop_assert!(!pages.windows(len).any(|pages| pages.iter().all(free))),
                        }
                    }
                    Step::Give(which) if !taken.is_empty() => {
                        let given = taken.swap_remove(which % taken.len());
                        pages[given.clone()].fill(Page::Resident);
                        extents.give(given);
                    }
                    Step::Vacate(which) => {
                        let residents = extents.residents();
                        if !residents.is_empty() {
                            let vacated = residents[which % residents.len()].clone();
                            pages[vacated.clone()].fill(Page::Vacant);
                            extents.vacate(vacated);
                        }
                    }
                    Step::Give(_) => {}
                }
                let count = |wanted| pages.iter().filter(|&&page| page == wanted).count();
                prop_assert_eq!((extents.used, extents.resident), (count(Page::Taken), count(Page::Resident)));
                prop_assert_eq!(extents.end, MOST - count(Page::New));
            }
        }
    }
}
