//! Which apps are there, and who is told.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use hashbrown::HashMap;

use super::super::hash::{key_hasher, KeyHasher};
use super::super::mutations::{is_on, Mutation};
use super::super::{ConnId, Now};
use super::core::{Core, Timer};
use super::identities::Hello;
use super::life::{Sign, Silence};
use super::peer::Peer;
use super::peers::Peers;
use super::turns;
use super::wills::{Left, Wills};
use super::Router;
use crate::time::MonoTime;
use crate::wire::{self, Control, Digest, Instance, PeerState, Presence};
use crate::{limits, Status};

/// How the link of an app ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// On purpose.
    Said,
    /// Without a word: the app may come back.
    Cut,
    /// It was silent for too long.
    Lost,
}

/// An app's place in the order in which apps have come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Seat {
    /// It was connected to the earlier hub whose store this one has.
    Earlier(u32),
    /// It is connected by this link, or was.
    Here(ConnId),
}

/// Which app holds an identity, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    pub instance: Instance,
    /// The digest of its secret. An app without one cannot come back.
    pub digest: Option<Digest>,
    /// Whether it holds its identity alone.
    pub is_alone: bool,
}

/// An app that is there, or whose link was cut a short time ago.
pub(super) struct Member {
    pub identity: Box<str>,
    pub holder: Holder,
    /// Whether it may publish.
    pub publishes: bool,
    /// What it leaves for the time when it is lost.
    pub wills: Left,
    is_suspect: bool,
    /// Its link was cut: until then it may come back.
    until: Option<MonoTime>,
}

struct Change {
    state: PeerState,
    identity: Box<str>,
    instance: Instance,
}

/// What an app has been told of who is there.
#[derive(Default)]
pub struct Watch {
    /// The next change that it is told.
    next: u64,
    /// The list is on its way; what was connected from here on is still to come.
    list: Option<Bound<Seat>>,
    /// How complete it was said to be.
    said: Complete,
    /// There is no room for what it is told next. Values wait for that, too: an app would take them for stale.
    pub is_held_up: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Complete {
    #[default]
    No,
    Young,
    Yes,
}

/// The apps that are there. Changes are kept until all that are told had time to take them; one that is further behind is
/// sent the whole list again.
pub struct Roster {
    /// How long an app may be silent.
    pub silence: Silence,
    pub(super) members: BTreeMap<Seat, Member>,
    /// Those whose links were cut, in that order.
    cut: VecDeque<(MonoTime, Seat)>,
    /// When the apps of an earlier hub are lost, unless they have come back.
    earlier_until: Option<MonoTime>,
    /// Those that may come back, by the digest of their secret: an instance is known to others, who might use it.
    cut_by: HashMap<Digest, Seat, KeyHasher>,
    log: VecDeque<Change>,
    /// The number of the first change in `log`.
    first: u64,
    /// What is known of wills beside those of each app.
    pub wills: Wills,
    /// The places of those that are told.
    watchers: Vec<u32>,
    /// When the hub had its first connection.
    born: Option<MonoTime>,
    /// Whether there is something that watchers have not been told.
    has_news: bool,
}

impl Roster {
    /// Nobody is there.
    pub fn new() -> Roster {
        Roster {
            silence: Silence::default(),
            members: BTreeMap::new(),
            cut: VecDeque::new(),
            earlier_until: None,
            cut_by: HashMap::with_hasher(key_hasher()),
            log: VecDeque::new(),
            // A watch that has been told nothing is behind that, and begins with the list.
            first: 1,
            wills: Wills::default(),
            watchers: Vec::new(),
            born: None,
            has_news: false,
        }
    }

    /// The hub has a connection. From the first one on, apps of an earlier hub have as long to come back as an app may be silent,
    /// and no less than it takes all to connect again. True: this is the first.
    pub fn begins(&mut self, now: Now) -> bool {
        let is_first = self.born.is_none();
        if is_first {
            self.born = Some(now.mono);
            let silent = if self.silence.lost.is_zero() { limits::LOST } else { self.silence.lost };
            self.earlier_until = (!self.members.is_empty()).then(|| now.mono + silent.max(limits::YOUNG));
        }
        is_first
    }

