//! The side of a hub: reads requests, and decides who is let in, and with which rights.

use std::fmt::Write;
use std::sync::Arc;

use super::super::{shown, Sp, BUS, PUB, PULL, REP, RESPONDENT};
use super::files::Files;
use super::{accept_key, field, has_token, head_len, host, Speaks, MAX_FIELDS, MAX_HEAD, PROTOCOL, VERSION};

/// What a peer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// Learn of states.
    Read,
    /// And publish.
    ReadWrite,
}

/// Which pages of browsers may connect, beside the hub's own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pages {
    /// These, by their [origin](read_origin).
    pub origins: Vec<String>,
    /// Pages of this machine may publish. If not, they may read.
    pub local: bool,
    /// What the hub serves itself.
    pub files: Arc<Files>,
}

pub use super::host::read_origin;

/// What is served at one address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Site {
    /// The name or address of the host in its URL; `None`: every interface.
    pub host: Option<String>,
    /// The path in its URL.
    pub path: String,
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The only protocol that is spoken there, if there is one.
    pub only: Option<Sp>,
    /// Which pages may connect.
    pub pages: Pages,
}

/// A request for a WebSocket that was granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// What it carries.
    pub speaks: Speaks,
    /// What the other side may do.
    pub rights: Rights,
    /// The origin of the page, if it is one.
    pub page: Option<String>,
}

/// A request that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Served {
    /// With a WebSocket.
    WebSocket(Granted),
    /// With a file, or that there is none: it was for a page. The connection ends behind it.
    Page,
}

/// Why a request is not granted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not HTTP.
    #[error("not an HTTP request: it begins with {}", shown(.0))]
    NotHttp(Vec<u8>),
    /// A head that is too long, or has too many fields.
    #[error("the head of an HTTP request is longer than {MAX_HEAD} bytes, or has more than {MAX_FIELDS} fields")]
    TooLong,
    /// Not valid HTTP.
    #[error("a malformed HTTP request: {0}")]
    Malformed(String),
    /// Another method than GET.
    #[error("an HTTP request with the method {0}, not GET")]
    Method(String),
    /// The host has a name that anybody could give to this machine.
    #[error("an HTTP request for the host {0:?}, which is neither an address, nor localhost, nor in the hub's URL")]
    Host(String),
    /// Nothing is there.
    #[error("an HTTP request for {0:?}, where nothing is")]
    NotFound(String),
    /// A request for a page where there is a WebSocket.
    #[error("an HTTP request that does not ask for a WebSocket")]
    NoUpgrade,
    /// Another version of WebSocket.
    #[error("version {0:?} of WebSocket, not {VERSION}")]
    Version(String),
    /// No key, or one that is none.
    #[error("the key of a WebSocket is missing or malformed")]
    Key,
    /// A page that was not invited.
    #[error("a page of {0} may not connect{hint}", hint = page_hint(.0))]
    Page(String),
    /// There is no room for a WebSocket. The text says which limit it is.
    #[error("{0}")]
    Full(String),
    /// There are too many requests. The text says which limit it is.
    #[error("{0}")]
    TooOften(String),
    /// A protocol that is not spoken at this address.
    #[error("the subprotocols {0:?} are not spoken here, but {1}")]
    Protocol(String, String),
}

fn page_hint(origin: &str) -> String {
    match read_origin(origin) {
        Ok(origin) => format!(" (to let it in: --allow-origin {origin})"),
        Err(_) => String::new(),
    }
}

