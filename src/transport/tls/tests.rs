//! Both sides of a connection over a socket of this machine.

#[path = "../../../tests/support/certificates.rs"]
pub(crate) mod certificates;

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use rustls::crypto::{ring, CipherSuiteCommon, CryptoProvider};
use rustls::{SupportedCipherSuite, Tls13CipherSuite};

use self::certificates::{Certificates, Files, EXPIRED, NOT_YET, VALID};
use super::*;
use crate::transport::socket::{Connect, Stream};
use crate::transport::Host;
use crate::{Error, Status};

/// Longer than anything here takes: waiting this long is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn here() -> Host {
    Host::V4(Ipv4Addr::LOCALHOST)
}

/// A socket that is connected, from both ends.
fn sockets() -> (Stream, Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (stream, connect) = Stream::connect(&listener.local_addr().unwrap().into()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(matches!(connect, Connect::Done | Connect::Running));
    (stream, Stream::accepted(accepted.into(), true).unwrap())
}

/// The same, of which one end is another program's.
fn foreign() -> (TcpStream, Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (stream, Stream::accepted(listener.accept().unwrap().0.into(), true).unwrap())
}

fn pair(files: &Files, ca: Option<&str>, pins: Option<&str>, host: &Host) -> (TlsStream, TlsStream) {
    let (app, hub) = sockets();
    let app = Connector::new(ca, pins).unwrap().connect(app, host).unwrap();
    (app, Acceptor::load(&files.chain, &files.key).unwrap().accept(hub).unwrap())
}

/// A connection, with the certificates that it is made with.
fn connected() -> (TlsStream, TlsStream, Certificates) {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let (app, hub) = pair(&files, Some(&certificates.authority()), None, &here());
    (app, hub, certificates)
}

fn is_waiting<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Waits until one of them is readable, or for a moment.
fn wait(streams: [&TlsStream; 2]) {
    let mut fds = streams.map(|s| libc::pollfd { fd: s.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // SAFETY: an array of two for the time of the call.
    unsafe { libc::poll(fds.as_mut_ptr(), 2, 5) };
}

/// Moves `bytes` from one side to the other, a piece of the given size at a time.
fn send(from: &mut TlsStream, to: &mut TlsStream, bytes: &[u8], pieces: &[usize], most: usize) -> Vec<u8> {
    let (mut sent, mut got, mut buffer) = (0, Vec::new(), vec![0; most]);
    let mut pieces = pieces.iter().cycle();
    while got.len() < bytes.len() {
        let end = bytes.len().min(sent + pieces.next().unwrap());
        let (front, back) = bytes[sent..end].split_at((end - sent) / 3);
        match from.write(&[IoSlice::new(front), IoSlice::new(&[]), IoSlice::new(back)]) {
            Ok(n) => sent += n,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        from.flush().unwrap();
        match to.read(&mut buffer) {
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                // The handshake goes on by reads of both.
                assert!(is_waiting(&from.read(&mut buffer)));
                wait([from, to]);
            }
        }
    }
    got
}

/// How the handshake ends, of which at least one side finds something wrong: for the app, and for the hub.
fn failure(app: &mut TlsStream, hub: &mut TlsStream) -> (String, String) {
    let mut said = [None, None];
    let mut buffer = [0; 100];
    while said.contains(&None) {
        for (side, said) in [&mut *app, &mut *hub].into_iter().zip(&mut said) {
            let _ = side.write(&[IoSlice::new(b"x")]);
            match side.read(&mut buffer) {
                Ok(n) if said.is_none() => *said = Some(format!("{n}")),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock && said.is_none() => {
                    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
                    ours.inspect(|ours| assert_eq!(ours.status(), Status::Tls));
                    *said = Some(error.to_string());
                }
                _ => {}
            }
        }
        wait([app, hub]);
    }
    let [app, hub] = said.map(Option::unwrap);
    (app, hub)
}

#[test]
fn what_one_side_writes_the_other_reads() {
    let (mut app, mut hub, _certificates) = connected();
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i >> 4) as u8).collect();
    assert_eq!(send(&mut app, &mut hub, b"hello", &[5], 100), b"hello");
    assert_eq!(send(&mut hub, &mut app, b"welcome", &[1], 3), b"welcome");
    assert!(send(&mut app, &mut hub, &large, &[700_000], 64 << 10) == large);
    assert!(send(&mut hub, &mut app, &large, &[3_000_000], 4 << 10) == large);
    assert!(app.from().unwrap().starts_with("tls+tcp://127.0.0.1:"));
    assert!(app.take_received() > large.len() && app.take_received() == 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_in_which_it_is_written_and_read_do_not_matter(
        bytes in vec(any::<u8>(), 1..200_000),
        pieces in vec(1..100_000_usize, 1..5),
        most in 1..70_000_usize,
    ) {
        let (mut app, mut hub, _certificates) = connected();
        // Reading single bytes takes long here.
        let bytes = &bytes[..bytes.len().min(most * 2_000)];
        prop_assert!(send(&mut app, &mut hub, bytes, &pieces, most) == bytes);
        prop_assert!(send(&mut hub, &mut app, bytes, &pieces, most) == bytes);
    }

    #[test]
    fn bytes_of_strangers_end_the_connection_and_nothing_else(
        junk in vec(any::<u8>(), 1..3_000),
        hello in any::<bool>(),
        cuts in vec(any::<Index>(), 0..3),
    ) {
        let certificates = Certificates::new();
        let files = certificates.local("hub");
        let (mut stranger, hub) = foreign();
        let mut hub = Acceptor::load(&files.chain, &files.key).unwrap().accept(hub).unwrap();
        let mut junk = junk;
        if hello {
            // A beginning that is right, and something else in it.
            let mut app = hello_of_an_app(&certificates);
            for cut in cuts {
                let at = cut.index(app.len());
                app[at] ^= junk[0] | 1;
            }
            junk.splice(0..0, app);
        }
        stranger.write_all(&junk).unwrap();
        stranger.shutdown(std::net::Shutdown::Write).unwrap();
        let mut buffer = [0; 1000];
        loop {
            match hub.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait([&hub, &hub]),
                Ok(n) => {
                    prop_assert_eq!(n, 0, "nothing of it is passed on");
                    break;
                }
                Err(_) => break,
            }
        }
    }
}

/// What an app says first.
fn hello_of_an_app(certificates: &Certificates) -> Vec<u8> {
    let (app, hub) = sockets();
    let mut app = Connector::new(Some(&certificates.authority()), None).unwrap().connect(app, &here()).unwrap();
    assert!(is_waiting(&app.write(&[IoSlice::new(b"x")])) && app.is_flushed());
    let mut hello = Vec::new();
    while hello.len() < 5 {
        let _ = hub.read_to(&mut hello, 10_000);
    }
    hello
}

#[test]
fn nothing_is_written_before_the_handshake_is_over() {
    let (mut app, mut hub, _certificates) = connected();
    let slices = [IoSlice::new(b"x")];
    assert!(is_waiting(&hub.write(&slices)) && hub.is_flushed());
    assert!(is_waiting(&app.write(&slices)) && app.is_flushed());
    assert!(is_waiting(&app.read(&mut [0; 10])) && !app.is_drained());
    assert_eq!(app.write(&[]).unwrap(), 0);
}

#[test]
fn what_the_socket_does_not_take_is_kept_and_sent_later() {
    let (mut app, mut hub, _certificates) = connected();
    send(&mut app, &mut hub, b"hello", &[5], 100);
    let block = vec![7; 100_000];
    let mut written = 0;
    while app.is_flushed() {
        written += app.write(&[IoSlice::new(&block)]).unwrap();
    }
    assert!(is_waiting(&app.write(&[IoSlice::new(&block)])), "it takes no more than it has room for");
    let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
    while got < written {
        match hub.read(&mut buffer) {
            Ok(n) => got += n,
            Err(_) => drop(app.flush().unwrap()),
        }
    }
    assert!(app.is_flushed() && got == written);
}

#[test]
fn a_side_that_says_that_it_ends_has_ended_and_one_that_does_not_has_too() {
    let (mut app, mut hub, _certificates) = connected();
    send(&mut app, &mut hub, b"hello", &[5], 100);
    assert_eq!(hub.write(&[IoSlice::new(b"last")]).unwrap(), 4);
    let socket = hub.close();
    socket.end();
    let mut buffer = [0; 100];
    let mut read = || loop {
        match app.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait([&app, &app]),
            result => return (result.unwrap(), app.is_drained()),
        }
    };
    assert_eq!(read(), (4, false));
    assert_eq!([read(), read()], [(0, false); 2]);
    // The other direction is open.
    assert_eq!(app.write(&[IoSlice::new(b"late")]).unwrap(), 4);
    drop(app);

    let (mut app, mut hub, _certificates) = connected();
    send(&mut app, &mut hub, b"hello", &[5], 100);
    drop(hub);
    let end = loop {
        match app.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait([&app, &app]),
            result => break result,
        }
    };
    assert!(end.as_ref().is_ok_and(|n| *n == 0) || end.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
}

