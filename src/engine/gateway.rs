//! The other scalability protocols: what programs that speak them and a router say to each other.
//!
//! Over `tcp` and `ipc` each such program is a peer of its own: its frames are the messages of its protocol, in which a
//! request has a *trace* in front that its answer has to have, too. What else carries a gateway is one peer for all of
//! its programs, and its frames are a [`GatewayEvent`] each; from the router it gets a message for subscribers in a frame, or an
//! answer behind its [route](answer_head).

use crate::framing::{self, Sp};

/// The hub's part in a scalability protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Every state goes to the SUB sockets of the other side.
    Pub,
    /// PUSH sockets publish.
    Pull,
    /// REQ sockets ask, and publish.
    Rep,
    /// SURVEYOR sockets look for hubs.
    Respondent,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Pub, Role::Pull, Role::Rep, Role::Respondent];

    /// What stands before the `+` in its URL.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Pub => "pub",
            Role::Pull => "pull",
            Role::Rep => "rep",
            Role::Respondent => "respondent",
        }
    }

    /// The role whose URL has `scheme`, and the scheme behind its `+`.
    pub fn of_scheme(scheme: &str) -> Option<(Role, &str)> {
        let (name, scheme) = scheme.split_once('+')?;
        Role::ALL.into_iter().find(|role| role.name() == name).map(|role| (role, scheme))
    }

    /// What the hub speaks.
    pub const fn speaks(self) -> Sp {
        match self {
            Role::Pub => framing::PUB,
            Role::Pull => framing::PULL,
            Role::Rep => framing::REP,
            Role::Respondent => framing::RESPONDENT,
        }
    }

    /// What the other side has to speak.
    pub const fn hears(self) -> Sp {
        match self {
            Role::Pub => framing::SUB,
            Role::Pull => framing::PUSH,
            Role::Rep => framing::REQ,
            Role::Respondent => framing::SURVEYOR,
        }
    }

    /// Whether it is asked and answers.
    pub const fn answers(self) -> bool {
        matches!(self, Role::Rep | Role::Respondent)
    }
}

/// A socket that speaks another protocol than BUS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Which one.
    pub role: Role,
    /// Whether its other side gets structured and scalar states.
    pub structured: bool,
}

/// What a gateway tells the router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GatewayEvent<'a> {
    /// A message. What is answered goes back with the same `route`.
    Message {
        /// Where it came from; at most 255 bytes.
        route: &'a [u8],
        /// The message.
        message: &'a [u8],
    },
    /// A message of so many bytes came that is over the limit.
    TooLarge {
        /// Where it came from; at most 255 bytes.
        route: &'a [u8],
        /// How long it was.
        len: u64,
    },
    /// How things stand.
    Status(GatewayStatus),
    /// Something that the operator may want to know.
    Words(&'a str),
}

/// How things stand with a gateway's other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GatewayStatus {
    /// Connections.
    pub clients: u32,
    /// Messages that its queues had no room for, all of them since it was opened.
    pub dropped: u64,
    /// Send the newest values again: somebody has not got all of them.
    pub again: bool,
}

/// The first byte of a [`GatewayEvent::Message`].
const MESSAGE: u8 = 0;
/// The first byte of a [`GatewayEvent::Status`].
const STATUS: u8 = 1;
/// The first byte of [`GatewayEvent::Words`].
const WORDS: u8 = 2;
/// The first byte of a [`GatewayEvent::TooLarge`].
const TOO_LARGE: u8 = 3;

impl GatewayStatus {
    /// The length of [`GatewayStatus::encode`].
    pub const LEN: usize = 14;

    /// The frame that says so.
    pub fn encode(&self) -> [u8; GatewayStatus::LEN] {
        let mut frame = [STATUS; GatewayStatus::LEN];
        frame[1..5].copy_from_slice(&self.clients.to_be_bytes());
        frame[5..13].copy_from_slice(&self.dropped.to_be_bytes());
        frame[13] = self.again.into();
        frame
    }

    fn decode(bytes: &[u8]) -> Option<GatewayStatus> {
        let (clients, rest) = bytes.split_first_chunk()?;
        let (dropped, rest) = rest.split_first_chunk()?;
        let &[again] = rest else { return None };
        Some(GatewayStatus {
            clients: u32::from_be_bytes(*clients),
            dropped: u64::from_be_bytes(*dropped),
            again: again != 0,
        })
    }
}

/// The longest that [`message_head`] writes.
pub const MAX_MESSAGE_HEAD: usize = 2 + u8::MAX as usize;

/// Writes what stands before the message in the frame of a [`GatewayEvent::Message`]. False: the route is too long.
pub fn message_head(route: &[u8], out: &mut Vec<u8>) -> bool {
    out.push(MESSAGE);
    push_route(route, out)
}

/// Writes the frame of a [`GatewayEvent::TooLarge`]. False: the route is too long.
pub fn too_large(route: &[u8], len: u64, out: &mut Vec<u8>) -> bool {
    out.push(TOO_LARGE);
    let fits = push_route(route, out);
    out.extend_from_slice(&len.to_be_bytes());
    fits
}

/// Writes the frame of [`GatewayEvent::Words`].
pub fn words(text: &str, out: &mut Vec<u8>) {
    out.push(WORDS);
    out.extend_from_slice(text.as_bytes());
}

