//! What a program may ask a hub through a `rep+` or `respondent+` gateway, and how the answers are written.
//!
//! A request is one MessagePack value: a body of three elements publishes, a shorter array begins with a verb of
//! `VERBS`. An answer is one value, too: what was asked for, or a str that says why not.

use rmp::Marker;

use super::table::{Entry, Table};
use crate::memory;
use crate::options::HubOption;
use crate::pattern::Pattern;
use crate::visible;
use crate::wire::{self, Form, Malformed, Value};
use crate::{Error, Status};

/// As much of a value at fault as an answer shows, in characters.
const SHOWN: usize = 100;

/// The longest text of a [`fault`], in characters.
const MAX_FAULT: usize = 1000;

/// What a list may cost: the length of the pattern by that of each name, as matching does in the worst case. The hub
/// does nothing else meanwhile. A million names of 20 bytes have a pattern of 6, a hundred thousand one of 67.
const MAX_STEPS: usize = 1 << 27;

/// What the text of an answer says where the hub has no memory for more.
const NO_MEMORY: &str = Status::NoMemory.text();

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query<'a> {
    /// An array of three elements, not looked into: whether it is a body is for [`wire::decode`] to say.
    Publish,
    /// The newest value of this name.
    Get(&'a str),
    /// The values of all senders whose names match.
    List(Pattern),
    /// Who takes part.
    Peers,
}

/// What stands behind a verb.
enum Argument {
    /// Nothing.
    None(Query<'static>),
    /// A text of this meaning.
    Text(&'static str, fn(&str) -> crate::Result<Query<'_>>),
}

/// Every verb.
const VERBS: &[(&str, Argument)] = &[
    ("get", Argument::Text("name", |name| wire::check_name(name).map(|()| Query::Get(name)))),
    ("list", Argument::Text("pattern", |pattern| Pattern::new(pattern).map(Query::List))),
    ("peers", Argument::None(Query::Peers)),
];

/// The request in these bytes.
///
/// # Errors
/// The text of the answer, which names what is wrong: for [`fault`].
pub fn parse(request: &[u8]) -> Result<Query<'_>, String> {
    let mut elements = request;
    let count = rmp::decode::read_array_len(&mut elements).ok();
    if count == Some(u32::from(Form::Old.elements())) {
        return Ok(Query::Publish);
    }
    let malformed = |malformed| format!("{}: expected {}", Error::from(malformed), expected());
    if request.is_empty() {
        return Err(malformed(Malformed::Empty));
    }
    wire::check(request).map_err(malformed)?;
    let verb = match count {
        None => return Err(unknown(&shown(request))),
        Some(1 | 2) => wire::skip(elements).map_err(malformed)?.1,
        Some(count) => return Err(unknown(&format!("of {count} elements"))),
    };
    let (verb, argument) = elements.split_at(verb);
    let known = VERBS.iter().find(|(known, _)| string(verb) == Some(known));
    let (known, takes) = known.ok_or_else(|| unknown(&shown(verb)))?;
    match takes {
        Argument::None(request) if argument.is_empty() => Ok(request.clone()),
        Argument::None(_) => Err(format!("{known}: {} is too much: expected {}", shown(argument), form(known, takes))),
        Argument::Text(..) if argument.is_empty() => {
            Err(format!("{known}: one element is too few: expected {}", form(known, takes)))
        }
        Argument::Text(what, request) => match string(argument) {
            Some(text) => request(text).map_err(|error| format!("{known}: {error}")),
            None if wire::bytes(argument).is_some() => {
                Err(format!("{known}: the {what} is {}: {}", Status::Utf8.text(), shown(argument)))
            }
            None => Err(format!("{known}: the {what} is no str: {}", shown(argument))),
        },
    }
}

/// The text of a checked value; Python 2 sends it as bin.
fn string(value: &[u8]) -> Option<&str> {
    wire::text(value).or_else(|| std::str::from_utf8(wire::bytes(value)?).ok())
}

fn unknown(what: &str) -> String {
    format!("unknown request {what}: expected {}", expected())
}

/// What a request may be, in words.
fn expected() -> String {
    let mut words = String::new();
    for (verb, argument) in VERBS {
        words += &form(verb, argument);
        words += ", ";
    }
    words + "or a state [sender, name, data]"
}

