//! Apps and hubs of this process, over every transport.

use std::time::Duration;

use nanostate::{App, AppOption, Hub, HubOption, Kind, LinkState, Status, Value};

/// Generous: only a failure waits this long.
const SOON: Option<Duration> = Some(Duration::from_secs(60));

fn urls() -> Vec<String> {
    let dir = std::env::temp_dir();
    let unique = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let unique: String = unique.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    vec![
        "tcp://127.0.0.1:0".into(),
        format!("ipc://{}/nanostate-{unique}.sock", dir.display()),
        format!("inproc://{unique}"),
    ]
}

fn pair(url: &str) -> (Hub, App, App) {
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap();
    let address = hub.address(0).unwrap();
    let apps = ["one", "two"].map(|identity| {
        let app = App::new(identity).unwrap();
        app.connect(Some(&address)).unwrap();
        app.wait_connected(SOON).unwrap();
        app
    });
    let [one, two] = apps;
    (hub, one, two)
}

#[test]
fn a_state_crosses_on_every_transport() {
    for url in urls() {
        let (_hub, one, two) = pair(&url);
        one.send("greeting", Value::Text("hello")).unwrap();
        let state = two.recv(SOON).unwrap();
        assert_eq!((state.sender(), state.name(), state.text().unwrap()), ("one", "greeting", "hello"));
        two.send("answer", Value::Int(42)).unwrap();
        assert_eq!(one.recv(SOON).unwrap().int().unwrap(), 42);
    }
}

#[test]
fn a_late_joiner_gets_what_was_sent_before() {
    for url in urls() {
        let (hub, one, _two) = pair(&url);
        one.send("early", Value::Double(0.5)).unwrap();
        one.flush(SOON).unwrap();
        let late = App::new("late").unwrap();
        late.connect(hub.address(0).as_deref()).unwrap();
        let state = late.recv(SOON).unwrap();
        assert_eq!((state.name(), state.kind(), state.double().unwrap()), ("early", Kind::Double, 0.5));
    }
}

#[test]
fn a_burst_arrives_whole_and_in_order() {
    for url in urls() {
        let (_hub, one, two) = pair(&url);
        for i in 0..20_000 {
            one.send(&format!("n/{i}"), Value::Int(i)).unwrap();
        }
        for i in 0..20_000 {
            assert_eq!(two.recv(SOON).unwrap().int().unwrap(), i);
        }
    }
}

#[test]
fn a_burst_beyond_the_receive_queue_arrives_whole_at_a_program_that_takes_its_states() {
    for url in urls() {
        let hub = Hub::new().unwrap();
        hub.set(HubOption::Outbox, 64 << 10).unwrap();
        hub.listen(&url).unwrap();
        let [one, two] = ["one", "two"].map(|identity| {
            let app = App::new(identity).unwrap();
            app.set(AppOption::RecvQueue, 4 << 20).unwrap();
            app.connect(hub.address(0).as_deref()).unwrap();
            app.wait_connected(SOON).unwrap();
            app
        });
        let sender = std::thread::spawn(move || {
            for i in 0..100_000 {
                one.send(&format!("n/{i}"), Value::Int(i)).unwrap();
            }
            one
        });
        let mut sum = 0;
        for _ in 0..100_000 {
            sum += two.recv(SOON).unwrap().int().unwrap();
        }
        assert_eq!(sum, 99_999 * 100_000 / 2);
        assert_eq!(two.stats().dropped_in, 0);
        drop(sender.join().unwrap());
    }
}

#[test]
fn a_program_that_takes_no_states_still_flushes_and_is_owed_the_newest_of_every_name() {
    for url in urls() {
        let (_hub, one, two) = pair(&url);
        two.set(AppOption::RecvQueue, 100_000).unwrap();
        for i in 0..50_000 {
            one.send(&format!("n/{i}"), Value::Int(i)).unwrap();
        }
        one.flush(SOON).unwrap();
        for i in 0..10 {
            two.send("mine", Value::Int(i)).unwrap();
            two.flush(SOON).unwrap();
        }
        // The answer to the last flush came behind the burst or not; that to a later one surely does.
        while two.stats().received < 50_000 {
            two.send("mine", Value::Int(10)).unwrap();
            two.flush(SOON).unwrap();
        }
        for i in 0..50_000 {
            assert_eq!(two.recv(SOON).unwrap().int().unwrap(), i);
        }
        let stats = two.stats();
        assert_eq!((stats.dropped_in, stats.conflated_in, stats.queued_bytes), (0, 0, 0));
    }
}