fn push_route(route: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(len) = u8::try_from(route.len()) else { return false };
    out.push(len);
    out.extend_from_slice(route);
    true
}

fn split_route(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(len.into())
}

impl<'a> GatewayEvent<'a> {
    /// Reads a frame; none if it is not one of a gateway.
    pub fn decode(frame: &'a [u8]) -> Option<GatewayEvent<'a>> {
        match frame.split_first()? {
            (&MESSAGE, rest) => split_route(rest).map(|(route, message)| GatewayEvent::Message { route, message }),
            (&STATUS, rest) => GatewayStatus::decode(rest).map(GatewayEvent::Status),
            (&WORDS, rest) => std::str::from_utf8(rest).ok().map(GatewayEvent::Words),
            (&TOO_LARGE, rest) => {
                let (route, len) = split_route(rest)?;
                Some(GatewayEvent::TooLarge { route, len: u64::from_be_bytes(len.try_into().ok()?) })
            }
            _ => None,
        }
    }
}

/// The bytes of one step of a trace, and the most steps: the requester and the devices between it and the hub.
const STEP: usize = 4;
const MAX_STEPS: usize = 9;
/// The longest trace.
pub const MAX_TRACE: usize = STEP * MAX_STEPS;

/// Splits a request into its trace, of 4 bytes for each step up to the one whose first bit is set, and what is asked.
/// None: there is no such step, or it comes too late.
pub fn split_trace(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let last = message.chunks_exact(STEP).take(MAX_STEPS).position(|step| step[0] & 0x80 != 0)?;
    message.split_at_checked(STEP * (last + 1))
}

/// How much longer a state is for SUB sockets than its body: the name and a NUL stand before it, for their filters.
pub const fn prefix_len(name: &str) -> usize {
    name.len() + 1
}

/// Begins the frame of an answer to a message that came by `route`; the answer follows.
pub fn answer_head(route: &[u8], out: &mut Vec<u8>) {
    let fits = push_route(route, out);
    debug_assert!(fits, "a route that came in a note has its length in one byte");
}

/// The route and the answer of such a frame; none if it is not one.
pub fn split_answer(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    split_route(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for status in [
            GatewayStatus::default(),
            GatewayStatus { clients: 7, dropped: u64::MAX, again: true },
            GatewayStatus { clients: u32::MAX, dropped: 1, again: false },
        ] {
            assert_eq!(GatewayEvent::decode(&status.encode()), Some(GatewayEvent::Status(status)));
        }
        for route in [&b""[..], b"route", &[9; 255]] {
            let mut frame = Vec::new();
            assert!(message_head(route, &mut frame) && frame.len() <= MAX_MESSAGE_HEAD);
            frame.extend_from_slice(b"the message");
            assert_eq!(GatewayEvent::decode(&frame), Some(GatewayEvent::Message { route, message: b"the message" }));
            let mut frame = Vec::new();
            answer_head(route, &mut frame);
            frame.extend_from_slice(b"answer");
            assert_eq!(split_answer(&frame), Some((route, &b"answer"[..])));
        }
        assert!(!message_head(&[0; 256], &mut Vec::new()));
        let (mut frame, mut said) = (Vec::new(), Vec::new());
        assert!(too_large(b"route", 1 << 40, &mut frame));
        assert_eq!(GatewayEvent::decode(&frame), Some(GatewayEvent::TooLarge { route: b"route", len: 1 << 40 }));
        words("käse", &mut said);
        assert_eq!(GatewayEvent::decode(&said), Some(GatewayEvent::Words("käse")));
    }

    #[test]
    fn what_is_no_note_is_none() {
        for frame in [
            &b""[..],
            &[MESSAGE],
            &[MESSAGE, 1],
            &[STATUS],
            &[STATUS; 13],
            &[STATUS; 15],
            &[WORDS, 0xff],
            &[TOO_LARGE, 0, 7],
            &[4, 0, 0],
        ] {
            assert_eq!(GatewayEvent::decode(frame), None, "{frame:?}");
        }
        assert_eq!(split_answer(&[]), None);
        assert_eq!(split_answer(&[2, 0]), None);
    }

    #[test]
    fn a_request_begins_with_the_steps_it_took() {
        assert_eq!(split_trace(b"\x80\0\0\x01asked"), Some((&b"\x80\0\0\x01"[..], &b"asked"[..])));
        let far = [&[0, 0, 0, 7].repeat(8)[..], b"\xff\0\0\x02", b"!"].concat();
        assert_eq!(split_trace(&far), Some(far.split_at(MAX_TRACE)));
        let too_far = [&[0, 0, 0, 7].repeat(9)[..], b"\x80\0\0\x02", b"!"].concat();
        for message in [&b""[..], b"\x80\0\0", b"\0\0\0\x01asked, and no end", &too_far] {
            assert_eq!(split_trace(message), None, "{message:?}");
        }
    }

    #[test]
    fn the_scheme_of_a_gateway_names_its_role() {
        assert_eq!(Role::of_scheme("respondent+tcp"), Some((Role::Respondent, "tcp")));
        assert_eq!(Role::of_scheme("pub+tls+tcp"), Some((Role::Pub, "tls+tcp")));
        for other in ["tcp", "tls+tcp", "sub+tcp", "PUB+tcp", ""] {
            assert_eq!(Role::of_scheme(other), None, "{other}");
        }
    }
}
