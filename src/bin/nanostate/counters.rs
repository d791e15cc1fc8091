//! What a hub counts, in words.

/// What was not passed on, or not taken: the counter, and what it says of so many states.
const NOT_PASSED_ON: [(&str, &str); 14] = [
    ("conflated", "conflated"),
    ("withheld_unaccepted", "of kinds that the receiver does not accept"),
    ("withheld_structured", "of kinds withheld from old programs"),
    ("withheld_large", "too large for old programs"),
    ("withheld_cleared", "withdrawn, which the receiver cannot be told"),
    ("refused_full", "refused for lack of room"),
    ("refused_memory", "refused for lack of memory"),
    ("refused_rights", "refused because their sender may only read"),
    ("stale", "not newer than the one held"),
    ("ahead", "with a stamp too far in the future"),
    ("malformed", "malformed"),
    ("too_large", "over the limit"),
    ("reserved", "with a reserved name"),
    ("foreign_sender", "with a foreign sender"),
];

/// What of these counters says why something was not passed on: those that are not 0, in words.
pub fn not_passed_on(numbers: impl Iterator<Item = (&'static str, u64)>) -> String {
    let counted: Vec<_> = numbers.filter(|(_, number)| *number > 0).collect();
    let said = NOT_PASSED_ON.iter().filter_map(|(name, words)| {
        let (_, number) = counted.iter().find(|(counter, _)| counter == name)?;
        Some(format!("{number} {words}"))
    });
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use nanostate::{HubStats, PeerStats};

    use super::*;

    #[test]
    fn only_what_happened_is_said() {
        assert_eq!(not_passed_on(HubStats::default().numbers()), "");
        let mut stats = PeerStats::default();
        (stats.conflated, stats.withheld, stats.withheld_unaccepted) = (3, 1, 1);
        assert_eq!(not_passed_on(stats.numbers()), "3 conflated, 1 of kinds that the receiver does not accept");
    }

    #[test]
    fn each_counter_of_what_was_not_passed_on_has_words() {
        let others = [
            "uptime_ms",
            "connected_ms",
            "connection",
            "peers",
            "old_peers",
            "joined",
            "refused_peers",
            "states",
            "table_bytes",
            "unfinished_bytes",
            "outbox_bytes",
            "memory_bytes",
            "messages_in",
            "bytes_in",
            "messages_out",
            "bytes_out",
            "stored",
            "store_failed",
            "max_peers",
            "max_states",
            "max_table_bytes",
            "max_memory_bytes",
            "departed_senders",
            // Said by their reasons.
            "withheld",
            "refused",
        ];
        let (hub, peer) = (HubStats::default(), PeerStats::default());
        for (name, _) in hub.numbers().chain(peer.numbers()) {
            let said = NOT_PASSED_ON.iter().any(|(counter, _)| *counter == name);
            assert!(said != others.contains(&name), "{name}");
        }
        for (name, _) in NOT_PASSED_ON {
            let is_in =
                |mut numbers: Box<dyn Iterator<Item = (&'static str, u64)>>| numbers.any(|(other, _)| other == name);
            assert!(is_in(Box::new(hub.numbers())) && is_in(Box::new(peer.numbers())), "{name}");
        }
    }
}
