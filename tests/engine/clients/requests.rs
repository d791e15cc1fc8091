//! REQ and SURVEYOR: answers with their traces, in order, and in turns where they cost much.

use nanostate::engine::hub::{PeerEvent, RouterConfig};
use nanostate::engine::{ConnId, Protocol, Role};
use nanostate::framing::{frame_head, gateway_header, Framing};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Instance, Malformed, Stamp};
use nanostate::{limits, Kind, Status};

use super::{answers_to, asked, request, trace};
use crate::gateways::{json, old_state, Outgoing};
use crate::sim::{value, whole_frames, Direct, MS, SEC};

#[test]
fn the_trace_of_a_question_stands_unchanged_before_the_answer() {
    for (role, framing) in
        [Role::Rep, Role::Respondent].into_iter().flat_map(|role| [(role, Framing::Tcp), (role, Framing::Ipc)])
    {
        let mut hub = Direct::new(RouterConfig::default());
        let client = hub.open_client(framing, role, false);
        hub.bytes(client, &gateway_header(role.hears()));
        assert_eq!(hub.read(client, usize::MAX), gateway_header(role.speaks()));
        let mut ask = |message: &[u8]| {
            hub.bytes(client, &[&frame_head(framing, message.len())[..], message].concat());
            whole_frames(framing, &hub.read(client, usize::MAX))
        };
        for steps in 1..=9 {
            // What is asked looks like one more step.
            let (trace, asks) = (trace(steps, steps as u8), json(r#"["get", "x"]"#));
            let answers = ask(&[&trace[..], &asks].concat());
            let [answer] = &answers[..] else { panic!("one answer: {answers:02x?}") };
            let answer = answer.strip_prefix(&trace[..]).unwrap_or_else(|| panic!("{steps} steps: {answer:02x?}"));
            let kind = if role == Role::Rep { Kind::Nil } else { Kind::Map };
            assert_eq!(wire::check(answer), Ok(kind), "{steps} steps");
            // Every bit of it.
            let every = [&[0x00, 0xFF, 0x00, 0xFF].repeat(steps - 1)[..], &[0xFF; 4], &asks].concat();
            assert!(ask(&every)[0].starts_with(&every[..4 * steps]));
        }
        let no_end = [&b""[..], &[0x80], &[0x80, 0, 0], &[0; 4], &[0x7F; 40], &trace(10, 1), b"\x01\x02\x03\x04\x81"];
        for message in no_end {
            assert!(ask(message).is_empty(), "nobody can be answered: {message:02x?}");
        }
        assert_eq!(ask(&[&trace(1, 1)[..], &json(r#"["peers"]"#)].concat()).len(), 1, "it lives on");
        let (stats, row) = (hub.router.stats(), hub.peer(client));
        assert_eq!((stats.malformed, stats.malformed_by[Malformed::Truncated.index()], row.malformed), (7, 7, 7));
        assert_eq!(hub.warnings().len(), 1);
    }
}

#[test]
fn a_client_that_asks_is_answered_whatever_it_asks_for() {
    let mut hub = Direct::new(RouterConfig::default());
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    let structured = hub.join_client(Role::Rep, true);
    hub.publish(a, "a", "x", &json(r#""text""#));
    hub.publish(a, "a", "m", &json(r#"{"k": 1}"#));
    let mut ask = |client, asks: &str| wire::from_msgpack(&asked(&mut hub, client, &json(asks)));
    assert_eq!(ask(rep, r#"["get", "x"]"#), r#"["a","x","text"]"#);
    assert_eq!(ask(rep, r#"["get", "none"]"#), "null");
    assert!(ask(rep, r#"["get", "m"]"#).contains("?structured=1"));
    assert_eq!(ask(structured, r#"["get", "m"]"#), r#"["a","m",{"k":1}]"#);
    assert_eq!(ask(rep, r#"["list", "*"]"#), r#"[["a","x","text"]]"#);
    assert_eq!(ask(rep, r#"["peers"]"#), r#"["a"]"#, "apps only");
    assert_eq!(ask(rep, r#"["script", "y", "new"]"#), r#""ok""#);
    assert_eq!(ask(structured, r#"["get", "y"]"#), r#"["script","y","new"]"#);
    assert!(ask(rep, r#"["a", "y", "new"]"#).contains(r#"states sent as \"a\" refused"#));
    assert!(ask(rep, r#"["gets", "y"]"#).contains("unknown request"));
    assert!(asked(&mut hub, rep, b"").len() > 10, "nothing is asked, and that is answered");
    assert_eq!((hub.peer(rep).messages_in, hub.peer(rep).malformed, hub.peer(structured).messages_in), (1, 0, 0));
}

/// A hub with so many states that to list them takes a whole turn, and the app that they are of.
fn hub_of_many_states(config: RouterConfig) -> (Direct, ConnId) {
    let mut hub = Direct::new(config);
    let a = hub.open_v1("a", 1);
    (0..4000).for_each(|i| hub.publish(a, "a", &format!("k{i}"), &value(Kind::Text, i, 1)));
    (hub, a)
}

#[test]
fn what_asks_much_at_once_is_answered_in_order_one_in_each_turn() {
    let (mut hub, a) = hub_of_many_states(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    let stream: Vec<u8> = (0..12).flat_map(|tag| request(&trace(1, tag), &json(r#"["list", "x"]"#))).collect();
    hub.bytes(rep, &stream);
    let mut answers = Vec::new();
    for turn in 0..12 {
        if turn > 0 {
            assert!(hub.router.is_ready(), "the rest of it has not to wait");
            // The others have their turns: what they say now is known to the next answer.
            hub.publish_at(
                a,
                "a",
                "x",
                &value(Kind::Text, turn, 1),
                Stamp { clock: LogicalTime::from_bits(turn), instance: Instance([1; 16]) },
            );
            assert!(hub.bodies(rep).is_empty());
            hub.pass(0);
        }
        assert_eq!(hub.router.reads(rep), turn == 11, "nothing more is read before all is answered");
        answers.extend(answers_to(&mut hub, rep, [turn as u8]));
    }
    for (turn, answer) in answers.iter().enumerate() {
        let expected = if turn == 0 { "[]".to_owned() } else { format!(r#"[["a","x","{turn}"]]"#) };
        assert_eq!(wire::from_msgpack(answer), expected, "turn {turn}");
    }
    hub.settle();
    assert!(hub.bodies(rep).is_empty() && !hub.router.is_due(hub.now));
}

#[test]
fn those_who_ask_much_share_the_turns_and_none_waits_for_all_of_another() {
    let (mut hub, _) = hub_of_many_states(RouterConfig::default());
    let clients: [ConnId; 4] = std::array::from_fn(|_| hub.join_client(Role::Rep, false));
    let answered =
        |hub: &mut Direct| -> Vec<usize> { clients.iter().map(|&client| hub.bodies(client).len()).collect() };
    let stream = |asks: &str, n| -> Vec<u8> { (0..n).flat_map(|tag| request(&trace(1, tag), &json(asks))).collect() };
    for client in clients {
        hub.bytes(client, &stream(r#"["list", "x"]"#, 3));
    }
    assert_eq!(answered(&mut hub), [1, 0, 0, 0], "the others wait, and not in vain");
    let mut served = Vec::new();
    while hub.router.is_ready() {
        hub.pass(0);
        let now = answered(&mut hub);
        assert_eq!(now.iter().sum::<usize>(), 1, "one in each turn");
        served.extend(now.iter().position(|&n| n == 1));
    }
    let mut counts = [1, 0, 0, 0];
    for &client in &served {
        counts[client] += 1;
        let waiting = (0..4).filter(|&other| counts[other] < 3).map(|other| counts[other]);
        assert!(counts[client] <= waiting.min().unwrap_or(3) + 2, "{served:?}");
    }
    assert_eq!(counts, [3; 4]);
    // A turn answers many cheap requests, but no more than that however many there are.
    for client in clients {
        hub.bytes(client, &stream(r#"["get", "x"]"#, 200));
    }
    let mut total = answered(&mut hub).iter().sum::<usize>();
    assert!(total < 100, "{total} at once");
    while hub.router.is_ready() {
        hub.pass(0);
        let now = answered(&mut hub).iter().sum::<usize>();
        assert!((1..100).contains(&now), "{now} in a turn");
        total += now;
    }
    assert_eq!(total, 800);
}

#[test]
fn what_costs_little_is_answered_at_once_behind_what_does_not() {
    let (mut hub, _) = hub_of_many_states(RouterConfig::default());
    let rep = hub.join_client(Role::Rep, false);
    let publish = |tag: u8| request(&trace(1, tag), &old_state("s", &format!("s{tag}"), &[tag]));
    let stream: Vec<u8> = (0..50)
        .chain(60..100)
        .flat_map(|tag| match tag {
            49 | 60 | 70 => request(&trace(1, tag), &json(r#"["list", "x"]"#)),
            5 | 80 => request(&trace(1, tag), &json(r#"["none"]"#)),
            _ => publish(tag),
        })
        .collect();
    hub.bytes(rep, &stream);
    // A list that does not fit into what is left of a turn is answered in the next.
    answers_to(&mut hub, rep, 0..49);
    for tags in [49..50, 60..70, 70..77, 77..100] {
        hub.pass(0);
        answers_to(&mut hub, rep, tags);
    }
    assert_eq!((hub.peer(rep).messages_in, hub.router.table().len()), (85, 4085));
    let surveyor = hub.join_client(Role::Respondent, false);
    let surveys: Vec<u8> = (0..20).flat_map(|tag| request(&trace(1, tag), b"")).collect();
    hub.bytes(surveyor, &surveys);
    answers_to(&mut hub, surveyor, 0..20);
}

#[test]
fn what_is_asked_in_pieces_is_answered_the_same() {
    let stream: Vec<u8> = (0..30)
        .flat_map(|tag| match tag % 3 {
            0 => request(&trace(1, tag), &old_state("s", "x", &value(Kind::Text, tag.into(), 5000))),
            1 => request(&trace(1, tag), &json(r#"["get", "x"]"#)),
            _ => request(&trace(1, tag), &json(r#"["list", "**"]"#)),
        })
        .collect();
    let run = |piece: usize| {
        let mut hub = Direct::new(RouterConfig::default());
        let rep = hub.join_client(Role::Rep, false);
        let mut bodies = Vec::new();
        for piece in stream.chunks(piece) {
            assert!(hub.router.reads(rep));
            hub.bytes(rep, piece);
            hub.settle();
            bodies.extend(hub.bodies(rep));
        }
        bodies
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.len(), 30);
    for piece in [1, 7, 100, 5000, 5021, 5022, 60_000] {
        assert!(run(piece) == whole, "{piece} bytes at once");
    }
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_and_goes_on_when_it_does() {
    const OUTBOX: usize = 10_000;
    for role in [Role::Rep, Role::Respondent] {
        let mut hub = Direct::new(RouterConfig { outbox: OUTBOX, ..RouterConfig::default() });
        hub.router.about_mut().host = "h".repeat(1000);
        let (a, client) = (hub.open_v1("a", 1), hub.join_client(role, false));
        let (other, subscriber) = (hub.join_client(role, false), hub.join_client(Role::Pub, false));
        hub.publish(a, "a", "x", &value(Kind::Text, 1, 1000));
        let stream: Vec<u8> = (0..100).flat_map(|tag| request(&trace(1, tag), &json(r#"["get", "x"]"#))).collect();
        // The last one is not there yet as a whole.
        let (now, later) = stream.split_at(stream.len() - 1);
        hub.bytes(client, now);
        hub.settle();
        let waits = hub.peer(client).outbox_bytes as usize;
        assert!((OUTBOX + 1..OUTBOX + 1500).contains(&waits), "{waits} bytes wait");
        assert!(!hub.router.reads(client), "{role:?}");
        assert!([a, other, subscriber].iter().all(|&conn| hub.router.reads(conn)));
        // However long it takes: nothing waits for a client that does not read.
        hub.pass(3600 * SEC);
        assert!(!hub.is_closed(client) && hub.peer(client).outbox_bytes as usize == waits);
        hub.bytes(other, &request(&trace(1, 7), &json(r#"["peers"]"#)));
        answers_to(&mut hub, other, [7]);
        let mut outgoing = Outgoing::new(client);
        outgoing.read(&mut hub, waits - OUTBOX - 1);
        hub.settle();
        assert_eq!(hub.peer(client).outbox_bytes as usize, OUTBOX + 1, "one byte too many");
        outgoing.read(&mut hub, 1);
        assert!(hub.router.is_ready(), "it goes on");
        hub.settle();
        assert!(hub.peer(client).outbox_bytes as usize > OUTBOX && !hub.router.reads(client));
        for _ in 0..100 {
            outgoing.read(&mut hub, 3000);
            hub.settle();
            assert!((hub.peer(client).outbox_bytes as usize) < OUTBOX + 1500);
        }
        assert!(hub.router.reads(client));
        hub.bytes(client, later);
        let answers = outgoing.frames(&mut hub);
        assert_eq!(answers.len(), 100, "{role:?}");
        assert!((0..).zip(&answers).all(|(tag, answer)| answer.starts_with(&trace(1, tag)) && answer.len() > 1000));
        assert!(answers.iter().all(|answer| answer[4..] == answers[0][4..]));
    }
}

#[test]
fn a_frame_that_stalls_behind_what_was_left_for_later_has_its_time_from_then_on() {
    let mut hub = Direct::new(RouterConfig { outbox: 1, ..RouterConfig::default() });
    let rep = hub.join_client(Role::Rep, false);
    let stream: Vec<u8> = (0..3).flat_map(|tag| request(&trace(1, tag), &json(r#"["peers"]"#))).collect();
    hub.bytes(rep, &stream[..stream.len() - 1]);
    hub.pass(100 * SEC);
    for tag in 0..2 {
        answers_to(&mut hub, rep, [tag]);
        hub.settle();
    }
    hub.pass(limits::STALLED_FRAME.as_nanos() as u64 - 1);
    assert!(!hub.is_closed(rep));
    hub.pass(1);
    assert!(hub.is_closed(rep));
}

#[test]
fn who_leaves_takes_what_he_asked_along_and_the_others_are_answered() {
    let (mut hub, _) = hub_of_many_states(RouterConfig { outbox: 1000, ..RouterConfig::default() });
    let clients: Vec<_> = (0..5).map(|_| hub.join_client(Role::Rep, false)).collect();
    let stream: Vec<u8> = (0..10).flat_map(|tag| request(&trace(1, tag), &json(r#"["list", "x"]"#))).collect();
    for &client in &clients {
        hub.bytes(client, &stream);
    }
    hub.pass(0);
    // Some leave, and with them what they asked.
    hub.lose(clients[0]);
    hub.pass(0);
    hub.lose(clients[3]);
    hub.bytes(clients[2], &frame_head(Framing::Tcp, 1 << 40));
    hub.settle();
    for &client in &[clients[1], clients[2], clients[4]] {
        answers_to(&mut hub, client, 0..10);
    }
    assert_eq!(hub.router.stats().peers, 4);
    // What followed was a frame over the limit, which the others have nothing to do with.
    assert_eq!((hub.peer(clients[2]).too_large, hub.router.stats().too_large), (1, 1));
    assert!(hub.router.reads(clients[1]) && hub.router.reads(clients[4]));
}

#[test]
fn who_leaves_with_questions_that_are_not_answered_leaves_nothing_behind() {
    let mut hub = Direct::new(RouterConfig { outbox: 100, ..RouterConfig::default() });
    let (asks, half) = (request(&trace(1, 1), &json(r#"["peers"]"#)), request(&trace(1, 1), &[0xC1; 10_000]));
    for reads in [false, true] {
        let rep = hub.join_client(Role::Rep, false);
        hub.bytes(rep, &[&asks.repeat(100)[..], &half[..9000]].concat());
        if reads {
            hub.bodies(rep);
        } else {
            hub.settle();
        }
        assert!(!hub.router.reads(rep));
        hub.lose(rep);
        assert_eq!(hub.events(), [(PeerEvent::Joined, Status::Ok), (PeerEvent::Left, Status::Closed)]);
        hub.settle();
        hub.pass(3600 * SEC);
        let stats = hub.router.stats();
        assert_eq!((stats.peers, stats.unfinished_bytes, stats.malformed), (0, 0, 0));
        assert!(
            hub.closed.is_empty() && hub.router.deadline().is_none() && !hub.router.is_ready(),
            "there is nothing to do"
        );
    }
}

#[test]
fn an_answer_is_within_the_limit_with_its_trace() {
    let mut hub = Direct::new(RouterConfig { legacy_max: 1000, ..RouterConfig::default() });
    let (a, rep) = (hub.open_v1("a", 1), hub.join_client(Role::Rep, false));
    for steps in 1..=9 {
        // Two bodies in an array head of one byte, and one body: the heads of a body take 4 bytes, those of names and
        // texts 2 and 3.
        let (most, trace) = (1000 - 4 * steps, trace(steps, 1));
        for over in [0, 1] {
            hub.pass(MS);
            hub.publish(a, "a", "l1", &value(Kind::Text, 1, 400 - 6 - 3));
            hub.publish(a, "a", "l2", &value(Kind::Text, 1, most - 1 - 400 - 6 - 3 + over));
            hub.publish(a, "a", "g", &value(Kind::Text, 1, most - 5 - 3 + over));
            for asks in [r#"["list", "l*"]"#, r#"["get", "g"]"#] {
                hub.bytes(rep, &request(&trace, &json(asks)));
                hub.settle();
                let answer = hub.bodies(rep).remove(0);
                if over == 0 {
                    assert_eq!(answer.len(), 1000, "{asks} in {steps} steps");
                    continue;
                }
                let text = wire::text(&answer[trace.len()..]).expect("a fault").to_owned();
                assert!(text.contains(&format!("{} bytes, at most {most}", most + 1)), "{steps} steps: {text}");
            }
        }
    }
}

#[test]
fn a_survey_of_a_client_counts_apps_and_is_answered_whatever_it_says() {
    let mut hub = Direct::new(RouterConfig::default());
    hub.router.about_mut().host = "a host".into();
    let (client, a) = (hub.join_client(Role::Respondent, false), hub.open_v1("a", 1));
    for role in Role::ALL {
        hub.join_client(role, false);
    }
    hub.publish(a, "a", "x", &[1]);
    let surveys = [vec![], vec![0xC1], json(r#"["peers"]"#), vec![0x91; 1000], old_state("s", "y", &[1])];
    let mut answers: Vec<_> = surveys.iter().map(|survey| asked(&mut hub, client, survey)).collect();
    let words = wire::from_msgpack(&answers[0]);
    assert!(
        [r#""host":"a host""#, r#""peers":1,"#, r#""states":1,"#].iter().all(|part| words.contains(part)),
        "{words}"
    );
    answers.dedup();
    assert_eq!((answers.len(), hub.router.stats().malformed, hub.router.stats().messages_in), (1, 0, 1));
}

#[test]
fn a_client_that_leaves_while_its_list_is_made_leaves_nothing_that_is_counted() {
    let (mut hub, a) = hub_of_many_states(RouterConfig::default());
    (4000..9000).for_each(|i| hub.publish(a, "a", &format!("k{i}"), &value(Kind::Text, i, 1)));
    hub.bodies(a);
    let before = hub.router.stats().outbox_bytes;
    let rep = hub.join_client(Role::Rep, false);
    hub.bytes(rep, &request(&trace(1, 1), &json(r#"["list", "*"]"#)));
    assert!(hub.router.is_ready() && hub.router.stats().outbox_bytes > before, "the list is being made");
    hub.lose(rep);
    assert_eq!(hub.router.stats().outbox_bytes, before);
}

#[test]
fn lists_that_are_being_made_cost_those_who_asked_and_not_a_peer_that_is_about_to_read() {
    const MEMORY: usize = 8 << 20;
    let (mut hub, a) = hub_of_many_states(RouterConfig { memory: MEMORY, ..RouterConfig::default() });
    (4000..9000).for_each(|i| hub.publish(a, "a", &format!("k{i}"), &value(Kind::Text, i, 40)));
    hub.bodies(a);
    let honest = hub.open_v1("honest", 2);
    hub.settle();
    hub.bodies(honest);
    let clients: [ConnId; 40] = std::array::from_fn(|_| hub.join_client(Role::Rep, false));
    let ask = request(&trace(1, 1), &json(r#"["list", "*"]"#));
    clients.iter().for_each(|&client| hub.bytes(client, &ask));
    while hub.router.is_ready() {
        hub.publish(a, "a", "news", &value(Kind::Text, 1, 40));
        hub.pass(MS);
        let held = hub.router.stats().memory_bytes as usize;
        assert!(held <= MEMORY + MEMORY / 4, "{held} bytes");
    }
    assert!(!hub.is_closed(honest) && !hub.is_closed(a));
    assert!(clients.iter().any(|&client| hub.is_closed(client)), "some of them paid");
    assert!(!hub.bodies(honest).is_empty(), "the news");
}
