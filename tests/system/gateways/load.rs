//! Limits, bursts, and subscribers that are slow or late.

use super::*;

#[test]
fn nothing_over_the_limits_crosses_a_gateway() {
    const LIMIT: usize = 2000;
    // A state of this many bytes.
    let of = |len: usize, sender: &str, name: &str| {
        let head = state(sender, name, &"x".repeat(len)).len() - len;
        let text = "x".repeat(len - head);
        assert_eq!(state(sender, name, &text).len(), len);
        text
    };

    // Incoming: a message of exactly the limit is accepted, one byte more is not.
    let site = Site::with(&[(HubOption::MaxMessage, LIMIT as i64)]);
    let ours = app("ours", &site.url);
    let [mut push, mut req] = [("push", "pull"), ("req", "rep")]
        .map(|(pattern, role)| Client::start(Library::Nng, pattern, &site.open(role, Place::Tcp)));
    let text = of(LIMIT, "client", "in");
    assert_eq!(req.ask(&state("client", "in", &text)), "ok");
    assert_eq!(receive(&ours, "client", "in").text().unwrap(), text);
    let more = state("client", "in", &of(LIMIT + 1, "client", "in"));
    assert_eq!(req.ask(&more), format!("message of {} bytes refused: the limit is {LIMIT}", LIMIT + 1));
    push.say(&more);
    until("both are counted", || site.stats().too_large == 2);

    // Out: a SUB gets the name and a NUL besides.
    let site = Site::with(&[(HubOption::LegacyMax, LIMIT as i64)]);
    let ours = app("ours", &site.url);
    let mut req = Client::start(Library::Nng, "req", &site.open("rep", Place::Tcp));
    let mut sub = Client::start(Library::Nng, "sub", &site.open("pub", Place::Tcp));
    until_it_listens(&ours, &mut sub);
    let name = "out/whole";
    let whole = of(LIMIT - name.len() - 1, "ours", name);
    send(&ours, "out/large", &of(LIMIT - name.len(), "ours", "out/large"));
    send(&ours, name, &whole);
    send(&ours, "out/larger", &of(LIMIT + 1, "ours", "out/larger"));
    send(&ours, "out/last", "x");
    let got = sub.state(json!(["ours", "out/last", "x"]));
    let got: BTreeSet<_> = got.iter().filter_map(|state| state[1].as_str()?.strip_prefix("out/")).collect();
    assert_eq!(got, BTreeSet::from(["whole"]));
    assert_eq!(req.request(json!(["get", name])), json!(["ours", name, whole]));
    let withheld = r#""out/larger" of "ours" is withheld"#;
    let answer = format!("{withheld}: {} bytes, at most {LIMIT}; NS_OPT_HUB_LEGACY_MAX allows more", LIMIT + 1);
    assert_eq!(req.request(json!(["get", "out/larger"])), answer);
    assert_eq!(req.request(json!(["list", "out/las*"])), json!([["ours", "out/last", "x"]]));
    // One that fits by itself, and all of them together do not.
    let answer = req.request(json!(["list", "out/**"]));
    assert!(answer.as_str().is_some_and(|text| text.contains(&format!("at most {}", LIMIT - 4))), "{answer}");
}

#[test]
fn what_is_far_over_the_limit_is_skipped_and_what_follows_arrives() {
    let site = Site::with(&[(HubOption::MaxMessage, 100_000)]);
    let ours = app("ours", &site.url);
    let mut push = Client::start(Library::Nng, "push", &site.open("pull", Place::Tcp));
    push.process.tell("fill large 1000000");
    push.process.tell("text small x");
    assert_eq!(receive_until(&ours, "the small one", |_| true)[0].name(), "small");
    assert_eq!(site.stats().too_large, 1);
}

// ---- many, much, slow

#[test]
fn two_hundred_requests_at_once_are_all_answered() {
    const CLIENTS: u64 = 200;
    const ROUNDS: u64 = 5;
    let site = Site::new();
    let mut command = Command::new(peer_program("nng_reqs", "-lnng"));
    command.args([&site.open("rep", Place::Tcp), &CLIENTS.to_string(), &ROUNDS.to_string()]);
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(ended.stdout.last().unwrap(), &format!("round {}", ROUNDS - 1));
    let stats = site.stats();
    assert_eq!((stats.messages_in, stats.states, stats.malformed), (CLIENTS * ROUNDS, CLIENTS, 0));
}

