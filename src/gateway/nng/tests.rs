//! The layer against itself: its other side has the protocols that only tests open.

use std::collections::VecDeque;
use std::ffi::{c_int, CStr, CString};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver as Letters};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ::nng as sys;
use log::Level;

use super::library::{check, severity};
use super::responder::MOST_BYTES;
use super::socket::QueueCounts;
use super::*;
use crate::runtime::tests::{Directory, FORKS};
use crate::{Error, Result, Status};

/// Longer than anything here takes: waiting this long is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

impl Socket {
    /// Connects, and waits for it.
    fn dial(&self, url: &str) -> Result<()> {
        let c_url = CString::new(url).unwrap();
        // SAFETY: an open socket and a string that ends with NUL.
        check(unsafe { sys::nng_dial(self.raw(), c_url.as_ptr(), std::ptr::null_mut(), 0) }, url)
    }

    /// [`Socket::dial`], with a header of the WebSocket request.
    fn dial_with_header(&self, url: &str, name: &str, value: &str) {
        let c_url = CString::new(url).unwrap();
        let option = CString::new(format!("ws:header:{name}")).unwrap();
        let value = CString::new(value).unwrap();
        let mut dialer = sys::nng_dialer::default();
        // SAFETY: an open socket, strings that end with NUL, and a dialer that is made first.
        unsafe {
            check(sys::nng_dialer_create(&mut dialer, self.raw(), c_url.as_ptr()), url).unwrap();
            check(sys::nng_dialer_set_string(dialer, option.as_ptr(), value.as_ptr()), name).unwrap();
            check(sys::nng_dialer_start(dialer, 0), url).unwrap();
        }
    }

    /// Listens; the URL with the port that it got.
    fn bind(&self, url: &str) -> Result<String> {
        let port = self.listen(url)?;
        Ok(url.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")))
    }

    /// Takes everything.
    fn subscribe(&self) {
        // SAFETY: an open socket; nothing is read of no bytes.
        check(unsafe { sys::nng_sub0_socket_subscribe(self.raw(), std::ptr::null(), 0) }, "all").unwrap();
    }

    /// Sets how long a survey takes answers: a second unless told otherwise.
    fn survey_for(&self, time: Duration) {
        let option: &CStr = c"surveyor:survey-time";
        // SAFETY: an open socket and a string that ends with NUL.
        check(unsafe { sys::nng_socket_set_ms(self.raw(), option.as_ptr(), time.as_millis() as i32) }, "time").unwrap();
    }

    /// Waits for the next message.
    fn receive(&self) -> Message {
        let option: &CStr = c"recv-timeout";
        let mut raw = std::ptr::null_mut();
        // SAFETY: an open socket and a message that is ours.
        unsafe {
            check(sys::nng_socket_set_ms(self.raw(), option.as_ptr(), PATIENCE.as_millis() as i32), "time").unwrap();
            check(sys::nng_recvmsg(self.raw(), &mut raw, 0), "receive").unwrap();
            Message::from_raw(raw).unwrap()
        }
    }

    /// Waits until there is room.
    fn send(&self, body: &[u8]) {
        // SAFETY: an open socket; the bytes are copied.
        check(unsafe { sys::nng_send(self.raw(), body.as_ptr().cast(), body.len(), 0) }, "send").unwrap();
    }
}

fn library() -> Library {
    Library::start().unwrap()
}

fn message(body: &[u8]) -> Message {
    let mut message = Message::with_capacity(body.len()).unwrap();
    message.append(body).unwrap();
    message
}

/// A socket and what happens to its connections; they are let in if `lets_in`.
fn open(library: &Library, protocol: Protocol, lets_in: bool) -> (Socket, Letters<(PipeEvent, u32)>) {
    let mut socket = Socket::open(library, protocol).unwrap();
    let (post, events) = channel();
    socket
        .on_pipe(move |event, pipe| {
            let _ = post.send((event, pipe.id()));
            lets_in
        })
        .unwrap();
    (socket, events)
}

fn wait_for(events: &Letters<(PipeEvent, u32)>, event: PipeEvent) -> u32 {
    loop {
        let (happened, pipe) = events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no connection was {event:?}"));
        if happened == event {
            return pipe;
        }
    }
}

/// Waits until a connection is over, which must not be let in meanwhile.
fn refused(events: &Letters<(PipeEvent, u32)>) -> u32 {
    loop {
        match events.recv_timeout(PATIENCE).unwrap() {
            (PipeEvent::Adding, _) => {}
            (PipeEvent::Added, pipe) => panic!("{pipe} was let in"),
            (PipeEvent::Removed, pipe) => return pipe,
        }
    }
}

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes every message, in a channel.
fn take_all(socket: &Socket) -> (Receiver, Letters<Message>) {
    let (post, letters) = channel();
    let receiver = Receiver::new(socket, move |message| post.send(message).is_ok()).unwrap();
    (receiver, letters)
}

/// Takes every request, in a channel.
fn take_requests(socket: &Arc<Socket>) -> (Responder, Letters<(Ticket, Message)>) {
    let (post, letters) = channel();
    let responder = Responder::new(socket, move |ticket, message| post.send((ticket, message)).is_ok()).unwrap();
    (responder, letters)
}

/// One address of every transport. `name` is of this test alone.
fn addresses(dir: &Directory, name: &str) -> [String; 4] {
    [
        format!("inproc://{name}"),
        format!("ipc://{}", dir.path(name)),
        "tcp://127.0.0.1:0".to_owned(),
        format!("ws://127.0.0.1:0/{name}"),
    ]
}

/// Runs the body of a test in a process of its own, where nothing else uses NNG.
fn in_a_process_of_its_own(test: &str, body: impl FnOnce()) {
    const MARK: &str = "NANOSTATE_NNG_TEST";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("gateway::nng::tests::{test}"), "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = {
        // Until it is another program the child has copies of the descriptors of other tests.
        let _alone = FORKS.write();
        command.spawn().unwrap()
    };
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(words.contains("1 passed"), "{words}");
}

