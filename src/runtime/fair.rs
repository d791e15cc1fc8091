//! Which of those that are ready is served first.
//!
//! This is fair queueing as in networks. A connection that wants little waits for at most one other, and those that want
//! more than there is get equal parts. What is shared out is what serving costs. A connection is ordered by where it will
//! presumably end: where it starts, which is what it has had so far, and what it cost the last time. If it were ordered by
//! where it starts alone, as in start-time fair queueing (Goyal, Vin and Cheng, 1996), many that begin together would all
//! go before one that has had a little more and wants hardly anything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Those that wait to be served.
#[derive(Default)]
pub struct Fair {
    /// Where each will presumably end, by what serving costs; which of those that end there came first; where it
    /// starts; and its key.
    waiting: BinaryHeap<Reverse<(u64, u64, u64, u64)>>,
    /// The last start of those that were served.
    time: u64,
    /// Where the one started that is served, or was last.
    start: u64,
    came: u64,
}

/// What one of them has had.
#[derive(Default)]
pub struct Served {
    /// Where it starts the next time, unless all others are further.
    until: u64,
    /// What serving it cost the last time.
    last: u64,
    waits: bool,
}

impl Served {
    /// Whether it waits.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// It is served now, and waits no longer.
    pub fn begin(&mut self) {
        self.waits = false;
    }
}

impl Fair {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The owner of this key waits from now on, if it does not already.
    pub fn wait(&mut self, key: u64, served: &mut Served) {
        if !std::mem::replace(&mut served.waits, true) {
            served.until = served.until.max(self.time);
            self.came += 1;
            self.waiting.push(Reverse((served.until + served.last, self.came, served.until, key)));
        }
    }

    /// The key of the connection to serve next. That may have been closed meanwhile.
    pub fn next(&mut self) -> Option<u64> {
        let Reverse((_, _, start, key)) = self.waiting.pop()?;
        self.start = start;
        self.time = self.time.max(start);
        Some(key)
    }

    /// Serving the one that was next cost so much. Whether it is to wait again is said afterwards.
    pub fn took(&mut self, served: &mut Served, cost: Duration) {
        served.last = cost.as_nanos() as u64;
        served.until = self.start + served.last;
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Who wants to be served, and what serving it costs each time.
    struct Crowd {
        fair: Fair,
        served: Vec<Served>,
        costs: Vec<u64>,
        totals: Vec<u64>,
    }

    impl Crowd {
        fn new(costs: Vec<u64>) -> Crowd {
            let served = costs.iter().map(|_| Served::default()).collect();
            Crowd { fair: Fair::default(), served, totals: vec![0; costs.len()], costs }
        }

        fn wait(&mut self, who: usize) {
            self.fair.wait(who as u64, &mut self.served[who]);
        }

        /// Serves the next, and returns who that was.
        fn serve(&mut self) -> usize {
            let who = self.fair.next().expect("somebody waits") as usize;
            self.served[who].begin();
            self.fair.took(&mut self.served[who], Duration::from_nanos(self.costs[who]));
            self.totals[who] += self.costs[who];
            who
        }
    }

    #[test]
    fn who_waits_is_served_once_and_may_be_gone() {
        let mut crowd = Crowd::new(vec![1, 1]);
        crowd.wait(0);
        crowd.wait(0);
        assert!(crowd.served[0].waits() && !crowd.fair.is_empty());
        assert_eq!(crowd.serve(), 0);
        assert!(!crowd.served[0].waits() && crowd.fair.is_empty());
        crowd.wait(1);
        crowd.fair.clear();
        assert_eq!(crowd.fair.next(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn those_who_always_want_more_have_equal_parts_whatever_one_service_costs(costs in vec(1..2_000_u64, 2..30)) {
            let most = costs.iter().max().copied().unwrap_or_default();
            let mut crowd = Crowd::new(costs);
            (0..crowd.costs.len()).for_each(|who| crowd.wait(who));
            for _ in 0..5_000 {
                let who = crowd.serve();
                crowd.wait(who);
                let (least, greatest) = (crowd.totals.iter().min(), crowd.totals.iter().max());
                let apart = greatest.zip(least).map(|(greatest, least)| greatest - least);
                prop_assert!(apart <= Some(2 * most), "{apart:?} of {most}");
            }
        }

        #[test]
        fn who_wants_little_is_next_however_many_want_more(
            costs in vec(100..2_000_u64, 1..100),
            pauses in vec(0..50_usize, 1..50),
        ) {
            let honest = costs.len();
            let mut crowd = Crowd::new([&costs[..], &[1]].concat());
            (0..honest).for_each(|who| crowd.wait(who));
            // All have come in.
            for _ in 0..honest {
                let who = crowd.serve();
                crowd.wait(who);
            }
            for pause in pauses {
                // It comes again when each of the others was served once and some more.
                for _ in 0..honest + pause {
                    let who = crowd.serve();
                    crowd.wait(who);
                }
                crowd.wait(honest);
                prop_assert_eq!(crowd.serve(), honest);
            }
        }
    }
}
