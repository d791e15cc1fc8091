//! A network that is cut: the connections are there for both sides, and nothing comes through.

use std::fs;
use std::path::Path;
use std::process::{self, Command};
use std::sync::mpsc;
use std::time::Duration;

use nanostate::{Hub, PresenceEvent};

use crate::support::{app, c_program, eventually, receive, send, waiting, Gate, Process, TempDir};

/// What an app goes through to its hub.
trait Network {
    /// What runs this program where the hub is reached through the network.
    fn run(&self, program: &str) -> Command {
        Command::new(program)
    }
    fn cut(&self);
    fn mend(&self);
}

impl Network for Gate {
    fn cut(&self) {
        self.hush();
    }

    fn mend(&self) {
        self.open();
    }
}

/// A network of its own, as another machine has it, and a cable.
struct Namespace {
    name: String,
    /// The address of the near end.
    address: String,
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

impl Namespace {
    /// `None`: the system does not permit it.
    fn new() -> Option<Namespace> {
        let id = process::id();
        let (name, net) = (format!("nanostate{}", id % 100_000), format!("10.{}.{}", 200 + id / 250 % 50, id % 250));
        let namespace = Namespace { name, address: format!("{net}.1") };
        let name = &namespace.name;
        let commands = [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name peer netns {name}"),
            format!("address add {net}.1/30 dev {name}"),
            format!("link set {name} up"),
            format!("-n {name} address add {net}.2/30 dev peer"),
            format!("-n {name} link set peer up"),
        ];
        commands.iter().all(|command| ip(command)).then_some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("link delete {}", self.name));
        ip(&format!("netns delete {}", self.name));
    }
}

impl Network for Namespace {
    fn run(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    fn cut(&self) {
        assert!(ip(&format!("link set {} down", self.name)));
    }

    fn mend(&self) {
        assert!(ip(&format!("link set {} up", self.name)));
    }
}

fn an_app_is_cut_off_and_comes_back(hub: &Hub, network: &dyn Network, url: &str) {
    let dir = TempDir::new();
    let near = dir.ipc();
    hub.listen(&near).unwrap();
    let observer = app("observer", &near);
    let (told, events) = mpsc::channel();
    let tell = move |event, peer: &nanostate::Peer| {
        if peer.identity == "far" {
            let _ = told.send(event);
        }
    };
    observer.on_presence(Some(Box::new(tell))).unwrap();
    let event = |what| {
        eventually(what, || {
            let _ = observer.dispatch(Some(Duration::from_millis(10)), 1);
            events.try_recv().ok()
        })
    };
    let mut far = network.run(c_program("app").to_str().unwrap());
    far.args([url, "far", "100"]);
    let mut far = Process::spawn(far);
    for line in ["text on yes", "will on lost", "flush"] {
        let mut from = far.printed();
        far.tell(line);
        far.line_from(&mut from, line, |line| line == "done");
    }
    assert!(matches!(event("it is there"), PresenceEvent::Here | PresenceEvent::Joined));
    assert_eq!(receive(&observer, "far", "on").text().unwrap(), "yes");

    network.cut();
    assert_eq!(event("it is suspect"), PresenceEvent::Suspect);
    assert_eq!(event("it is lost"), PresenceEvent::Lost);
    assert_eq!(receive(&observer, "far", "on").text().unwrap(), "lost");
    far.line("the loss of the hub, of which it hears nothing", |line| line.starts_with("link 1"));
    send(&app("last", &near), "n", "last");
    receive(&observer, "last", "n");
    assert!(waiting(&observer).is_empty() && events.try_recv().is_err(), "it is lost once");

    network.mend();
    assert_eq!(event("it is back"), PresenceEvent::Joined);
    assert_eq!(receive(&observer, "far", "on").text().unwrap(), "yes");
    assert!(far.is_running(), "{}", far.words());
}

#[test]
fn an_app_behind_a_proxy_that_goes_silent_is_suspect_then_lost_and_its_will_is_published_once() {
    let hub = Hub::new().unwrap();
    hub.listen("tcp://127.0.0.1:0").unwrap();
    let gate = Gate::open_to(hub.address(0).unwrap().trim_start_matches("tcp://"));
    an_app_is_cut_off_and_comes_back(&hub, &gate, gate.url());
}

/// As root, or where namespaces are permitted otherwise; elsewhere the test before this one has to do. Which of them
/// ran is the last line of `make test`.
#[test]
fn an_app_in_another_network_that_is_cut_is_suspect_then_lost_and_its_will_is_published_once() {
    let namespace = Namespace::new();
    let ran = if namespace.is_some() {
        "taking down the link between two network namespaces"
    } else {
        "a proxy that goes silent"
    };
    // For the last line of `make test`.
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cut-network"), ran).unwrap();
    let Some(namespace) = namespace else { return };
    let hub = Hub::new().unwrap();
    hub.listen(&format!("tcp://{}:0", namespace.address)).unwrap();
    an_app_is_cut_off_and_comes_back(&hub, &namespace, &hub.address(0).unwrap());
}
