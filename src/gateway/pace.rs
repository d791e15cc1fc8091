//! How fast a PUB socket is fed.
//!
//! NNG queues for each subscriber, drops the oldest message of a full queue, and says so of the socket as a whole only:
//! how many messages found a subscriber *busy*, with one still on its way, and how many were dropped. So after each
//! *batch* the next message is a *probe*: if nobody is busy with it, every queue is empty, and the next batch may
//! follow. While somebody is, the messages wait where newer values replace older ones. Batches get longer while nobody
//! is waited for, and shorter when that takes long: a batch and its probes always fit in a queue, so who is waited for
//! loses nothing.
//!
//! Nobody is waited for indefinitely: who is still busy then is *behind*, and the others go on without him. When fewer
//! are behind than when something was dropped, everything is to be sent again.

use std::time::Duration;

/// Messages that NNG queues for one subscriber: for one that does not read that is 255 MiB at worst, of states as large
/// as they may be towards old peers. The length is no power of two, and never changes: see
/// [`Socket::set_send_buffer`](super::nng::Socket::set_send_buffer).
pub const QUEUE: usize = 255;
/// The longest batch, in messages and in bytes.
const LONGEST: usize = QUEUE / 2;
const LONGEST_BYTES: usize = 4 << 20;
/// The first batch.
const FIRST: usize = 8;
/// From the first probe that found somebody busy to the second; then twice as long each time.
const AGAIN: Duration = Duration::from_millis(1);
/// A wait that is no reason for shorter batches, and one that is a reason for longer ones.
const LONG: Duration = Duration::from_millis(30);
const SHORT: Duration = Duration::from_millis(4);
/// How long the others wait for one that is busy.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is asked, when there is nothing to send, whether those behind have caught up: at first, and at last if
/// nothing changes.
const ASK: Duration = Duration::from_millis(500);
const ASK_AT_LAST: Duration = Duration::from_secs(32);
/// Between two times that everything is sent again to those who came.
const RESEND: Duration = Duration::from_millis(500);
/// The same after a loss: at first, and at last if each time something is lost again.
const RESEND_LOST: Duration = Duration::from_secs(1);
const RESEND_LOST_AT_LAST: Duration = Duration::from_secs(64);
/// What is lost later than this after everything was sent again was not lost by that.
const CALM: Duration = Duration::from_secs(10);

/// What to do with the next message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send it.
    Send,
    /// Send it, and tell who was busy: [`Pace::probed`].
    Probe,
    /// Keep it for so long.
    Wait(Duration),
}

/// Why a probe was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It was the turn of its message.
    Turn,
    /// To ask: [`Pace::asks`].
    Asked,
}

/// A wait for those who are busy.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: u64,
    /// The next probe is due.
    until: u64,
    /// How long it was waited for it.
    wait: u64,
}

/// How far the subscribers of a socket are, as far as it can be known. Times are in nanoseconds of a clock that never
/// goes back.
#[derive(Debug)]
pub struct Pace {
    /// Messages of a batch.
    batch: usize,
    /// What may follow before the next probe.
    credit: usize,
    credit_bytes: usize,
    /// How many may be busy: they are behind.
    behind: u64,
    blocked: Option<Blocked>,
    /// The time of the last probe, how many were busy with it, and how long after it to ask.
    probed: u64,
    busy: u64,
    ask: u64,
    /// How many were behind when something was dropped that was not sent again yet.
    lost: Option<u64>,
    /// What the socket has dropped.
    dropped: u64,
    /// Everything is to be sent again at this time.
    resend: Option<u64>,
    /// When that was done last, when the first loss was after that, and how long it waits if something is lost again.
    resent: Option<u64>,
    first_loss: Option<u64>,
    interval: u64,
}

const fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            batch: FIRST,
            credit: FIRST,
            credit_bytes: LONGEST_BYTES,
            behind: 0,
            blocked: None,
            probed: 0,
            busy: 0,
            ask: nanoseconds(ASK),
            lost: None,
            dropped: 0,
            resend: None,
            resent: None,
            first_loss: None,
            interval: nanoseconds(RESEND_LOST),
        }
    }
}

