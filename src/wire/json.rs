//! JSON to MessagePack and back, without a tree between them.

use std::fmt;
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use rmp::encode as put;
use rmp::Marker;
use serde_core::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::time::Time;
use super::token::{Token, ValueReader};
use super::value::{infallible, Value};
use crate::limits::MAX_DEPTH;
use crate::memory::{self, NoMemory};
use crate::{Error, Result, Status};

/// Appends the MessagePack of one JSON text. Keys keep their order, and duplicates stay; a number without fraction and
/// exponent becomes an integer, or a double if it needs more than 64 bits.
///
/// # Errors
/// [`Status::Invalid`], with words that name the byte offset; [`Status::NoMemory`] for a large one. `out` is then as it
/// was.
pub fn to_msgpack(json: &str, out: &mut Vec<u8>) -> Result<()> {
    if json.len() > memory::LARGE {
        // The parser collects a string with escapes, or a long number, in memory that it grows by doubling, and aborts
        // if there is none. So that memory is tested for beforehand.
        drop(memory::with_capacity(json.len().saturating_mul(2))?);
    }
    let start = out.len();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let mut out = Output { bytes: out, no_memory: false };
    let done = Writer { out: &mut out, depth: 0 }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let Output { bytes: out, no_memory } = out;
    done.map_err(|error| {
        out.truncate(start);
        if no_memory {
            return NoMemory.into();
        }
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = text.strip_suffix(&place).unwrap_or(&text);
        Error::new(Status::Invalid, format!("JSON: {what} at offset {}", offset(json, &error)))
    })
}

/// The offset of the byte at which the parser failed; the end if the text is too short.
fn offset(json: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return json.len();
    }
    let line: usize = json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (line + error.column().saturating_sub(1)).min(json.len())
}

/// Bytes that grow as long as there is memory.
struct Output<'b> {
    bytes: &'b mut Vec<u8>,
    /// Something is missing because there was no memory for it.
    no_memory: bool,
}

