//! Hubs with a store, as processes that are killed, stopped, and run out of room.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nanostate::{App, Hub, Status};

use crate::support::{
    app, complaints, eventually, nanostate, run, send, until, CliHub, Process, Random, TempDir, PATIENCE,
};

fn hub_in(directory: &Path) -> CliHub {
    CliHub::start_with(["--listen", "tcp://127.0.0.1:0", "--store", directory.to_str().unwrap()])
}

/// What a newcomer is sent: names, with the sender before each, and the texts.
fn all(hub: &CliHub) -> HashMap<String, String> {
    let newcomer = app("newcomer", &hub.url);
    newcomer.wait_synced(Some(PATIENCE)).unwrap();
    let states = std::iter::from_fn(|| newcomer.recv(Some(Duration::ZERO)).ok());
    states.map(|state| (format!("{} {}", state.sender(), state.name()), state.text().unwrap().to_owned())).collect()
}

fn sent(app: &App, name: &str, text: &str) {
    send(app, name, text);
    app.flush(Some(PATIENCE)).unwrap();
}

/// Waits until the hub has written this state, which is its last.
pub fn stored(directory: &Path, part: &str) {
    let has = |name: &str| {
        let bytes = fs::read(directory.join(name)).unwrap_or_default();
        bytes.windows(part.len()).any(|window| window == part.as_bytes())
    };
    until("what was sent is in the store", || has("states.db") || has("states.db-wal"));
}

/// The promise is 100 ms; a busy machine is given a second. `tests/engine/store.rs` holds the hub to the promise.
#[test]
fn a_newcomer_finds_all_values_after_the_hub_and_all_apps_were_killed_at_once() {
    const APPS: usize = 20;
    const NAMES: usize = 100;
    let dir = TempDir::new();
    let mut random = Random::new(7);
    for round in 1..=4 {
        let mut hub = hub_in(dir.path());
        let mut apps: Vec<Process> =
            (0..APPS).map(|n| Process::spawn(hub.nanostate(["send", "--as", &format!("app{n}"), "--stdin"]))).collect();
        let observer = app("observer", &hub.url);
        let mut seen: HashMap<String, Vec<(Instant, u64)>> = HashMap::new();
        let mut take = |wait: Duration| {
            while let Ok(state) = observer.recv(Some(wait)) {
                let number = state.text().unwrap().parse().unwrap();
                let key = format!("{} {}", state.sender(), state.name());
                seen.entry(key).or_default().push((Instant::now(), number));
            }
            seen.len()
        };
        let mut number = round * 1_000_000;
        let mut tell = |apps: &mut Vec<Process>| {
            for app in apps {
                let lines: String = (0..NAMES)
                    .map(|name| {
                        number += 1;
                        format!("n{name} {number}\n")
                    })
                    .collect();
                app.write(lines.as_bytes());
            }
        };
        tell(&mut apps);
        until("the observer has seen all", || take(Duration::from_millis(10)) == APPS * NAMES);
        let end = Instant::now() + Duration::from_millis(1_500 + random.below(500) as u64);
        while Instant::now() < end {
            tell(&mut apps);
            take(Duration::from_millis(5));
        }
        let killed = Instant::now();
        hub.process.kill();
        apps.iter_mut().for_each(Process::kill);
        drop(observer);

        let mut hub = hub_in(dir.path());
        let found = all(&hub);
        assert_eq!(found.len(), APPS * NAMES, "round {round}");
        for (key, seen) in &seen {
            let old = seen.iter().filter(|(at, _)| *at + Duration::from_secs(1) < killed).map(|(_, number)| *number);
            let least = old.max().unwrap_or(0);
            let number: u64 = found[key].parse().unwrap();
            assert!(number >= least, "round {round}: {key} is {number}, and was {least} a second before");
        }
        hub.process.kill();
    }
}

#[test]
fn a_hub_that_is_stopped_writes_all_that_it_holds() {
    let dir = TempDir::new();
    for round in 0..5 {
        let hub = hub_in(dir.path());
        let visitor = app("visitor", &hub.url);
        sent(&visitor, "x", &round.to_string());
        let ended = hub.process.stop("TERM");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let hub = hub_in(dir.path());
        assert_eq!(all(&hub)["visitor x"], round.to_string());
    }
}

