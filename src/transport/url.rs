//! Where to connect or listen: `tcp://host:port`, `ws://host:port/path`, `ipc:///path`, `inproc://name`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::{Error, Result, Status};

/// The host of a URL.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    /// `*`: every interface; for listening only.
    Any,
    /// `127.0.0.1`.
    V4(Ipv4Addr),
    /// `[::1]`.
    V6(Ipv6Addr),
    /// A name to be resolved, or an IPv6 literal with a zone.
    Name(String),
}

/// One address, as its URL says it. [`Display`](fmt::Display) gives the URL back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// `tcp://host:port`
    Tcp {
        /// Where.
        host: Host,
        /// 0: any free port; for listening only.
        port: u16,
        /// `tls+tcp://`.
        tls: bool,
    },
    /// `ws://host:port/path`
    Ws {
        /// Where.
        host: Host,
        /// 0: any free port; for listening only. 80, or 443 with TLS, where the URL has none.
        port: u16,
        /// `wss://`.
        tls: bool,
        /// The path, from its `/` on.
        path: String,
    },
    /// `ipc:///path`, or `ipc://path` below the working directory.
    Ipc(String),
    /// `ipc://@name`: a Unix socket without a file (Linux).
    Abstract(String),
    /// `inproc://name`: inside this process.
    Inproc(String),
}

impl Address {
    /// Reads a URL. [`Status::Url`] if it is malformed, [`Status::Unsupported`] if this version or platform lacks its
    /// scheme.
    pub fn parse(url: &str) -> Result<Address> {
        /// The schemes that this version has.
        const KNOWN: &[&str] = &["tcp", "ipc", "inproc", "ws", "tls+tcp", "wss"];
        let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed(url, "`scheme://` is missing"))?;
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "tcp" => tcp(url, rest, false),
            "ws" => ws(url, rest, false),
            "tls+tcp" => tcp(url, rest, true).and_then(|address| with_tls(url, address)),
            "wss" => ws(url, rest, true).and_then(|address| with_tls(url, address)),
            "ipc" => ipc(url, rest),
            "inproc" if rest.is_empty() => Err(malformed(url, "the name is missing")),
            "inproc" => Ok(Address::Inproc(rest.to_owned())),
            _ => Err(unknown_scheme(url, &scheme, KNOWN)),
        }
    }

    /// Whether a program can dial what a listener here prints; [`Status::Url`] if its URL would be read as several.
    pub fn check_listen(&self) -> Result<()> {
        let url = self.to_string();
        if split(&url).ne([url.as_str()]) {
            return Err(malformed(
                &url,
                "no program could connect to it: in a list of addresses, its comma would start another one",
            ));
        }
        Ok(())
    }

    /// The address, valid in any working directory. A path that would be too long for a socket stays relative.
    pub fn absolute(self) -> Address {
        let Address::Ipc(path) = &self else { return self };
        match std::path::absolute(path) {
            Ok(whole) if whole.as_os_str().len() < sun_path() => match whole.into_os_string().into_string() {
                Ok(whole) => Address::Ipc(whole),
                Err(_) => self,
            },
            _ => self,
        }
    }

    /// Whether it can be dialled; [`Status::Url`] for `*` and port 0.
    pub fn check_dial(&self) -> Result<()> {
        match self {
            Address::Tcp { host: Host::Any, .. } | Address::Ws { host: Host::Any, .. } => {
                Err(malformed(&self.to_string(), "`*` is for listening only"))
            }
            Address::Tcp { port: 0, .. } | Address::Ws { port: 0, .. } => {
                Err(malformed(&self.to_string(), "port 0 is for listening only"))
            }
            _ => Ok(()),
        }
    }

    /// The scheme of its URL.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Address::Tcp { tls: false, .. } => "tcp",
            Address::Tcp { tls: true, .. } => "tls+tcp",
            Address::Ws { tls: false, .. } => "ws",
            Address::Ws { tls: true, .. } => "wss",
            Address::Ipc(_) | Address::Abstract(_) => "ipc",
            Address::Inproc(_) => "inproc",
        }
    }

    /// Whether TLS is spoken there.
    pub const fn is_tls(&self) -> bool {
        matches!(self, Address::Tcp { tls: true, .. } | Address::Ws { tls: true, .. })
    }

    /// Whether only programs of this machine can be at the other end: it has no host, or a loopback one.
    pub fn is_local(&self) -> bool {
        match self.host() {
            None => true,
            Some((Host::V4(ip), _)) => ip.is_loopback(),
            Some((Host::V6(ip), _)) => ip.is_loopback(),
            Some((Host::Name(name), _)) => name.eq_ignore_ascii_case("localhost"),
            Some((Host::Any, _)) => false,
        }
    }

    /// Host and port, of those that have them.
    pub fn host(&self) -> Option<(&Host, u16)> {
        match self {
            Address::Tcp { host, port, .. } | Address::Ws { host, port, .. } => Some((host, *port)),
            Address::Ipc(_) | Address::Abstract(_) | Address::Inproc(_) => None,
        }
    }

    /// The same address with another host and port, if it has them.
    pub(crate) fn at(mut self, to: Host, number: u16) -> Address {
        if let Address::Tcp { host, port, .. } | Address::Ws { host, port, .. } = &mut self {
            (*host, *port) = (to, number);
        }
        self
    }
}

