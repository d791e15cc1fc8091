//! TLS from outside: hubs and apps over real sockets, certificates that do not fit, strangers at the address, and what a
//! connection costs.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use nanostate::framing::http::client::Request;
use nanostate::framing::http::PROTOCOL;
use nanostate::framing::ws::{self, Masks};
use nanostate::framing::{self, Version};
use nanostate::transport::socket::Stream;
use nanostate::transport::tls::{Connector, TlsStream};
use nanostate::transport::Host;
use nanostate::wire::{Control, Features, HelloFlags, Instance, ACCEPT_ANY};
use nanostate::{App, AppText, Hub, HubText, Status, Value};

use crate::support::certificates::{Certificates, Files, EXPIRED, VALID};
use crate::support::{
    allow_descriptors, eventually, nanostate, next, receive, receive_until, run, send, until, CliHub, Process, Random,
    TempDir, Transport, PATIENCE,
};

const ANY: &str = "tls+tcp://127.0.0.1:0";
/// The name of what a hub says to who is let in.
const WELCOME: &[u8] = b"$ns/welcome";

fn hub(files: &Files) -> (Hub, String) {
    let hub = Hub::new().unwrap();
    hub.set_text(HubText::TlsCert, Some(&files.chain)).unwrap();
    hub.set_text(HubText::TlsKey, Some(&files.key)).unwrap();
    hub.listen(ANY).unwrap();
    let url = hub.address(0).unwrap();
    assert!(url.starts_with("tls+tcp://127.0.0.1:"), "{url}");
    (hub, url)
}

fn connecting(identity: &str, url: &str, ca: &str) -> App {
    let app = App::new(identity).unwrap();
    app.set_text(AppText::TlsCa, Some(ca)).unwrap();
    app.connect(Some(url)).unwrap();
    app
}

fn app(identity: &str, url: &str, ca: &str) -> App {
    let app = connecting(identity, url, ca);
    app.wait_connected(Some(PATIENCE)).unwrap();
    app
}

/// A hub as a process.
fn process(files: &Files, arguments: &[&str]) -> CliHub {
    CliHub::start_with([&["--tls-cert", &files.chain, "--tls-key", &files.key], arguments].concat())
}

/// The port of a URL.
fn address(url: &str) -> SocketAddr {
    let authority = url.rsplit_once("//").unwrap().1;
    authority.split('/').next().unwrap().parse().unwrap()
}

/// Waits until the reason for which an app has no link has these words.
fn why_not(app: &App, words: &str) {
    eventually(words, || {
        let error = app.wait_connected(Some(Duration::from_millis(20))).unwrap_err();
        error.to_string().contains(words).then_some(())
    });
}

#[test]
fn states_of_every_size_reach_everybody_in_order() {
    let certificates = Certificates::new();
    let (_hub, url) = hub(&certificates.local("hub"));
    let ca = certificates.authority();
    let (from, to) = (app("from", &url, &ca), app("to", &url, &ca));
    let mut random = Random::new(7);
    for len in [0, 1, 100, 16_384, 16_385, 100_000, 5 << 20] {
        let bytes = random.bytes(len);
        from.send("bytes", Value::Bytes(&bytes)).unwrap();
        assert!(next(&to).bytes().unwrap() == bytes, "{len}");
    }
    from.flush(Some(PATIENCE)).unwrap();
    for n in 0..20_000 {
        from.send(&format!("burst/{}", n % 50), Value::Int(n)).unwrap();
    }
    let mut newest = [-1; 50];
    receive_until(&to, "the newest of each", |state| {
        let (at, n) = (state.name()["burst/".len()..].parse::<usize>().unwrap(), state.int().unwrap());
        assert!(n > newest[at]);
        newest[at] = n;
        newest.iter().all(|n| *n >= 19_950)
    });
    // Both directions at once.
    to.send("answer", Value::Bool(true)).unwrap();
    assert!(receive(&from, "to", "answer").bool().unwrap());
}

