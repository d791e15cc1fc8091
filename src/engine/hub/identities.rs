//! Which peer holds which identity, and which peers wait for it.

use std::mem;

use hashbrown::HashMap;

use super::super::hash::{key_hasher, KeyHasher};
use super::peers::PeerId;
use crate::effort::{did, Work};
use crate::time::LogicalTime;
use crate::wire::{HelloFlags, Instance, Secret};

/// What an app says of itself in its hello.
#[derive(Clone, Copy)]
pub struct Hello {
    /// The app object.
    pub instance: Instance,
    /// How many connections it has made.
    pub epoch: u64,
    /// What proves that a connection belongs to the same app.
    pub secret: Option<Secret>,
    /// How it wants to hold its identity.
    pub flags: HelloFlags,
    /// Its logical time.
    pub time: Option<LogicalTime>,
    /// Whether it may only read: then it keeps nobody who publishes from the identity.
    pub reads: bool,
}

impl Hello {
    /// Whether this is another connection of the same app. The instance is in every stamp, so that it proves nothing: the
    /// secret does. Without one, who may only read does not pass for who may publish.
    fn is_same_app(&self, other: &Hello) -> bool {
        let proven = match (&self.secret, &other.secret) {
            (Some(one), Some(other)) => one.matches(other),
            (None, None) => self.reads == other.reads,
            _ => false,
        };
        proven && self.instance == other.instance
    }

    /// Whether it holds its identity together with others.
    pub fn is_shared(&self) -> bool {
        self.flags.contains(HelloFlags::SHARED)
    }

    fn takes_over(&self) -> bool {
        self.flags.contains(HelloFlags::TAKE_OVER) && !self.flags.contains(HelloFlags::RETRY) && !self.reads
    }
}

/// The answer to a peer that wants an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It holds the identity from now on.
    Granted,
    /// The holder is a newer connection of the same app.
    Outdated,
    /// The holder is an older connection of the same app, and has to leave first.
    Renewed(PeerId),
    /// It takes the identity over from this holder, which has to leave first.
    TakenOver(PeerId),
    /// It waits for this holder, which has to be asked by a ping with this token whether it lives.
    Asks {
        /// The holder.
        holder: PeerId,
        /// Greater than in every question before.
        token: u64,
    },
}

/// What becomes of a peer whose holder did not answer in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// The holder has to make room for it.
    Replaced(PeerId),
    /// It is refused: it replaces lost holders only, and this one is slow.
    Slow,
}

struct Holder {
    peer: PeerId,
    hello: Hello,
}

struct Claimant {
    peer: PeerId,
    hello: Hello,
    holder: PeerId,
    token: u64,
}

/// An identity that somebody holds: one peer alone, or several that share it.
#[derive(Default)]
struct Identity {
    /// In the order in which they came.
    holders: Vec<Holder>,
    /// Peers that wait for one of the holders to answer or to leave, in the order in which they asked.
    claimants: Vec<Claimant>,
}

impl Identity {
    fn take_claimants(&mut self, which: impl Fn(&Claimant) -> bool) -> Vec<Claimant> {
        did(Work::Peer, self.claimants.len());
        let (taken, left) = mem::take(&mut self.claimants).into_iter().partition(which);
        self.claimants = left;
        taken
    }
}

/// The identities of all apps that take part, and of those that want to.
pub struct Identities {
    held: HashMap<Box<str>, Identity, KeyHasher>,
    next_token: u64,
}

impl Identities {
    /// None is held.
    pub fn new() -> Identities {
        Identities { held: HashMap::with_hasher(key_hasher()), next_token: 1 }
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Those that are held, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(|name| &**name)
    }

    /// Whether somebody holds this one who publishes.
    pub fn is_held(&self, name: &str) -> bool {
        self.held.get(name).is_some_and(|identity| identity.holders.iter().any(|holder| !holder.hello.reads))
    }