impl Output<'_> {
    /// Makes room for `more` bytes. False if there is no memory for them.
    fn reserve(&mut self, more: usize) -> bool {
        let room = self.bytes.try_reserve(more).is_ok();
        self.no_memory |= !room;
        room
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.reserve(bytes.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what the parser finds.
struct Writer<'o, 'b> {
    out: &'o mut Output<'b>,
    /// How many containers are open.
    depth: usize,
}

impl Writer<'_, '_> {
    fn value<E: serde_core::de::Error>(mut self, value: Value) -> Result<(), E> {
        self.reserve(value.max_encoded_len())?;
        value.encode(self.out.bytes);
        Ok(())
    }

    /// Makes room for `more` bytes.
    fn reserve<E: serde_core::de::Error>(&mut self, more: usize) -> Result<(), E> {
        if self.out.reserve(more) {
            Ok(())
        } else {
            Err(E::custom(Status::NoMemory.text()))
        }
    }

    /// A container's place for its head, and the depth of what is in it.
    fn open<E: serde_core::de::Error>(&mut self) -> Result<(usize, usize), E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        self.reserve(1)?;
        let head = self.out.bytes.len();
        self.out.bytes.push(0);
        Ok((head, self.depth + 1))
    }

    /// Writes the head now that the count is known. A head of more than the one reserved byte is rare, and costs a
    /// move.
    fn close<E: serde_core::de::Error>(
        mut self,
        head: usize,
        count: usize,
        short: impl FnOnce(u8) -> Marker,
        long: impl FnOnce(&mut Vec<u8>, u32),
    ) -> Result<(), E> {
        if count < 16 {
            self.out.bytes[head] = short(count as u8).to_u8();
            return Ok(());
        }
        let count = u32::try_from(count).map_err(|_| E::custom("too many elements"))?;
        let mut bytes = Vec::with_capacity(5);
        long(&mut bytes, count);
        self.reserve(bytes.len())?;
        self.out.bytes.splice(head..=head, bytes);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde_core::de::Error>(self) -> Result<(), E> {
        self.value(Value::Nil)
    }

    fn visit_bool<E: serde_core::de::Error>(self, value: bool) -> Result<(), E> {
        self.value(Value::Bool(value))
    }

    fn visit_i64<E: serde_core::de::Error>(self, value: i64) -> Result<(), E> {
        self.value(Value::Int(value))
    }

    fn visit_u64<E: serde_core::de::Error>(self, value: u64) -> Result<(), E> {
        self.value(Value::Uint(value))
    }

    fn visit_f64<E: serde_core::de::Error>(self, value: f64) -> Result<(), E> {
        self.value(Value::Double(value))
    }

    fn visit_str<E: serde_core::de::Error>(self, value: &str) -> Result<(), E> {
        self.value(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let (head, depth) = self.open()?;
        let mut count = 0;
        while seq.next_element_seed(Writer { out: self.out, depth })?.is_some() {
            count += 1;
        }
        self.close(head, count, Marker::FixArray, |out, count| infallible(put::write_array_len(out, count)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (head, depth) = self.open()?;
        let mut count = 0;
        while map.next_key_seed(Writer { out: self.out, depth })?.is_some() {
            map.next_value_seed(Writer { out: self.out, depth })?;
            count += 1;
        }
        self.close(head, count, Marker::FixMap, |out, count| infallible(put::write_map_len(out, count)))
    }
}

/// The JSON text of a checked value, on one line without spaces.
///
/// For what JSON lacks: bytes become a string in base64; a timestamp becomes a string in the form of RFC 3339
/// ([`Time`]), any other extension `{"ext":type,"data":"base64"}`; NaN and infinities become `null`. A key of a map
/// becomes a string: text and bytes as they do elsewhere, a scalar as its JSON text, and anything structured as the
/// base64 of its MessagePack (as JSON text inside JSON text, nested, it would double with each level).
///
/// # Panics
/// There is no memory for it.
pub fn from_msgpack(value: &[u8]) -> String {
    let json = json_text(value).unwrap_or_else(|NoMemory| panic!("{}", Status::NoMemory.text()));
    String::from_utf8(json).unwrap_or_default()
}

/// Like [`from_msgpack`], with room for one more byte.
///
/// # Errors
/// There is no memory for it.
pub(crate) fn json_text(value: &[u8]) -> Result<Vec<u8>, NoMemory> {
    let mut bytes = memory::with_capacity(value.len() + value.len() / 2 + 8)?;
    let mut out = Output { bytes: &mut bytes, no_memory: false };
    write_json(&mut ValueReader::new(value), MAX_DEPTH, &mut out);
    if out.reserve(1) && !out.no_memory {
        Ok(bytes)
    } else {
        Err(NoMemory)
    }
}

/// Writes one value. What [`super::check`] would refuse becomes `null`, never a failure.
fn write_json(reader: &mut ValueReader, depth_left: usize, out: &mut Output) {
    let Ok(token) = reader.token() else {
        out.push(b"null");
        return;
    };
    match token {
        Token::Array(count) if depth_left > 0 => {
            out.push(b"[");
            for i in 0..count {
                if reader.rest().is_empty() {
                    break;
                }
                if i > 0 {
                    out.push(b",");
                }
                write_json(reader, depth_left - 1, out);
            }
            out.push(b"]");
        }
        Token::Map(pairs) if depth_left > 0 => {
            out.push(b"{");
            for i in 0..pairs {
                if reader.rest().is_empty() {
                    break;
                }
                if i > 0 {
                    out.push(b",");
                }
                write_key(reader, out);
                out.push(b":");
                write_json(reader, depth_left - 1, out);
            }
            out.push(b"}");
        }
        token => write_scalar(token, out),
    }
}

fn write_key(reader: &mut ValueReader, out: &mut Output) {
    let before = reader.rest();
    let _ = reader.value();
    let raw = &before[..before.len() - reader.rest().len()];
    match ValueReader::new(raw).token() {
        Ok(token @ (Token::Str(_) | Token::Bin(_))) => write_scalar(token, out),
        Ok(Token::Array(_) | Token::Map(_) | Token::Ext(..)) | Err(_) => write_base64(raw, out),
        Ok(token) => {
            out.push(b"\"");
            write_scalar(token, out);
            out.push(b"\"");
        }
    }
}

fn write_scalar(token: Token, out: &mut Output) {
    match token {
        Token::Bool(value) => infallible(write!(out, "{value}")),
        Token::Int(value) => infallible(write!(out, "{value}")),
        Token::Uint(value) => infallible(write!(out, "{value}")),
        // The shortest text that reads back as the same double, always with a point or an exponent.
        Token::Double(value) if value.is_finite() => infallible(write!(out, "{value:?}")),
        Token::Str(text) => infallible(serde_json::to_writer(out, &String::from_utf8_lossy(text))),
        Token::Bin(bytes) => write_base64(bytes, out),
        Token::Ext(number, bytes) => {
            if let Some(time) = Time::from_ext(number, bytes).filter(|time| time.is_writable()) {
                return infallible(write!(out, "\"{time}\""));
            }
            infallible(write!(out, "{{\"ext\":{number},\"data\":"));
            write_base64(bytes, out);
            out.push(b"}");
        }
        Token::Nil | Token::Double(_) | Token::Array(_) | Token::Map(_) => out.push(b"null"),
    }
}

fn write_base64(bytes: &[u8], out: &mut Output) {
    infallible(write!(out, "\"{}\"", Base64Display::new(bytes, &STANDARD)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn msgpack(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        to_msgpack(json, &mut out).expect(json);
        out
    }

    #[test]
    fn an_error_names_the_byte_it_is_about() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        let cases = [
            ("", 0),
            ("  ", 2),
            ("x", 0),
            ("[1,\n 2,\n  x]", 10),
            (r#"{"a":1,}"#, 7),
            (r#"{"a" 1}"#, 5),
            ("[1 2]", 3),
            ("[1] ]", 4),
            ("nul", 3),
            (r#""ü" x"#, 5),
            (r#"["ab"#, 4),
            (r#"{"a":"#, 5),
            (deep.as_str(), MAX_DEPTH),
        ];
        for (json, offset) in cases {
            let mut out = vec![7];
            let error = to_msgpack(json, &mut out).expect_err(json);
            assert_eq!(error.status(), Status::Invalid);
            let text = error.to_string();
            assert!(text.starts_with("JSON: ") && !text.contains(" line "), "{json:?}: {text}");
            assert!(text.ends_with(&format!(" at offset {offset}")), "{json:?}: {text}");
            assert_eq!(out, [7]);
        }
    }

    #[test]
    fn numbers_keep_what_they_are() {
        assert_eq!(msgpack("20"), [20]);
        assert_eq!(msgpack("20.0")[0], 0xCB);
        assert_eq!(msgpack("-9223372036854775808")[0], 0xD3);
        assert_eq!(msgpack("18446744073709551615"), [0xCF, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(from_msgpack(&msgpack("18446744073709551616")), "1.8446744073709552e19");
        assert_eq!(from_msgpack(&msgpack("-9223372036854775809")), "-9.223372036854776e18");
        assert_eq!(from_msgpack(&msgpack("1e300")), "1e300");
        // A double that a quick reading gets wrong in the last bit.
        assert_eq!(from_msgpack(&msgpack("31.245270191439438")), "31.245270191439438");
    }

    #[test]
    fn the_order_of_keys_and_keys_given_twice_stay() {
        let json = r#"{"z":1,"a":{"é\n":[true,null]},"z":2}"#;
        assert_eq!(from_msgpack(&msgpack(json)), json);
    }

    #[test]
    fn heads_of_all_sizes_are_the_shortest() {
        for (count, head) in [(0, &[0x90][..]), (15, &[0x9F]), (16, &[0xDC, 0, 16]), (65_536, &[0xDD, 0, 1, 0, 0])] {
            let json = format!("[{}]", vec!["1"; count].join(","));
            let out = msgpack(&json);
            assert!(out.starts_with(head) && out.len() == head.len() + count, "{count}");
            assert_eq!(from_msgpack(&out), json);
        }
        for (count, head) in [(15, &[0x8F][..]), (16, &[0xDE, 0, 16]), (65_536, &[0xDF, 0, 1, 0, 0])] {
            let json = format!("{{{}}}", vec![r#""":1"#; count].join(","));
            let out = msgpack(&json);
            assert!(out.starts_with(head) && out.len() == head.len() + 2 * count, "{count}");
            assert_eq!(from_msgpack(&out), json);
        }
    }

    #[test]
    fn keys_inside_keys_do_not_grow_without_bound() {
        // A map whose key is a map whose key is a map ...
        let mut value = vec![0x81; MAX_DEPTH - 1];
        value.push(0x80);
        value.extend([0xC0; MAX_DEPTH - 1]);
        assert!(crate::wire::check(&value).is_ok());
        assert!(from_msgpack(&value).len() < 2 * value.len());
    }

    #[test]
    fn bytes_that_are_no_value_give_json_all_the_same() {
        for bytes in
            [&[][..], &[0xC1], &[0x92, 1], &[0x81, 1], &[0xDF, 255, 255, 255, 255], &[0xA5, b'x'], &[0xA1, 0xFF]]
        {
            let json = from_msgpack(bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{bytes:02x?}: {json}");
        }
        assert!(from_msgpack(&[0x91; 100_000]).len() < 100);
    }
}
