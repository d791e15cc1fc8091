//! Log lines that repeat: the first is logged, the others are counted and logged as a number.

use std::time::Duration;

use crate::time::MonoTime;

/// How long lines are counted before their number is logged.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Log lines by kind `K`; there are few kinds.
#[derive(Debug)]
pub(crate) struct Repeats<K> {
    kinds: Vec<(K, Lines)>,
}

#[derive(Debug, Default)]
struct Lines {
    /// Until when they are counted.
    until: MonoTime,
    /// Lines that were logged since counting began.
    told: u32,
    /// Lines that were not, and the last of them.
    more: u64,
    last: String,
}

impl<K> Default for Repeats<K> {
    fn default() -> Repeats<K> {
        Repeats { kinds: Vec::new() }
    }
}

impl<K: Copy + PartialEq> Repeats<K> {
    /// Takes a line of this kind, and returns it if it is to be logged now, as the first `burst` lines are.
    pub fn say(&mut self, now: MonoTime, kind: K, burst: u32, line: String) -> Option<String> {
        let at = match self.kinds.iter().position(|(known, _)| *known == kind) {
            Some(at) => at,
            None => {
                self.kinds.push((kind, Lines::default()));
                self.kinds.len() - 1
            }
        };
        let lines = &mut self.kinds[at].1;
        if lines.until <= now && lines.more == 0 {
            *lines = Lines { until: now + EVERY, ..Lines::default() };
        }
        if lines.told < burst {
            lines.told += 1;
            return Some(line);
        }
        lines.more += 1;
        lines.last = line;
        None
    }

    /// When the next number is due.
    pub fn due(&self) -> Option<MonoTime> {
        self.kinds.iter().filter(|(_, lines)| lines.more > 0).map(|(_, lines)| lines.until).min()
    }

    /// The numbers that are due, as lines. Counting goes on.
    pub fn take_due(&mut self, now: MonoTime) -> Vec<(K, String)> {
        let mut due = Vec::new();
        for (kind, lines) in &mut self.kinds {
            if lines.until > now || lines.more == 0 {
                continue;
            }
            let (more, last) = (lines.more, std::mem::take(&mut lines.last));
            *lines = Lines { until: now + EVERY, told: lines.told, ..Lines::default() };
            due.push((*kind, if more == 1 { last } else { format!("{last} ({more} like this since the last line)") }));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: u8 = 7;

    fn at(nanos: u64) -> MonoTime {
        MonoTime::from_nanos(nanos)
    }

    fn say(repeats: &mut Repeats<u8>, now: MonoTime, line: &str) -> Option<String> {
        repeats.say(now, KIND, 1, line.to_owned())
    }

    #[test]
    fn the_first_is_told_and_the_others_are_counted() {
        let mut repeats = Repeats::default();
        assert_eq!(say(&mut repeats, at(5), "a"), Some("a".into()));
        assert_eq!(repeats.due(), None);
        for i in 0..100 {
            assert_eq!(say(&mut repeats, at(6 + i), "b"), None);
        }
        assert_eq!(repeats.say(at(7), 8, 1, "of another kind".into()), Some("of another kind".into()));
        assert_eq!(repeats.due(), Some(at(5) + EVERY));
        assert_eq!(repeats.take_due(at(4) + EVERY), []);
        assert_eq!(repeats.take_due(at(5) + EVERY), [(KIND, "b (100 like this since the last line)".into())]);
        assert_eq!(repeats.due(), None);
        // It goes on: no line at once.
        assert_eq!(say(&mut repeats, at(6) + EVERY, "c"), None);
        assert_eq!(repeats.take_due(MonoTime::MAX), [(KIND, "c".into())]);
    }

    #[test]
    fn after_a_while_without_one_the_next_is_told() {
        let mut repeats = Repeats::default();
        assert_eq!(say(&mut repeats, at(0), "a"), Some("a".into()));
        assert_eq!(say(&mut repeats, at(0) + EVERY, "b"), Some("b".into()));
        assert_eq!(say(&mut repeats, at(1) + EVERY, "c"), None);
    }

    #[test]
    fn some_kinds_have_more_than_one_at_once() {
        let mut repeats = Repeats::default();
        let told = (0..10).filter(|_| repeats.say(at(0), KIND, 4, "x".into()).is_some()).count();
        assert_eq!(told, 4);
    }
}
