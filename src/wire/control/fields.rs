//! The data of control messages: an integer, a text, or a map with small integers as keys.

use super::super::token::{Token, ValueReader};
use super::super::value::{put_int, put_map, put_str, put_uint};
use super::super::{Features, Instance, Malformed, Stamp};
use crate::time::LogicalTime;

pub(super) fn put_time(data: &mut Vec<u8>, key: u64, time: Option<LogicalTime>) {
    if let Some(time) = time {
        put_uint(data, key);
        put_uint(data, time.to_bits());
    }
}

pub(super) fn put_optional(data: &mut Vec<u8>, key: u64, number: Option<u64>) {
    if let Some(number) = number {
        put_uint(data, key);
        put_uint(data, number);
    }
}

pub(super) fn put_features(data: &mut Vec<u8>, key: u64, features: Features) {
    if features != Features::NONE {
        put_uint(data, key);
        put_uint(data, features.0.into());
    }
}

pub(super) fn put_verdict(data: &mut Vec<u8>, status: i32, text: &str) {
    put_map(data, 2);
    put_uint(data, 0);
    put_int(data, i64::from(status));
    put_uint(data, 1);
    put_str(data, text);
}

/// The values of the keys 0 to `N` - 1 of a map; if a key occurs twice, the last. The first `required` keys have to be
/// there; any other that is missing is nil.
pub(super) fn fields<const N: usize>(data: &[u8], required: usize) -> Result<[Token<'_>; N], Malformed> {
    let mut reader = ValueReader::new(data);
    let Token::Map(pairs) = reader.token()? else {
        return Err(Malformed::Control);
    };
    let mut found = [None; N];
    for _ in 0..pairs {
        let key = scalar(reader.rest())?;
        reader.value()?;
        let value = scalar(reader.rest())?;
        reader.value()?;
        let field = key.as_uint().and_then(|key| found.get_mut(usize::try_from(key).ok()?));
        if let Some(field) = field {
            *field = Some(value);
        }
    }
    if found[..required].contains(&None) {
        return Err(Malformed::Control);
    }
    Ok(found.map(|value| value.unwrap_or(Token::Nil)))
}

/// The bytes of the values of the keys 0 to `N` - 1 of a map; nothing of one that is missing.
pub(super) fn containers<const N: usize>(data: &[u8]) -> Result<[&[u8]; N], Malformed> {
    let mut reader = ValueReader::new(data);
    let Token::Map(pairs) = reader.token()? else {
        return Err(Malformed::Control);
    };
    let mut found: [&[u8]; N] = [&[]; N];
    for _ in 0..pairs {
        let key = scalar(reader.rest())?;
        reader.value()?;
        let value = reader.rest();
        reader.value()?;
        let field = key.as_uint().and_then(|key| found.get_mut(usize::try_from(key).ok()?));
        if let Some(field) = field {
            *field = &value[..value.len() - reader.rest().len()];
        }
    }
    Ok(found)
}

/// Applies `read` to a field that may be missing.
pub(super) fn optional<'a, T>(
    token: Token<'a>,
    read: impl FnOnce(Token<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match token {
        Token::Nil => Ok(None),
        token => read(token).map(Some),
    }
}

/// The first token. No field accepts that of a container.
pub(super) fn scalar(data: &[u8]) -> Result<Token<'_>, Malformed> {
    ValueReader::new(data).token()
}

pub(super) fn uint(token: Token) -> Result<u64, Malformed> {
    token.as_uint().ok_or(Malformed::Control)
}

pub(super) fn time_of(token: Token) -> Result<LogicalTime, Malformed> {
    uint(token).map(LogicalTime::from_bits)
}

pub(super) fn features_of(token: Token) -> Result<Features, Malformed> {
    Ok(optional(token, narrow)?.map_or(Features::NONE, Features))
}

pub(super) fn narrow(token: Token) -> Result<u32, Malformed> {
    u32::try_from(uint(token)?).map_err(|_| Malformed::Control)
}

pub(super) fn status_of(token: Token) -> Result<i32, Malformed> {
    match token {
        Token::Int(value) => i32::try_from(value).map_err(|_| Malformed::Control),
        _ => Err(Malformed::Control),
    }
}

pub(super) fn str_of(token: Token<'_>) -> Result<&str, Malformed> {
    match token {
        Token::Str(text) => std::str::from_utf8(text).map_err(|_| Malformed::Utf8),
        _ => Err(Malformed::Control),
    }
}

pub(super) fn stamp_of(token: Token) -> Result<Stamp, Malformed> {
    match token {
        Token::Bin(bytes) => Stamp::from_bytes(bytes).ok_or(Malformed::Control),
        _ => Err(Malformed::Control),
    }
}

pub(super) fn instance_of(token: Token) -> Result<Instance, Malformed> {
    bytes_of(token).map(Instance)
}

pub(super) fn bytes_of(token: Token) -> Result<[u8; 16], Malformed> {
    match token {
        Token::Bin(bytes) => bytes.try_into().map_err(|_| Malformed::Control),
        _ => Err(Malformed::Control),
    }
}