#[test]
fn apps_with_and_without_tls_and_old_ones_meet_on_one_hub() {
    let certificates = Certificates::new();
    let (hub, url) = hub(&certificates.local("hub"));
    hub.listen("tcp://127.0.0.1:0").unwrap();
    let plain = crate::support::app("plain", &hub.address(1).unwrap());
    let secure = app("secure", &url, &certificates.authority());
    send(&plain, "a", "1");
    assert_eq!(receive(&secure, "plain", "a").text().unwrap(), "1");
    send(&secure, "b", "2");
    assert_eq!(receive(&plain, "secure", "b").text().unwrap(), "2");
    let from: Vec<_> = hub.peers().unwrap().into_iter().map(|peer| peer.from).collect();
    assert!(from.iter().any(|from| from.starts_with("tls+tcp://127.0.0.1:")), "{from:?}");
    assert!(from.iter().any(|from| from.starts_with("tcp://127.0.0.1:")), "{from:?}");
}

#[test]
fn websockets_over_tls_carry_the_same() {
    let certificates = Certificates::new();
    let (hub, _) = hub(&certificates.local("hub"));
    hub.listen("wss://127.0.0.1:0/ws").unwrap();
    let url = hub.address(1).unwrap();
    assert!(url.starts_with("wss://127.0.0.1:") && url.ends_with("/ws"), "{url}");
    let ca = certificates.authority();
    let (from, to) = (app("from", &url, &ca), app("to", &url, &ca));
    let bytes = Random::new(3).bytes(1 << 20);
    from.send("bytes", Value::Bytes(&bytes)).unwrap();
    assert!(next(&to).bytes().unwrap() == bytes);
    why_not(&connecting("stranger", &url, &Certificates::new().authority()), "not issued by one of those in ");
}

#[test]
fn a_hub_that_was_killed_and_comes_back_has_everything_again() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let url = format!("tls+{}", Transport::Tcp.free(&TempDir::new()));
    let ca = certificates.authority();
    let mut running = process(&files, &["--listen", &url]);
    let (from, to) = (app("from", &url, &ca), app("to", &url, &ca));
    for round in 0..3 {
        send(&from, "round", &round.to_string());
        receive_until(&to, "the round", |state| state.text() == Ok(&*round.to_string()));
        running.process.kill();
        send(&from, "meanwhile", &round.to_string());
        running = process(&files, &["--listen", &url]);
        receive_until(&to, "what was sent meanwhile", |state| {
            state.name() == "meanwhile" && state.text() == Ok(&*round.to_string())
        });
    }
    let late = app("late", &url, &ca);
    receive_until(&late, "the newest", |state| state.name() == "round" && state.text() == Ok("2"));
}

#[test]
fn a_reader_that_is_stopped_holds_nobody_up_and_gets_the_newest() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let ca = certificates.authority();
    let mut hub = process(&files, &["--listen", ANY]);
    let mut stopped = hub.watch(&["big", "--json", "--ca", &ca]);
    let (from, to) = (app("from", &hub.url, &ca), app("to", &hub.url, &ca));
    stopped.signal("STOP");
    let block = vec![b'x'; 1 << 20];
    for n in 0..64_u8 {
        let block = [&block[..], &[b'0' + n]].concat();
        from.send("big", Value::Bytes(&block)).unwrap();
        receive_until(&to, "each of them", |state| state.bytes().is_ok_and(|bytes| bytes == block));
    }
    stopped.signal("CONT");
    // In base64: the last bytes are "xxo".
    let last = [b"x".repeat(2), vec![b'0' + 63]].concat();
    let last = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [b"xx".repeat((1 << 19) - 1), last].concat());
    stopped.next_line_with(&last[last.len() - 12..]);
}

