//! One core for all processes of a figure: nobody is woken on another one, which costs what chance decides.

use std::io;
use std::mem::{size_of, zeroed};

use crate::system::Result;

/// A core that this process may use.
#[derive(Clone, Copy)]
pub struct Core(libc::cpu_set_t);

impl Core {
    /// The last one: interrupts go to the first one more often.
    pub fn last() -> Result<Core> {
        // SAFETY: a set is an array of numbers, and zeros are the empty set.
        let (mut allowed, mut chosen) = unsafe { (zeroed::<libc::cpu_set_t>(), zeroed::<libc::cpu_set_t>()) };
        // SAFETY: the set has that size, and is writable.
        if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) } < 0 {
            return Err(format!("cannot ask for the cores of this process: {}", io::Error::last_os_error()));
        }
        // SAFETY: the numbers are below the size of the set.
        let is_allowed = |core: &usize| unsafe { libc::CPU_ISSET(*core, &allowed) };
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(is_allowed).ok_or("this process has no core")?;
        // SAFETY: as above.
        unsafe { libc::CPU_SET(last, &mut chosen) };
        Ok(Core(chosen))
    }

    /// Keeps the calling thread and all that it starts on this core. Async-signal-safe.
    pub fn take(&self) -> io::Result<()> {
        // SAFETY: the set has that size.
        match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_taken_a_core_has_no_other_one_and_gives_it_to_those_it_starts() {
        let cores = || std::thread::available_parallelism().unwrap().get();
        let pinned = std::thread::spawn(move || {
            Core::last().unwrap().take().unwrap();
            (cores(), std::thread::spawn(cores).join().unwrap())
        });
        assert_eq!(pinned.join().unwrap(), (1, 1));
    }
}
