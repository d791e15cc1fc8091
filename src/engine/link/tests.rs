use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::framing::http::server::{Rights, Site};
use crate::framing::Version;

const LIMITS: LinkLimits = LinkLimits { frame: 1 << 20, outbox: 4096, answers: 1000 };

fn link(conn: u64, framing: Framing, side: Side) -> Link {
    let web = match framing {
        Framing::WsServer => Some(Web::Site(Arc::new(Site { path: "/ws".into(), ..Site::default() }))),
        Framing::WsClient => {
            Some(Web::Target { host: "hub:1".into(), path: "/ws".into(), key: [1; 16], masks: [conn as u8; 16] })
        }
        Framing::Tcp | Framing::Ipc | Framing::Inproc => None,
    };
    let info = ConnInfo { framing, from: String::new(), host: None, gateway: None, web };
    Link::new(Now::default(), ConnId(conn), &info, side, LIMITS, &Pool::new(4))
}

/// Two links and the bytes that are on their way between them.
struct Pair {
    links: [Link; 2],
    /// To each of them.
    on_the_way: [VecDeque<u8>; 2],
    opened: [Option<Agreed>; 2],
    bodies: [Vec<Vec<u8>>; 2],
}

impl Pair {
    fn new(framing: Framing, version: Version) -> Pair {
        let theirs = if framing == Framing::WsClient { Framing::WsServer } else { framing };
        let links = [link(0, framing, Side::Dialler(version)), link(1, theirs, Side::Listener)];
        Pair { links, on_the_way: Default::default(), opened: [None; 2], bodies: Default::default() }
    }

