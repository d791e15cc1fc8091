//! The side of an app: asks for a WebSocket, and reads the answer.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use super::super::shown;
use super::{accept_key, field, has_token, head_len, MAX_FIELDS, MAX_HEAD, VERSION};

/// A request for a WebSocket.
#[derive(Debug)]
pub struct Request {
    key: String,
    protocol: String,
}

/// What a hub granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The subprotocol that was asked for.
    Protocol,
    /// A WebSocket without a subprotocol.
    Plain,
}

/// Why there is no WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// Something other than HTTP.
    #[error("no WebSocket is there: the answer begins with {}", shown(.0))]
    NotHttp(Vec<u8>),
    /// A head that is too long, or malformed.
    #[error("no WebSocket is there: the HTTP answer is malformed")]
    Malformed,
    /// Another status than that which opens a WebSocket.
    #[error("the WebSocket was refused: {0} {1}")]
    Status(u16, String),
    /// The answer is not one to this request.
    #[error("no WebSocket is there: the field {0} of the answer is missing or wrong")]
    Field(&'static str),
}

impl Request {
    /// Writes the request. `seed` is random and used once; `host` is that of the URL, with its port.
    pub fn write(host: &str, path: &str, protocol: &str, seed: [u8; 16], out: &mut Vec<u8>) -> Request {
        let key = STANDARD.encode(seed);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {VERSION}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        Request { key, protocol: protocol.to_owned() }
    }

    /// Reads the answer at the beginning of `bytes`, of which it had `seen` so many before. Returns it, and how long it
    /// is; `None`: more is needed.
    ///
    /// # Errors
    /// Why there is no WebSocket.
    pub fn answer(&self, bytes: &[u8], seen: usize) -> Result<Option<(usize, Answer)>, AnswerError> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        let begun = bytes.len().min(BEGINNING.len());
        if bytes[..begun] != BEGINNING[..begun] {
            return Err(AnswerError::NotHttp(bytes[..begun.max(1)].to_vec()));
        }
        let len = match head_len(bytes, seen) {
            Some(len) if len <= MAX_HEAD => len,
            None if bytes.len() < MAX_HEAD => return Ok(None),
            _ => return Err(AnswerError::Malformed),
        };
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(_)) = answer.parse(&bytes[..len]) else { return Err(AnswerError::Malformed) };
        match answer.code {
            Some(101) => {}
            code => {
                let reason = answer.reason.unwrap_or_default().to_owned();
                return Err(AnswerError::Status(code.unwrap_or_default(), reason));
            }
        }
        let text = |name: &'static str| field(answer.headers, name).ok_or(AnswerError::Field(name));
        if !has_token(&text("Upgrade")?, "websocket") {
            return Err(AnswerError::Field("Upgrade"));
        }
        if !has_token(&text("Connection")?, "upgrade") {
            return Err(AnswerError::Field("Connection"));
        }
        if text("Sec-WebSocket-Accept")? != accept_key(&self.key) {
            return Err(AnswerError::Field("Sec-WebSocket-Accept"));
        }
        if !text("Sec-WebSocket-Extensions")?.is_empty() {
            return Err(AnswerError::Field("Sec-WebSocket-Extensions"));
        }
        match text("Sec-WebSocket-Protocol")? {
            protocol if protocol == self.protocol => Ok(Some((len, Answer::Protocol))),
            protocol if protocol.is_empty() => Ok(Some((len, Answer::Plain))),
            _ => Err(AnswerError::Field("Sec-WebSocket-Protocol")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PROTOCOL;
    use super::*;

    fn request() -> Request {
        let mut out = Vec::new();
        let request = Request::write("hub:1", "/ws", PROTOCOL, *b"the sample nonce", &mut out);
        assert!(out.starts_with(b"GET /ws HTTP/1.1\r\nHost: hub:1\r\n") && out.ends_with(b"\r\n\r\n"));
        request
    }

    const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: nanostate.v1\r\n\r\n";

    #[test]
    fn a_granted_request_is_told_from_one_without_subprotocol() {
        let whole = [GRANTED.as_bytes(), b"\x82"].concat();
        assert_eq!(request().answer(&whole, 0), Ok(Some((GRANTED.len(), Answer::Protocol))));
        let plain = GRANTED.replace("Sec-WebSocket-Protocol: nanostate.v1\r\n", "");
        assert_eq!(request().answer(plain.as_bytes(), 0), Ok(Some((plain.len(), Answer::Plain))));
        for cut in 0..GRANTED.len() {
            assert_eq!(request().answer(&GRANTED.as_bytes()[..cut], 0), Ok(None));
        }
    }

    #[test]
    fn any_other_answer_is_an_error_that_says_what_is_wrong_with_it() {
        for (from, to, error) in [
            ("101 Switching Protocols", "403 Forbidden", AnswerError::Status(403, "Forbidden".into())),
            ("Upgrade: websocket", "Upgrade: h2c", AnswerError::Field("Upgrade")),
            ("Connection: Upgrade", "Connection: close", AnswerError::Field("Connection")),
            ("s3pP", "s3pQ", AnswerError::Field("Sec-WebSocket-Accept")),
            (": nanostate.v1", ": other", AnswerError::Field("Sec-WebSocket-Protocol")),
            (
                "Sec-WebSocket-Protocol: nanostate.v1",
                "Sec-WebSocket-Extensions: x",
                AnswerError::Field("Sec-WebSocket-Extensions"),
            ),
            ("HTTP/1.1", "\0SP\0\0\x70\0\0", AnswerError::NotHttp(b"\0SP\0\0\x70\0".to_vec())),
            ("Upgrade:", "Up grade:", AnswerError::Malformed),
        ] {
            assert_eq!(request().answer(GRANTED.replacen(from, to, 1).as_bytes(), 0), Err(error), "{to}");
        }
        assert_eq!(
            request().answer(&[b"HTTP/1.1 101 ", &[b'x'; MAX_HEAD][..]].concat(), 0),
            Err(AnswerError::Malformed)
        );
    }
}
