//! Lines of standard input, read in a thread of their own, so that a signal need not wait for the next one.

use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use nanostate::{limits, Error};

use crate::{stdio, Failure};

/// Lines that are read ahead.
const AHEAD: usize = 4;
/// The most bytes of a line: a name, a blank and a value.
const LONGEST: u64 = (limits::MAX_NAME + 1 + limits::MAX_MESSAGE) as u64;

/// What came of standard input, or instead of it.
pub enum Input {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that is longer than any message.
    TooLong,
    /// The end.
    End,
    /// It cannot be read, for this reason.
    Failed(String),
    /// It need not be read any further.
    Stop,
}

/// Standard input, not yet read, and where something can be put between its lines.
pub fn channel() -> (Unread, SyncSender<Input>) {
    let (sender, receiver) = mpsc::sync_channel(AHEAD);
    (Unread { receiver, sender: sender.clone() }, sender)
}

/// Standard input, not yet read.
pub struct Unread {
    receiver: Receiver<Input>,
    sender: SyncSender<Input>,
}

impl Unread {
    /// Starts to read.
    pub fn read(self) -> Result<Receiver<Input>, Failure> {
        let input = stdio::input().map_err(|error| Failure::Failed(cannot(&error)))?;
        let read = move || {
            let mut input = BufReader::new(input);
            loop {
                let next = next(&mut input, LONGEST).unwrap_or_else(|error| Input::Failed(cannot(&error)));
                let is_last = matches!(next, Input::End | Input::Failed(_));
                if self.sender.send(next).is_err() || is_last {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("input".to_owned()).spawn(read);
        started.map_err(|error| Failure::Failed(cannot(&error)))?;
        Ok(self.receiver)
    }
}

fn cannot(error: &io::Error) -> String {
    format!("standard input: {}", Error::words(error))
}

/// The name in a line, and the value if there is one.
pub type Parts<'a> = (Cow<'a, str>, Option<&'a [u8]>);

/// The parts of a line, between which is one blank; none of a blank line.
pub fn split(line: &[u8]) -> Result<Option<Parts<'_>>, String> {
    let line = &line[line.iter().take_while(|byte| is_blank(byte)).count()..];
    let (name, rest) = match line {
        [] => return Ok(None),
        [b'"', ..] => {
            let mut names = serde_json::Deserializer::from_slice(line).into_iter::<String>();
            let name = names.next().and_then(Result::ok).ok_or("the name in quotes is not a JSON string")?;
            (Cow::Owned(name), &line[names.byte_offset()..])
        }
        _ => {
            let (name, rest) = line.split_at(line.iter().take_while(|byte| !is_blank(byte)).count());
            let name = std::str::from_utf8(name)
                .map_err(|error| format!("the name is not valid UTF-8 at byte {}", error.valid_up_to()))?;
            (Cow::Borrowed(name), rest)
        }
    };
    match rest.split_first() {
        None => Ok(Some((name, None))),
        Some((blank, value)) if is_blank(blank) => Ok(Some((name, Some(value)))),
        Some(_) => Err("there is no blank behind the name in quotes".to_owned()),
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The next line of at most `most` bytes. The last one needs no end.
fn next(input: &mut impl io::BufRead, most: u64) -> io::Result<Input> {
    let mut line = Vec::new();
    if input.take(most + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(Input::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Input::Line(line));
    }
    if line.len() as u64 <= most {
        return Ok(Input::Line(line));
    }
    drop(line);
    // The rest is of no use, and need not be kept.
    loop {
        let bytes = input.fill_buf()?;
        let (length, end) = (bytes.len(), bytes.iter().position(|&byte| byte == b'\n'));
        input.consume(end.map_or(length, |at| at + 1));
        if end.is_some() || length == 0 {
            return Ok(Input::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_what_stands_behind_one_blank() {
        type Split = Option<(&'static str, Option<&'static [u8]>)>;
        let cases: [(&[u8], Split); 10] = [
            (b"x 21.5", Some(("x", Some(b"21.5")))),
            (b"  x\t a b ", Some(("x", Some(b" a b ")))),
            (b"x", Some(("x", None))),
            (b"x ", Some(("x", Some(b"")))),
            (b"x \xff", Some(("x", Some(b"\xff")))),
            (b"x/\xc3\xa9 1", Some(("x/\u{e9}", Some(b"1")))),
            (br#""a \"b\"" 1"#, Some(("a \"b\"", Some(b"1")))),
            (br#""a\u00e9""#, Some(("a\u{e9}", None))),
            (b"", None),
            (b" \t\r", None),
        ];
        for (line, expected) in cases {
            let split = split(line).unwrap();
            assert_eq!(split.as_ref().map(|(name, value)| (&**name, *value)), expected);
        }
        for (line, fault) in [
            (&b"\"x 1"[..], "the name in quotes is not a JSON string"),
            (b"\"x\"1", "there is no blank behind the name in quotes"),
            (b"x\xff 1", "the name is not valid UTF-8 at byte 1"),
        ] {
            assert_eq!(split(line).unwrap_err(), fault);
        }
    }

    #[test]
    fn a_line_that_is_too_long_does_not_take_the_next_one_with_it() {
        let mut input = BufReader::with_capacity(3, &b"12345\n\n123456\n1\n1234567"[..]);
        let mut lines = Vec::new();
        loop {
            match next(&mut input, 5).unwrap() {
                Input::Line(line) => lines.push(String::from_utf8(line).unwrap()),
                Input::TooLong => lines.push("too long".to_owned()),
                _ => break,
            }
        }
        assert_eq!(lines, ["12345", "", "too long", "1", "too long"]);
        let mut input = &b"12\n3"[..];
        assert!(matches!(next(&mut input, 5).unwrap(), Input::Line(line) if line == b"12"));
        assert!(matches!(next(&mut input, 5).unwrap(), Input::Line(line) if line == b"3"));
        assert!(matches!(next(&mut input, 5).unwrap(), Input::End));
    }
}