    /// One of them writes at most so many bytes.
    fn write(&mut self, from: usize, most: usize) {
        let link = &mut self.links[from];
        link.begin_write();
        let mut slices = Vec::new();
        link.gather(&mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        drop(slices);
        link.wrote(Now::default(), bytes.len());
        self.on_the_way[1 - from].extend(bytes);
    }

    /// One of them reads at most so many bytes.
    fn read(&mut self, to: usize, most: usize) {
        let len = self.on_the_way[to].len().min(most);
        let bytes: Vec<u8> = self.on_the_way[to].drain(..len).collect();
        let (link, mut input) = (&mut self.links[to], &bytes[..]);
        if !link.is_open() {
            let opened = link.greet(&mut input, &mut VecDeque::new()).expect("both speak the same protocol");
            let Some(opened) = opened else { return assert!(input.is_empty()) };
            self.opened[to] = Some(opened.agreed);
        }
        let mut decoder = link.take_decoder();
        while let Some(frame) = link.next(&mut decoder, &mut input).expect("frames only") {
            self.bodies[to].push(match frame {
                Frame::Body(body) => body.to_vec(),
                Frame::Large(body) => body.to_vec(),
                other => panic!("{other:?}"),
            });
        }
        link.put_decoder(decoder, &mut VecDeque::new());
    }
}

fn written(link: &mut Link) -> Vec<u8> {
    let mut slices = Vec::new();
    link.begin_write();
    link.gather(&mut slices);
    let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
    drop(slices);
    link.wrote(Now::default(), bytes.len());
    bytes
}

#[test]
fn a_flush_is_asked_for_once_until_the_driver_begins_to_write() {
    let (mut link, mut actions) = (link(7, Framing::Inproc, Side::Listener), VecDeque::new());
    (0..3).for_each(|_| link.flush(&mut actions));
    assert_eq!(actions, [Action::Flush(ConnId(7))]);
    link.begin_write();
    link.flush(&mut actions);
    assert_eq!(actions.len(), 2);
}

#[test]
fn a_ping_without_room_for_its_answer_waits_and_only_the_newest_is_answered() {
    let mut link = link(1, Framing::Inproc, Side::Listener);
    assert_eq!((link.take_ping(1), link.due_pong()), (Some(1), None));
    link.feed.message(&[0; 2000]);
    assert_eq!((link.take_ping(2), link.take_ping(3), link.due_pong()), (None, None, None));
    let waiting = link.feed.waiting();
    link.begin_write();
    assert!(link.wrote(Now::default(), waiting), "the pong is to be written");
    assert_eq!((link.due_pong(), link.due_pong()), (Some(3), None));
    assert!(!link.wrote(Now::default(), 0));
    // One that is answered at once makes those before it obsolete.
    link.feed.message(&[0; 2000]);
    assert_eq!(link.take_ping(4), None);
    link.wrote(Now::default(), link.feed.waiting());
    assert_eq!((link.take_ping(5), link.due_pong()), (Some(5), None));
}

#[test]
fn only_a_dialler_speaks_first_and_without_a_header_nobody_does() {
    assert_eq!(written(&mut link(1, Framing::Tcp, Side::Dialler(Version::V1))), crate::framing::header(Version::V1));
    assert!(written(&mut link(1, Framing::Tcp, Side::Listener)).is_empty());
    let mut in_memory = link(1, Framing::Inproc, Side::Dialler(Version::V1));
    assert!(in_memory.is_open() && written(&mut in_memory).is_empty());
}

#[test]
fn an_old_answer_to_v1_opens_the_link_for_nothing() {
    let mut link = link(1, Framing::Ipc, Side::Dialler(Version::V1));
    let theirs = crate::framing::header(Version::Old);
    let opened = link.greet(&mut &theirs[..], &mut VecDeque::new());
    assert_eq!(opened, Ok(Some(Opened { agreed: Agreed::NotV1, rights: Rights::ReadWrite, said: theirs.to_vec() })));
}

/// A WebSocket of a hub and a client, opened.
fn web_socket() -> Pair {
    let mut pair = Pair::new(Framing::WsClient, Version::V1);
    pair.write(0, usize::MAX);
    pair.read(1, usize::MAX);
    pair.write(1, usize::MAX);
    pair.read(0, usize::MAX);
    assert_eq!(pair.opened, [Some(Agreed::V1); 2]);
    pair
}

#[test]
fn the_pings_of_a_web_socket_are_answered_and_the_newest_alone_when_there_was_no_room() {
    let mut pair = web_socket();
    let hub = 1;
    (0..3).for_each(|_| pair.links[0].ping());
    pair.write(0, usize::MAX);
    pair.read(hub, usize::MAX);
    assert_eq!(written(&mut pair.links[hub]), b"\x8a\0\x8a\0\x8a\0");
    pair.links[hub].feed.message(&[0; 2000]);
    (0..3).for_each(|_| pair.links[0].ping());
    pair.write(0, usize::MAX);
    pair.read(hub, usize::MAX);
    let waiting = pair.links[hub].feed.waiting();
    assert!(pair.links[hub].wrote(Now::default(), waiting), "a pong is to be written");
    assert_eq!(written(&mut pair.links[hub]), b"\x8a\0");
}

#[test]
fn a_web_socket_that_is_closed_is_answered_once_and_ends() {
    let mut pair = web_socket();
    pair.links[0].say_close(CloseCode::GOING_AWAY, "bye");
    pair.links[0].say_close(CloseCode::NORMAL, "again");
    let bytes = written(&mut pair.links[0]);
    let hub = &mut pair.links[1];
    let mut decoder = hub.take_decoder();
    let error = hub.next(&mut decoder, &mut &bytes[..]).expect_err("the end");
    assert_eq!(end_of(&error), Status::Closed);
    assert_eq!(error.to_string(), "the other side closed the WebSocket with 1001: bye");
    hub.say_close(CloseCode::NORMAL, "");
    assert_eq!(written(hub), b"\x88\x02\x03\xe9", "the same code");
    // Where no WebSocket is, nothing is said.
    let mut other = link(1, Framing::Inproc, Side::Listener);
    other.say_close(CloseCode::NORMAL, "");
    assert!(written(&mut other).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever pieces are written and read, both sides agree, and every message arrives, whole and in order.
    #[test]
    fn two_links_understand_each_other_however_the_bytes_come(
        framing in select(vec![Framing::Tcp, Framing::Ipc, Framing::Inproc, Framing::WsClient]),
        version in select(vec![Version::V1, Version::Old]),
        steps in vec((0usize..2, any::<bool>(), 0usize..40, proptest::option::of(0usize..3000)), 0..60),
    ) {
        let mut pair = Pair::new(framing, version);
        let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
        for (which, reads, most, message) in steps {
            if let (Some(len), true) = (message, pair.links[which].is_open()) {
                let body = vec![sent[which].len() as u8; len];
                pair.links[which].feed.message(&body);
                sent[which].push(body);
            }
            if reads {
                pair.read(which, most);
            } else {
                pair.write(which, most);
            }
        }
        for _ in 0..3 {
            for which in [0, 1] {
                while !pair.links[which].feed.is_drained() {
                    pair.write(which, usize::MAX);
                }
                pair.read(1 - which, usize::MAX);
            }
        }
        let agreed = if version == Version::Old { Agreed::Old } else { Agreed::V1 };
        for which in [0, 1] {
            prop_assert_eq!(pair.opened[which], framing.has_handshake().then_some(agreed));
            prop_assert!(pair.links[which].is_open() && !pair.links[which].is_amid_frame());
            prop_assert_eq!(pair.links[which].is_old(), framing.has_handshake() && agreed == Agreed::Old);
            prop_assert_eq!(&pair.bodies[1 - which], &sent[which]);
        }
    }
}

#[test]
fn a_side_that_takes_what_had_to_wait_shows_that_it_lives() {
    let mut link = link(0, Framing::Inproc, Side::Listener);
    let at = |nanos| Now { mono: MonoTime::from_nanos(nanos), ..Now::default() };
    link.feed.message(&[0; 100]);
    assert!(link.wrote(at(10), 50));
    assert_eq!(link.last_sign(), at(0).mono, "a buffer of the system took it");
    assert!(link.wrote(at(20), 50 - 8) && link.wrote(at(30), 0));
    assert_eq!(link.last_sign(), at(20).mono);
    assert!(!link.wrote(at(40), link.feed.waiting()));
    link.feed.message(&[0; 100]);
    assert!(!link.wrote(at(50), link.feed.waiting()));
    assert_eq!(link.last_sign(), at(40).mono, "nothing had to wait any more");
    link.heard(at(60));
    assert_eq!(link.last_sign(), at(60).mono);
}
