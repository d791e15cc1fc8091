//! `nanostate ping`, and pings of apps.

use std::net::TcpListener;
use std::time::Duration;

use nanostate::{App, Hub, Status, Value};

use crate::support::{nanostate, run, CliHub, Process, TempDir, PATIENCE};

/// The milliseconds in a text that ends with them.
fn milliseconds(text: &str) -> f64 {
    text.strip_suffix(" ms").and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn ping_prints_each_time_and_the_least_the_mean_and_the_greatest() {
    let hub = CliHub::start();
    let ended = run(hub.nanostate(["ping", "--count", "3", "--interval", "0.01", "--timeout", "50"]), b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    let [first, second, third, empty, url, counts, times] = &ended.stdout[..] else { panic!("{ended:?}") };
    let each = [(1, first), (2, second), (3, third)];
    let each = each.map(|(i, line)| milliseconds(line.strip_prefix(&format!("ping {i}: ")).unwrap()));
    assert!(empty.is_empty() && *url == format!("--- {} ---", hub.url), "{ended:?}");
    assert!(counts.starts_with("3 pings sent, 3 answered, 0% lost, time "), "{counts}");
    let times = times.strip_prefix("round trip min/avg/max = ").unwrap_or_else(|| panic!("{times}"));
    let parts: Vec<_> = times.trim_end_matches(" ms").split('/').map(|part| part.parse::<f64>().unwrap()).collect();
    let least = each.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(parts[0] == least && parts[0] <= parts[1] && parts[1] <= parts[2] && each.contains(&parts[2]), "{ended:?}");
}

#[test]
fn a_signal_ends_ping_with_its_summary() {
    let hub = CliHub::start();
    for signal in ["INT", "TERM"] {
        let mut ping = Process::spawn(hub.nanostate(["ping", "--interval", "1000", "--timeout", "50"]));
        ping.next_line_with("ping 1: ");
        let ended = ping.stop(signal);
        assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
        assert!(ended.stdout.iter().any(|line| line.starts_with("1 pings sent, 1 answered")), "{ended:?}");
    }
}

#[test]
fn ping_fails_without_a_hub_and_counts_what_a_hub_does_not_answer() {
    let url = TempDir::new().ipc();
    let ended = run(nanostate(["ping", "--timeout", "0.2", "--connect", &url]), b"");
    assert!(ended.code == Some(1) && ended.stdout.is_empty() && ended.stderr.concat().contains(&url), "{ended:?}");
    // A hub that stops between two pings.
    let hub = CliHub::start();
    let mut ping = Process::spawn(hub.nanostate(["ping", "--count", "2", "--interval", "1", "--timeout", "0.7"]));
    ping.next_line_with("ping 1: ");
    hub.process.signal("STOP");
    let line = ping.next_line_with("ping 2: ");
    hub.process.signal("CONT");
    assert!(line.starts_with("ping 2: no answer: ") && line.contains("nothing heard"), "{line}");
    let ended = ping.wait();
    assert!(ended.code == Some(0), "one was answered: {ended:?}");
    assert!(ended.stdout.iter().any(|line| line.starts_with("2 pings sent, 1 answered, 50% lost")), "{ended:?}");
}

#[test]
fn ping_leaves_nothing_in_the_hub_and_its_log() {
    let hub = CliHub::start();
    assert_eq!(run(hub.nanostate(["ping", "--count", "1", "--timeout", "50"]), b"").code, Some(0));
    assert!(hub.watched(&["--retained"]).is_empty());
    let ended = hub.process.stop("TERM");
    let lines: Vec<_> = ended.stderr.iter().filter(|line| line.contains(" nanostate-ping-")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(" debug ")), "{ended:?}");
}

#[test]
fn a_ping_is_answered_behind_what_was_sent_before_and_beside_a_flush() {
    let hub = Hub::new().unwrap();
    hub.listen("inproc://ping").unwrap();
    let app = App::new("app").unwrap();
    assert_eq!(app.ping(Some(Duration::ZERO)).unwrap_err().status(), Status::State);
    app.connect(Some("inproc://ping")).unwrap();
    let pings = app.clone();
    let other =
        std::thread::spawn(move || (0..200).for_each(|_| assert!(pings.ping(Some(PATIENCE)).unwrap() < PATIENCE)));
    for i in 0..200 {
        app.send("x", Value::Int(i)).unwrap();
        app.flush(Some(PATIENCE)).unwrap();
        app.send("y", Value::Int(i)).unwrap();
        app.ping(Some(PATIENCE)).unwrap();
        assert_eq!(hub.stats().messages_in, 2 * (i as u64 + 1));
    }
    other.join().unwrap();
}

#[test]
fn an_old_hub_answers_no_ping() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    // Its header comes back as the original's hub sends it.
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut links = Vec::new();
        for link in listener.incoming() {
            let mut link = link.unwrap();
            link.write_all(b"\0SP\0\0\x70\0\0").unwrap();
            let _ = link.read(&mut [0; 8]);
            links.push(link);
        }
    });
    let ended = run(nanostate(["ping", "--timeout", "50", "--connect", &url]), b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stderr, ["nanostate: an old hub does not answer pings"]);
}