/// An address with TLS, in a build that has it.
fn with_tls(url: &str, address: Address) -> Result<Address> {
    if cfg!(feature = "tls") {
        Ok(address)
    } else {
        Err(unsupported(url, "not in a build without the feature `tls`"))
    }
}

/// The error of a URL that is not supported.
pub(crate) fn unsupported(url: &str, why: &str) -> Error {
    Error::new(Status::Unsupported, format!("{}: {url}: {why}", Status::Unsupported.text()))
}

/// The error of a URL whose scheme is none of `known`.
pub(crate) fn unknown_scheme(url: &str, scheme: &str, known: &[&str]) -> Error {
    malformed(url, format!("the scheme {scheme:?} is unknown; known are {}", known.join(", ")))
}

/// The error of a URL.
pub(crate) fn malformed(url: &str, why: impl fmt::Display) -> Error {
    Error::new(Status::Url, format!("{}: {url}: {why}", Status::Url.text()))
}

/// If this is an IPv6 address without its brackets, the correct form.
fn bracketed(rest: &str) -> Option<String> {
    let is_v6 = |host: &str| host.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    match rest.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && !port.is_empty() => Some(format!("[{host}]:{port}")),
        _ if is_v6(rest) => Some(format!("[{rest}]:PORT")),
        _ => None,
    }
}

fn tcp(url: &str, rest: &str, tls: bool) -> Result<Address> {
    let (host, port) = authority(url, rest, None)?;
    Ok(Address::Tcp { host, port, tls })
}

fn ws(url: &str, rest: &str, tls: bool) -> Result<Address> {
    let (at, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'<' | b'>' | b'\\');
    if !path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(malformed(url, format!("{path:?} is not a path")));
    }
    let (host, port) = authority(url, at, Some(if tls { 443 } else { 80 }))?;
    Ok(Address::Ws { host, port, tls, path: path.to_owned() })
}

