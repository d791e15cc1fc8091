//! What a receiver has seen, and how it tells the source.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use crate::system::Result;

/// Which of the numbered states have arrived, each counted once however often it comes.
pub struct Seen {
    /// A bit for each.
    bits: Vec<u64>,
    states: u64,
    /// Those from here on are waited for.
    awaited_from: u64,
    pub arrived: u64,
    pub repeated: u64,
    /// Of those waited for.
    pub missing: u64,
    /// Every state before it has arrived.
    next: u64,
}

impl Seen {
    /// Waits for the last `awaited` of so many states.
    pub fn new(states: u64, awaited: u64) -> Seen {
        let bits = vec![0; states.div_ceil(u64::BITS.into()) as usize];
        Seen { bits, states, awaited_from: states - awaited, arrived: 0, repeated: 0, missing: awaited, next: 0 }
    }

    /// Whether it has arrived for the first time; none if there is no such state.
    pub fn insert(&mut self, number: u64) -> Option<bool> {
        if number >= self.states {
            return None;
        }
        let word = self.bits.get_mut((number / u64::from(u64::BITS)) as usize)?;
        let bit = 1 << (number % u64::from(u64::BITS));
        let is_new = *word & bit == 0;
        *word |= bit;
        self.arrived += u64::from(is_new);
        self.repeated += u64::from(!is_new);
        self.missing -= u64::from(is_new && number >= self.awaited_from);
        Some(is_new)
    }

    /// How many states have arrived before the first that has not.
    pub fn without_gap(&mut self) -> u64 {
        let has =
            |number: u64| self.bits[(number / u64::from(u64::BITS)) as usize] & 1 << (number % u64::from(u64::BITS));
        while self.next < self.states && has(self.next) != 0 {
            self.next += 1;
        }
        self.next
    }
}

/// The source is told each time that so many more states were seen.
pub const TOLD_EVERY: u64 = 250;
/// A source that has heard nothing reads so many of these at once.
const READ: usize = 64;

/// A pipe with a name, from the sink to the source: a byte for every [`TOLD_EVERY`] states. It is the same for every
/// system, and costs none of them anything.
pub struct Told {
    pipe: File,
    count: u64,
}

impl Told {
    /// Opens the pipe of this directory, and makes it if the other side has not.
    pub fn open(directory: &Path) -> Result<Told> {
        let path = directory.join("seen");
        let failed = |error: io::Error| format!("cannot open {}: {error}", path.display());
        let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| "a path with a NUL".to_string())?;
        // SAFETY: the text lives until the call returns.
        if unsafe { libc::mkfifo(text.as_ptr(), 0o600) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(failed(error));
            }
        }
        // Who opens it for both does not wait for the other side.
        let pipe = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        Ok(Told { pipe, count: 0 })
    }

    /// That every state before this one was seen.
    pub fn tell(&mut self, seen: u64) -> Result<()> {
        let more = (seen / TOLD_EVERY).saturating_sub(self.count);
        if more == 0 {
            return Ok(());
        }
        self.count += more;
        self.pipe.write_all(&vec![0; more as usize]).map_err(|e| format!("cannot tell what was seen: {e}"))
    }

    /// Waits to hear of more, and returns how many were seen; none if there is nothing to hear within the time.
    pub fn hear(&mut self, patience: Duration) -> Result<Option<u64>> {
        let failed = |error: io::Error| format!("cannot hear what was seen: {error}");
        let mut poll = libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        loop {
            // SAFETY: one element, which lives until the call returns.
            match unsafe { libc::poll(&mut poll, 1, timeout) } {
                0 => return Ok(None),
                1 => break,
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(failed(error));
                    }
                }
            }
        }
        self.count += self.pipe.read(&mut [0; READ]).map_err(failed)? as u64;
        Ok(Some(self.count * TOLD_EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_state_that_comes_again_does_not_count_as_another_one() {
        let mut seen = Seen::new(130, 130);
        assert!((0..129).all(|number| seen.insert(number) == Some(true)));
        assert!((0..129).all(|number| seen.insert(number) == Some(false)));
        assert_eq!((seen.arrived, seen.repeated, seen.missing), (129, 129, 1));
        assert_eq!(seen.insert(129), Some(true));
        assert_eq!(seen.missing, 0);
    }

    #[test]
    fn only_the_last_states_are_waited_for_where_names_are_updated() {
        let mut seen = Seen::new(1000, 10);
        assert!((0..990).all(|number| seen.insert(number) == Some(true)));
        assert_eq!((seen.arrived, seen.missing), (990, 10));
        assert!((990..1000).all(|number| seen.insert(number) == Some(true)));
        assert_eq!((seen.arrived, seen.missing), (1000, 0));
    }

    #[test]
    fn a_number_that_was_not_published_is_none_of_the_states() {
        assert_eq!(Seen::new(100, 100).insert(100), None);
        assert_eq!(Seen::new(100, 100).insert(u64::MAX), None);
    }

    #[test]
    fn what_arrived_behind_a_gap_counts_once_the_gap_is_closed() {
        let mut seen = Seen::new(200, 200);
        for number in (0..70).chain(71..150) {
            seen.insert(number);
        }
        assert_eq!(seen.without_gap(), 70);
        seen.insert(70);
        assert_eq!(seen.without_gap(), 150);
        for number in 150..200 {
            seen.insert(number);
        }
        assert_eq!(seen.without_gap(), 200);
    }

    #[test]
    fn a_source_hears_how_many_states_were_seen_and_of_none_within_the_time() {
        let directory = std::env::temp_dir().join(format!("nanostate-seen-test-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (mut sink, mut source) = (Told::open(&directory).unwrap(), Told::open(&directory).unwrap());
        sink.tell(TOLD_EVERY - 1).unwrap();
        assert_eq!(source.hear(Duration::ZERO), Ok(None));
        sink.tell(3 * TOLD_EVERY + 1).unwrap();
        assert_eq!(source.hear(Duration::from_secs(60)), Ok(Some(3 * TOLD_EVERY)));
        sink.tell(4 * TOLD_EVERY).unwrap();
        assert_eq!(source.hear(Duration::from_secs(60)), Ok(Some(4 * TOLD_EVERY)));
        fs::remove_dir_all(directory).unwrap();
    }
}
