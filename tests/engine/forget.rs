//! Values of senders that have departed, which another app has withdrawn.

use nanostate::engine::hub::{RouterConfig, Tokens};
use nanostate::engine::ConnId;
use nanostate::framing::{header, Version};
use nanostate::limits;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Hidden, Instance, Meta};
use nanostate::{Kind, Status};

use crate::sim::{body, stamp, Direct, DirectApp, MS, SEC};

/// An app of this identity joins.
fn join(
    hub: &mut Direct,
    identity: &str,
    instance: u8,
    flags: HelloFlags,
    token: Option<&str>,
    features: Features,
) -> ConnId {
    let conn = hub.open();
    hub.bytes(conn, &header(Version::V1));
    let (instance, accept, token) = (Instance([instance; 16]), wire::ACCEPT_ANY, token.map(Hidden));
    hub.control(
        conn,
        identity,
        Control::Hello { instance, epoch: 1, accept, flags, time: None, secret: None, token, features },
    );
    hub.bodies(conn);
    conn
}

fn app(hub: &mut Direct, identity: &str, instance: u8) -> ConnId {
    join(hub, identity, instance, HelloFlags(0), None, Features::ALL)
}

/// A state without a stamp.
fn publish(hub: &mut Direct, conn: ConnId, sender: &str, name: &str, value: &[u8]) {
    hub.send(conn, &body(Form::V1, sender, name, value, &Meta::default()));
}

/// A hub with x and y of an app that has departed, and an app that is there.
fn hub() -> (Direct, ConnId) {
    let mut hub = Direct::new(RouterConfig::default());
    let gone = app(&mut hub, "gone", 1);
    publish(&mut hub, gone, "gone", "x", &[7]);
    publish(&mut hub, gone, "gone", "y", &[0xC3]);
    hub.lose(gone);
    let operator = app(&mut hub, "operator", 2);
    (hub, operator)
}

