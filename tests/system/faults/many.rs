//! Many apps and names, and a hub that is killed again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nanostate::{App, Value};

use super::quick;
use crate::support::{until, Cli, Random, TempDir, Transport, PATIENCE};

const APPS: usize = 20;
const NAMES: usize = 100;

fn identity(app: usize) -> String {
    format!("app{app}")
}

/// Updates all names of an app again and again, until `ends`. The last value.
fn update(app: &App, ends: &AtomicBool) -> i64 {
    let mut number = 0;
    loop {
        number += 1;
        for name in 0..NAMES {
            app.send(&format!("n{name}"), Value::Int(number)).unwrap();
        }
        if ends.load(Ordering::SeqCst) {
            return number;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn every_app_has_the_newest_value_of_all_names_after_the_hub_was_killed_ten_times() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let (mut hub, _) = Cli::hub(&[&url]);
    let apps: Vec<App> = (0..APPS).map(|n| quick(&identity(n), &url)).collect();
    let ends = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = apps
        .iter()
        .map(|app| {
            let (app, ends) = (app.clone(), ends.clone());
            thread::spawn(move || update(&app, &ends))
        })
        .collect();
    let mut random = Random::new(3);
    for _ in 0..10 {
        hub.kill();
        thread::sleep(Duration::from_millis(random.below(300) as u64));
        hub = Cli::hub(&[&url]).0;
        // Also while some of them are not back yet.
        let back = random.below(APPS + 1);
        for app in &apps[..back] {
            app.wait_connected(Some(PATIENCE)).unwrap();
        }
        thread::sleep(Duration::from_millis(random.below(1500) as u64));
    }
    ends.store(true, Ordering::SeqCst);
    let last: Vec<i64> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    for receiver in &apps {
        for (sender, last) in last.iter().enumerate() {
            for name in (0..NAMES).map(|name| format!("n{name}")) {
                until(&format!("{} has {name} of app{sender}", receiver.identity()), || {
                    receiver.get(Some(&identity(sender)), &name).is_some_and(|state| state.int() == Ok(*last))
                });
            }
        }
    }
}

#[test]
fn a_publisher_beside_a_camera_that_subscribes_to_nothing_is_sent_no_byte_of_a_state() {
    let dir = TempDir::new();
    let (hub, url) = crate::support::hub(&dir.ipc());
    let sensor = App::new("sensor").unwrap();
    sensor.subscribe(None).unwrap();
    let camera = App::new("camera").unwrap();
    camera.connect(Some(&url)).unwrap();
    let frame = vec![7; 100_000];
    let picture = || camera.send("picture", Value::Bytes(&frame)).unwrap();
    picture();
    camera.flush(Some(PATIENCE)).unwrap();
    sensor.connect(Some(&url)).unwrap();
    sensor.wait_synced(Some(PATIENCE)).unwrap();
    let viewer = crate::support::app("viewer", &url);
    for n in 0..100 {
        picture();
        sensor.send("n", Value::Int(n)).unwrap();
    }
    camera.flush(Some(PATIENCE)).unwrap();
    sensor.flush(Some(PATIENCE)).unwrap();
    let is_there = |sender, name| viewer.get(Some(sender), name).is_some();
    until("the viewer has both", || is_there("camera", "picture") && is_there("sensor", "n"));
    let peers = hub.peers().unwrap();
    let sensor_peer = peers.iter().find(|peer| peer.identity == "sensor").unwrap();
    assert_eq!((sensor_peer.messages_out, sensor_peer.bytes_out, sensor_peer.withheld), (0, 0, 0));
    assert_eq!((sensor_peer.conflated, sensor_peer.messages_in), (0, 100));
    assert_eq!(sensor.stats().received, 0);
}
