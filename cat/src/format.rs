//! Messages as they are printed, and JSON on its way into a message.

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum};
use nanostate::visible::safe_json;
use nanostate::wire::{self, Form};
use nanostate::{Result, Value};

/// How messages are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    No,
    Raw,
    Ascii,
    Quoted,
    Hex,
    Msgpack,
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 7] =
        [Format::No, Format::Raw, Format::Ascii, Format::Quoted, Format::Hex, Format::Msgpack, Format::Json];

    fn name(self) -> &'static str {
        match self {
            Format::No => "no",
            Format::Raw => "raw",
            Format::Ascii => "ascii",
            Format::Quoted => "quoted",
            Format::Hex => "hex",
            Format::Msgpack => "msgpack",
            Format::Json => "json",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Format::No => "Print nothing",
            Format::Raw => "Print each message as it is, with nothing between two of them",
            Format::Ascii => "Print each message as a line, with a dot for each byte that is not printable ASCII",
            Format::Quoted => "Print each message as a line in \"quotes\" with the escapes of C (default)",
            Format::Hex => "Print each message as a line in \"quotes\", each byte as \\x2e",
            Format::Msgpack => "Print each message as one bin of MessagePack: its length, then the message as it is",
            Format::Json => "Print each message, which is MessagePack, as a line of JSON; send JSON as MessagePack",
        }
    }

    fn short(self) -> Option<char> {
        match self {
            Format::Ascii => Some('A'),
            Format::Quoted => Some('Q'),
            _ => None,
        }
    }

    /// What is printed for a message.
    pub fn print(self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Format::No => return out,
            Format::Raw => out.extend_from_slice(message),
            Format::Ascii => out.extend(message.iter().map(|byte| if is_printable(*byte) { *byte } else { b'.' })),
            Format::Quoted => quote(message, &mut out, false),
            Format::Hex => quote(message, &mut out, true),
            Format::Msgpack => Value::Bytes(message).encode(&mut out),
            Format::Json => out.extend_from_slice(safe_json(&json(message)).as_bytes()),
        }
        if !matches!(self, Format::Raw | Format::Msgpack) {
            out.push(b'\n');
        }
        out
    }

    /// The message for the data of the command line.
    ///
    /// JSON becomes MessagePack. With `topic`, as for PUB, its name and a NUL precede a state, as at a hub's `pub+`
    /// gateway.
    pub fn message(self, data: Vec<u8>, topic: bool) -> Result<Vec<u8>> {
        if self != Format::Json {
            return Ok(data);
        }
        let text = std::str::from_utf8(&data).map_err(|error| {
            let words = format!("JSON: not valid UTF-8 at offset {}", error.valid_up_to());
            nanostate::Error::new(nanostate::Status::Invalid, words)
        })?;
        let mut value = Vec::with_capacity(text.len());
        wire::to_msgpack(text, &mut value)?;
        match wire::decode(&value, Form::Old) {
            Ok(state) if topic => Ok([state.name().as_bytes(), b"\0", &value].concat()),
            _ => Ok(value),
        }
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// In quotes, which the message cannot end.
fn quote(message: &[u8], out: &mut Vec<u8>, all: bool) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in message {
        match byte {
            _ if all => out.extend([b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b'"' | b'\\' => out.extend([b'\\', byte]),
            byte if is_printable(byte) => out.push(byte),
            byte => out.extend([b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
    out.push(b'"');
}

/// The JSON of a message, in one line.
///
/// What a hub's `pub+` gateway sends is its state; another topic in front of a value stays beside it, as
/// `{"topic":…,"message":…}`. What is not MessagePack is `{"text":…}`, or `{"base64":…}` if it is not UTF-8.
fn json(message: &[u8]) -> String {
    let topic = message.iter().position(|byte| *byte == 0).and_then(|end| {
        let topic = std::str::from_utf8(&message[..end]).ok().filter(|topic| !topic.is_empty())?;
        Some((topic, &message[end + 1..]))
    });
    // Before the whole: a name and its state are never anything else.
    if let Some((topic, body)) = topic {
        if wire::decode(body, Form::Old).is_ok_and(|state| state.name() == topic) {
            return wire::from_msgpack(body);
        }
    }
    if wire::check(message).is_ok() {
        return wire::from_msgpack(message);
    }
    match topic {
        Some((topic, body)) if wire::check(body).is_ok() => {
            format!(r#"{{"topic":{},"message":{}}}"#, scalar(Value::Text(topic)), wire::from_msgpack(body))
        }
        _ => match std::str::from_utf8(message) {
            Ok(text) => format!(r#"{{"text":{}}}"#, scalar(Value::Text(text))),
            Err(_) => format!(r#"{{"base64":{}}}"#, scalar(Value::Bytes(message))),
        },
    }
}

fn scalar(value: Value) -> String {
    let mut encoded = Vec::with_capacity(value.max_encoded_len());
    value.encode(&mut encoded);
    wire::from_msgpack(&encoded)
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Format] {
        &Format::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// The format that the command line names, by `--format` or by an option of its own.
#[derive(Clone, Copy, Debug)]
pub struct Chosen(pub Option<Format>);

const OPTION: &str = "format";

impl clap::FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Chosen, clap::Error> {
        let by_name = matches.get_one(OPTION).copied();
        let own = || Format::ALL.into_iter().find(|format| *format != Format::No && matches.get_flag(format.name()));
        Ok(Chosen(by_name.or_else(own)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Chosen::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Chosen {
    fn augment_args(command: Command) -> Command {
        let own = || Format::ALL.into_iter().filter(|format| *format != Format::No);
        let general = Arg::new(OPTION)
            .long(OPTION)
            .value_name("FORMAT")
            .help("How messages are printed; the same as the option of that name, and no prints nothing")
            .help_heading("Format")
            .value_parser(clap::value_parser!(Format))
            .conflicts_with_all(own().map(Format::name));
        command.arg(general).args(own().map(|format| {
            let others = own().filter(move |other| *other != format).map(Format::name);
            let arg = Arg::new(format.name())
                .long(format.name())
                .help(format.help())
                .help_heading("Format")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(others);
            match format.short() {
                Some(short) => arg.short(short),
                None => arg,
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Chosen::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(format: Format, message: &[u8]) -> String {
        String::from_utf8(format.print(message)).unwrap()
    }

    /// The MessagePack of a JSON text.
    fn packed(json: &str) -> Vec<u8> {
        Format::Json.message(json.into(), false).unwrap()
    }

    #[test]
    fn each_format_prints_a_message() {
        let message = b"a\0\xff\"\\\n~\x7f\t\r";
        assert_eq!(Format::No.print(message), b"");
        assert_eq!(Format::Raw.print(message), message);
        assert_eq!(printed(Format::Ascii, message), "a..\"\\.~...\n");
        assert_eq!(printed(Format::Quoted, message), "\"a\\x00\\xff\\\"\\\\\\n~\\x7f\\t\\r\"\n");
        assert_eq!(printed(Format::Hex, b"a\0\xff"), "\"\\x61\\x00\\xff\"\n");
        assert_eq!(Format::Msgpack.print(b"ab"), b"\xc4\x02ab");
        assert_eq!(printed(Format::Json, &packed(r#"{"a":[1,2.5,null]}"#)), "{\"a\":[1,2.5,null]}\n");
    }

    #[test]
    fn json_shows_what_a_gateway_publishes_as_its_state() {
        let state = packed(r#"["me","cpu/load",0.25]"#);
        let published = [b"cpu/load\0", &state[..]].concat();
        assert_eq!(printed(Format::Json, &published), "[\"me\",\"cpu/load\",0.25]\n");
        assert_eq!(Format::Json.message(br#"["me","cpu/load",0.25]"#.to_vec(), true).unwrap(), published);
        // Only for those who filter by it.
        assert_eq!(Format::Json.message(br#"["me","cpu/load",0.25]"#.to_vec(), false).unwrap(), state);
        assert_eq!(Format::Json.message(b"5".to_vec(), true).unwrap(), [5]);
    }

    #[test]
    fn json_shows_another_topic_beside_the_value() {
        let message = [b"topic\0", &packed("5")[..]].concat();
        assert_eq!(printed(Format::Json, &message), "{\"topic\":\"topic\",\"message\":5}\n");
        let message = [b"other\0", &packed(r#"["me","cpu/load",1]"#)[..]].concat();
        assert_eq!(printed(Format::Json, &message), "{\"topic\":\"other\",\"message\":[\"me\",\"cpu/load\",1]}\n");
    }

    #[test]
    fn json_shows_what_is_not_messagepack() {
        for (message, line) in [
            (&b""[..], "{\"text\":\"\"}"),
            (b"hello", "{\"text\":\"hello\"}"),
            (b"a\nb\"", "{\"text\":\"a\\nb\\\"\"}"),
            ("\u{9b}\u{202e}".as_bytes(), "{\"text\":\"\\u009b\\u202e\"}"),
            (b"\xff\xfe", "{\"base64\":\"//4=\"}"),
            (b"\xc1", "{\"base64\":\"wQ==\"}"),
            // One value, and more.
            (b"\x01\x02", "{\"text\":\"\\u0001\\u0002\"}"),
        ] {
            assert_eq!(printed(Format::Json, message), format!("{line}\n"));
        }
    }

    #[test]
    fn wrong_json_is_named_with_the_place() {
        for (data, words) in [
            (&b"[1,"[..], "JSON: EOF while parsing a value at offset 3"),
            (b"", "JSON: EOF while parsing a value at offset 0"),
            (b"\"a\xff\"", "JSON: not valid UTF-8 at offset 2"),
        ] {
            assert_eq!(Format::Json.message(data.to_vec(), false).unwrap_err().to_string(), words);
        }
        assert_eq!(Format::Quoted.message(b"[1,".to_vec(), true).unwrap(), b"[1,");
    }

    /// Reads what [`Format::Quoted`] and [`Format::Hex`] print.
    fn unquoted(line: &[u8]) -> Vec<u8> {
        let inner = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"\n")).expect("quotes");
        let (mut out, mut bytes) = (Vec::new(), inner.iter());
        while let Some(&byte) = bytes.next() {
            assert_ne!(byte, b'"');
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            out.push(match bytes.next().unwrap() {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits: Vec<u8> = bytes.by_ref().take(2).copied().collect();
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => *other,
            });
        }
        out
    }

    /// Bytes that are often MessagePack, a topic in front of it, or text.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..200);
        let low = proptest::collection::vec(prop_oneof![0u8..8, 0x80u8..0xA0, 0xA0u8..0xB0, 0xC0u8..0xE0], 0..60);
        let text = any::<String>().prop_map(String::into_bytes);
        let topic = (any::<String>(), low.clone()).prop_map(|(topic, body)| [topic.as_bytes(), b"\0", &body].concat());
        prop_oneof![bytes, low, text, topic]
    }

    proptest! {
        #[test]
        fn lines_are_single_and_safe_for_a_terminal(message in messages()) {
            for format in [Format::Ascii, Format::Quoted, Format::Hex, Format::Json] {
                let line = printed(format, &message);
                let inner = line.strip_suffix('\n').unwrap();
                prop_assert!(inner.chars().all(nanostate::visible::is_visible), "{format:?} {line:?}");
            }
        }

        #[test]
        fn quotes_lose_nothing(message in messages()) {
            prop_assert_eq!(&unquoted(&Format::Quoted.print(&message)), &message);
            prop_assert_eq!(&unquoted(&Format::Hex.print(&message)), &message);
            let bin = Format::Msgpack.print(&message);
            prop_assert_eq!(wire::bytes(&bin), Some(&message[..]));
        }

        #[test]
        fn json_is_json_and_can_be_sent(message in messages()) {
            let line = Format::Json.print(&message);
            prop_assert!(Format::Json.message(line.clone(), false).is_ok(), "{:?}", String::from_utf8(line));
        }

        #[test]
        fn what_was_json_is_printed_as_the_same(message in messages()) {
            // Whatever is printed is JSON: sent, and printed again, it is the same.
            let line = Format::Json.print(&message);
            for topic in [false, true] {
                let sent = Format::Json.message(line.clone(), topic).unwrap();
                prop_assert_eq!(String::from_utf8(Format::Json.print(&sent)), String::from_utf8(line.clone()));
            }
        }

        #[test]
        fn data_that_is_not_json_is_an_error_and_no_panic(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Format::Json.message(data, true);
        }
    }
}
