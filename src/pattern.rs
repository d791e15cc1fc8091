//! Patterns over the names of states: which names a program wants.
//!
//! A name is a list of segments separated by `/`. In a pattern `*` stands for any part of one segment, the empty part
//! and the whole segment included; a segment that is exactly `**` stands for any number of segments, none included.
//! Every other character stands for itself; there is no escape. At most eight segments stand between two `**`.
//!
//! | pattern | matches | does not match |
//! |---|---|---|
//! | `cpu/load` | `cpu/load` | `cpu/load/1` |
//! | `cpu/*` | `cpu/load` | `cpu`, `cpu/0/load` |
//! | `net/eth*/rx` | `net/eth/rx`, `net/eth0/rx` | `net/wlan0/rx` |
//! | `net/**` | `net`, `net/eth0`, `net/eth0/rx` | `network` |
//! | `**/rx` | `rx`, `net/eth0/rx` | `net/eth0/rx/errors` |
//! | `**` | every name | |

use crate::effort::{did, Work};
use crate::limits::MAX_NAME;
use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// The separator of segments.
const SEPARATOR: char = '/';
/// Any part of one segment.
const WILDCARD: char = '*';
/// Any number of segments.
const ANY_SEGMENTS: &str = "**";

/// The most segments between two `**`. Those are tried at each segment of a name: a match takes time in proportion to
/// the length of the name because they are few.
pub const MAX_BETWEEN: usize = 8;

/// What every name begins with that matches a pattern.
pub enum Beginning<'a> {
    /// It is this name.
    Name(&'a str),
    /// Its first segment is this.
    Segment(&'a str),
    /// Any.
    Any,
}

/// A pattern over names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern {
    text: String,
    /// The same without stars that say nothing, where there are such.
    shorter: Option<String>,
    /// The most segments between two `**`.
    between: usize,
}

impl Pattern {
    /// Checks that `text` can be a pattern: 1 to [`MAX_NAME`] bytes, without NUL, and at most [`MAX_BETWEEN`] segments
    /// between two `**`.
    ///
    /// # Errors
    /// [`Status::Name`].
    pub fn new(text: &str) -> Result<Pattern> {
        let fault = match text.len() {
            0 => "is empty".to_owned(),
            length if length > MAX_NAME => format!("has {length} bytes, at most {MAX_NAME} are allowed"),
            _ if text.contains('\0') => "contains NUL".to_owned(),
            _ => match segments_between(text) {
                count if count > MAX_BETWEEN => {
                    format!("has {count} segments between two {ANY_SEGMENTS}, {MAX_BETWEEN} are allowed")
                }
                between => return Ok(Pattern { text: text.to_owned(), shorter: shortened(text), between }),
            },
        };
        Err(Error::new(Status::Name, format!("pattern {fault}: {}", Quoted(&excerpt(text)))))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every name begins with that matches.
    pub(crate) fn beginning(&self) -> Beginning<'_> {
        let first = self.text.split(SEPARATOR).next().unwrap_or_default();
        match (self.text.contains(WILDCARD), first.contains(WILDCARD)) {
            (false, _) => Beginning::Name(&self.text),
            (true, false) => Beginning::Segment(first),
            (true, true) => Beginning::Any,
        }
    }

    /// What it may cost to match a name of so many bytes, compared with a look at an entry of a table.
    pub(crate) fn steps(&self, name_len: usize) -> usize {
        match self.between {
            0 => name_len / 32,
            between => name_len * between / 2,
        }
    }

    /// Whether `name` matches. Takes no memory, and time in proportion to the length of the name.
    pub fn matches(&self, name: &str) -> bool {
        let pattern = self.shorter.as_ref().unwrap_or(&self.text);
        let (mut pattern, mut name) = (pattern.split(SEPARATOR), name.split(SEPARATOR));
        // What stands before the first `**` and behind the last has only one place.
        loop {
            match (pattern.next(), name.clone().next()) {
                (Some(ANY_SEGMENTS), _) => break,
                (Some(want), Some(segment)) if segment_matches(want, segment) => name.next(),
                (want, segment) => return want.is_none() && segment.is_none(),
            };
        }
        loop {
            match pattern.next_back() {
                None => return true,
                Some(ANY_SEGMENTS) => break,
                Some(want) if name.next_back().is_some_and(|segment| segment_matches(want, segment)) => {}
                Some(_) => return false,
            }
        }
        // What stands between two of them takes the first place where it fits: that leaves most to the others.
        let mut here = (pattern, name);
        let mut retry = here.clone();
        loop {
            let (pattern, name) = &mut here;
            match pattern.next() {
                None => return true,
                Some(ANY_SEGMENTS) => retry = here.clone(),
                Some(want) => match name.next() {
                    None => return false,
                    Some(segment) if segment_matches(want, segment) => {}
                    Some(_) => {
                        retry.1.next();
                        here = retry.clone();
                    }
                },
            }
        }
    }
}