#[test]
fn after_a_short_read_nothing_is_left_behind() {
    let (mut app, mut hub, _certificates) = connected();
    send(&mut app, &mut hub, b"hello", &[5], 100);
    app.write(&[IoSlice::new(b"one")]).unwrap();
    app.write(&[IoSlice::new(b"two")]).unwrap();
    let mut buffer = [0; 4];
    while is_waiting(&hub.read(&mut buffer)) {}
    // It has read some of the four bytes that there is room for.
    let mut rest = Vec::new();
    while !hub.is_drained() || rest.len() < 2 {
        match hub.read(&mut buffer) {
            Ok(n) => rest.extend_from_slice(&buffer[..n]),
            Err(_) => wait([&hub, &hub]),
        }
    }
    assert!(rest.ends_with(b"wo"), "{rest:?}");
}

#[test]
fn keys_are_replaced_before_they_have_encrypted_too_much() {
    /// So many records, where 2^24 are allowed.
    const RECORDS: u64 = 50;
    let SupportedCipherSuite::Tls13(suite) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let common = CipherSuiteCommon { confidentiality_limit: RECORDS, ..suite.common };
    let suite = Box::leak(Box::new(Tls13CipherSuite { common, quic: None, ..*suite }));
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls13(suite)],
        ..ring::default_provider()
    });
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let (app, hub) = sockets();
    let connector = Connector::with(provider.clone(), None, Some(&files.pin)).unwrap();
    let mut app = connector.connect(app, &here()).unwrap();
    let mut hub = Acceptor::with(provider, &files.chain, &files.key).unwrap().accept(hub).unwrap();
    for n in 0..10 * RECORDS {
        let bytes = n.to_be_bytes();
        assert_eq!(send(&mut app, &mut hub, &bytes, &[8], 100), bytes);
        // More often than the other side.
        for _ in 0..3 {
            assert_eq!(send(&mut hub, &mut app, &bytes, &[8], 100), bytes);
        }
    }
}

