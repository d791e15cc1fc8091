//! What an app and its hub say to each other: bodies whose names begin with [`RESERVED`], on v1 links only.

use super::features::{Features, HelloFlags};
use super::texts::Texts;
use super::token::{Token, ValueReader};
use super::value::{put_bin, put_int, put_map, put_str, put_uint};
use super::{encode, Body, Form, Hidden, Instance, Malformed, Meta, Secret, Stamp, RESERVED};
use crate::time::{LogicalTime, WallTime};

/// The sender of the hub's own messages.
pub const HUB_SENDER: &str = "$ns";

const HELLO: &str = "hello";
const WELCOME: &str = "welcome";
const REFUSE: &str = "refuse";
const PING: &str = "ping";
const PONG: &str = "pong";
const ACCEPT: &str = "accept";
const REJECTED: &str = "rejected";
const STALE: &str = "stale";
const SYNCED: &str = "synced";
const SUBSCRIBE: &str = "subscribe";
const UNSUBSCRIBE: &str = "unsubscribe";

/// A message between an app and its hub. Each is a v1 body with an empty meta. Its data is one integer, or a map with
/// small integers as keys, of which unknown ones are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control<'a> {
    /// `$ns/hello`, an app's first message; the body's sender is its identity.
    Hello {
        /// Key 0: the app.
        instance: Instance,
        /// Key 1: counts the app's connections.
        epoch: u64,
        /// Key 2: the kinds it takes, as [`super::Kind::mask`]s.
        accept: u32,
        /// Key 3: what it asks for.
        flags: HelloFlags,
        /// Key 4, optional: its logical time.
        time: Option<LogicalTime>,
        /// Key 5, optional: what proves that a connection with the same instance is the same app.
        secret: Option<Secret>,
        /// Key 6, optional: its access token.
        token: Option<Hidden<&'a str>>,
        /// Key 7, absent if none: what it can do.
        features: Features,
    },
    /// `$ns/welcome`, the hub's answer.
    Welcome {
        /// Key 0: the hub.
        instance: Instance,
        /// Key 1: the largest body it takes, in bytes.
        max_message: u64,
        /// Key 2: its wall clock, in milliseconds.
        wall: WallTime,
        /// Key 3, optional: its logical time.
        time: Option<LogicalTime>,
        /// Key 4, absent if none: what it can do.
        features: Features,
    },
    /// `$ns/refuse`: the hub does not take the app, and closes the link.
    Refuse {
        /// Key 0: a number of [`crate::Status`].
        status: i32,
        /// Key 1: why, in words.
        text: &'a str,
    },
    /// `$ns/ping`: is answered after everything that came before it.
    Ping {
        /// The answer repeats it.
        token: u64,
    },
    /// `$ns/pong`: the answer. The token alone, or a map.
    Pong {
        /// Key 0: that of the ping.
        token: u64,
        /// Key 1, from a hub: its logical time.
        time: Option<LogicalTime>,
    },
    /// `$ns/accept`: the app takes other kinds from now on.
    Accept {
        /// As in the hello.
        mask: u32,
    },
    /// `$ns/rejected`: the hub did not take one state.
    Rejected {
        /// Key 0: a number of [`crate::Status`].
        status: i32,
        /// Key 1: the state's name.
        name: &'a str,
    },
    /// `$ns/stale`: the hub did not take one state because of its stamp.
    Stale {
        /// Key 0: the state's name.
        name: &'a str,
        /// Key 1: the stamp that it came with.
        offered: Stamp,
        /// Key 2: the later stamp of the value that the hub holds. If it is absent, the offered stamp is too far in the
        /// future.
        held: Option<Stamp>,
        /// Key 3: the hub's logical time.
        time: LogicalTime,
    },
    /// `$ns/synced`: the hub has sent everything that it held and that the app asked for, by its hello and by as many
    /// [`Control::Accept`]s of this link.
    Synced {
        /// So many.
        asks: u64,
    },
    /// `$ns/subscribe`: the app is sent only the states whose names match one of its patterns. It has these from now on,
    /// too, and the hub sends what it holds of them.
    Subscribe {
        /// None: only the list begins, which is empty.
        patterns: Texts<'a>,
    },
    /// `$ns/unsubscribe`: the app has this pattern no longer.
    Unsubscribe {
        /// As in [`Control::Subscribe`].
        pattern: &'a str,
    },
    /// Any other name under [`RESERVED`]. It is ignored, so that later versions can add names.
    Unknown,
}

