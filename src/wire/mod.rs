//! Message bodies: MessagePack to values and back, strictly checked in one pass and without allocation.
//!
//! A body is `[sender, name, data]`, on a v1 link with a fourth element `meta`. [`decode`] and [`encode`] are the two
//! directions; [`check`], [`text`], [`number`] and their like read the value in the middle; [`Control`] is what an app
//! and its hub say to each other under names that begin with [`RESERVED`]. Nothing here does input or output.

mod body;
mod control;
mod features;
mod json;
mod meta;
mod presence;
mod secret;
mod stats;
mod texts;
mod time;
mod token;
mod value;

pub(crate) use body::str_head_len;
pub use body::{
    check_identity, check_name, decode, decode_start, encode, encode_apart, encode_head, encode_value, max_head_len,
    Body, Form, Malformed, RESERVED,
};
pub use control::{Control, WillMessage, HUB_SENDER};
pub use features::{Features, HelloFlags};
pub(crate) use json::json_text;
pub use json::{from_msgpack, to_msgpack};
pub use meta::{with_flags, with_lifetime, with_stamp, Instance, Meta, Stamp};
pub use presence::{PeerState, Presence};
pub use secret::{check_token, Digest, Hidden, Secret};
pub use stats::{HubStats, PeerStats, StatsDraft, StatsPart};
pub use texts::Texts;
pub use time::Time;
pub use value::{bool_, bytes, check, ext, number, payload, skip, text, Kind, Number, Value, ACCEPT_ANY};