    /// An app takes part, over this link.
    pub fn join(&mut self, conn: ConnId, identity: &str, hello: &Hello) {
        let Hello { instance, reads, .. } = *hello;
        let (digest, seat) = (hello.secret.map(|secret| secret.digest()), Seat::Here(conn));
        let is_it = |member: &Member| {
            *member.identity == *identity && member.holder.instance == instance && !is_on(Mutation::ReturnIgnored)
        };
        let cut = digest.and_then(|digest| self.cut_by.get(&digest).copied());
        if let Some(old) = cut.filter(|old| self.members.get(old).is_some_and(is_it)) {
            self.renew_seat(old, seat, reads);
        }
        if self.members.contains_key(&seat) {
            // It came in the place of an older link.
            return self.recover(seat);
        }
        let (holder, publishes) = (Holder { instance, digest, is_alone: !hello.is_shared() }, !reads);
        if publishes {
            self.wills.joined(identity, seat, holder.is_alone);
        }
        let (identity, wills) = (identity.into(), Left::default());
        self.members.insert(seat, Member { identity, holder, publishes, wills, is_suspect: false, until: None });
        self.changed(seat, PeerState::Present);
    }

    /// A newer link of the same app, over which it may only read or publish, takes the place of this one.
    pub fn renew(&mut self, old: ConnId, conn: ConnId, reads: bool) {
        self.renew_seat(Seat::Here(old), Seat::Here(conn), reads);
    }

    fn renew_seat(&mut self, old: Seat, seat: Seat, reads: bool) {
        if let Some(mut member) = self.members.remove(&old) {
            self.forget_return(old, &member);
            let Member { identity, holder, publishes, wills, .. } = &mut member;
            match (*publishes, reads) {
                (true, false) => self.wills.moved(identity, old, seat, holder.is_alone, wills),
                (true, true) => self.wills.ended(identity, old, *holder, std::mem::take(wills), false),
                (false, false) => self.wills.joined(identity, seat, holder.is_alone),
                (false, true) => {}
            }
            self.members.insert(seat, Member { publishes: !reads, until: None, ..member });
        }
    }

    /// From here on, nobody comes back as this member, which is gone or has returned.
    fn forget_return(&mut self, seat: Seat, member: &Member) {
        if let Some(digest) = member.holder.digest.filter(|digest| self.cut_by.get(digest) == Some(&seat)) {
            self.cut_by.remove(&digest);
        }
    }

    /// Adds an app of an earlier hub. It is suspect until it comes back. Called before [`Roster::begins`], in the order of the
    /// seats.
    pub(super) fn restore(&mut self, identity: &str, holder: Holder, wills: Left) {
        let seat = match self.members.last_key_value() {
            Some((&Seat::Earlier(last), _)) => Seat::Earlier(last + 1),
            _ => Seat::Earlier(0),
        };
        // The hub was killed when it had stored the app at its new place, and not removed it at the old one.
        let old = holder.digest.and_then(|digest| self.cut_by.remove(&digest));
        if let Some((old, member)) = old.and_then(|old| self.members.remove_entry(&old)) {
            self.wills.ended(&member.identity, old, member.holder, member.wills, false);
        }
        self.wills.restored(identity, seat, holder.is_alone, &wills);
        self.cut_by.extend(holder.digest.map(|digest| (digest, seat)));
        let (identity, until) = (identity.into(), Some(MonoTime::default()));
        self.members.insert(seat, Member { identity, holder, publishes: true, wills, is_suspect: true, until });
    }

    /// The wills of the app of this link, and all others.
    pub fn wills_of(&mut self, conn: ConnId) -> Option<(&mut Left, &mut Wills)> {
        Some((&mut self.members.get_mut(&Seat::Here(conn))?.wills, &mut self.wills))
    }

    /// The link of an app is gone, or of what would have become one.
    pub fn leave(&mut self, now: Now, conn: ConnId, how: Ended) {
        let seat = Seat::Here(conn);
        let Some(member) = self.members.get_mut(&seat) else { return };
        match how {
            Ended::Said => self.remove(seat, PeerState::Left),
            Ended::Lost => self.remove(seat, PeerState::Lost),
            Ended::Cut => {
                let until = now.mono + limits::CUT;
                member.until = Some(until);
                self.cut.push_back((until, seat));
                self.cut_by.extend(member.holder.digest.map(|digest| (digest, seat)));
                self.suspect(conn);
                if self.cut.len() > limits::CUT_APPS {
                    self.lose_first();
                }
            }
        }
    }

    /// Nothing is heard of the app of this link.
    pub fn suspect(&mut self, conn: ConnId) {
        let seat = Seat::Here(conn);
        let Some(member) = self.members.get_mut(&seat) else { return };
        if !std::mem::replace(&mut member.is_suspect, true) {
            self.changed(seat, PeerState::Suspect);
        }
    }

    /// Something is heard of it again.
    pub fn recovered(&mut self, conn: ConnId) {
        self.recover(Seat::Here(conn));
    }

    fn recover(&mut self, seat: Seat) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        if std::mem::take(&mut member.is_suspect) {
            self.changed(seat, PeerState::Present);
        }
    }