#[test]
fn a_certificate_that_does_not_fit_is_the_reason_for_which_there_is_no_link() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    let ca = certificates.authority();
    let (_hub, url) = hub(&certificates.issue("named", &["hub.example"], VALID));
    why_not(&connecting("a", &url, &ca), "the certificate is not for the name 127.0.0.1: it has hub.example");
    why_not(&connecting("b", &url, &other.authority()), "the certificate is not issued by one of those in ");
    let pinned = App::new("c").unwrap();
    pinned.set_text(AppText::TlsPin, Some(&"ab".repeat(32))).unwrap();
    pinned.connect(Some(&url)).unwrap();
    why_not(&pinned, "the public key of the hub is not the pinned one: its pin is ");
    assert_eq!(pinned.set_text(AppText::TlsPin, None).unwrap_err().status(), Status::State);

    let unsure = App::new("d").unwrap();
    let error = unsure.connect(Some(&url)).unwrap_err();
    assert_eq!(error.status(), Status::Tls);
    assert!(error.to_string().starts_with("neither NS_OPT_TLS_CA ($NANOSTATE_TLS_CA) nor NS_OPT_TLS_PIN ("), "{error}");
    unsure.set_text(AppText::TlsCa, Some("/missing")).unwrap();
    assert_eq!(unsure.connect(Some(&url)).unwrap_err().to_string(), "not found: /missing");
    unsure.set_text(AppText::TlsCa, Some(&ca)).unwrap();
    unsure.set_text(AppText::TlsPin, Some("x")).unwrap();
    assert_eq!(unsure.connect(Some(&url)).unwrap_err().status(), Status::Invalid);
}

#[test]
fn who_speaks_tls_at_an_address_without_or_the_other_way_round_is_told_so() {
    let certificates = Certificates::new();
    let (hub, url) = hub(&certificates.local("hub"));
    hub.listen("tcp://127.0.0.1:0").unwrap();
    let plain = hub.address(1).unwrap();
    let secure = connecting("secure", &format!("tls+{plain}"), &certificates.authority());
    why_not(&secure, "the connection was closed in the TLS handshake (does the hub speak TLS there?)");
    let insecure = App::new("insecure").unwrap();
    insecure.connect(Some(url.strip_prefix("tls+").unwrap())).unwrap();
    why_not(&insecure, "the other side speaks TLS, and this one does not at this address");
    assert!(hub.stats().refused_peers >= 2);
}

#[test]
fn a_hub_without_a_certificate_or_with_a_bad_one_does_not_listen() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let hub = Hub::new().unwrap();
    for url in [ANY, "pub+tls+tcp://127.0.0.1:0"] {
        let error = hub.listen(url).unwrap_err();
        assert_eq!(error.status(), Status::Invalid);
        assert_eq!(error.to_string(), format!("NS_OPT_HUB_TLS_CERT is to be set for {url}"));
    }
    assert_eq!(hub.reload().unwrap_err().status(), Status::State);
    hub.set_text(HubText::TlsCert, Some(&certificates.issue("old", &["a"], EXPIRED).chain)).unwrap();
    let error = hub.listen(ANY).unwrap_err();
    assert!(error.status() == Status::Tls && error.to_string().contains("expired"), "{error}");
    // One file may have both.
    let both = [&files.chain, &files.key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    hub.set_text(HubText::TlsCert, Some(&certificates.write("both", &both))).unwrap();
    hub.listen(ANY).unwrap();
}

#[test]
fn a_certificate_is_replaced_under_traffic_and_nobody_loses_the_connection() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let (old, new) = (files.pin.clone(), certificates.local("new"));
    let hub = process(&files, &["--listen", ANY]);
    let ca = certificates.authority();
    let (from, to) = (app("from", &hub.url, &ca), app("to", &hub.url, &ca));
    let exchange = |n: i64| {
        from.send("n", Value::Int(n)).unwrap();
        receive_until(&to, "the number", |state| state.int() == Ok(n));
    };
    let pinned = |identity: &str, pin: &str| {
        let app = App::new(identity).unwrap();
        app.set_text(AppText::TlsPin, Some(pin)).unwrap();
        app.connect(Some(&hub.url)).unwrap();
        app
    };
    exchange(0);
    pinned("before", &old).wait_connected(Some(PATIENCE)).unwrap();
    for (n, content, line) in [
        (1, "junk", "SIGHUP: certificate and tokens are still the old ones: no certificate in the form of PEM: "),
        (
            2,
            &std::fs::read_to_string(&new.chain).unwrap(),
            "SIGHUP: certificate and tokens are still the old ones: the key does not fit",
        ),
    ] {
        std::fs::write(&files.chain, content).unwrap();
        hub.process.signal("HUP");
        hub.process.error_line(line, |text| text.contains(line));
        exchange(n);
    }
    pinned("still", &old).wait_connected(Some(PATIENCE)).unwrap();
    std::fs::copy(&new.key, &files.key).unwrap();
    hub.process.signal("HUP");
    hub.process.error_line("read again", |text| text.ends_with("SIGHUP: certificate and tokens were read again"));
    exchange(3);
    pinned("after", &new.pin).wait_connected(Some(PATIENCE)).unwrap();
    why_not(&pinned("too-late", &old), "is not the pinned one");
    assert_eq!([from.stats().connects, to.stats().connects], [1, 1]);
}