impl<'a> Control<'a> {
    /// Appends the body. `sender` is the app's identity, or [`HUB_SENDER`]. Nothing is appended for
    /// [`Control::Unknown`].
    pub fn encode(&self, sender: &str, out: &mut Vec<u8>) {
        let mut data = Vec::with_capacity(64);
        let name = match *self {
            Control::Hello { instance, epoch, accept, flags, time, secret, token, features } => {
                let optional = [time.is_some(), secret.is_some(), token.is_some(), features != Features::NONE];
                put_map(&mut data, 4 + optional.map(u32::from).iter().sum::<u32>());
                put_uint(&mut data, 0);
                put_bin(&mut data, &instance.0);
                put_uint(&mut data, 1);
                put_uint(&mut data, epoch);
                put_uint(&mut data, 2);
                put_uint(&mut data, u64::from(accept));
                put_uint(&mut data, 3);
                put_uint(&mut data, u64::from(flags.0));
                put_time(&mut data, 4, time);
                if let Some(secret) = secret {
                    put_uint(&mut data, 5);
                    put_bin(&mut data, &secret.0);
                }
                if let Some(Hidden(token)) = token {
                    put_uint(&mut data, 6);
                    put_str(&mut data, token);
                }
                put_features(&mut data, 7, features);
                HELLO
            }
            Control::Welcome { instance, max_message, wall, time, features } => {
                put_map(&mut data, 3 + u32::from(time.is_some()) + u32::from(features != Features::NONE));
                put_uint(&mut data, 0);
                put_bin(&mut data, &instance.0);
                put_uint(&mut data, 1);
                put_uint(&mut data, max_message);
                put_uint(&mut data, 2);
                put_uint(&mut data, wall.as_millis());
                put_time(&mut data, 3, time);
                put_features(&mut data, 4, features);
                WELCOME
            }
            Control::Refuse { status, text } => {
                put_verdict(&mut data, status, text);
                REFUSE
            }
            Control::Ping { token } => {
                put_uint(&mut data, token);
                PING
            }
            Control::Pong { token, time } => {
                if time.is_some() {
                    put_map(&mut data, 2);
                    put_uint(&mut data, 0);
                }
                put_uint(&mut data, token);
                put_time(&mut data, 1, time);
                PONG
            }
            Control::Accept { mask } => {
                put_uint(&mut data, u64::from(mask));
                ACCEPT
            }
            Control::Rejected { status, name } => {
                put_verdict(&mut data, status, name);
                REJECTED
            }
            Control::Stale { name, offered, held, time } => {
                put_map(&mut data, 3 + u32::from(held.is_some()));
                put_uint(&mut data, 0);
                put_str(&mut data, name);
                put_uint(&mut data, 1);
                put_bin(&mut data, &offered.to_bytes());
                if let Some(held) = held {
                    put_uint(&mut data, 2);
                    put_bin(&mut data, &held.to_bytes());
                }
                put_time(&mut data, 3, Some(time));
                STALE
            }
            Control::Synced { asks } => {
                put_uint(&mut data, asks);
                SYNCED
            }
            Control::Subscribe { patterns } => {
                data.extend_from_slice(patterns.encoded());
                SUBSCRIBE
            }
            Control::Unsubscribe { pattern } => {
                put_str(&mut data, pattern);
                UNSUBSCRIBE
            }
            Control::Unknown => return,
        };
        encode(out, Form::V1, sender, &[RESERVED, name].concat(), &data, &Meta::default());
    }

