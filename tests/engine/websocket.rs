//! WebSockets of hubs and apps, beside their frames: what is agreed on, pings, and requests for pages.

use std::sync::Arc;

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::{PeerEvent, RouterConfig};
use nanostate::engine::Protocol as _;
use nanostate::framing::http::client::Request;
use nanostate::framing::http::files::Files;
use nanostate::framing::http::server::{Pages, Site};
use nanostate::framing::ws::{self, Masks};
use nanostate::framing::{Decoder, Frame, Framing};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance};
use nanostate::{limits, Status};

use crate::sim::{Direct, DirectApp, SEC};

fn site() -> Site {
    Site { path: "/ws".into(), ..Site::default() }
}

/// A request for a WebSocket with this subprotocol.
fn upgrade(protocol: &str) -> Vec<u8> {
    let mut request = Vec::new();
    Request::write("hub:1", "/ws", protocol, *b"the sample nonce", &mut request);
    request
}

/// What follows the head of an answer, which has this status.
fn behind_head<'a>(bytes: &'a [u8], status: &str) -> &'a [u8] {
    assert!(bytes.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{}", String::from_utf8_lossy(bytes));
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    &bytes[end + 4..]
}

#[test]
fn a_hub_pings_a_web_socket_now_and_then_and_no_other_peer() {
    let mut hub = Direct::new(RouterConfig::default());
    let (web, old) = (hub.open_web(site()), hub.open_old());
    hub.bytes(web, &upgrade("bus.sp.nanomsg.org"));
    behind_head(&hub.read(web, usize::MAX), "101");
    hub.read(old, usize::MAX);
    let interval = limits::KEEP_ALIVE.as_nanos() as u64;
    for _ in 0..3 {
        hub.pass(interval - SEC);
        assert!(hub.read(web, usize::MAX).is_empty(), "too early");
        hub.pass(SEC);
        assert_eq!(hub.read(web, usize::MAX), b"\x89\0");
        assert!(hub.read(old, usize::MAX).is_empty());
    }
    hub.lose(web);
    hub.lose(old);
    assert_eq!(hub.router.deadline(), None);
}

#[test]
fn a_page_that_is_not_taken_in_time_is_cut_off_and_none_is_a_refused_peer() {
    let mut hub = Direct::new(RouterConfig::default());
    let mut files = Files::default();
    files.add("/page.html", vec![b'p'; 100_000]);
    let site = Site { pages: Pages { files: Arc::new(files), ..Pages::default() }, ..site() };
    let (reads, slow, lost) = (hub.open_web(site.clone()), hub.open_web(site.clone()), hub.open_web(site));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    hub.bytes(reads, get("/page.html").as_bytes());
    hub.bytes(slow, get("/page.html").as_bytes());
    hub.bytes(lost, get("/favicon.ico").as_bytes());
    assert_eq!(behind_head(&hub.read(reads, usize::MAX), "200"), [b'p'; 100_000]);
    assert!(behind_head(&hub.read(lost, usize::MAX), "404").starts_with(b"nanostate hub: "));
    assert!(hub.is_closed(reads) && hub.is_closed(lost) && !hub.is_closed(slow));
    hub.pass(limits::SERVED.as_nanos() as u64);
    assert!(hub.is_closed(slow));
    assert_eq!((hub.events(), hub.router.stats().refused_peers), (vec![], 0));
}

#[test]
fn an_app_that_finds_a_hub_full_is_told_so_and_its_web_socket_closed() {
    let mut hub = Direct::new(RouterConfig { max_peers: 1, ..RouterConfig::default() });
    hub.open_v1("a", 1);
    hub.events();
    let web = hub.open_web(site());
    hub.bytes(web, &upgrade("nanostate.v1"));
    let mut hello = Vec::new();
    let instance = Instance([2; 16]);
    let (flags, time, secret) = (HelloFlags(0), None, None);
    Control::Hello { instance, epoch: 1, accept: u32::MAX, flags, time, secret, token: None, features: Features::NONE }
        .encode("b", &mut hello);
    let mut frame = Vec::new();
    ws::message(&[&hello], &mut Masks::new([3; 16]), &mut frame);
    hub.bytes(web, &frame);
    assert!(hub.is_closed(web));
    assert_eq!(hub.events(), [(PeerEvent::Refused, Status::Full)]);
    let said = hub.read(web, usize::MAX);
    let mut input = behind_head(&said, "101");
    let mut decoder = Decoder::new(Framing::WsClient, 1 << 20);
    let Ok(Some(Frame::Body(body))) = decoder.next(&mut input) else { panic!("a refusal") };
    let body = wire::decode(body, Form::V1).expect("a body");
    assert!(matches!(Control::decode(&body), Ok(Control::Refuse { status, .. }) if status == Status::Full.code()));
    let end = decoder.next(&mut input).expect_err("the end");
    assert!(
        end.is_close()
            && end.to_string().ends_with("with 1000: at most 1 peers may be connected (NS_OPT_HUB_MAX_PEERS)"),
        "{end}"
    );
}