/// How a verb is written.
fn form(verb: &str, argument: &Argument) -> String {
    match argument {
        Argument::None(_) => format!("[{verb:?}]"),
        Argument::Text(what, _) => format!("[{verb:?}, {what}]"),
    }
}

/// A checked value as an answer shows it.
fn shown(value: &[u8]) -> String {
    if let Some(text) = wire::text(value) {
        return quoted(text);
    }
    if let Some(bytes) = wire::bytes(value) {
        // No character of a text has more bytes.
        return quoted(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (SHOWN + 1))]));
    }
    match wire::check(value) {
        Ok(kind) if value.len() > SHOWN => format!("{} of {} bytes", kind.name(), value.len()),
        _ => cut(&wire::from_msgpack(value), SHOWN),
    }
}

/// A text as an answer shows it.
fn quoted(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    let more = if beginning.len() < text.len() { "…" } else { "" };
    format!("{}{more}", visible::Quoted(&beginning))
}

/// The first `max` characters, and whether there are more.
fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Appends the answer to what cannot be done: a str on one line, of at most `MAX_FAULT` characters.
pub fn fault(text: &str, out: &mut Vec<u8>) {
    let mut line = String::new();
    for char in cut(text, MAX_FAULT).chars() {
        visible::push(&mut line, char);
    }
    Value::Text(&cut(&line, MAX_FAULT)).encode(out);
}

/// Whether the asker may have a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// It may.
    Yes,
    /// It is of a kind that the asker does not take.
    NotKind,
    /// It has more bytes than this.
    TooLarge(usize),
}

/// Appends the answer to a request. A [`Query::Publish`] has been done.
///
/// The newest value of a name is nil where there is none. A list leaves out what the asker may not have, and is a
/// [`fault`] where it would be over `limit` bytes; nothing more is held in memory for it.
pub fn answer(
    request: &Query<'_>,
    table: &Table,
    takes: impl Fn(&Entry) -> Takes,
    identities: impl IntoIterator<Item = impl AsRef<str>>,
    limit: usize,
    out: &mut Vec<u8>,
) {
    match request {
        Query::Publish => Value::Text("ok").encode(out),
        Query::Get(name) => get(table, name, takes, out),
        Query::List(pattern) => list(table, pattern, takes, limit, out),
        Query::Peers => peers(identities, limit, out),
    }
}

fn get(table: &Table, name: &str, takes: impl Fn(&Entry) -> Takes, out: &mut Vec<u8>) {
    let Some(entry) = table.newest(name) else { return Value::Nil.encode(out) };
    let state = || format!("{} of {}", quoted(name), quoted(entry.sender()));
    match takes(entry) {
        Takes::Yes if memory::reserve(out, entry.meta_at()).is_ok() => {
            old_form(entry).iter().for_each(|part| out.extend_from_slice(part));
        }
        Takes::Yes => fault(&format!("{} has {} bytes: {NO_MEMORY}", state(), entry.meta_at()), out),
        Takes::NotKind => {
            let kind = entry.kind().name();
            fault(&format!("{} ({kind}) is withheld: ?structured=1 in the hub's address allows it", state()), out);
        }
        Takes::TooLarge(limit) => {
            let (len, option) = (entry.meta_at(), HubOption::LegacyMax.about().name);
            fault(&format!("{} is withheld: {len} bytes, at most {limit}; {option} allows more", state()), out);
        }
    }
}

fn list(table: &Table, pattern: &Pattern, takes: impl Fn(&Entry) -> Takes, limit: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut answer = Array::new(limit, out);
    let mut steps = 0;
    for entry in table.iter() {
        steps += pattern.as_str().len() * entry.name().len();
        if steps > MAX_STEPS {
            answer.out.truncate(start);
            return fault(
                &format!("list: there are too many names for a pattern of this length: {}", quoted(pattern.as_str())),
                out,
            );
        }
        if pattern.matches(entry.name()) && takes(entry) == Takes::Yes {
            answer.push(old_form(entry));
        }
    }
    answer.finish(|| format!("states that match {}", quoted(pattern.as_str())));
}

fn peers(identities: impl IntoIterator<Item = impl AsRef<str>>, limit: usize, out: &mut Vec<u8>) {
    let mut answer = Array::new(limit, out);
    let mut element = Vec::new();
    for identity in identities {
        element.clear();
        Value::Text(identity.as_ref()).encode(&mut element);
        answer.push([&element, &[]]);
    }
    answer.finish(|| "peers".to_owned());
}