// ---- certificates

#[test]
fn a_certificate_that_does_not_fit_is_named_with_what_is_wrong() {
    let certificates = Certificates::new();
    let ca = certificates.authority();
    let here = here();
    let named = Host::Name("hub.example".into());
    let other = Certificates::new();
    let rejected = "the other side does not accept the certificate";
    let good = certificates.local("good");
    for (files, ca, pins, host, app_says, hub_says) in [
        (
            &certificates.issue("other", &["a.example", "10.0.0.7"], VALID),
            Some(&ca),
            None,
            &here,
            "the certificate is not for the name 127.0.0.1: it has a.example, 10.0.0.7",
            rejected,
        ),
        (
            &good,
            Some(&ca),
            None,
            &named,
            "the certificate is not for the name hub.example: it has localhost, 127.0.0.1, ::1",
            rejected,
        ),
        (
            &certificates.issue("nameless", &[], VALID),
            Some(&ca),
            None,
            &here,
            "for the name 127.0.0.1: it has none",
            rejected,
        ),
        (&other.local("hub"), Some(&ca), None, &here, "the certificate is not issued by one of those in ", rejected),
        (
            &good,
            None,
            Some(&other.local("hub2").pin),
            &here,
            "the public key of the hub is not the pinned one: its pin is ",
            rejected,
        ),
        (&good, Some(&ca), Some(&other.local("hub3").pin), &here, "not the pinned one", rejected),
        (&other.local("hub4"), Some(&ca), Some(&good.pin), &here, "not issued by one of those in ", rejected),
    ] {
        let (mut app, mut hub) = pair(files, ca.map(String::as_str), pins.map(String::as_str), host);
        let (app, hub) = failure(&mut app, &mut hub);
        assert!(app.contains(app_says), "{app}: {app_says}");
        assert!(hub.contains(hub_says), "{hub}");
    }
}