/// `host:port`, or `host` if there is a port that is meant then.
fn authority(url: &str, rest: &str, default: Option<u16>) -> Result<(Host, u16)> {
    if let Some(right) = bracketed(rest) {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        return Err(malformed(url, format!("an IPv6 address must be in brackets: {scheme}://{right}")));
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| malformed(url, "`]` is missing"))?;
            let host = match (host.parse(), host.split_once('%')) {
                (Ok(ip), _) => Host::V6(ip),
                (_, Some((ip, zone))) if ip.parse::<Ipv6Addr>().is_ok() && is_zone(zone) => Host::Name(host.to_owned()),
                _ => return Err(malformed(url, format!("{host:?} is not an IPv6 address"))),
            };
            let port = match after.strip_prefix(':') {
                None if !after.is_empty() => return Err(malformed(url, format!("{after:?} is not a port"))),
                port => port,
            };
            (host, port)
        }
        None => {
            let (host, port) = match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            };
            let host = match host {
                "" => return Err(malformed(url, "the host is missing")),
                "*" => Host::Any,
                _ => match host.parse() {
                    Ok(ip) => Host::V4(ip),
                    Err(_) if is_name(host) => Host::Name(host.to_owned()),
                    Err(_) => return Err(malformed(url, format!("{host:?} is not a host"))),
                },
            };
            (host, port)
        }
    };
    match (port, default) {
        (None, Some(port)) => Ok((host, port)),
        (None | Some(""), _) => Err(malformed(url, "the port is missing")),
        // `parse` alone would take a sign.
        (Some(port), _) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() => {
            Ok((host, port.parse().unwrap_or_default()))
        }
        (Some(port), _) => Err(malformed(url, format!("the port {port:?} is not a number from 0 to 65535"))),
    }
}

/// The URLs of a comma-separated list. A comma that no URL follows is part of the path or name that contains it.
pub(crate) fn split(urls: &str) -> impl Iterator<Item = &str> {
    let begins_url = |text: &str| {
        let scheme = text.trim_start().split_once("://").map_or("", |(scheme, _)| scheme);
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    let mut rest = Some(urls);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let comma = text.match_indices(',').map(|(at, _)| at).find(|at| begins_url(&text[at + 1..]));
        let (url, after) = match comma {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(url.trim())
    })
}

/// An interface of the system, by its name or its number.
fn is_zone(zone: &str) -> bool {
    !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'/' | b'[' | b','))
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        // Digits and dots that are not an IPv4 address; a resolver would interpret them in its own way.
        && !host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The longest path of a Unix socket, with the NUL behind it.
fn sun_path() -> usize {
    // SAFETY: a sockaddr_un is plain data, for which all zeros is a value.
    let empty: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    empty.sun_path.len()
}

