//! How the answers to requests are written.

use rmp::Marker;

use super::super::super::table::{Entry, Table};
use super::listing::Listing;
use super::parts::{array_head, fault, old_form, Array, Takes, NO_MEMORY};
use super::{quoted, Query};
use crate::memory;
use crate::options::HubOption;
use crate::wire::Value;

/// An answer to a request.
pub enum Answer {
    /// One value.
    Whole(Vec<u8>),
    /// One that takes a look at each entry.
    List(Box<Listing>),
}

/// Answers a request. A [`Query::Publish`] and a [`Query::Clear`] have been done.
///
/// The newest value of a name is nil where there is none. What would be over `limit` bytes is a [`fault`]; nothing more
/// is held in memory for it.
pub fn answer(
    request: Query<'_>,
    table: &Table,
    takes: impl Fn(&Entry) -> Takes,
    identities: impl IntoIterator<Item = impl AsRef<str>>,
    limit: usize,
) -> Answer {
    let mut out = Vec::new();
    match request {
        Query::Publish | Query::Clear(_) => Value::Text("ok").encode(&mut out),
        Query::Get(name) => get(table, name, takes, &mut out),
        Query::List(pattern) => return Answer::List(Box::new(Listing::new(pattern, limit))),
        Query::Peers => out = peers(identities, limit),
    }
    Answer::Whole(out)
}

fn get(table: &Table, name: &str, takes: impl Fn(&Entry) -> Takes, out: &mut Vec<u8>) {
    let Some(entry) = table.newest(name) else { return Value::Nil.encode(out) };
    let state = || format!("{} of {}", quoted(name), quoted(entry.sender()));
    match takes(entry) {
        Takes::Yes if memory::reserve(out, entry.meta_at()).is_ok() => {
            old_form(entry).iter().for_each(|part| out.extend_from_slice(part));
        }
        Takes::Yes => fault(&format!("{} has {} bytes: {NO_MEMORY}", state(), entry.meta_at()), out),
        Takes::NotAtAll => Value::Nil.encode(out),
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

fn peers(identities: impl IntoIterator<Item = impl AsRef<str>>, limit: usize) -> Vec<u8> {
    let mut answer = Array::new(limit);
    let mut element = Vec::new();
    for identity in identities {
        element.clear();
        Value::Text(identity.as_ref()).encode(&mut element);
        answer.push([&element, &[]]);
    }
    answer.finish(|| "peers".to_owned())
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