/// What a hub says to a survey.
#[derive(Clone, Copy, Debug)]
pub struct Survey<'a> {
    /// The name of its machine.
    pub host: &'a str,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub addresses: &'a [String],
    /// How many peers take part.
    pub peers: u64,
    /// How many states it has.
    pub states: u64,
}

/// Appends the answer to a survey: a map.
pub fn survey(survey: &Survey<'_>, out: &mut Vec<u8>) {
    let scalars = [
        ("hub", Value::Text(env!("CARGO_PKG_NAME"))),
        ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
        ("host", Value::Text(survey.host)),
        ("pid", Value::Uint(survey.pid.into())),
        ("peers", Value::Uint(survey.peers)),
        ("states", Value::Uint(survey.states)),
    ];
    out.push(Marker::FixMap(scalars.len() as u8 + 1).to_u8());
    for (key, value) in scalars {
        Value::Text(key).encode(out);
        value.encode(out);
    }
    Value::Text("addresses").encode(out);
    array_head(survey.addresses.len() as u32, out);
    for address in survey.addresses {
        Value::Text(address).encode(out);
    }
}

/// The pieces of an entry's body with three elements.
fn old_form(entry: &Entry) -> [&[u8]; 2] {
    const HEAD: &[u8] = &[Form::Old.head()];
    [HEAD, &entry.bytes()[1..entry.meta_at()]]
}

fn array_head(count: u32, out: &mut Vec<u8>) {
    let written = rmp::encode::write_array_len(out, count);
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// An array that is written as far as a limit allows, and counted beyond.
struct Array<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    limit: usize,
    count: u32,
    /// The bytes of its elements.
    len: usize,
    /// There was no memory for an element.
    no_memory: bool,
}

