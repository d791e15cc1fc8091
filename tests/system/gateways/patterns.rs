//! Clients of each pattern, of either library, over each transport.

use super::*;

fn takes_part_in_every_pattern(library: Library, place: Place) {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "before", "käse");
    ours.flush(Some(PATIENCE)).unwrap();

    let mut sub = Client::start(library, "sub", &site.open("pub", place));
    sub.state(json!(["ours", "before", "käse"]));
    for i in 0..100 {
        send(&ours, &format!("to/{i}"), &format!("gruß {i}"));
    }
    for i in 0..100 {
        sub.state(json!(["ours", format!("to/{i}"), format!("gruß {i}")]));
    }

    let mut push = Client::start(library, "push", &site.open("pull", place));
    for i in 0..100 {
        push.process.tell(&format!("text from/{i} grüße {i}"));
    }
    let got = receive_until(&ours, "the last push", |state| state.name() == "from/99");
    let expected: Vec<_> = (0..100).map(|i| format!("client from/{i} \"grüße {i}\"")).collect();
    assert_eq!(got.iter().map(key).collect::<Vec<_>>(), expected, "whole and in order");
    sub.state(json!(["client", "from/99", "grüße 99"]));

    let mut req = Client::start(library, "req", &site.open("rep", place));
    assert_eq!(req.request(json!(["client", "asked", "yes"])), "ok");
    assert_eq!(receive(&ours, "client", "asked").text().unwrap(), "yes");
    for i in 0..100 {
        let (name, text) = (format!("from/{i}"), format!("grüße {i}"));
        assert_eq!(req.request(json!(["get", name])), json!(["client", name, text]));
    }

    let mut surveyor = Client::start(library, "surveyor", &site.open("respondent", place));
    let answer = surveyor.ask(&msgpack(&json!("who")));
    assert_eq!(answer["hub"], "nanostate");
    assert_eq!(answer["states"], site.stats().states);
}

macro_rules! over_every_transport {
    ($($library:ident: $module:ident),*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn takes_part_in_every_pattern_over_tcp() {
                takes_part_in_every_pattern(Library::$library, Place::Tcp);
            }

            #[test]
            fn takes_part_in_every_pattern_over_ipc() {
                takes_part_in_every_pattern(Library::$library, Place::Ipc);
            }

            #[test]
            fn takes_part_in_every_pattern_over_ws() {
                takes_part_in_every_pattern(Library::$library, Place::Ws);
            }
        }
    )*};
}

over_every_transport!(Nng: a_program_with_libnng, Pynng: a_program_with_pynng);

fn nanocat_takes_part_in_every_pattern(place: Place) {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let file = |name: &str, message: &[u8]| {
        let path = site.dir.path().join(name);
        fs::write(&path, message).unwrap();
        path
    };

    let said = file("said", &state("cat", "said", "miaou"));
    let pull = site.open("pull", place);
    let mut push = nanocat("--push", &pull, &["--file", said.to_str().unwrap()]);
    if place == Place::Ipc {
        // NNG does not read what is still in a Unix socket once the other side has closed it.
        push.args(["--interval", "0.1"]);
    }
    let mut push = Process::spawn(push);
    assert_eq!(receive(&ours, "cat", "said").text().unwrap(), "miaou");
    if place != Place::Ipc {
        assert_eq!(push.ended().code(), Some(0), "{}", push.words());
    }

    let rep = site.open("rep", place);
    assert_eq!(
        asked_by_nanocat(&rep, &file("get", &msgpack(&json!(["get", "said"])))),
        json!(["cat", "said", "miaou"])
    );
    assert_eq!(asked_by_nanocat(&rep, &file("purrs", &state("cat", "purrs", "loudly"))), "ok");
    assert_eq!(receive(&ours, "cat", "purrs").text().unwrap(), "loudly");

    let mut sub = Process::spawn(nanocat("--sub", &site.open("pub", place), &["--subscribe", "purrs"]));
    assert_eq!(published(&nanocat_message(&sub.next_line())), json!(["cat", "purrs", "loudly"]));
    send(&ours, "said", "not asked for");
    send(&ours, "purrs/still", "yes");
    let got = loop {
        let got = published(&nanocat_message(&sub.next_line()));
        // It may come twice.
        if got != json!(["cat", "purrs", "loudly"]) {
            break got;
        }
    };
    assert_eq!(got, json!(["ours", "purrs/still", "yes"]));

    // A survey reaches those who are connected: asked again until one is.
    let respondent = site.open("respondent", place);
    let mut surveyor = Process::spawn(nanocat("--surveyor", &respondent, &["--data", "who", "--interval", "0.1"]));
    assert_eq!(read(&nanocat_message(&surveyor.next_line()))["hub"], "nanostate");
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_tcp() {
    nanocat_takes_part_in_every_pattern(Place::Tcp);
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_ipc() {
    nanocat_takes_part_in_every_pattern(Place::Ipc);
}

#[test]
fn nanocat_takes_part_in_every_pattern_over_ws() {
    nanocat_takes_part_in_every_pattern(Place::Ws);
}

// ---- requests and surveys

#[test]
fn nanocat_shows_what_publish_sends_and_is_told_what_it_asks_for() {
    let dir = TempDir::new();
    let (_hub, addresses) = support::Cli::hub(&[
        "tcp://127.0.0.1:0",
        "pub+tcp://127.0.0.1:0",
        "pub+tcp://127.0.0.1:0?structured=1",
        "rep+tcp://127.0.0.1:0?structured=1",
    ]);
    let source = build::root().join("examples-c/publish.c");
    let publish = build::compile_c("gateways-publish", &[source], Standard::C99, Link::Shared, &[]);
    let [texts, all] =
        [1, 2].map(|i| Process::spawn(nanocat("--sub", dialled(&addresses[i], "pub"), &["--subscribe", "cpu/"])));
    let mut publish = Process::run(&publish, [&addresses[0]]);
    let shown = |nanocat: &Process, name: &str| {
        let is_it = |line: &str| published(&nanocat_message(line))[1] == name;
        published(&nanocat_message(&nanocat.line(name, is_it)))
    };
    // publish sends the load as a number, and the three loads as a text.
    assert!(shown(&all, "cpu/load")[2].is_number());
    let loads = shown(&texts, "cpu/loads");
    assert_eq!(loads[0], "publish");
    assert_eq!(loads[2].as_str().unwrap().split(' ').count(), 3);
    assert!(texts.lines().iter().all(|line| published(&nanocat_message(line))[1] == "cpu/loads"));

    let request = dir.path().join("request");
    fs::write(&request, b"\x92\xa3get\xa8cpu/load").unwrap();
    let answer = asked_by_nanocat(dialled(&addresses[3], "rep"), &request);
    assert!(answer[0] == "publish" && answer[1] == "cpu/load" && answer[2].is_number(), "{answer}");
    publish.kill();
}
