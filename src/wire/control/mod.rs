//! What an app and its hub say to each other: bodies whose names begin with [`RESERVED`], on v1 links only.

mod fields;

use self::fields::{
    bytes_of, containers, features_of, fields, instance_of, narrow, optional, put_features, put_optional, put_time,
    put_verdict, scalar, stamp_of, status_of, str_of, time_of, uint,
};
use super::features::{Features, HelloFlags};
use super::stats::StatsPart;
use super::texts::Texts;
use super::token::{Token, ValueReader};
use super::value::{put_array, put_bin, put_int, put_map, put_nil, put_str, put_uint};
use super::{encode, Body, Form, Hidden, Instance, Malformed, Meta, PeerState, Presence, Secret, Stamp, RESERVED};
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
const FORGET: &str = "forget";
const FORGOTTEN: &str = "forgotten";
const WATCH: &str = "watch";
const PRESENCE: &str = "presence";
const BYE: &str = "bye";
const WILL: &str = "will";
const WILL_REJECTED: &str = "will-rejected";
const STATS: &str = "stats";
const COUNTED: &str = "counted";

/// What [`Presence`] has at key 0, beside the numbers of [`PeerState`].
mod presence {
    pub const BEGINS: u64 = 0;
    pub const COMPLETE: u64 = 5;
    pub const COMPLETE_YOUNG: u64 = 6;
}

/// What an app says of its wills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WillMessage<'a> {
    /// The body that is to be published, bin: as the app would send it, without a stamp. It takes the place of the one that the
    /// app left for the same name.
    Leaves(&'a [u8]),
    /// There is none for this name any more, str.
    Withdraws(&'a str),
    /// The app has told all that it has on this link, nil: those of its earlier links are no more.
    Complete,
}

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
    /// `$ns/forget`: the app withdraws the value of another sender, which has departed.
    Forget {
        /// Key 0: the answer repeats it.
        token: u64,
        /// Key 1: the sender.
        sender: &'a str,
        /// Key 2: the name.
        name: &'a str,
    },
    /// `$ns/forgotten`: the answer.
    Forgotten {
        /// Key 0: that of the question.
        token: u64,
        /// Key 1: a number of [`crate::Status`]; 0: the value is withdrawn.
        status: i32,
        /// Key 2: why it is not, in words.
        text: &'a str,
    },
    /// `$ns/watch`: the app is told from now on which others are there.
    Watch,
    /// `$ns/presence`: which apps are there. Key 0: the number of its [`PeerState`], or 0: a list begins, 5: it is complete,
    /// 6: complete for a young hub. Keys 1 and 2, for an app: its identity and its instance.
    Presence(Presence<'a>),
    /// `$ns/bye`: the app ends the link for good.
    Bye,
    /// `$ns/will`: what the hub publishes for the app if it is lost.
    Will(WillMessage<'a>),
    /// `$ns/will-rejected`: the hub did not take one will.
    WillRejected {
        /// Key 0: a number of [`crate::Status`].
        status: i32,
        /// Key 1: the will's name.
        name: &'a str,
        /// Key 2: which it was of those that the app has left on this link, from 1 on.
        nth: u64,
    },
    /// `$ns/stats`: the app asks what the hub counts.
    Stats {
        /// Key 0: the answer repeats it.
        token: u64,
        /// Key 1, optional: from which place among the peers on, as an answer has said.
        from: u64,
        /// Key 2, optional: how many bytes the totals and peers of the answer may have.
        most: Option<u64>,
    },
    /// `$ns/counted`: the answer. Keys 2 and 3: the totals, a map that is absent from all but the first part, and peers, an
    /// array of maps.
    Counted {
        /// Key 0: that of the question.
        token: u64,
        /// Key 1, absent if there are no more: from which place on there are peers.
        next: Option<u64>,
        /// The rest.
        part: StatsPart<'a>,
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
            Control::Forget { token, sender, name } => {
                put_map(&mut data, 3);
                put_uint(&mut data, 0);
                put_uint(&mut data, token);
                put_uint(&mut data, 1);
                put_str(&mut data, sender);
                put_uint(&mut data, 2);
                put_str(&mut data, name);
                FORGET
            }
            Control::Forgotten { token, status, text } => {
                put_map(&mut data, 3);
                put_uint(&mut data, 0);
                put_uint(&mut data, token);
                put_uint(&mut data, 1);
                put_int(&mut data, i64::from(status));
                put_uint(&mut data, 2);
                put_str(&mut data, text);
                FORGOTTEN
            }
            Control::Watch | Control::Bye => {
                put_nil(&mut data);
                if *self == Control::Bye {
                    BYE
                } else {
                    WATCH
                }
            }
            Control::Presence(said) => {
                put_presence(&mut data, said);
                PRESENCE
            }
            Control::Will(will) => {
                match will {
                    WillMessage::Leaves(body) => put_bin(&mut data, body),
                    WillMessage::Withdraws(name) => put_str(&mut data, name),
                    WillMessage::Complete => put_nil(&mut data),
                }
                WILL
            }
            Control::WillRejected { status, name, nth } => {
                put_map(&mut data, 3);
                put_uint(&mut data, 0);
                put_int(&mut data, i64::from(status));
                put_uint(&mut data, 1);
                put_str(&mut data, name);
                put_uint(&mut data, 2);
                put_uint(&mut data, nth);
                WILL_REJECTED
            }
            Control::Stats { token, from, most } => {
                put_map(&mut data, 1 + u32::from(from > 0) + u32::from(most.is_some()));
                put_uint(&mut data, 0);
                put_uint(&mut data, token);
                put_optional(&mut data, 1, Some(from).filter(|&from| from > 0));
                put_optional(&mut data, 2, most);
                STATS
            }
            Control::Counted { token, next, part } => {
                let has_totals = !part.totals.is_empty();
                data.reserve(part.totals.len() + part.peers.len());
                put_map(&mut data, 2 + u32::from(next.is_some()) + u32::from(has_totals));
                put_uint(&mut data, 0);
                put_uint(&mut data, token);
                put_optional(&mut data, 1, next);
                if has_totals {
                    put_uint(&mut data, 2);
                    data.extend_from_slice(part.totals);
                }
                put_uint(&mut data, 3);
                put_array(&mut data, part.count);
                data.extend_from_slice(part.peers);
                COUNTED
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
        let name = body.name().strip_prefix(RESERVED).unwrap_or_default();
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
            FORGET => {
                let [token, sender, name] = fields(body.data, 3)?;
                Control::Forget { token: uint(token)?, sender: str_of(sender)?, name: str_of(name)? }
            }
            FORGOTTEN => {
                let [token, status, text] = fields(body.data, 3)?;
                Control::Forgotten { token: uint(token)?, status: status_of(status)?, text: str_of(text)? }
            }
            WATCH => Control::Watch,
            BYE => Control::Bye,
            PRESENCE => presence_of(body.data)?.map_or(Control::Unknown, Control::Presence),
            WILL => Control::Will(match scalar(body.data)? {
                Token::Bin(body) => WillMessage::Leaves(body),
                Token::Nil => WillMessage::Complete,
                name => WillMessage::Withdraws(str_of(name)?),
            }),
            WILL_REJECTED => {
                let [status, name, nth] = fields(body.data, 3)?;
                Control::WillRejected { status: status_of(status)?, name: str_of(name)?, nth: uint(nth)? }
            }
            STATS => {
                let [token, from, most] = fields(body.data, 1)?;
                let from = optional(from, uint)?.unwrap_or(0);
                Control::Stats { token: uint(token)?, from, most: optional(most, uint)? }
            }
            COUNTED => {
                let [token, next, ..] = fields::<4>(body.data, 1)?;
                let part = part_of(containers(body.data)?)?;
                Control::Counted { token: uint(token)?, next: optional(next, uint)?, part }
            }
            _ => Control::Unknown,
        })
    }
}

/// Of keys 2 and 3.
fn part_of([_, _, totals, peers]: [&[u8]; 4]) -> Result<StatsPart<'_>, Malformed> {
    let mut reader = ValueReader::new(peers);
    match reader.token()? {
        Token::Array(count) => Ok(StatsPart { totals, peers: reader.rest(), count }),
        _ => Err(Malformed::Control),
    }
}

