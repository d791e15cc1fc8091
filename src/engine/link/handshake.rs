//! What the two sides of a connection say to each other before the first frame.

use std::fmt;
use std::sync::Arc;

use super::super::gateway::Role;
use super::super::{Gateway, Web};
use crate::framing::http::client::{Answer, AnswerError, Request};
use crate::framing::http::server::{serve_unless, Granted, Refusal, Rights, Served, Site};
use crate::framing::http::{Speaks, PROTOCOL};
use crate::framing::{
    gateway_header, header, opening_len, parse_gateway_header, parse_header, HeaderError, Version, BUS, HEADER_LEN,
};
use crate::Status;

/// What this side is in a handshake: it decides which side speaks first, and what the other side has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// An app that dialled. It says at once that it speaks this version.
    Dialler(Version),
    /// A hub, where apps and old programs connect. It hears the other side first, and answers with the lower version.
    Listener,
    /// A hub, where programs of another scalability protocol connect. It hears the other side first.
    Gateway(Role),
}

impl Side {
    /// The side of a hub at an address of this gateway, if it is one.
    pub fn of_hub(gateway: Option<Gateway>) -> Side {
        gateway.map_or(Side::Listener, |gateway| Side::Gateway(gateway.role))
    }
}

/// How a connection goes on after the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreed {
    /// With frames of v1.
    V1,
    /// With frames of old programs.
    Old,
    /// With the same, on a WebSocket without a subprotocol.
    Plain,
    /// With the messages of another scalability protocol.
    Client(Role),
    /// Not at all: it was a request for a page, which was answered.
    Served,
    /// Not at all: a hub that is old answered an app that said v1. The app has to dial again and say that it is old.
    NotV1,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Agreed::V1 => Version::V1.fmt(f),
            Agreed::Old | Agreed::Plain | Agreed::NotV1 => Version::Old.fmt(f),
            Agreed::Client(role) => role.hears().fmt(f),
            Agreed::Served => f.write_str("a page"),
        }
    }
}

/// The end of a handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What both sides agreed on.
    pub agreed: Agreed,
    /// What the other side may do.
    pub rights: Rights,
    /// What the other side said, for the log.
    pub said: Vec<u8>,
}

/// Why a handshake led to nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Bytes that are no acceptable SP header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A request that is not granted.
    #[error(transparent)]
    Request(#[from] Refusal),
    /// No WebSocket was granted.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl HandshakeError {
    /// What the end of the connection is counted as.
    pub fn status(&self) -> Status {
        match self {
            HandshakeError::Answer(AnswerError::Status(401 | 403, _)) => Status::Permission,
            HandshakeError::Answer(AnswerError::Status(429 | 503, _)) => Status::Full,
            HandshakeError::Answer(AnswerError::Status(..)) => Status::Refused,
            HandshakeError::Request(Refusal::Full(_) | Refusal::TooOften(_)) => Status::Full,
            HandshakeError::Header(_) | HandshakeError::Request(_) | HandshakeError::Answer(_) => Status::Invalid,
        }
    }
}

/// A handshake that goes on. Its length and its answers are its own affair: bytes are handed in as they come.
#[derive(Debug)]
pub struct Handshake {
    stage: Stage,
    /// What the other side said so far.
    said: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Headers of the scalability protocols.
    Sp(Side),
    /// A request for a WebSocket is awaited. It may be settled that it is refused.
    Request(Arc<Site>, Option<Refusal>),
    /// The answer to one is awaited, which said that this side speaks this version.
    Answer(Version, Request),
}

impl Handshake {
    /// The beginning of a handshake; on a WebSocket, `web` is what its transport knows of it. What this side says first,
    /// if it speaks first, is put into `out`.
    pub fn begin(side: Side, web: Option<Web>, out: &mut Vec<u8>) -> Handshake {
        let stage = match (web, side) {
            (Some(Web::Site(site)), _) => Stage::Request(site, None),
            (Some(Web::Target { host, path, key, .. }), Side::Dialler(version)) => {
                let protocol = match version {
                    Version::V1 => PROTOCOL.to_owned(),
                    Version::Old => BUS.subprotocol(),
                };
                Stage::Answer(version, Request::write(&host, &path, &protocol, key, out))
            }
            _ => {
                if let Side::Dialler(version) = side {
                    out.extend_from_slice(&header(version));
                }
                Stage::Sp(side)
            }
        };
        Handshake { stage, said: Vec::new() }
    }

