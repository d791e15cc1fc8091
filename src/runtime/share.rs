//! How much is read of a connection when it is its turn.

use std::time::Duration;

/// How many bytes are read of one connection before it is the turn of the others.
pub struct Share {
    /// While others wait.
    bytes: usize,
    /// With more than that, its turn took too long.
    most: usize,
    /// More are never read at a time.
    limit: usize,
}

/// What is read of a connection of which nothing is known while others wait.
const FIRST: usize = 4 << 10;
/// A turn should take no longer than this.
const LONG: Duration = Duration::from_micros(500);

impl Share {
    /// That of a new connection, of which never more than `limit` bytes are read at a time.
    pub fn new(limit: usize) -> Share {
        Share { bytes: FIRST, most: limit, limit }
    }

    /// How many bytes to read. `alone`: nobody else waits.
    pub fn bytes(&self, alone: bool) -> usize {
        self.most.min(if alone { self.limit } else { self.bytes })
    }

    /// So many were read, and that took so long with what they caused. As long as there are more, twice as many are read
    /// the next time: what that takes is then known well enough to say when it is its turn.
    pub fn took(&mut self, bytes: usize, time: Duration) {
        let all = bytes >= self.bytes(false);
        self.bytes = if all { self.limit.min(2 * self.bytes) } else { FIRST };
        if time > LONG {
            self.most = FIRST.max(self.most / 2);
        } else if time < LONG / 2 {
            self.most = self.limit.min(2 * self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 << 10;

    #[test]
    fn a_connection_is_read_more_at_a_time_the_longer_there_is_more_of_it() {
        let mut share = Share::new(LIMIT);
        let read = |share: &mut Share| {
            let bytes = share.bytes(false);
            share.took(bytes, Duration::ZERO);
            bytes >> 10
        };
        assert_eq!([(); 6].map(|()| read(&mut share)), [4, 8, 16, 32, 64, 64]);
        share.took(100, Duration::ZERO);
        assert_eq!((read(&mut share), share.bytes(true)), (4, LIMIT));
    }

    #[test]
    fn a_connection_whose_bytes_take_long_is_read_less_at_a_time_until_they_do_not() {
        let mut share = Share::new(LIMIT);
        (0..10).for_each(|_| share.took(LIMIT, 2 * LONG));
        assert_eq!([false, true].map(|alone| share.bytes(alone)), [FIRST; 2]);
        share.took(FIRST, LONG * 3 / 4);
        assert_eq!(share.bytes(true), FIRST);
        share.took(FIRST, LONG / 4);
        assert_eq!(share.bytes(true), 2 * FIRST);
    }
}
