//! The hybrid logical clock that orders values.

/// Milliseconds since 1970 in the upper 48 bits, a counter in the lower 16. Never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    last: u64,
}

impl HybridClock {
    /// A reading that is greater than every earlier one and than everything observed.
    pub fn tick(&mut self, wall: u64) -> u64 {
        self.last = (wall << 16).max(self.last.saturating_add(1));
        self.last
    }

    /// Learns another clock's reading: what is stamped from now on is newer than it.
    pub fn observe(&mut self, reading: u64) {
        self.last = self.last.max(reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_never_lowers_a_stamp() {
        let mut clock = HybridClock::default();
        let before = clock.tick(1_000_000);
        let after = clock.tick(10);
        assert!(after > before);
    }

    #[test]
    fn what_is_stamped_after_an_observation_is_newer_than_it() {
        let mut clock = HybridClock::default();
        clock.observe(5_000 << 16);
        assert!(clock.tick(1) > 5_000 << 16);
    }
}
