//! What pages and plain clients may do at a hub's WebSockets, by hand-made requests; tests/browser of js has real ones.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use nanostate::framing::ws::{self, Masks};
use nanostate::framing::{Decoder, Frame, Framing};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta};
use nanostate::{limits, App, Hub, HubOption, Kind, LinkState, Status, Value};

use crate::support::{self, app, receive, run, send, until, CliHub, TempDir, PATIENCE};

/// A client of a WebSocket.
struct Client {
    stream: TcpStream,
    masks: Masks,
    decoder: Decoder,
    came: Vec<u8>,
}

/// The head of the answer to a request at this address, and the stream behind it.
fn ask(url: &str, fields: &str) -> (String, TcpStream, Vec<u8>) {
    let (authority, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut came, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = came.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = came.split_off(end + 4);
            return (String::from_utf8(came).unwrap(), stream, rest);
        }
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "an answer");
        came.extend_from_slice(&buffer[..n]);
    }
}

impl Client {
    /// A client that asks with these fields, and is granted a WebSocket.
    fn open(url: &str, fields: &str) -> Client {
        let (head, stream, came) = ask(url, fields);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let decoder = Decoder::new(Framing::WsClient, 4 << 20);
        Client { stream, masks: Masks::new([7; 16]), decoder, came }
    }

    /// An app of this origin, welcomed.
    fn app(url: &str, identity: &str, origin: &str) -> Client {
        let mut client = Client::open(url, &format!("Origin: {origin}\r\nSec-WebSocket-Protocol: nanostate.v1\r\n"));
        let instance = Instance([identity.len() as u8; 16]);
        let hello = Control::Hello {
            instance,
            epoch: 1,
            accept: u32::MAX,
            flags: HelloFlags(0),
            time: None,
            secret: None,
            token: None,
            features: Features::NONE,
        };
        client.control(identity, &hello);
        let welcome = client.body();
        assert_eq!(wire::decode(&welcome, Form::V1).unwrap().name(), "$ns/welcome");
        client
    }