fn ipc(url: &str, path: &str) -> Result<Address> {
    if path.bytes().any(|b| b == 0) {
        return Err(malformed(&url.replace('\0', "\\0"), "a NUL is not allowed"));
    }
    let most = sun_path() - 1;
    let (name, address) = match path.strip_prefix('@') {
        Some(name) => (name, Address::Abstract(name.to_owned())),
        None => (path, Address::Ipc(path.to_owned())),
    };
    match &address {
        _ if name.is_empty() => Err(malformed(url, "the path is missing")),
        _ if path.len() > most => Err(malformed(url, format!("the path has {} bytes, at most {most}", path.len()))),
        Address::Abstract(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
            Err(unsupported(url, "abstract sockets exist only on Linux"))
        }
        _ => Ok(address),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::V4(ip) => ip.fmt(f),
            Host::V6(ip) => write!(f, "[{ip}]"),
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port, .. } => write!(f, "{}://{host}:{port}", self.scheme()),
            Address::Ws { host, port, path, .. } => write!(f, "{}://{host}:{port}{path}", self.scheme()),
            Address::Ipc(path) => write!(f, "ipc://{path}"),
            Address::Abstract(name) => write!(f, "ipc://@{name}"),
            Address::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(url: &str) -> Result<Address> {
        Address::parse(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_given_back_as_it_was_written() {
        for url in [
            "tcp://127.0.0.1:15000",
            "tcp://*:0",
            #[cfg(feature = "tls")]
            "tls+tcp://hub.example:15443",
            #[cfg(feature = "tls")]
            "wss://hub.example:15001/ws",
            "tcp://[::1]:15000",
            "tcp://[fe80::1%eth0]:7",
            "tcp://[fe80::1%3]:7",
            "tcp://[fe80::1%br-lan.7]:7",
            "ipc:///tmp/a,b.sock",
            "tcp://a-host.example:65535",
            "ipc:///tmp/a.sock",
            "ipc://relative/a.sock",
            "inproc://any name",
            "ws://127.0.0.1:15001/ws",
            "ws://*:0/",
            "ws://[::1]:80/a/b,c",
        ] {
            assert_eq!(Address::parse(url).unwrap().to_string(), url);
        }
        for (url, whole) in [("ws://h", "ws://h:80/"), ("WS://h/x", "ws://h:80/x"), ("ws://[::1]:7", "ws://[::1]:7/")] {
            assert_eq!(Address::parse(url).unwrap().to_string(), whole);
        }
        match Address::parse("ipc://@abstract") {
            Ok(address) => assert_eq!(address.to_string(), "ipc://@abstract"),
            Err(error) => assert_eq!(error.status(), Status::Unsupported),
        }
    }

    #[test]
    fn a_malformed_url_is_refused_in_words_that_name_it() {
        let long = format!("ipc:///{}", "x".repeat(200));
        let too_long = format!("the path has 201 bytes, at most {}", sun_path() - 1);
        for (url, why) in [
            ("", "`scheme://` is missing"),
            ("localhost:15000", "`scheme://` is missing"),
            ("http://x", "the scheme \"http\" is unknown; known are tcp, ipc, inproc, ws, tls+tcp, wss"),
            ("tcp://::1:15000", "an IPv6 address must be in brackets: tcp://[::1]:15000"),
            ("tcp://fe80::1%eth0:7", "an IPv6 address must be in brackets: tcp://[fe80::1%eth0]:7"),
            ("tcp://fe80::", "an IPv6 address must be in brackets: tcp://[fe80::]:PORT"),
            ("tcp://localhost", "the port is missing"),
            ("tcp://localhost:", "the port is missing"),
            ("tcp://[::1]", "the port is missing"),
            ("tcp://:15000", "the host is missing"),
            ("tcp://[::1:5", "`]` is missing"),
            ("tcp://[::g]:5", "\"::g\" is not an IPv6 address"),
            ("tcp://a b:5", "\"a b\" is not a host"),
            ("tcp://1.2.3:5", "\"1.2.3\" is not a host"),
            ("tcp://h:+5", "the port \"+5\" is not a number from 0 to 65535"),
            ("tcp://h:65536", "the port \"65536\" is not a number from 0 to 65535"),
            ("tcp://h:1/", "the port \"1/\" is not a number from 0 to 65535"),
            ("ws://::1:5/x", "an IPv6 address must be in brackets: ws://[::1]:5"),
            ("ws://[::1]5/", "\"5\" is not a port"),
            ("ws://h:/", "the port is missing"),
            ("ws://:1/", "the host is missing"),
            ("ws://h:1/a b", "\"/a b\" is not a path"),
            ("ws://h:1/a?b", "\"/a?b\" is not a path"),
            ("ws://h:1?b", "\"?b\" is not a path"),
            ("ipc://", "the path is missing"),
            ("ipc://@", "the path is missing"),
            ("inproc://", "the name is missing"),
            (&long, &too_long),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.status(), Status::Url, "{url}");
            assert_eq!(error.to_string(), format!("malformed URL: {url}: {why}"));
        }
        assert_eq!(Address::parse("ipc:///a\0b").unwrap_err().status(), Status::Url);
    }

    #[test]
    fn a_relative_path_is_made_absolute_where_it_fits() {
        let absolute = |url: &str| Address::parse(url).unwrap().absolute().to_string();
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("ipc://run/hub"), format!("ipc://{}/run/hub", here.display()));
        let long = format!("ipc://{}", "x".repeat(sun_path() - 1));
        for url in ["ipc:///run/hub", "tcp://a:1", "inproc://run/hub", &long] {
            assert_eq!(absolute(url), url);
        }
    }
}