/// The names of NNG's threads in this process.
fn threads() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .filter(|name| name.starts_with("nng:"))
        .collect();
    names.sort();
    names
}

/// Waits until NNG has no thread: one that was joined may be in the list for a moment longer.
fn until_no_threads() {
    until("the end of all threads", || threads().is_empty());
}

/// All threads of NNG, with as few as this library has it start.
const THREADS: [&str; 6] = ["nng:aio:expire", "nng:poll:epoll", "nng:reap2", "nng:resolver", "nng:task", "nng:task"];

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_message_is_published_over_every_transport() {
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "published") {
        let (server, events) = open(&library, Protocol::Pub, true);
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Sub).unwrap();
        client.subscribe();
        client.dial(&url).unwrap();
        wait_for(&events, PipeEvent::Added);
        server.try_send(message(b"news")).unwrap();
        assert_eq!(client.receive().body(), b"news", "{url}");
    }
}

#[test]
fn a_message_is_pulled_over_every_transport() {
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "pulled") {
        let (server, events) = open(&library, Protocol::Pull, true);
        let (_receiver, letters) = take_all(&server);
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Push).unwrap();
        client.dial(&url).unwrap();
        client.send(b"work");
        let got = letters.recv_timeout(PATIENCE).unwrap();
        assert_eq!(got.body(), b"work", "{url}");
        assert_eq!(got.pipe(), wait_for(&events, PipeEvent::Added), "{url}");
    }
}

#[test]
fn requests_and_surveys_are_answered_over_every_transport() {
    let (library, dir) = (library(), Directory::new());
    for (ours, theirs) in [(Protocol::Rep, Protocol::Req), (Protocol::Respondent, Protocol::Surveyor)] {
        for url in addresses(&dir, &format!("{ours:?}")) {
            let (server, events) = open(&library, ours, true);
            let server = Arc::new(server);
            let (responder, letters) = take_requests(&server);
            let url = server.bind(&url).unwrap();
            let client = Socket::open(&library, theirs).unwrap();
            if theirs == Protocol::Surveyor {
                client.survey_for(PATIENCE);
            }
            client.dial(&url).unwrap();
            wait_for(&events, PipeEvent::Added);
            client.send(b"who?");
            let (ticket, asked) = letters.recv_timeout(PATIENCE).unwrap();
            assert_eq!(asked.body(), b"who?", "{url}");
            assert_eq!(responder.answer(ticket, message(b"me")), None);
            assert_eq!(client.receive().body(), b"me", "{url}");
        }
    }
}

#[test]
fn a_connection_that_is_not_let_in_is_over() {
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "vetoed") {
        let (server, events) = open(&library, Protocol::Pull, false);
        let (_receiver, letters) = take_all(&server);
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Push).unwrap();
        let _ = client.dial(&url);
        let (event, pipe) = events.recv_timeout(PATIENCE).unwrap();
        assert_eq!(event, PipeEvent::Adding);
        assert_ne!(pipe, 0);
        // The client tries again meanwhile.
        while refused(&events) != pipe {}
        drop((client, server));
        assert!(letters.try_recv().is_err());
        assert!(events.iter().all(|(event, _)| event != PipeEvent::Added));
    }
}

#[test]
fn a_connection_is_removed_when_the_other_side_goes_or_the_socket_closes() {
    let library = library();
    let (server, events) = open(&library, Protocol::Pub, true);
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let client = Socket::open(&library, Protocol::Sub).unwrap();
    client.dial(&url).unwrap();
    let first = wait_for(&events, PipeEvent::Added);
    drop(client);
    assert_eq!(wait_for(&events, PipeEvent::Removed), first);
    let client = Socket::open(&library, Protocol::Sub).unwrap();
    client.dial(&url).unwrap();
    let second = wait_for(&events, PipeEvent::Added);
    assert_ne!(first, second);
    drop(server);
    // All has happened when the socket is closed, and the function is gone.
    assert_eq!(events.try_iter().collect::<Vec<_>>(), [(PipeEvent::Removed, second)]);
    assert!(events.try_recv().is_err());
}

#[test]
fn a_peer_of_the_wrong_protocol_is_never_added() {
    let library = library();
    let (server, events) = open(&library, Protocol::Pub, true);
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    let _ = client.dial(&url);
    let (event, pipe) = events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event, PipeEvent::Adding);
    while refused(&events) != pipe {}
}

#[test]
fn a_second_function_for_connections_is_refused() {
    let library = library();
    let (mut socket, _events) = open(&library, Protocol::Pub, true);
    assert_eq!(socket.on_pipe(|_, _| true).unwrap_err().status(), Status::State);
}

