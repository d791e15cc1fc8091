//! What a peer is, and which entries it is sent.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::gateway::{self, Gateway, Role};
use super::super::table::Entry;
use super::super::{ConnId, ConnInfo};
use super::access::{Grant, ReadOnly};
use super::config::RouterConfig;
use super::queries::Takes;
use super::subscriptions::Listed;
use crate::limits;
use crate::visible::one_line;
use crate::wire::{Features, Instance};

/// What a peer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerKind {
    /// An app, or what has not yet said that it is something else.
    App,
    /// A program of the original nanostate.
    Old,
    /// A page of the original, or whatever else has a WebSocket without a subprotocol: it reads all of MessagePack.
    Plain,
    /// A program that speaks another scalability protocol.
    Client(Gateway),
}

/// What decides which entries a peer is sent, and what may come from it.
pub struct Profile {
    pub conn: ConnId,
    /// Where it is.
    pub from: String,
    /// Its address, if it has one.
    pub host: Option<IpAddr>,
    pub kind: PeerKind,
    /// Empty for all but apps, as are the fields below.
    pub identity: Box<str>,
    pub instance: Instance,
    /// What both it and this hub can do.
    pub features: Features,
    /// The names that it is sent, if it has subscribed.
    pub listed: Option<Box<Listed>>,
    /// The kinds of values that it takes, a bit each.
    pub accept: u32,
    /// Whether its own states go back to it.
    pub echo: bool,
    /// Whether it holds its identity together with others.
    pub shares: bool,
    /// Whether it is no news that it comes and goes.
    pub is_observer: bool,
    /// Whether it may know values that were cleared since: it is no newcomer.
    pub returns: bool,
    /// Why it may only read, if it may only read.
    pub read_only: Option<ReadOnly>,
    /// The access token by which it was let in.
    pub grant: Option<Arc<Grant>>,
}

/// Whether a peer is sent an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is.
    Send,
    /// It came from there, or nobody listens.
    Skip,
    /// It is of a kind that the peer does not take, or too large for it.
    Withhold,
}

impl Profile {
    /// A peer of which nothing is known but its connection.
    pub fn new(conn: ConnId, info: &ConnInfo) -> Profile {
        let kind = match info.gateway {
            None => PeerKind::App,
            Some(gateway) => PeerKind::Client(gateway),
        };
        Profile {
            conn,
            from: info.from.clone(),
            host: info.host,
            kind,
            identity: "".into(),
            instance: Instance([0; 16]),
            features: Features::NONE,
            listed: None,
            accept: 0,
            echo: false,
            shares: false,
            is_observer: false,
            returns: false,
            read_only: None,
            grant: None,
        }
    }

    /// Its name in a log.
    pub fn name(&self) -> String {
        if self.identity.is_empty() {
            self.from.clone()
        } else {
            format!("{} ({})", one_line(&self.identity), self.from)
        }
    }

    /// Whether its bodies have three elements.
    #[inline]
    pub fn is_old(&self) -> bool {
        !matches!(self.kind, PeerKind::App)
    }

    /// The gateway behind which it is.
    pub fn gateway(&self) -> Option<Gateway> {
        match self.kind {
            PeerKind::App | PeerKind::Old | PeerKind::Plain => None,
            PeerKind::Client(gateway) => Some(gateway),
        }
    }

    /// Whether it sends requests, each of which is answered.
    pub fn is_answered(&self) -> bool {
        self.gateway().is_some_and(|gateway| gateway.role.answers())
    }

    /// Whether there is somebody to send states to.
    #[inline]
    pub fn listens(&self) -> bool {
        match self.kind {
            PeerKind::App | PeerKind::Old | PeerKind::Plain => true,
            PeerKind::Client(gateway) => gateway.role == Role::Pub,
        }
    }

    /// The largest frame that it may send.
    pub fn max_frame(&self, config: &RouterConfig) -> usize {
        let head = match self.kind {
            PeerKind::App | PeerKind::Old | PeerKind::Plain => 0,
            PeerKind::Client(_) => gateway::MAX_TRACE,
        };
        config.max_message + limits::META_ROOM + head
    }

    /// Whether it is sent this entry, if it is sent its name.
    #[inline]
    pub fn verdict(&self, config: &RouterConfig, entry: &Entry) -> Verdict {
        if !self.listens() {
            return Verdict::Skip;
        }
        let is_app = !self.is_old();
        // Any peer may claim this instance, which is no secret. It says where a value comes from only under this identity.
        let stamped_here =
            || is_app && entry.stamp().instance == self.instance && entry.is_from(self.identity.as_bytes());
        let own = entry.origin() == Some(self.conn) || stamped_here();
        if own && !config.echo && !self.echo {
            return Verdict::Skip;
        }
        let takes = if is_app {
            // An app has to know of the values of an earlier run under its identity, to make newer ones.
            (entry.accepted_by() & self.accept != 0 || entry.is_from(self.identity.as_bytes()))
                && self.understands(entry)
        } else {
            self.takes_as_old(config, entry) == Takes::Yes
        };
        if takes {
            Verdict::Send
        } else {
            Verdict::Withhold
        }
    }

    /// Whether it knows what this entry says.
    #[inline]
    pub fn understands(&self, entry: &Entry) -> bool {
        !entry.is_cleared() || self.features.contains(Features::CLEAR)
    }