#[test]
fn a_hub_in_a_program_has_a_store_too() {
    let dir = TempDir::new();
    let store = dir.path().join("deep/down");
    let hub = Hub::new().unwrap();
    hub.set_store(&store).unwrap();
    assert_eq!(hub.set_store(&store).unwrap_err().status(), Status::State);
    hub.listen("inproc://a-hub-with-a-store").unwrap();
    assert_eq!(hub.set_store(&store).unwrap_err().status(), Status::State);
    let visitor = app("visitor", "inproc://a-hub-with-a-store");
    sent(&visitor, "x", "kept");
    let other = Hub::new().unwrap();
    let error = other.set_store(&store).unwrap_err();
    assert_eq!((error.status(), error.to_string().contains("deep/down")), (Status::InUse, true), "{error}");
    hub.close();
    // One that has no address yet writes what it took over, and gives the directory back.
    other.set_store(&store).unwrap();
    assert_eq!((other.stats().states, other.stats().store_failed), (1, 0));
    drop(other);
    let last = Hub::new().unwrap();
    last.set_store(&store).unwrap();
    assert_eq!(last.stats().states, 1);
}

#[test]
fn a_hub_whose_disk_is_full_goes_on_and_writes_everything_when_there_is_room_again() {
    let dir = TempDir::new();
    let mut hub = hub_in(dir.path());
    let visitor = app("visitor", &hub.url);
    sent(&visitor, "first", "fits");
    stored(dir.path(), "fits");
    // What a full disk is to a program: no write makes a file larger.
    allow_file_size(&hub.process, 32 << 10);
    let large = "x".repeat(100_000);
    for n in 0..5 {
        sent(&visitor, &format!("large{n}"), &large);
    }
    let line = hub.process.next_error_line_with("not stored, and tried again until it is: ");
    assert!(line.contains("File too large: the store in ") && line.contains(dir.path().to_str().unwrap()), "{line}");
    // It serves meanwhile, and counts.
    sent(&visitor, "last", "LAST-OF-ALL");
    assert_eq!(all(&hub).len(), 7);
    let failures = || {
        hub.process.signal("USR1");
        let lines = hub.process.error_lines();
        let of = |line: &String| line.split_once(" states written to the store, ")?.1.split(' ').next()?.parse().ok();
        lines.iter().rev().find_map(of).filter(|failures: &u64| *failures > 2)
    };
    eventually("failures are counted", failures);
    let told = hub.process.error_lines().iter().filter(|line| line.contains("not stored")).count();
    assert_eq!(told, 1, "once");
    allow_file_size(&hub.process, u64::MAX);
    hub.process.next_error_line_with(" is written again");
    stored(dir.path(), "LAST-OF-ALL");
    hub.process.kill();
    let hub = hub_in(dir.path());
    let found = all(&hub);
    assert_eq!((found.len(), &found["visitor large4"]), (7, &large));
}

/// Limits the size of the files that a process writes.
#[allow(unsafe_code)] // rlimit
fn allow_file_size(process: &Process, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit lives until the call returns, and no old one is asked for.
    let result = unsafe { libc::prlimit(process.id() as i32, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_damaged_store_is_set_aside_and_the_hub_begins_all_the_same() {
    let dir = TempDir::new();
    for n in 1..=3 {
        let _ = fs::remove_file(dir.path().join("states.db-wal"));
        fs::write(dir.path().join("states.db"), format!("This is no database, number {n}.").repeat(500)).unwrap();
        let mut hub = hub_in(dir.path());
        let line = hub.process.next_error_line_with(" is damaged (it is no database): ");
        assert!(line.contains(&format!("moved to states.db.damaged-{n}")), "{line}");
        let aside = fs::read_to_string(dir.path().join(format!("states.db.damaged-{n}"))).unwrap();
        assert!(aside.starts_with(&format!("This is no database, number {n}.")));
        sent(&app("visitor", &hub.url), "x", "new");
        let ended = hub.process.stop("TERM");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let hub = hub_in(dir.path());
        assert_eq!(all(&hub)["visitor x"], "new");
    }
}

#[test]
fn a_store_that_cannot_be_used_is_an_error_that_names_it() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("below");
    let _hub = hub_in(dir.path());
    for (directory, words) in [
        (dir.path(), "address in use: another hub uses the store in "),
        (&file, "File exists: the store in "),
        (&below, "Not a directory: the store in "),
    ] {
        let command = nanostate(["hub", "--listen", "tcp://127.0.0.1:0", "--store", directory.to_str().unwrap()]);
        let ended = run(command, b"");
        let text = ended.stderr.join("\n");
        assert!(ended.code != Some(0) && text.contains(words), "{ended:?}");
        assert!(text.contains(directory.to_str().unwrap()), "{text}");
    }
}

#[test]
fn a_hub_without_a_store_says_what_a_restart_forgets() {
    let mut hub = CliHub::start();
    hub.process.next_error_line_with("no store: when the hub is restarted, it has forgotten the states of senders ");
    let dir = TempDir::new();
    let hub = hub_in(dir.path());
    let ended = hub.process.stop("TERM");
    assert!(complaints(&ended).iter().all(|line| !line.contains("no store")), "{ended:?}");
}