#[test]
fn connections_say_where_they_are_from_and_what_their_request_had() {
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "from") {
        let mut server = Socket::open(&library, Protocol::Pull).unwrap();
        let (post, told) = channel();
        let tell = move |event, pipe: &Pipe| {
            if event == PipeEvent::Adding {
                let _ = post.send((pipe.address(), pipe.header("x-who"), pipe.header("X-None"), pipe.header("a\0b")));
            }
            true
        };
        server.on_pipe(tell).unwrap();
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Push).unwrap();
        let web = url.starts_with("ws:");
        if web {
            client.dial_with_header(&url, "X-Who", "a b");
        } else {
            client.dial(&url).unwrap();
        }
        let (address, header, none, impossible) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(header.as_deref(), web.then_some("a b"), "{url}");
        assert_eq!((none, impossible), (None, None));
        match url.split_once(':').unwrap().0 {
            "inproc" => assert_eq!(address, "inproc"),
            "ipc" => assert_eq!(address, "unknown"),
            _ => assert!(address.starts_with("127.0.0.1:"), "{address}"),
        }
    }
}

#[test]
fn a_receiver_that_is_paused_and_resumed_loses_nothing() {
    const MESSAGES: u32 = 10_000;
    const ROOM: usize = 16;
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "paused") {
        let server = Socket::open(&library, Protocol::Pull).unwrap();
        let queue = Arc::new((Mutex::new(VecDeque::new()), Condvar::new()));
        let most = Arc::new(AtomicUsize::new(0));
        let pauses = Arc::new(AtomicUsize::new(0));
        let receiver = Receiver::new(&server, {
            let (queue, most, pauses) = (queue.clone(), most.clone(), pauses.clone());
            move |message: Message| {
                let (queue, came) = &*queue;
                let mut queue = queue.lock().unwrap();
                came.notify_one();
                queue.push_back(u32::from_be_bytes(message.body().try_into().unwrap()));
                most.fetch_max(queue.len(), Ordering::Relaxed);
                let go_on = queue.len() < ROOM;
                pauses.fetch_add(usize::from(!go_on), Ordering::Relaxed);
                go_on
            }
        })
        .unwrap();
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Push).unwrap();
        client.dial(&url).unwrap();
        let sender = std::thread::spawn(move || {
            for n in 0..MESSAGES {
                client.send(&n.to_be_bytes());
            }
            client
        });
        let (queue, came) = &*queue;
        let mut next = 0;
        while next < MESSAGES {
            // Sometimes not before it is paused, or is about to be.
            let wanted = if next % 50 == 0 && MESSAGES - next > ROOM as u32 { ROOM } else { 1 };
            let few = |queue: &mut VecDeque<u32>| queue.len() < wanted;
            let (mut held, waited) = came.wait_timeout_while(queue.lock().unwrap(), PATIENCE, few).unwrap();
            assert!(!waited.timed_out(), "{url}: {next} came, and {} wait", held.len());
            // All, or one: so that it is resumed while it is paused, and while it is not.
            let take = if next % 3 == 0 { held.len() } else { 1 };
            for n in held.drain(..take) {
                assert_eq!(n, next, "{url}");
                next += 1;
            }
            drop(held);
            receiver.resume();
        }
        sender.join().unwrap();
        assert!(pauses.load(Ordering::Relaxed) > 0);
        // One more if it was resumed while its function ran.
        assert!(most.load(Ordering::Relaxed) <= ROOM + 1, "{most:?}");
    }
}

#[test]
fn a_paused_receiver_leaves_messages_where_they_are() {
    let library = library();
    let server = Socket::open(&library, Protocol::Pull).unwrap();
    let (post, letters) = channel();
    let receiver = Receiver::new(&server, move |message| {
        post.send(message).unwrap();
        false
    })
    .unwrap();
    server.bind("inproc://left").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    client.set_send_buffer(8).unwrap();
    client.dial("inproc://left").unwrap();
    for n in 0..3 {
        client.send(&[n]);
    }
    for n in 0..3 {
        assert_eq!(letters.recv_timeout(PATIENCE).unwrap().body(), [n]);
        assert!(letters.recv_timeout(Duration::from_millis(20)).is_err(), "it was to pause after {n}");
        receiver.resume();
    }
}

#[test]
fn a_receiver_may_outlive_its_socket() {
    let library = library();
    let server = Socket::open(&library, Protocol::Pull).unwrap();
    let (receiver, letters) = take_all(&server);
    drop(server);
    receiver.resume();
    assert!(letters.try_recv().is_err());
    // And one that is dropped first leaves the socket as it was.
    let server = Socket::open(&library, Protocol::Pull).unwrap();
    drop(take_all(&server));
    let (_receiver, letters) = take_all(&server);
    server.bind("inproc://second-receiver").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    client.dial("inproc://second-receiver").unwrap();
    client.send(b"work");
    assert_eq!(letters.recv_timeout(PATIENCE).unwrap().body(), b"work");
}

#[test]
fn a_receiver_dropped_among_messages_waits_for_its_function() {
    let library = library();
    for _ in 0..50 {
        let server = Socket::open(&library, Protocol::Pull).unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        let (post, letters) = channel();
        let receiver = Receiver::new(&server, {
            let running = running.clone();
            move |message| {
                running.fetch_add(1, Ordering::SeqCst);
                let _ = post.send(message);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                true
            }
        })
        .unwrap();
        let url = server.bind("tcp://127.0.0.1:0").unwrap();
        let client = Socket::open(&library, Protocol::Push).unwrap();
        client.dial(&url).unwrap();
        let stop = Arc::new(AtomicUsize::new(0));
        let sender = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while stop.load(Ordering::Relaxed) == 0 {
                    let _ = client.try_send(message(b"more"));
                }
            }
        });
        letters.recv_timeout(PATIENCE).unwrap();
        drop(receiver);
        assert_eq!(running.load(Ordering::SeqCst), 0);
        // The function is gone, with its end of the channel.
        assert!(letters.iter().all(|message| message.body() == b"more"));
        stop.store(1, Ordering::Relaxed);
        sender.join().unwrap();
    }
}

