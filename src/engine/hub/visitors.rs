//! How often each address asks by HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits;
use crate::time::MonoTime;

/// Whom requests are counted for: an IPv4 address, or an IPv6 network of 64 bits, in which one machine may have any
/// address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Visitor(IpAddr);

impl Visitor {
    /// The one of this address.
    pub fn new(host: IpAddr) -> Visitor {
        Visitor(match host {
            IpAddr::V4(_) => host,
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        })
    }
}

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// Those that asked lately. Each has a bucket of tokens for a second, of which a request takes one; it fills again in a
/// second, and one that is full need not be remembered.
#[derive(Default)]
pub struct Visitors {
    /// When each bucket is full again.
    lately: BTreeMap<Visitor, MonoTime>,
    /// Those that asked before, and not since `lately` began.
    before: BTreeMap<Visitor, MonoTime>,
}

impl Visitors {
    /// How many requests there may be at once, in seconds of the rate.
    const BURST: Duration = Duration::from_secs(1);

    /// A request. Whether it is one of `rate` a second that this visitor may send; 0: any number.
    pub fn asks(&mut self, now: MonoTime, visitor: Visitor, rate: usize) -> bool {
        let Some(token) = u32::try_from(rate).ok().and_then(|rate| Self::BURST.checked_div(rate)) else { return true };
        let known = self.before.remove(&visitor).or_else(|| self.lately.get(&visitor).copied());
        let full = known.unwrap_or(now).max(now) + token;
        let granted = full.since(now) <= Self::BURST;
        // Those that have asked least lately are forgotten first.
        if self.lately.len() >= limits::VISITORS / 2 && !self.lately.contains_key(&visitor) {
            self.before = std::mem::take(&mut self.lately);
        }
        self.lately.insert(visitor, if granted { full } else { known.unwrap_or(full) });
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn visitor(address: &str) -> Visitor {
        Visitor::new(address.parse().expect("an address"))
    }

    #[test]
    fn a_visitor_may_ask_so_often_a_second_and_as_often_at_once() {
        let (mut visitors, mut now) = (Visitors::default(), MonoTime::from_nanos(5));
        let (a, b) = (visitor("192.0.2.1"), visitor("192.0.2.2"));
        let granted = |visitors: &mut Visitors, now, who| (0..200).filter(|_| visitors.asks(now, who, 64)).count();
        assert_eq!(granted(&mut visitors, now, a), 64);
        assert_eq!(granted(&mut visitors, now, b), 64, "each has its own");
        now += 500 * MS;
        assert_eq!(granted(&mut visitors, now, a), 32);
        // What was refused does not count.
        now += 1000 * MS;
        assert_eq!(granted(&mut visitors, now, a), 64);
        now += 3_600_000 * MS;
        assert_eq!(granted(&mut visitors, now, a), 64, "it does not save up");
        assert!((0..1000).all(|_| visitors.asks(now, a, 0)), "0 is no limit");
    }

    #[test]
    fn any_rate_is_kept_over_time() {
        for rate in [1, 3, 7, 64, 999, 1_000_000] {
            let (mut visitors, mut now, mut granted) = (Visitors::default(), MonoTime::default(), 0);
            for _ in 0..10_000 {
                granted += usize::from(visitors.asks(now, visitor("::1"), rate));
                now += MS;
            }
            let may = (11 * rate).min(10_000);
            assert!((may - rate.min(may)..=may).contains(&granted), "{granted} at {rate}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_visitor() {
        assert_eq!(visitor("2001:db8:0:1::7"), visitor("2001:db8:0:1:ffff::9"));
        assert_ne!(visitor("2001:db8:0:1::7"), visitor("2001:db8:0:2::7"));
        assert_eq!(visitor("2001:db8:0:1::7").to_string(), "2001:db8:0:1::/64");
        assert_eq!(visitor("192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn few_are_remembered_and_one_that_goes_on_asking_is() {
        let (mut visitors, now) = (Visitors::default(), MonoTime::default());
        let busy = visitor("192.0.2.1");
        assert!(visitors.asks(now, busy, 1));
        for i in 0..100_000_u32 {
            visitors.asks(now, Visitor(IpAddr::V4((0x0A00_0000 + i).into())), 1);
            if i % 1000 == 0 {
                assert!(!visitors.asks(now, busy, 1), "{i}");
            }
            assert!(visitors.lately.len() + visitors.before.len() <= limits::VISITORS);
        }
    }
}
