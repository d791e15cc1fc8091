//! What an app tells its program beside states, and its operator.

use std::collections::VecDeque;
use std::mem;

use log::debug;

use super::super::table::Entry;
use super::others::{Peer, PresenceEvent};
use super::stats::AppStats;
use crate::numbered::numbered;
use crate::visible::{one_line, Quoted};
use crate::wire::{Kind, Malformed};
use crate::{Error, Status};

/// How many notices wait at most; the oldest goes.
const MAX_NOTICES: usize = 1024;

numbered! {
    /// Where the link to the hub stands. The numbers are those of the C API.
    pub enum LinkState {
        /// Not asked to connect.
        Idle = 0, "idle";
        /// Connecting, or waiting to try again.
        Connecting = 1, "connecting";
        /// The hub has welcomed this app.
        Connected = 2, "connected";
        /// The hub refused this app, which tries again.
        Refused = 3, "refused";
    }
}

/// What a session tells its program beside states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The link changed.
    Link {
        /// To this.
        link: LinkState,
        /// Why; [`Status::Ok`] when it is as asked.
        why: Status,
        /// Why in words; the address when connected.
        text: String,
    },
    /// Everything that the hub held has come.
    Synced,
    /// This happened to another app.
    Presence(PresenceEvent, Peer),
    /// Values of this sender, or of all, may be stale now, or no longer.
    Stale(Option<String>),
    /// A state of a kind that is not accepted.
    Reject {
        /// Its sender.
        sender: String,
        /// Its name.
        name: String,
        /// Its kind.
        kind: Kind,
    },
}

/// What waits to be told, what was told already, and what is counted.
#[derive(Default)]
pub struct Reports {
    /// Counters, without those that other parts have.
    pub stats: AppStats,
    notices: VecDeque<Notice>,
    /// Whether changes of the link give a [`Notice::Link`].
    pub tells_links: bool,
    /// The refusal that the program has not been told of.
    refusal: Option<Error>,
    /// Why the last attempt to connect failed.
    pub last_failure: Option<Error>,
    /// Why there is no link, as far as the program was told.
    told_failure: String,
    warnings: VecDeque<String>,
    /// Whether it was said that a value was withheld from the hub of this link.
    pub warned_withheld: bool,
    warned_no_memory: bool,
    warned_dropped: bool,
    warned_will: bool,
}

impl Reports {
    /// The next notice.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The refusal that the program has not been told of.
    pub fn take_refusal(&mut self) -> Option<Error> {
        self.refusal.take()
    }

    /// The program is to be told of this refusal, unless there is a newer one.
    pub fn keep_refusal(&mut self, refusal: Error) {
        self.refusal.get_or_insert(refusal);
    }

    /// Whether a notice or a refusal waits.
    pub fn has_notice(&self) -> bool {
        !self.notices.is_empty() || self.refusal.is_some()
    }

    /// The next thing that the operator should know.
    pub fn next_warning(&mut self) -> Option<String> {
        self.warnings.pop_front()
    }

