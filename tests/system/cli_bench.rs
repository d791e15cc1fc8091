//! `nanostate bench`, as processes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{
    app, nanostate, peer_program, receive_until, run, CliHub, Ended, Process, RawListener, TempDir, Transport,
    PATIENCE, TRANSPORTS,
};
use serde_json::Value as Json;

use nanostate::Value;

/// The lines of a run that has to succeed and to say nothing on standard error.
fn lines(command: Command) -> Vec<String> {
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    ended.stdout
}

/// The results of a run with `--json`: round trip, distinct names, repeated names.
fn results(mut command: Command) -> [Json; 3] {
    command.arg("--json");
    let read = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let results: Vec<Json> = lines(command).iter().map(read).collect();
    results.try_into().unwrap_or_else(|results| panic!("not three lines: {results:?}"))
}

fn number(result: &Json, key: &str) -> f64 {
    result[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {result}"))
}

/// The one complaint of a run that ended with `code` and no results.
fn complaint(ended: &Ended, code: i32) -> &str {
    assert!(ended.code == Some(code) && ended.stdout.is_empty() && ended.stderr.len() == 1, "{ended:?}");
    ended.stderr[0].strip_prefix("nanostate: ").unwrap_or_else(|| panic!("{ended:?}"))
}

/// A run that goes on until it is stopped, while its two apps exchange states.
fn endless(hub: &CliHub) -> Process {
    let onlooker = app("onlooker", &hub.url);
    let bench = Process::spawn(hub.nanostate(["bench", "--duration", "100000"]));
    let id = bench.id();
    receive_until(&onlooker, "pong", |state| {
        state.name().starts_with(&format!("bench/{id}-"))
            && state.name().ends_with("/pong")
            && state.sender().starts_with("nanostate-bench-")
            && state.sender().ends_with("-b")
    });
    bench
}

#[test]
fn the_table_has_every_figure_with_its_unit() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let hub = CliHub::start_with(["--listen", &transport.any(&dir)]);
        let table = lines(hub.nanostate(["bench", "--count", "1500"]));
        let shown: Vec<Vec<_>> = table
            .iter()
            .map(|line| {
                let (title, figure) = line.split_at(16);
                let (label, figure) = figure.split_at(15);
                let (value, unit) = figure.split_at(13);
                let value = value.trim().replace(',', "");
                assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
                vec![title.trim(), label.trim(), unit.trim()]
            })
            .collect();
        assert_eq!(
            shown,
            [
                ["round trip", "size", "bytes"],
                ["", "measured", "times"],
                ["", "lost", ""],
                ["", "p50", "µs"],
                ["", "p99", "µs"],
                ["", "p99.9", "µs"],
                ["", "max", "µs"],
                ["distinct names", "size", "bytes"],
                ["", "sent", "states"],
                ["", "names", ""],
                ["", "received", "states"],
                ["", "delivered", "%"],
                ["", "time", "s"],
                ["", "rate", "states/s"],
                ["", "", "MB/s"],
                ["repeated names", "size", "bytes"],
                ["", "sent", "states"],
                ["", "names", ""],
                ["", "received", "states"],
                ["", "newest arrived", "names"],
                ["", "conflated", "%"],
                ["", "time", "s"],
                ["", "rate", "updates/s"],
            ]
        );
        assert!(table.iter().any(|line| line.contains("measured") && line.contains(" 1,500 times")), "{table:?}");
        assert!(table.iter().any(|line| line.ends_with(" 100.00 %")), "{table:?}");
    }
}

