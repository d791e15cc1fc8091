//! Whether a body is taken, and what its stamp is.

use std::sync::Arc;
use std::time::Duration;

use super::super::clock::Clock;
use super::super::table::{Capacity, Entry, Offer, Refusal, Slot, Table, SHARE_FROM};
use super::super::{ConnId, Now};
use super::access::ReadOnly;
use super::audience::Profile;
use crate::limits;
use crate::memory::Bytes;
use crate::time::LogicalTime;
use crate::visible::Quoted;
use crate::wire::{self, Body, Form, Instance, Kind, Malformed, Meta, Stamp, Value};

/// Why a body is not published.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken<'a> {
    #[error("malformed message: {0}")]
    Malformed(Malformed),
    #[error("message of {len} bytes refused: the limit is {max}")]
    TooLarge { len: u64, max: usize },
    #[error("states sent as {} refused: not its identity", Quoted(.0))]
    ForeignSender(&'a str),
    #[error("{} refused: its stamp is that of another instance", Quoted(.0))]
    ForeignInstance(&'a str),
    #[error("{} refused: reserved", Quoted(.0))]
    Reserved(&'a str),
    #[error("{} refused: {why}", Quoted(.name))]
    ReadOnly { name: &'a str, why: ReadOnly },
    #[error("{} not taken: the hub holds a newer value", Quoted(.0))]
    Stale(&'a str),
    #[error("{} not taken: the hub's table is full", Quoted(.0))]
    Full(&'a str),
    #[error("will for {} not taken: the hub has no room for it", Quoted(.0))]
    WillFull(&'a str),
    #[error("{} not taken: no memory for a message of {len} bytes", Quoted(.name))]
    NoMemory { name: &'a str, len: u64 },
    #[error("message of {0} bytes not taken: no memory for it")]
    NoMemoryForFrame(u64),
    #[error("{} not taken: its stamp is too far in the future", Quoted(.0))]
    Ahead(&'a str),
}

/// Why a body of an earlier hub is not put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotRestored {
    /// It is not what a hub holds.
    Damaged,
    /// A later one of its key is there.
    Older,
    /// There is no room, or no memory.
    NoRoom,
}

/// A value that was taken.
#[derive(Clone, Copy)]
pub struct Taken {
    /// Where it is.
    pub slot: Slot,
    /// How long its body is.
    pub len: u64,
}

/// A body as it came, and the allocation that holds it, if that may be kept.
type Canonical<'a> = (&'a [u8], Option<&'a Arc<Bytes>>);

/// The newest values, and the clock that orders them.
pub struct Intake {
    pub table: Table,
    instance: Instance,
    clock: Clock,
    /// What the operator should know of the clock since a peer was heard; to be taken.
    pub warning: Option<String>,
    scratch: Vec<u8>,
}

impl Intake {
    /// An empty table. `instance` is that of the hub.
    pub fn new(instance: Instance) -> Intake {
        Intake {
            table: Table::new(Capacity::default()),
            instance,
            clock: Clock::default(),
            warning: None,
            scratch: Vec::new(),
        }
    }

    /// The hub's instance.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// The logical time.
    pub fn time(&mut self, now: Now) -> LogicalTime {
        self.clock.read(now)
    }

    /// A stamp of the hub's own, later than all so far.
    pub(super) fn stamp(&mut self, now: Now) -> Stamp {
        Stamp { clock: self.clock.tick(now), instance: self.instance }
    }

    /// The latest time that was given out or observed.
    pub fn latest(&self) -> LogicalTime {
        self.clock.latest()
    }

    /// What the hub stamps from here on is later. False: it is too far in the future for that.
    pub fn resume_from(&mut self, now: Now, reading: LogicalTime) -> bool {
        let is_sane = !self.clock.is_beyond(now, reading);
        if is_sane {
            self.observe(now, reading);
        }
        is_sane
    }

    /// Puts a body of an earlier hub back into the table, at `slot` if it can. `age`: of a tombstone.
    pub fn restore(&mut self, now: Now, slot: Slot, bytes: &[u8], age: Duration) -> Result<(), NotRestored> {
        let body = wire::decode(bytes, Form::V1).map_err(|_| NotRestored::Damaged)?;
        let is_transient = body.meta.flags & Meta::TRANSIENT != 0;
        let Some(stamp) = body.meta.stamp.filter(|_| body.canonical && !body.is_reserved() && !is_transient) else {
            return Err(NotRestored::Damaged);
        };
        if !self.resume_from(now, stamp.clock) {
            return Err(NotRestored::Damaged);
        }
        let shared =
            if bytes.len() < SHARE_FROM { Ok(None) } else { Bytes::copy(bytes).map(|copy| Some(Arc::new(copy))) };
        let shared = shared.map_err(|_| NotRestored::NoRoom)?;
        let offer = Offer {
            body: bytes,
            shared: shared.as_ref(),
            meta_at: body.meta_at,
            sender: body.sender_bytes(),
            name: body.name_bytes(),
            kind: body.kind,
            stamp,
            origin: None,
            mono: now.mono,
        };
        match self.table.restore(slot, offer, age) {
            Ok(slot) => {
                // How much of it passed while there was no hub, nobody knows.
                if let Some(lifetime) = body.meta.lifetime {
                    self.table.set_lifetime(slot, now.mono, lifetime);
                }
                Ok(())
            }
            Err(Refusal::Stale) => Err(NotRestored::Older),
            Err(Refusal::Full | Refusal::NoMemory) => Err(NotRestored::NoRoom),
        }
    }

    /// The time from which an app that is let in stamps the values that it set before its first welcome: later than all
    /// stamps so far. The app's own clock raises it only while the table has never held anything; otherwise its values
    /// would seem younger, compared with those of others, than they are.
    pub fn welcome_time(&mut self, now: Now, theirs: Option<LogicalTime>) -> LogicalTime {
        let theirs = theirs.filter(|&theirs| !self.clock.is_beyond(now, theirs));
        if let (Some(theirs), true) = (theirs, self.table.version() == 0) {
            self.observe(now, theirs);
        }
        let time = self.clock.tick(now);
        theirs.into_iter().for_each(|theirs| self.observe(now, theirs));
        time
    }

    /// Learns another clock's reading.
    #[inline]
    fn observe(&mut self, now: Now, reading: LogicalTime) {
        if self.clock.observe(now, reading) {
            self.raised(now);
        }
    }

    #[cold]
    fn raised(&mut self, now: Now) {
        self.warning = self.clock.ahead_of_wall(now).or(self.warning.take());
    }

    /// Takes a body of at most `max` bytes from a peer of the original nanostate or of a gateway. `is_held` says which
    /// senders are apps that take part.
    pub fn old<'b>(
        &mut self,
        now: Now,
        from: &Profile,
        bytes: &'b [u8],
        max: usize,
        is_held: impl FnOnce(&str) -> bool,
    ) -> Result<Taken, NotTaken<'b>> {
        let body = wire::decode(bytes, Form::Old).map_err(NotTaken::Malformed)?;
        if body.is_reserved() {
            return Err(NotTaken::Reserved(body.name()));
        }
        if is_held(body.sender()) {
            return Err(NotTaken::ForeignSender(body.sender()));
        }
        if let Some(why) = from.read_only {
            return Err(NotTaken::ReadOnly { name: body.name(), why });
        }
        if body.meta_at > max {
            return Err(NotTaken::TooLarge { len: body.meta_at as u64, max });
        }
        let stamp = self.stamp(now);
        self.take(now, Some(from.conn), &body, stamp, None)
    }

    /// Takes a body of at most `max` bytes from an app. `came`: its bytes.
    pub fn v1<'b>(
        &mut self,
        now: Now,
        from: &Profile,
        body: &Body<'b>,
        came: Canonical<'_>,
        max: usize,
    ) -> Result<Taken, NotTaken<'b>> {
        check(from, body, max)?;
        let Some(stamp) = body.meta.stamp else {
            let stamp = Stamp { clock: self.clock.tick(now), instance: from.instance };
            return self.take(now, Some(from.conn), body, stamp, None);
        };
        // An app that shares its identity also announces what others under it have sent last.
        if stamp.instance != from.instance && !from.shares && !is_expiry(body, stamp) {
            return Err(NotTaken::ForeignInstance(body.name()));
        }
        if self.clock.is_beyond(now, stamp.clock) {
            return Err(NotTaken::Ahead(body.name()));
        }
        self.observe(now, stamp.clock);
        self.take(now, Some(from.conn), body, stamp, body.canonical.then_some(came))
    }

    /// Puts a value into the table. `from`: where it comes from; `None`: its sender is lost. `bytes`: the body as it came, if
    /// it is to be passed on as it is.
    pub(super) fn take<'b>(
        &mut self,
        now: Now,
        from: Option<ConnId>,
        body: &Body<'b>,
        stamp: Stamp,
        bytes: Option<Canonical<'_>>,
    ) -> Result<Taken, NotTaken<'b>> {
        let (sender, name, kind) = (body.sender_bytes(), body.name_bytes(), body.kind);
        let large;
        let (bytes, shared, meta_at) = match bytes {
            Some((bytes, shared)) => (bytes, shared, body.meta_at),
            None if body.data.len() < SHARE_FROM => {
                self.scratch.clear();
                let meta_at = stamped(body, stamp, &mut self.scratch);
                (&self.scratch[..], None, meta_at)
            }
            // Written where it stays.
            None => {
                let meta = &mut self.scratch;
                meta.clear();
                wire::with_stamp(body.raw_meta, stamp, meta);
                let no_memory = |_| NotTaken::NoMemory { name: body.name(), len: body.data.len() as u64 };
                let data = Value::Msgpack(body.data);
                let mut bytes =
                    wire::encode_apart(Form::V1, body.sender(), body.name(), &data, meta.len()).map_err(no_memory)?;
                let meta_at = bytes.len();
                bytes.extend_from_slice(meta);
                large = Arc::new(bytes);
                (&large[..], Some(&large), meta_at)
            }
        };
        let len = bytes.len() as u64;
        let (origin, mono) = (from, now.mono);
        let offer = Offer { body: bytes, shared, meta_at, sender, name, kind, stamp, origin, mono };
        let taken = if from.is_some() { self.table.offer(offer) } else { self.table.offer_by_another(offer) };
        match taken {
            Ok(slot) => {
                if let Some(lifetime) = body.meta.lifetime {
                    self.table.set_lifetime(slot, now.mono, lifetime);
                }
                Ok(Taken { slot, len })
            }
            Err(Refusal::Stale) => Err(NotTaken::Stale(body.name())),
            Err(Refusal::Full) => Err(NotTaken::Full(body.name())),
            Err(Refusal::NoMemory) => Err(NotTaken::NoMemory { name: body.name(), len }),
        }
    }

    /// The entry that is held instead of a stale value. None if it is that very value, once more.
    pub fn held_instead(&self, sender: &str, name: &str, offered: Stamp) -> Option<&Entry> {
        self.table.find(sender, name).filter(|entry| entry.stamp() != offered)
    }
}

/// Whether an app may publish this body, which has at most `max` bytes, whatever its stamp.
#[inline]
pub(super) fn check<'b>(from: &Profile, body: &Body<'b>, max: usize) -> Result<(), NotTaken<'b>> {
    if body.sender_bytes() != from.identity.as_bytes() {
        return Err(NotTaken::ForeignSender(body.sender()));
    }
    if let Some(why) = from.read_only {
        return Err(NotTaken::ReadOnly { name: body.name(), why });
    }
    if body.meta_at > max {
        return Err(NotTaken::TooLarge { len: body.meta_at as u64, max });
    }
    body.meta.check_features(from.features, 0).map_err(NotTaken::Malformed)?;
    let is_both = body.kind == Kind::Cleared && body.meta.flags & Meta::TRANSIENT != 0;
    if is_both || body.raw_meta.len() > limits::MAX_META {
        return Err(NotTaken::Malformed(Malformed::Meta));
    }
    Ok(())
}