impl Pace {
    /// What to do with the next message.
    pub fn step(&self, now: u64) -> Step {
        match self.blocked {
            Some(Blocked { until, .. }) if until > now => Step::Wait(Duration::from_nanos(until - now)),
            Some(_) => Step::Probe,
            None if self.credit == 0 || self.credit_bytes == 0 => Step::Probe,
            None => Step::Send,
        }
    }

    /// A message of `len` bytes is about to be sent.
    pub fn sends(&mut self, len: usize) {
        self.credit = self.credit.saturating_sub(1);
        self.credit_bytes = self.credit_bytes.saturating_sub(len);
    }

    /// A probe was sent while so many were `busy`; the socket has `dropped` so many messages in all. How many of these
    /// are new.
    pub fn probed(&mut self, now: u64, why: Why, busy: u64, dropped: u64) -> u64 {
        let new = dropped.saturating_sub(self.dropped);
        self.dropped = dropped;
        if new > 0 {
            // Only who is behind loses anything.
            self.lost = Some(self.lost.unwrap_or(1).max(self.behind));
            self.first_loss.get_or_insert(now);
        }
        let changes = busy != self.busy;
        self.ask = match why {
            Why::Asked if !changes => (2 * self.ask).min(nanoseconds(ASK_AT_LAST)),
            _ => nanoseconds(ASK),
        };
        (self.probed, self.busy) = (now, busy);
        self.behind = self.behind.min(busy);
        self.go_on(now, busy);
        if self.lost.is_some_and(|lost| self.behind < lost) {
            self.lost = None;
            self.recovered(now);
        }
        new
    }

    /// The next batch, or a longer wait.
    fn go_on(&mut self, now: u64, busy: u64) {
        let waited = self.blocked.map_or(0, |blocked| now.saturating_sub(blocked.since));
        if busy > self.behind {
            if waited < nanoseconds(PATIENCE) {
                let wait = self.blocked.map_or(nanoseconds(AGAIN), |blocked| 2 * blocked.wait);
                let since = self.blocked.map_or(now, |blocked| blocked.since);
                self.blocked = Some(Blocked { since, until: now + wait, wait });
                return;
            }
            self.behind = busy;
        }
        self.blocked = None;
        if waited <= nanoseconds(SHORT) {
            self.batch = (2 * self.batch).min(LONGEST);
        } else if waited > nanoseconds(LONG) {
            self.batch = (self.batch / 2).max(1);
        }
        self.credit = self.batch;
        self.credit_bytes = LONGEST_BYTES;
    }

    /// Fewer are behind than when something was lost.
    fn recovered(&mut self, now: u64) {
        let at = match self.resent {
            None => now,
            Some(resent) => {
                let calm = self.first_loss.is_none_or(|first| first.saturating_sub(resent) > nanoseconds(CALM));
                self.interval = match calm {
                    true => nanoseconds(RESEND_LOST),
                    false => (2 * self.interval).min(nanoseconds(RESEND_LOST_AT_LAST)),
                };
                now.max(resent + self.interval)
            }
        };
        self.resend_at(at);
    }

    /// A subscriber is new: it has got nothing yet.
    pub fn joined(&mut self, now: u64) {
        self.resend_at(self.resent.map_or(now, |resent| now.max(resent + nanoseconds(RESEND))));
    }

    fn resend_at(&mut self, at: u64) {
        self.resend = Some(self.resend.map_or(at, |due| due.min(at)));
    }

    /// Whether it is time to send everything again. True once.
    pub fn resends(&mut self, now: u64) -> bool {
        let due = self.resend.is_some_and(|at| at <= now);
        if due {
            (self.resend, self.resent, self.first_loss) = (None, Some(now), None);
        }
        due
    }

    /// Whether a probe is due even though there is nothing to send: then the last message serves.
    pub fn asks(&self, now: u64) -> bool {
        self.asks_at().is_some_and(|at| at <= now)
    }

    fn asks_at(&self) -> Option<u64> {
        (self.behind > 0 || self.lost.is_some()).then_some(self.probed + self.ask)
    }

    /// How long until it is to be looked at again even though nothing happens, if it is: by [`Pace::asks`] and
    /// [`Pace::resends`].
    pub fn look_in(&self, now: u64) -> Option<Duration> {
        let at = self.asks_at().into_iter().chain(self.resend).min()?;
        // What happens meanwhile may make it earlier.
        Some(Duration::from_nanos(at.saturating_sub(now)).min(ASK))
    }

