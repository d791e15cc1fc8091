//! What an app tells its program beside states.

use crate::numbered::numbered;
use crate::wire::Kind;
use crate::Status;

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