#[test]
fn web_sockets_beyond_their_limit_are_answered_503_and_keep_no_program_out() {
    let mut hub = Direct::new(RouterConfig { max_websockets: 2, ..RouterConfig::default() });
    let first = hub.open_web(site());
    hub.bytes(first, &upgrade("bus.sp.nanomsg.org"));
    let second = hub.open_web(site());
    hub.bytes(second, &upgrade("bus.sp.nanomsg.org"));
    hub.events();
    let text = "at most 2 WebSockets may be connected (NS_OPT_HUB_MAX_WEBSOCKETS)".to_owned();
    for protocol in ["bus.sp.nanomsg.org", "pub.sp.nanomsg.org", "other"] {
        let surplus = hub.open_web(site());
        hub.bytes(surplus, &upgrade(protocol));
        let body = format!("nanostate hub: {text}\n");
        assert_eq!(behind_head(&hub.read(surplus, usize::MAX), "503"), body.as_bytes());
        assert!(hub.is_closed(surplus));
        assert_eq!(hub.refusals(), [(Status::Full, text.clone())]);
    }
    // An app is told in the language of apps, also in browsers, where nobody sees the status of an answer.
    let app = hub.open_web(site());
    hub.bytes(app, &upgrade("nanostate.v1"));
    behind_head(&hub.read(app, usize::MAX), "101");
    assert!(hub.is_closed(app));
    assert_eq!(hub.refusals(), [(Status::Full, text)]);
    // Nobody else notices.
    let page = hub.open_web(site());
    hub.bytes(page, b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    behind_head(&hub.read(page, usize::MAX), "404");
    hub.open_v1("a", 1);
    let old = hub.open_old();
    assert!(!hub.is_closed(old) && !hub.is_closed(first));
    // One that leaves makes room.
    hub.lose(second);
    let third = hub.open_web(site());
    hub.bytes(third, &upgrade("nanostate.v1"));
    behind_head(&hub.read(third, usize::MAX), "101");
    assert!(!hub.is_closed(third));
}

#[test]
fn those_who_wait_to_be_refused_a_web_socket_are_few() {
    let mut hub = Direct::new(RouterConfig { max_websockets: 2, ..RouterConfig::default() });
    let pages = [(); 2].map(|()| hub.open_web(site()));
    pages.iter().for_each(|&page| hub.bytes(page, &upgrade("bus.sp.nanomsg.org")));
    let silent: Vec<_> = (0..200).map(|_| hub.open_web(site())).collect();
    assert_eq!(silent.iter().filter(|&&conn| !hub.is_closed(conn)).count(), limits::SURPLUS_PEERS);
    hub.pass(limits::HANDSHAKE.as_nanos() as u64);
    assert!(silent.iter().all(|&conn| hub.is_closed(conn)));
    hub.lose(pages[0]);
    let next = hub.open_web(site());
    hub.bytes(next, &upgrade("nanostate.v1"));
    behind_head(&hub.read(next, usize::MAX), "101");
    assert!(!hub.is_closed(next));
}

#[test]
fn web_sockets_that_have_not_asked_make_room_for_others_the_oldest_first() {
    let mut hub = Direct::new(RouterConfig { max_websockets: 3, ..RouterConfig::default() });
    let [page, silent, slow] = [(); 3].map(|()| hub.open_web(site()));
    hub.bytes(page, &upgrade("other"));
    hub.bytes(slow, b"GET /ws HT");
    let program = hub.open();
    hub.events();
    let closed = |hub: &Direct| [page, silent, slow, program].map(|conn| hub.is_closed(conn));
    for so_far in [[false, true, false, false], [false, true, true, false]] {
        let next = hub.open_web(site());
        hub.bytes(next, &upgrade("other"));
        behind_head(&hub.read(next, usize::MAX), "101");
        assert_eq!(closed(&hub), so_far);
        let words = "it made room for others before its handshake: at most 3 WebSockets may be connected \
                     (NS_OPT_HUB_MAX_WEBSOCKETS)";
        assert_eq!(hub.refusals(), [(Status::Full, words.to_owned())]);
    }
    // All have asked. What is no WebSocket makes no room for one.
    let surplus = hub.open_web(site());
    hub.bytes(surplus, &upgrade("other"));
    behind_head(&hub.read(surplus, usize::MAX), "503");
}

#[test]
fn an_address_that_asks_too_often_is_answered_429_and_no_other() {
    let mut hub = Direct::new(RouterConfig { http_rate: 4, ..RouterConfig::default() });
    let get = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ask = |hub: &mut Direct, host: &str, request: &[u8]| {
        let conn = hub.open_web_from(site(), host.parse().expect("an address"));
        // However many pieces it comes in, it is one request.
        request.chunks(10).for_each(|piece| hub.bytes(conn, piece));
        let said = hub.read(conn, usize::MAX);
        (String::from_utf8_lossy(&said[9..12]).into_owned(), said)
    };
    for (request, status) in [(&get[..], "404"), (b"\0SP\0\0\x70\0\0", "400"), (&upgrade("other"), "101"), (get, "404")]
    {
        assert_eq!(ask(&mut hub, "192.0.2.1", request).0, status, "whatever comes of it, it counts");
    }
    hub.events();
    for request in [&get[..], &upgrade("other"), &upgrade("nanostate.v1")] {
        let (status, said) = ask(&mut hub, "192.0.2.1", request);
        assert_eq!(status, "429");
        assert!(String::from_utf8_lossy(&said).contains("\r\nRetry-After: 1\r\n"));
        let text = "more than 4 HTTP requests a second from 192.0.2.1 (NS_OPT_HUB_HTTP_RATE)".to_owned();
        assert_eq!(hub.refusals(), [(Status::Full, text)]);
    }
    assert_eq!(ask(&mut hub, "192.0.2.2", get).0, "404");
    hub.pass(SEC / 4);
    assert_eq!(ask(&mut hub, "192.0.2.1", get).0, "404");
    assert_eq!(ask(&mut hub, "192.0.2.1", get).0, "429");
    // Programs that ask for no page and no WebSocket are not meant.
    for i in 1..20 {
        hub.open_v1(&format!("app{i}"), i);
    }
}

#[test]
fn a_hub_that_ends_tells_each_open_web_socket_once_and_nobody_else() {
    let mut hub = Direct::new(RouterConfig::default());
    let opened: Vec<_> = ["nanostate.v1", "other", "pub.sp.nanomsg.org"]
        .map(|protocol| {
            let conn = hub.open_web(site());
            hub.bytes(conn, &upgrade(protocol));
            behind_head(&hub.read(conn, usize::MAX), "101");
            conn
        })
        .into();
    let (asking, app, old) = (hub.open_web(site()), hub.open_v1("a", 1), hub.open_old());
    hub.bytes(asking, b"GET /ws HT");
    hub.read(old, usize::MAX);
    // What waited comes before it.
    hub.publish(app, "a", "last", b"\xa1x");
    for _ in 0..2 {
        hub.router.say_goodbye();
    }
    for conn in opened {
        let said = hub.read(conn, usize::MAX);
        let (mut input, mut decoder) = (&said[..], Decoder::new(Framing::WsClient, 1 << 20));
        if said[0] == 0x82 {
            assert!(matches!(decoder.next(&mut input), Ok(Some(Frame::Body(_)))));
        }
        let end = decoder.next(&mut input).expect_err("the end");
        assert_eq!(end.to_string(), "the other side closed the WebSocket with 1001: the hub ends");
        assert!(input.is_empty(), "and nothing behind it");
    }
    assert!(hub.read(asking, usize::MAX).is_empty());
    assert!(hub.bodies(app).is_empty() && hub.bodies(old).len() == 1);
}

/// The answer to the request of an app.
fn granted(protocol: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{protocol}\r\n"
    )
}

