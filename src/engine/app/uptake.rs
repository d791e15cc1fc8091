//! Whether the program takes states.

use std::time::Duration;

use crate::limits;
use crate::time::MonoTime;

/// A program that took no state for so long does not hold up the link. Shorter than the time in which
/// a probed app has to answer.
const PATIENCE: Duration = Duration::from_nanos(limits::IDENTITY_PROBE.as_nanos() as u64 / 2);

/// Whether the program takes states.
#[derive(Default)]
pub struct Uptake {
    /// States that it took.
    taken: u64,
    /// How many these were when that was last looked at.
    seen: u64,
    /// When it was last seen to have taken some.
    at: MonoTime,
}

impl Uptake {
    /// The link was opened at this time: the program has its patience from here on.
    pub fn begin(&mut self, mono: MonoTime) {
        self.at = mono;
    }

    /// The program takes a state.
    #[inline]
    pub fn takes(&mut self) {
        self.taken += 1;
    }

    /// Until when the program, for which something waits, is given time to take it. `None` if it has taken nothing for too
    /// long. To be asked whenever something came.
    pub fn patience(&mut self, mono: MonoTime) -> Option<MonoTime> {
        let Uptake { taken, seen, at } = self;
        if taken != seen {
            (*seen, *at) = (*taken, mono);
        }
        let until = *at + PATIENCE;
        (mono < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_waited_for_as_long_as_it_takes_states() {
        let mut uptake = Uptake::default();
        let (begin, nano) = (MonoTime::from_nanos(100), Duration::from_nanos(1));
        uptake.begin(begin);
        assert_eq!(uptake.patience(begin + (PATIENCE - nano)), Some(begin + PATIENCE));
        assert_eq!(uptake.patience(begin + PATIENCE), None, "it takes nothing");
        uptake.takes();
        let later = begin + 2 * PATIENCE;
        let until = [later, later + nano].map(|mono| uptake.patience(mono));
        assert_eq!(until, [Some(later + PATIENCE); 2], "from when it was seen to have taken one");
    }
}
