//! Which names a program takes.

use hashbrown::HashSet;
use log::debug;

use super::{Phase, Session};
use crate::limits;
use crate::pattern::Pattern;
use crate::visible::{one_line, Quoted};
use crate::wire::{Control, Features, Texts};
use crate::{Error, Result, Status};

/// The names that a program takes: all, until it subscribes for the first time.
#[derive(Default)]
pub struct Subscribed {
    patterns: Option<Vec<Pattern>>,
}

impl Subscribed {
    /// Whether there is a list.
    pub fn is_list(&self) -> bool {
        self.patterns.is_some()
    }

    /// Whether states of this name are taken.
    pub fn takes(&self, name: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }

    /// The patterns, in groups that fit into a message each; none if there is no list.
    fn groups(&self) -> impl Iterator<Item = &[Pattern]> {
        self.patterns.as_deref().into_iter().flat_map(groups)
    }

    /// Subscribes to a pattern, or only begins the list. Whether that changes anything.
    fn add(&mut self, pattern: Option<&Pattern>) -> Result<bool> {
        let is_first = self.patterns.is_none();
        let patterns = self.patterns.get_or_insert_default();
        let Some(pattern) = pattern.filter(|pattern| !patterns.contains(pattern)) else { return Ok(is_first) };
        if patterns.len() == limits::PATTERNS {
            let (most, pattern) = (limits::PATTERNS, Quoted(pattern.as_str()));
            let text = format!("{pattern} would be one pattern too many: {most} are subscribed to");
            return Err(Error::new(Status::Full, text));
        }
        patterns.push(pattern.clone());
        Ok(true)
    }

    /// Has these patterns, and no others.
    fn replace(&mut self, wanted: Vec<Pattern>) -> Result<Change> {
        let mut seen = HashSet::new();
        let unique: Vec<_> = wanted.into_iter().filter(|pattern| seen.insert(pattern.clone())).collect();
        if unique.len() > limits::PATTERNS {
            let (count, most) = (unique.len(), limits::PATTERNS);
            let text = format!("{count} patterns are too many: {most} can be subscribed to");
            return Err(Error::new(Status::Full, text));
        }
        let begins = self.patterns.is_none();
        let before = self.patterns.take().unwrap_or_default();
        let had: HashSet<_> = before.iter().cloned().collect();
        let news = unique.iter().filter(|pattern| !had.contains(*pattern)).cloned().collect();
        let gone = before.into_iter().filter(|pattern| !seen.contains(pattern)).collect();
        self.patterns = Some(unique);
        Ok(Change { begins, news, gone })
    }

    /// Gives a pattern up. Whether it was subscribed to.
    fn remove(&mut self, pattern: &str) -> bool {
        let Some(patterns) = &mut self.patterns else { return false };
        let before = patterns.len();
        patterns.retain(|one| one.as_str() != pattern);
        patterns.len() < before
    }
}

/// What was changed by a list that took the place of another one.
struct Change {
    /// There was no list.
    begins: bool,
    news: Vec<Pattern>,
    gone: Vec<Pattern>,
}

/// Patterns in groups that fit into a message each; one group without any if there are none.
fn groups(patterns: &[Pattern]) -> impl Iterator<Item = &[Pattern]> {
    /// So many bytes at most, and one pattern at least.
    const BYTES: usize = 16 << 10;
    let mut rest = Some(patterns);
    std::iter::from_fn(move || {
        let (patterns, mut bytes) = (rest?, 0);
        let fits = |pattern: &&Pattern| {
            bytes += pattern.as_str().len();
            bytes <= BYTES
        };
        let count = patterns.iter().take_while(fits).count().max(1).min(patterns.len());
        let (group, behind) = patterns.split_at(count);
        rest = (!behind.is_empty()).then_some(behind);
        Some(group)
    })
}

impl Session {
    /// Takes states whose names match this pattern from now on, too; with the first call, only those. `None`: none, until
    /// there is a pattern.
    ///
    /// # Errors
    /// [`Status::Full`]: there are [`limits::PATTERNS`] already.
    pub fn subscribe(&mut self, pattern: Option<&Pattern>) -> Result<()> {
        let was_list = self.accepted.names.is_list();
        if !self.accepted.names.add(pattern)? {
            return Ok(());
        }
        if !was_list {
            self.forget_others();
        }
        self.tell_patterns(pattern.map(std::slice::from_ref).unwrap_or_default());
        Ok(())
    }

    /// Takes states no longer because their names match this pattern.
    ///
    /// # Errors
    /// [`Status::NotFound`]: it is not subscribed to.
    pub fn unsubscribe(&mut self, pattern: &str) -> Result<()> {
        if !self.accepted.names.remove(pattern) {
            return Err(Error::new(Status::NotFound, format!("{} is not subscribed to", Quoted(pattern))));
        }
        self.forget_others();
        self.tell_gone(pattern);
        Ok(())
    }