/// A request of its own, of a REQ socket that may have many.
struct Request(sys::nng_ctx);

impl Request {
    fn send(client: &Socket, body: &[u8]) -> Request {
        let mut raw = sys::nng_ctx::default();
        // SAFETY: an open socket and a context that is made first; the message is given away.
        unsafe {
            check(sys::nng_ctx_open(&mut raw, client.raw()), "a context").unwrap();
            check(sys::nng_ctx_sendmsg(raw, message(body).into_raw(), 0), "send").unwrap();
        }
        Request(raw)
    }

    fn answer(self) -> Message {
        let mut raw = std::ptr::null_mut();
        // SAFETY: an open context and a message that is ours.
        unsafe {
            check(sys::nng_ctx_set_ms(self.0, c"recv-timeout".as_ptr(), PATIENCE.as_millis() as i32), "time").unwrap();
            check(sys::nng_ctx_recvmsg(self.0, &mut raw, 0), "receive").unwrap();
            sys::nng_ctx_close(self.0);
            Message::from_raw(raw).unwrap()
        }
    }
}

/// A REQ client that has sent so many requests at once, and does not read.
fn deaf(url: &str, requests: u32) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Or the system takes as much for it as it is set up to, which may be all of it.
    socket.set_recv_buffer_size(LARGE).unwrap();
    socket.connect(&url.strip_prefix("tcp://").unwrap().parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"\0SP\0\0\x30\0\0").unwrap();
    let frame = |n: u32| [&8u64.to_be_bytes()[..], &(n | 1 << 31).to_be_bytes(), b"deaf"].concat();
    stream.write_all(&(0..requests).flat_map(frame).collect::<Vec<u8>>()).unwrap();
    stream
}

const LARGE: usize = 1 << 16;

#[test]
fn two_thousand_requests_at_once_of_one_connection_are_all_answered() {
    const REQUESTS: u32 = 2000;
    let (library, dir) = (library(), Directory::new());
    for url in addresses(&dir, "pipelined") {
        let server = Arc::new(Socket::open(&library, Protocol::Rep).unwrap());
        let (responder, letters) = take_requests(&server);
        let url = server.bind(&url).unwrap();
        let client = Socket::open(&library, Protocol::Req).unwrap();
        client.dial(&url).unwrap();
        let requests: Vec<Request> = (0..REQUESTS).map(|n| Request::send(&client, &n.to_be_bytes())).collect();
        let asked: Vec<_> = (0..REQUESTS).map(|_| letters.recv_timeout(PATIENCE).unwrap()).collect();
        // The one that receives next is made after the function has returned.
        until("one more receives", || responder.counts() == (REQUESTS as usize + 1, 0));
        // Last things first.
        for (ticket, request) in asked.iter().rev() {
            assert_eq!(responder.answer(*ticket, message(&[b"re: ", request.body()].concat())), None);
        }
        for (n, request) in (0..REQUESTS).zip(requests) {
            assert_eq!(request.answer().body(), [b"re: ", &n.to_be_bytes()[..]].concat(), "{url}");
        }
        until("all taken", || responder.counts() == (REQUESTS as usize + 1, 0));
    }
}

#[test]
fn a_thousand_requests_of_two_hundred_sockets_are_answered_with_few_contexts() {
    let library = library();
    let server = Arc::new(Socket::open(&library, Protocol::Rep).unwrap());
    let (responder, letters) = take_requests(&server);
    server.bind("inproc://two-hundred").unwrap();
    let clients: Vec<Socket> = (0..200).map(|_| Socket::open(&library, Protocol::Req).unwrap()).collect();
    clients.iter().for_each(|client| client.dial("inproc://two-hundred").unwrap());
    for round in 0..5u32 {
        for (n, client) in (0u32..).zip(&clients) {
            client.send(&[round.to_be_bytes(), n.to_be_bytes()].concat());
        }
        for _ in &clients {
            let (ticket, request) = letters.recv_timeout(PATIENCE).unwrap();
            assert_eq!(responder.answer(ticket, request), None);
        }
        for (n, client) in (0u32..).zip(&clients) {
            assert_eq!(client.receive().body(), [round.to_be_bytes(), n.to_be_bytes()].concat());
        }
    }
    // One receives, and of each client there is one request and at most one answer that is just being taken.
    assert!(responder.counts().0 <= 1 + 2 * clients.len(), "{:?}", responder.counts());
}