/// The subprotocol that an app asks for.
fn asked(app: &mut DirectApp) -> String {
    let request = String::from_utf8(app.written()).expect("text");
    let field = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
    field.expect("a subprotocol").to_owned()
}

#[test]
fn a_hub_that_names_no_subprotocol_is_an_old_one_on_the_same_connection() {
    let mut app = DirectApp::new();
    app.open_web();
    assert_eq!(asked(&mut app), "nanostate.v1");
    app.bytes(granted("").as_bytes());
    assert_eq!((app.session.link(), app.closed.len()), (LinkState::Connected, 0));
}

#[test]
fn a_hub_that_knows_no_v1_is_asked_for_bus_at_once() {
    let mut app = DirectApp::new();
    app.open_web();
    assert_eq!(asked(&mut app), "nanostate.v1");
    app.bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!((app.closed.len(), app.dials.len()), (1, 1), "no wait");
    app.open_web();
    assert_eq!(asked(&mut app), "bus.sp.nanomsg.org");
    app.bytes(granted("Sec-WebSocket-Protocol: bus.sp.nanomsg.org\r\n").as_bytes());
    assert_eq!(app.session.link(), LinkState::Connected);
}

#[test]
fn an_app_that_is_refused_a_web_socket_says_why() {
    for (answer, status, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Status::Permission, "the WebSocket was refused: 403 Forbidden"),
        ("HTTP/1.1 503 Busy\r\n\r\n", Status::Full, "the WebSocket was refused: 503 Busy"),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", Status::Full, "the WebSocket was refused: 429 Too Many"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Status::Refused, "the WebSocket was refused: 502 Bad Gateway"),
        ("\0SP\0\0\x70\x4E\x01", Status::Invalid, "no WebSocket is there"),
    ] {
        let mut app = DirectApp::new();
        app.open_web();
        app.written();
        app.bytes(answer.as_bytes());
        let failure = app.session.last_failure().expect("it failed");
        assert_eq!(failure.status(), status, "{failure}");
        assert!(failure.to_string().starts_with(words), "{failure}");
    }
}