    /// Takes states whose names match one of these patterns from now on, and no others.
    ///
    /// # Errors
    /// [`Status::Full`]: there are more than [`limits::PATTERNS`]; then nothing has changed.
    pub fn set_subscriptions(&mut self, patterns: Vec<Pattern>) -> Result<()> {
        let count = patterns.len();
        let Change { begins, news, gone } = self.accepted.names.replace(patterns)?;
        if begins || !gone.is_empty() {
            self.forget_others();
        }
        // A name that old and new patterns match is sent all the time, unless the hub would have too many in between.
        let news_first = count + gone.len() <= limits::PATTERNS;
        let tell_news = |session: &mut Session| {
            if begins || !news.is_empty() {
                groups(&news).for_each(|group| session.tell_patterns(group));
            }
        };
        if news_first {
            tell_news(self);
        }
        gone.iter().for_each(|pattern| self.tell_gone(pattern.as_str()));
        if !news_first {
            tell_news(self);
        }
        Ok(())
    }

    /// What is known of names that are not taken is not kept up to date from here on.
    fn forget_others(&mut self) {
        let names = &self.accepted.names;
        self.received.forget_if(|state| !names.takes(state.name()));
    }

    /// Whether there is a hub that leaves out other names.
    fn tells_patterns(&self) -> bool {
        matches!(self.phase, Phase::Up) && self.hub.features.contains(Features::SUBSCRIBE)
    }

    fn tell_patterns(&mut self, patterns: &[Pattern]) {
        if self.tells_patterns() {
            let mut encoded = Vec::new();
            let patterns = Texts::encode(patterns.iter().map(Pattern::as_str), &mut encoded);
            self.control(&Control::Subscribe { patterns });
            self.hub.synced.ask();
        }
    }

    fn tell_gone(&mut self, pattern: &str) {
        if self.tells_patterns() {
            self.control(&Control::Unsubscribe { pattern });
        }
    }

    /// The link is there: the hub is told all patterns. Returns in how many messages.
    pub(super) fn tell_all_patterns(&mut self) -> u64 {
        if !self.tells_patterns() {
            return 0;
        }
        let (mut encoded, mut count) = (Vec::new(), 0);
        for group in self.accepted.names.groups() {
            encoded.clear();
            let patterns = Texts::encode(group.iter().map(Pattern::as_str), &mut encoded);
            if let Some(link) = &mut self.link {
                link.enqueue(&self.identity, &Control::Subscribe { patterns }, &mut self.buffers.scratch);
            }
            count += 1;
        }
        debug!("{}: subscribes to its patterns, in {count} messages", one_line(&self.identity));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).expect("a pattern")
    }

    #[test]
    fn everything_is_taken_until_the_first_pattern_and_never_again() {
        let mut names = Subscribed::default();
        assert!(names.takes("x") && !names.is_list() && !names.remove("x"));
        assert_eq!(names.add(Some(&pattern("x/*"))), Ok(true));
        assert!(names.takes("x/1") && !names.takes("x"));
        assert_eq!(names.add(Some(&pattern("x/*"))), Ok(false), "it is there");
        assert!(names.remove("x/*") && !names.remove("x/*") && !names.takes("x/1") && names.is_list());
        let mut names = Subscribed::default();
        assert_eq!(names.groups().count(), 0);
        assert_eq!([names.add(None), names.add(None)], [Ok(true), Ok(false)]);
        assert!(!names.takes("x") && names.groups().eq([&[][..]]));
    }

    #[test]
    fn a_list_that_takes_the_place_of_another_says_what_is_new_and_what_is_gone() {
        let list = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect::<Vec<_>>();
        let mut names = Subscribed::default();
        let Change { begins, news, gone } = names.replace(list(&["a", "b", "a"])).unwrap();
        assert_eq!((begins, news, gone), (true, list(&["a", "b"]), vec![]));
        let Change { begins, news, gone } = names.replace(list(&["c/*", "b"])).unwrap();
        assert_eq!((begins, news, gone), (false, list(&["c/*"]), list(&["a"])));
        assert!(names.takes("b") && names.takes("c/1") && !names.takes("a"));
        let many = (0..=limits::PATTERNS).map(|n| pattern(&n.to_string()));
        let full = names.replace(many.clone().collect()).err().expect("they are too many");
        assert_eq!(full.status(), Status::Full);
        assert!(names.takes("b"), "nothing has changed");
        assert!(names.replace(many.skip(1).collect()).is_ok());
        let Change { news, gone, .. } = names.replace(vec![]).unwrap();
        assert_eq!((news.len(), gone.len()), (0, limits::PATTERNS));
        assert!(names.is_list() && !names.takes("1"));
    }

    #[test]
    fn so_many_patterns_are_taken_and_told_in_groups() {
        let mut names = Subscribed::default();
        for n in 0..limits::PATTERNS {
            assert_eq!(names.add(Some(&pattern(&format!("{n}/{}", "x".repeat(n % 1000))))), Ok(true));
        }
        let full = names.add(Some(&pattern("one/more"))).unwrap_err();
        assert_eq!(full.status(), Status::Full);
        assert!(full.to_string().contains("one/more"), "{full}");
        let groups: Vec<_> = names.groups().collect();
        assert_eq!(groups.concat(), names.patterns.clone().unwrap_or_default());
        let bytes = |group: &&[Pattern]| group.iter().map(|pattern| pattern.as_str().len()).sum::<usize>();
        assert!(groups.iter().all(|group| bytes(group) <= 16 << 10) && groups.len() < 50);
    }
}
