//! Access tokens: who is let in, what who may only read can do, and when a wrong token is answered.

use nanostate::engine::hub::{PeerEvent, RouterConfig, RouterEvent, Tokens};
use nanostate::engine::{ConnId, Role};
use nanostate::framing::http::client::Request;
use nanostate::framing::http::server::Site;
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Hidden, Instance, Meta};
use nanostate::{limits, Kind, Status};

use crate::sim::{body, value, Direct, MS, SEC};

const WRITER: &str = "the token of the robot";
const READER: &str = "the token of the panel";
const WRONG: &str = "a token of another hub";

/// The tokens of these names and rights. In files a token has no blanks.
fn tokens(lines: &[(&str, &str, &str)]) -> Option<Tokens> {
    let line = |(name, rights, token): &(&str, &str, &str)| format!("{name} {rights} {}\n", token.replace(' ', "-"));
    Some(Tokens::parse(&lines.iter().map(line).collect::<String>()).expect("tokens"))
}

/// A hub that asks for tokens.
fn hub(read_without_token: bool) -> Direct {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.access_mut().read_without_token = read_without_token;
    let now = hub.now;
    hub.router.set_tokens(now, tokens(&[("robot", "read-write", WRITER), ("panel", "read", READER)]));
    hub
}

/// A connection that has said hello with this token.
fn hello(hub: &mut Direct, identity: &str, number: u8, flags: HelloFlags, token: Option<&str>) -> ConnId {
    hello_at(hub, identity, number, flags, token, 1, None)
}

/// The same of the connection with this number of its app, whose clock reads this time.
fn hello_at(
    hub: &mut Direct,
    identity: &str,
    number: u8,
    flags: HelloFlags,
    token: Option<&str>,
    epoch: u64,
    time: Option<LogicalTime>,
) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let token = token.map(|token| token.replace(' ', "-"));
    let hello = Control::Hello {
        instance: Instance([number; 16]),
        epoch,
        accept: wire::ACCEPT_ANY,
        flags,
        time,
        secret: None,
        token: token.as_deref().map(Hidden),
        features: Features::CLEAR,
    };
    hub.control(conn, identity, hello);
    conn
}

fn joined(hub: &mut Direct, identity: &str, number: u8, token: Option<&str>) -> ConnId {
    let conn = hello(hub, identity, number, HelloFlags(0), token);
    assert!(hub.said(conn).contains(&"welcome".to_owned()), "{identity} is welcome");
    conn
}

/// A state without a stamp.
fn publish(hub: &mut Direct, conn: ConnId, sender: &str, name: &str) {
    hub.send(conn, &body(Form::V1, sender, name, &[1], &Meta::default()));
}

#[test]
fn an_app_without_a_token_is_refused_at_once_and_told_how_to_set_one() {
    let mut hub = hub(false);
    let app = hello(&mut hub, "a", 1, HelloFlags(0), None);
    let refused = hub.refusals();
    assert_eq!(hub.refusal(app), Some(Status::Permission));
    let words = "the hub asks for a token (NS_OPT_TOKEN, $NANOSTATE_TOKEN)";
    assert_eq!(refused, [(Status::Permission, words.to_owned())]);
    assert!(hub.is_closed(app));
}

#[test]
fn a_wrong_token_is_answered_later_each_time_and_a_right_one_at_once() {
    let mut hub = hub(false);
    for wait in [250, 500, 1000, 2000, 4000, 4000] {
        let app = hello(&mut hub, "a", 1, HelloFlags(0), Some(WRONG));
        // Whatever it says meanwhile.
        publish(&mut hub, app, "a", "x");
        hub.control(app, "a", Control::Ping { token: 1 });
        hub.read(app, 8);
        hub.pass(wait * MS - 1);
        assert!(hub.read(app, usize::MAX).is_empty() && !hub.is_closed(app), "{wait} ms");
        joined(&mut hub, "b", wait as u8, Some(WRITER));
        hub.pass(1);
        assert_eq!(hub.refusal(app), Some(Status::Permission), "{wait} ms");
        assert!(hub.is_closed(app));
        for (status, text) in hub.refusals() {
            assert_eq!((status, &*text), (Status::Permission, "the hub does not know this token"));
        }
        let b = hub.router.peer_stats().next().expect("b").from;
        hub.lose(ConnId(b.trim_start_matches("peer ").parse().expect("its number")));
    }
    assert_eq!((hub.router.stats().states, hub.router.stats().refused_peers), (0, 6));
}