    /// Whether a request is awaited, of which nothing has come.
    pub fn awaits_request(&self) -> bool {
        matches!(self.stage, Stage::Request(..)) && self.said.is_empty()
    }

    /// The request that is awaited will be refused, as [`serve_unless`] does.
    pub fn refuse(&mut self, refusal: Refusal) {
        if let Stage::Request(_, refused) = &mut self.stage {
            *refused = Some(refusal);
        }
    }

    /// Takes what belongs to the handshake from `input`, which advances over it, and puts what this side answers into
    /// `out`. `None`: all of it was taken, and more is needed.
    ///
    /// # Errors
    /// What the other side said wrong. Only a request gets an answer then.
    pub fn take(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Opened>, HandshakeError> {
        let (agreed, rights) = match &self.stage {
            Stage::Sp(side) => {
                let Some(&first) = self.said.first().or(input.first()) else { return Ok(None) };
                let len = opening_len(first);
                let (piece, rest) = input.split_at(input.len().min(len - self.said.len()));
                self.said.extend_from_slice(piece);
                *input = rest;
                if self.said.len() < len {
                    return Ok(None);
                }
                let mut theirs = [0; HEADER_LEN];
                theirs[..len].copy_from_slice(&self.said);
                (agree(*side, &theirs, out)?, Rights::ReadWrite)
            }
            Stage::Request(site, refused) => {
                let seen = self.said.len();
                self.said.extend_from_slice(input);
                match serve_unless(refused.as_ref(), site, &self.said, seen, out) {
                    Ok(None) => {
                        *input = &[];
                        return Ok(None);
                    }
                    Ok(Some((len, served))) => {
                        *input = &input[len - seen..];
                        // The fields behind the first line may be nobody else's business.
                        let line = self.said.iter().position(|&byte| byte == b'\r');
                        self.said.truncate(line.unwrap_or(len));
                        match served {
                            Served::WebSocket(Granted { speaks, rights, .. }) => (carried(speaks), rights),
                            Served::Page => (Agreed::Served, Rights::Read),
                        }
                    }
                    Err(refusal) => {
                        refusal.write(out);
                        return Err(refusal.into());
                    }
                }
            }
            Stage::Answer(version, request) => {
                let seen = self.said.len();
                self.said.extend_from_slice(input);
                match (request.answer(&self.said, seen), version) {
                    (Ok(None), _) => {
                        *input = &[];
                        return Ok(None);
                    }
                    (Ok(Some((len, answer))), version) => {
                        *input = &input[len - seen..];
                        self.said.truncate(len);
                        let is_v1 = (answer, version) == (Answer::Protocol, &Version::V1);
                        (if is_v1 { Agreed::V1 } else { Agreed::Old }, Rights::ReadWrite)
                    }
                    // So NNG refuses a subprotocol that is not its own.
                    (Err(AnswerError::Status(400, _)), Version::V1) => {
                        *input = &[];
                        (Agreed::NotV1, Rights::ReadWrite)
                    }
                    (Err(error), _) => return Err(error.into()),
                }
            }
        };
        Ok(Some(Opened { agreed, rights, said: std::mem::take(&mut self.said) }))
    }
}

/// What follows from the header of the other side.
fn agree(side: Side, theirs: &[u8; HEADER_LEN], out: &mut Vec<u8>) -> Result<Agreed, HeaderError> {
    Ok(match side {
        Side::Dialler(said) => match (said, parse_header(theirs)?) {
            (Version::V1, Version::V1) => Agreed::V1,
            // NNG answers, and closes the connection only then, for what it found in this side's header.
            (Version::V1, Version::Old) => Agreed::NotV1,
            (Version::Old, _) => Agreed::Old,
        },
        Side::Listener => {
            let version = parse_header(theirs)?;
            out.extend_from_slice(&header(version));
            match version {
                Version::V1 => Agreed::V1,
                Version::Old => Agreed::Old,
            }
        }
        Side::Gateway(role) => {
            parse_gateway_header(theirs, role.hears())?;
            out.extend_from_slice(&gateway_header(role.speaks()));
            Agreed::Client(role)
        }
    })
}

/// What follows from what a WebSocket carries.
fn carried(speaks: Speaks) -> Agreed {
    match speaks {
        Speaks::V1 => Agreed::V1,
        Speaks::Plain => Agreed::Plain,
        Speaks::Sp(sp) => Role::ALL.into_iter().find(|role| role.speaks() == sp).map_or(Agreed::Old, Agreed::Client),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, Index};

    use super::*;

    fn sides() -> Vec<Side> {
        let others = [Side::Dialler(Version::V1), Side::Dialler(Version::Old), Side::Listener];
        others.into_iter().chain(Role::ALL.map(Side::Gateway)).collect()
    }

    fn headers() -> Vec<[u8; HEADER_LEN]> {
        let gateways = Role::ALL.into_iter().flat_map(|role| [role.speaks(), role.hears()]).map(gateway_header);
        [header(Version::V1), header(Version::Old)].into_iter().chain(gateways).collect()
    }

    /// How a handshake ends that gets `input` in these pieces, what it says, and how much it takes.
    fn outcome(side: Side, input: &[u8], ends: &[usize]) -> (Result<Option<Opened>, HandshakeError>, Vec<u8>, usize) {
        let mut out = Vec::new();
        let mut handshake = Handshake::begin(side, None, &mut out);
        let mut taken = 0;
        for &end in ends {
            let mut piece = &input[taken..end];
            let step = handshake.take(&mut piece, &mut out);
            taken = end - piece.len();
            if !matches!(step, Ok(None)) {
                return (step, out, taken);
            }
        }
        (Ok(None), out, taken)
    }

    #[test]
    fn who_listens_answers_with_the_lower_version_and_who_dialled_speaks_first() {
        let (v1, old) = (header(Version::V1), header(Version::Old));
        let (newer, rep, req) = ([0, b'S', b'P', 0, 0, 0x70, 0x4E, 9], Role::Rep.speaks(), Role::Rep.hears());
        for (side, theirs, ours, agreed) in [
            (Side::Listener, v1, v1, Agreed::V1),
            (Side::Listener, newer, v1, Agreed::V1),
            (Side::Listener, old, old, Agreed::Old),
            (Side::Gateway(Role::Rep), gateway_header(req), gateway_header(rep), Agreed::Client(Role::Rep)),
            (Side::Dialler(Version::V1), v1, v1, Agreed::V1),
            (Side::Dialler(Version::V1), old, v1, Agreed::NotV1),
            (Side::Dialler(Version::Old), old, old, Agreed::Old),
            (Side::Dialler(Version::Old), v1, old, Agreed::Old),
        ] {
            let (end, said, _) = outcome(side, &theirs, &[HEADER_LEN]);
            let opened = Opened { agreed, rights: Rights::ReadWrite, said: theirs.to_vec() };
            assert_eq!((end, said), (Ok(Some(opened)), ours.to_vec()), "{side:?}");
            let speaks_first = matches!(side, Side::Dialler(_));
            assert_eq!(outcome(side, &theirs, &[7]), (Ok(None), if speaks_first { ours.to_vec() } else { vec![] }, 7));
        }
    }

    #[test]
    fn who_says_something_else_gets_no_answer() {
        for side in [Side::Listener, Side::Gateway(Role::Pub)] {
            // An alert of TLS is shorter than a header.
            let alert = b"\x15\x03\x03\0\x02\x02\x32";
            for theirs in [&b"GET / HT"[..], &gateway_header(Role::Pull.hears()), alert] {
                let (end, said, _) = outcome(side, theirs, &[theirs.len()]);
                assert!(end.is_err() && said.is_empty(), "{side:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_pieces_in_which_a_handshake_comes_do_not_matter(
            side in select(sides()),
            theirs in prop_oneof![select(headers()), any::<[u8; HEADER_LEN]>()],
            behind in vec(any::<u8>(), 0..20),
            cuts in vec(any::<Index>(), 0..6),
        ) {
            let input = [&theirs[..], &behind].concat();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).chain([input.len()]).collect();
            ends.sort_unstable();
            let whole = outcome(side, &input, &[input.len()]);
            prop_assert_eq!(whole.2, opening_len(theirs[0]), "what is behind is left");
            prop_assert_eq!(outcome(side, &input, &ends), whole);
        }
    }
}
