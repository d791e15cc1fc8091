//! Access tokens from outside: the file, the command line, the environment, and what the log says of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use nanostate::{App, AppOption, AppText, Hub, HubOption, HubText, Status, Value};

use crate::support::{eventually, nanostate, receive_until, run, CliHub, TempDir, PATIENCE};

const ROBOT: &str = "the-token-of-the-robot";
const PANEL: &str = "the-token-of-the-panel";
const WRONG: &str = "a-token-of-another-hub";
const VARIABLE: &str = "NANOSTATE_TOKEN";

/// A file with these lines, which nobody else can read.
fn file(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("tokens");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn both(dir: &TempDir) -> String {
    file(dir, &format!("# name rights token\nrobot read-write {ROBOT}\npanel read {PANEL}\n"))
}

fn hub(tokens: &str, arguments: &[&str]) -> CliHub {
    CliHub::start_with([&["--listen", "tcp://127.0.0.1:0", "--token-file", tokens], arguments].concat())
}

fn connecting(identity: &str, url: &str, token: Option<&str>) -> App {
    let app = App::new(identity).unwrap();
    app.set_text(AppText::Token, token).unwrap();
    app.connect(Some(url)).unwrap();
    app
}

fn refused(app: &App, words: &str) {
    eventually(words, || {
        let error = app.wait_connected(Some(Duration::from_millis(20))).err()?;
        (error.status() == Status::Permission && error.to_string().contains(words)).then_some(())
    });
}

#[test]
fn the_command_takes_part_with_a_token_and_no_log_shows_it() {
    let dir = TempDir::new();
    let tokens = both(&dir);
    let hub = hub(&tokens, &["--log", "trace"]);
    let said = |token: Option<&str>, arguments: &[&str]| {
        let mut command = nanostate(["send", "--connect", &hub.url, "--log", "trace"]);
        command.args(arguments).env_remove(VARIABLE);
        command.envs(token.map(|token| (VARIABLE, token)));
        let ended = run(command, b"");
        let text = ended.stderr.join("\n");
        assert!(![ROBOT, PANEL, WRONG].iter().any(|token| text.contains(token)), "{text}");
        (ended.code, text)
    };
    assert_eq!(said(Some(ROBOT), &["x", "1", "--timeout", "50"]).0, Some(0));
    assert_eq!(said(None, &["x", "2", "--timeout", "50", "--token", ROBOT]).0, Some(0));
    let (code, text) = said(None, &["x", "3", "--timeout", "50"]);
    assert!(code == Some(1) && text.contains("the hub asks for a token (--token, $NANOSTATE_TOKEN)"), "{text}");
    let (code, text) = said(Some(WRONG), &["x", "3", "--timeout", "50"]);
    assert!(code == Some(1) && text.contains("the hub does not know this token"), "{text}");
    let (code, text) = said(Some(PANEL), &["x", "3", "--timeout", "50"]);
    assert!(code == Some(1) && text.contains("permission denied"), "{text}");
    let mut watch = nanostate(["watch", "--connect", &hub.url, "--count", "1", "x"]);
    watch.env(VARIABLE, PANEL);
    let shown = run(watch, b"");
    assert_eq!((shown.code, shown.stdout.len()), (Some(0), 1));
    hub.process.error_line("its name", |text| text.contains("has the token of panel"));
    let log = hub.process.error_lines().join("\n");
    // The refusals that follow are counted.
    assert!(log.contains("refused: the hub asks for a token"), "{log}");
    assert!(log.contains("its token is for reading only"), "{log}");
    assert!(![ROBOT, PANEL, WRONG].iter().any(|token| log.contains(token)), "{log}");
}

#[test]
fn a_hub_reads_its_tokens_again_and_keeps_them_if_something_is_wrong_with_the_file() {
    let dir = TempDir::new();
    let tokens = both(&dir);
    let hub = hub(&tokens, &[]);
    let (robot, panel) = (connecting("robot", &hub.url, Some(ROBOT)), connecting("panel", &hub.url, Some(PANEL)));
    for app in [&robot, &panel] {
        app.wait_connected(Some(PATIENCE)).unwrap();
    }
    file(&dir, "robot read-write short\n");
    hub.process.signal("HUP");
    let words = "still the old ones: ";
    let line = hub.process.error_line("what is wrong", |text| text.contains(words));
    assert!(line.ends_with(": line 1: the token of \"robot\" has 5 bytes, at least 16"), "{line}");
    robot.send("x", Value::Int(1)).unwrap();
    receive_until(&panel, "a state", |state| state.int() == Ok(1));

    file(&dir, &format!("robot read-write {ROBOT}\nother read {WRONG}\n"));
    hub.process.signal("HUP");
    hub.process.error_line("read again", |text| text.ends_with("SIGHUP: certificate and tokens were read again"));
    hub.process
        .error_line("the panel has left", |text| text.contains("panel (") && text.contains("no longer accepted"));
    refused(&panel, "");
    connecting("other", &hub.url, Some(WRONG)).wait_connected(Some(PATIENCE)).unwrap();
    assert_eq!(robot.stats().connects, 1);
}

#[test]
fn tokens_do_not_pass_unencrypted_between_machines_unless_that_is_allowed() {
    let dir = TempDir::new();
    let tokens = both(&dir);
    let open = "tcp://0.0.0.0:0";
    let ended = run(nanostate(["hub", "--listen", open, "--token-file", &tokens]), b"");
    let words = format!("{open} would take tokens unencrypted: use tls+tcp:// or wss://, or set --clear-tokens");
    assert!(ended.code == Some(2) && ended.stderr[0].ends_with(&words), "{ended:?}");
    let hub = Hub::new().unwrap();
    hub.set_text(HubText::TokenFile, Some(&tokens)).unwrap();
    for url in [open, "tcp://*:0", "ws://0.0.0.0:0/ws"] {
        assert_eq!(hub.listen(url).unwrap_err().status(), Status::Invalid, "{url}");
    }
    hub.listen("tcp://127.0.0.1:0").unwrap();
    hub.set(HubOption::ClearTokens, 1).unwrap_err();

    let far = "tcp://192.0.2.1:15000";
    let command = nanostate(["send", "x", "1", "--connect", far, "--token", ROBOT, "--timeout", "0.01"]);
    let ended = run(command, b"");
    let words =
        format!("the token (--token, $NANOSTATE_TOKEN) would pass unencrypted to {far}: use tls+tcp:// or wss://, or set --clear-token");
    assert!(ended.code == Some(2) && ended.stderr[0].ends_with(&words), "{ended:?}");
    let app = App::new("a").unwrap();
    app.set_text(AppText::Token, Some(ROBOT)).unwrap();
    for url in [far, "ws://hub.example/ws", "tcp://127.0.0.1:1,tcp://hub.example:1"] {
        assert_eq!(app.connect(Some(url)).unwrap_err().status(), Status::Invalid, "{url}");
    }
    app.set(AppOption::ClearToken, 1).unwrap();
    app.connect(Some(far)).unwrap();
}

#[test]
fn a_token_with_the_end_of_its_line_is_refused_before_it_is_sent() {
    let mut command = nanostate(["send", "x", "1", "--connect", "tcp://127.0.0.1:9", "--timeout", "0.01"]);
    command.env(VARIABLE, format!("{ROBOT}\n"));
    let ended = run(command, b"");
    let words = "the token (--token, $NANOSTATE_TOKEN) contains a blank or the end of a line, as no token does";
    assert!(ended.code == Some(2) && ended.stderr[0].ends_with(words), "{ended:?}");
}

#[test]
fn a_hub_that_other_machines_reach_says_that_it_asks_for_no_token() {
    let dir = TempDir::new();
    let words = "can be reached from other machines, and no token is asked for";
    let says = |arguments: &[&str]| {
        let ended = CliHub::start_with(arguments).process.stop("TERM");
        ended.stderr.iter().any(|line| line.contains(words))
    };
    assert!(says(&["--listen", "tcp://0.0.0.0:0"]));
    assert!(says(&["--listen", "pub+tcp://*:0"]), "a gateway");
    assert!(!says(&["--listen", "tcp://127.0.0.1:0"]));
    assert!(!says(&["--listen", "tcp://0.0.0.0:0", "--token-file", &both(&dir), "--clear-tokens"]));
}

#[test]
fn a_file_that_is_no_good_is_named_with_its_line() {
    let dir = TempDir::new();
    let listens = |path: &str| {
        let ended = run(nanostate(["hub", "--listen", "tcp://127.0.0.1:0", "--token-file", path]), b"");
        (ended.code, ended.stderr.join("\n"))
    };
    let (code, text) = listens("/missing");
    assert!(code == Some(1) && text.ends_with("not found: /missing"), "{text}");
    let path = file(&dir, "robot write 0123456789abcdef\n");
    let (code, text) = listens(&path);
    assert!(
        code == Some(2)
            && text.ends_with(&format!("{path}: line 1: expected \"read\" or \"read-write\" behind \"robot\"")),
        "{text}"
    );
    fs::write(&path, b"\xff\xfe").unwrap();
    assert_eq!(listens(&path).0, Some(1));
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let words = "a file of access tokens has at most 1048576 bytes";
    for path in [&*path, "/dev/zero"] {
        let (code, text) = listens(path);
        assert!(code == Some(2) && text.ends_with(&format!("{path}: {words}")), "{text}");
    }
    let path = both(&dir);
    for (mode, what) in [(0o644, "read"), (0o602, "write")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let words = format!("has tokens, and every user of this machine can {what} it");
        hub(&path, &[]).process.error_line("a warning", |text| text.ends_with(&words));
    }
}

#[test]
fn old_programs_and_gateways_read_where_the_hub_lets_them() {
    let dir = TempDir::new();
    let tokens = both(&dir);
    let hub = hub(&tokens, &["--read-without-token"]);
    let robot = connecting("robot", &hub.url, Some(ROBOT));
    let silent = connecting("silent", &hub.url, None);
    robot.wait_connected(Some(PATIENCE)).unwrap();
    silent.wait_connected(Some(PATIENCE)).unwrap();
    robot.send("x", Value::Text("hello")).unwrap();
    receive_until(&silent, "a state", |state| state.text() == Ok("hello"));
    silent.send("mine", Value::Int(1)).unwrap();
    assert_eq!(silent.flush(Some(PATIENCE)).unwrap_err().status(), Status::Permission);
    hub.process.error_line("why", |text| text.contains("without a token it may only read"));
    refused(&connecting("wrong", &hub.url, Some(WRONG)), "the hub does not know this token");
}