#[test]
fn an_app_that_may_read_gets_all_and_publishes_nothing() {
    let mut hub = hub(false);
    let robot = joined(&mut hub, "robot", 1, Some(WRITER));
    publish(&mut hub, robot, "robot", "x");
    let panel = joined(&mut hub, "panel", 2, Some(READER));
    publish(&mut hub, robot, "robot", "y");
    assert_eq!(hub.said(panel), ["y"], "x came with the welcome");
    publish(&mut hub, panel, "panel", "mine");
    assert_eq!(hub.said(panel), ["rejected"]);
    // Nor does it clear anything.
    let cleared = Meta { flags: Meta::CLEAR, ..Meta::default() };
    hub.send(panel, &body(Form::V1, "panel", "gone", &[0xC0], &cleared));
    assert_eq!(hub.said(panel), ["rejected"]);
    assert!(hub.said(robot).is_empty());
    assert_eq!((hub.router.table().len(), hub.router.stats().refused), (2, 2));
    let told = hub.warnings();
    assert!(told.iter().any(|text| text.ends_with("\"mine\" refused: its token is for reading only")), "{told:?}");
}

#[test]
fn an_observer_publishes_nothing_whatever_its_token_allows_and_is_no_news() {
    let mut hub = hub(false);
    let robot = joined(&mut hub, "robot", 1, Some(WRITER));
    publish(&mut hub, robot, "robot", "x");
    let tool = hello(&mut hub, "tool", 2, HelloFlags::OBSERVER, Some(WRITER));
    let said = hub.said(tool);
    assert!(said.contains(&"welcome".to_owned()) && said.contains(&"x".to_owned()), "{said:?}");
    publish(&mut hub, tool, "tool", "mine");
    assert_eq!(hub.said(tool), ["rejected"]);
    hub.lose(tool);
    assert_eq!((hub.router.stats().states, hub.router.stats().refused), (1, 1));
    let mut news = Vec::new();
    while let Some(event) = hub.router.next_event() {
        match event {
            RouterEvent::Peer { identity, event, is_observer, .. } => news.push((identity, event, is_observer)),
            RouterEvent::Warning(text) => assert!(
                text.ends_with("\"mine\" refused: it said that it is an observer, which publishes nothing"),
                "{text}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let expected =
        [("robot", PeerEvent::Joined, false), ("tool", PeerEvent::Joined, true), ("tool", PeerEvent::Left, true)];
    assert_eq!(news, expected.map(|(identity, event, is)| (identity.to_owned(), event, is)));
}

#[test]
fn an_app_that_may_read_takes_no_identity_from_one_that_may_publish_and_gives_its_own_to_it() {
    let mut hub = hub(false);
    let panel = joined(&mut hub, "x", 1, Some(READER));
    let robot = joined(&mut hub, "x", 2, Some(WRITER));
    assert!(hub.is_closed(panel));
    let greedy = hello(&mut hub, "x", 3, HelloFlags::TAKE_OVER, Some(READER));
    let token = hub.ping(robot).expect("a question");
    hub.control(robot, "x", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(greedy), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(robot));
}

#[test]
fn an_app_that_may_read_replaces_no_holder_that_is_only_slow_to_answer() {
    let mut hub = hub(false);
    let robot = joined(&mut hub, "x", 1, Some(WRITER));
    let panel = hello(&mut hub, "x", 2, HelloFlags(0), Some(READER));
    assert!(hub.ping(robot).is_some());
    hub.pass(2 * SEC);
    assert_eq!(hub.refusal(panel), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(robot));
    // Another reader is replaced as ever, and so is who counts as lost.
    let [one, other] = [3, 4].map(|number| hello(&mut hub, "y", number, HelloFlags(0), Some(READER)));
    hub.pass(2 * SEC);
    assert!(hub.is_closed(one) && hub.said(other).contains(&"welcome".to_owned()));
    hub.pass(20 * SEC);
    let panel = hello(&mut hub, "x", 2, HelloFlags(0), Some(READER));
    hub.pass(2 * SEC);
    assert!(hub.is_closed(robot) && hub.said(panel).contains(&"welcome".to_owned()));
}

#[test]
fn an_app_that_may_read_does_not_pass_for_one_that_may_publish_by_its_instance() {
    let mut hub = hub(false);
    let robot = joined(&mut hub, "x", 1, Some(WRITER));
    // The instance is in every stamp.
    let panel = hello_at(&mut hub, "x", 1, HelloFlags(0), Some(READER), 2, None);
    let token = hub.ping(robot).expect("a question");
    hub.control(robot, "x", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(panel), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(robot));
}

#[test]
fn an_app_that_may_read_moves_no_clock() {
    let mut hub = hub(false);
    let robot = joined(&mut hub, "robot", 1, Some(WRITER));
    let year = |hub: &mut Direct, number, token| {
        let ahead = LogicalTime::from_millis(hub.now.wall.as_millis() + 3_600_000);
        let app = hello_at(hub, "clock", number, HelloFlags(0), Some(token), 1, Some(ahead));
        assert!(hub.said(app).contains(&"welcome".to_owned()));
        publish(hub, robot, "robot", "x");
        let stamp = hub.router.table().find("robot", "x").expect("the state").stamp();
        stamp.clock >= ahead
    };
    assert!(!year(&mut hub, 2, READER));
    assert!(year(&mut hub, 3, WRITER), "who may publish moves it");
}

#[test]
fn states_of_one_that_left_expire_although_an_app_that_may_read_has_its_identity() {
    for flags in [HelloFlags(0), HelloFlags::SHARED] {
        let mut hub = hub(false);
        let robot = hello(&mut hub, "x", 1, flags, Some(WRITER));
        publish(&mut hub, robot, "x", "old");
        // One that shares the identity is there before the other leaves.
        let left_first = flags != HelloFlags::SHARED;
        if left_first {
            hub.lose(robot);
        }
        hello(&mut hub, "x", 2, flags, Some(READER));
        if !left_first {
            hub.lose(robot);
        }
        hub.settle();
        assert_eq!((hub.router.stats().peers, hub.router.stats().states), (1, 1), "{flags:?}");
        hub.pass(limits::DEPARTED.as_nanos() as u64);
        hub.settle();
        assert_eq!((hub.router.stats().peers, hub.router.stats().states), (1, 0), "{flags:?}");
    }
}

#[test]
fn who_hangs_up_before_the_answer_to_a_wrong_token_is_told_of_as_one() {
    let mut hub = hub(false);
    let app = hello(&mut hub, "a", 1, HelloFlags(0), Some(WRONG));
    hub.lose(app);
    assert_eq!(hub.refusals(), [(Status::Permission, "the hub does not know this token".to_owned())]);
}

#[test]
fn who_waits_for_an_identity_while_its_token_is_taken_back_is_never_let_in() {
    let mut hub = hub(false);
    let holder = joined(&mut hub, "x", 1, Some(WRITER));
    let waiting = hello(&mut hub, "x", 2, HelloFlags(0), Some(WRITER));
    hub.events();
    let now = hub.now;
    hub.router.set_tokens(now, tokens(&[("other", "read", WRONG)]));
    hub.settle();
    assert!(hub.is_closed(holder) && hub.is_closed(waiting));
    let mut events = hub.events();
    events.sort_by_key(|(event, _)| *event == PeerEvent::Refused);
    assert_eq!(events, [(PeerEvent::Left, Status::Permission), (PeerEvent::Refused, Status::Permission)]);
    assert!(!hub.said(waiting).contains(&"welcome".to_owned()));
}

/// An old program, a plain WebSocket, and clients of gateways.
fn without_words(hub: &mut Direct) -> Vec<ConnId> {
    let old = hub.open_old();
    let plain = hub.open_web(Site { path: "/ws".into(), ..Site::default() });
    let mut request = Vec::new();
    Request::write("hub:1", "/ws", "", *b"the sample nonce", &mut request);
    hub.bytes(plain, &request);
    let clients = [Role::Pub, Role::Pull, Role::Rep, Role::Respondent].map(|role| hub.join_client(role, false));
    [&[old, plain][..], &clients].concat()
}

#[test]
fn peers_that_cannot_name_a_token_are_not_let_in() {
    let mut hub = hub(false);
    for conn in without_words(&mut hub) {
        assert!(hub.is_closed(conn), "{conn:?}");
    }
    let refused = hub.refusals();
    assert_eq!(refused.len(), 6);
    for (status, text) in refused {
        assert_eq!(status, Status::Permission);
        assert!(text.contains("NS_OPT_HUB_READ_WITHOUT_TOKEN"), "{text}");
    }
    assert_eq!(hub.router.stats().peers, 0);
}

#[test]
fn peers_that_cannot_name_a_token_may_read_where_that_is_allowed() {
    let mut hub = hub(true);
    let robot = joined(&mut hub, "robot", 1, Some(WRITER));
    let silent = joined(&mut hub, "silent", 2, None);
    let others = without_words(&mut hub);
    for &conn in &others[..2] {
        hub.read(conn, usize::MAX);
    }
    hub.send(robot, &body(Form::V1, "robot", "x", &value(Kind::Text, 1, 1), &Meta::default()));
    for &conn in &others[..2] {
        assert!(!hub.read(conn, usize::MAX).is_empty(), "{conn:?} reads");
    }
    let mine = body(Form::Old, "o", "mine", &value(Kind::Text, 1, 1), &Meta::default());
    publish(&mut hub, silent, "silent", "mine");
    hub.send(others[0], &mine);
    hub.send(others[3], &mine);
    // One that publishes by a request is told so.
    let publish = [&[0x80, 0, 0, 1][..], &mine].concat();
    hub.send(others[4], &publish);
    assert_eq!((hub.router.stats().states, hub.router.stats().refused), (1, 4));
    let told = hub.warnings();
    let words = "\"mine\" refused: without a token it may only read";
    assert_eq!(told.iter().filter(|text| text.ends_with(words)).count(), 4, "{told:?}");
    // A wrong token is no way in.
    let wrong = hello(&mut hub, "wrong", 3, HelloFlags(0), Some(WRONG));
    hub.pass(SEC);
    assert_eq!(hub.refusal(wrong), Some(Status::Permission));
}

#[test]
fn before_the_welcome_one_message_of_4_kib_is_taken() {
    let mut hub = hub(false);
    let mut longest = Vec::new();
    let instance = Instance([9; 16]);
    let (identity, token) = ("i".repeat(limits::MAX_SENDER), "t".repeat(limits::MAX_TOKEN));
    let hello = |token| Control::Hello {
        instance,
        epoch: u64::MAX,
        accept: u32::MAX,
        // An observer could not send what follows.
        flags: HelloFlags(u32::MAX ^ HelloFlags::OBSERVER.0),
        time: None,
        secret: Some(wire::Secret([1; 16])),
        token: Some(Hidden(token)),
        features: Features::NONE,
    };
    hello(&token).encode(&identity, &mut longest);
    assert!(longest.len() < limits::MAX_HELLO, "{}", longest.len());
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    hub.bytes(conn, &frame_head(Framing::Tcp, limits::MAX_HELLO + 1));
    assert!(hub.is_closed(conn));
    let words = "a message of 4097 bytes before the welcome, at most 4096";
    assert_eq!(hub.refusals(), [(Status::TooLarge, words.to_owned())]);
    // Larger ones follow in the same piece.
    let conn = hub.open();
    let (mut first, token) = (Vec::new(), WRITER.replace(' ', "-"));
    hello(&token).encode("a", &mut first);
    let large = body(Form::V1, "a", "x", &value(Kind::Bytes, 1, 100_000), &Meta::default());
    let mut piece = header(Version::V1).to_vec();
    for message in [&first, &large] {
        piece.extend_from_slice(&frame_head(Framing::Tcp, message.len()));
        piece.extend(message);
    }
    hub.bytes(conn, &piece);
    assert_eq!((hub.router.stats().states, hub.is_closed(conn)), (1, false));
}

#[test]
fn a_token_that_is_taken_back_ends_the_links_of_its_holders_and_of_no_others() {
    let mut hub = hub(true);
    let robot = joined(&mut hub, "robot", 1, Some(WRITER));
    let panel = joined(&mut hub, "panel", 2, Some(READER));
    let silent = joined(&mut hub, "silent", 3, None);
    hub.events();
    let now = hub.now;
    // One is gone, one has other rights.
    hub.router.set_tokens(now, tokens(&[("robot", "read-write", WRITER), ("panel", "read-write", READER)]));
    hub.settle();
    assert_eq!(hub.refusal(panel), Some(Status::Permission));
    assert_eq!([robot, panel, silent].map(|conn| hub.is_closed(conn)), [false, true, false]);
    assert_eq!(hub.events(), [(PeerEvent::Left, Status::Permission)]);
    hub.router.set_tokens(now, tokens(&[("other", "read", WRONG)]));
    hub.settle();
    assert_eq!(hub.refusal(robot), Some(Status::Permission));
    joined(&mut hub, "wrong", 4, Some(WRONG));
}

#[test]
fn a_page_that_may_read_does_not_publish_by_a_token() {
    // The rights of a page are an upper limit of those of its token: what decides first stays.
    let mut hub = hub(false);
    let page = hub.open_web(Site { path: "/ws".into(), loopback: true, ..Site::default() });
    let request =
        "GET /ws HTTP/1.1\r\nHost: localhost:15001\r\nOrigin: http://localhost:8000\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Protocol: nanostate.v1\r\n\r\n";
    hub.bytes(page, request.as_bytes());
    let (mut message, token) = (Vec::new(), WRITER.replace(' ', "-"));
    Control::Hello {
        instance: Instance([7; 16]),
        epoch: 1,
        accept: u32::MAX,
        flags: HelloFlags(0),
        time: None,
        secret: None,
        token: Some(Hidden(&token)),
        features: Features::NONE,
    }
    .encode("page", &mut message);
    let mut masks = nanostate::framing::ws::Masks::new([3; 16]);
    let mut frames = Vec::new();
    nanostate::framing::ws::message(&[&message], &mut masks, &mut frames);
    let state = body(Form::V1, "page", "x", &[1], &Meta::default());
    nanostate::framing::ws::message(&[&state], &mut masks, &mut frames);
    hub.bytes(page, &frames);
    assert_eq!((hub.router.stats().peers, hub.router.stats().states, hub.router.stats().refused), (1, 0, 1));
}
