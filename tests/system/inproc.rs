//! What programs whose hub is in the same process rely on, although the thread that sends may run the hub's turn.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::{Duration, Instant};

use nanostate::{App, Hub, PeerEvent, State, Value};

/// Generous: only a failure waits this long.
const SOON: Option<Duration> = Some(Duration::from_secs(60));

fn hub(name: &str) -> (Hub, String) {
    let (hub, url) = (Hub::new().unwrap(), format!("inproc://{name}-{}", std::process::id()));
    hub.listen(&url).unwrap();
    (hub, url)
}

fn app(identity: &str, url: &str) -> App {
    let app = App::new(identity).unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(SOON).unwrap();
    app
}

/// How often a thread of this process with this name has slept.
#[cfg(target_os = "linux")]
fn sleeps_of(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| Some(task.ok()?.path()));
    let of = |task: std::path::PathBuf| -> Option<usize> {
        let is_it = std::fs::read_to_string(task.join("comm")).ok()?.trim() == name;
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse().ok().filter(|_| is_it)
    };
    tasks.filter_map(of).sum()
}

/// Other tests of this process have hubs and apps of their own, so this runs alone, in a child.
#[test]
#[cfg(target_os = "linux")]
fn round_trips_leave_the_hubs_thread_and_the_apps_own_asleep() {
    const ALONE: &str = "NANOSTATE_TEST_INPROC_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "inproc::round_trips_leave_the_hubs_thread_and_the_apps_own_asleep"]).env(ALONE, "1");
        let ended = child.output().unwrap();
        return assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    }
    const TRIPS: i64 = 1_000;
    let (_hub, url) = hub("trips");
    let (ask, echo) = (app("ask", &url), app("echo", &url));
    let answers = thread::spawn(move || {
        while let Ok(state) = echo.recv(SOON) {
            if state.name() == "end" {
                return;
            }
            echo.send("answer", Value::Int(state.int().unwrap())).unwrap();
        }
    });
    // A machine that is busy makes a thread come back late, and then the loops read for a while.
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let names = ["nanostate-hub", "nanostate-app"];
        let before = names.map(sleeps_of);
        for trip in 0..TRIPS {
            ask.send("question", Value::Int(trip)).unwrap();
            assert_eq!(ask.recv(SOON).unwrap().int().unwrap(), trip);
        }
        let slept: Vec<_> = names.iter().zip(before).map(|(name, before)| sleeps_of(name) - before).collect();
        if slept.iter().all(|&slept| slept <= 50) {
            break;
        }
        assert!(Instant::now() < end, "{names:?} have slept {slept:?} times in {TRIPS} round trips");
    }
    ask.send("end", Value::Nil).unwrap();
    answers.join().unwrap();
}

#[test]
fn each_sender_is_received_in_order_and_the_newest_value_of_each_name_in_the_end() {
    const SENDERS: usize = 4;
    const VALUES: i64 = 3_000;
    let (_hub, url) = hub("order");
    let receiver = app("receiver", &url);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let app = app(&format!("sender-{sender}"), &url);
            thread::spawn(move || {
                for value in 1..=VALUES {
                    app.send("value", Value::Int(value)).unwrap();
                    // Some in bursts, and some one by one.
                    if value % 7 == 0 {
                        thread::sleep(Duration::from_micros(30));
                    }
                }
                app.flush(SOON).unwrap();
                app
            })
        })
        .collect();
    let mut newest = [0; SENDERS];
    while newest != [VALUES; SENDERS] {
        let state = receiver.recv(SOON).unwrap();
        let sender: usize = state.sender().strip_prefix("sender-").unwrap().parse().unwrap();
        let value = state.int().unwrap();
        assert!(value > newest[sender], "{value} after {}", newest[sender]);
        newest[sender] = value;
    }
    senders.into_iter().for_each(|sender| drop(sender.join().unwrap()));
}

#[test]
fn a_receiver_that_does_not_read_holds_up_no_sender_and_gets_the_newest_values() {
    let (_hub, url) = hub("slow");
    let (sender, receiver) = (app("sender", &url), app("receiver", &url));
    let text = "x".repeat(50_000);
    for round in 0..20 {
        for name in 0..100 {
            sender.send(&format!("name/{name}"), Value::Text(&format!("{round} {text}"))).unwrap();
        }
        sender.flush(SOON).unwrap();
    }
    let last =
        |name: &str| receiver.get(Some("sender"), name).is_some_and(|state| state.text().unwrap().starts_with("19 "));
    while !(0..100).all(|name| last(&format!("name/{name}"))) {
        receiver.recv(SOON).unwrap();
    }
}

#[test]
fn the_callback_for_peers_runs_on_the_hubs_own_thread_whoever_runs_its_turns() {
    let (hub, url) = hub("peers");
    let (tell, told) = mpsc::channel();
    let callback = move |identity: &str, _: &str, event, _, _: &str| {
        let _ = tell.send((identity.to_owned(), event, thread::current().name().map(str::to_owned)));
    };
    hub.on_peer(Some(Box::new(callback))).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let busy = {
        let (app, stop) = (app("busy", &url), stop.clone());
        thread::spawn(move || {
            let mut value = 0;
            while !stop.load(Ordering::Relaxed) {
                value += 1;
                app.send("value", Value::Int(value)).unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        })
    };
    for round in 0..50 {
        drop(app(&format!("visitor-{round}"), &url));
    }
    let mut left = 0;
    while left < 50 {
        let (identity, event, thread) = told.recv_timeout(SOON.unwrap()).unwrap();
        assert_eq!(thread.as_deref(), Some("nanostate-hub"), "{identity}");
        left += usize::from(event == PeerEvent::Left);
    }
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
}

#[test]
fn a_hub_may_be_freed_while_threads_send_to_it() {
    for round in 0..30 {
        let (hub, url) = hub(&format!("freed-{round}"));
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let (app, stop, sent) = (app(&format!("sender-{sender}"), &url), stop.clone(), sent.clone());
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        app.send("value", Value::Int(sent.fetch_add(1, Ordering::Relaxed) as i64)).unwrap();
                        thread::sleep(Duration::from_micros(20));
                    }
                })
            })
            .collect();
        while sent.load(Ordering::Relaxed) < 20 + round {
            thread::yield_now();
        }
        drop(hub);
        stop.store(true, Ordering::Relaxed);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }
}

#[test]
fn a_program_may_send_inside_the_callbacks_of_its_hub_and_of_its_apps() {
    let (hub, url) = hub("inside");
    let (first, second) = (app("first", &url), app("second", &url));
    let greeter = first.clone();
    hub.on_peer(Some(Box::new(move |identity, _, _, _, _| greeter.send("peer", Value::Text(identity)).unwrap())))
        .unwrap();
    let answerer = second.clone();
    let answers = move |state: &State| answerer.send("answer", Value::Text(state.text().unwrap())).unwrap();
    second.on_state(Some(Box::new(answers))).unwrap();
    let _third = app("third", &url);
    // It may also hear of the others.
    loop {
        second.dispatch(SOON, 1).unwrap();
        if first.recv(SOON).unwrap().text().unwrap() == "third" {
            return;
        }
    }
}