#[test]
fn who_does_not_take_his_answers_is_disconnected_and_others_go_on() {
    let library = library();
    let (server, events) = open(&library, Protocol::Rep, true);
    let server = Arc::new(server);
    let (responder, letters) = take_requests(&server);
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let other = Socket::open(&library, Protocol::Req).unwrap();
    other.dial(&url).unwrap();
    wait_for(&events, PipeEvent::Added);
    let deaf = deaf(&url, 2000);
    let pipe = wait_for(&events, PipeEvent::Added);
    let answer = message(&[7; LARGE]);
    let cut = loop {
        let (ticket, request) = letters.recv_timeout(PATIENCE).expect("disconnected by now");
        assert_eq!((request.pipe(), request.body()), (pipe, &b"deaf"[..]));
        if let Some(cut) = responder.answer(ticket, message(answer.body())) {
            break cut;
        }
    };
    assert_eq!(cut.address, deaf.local_addr().unwrap().to_string());
    assert!(cut.bytes > MOST_BYTES && cut.bytes == cut.answers * LARGE, "{cut:?}");
    assert_eq!(wait_for(&events, PipeEvent::Removed), pipe);
    until("nothing waits", || responder.counts().1 == 0);
    // What it had asked besides.
    other.send(b"still there?");
    loop {
        let (ticket, request) = letters.recv_timeout(PATIENCE).unwrap();
        assert_eq!(responder.answer(ticket, message(b"yes")), None);
        if request.body() == b"still there?" {
            break;
        }
    }
    assert_eq!(other.receive().body(), b"yes");
}

#[test]
fn of_many_who_do_not_take_their_answers_the_worst_is_disconnected() {
    let library = library();
    let (server, events) = open(&library, Protocol::Rep, true);
    let server = Arc::new(server);
    let (responder, letters) = take_requests(&server);
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let answer = message(&[7; LARGE]);
    let mut clients = Vec::new();
    let (most, others) = (MOST_BYTES / LARGE, MOST_BYTES / LARGE * 3 / 4);
    let cut = loop {
        let requests = if clients.is_empty() { most } else { others };
        clients.push(deaf(&url, requests as u32));
        wait_for(&events, PipeEvent::Added);
        let cut = (0..requests).find_map(|_| {
            let (ticket, _) = letters.recv_timeout(PATIENCE).unwrap();
            responder.answer(ticket, message(answer.body()))
        });
        if let Some(cut) = cut {
            break cut;
        }
        assert!(clients.len() < 20, "nobody was disconnected");
    };
    assert!(clients.len() > 4, "{}", clients.len());
    assert_eq!(cut.address, clients[0].local_addr().unwrap().to_string());
    assert!(cut.bytes <= MOST_BYTES, "{cut:?}");
}

#[test]
fn a_responder_is_dropped_among_requests_and_while_answers_wait() {
    let library = library();
    for round in 0..20 {
        let server = Arc::new(Socket::open(&library, Protocol::Rep).unwrap());
        let (responder, letters) = take_requests(&server);
        let url = server.bind("tcp://127.0.0.1:0").unwrap();
        let _deaf = deaf(&url, 1000);
        let busy = deaf(&url, 1);
        let stop = Arc::new(AtomicUsize::new(0));
        let sender = std::thread::spawn({
            let (stop, mut busy) = (stop.clone(), busy);
            let frame = [&8u64.to_be_bytes()[..], &[0x80, 0, 0, 1], b"more"].concat();
            move || while stop.load(Ordering::Relaxed) == 0 && busy.write_all(&frame).is_ok() {}
        });
        // Some wait, some are being answered, and more come.
        let held: Vec<Ticket> = (0..10).map(|_| letters.recv_timeout(PATIENCE).unwrap().0).collect();
        let answer = message(&[7; LARGE]);
        while responder.counts().1 < 20 {
            let (ticket, _) = letters.recv_timeout(PATIENCE).unwrap();
            assert_eq!(responder.answer(ticket, message(answer.body())), None);
        }
        if round % 2 == 0 {
            drop(responder);
            drop(server);
        } else {
            drop(server);
            // The responder has it, too.
            assert_eq!(responder.answer(held[0], message(b"not too late")), None);
            responder.resume();
            drop(responder);
        }
        // The function is gone, with its end of the channel.
        assert!(letters.iter().all(|(_, request)| [b"deaf", b"more"].iter().any(|body| request.body() == *body)));
        stop.store(1, Ordering::Relaxed);
        sender.join().unwrap();
    }
}

#[test]
fn a_responder_that_is_paused_and_resumed_loses_nothing() {
    const REQUESTS: u32 = 2000;
    const ROOM: usize = 16;
    let library = library();
    let server = Arc::new(Socket::open(&library, Protocol::Rep).unwrap());
    let (post, letters) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let responder = Responder::new(&server, {
        let (waiting, most) = (waiting.clone(), most.clone());
        move |ticket, message| {
            let waits = waiting.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(waits, Ordering::SeqCst);
            post.send((ticket, message)).unwrap();
            waits < ROOM
        }
    })
    .unwrap();
    server.bind("inproc://responder-paused").unwrap();
    let client = Socket::open(&library, Protocol::Req).unwrap();
    client.dial("inproc://responder-paused").unwrap();
    let sender = std::thread::spawn(move || {
        let requests: Vec<Request> = (0..REQUESTS).map(|n| Request::send(&client, &n.to_be_bytes())).collect();
        let answers = requests.into_iter().map(|request| request.answer().body().to_vec()).collect::<Vec<_>>();
        (answers, client)
    });
    for n in 0..REQUESTS {
        if n % 50 == 0 && REQUESTS - n > ROOM as u32 {
            until("it is paused", || waiting.load(Ordering::SeqCst) >= ROOM);
        }
        let (ticket, request) = letters.recv_timeout(PATIENCE).unwrap();
        assert_eq!(request.body(), n.to_be_bytes());
        assert_eq!(responder.answer(ticket, request), None);
        waiting.fetch_sub(1, Ordering::SeqCst);
        responder.resume();
    }
    let (answers, _client) = sender.join().unwrap();
    assert!(answers.iter().zip(0..REQUESTS).all(|(answer, n)| answer[..] == n.to_be_bytes()));
    // One more if it was resumed while its function ran.
    assert!(most.load(Ordering::SeqCst) <= ROOM + 1, "{most:?}");
}