    /// Those that have not come back in time are lost.
    pub fn expire(&mut self, now: Now) {
        while self.cut.front().is_some_and(|&(until, _)| until <= now.mono) {
            self.lose_first();
        }
        if self.earlier_until.is_some_and(|until| until <= now.mono) {
            self.earlier_until = None;
            while let Some((&seat @ Seat::Earlier(_), _)) = self.members.first_key_value() {
                self.remove(seat, PeerState::Lost);
            }
        }
        self.has_news |= self.is_old(now);
    }

    fn lose_first(&mut self) {
        let Some((until, seat)) = self.cut.pop_front() else { return };
        // Otherwise it came back in between.
        if self.members.get(&seat).is_some_and(|member| member.until == Some(until)) {
            self.remove(seat, PeerState::Lost);
        }
    }

    /// Whether there is something that those who watch have not been told.
    pub fn has_news(&self) -> bool {
        self.has_news && !self.watchers.is_empty()
    }

    /// When something is to be done by itself.
    pub fn deadline(&self, now: Now) -> Option<MonoTime> {
        let grown = self.born.map(|born| born + limits::YOUNG).filter(|&at| at > now.mono && !self.watchers.is_empty());
        self.cut.front().map(|&(until, _)| until).into_iter().chain(self.earlier_until).chain(grown).min()
    }

    /// Whether apps had their time to come back to this hub.
    fn is_old(&self, now: Now) -> bool {
        self.born.is_some_and(|born| now.mono >= born + limits::YOUNG)
    }

    fn remove(&mut self, seat: Seat, state: PeerState) {
        if let Some(member) = self.members.remove(&seat) {
            self.forget_return(seat, &member);
            let Member { identity, holder, publishes, wills, .. } = member;
            if publishes {
                self.wills.ended(&identity, seat, holder, wills, state == PeerState::Lost);
            }
            // Without a secret a new link is not known as that of the same app: that is there all the same.
            let is_it = |member: &Member| member.holder.instance == holder.instance && member.identity == identity;
            if holder.digest.is_none() && self.members.values().any(is_it) {
                return;
            }
            self.log(Change { state, identity, instance: holder.instance });
        }
    }

    fn changed(&mut self, seat: Seat, state: PeerState) {
        if let Some(Member { identity, holder, .. }) = self.members.get(&seat) {
            self.log(Change { state, identity: identity.clone(), instance: holder.instance });
        }
    }

    fn log(&mut self, change: Change) {
        self.log.push_back(change);
        if self.log.len() > limits::PRESENCE_LOG {
            self.log.pop_front();
            self.first += 1;
        }
        self.has_news = true;
    }

    /// The number that the next change will have.
    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// Whether there is something that this watch has not been told.
    #[cold]
    fn is_behind(&self, now: Now, watch: &Watch) -> bool {
        watch.next < self.end() || watch.list.is_some() || watch.said != self.complete(now)
    }

    /// How complete a list is at this time.
    fn complete(&self, now: Now) -> Complete {
        if self.is_old(now) {
            Complete::Yes
        } else {
            Complete::Young
        }
    }

    /// What this watch is told next.
    fn next(&self, now: Now, watch: &mut Watch) -> Option<Presence<'_>> {
        if watch.next < self.first {
            *watch = Watch { next: self.end(), list: Some(Bound::Unbounded), ..Watch::default() };
            return Some(Presence::Begins);
        }
        if let Some(from) = watch.list {
            if let Some((&seat, member)) = self.members.range((from, Bound::Unbounded)).next() {
                watch.list = Some(Bound::Excluded(seat));
                let state = if member.is_suspect { PeerState::Suspect } else { PeerState::Present };
                return Some(Presence::Peer { state, identity: &member.identity, instance: member.holder.instance });
            }
            watch.list = None;
        }
        if let Some(change) = self.log.get((watch.next - self.first) as usize) {
            watch.next += 1;
            return Some(Presence::Peer { state: change.state, identity: &change.identity, instance: change.instance });
        }
        let complete = self.complete(now);
        if watch.said == complete {
            return None;
        }
        watch.said = complete;
        Some(Presence::Complete { young: complete == Complete::Young })
    }
}

impl Core {
    /// The app at this place is told from now on which others are there.
    pub fn watch(&mut self, now: Now, place: usize, peer: &mut Peer) {
        if peer.owed.watch.is_none() {
            peer.owed.watch = Some(Box::default());
            self.roster.watchers.push(place as u32);
            self.tell_presence(now, peer);
            self.set_presence(now);
        }
    }

    /// The peer at this place is told no longer.
    pub fn unwatch(&mut self, place: usize, peer: &mut Peer) {
        if peer.owed.watch.take().is_some() {
            self.roster.watchers.retain(|&other| other != place as u32);
        }
    }