    /// Has the program told.
    pub fn notice(&mut self, notice: Notice) {
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// Has the program told that the link is in this state now, if it hears of that.
    pub fn notice_link(&mut self, link: LinkState, why: Status, text: String) {
        if self.tells_links {
            self.notice(Notice::Link { link, why, text });
        }
    }

    /// Queues warnings for the log.
    pub fn warn(&mut self, text: impl IntoIterator<Item = String>) {
        self.warnings.extend(text);
    }

    /// Something large was left out for lack of memory. The first is a warning.
    pub fn no_memory(&mut self, identity: &str, what: &str) {
        debug!("{}: {what}: {}", one_line(identity), Status::NoMemory.text());
        if !mem::replace(&mut self.warned_no_memory, true) {
            self.warnings.push_back(format!("{what}: {}", Status::NoMemory.text()));
        }
    }

    /// A value of this size was published.
    #[inline]
    pub fn sent(&mut self, len: usize) {
        self.stats.sent += 1;
        self.stats.sent_bytes += len as u64;
    }

    /// The hub sent something malformed. The first is a warning.
    pub fn malformed(&mut self, reason: Malformed) {
        self.stats.malformed += 1;
        if self.stats.malformed == 1 {
            self.warn([format!("malformed message: {reason}")]);
        }
    }

    /// The hub sent a message that is over the limit. The first is a warning.
    pub fn too_large(&mut self, len: u64) {
        self.stats.too_large += 1;
        if self.stats.too_large == 1 {
            self.warn([format!("message of {len} bytes dropped: over the limit")]);
        }
    }

    /// Newest values that the program has not taken were dropped, while those that are left have this many bytes. The
    /// first is a warning.
    #[cold]
    pub fn dropped(&mut self, waiting: usize) {
        if !mem::replace(&mut self.warned_dropped, true) {
            self.warn([format!("received states dropped: the program has not taken {waiting} bytes of newest values")]);
        }
    }

    /// The hub did not take an own value. The first is a warning.
    pub fn not_taken(&mut self, identity: &str, name: &str, why: Status) {
        self.stats.refused += 1;
        let text = format!("{} was not taken by the hub: {}", Quoted(name), why.text());
        debug!("{}: {text}", one_line(identity));
        if self.stats.refused == 1 {
            self.warn([text]);
        }
    }

    /// The hub did not take a will, or cannot have it.
    pub fn will_not_taken(&mut self, identity: &str, name: &str, why: Status) {
        let text = format!("the will for {} was not taken by the hub: {}", Quoted(name), why.text());
        debug!("{}: {text}", one_line(identity));
        if !mem::replace(&mut self.warned_will, true) {
            self.warn([text]);
        }
    }

    /// An own value is withheld from the hub. The first of a link is a warning.
    pub fn withheld(&mut self, entry: &Entry) {
        self.stats.withheld += 1;
        if !mem::replace(&mut self.warned_withheld, true) {
            let (name, kind, len) = (Quoted(entry.name()), entry.kind().name(), entry.meta_at());
            self.warnings.push_back(format!("{name} ({kind}, {len} bytes) withheld: the hub does not accept it"));
        }
    }

    /// Whether this reason why there is no link is a new one. Each is reported once, and not with every attempt.
    pub fn is_news(&mut self, reason: &str) -> bool {
        let news = self.told_failure != reason;
        if news {
            reason.clone_into(&mut self.told_failure);
        }
        news
    }

    /// The hub refused the app for a reason that was not told yet.
    pub fn refused(&mut self, error: Error) {
        self.warnings.push_back(format!("refused: {error}"));
        self.refusal = Some(error);
    }

    /// A refusal that was not told need not be told any more.
    pub fn forget_refusal(&mut self) {
        self.refusal = None;
    }

    /// What failed before does not matter any more.
    pub fn forget_failures(&mut self) {
        self.refusal = None;
        self.last_failure = None;
        self.told_failure.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_bounded_and_the_oldest_goes() {
        let mut reports = Reports { tells_links: true, ..Reports::default() };
        for i in 0..=MAX_NOTICES {
            reports.notice_link(LinkState::Connecting, Status::Ok, i.to_string());
        }
        let text = |notice| match notice {
            Some(Notice::Link { text, .. }) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(reports.next_notice()), "1");
        assert_eq!(std::iter::from_fn(|| reports.next_notice()).count(), MAX_NOTICES - 1);
        reports.tells_links = false;
        reports.notice_link(LinkState::Idle, Status::Ok, String::new());
        assert!(!reports.has_notice());
    }

    #[test]
    fn the_first_of_many_like_it_is_told_and_each_is_counted() {
        let mut reports = Reports::default();
        for len in [7, 8] {
            reports.sent(len as usize);
            reports.malformed(Malformed::Name);
            reports.too_large(len);
            reports.dropped(100 * len as usize);
            reports.not_taken("a", "x", Status::Full);
        }
        let AppStats { sent, sent_bytes, malformed, too_large, refused, .. } = reports.stats;
        assert_eq!((sent, sent_bytes, malformed, too_large, refused), (2, 15, 2, 2, 2));
        let told: Vec<_> = std::iter::from_fn(|| reports.next_warning()).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[1].contains("7 bytes") && told[2].contains("700 bytes") && told[3].contains("\"x\""), "{told:?}");
    }

    #[test]
    fn a_reason_is_news_until_it_is_told_or_another_came() {
        let mut reports = Reports::default();
        assert!(reports.is_news("a") && !reports.is_news("a") && reports.is_news("b") && reports.is_news("a"));
        reports.forget_failures();
        assert!(reports.is_news("a"));
    }

    #[test]
    fn a_refusal_that_was_given_back_gives_way_to_a_newer_one() {
        let mut reports = Reports::default();
        reports.refused(Status::Full.into());
        let first = reports.take_refusal().expect("a refusal");
        reports.refused(Status::Refused.into());
        reports.keep_refusal(first);
        assert_eq!(reports.take_refusal().map(|error| error.status()), Some(Status::Refused));
        assert!(!reports.has_notice());
    }
}
