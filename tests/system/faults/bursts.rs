//! Many apps, and many messages at once.

use nanostate::Kind;

use crate::support::{self, app, c_program, hub, send, until, Cli, Process, TempDir, Transport};

#[test]
fn five_hundred_apps_on_one_hub_all_hear_each_other() {
    const APPS: usize = 500;
    let dir = TempDir::new();
    let (hub, url) = hub(&dir.ipc());
    let mut many = Process::run(&c_program("many"), [&url[..], &APPS.to_string()]);
    many.line("that all heard all", |line| line == "all here");
    assert_eq!(hub.stats().peers, APPS as u64);
    let go = app("go", &url);
    let heard: usize = (0..APPS).map(|_| usize::from(support::next(&go).kind() == Kind::Int)).sum();
    assert_eq!(heard, APPS);
    send(&go, "go", "");
    many.line("that all went", |line| line == "all went");
    assert!(many.ended().success(), "{}", many.words());
    until("all left", || hub.stats().peers == 1);
}

const BURST: &str = "200000";

/// A burst from one C program through a hub to another, each a process of its own.
fn burst(transport: Transport, names: &str) {
    let dir = TempDir::new();
    let (_hub, urls) = Cli::hub(&[&transport.any(&dir)]);
    let program = c_program("burst");
    let mut receiver = Process::run(&program, [names, "recv", &urls[0], BURST]);
    receiver.line("that it is ready", |line| line == "ready");
    let mut sender = Process::run(&program, [names, "send", &urls[0], BURST]);
    let whole = receiver.line("that all came", |line| line.starts_with("whole"));
    if names != "one" {
        assert_eq!(whole, format!("whole {BURST}"));
    }
    sender.line("that the hub has it", |line| line == "sent");
    assert!(sender.ended().success(), "{}", sender.words());
    assert!(receiver.ended().success(), "{}", receiver.words());
}

#[test]
fn a_burst_of_two_hundred_thousand_names_arrives_whole_over_tcp() {
    burst(Transport::Tcp, "distinct");
}

#[test]
fn a_burst_of_two_hundred_thousand_names_arrives_whole_over_ipc() {
    burst(Transport::Ipc, "distinct");
}

#[test]
fn a_burst_arrives_whole_at_a_program_that_pauses_in_it() {
    burst(Transport::Tcp, "paused");
    burst(Transport::Ipc, "paused");
}

#[test]
fn the_last_of_a_burst_under_one_name_arrives_over_tcp() {
    for _ in 0..5 {
        burst(Transport::Tcp, "one");
    }
}

#[test]
fn the_last_of_a_burst_under_one_name_arrives_over_ipc() {
    for _ in 0..5 {
        burst(Transport::Ipc, "one");
    }
}
