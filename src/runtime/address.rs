//! What engines need to know about addresses, and transports do not.

use std::sync::Arc;

use crate::engine::{Gateway, Role, Web};
use crate::framing::http::server::{Pages, Site};
use crate::framing::Framing;
use crate::random::random;
use crate::transport::url::{split, unsupported};
use crate::transport::{Address, Host};
use crate::Result;

/// How the bytes of connections to an address, or accepted there, are read and written.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// How bodies are cut out of them.
    pub framing: Framing,
    /// What there is to know of a WebSocket.
    pub web: Option<Web>,
}

/// Of a connection that was dialled.
///
/// # Errors
/// [`Status::Io`](crate::Status::Io): there are no random numbers.
pub fn dialled(address: &Address) -> Result<Encoding> {
    let Address::Ws { host, port, tls, path } = address else { return Ok(of_stream(address)) };
    // Servers compare it with names that have no port where it is the usual one.
    let usual = if *tls { 443 } else { 80 };
    let host = if *port == usual { host.to_string() } else { format!("{host}:{port}") };
    let web = Web::Target { host, path: path.clone(), key: random()?, masks: random()? };
    Ok(Encoding { framing: Framing::WsClient, web: Some(web) })
}

/// Of the connections of a listener for `address`, which is bound to `bound`.
pub fn accepted(address: &Address, bound: &str, gateway: Option<Gateway>, pages: Pages) -> Encoding {
    let Address::Ws { host, tls, path, .. } = address else { return of_stream(address) };
    let site = Site {
        host: (*host != Host::Any).then(|| host.to_string()),
        path: path.clone(),
        loopback: Address::parse(bound).is_ok_and(|bound| bound.is_local()),
        tls: *tls,
        only: gateway.map(|gateway| gateway.role.speaks()),
        pages,
    };
    Encoding { framing: Framing::WsServer, web: Some(Web::Site(Arc::new(site))) }
}

fn of_stream(address: &Address) -> Encoding {
    let framing = match address {
        Address::Tcp { .. } | Address::Ws { .. } => Framing::Tcp,
        Address::Ipc(_) | Address::Abstract(_) => Framing::Ipc,
        Address::Inproc(_) => Framing::Inproc,
    };
    Encoding { framing, web: None }
}

/// Reads a comma-separated list of addresses to dial. A comma that no URL follows belongs to the path or name that
/// contains it.
///
/// # Errors
/// As of [`Address::parse`] and [`Address::check_dial`]; [`Status::Unsupported`](crate::Status::Unsupported) for the
/// address of a gateway.
pub fn addresses_to_dial(urls: &str) -> Result<Vec<Address>> {
    split(urls).map(address_to_dial).collect()
}

fn address_to_dial(url: &str) -> Result<Address> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if Role::of_scheme(&scheme).is_some() {
        return Err(unsupported(url, "apps cannot connect to a gateway"));
    }
    let address = Address::parse(url)?;
    address.check_dial()?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    #[test]
    fn a_gateway_cannot_be_dialled() {
        for url in ["pub+tcp://h:1", "respondent+ipc:///x"] {
            let error = addresses_to_dial(url).unwrap_err();
            assert_eq!(error.status(), Status::Unsupported, "{url}");
            assert!(error.to_string().starts_with(&format!("not supported: {url}: apps ")), "{error}");
        }
    }

    #[test]
    fn a_list_names_addresses_to_dial() {
        let list = addresses_to_dial("tcp://a:1, ipc:///b").unwrap();
        assert_eq!(list, [Address::parse("tcp://a:1").unwrap(), Address::parse("ipc:///b").unwrap()]);
        for bad in ["", "tcp://a:1,", "tcp://a:1,b:2", "tcp://*:1", "tcp://a:0", "tcp://[fe80::1%]:1"] {
            assert_eq!(addresses_to_dial(bad).unwrap_err().status(), Status::Url, "{bad}");
        }
    }

    #[test]
    fn a_comma_in_a_path_is_not_the_end_of_a_url() {
        let paths = ["ipc:///a,b.sock", "ipc:///a,", "inproc://a, b", "tcp://a:1"];
        let list = addresses_to_dial(&paths.join(",")).unwrap();
        assert_eq!(list.iter().map(Address::to_string).collect::<Vec<_>>(), paths);
        for url in paths {
            Address::parse(url).unwrap().check_listen().unwrap();
        }
        for url in ["ipc:///a,tcp://b", "inproc://a, ipc:///b", "ipc:///a "] {
            assert_eq!(Address::parse(url).unwrap().check_listen().unwrap_err().status(), Status::Url, "{url}");
        }
    }
}
