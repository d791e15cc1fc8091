//! What a program may ask a hub through a `rep+` or `respondent+` gateway, and how the answers are written.
//!
//! A request is one MessagePack value: a body of three elements publishes, a shorter array begins with a verb of
//! `VERBS`. An answer is one value, too: what was asked for, or a str that says why not.

mod answer;
mod listing;
mod parts;
#[cfg(test)]
mod tests;

pub use self::answer::{answer, survey, Answer, Survey};
pub use self::listing::Listing;
pub use self::parts::{fault, Takes};
use crate::pattern::Pattern;
use crate::visible;
use crate::wire::{self, Form, Malformed};
use crate::{Error, Status};

/// As much of a value at fault as an answer shows, in characters.
const SHOWN: usize = 100;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query<'a> {
    /// An array of three elements, not looked into: whether it is a body is for [`wire::decode`] to say.
    Publish,
    /// The newest value of this name.
    Get(&'a str),
    /// The newest value of this name is to be withdrawn.
    Clear(&'a str),
    /// The values of all senders whose names match.
    List(Pattern),
    /// The identities of the apps that take part.
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
    ("clear", Argument::Text("name", |name| wire::check_name(name).map(|()| Query::Clear(name)))),
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
        Argument::None(_) => {
            Err(format!("{known}: {} is one element too many: expected {}", shown(argument), form(known, takes)))
        }
        Argument::Text(..) if argument.is_empty() => {
            Err(format!("{known}: one element is too few: expected {}", form(known, takes)))
        }
        Argument::Text(what, request) => match string(argument) {
            Some(text) => request(text).map_err(|error| format!("{known}: {error}")),
            None if wire::bytes(argument).is_some() => {
                Err(format!("{known}: the {what} is {}: {}", Status::Utf8.text(), shown(argument)))
            }
            None => Err(format!("{known}: the {what} is not a str: {}", shown(argument))),
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