/// Whether it is the tombstone of a value that has expired, which has no instance.
pub fn is_expiry(body: &Body<'_>, stamp: Stamp) -> bool {
    body.kind == Kind::Cleared && stamp.instance == Instance::default()
}

/// Writes a body again, canonical and with this stamp; returns where its meta begins.
fn stamped(body: &Body<'_>, stamp: Stamp, out: &mut Vec<u8>) -> usize {
    let meta = Meta { stamp: Some(stamp), ..Meta::default() };
    let meta_at = wire::encode(out, Form::V1, body.sender(), body.name(), body.data, &meta);
    if !body.raw_meta.is_empty() {
        out.truncate(meta_at);
        wire::with_stamp(body.raw_meta, stamp, out);
    }
    meta_at
}

#[cfg(test)]
mod tests {
    use super::super::super::ConnInfo;
    use super::*;
    use crate::framing::Framing;
    use crate::time::{BootTime, MonoTime, WallTime};

    const NOW: Now = Now {
        mono: MonoTime::from_nanos(1),
        wall: WallTime::from_millis(1_800_000_000_000),
        boot: BootTime::from_nanos(1),
    };
    const MAX: usize = 1000;

    fn app(instance: u8, shares: bool) -> Profile {
        let info = ConnInfo { framing: Framing::Tcp, from: String::new(), host: None, gateway: None, web: None };
        let profile = Profile::new(ConnId(1), &info);
        Profile { identity: "app".into(), instance: Instance([instance; 16]), shares, ..profile }
    }

