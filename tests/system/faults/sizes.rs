//! Messages at the limits of size.

use nanostate::{limits, Hub, HubOption, Status, Value};

use super::{c_app, done, largest_text, text_len};
use crate::support::{
    app, hub, key, peer_program, receive, receive_until, send, until, Process, Raw, TempDir, Transport, TRANSPORTS,
};

#[test]
fn sixteen_mebibytes_cross_and_one_byte_more_fails_at_its_send() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let (sender, receiver) = (app("app", &url), app("receiver", &url));
        let size = largest_text(limits::MAX_MESSAGE);
        let text = "é".repeat(size / 2) + &"x".repeat(size % 2);
        send(&sender, "big", &text);
        assert!(receive(&receiver, "app", "big").text().unwrap() == text, "not the same text");

        let error = sender.send("big", Value::Text(&(text + "x"))).unwrap_err();
        assert_eq!(error.status(), Status::TooLarge, "{error}");
        for part in ["big", &limits::MAX_MESSAGE.to_string()] {
            assert!(error.to_string().contains(part), "{error}");
        }
        send(&sender, "after", "it");
        let got = receive_until(&receiver, "what came after", |state| state.name() == "after");
        assert_eq!(got.len(), 1);
        assert_eq!((hub.stats().too_large, hub.stats().peers), (0, 2));

        let mut c_app = c_app(&url, "appc");
        let mut from = 0;
        c_app.tell(&format!("fill big {size}"));
        let answer = c_app.line_from(&mut from, "an answer", |line| line.starts_with("error") || line == "done");
        assert!(answer.starts_with("error -16 "), "{answer}");
        c_app.tell(&format!("fill big {}", size - 1));
        done(&c_app, &mut from, 1);
        assert_eq!(text_len(&receive(&receiver, "appc", "big")), size - 1);
    }
}

#[test]
fn a_frame_of_one_byte_too_many_is_counted_and_skipped() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let receiver = app("receiver", &url);
        for (n, old) in [false, true].into_iter().enumerate() {
            let mut raw = if old { Raw::old(&url, "app") } else { Raw::v1(&url, "app") };
            let size = largest_text(limits::MAX_MESSAGE);
            raw.send("big", Value::Text(&"x".repeat(size)));
            assert_eq!(text_len(&receive(&receiver, "app", "big")), size);
            raw.send("big", Value::Text(&"y".repeat(size + 1)));
            raw.send("after", Value::Text("it"));
            let got = receive_until(&receiver, "what came after", |state| state.name() == "after");
            assert_eq!(got.len(), 1, "{:?}", got.iter().map(key).collect::<Vec<_>>());
            assert_eq!(hub.stats().too_large, n as u64 + 1);
            drop(raw);
            until("it left", || hub.stats().peers == 1);
        }
    }
}

#[test]
fn a_hubs_own_limit_fails_a_too_large_state_at_its_send() {
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    hub.set(HubOption::MaxMessage, 1000).unwrap();
    hub.listen(&dir.ipc()).unwrap();
    let url = hub.address(0).unwrap();
    let (sender, receiver) = (app("app", &url), app("receiver", &url));
    // The head of so short a text is two bytes shorter.
    let size = largest_text(1000) + 2;
    send(&sender, "big", &"x".repeat(size));
    assert_eq!(text_len(&receive(&receiver, "app", "big")), size);
    let error = sender.send("big", Value::Text(&"x".repeat(size + 1))).unwrap_err();
    assert_eq!(error.status(), Status::TooLarge, "{error}");
    assert!(error.to_string().contains("1000"), "{error}");
}

#[test]
fn a_mebibyte_reaches_a_stock_nanomsg_and_one_byte_more_is_withheld() {
    for transport in TRANSPORTS {
        let dir = TempDir::new();
        let (hub, url) = hub(&transport.any(&dir));
        let (sender, witness) = (app("app", &url), app("witness", &url));
        let old = Process::run(&peer_program("nn_bus", "-lnanomsg"), [&url[..], "old"]);
        until("it joins", || hub.stats().old_peers == 1);
        let size = largest_text(limits::LEGACY_MAX);
        send(&sender, "big", &"x".repeat(size));
        let whole = format!("\tapp\tbig\ttext\t{}", "x".repeat(size));
        old.line("the whole mebibyte", |line| line.ends_with(&whole));
        send(&sender, "big", &"y".repeat(size + 1));
        send(&sender, "after", "it");
        old.line("what came after", |line| line.ends_with("\tapp\tafter\ttext\tit"));
        assert_eq!(old.printed(), 2);
        let stats = hub.stats();
        assert_eq!((stats.withheld, stats.old_peers, stats.joined), (1, 1, 3), "it was never closed");
        // Our own got both.
        let got = receive_until(&witness, "what came after", |state| state.name() == "after");
        assert_eq!(text_len(&got[got.len() - 2]), size + 1);
    }
}

#[test]
fn an_old_hub_is_sent_a_mebibyte_and_one_byte_more_fails_at_its_send() {
    let dir = TempDir::new();
    let url = Transport::Tcp.free(&dir);
    let plain_hub = Process::run(&peer_program("nn_hub", "-lnanomsg"), [&url]);
    plain_hub.line("that it listens", |line| line == "listening");
    let sender = app("app", &url);
    let size = largest_text(limits::LEGACY_MAX);
    send(&sender, "big", &"x".repeat(size));
    let whole = format!("\tapp\tbig\ttext\t{}", "x".repeat(size));
    plain_hub.line("the whole mebibyte", |line| line.ends_with(&whole));
    let error = sender.send("big", Value::Text(&"y".repeat(size + 1))).unwrap_err();
    assert_eq!(error.status(), Status::TooLarge, "{error}");
    send(&sender, "after", "it");
    plain_hub.line("what came after", |line| line.ends_with("\tapp\tafter\ttext\tit"));
}
