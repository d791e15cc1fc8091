//! Where an app dials, when, and as what: addresses, waits, epochs, and what is left of refusals.

use std::time::Duration;

use super::super::Now;
use super::SessionConfig;
use crate::framing::Version;
use crate::time::MonoTime;
use crate::wire::HelloFlags;
use crate::{limits, Status};

/// An address of the hub, and what is known of it.
struct Target {
    url: String,
    /// Until when it is dialled as an old hub.
    old_until: MonoTime,
}

/// What is left of a refusal by the hub.
#[derive(Clone, Copy, Default)]
struct Refused {
    /// The last attempt was refused.
    now: bool,
    /// The identity was taken when the hub was last asked: the next attempt leaves it to a holder that is not lost.
    retries: bool,
    /// Another app had or got the identity since the program asked to connect: it is not taken over any more.
    displaced: bool,
}

/// The attempts of an app to connect.
pub struct Dialler {
    targets: Vec<Target>,
    /// Which of them is dialled, or was last.
    target: usize,
    /// Waits since the last link.
    attempt: u32,
    /// Connections that were opened, counted from 1.
    epoch: u64,
    next_token: u64,
    random: u64,
    refused: Refused,
}

impl Dialler {
    /// No addresses yet. `seed` is random, for jitter.
    pub fn new(seed: u64) -> Dialler {
        Dialler {
            targets: Vec::new(),
            target: 0,
            attempt: 0,
            epoch: 0,
            next_token: 1,
            random: seed | 1,
            refused: Refused::default(),
        }
    }

    /// The program asks to connect to one of these addresses, of which there is at least one.
    pub fn set_urls(&mut self, urls: Vec<String>) {
        self.targets = urls.into_iter().map(|url| Target { url, old_until: MonoTime::default() }).collect();
        self.target = 0;
        self.attempt = 0;
        self.refused = Refused::default();
    }

    /// The address that is dialled, or was last.
    pub fn url(&self) -> &str {
        &self.targets[self.target].url
    }

