use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn site() -> Site {
    Site { host: Some("127.0.0.1".into()), path: "/ws".into(), loopback: true, ..Site::default() }
}

/// A request for a WebSocket at `path`, with these fields beside the usual ones.
fn request(path: &str, host: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

fn from(origin: &str, host: &str) -> String {
    request("/ws", host, &format!("Origin: {origin}\r\n"))
}

fn judged(site: &Site, request: &str) -> Result<Granted, Refusal> {
    let mut out = Vec::new();
    match serve(site, request.as_bytes(), 0, &mut out)? {
        Some((_, Served::WebSocket(granted))) => Ok(granted),
        other => panic!("{other:?}"),
    }
}

fn rights(site: &Site, request: &str) -> Option<Rights> {
    judged(site, request).ok().map(|granted| granted.rights)
}

#[test]
fn a_program_is_let_in_and_answered() {
    let mut out = Vec::new();
    let text = request("/ws", "127.0.0.1:15001", "Sec-WebSocket-Protocol: nanostate.v1\r\n");
    let granted = Granted { speaks: Speaks::V1, rights: Rights::ReadWrite, page: None };
    let input = [text.as_bytes(), b"first frame"].concat();
    assert_eq!(serve(&site(), &input, 0, &mut out), Ok(Some((text.len(), Served::WebSocket(granted)))));
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: nanostate.v1\r\n\r\n"
    );
    assert!(judged(&site(), &request("/ws?x=1", "a.lan", "")).is_ok(), "a program may know this machine by any name");
    assert!(judged(&site(), &request("/", "127.0.0.1", "")).is_ok(), "the original's pages ask for the root");
}

#[test]
fn the_subprotocol_says_what_is_spoken() {
    let speaks = |site: &Site, list: &str| {
        let field = format!("Sec-WebSocket-Protocol: {list}\r\n");
        judged(site, &request("/ws", "localhost", &field)).map(|granted| granted.speaks)
    };
    for (list, expected) in [
        ("nanostate.v1", Speaks::V1),
        ("other, nanostate.v1", Speaks::V1),
        ("bus.sp.nanomsg.org", Speaks::Sp(BUS)),
        ("pub.sp.nanomsg.org", Speaks::Sp(PUB)),
        ("respondent.sp.nanomsg.org,rep.sp.nanomsg.org", Speaks::Sp(RESPONDENT)),
        ("sub.sp.nanomsg.org", Speaks::Plain),
        ("echo-protocol", Speaks::Plain),
        ("", Speaks::Plain),
    ] {
        assert_eq!(speaks(&site(), list), Ok(expected), "{list}");
    }
    let gateway = Site { only: Some(PULL), ..site() };
    assert_eq!(speaks(&gateway, "pull.sp.nanomsg.org"), Ok(Speaks::Sp(PULL)));
    for list in ["nanostate.v1", "pub.sp.nanomsg.org", ""] {
        let error = speaks(&gateway, list).expect_err("another protocol");
        assert!(error.to_string().ends_with("not spoken here, but pull.sp.nanomsg.org"), "{error}");
    }
}

