//! Patterns over the names of states: which names a program wants.
//!
//! A name is a list of segments separated by `/`. In a pattern `*` stands for any part of one segment, the empty part
//! and the whole segment included; a segment that is exactly `**` stands for any number of segments, none included.
//! Every other character stands for itself; there is no escape.
//!
//! | pattern | matches | does not match |
//! |---|---|---|
//! | `cpu/load` | `cpu/load` | `cpu/load/1` |
//! | `cpu/*` | `cpu/load` | `cpu`, `cpu/0/load` |
//! | `net/eth*/rx` | `net/eth/rx`, `net/eth0/rx` | `net/wlan0/rx` |
//! | `net/**` | `net`, `net/eth0`, `net/eth0/rx` | `network` |
//! | `**/rx` | `rx`, `net/eth0/rx` | `net/eth0/rx/errors` |
//! | `**` | every name | |

use crate::limits::MAX_NAME;
use crate::visible::Quoted;
use crate::{Error, Result, Status};

/// The separator of segments.
const SEPARATOR: char = '/';
/// Any part of one segment.
const WILDCARD: u8 = b'*';
/// Any number of segments.
const ANY_SEGMENTS: &str = "**";

/// A pattern over names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Checks that `text` can be a pattern: 1 to [`MAX_NAME`] bytes, without NUL.
    ///
    /// # Errors
    /// [`Status::Name`].
    pub fn new(text: &str) -> Result<Pattern> {
        let fault = match text.len() {
            0 => "is empty".to_owned(),
            length if length > MAX_NAME => format!("has {length} bytes, {MAX_NAME} are allowed"),
            _ if text.contains('\0') => "contains NUL".to_owned(),
            _ => return Ok(Pattern { text: text.to_owned() }),
        };
        Err(Error::new(Status::Name, format!("pattern {fault}: {}", Quoted(&excerpt(text)))))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `name` matches. Takes at most the product of both lengths in steps, and no memory.
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = self.text.split(SEPARATOR);
        let mut segments = name.split(SEPARATOR);
        // Where to go on after a mismatch: behind the last `**`, with one more segment given to it. An earlier `**`
        // never has to be tried again: what stands between two of them matched at the first place where it could.
        let mut retry = None;
        loop {
            let here = segments.clone();
            match (pattern.next(), segments.next()) {
                (Some(ANY_SEGMENTS), _) => {
                    segments = here;
                    retry = Some((pattern.clone(), segments.clone()));
                    continue;
                }
                (Some(want), Some(segment)) if segment_matches(want.as_bytes(), segment.as_bytes()) => continue,
                (None, None) => return true,
                // The name is used up and the pattern is not; giving more to a `**` leaves less.
                (Some(_), None) => return false,
                (_, Some(_)) => {}
            }
            match &mut retry {
                Some((behind, from)) => {
                    // There is one: the mismatch was at or behind it.
                    from.next();
                    (pattern, segments) = (behind.clone(), from.clone());
                }
                None => return false,
            }
        }
    }
}

/// Whether one segment matches, `*` standing for any bytes. Bytes do for characters: UTF-8 is self-synchronising.
fn segment_matches(pattern: &[u8], segment: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut retry = None;
    loop {
        match (pattern.get(p), segment.get(s)) {
            (Some(&WILDCARD), _) => {
                p += 1;
                retry = Some((p, s));
            }
            (Some(want), Some(byte)) if want == byte => {
                p += 1;
                s += 1;
            }
            (None, None) => return true,
            (Some(_), None) => return false,
            (_, Some(_)) => match &mut retry {
                Some((behind, from)) => {
                    *from += 1;
                    (p, s) = (*behind, *from);
                }
                None => return false,
            },
        }
    }
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

    /// The definition, without regard for time.
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
    fn patterns_made_to_be_slow_take_bounded_steps() {
        // With exponential backtracking these would not end in a lifetime.
        let stars = "*a".repeat(MAX_NAME / 2 - 1) + "*b";
        assert!(!matches(&stars, &"a".repeat(MAX_NAME)));
        let segments = "**/a/".repeat(MAX_NAME / 5) + "b";
        assert!(!matches(&segments, &"a/".repeat(MAX_NAME / 2)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn matching_agrees_with_the_definition(pattern in "([ab*]{0,3}|\\*\\*)(/([ab*]{0,3}|\\*\\*)){0,4}", name in "[ab]{0,3}(/[ab]{0,3}){0,5}") {
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