    /// Sees to it that apps whose links were cut are lost in time.
    pub fn set_presence(&mut self, now: Now) {
        match self.roster.deadline(now) {
            Some(at) => self.timers.set(Timer::Presence, at),
            None => self.timers.clear(Timer::Presence),
        }
    }

    /// Tells a peer which apps are there, as far as there is room.
    fn tell_presence(&mut self, now: Now, peer: &mut Peer) {
        if self.add_presence(now, peer) {
            self.flush(peer);
        }
    }

    /// Puts behind what waits for a peer which apps are there, as far as there is room. Whether that is anything.
    #[inline]
    pub fn add_presence(&mut self, now: Now, peer: &mut Peer) -> bool {
        peer.owed.watch.is_some() && self.add_presence_for(now, peer)
    }

    #[cold]
    fn add_presence_for(&mut self, now: Now, peer: &mut Peer) -> bool {
        let Some(watch) = &mut peer.owed.watch else { return false };
        let (mut any, waiting) = (false, peer.link.feed.waiting());
        while peer.link.has_room() {
            let Some(said) = self.roster.next(now, watch) else { break };
            peer.link.enqueue(wire::HUB_SENDER, &Control::Presence(said), &mut self.scratch);
            any = true;
        }
        watch.is_held_up = !peer.link.has_room() && self.roster.is_behind(now, watch);
        if watch.is_held_up {
            peer.link.feed.fall_behind(&self.intake.table);
        }
        self.turns.spend(turns::steps_of(peer.link.feed.waiting() - waiting));
        any
    }

    /// Whether the peer has not been told yet who is there.
    #[inline]
    pub fn owes_presence(&self, now: Now, peer: &Peer) -> bool {
        peer.owed.watch.as_ref().is_some_and(|watch| self.roster.is_behind(now, watch))
    }

    /// The link of a peer is over.
    pub fn unlink(&mut self, now: Now, peer: &Peer, why: Status) {
        let how = match why {
            _ if peer.life.said_bye => Ended::Said,
            _ if peer.life.is_lost => Ended::Lost,
            // Another has its place, or it may not come back.
            Status::IdentityTaken | Status::Permission => Ended::Said,
            _ => Ended::Cut,
        };
        self.roster.leave(now, peer.profile.conn, how);
        self.reserve_for_wills();
        self.set_presence(now);
    }

    /// A peer over a network takes part: it is looked at from now on.
    pub fn watch_over(&mut self, now: Now, place: usize, peer: &mut Peer) {
        if peer.link.may_vanish() && !peer.profile.is_old() {
            if let Some(at) = peer.life.first_look(now, self.roster.silence) {
                self.timers.set(Timer::Silence(place as u32), at);
            }
        }
    }
}

impl Router {
    /// How long apps over a network may be silent; changes count from the next look at each.
    pub fn silence_mut(&mut self) -> &mut Silence {
        &mut self.core.roster.silence
    }

    /// How long apps over a network may be silent.
    pub fn silence(&self) -> Silence {
        self.core.roster.silence
    }

    /// It is time to look whether a peer lives.
    pub(super) fn look_at(&mut self, now: Now, i: usize) {
        let Router { peers, core, .. } = self;
        let peer = &mut peers[i];
        let (last, is_read, silence) = (peer.link.last_sign(), peer.is_read(), core.roster.silence);
        let (sign, next) = peer.life.look(now, last, is_read, silence);
        core.timers.set(Timer::Silence(i as u32), next);
        match sign {
            Sign::Same => {}
            Sign::Ask => core.send(peer, &Control::Ping { token: core.identities.last_token() }),
            Sign::Suspect => core.roster.suspect(peer.profile.conn),
            Sign::Lost => {
                let text = format!("nothing was heard of it for {} s", now.mono.since(last).as_secs());
                self.close(now, i, Status::Timeout, text);
            }
        }
    }

    /// Tells those that want to know which apps came and went.
    #[inline]
    pub(super) fn tell_all_presence(&mut self, now: Now) {
        if self.core.roster.has_news {
            self.tell_news(now);
        }
    }

    #[cold]
    fn tell_news(&mut self, now: Now) {
        self.core.roster.has_news = false;
        let Router { peers, core, .. } = self;
        tell_watchers(now, core, peers);
        core.set_presence(now);
    }
}

fn tell_watchers(now: Now, core: &mut Core, peers: &mut Peers<Peer>) {
    let watchers = std::mem::take(&mut core.roster.watchers);
    for &place in &watchers {
        core.tell_presence(now, &mut peers[place as usize]);
    }
    core.roster.watchers = watchers;
}