    /// Reads a body whose name begins with [`RESERVED`].
    ///
    /// # Errors
    /// [`Malformed::Control`] if the name is known and the data does not have its form.
    pub fn decode(body: &Body<'a>) -> Result<Control<'a>, Malformed> {
        let name = body.name.strip_prefix(RESERVED).unwrap_or_default();
        Ok(match name {
            HELLO => {
                let [instance, epoch, accept, flags, time, secret, token, features] = fields(body.data, 4)?;
                Control::Hello {
                    instance: instance_of(instance)?,
                    epoch: uint(epoch)?,
                    accept: narrow(accept)?,
                    flags: HelloFlags(narrow(flags)?),
                    time: optional(time, time_of)?,
                    secret: optional(secret, bytes_of)?.map(Secret),
                    token: optional(token, str_of)?.map(Hidden),
                    features: features_of(features)?,
                }
            }
            WELCOME => {
                let [instance, max_message, wall, time, features] = fields(body.data, 3)?;
                Control::Welcome {
                    instance: instance_of(instance)?,
                    max_message: uint(max_message)?,
                    wall: WallTime::from_millis(uint(wall)?),
                    time: optional(time, time_of)?,
                    features: features_of(features)?,
                }
            }
            REFUSE => {
                let [status, text] = fields(body.data, 2)?;
                Control::Refuse { status: status_of(status)?, text: str_of(text)? }
            }
            PING => Control::Ping { token: uint(scalar(body.data)?)? },
            PONG => match scalar(body.data)? {
                Token::Map(_) => {
                    let [token, time] = fields(body.data, 1)?;
                    Control::Pong { token: uint(token)?, time: optional(time, time_of)? }
                }
                token => Control::Pong { token: uint(token)?, time: None },
            },
            ACCEPT => Control::Accept { mask: narrow(scalar(body.data)?)? },
            REJECTED => {
                let [status, name] = fields(body.data, 2)?;
                Control::Rejected { status: status_of(status)?, name: str_of(name)? }
            }
            STALE => {
                let [name, offered, held, time] = fields(body.data, 2)?;
                Control::Stale {
                    name: str_of(name)?,
                    offered: stamp_of(offered)?,
                    held: optional(held, stamp_of)?,
                    time: time_of(time)?,
                }
            }
            SYNCED => Control::Synced { asks: uint(scalar(body.data)?)? },
            SUBSCRIBE => Control::Subscribe { patterns: Texts::decode(body.data)? },
            UNSUBSCRIBE => Control::Unsubscribe { pattern: str_of(scalar(body.data)?)? },
            _ => Control::Unknown,
        })
    }
}

fn put_time(data: &mut Vec<u8>, key: u64, time: Option<LogicalTime>) {
    if let Some(time) = time {
        put_uint(data, key);
        put_uint(data, time.to_bits());
    }
}

fn put_features(data: &mut Vec<u8>, key: u64, features: Features) {
    if features != Features::NONE {
        put_uint(data, key);
        put_uint(data, features.0.into());
    }
}

fn put_verdict(data: &mut Vec<u8>, status: i32, text: &str) {
    put_map(data, 2);
    put_uint(data, 0);
    put_int(data, i64::from(status));
    put_uint(data, 1);
    put_str(data, text);
}

/// The values of the keys 0 to `N` - 1 of a map; if a key occurs twice, the last. The first `required` keys have to be
/// there; any other that is missing is nil.
fn fields<const N: usize>(data: &[u8], required: usize) -> Result<[Token<'_>; N], Malformed> {
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

/// Applies `read` to a field that may be missing.
fn optional<'a, T>(
    token: Token<'a>,
    read: impl FnOnce(Token<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match token {
        Token::Nil => Ok(None),
        token => read(token).map(Some),
    }
}

/// The first token. No field accepts that of a container.
fn scalar(data: &[u8]) -> Result<Token<'_>, Malformed> {
    ValueReader::new(data).token()
}

fn uint(token: Token) -> Result<u64, Malformed> {
    token.as_uint().ok_or(Malformed::Control)
}

fn time_of(token: Token) -> Result<LogicalTime, Malformed> {
    uint(token).map(LogicalTime::from_bits)
}

fn features_of(token: Token) -> Result<Features, Malformed> {
    Ok(optional(token, narrow)?.map_or(Features::NONE, Features))
}

fn narrow(token: Token) -> Result<u32, Malformed> {
    u32::try_from(uint(token)?).map_err(|_| Malformed::Control)
}

fn status_of(token: Token) -> Result<i32, Malformed> {
    match token {
        Token::Int(value) => i32::try_from(value).map_err(|_| Malformed::Control),
        _ => Err(Malformed::Control),
    }
}

fn str_of(token: Token<'_>) -> Result<&str, Malformed> {
    match token {
        Token::Str(text) => std::str::from_utf8(text).map_err(|_| Malformed::Utf8),
        _ => Err(Malformed::Control),
    }
}

fn stamp_of(token: Token) -> Result<Stamp, Malformed> {
    match token {
        Token::Bin(bytes) => Stamp::from_bytes(bytes).ok_or(Malformed::Control),
        _ => Err(Malformed::Control),
    }
}

fn instance_of(token: Token) -> Result<Instance, Malformed> {
    bytes_of(token).map(Instance)
}

fn bytes_of(token: Token) -> Result<[u8; 16], Malformed> {
    match token {
        Token::Bin(bytes) => bytes.try_into().map_err(|_| Malformed::Control),
        _ => Err(Malformed::Control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode;

    /// What the data under this name is read as.
    fn read(name: &str, data: &[u8]) -> Result<Control<'static>, Malformed> {
        let mut raw = Vec::new();
        encode(&mut raw, Form::V1, "a", &format!("{RESERVED}{name}"), data, &Meta::default());
        Control::decode(&decode(raw.leak(), Form::V1).expect("a body"))
    }

    #[test]
    fn keys_of_later_versions_are_ignored() {
        // {"k": [1], 9: nil, 1: "no", -1: 1, 0: -19}
        let data = b"\x85\xA1k\x91\x01\x09\xC0\x01\xA2no\xFF\x01\x00\xED";
        assert_eq!(read("refuse", data), Ok(Control::Refuse { status: -19, text: "no" }));
    }

    #[test]
    fn a_pong_is_its_token_or_a_map_with_the_time_of_the_hub() {
        assert_eq!(read("pong", b"\x07"), Ok(Control::Pong { token: 7, time: None }));
        assert_eq!(read("pong", b"\x81\x00\x07"), Ok(Control::Pong { token: 7, time: None }));
        assert_eq!(
            read("pong", b"\x82\x00\x07\x01\x09"),
            Ok(Control::Pong { token: 7, time: Some(LogicalTime::from_bits(9)) })
        );
        let mut raw = Vec::new();
        Control::Pong { token: 7, time: None }.encode(HUB_SENDER, &mut raw);
        assert_eq!(decode(&raw, Form::V1).expect("a body").data, b"\x07");
    }

    #[test]
    fn names_of_later_versions_are_ignored() {
        for name in ["announce", "", "ping/2", "hello "] {
            assert_eq!(read(name, &[0xC0]), Ok(Control::Unknown));
        }
    }

    #[test]
    fn flags_of_later_versions_are_kept() {
        let mut raw = Vec::new();
        let flags = HelloFlags::ECHO | HelloFlags::SHARED | HelloFlags(1 << 31);
        Control::Hello {
            instance: Instance::default(),
            epoch: 1,
            accept: 2,
            flags,
            time: None,
            secret: None,
            token: None,
            features: Features::NONE,
        }
        .encode("a", &mut raw);
        let body = decode(&raw, Form::V1).expect("a body");
        let Ok(Control::Hello { flags, .. }) = Control::decode(&body) else { panic!("a hello") };
        assert!(flags.contains(HelloFlags::ECHO | HelloFlags::SHARED) && !flags.contains(HelloFlags::TAKE_OVER));
        assert_eq!(flags.0, 1 << 31 | 6);
    }

    #[test]
    fn data_of_another_form_is_refused() {
        let cases: [(&str, &[u8]); 18] = [
            ("ping", b"\xC0"),
            ("ping", b"\xFF"),
            ("pong", b"\xA11"),
            ("accept", b"\xCF\x00\x00\x00\x01\x00\x00\x00\x00"),
            ("refuse", b"\xC0"),
            ("refuse", b"\x80"),
            ("refuse", b"\x81\x00\x01"),
            ("refuse", b"\x82\x00\x01\x01\xC4\x01a"),
            ("refuse", b"\x82\x00\xCE\xFF\xFF\xFF\xFF\x01\xA0"),
            ("rejected", b"\x82\x00\x90\x01\xA1n"),
            ("welcome", b"\x83\x00\xC4\x01\x00\x01\x01\x02\x01"),
            ("hello", b"\x84\x00\xC0\x01\x01\x02\x01\x03\x01"),
            ("pong", b"\x80"),
            ("pong", b"\x82\x00\x01\x01\xA11"),
            ("pong", b"\x81\x01\x01"),
            ("stale", b"\x81\x00\xA1n"),
            ("stale", b"\x83\x00\xA1n\x01\xC4\x01\x00\x03\x01"),
            ("stale", b"\xA1n"),
        ];
        for (name, data) in cases {
            assert_eq!(read(name, data), Err(Malformed::Control), "{name} {data:02x?}");
        }
    }

    #[test]
    fn a_hello_may_have_a_secret_of_16_bytes() {
        let hello = |end: &[u8]| {
            let head = [0x84 + u8::from(!end.is_empty()), 0x00, 0xC4, 16];
            read("hello", &[&head, &[7; 16][..], b"\x01\x01\x02\x01\x03\x01", end].concat())
        };
        let of = |hello| match hello {
            Ok(Control::Hello { secret, .. }) => Ok(secret),
            Ok(other) => panic!("{other:?}"),
            Err(reason) => Err(reason),
        };
        assert_eq!(of(hello(b"")), Ok(None));
        assert_eq!(of(hello(&[b"\x05\xC4\x10", &[9; 16][..]].concat())), Ok(Some(Secret([9; 16]))));
        for end in [&b"\x05\x01"[..], b"\x05\xC4\x01a", &[b"\x05\xB0", &[b'x'; 16][..]].concat()] {
            assert_eq!(of(hello(end)), Err(Malformed::Control), "{end:02x?}");
        }
    }

    #[test]
    fn a_hello_may_have_a_token_which_is_a_text() {
        let hello = |end: &[u8]| {
            let head = [0x84 + u8::from(!end.is_empty()), 0x00, 0xC4, 16];
            match read("hello", &[&head, &[7; 16][..], b"\x01\x01\x02\x01\x03\x01", end].concat()) {
                Ok(Control::Hello { token, .. }) => Ok(token),
                Ok(other) => panic!("{other:?}"),
                Err(reason) => Err(reason),
            }
        };
        assert_eq!(hello(b""), Ok(None));
        assert_eq!(hello(b"\x06\xA3abc"), Ok(Some(Hidden("abc"))));
        assert_eq!(hello(b"\x06\xC4\x03abc"), Err(Malformed::Control));
    }

    #[test]
    fn what_is_unknown_is_not_sent() {
        let mut out = Vec::new();
        Control::Unknown.encode(HUB_SENDER, &mut out);
        assert!(out.is_empty());
    }
}
