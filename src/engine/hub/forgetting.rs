//! An app withdraws what a sender left that has departed.

use log::debug;

use super::super::table::{Offer, Refusal, Slot};
use super::super::Now;
use super::audience::Profile;
use super::core::{Core, Next};
use super::intake::Intake;
use super::peer::Peer;
use crate::visible::Quoted;
use crate::wire::{self, Control, Form, Kind, Meta, Value};
use crate::Status;

/// Why a value is not withdrawn: a number, and words.
type Refused = (Status, String);

impl Core {
    /// An app asks that the value of a sender be withdrawn. What is refused is answered at once, the rest by
    /// [`Core::forgot`].
    pub fn forget(&mut self, now: Now, peer: &mut Peer, token: u64, sender: &str, name: &str) -> Next {
        match self.withdraw(now, &peer.profile, sender, name) {
            Ok(slot) => Next::Forgot { slot, token },
            Err((status, text)) => {
                self.answer_forget(peer, token, status, &text);
                Next::Nothing
            }
        }
    }

    /// A program behind a gateway withdraws the newest value of a name. An app clears its own values itself; here those
    /// that came by this very connection are withdrawn, too.
    ///
    /// # Errors
    /// The text of the answer.
    pub fn clear_newest(&mut self, now: Now, peer: &Peer, name: &str) -> Result<Slot, String> {
        let sender = self.intake.table.newest(name).map(|entry| entry.sender().to_owned());
        let sender = sender.ok_or_else(|| format!("{} is not held by the hub", Quoted(name)))?;
        self.withdraw(now, &peer.profile, &sender, name).map_err(|(_, text)| text)
    }

    fn withdraw(&mut self, now: Now, by: &Profile, sender: &str, name: &str) -> Result<Slot, Refused> {
        if let Some(why) = by.read_only {
            return Err((Status::Permission, format!("{} is not withdrawn: {why}", Quoted(name))));
        }
        let slot = self.intake.forget(now, by, sender, name)?;
        debug!("{} withdraws {} of {}", by.name(), Quoted(name), Quoted(sender));
        self.set_expiry();
        Ok(slot)
    }

    /// A value was withdrawn, and everybody was told: so is the app that asked for it.
    pub fn forgot(&mut self, peer: &mut Peer, token: u64) {
        self.answer_forget(peer, token, Status::Ok, "");
    }

    fn answer_forget(&mut self, peer: &mut Peer, token: u64, status: Status, text: &str) {
        self.send(peer, &Control::Forgotten { token, status: status.code(), text });
        self.hold_back_if_full(peer);
    }
}

impl Intake {
    /// The value of a key, if it has one: where it is, and its kind.
    pub(super) fn held_value(&self, sender: &str, name: &str) -> Option<(Slot, Kind)> {
        let slot = self.table.find_at(sender, name)?;
        let entry = self.table.get(slot).filter(|entry| !entry.is_cleared())?;
        Some((slot, entry.value_kind()?))
    }

    /// Puts a tombstone with a stamp of the hub in the place of a value whose sender has departed, or is this program behind
    /// a gateway.
    fn forget(&mut self, now: Now, by: &Profile, sender: &str, name: &str) -> Result<Slot, Refused> {
        let refused = |status, why: &str| (status, format!("{} of {} {why}", Quoted(name), Quoted(sender)));
        let Some((slot, kind)) = self.held_value(sender, name) else {
            return Err(refused(Status::NotFound, "is not held by the hub"));
        };
        if self.table.speaker(slot).is_some_and(|speaker| by.gateway().is_none() || speaker != by.conn) {
            return Err(refused(Status::State, "is not withdrawn: its sender is connected, clear it there"));
        }
        self.bury(now, sender, name, kind).map_err(|why| match why {
            Refusal::Stale => refused(Status::Range, "is not withdrawn: its stamp is the last that there is"),
            Refusal::Full => refused(Status::Full, "is not withdrawn: the hub's table is full"),
            Refusal::NoMemory => refused(Status::NoMemory, "is not withdrawn: the hub has no memory"),
        })
    }

    /// Puts a tombstone with a stamp of the hub in the place of a value of this kind.
    pub(super) fn bury(&mut self, now: Now, sender: &str, name: &str, kind: Kind) -> Result<Slot, Refusal> {
        let stamp = self.stamp(now);
        let meta = Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() };
        let (mut body, data) = (Vec::new(), Value::Int(kind.code().into()));
        let meta_at = wire::encode_value(&mut body, Form::V1, sender, name, data, &meta);
        let (kind, mono) = (Kind::Cleared, now.mono);
        let offer = Offer {
            body: &body,
            shared: None,
            meta_at,
            sender: sender.as_bytes(),
            name: name.as_bytes(),
            kind,
            stamp,
            origin: None,
            mono,
        };
        self.table.offer_by_another(offer)
    }
}
