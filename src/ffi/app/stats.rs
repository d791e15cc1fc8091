//! The counters of an app.

use super::super::counters::counters;
use super::super::{ns_status, status, OutStruct};
use super::{handle_of, ns_app};
use crate::AppStats;

/// Counters of an app since ns_app_new. Later versions append fields.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ns_app_stats_t {
    /// Own values that a send took.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// States received and accepted.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Own values replaced by newer ones before they were written.
    pub conflated_out: u64,
    /// Received values replaced by newer ones before the program took them.
    pub conflated_in: u64,
    /// Received values dropped: newest ones, beyond all that the app keeps.
    pub dropped_in: u64,
    /// Received values of a kind that is not accepted.
    pub rejected: u64,
    /// Received values that were there already, or are older than an own one.
    pub stale: u64,
    /// Own values that came back from an old hub.
    pub echoes: u64,
    /// Own values that the hub did not take.
    pub refused: u64,
    /// Own values under a shared identity (NS_OPT_SHARED) that gave way to a newer one of another app.
    pub superseded: u64,
    /// Own values withheld from an old hub, or larger than the hub takes.
    pub withheld: u64,
    /// Malformed messages received.
    pub malformed: u64,
    /// Messages received over the limit, or larger than there was memory for.
    pub too_large: u64,
    /// Links that were established.
    pub connects: u64,
    /// Now: bytes of own values.
    pub own_bytes: u64,
    /// Now: states that wait to be taken.
    pub queued: u64,
    /// Now: their bytes.
    pub queued_bytes: u64,
}

counters!(AppStats as ns_app_stats_t {
    sent, sent_bytes, received, received_bytes, conflated_out, conflated_in, dropped_in, rejected, stale,
    echoes, refused, superseded, withheld, malformed, too_large, connects, own_bytes, queued, queued_bytes;
});

/// Reads the counters. `size` is sizeof *out: fields that the library does not know are 0, and so are
/// all on failure.
///
/// Does not block. Any thread.
///
/// - NS_ERR_INVALID: `app` or `out` is NULL, or `size` is 0
#[no_mangle]
pub unsafe extern "C" fn ns_app_stats(app: *const ns_app, out: *mut ns_app_stats_t, size: usize) -> ns_status {
    status(|| {
        // SAFETY: the arguments are as the header demands; the struct has only fields of one size.
        let out = unsafe { OutStruct::new(out, size) }?;
        // SAFETY: as above.
        out.put(&unsafe { handle_of(app) }?.app.stats().into());
        Ok(())
    })
}