    /// Who holds this one, in the order in which they came.
    pub fn holders(&self, name: &str) -> impl Iterator<Item = PeerId> + '_ {
        self.held.get(name).into_iter().flat_map(|identity| &identity.holders).map(|holder| holder.peer)
    }

    /// A peer wants an identity. Where a holder has to leave first, it is to be asked for again once that one has left.
    pub fn claim(&mut self, name: &str, peer: PeerId, hello: &Hello) -> Claim {
        let in_the_way =
            |held: &&Holder| !(hello.is_shared() && held.hello.is_shared()) || held.hello.is_same_app(hello);
        let identity = self.held.get_mut(name);
        let Some(holder) = identity.as_ref().and_then(|identity| identity.holders.iter().find(in_the_way)) else {
            let holder = Holder { peer, hello: *hello };
            match identity {
                Some(identity) => identity.holders.push(holder),
                None => {
                    self.held.insert(name.into(), Identity { holders: vec![holder], claimants: Vec::new() });
                }
            }
            return Claim::Granted;
        };
        if holder.hello.is_same_app(hello) {
            return if hello.epoch <= holder.hello.epoch { Claim::Outdated } else { Claim::Renewed(holder.peer) };
        }
        let gives_way = holder.hello.reads && !hello.reads;
        let holder = holder.peer;
        if hello.takes_over() || gives_way {
            return Claim::TakenOver(holder);
        }
        let token = self.next_token;
        self.next_token += 1;
        let claimant = Claimant { peer, hello: *hello, holder, token };
        if let Some(identity) = identity {
            identity.claimants.push(claimant);
        }
        Claim::Asks { holder, token }
    }

    /// Takes the peers that wait for this holder: they are to claim the identity again.
    pub fn release(&mut self, name: &str, holder: PeerId) -> Vec<(PeerId, Hello)> {
        let Some(identity) = self.held.get_mut(name) else { return Vec::new() };
        let waited = identity.take_claimants(|claimant| claimant.holder == holder);
        waited.into_iter().map(|claimant| (claimant.peer, claimant.hello)).collect()
    }

    /// A peer that may wait for an identity does not want it any more.
    pub fn withdraw(&mut self, name: &str, claimant: PeerId) {
        if let Some(identity) = self.held.get_mut(name) {
            did(Work::Peer, identity.claimants.len());
            identity.claimants.retain(|other| other.peer != claimant);
        }
    }

    /// The token of the last question. The answer to another ping with it is one to all questions so far.
    pub fn last_token(&self) -> u64 {
        self.next_token - 1
    }

    /// A peer no longer holds its identity. Returns one that still does and publishes, and the peers that waited for it: they
    /// are to claim the identity again.
    pub fn leave(&mut self, name: &str, holder: PeerId) -> (Option<PeerId>, Vec<(PeerId, Hello)>) {
        let waited = self.release(name, holder);
        let Some(identity) = self.held.get_mut(name) else { return (None, waited) };
        identity.holders.retain(|other| other.peer != holder);
        let other = identity.holders.iter().find(|other| !other.hello.reads).map(|other| other.peer);
        if identity.holders.is_empty() {
            self.held.remove(name);
        }
        (other, waited)
    }

    /// A holder answered the question with this token. Returns the peers that asked before: they are to be refused.
    /// Tokens only grow, and a holder that is behind answers the last ping alone.
    pub fn answered(&mut self, name: &str, holder: PeerId, token: u64) -> Vec<PeerId> {
        let Some(identity) = self.held.get_mut(name) else { return Vec::new() };
        let asked = identity.take_claimants(|claimant| claimant.holder == holder && claimant.token <= token);
        asked.into_iter().map(|claimant| claimant.peer).collect()
    }

    /// The holder that this peer waits for did not answer in time.
    pub fn unanswered(&self, name: &str, claimant: PeerId, is_lost: impl FnOnce(PeerId) -> bool) -> Option<Unanswered> {
        let identity = self.held.get(name)?;
        let claimant = identity.claimants.iter().find(|other| other.peer == claimant)?;
        let publishes = |holder: &Holder| holder.peer == claimant.holder && !holder.hello.reads;
        let is_below = claimant.hello.reads && identity.holders.iter().any(publishes);
        let only_lost = is_below || claimant.hello.flags.contains(HelloFlags::RETRY);
        let replaced = !only_lost || is_lost(claimant.holder);
        Some(if replaced { Unanswered::Replaced(claimant.holder) } else { Unanswered::Slow })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::super::ConnId;
    use super::super::peers::Peers;
    use super::*;

    /// So many peers.
    fn peers<const N: usize>() -> [PeerId; N] {
        let mut peers = Peers::new();
        std::array::from_fn(|n| {
            let place = peers.insert(ConnId(n as u64), ());
            peers.id(place)
        })
    }

    fn hello(app: u8, epoch: u64, flags: HelloFlags) -> Hello {
        Hello { instance: Instance([app; 16]), epoch, secret: Some(Secret([app; 16])), flags, time: None, reads: false }
    }

    const NONE: HelloFlags = HelloFlags(0);

    #[test]
    fn a_newer_connection_of_the_same_app_replaces_the_older_one() {
        let (mut identities, [a, b]) = (Identities::new(), peers());
        let claim = |identities: &mut Identities, peer, hello| identities.claim("x", peer, &hello);
        assert_eq!(claim(&mut identities, a, hello(1, 5, NONE)), Claim::Granted);
        for epoch in [4, 5] {
            assert_eq!(claim(&mut identities, b, hello(1, epoch, NONE)), Claim::Outdated);
        }
        assert_eq!(claim(&mut identities, b, hello(1, 6, NONE)), Claim::Renewed(a));
        // The instance alone proves nothing.
        for secret in [None, Some(Secret([9; 16]))] {
            let other = Hello { secret, ..hello(1, 6, NONE) };
            assert!(matches!(claim(&mut identities, b, other), Claim::Asks { .. }));
            identities.withdraw("x", b);
        }
        assert_eq!(identities.leave("x", a).0, None);
        assert_eq!(claim(&mut identities, b, hello(1, 6, NONE)), Claim::Granted);
        assert_eq!((identities.len(), identities.names().collect::<Vec<_>>()), (1, vec!["x"]));
    }

    #[test]
    fn who_may_only_read_gives_way_to_who_publishes_and_takes_nothing_over() {
        let (mut identities, [a, b, c]) = (Identities::new(), peers());
        let reader = |app, flags| Hello { reads: true, ..hello(app, 1, flags) };
        assert_eq!(identities.claim("x", a, &reader(1, NONE)), Claim::Granted);
        assert!(!identities.is_held("x"), "old programs may go on under it");
        assert!(matches!(identities.claim("x", c, &reader(3, HelloFlags::TAKE_OVER)), Claim::Asks { .. }));
        identities.withdraw("x", c);
        assert_eq!(identities.claim("x", b, &hello(2, 1, NONE)), Claim::TakenOver(a));
        assert_eq!(identities.leave("x", a).0, None);
        assert_eq!(identities.claim("x", b, &hello(2, 1, NONE)), Claim::Granted);
        assert!(identities.is_held("x"));
        assert!(matches!(identities.claim("x", c, &reader(3, HelloFlags::TAKE_OVER)), Claim::Asks { .. }));
    }

    #[test]
    fn who_takes_over_does_so_unless_it_was_refused_before() {
        let (mut identities, [a, b]) = (Identities::new(), peers());
        assert_eq!(identities.claim("x", a, &hello(1, 1, NONE)), Claim::Granted);
        assert_eq!(identities.claim("x", b, &hello(2, 1, HelloFlags::TAKE_OVER)), Claim::TakenOver(a));
        let retry = hello(2, 1, HelloFlags::TAKE_OVER | HelloFlags::RETRY);
        assert!(matches!(identities.claim("x", b, &retry), Claim::Asks { holder, .. } if holder == a));
        assert_eq!(identities.unanswered("x", b, |_| false), Some(Unanswered::Slow));
        assert_eq!(identities.unanswered("x", b, |holder| holder == a), Some(Unanswered::Replaced(a)));
        assert_eq!(identities.unanswered("x", a, |_| true), None, "it waits for nobody");
    }

    #[test]
    fn those_who_share_an_identity_are_not_in_each_others_way() {
        let (mut identities, [a, b, c]) = (Identities::new(), peers());
        for (peer, app) in [(a, 1), (b, 2)] {
            assert_eq!(identities.claim("x", peer, &hello(app, 1, HelloFlags::SHARED)), Claim::Granted);
        }
        assert!(matches!(identities.claim("x", c, &hello(3, 1, NONE)), Claim::Asks { holder, .. } if holder == a));
        assert_eq!(identities.claim("x", c, &hello(2, 2, HelloFlags::SHARED)), Claim::Renewed(b));
        let (other, waited) = identities.leave("x", a);
        assert_eq!((other, waited.len()), (Some(b), 1));
        assert!(identities.is_held("x"));
    }

    #[test]
    fn an_answer_is_for_those_who_asked_before_it() {
        let (mut identities, [a, b, c]) = (Identities::new(), peers());
        assert_eq!(identities.claim("x", a, &hello(1, 1, NONE)), Claim::Granted);
        let tokens = [(b, 2), (c, 3)].map(|(peer, app)| match identities.claim("x", peer, &hello(app, 1, NONE)) {
            Claim::Asks { token, .. } => token,
            other => panic!("{other:?}"),
        });
        assert!(tokens[0] < tokens[1]);
        assert_eq!(identities.answered("x", a, tokens[0] - 1), []);
        assert_eq!(identities.answered("x", b, tokens[1]), [], "that is not the holder");
        assert_eq!(identities.answered("x", a, tokens[0]), [b]);
        assert_eq!(identities.release("x", a).into_iter().map(|(peer, _)| peer).collect::<Vec<_>>(), [c]);
        assert_eq!(identities.answered("x", a, tokens[1]), []);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Claims { name: bool, app: u8, flags: u32 },
        Leaves { nth: u8 },
        Answers { nth: u8, late: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<bool>(), 0..3_u8, 0..16_u32).prop_map(|(name, app, flags)| Step::Claims { name, app, flags }),
            3 => any::<u8>().prop_map(|nth| Step::Leaves { nth }),
            2 => (any::<u8>(), 0..4_u64).prop_map(|(nth, late)| Step::Answers { nth, late }),
        ]
    }

    /// What is known of each peer without looking into [`Identities`].
    #[derive(Default)]
    struct Model {
        /// Its name and its hello.
        all: BTreeMap<u64, (&'static str, Hello, PeerId)>,
        holds: BTreeSet<u64>,
        /// Whom it asked, and with which token.
        waits: BTreeMap<u64, (PeerId, u64)>,
    }

    impl Model {
        fn conn(&self, peer: PeerId) -> u64 {
            *self.all.iter().find(|(_, known)| known.2 == peer).expect("a peer that is there").0
        }
    }

    fn admit(identities: &mut Identities, model: &mut Model, conn: u64) {
        let (name, hello, peer) = model.all[&conn];
        let mut waiting = Vec::new();
        loop {
            match identities.claim(name, peer, &hello) {
                Claim::Granted => {
                    model.holds.insert(conn);
                    break;
                }
                Claim::Outdated => {
                    model.all.remove(&conn);
                    break;
                }
                Claim::Renewed(holder) | Claim::TakenOver(holder) => {
                    waiting.extend(identities.release(name, holder));
                    leave(identities, model, model.conn(holder));
                }
                Claim::Asks { holder, token } => {
                    model.waits.insert(conn, (holder, token));
                    break;
                }
            }
        }
        for (peer, _) in waiting {
            let conn = model.conn(peer);
            model.waits.remove(&conn);
            admit(identities, model, conn);
        }
    }

    fn leave(identities: &mut Identities, model: &mut Model, conn: u64) {
        let (name, _, peer) = model.all.remove(&conn).expect("a peer that is there");
        if !model.holds.remove(&conn) {
            model.waits.remove(&conn);
            return identities.withdraw(name, peer);
        }
        for (peer, _) in identities.leave(name, peer).1 {
            let conn = model.conn(peer);
            model.waits.remove(&conn);
            admit(identities, model, conn);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_identity_has_one_holder_or_several_that_share_it(steps in vec(step(), 0..100)) {
            let (mut identities, mut model, mut peers) = (Identities::new(), Model::default(), Peers::new());
            for (conn, step) in (0..).zip(steps) {
                let nth = |nth: u8, of: &BTreeSet<u64>| of.iter().nth(usize::from(nth) % of.len().max(1)).copied();
                match step {
                    Step::Claims { name, app, flags } => {
                        let place = peers.insert(ConnId(conn), ());
                        let hello = hello(app, conn, HelloFlags(flags));
                        model.all.insert(conn, (if name { "x" } else { "y" }, hello, peers.id(place)));
                        admit(&mut identities, &mut model, conn);
                    }
                    Step::Leaves { nth: n } => {
                        if let Some(conn) = nth(n, &model.all.keys().copied().collect()) {
                            leave(&mut identities, &mut model, conn);
                        }
                    }
                    Step::Answers { nth: n, late } => {
                        if let Some(conn) = nth(n, &model.holds) {
                            let (name, _, peer) = model.all[&conn];
                            let token = identities.next_token.saturating_sub(1 + late);
                            for refused in identities.answered(name, peer, token) {
                                let conn = model.conn(refused);
                                let (holder, asked) = model.waits.remove(&conn).expect("it waited");
                                prop_assert!(holder == peer && asked <= token);
                                leave(&mut identities, &mut model, conn);
                            }
                            let unanswered = |wait: &(PeerId, u64)| wait.0 == peer && wait.1 <= token;
                            prop_assert!(!model.waits.values().any(unanswered));
                        }
                    }
                }
                let names: BTreeSet<_> = model.holds.iter().map(|conn| model.all[conn].0).collect();
                prop_assert_eq!(identities.names().collect::<BTreeSet<_>>(), names.clone());
                for name in names {
                    let holders: Vec<_> = model.holds.iter().filter(|conn| model.all[conn].0 == name).collect();
                    prop_assert!(holders.len() == 1 || holders.iter().all(|conn| model.all[conn].1.is_shared()));
                    let instances: BTreeSet<_> = holders.iter().map(|conn| model.all[conn].1.instance.0).collect();
                    prop_assert_eq!(instances.len(), holders.len(), "no app holds it twice");
                }
                // Each of the others waits for a holder that is there, and is asked for.
                for (conn, (name, _, peer)) in &model.all {
                    let waits = model.waits.get(conn);
                    prop_assert_eq!(waits.is_none(), model.holds.contains(conn));
                    if let Some((holder, _)) = waits {
                        prop_assert!(model.holds.contains(&model.conn(*holder)));
                        prop_assert!(identities.unanswered(name, *peer, |_| true) == Some(Unanswered::Replaced(*holder)));
                    }
                }
            }
        }
    }
}