#[test]
fn the_command_says_what_is_wrong_with_a_certificate() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let hub = process(&files, &["--listen", ANY]);
    let said = |arguments: &[&str]| {
        let mut command = nanostate(["send", "a", "b", "--timeout", "50", "--connect", &hub.url]);
        command.args(arguments).env_remove("NANOSTATE_TLS_CA").env_remove("NANOSTATE_TLS_PIN");
        let ended = run(command, b"");
        (ended.code, ended.stderr.join("\n"))
    };
    assert_eq!(said(&["--ca", &certificates.authority()]), (Some(0), String::new()));
    assert_eq!(said(&["--pin", &files.pin]), (Some(0), String::new()));
    let (code, text) = said(&[]);
    assert!(code == Some(1) && text.contains("neither --ca ($NANOSTATE_TLS_CA) nor --pin ("), "{text}");
    let (code, text) = said(&["--timeout", "1", "--pin", &"00".repeat(32)]);
    assert!(code == Some(2) || text.contains("is not the pinned one"), "{code:?} {text}");

    let mut command = nanostate(["send", "a", "b", "--timeout", "50", "--connect", &hub.url]);
    command.env("NANOSTATE_TLS_CA", certificates.authority());
    assert_eq!(run(command, b"").code, Some(0));

    let ended = run(nanostate(["hub", "--listen", ANY]), b"");
    assert!(ended.code == Some(2) && ended.stderr[0].contains("--tls-cert is to be set for tls+tcp://"), "{ended:?}");
    let ended = run(nanostate(["hub", "--listen", ANY, "--tls-cert", "/missing"]), b"");
    assert!(ended.code == Some(1) && ended.stderr[0].ends_with("not found: /missing"), "{ended:?}");
}

// ---- strangers

