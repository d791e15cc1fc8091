//! What went wrong, in words for whoever has to put it right.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// An app's connection ended in the handshake.
pub const CLOSED: &str = "the connection was closed in the TLS handshake (does the hub speak TLS there?)";

/// What an error means. `is_app`: who had it. `unread`: what it is about, if the other side's bytes are.
pub fn of(error: &Error, is_app: bool, unread: &[u8]) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => received(*alert, is_app),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) if !is_record(unread) => not_tls(is_app, unread),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired | PeerIncompatible::Tls13RequiredForQuic,
        ) => "the other side does not speak TLS 1.3".to_owned(),
        Error::General(text) => text.clone(),
        _ => format!("TLS: {error}"),
    }
}

/// Whether bytes begin as a record of TLS.
fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=24, 3, ..])
}

fn not_tls(is_app: bool, bytes: &[u8]) -> String {
    match (is_app, bytes) {
        (true, [0, b'S', b'P', 0, ..]) => "the hub does not speak TLS there: its URL begins with tcp://",
        (false, [0, b'S', b'P', 0, ..]) => "it does not speak TLS: the URL of this address begins with tls+tcp://",
        (true, [b'H', b'T', b'T', b'P', b'/', ..]) => "an HTTP server without TLS",
        (false, [b'G', b'E', b'T', b' ', ..]) => "HTTP without TLS: the URL of this address begins with wss://",
        _ => "it does not speak TLS",
    }
    .to_owned()
}

fn received(alert: AlertDescription, is_app: bool) -> String {
    use AlertDescription as A;
    let what = match alert {
        A::UnknownCA => "it does not know who issued it",
        A::CertificateExpired => "it is not valid now",
        A::BadCertificate => "it is not for this name, or not the pinned one",
        A::CertificateUnknown | A::UnsupportedCertificate | A::CertificateRevoked => "it does not say why",
        A::ProtocolVersion if is_app => return "the hub does not speak TLS 1.3".to_owned(),
        A::ProtocolVersion => return "it does not speak TLS 1.3".to_owned(),
        _ => return format!("the other side ended TLS: {alert:?}"),
    };
    format!("the other side does not accept the certificate: {what}")
}

/// What is wrong with a certificate.
pub fn certificate(error: &CertificateError) -> String {
    use CertificateError as C;
    match error {
        C::ExpiredContext { time, not_after } => {
            format!("the certificate expired {} ago", span(since(*not_after, *time)))
        }
        C::Expired => "the certificate has expired".to_owned(),
        C::NotValidYetContext { time, not_before } => {
            format!("the certificate is not valid yet, but only in {}", span(since(*time, *not_before)))
        }
        C::NotValidYet => "the certificate is not valid yet".to_owned(),
        C::UnknownIssuer => "the certificate is not issued by a CA that is known here".to_owned(),
        C::NotValidForNameContext { expected, presented } => {
            let names = match presented.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has {}", presented.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")),
            };
            format!("the certificate is not for the name {}: {names}", expected.to_str())
        }
        C::NotValidForName => "the certificate is for another name".to_owned(),
        C::BadEncoding => "the certificate is malformed".to_owned(),
        C::BadSignature => "the certificate has a signature that is wrong".to_owned(),
        C::Other(other) => other.to_string(),
        _ => format!("the certificate is not valid: {error}"),
    }
}

/// A name of a certificate, without what `webpki` puts around it: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn shown(name: &str) -> String {
    let inside = |kind| name.strip_suffix(')').and_then(|name| name.strip_prefix(kind));
    match (inside("DnsName("), inside("IpAddress(")) {
        (Some(name), _) => name.trim_matches('"').to_owned(),
        (_, Some(ip)) => ip.parse().map_or(ip.to_owned(), |ip: IpAddr| ip.to_string()),
        _ => name.to_owned(),
    }
}

fn since(from: UnixTime, to: UnixTime) -> Duration {
    Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()))
}

/// About how long that is.
fn span(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(24 * 3600, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let seconds = time.as_secs().max(1);
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "second"));
    let n = seconds / unit;
    format!("{n} {name}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_largest_unit() {
        for (seconds, text) in [
            (0, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7_199, "1 hour"),
            (86_400, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
