//! Real programs whose wall clocks are wrong, by hours or decades, and set while they run: everybody has the value that
//! was sent last. `tests/engine/clocks` has the same in the simulator, over thousands of seeds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::build::{self, compiler, root, scratch, Standard};
use crate::support::{app, c_program, key, nanostate, receive_until, run, Process, TempDir};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Back to the seventies, where a board without a battery begins.
const DECADES: i64 = 50 * 365 * 24 * HOUR;

/// What is loaded before a program's libraries to give it a wall clock of its own.
fn preload() -> PathBuf {
    let library = scratch("lib").join("wall_clock.so");
    let mut compiler = compiler(Standard::C11);
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]);
    build::run(compiler.arg(root().join("tests/peers/wall_clock.c")).arg("-o").arg(&library));
    library
}

/// The wall clocks of programs.
struct Clocks {
    dir: TempDir,
    /// Where the hub listens.
    url: String,
    preload: PathBuf,
}

impl Clocks {
    fn new() -> Clocks {
        let dir = TempDir::new();
        Clocks { url: dir.ipc(), dir, preload: preload() }
    }

    /// Sets one against the true time, in milliseconds.
    fn set(&self, name: &str, ahead: i64) {
        // By a rename, so that no reader sees half of it.
        let new = self.dir.path().join(format!("{name}.new"));
        fs::write(&new, ahead.to_string()).unwrap();
        fs::rename(new, self.dir.path().join(name)).unwrap();
    }

    /// Lets a program have one.
    fn with(&self, name: &str, ahead: i64, mut command: Command) -> Command {
        self.set(name, ahead);
        command.env("LD_PRELOAD", &self.preload).env("WALL_CLOCK", self.dir.path().join(name));
        command
    }

    fn hub(&self, ahead: i64) -> Process {
        let hub = nanostate(["hub", "--listen", &self.url]);
        let hub = Process::spawn(self.with("hub", ahead, hub));
        hub.line("its address", |line| line.starts_with("listening on "));
        hub
    }

    /// An app that holds its identity alone.
    fn app(&self, identity: &str, ahead: i64) -> Process {
        let mut command = Command::new(c_program("app"));
        command.arg(&self.url).arg(identity);
        Process::spawn(self.with(identity, ahead, command))
    }

    /// Sends a value of `shared` with the command, whose runs share one identity. The hub has it afterwards.
    fn send(&self, ahead: i64, value: &str) {
        let send = nanostate(["send", "--timeout", "50", "--connect", &self.url, "shared", value]);
        let ended = run(self.with("send", ahead, send), b"");
        assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{value}: {ended:?}");
    }

    fn watch(&self, ahead: i64) -> Process {
        let watch = nanostate(["watch", "--connect", &self.url]);
        Process::spawn(self.with("watch", ahead, watch))
    }

    /// What a newcomer is given.
    fn newest(&self) -> Vec<String> {
        let late = app("late", &self.url);
        let names = ["alone", "shared"];
        receive_until(&late, "both names", |_| names.iter().all(|name| late.get(None, name).is_some()));
        names.map(|name| key(&late.get(None, name).unwrap())).to_vec()
    }
}

fn publish(app: &mut Process, value: &str) {
    for command in [&format!("text alone {value}"), "flush"] {
        app.tell(command);
        app.next_line_with("done");
    }
}

#[test]
fn the_value_that_was_sent_last_is_the_newest_for_everybody() {
    let clocks = Clocks::new();
    let mut hub = clocks.hub(-2 * HOUR);
    let mut app = clocks.app("app", 5 * MINUTE);
    let mut watch = clocks.watch(-3 * HOUR);
    let mut shown = |name: &str, value: &str| {
        let wanted = format!(" {name} {value}");
        watch.next_line_with(&wanted);
    };
    let mut number = 0;
    let mut round = |app: &mut Process, sender: i64| {
        number += 1;
        publish(app, &format!("a{number}"));
        shown("alone", &format!("a{number}"));
        clocks.send(sender, &format!("s{number}"));
        shown("shared", &format!("s{number}"));
        assert_eq!(clocks.newest(), [format!("app alone \"a{number}\""), format!("nanostate shared \"s{number}\"")]);
    };

    for sender in [0, -30_000, HOUR, -DECADES] {
        round(&mut app, sender);
    }
    // Clocks are set while their programs run.
    clocks.set("app", -DECADES);
    round(&mut app, 0);
    clocks.set("hub", -DECADES);
    clocks.set("watch", 3 * HOUR);
    round(&mut app, -HOUR);
    // The hub comes back, and what it knew has gone with it.
    for ahead in [-DECADES, HOUR, -90_000] {
        hub.kill();
        hub = clocks.hub(ahead);
        round(&mut app, -DECADES);
        round(&mut app, 0);
    }
    // So does the app.
    for ahead in [-HOUR, -DECADES, 0] {
        app.end_of_input();
        assert!(app.ended().success());
        app = clocks.app("app", ahead);
        round(&mut app, -HOUR);
    }
}