#[test]
fn strangers_at_the_address_are_closed_and_others_do_not_notice() {
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let ca = certificates.authority();
    let hub = process(&files, &["--listen", ANY, "--handshake", "300ms"]);
    let (from, to) = (app("from", &hub.url, &ca), app("to", &hub.url, &ca));
    let hello = hello(&ca);
    let mut random = Random::new(11);
    let mut silent = Vec::new();
    for n in 0..300 {
        let mut stranger = TcpStream::connect(address(&hub.url)).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = match n % 6 {
            // Nothing, and the beginning of a handshake: closed when its time is over.
            0 => Vec::new(),
            1 => hello[..1 + random.below(hello.len() - 1)].to_vec(),
            // A record that claims to be the longest.
            2 => [0x16, 3, 1, 0x3f, 0xff, 1].to_vec(),
            3 => {
                let mut bytes = hello.clone();
                let at = random.below(bytes.len());
                bytes[at] ^= 0x55;
                bytes
            }
            4 => b"\0SP\0\0\x70\x4e\x01".to_vec(),
            _ => {
                let len = 1 + random.below(5000);
                random.bytes(len)
            }
        };
        let _ = stranger.write_all(&bytes);
        if n % 6 == 5 {
            let _ = stranger.shutdown(Shutdown::Write);
        }
        silent.push(stranger);
        if n % 50 == 0 {
            from.send("n", Value::Int(n)).unwrap();
            receive_until(&to, "the number", |state| state.int() == Ok(n));
        }
    }
    for mut stranger in silent {
        // What it was told, if anything: an alert, and the end.
        let mut told = Vec::new();
        let end = stranger.read_to_end(&mut told);
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
    from.send("n", Value::Int(-1)).unwrap();
    receive_until(&to, "the last number", |state| state.int() == Ok(-1));
    assert_eq!([from.stats().connects, to.stats().connects], [1, 1]);
    hub.process.error_line("a reason", |line| line.contains(" refused: it does not speak TLS: "));
}

fn connector(ca: &str) -> Connector {
    Connector::new(Some(ca), None).unwrap()
}

fn dial(connector: &Connector, url: &str) -> TlsStream {
    let (stream, _) = Stream::connect(&address(url).into()).unwrap();
    until("the connection", || stream.connected().is_ok());
    connector.connect(stream, &Host::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

/// What an app says first.
fn hello(ca: &str) -> Vec<u8> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _app = dial(&connector(ca), &format!("tcp://{}", listener.local_addr().unwrap()));
    let mut hello = vec![0; 4096];
    let n = listener.accept().unwrap().0.read(&mut hello).unwrap();
    hello.truncate(n);
    hello
}

// ---- others

#[test]
fn openssl_is_a_subscriber_behind_a_gateway_with_tls() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let ca = certificates.authority();
    let hub = process(&files, &["--listen", ANY, "--listen", "pub+tls+tcp://127.0.0.1:0"]);
    let gateway = hub.process.line("the gateway", |line| line.contains("pub+"));
    let from = app("from", &hub.url, &ca);
    let mut command = Command::new("openssl");
    let at = address(&gateway).to_string();
    command.args(["s_client", "-quiet", "-verify_return_error", "-CAfile", &ca, "-connect", &at]);
    let mut subscriber = Process::spawn(command);
    subscriber.write(b"\0SP\0\0\x21\0\0");
    // The header of the hub, a length, the name with a NUL behind it, and the body.
    until("the subscriber", || {
        send(&from, "greeting", "hello\n");
        subscriber.lines().iter().any(|line| line.contains("greeting") && line.ends_with("hello"))
    });
}

// ---- memory

/// A connection that has said hello and was welcomed, and is idle.
fn idle(connector: &Connector, url: &str, n: usize) -> TlsStream {
    let mut stream = dial(connector, url);
    let identity = format!("idle-{n}");
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&n.to_be_bytes());
    let hello = Control::Hello {
        instance: Instance(instance),
        epoch: 1,
        accept: ACCEPT_ANY,
        flags: HelloFlags::default(),
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    };
    let mut body = Vec::new();
    hello.encode(&identity, &mut body);
    let all = if url.starts_with("wss://") {
        let mut all = Vec::new();
        Request::write("127.0.0.1", "/ws", PROTOCOL, instance, &mut all);
        ws::message(&[&body], &mut Masks::new(instance), &mut all);
        all
    } else {
        let head = framing::frame_head(framing::Framing::Tcp, body.len());
        [&framing::header(Version::V1)[..], &head, &body].concat()
    };
    let (mut written, mut came, mut buffer) = (0, Vec::new(), [0; 4096]);
    until("a welcome", || {
        if written < all.len() {
            written += stream.write(&[IoSlice::new(&all[written..])]).unwrap_or(0);
        }
        let n = stream.read(&mut buffer).unwrap_or(0);
        came.extend_from_slice(&buffer[..n]);
        came.windows(WELCOME.len()).any(|part| part == WELCOME)
    });
    stream
}

/// What one of 1,000 idle connections takes of a hub's memory that listens at `url`.
#[cfg(target_os = "linux")]
fn memory_of_an_idle_connection(url: &str) -> usize {
    const CONNECTIONS: usize = 1000;
    allow_descriptors(4 * CONNECTIONS).unwrap();
    let certificates = Certificates::new();
    let files = certificates.local("hub");
    let ca = certificates.authority();
    let limits = ["--http-rate", "0", "--max-websockets", "2000"];
    let hub = process(&files, &[&["--listen", url, "--log", "warn"], &limits[..]].concat());
    let connector = connector(&ca);
    let mut connections: Vec<_> = (0..100).map(|n| idle(&connector, &hub.url, n)).collect();
    let before = hub.process.private_bytes();
    connections.extend((100..100 + CONNECTIONS).map(|n| idle(&connector, &hub.url, n)));
    let each = hub.process.private_bytes().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each connection to {url}");
    each
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_connection_takes_no_more_than_16_kib() {
    for url in [ANY, "wss://127.0.0.1:0/ws"] {
        let each = memory_of_an_idle_connection(url);
        assert!(each <= 16 << 10, "{each} bytes at {url}");
    }
}
