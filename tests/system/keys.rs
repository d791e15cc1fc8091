//! Names that a program declares once.

use std::time::Duration;

use nanostate::{App, Hub, KeyOption, Kind, Status, Value};

/// Generous: only a failure waits this long.
const SOON: Option<Duration> = Some(Duration::from_secs(60));

fn hub_and_app(hub: &str, identity: &str) -> (Hub, App) {
    let url = format!("inproc://keys-{hub}");
    let hub = Hub::new().unwrap();
    hub.listen(&url).unwrap();
    (hub, app_at(&url, identity))
}

fn app_at(url: &str, identity: &str) -> App {
    let app = App::new(identity).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(SOON).unwrap();
    app
}

#[test]
fn what_is_sent_of_a_key_is_the_own_value_of_its_name() {
    let (hub, app) = hub_and_app("own", "app");
    let other = app_at(&hub.address(0).unwrap(), "other");
    let key = app.key("room/people").unwrap();
    assert_eq!(key.name(), "room/people");
    key.send(Value::Int(1)).unwrap();
    app.send("room/people", Value::Int(2)).unwrap();
    app.key("room/people").unwrap().send(Value::Text("three")).unwrap();
    for value in ["1", "2", "\"three\""] {
        let state = other.recv(SOON).unwrap();
        assert_eq!((state.sender(), state.name(), state.json()), ("app", "room/people", value));
    }
    // One that is sent under the lock, and one that is encoded before.
    key.send(Value::Bytes(&vec![b'x'; 1 << 20])).unwrap();
    assert_eq!(other.recv(SOON).unwrap().bytes().unwrap().len(), 1 << 20);
    key.clear().unwrap();
    assert_eq!(other.recv(SOON).unwrap().kind(), Kind::Cleared);
    assert!(app.get(None, "room/people").is_none());
}

#[test]
fn a_key_of_no_name_is_refused_and_its_values_are_checked() {
    let app = App::new("app").unwrap();
    for bad in ["", "$ns/x", "a\0b", &"n".repeat(1025)] {
        assert_eq!(app.key(bad).err().map(|error| error.status()), Some(Status::Name), "{bad:?}");
    }
    let key = app.key("n").unwrap();
    assert_eq!(key.send(Value::Msgpack(b"\xc1")).unwrap_err().status(), Status::Msgpack);
}

#[test]
fn a_value_with_a_time_to_live_is_gone_for_all_when_that_is_over() {
    let (hub, app) = hub_and_app("ttl", "app");
    let other = app_at(&hub.address(0).unwrap(), "other");
    let key = app.key("n").unwrap();
    key.set(KeyOption::TtlMs, 20).unwrap();
    for value in [Value::Int(1), Value::Bytes(&vec![b'x'; 1 << 20])] {
        key.send(value).unwrap();
        assert_eq!(other.recv(SOON).unwrap().kind(), value.kind().unwrap());
        assert_eq!(other.recv(SOON).unwrap().kind(), Kind::Cleared);
        assert!(other.get(None, "n").is_none());
        while app.get(None, "n").is_some() {
            std::thread::yield_now();
        }
    }
    assert_eq!(key.set(KeyOption::TtlMs, -1).unwrap_err().status(), Status::Invalid);
}

#[test]
fn a_transient_value_reaches_those_who_are_there_and_nobody_who_comes_later() {
    let (hub, app) = hub_and_app("transient", "app");
    let other = app_at(&hub.address(0).unwrap(), "other");
    let key = app.key("n").unwrap();
    key.set(KeyOption::Transient, 1).unwrap();
    // One that is sent under the lock, one that is encoded before, and one that is JSON.
    for value in [Value::Int(1), Value::Bytes(&vec![b'x'; 1 << 20])] {
        key.send(value).unwrap();
        assert_eq!(other.recv(SOON).unwrap().kind(), value.kind().unwrap());
    }
    key.send_json("[1]").unwrap();
    assert_eq!(other.recv(SOON).unwrap().json(), "[1]");
    app.flush(SOON).unwrap();
    let found = |name: &str| {
        let late = app_at(&hub.address(0).unwrap(), "late");
        late.wait_synced(SOON).unwrap();
        let found = late.get(None, name).is_some();
        late.close(None).unwrap();
        found
    };
    assert!(!found("n"));
    key.set(KeyOption::Transient, 0).unwrap();
    key.send(Value::Int(2)).unwrap();
    app.flush(SOON).unwrap();
    assert!(found("n"), "it counts for what is sent from then on");
    assert_eq!(key.set(KeyOption::Transient, 2).unwrap_err().status(), Status::Invalid);
}

#[test]
fn an_own_value_expires_also_where_there_never_was_a_hub() {
    let app = App::new("app").unwrap();
    app.connect(Some("inproc://keys-nowhere")).unwrap();
    let key = app.key("n").unwrap();
    key.set(KeyOption::TtlMs, 1).unwrap();
    key.send(Value::Int(1)).unwrap();
    while app.get(None, "n").is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn a_key_does_not_keep_its_app_open() {
    let (hub, app) = hub_and_app("open", "app");
    let key = app.key("n").unwrap();
    key.send(Value::Int(1)).unwrap();
    app.flush(SOON).unwrap();
    drop(app);
    // The identity is free at once.
    let next = app_at(&hub.address(0).unwrap(), "app");
    for refused in [key.send(Value::Int(2)), key.clear()] {
        assert_eq!(refused.unwrap_err().status(), Status::Closed);
    }
    next.close(None).unwrap();
    assert_eq!(next.key("n").err().map(|error| error.status()), Some(Status::Closed));
}
