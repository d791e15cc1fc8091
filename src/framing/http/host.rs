//! Which hosts and origins are who they say they are.

use std::net::{IpAddr, Ipv6Addr};

/// `host`, or `host:port`, in two.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            (authority.get(..end)?, authority.get(end..)?)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().map(|port| (host, Some(port)))
        }
        _ => None,
    }
}

/// The address that stands in the place of a host's name.
fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// Whether nobody else can make this name lead here: an address, `localhost`, or `own`. Any other name in a `Host` field
/// may be one that a page's own server had a browser resolve to this machine (DNS rebinding).
pub fn is_trusted(authority: &str, own: Option<&str>) -> bool {
    split_port(authority).is_some_and(|(host, _)| {
        literal(host).is_some()
            || host.eq_ignore_ascii_case("localhost")
            || own.is_some_and(|own| host.eq_ignore_ascii_case(own))
    })
}

/// Whether a page of this origin was loaded from this machine.
pub fn is_local(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.and_then(split_port).is_some_and(|(host, _)| {
        host.eq_ignore_ascii_case("localhost") || literal(host).is_some_and(|address| address.is_loopback())
    })
}

/// An origin as browsers write it: `http://host`, or with a port that is not the usual one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_origin(text: &str) -> Result<String, &'static str> {
    let (scheme, authority) = text.split_once("://").ok_or("an origin begins with http:// or https://")?;
    let scheme = scheme.to_ascii_lowercase();
    let usual = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err("an origin begins with http:// or https://"),
    };
    let authority = authority.to_ascii_lowercase();
    let (host, port) = split_port(&authority).filter(|(host, _)| !host.is_empty()).ok_or("its port is not a number")?;
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.[]:".contains(&b)) {
        return Err("an origin is a scheme, a host and a port, and nothing behind them");
    }
    Ok(match port {
        Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_trusted_if_nobody_else_can_make_it_lead_here() {
        for host in ["127.0.0.1", "127.0.0.1:15001", "192.168.1.7:80", "[::1]", "[::1]:5", "localhost", "LOCALHOST:5"] {
            assert!(is_trusted(host, None), "{host}");
        }
        for host in
            ["evil.test", "evil.test:15001", "localhost.evil.test", "127.0.0.1.evil.test", "::1", "[::1", "a]:1"]
        {
            assert!(!is_trusted(host, None) && !is_trusted(host, Some("workshop.lan")), "{host}");
        }
        for host in ["", "localhost:", "localhost:x", "localhost:1:2", "localhost:99999", "[::1]x", "1.2.3.4@x"] {
            assert!(!is_trusted(host, None), "{host}");
        }
        assert!(is_trusted("Workshop.lan:9", Some("workshop.lan")));
    }

    #[test]
    fn a_page_is_local_if_its_origin_is_literally_so() {
        for origin in [
            "http://localhost",
            "https://localhost:8443",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:3000",
        ] {
            assert!(is_local(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost.evil.test",
            "http://127.0.0.1.evil.test",
            "http://192.168.1.7",
            "file://",
            "ftp://localhost",
            "http://localhost/",
            "chrome-extension://localhost",
            "http://evil.test@localhost",
        ] {
            assert!(!is_local(origin), "{origin}");
        }
    }

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, origin) in [
            ("https://Example.org", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(read_origin(text).as_deref(), Ok(origin));
        }
        for text in
            ["", "null", "*", "example.org", "ftp://example.org", "http://", "http://a/", "http://a:x", "http://a b"]
        {
            assert!(read_origin(text).is_err(), "{text}");
        }
    }
}
