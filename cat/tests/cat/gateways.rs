//! On the gateways of a hub, and beside its apps.

use std::time::Duration;

use nanostate::{App, Hub, HubOption, Value};

use crate::support::{cat, lines, run, Process, TempDir, PATIENCE};

/// How gateways are reached.
const TRANSPORTS: [&str; 3] = ["tcp", "ipc", "ws"];

/// A hub for apps, with every gateway.
struct Site {
    hub: Hub,
    dir: TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { hub: Hub::new().unwrap(), dir: TempDir::new() };
        site.hub.set(HubOption::LegacyMax, 16 << 20).unwrap();
        site.open("tcp://127.0.0.1:0");
        site
    }

    fn open(&self, url: &str) -> String {
        self.hub.listen(url).unwrap();
        (0..).map_while(|i| self.hub.address(i)).last().unwrap()
    }

    /// Opens a gateway that hands out everything; what the other side dials.
    fn gateway(&self, role: &str, transport: &str) -> String {
        let place = match transport {
            "tcp" => "tcp://127.0.0.1:0".to_owned(),
            "ws" => "ws://127.0.0.1:0/states".to_owned(),
            _ => self.dir.ipc(),
        };
        let url = self.open(&format!("{role}+{place}?structured=1"));
        url.split_once('+').unwrap().1.split('?').next().unwrap().to_owned()
    }

    fn app(&self, identity: &str) -> App {
        let app = App::new(identity).unwrap();
        app.connect(self.hub.address(0).as_deref()).unwrap();
        app.wait_connected(Some(PATIENCE)).unwrap();
        app
    }
}

/// nanostate-cat that speaks JSON.
fn json(protocol: &str, url: &str, more: &[&str]) -> std::process::Command {
    cat([protocol, "--dial", url, "--format", "json"].iter().chain(more))
}

#[test]
fn sub_prints_what_apps_send_as_json() {
    for transport in TRANSPORTS {
        let site = Site::new();
        let app = site.app("sender");
        let mut sub = Process::spawn(json("--sub", &site.gateway("pub", transport), &[]));
        for (name, value, line) in [
            ("text", Value::Text("käse \u{202e}\n"), r#"["sender","text","käse \u202e\n"]"#),
            ("bytes", Value::Bytes(b"\xff\0"), r#"["sender","bytes","/wA="]"#),
            ("int", Value::Int(-5), r#"["sender","int",-5]"#),
            ("uint", Value::Uint(u64::MAX), r#"["sender","uint",18446744073709551615]"#),
            ("double", Value::Double(0.1), r#"["sender","double",0.1]"#),
            ("bool", Value::Bool(true), r#"["sender","bool",true]"#),
            ("nil", Value::Nil, r#"["sender","nil",null]"#),
        ] {
            app.send(name, value).unwrap();
            assert_eq!(sub.next_line(), line);
        }
        app.send_json("deep/er", r#"{"a":[1,{"b":null}]}"#).unwrap();
        assert_eq!(sub.next_line(), r#"["sender","deep/er",{"a":[1,{"b":null}]}]"#);
    }
}

#[test]
fn a_subscriber_that_comes_late_gets_all_of_a_large_table() {
    const NAMES: usize = 20_000;
    let site = Site::new();
    let app = site.app("sender");
    for i in 0..NAMES {
        app.send(&format!("name/{i}"), Value::Text("some text")).unwrap();
    }
    app.flush(Some(PATIENCE)).unwrap();
    let count = NAMES.to_string();
    let mut got = lines(json("--sub", &site.gateway("pub", "tcp"), &["--subscribe", "name/", "--count", &count]));
    got.sort();
    got.dedup();
    assert_eq!(got.len(), NAMES);
}

#[test]
fn push_publishes_json() {
    for transport in TRANSPORTS {
        let site = Site::new();
        let app = site.app("receiver");
        let pull = site.gateway("pull", transport);
        assert_eq!(lines(json("--push", &pull, &["--data", r#"["me","cpu/load",{"a":0.25}]"#])), Vec::<String>::new());
        let state = app.recv(Some(PATIENCE)).unwrap();
        assert_eq!((state.sender(), state.name(), state.json()), ("me", "cpu/load", r#"{"a":0.25}"#));
    }
}

#[test]
fn req_and_surveyor_ask_in_json() {
    for transport in TRANSPORTS {
        let site = Site::new();
        let _app = site.app("somebody");
        let rep = site.gateway("rep", transport);
        for (request, answer) in [
            (r#"["me","cpu/load",0.25]"#, r#""ok""#),
            (r#"["get","cpu/load"]"#, r#"["me","cpu/load",0.25]"#),
            (r#"["get","nothing"]"#, "null"),
            (r#"["list","cpu/*"]"#, r#"[["me","cpu/load",0.25]]"#),
            (r#"["peers"]"#, r#"["somebody"]"#),
        ] {
            assert_eq!(lines(json("--req", &rep, &["--data", request])), [answer]);
        }
        let respondent = site.gateway("respondent", transport);
        let survey = ["--data", "\"who\"", "--count", "1", "--recv-timeout", "50"];
        let [answer] = &lines(json("--surveyor", &respondent, &survey))[..] else { panic!() };
        assert!(answer.starts_with(r#"{"hub":"nanostate","#), "{answer}");
    }
}

#[test]
fn bus_is_an_old_program_of_the_hub() {
    let site = Site::new();
    let app = site.app("app");
    let url = site.hub.address(0).unwrap();
    let data = ["--data", r#"["old","greeting","hello"]"#, "--recv-timeout", "0"];
    assert_eq!(lines(json("--bus", &url, &data)), Vec::<String>::new());
    let state = app.recv(Some(PATIENCE)).unwrap();
    assert_eq!((state.sender(), state.name(), state.text().unwrap()), ("old", "greeting", "hello"));

    let mut bus = Process::spawn(json("--bus", &url, &[]));
    loop {
        app.send("answer", Value::Text("hi")).unwrap();
        if !bus.lines().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bus.next_line(), r#"["app","answer","hi"]"#);
}

#[test]
fn the_largest_state_passes() {
    let text = "x".repeat(15 << 20);
    for transport in TRANSPORTS {
        let site = Site::new();
        let app = site.app("receiver");
        let file = site.dir.path().join("large.json");
        std::fs::write(&file, format!(r#"["me","large","{text}"]"#)).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(lines(json("--push", &site.gateway("pull", transport), &["--file", file])), Vec::<String>::new());
        assert_eq!(app.recv(Some(PATIENCE)).unwrap().text().unwrap(), text);
        let [line] = &lines(json("--sub", &site.gateway("pub", transport), &["--count", "1"]))[..] else { panic!() };
        assert_eq!(*line, format!(r#"["me","large","{text}"]"#));
    }
}

#[test]
fn another_protocol_is_named() {
    let site = Site::new();
    let ended = run(json("--req", &site.gateway("pub", "tcp"), &["--data", "1", "--timeout", "1"]), b"");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr[0].contains("(does it speak REP?); waiting for it"), "{ended:?}");
}