#[test]
fn an_answer_that_nobody_waits_for_does_nothing_and_leaves_nothing() {
    let library = library();
    let (server, events) = open(&library, Protocol::Rep, true);
    let server = Arc::new(server);
    let (responder, letters) = take_requests(&server);
    let url = server.bind("inproc://gone").unwrap();
    assert_eq!(responder.answer(12345, message(b"to nobody")), None);
    for _ in 0..50 {
        let client = Socket::open(&library, Protocol::Req).unwrap();
        client.dial(&url).unwrap();
        client.send(b"who?");
        let (ticket, _) = letters.recv_timeout(PATIENCE).unwrap();
        drop(client);
        wait_for(&events, PipeEvent::Removed);
        for _ in 0..2 {
            assert_eq!(responder.answer(ticket, message(b"me")), None);
        }
        // One context is enough if it was free before the function had returned.
        until("it is free", || matches!(responder.counts(), (1 | 2, 0)));
    }
}

#[test]
fn a_panic_in_its_function_stops_a_responder_alone() {
    let library = library();
    let server = Arc::new(Socket::open(&library, Protocol::Rep).unwrap());
    let (post, calls) = channel();
    let responder = Responder::new(&server, move |ticket, _| {
        post.send(ticket).unwrap();
        panic!("on purpose, in a responder")
    })
    .unwrap();
    server.bind("inproc://panics").unwrap();
    let client = Socket::open(&library, Protocol::Req).unwrap();
    client.dial("inproc://panics").unwrap();
    let (first, _second) = (Request::send(&client, b"first"), Request::send(&client, b"second"));
    let ticket = calls.recv_timeout(PATIENCE).unwrap();
    responder.resume();
    assert_eq!(responder.answer(ticket, message(b"answer")), None);
    assert_eq!(first.answer().body(), b"answer");
    assert!(calls.recv_timeout(Duration::from_millis(20)).is_err());
}

#[test]
fn a_message_that_finds_no_room_comes_back() {
    let library = library();
    let socket = Socket::open(&library, Protocol::Push).unwrap();
    let (why, back) = socket.try_send(message(b"first")).unwrap_err();
    assert_eq!((why, back.body()), (SendError::Full, &b"first"[..]));
    socket.set_send_buffer(1).unwrap();
    socket.try_send(back).unwrap();
    let (why, back) = socket.try_send(message(b"second")).unwrap_err();
    assert_eq!((why, back.body()), (SendError::Full, &b"second"[..]));
    let socket = Socket::open(&library, Protocol::Pull).unwrap();
    let (why, back) = socket.try_send(back).unwrap_err();
    let SendError::Other(error) = why else { panic!("{why:?}") };
    assert_eq!((error.status(), back.body()), (Status::Unsupported, &b"second"[..]));
}

#[test]
fn an_oversize_message_ends_its_connection() {
    let library = library();
    let (server, events) = open(&library, Protocol::Pull, true);
    server.set_max_message(16).unwrap();
    let (_receiver, letters) = take_all(&server);
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    client.dial(&url).unwrap();
    client.send(&[1; 16]);
    assert_eq!(letters.recv_timeout(PATIENCE).unwrap().body(), [1; 16]);
    client.send(&[2; 17]);
    wait_for(&events, PipeEvent::Removed);
    assert!(letters.try_recv().is_err());
}

#[test]
fn what_is_queued_for_subscribers_is_counted() {
    let library = library();
    let (server, events) = open(&library, Protocol::Pub, true);
    let zero = QueueCounts { direct: 0, queued: 0, discarded: 0 };
    assert_eq!(server.queue_counts(), Some(zero));
    server.try_send(message(b"nobody")).unwrap();
    assert_eq!(server.queue_counts(), Some(QueueCounts { discarded: 1, ..zero }));
    let url = server.bind("inproc://counted").unwrap();
    let client = Socket::open(&library, Protocol::Sub).unwrap();
    client.dial(&url).unwrap();
    wait_for(&events, PipeEvent::Added);
    for _ in 0..10 {
        server.try_send(message(b"one")).unwrap();
    }
    let counts = server.queue_counts().unwrap();
    assert_eq!(counts.direct + counts.queued, 10);
    assert!(counts.direct >= 1);
    assert_eq!(Socket::open(&library, Protocol::Pull).unwrap().queue_counts(), None);
}

#[test]
fn a_timer_calls_once_for_each_start() {
    let library = library();
    let (post, calls) = channel();
    let timer = Timer::new(&library, move || post.send(Instant::now()).unwrap()).unwrap();
    for wait in [0, 1, 30] {
        let wait = Duration::from_millis(wait);
        let begin = Instant::now();
        timer.start(wait);
        let called = calls.recv_timeout(PATIENCE).unwrap();
        // NNG counts whole milliseconds from one that has begun.
        assert!(called >= begin + wait.saturating_sub(Duration::from_millis(1)), "{:?}", called - begin);
    }
    assert!(calls.recv_timeout(Duration::from_millis(20)).is_err());
    timer.start(PATIENCE * 10);
    // Of no effect: it runs.
    timer.start(Duration::ZERO);
    assert!(calls.recv_timeout(Duration::from_millis(20)).is_err());
    let begin = Instant::now();
    drop(timer);
    assert!(begin.elapsed() < PATIENCE);
    assert!(calls.try_recv().is_err());
}