#[test]
fn a_page_publishes_from_the_hub_itself_or_where_it_was_invited_from_and_reads_from_this_machine() {
    use Rights::{Read, ReadWrite};
    let invites = Pages { origins: vec!["https://example.org".into()], ..Pages::default() };
    let invites = Site { pages: invites, ..site() };
    let local = Site { pages: Pages { local: true, ..Pages::default() }, ..site() };
    let lan = Site { host: Some("workshop.lan".into()), loopback: false, ..site() };
    let everywhere = Site { host: None, loopback: false, ..site() };
    for (site, origin, host, expected) in [
        (&site(), "http://127.0.0.1:15001", "127.0.0.1:15001", Some(ReadWrite)),
        (&site(), "http://localhost:15001", "localhost:15001", Some(ReadWrite)),
        (&site(), "https://127.0.0.1:15001", "127.0.0.1:15001", Some(Read)),
        (&site(), "http://localhost:8000", "127.0.0.1:15001", Some(Read)),
        (&local, "http://localhost:8000", "127.0.0.1:15001", Some(ReadWrite)),
        (&site(), "http://evil.test", "127.0.0.1:15001", None),
        (&local, "http://evil.test", "127.0.0.1:15001", None),
        (&site(), "https://example.org", "127.0.0.1:15001", None),
        (&invites, "https://example.org", "127.0.0.1:15001", Some(ReadWrite)),
        (&invites, "https://example.org.evil.test", "127.0.0.1:15001", None),
        // A proxy that passes on the host of the page.
        (&invites, "https://example.org", "example.org", Some(ReadWrite)),
        (&invites, "https://evil.test", "evil.test", None),
        (&invites, "http://example.org", "127.0.0.1:15001", None),
        (&site(), "null", "127.0.0.1:15001", None),
        (&local, "null", "127.0.0.1:15001", None),
        (&local, "file://", "127.0.0.1:15001", None),
        // A name that a page's own server had resolved to this machine.
        (&local, "http://evil.test:15001", "evil.test:15001", None),
        (&lan, "http://workshop.lan:15001", "workshop.lan:15001", Some(ReadWrite)),
        (&lan, "http://localhost:8000", "workshop.lan:15001", None),
        (&everywhere, "http://192.168.1.7:15001", "192.168.1.7:15001", Some(ReadWrite)),
        (&everywhere, "http://localhost:8000", "localhost:15001", None),
    ] {
        assert_eq!(rights(site, &from(origin, host)), expected, "{origin} at {host}, {site:?}");
    }
}

#[test]
fn the_log_says_how_a_page_is_let_in_and_the_page_does_not_learn_it() {
    let refused = judged(&site(), &from("http://evil.test:8000", "127.0.0.1")).expect_err("another's page");
    assert_eq!(
        refused.to_string(),
        "a page of http://evil.test:8000 may not connect (to let it in: --allow-origin http://evil.test:8000)"
    );
    let mut out = Vec::new();
    refused.write(&mut out);
    let answer = String::from_utf8(out).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n") && !answer.contains("--allow"),
        "{answer}"
    );
    let refused = judged(&site(), &from("null", "127.0.0.1")).expect_err("a page of nowhere");
    assert_eq!(refused.to_string(), "a page of null may not connect");
}

