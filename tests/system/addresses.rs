//! What a hub prints as its address can be dialled, and an app finds its way back to it from wherever it has gone.

use std::fs;
use std::time::Duration;

use crate::support::{self, TempDir};
use nanostate::{App, Hub, Status, Value};

/// Longer than anything here takes.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// Connects to what the hub prints, and sends.
fn reaches(url: &str) {
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap_or_else(|error| panic!("{error}"));
    let printed = hub.address(0).unwrap();
    let app = App::new("dials").unwrap();
    app.connect(Some(&printed)).unwrap_or_else(|error| panic!("{printed}: {error}"));
    app.wait_connected(LONG).unwrap_or_else(|error| panic!("{printed}: {error}"));
    app.send("name", Value::Nil).unwrap();
    app.flush(LONG).unwrap();
}

#[test]
fn an_address_with_a_comma_can_be_dialled() {
    let dir = TempDir::new();
    reaches(&format!("ipc://{}/a,b.sock", dir.path().display()));
    reaches("inproc://a, b");
}

#[test]
fn a_list_may_have_an_address_with_a_comma() {
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    hub.listen(&format!("ipc://{}/a,b.sock", dir.path().display())).unwrap();
    let app = App::new("dials").unwrap();
    let nobody = format!("ipc://{}/nobody", dir.path().display());
    app.connect(Some(&format!("{nobody}, {},{nobody}", hub.address(0).unwrap()))).unwrap();
    app.wait_connected(LONG).unwrap();
}

#[test]
fn an_address_that_a_list_would_tear_apart_is_refused() {
    let hub = Hub::new().unwrap();
    for url in ["inproc://a,tcp://b", "ipc:///tmp/a, ipc://b"] {
        let error = hub.listen(url).unwrap_err();
        assert_eq!(error.status(), Status::Url, "{error}");
        assert!(error.to_string().contains(url), "{error}");
    }
    assert_eq!(hub.address(0), None);
}

/// Link-local addresses of this machine and the names of their interfaces.
fn link_local() -> Vec<(String, String)> {
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() == 6 && row[0].starts_with("fe80"))
        .map(|row| {
            let groups: Vec<&str> = (0..8).map(|n| &row[0][4 * n..4 * n + 4]).collect();
            (groups.join(":"), row[5].to_owned())
        })
        .collect()
}

/// A hub prints the interface of such an address as a number.
#[test]
fn an_address_of_an_interface_can_be_dialled() {
    for (ip, interface) in link_local().into_iter().take(1) {
        reaches(&format!("tcp://[{ip}%{interface}]:0"));
    }
    // Whatever this machine has, both forms are addresses.
    for url in ["tcp://[fe80::1%3]:15000", "tcp://[fe80::1%eth0]:15000"] {
        let app = App::new("dials").unwrap();
        app.connect(Some(url)).unwrap();
    }
}

/// The working directory is the process's: the one test that changes it is a process of its own.
#[test]
fn a_relative_address_is_found_again_from_another_directory() {
    const CHILD: &str = "NANOSTATE_TEST_RELATIVE";
    if std::env::var_os(CHILD).is_none() {
        let dir = TempDir::new();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "addresses::a_relative_address_is_found_again_from_another_directory"]);
        let ended = support::run(
            {
                command.env(CHILD, "1").current_dir(dir.path());
                command
            },
            b"",
        );
        assert!(ended.code == Some(0), "{ended:?}");
        assert!(ended.stdout.iter().any(|line| line.contains(" 1 passed;")), "{ended:?}");
        return;
    }
    fs::create_dir("run").unwrap();
    let url = "ipc://run/hub";
    let hub = Hub::new().unwrap();
    hub.listen(url).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(hub.address(0), Some(format!("ipc://{}/run/hub", here.display())), "so that others find it, too");
    let app = App::new("moves").unwrap();
    app.connect(Some(url)).unwrap();
    app.wait_connected(LONG).unwrap();
    std::env::set_current_dir("/").unwrap();
    drop(hub);
    let hub = Hub::new().unwrap();
    hub.listen(&format!("ipc://{}/run/hub", here.display())).unwrap();
    app.send("name", Value::Nil).unwrap();
    app.flush(LONG).unwrap();
}
