//! The scalability protocols, by the names of nanocat's and nngcat's options.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Pair,
    Pair1,
    Bus,
    Pub,
    Sub,
    Push,
    Pull,
    Req,
    Rep,
    Surveyor,
    Respondent,
}

use Protocol::*;

/// What begins the name of a link to this program that selects the protocol: `nn_sub`, as nanomsg has them.
const LINK: &str = "nn_";

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 11] = [Pair, Pair1, Bus, Pub, Sub, Push, Pull, Req, Rep, Surveyor, Respondent];

    /// The name of its option.
    pub fn name(self) -> &'static str {
        match self {
            Pair => "pair",
            Pair1 => "pair1",
            Bus => "bus",
            Pub => "pub",
            Sub => "sub",
            Push => "push",
            Pull => "pull",
            Req => "req",
            Rep => "rep",
            Surveyor => "surveyor",
            Respondent => "respondent",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Pair => "PAIR, version 0: messages to and from one peer",
            Pair1 => "PAIR, version 1, which NNG alone has",
            Bus => "BUS: messages to and from all peers",
            Pub => "PUB: sends to all SUB peers",
            Sub => "SUB: receives from PUB peers",
            Push => "PUSH: sends each message to one PULL peer",
            Pull => "PULL: receives from PUSH peers",
            Req => "REQ: sends requests, receives an answer to each",
            Rep => "REP: receives requests, and answers them with the data if there is any",
            Surveyor => "SURVEYOR: asks all RESPONDENT peers, receives their answers",
            Respondent => "RESPONDENT: receives surveys, and answers them with the data if there is any",
        }
    }

    /// Its number in the SP header.
    pub fn number(self) -> u16 {
        match self {
            Pair => 0x10,
            Pair1 => 0x11,
            Pub => 0x20,
            Sub => 0x21,
            Req => 0x30,
            Rep => 0x31,
            Push => 0x50,
            Pull => 0x51,
            Surveyor => 0x62,
            Respondent => 0x63,
            Bus => 0x70,
        }
    }

    /// What the other side speaks.
    pub fn peer(self) -> Protocol {
        match self {
            Pair | Pair1 | Bus => self,
            Pub => Sub,
            Sub => Pub,
            Push => Pull,
            Pull => Push,
            Req => Rep,
            Rep => Req,
            Surveyor => Respondent,
            Respondent => Surveyor,
        }
    }

    /// Whether it can send.
    pub fn sends(self) -> bool {
        !matches!(self, Sub | Pull)
    }

    /// Whether it can receive.
    pub fn receives(self) -> bool {
        !matches!(self, Pub | Push)
    }

    /// Whether it speaks first, and has nothing to do without data.
    pub fn needs_data(self) -> bool {
        matches!(self, Pub | Push | Req | Surveyor)
    }

    /// Whether it only answers.
    pub fn answers(self) -> bool {
        matches!(self, Rep | Respondent)
    }

    /// Whether each message goes to all peers.
    pub fn to_all(self) -> bool {
        matches!(self, Pub | Bus | Surveyor)
    }

    /// The name of a link to this program that selects this protocol.
    pub fn link(self) -> String {
        format!("{LINK}{}", self.name())
    }

    /// The protocol that the name of a link to this program selects.
    pub fn of_link(name: &str) -> Option<Protocol> {
        let name = name.strip_prefix(LINK)?;
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// The protocol that the command line names.
#[derive(Clone, Copy, Debug)]
pub struct Chosen(pub Option<Protocol>);

impl clap::FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Chosen, clap::Error> {
        Ok(Chosen(Protocol::ALL.into_iter().find(|protocol| matches.get_flag(protocol.name()))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Chosen::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Chosen {
    fn augment_args(command: Command) -> Command {
        command.args(Protocol::ALL.map(|protocol| {
            let others = Protocol::ALL.into_iter().filter(move |other| *other != protocol);
            let arg = Arg::new(protocol.name())
                .long(protocol.name())
                .help(protocol.help())
                .help_heading("Protocol")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(others.map(Protocol::name));
            match protocol {
                Pair1 => arg,
                // As nngcat has them.
                _ => arg.alias(format!("{}0", protocol.name())),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Chosen::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_selects_the_protocol_of_its_name() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::of_link(&protocol.link()), Some(protocol));
        }
        assert_eq!(Protocol::Sub.link(), "nn_sub");
        for other in ["nanostate-cat", "nanostate cat", "nn_", "nn_cat", "sub"] {
            assert_eq!(Protocol::of_link(other), None);
        }
    }

    #[test]
    fn every_protocol_sends_or_receives_and_no_two_have_one_number() {
        let mut numbers: Vec<_> = Protocol::ALL.map(Protocol::number).into();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Protocol::ALL.len());
        assert!(Protocol::ALL.iter().all(|protocol| protocol.sends() || protocol.receives()));
        assert!(Protocol::ALL.iter().all(|protocol| protocol.sends() || !protocol.needs_data()));
    }
}
