//! Which entries a peer is sent.

use super::super::gateway::{self, Gateway, Role};
use super::super::table::Entry;
use super::super::ConnId;
use super::config::RouterConfig;
use super::queries::Takes;
use crate::wire::Instance;

/// What decides which entries a peer is sent.
pub struct Profile {
    pub conn: ConnId,
    pub old: bool,
    pub identity: Box<str>,
    pub instance: Instance,
    pub accept: u32,
    pub echo: bool,
    pub gateway: Option<Gateway>,
    /// Of a gateway: whether it is one peer for many programs, and speaks in notes.
    pub notes: bool,
    /// Whether there is somebody to send to.
    pub listens: bool,
}

pub enum Verdict {
    Send,
    /// It came from there, or nobody listens.
    Skip,
    /// Of a kind that it does not take, or too large for it.
    Withhold,
}

impl Profile {
    pub fn verdict(&self, config: &RouterConfig, entry: &Entry) -> Verdict {
        if !self.listens {
            return Verdict::Skip;
        }
        // Anybody may claim this instance, which is no secret: only under this identity it says who made the value.
        let stamped_here = || !self.old && entry.stamp().instance == self.instance && entry.is_from(&self.identity);
        let own = entry.origin() == Some(self.conn) || stamped_here();
        if own && !config.echo && !self.echo {
            return Verdict::Skip;
        }
        let takes = if self.old {
            self.takes_as_old(config, entry) == Takes::Yes
        } else {
            // An app has to know of the values of an earlier run under its identity, to make newer ones.
            entry.kind().mask() & self.accept != 0 || entry.is_from(&self.identity)
        };
        if takes {
            Verdict::Send
        } else {
            Verdict::Withhold
        }
    }

    pub fn takes_as_old(&self, config: &RouterConfig, entry: &Entry) -> Takes {
        let structured = config.legacy_structured || self.gateway.is_some_and(|gateway| gateway.structured);
        if !entry.kind().is_plain() && !structured {
            Takes::NotKind
        } else if self.len_as_old(entry) <= config.legacy_max {
            Takes::Yes
        } else {
            Takes::TooLarge(config.legacy_max)
        }
    }

    /// How long a message with this entry is.
    pub fn len_as_old(&self, entry: &Entry) -> usize {
        let prefix = match self.gateway {
            Some(Gateway { role: Role::Pub, .. }) => gateway::prefix_len(entry.name()),
            _ => 0,
        };
        prefix + entry.meta_at()
    }
}
