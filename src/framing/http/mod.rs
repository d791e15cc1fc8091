//! HTTP/1.1 as far as a WebSocket needs it: the request that opens one, and its answer.

pub mod client;
pub mod files;
mod host;
pub mod server;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use super::sp::Sp;

/// The subprotocol of apps and hubs.
pub const PROTOCOL: &str = "nanostate.v1";
/// The longest head of a request or an answer, in bytes, and the most fields in it.
const MAX_HEAD: usize = 8 << 10;
const MAX_FIELDS: usize = 64;
/// The only version of the protocol.
const VERSION: &str = "13";

/// What a WebSocket carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// Bodies of four elements: [`PROTOCOL`].
    V1,
    /// Bodies of three elements: no subprotocol, as the original's JavaScript.
    Plain,
    /// Messages of a scalability protocol: the one that the hub speaks.
    Sp(Sp),
}

impl Sp {
    /// The subprotocol by which nanomsg and NNG ask for it.
    pub fn subprotocol(self) -> String {
        format!("{}.sp.nanomsg.org", self.to_string().to_ascii_lowercase())
    }
}

/// How long the head at the beginning of `bytes` is, with the empty line at its end. Only what came since it had `seen`
/// bytes is searched.
fn head_len(bytes: &[u8], seen: usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = seen.saturating_sub(END.len() - 1);
    bytes.get(from..)?.windows(END.len()).position(|window| window == END).map(|at| from + at + END.len())
}

/// The text in the field of this name, or those of several separated by commas; `None` if one is not text.
fn field(fields: &[httparse::Header<'_>], name: &str) -> Option<String> {
    let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let values: Option<Vec<_>> = named.map(|field| std::str::from_utf8(field.value).ok().map(str::trim)).collect();
    values.map(|values| values.join(", "))
}

/// Whether a list of tokens has this one.
fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// What the answer to a request with this key has to say.
fn accept_key(key: &str) -> String {
    /// That of RFC 6455.
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID.as_bytes());
    STANDARD.encode(hash.digest().bytes())
}

#[cfg(test)]
mod tests {
    use super::super::BUS;
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_as_it_says() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(BUS.subprotocol(), "bus.sp.nanomsg.org");
    }

    #[test]
    fn the_end_of_a_head_is_found_in_whatever_pieces_it_comes() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\nmore";
        for cut in 0..head.len() {
            let found = head_len(&head[..cut], 0).or_else(|| head_len(head, cut));
            assert_eq!(found, Some(head.len() - 4), "{cut}");
        }
        assert_eq!(head_len(b"GET / HTTP/1.1\r\n\r", 0), None);
        assert_eq!(head_len(b"", 9), None);
    }
}
