//! A part of a turn of the loop: how long it may take, and what each connection has of it.

use std::time::Duration;

use super::clock::now;
use crate::time::MonoTime;

/// How long the loop reads, and then writes, before it looks who else is ready.
const TIME: Duration = Duration::from_millis(1);

/// A part of a turn of the loop.
pub struct Stint {
    until: MonoTime,
    last: MonoTime,
}

impl Stint {
    /// It begins now.
    pub fn begin() -> Stint {
        let now = now().mono;
        Stint { until: now + TIME, last: now }
    }

    /// Whether it was time to look who else is ready when a connection was served last.
    pub fn is_over(&self) -> bool {
        self.last >= self.until
    }

    /// A connection was served, and so many bytes were moved. Returns what that counts.
    pub fn took(&mut self, bytes: usize) -> Duration {
        let now = now().mono;
        let time = now.since(self.last);
        self.last = now;
        cost(time, bytes)
    }
}

/// What so many bytes count that took so long. The system may have given the processor to another program meanwhile, or
/// worked for other connections: few bytes count little, or their connection would wait for long without having had much.
fn cost(time: Duration, bytes: usize) -> Duration {
    /// More than a call of the system takes.
    const CALL: Duration = Duration::from_micros(20);
    /// More than a byte of the smallest messages takes.
    const BYTE: Duration = Duration::from_nanos(100);
    time.min(CALL + BYTE * bytes as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_count_little_however_long_they_took() {
        let micros = Duration::from_micros;
        assert_eq!(cost(micros(5), 64), micros(5));
        assert!(cost(micros(5000), 64) < micros(30));
        assert_eq!(cost(micros(5000), 64 << 10), micros(5000));
    }
}
