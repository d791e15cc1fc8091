//! A part of a turn of the loop: how long it may take, and what each connection has had of it.

use std::time::Duration;

use super::clock::now;
use crate::time::MonoTime;

/// How long the loop reads, and then writes, before it looks who else is ready.
const TIME: Duration = Duration::from_millis(1);
/// After so long it serves none again that it has served already.
const LATE: Duration = Duration::from_micros(250);

/// How long a thread that has sent something reads and writes in the loop's place.
const SHORT: Duration = Duration::from_micros(100);

/// A part of a turn of the loop.
pub struct Stint {
    until: MonoTime,
    late: MonoTime,
    last: MonoTime,
}

impl Stint {
    /// It begins now.
    pub fn begin() -> Stint {
        Stint::until(TIME)
    }

    /// As [`Stint::begin`], in another thread than the loop's, which has other things to do.
    pub fn short() -> Stint {
        Stint::until(SHORT)
    }

    fn until(time: Duration) -> Stint {
        let now = now().mono;
        Stint { until: now + time, late: now + time.min(LATE), last: now }
    }

    /// Whether it was time to look who else is ready when a connection was served last.
    pub fn is_over(&self) -> bool {
        self.last >= self.until
    }

    /// Whether one that has more is to be served again only when it is known who else is ready by then: who came
    /// meanwhile, and wants little, would wait for it until the stint is over.
    pub fn is_late(&self) -> bool {
        self.last >= self.late
    }

    /// A connection was served. Returns how long that took.
    pub fn lap(&mut self) -> Duration {
        let now = now().mono;
        let time = now.since(self.last);
        self.last = now;
        time
    }
}

/// What reading so many bytes counts, when that took so long with what they caused. The system may have given the
/// processor to another program meanwhile, or worked for other connections: few bytes count little, or their connection
/// would wait for long without having had much.
pub fn cost_of_reading(bytes: usize, time: Duration) -> Duration {
    /// About what a call of the system takes.
    const CALL: Duration = Duration::from_micros(5);
    /// What a byte takes of small messages that few receive.
    const BYTE: Duration = Duration::from_nanos(20);
    time.min(CALL + BYTE * bytes as u32)
}

/// What writing so many bytes counts. That costs about the same for each; how long it takes says less, since it also wakes
/// the receiver, to whom the system may give this processor.
pub fn cost_of_writing(bytes: usize) -> Duration {
    /// What a call of the system costs, in bytes.
    const CALL: u64 = 1000;
    Duration::from_nanos(CALL + bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_count_little_however_long_they_took() {
        let micros = Duration::from_micros;
        assert_eq!(cost_of_reading(64, micros(5)), micros(5));
        assert!(cost_of_reading(64, micros(5000)) < micros(30));
        assert_eq!(cost_of_reading(64 << 10, micros(1000)), micros(1000));
        assert!(cost_of_reading(64 << 10, micros(5000)) < micros(1500));
        assert!(cost_of_writing(64) * 10 < cost_of_writing(64 << 10));
    }
}
