//! Where a hub listens for programs of the other scalability protocols: `pub+tcp://host:port?structured=1`.

use crate::engine::{Gateway, Role};
use crate::transport::{url, Address};
use crate::{Error, Result};

/// The query that also gives the other side structured and scalar states.
const STRUCTURED: &str = "structured";

/// The address of a gateway, as its URL says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayAddress {
    /// What it speaks.
    pub gateway: Gateway,
    /// Where: not in memory.
    pub place: Address,
}

impl GatewayAddress {
    /// Reads a URL. `None` if it is not that of a gateway. [`Status::Url`] if it is malformed, [`Status::Unsupported`]
    /// if this version or platform lacks its transport.
    pub fn parse(url: &str) -> Option<Result<GatewayAddress>> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (role, scheme) = Role::of_scheme(&scheme)?;
        Some(GatewayAddress::read(url, role, scheme, rest))
    }

    /// An error of listening there, with the URL as it was given.
    pub fn error(&self, url: &str, error: &Error) -> Error {
        told_of(url, &self.place.to_string(), error)
    }

    fn read(url: &str, role: Role, scheme: &str, rest: &str) -> Result<GatewayAddress> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let gateway = Gateway { role, structured: structured(url, query)? };
        // The schemes of `Address` but `inproc`, at which there is no program of another library.
        const KNOWN: &[&str] = &["tcp", "ipc", "ws", "tls+tcp", "wss"];
        if !KNOWN.contains(&scheme) {
            return Err(url::unknown_scheme(url, scheme, KNOWN));
        }
        let inner = format!("{scheme}://{rest}");
        let place = Address::parse(&inner).map_err(|error| told_of(url, &inner, &error))?;
        Ok(GatewayAddress { gateway, place })
    }
}

/// An error that names `inner`, changed so that it names the whole URL.
fn told_of(url: &str, inner: &str, error: &Error) -> Error {
    let text = error.to_string();
    let text = if text.contains(inner) { text.replacen(inner, url, 1) } else { format!("{text}: {url}") };
    Error::new(error.status(), text)
}

fn structured(url: &str, query: &str) -> Result<bool> {
    let mut structured = false;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match (key, value) {
            (STRUCTURED, "1") => structured = true,
            (STRUCTURED, "0") => structured = false,
            (STRUCTURED, _) => {
                return Err(url::malformed(url, format!("{STRUCTURED}={value:?} is neither 0 nor 1")));
            }
            _ => {
                return Err(url::malformed(
                    url,
                    format!("the option {key:?} is unknown; the only one is {STRUCTURED}=1"),
                ))
            }
        }
    }
    Ok(structured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    fn parse(url: &str) -> GatewayAddress {
        GatewayAddress::parse(url).expect("a gateway's").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_url_says_the_role_the_place_and_the_options() {
        for (url, role, structured, place) in [
            ("pub+tcp://127.0.0.1:5000", Role::Pub, false, "tcp://127.0.0.1:5000"),
            ("PULL+TCP://*:0?structured=1", Role::Pull, true, "tcp://*:0"),
            ("rep+ipc:///run/a b.sock?structured=0", Role::Rep, false, "ipc:///run/a b.sock"),
            #[cfg(feature = "tls")]
            ("pub+tls+tcp://*:5000", Role::Pub, false, "tls+tcp://*:5000"),
            ("respondent+ws://h", Role::Respondent, false, "ws://h:80/"),
            ("pub+ws://[::1]:80/states?structured=1", Role::Pub, true, "ws://[::1]:80/states"),
            ("pub+ws://localhost:80", Role::Pub, false, "ws://localhost:80/"),
            ("pub+ws://*:80/x", Role::Pub, false, "ws://*:80/x"),
        ] {
            let address = parse(url);
            assert_eq!(address.gateway, Gateway { role, structured }, "{url}");
            assert_eq!(address.place.to_string(), place, "{url}");
        }
    }

    #[test]
    fn other_urls_are_not_of_gateways() {
        for url in ["tcp://127.0.0.1:5000", "tls+tcp://h:1", "sub+tcp://h:1", "pub+tcp:/h:1", ""] {
            assert_eq!(GatewayAddress::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_malformed_one_is_refused_in_words_that_name_it() {
        for (url, why) in [
            ("pub+tcp://h", "the port is missing"),
            ("pub+tcp://h?structured=1", "the port is missing"),
            ("pub+ipc://", "the path is missing"),
            ("rep+inproc://a", "the scheme \"inproc\" is unknown; known are tcp, ipc, ws, tls+tcp, wss"),
            ("pub+ws://h:x/", "the port \"x\" is not a number from 0 to 65535"),
            ("pub+ws://h:1/a b", "\"/a b\" is not a path"),
            ("pub+http://h:1", "the scheme \"http\" is unknown; known are tcp, ipc, ws, tls+tcp, wss"),
            ("pub+tcp://h:1?structured=yes", "structured=\"yes\" is neither 0 nor 1"),
            ("pub+tcp://h:1?struct=1", "the option \"struct\" is unknown; the only one is structured=1"),
        ] {
            let error = GatewayAddress::parse(url).expect("a gateway's").expect_err(url);
            assert_eq!(error.status(), Status::Url, "{url}");
            assert_eq!(error.to_string(), format!("malformed URL: {url}: {why}"));
        }
    }
}