#[test]
fn any_other_request_is_refused_with_the_reason() {
    let good = request("/ws", "127.0.0.1", "");
    for (from, to, status, words) in [
        ("GET", "POST", "405", "the method POST"),
        ("/ws", "/other", "404", "\"/other\""),
        ("Version: 13", "Version: 8", "426", "version \"8\""),
        (KEY, "c2hvcnQ=", "400", "key"),
        (KEY, "no base 64", "400", "key"),
        ("Host: 127.0.0.1\r\n", "", "400", "Host"),
        ("Host: 127.0.0.1", "Host: a\r\nHost: b", "400", "Host"),
        ("Upgrade: WebSocket", "Up grade: WebSocket", "400", "malformed"),
        ("HTTP/1.1", "HTTP/9", "400", "malformed"),
        ("GET", "\0SP\0\0\x70\0\0", "400", "00 53 50 00 00 70 00 00"),
        ("GET", "SSH-2.0-OpenSSH", "400", "\"SSH-2.0-\""),
    ] {
        let refused = judged(&site(), &good.replacen(from, to, 1)).expect_err(to);
        assert!(refused.to_string().contains(words), "{refused}");
        let mut out = Vec::new();
        refused.write(&mut out);
        assert!(out.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{refused}");
    }
    // What is no request for a WebSocket may come from a page by a name of its own.
    let plain = "GET /ws HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    assert_eq!(judged(&site(), plain), Err(Refusal::Host("evil.test".into())));
}

#[test]
fn a_file_is_served_to_who_asks_by_a_name_that_is_trusted_and_a_web_socket_beside_it() {
    let mut files = Files::default();
    files.add("/index.html", *b"<p>");
    let site = Site { pages: Pages { files: Arc::new(files), ..Pages::default() }, ..site() };
    let get = |path: &str, host: &str| {
        let (text, mut out) = (format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"), Vec::new());
        serve(&site, text.as_bytes(), 0, &mut out).map(|served| (served, out))
    };
    for path in ["/", "/index.html", "/?query"] {
        let (served, out) = get(path, "127.0.0.1:15001").expect("it is there");
        assert!(matches!(served, Some((_, Served::Page))) && out.ends_with(b"\r\n\r\n<p>"), "{path}");
    }
    assert_eq!(get("/", "evil.test").expect_err("rebinding"), Refusal::Host("evil.test".into()));
    for (path, status) in [("/other", "404"), ("/ws", "426")] {
        let (served, out) = get(path, "localhost").expect("an answer");
        assert!(matches!(served, Some((_, Served::Page))), "{path}");
        assert!(out.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{path}");
    }
    assert!(judged(&site, &request("/", "127.0.0.1", "")).is_ok(), "the original's pages ask for the root");
}

#[test]
fn a_hub_that_has_no_room_refuses_web_sockets_but_not_pages_and_one_that_is_asked_too_often_both() {
    let mut files = Files::default();
    files.add("/index.html", *b"<p>");
    let site = Site { pages: Pages { files: Arc::new(files), ..Pages::default() }, ..site() };
    let (full, often) = (Refusal::Full("no room".into()), Refusal::TooOften("too many".into()));
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let v1 = request("/ws", "localhost", "Sec-WebSocket-Protocol: nanostate.v1\r\n");
    let (plain, evil) = (request("/ws", "localhost", ""), from("http://evil.test", "localhost"));
    for (refused, text, status) in [
        (&full, &page, "200"),
        (&full, &v1, "101"),
        (&full, &plain, "503"),
        (&full, &evil, "403"),
        (&often, &page, "429"),
        (&often, &v1, "429"),
        (&often, &plain, "429"),
        (&often, &evil, "429"),
    ] {
        let mut out = Vec::new();
        if let Err(refusal) = serve_unless(Some(refused), &site, text.as_bytes(), 0, &mut out) {
            assert!(out.is_empty());
            refusal.write(&mut out);
        }
        let answer = String::from_utf8(out).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text}: {answer}");
        assert_eq!(answer.contains("\r\nRetry-After: 1\r\n"), status == "429", "{answer}");
        assert_eq!(serve_unless(Some(refused), &site, &text.as_bytes()[..20], 0, &mut Vec::new()), Ok(None));
    }
}

#[test]
fn a_head_has_its_limits() {
    let long = request("/ws", "127.0.0.1", &format!("Cookie: {}\r\n", "x".repeat(MAX_HEAD)));
    assert_eq!(judged(&site(), &long), Err(Refusal::TooLong));
    let mut out = Vec::new();
    assert_eq!(serve(&site(), &long.as_bytes()[..MAX_HEAD - 1], 0, &mut out), Ok(None));
    assert_eq!(serve(&site(), &long.as_bytes()[..MAX_HEAD], 0, &mut out), Err(Refusal::TooLong));
    let many = request("/ws", "127.0.0.1", &"A: b\r\n".repeat(MAX_FIELDS));
    assert_eq!(judged(&site(), &many), Err(Refusal::TooLong));
    assert!(judged(&site(), &request("/ws", "127.0.0.1", &"A: b\r\n".repeat(MAX_FIELDS - 5))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_granted_refused_or_unfinished(bytes in vec(any::<u8>(), 0..300)) {
        let mut out = Vec::new();
        if serve(&site(), &bytes, 0, &mut out).is_ok_and(|granted| granted.is_some()) {
            prop_assert!(bytes.starts_with(b"GET "));
        }
    }

    #[test]
    fn a_damaged_request_is_judged_too(at in any::<Index>(), byte in any::<u8>(), cut in any::<Index>()) {
        let mut bytes = from("http://localhost:1", "127.0.0.1").into_bytes();
        let (at, cut) = (at.index(bytes.len()), cut.index(bytes.len() + 1));
        bytes[at] = byte;
        let mut out = Vec::new();
        let whole = serve(&site(), &bytes, 0, &mut Vec::new());
        // In two pieces it comes to the same, unless the first is refused already.
        let first = serve(&site(), &bytes[..cut], 0, &mut out);
        match first {
            Ok(None) => prop_assert_eq!(serve(&site(), &bytes, cut, &mut out), whole),
            Ok(Some(_)) => prop_assert_eq!(first, whole),
            Err(_) => prop_assert!(whole.is_err()),
        }
    }
}
