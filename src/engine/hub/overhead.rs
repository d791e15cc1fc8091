//! What a peer sends beside messages, and when that is too much.

use std::time::Duration;

use crate::limits;
use crate::time::MonoTime;

/// When the frames that a peer sent beside its messages are paid for: each takes a part of a second, and one that sends
/// more of them than fit is not read for a while. A hub that read it whenever no other peer has anything would be busy with
/// it all the time, and the others would wait.
#[derive(Default)]
pub struct Overhead {
    paid: MonoTime,
    is_too_much: bool,
}

impl Overhead {
    /// So much may come at once, in seconds.
    const BURST: Duration = Duration::from_secs(1);

    /// So much came, by [`Decoder::take_overhead`](crate::framing::Decoder::take_overhead). Returns until when the peer is
    /// not to be read, if that was too much.
    pub fn came(&mut self, now: MonoTime, units: u32) -> Option<MonoTime> {
        self.paid = self.paid.max(now) + Self::BURST / limits::OVERHEAD * units;
        let rests = self.paid.since(now).saturating_sub(Self::BURST);
        self.is_too_much = !rests.is_zero();
        self.is_too_much.then(|| now + rests)
    }

    /// Whether the peer is not to be read.
    pub fn is_too_much(&self) -> bool {
        self.is_too_much
    }

    /// The time is over until which the peer was not to be read.
    pub fn is_paid(&mut self) {
        self.is_too_much = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_may_come_in_a_second_and_as_much_at_once() {
        let (mut overhead, mut now) = (Overhead::default(), MonoTime::from_nanos(7));
        assert_eq!(overhead.came(now, limits::OVERHEAD), None);
        let rests = overhead.came(now, limits::OVERHEAD / 2);
        let half = rests.map(|until| until.since(now)).unwrap_or_default();
        assert!((499..=500).contains(&half.as_millis()), "{half:?}");
        now += half;
        assert!(overhead.is_too_much());
        overhead.is_paid();
        assert!(!overhead.is_too_much());
        assert_eq!(overhead.came(now, 0), None);
        now += Duration::from_secs(3600);
        assert_eq!(overhead.came(now, limits::OVERHEAD), None);
        assert!(overhead.came(now, 1).is_some(), "it does not save up");
    }
}