#[test]
fn the_figures_fit_each_other_and_everything_arrives() {
    let hub = CliHub::start();
    let [trips, distinct, repeated] =
        results(hub.nanostate(["bench", "--count", "2000", "--size", "100", "--names", "500"]));
    for result in [&trips, &distinct, &repeated] {
        assert_eq!((number(result, "count"), number(result, "size")), (2000.0, 100.0), "{result}");
    }
    assert_eq!(number(&trips, "lost"), 0.0);
    let times = ["p50_us", "p99_us", "p99_9_us", "max_us"].map(|key| number(&trips, key));
    assert!(times[0] > 0.0 && times.is_sorted(), "{trips}");

    assert_eq!((number(&distinct, "names"), number(&distinct, "received")), (500.0, 2000.0), "{distinct}");
    assert_eq!(number(&distinct, "delivered_percent"), 100.0);
    let (seconds, rate) = (number(&distinct, "seconds"), number(&distinct, "states_per_second"));
    // The time is given to the millisecond.
    assert!(rate * (seconds - 0.0006) <= 2000.0 && 2000.0 <= rate * (seconds + 0.0006) + 1.0, "{distinct}");
    assert!((number(&distinct, "mb_per_second") - rate * 100.0 / 1e6).abs() < 0.06, "{distinct}");

    assert_eq!((number(&repeated, "names"), number(&repeated, "complete")), (100.0, 100.0), "{repeated}");
    let received = number(&repeated, "received");
    assert!((100.0..=2000.0).contains(&received), "{repeated}");
    let conflated = 100.0 * (1.0 - received / 2000.0);
    assert!((number(&repeated, "conflated_percent") - conflated).abs() < 0.01, "{repeated}");
    assert!(number(&repeated, "seconds") > 0.0 && number(&repeated, "updates_per_second") > 0.0, "{repeated}");
}

#[test]
fn the_keys_of_json_are_those_that_the_help_names() {
    let hub = CliHub::start();
    let help = lines(nanostate(["bench", "--help"])).join("\n");
    for result in results(hub.nanostate(["bench", "--count", "1"])) {
        let title = result["measurement"].as_str().unwrap();
        let (_, named) = help.split_once(&format!("for \"{title}\" ")).unwrap_or_else(|| panic!("{title}: {help}"));
        let of_it = named.split([';', '\n']).next().unwrap();
        let common = "measurement, size, count";
        assert!(help.contains(common), "{help}");
        let named: BTreeSet<_> = common.split(", ").chain(of_it.split(", ")).collect();
        let printed: BTreeSet<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(printed, named, "{title}");
    }
}

