//! The other scalability protocols: what programs that speak them and a router say to each other.
//!
//! Each such program is a peer of its own: its frames are the messages of its protocol, in which a request has a *trace*
//! in front that its answer has to have, too.

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

/// An address at which another protocol than BUS is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Which one.
    pub role: Role,
    /// Whether its other side gets structured and scalar states.
    pub structured: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

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