#[test]
fn a_large_state_arrives_whole() {
    for url in urls() {
        let (_hub, one, two) = pair(&url);
        let data: Vec<u8> = (0..10_000_000u32).map(|i| (i % 251) as u8).collect();
        one.send("large", Value::Bytes(&data)).unwrap();
        assert!(two.recv(SOON).unwrap().bytes().unwrap() == data);
    }
}

#[test]
fn what_is_sent_before_the_hub_is_there_arrives_when_it_is() {
    let url = &urls()[1];
    let app = App::new("early").unwrap();
    app.connect(Some(url)).unwrap();
    app.send("x", Value::Int(1)).unwrap();
    app.send("x", Value::Int(2)).unwrap();
    assert_eq!(app.link(), LinkState::Connecting);
    assert_eq!(app.flush(Some(Duration::ZERO)).unwrap_err().status(), Status::Timeout);
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap();
    app.flush(SOON).unwrap();
    let other = App::new("other").unwrap();
    other.connect(Some(url)).unwrap();
    assert_eq!(other.recv(SOON).unwrap().int().unwrap(), 2);
}

#[test]
fn a_restarted_hub_is_whole_again_when_its_apps_are_back() {
    for url in &urls()[1..] {
        let (hub, one, _two) = pair(url);
        one.send("x", Value::Text("kept")).unwrap();
        one.flush(SOON).unwrap();
        drop(hub);
        let hub = Hub::new().unwrap();
        hub.listen(url).unwrap();
        let late = App::new("late").unwrap();
        late.connect(Some(url)).unwrap();
        assert_eq!(late.recv(SOON).unwrap().text().unwrap(), "kept");
    }
}

#[test]
fn close_wakes_a_blocked_recv() {
    let app = App::new("blocked").unwrap();
    app.connect(Some("inproc://nobody-listens-here")).unwrap();
    let other = app.clone();
    let blocked = std::thread::spawn(move || other.recv(None).unwrap_err().status());
    app.close(Some(Duration::ZERO)).unwrap();
    assert_eq!(blocked.join().unwrap(), Status::Closed);
}

#[test]
fn interrupt_ends_one_wait_also_one_that_begins_later() {
    let app = App::new("interrupted").unwrap();
    app.connect(Some("inproc://nobody-listens-here")).unwrap();
    let other = app.clone();
    let blocked = std::thread::spawn(move || other.recv(None).unwrap_err().status());
    app.interrupt();
    assert_eq!(blocked.join().unwrap(), Status::Interrupted);
    assert_eq!(app.recv(Some(Duration::ZERO)).unwrap_err().status(), Status::Timeout);
}

#[test]
fn a_taken_identity_is_refused_and_the_holder_stays() {
    let hold = || {
        let (hub, one, two) = pair(&urls()[1]);
        let impostor = App::new("one").unwrap();
        impostor.connect(hub.address(0).as_deref()).unwrap();
        match impostor.wait_connected(SOON) {
            // Rightly so if the machine had no time for the holder for as long as a probe waits.
            Ok(()) => None,
            Err(error) => {
                assert_eq!(error.status(), Status::IdentityTaken);
                Some((hub, one, two, impostor))
            }
        }
    };
    let (_hub, one, two, impostor) = (0..5).find_map(|_| hold()).expect("a holder that answers");
    assert_eq!(impostor.link(), LinkState::Refused);
    one.send("still", Value::Nil).unwrap();
    assert_eq!(two.recv(SOON).unwrap().name(), "still");
}

#[test]
fn dropping_in_any_order_ends_everything() {
    for url in urls() {
        let (hub, one, two) = pair(&url);
        drop(one);
        drop(hub);
        drop(two);
    }
}