#[test]
fn the_help_says_the_units_and_what_stays_in_the_hub() {
    let help = lines(nanostate(["bench", "--help"])).join("\n");
    for words in ["in µs", "MB are 1,000,000 bytes", "Bytes of each value", "<SECONDS>", "24 h", "bench/PID/"] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn a_measurement_by_time_ends_by_itself() {
    let hub = CliHub::start();
    let results = results(hub.nanostate(["bench", "--duration", "1"]));
    assert!(results.iter().all(|result| number(result, "count") > 0.0), "{results:?}");
    assert_eq!(number(&results[1], "delivered_percent"), 100.0);
}

#[test]
fn what_stays_in_the_hub_is_empty_and_no_more_than_the_names() {
    let hub = CliHub::start();
    results(hub.nanostate(["bench", "--count", "50", "--size", "5000", "--names", "7"]));
    hub.send(&["end", "1"]);
    // Ping, pong and seven names.
    let mut states = hub.watched(&["bench/**", "end", "--count", "10", "--json"]);
    states.retain(|line| !line.contains(r#""name":"end""#));
    assert_eq!(states.len(), 9);
    assert!(states.iter().all(|line| line.ends_with(r#","data":""}"#)), "{states:?}");
}

#[test]
fn fewer_names_are_used_for_large_values_unless_told_otherwise() {
    let hub = CliHub::start();
    for (arguments, names) in [(&[][..], 3.0), (&["--names", "5"], 5.0)] {
        let mut command = hub.nanostate(["bench", "--count", "10", "--size", "1048576"]);
        command.args(arguments);
        let [_, distinct, _] = results(command);
        assert_eq!((number(&distinct, "names"), number(&distinct, "received")), (names, 10.0), "{distinct}");
    }
}

#[test]
fn the_smallest_value_and_one_name_are_enough() {
    let hub = CliHub::start();
    let [_, distinct, repeated] = results(hub.nanostate(["bench", "--count", "20", "--size", "8", "--names", "1"]));
    assert_eq!((number(&distinct, "names"), number(&distinct, "received")), (1.0, 20.0), "{distinct}");
    assert_eq!((number(&repeated, "names"), number(&repeated, "complete")), (1.0, 1.0), "{repeated}");
}

#[test]
fn what_others_send_meanwhile_and_sent_before_is_not_counted() {
    let hub = CliHub::start();
    let other = app("other", &hub.url);
    // Of the same kind, and some under a name of the measurement's form.
    let send = |i: usize| {
        other.send(&format!("bench/1/{i}"), Value::Bytes(&[0xff; 64])).unwrap();
        other.send(&format!("noise/{i}"), Value::Bytes(&[0; 64])).unwrap();
    };
    (0..5000).for_each(send);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // As fast as the hub takes it.
            for i in (0..5000).cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                send(i);
                other.flush(Some(PATIENCE)).unwrap();
            }
        });
        let results = std::panic::catch_unwind(|| results(hub.nanostate(["bench", "--count", "300"])));
        done.store(true, Ordering::Relaxed);
        let [trips, distinct, repeated] = results.unwrap();
        assert_eq!((number(&trips, "count"), number(&trips, "lost")), (300.0, 0.0), "{trips}");
        assert_eq!(number(&distinct, "received"), 300.0, "{distinct}");
        assert_eq!(number(&repeated, "complete"), 100.0, "{repeated}");
    });
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let hub = CliHub::start();
    let runs: Vec<_> = (0..2).map(|_| Process::spawn(hub.nanostate(["bench", "--count", "1000", "--json"]))).collect();
    for run in runs {
        let ended = run.wait();
        assert!(ended.code == Some(0) && ended.stdout.len() == 3, "{ended:?}");
        assert!(ended.stdout[1].contains(r#""received":1000,"#), "{ended:?}");
    }
}

#[test]
fn a_hub_of_the_original_can_be_measured() {
    let dir = TempDir::new();
    for (program, library) in [("nn_hub", "-lnanomsg"), ("nng_hub", "-lnng")] {
        let url = format!("ipc://{}", dir.path().join(program).display());
        let mut hub = Process::run(&peer_program(program, library), [&url]);
        assert_eq!(hub.next_line(), "listening");
        // Small enough for its queues: it loses what does not fit.
        let [trips, distinct, repeated] =
            results(nanostate(["bench", "--connect", &url, "--count", "10", "--names", "5", "--timeout", "50"]));
        assert_eq!((number(&trips, "count"), number(&trips, "lost")), (10.0, 0.0), "{trips}");
        assert_eq!(number(&distinct, "received"), 10.0, "{distinct}");
        assert_eq!(number(&repeated, "complete"), 5.0, "{repeated}");
    }
}

#[test]
fn what_a_hub_of_the_original_loses_before_it_has_taken_in_both_is_sent_again() {
    let dir = TempDir::new();
    let listener = RawListener::new(&dir.ipc());
    let bench = Process::spawn(nanostate(["bench", "--connect", listener.url(), "--count", "10", "--names", "5"]));
    let mut apps = [listener.accept_old(), listener.accept_old()];
    let mut to_lose = 2;
    'forwards: loop {
        for from in 0..apps.len() {
            match apps[from].receive_within(Duration::from_millis(1)) {
                Some(Some(_)) if to_lose > 0 => to_lose -= 1,
                Some(Some(body)) => apps[1 - from].send_raw(&body),
                Some(None) => break 'forwards,
                None => {}
            }
        }
    }
    let ended = bench.wait();
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn without_a_hub_it_fails_with_the_reason() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let ended = run(nanostate(["bench", "--timeout", "5", "--connect", &url]), b"");
    assert_eq!(complaint(&ended, 1), format!("connection refused: {url} (is \"nanostate hub\" running?)"));
}

#[test]
fn a_hub_that_is_killed_meanwhile_is_told() {
    let mut hub = CliHub::start();
    let bench = endless(&hub);
    hub.process.kill();
    let ended = bench.wait();
    let complaint = complaint(&ended, 1);
    assert!(complaint.starts_with("the link to the hub was lost: "), "{complaint}");
}

#[test]
fn a_hub_that_does_not_answer_any_more_is_told() {
    let mut hub = CliHub::start();
    let bench = Process::spawn(hub.nanostate(["bench", "--duration", "100000", "--size", "9", "--timeout", "5"]));
    while !hub.joined_by("bench", bench.id()).ends_with("-b") {}
    hub.process.signal("STOP");
    let ended = bench.wait();
    hub.process.signal("CONT");
    let complaint = complaint(&ended, 1);
    assert!(complaint.ends_with("did not come back within 5 s") || complaint.starts_with("no answer"), "{complaint}");
}

#[test]
fn a_signal_ends_it_with_the_exit_code_of_the_signal() {
    let hub = CliHub::start();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let ended = endless(&hub).stop(signal);
        assert!(ended.code == Some(code) && ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn it_ends_quietly_when_nobody_reads_it_any_more() {
    let hub = CliHub::start();
    let mut command = hub.nanostate(["bench", "--count", "100"]);
    let mut bench = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // As `| head -1` does.
    let mut line = String::new();
    BufReader::new(bench.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("round trip "), "{line}");
    let mut errors = String::new();
    bench.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((bench.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_terminal_shows_a_bar_that_is_gone_at_the_end() {
    let hub = CliHub::start();
    let words = |arguments: &str, terminal: &str| {
        let command = format!("{} bench --count 10 --connect {} {arguments}", env!("CARGO_BIN_EXE_nanostate"), hub.url);
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("TERM", terminal);
        lines(script).join("\n")
    };
    let shown = words("", "xterm");
    for bar in ["round trip      [----", "distinct names  [----", "repeated names  [----"] {
        let (_, behind) = shown.split_once(bar).unwrap_or_else(|| panic!("no {bar} in {shown:?}"));
        // The result is printed where the bar was.
        assert!(behind.contains("\r\x1b[K"), "{shown:?}");
    }
    assert!(!shown.rsplit_once("\r\x1b[K").unwrap().1.contains('['), "{shown:?}");
    // A terminal that cannot draw, and one that log lines go to.
    for (arguments, terminal) in [("", "dumb"), ("--log warn", "xterm")] {
        assert!(!words(arguments, terminal).contains('\x1b'), "{arguments} {terminal}");
    }
}

#[test]
fn wrong_arguments_are_named_and_end_with_2() {
    for (arguments, words) in [
        (&["--size", "7"][..], "7 is not in 8.."),
        (&["--size", "-1"], "-1"),
        (&["--size", "large"], "large"),
        (&["--count", "0"], "'0' for '--count <N>'"),
        (&["--names", "0"], "'0' for '--names <N>'"),
        (&["--names", "1000001"], "1000001 is not in 1..=1000000"),
        (&["--duration", "0"], "'0' for '--duration <SECONDS>'"),
        (&["--timeout", "soon"], "soon"),
        (&["--count", "5", "--duration", "5"], "--duration"),
        (&["--connect", "nowhere"], "nowhere"),
    ] {
        let mut command = nanostate(["bench"]);
        command.args(arguments);
        let ended = run(command, b"");
        assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with("nanostate: ") && ended.stderr[0].contains(words), "{ended:?}");
    }
}

#[test]
fn a_value_that_the_hub_does_not_take_is_the_error_of_sending_it() {
    let hub = CliHub::start();
    for (size, words) in [("16777216", "the limit is 16777216"), ("4294967295", "exceeds the largest possible message")]
    {
        let ended = run(hub.nanostate(["bench", "--size", size]), b"");
        let complaint = complaint(&ended, 1);
        assert!(complaint.contains("bench/") && complaint.contains(words), "{complaint}");
    }
}