    fn body(form: Form, sender: &str, data: &[u8], stamp: Option<(LogicalTime, u8)>) -> Vec<u8> {
        let stamp = stamp.map(|(clock, instance)| Stamp { clock, instance: Instance([instance; 16]) });
        let mut body = Vec::new();
        wire::encode(&mut body, form, sender, "x", data, &Meta { stamp, ..Meta::default() });
        body
    }

    /// The stamp of what an app sent, or why it was not taken.
    fn offer(intake: &mut Intake, from: &Profile, bytes: &[u8]) -> Result<Stamp, String> {
        let body = wire::decode(bytes, Form::V1).expect("a body");
        let taken = intake.v1(NOW, from, &body, (bytes, None), MAX).map_err(|why| format!("{why:?}"))?;
        let entry = intake.table.get(taken.slot).expect("it was taken");
        assert_eq!(entry.bytes().len() as u64, taken.len);
        Ok(entry.stamp())
    }

    #[test]
    fn a_body_without_a_stamp_gets_one_and_a_stamp_is_kept() {
        let (mut intake, from) = (Intake::new(Instance([9; 16])), app(1, false));
        let bare = offer(&mut intake, &from, &body(Form::V1, "app", &[0xC3], None)).expect("it is taken");
        assert_eq!(bare.instance, from.instance);
        let later = (LogicalTime::from_bits(bare.clock.to_bits() + 5), 1);
        let kept = offer(&mut intake, &from, &body(Form::V1, "app", &[0xC3], Some(later))).expect("it is taken");
        assert_eq!(kept.clock, later.0);
        assert!(intake.time(NOW) >= later.0, "the hub has heard of it");
        let again = offer(&mut intake, &from, &body(Form::V1, "app", &[0xC3], Some(later)));
        assert_eq!(again, Err(r#"Stale("x")"#.to_owned()));
        assert!(intake.held_instead("app", "x", kept).is_none(), "that very value, once more");
        assert!(intake.held_instead("app", "x", bare).is_some_and(|entry| entry.stamp() == kept));
    }

    #[test]
    fn what_is_not_taken_says_why() {
        let (mut intake, from) = (Intake::new(Instance([9; 16])), app(1, false));
        let long = [&[0xDA, 0x03, 0xE8][..], &[b'x'; 1000]].concat();
        let early = LogicalTime::from_bits(1);
        let cases = [
            (body(Form::V1, "other", &[0xC3], None), "ForeignSender"),
            (body(Form::V1, "app", &[0xC3], Some((early, 2))), "ForeignInstance"),
            (body(Form::V1, "app", &[0xC3], Some((LogicalTime::MAX, 1))), "Ahead"),
            (body(Form::V1, "app", &long, None), "TooLarge"),
        ];
        for (bytes, why) in cases {
            let refused = offer(&mut intake, &from, &bytes).expect_err(why);
            assert!(refused.starts_with(why), "{refused} is not {why}");
        }
        assert!(intake.table.is_empty());
        assert!(offer(&mut intake, &app(1, true), &body(Form::V1, "app", &[0xC3], Some((early, 2)))).is_ok());
        let old = body(Form::Old, "app", &[0xC3], None);
        let held = intake.old(NOW, &from, &old, MAX, |sender| sender == "app").map(|taken| taken.slot);
        assert!(matches!(held, Err(NotTaken::ForeignSender("app"))));
        let reserved = b"\x93\xA1a\xA6$ns/xx\xC3";
        assert!(matches!(intake.old(NOW, &from, reserved, MAX, |_| false), Err(NotTaken::Reserved("$ns/xx"))));
    }
}