/// The most segments between two `**` of a pattern.
fn segments_between(text: &str) -> usize {
    let segments: Vec<_> = text.split(SEPARATOR).collect();
    let parts: Vec<_> = segments.split(|&segment| segment == ANY_SEGMENTS).map(<[_]>::len).collect();
    // The first and the last part are beside one `**` only.
    parts.iter().rev().skip(1).rev().skip(1).max().copied().unwrap_or(0)
}

/// A pattern that means the same with one star in place of several beside each other; none if that is the pattern itself.
fn shortened(text: &str) -> Option<String> {
    if !text.contains(ANY_SEGMENTS) {
        return None;
    }
    let mut shorter = String::with_capacity(text.len());
    for (at, segment) in text.split(SEPARATOR).enumerate() {
        shorter.extend((at > 0).then_some(SEPARATOR));
        if segment == ANY_SEGMENTS {
            shorter += segment;
            continue;
        }
        for char in segment.chars() {
            if char != WILDCARD || !shorter.ends_with(WILDCARD) {
                shorter.push(char);
            }
        }
    }
    (shorter.len() < text.len()).then_some(shorter)
}

/// Whether one segment matches, `*` standing for any characters.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    did(Work::Look, 1);
    let pairs = pattern.bytes().zip(segment.bytes());
    let start = pairs.take_while(|&(want, byte)| want == byte && want != WILDCARD as u8).count();
    match pattern.as_bytes().get(start) {
        None => segment.len() == start,
        Some(&byte) if byte == WILDCARD as u8 => rest_matches(&pattern[start + 1..], &segment[start..]),
        Some(_) => false,
    }
}

/// Whether the rest of a segment matches what stands behind the first `*`. The search of `str` takes linear time.
fn rest_matches(pattern: &str, mut rest: &str) -> bool {
    let mut pieces = pattern.split(WILDCARD);
    let Some(between) = pieces.next_back().and_then(|last| rest.strip_suffix(last)) else { return false };
    rest = between;
    pieces.all(|piece| {
        did(Work::Look, 1);
        did(Work::Byte, rest.len());
        // A search prepares itself by the length of what it looks for.
        let found = if piece.len() <= rest.len() { rest.find(piece) } else { None };
        found.inspect(|at| rest = &rest[at + piece.len()..]).is_some()
    })
}