    /// Whether it takes this entry as a body of three elements.
    pub fn takes_as_old(&self, config: &RouterConfig, entry: &Entry) -> Takes {
        if entry.is_cleared() {
            return Takes::NotAtAll;
        }
        let is_plain = self.kind == PeerKind::Plain;
        let structured =
            is_plain || config.legacy_structured || self.gateway().is_some_and(|gateway| gateway.structured);
        let max = if is_plain { config.max_message } else { config.legacy_max };
        if !entry.kind().is_plain() && !structured {
            Takes::NotKind
        } else if self.len_as_old(entry) <= max {
            Takes::Yes
        } else {
            Takes::TooLarge(max)
        }
    }

    /// How long a message with this entry is.
    pub fn len_as_old(&self, entry: &Entry) -> usize {
        let prefix = match self.gateway() {
            Some(Gateway { role: Role::Pub, .. }) => gateway::prefix_len(entry.name()),
            _ => 0,
        };
        prefix + entry.meta_at()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::super::table::{Capacity, Offer, Table};
    use super::*;
    use crate::framing::Framing;
    use crate::time::{LogicalTime, MonoTime};
    use crate::wire::{self, Form, Meta, Stamp, Value};

    fn profile(framing: Framing, gateway: Option<Gateway>) -> Profile {
        Profile::new(ConnId(1), &ConnInfo { framing, from: String::new(), host: None, gateway, web: None })
    }

    fn put(table: &mut Table, sender: &str, value: &Value<'_>, instance: u8, origin: u64) {
        let stamp = Stamp { clock: LogicalTime::from_bits(1), instance: Instance([instance; 16]) };
        let (mut data, mut body) = (Vec::new(), Vec::new());
        value.encode(&mut data);
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let meta_at = wire::encode(&mut body, Form::V1, sender, "name", &data, &meta);
        let (kind, origin) = (wire::check(&data).expect("one value"), Some(ConnId(origin)));
        let mono = MonoTime::default();
        let offer = Offer {
            body: &body,
            shared: None,
            meta_at,
            sender: sender.as_bytes(),
            name: b"name",
            kind,
            stamp,
            origin,
            mono,
        };
        table.offer(offer).expect("there is room");
    }

    #[test]
    fn what_a_peer_is_follows_from_its_connection() {
        let gateway = |role| Some(Gateway { role, structured: false });
        assert_eq!(profile(Framing::Tcp, None).kind, PeerKind::App);
        let client = profile(Framing::Ipc, gateway(Role::Rep));
        assert!(client.is_old() && client.is_answered() && !client.listens());
        let subscriber = profile(Framing::Tcp, gateway(Role::Pub));
        assert!(subscriber.is_old() && subscriber.listens() && !subscriber.is_answered());
    }

    #[test]
    fn a_message_for_subscribers_has_its_name_in_front_and_has_to_fit_with_it() {
        let mut table = Table::new(Capacity::default());
        put(&mut table, "a", &Value::Text("x"), 1, 2);
        let entry = table.find("a", "name").expect("it was put there");
        let exact = RouterConfig { legacy_max: entry.meta_at(), ..RouterConfig::default() };
        let subscriber = profile(Framing::Tcp, Some(Gateway { role: Role::Pub, structured: false }));
        let old = Profile { kind: PeerKind::Old, ..profile(Framing::Tcp, None) };
        assert_eq!(old.verdict(&exact, entry), Verdict::Send);
        let less = RouterConfig { legacy_max: exact.legacy_max - 1, ..exact.clone() };
        assert_eq!(old.verdict(&less, entry), Verdict::Withhold);
        let plain = Profile { kind: PeerKind::Plain, ..profile(Framing::WsServer, None) };
        assert_eq!(plain.verdict(&less, entry), Verdict::Send);
        assert_eq!(subscriber.len_as_old(entry), entry.meta_at() + "name".len() + 1);
        assert_eq!(subscriber.takes_as_old(&exact, entry), Takes::TooLarge(exact.legacy_max));
        assert_eq!(subscriber.verdict(&exact, entry), Verdict::Withhold);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_verdict_agrees_with_the_rules(
            value in select(vec![Value::Text("x"), Value::Bytes(b"x"), Value::Bool(true), Value::Uint(7)]),
            (origin, instance, sender) in (1..3_u64, 1..3_u8, select(vec!["me", "other"])),
            (old, plain, structured) in any::<(bool, bool, bool)>(),
            (accept, echoes) in (any::<u32>(), select(vec![(false, false), (true, false), (false, true)])),
        ) {
            let mut table = Table::new(Capacity::default());
            put(&mut table, sender, &value, instance, origin);
            let entry = table.find(sender, "name").expect("it was put there");
            let config = RouterConfig { echo: echoes.0, legacy_structured: structured, ..RouterConfig::default() };
            let app = Profile {
                identity: "me".into(),
                instance: Instance([1; 16]),
                accept,
                echo: echoes.1,
                ..profile(Framing::Tcp, None)
            };
            let kind = if plain { PeerKind::Plain } else { PeerKind::Old };
            let peer = if old { Profile { kind, ..profile(Framing::Tcp, None) } } else { app };
            let own = origin == 1 || (!old && instance == 1 && sender == "me");
            let echo = echoes.0 || (!old && echoes.1);
            let takes = if old {
                plain || structured || entry.kind().is_plain()
            } else {
                entry.kind().mask() & accept != 0 || sender == "me"
            };
            let expected = match (own && !echo, takes) {
                (true, _) => Verdict::Skip,
                (false, true) => Verdict::Send,
                (false, false) => Verdict::Withhold,
            };
            prop_assert_eq!(peer.verdict(&config, entry), expected);
        }
    }
}
