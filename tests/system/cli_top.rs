//! `nanostate top`, in a terminal and without one.

use std::process::Command;

use nanostate::{App, Value};
use serde_json::Value as Json;

use crate::support::{app, complaints, nanostate, run, send, CliHub, TempDir, PATIENCE};
use crate::terminal::Terminal;

/// What the command does to the terminal at its end: wrapped lines, the cursor, and the other screen.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

fn top(hub: &CliHub, size: (u16, u16), arguments: &[&str]) -> Terminal {
    let mut command = hub.nanostate(["top", "--interval", "0.05"]);
    command.args(arguments);
    Terminal::start(command, size)
}

/// The first words of the rows of the table.
fn peers(lines: &[String]) -> Vec<&str> {
    let rows = lines.iter().skip_while(|line| !line.starts_with("PEER ")).skip(1);
    rows.filter_map(|line| line.split_whitespace().next()).filter(|word| *word != "q").collect()
}

/// The apps of the test among them.
fn apps(lines: &[String]) -> Vec<&str> {
    peers(lines).into_iter().filter(|peer| !peer.starts_with("nanostat")).collect()
}

fn flushed(app: &App, name: &str) {
    send(app, name, "value");
    app.flush(Some(PATIENCE)).unwrap();
}

#[test]
fn top_shows_the_peers_of_a_hub_in_a_terminal_and_q_ends_it() {
    let hub = CliHub::start();
    let _apps = ["b", "a", "c"].map(|identity| app(identity, &hub.url));
    let mut top = top(&hub, (80, 24), &[]);
    let lines = top.shows("three apps", |lines| apps(lines) == ["a", "b", "c"]);
    assert_eq!(lines.len(), 24);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    assert!(lines[0].starts_with(&format!("nanostate top: {}, up ", hub.url)), "{lines:?}");
    assert!(lines[1].starts_with("Peers:  4 of 4096; 0 refused"), "{lines:?}");
    assert!(lines[23].starts_with("q quit"), "{lines:?}");
    let late = app("late", &hub.url);
    flushed(&late, "x");
    let lines = top.shows("one more", |lines| apps(lines).len() == 4 && lines[2].starts_with("States: 1 "));
    assert_eq!(lines[4], "Not passed on: nothing");
    drop(late);
    top.shows("three apps again", |lines| apps(lines) == ["a", "b", "c"]);
    top.press("q");
    assert_eq!(top.ends(), Some(0));
}

#[test]
fn the_terminal_is_as_before_however_top_ends() {
    let hub = CliHub::start();
    for end in [None, Some(libc::SIGINT), Some(libc::SIGTERM)] {
        // Nothing has changed it before the command has begun to read its arguments: the shell's own settings.
        let idle = Terminal::start(nanostate(["--version"]), (80, 24)).attributes();
        let mut top = top(&hub, (80, 24), &[]);
        top.shows("itself", |lines| peers(lines).len() == 1);
        assert_ne!(top.attributes(), idle, "keys come one by one");
        match end {
            Some(signal) => top.signal(signal),
            // The key that makes the signal.
            None => top.press("\x03"),
        }
        assert_eq!(top.ends(), Some(0), "{end:?}");
        assert_eq!(top.attributes(), idle, "{end:?}");
        top.writes("the sequence that ends it", |text| text.ends_with(LEAVE));
    }
}