/// The beginning of `text`, short enough for an error message.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, without regard to time.
    fn naive(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((&"**", behind)), _) => (0..=name.len()).any(|taken| naive(behind, &name[taken..])),
            (Some(_), None) => false,
            (Some((want, behind)), Some((segment, rest))) => {
                naive_segment(want.as_bytes(), segment.as_bytes()) && naive(behind, rest)
            }
        }
    }

    fn naive_segment(pattern: &[u8], segment: &[u8]) -> bool {
        match pattern.split_first() {
            None => segment.is_empty(),
            Some((b'*', behind)) => (0..=segment.len()).any(|taken| naive_segment(behind, &segment[taken..])),
            Some((want, behind)) => {
                segment.split_first().is_some_and(|(b, rest)| b == want && naive_segment(behind, rest))
            }
        }
    }

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_without_wildcards_matches_its_own_name_only() {
        assert!(matches("cpu/load", "cpu/load"));
        for other in ["cpu", "cpu/loa", "cpu/loads", "cpu/load/", "/cpu/load", "cpu//load", "Cpu/load"] {
            assert!(!matches("cpu/load", other), "{other}");
        }
    }

    #[test]
    fn a_star_stays_within_its_segment() {
        for name in ["net/eth/rx", "net/eth0/rx", "net/eth0.100/rx"] {
            assert!(matches("net/eth*/rx", name), "{name}");
        }
        for name in ["net/eth0/1/rx", "net/wlan0/rx", "net/eth0", "net/eth0/rx/errors"] {
            assert!(!matches("net/eth*/rx", name), "{name}");
        }
        assert!(matches("*", "temperature") && !matches("*", "a/b"));
        assert!(matches("a*b*c", "aXbYbZc") && !matches("a*b*c", "aXbYbZ"));
        assert!(matches("*/*", "a/b") && matches("*/*", "/") && !matches("*/*", "a"));
    }

    #[test]
    fn two_stars_stand_for_any_number_of_segments() {
        for name in ["net", "net/eth0", "net/eth0/rx"] {
            assert!(matches("net/**", name), "{name}");
        }
        assert!(!matches("net/**", "network") && !matches("net/**", "a/net"));
        assert!(matches("**/rx", "rx") && matches("**/rx", "net/eth0/rx") && !matches("**/rx", "rx/errors"));
        assert!(matches("a/**/b", "a/b") && matches("a/**/b", "a/1/2/b") && !matches("a/**/b", "a/1/2/b/3"));
        assert!(matches("**/a/**/b", "x/a/y/a/z/b") && !matches("**/a/**/b", "x/b/a"));
        assert!(matches("**", "anything/at all"));
    }

    #[test]
    fn stars_beside_other_characters_are_not_any_number_of_segments() {
        assert!(matches("a**", "abc") && !matches("a**", "a/b"));
        assert!(matches("***", "abc") && !matches("***", "a/b"));
    }

    #[test]
    fn names_outside_ascii_match_by_character() {
        assert!(matches("température/*", "température/été") && matches("*é", "caf\u{e9}") && !matches("*é", "cafe"));
    }

    #[test]
    fn what_can_not_be_a_pattern_is_refused_with_the_reason() {
        for (text, reason) in [("", "is empty"), ("a\0b", "contains NUL"), (&"x".repeat(MAX_NAME + 1), "1025 bytes")] {
            let error = Pattern::new(text).unwrap_err();
            assert_eq!(error.status(), Status::Name);
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert_eq!(Pattern::new("a/*").unwrap().as_str(), "a/*");
    }

    #[test]
    fn more_segments_between_two_stars_than_are_tried_quickly_are_refused() {
        let row = |count: usize| format!("x/**/{}/**/{}", vec!["a*"; count].join("/"), vec!["b"; 100].join("/"));
        assert!(Pattern::new(&row(MAX_BETWEEN)).is_ok());
        let error = Pattern::new(&row(MAX_BETWEEN + 1)).unwrap_err();
        assert!(error.to_string().starts_with("pattern has 9 segments between two **, 8 are allowed: "), "{error}");
        for free in ["a/".repeat(500) + "**", "**".to_owned() + &"/a".repeat(500), "a/".repeat(500) + "a"] {
            assert!(Pattern::new(&free).is_ok(), "{free}");
        }
    }

    #[test]
    fn patterns_made_to_be_slow_are_not() {
        let stars = "*a".repeat(MAX_NAME / 2 - 1) + "*b";
        let rows = format!("**/{}c/**", "a/".repeat(MAX_BETWEEN - 1));
        let long = format!("**/*{}*/**", "b".repeat(MAX_NAME - 8));
        let empty = format!("**/{}**", format!("a{}b/", "*".repeat(120)).repeat(MAX_BETWEEN));
        // Thousands of them: many seconds where each takes the product of both lengths in steps.
        for _ in 0..2_000 {
            assert!(!matches(&stars, &"a".repeat(MAX_NAME)));
            assert!(!matches(&rows, &"a/".repeat(MAX_NAME / 2)));
            assert!(!matches(&long, &"b/".repeat(MAX_NAME / 2)));
            assert!(!matches(&empty, &"a/".repeat(MAX_NAME / 2)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn matching_agrees_with_the_definition(pattern in "([ab*]{0,5}|\\*\\*)(/([ab*]{0,5}|\\*\\*)){0,4}", name in "[ab]{0,3}(/[ab]{0,3}){0,5}") {
            prop_assume!(!pattern.is_empty());
            let (wanted, segments): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), name.split('/').collect());
            prop_assert_eq!(matches(&pattern, &name), naive(&wanted, &segments));
        }

        #[test]
        fn every_name_matches_itself_and_two_stars(name in "[^*\0]{1,80}") {
            prop_assert!(matches(&name, &name) && matches("**", &name));
        }
    }
}