#[test]
fn a_timer_started_while_its_function_runs_calls_it_again() {
    let library = library();
    let (post, calls) = channel();
    let (go_on, may_go_on) = channel();
    let function = move || {
        post.send(()).unwrap();
        may_go_on.recv().unwrap();
    };
    let timer = Timer::new(&library, function).unwrap();
    timer.start(Duration::ZERO);
    for _ in 0..3 {
        calls.recv_timeout(PATIENCE).unwrap();
        timer.start(Duration::ZERO);
        // It is not called twice at a time.
        assert!(calls.recv_timeout(Duration::from_millis(10)).is_err());
        go_on.send(()).unwrap();
    }
    calls.recv_timeout(PATIENCE).unwrap();
    go_on.send(()).unwrap();
    assert!(calls.recv_timeout(Duration::from_millis(10)).is_err());
}

#[test]
fn a_panic_in_a_function_stops_what_called_it_and_nothing_else() {
    let library = library();
    // A connection.
    let mut server = Socket::open(&library, Protocol::Pull).unwrap();
    let (post, events) = channel();
    server
        .on_pipe(move |event, pipe| {
            let _ = post.send((event, pipe.id()));
            panic!("on purpose, in on_pipe")
        })
        .unwrap();
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    let _ = client.dial(&url);
    let (event, pipe) = events.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event, PipeEvent::Adding);
    while refused(&events) != pipe {}
    drop(client);
    // A receiver.
    let server = Socket::open(&library, Protocol::Pull).unwrap();
    let (post, calls) = channel();
    let receiver = Receiver::new(&server, move |_| {
        post.send(()).unwrap();
        panic!("on purpose, in a receiver")
    })
    .unwrap();
    let url = server.bind("tcp://127.0.0.1:0").unwrap();
    let client = Socket::open(&library, Protocol::Push).unwrap();
    client.dial(&url).unwrap();
    client.send(b"first");
    calls.recv_timeout(PATIENCE).unwrap();
    client.send(b"second");
    receiver.resume();
    assert!(calls.recv_timeout(Duration::from_millis(20)).is_err());
    // Another one of the same socket gets what the first one left.
    let (_receiver, letters) = take_all(&server);
    assert_eq!(letters.recv_timeout(PATIENCE).unwrap().body(), b"second");
    // A timer.
    let (post, calls) = channel();
    let timer = Timer::new(&library, move || {
        post.send(()).unwrap();
        panic!("on purpose, in a timer")
    })
    .unwrap();
    timer.start(Duration::ZERO);
    calls.recv_timeout(PATIENCE).unwrap();
    timer.start(Duration::ZERO);
    assert!(calls.recv_timeout(Duration::from_millis(20)).is_err());
}

#[test]
fn an_address_that_is_taken_is_in_use() {
    let (library, dir) = (library(), Directory::new());
    for url in &addresses(&dir, "taken")[..3] {
        let first = Socket::open(&library, Protocol::Pub).unwrap();
        let url = first.bind(url).unwrap();
        let second = Socket::open(&library, Protocol::Pub).unwrap();
        let error = second.bind(&url).unwrap_err();
        assert_eq!(error, Error::new(Status::InUse, format!("address in use: {url}")));
        drop(first);
        // Somebody else may have the port by now.
        if !url.starts_with("tcp:") {
            second.bind(&url).unwrap();
        }
    }
    // One port may have many of these, at paths of their own.
    let first = Socket::open(&library, Protocol::Pub).unwrap();
    let url = first.bind("ws://127.0.0.1:0/one").unwrap();
    let second = Socket::open(&library, Protocol::Pub).unwrap();
    assert_eq!(second.bind(&url).unwrap_err().status(), Status::InUse);
    second.bind(&url.replace("/one", "/two")).unwrap();
}

#[test]
fn an_address_that_is_not_possible_says_so() {
    let (library, dir) = (library(), Directory::new());
    let socket = Socket::open(&library, Protocol::Pub).unwrap();
    let long = format!("ipc:///{}", "x".repeat(120));
    let longer = format!("ipc:///{}", "x".repeat(200));
    let nowhere = format!("ipc://{}", dir.path("no/such/directory"));
    for (url, status) in [
        ("tcp://127.0.0.1:99999", Status::Url),
        ("tcp://127.0.0.1:1/path", Status::Url),
        ("tcp://a\0b:1", Status::Url),
        ("nonsense", Status::Unsupported),
        ("tcp://192.0.2.1:1", Status::Io),
        (&nowhere, Status::NotFound),
        (&long, Status::Io),
        (&longer, Status::Url),
    ] {
        let error = socket.bind(url).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.to_string().contains(url) || url.contains('\0'), "{error}");
    }
    assert_eq!(socket.set_send_buffer(1 << 20).unwrap_err().to_string(), "invalid argument: 1048576 messages");
}