    fn send(&mut self, message: &[u8]) {
        let mut out = Vec::new();
        ws::message(&[message], &mut self.masks, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    fn control(&mut self, identity: &str, control: &Control<'_>) {
        let mut body = Vec::new();
        control.encode(identity, &mut body);
        self.send(&body);
    }

    /// The next message.
    fn body(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        loop {
            let mut input = &self.came[..];
            let body = match self.decoder.next(&mut input).unwrap() {
                Some(Frame::Body(body)) => Some(body.to_vec()),
                Some(Frame::Large(body)) => Some(body.to_vec()),
                Some(other) => panic!("{other:?}"),
                None => None,
            };
            self.came = input.to_vec();
            if let Some(body) = body {
                return body;
            }
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "a message");
            self.came.extend_from_slice(&buffer[..n]);
        }
    }
}

fn state(form: Form, sender: &str, name: &str, text: &str) -> Vec<u8> {
    let (mut data, mut body) = (Vec::new(), Vec::new());
    Value::Text(text).encode(&mut data);
    wire::encode(&mut body, form, sender, name, &data, &Meta::default());
    body
}

fn hub(options: &[(HubOption, i64)]) -> (Hub, String, String) {
    let hub = Hub::new().unwrap();
    options.iter().for_each(|(option, value)| hub.set(*option, *value).unwrap());
    hub.allow_origin("https://example.org").unwrap();
    hub.listen("tcp://127.0.0.1:0").unwrap();
    hub.listen("ws://127.0.0.1:0/ws").unwrap();
    let (tcp, ws) = (hub.address(0).unwrap(), hub.address(1).unwrap());
    (hub, tcp, ws)
}

#[test]
fn a_page_publishes_if_it_is_invited_and_one_of_this_machine_is_told_that_it_may_only_read() {
    for local in [false, true] {
        let (hub, tcp, ws) = hub(&[(HubOption::AllowLocalPages, local.into())]);
        let ours = app("ours", &tcp);
        let own = format!("http://{}", ws.strip_prefix("ws://").unwrap().split('/').next().unwrap());
        for (origin, identity, publishes) in [
            (&*own, "own", true),
            ("https://example.org", "invited", true),
            ("http://localhost:8000", "neighbour", local),
        ] {
            let mut page = Client::app(&ws, identity, origin);
            page.send(&state(Form::V1, identity, "slider", identity));
            if publishes {
                assert_eq!(receive(&ours, identity, "slider").text().unwrap(), identity);
            } else {
                until("it is told", || {
                    let told = page.body();
                    match Control::decode(&wire::decode(&told, Form::V1).unwrap()) {
                        Ok(Control::Rejected { status, name }) => {
                            assert_eq!((status, name), (Status::Permission.code(), "slider"));
                            true
                        }
                        // What the others have published.
                        _ => false,
                    }
                });
                assert_eq!(hub.stats().refused, 1);
            }
            send(&ours, "shown", identity);
            ours.flush(Some(PATIENCE)).unwrap();
            support::until("what the others publish", || {
                let body = page.body();
                let body = wire::decode(&body, Form::V1).unwrap();
                body.name() == "shown" && wire::text(body.data) == Some(identity)
            });
        }
    }
}

#[test]
fn a_page_from_elsewhere_is_refused_and_the_log_says_how_to_let_it_in() {
    let mut hub = CliHub::start_with(["--listen", "ws://127.0.0.1:0/ws", "--allow-origin", "https://example.org"]);
    let (head, ..) = ask(&hub.url, "Origin: http://evil.test:8000\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let line = hub.process.next_error_line_with("evil.test");
    assert!(line.contains("a page of http://evil.test:8000 may not connect"), "{line}");
    assert!(line.ends_with("(to let it in: --allow-origin http://evil.test:8000)"), "{line}");
    for origin in ["null", "file://", "https://example.org.evil.test"] {
        let (head, ..) = ask(&hub.url, &format!("Origin: {origin}\r\n"));
        assert!(head.starts_with("HTTP/1.1 403 "), "{origin}: {head}");
    }
    Client::app(&hub.url, "invited", "https://example.org");
}

#[test]
fn web_sockets_beyond_their_limit_and_requests_that_come_too_often_are_refused_and_the_log_names_the_flag() {
    let mut hub = CliHub::start_with([
        "--listen",
        "ws://127.0.0.1:0/ws",
        "--listen",
        "tcp://127.0.0.1:0",
        "--max-websockets",
        "1",
        "--http-rate",
        "0",
    ]);
    let first = Client::open(&hub.url, "");
    let (head, ..) = ask(&hub.url, "");
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    let line = hub.process.next_error_line_with("refused");
    assert!(line.ends_with("refused: at most 1 WebSockets may be connected (--max-websockets)"), "{line}");
    let second = App::new("second").unwrap();
    second.connect(Some(&hub.url)).unwrap();
    let error = second.wait_connected(Some(PATIENCE)).unwrap_err();
    assert_eq!(error.status(), Status::Full, "{error}");
    assert!(error.to_string().starts_with("at most 1 WebSockets may be connected"), "{error}");
    let tcp = hub.process.line("the other address", |line| line.contains("tcp://"));
    app("third", tcp.strip_prefix("listening on ").unwrap());
    drop(first);
    until("there is room", || second.link() == LinkState::Connected);

    let mut hub = CliHub::start_with(["--listen", "ws://127.0.0.1:0/ws", "--http-rate", "1"]);
    // Whether a second has passed between two of them is the machine's affair.
    until("an answer that it was too often", || {
        let (head, ..) = ask(&hub.url, "");
        let too_often =
            head.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && head.contains("\r\nRetry-After: 1\r\n");
        assert!(too_often || head.starts_with("HTTP/1.1 101 "), "{head}");
        too_often
    });
    let line = hub.process.next_error_line_with("refused");
    assert!(line.ends_with("refused: more than 1 HTTP requests a second from 127.0.0.1 (--http-rate)"), "{line}");
}

/// As the original's JavaScript: no subprotocol, or one of its own, and old bodies.
#[test]
fn a_plain_client_is_an_old_program_and_stays_whatever_it_sends() {
    let (hub, tcp, ws) = hub(&[]);
    let ours = app("ours", &tcp);
    for (identity, fields) in [("plain", ""), ("junk", "Sec-WebSocket-Protocol: echo-protocol\r\n")] {
        let (before, mut client) = (hub.stats().malformed, Client::open(&ws, fields));
        client.send(&state(Form::Old, identity, "said", "hello"));
        assert_eq!(receive(&ours, identity, "said").text().unwrap(), "hello");
        // Its MessagePack sends large integers as floats, dates as extensions of its own.
        client.send(b"\x93\xa5plain\xa1i\xcb\x43\x40\x00\x00\x00\x00\x00\x00");
        client.send(b"\x93\xa5plain\xa1d\xd7\x0d\x42\x74\x00\x00\x00\x00\x00\x00");
        assert_eq!(receive(&ours, "plain", "i").kind(), Kind::Double);
        assert_eq!(receive(&ours, "plain", "d").kind(), Kind::Ext);
        let mut text = Vec::new();
        ws::text("[\"a\", \"b\", 1]", Some(&mut client.masks), &mut text);
        client.stream.write_all(&text).unwrap();
        client.send(b"rubbish");
        until("both are counted", || hub.stats().malformed == before + 2);
        send(&ours, "for it", identity);
        let came = client.body();
        let came = wire::decode(&came, Form::Old).unwrap();
        assert_eq!((came.sender(), wire::text(came.data)), ("ours", Some(identity)));
        // It reads whatever there is, and more than nanomsg takes.
        let large = vec![7; limits::LEGACY_MAX + 1];
        let (mut number, mut bytes) = (Vec::new(), Vec::new());
        Value::Int(7).encode(&mut number);
        Value::Bytes(&large).encode(&mut bytes);
        for (value, data) in [(Value::Int(7), &number), (Value::Bytes(&large), &bytes)] {
            ours.send(identity, value).unwrap();
            assert_eq!(wire::decode(&client.body(), Form::Old).unwrap().data, &data[..]);
        }
    }
}

#[test]
fn programs_of_the_other_protocols_are_served_at_the_address_of_apps() {
    let (_hub, tcp, ws) = hub(&[]);
    let (ours, dir) = (app("ours", &tcp), TempDir::new());
    send(&ours, "cpu/load", "0.25");
    ours.flush(Some(PATIENCE)).unwrap();
    let request = dir.path().join("request");
    std::fs::write(&request, b"\x92\xa3get\xa8cpu/load").unwrap();
    let mut req = Command::new("nanocat");
    req.args(["--req", "--connect", &ws, "--file"]).arg(&request).args(["--ascii", "--recv-timeout", "50"]);
    let ended = run(req, b"");
    assert!(ended.stdout.iter().any(|line| line.contains("cpu/load.0.25")), "{ended:?}");
}

#[test]
fn a_hub_serves_its_client_and_a_folder_to_browsers() {
    let dir = TempDir::new();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("index.html"), "<p>").unwrap();
    // More than the system takes in one write.
    let large: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(dir.path().join("sub/large.png"), &large).unwrap();
    std::fs::write(dir.path().join(".hidden"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
    let folder = dir.path().display().to_string();
    let hub = CliHub::start_with(["--listen", "ws://127.0.0.1:0/ws", "--www", &folder]);
    let authority = hub.url.strip_prefix("ws://").unwrap().split('/').next().unwrap().to_owned();
    let get = |path: &str, host: &str| {
        let mut stream = TcpStream::connect(&authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    };
    assert_eq!(get("/", &authority).1, b"<p>");
    assert!(get("/sub/large.png", "localhost").1 == large);
    for name in ["nanostate.js", "nanostate-compat.js"] {
        let (head, client) = get(&format!("/{name}"), &authority);
        assert!(head.contains("Content-Type: text/javascript"), "{head}");
        assert_eq!(client, std::fs::read(support::build::root().join("js/dist").join(name)).unwrap());
    }
    for path in ["/.hidden", "/link", "/sub", "/../Cargo.toml", "/other"] {
        assert!(get(path, &authority).0.starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(get("/", "evil.test").0.starts_with("HTTP/1.1 403 "), "rebinding");
    let missing = Hub::new().unwrap();
    missing.set_text(nanostate::HubText::Www, Some("/nonexistent/folder")).unwrap();
    let error = missing.listen("ws://127.0.0.1:0/ws").unwrap_err();
    assert_eq!(error.to_string(), "not found: /nonexistent/folder");
}

/// Reads to the end of a connection. The last message is a close frame, with this code and reason.
fn goodbye(mut client: Client) -> String {
    client.stream.read_to_end(&mut client.came).unwrap();
    let mut input = &client.came[..];
    loop {
        match client.decoder.next(&mut input) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end of the connection, and no close frame"),
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn a_hub_that_ends_in_good_order_says_so_to_web_sockets_and_waits_for_none() {
    const GOODBYE: &str = "the other side closed the WebSocket with 1001: the hub ends";
    let (hub, tcp, ws) = hub(&[]);
    let own = format!("http://{}", ws.strip_prefix("ws://").unwrap().split('/').next().unwrap());
    let (v1, plain) = (Client::app(&ws, "v1", &own), Client::open(&ws, ""));
    // It does not read what is more than a socket takes.
    let slow = Client::open(&ws, "");
    let ours = app("ours", &tcp);
    let large = vec![7; 900_000];
    (0..20).for_each(|i| ours.send(&format!("large/{i}"), Value::Bytes(&large)).unwrap());
    ours.flush(Some(PATIENCE)).unwrap();
    let readers = [v1, plain].map(|client| std::thread::spawn(|| goodbye(client)));
    // They have to take it before the hub ends: the goodbye comes behind it.
    until("the readers have all of it", || {
        hub.peers().unwrap().iter().filter(|peer| peer.live && peer.outbox_bytes == 0).count() == 3
    });
    hub.close();
    readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), GOODBYE));
    drop(slow);

    let mut hub = CliHub::start_with(["--listen", "ws://127.0.0.1:0/ws"]);
    let client = Client::open(&hub.url, "");
    hub.process.signal("TERM");
    assert_eq!(goodbye(client), GOODBYE);
    assert!(hub.process.ended().success());
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_client_takes_no_more_than_8_kib() {
    const CLIENTS: usize = 1000;
    support::allow_descriptors(4 * CLIENTS).unwrap();
    // All of them come at once.
    let hub = CliHub::start_with([
        "--listen",
        "ws://127.0.0.1:0/ws",
        "--log",
        "warn",
        "--http-rate",
        "0",
        "--max-websockets",
        "2000",
    ]);
    let own = format!("http://{}", hub.url.strip_prefix("ws://").unwrap().split('/').next().unwrap());
    let mut clients: Vec<_> = (0..100).map(|n| Client::app(&hub.url, &format!("idle-{n}"), &own)).collect();
    let before = hub.process.private_bytes();
    clients.extend((100..100 + CLIENTS).map(|n| Client::app(&hub.url, &format!("idle-{n}"), &own)));
    let each = hub.process.private_bytes().saturating_sub(before) / CLIENTS;
    println!("{each} bytes for each client");
    assert!(each <= 8 << 10, "{each} bytes");
}