    /// There are no subscribers, and the socket has `dropped` so many messages in all, of which some were for nobody.
    pub fn nobody(&mut self, dropped: u64) {
        let Pace { resent, interval, first_loss, .. } = *self;
        *self = Pace { dropped, resent, interval, first_loss, ..Pace::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use proptest::prelude::*;

    use super::*;

    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MILLISECOND;

    /// A value of a state, and how long it is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Value {
        state: usize,
        version: u64,
        len: usize,
    }

    /// One subscriber, as NNG treats it.
    struct Subscriber {
        queue: VecDeque<Value>,
        sending: Option<(Value, u64)>,
        /// Nanoseconds that it takes for a message and for a byte of it; none while it does not read.
        takes: Option<(u64, u64)>,
        got: BTreeMap<usize, u64>,
        count: usize,
    }

    impl Subscriber {
        fn new(takes: Option<(u64, u64)>) -> Subscriber {
            Subscriber { queue: VecDeque::new(), sending: None, takes, got: BTreeMap::new(), count: 0 }
        }

        fn time(&self, value: Value) -> u64 {
            self.takes.map_or(0, |(message, byte)| message + byte * value.len as u64)
        }

        fn run(&mut self, now: u64) {
            while let (Some((value, done)), Some(_)) = (self.sending, self.takes) {
                if done > now {
                    break;
                }
                self.got.insert(value.state, value.version);
                self.count += 1;
                self.sending = self.queue.pop_front().map(|value| (value, done + self.time(value)));
            }
        }

        /// Whether it was busy, and whether a message was dropped.
        fn send(&mut self, now: u64, value: Value) -> (bool, bool) {
            if self.sending.is_none() {
                self.sending = Some((value, now + self.time(value)));
                return (false, false);
            }
            let full = self.queue.len() >= QUEUE;
            if full {
                self.queue.pop_front();
            }
            self.queue.push_back(value);
            (true, full)
        }

        /// Reads from now on.
        fn reads(&mut self, now: u64, takes: (u64, u64)) {
            self.takes = Some(takes);
            self.sending = self.sending.map(|(value, _)| (value, now));
        }
    }

    /// A table, a socket with its subscribers, and what feeds it from the table.
    struct Model {
        now: u64,
        pace: Pace,
        table: Vec<Value>,
        /// States with a value to send, each once, as an outbox has them.
        pending: VecDeque<usize>,
        is_pending: Vec<bool>,
        last: Option<Value>,
        subscribers: Vec<Subscriber>,
        dropped: u64,
        again: usize,
    }

    impl Model {
        fn new(states: usize, takes: &[Option<(u64, u64)>]) -> Model {
            Model {
                now: 1,
                pace: Pace::default(),
                table: (0..states).map(|state| Value { state, version: 0, len: 64 }).collect(),
                pending: VecDeque::new(),
                is_pending: vec![false; states],
                last: None,
                subscribers: takes.iter().map(|&takes| Subscriber::new(takes)).collect(),
                dropped: 0,
                again: 0,
            }
        }

        /// Everybody joins.
        fn join(&mut self) {
            self.pace.joined(self.now);
            self.look();
        }

        fn publish(&mut self, state: usize, len: usize) {
            let version = self.table[state].version + 1;
            self.table[state] = Value { state, version, len };
            self.is_to_go(state);
        }

        fn is_to_go(&mut self, state: usize) {
            if !std::mem::replace(&mut self.is_pending[state], true) {
                self.pending.push_back(state);
            }
        }

        fn look(&mut self) {
            if self.pace.resends(self.now) {
                self.again += 1;
                (0..self.table.len()).for_each(|state| self.is_to_go(state));
            }
        }

        fn pass(&mut self, time: u64) {
            self.now += time;
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.run(self.now));
        }

        fn transmit(&mut self, value: Value, probe: Option<Why>) {
            self.pace.sends(value.len);
            let mut busy = 0;
            for subscriber in &mut self.subscribers {
                let (was_busy, dropped) = subscriber.send(self.now, value);
                busy += u64::from(was_busy);
                self.dropped += u64::from(dropped);
            }
            self.last = Some(value);
            if let Some(why) = probe {
                self.pace.probed(self.now, why, busy, self.dropped);
                self.look();
            }
        }

        /// Runs for so long, as the socket and the hub's loop do; a message costs the loop a microsecond.
        fn run(&mut self, time: u64) {
            let until = self.now + time;
            while self.now < until {
                self.look();
                let step = self.pace.step(self.now);
                match (self.pending.front(), step) {
                    (Some(&state), Step::Send | Step::Probe) => {
                        self.pending.pop_front();
                        self.is_pending[state] = false;
                        self.transmit(self.table[state], (step == Step::Probe).then_some(Why::Turn));
                        self.pass(1000);
                    }
                    (Some(_), Step::Wait(time)) => self.pass(nanoseconds(time).clamp(1, until - self.now)),
                    (None, _) if self.pace.asks(self.now) => {
                        if let Some(last) = self.last {
                            self.transmit(last, Some(Why::Asked));
                        }
                        self.pass(1);
                    }
                    (None, _) => {
                        let look = self.pace.look_in(self.now).map_or(u64::MAX, nanoseconds);
                        self.pass(look.clamp(1, until - self.now));
                    }
                }
            }
        }

        /// Until nothing happens any more, at most so long. Whether that was reached.
        fn settles(&mut self, time: u64) -> bool {
            let until = self.now + time;
            while self.now < until {
                if self.is_silent() {
                    return true;
                }
                self.run(100 * MILLISECOND);
            }
            false
        }

        fn is_silent(&self) -> bool {
            let idle = |subscriber: &Subscriber| subscriber.sending.is_none();
            self.pending.is_empty() && self.pace.look_in(self.now).is_none() && self.subscribers.iter().all(idle)
        }

        fn has_everything(&self, subscriber: usize) -> bool {
            let got = &self.subscribers[subscriber].got;
            self.table.iter().all(|value| got.get(&value.state) == Some(&value.version))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn who_reads_a_thousand_a_second_loses_nothing_at_any_load(
            states in 1usize..3000,
            takes in proptest::collection::vec(1_000u64..=1_000_000, 1..5),
            pauses in proptest::collection::vec(0u64..200_000, 20),
        ) {
            let takes: Vec<_> = takes.into_iter().map(|time| Some((time, 0))).collect();
            let mut model = Model::new(states, &takes);
            model.join();
            for n in 0..5_000 {
                model.publish(n * 7 % states, 64);
                model.run(pauses[n % pauses.len()].max(1));
            }
            prop_assert!(model.settles(30 * SECOND));
            prop_assert_eq!((model.dropped, model.again), (0, 1));
            for subscriber in 0..takes.len() {
                prop_assert!(model.has_everything(subscriber));
            }
        }

        #[test]
        fn a_slow_one_ends_with_everything_and_then_there_is_silence(
            states in 1usize..4000,
            slow in 200_000u64..=20_000_000,
            fast in 1_000u64..100_000,
        ) {
            let mut model = Model::new(states, &[Some((slow, 0)), Some((fast, 0))]);
            model.join();
            for n in 0..5_000 {
                model.publish(n % states, 64);
                model.run(100_000);
            }
            prop_assert!(model.settles(1000 * SECOND), "{:?}", model.pace);
            prop_assert!(model.has_everything(0) && model.has_everything(1));
        }

        #[test]
        fn who_stops_reading_holds_the_others_up_for_a_moment_and_is_sent_everything_again(
            stuck in 1usize..4,
            states in 300usize..3000,
            len in 1usize..100_000,
        ) {
            let mut takes = vec![None; stuck];
            takes.push(Some((2_000, 0)));
            let mut model = Model::new(states, &takes);
            model.join();
            for round in 0..3 {
                (0..states).for_each(|state| model.publish(state, len));
                model.run(SECOND);
                prop_assert!(model.has_everything(stuck), "{round}");
            }
            prop_assert_eq!(model.again, 1);
            prop_assert!(model.dropped > 0);
            // In silence until they read.
            let count = model.subscribers[stuck].count;
            model.run(600 * SECOND);
            prop_assert!(model.subscribers[stuck].count - count < 30, "{}", model.subscribers[stuck].count - count);
            let now = model.now;
            model.subscribers.iter_mut().for_each(|subscriber| subscriber.reads(now, (2_000, 0)));
            prop_assert!(model.settles(100 * SECOND), "{:?}", model.pace);
            for subscriber in 0..=stuck {
                prop_assert!(model.has_everything(subscriber));
            }
            // Each of them may be seen to have caught up by itself.
            prop_assert!(model.again <= 1 + stuck, "{}", model.again);
        }

        #[test]
        fn who_paused_is_sent_everything_again_though_another_is_stuck(
            states in 300usize..3000,
            pause in 700u64..20_000,
        ) {
            let mut model = Model::new(states, &[None, Some((20_000, 0)), Some((2_000, 0))]);
            model.join();
            model.run(3 * SECOND);
            model.subscribers[1].takes = None;
            let until = model.now + pause * MILLISECOND;
            let mut n = 0;
            while model.now < until {
                model.publish(n % states, 64);
                n += 1;
                model.run(MILLISECOND);
            }
            let now = model.now;
            model.subscribers[1].reads(now, (20_000, 0));
            // Longer than it may take until it is asked.
            model.run(150 * SECOND);
            prop_assert!(model.has_everything(1) && model.has_everything(2));
            let (count, again) = (model.subscribers[2].count, model.again);
            model.run(600 * SECOND);
            prop_assert_eq!(model.again, again);
            // It is asked whether the stuck one has caught up, and no more.
            prop_assert!(model.subscribers[2].count - count < 30);
        }

        #[test]
        fn large_and_small_ones_mixed_lose_nothing_at_a_hundred_megabytes_a_second(
            large in 1usize..=1 << 20,
            every in 1usize..200,
            states in 1usize..2000,
        ) {
            let mut model = Model::new(states, &[Some((20_000, 10)), Some((1_000, 0))]);
            model.join();
            for n in 0..3_000 {
                // All small ones first, so that batches are long.
                let len = if n >= 1_000 && n % every == 0 { large } else { 64 };
                model.publish(n % states, len);
                model.run(50_000);
            }
            prop_assert!(model.settles(100 * SECOND));
            prop_assert_eq!((model.dropped, model.again), (0, 1));
            prop_assert!(model.has_everything(0) && model.has_everything(1));
        }
    }

    #[test]
    fn joins_have_everything_sent_again_but_not_all_the_time() {
        let mut pace = Pace::default();
        let mut resends = Vec::new();
        for millisecond in 0..2_000 {
            let now = 1 + millisecond * MILLISECOND;
            pace.joined(now);
            if pace.resends(now) {
                resends.push(millisecond);
            }
        }
        assert_eq!(resends, [0, 500, 1000, 1500]);
        assert!(pace.resends(2_000 * MILLISECOND + 1));
        assert_eq!(pace.look_in(2_000 * MILLISECOND + 1), None);
    }

    #[test]
    fn who_loses_with_every_time_is_sent_everything_more_and_more_seldom() {
        let (mut pace, mut now, mut dropped, mut resends) = (Pace::default(), 1, 0, Vec::new());
        pace.joined(now);
        assert!(pace.resends(now));
        while now < 1000 * SECOND {
            // Behind, loses something, and catches up.
            for (busy, lost) in [(1, 0), (1, 0), (1, 1), (0, 0)] {
                dropped += lost;
                now += 100 * MILLISECOND;
                now += if busy == 1 && lost == 0 { 300 * MILLISECOND } else { 0 };
                pace.probed(now, Why::Turn, busy, dropped);
                if pace.resends(now) {
                    resends.push(now / SECOND);
                }
            }
        }
        let pauses: Vec<u64> = resends.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.iter().rev().take(10).all(|&pause| (63..=66).contains(&pause)), "{pauses:?}");
        // Not so after a long time in which nothing was lost.
        now += 100 * SECOND;
        assert!(pace.resends(now) || pace.look_in(now).is_none());
        now += 100 * SECOND;
        for (busy, lost) in [(1, 1), (0, 0)] {
            dropped += lost;
            pace.probed(now, Why::Turn, busy, dropped);
        }
        assert!(pace.resends(now));
    }

    #[test]
    fn what_was_sent_to_nobody_is_not_lost() {
        let mut pace = Pace::default();
        pace.nobody(1000);
        assert_eq!(pace.probed(1, Why::Turn, 0, 1000), 0);
        assert_eq!((pace.resends(1), pace.look_in(1)), (false, None));
        assert_eq!(pace.probed(2, Why::Turn, 0, 1003), 3);
        assert!(pace.resends(2));
    }
}