impl Refusal {
    fn status(&self) -> &'static str {
        match self {
            Refusal::NotHttp(_) | Refusal::Malformed(_) | Refusal::Key | Refusal::Protocol(..) => "400 Bad Request",
            Refusal::TooLong => "431 Request Header Fields Too Large",
            Refusal::Method(_) => "405 Method Not Allowed",
            Refusal::Host(_) | Refusal::Page(_) => "403 Forbidden",
            Refusal::NotFound(_) => "404 Not Found",
            Refusal::NoUpgrade | Refusal::Version(_) => "426 Upgrade Required",
            Refusal::Full(_) => "503 Service Unavailable",
            Refusal::TooOften(_) => "429 Too Many Requests",
        }
    }

    /// Writes the answer, behind which the connection ends. What was refused for its origin or host learns no more.
    pub fn write(&self, out: &mut Vec<u8>) {
        let body = match self {
            Refusal::Host(_) | Refusal::Page(_) => "nanostate hub: forbidden; its log says why\n".to_owned(),
            _ => format!("nanostate hub: {self}\n"),
        };
        let more = match self {
            Refusal::Method(_) => "Allow: GET\r\n".to_owned(),
            Refusal::NoUpgrade | Refusal::Version(_) => {
                format!("Upgrade: websocket\r\nSec-WebSocket-Version: {VERSION}\r\n")
            }
            // No limit is below one request a second.
            Refusal::TooOften(_) => "Retry-After: 1\r\n".to_owned(),
            _ => String::new(),
        };
        let head = format!(
            "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n{more}Content-Length: {}\r\n\r\n",
            self.status(),
            body.len(),
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

/// Reads the request at the beginning of `bytes`, of which it had `seen` so many before. Writes the answer, unless it is
/// refused. Returns with what it was answered, and how long it is; `None`: more is needed.
///
/// # Errors
/// Why it is refused.
pub fn serve(site: &Site, bytes: &[u8], seen: usize, out: &mut Vec<u8>) -> Result<Option<(usize, Served)>, Refusal> {
    serve_unless(None, site, bytes, seen, out)
}

/// The same where some requests are refused, whatever they are: all by [`Refusal::TooOften`]; by [`Refusal::Full`] those
/// for a WebSocket, unless it is of an app, which is then told in its own protocol.
///
/// # Errors
/// Why it is refused.
pub fn serve_unless(
    refused: Option<&Refusal>,
    site: &Site,
    bytes: &[u8],
    seen: usize,
    out: &mut Vec<u8>,
) -> Result<Option<(usize, Served)>, Refusal> {
    /// As much of what is not HTTP is shown.
    const SHOWN: usize = 8;
    /// No method is longer.
    const METHOD: usize = 16;
    // Whoever speaks something else may wait for an answer before there is a whole head.
    let method = bytes.iter().position(|b| !b.is_ascii_uppercase());
    if method.map_or(bytes.len() > METHOD, |end| end == 0 || end > METHOD || bytes[end] != b' ') {
        return Err(Refusal::NotHttp(bytes[..bytes.len().min(SHOWN)].to_vec()));
    }
    let len = match head_len(bytes, seen) {
        Some(len) if len <= MAX_HEAD => len,
        None if bytes.len() < MAX_HEAD => return Ok(None),
        _ => return Err(Refusal::TooLong),
    };
    if let Some(refused @ Refusal::TooOften(_)) = refused {
        return Err(refused.clone());
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(&bytes[..len]) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::Malformed("it is incomplete".into())),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Err(error) => return Err(Refusal::Malformed(error.to_string())),
    }
    let Some(granted) = judge(site, &request, out)? else { return Ok(Some((len, Served::Page))) };
    if let Some(refused) = refused.filter(|_| granted.speaks != Speaks::V1) {
        return Err(refused.clone());
    }
    let key = field(request.headers, "Sec-WebSocket-Key").unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        accept_key(&key)
    );
    let protocol = match granted.speaks {
        Speaks::V1 => Some(PROTOCOL.to_owned()),
        Speaks::Sp(sp) => Some(sp.subprotocol()),
        Speaks::Plain => None,
    };
    if let Some(protocol) = protocol {
        let _ = write!(answer, "Sec-WebSocket-Protocol: {protocol}\r\n");
    }
    out.extend_from_slice(answer.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(Some((len, Served::WebSocket(granted))))
}

/// Decides about a request. `None`: it was for a page, and is answered.
fn judge(site: &Site, request: &httparse::Request<'_, '_>, out: &mut Vec<u8>) -> Result<Option<Granted>, Refusal> {
    let text = |name: &str| {
        field(request.headers, name).ok_or_else(|| Refusal::Malformed(format!("its field {name} is not text")))
    };
    let count = |name: &str| request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if count("Host") != 1 || count("Origin") > 1 {
        return Err(Refusal::Malformed("it has not exactly one Host, or several Origins".into()));
    }
    let (host, origin) = (text("Host")?, text("Origin")?);
    let upgrade = has_token(&text("Upgrade")?, "websocket") && has_token(&text("Connection")?, "upgrade");
    // Every browser says with a request for a WebSocket which page it is for; what comes without is a program, which
    // nobody has misled about the name of this machine.
    let page = Some(origin).filter(|origin| !origin.is_empty());
    let trusted = host::is_trusted(&host, site.host.as_deref());
    if !trusted && !upgrade {
        return Err(Refusal::Host(host));
    }
    if method != "GET" {
        return Err(Refusal::Method(method.to_owned()));
    }
    let path = target.split('?').next().unwrap_or_default();
    if !upgrade {
        if !site.pages.files.write(path, out) {
            let nothing = if path == site.path { Refusal::NoUpgrade } else { Refusal::NotFound(path.to_owned()) };
            nothing.write(out);
        }
        return Ok(None);
    }
    // The original's pages ask for the root.
    if path != site.path && !(path == "/" && site.only.is_none()) {
        return Err(Refusal::NotFound(path.to_owned()));
    }
    let version = text("Sec-WebSocket-Version")?;
    if version != VERSION {
        return Err(Refusal::Version(version));
    }
    if !is_key(&text("Sec-WebSocket-Key")?) {
        return Err(Refusal::Key);
    }
    let rights = match &page {
        None => Rights::ReadWrite,
        Some(origin) => match site.rights(origin, trusted.then_some(&host)) {
            Some(rights) => rights,
            None if !trusted => return Err(Refusal::Host(host)),
            None => return Err(Refusal::Page(origin.clone())),
        },
    };
    Ok(Some(Granted { speaks: site.choose(&text("Sec-WebSocket-Protocol")?)?, rights, page }))
}

/// Whether these are 16 bytes in base64.
fn is_key(key: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(key).is_ok_and(|key| key.len() == 16)
}

impl Site {
    /// What a page of this origin may do, if anything. `host` is what it calls this machine, if that is trusted.
    fn rights(&self, origin: &str, host: Option<&String>) -> Option<Rights> {
        let scheme = if self.tls { "https" } else { "http" };
        let is_own = host.is_some_and(|host| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")));
        if is_own || self.pages.origins.iter().any(|allowed| allowed == origin) {
            return Some(Rights::ReadWrite);
        }
        // Other ports of this machine may be tunnels to others, or containers.
        match self.loopback && host::is_local(origin) {
            true if self.pages.local => Some(Rights::ReadWrite),
            true => Some(Rights::Read),
            false => None,
        }
    }

    /// The first of the subprotocols in the list that is spoken here. Programs that ask for others are plain ones.
    fn choose(&self, list: &str) -> Result<Speaks, Refusal> {
        let spoken: Vec<_> = match self.only {
            Some(sp) => vec![Speaks::Sp(sp)],
            None => [BUS, PUB, PULL, REP, RESPONDENT].map(Speaks::Sp).into_iter().chain([Speaks::V1]).collect(),
        };
        let name = |speaks: &Speaks| match speaks {
            Speaks::V1 => PROTOCOL.to_owned(),
            Speaks::Plain => String::new(),
            Speaks::Sp(sp) => sp.subprotocol(),
        };
        let chosen = list.split(',').find_map(|item| spoken.iter().find(|speaks| name(speaks) == item.trim()));
        match (chosen, self.only) {
            (Some(&speaks), _) => Ok(speaks),
            (None, None) => Ok(Speaks::Plain),
            (None, Some(sp)) => Err(Refusal::Protocol(list.to_owned(), sp.subprotocol())),
        }
    }
}

#[cfg(test)]
mod tests;