/// What the hub says to a request, and what it sent before, as names with a sign for what is cleared.
fn forget(hub: &mut Direct, conn: ConnId, identity: &str, sender: &str, name: &str) -> (Vec<String>, Status, String) {
    hub.control(conn, identity, Control::Forget { token: 5, sender, name });
    let mut before = Vec::new();
    for bytes in hub.bodies(conn) {
        let body = wire::decode(&bytes, Form::V1).expect("a body");
        match Control::decode(&body) {
            Ok(Control::Forgotten { token, status, text }) => {
                assert_eq!(token, 5);
                return (before, Status::from_code(status).expect("a status"), text.to_owned());
            }
            Ok(Control::Unknown) => {
                before.push(format!("{}{}", if body.kind == Kind::Cleared { "-" } else { "" }, body.name()))
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("there is an answer")
}

#[test]
fn a_value_of_a_departed_sender_is_withdrawn_and_everybody_is_told_before_the_answer() {
    let (mut hub, operator) = hub();
    let other = app(&mut hub, "other", 3);
    let done = forget(&mut hub, operator, "operator", "gone", "x");
    assert_eq!(done, (vec!["-x".to_owned()], Status::Ok, String::new()));
    let told = hub.bodies(other);
    let cleared = wire::decode(&told[0], Form::V1).expect("a body");
    assert_eq!((cleared.sender(), cleared.name(), cleared.data), ("gone", "x", &[Kind::Int as u8][..]));
    assert_eq!((told.len(), cleared.meta.flags), (1, Meta::CLEAR));
    assert_eq!((hub.router.table().values(), hub.router.table().newest("x").is_none()), (1, true));
    // A newcomer knows neither value nor tombstone.
    let late = app(&mut hub, "late", 4);
    assert!(hub.bodies(late).is_empty(), "its first bodies are read when it joins");
    let (_, status, text) = forget(&mut hub, operator, "operator", "gone", "x");
    assert_eq!((status, &*text), (Status::NotFound, r#""x" of "gone" is not held by the hub"#));
    let (_, status, text) = forget(&mut hub, operator, "operator", "nobody", "x");
    assert_eq!((status, &*text), (Status::NotFound, r#""x" of "nobody" is not held by the hub"#));
}

#[test]
fn a_sender_that_is_connected_clears_its_values_itself() {
    let (mut hub, operator) = hub();
    let refused =
        (Status::State, r#""x" of "gone" is not withdrawn: its sender is connected, clear it there"#.to_owned());
    let back = app(&mut hub, "gone", 9);
    let (before, status, text) = forget(&mut hub, operator, "operator", "gone", "x");
    assert_eq!((before.len(), (status, text)), (0, refused));
    hub.lose(back);
    assert_eq!(forget(&mut hub, operator, "operator", "gone", "x").1, Status::Ok);
    // So is an old program, and whoever is behind a gateway: until the connection ends by which the value came.
    let old = hub.open_old();
    hub.send(old, &body(Form::Old, "old", "z", &[0xA1, b'z'], &Meta::default()));
    assert_eq!(forget(&mut hub, operator, "operator", "old", "z").1, Status::State);
    hub.lose(old);
    assert_eq!(forget(&mut hub, operator, "operator", "old", "z").1, Status::Ok);
    assert_eq!(forget(&mut hub, operator, "operator", "operator", "z").1, Status::NotFound);
    publish(&mut hub, operator, "operator", "own", &[1]);
    assert_eq!(forget(&mut hub, operator, "operator", "operator", "own").1, Status::State);
}

#[test]
fn who_may_only_read_has_nothing_withdrawn() {
    let (reader, writer) = ("the-token-of-the-panel", "the-token-of-the-robot");
    let mut hub = Direct::new(RouterConfig::default());
    let (now, lines) = (hub.now, format!("panel read {reader}\nrobot read-write {writer}"));
    hub.router.set_tokens(now, Some(Tokens::parse(&lines).expect("tokens")));
    let join = |hub: &mut Direct, identity: &str, instance, flags, token| {
        join(hub, identity, instance, flags, Some(token), Features::ALL)
    };
    let gone = join(&mut hub, "gone", 1, HelloFlags(0), writer);
    publish(&mut hub, gone, "gone", "x", &[7]);
    hub.lose(gone);
    let reads = join(&mut hub, "reads", 2, HelloFlags(0), reader);
    let (_, status, text) = forget(&mut hub, reads, "reads", "gone", "x");
    assert_eq!((status, &*text), (Status::Permission, r#""x" is not withdrawn: its token is for reading only"#));
    let observes = join(&mut hub, "observes", 3, HelloFlags::OBSERVER, writer);
    assert_eq!(forget(&mut hub, observes, "observes", "gone", "x").1, Status::Permission);
    let writes = join(&mut hub, "writes", 4, HelloFlags(0), writer);
    assert_eq!(forget(&mut hub, writes, "writes", "gone", "x").1, Status::Ok);
}

#[test]
fn a_request_that_was_not_announced_ends_the_link() {
    let (mut hub, _) = hub();
    let conn = join(&mut hub, "early", 3, HelloFlags(0), None, Features::CLEAR);
    hub.control(conn, "early", Control::Forget { token: 5, sender: "gone", name: "x" });
    assert!(hub.router.peer_stats().all(|peer| peer.identity != "early"));
    assert_eq!(hub.router.table().values(), 2);
}

#[test]
fn the_other_values_of_the_sender_expire_as_if_nothing_had_been_withdrawn_and_so_does_the_tombstone() {
    let (mut hub, operator) = hub();
    let day = limits::DEPARTED.as_nanos() as u64;
    hub.pass(day / 2);
    assert_eq!(forget(&mut hub, operator, "operator", "gone", "x").1, Status::Ok);
    hub.pass(day / 2 - SEC);
    hub.settle();
    assert_eq!((hub.router.table().values(), hub.router.table().len()), (1, 2));
    hub.pass(SEC + MS);
    hub.settle();
    assert!(hub.router.table().is_empty());
}

#[test]
fn a_sender_that_comes_back_alone_has_the_last_word() {
    let (mut hub, operator) = hub();
    assert_eq!(forget(&mut hub, operator, "operator", "gone", "x").1, Status::Ok);
    let back = app(&mut hub, "gone", 1);
    hub.publish_at(back, "gone", "x", &[7], wire::Stamp { instance: Instance([1; 16]), ..stamp(1) });
    let (name, _, held, _) = hub.stale(back).remove(0);
    assert!(name == "x" && held.is_some(), "it is told of the tombstone, and stamps its value anew");
    publish(&mut hub, back, "gone", "x", &[8]);
    assert!(hub.router.table().newest("x").is_some());
}

#[test]
fn an_app_gets_the_answer_to_its_request_and_learns_when_none_can_come() {
    let mut app = DirectApp::new();
    assert_eq!(app.session.forget("s", "x"), Ok(None), "there is no link");
    app.link(9);
    let token = app.session.forget("s", "x").expect("the hub knows of it").expect("there is a link");
    let asked = app.bodies().pop().expect("it asks");
    let asked = Control::decode(&wire::decode(&asked, Form::V1).expect("a body"));
    assert_eq!(asked, Ok(Control::Forget { token, sender: "s", name: "x" }));
    assert!(app.session.forgot(token).is_none());
    app.hear(Control::Forgotten { token: token + 1, status: 0, text: "" });
    assert!(app.session.forgot(token).is_none());
    app.hear(Control::Forgotten { token, status: Status::NotFound.code(), text: "no such state" });
    let error = app.session.forgot(token).expect("it is answered").unwrap_err();
    assert_eq!((error.status(), &*error.to_string()), (Status::NotFound, "no such state"));
    app.session.drop_forget(token);
    for (status, read) in [(Status::Timeout.code(), Status::Refused), (-999, Status::Refused), (-5, Status::Refused)] {
        let token = app.session.forget("s", "x").expect("the hub knows of it").expect("there is a link");
        app.hear(Control::Forgotten { token, status, text: "" });
        assert_eq!(app.session.forgot(token).map(|done| done.map_err(|error| error.status())), Some(Err(read)));
    }
    let token = app.session.forget("s", "x").expect("the hub knows of it").expect("there is a link");
    app.closed();
    assert_eq!(app.session.forgot(token).map(|done| done.map_err(|error| error.status())), Some(Err(Status::Io)));
    app.pass(10 * SEC);
    app.link_with(9, Features::CLEAR);
    assert_eq!(app.session.forget("s", "x").map_err(|error| error.status()), Err(Status::Unsupported));
}