/// What a program pushes at full speed arrives, all of it.
fn a_burst_arrives(program: &Path, count: u64) {
    const NAMES: u64 = 100;
    let site = Site::new();
    let ours = app("ours", &site.url);
    let pull = site.open("pull", Place::Tcp);
    let push = Process::run(program, [&pull, &count.to_string(), &NAMES.to_string()]);
    // Taken as they come: a program that takes nothing loses the oldest.
    let mut last = BTreeMap::new();
    receive_until(&ours, "the last of every name", |state| {
        assert_eq!(state.sender(), "push");
        last.insert(state.name().to_owned(), state.text().unwrap().parse::<u64>().unwrap());
        last.len() as u64 == NAMES && last.values().all(|i| *i >= count - NAMES)
    });
    for (name, i) in last {
        assert_eq!(name, format!("n/{}", i % NAMES));
    }
    push.line("that all is sent", |line| line == "sent");
    let stats = site.stats();
    assert_eq!((stats.messages_in, stats.malformed, stats.refused), (count, 0, 0));
}

#[test]
fn a_million_states_that_libnanomsg_pushes_arrive() {
    a_burst_arrives(&peer_program("nn_push", "-lnanomsg"), 1_000_000);
}

/// Fewer: a PUSH of NNG itself takes five times as long for each.
#[test]
fn a_hundred_thousand_states_that_libnng_pushes_arrive() {
    a_burst_arrives(&peer_program("nng_push", "-lnng"), 100_000);
}

#[test]
#[ignore = "for make test-long"]
fn a_million_states_that_libnng_pushes_arrive() {
    a_burst_arrives(&peer_program("nng_push", "-lnng"), 1_000_000);
}

#[test]
fn a_subscriber_that_stops_does_not_hold_the_others_up_and_ends_with_the_newest() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let publisher = site.open("pub", Place::Tcp);
    let (mut stopped, mut lively) = (Brief::start(&publisher), Brief::start(&publisher));
    let value = publish_round(&ours, 1);
    stopped.ends_with(&value);
    stopped.process.signal("STOP");
    let mut rounds = 1;
    until("something is conflated for the one that is stopped", || {
        rounds += 1;
        let value = publish_round(&ours, rounds);
        // The other one is served in every round.
        lively.ends_with(&value);
        site.stats().conflated > 0
    });
    let value = publish_round(&ours, rounds + 1);
    lively.ends_with(&value);
    stopped.process.signal("CONT");
    stopped.ends_with(&value);
}

#[test]
fn subscribers_that_join_while_states_flow_end_with_the_newest() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    let publisher = site.open("pub", Place::Ipc);
    let mut rounds = 0;
    let mut subs = Vec::new();
    for _ in 0..8 {
        publish_round(&ours, rounds + 1);
        subs.push(Brief::start(&publisher));
        rounds += 2;
        publish_round(&ours, rounds);
    }
    // Also those of which none of them has received anything since.
    let value = rounds.to_string();
    for sub in &mut subs {
        sub.ends_with(&value);
    }
}

/// The names of one round.
const NAMES: usize = 300;

/// Publishes this number under every name, at a length that fills queues.
fn publish_round(app: &nanostate::App, number: u32) -> String {
    for i in 0..NAMES {
        send(app, &format!("n/{i}"), &format!("{number} {}", "x".repeat(2000)));
    }
    app.flush(Some(PATIENCE)).unwrap();
    number.to_string()
}

/// A SUB that tells name and number of each state.
struct Brief {
    process: Process,
    at: usize,
    newest: BTreeMap<String, String>,
}

impl Brief {
    fn start(url: &str) -> Brief {
        let process = Process::run(&peer_program("nng_client", "-lnng"), ["brief", url, "client"]);
        process.line("that it is connected", |line| line == "connected");
        Brief { process, at: 0, newest: BTreeMap::new() }
    }

    /// Waits until this value of every name is the last that it got.
    fn ends_with(&mut self, value: &str) {
        while self.newest.len() < NAMES || self.newest.values().any(|got| got != value) {
            let line = self.process.line_from(&mut self.at, value, |line| line.starts_with("name "));
            let (name, value) = line["name ".len()..].split_once(' ').unwrap();
            self.newest.insert(name.to_owned(), value.to_owned());
        }
    }
}

// ---- opening and closing