#[test]
fn top_that_is_stopped_gives_the_terminal_back_until_it_goes_on() {
    let hub = CliHub::start();
    // A shell with job control, which has it go on at once.
    let mut shell = Command::new("sh");
    let script = "\"$0\" top --interval 0.05 --connect \"$1\"; fg >/dev/null";
    shell.args(["-m", "-c", script, env!("CARGO_BIN_EXE_nanostate"), &hub.url]);
    let mut terminal = Terminal::start(shell, (80, 24));
    terminal.shows("itself", |lines| peers(lines).len() == 1);
    terminal.press("\x1a");
    terminal.writes("itself again", |text| text.rsplit_once(LEAVE).is_some_and(|(_, rest)| rest.contains("PEER ")));
    terminal.press("q");
    assert_eq!(terminal.ends(), Some(0));
    // The same in a script, which is stopped with it.
    let mut shell = Command::new("sh");
    let script = "sh -c '\"$COMMAND\" top --interval 0.05 --connect \"$URL\"; exit 7'; read line; fg >/dev/null";
    shell.args(["-m", "-c", script]).env("COMMAND", env!("CARGO_BIN_EXE_nanostate")).env("URL", &hub.url);
    let mut terminal = Terminal::start(shell, (80, 24));
    terminal.shows("itself", |lines| peers(lines).len() == 1);
    terminal.press("\x1a");
    // A shell that goes on before that would not see the second of the two stop.
    terminal.jobs_stop();
    terminal.press("\n");
    terminal.writes("itself again", |text| text.rsplit_once(LEAVE).is_some_and(|(_, rest)| rest.contains("PEER ")));
    terminal.press("q");
    assert_eq!(terminal.ends(), Some(7));
    // Without a shell nobody could have it go on.
    let mut top = top(&hub, (80, 24), &[]);
    top.shows("itself", |lines| peers(lines).len() == 1);
    top.press("\x1aq");
    assert_eq!(top.ends(), Some(0));
}

#[test]
fn keys_sort_filter_and_pause_the_table() {
    let hub = CliHub::start();
    let _apps = ["b/x", "a", "c/x"].map(|identity| app(identity, &hub.url));
    let mut top = top(&hub, (80, 24), &[]);
    top.shows("three apps", |lines| apps(lines) == ["a", "b/x", "c/x"]);
    top.press("r");
    top.shows("the reverse", |lines| apps(lines) == ["c/x", "b/x", "a"]);
    top.press("s");
    top.shows("the next column", |lines| lines[5] == "sorted by in, falling");
    top.press("/");
    top.press("x");
    top.shows("those with an x", |lines| apps(lines) == ["b/x", "c/x"] && lines[5].starts_with("filter: x_;"));
    top.press("\r");
    top.shows("a filter", |lines| lines[5].starts_with("filter: x;"));
    top.press("\x1b");
    top.shows("all", |lines| apps(lines).len() == 3);
    top.press(" ");
    top.shows("a pause", |lines| lines[5].starts_with("PAUSED;"));
    let _new = app("new", &hub.url);
    // It is drawn again, and stands still.
    top.press("r");
    let lines = top.shows("the reverse", |lines| lines[5].ends_with("rising"));
    assert_eq!(apps(&lines).len(), 3);
    top.press(" ");
    top.shows("all that are there", |lines| apps(lines).len() == 4);
}

#[test]
fn the_table_fits_the_terminal_when_that_changes() {
    let hub = CliHub::start();
    let names: Vec<_> = (10..40).map(|n| n.to_string()).collect();
    let _apps: Vec<_> = names.iter().map(|identity| app(identity, &hub.url)).collect();
    let mut top = top(&hub, (80, 24), &["--filter", "", "--sort", "peer"]);
    top.shows("as many as fit", |lines| lines.len() == 24 && apps(lines).len() == 16);
    for (columns, lines) in [(40, 10), (150, 50), (16, 3), (80, 24)] {
        top.resize((columns, lines));
        let shown = top.shows("another size", |shown| shown.len() == usize::from(lines));
        assert!(shown.iter().all(|line| line.chars().count() <= usize::from(columns)), "{shown:?}");
        let headings = shown.iter().find(|line| line.starts_with("PEER")).unwrap();
        assert_eq!(headings.contains("ADDRESS"), columns == 150, "{headings}");
    }
    top.press("\x1b[6~");
    top.shows("the last page", |lines| apps(lines).first() == Some(&"25"));
    top.press("q");
    assert_eq!(top.ends(), Some(0));
}