#[test]
fn a_certificate_out_of_its_time_is_refused_by_the_app_and_by_the_hub_itself() {
    let certificates = Certificates::new();
    let ca = certificates.authority();
    for (years, words) in
        [(EXPIRED, "the certificate expired "), (NOT_YET, "the certificate is not valid yet, but only in ")]
    {
        let files = certificates.issue("hub", &["127.0.0.1"], years);
        let error = Acceptor::load(&files.chain, &files.key).unwrap_err();
        assert_eq!(error.status(), Status::Tls);
        assert!(error.to_string().starts_with(words) && error.to_string().ends_with(&files.chain), "{error}");
        // A hub whose certificate was valid when it was loaded.
        let good = certificates.local("good");
        let acceptor = Acceptor::load(&good.chain, &good.key).unwrap();
        acceptor.show_anything(&files.chain, &files.key);
        let (app, hub) = sockets();
        let mut app = Connector::new(Some(&ca), None).unwrap().connect(app, &here()).unwrap();
        let (app, _) = failure(&mut app, &mut acceptor.accept(hub).unwrap());
        assert!(app.starts_with(words), "{app}");
    }
}

#[test]
fn a_certificate_is_trusted_by_its_issuer_by_itself_or_by_its_public_key() {
    let certificates = Certificates::new();
    let ca = certificates.authority();
    let (good, own) = (certificates.local("good"), certificates.self_signed("self", &["localhost"]));
    let pins = format!("{}, sha256//{}", "00".repeat(32), own.pin);
    let localhost = Host::Name("localhost".into());
    let elsewhere = Host::Name("elsewhere.example".into());
    for (files, ca, pins, host) in [
        (&good, Some(&ca), None, &here()),
        (&good, Some(&ca), None, &localhost),
        (&good, Some(&ca), None, &Host::V6("::1".parse().unwrap())),
        (&good, Some(&ca), None, &Host::Name("::1%7".into())),
        (&good, Some(&ca), Some(&good.pin), &here()),
        (&good, None, Some(&good.pin), &elsewhere),
        (&own, Some(&own.chain), None, &localhost),
        (&own, None, Some(&pins), &elsewhere),
    ] {
        let (mut app, mut hub) = pair(files, ca.map(String::as_str), pins.map(String::as_str), host);
        assert_eq!(send(&mut app, &mut hub, b"hello", &[5], 100), b"hello");
    }
    let (mut app, mut hub) = pair(&own, Some(&own.chain), None, &here());
    let (app, _) = failure(&mut app, &mut hub);
    assert!(app.contains("not for the name 127.0.0.1: it has localhost"), "{app}");
}

