//! Addresses that are taken or wrong.

use std::fs;

use nanostate::{App, Hub, Status};

use crate::support::{app, hub, receive, send, Cli, TempDir, PATIENCE, TRANSPORTS};

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        // A port that no other program gets while it is free.
        let (first, url) = hub(&transport.free(&dir));
        let second = Hub::new().unwrap();
        let error = second.listen(&url).unwrap_err();
        assert_eq!(error.status(), Status::InUse, "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        assert_eq!(second.address(0), None);
        let mut cli = Cli::run(&["hub", "--listen", &url]);
        assert_eq!(cli.ended().code(), Some(1));
        cli.error_line("which address", |line| line.contains(&url));
        // The one that was there first goes on, and so does the other elsewhere.
        let (a, b) = (app("a", &url), app("b", &url));
        send(&a, "still", "works");
        receive(&b, "a", "still");
        drop(first);
        second.listen(&url).unwrap();
        assert_eq!(second.address(0).as_deref(), Some(&url[..]));
    }
}

#[test]
fn what_is_no_socket_is_not_replaced_by_one() {
    let dir = TempDir::new();
    let path = dir.path().join("precious");
    fs::write(&path, "data").unwrap();
    let hub = Hub::new().unwrap();
    let url = format!("ipc://{}", path.display());
    let error = hub.listen(&url).unwrap_err();
    assert!(error.to_string().contains(&url), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");

    let url = format!("ipc://{}/no/such/directory.sock", dir.path().display());
    let error = hub.listen(&url).unwrap_err();
    assert_eq!(error.status(), Status::NotFound, "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn a_bad_url_is_an_error_that_names_it_for_hubs_and_apps() {
    let long = format!("ipc:///{}", "x".repeat(200));
    let bad = [
        "",
        "tcp",
        "tcp:",
        "tcp://",
        "tcp://:",
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://localhost:http",
        "tcp://localhost:65536",
        "tcp://localhost:-1",
        "tcp://localhost:+80",
        "tcp://localhost:80/path",
        "tcp://[::1",
        "tcp://[::1]",
        "tcp://::1:80",
        "tcp:/localhost:80",
        "localhost:80",
        "//localhost:80",
        "ipc://",
        "ipc:",
        "inproc://",
        "nonsense://localhost:80",
        &long,
    ];
    let (hub, app) = (Hub::new().unwrap(), App::new("app").unwrap());
    for url in bad {
        for (what, result) in [("listen", hub.listen(url)), ("connect", app.connect(Some(url)))] {
            let error = result.err().unwrap_or_else(|| panic!("{what} takes {url:?}"));
            let expected = [Status::Url, Status::Unsupported];
            assert!(expected.contains(&error.status()), "{what} {url:?}: {error}");
            assert!(error.to_string().contains(url), "{what} {url:?}: {error}");
        }
    }
    assert_eq!(hub.address(0), None);
    for arguments in [["hub", "--listen", "tcp://localhost"], ["watch", "--connect", "nonsense://x"]] {
        let mut cli = Cli::run(&arguments);
        assert!(!cli.ended().success());
        cli.error_line("the URL", |line| line.contains(arguments[2]));
    }
    // None of it harmed any other peer.
    let dir = TempDir::new();
    hub.listen(&dir.ipc()).unwrap();
    app.connect(Some(&hub.address(0).unwrap())).unwrap();
    app.wait_connected(Some(PATIENCE)).unwrap();
}