fn put_presence(data: &mut Vec<u8>, said: Presence<'_>) {
    let number = match said {
        Presence::Begins => presence::BEGINS,
        Presence::Complete { young: false } => presence::COMPLETE,
        Presence::Complete { young: true } => presence::COMPLETE_YOUNG,
        Presence::Peer { state, .. } => state as u64,
    };
    let peer = match said {
        Presence::Peer { identity, instance, .. } => Some((identity, instance)),
        _ => None,
    };
    put_map(data, if peer.is_some() { 3 } else { 1 });
    put_uint(data, 0);
    put_uint(data, number);
    if let Some((identity, instance)) = peer {
        put_uint(data, 1);
        put_str(data, identity);
        put_uint(data, 2);
        put_bin(data, &instance.0);
    }
}

/// `None`: it is something of a later version.
fn presence_of(data: &[u8]) -> Result<Option<Presence<'_>>, Malformed> {
    let [number, identity, instance] = fields(data, 1)?;
    Ok(Some(match uint(number)? {
        presence::BEGINS => Presence::Begins,
        presence::COMPLETE => Presence::Complete { young: false },
        presence::COMPLETE_YOUNG => Presence::Complete { young: true },
        number => {
            let state = i32::try_from(number).ok().and_then(PeerState::from_code);
            let Some(state) = state else { return Ok(None) };
            Presence::Peer { state, identity: str_of(identity)?, instance: instance_of(instance)? }
        }
    }))
}

#[cfg(test)]
mod tests;
