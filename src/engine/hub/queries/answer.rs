//! How the answers to requests are written.

use rmp::Marker;

use super::super::super::table::{Entry, Table};
use super::{cut, quoted, Query};
use crate::options::HubOption;
use crate::pattern::Pattern;
use crate::wire::{Form, Value};
use crate::{memory, visible, Status};

/// The longest text of a [`fault`], in characters.
pub(super) const MAX_FAULT: usize = 1000;

/// What a list may cost: the length of the pattern by that of each name, as matching does in the worst case. The hub
/// does nothing else meanwhile. A million names of 20 bytes have a pattern of 6, a hundred thousand one of 67.
const MAX_STEPS: usize = 1 << 27;

/// What the text of an answer says where the hub has no memory for more.
const NO_MEMORY: &str = Status::NoMemory.text();

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