#[test]
fn files_that_are_wrong_are_named_with_what_is_wrong() {
    let certificates = Certificates::new();
    let (good, other) = (certificates.local("good"), certificates.local("other"));
    let text = certificates.write("text", "no PEM\n");
    let cut = certificates.write("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let odd = certificates.write("odd", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let locked = certificates
        .write("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let missing = certificates.file("missing");
    let of_another = format!("the key does not fit the certificate in {}", good.chain);
    for (chain, key, at_fault, status, words) in [
        (&missing, &good.key, &missing, Status::NotFound, "not found"),
        (&good.chain, &missing, &missing, Status::NotFound, "not found"),
        (&text, &good.key, &text, Status::Tls, "no certificate in the form of PEM"),
        (&cut, &good.key, &cut, Status::Tls, "a certificate is not PEM ("),
        (&odd, &good.key, &odd, Status::Tls, "the certificate is malformed"),
        (&good.chain, &text, &text, Status::Tls, "no private key in the form of PEM"),
        (&good.chain, &locked, &locked, Status::Tls, "the key has a password"),
        (&good.chain, &good.chain, &good.chain, Status::Tls, "no private key in the form of PEM"),
        (&good.chain, &other.key, &other.key, Status::Tls, &of_another),
    ] {
        let error = Acceptor::load(chain, key).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(
            error.to_string().starts_with(words) && error.to_string().ends_with(&format!(": {at_fault}")),
            "{error}"
        );
    }
    for (ca, pins, status, words) in [
        (Some(&missing), None, Status::NotFound, "not found: "),
        (Some(&text), None, Status::Tls, "no certificate in the form of PEM: "),
        (Some(&odd), None, Status::Tls, "no certificate that can be used: "),
        (None, Some("12"), Status::Invalid, "\"12\" is no pin: "),
        (None, Some(""), Status::Invalid, "\"\" is no pin: "),
    ] {
        let error = Connector::new(ca.map(String::as_str), pins).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[test]
fn a_reload_is_for_new_connections_and_a_bad_one_changes_nothing() {
    let certificates = Certificates::new();
    let (first, second) = (certificates.local("first"), certificates.local("second"));
    let acceptor = Acceptor::load(&first.chain, &first.key).unwrap();
    let shows = |files: &Files| {
        let (app, hub) = sockets();
        let mut app = Connector::new(None, Some(&files.pin)).unwrap().connect(app, &here()).unwrap();
        let mut hub = acceptor.accept(hub).unwrap();
        assert_eq!(send(&mut app, &mut hub, b"hello", &[5], 100), b"hello");
        (app, hub)
    };
    let (mut app, mut hub) = shows(&first);
    assert!(acceptor.reload(&second.chain, &first.key).is_err());
    shows(&first);
    acceptor.clone().reload(&second.chain, &second.key).unwrap();
    shows(&second);
    assert_eq!(send(&mut hub, &mut app, b"still there", &[5], 100), b"still there");
}

// ---- those who do not speak it

#[test]
fn a_side_that_does_not_speak_tls_is_recognized() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    for (first, of_hub, of_app) in [
        (&b"\0SP\0\0\x70\x4E\x01"[..], "tls+tcp://", "the hub does not speak TLS there: its URL begins with tcp://"),
        (b"GET / HTTP/1.1\r\n\r\n", "wss://", "it does not speak TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak TLS", "an HTTP server without TLS"),
        (b"SSH-2.0-OpenSSH\r\n", "it does not speak TLS", "it does not speak TLS"),
    ] {
        for is_app in [false, true] {
            let (mut stranger, ours) = foreign();
            let mut ours = match is_app {
                true => Connector::new(None, Some(&files.pin)).unwrap().connect(ours, &here()).unwrap(),
                false => Acceptor::load(&files.chain, &files.key).unwrap().accept(ours).unwrap(),
            };
            stranger.write_all(first).unwrap();
            let error = loop {
                match ours.read(&mut [0; 10]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait([&ours, &ours]),
                    result => break result.unwrap_err(),
                }
            };
            let words = if is_app { of_app } else { of_hub };
            assert!(error.to_string().contains(words), "{error}: {words}");
            drop(ours);
            let mut answer = Vec::new();
            stranger.read_to_end(&mut answer).unwrap();
            assert!(answer.is_empty() || answer[0] == 0x15 || is_app, "an alert: {answer:?}");
        }
    }
}

#[test]
fn a_hub_that_closes_instead_of_answering_is_told_of() {
    let (stranger, ours) = foreign();
    let mut app = Connector::new(None, Some(&"00".repeat(32))).unwrap().connect(ours, &here()).unwrap();
    assert!(is_waiting(&app.write(&[IoSlice::new(b"x")])));
    let mut stranger = stranger;
    let _ = stranger.read(&mut [0; 5000]);
    drop(stranger);
    let error = loop {
        match app.read(&mut [0; 10]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait([&app, &app]),
            result => break result.unwrap_err(),
        }
    };
    assert_eq!(error.to_string(), words::CLOSED);
}