#[test]
fn top_waits_for_a_hub_and_shows_the_one_that_takes_its_place() {
    let dir = TempDir::new();
    let url = dir.ipc();
    let mut command = nanostate(["top", "--interval", "0.05", "--connect"]);
    command.arg(&url);
    let mut top = Terminal::start(command, (80, 24));
    top.shows("no hub", |lines| lines.get(5).is_some_and(|line| line.starts_with("NO HUB: ")));
    let hub = CliHub::start_with(["--listen", &url]);
    top.shows("itself", |lines| peers(lines).len() == 1 && !lines[5].starts_with("NO HUB"));
    hub.process.stop("KILL");
    top.shows("no hub again", |lines| lines[5].starts_with("NO HUB: "));
    let _hub = CliHub::start_with(["--listen", &url]);
    let _app = app("new", &url);
    top.shows("the app", |lines| apps(lines) == ["new"] && !lines[5].starts_with("NO HUB"));
    top.press("q");
    assert_eq!(top.ends(), Some(0));
}

/// What `nanostate top --once` prints.
fn once(hub: &CliHub, arguments: &[&str]) -> Vec<String> {
    let mut command = hub.nanostate(["top", "--once", "--timeout", "50"]);
    command.args(arguments);
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    ended.stdout
}

#[test]
fn top_once_prints_one_table_or_one_json_object() {
    let hub = CliHub::start();
    let (sender, deaf) = (app("sender", &hub.url), App::new("deaf \u{9b}").unwrap());
    deaf.set_accept(0).unwrap();
    deaf.connect(Some(&hub.url)).unwrap();
    deaf.wait_connected(Some(PATIENCE)).unwrap();
    sender.send("x", Value::Bytes(&[0; 1000])).unwrap();
    flushed(&sender, "y");
    let lines = once(&hub, &[]);
    assert!(lines[0].starts_with("Peers:  3 of 4096"), "{lines:?}");
    assert_eq!(lines[3], "Not passed on: 2 of kinds that the receiver does not accept");
    assert!(lines[5].starts_with("PEER ") && lines[5].ends_with("  ADDRESS"), "{lines:?}");
    assert_eq!(apps(&lines), ["\"deaf", "sender"]);
    assert_eq!(apps(&once(&hub, &["--filter", "SEND"])), ["sender"]);
    assert_eq!(apps(&once(&hub, &["--sort", "withheld", "--reverse"])), ["sender", "\"deaf"]);
    let lines = once(&hub, &["--json"]);
    assert!(lines.len() == 1 && !lines[0].contains(|c: char| c.is_control()), "{lines:?}");
    let said: Json = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((said["url"].as_str(), said["hub"]["states"].as_u64()), (Some(&*hub.url), Some(2)));
    let peer = |identity: &str| {
        let mut peers = said["peers"].as_array().unwrap().iter();
        peers.find(|peer| peer["identity"] == identity).unwrap()
    };
    let (deaf, sender) = (peer("deaf \u{9b}"), peer("sender"));
    assert_eq!((&sender["messages_in"], &sender["withheld"], &sender["live"]), (&2.into(), &0.into(), &true.into()));
    assert_eq!((&deaf["withheld"], &deaf["withheld_unaccepted"]), (&2.into(), &2.into()));
    assert!(sender["from"].as_str().unwrap().starts_with("tcp://127.0.0.1:"), "{sender}");
}

#[test]
fn without_a_terminal_top_asks_for_once_and_without_a_hub_once_fails() {
    let hub = CliHub::start();
    let ended = run(hub.nanostate(["top"]), b"");
    assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr[0].starts_with("nanostate: standard output is no terminal: --once "), "{ended:?}");
    for arguments in [&["--json"][..], &["--once", "--interval", "1"], &["--once", "--sort", "size"]] {
        let ended = run(hub.nanostate([&["top"], arguments].concat()), b"");
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    let url = TempDir::new().ipc();
    let ended = run(nanostate(["top", "--once", "--timeout", "0.3", "--connect", &url]), b"");
    assert!(ended.code == Some(1) && ended.stderr.concat().contains(&url), "{ended:?}");
}
