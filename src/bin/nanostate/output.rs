//! States as lines. Nothing that a sender writes can forge a line, a column, or a command to the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use nanostate::visible::one_line;
use nanostate::visible::{is_visible, quoted, safe_json};
use nanostate::wire::Time;
use nanostate::{Kind, Result, State};

/// `SENDER NAME VALUE`, without the newline.
///
/// A text (or bytes that are valid text, since old programs send text as bytes) is printed as it is if it is one
/// printable line, else in `"quotes"` with the escapes of C; other bytes as `0x…`; timestamps in the form of RFC 3339;
/// arrays, maps and other extensions as JSON.
pub fn plain(state: &State) -> Result<String> {
    Ok(format!("{} {} {}", word(state.sender()), word(state.name()), value(state)?))
}

/// The value alone, as [`plain`] has it.
pub fn value(state: &State) -> Result<String> {
    Ok(match state.kind() {
        Kind::Text => line(state.text()?).into_owned(),
        Kind::Bytes => bytes(state.bytes()?),
        Kind::Nil => "nil".to_owned(),
        Kind::Cleared => state.kind().name().to_owned(),
        Kind::Bool => state.bool()?.to_string(),
        Kind::Int => state.int()?.to_string(),
        Kind::Uint => state.uint()?.to_string(),
        Kind::Double => format!("{:?}", state.double()?),
        Kind::Ext => match state.time_value().ok().filter(|time| time.is_writable()) {
            Some(time) => time.to_string(),
            None => state.json().to_owned(),
        },
        Kind::Array | Kind::Map => safe_json(state.json()).into_owned(),
    })
}

/// The state as one JSON object, without the newline. `time` is in milliseconds since 1970, null where unknown;
/// `retained` is there if the hub held the state.
pub fn json(state: &State) -> String {
    let time = match state.time() {
        0 => "null".to_owned(),
        time => time.to_string(),
    };
    let retained = if state.retained() { r#","retained":true"# } else { "" };
    let line = format!(
        r#"{{"sender":{},"name":{},"kind":"{}","time":{time}{retained},"data":{}}}"#,
        string(state.sender()),
        string(state.name()),
        state.kind().name(),
        state.json()
    );
    json_line(&line)
}

/// JSON that stays on one line of a terminal.
pub fn json_line(json: &str) -> String {
    safe_json(json).into_owned()
}

/// A text as JSON.
pub fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Bytes as their text if they are one printable line, else as `0x…`.
fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && matches!(line(text), Cow::Borrowed(_)) => text.to_owned(),
        _ => bytes.iter().fold("0x".to_owned(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        }),
    }
}

/// A text as the rest of a line: as it is, or quoted. Leading and trailing spaces are quoted, so that they are visible.
fn line(text: &str) -> Cow<'_, str> {
    let plain =
        !text.is_empty() && !text.starts_with(['"', ' ']) && !text.ends_with(' ') && text.chars().all(is_visible);
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(quoted(text))
    }
}

/// A text as a column: as it is, or quoted.
pub fn word(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_whitespace) {
        Cow::Owned(quoted(text))
    } else {
        line(text)
    }
}

/// A value at fault in a message: quoted, and cut to about a line.
pub fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => quoted(&text[..end]) + "…",
        None => quoted(text),
    }
}

/// Milliseconds since 1970 as `2025-01-31T12:00:00.000Z`.
pub fn timestamp(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).map(Time::from_millis).ok().filter(|time| time.is_writable());
    time.map_or_else(|| milliseconds.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_printable_line_is_printed_as_it_is() {
        for text in ["21.5", "a b  c", "käse", "say \"hi\"", "back\\slash", "日本語 👍🏽"] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_text_that_could_forge_something_is_quoted() {
        for (text, shown) in [
            ("", r#""""#),
            (" x", r#"" x""#),
            ("x ", r#""x ""#),
            ("\"x\"", r#""\"x\"""#),
            ("a\nb\tc\r", r#""a\nb\tc\r""#),
            ("a\\\n", r#""a\\\n""#),
            ("\x1b[2J\x7f\0", r#""\x1b[2J\x7f\x00""#),
            ("\u{9b}2J", r#""\u009b2J""#),
            ("\u{202e}evil\u{2028}", r#""\u202eevil\u2028""#),
            ("\u{3164}", r#""\u3164""#),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn a_column_with_white_space_is_quoted() {
        assert_eq!(word("cpu/load"), "cpu/load");
        assert_eq!(word("my name"), "\"my name\"");
        assert_eq!(word("my\u{a0}name"), "\"my\u{a0}name\"");
    }

    #[test]
    fn bytes_are_hexadecimal_unless_they_are_a_line() {
        assert_eq!(bytes(b"21.5"), "21.5");
        assert_eq!(bytes(b"a\nb"), "0x610a62");
        assert_eq!(bytes(&[0xff, 0x00]), "0xff00");
        assert_eq!(bytes(b""), "0x");
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(one_line("plain \"words\""), "plain \"words\"");
        assert_eq!(one_line("a\nb\x1b"), "a\\nb\\x1b");
    }

    #[test]
    fn timestamps_have_milliseconds() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
        assert_eq!(timestamp(u64::MAX), "18446744073709551615");
    }
}
