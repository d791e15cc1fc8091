//! Requests, surveys, and what is no state.

use super::*;

/// What a request may be, as the answer to what is none tells it.
const EXPECTED: &str =
    r#"expected ["get", name], ["clear", name], ["list", pattern], ["peers"], or a state [sender, name, data]"#;

#[test]
fn a_request_is_answered_with_one_value() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    assert_eq!(req.request(json!(["get", "cpu/load"])), Json::Null);
    assert_eq!(req.request(json!(["list", "**"])), json!([]));
    assert_eq!(req.request(json!(["peers"])), json!([]));

    let (one, two) = (app("one", &site.url), app("two", &site.url));
    for (app, other, name, text) in [
        (&one, &two, "cpu/load", "0.1"),
        (&two, &one, "cpu/load", "0.2"),
        (&one, &two, "cpu/0/load", "0.3"),
        (&one, &two, "mem", "4"),
    ] {
        send(app, name, text);
        // What it sends from then on is newer.
        receive(other, app.identity(), name);
    }
    let sorted = |answer: Json| {
        let mut states = answer.as_array().unwrap().clone();
        states.sort_by_key(Json::to_string);
        Json::from(states)
    };
    // The newest, of whichever sender.
    assert_eq!(req.request(json!(["get", "cpu/load"])), json!(["two", "cpu/load", "0.2"]));
    assert_eq!(req.request(json!(["client", "cpu/load", "0.5"])), "ok");
    assert_eq!(req.request(json!(["get", "cpu/load"])), json!(["client", "cpu/load", "0.5"]));
    assert_eq!(receive(&two, "client", "cpu/load").text().unwrap(), "0.5");
    let of_cpu = json!([["client", "cpu/load", "0.5"], ["one", "cpu/load", "0.1"], ["two", "cpu/load", "0.2"]]);
    assert_eq!(sorted(req.request(json!(["list", "cpu/*"]))), of_cpu);
    assert_eq!(req.request(json!(["list", "cpu/**"])).as_array().unwrap().len(), 4);
    assert_eq!(req.request(json!(["list", "m*"])), json!([["one", "mem", "4"]]));
    assert_eq!(sorted(req.request(json!(["peers"]))), json!(["one", "two"]));
}

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    for (request, answer) in [
        (json!(["gte", "x"]), format!(r#"unknown request "gte": {EXPECTED}"#)),
        (json!([]), format!("unknown request of 0 elements: {EXPECTED}")),
        (json!(["get", "a", "b", "c"]), format!("unknown request of 4 elements: {EXPECTED}")),
        (json!("get"), format!(r#"unknown request "get": {EXPECTED}"#)),
        (json!({"get": "x"}), format!(r#"unknown request {{"get":"x"}}: {EXPECTED}"#)),
        (json!([1]), format!("unknown request 1: {EXPECTED}")),
        (json!(["get"]), r#"get: one element is too few: expected ["get", name]"#.to_owned()),
        (json!(["get", 1]), "get: the name is not a str: 1".to_owned()),
        (json!(["peers", 1]), r#"peers: 1 is one element too many: expected ["peers"]"#.to_owned()),
    ] {
        assert_eq!(req.request(request.clone()), answer, "{request}");
    }
    for (request, what) in [(json!(["get", ""]), "get: "), (json!(["list", ""]), "list: ")] {
        let answer = req.request(request);
        assert!(answer.as_str().unwrap().starts_with(what), "{answer}");
    }
    let answer = req.ask(b"");
    assert!(answer.as_str().unwrap().contains(Malformed::Empty.text()), "{answer}");
    // Nothing of this was published, and it goes on.
    assert_eq!(site.stats().messages_in, 0);
    assert_eq!(req.request(json!(["client", "x", "y"])), "ok");
}

#[test]
fn a_survey_is_answered_whatever_it_asks() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "x", "1");
    ours.flush(Some(PATIENCE)).unwrap();
    let respondent = site.open("respondent", Place::Tcp);
    let mut surveyor = Client::start(Library::Nng, "surveyor", &respondent);
    for survey in [&b"who"[..], b"", b"\xc1", &msgpack(&json!(["get", "x"]))] {
        let answer = surveyor.ask(survey);
        assert_eq!(answer["hub"], "nanostate");
        assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(answer["pid"], std::process::id());
        // Gateways are no peers to who looks for them.
        assert_eq!((&answer["peers"], &answer["states"]), (&1.into(), &1.into()));
        assert_eq!(answer["addresses"], json!([site.url, format!("respondent+{respondent}")]));
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(answer["host"], host.trim_end());
    }
}

// ---- what is refused

/// Messages that are no states, and why.
fn no_states() -> Vec<(Vec<u8>, Malformed)> {
    let deep = [&b"\x93\xa1s\xa1n"[..], &[0x91; 33], b"\x01"].concat();
    let long = state(&"s".repeat(256), "n", "x");
    [
        (&b""[..], Malformed::Empty),
        (b"\xa1x", Malformed::NotArray),
        (b"\x92\xa1s\xa1n", Malformed::WrongCount),
        (b"\x94\xa1s\xa1n\xa1x\x80", Malformed::WrongCount),
        (b"\x93\x01\xa1n\xa1x", Malformed::Sender),
        (&long, Malformed::Sender),
        (b"\x93\xa1s\xa0\xa1x", Malformed::Name),
        (b"\x93\xa1s\xa1\0\xa1x", Malformed::Name),
        (b"\x93\xa1s\xa1n\xa1\xff", Malformed::Utf8),
        (b"\x93\xa1s\xa1n", Malformed::Truncated),
        (b"\x93\xa1s\xa1n\xdd\xff\xff\xff\xff", Malformed::Truncated),
        (b"\x93\xa1s\xa1n\xa1xy", Malformed::Trailing),
        (&deep, Malformed::Depth),
        (b"\x93\xa1s\xa1n\xc1", Malformed::Reserved),
    ]
    .map(|(message, why)| (message.to_vec(), why))
    .into()
}

#[test]
fn what_is_no_state_is_counted_when_it_is_pushed() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    let mut expected = [0; Malformed::COUNT];
    for (message, why) in no_states() {
        push.say(&message);
        expected[why.index()] += 1;
    }
    push.say(&state("client", "good", "yes"));
    let got = receive_until(&ours, "the good one", |state| state.name() == "good");
    assert_eq!(got.len(), 1);
    let stats = site.stats();
    assert_eq!(stats.malformed_by, expected);
    assert_eq!((stats.malformed, stats.messages_in), (expected.iter().sum(), 1));
}

#[test]
fn what_is_no_state_is_counted_and_answered_when_it_is_a_request() {
    let site = Site::new();
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let mut expected = [0; Malformed::COUNT];
    // What is no array of three is a request of another sort.
    for (message, why) in no_states().iter().filter(|(message, _)| message.first() == Some(&0x93)) {
        let answer = req.ask(message);
        assert_eq!(answer, format!("malformed message: {}", why.text()));
        expected[why.index()] += 1;
    }
    assert_eq!(site.stats().malformed_by, expected);
    assert_eq!(site.stats().messages_in, 0);
}

#[test]
fn reserved_names_and_the_identities_of_apps_are_refused() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let reserved = state("client", "$ns/hello", "x");
    let foreign = state("ours", "x", "forged");
    for message in [&reserved, &foreign, &state("client", "good", "pushed")] {
        push.say(message);
    }
    assert_eq!(receive_until(&ours, "the good one", |_| true)[0].name(), "good");
    assert_eq!((site.stats().reserved, site.stats().foreign_sender), (1, 1));

    assert_eq!(req.ask(&reserved), r#""$ns/hello" refused: reserved"#);
    assert_eq!(req.ask(&foreign), r#"states sent as "ours" refused: not its identity"#);
    assert_eq!((site.stats().reserved, site.stats().foreign_sender), (2, 2));
    assert_eq!((site.stats().messages_in, site.stats().states), (1, 1));
    // Once that app has left its identity is free.
    drop(ours);
    until("the app has left", || req.request(json!(["peers"])) == json!([]));
    assert_eq!(req.ask(&foreign), "ok");
}

#[test]
fn only_a_gateway_that_was_told_so_hands_out_structured_states() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let [mut plain, mut structured] = ["", "?structured=1"].map(|query| {
        let client = |pattern, role| Client::start(Library::Nng, pattern, &site.open_with(role, Place::Tcp, query));
        (client("sub", "pub"), client("req", "rep"))
    });
    let (array, map) = (msgpack(&json!([1, "x"])), msgpack(&json!({"k": 1})));
    let values = [
        Value::Text("text"),
        Value::Nil,
        Value::Bool(true),
        Value::Int(-7),
        Value::Uint(u64::MAX),
        Value::Double(0.5),
        Value::Msgpack(&array),
        Value::Msgpack(&map),
        Value::Msgpack(b"\xd4\x05x"),
        Value::Bytes(b"raw"),
    ];
    let mut all = Vec::new();
    let mut kinds = Vec::new();
    // What is sent to who joins is behind both.
    for sub in [&mut plain.0, &mut structured.0] {
        until_it_listens(&ours, sub);
    }
    for (i, value) in values.iter().enumerate() {
        let name = format!("value/{i}");
        ours.send(&name, *value).unwrap();
        let mut body = Vec::new();
        wire::encode_value(&mut body, Form::Old, "ours", &name, *value, &Default::default());
        all.push(read(&body));
        kinds.push(value.kind().unwrap());
    }
    send(&ours, "end", "");
    let end = json!(["ours", "end", ""]);
    let of_values = |states: Vec<Json>| -> Vec<Json> {
        states.into_iter().filter(|state| state[1].as_str().unwrap().starts_with("value/")).collect()
    };
    assert_eq!(of_values(structured.0.state(end.clone())), all);
    assert_eq!(of_values(plain.0.state(end)), [all[0].clone(), all[9].clone()]);
    assert!(site.stats().withheld >= 8);

    for (i, state) in all.iter().enumerate() {
        let get = json!(["get", format!("value/{i}")]);
        assert_eq!(structured.1.request(get.clone()), *state);
        let answer = if kinds[i].is_plain() {
            state.clone()
        } else {
            let kind = kinds[i].name();
            json!(format!(
                "\"value/{i}\" of \"ours\" ({kind}) is withheld: ?structured=1 in the hub's address allows it"
            ))
        };
        assert_eq!(plain.1.request(get), answer);
    }
    let count = |req: &mut Client| req.request(json!(["list", "value/*"])).as_array().unwrap().len();
    assert_eq!((count(&mut plain.1), count(&mut structured.1)), (2, 10));

    // Every kind comes in.
    assert_eq!(plain.1.request(json!(["client", "number", 21.5])), "ok");
    assert_eq!(receive(&ours, "client", "number").double().unwrap(), 21.5);
}