    /// A number that names the next attempt.
    pub fn next_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }

    /// A connection was opened. Returns what this side says that it speaks.
    pub fn opened(&mut self, now: Now) -> Version {
        self.epoch += 1;
        if self.targets[self.target].old_until > now.mono {
            Version::Old
        } else {
            Version::V1
        }
    }

    /// The number of the connection.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The hub at this address is an old one: it is dialled as such for a while.
    pub fn remember_old(&mut self, now: Now) {
        self.targets[self.target].old_until = now.mono + limits::OLD_PEER_REMEMBERED;
    }

    /// The address did not lead to a link. True: the next one is to be dialled at once. False: all of them were tried.
    pub fn next_address(&mut self) -> bool {
        self.target = (self.target + 1) % self.targets.len();
        if self.target == 0 {
            self.refused.now = false;
        }
        self.target != 0
    }

    /// How long to wait before the next attempt: longer each time, with jitter.
    pub fn next_wait(&mut self, config: &SessionConfig) -> Duration {
        let half = config.backoff_min.saturating_mul(1 << self.attempt.min(20)).min(config.backoff_max) / 2;
        self.attempt += 1;
        // xorshift64: spreads reconnects, hides nothing.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        half + Duration::from_nanos(self.random % (half.as_nanos() as u64 + 1))
    }

    /// There is a link, or there was one until now: the next wait is a short one.
    pub fn reset_waits(&mut self) {
        self.attempt = 0;
    }

    /// The hub has welcomed the app.
    pub fn welcomed(&mut self) {
        self.reset_waits();
        self.refused = Refused { displaced: self.refused.displaced, ..Refused::default() };
    }

    /// The hub has refused the app. Whether the attempt before was refused, too.
    pub fn refused(&mut self, why: Status) -> bool {
        let taken = why == Status::IdentityTaken;
        let before = self.refused.now;
        self.refused = Refused { now: true, retries: taken, displaced: self.refused.displaced || taken };
        before
    }

    /// The program gave up.
    pub fn forget_refusals(&mut self) {
        self.refused = Refused::default();
    }

    /// Whether the last attempt was refused. This holds while it is tried again, too.
    pub fn is_refused(&self) -> bool {
        self.refused.now
    }

    /// What the next hello says.
    pub fn flags(&self, config: &SessionConfig) -> HelloFlags {
        let mut flags = HelloFlags(0);
        for (asked, flag) in [
            (config.take_over && !self.refused.displaced, HelloFlags::TAKE_OVER),
            (config.shared, HelloFlags::SHARED),
            (config.echo, HelloFlags::ECHO),
            (config.observer, HelloFlags::OBSERVER),
            (self.refused.retries, HelloFlags::RETRY),
        ] {
            if asked {
                flags |= flag;
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dialler(addresses: usize) -> Dialler {
        let mut dialler = Dialler::new(7);
        dialler.set_urls((0..addresses).map(|i| format!("inproc://{i}")).collect());
        dialler
    }

    #[test]
    fn addresses_are_tried_in_turn_and_then_there_is_a_wait() {
        let mut dialler = dialler(3);
        for (url, another) in [("inproc://0", true), ("inproc://1", true), ("inproc://2", false), ("inproc://0", true)]
        {
            assert_eq!(dialler.url(), url);
            assert_eq!(dialler.next_address(), another);
        }
        assert_eq!((dialler.next_token(), dialler.next_token()), (1, 2));
    }

    #[test]
    fn an_old_hub_is_remembered_for_a_while_and_by_its_address_alone() {
        let mut dialler = dialler(2);
        let start = MonoTime::from_nanos(5);
        let at = |mono| Now { mono, ..Now::default() };
        assert_eq!(dialler.opened(at(start)), Version::V1);
        dialler.remember_old(at(start));
        let until = start + limits::OLD_PEER_REMEMBERED;
        let before = MonoTime::from_nanos(until.as_nanos() - 1);
        assert_eq!((dialler.opened(at(before)), dialler.opened(at(until))), (Version::Old, Version::V1));
        dialler.next_address();
        assert_eq!((dialler.opened(at(start)), dialler.epoch()), (Version::V1, 4));
    }

    #[test]
    fn who_was_displaced_does_not_take_over_again_and_retries_until_welcomed() {
        let mut dialler = dialler(1);
        let config = SessionConfig { take_over: true, ..SessionConfig::default() };
        assert_eq!(dialler.flags(&config), HelloFlags::TAKE_OVER);
        assert!(!dialler.refused(Status::IdentityTaken) && dialler.is_refused());
        assert_eq!(dialler.flags(&config), HelloFlags::RETRY);
        assert!(dialler.refused(Status::Full), "once more");
        assert_eq!(dialler.flags(&config), HelloFlags(0));
        dialler.refused(Status::IdentityTaken);
        dialler.welcomed();
        assert_eq!((dialler.flags(&config), dialler.is_refused()), (HelloFlags(0), false));
        dialler.set_urls(vec!["inproc://0".into()]);
        assert_eq!(dialler.flags(&config), HelloFlags::TAKE_OVER);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_wait_is_between_half_and_all_of_a_time_that_doubles_up_to_the_longest(
            seed in any::<u64>(),
            backoff_min in (1u64..1 << 40).prop_map(Duration::from_nanos),
            longer in (0u64..1 << 40).prop_map(Duration::from_nanos),
        ) {
            let config = SessionConfig { backoff_min, backoff_max: backoff_min + longer, ..SessionConfig::default() };
            let mut dialler = Dialler::new(seed);
            let mut full = backoff_min;
            for _ in 0..25 {
                let wait = dialler.next_wait(&config);
                prop_assert!(wait >= full / 2 && wait <= full);
                full = (full * 2).min(config.backoff_max);
            }
            dialler.reset_waits();
            prop_assert!(dialler.next_wait(&config) <= backoff_min);
        }
    }
}
