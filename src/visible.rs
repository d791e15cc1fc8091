//! Texts of others made safe to show: nothing in them forges a line, sends commands to a terminal, or is invisible.
//!
//! Every text of a peer goes through here before it becomes part of a text of this library: a log line, an error, a
//! text for a callback.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character shows as itself and does nothing else.
///
/// Not: controls (C0, DEL, C1: terminal commands), line and paragraph separators, characters that change the direction
/// of text, that have no width or are ignored by default (joiners, variation selectors, tags), and blank letters.
pub fn is_visible(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'))
}

/// `text` with every character that is not visible escaped as in C.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_visible) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push(&mut out, c));
    Cow::Owned(out)
}

/// [`one_line`] of a text of another program, cut to about a line.
pub fn sentence(text: &str) -> String {
    const SHOWN: usize = 300;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => one_line(&text[..end]).into_owned() + "…",
        None => one_line(text).into_owned(),
    }
}

/// Adds a character, escaped if it is not visible.
pub fn push(out: &mut String, c: char) {
    // Writing to a string cannot fail.
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        c if is_visible(c) => write!(out, "{c}"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c if c <= '\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

/// A text of another program inside a sentence: in quotes, which it cannot end.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(self.0))
    }
}

/// `text` in double quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        push(&mut out, c);
    }
    out.push('"');
    out
}

/// JSON in which every character that is not visible is escaped; valid JSON has such characters only inside strings.
pub fn safe_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(is_visible) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_visible(c) {
            out.push(c);
        } else {
            // Beyond U+FFFF a character takes two escapes.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prints_stays() {
        for text in ["", "plain \"words\"", "käse", "日本語 👍🏽", "a\u{a0}b"] {
            assert_eq!(one_line(text), text);
        }
    }

    #[test]
    fn what_forges_commands_or_hides_is_escaped() {
        for (text, shown) in [
            ("a\nb\r\t", "a\\nb\\r\\t"),
            ("\x1b[2J\x7f\0", "\\x1b[2J\\x7f\\x00"),
            ("\u{9b}2J", "\\u009b2J"),
            ("\u{202e}evil\u{2028}", "\\u202eevil\\u2028"),
            ("soft\u{ad}hyphen", "soft\\u00adhyphen"),
            ("\u{200c}\u{200d}", "\\u200c\\u200d"),
            ("\u{2800}\u{3164}\u{ffa0}", "\\u2800\\u3164\\uffa0"),
            ("x\u{e0041}\u{e007f}", "x\\U000e0041\\U000e007f"),
            ("x\u{fe0f}", "x\\ufe0f"),
        ] {
            assert_eq!(one_line(text), shown);
            assert!(shown.chars().all(is_visible));
        }
    }

    #[test]
    fn a_sentence_of_somebody_else_is_not_longer_than_a_line() {
        assert_eq!(sentence("no\n"), "no\\n");
        assert_eq!(sentence(&"ä".repeat(1 << 20)), "ä".repeat(300) + "…");
    }

    #[test]
    fn quotes_cannot_be_ended_from_inside() {
        assert_eq!(Quoted("a\" (b").to_string(), r#""a\" (b""#);
        assert_eq!(Quoted("a\\\n").to_string(), r#""a\\\n""#);
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = "{\"a\":\"\u{9b}\u{202e}\u{7f}ä\u{e0041}\"}";
        let shown = safe_json(text);
        assert_eq!(shown, "{\"a\":\"\\u009b\\u202e\\u007fä\\udb40\\udc41\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(text));
    }
}
