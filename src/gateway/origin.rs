//! Which pages a browser may connect from.

use std::net::IpAddr;

/// Whether the client that sends these headers may open a WebSocket: pages of other servers may not. `own` is the host
/// in the listener's URL, which may be a name.
///
/// Programs send no `Origin`; browsers always do. An attacker may make a name resolve to this machine, so that the
/// origin of its page matches the address that was dialled; such a page is recognised by its name.
///
/// # Errors
/// Why not.
pub fn check(origin: Option<&str>, host: Option<&str>, own: &str) -> Result<(), String> {
    let Some(origin) = origin else { return Ok(()) };
    let host = host.unwrap_or_default();
    if !origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host)) {
        return Err(format!("its page is from {origin:?}, not from this address"));
    }
    let name = without_port(host);
    let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    if literal || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(own) {
        return Ok(());
    }
    Err(format!("its page is from {name:?}, a name that somebody else may have given this machine"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address without a port ends with `]`.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_own_pages_may() {
        for (origin, host) in [
            (None, None),
            (None, Some("evil.example")),
            (Some("http://127.0.0.1:5000"), Some("127.0.0.1:5000")),
            (Some("http://[::1]:5000"), Some("[::1]:5000")),
            (Some("http://[::1]"), Some("[::1]")),
            (Some("http://LocalHost:5000"), Some("localhost:5000")),
            (Some("http://printer.lan:5000"), Some("printer.lan:5000")),
        ] {
            assert_eq!(check(origin, host, "printer.lan"), Ok(()), "{origin:?} {host:?}");
        }
    }

    #[test]
    fn other_pages_may_not() {
        for (origin, host) in [
            (Some("http://evil.example"), Some("127.0.0.1:5000")),
            (Some("http://127.0.0.1:5001"), Some("127.0.0.1:5000")),
            (Some("https://127.0.0.1:5000"), Some("127.0.0.1:5000")),
            (Some("null"), Some("127.0.0.1:5000")),
            (Some(""), None),
            (Some("http://127.0.0.1:5000"), None),
            // Its name resolves to this machine.
            (Some("http://evil.example:5000"), Some("evil.example:5000")),
            (Some("http://"), Some("")),
        ] {
            assert!(check(origin, host, "printer.lan").is_err(), "{origin:?} {host:?}");
        }
    }
}