#[test]
fn a_warning_is_one_once() {
    use sys::nng_log_level as L;
    let first = severity(L::NNG_LOG_WARN, "TEST-A");
    assert_eq!((first, severity(L::NNG_LOG_WARN, "TEST-A")), (Level::Warn, Level::Debug));
    assert_eq!(severity(L::NNG_LOG_WARN, "TEST-B"), Level::Warn);
    for _ in 0..2 {
        assert_eq!(severity(L::NNG_LOG_ERR, "TEST-A"), Level::Error);
        assert_eq!(severity(L::NNG_LOG_NOTICE, "TEST-C"), Level::Debug);
    }
}

#[test]
fn threads_run_while_there_is_a_library_and_get_no_signals() {
    in_a_process_of_its_own("threads_run_while_there_is_a_library_and_get_no_signals", || {
        assert_eq!(threads(), [""; 0]);
        let before = descriptors();
        for _ in 0..20 {
            let first = Library::start().unwrap();
            let second = first.clone();
            let socket = Socket::open(&second, Protocol::Pub).unwrap();
            socket.bind("tcp://127.0.0.1:0").unwrap();
            let timer = Timer::new(&second, || {}).unwrap();
            drop((first, second));
            // They name themselves when they begin.
            until("all threads", || threads() == THREADS);
            for task in fs::read_dir("/proc/self/task").unwrap() {
                let task = task.unwrap().path();
                if !fs::read_to_string(task.join("comm")).unwrap().starts_with("nng:") {
                    continue;
                }
                let status = fs::read_to_string(task.join("status")).unwrap();
                let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
                let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1, libc::SIGPIPE, libc::SIGALRM]
                {
                    assert_eq!(blocked >> (signal - 1) & 1, 1, "signal {signal}");
                }
            }
            drop(socket);
            assert_eq!(threads(), THREADS);
            drop(timer);
            until_no_threads();
            assert_eq!(descriptors(), before);
        }
    });
}

#[test]
fn a_thousand_sockets_leave_nothing() {
    in_a_process_of_its_own("a_thousand_sockets_leave_nothing", || {
        let (library, dir) = (library(), Directory::new());
        let urls = addresses(&dir, "thousand");
        let cycle = |url: &str| {
            let (server, events) = open(&library, Protocol::Pull, true);
            let (_receiver, letters) = take_all(&server);
            let url = server.bind(url).unwrap();
            let client = Socket::open(&library, Protocol::Push).unwrap();
            client.dial(&url).unwrap();
            client.send(b"work");
            letters.recv_timeout(PATIENCE).unwrap();
            wait_for(&events, PipeEvent::Added);
            drop(server);
        };
        for url in &urls {
            cycle(url);
        }
        // What a closed connection held is closed by another thread, now or later.
        let before = descriptors();
        for round in 0..250 {
            urls.iter().for_each(|url| cycle(url));
            if round % 50 == 0 {
                until("no more descriptors", || descriptors() <= before);
            }
        }
        until("no more threads and descriptors", || threads() == THREADS && descriptors() <= before);
    });
}

#[test]
fn in_a_forked_child_nothing_works_and_nothing_ends_it() {
    in_a_process_of_its_own("in_a_forked_child_nothing_works_and_nothing_ends_it", || {
        let library = library();
        let (socket, events) = open(&library, Protocol::Pull, true);
        let (receiver, letters) = take_all(&socket);
        let timer = Timer::new(&library, || {}).unwrap();
        let url = socket.bind("tcp://127.0.0.1:0").unwrap();
        // SAFETY: the child allocates, which this system allows, and ends with _exit.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let works = || {
                let failures = [
                    Library::start().map(drop),
                    Socket::open(&library, Protocol::Pub).map(drop),
                    socket.bind("inproc://child").map(drop),
                    Receiver::new(&socket, |_| true).map(drop),
                    Timer::new(&library, || {}).map(drop),
                ];
                let refused = failures.iter().all(|result| result.as_ref().is_err_and(|e| e.status() == Status::State));
                let sent = socket.try_send(message(b"from a child"));
                receiver.resume();
                timer.start(Duration::ZERO);
                refused && matches!(sent, Err((SendError::Closed, _))) && socket.queue_counts().is_none()
            };
            let good = works();
            drop(library.clone());
            drop((receiver, timer, socket, library));
            // SAFETY: ends the process.
            unsafe { libc::_exit(if good { 7 } else { 8 }) };
        }
        let mut status = 0;
        // SAFETY: `status` is writable, and the child ours.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:x}");
        // The parent goes on.
        let client = Socket::open(&library, Protocol::Push).unwrap();
        client.dial(&url).unwrap();
        client.send(b"work");
        assert_eq!(letters.recv_timeout(PATIENCE).unwrap().body(), b"work");
        wait_for(&events, PipeEvent::Added);
        drop((client, receiver, timer, socket, library));
        until_no_threads();
    });
}

#[test]
fn a_program_that_has_started_nng_keeps_it() {
    in_a_process_of_its_own("a_program_that_has_started_nng_keeps_it", || {
        // SAFETY: no library here has started it.
        check(unsafe { sys::nng_init(std::ptr::null()) }.0 as c_int, "NNG").unwrap();
        for _ in 0..2 {
            let library = library();
            let (server, events) = open(&library, Protocol::Pub, true);
            let url = server.bind("tcp://127.0.0.1:0").unwrap();
            let client = Socket::open(&library, Protocol::Sub).unwrap();
            client.dial(&url).unwrap();
            wait_for(&events, PipeEvent::Added);
        }
        assert_ne!(threads(), [""; 0]);
        // SAFETY: the last user of it.
        unsafe { sys::nng_fini() };
        until_no_threads();
    });
}