impl<'o> Array<'o> {
    /// An array of at most `limit` bytes behind `out`.
    fn new(limit: usize, out: &'o mut Vec<u8>) -> Array<'o> {
        let start = out.len();
        // The shortest head; most answers need no other.
        array_head(0, out);
        Array { out, start, limit, count: 0, len: 0, no_memory: false }
    }

    /// Appends an element, whose pieces these are.
    fn push(&mut self, pieces: [&[u8]; 2]) {
        self.count = self.count.saturating_add(1);
        self.len = pieces.iter().fold(self.len, |len, piece| len.saturating_add(piece.len()));
        if self.fits() && !self.no_memory {
            self.no_memory = self.out.try_reserve(pieces.iter().map(|piece| piece.len()).sum()).is_err();
        }
        if self.fits() && !self.no_memory {
            pieces.iter().for_each(|piece| self.out.extend_from_slice(piece));
        }
    }

    fn fits(&self) -> bool {
        self.size() <= self.limit
    }

    /// How long it is with its head.
    fn size(&self) -> usize {
        let head = match self.count {
            0..=0xF => 1,
            0x10..=0xFFFF => 3,
            _ => 5,
        };
        self.len.saturating_add(head)
    }

    /// Writes the head now that the count is known, or the fault that so many of `what` are too much.
    fn finish(self, what: impl FnOnce() -> String) {
        if !self.fits() {
            let (count, size, limit) = (self.count, self.size(), self.limit);
            self.out.truncate(self.start);
            let text = format!("the answer would have {size} bytes, at most {limit} are allowed: {count} {}", what());
            return fault(&text, self.out);
        }
        let mut head = Vec::with_capacity(5);
        array_head(self.count, &mut head);
        if self.no_memory || self.out.try_reserve(head.len()).is_err() {
            let (count, size) = (self.count, self.size());
            self.out.truncate(self.start);
            return fault(&format!("the answer would have {size} bytes: {NO_MEMORY}: {count} {}", what()), self.out);
        }
        self.out.splice(self.start..=self.start, head);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::table::{Capacity, Offer};
    use super::*;
    use crate::limits::{LEGACY_MAX, MAX_NAME};
    use crate::wire::{Instance, Kind, Meta, Stamp};

    fn request(json: &str) -> Vec<u8> {
        let mut request = Vec::new();
        wire::to_msgpack(json, &mut request).expect(json);
        request
    }

    /// What is said of a request that is none.
    fn refused(request: &[u8]) -> String {
        parse(request).map(|request| panic!("{request:?} was taken")).unwrap_err()
    }

    /// The one value that `write` appends behind what is there.
    fn answered(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write(&mut out);
        let answer = out.strip_prefix(b"before").expect("answers are appended").to_vec();
        assert!(wire::check(&answer).is_ok(), "{answer:02x?}");
        answer
    }

    fn fault_text(answer: &[u8]) -> &str {
        wire::text(answer).unwrap_or_else(|| panic!("no fault: {}", wire::from_msgpack(answer)))
    }

    /// Offers `(sender, name, data)`, each newer than the one before.
    fn table(states: &[(&str, &str, Vec<u8>)]) -> Table {
        let mut table = Table::new(Capacity::default());
        table.index_names();
        for (clock, (sender, name, data)) in (1..).zip(states) {
            let stamp = Stamp { clock, instance: Instance([1; 16]) };
            let mut body = Vec::new();
            let meta = Meta { stamp: Some(stamp), ..Meta::default() };
            let meta_at = wire::encode(&mut body, Form::V1, sender, name, data, &meta);
            let kind = wire::check(data).expect("one value");
            let offer = Offer { body: &body, shared: None, meta_at, sender, name, kind, stamp, origin: None };
            table.offer(offer).expect("newer, and there is room");
        }
        table
    }

    fn text(text: &str) -> Vec<u8> {
        let mut value = Vec::new();
        Value::Text(text).encode(&mut value);
        value
    }

    /// What a gateway without `?structured=1` takes, up to a size.
    fn plain(limit: usize) -> impl Fn(&Entry) -> Takes {
        move |entry| match entry.kind() {
            kind if !kind.is_plain() => Takes::NotKind,
            _ if entry.meta_at() > limit => Takes::TooLarge(limit),
            _ => Takes::Yes,
        }
    }

    fn answer_of(request: &Query<'_>, table: &Table, limit: usize) -> Vec<u8> {
        answered(|out| answer(request, table, plain(LEGACY_MAX), [""; 0], limit, out))
    }

    /// The elements of an array.
    fn elements(array: &[u8]) -> Vec<&[u8]> {
        let mut rest = array;
        let count = rmp::decode::read_array_len(&mut rest).expect("an array");
        let elements = (0..count).map(|_| {
            let (element, behind) = rest.split_at(wire::skip(rest).expect("one value").1);
            rest = behind;
            element
        });
        let elements = elements.collect();
        assert!(rest.is_empty());
        elements
    }

    #[test]
    fn every_verb_is_understood() {
        assert_eq!(parse(&request(r#"["get", "cpu/load"]"#)), Ok(Query::Get("cpu/load")));
        let pattern = Pattern::new("cpu/*").expect("a pattern");
        assert_eq!(parse(&request(r#"["list", "cpu/*"]"#)), Ok(Query::List(pattern)));
        assert_eq!(parse(&request(r#"["peers"]"#)), Ok(Query::Peers));
    }

    #[test]
    fn text_may_be_bin_as_python_2_sends_it() {
        assert_eq!(parse(b"\x92\xC4\x03get\xC4\x01x"), Ok(Query::Get("x")));
        assert_eq!(parse(b"\x91\xC4\x05peers"), Ok(Query::Peers));
    }

    #[test]
    fn three_elements_are_a_body_whatever_they_are() {
        for body in [&b"\x93"[..], b"\x93\xA1a\xA1x\xC0", b"\xDC\x00\x03\xC1", b"\xDD\x00\x00\x00\x03", b"\x93\xA3get"]
        {
            assert_eq!(parse(body), Ok(Query::Publish), "{body:02x?}");
        }
    }

    #[test]
    fn what_is_no_request_is_answered_with_what_one_may_be() {
        let long = request(&format!("[{:?}]", "x".repeat(1000)));
        let cases = [
            (&b""[..], "the message is empty"),
            (b"\x92\xA3get", "the bytes end inside a value"),
            (b"\x91\xA5peers\xC0", "bytes follow behind the end"),
            (b"\x91\xC1", "the reserved byte C1"),
            (b"\x91\xA1\xFF", "a str is not valid UTF-8"),
            (b"get x", "bytes follow behind the end"),
            (b"\xDC\x00", "the bytes end inside a value"),
            (&[0x91; 100], "nested too deep"),
            (b"\x90", "unknown request of 0 elements"),
            (b"\x94\xA3get\xC0\xC0\xC0", "unknown request of 4 elements"),
            (b"\x2A", "unknown request 42:"),
            (b"\x81\xA3get\xA1x", r#"unknown request {"get":"x"}:"#),
            (b"\xA3get", r#"unknown request "get":"#),
            (b"\x92\xA3gte\xA1x", r#"unknown request "gte":"#),
            (b"\x91\xA3Get", r#"unknown request "Get":"#),
            (b"\x92\x05\xA1x", "unknown request 5:"),
            (b"\x91\xC4\x01\xFF", "unknown request \"\u{FFFD}\":"),
            (b"\x91\xA2\x00\n", r#"unknown request "\x00\n":"#),
            (&long, "xxx\"…:"),
        ];
        for (request, words) in cases {
            let text = refused(request);
            assert!(text.contains(words), "{text:?} does not say {words:?}");
            let expected = r#": expected ["get", name], ["list", pattern], ["peers"], or a state [sender, name, data]"#;
            assert!(text.ends_with(expected), "{text}");
            assert!(text.chars().count() < 300, "a long value is not shown whole: {text}");
        }
        for (verb, _) in VERBS {
            assert!(expected().contains(&format!("[{verb:?}")));
        }
    }

    #[test]
    fn an_argument_that_does_not_fit_is_named() {
        let long = request(&format!(r#"["get", {:?}]"#, "x".repeat(MAX_NAME + 1)));
        let long_pattern = request(&format!(r#"["list", {:?}]"#, "x".repeat(MAX_NAME + 1)));
        let map = request(&format!(r#"["get", {{"a":{:?}}}]"#, "x".repeat(2000)));
        let cases = [
            (&b"\x91\xA3get"[..], r#"get: one element is too few: expected ["get", name]"#),
            (b"\x91\xA4list", r#"list: one element is too few: expected ["list", pattern]"#),
            (b"\x92\xA5peers\xA1x", r#"peers: "x" is too much: expected ["peers"]"#),
            (b"\x92\xA3get\x05", "get: the name is no str: 5"),
            (b"\x92\xA3get\xC0", "get: the name is no str: null"),
            (b"\x92\xA4list\x92\x01\x02", "list: the pattern is no str: [1,2]"),
            (b"\x92\xA3get\xC4\x02x\xFF", "get: the name is not valid UTF-8: \"x\u{FFFD}\""),
            (b"\x92\xA3get\xA0", r#"get: name not allowed: "": empty"#),
            (b"\x92\xA3get\xA3a\0b", r#"get: name not allowed: "a\x00b": has a NUL"#),
            (b"\x92\xA3get\xA8$ns/ping", r#"get: name not allowed: "$ns/ping": begins with $ns/"#),
            (b"\x92\xA4list\xA0", r#"list: pattern is empty: """#),
            (b"\x92\xA4list\xA1\0", r#"list: pattern contains NUL: "\x00""#),
            (&long, "get: name not allowed: \"xxx"),
            (&long_pattern, "list: pattern has 1025 bytes, 1024 are allowed: \"xxx"),
            (&map, "get: the name is no str: map of 2006 bytes"),
        ];
        for (request, words) in cases {
            let text = refused(request);
            assert!(text.starts_with(words), "{text:?} does not begin with {words:?}");
            assert!(text.chars().count() < 300, "a long value is not shown whole: {text}");
        }
    }

    #[test]
    fn what_was_done_is_answered_with_ok() {
        assert_eq!(answer_of(&Query::Publish, &table(&[]), LEGACY_MAX), b"\xA2ok");
    }

    #[test]
    fn a_fault_is_one_short_line() {
        let answer = answered(|out| fault("a\nb\0 \"ü\" \u{1B}[0m", out));
        assert_eq!(fault_text(&answer), "a\\nb\\x00 \"ü\" \\x1b[0m");
        for long in ["ü".repeat(5000), "\0".repeat(5000)] {
            let answer = answered(|out| fault(&long, out));
            assert!(fault_text(&answer).ends_with('…') && fault_text(&answer).chars().count() == MAX_FAULT + 1);
        }
    }

    #[test]
    fn get_gives_the_newest_body_of_any_sender() {
        let table = table(&[("a", "x", text("1")), ("b", "x", text("2")), ("c", "y", text("3"))]);
        assert_eq!(answer_of(&Query::Get("x"), &table, LEGACY_MAX), b"\x93\xA1b\xA1x\xA12");
        assert_eq!(answer_of(&Query::Get("z"), &table, LEGACY_MAX), b"\xC0");
    }

    #[test]
    fn what_the_asker_may_not_have_is_withheld_with_the_reason() {
        let states =
            [("a", "x", text("1")), ("a", "m", vec![0x80]), ("b", "x", vec![0x05]), ("a", "l", text(&"l".repeat(99)))];
        let table = table(&states);
        let asked = |request: &Query| answered(|out| answer(request, &table, plain(50), [""; 0], LEGACY_MAX, out));
        let texts = [
            ("x", r#""x" of "b" (int) is withheld: ?structured=1 in the hub's address allows it"#),
            ("m", r#""m" of "a" (map) is withheld: ?structured=1 in the hub's address allows it"#),
            ("l", r#""l" of "a" is withheld: 106 bytes, at most 50; NS_OPT_HUB_LEGACY_MAX allows more"#),
        ];
        for (name, text) in texts {
            assert_eq!(fault_text(&asked(&Query::Get(name))), text);
        }
        let all = asked(&Query::List(Pattern::new("**").expect("a pattern")));
        assert_eq!(elements(&all), [b"\x93\xA1a\xA1x\xA11"]);
    }

    #[test]
    fn peers_are_their_identities() {
        let none = table(&[]);
        let asked =
            |identities: &[&str], limit| answered(|out| answer(&Query::Peers, &none, plain(0), identities, limit, out));
        assert_eq!(asked(&[], LEGACY_MAX), b"\x90");
        assert_eq!(asked(&["a", "bc"], LEGACY_MAX), b"\x92\xA1a\xA2bc");
        assert_eq!(asked(&["a", "bc"], 6), b"\x92\xA1a\xA2bc");
        let text = "the answer would have 6 bytes, at most 5 are allowed: 2 peers";
        assert_eq!(fault_text(&asked(&["a", "bc"], 5)), text);
    }

    #[test]
    fn an_answer_over_the_limit_is_never_built_and_says_how_large_it_would_be() {
        let names: Vec<_> = (0..100).map(|i| format!("n{i:02}")).collect();
        let states: Vec<_> = names.iter().map(|name| ("a", &**name, text(&"x".repeat(1000)))).collect();
        let table = table(&states);
        let all = Query::List(Pattern::new("**").expect("a pattern"));
        // An array's head, then bodies of a head, "a", a name of 3 bytes and a text of 1000.
        let size = 3 + 100 * (1 + 2 + 4 + 1003);
        let mut out = Vec::new();
        answer(&all, &table, plain(LEGACY_MAX), [""; 0], size, &mut out);
        assert_eq!((out.len(), elements(&out).len()), (size, 100));
        for limit in [size - 1, 5000, 0] {
            let mut out = Vec::new();
            answer(&all, &table, plain(LEGACY_MAX), [""; 0], limit, &mut out);
            let states = "100 states that match \"**\"";
            let text = format!("the answer would have {size} bytes, at most {limit} are allowed: {states}");
            assert_eq!(fault_text(&out), text);
            // A vector that grows may take twice what is in it.
            assert!(out.capacity() <= 2 * limit + 2 * MAX_FAULT, "{} bytes for {limit}", out.capacity());
        }
    }

    #[test]
    fn a_list_that_would_hold_up_the_hub_is_refused() {
        let names: Vec<_> = (0..140).map(|i| format!("{i:0>1000}")).collect();
        let states: Vec<_> = names.iter().map(|name| ("a", name.as_str(), text("x"))).collect();
        let table = table(&states);
        let list =
            |pattern: &str| answer_of(&Query::List(Pattern::new(pattern).expect("a pattern")), &table, usize::MAX);
        assert_eq!(elements(&list("*0")).len(), 14);
        let slow = "*0".repeat(512);
        assert!(fault_text(&list(&slow)).starts_with("list: there are too many names for a pattern of this length: "));
    }

    #[test]
    fn a_survey_is_answered_with_who_the_hub_is() {
        let addresses = ["tcp://127.0.0.1:15000".to_owned(), "ipc:///run/hub".to_owned()];
        let told = Survey { host: "box", pid: 7, addresses: &addresses, peers: 3, states: 1 << 40 };
        let answer = answered(|out| survey(&told, out));
        let json: serde_json::Value = serde_json::from_str(&wire::from_msgpack(&answer)).expect("JSON");
        let expected = serde_json::json!({
            "hub": "nanostate",
            "version": env!("CARGO_PKG_VERSION"),
            "host": "box",
            "pid": 7,
            "addresses": ["tcp://127.0.0.1:15000", "ipc:///run/hub"],
            "peers": 3,
            "states": 1_u64 << 40,
        });
        assert_eq!(json, expected);
    }

    /// Senders and names that meet often.
    const SENDERS: [&str; 3] = ["a", "b", "a long sender, so that its str has a head of two bytes"];
    const NAMES: [&str; 5] = ["x", "y", "a/x", "a/y", "a/b/x"];

    /// What requests are made of, and what nearly is.
    const PARTS: &[&[u8]] = &[
        b"\xA3get",
        b"\xA4list",
        b"\xA5peers",
        b"\xC4\x05peers",
        b"\xA1*",
        b"\xA0",
        b"\xA1\xFF",
        b"\xC0",
        b"\xC1",
        b"\x91",
        b"\xD9",
    ];

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            ".{0,40}".prop_map(|value| text(&value)),
            vec(any::<u8>(), 0..400).prop_map(|bytes| {
                let mut value = Vec::new();
                Value::Bytes(&bytes).encode(&mut value);
                value
            }),
            Just(vec![0xC0]),
            Just(vec![0x92, 0x01, 0x80]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_answered_with_one_value(
            bytes in prop_oneof![
                vec(any::<u8>(), 0..60),
                (0x90_u8..0x95, vec(select(PARTS), 0..5))
                    .prop_map(|(head, parts)| [&[head], &*parts.concat()].concat()),
            ],
            limit in 0_usize..100,
        ) {
            let table = table(&[("a", "x", text("1")), ("b", "*", vec![0xC0])]);
            let answer = answered(|out| match parse(&bytes) {
                Ok(request) => answer(&request, &table, plain(20), ["a", "b"], limit, out),
                Err(text) => {
                    assert!(wire::decode(&bytes, Form::Old).is_err(), "{text}");
                    fault(&text, out);
                }
            });
            prop_assert!(answer.len() < 5 * MAX_FAULT);
        }

        #[test]
        fn get_and_list_agree_with_a_plain_model(
            offers in vec((0..SENDERS.len(), 0..NAMES.len(), value()), 0..60),
            pattern in prop_oneof![Just("**"), Just("*"), Just("a/*"), Just("a/**"), Just("**/x"), Just("x")],
            limit in 0_usize..4000,
        ) {
            let offers: Vec<_> = offers.into_iter().map(|(s, n, data)| (SENDERS[s], NAMES[n], data)).collect();
            let table = table(&offers);
            let takes = |data: &[u8]| wire::check(data).is_ok_and(Kind::is_plain);
            let body = |(sender, name, data): &(&str, &str, Vec<u8>)| {
                let mut body = Vec::new();
                wire::encode(&mut body, Form::Old, sender, name, data, &Meta::default());
                body
            };
            for name in NAMES {
                let answer = answer_of(&Query::Get(name), &table, LEGACY_MAX);
                match offers.iter().rfind(|offer| offer.1 == name) {
                    None => prop_assert_eq!(answer, vec![0xC0]),
                    Some(newest) if takes(&newest.2) => prop_assert_eq!(answer, body(newest)),
                    Some(_) => prop_assert!(fault_text(&answer).contains("is withheld")),
                }
            }
            let pattern = Pattern::new(pattern).expect("a pattern");
            let newest = |i: &usize| {
                let (sender, name, _) = &offers[*i];
                !offers[i + 1..].iter().any(|later| (&later.0, &later.1) == (sender, name))
            };
            let listed = |i: &usize| newest(i) && pattern.matches(offers[*i].1) && takes(&offers[*i].2);
            let mut expected: Vec<_> = (0..offers.len()).filter(listed).map(|i| body(&offers[i])).collect();
            let size = if expected.len() < 16 { 1 } else { 3 } + expected.concat().len();
            let answer = answer_of(&Query::List(pattern), &table, limit);
            if size <= limit {
                let mut bodies = elements(&answer);
                bodies.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(bodies, expected);
                prop_assert_eq!(answer.len(), size);
            } else {
                let words = format!("the answer would have {size} bytes, at most {limit} are allowed");
                prop_assert!(fault_text(&answer).starts_with(&words), "{}", fault_text(&answer));
            }
        }
    }
}
