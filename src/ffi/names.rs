//! Names for numbers, from the tables of the enums that they stand for.

use std::ffi::{c_char, c_int, CString};
use std::sync::OnceLock;

use super::{ns_kind, ns_link, ns_peer_event, ns_presence, ns_status};
use crate::wire::Malformed;
use crate::{Kind, LinkState, PeerEvent, PresenceEvent, Status};

/// NUL-terminated copies of static names, made when the first is asked for.
pub(super) struct Names(OnceLock<Vec<(i32, CString)>>);

impl Names {
    pub(super) const fn new() -> Names {
        Names(OnceLock::new())
    }

    /// The name of `number` in `all`, or `unknown`.
    pub(super) fn get<A>(&self, number: i32, all: impl FnOnce() -> A, unknown: &'static std::ffi::CStr) -> *const c_char
    where
        A: Iterator<Item = (i32, &'static str)>,
    {
        super::value(unknown.as_ptr(), || {
            let copies =
                self.0.get_or_init(|| all().map(|(n, name)| (n, CString::new(name).unwrap_or_default())).collect());
            let found = copies.iter().find(|(known, _)| *known == number);
            Ok(found.map_or(unknown.as_ptr(), |(_, name)| name.as_ptr()))
        })
    }
}

/// The name of a status, as C has it: "NS_ERR_TIMEOUT"; ns_strerror says what it means. "unknown" for a
/// number that is no status.
///
/// The text is static. Does not block, cannot fail; any thread. The same holds for the functions below.
#[no_mangle]
pub extern "C" fn ns_status_name(status: ns_status) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(status, || Status::ALL.iter().map(|status| (status.code(), status.name())), c"unknown")
}

/// The name of a kind: "text", "bytes", "nil", "bool", "int", "uint", "double", "array", "map", "ext",
/// as `nanostate watch --json` has them; or "unknown".
#[no_mangle]
pub extern "C" fn ns_kind_name(kind: ns_kind) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(kind, || Kind::ALL.iter().map(|kind| (*kind as i32, kind.name())), c"unknown")
}

/// The name of where a link stands: "idle", "connecting", "connected", "refused"; or "unknown".
#[no_mangle]
pub extern "C" fn ns_link_name(link: ns_link) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(link, || LinkState::ALL.iter().map(|link| (*link as i32, link.name())), c"unknown")
}

/// The name of what happened to another app: "here", "joined", "suspect", "recovered", "left", "lost";
/// or "unknown".
#[no_mangle]
pub extern "C" fn ns_presence_name(event: ns_presence) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(event, || PresenceEvent::ALL.iter().map(|event| (*event as i32, event.name())), c"unknown")
}

/// The name of what happened to a peer: "joined", "left", "refused"; or "unknown".
#[no_mangle]
pub extern "C" fn ns_peer_event_name(event: ns_peer_event) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(event, || PeerEvent::ALL.iter().map(|event| (*event as i32, event.name())), c"unknown")
}

/// The name of an NS_MALFORMED_ number, an index of malformed_by in ns_hub_stats_t: "not-array", as
/// docs/protocol.md has them; or "unknown".
#[no_mangle]
pub extern "C" fn ns_malformed_name(reason: c_int) -> *const c_char {
    static NAMES: Names = Names::new();
    NAMES.get(reason, || Malformed::ALL.iter().map(|reason| (reason.index() as i32, reason.id())), c"unknown")
}
