//! Addresses, hubs that end, clients that come again, and what is left behind.

use super::*;

#[test]
fn an_address_in_use_is_refused_by_name_and_the_hub_goes_on() {
    for place in [Place::Tcp, Place::Ipc, Place::Ws] {
        let site = Site::new();
        let url = site.open("rep", place);
        let other = Site::new();
        for hub in [&site.hub, &other.hub] {
            for role in ["rep", "pub"] {
                let address = format!("{role}+{url}");
                let error = hub.listen(&address).unwrap_err();
                assert_eq!(error.status(), Status::InUse, "{error}");
                assert!(error.to_string().starts_with(&format!("address in use: {address}")), "{error}");
            }
        }
        for site in [&site, &other] {
            let ours = app("ours", &site.url);
            send(&ours, "still", "here");
            ours.flush(Some(PATIENCE)).unwrap();
        }
        let mut req = Client::start(Library::Nng, "req", &url);
        assert_eq!(req.request(json!(["get", "still"])), json!(["ours", "still", "here"]));
        let mut req = Client::start(Library::Nng, "req", &other.open("rep", Place::Tcp));
        assert_eq!(req.request(json!(["get", "still"])), json!(["ours", "still", "here"]));
    }
}

#[test]
fn a_gateway_does_not_take_the_address_of_apps_nor_the_other_way_round() {
    for place in [Place::Tcp, Place::Ipc] {
        let site = Site::new();
        let taken = match place {
            Place::Ipc => {
                let url = site.dir.ipc();
                site.hub.listen(&url).unwrap();
                url
            }
            _ => site.url.clone(),
        };
        let error = site.hub.listen(&format!("pull+{taken}")).unwrap_err();
        assert!(error.to_string().starts_with(&format!("address in use: pull+{taken}")), "{error}");
        let gateway = site.open("pull", place);
        let error = site.hub.listen(&gateway).unwrap_err();
        assert!(error.to_string().starts_with(&format!("address in use: {gateway}")), "{error}");
        let ours = app("ours", &taken);
        let mut push = Client::start(Library::Nng, "push", &gateway);
        push.process.tell("text x y");
        receive(&ours, "client", "x");
    }
}

#[test]
fn the_socket_of_a_gateway_has_its_mode_and_goes_with_the_hub() {
    for mode in [0o600, 0o660] {
        let site = Site::with(&[(HubOption::IpcMode, mode)]);
        let url = site.open("rep", Place::Ipc);
        let path = PathBuf::from(url.strip_prefix("ipc://").unwrap());
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(i64::from(metadata.permissions().mode() & 0o777), mode);
        // A socket file that a killed hub left behind is replaced: no process holds its lock.
        let Site { hub, dir, .. } = site;
        drop(hub);
        assert!(fs::symlink_metadata(&path).is_err(), "it left its socket behind");
        // It never listened: a program that another test is just starting has a copy of it, for a moment.
        let left = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        left.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        drop(left);
        let (hub, _) = support::hub("tcp://127.0.0.1:0");
        hub.listen(&format!("rep+{url}")).unwrap();
        let mut req = Client::start(Library::Nng, "req", &url);
        assert_eq!(req.request(json!(["peers"])), json!([]));
        drop(dir);
    }
}

#[test]
fn a_hub_that_ends_while_it_is_asked_ends_at_once_and_its_clients_see_it() {
    for place in [Place::Tcp, Place::Ipc] {
        let site = Site::new();
        let rep = site.open("rep", place);
        let mut reqs = Process::run(&peer_program("nng_reqs", "-lnng"), [&rep, "50", "1000000"]);
        let mut others: Vec<_> = [("sub", "pub"), ("push", "pull"), ("surveyor", "respondent")]
            .map(|(pattern, role)| Client::start(Library::Nng, pattern, &site.open(role, place)))
            .into();
        reqs.line("that it asks", |line| line == "round 3");
        let Site { hub, dir, .. } = site;
        // In a thread of its own: a test that hangs tells nothing.
        let end = thread::spawn(move || drop(hub));
        until("the end of the hub", || end.is_finished());
        end.join().unwrap();
        reqs.line("the end of the connections", |line| line == "gone");
        assert_eq!(reqs.ended().code(), Some(0));
        for other in &mut others {
            other.process.line_from(&mut other.at, "the end of the connection", |line| line == "gone");
        }
        drop(dir);
    }
}

#[test]
fn clients_connect_again_when_a_hub_was_away() {
    for place in [Place::Tcp, Place::Ipc, Place::Ws] {
        let dir = TempDir::new();
        let (hub, url) = hub(&Transport::Tcp.free(&dir));
        let site = Site { hub, url, dir };
        let urls = ["pub", "pull", "rep", "respondent"].map(|role| (role, site.open_for_long(role, place)));
        let [mut sub, mut push, mut req, mut surveyor] = ["sub", "push", "req", "surveyor"]
            .into_iter()
            .zip(&urls)
            .map(|(pattern, (_, url))| Client::start(Library::Nng, pattern, url))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| unreachable!());
        let Site { hub, url, dir } = site;
        drop(hub);
        for client in [&mut sub, &mut push, &mut req, &mut surveyor] {
            client.process.line_from(&mut client.at, "the end of the connection", |line| line == "gone");
        }
        // Asked while no subscriber is there.
        req.say(&msgpack(&json!(["peers"])));

        let (hub, _) = support::hub(&url);
        for (role, url) in &urls {
            hub.listen(&format!("{role}+{url}")).unwrap();
        }
        let ours = app("ours", &url);
        for client in [&mut sub, &mut push, &mut surveyor] {
            let what = format!("that it is connected again over {place:?}");
            client.process.line_from(&mut client.at, &what, |line| line == "connected");
        }
        let peers = read(&req.message());
        assert!(peers == json!([]) || peers == json!(["ours"]), "{peers}");
        send(&ours, "x", "to all");
        sub.state(json!(["ours", "x", "to all"]));
        push.process.tell("text y from one");
        assert_eq!(receive(&ours, "client", "y").text().unwrap(), "from one");
        assert_eq!(surveyor.ask(b"who")["hub"], "nanostate");
        drop(dir);
    }
}

#[test]
fn a_survey_finds_every_hub() {
    let sites: Vec<_> = (0..3).map(|_| Site::new()).collect();
    let places = [Place::Tcp, Place::Ipc, Place::Ws];
    let urls: Vec<_> = sites.iter().zip(places).map(|(site, place)| site.open("respondent", place)).collect();
    let mut surveyor = Client::start(Library::Nng, "surveyor", &urls.join(","));
    surveyor.say(b"who");
    let found: BTreeSet<_> = (0..3).map(|_| read(&surveyor.message())["addresses"][0].to_string()).collect();
    assert_eq!(found, sites.iter().map(|site| json!(site.url).to_string()).collect());
}

#[test]
fn a_client_of_another_pattern_is_turned_away() {
    let site = Site::new();
    let program = peer_program("nng_client", "-lnng");
    for (pattern, role) in [("sub", "pull"), ("push", "rep"), ("req", "respondent"), ("surveyor", "pub")] {
        let url = site.open(role, Place::Tcp);
        let client = Process::run(&program, [pattern, &url, "client"]).wait();
        assert!(client.code == Some(1) && client.stdout.is_empty(), "{client:?}");
        assert!(client.stderr[0].ends_with("Connection shutdown"), "{client:?}");
    }
    assert!(site.stats().refused_peers >= 4 && site.stats().peers == 0);
    // An app is none, either.
    let url = site.open("pub", Place::Tcp);
    let lost = nanostate::App::new("lost").unwrap();
    lost.connect(Some(&url)).unwrap();
    let mut sub = Client::start(Library::Nng, "sub", &url);
    let ours = app("ours", &site.url);
    send(&ours, "x", "y");
    sub.state(json!(["ours", "x", "y"]));
    assert_ne!(lost.link(), nanostate::LinkState::Connected);
}

#[test]
fn gateways_that_open_and_close_leave_no_thread_and_no_descriptor_behind() {
    let dir = TempDir::new();
    let mut command = Command::new(c_program("gateway_cycles"));
    command.arg("1000").arg(dir.path());
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

fn nothing_leaks_in(cycles: &str) {
    let dir = TempDir::new();
    let mut command = build::valgrind();
    command.arg(c_program("gateway_cycles")).arg(cycles).arg(dir.path());
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn gateways_that_open_and_close_leak_nothing_under_valgrind() {
    nothing_leaks_in("60");
}

#[test]
#[ignore = "for make test-long"]
fn gateways_that_open_and_close_a_thousand_times_leak_nothing_under_valgrind() {
    nothing_leaks_in("1000");
}

/// The threads of a process, without that of the log, which the first line starts; one that has just begun has the name
/// of its parent.
fn threads(process: &Process) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let name = |path: PathBuf| Some(fs::read_to_string(path.join("comm")).ok()?.trim_end().to_owned());
    let mut names: Vec<_> =
        tasks.filter_map(|task| name(task.unwrap().path())).filter(|name| name != "ns-log").collect();
    names.sort();
    names
}

#[test]
fn a_gateway_needs_no_thread_of_its_own() {
    const OWN: [&str; 3] = ["nanostate", "nanostate-hub", "signals"];
    let (hub, _) = support::Cli::hub(&["tcp://127.0.0.1:0"]);
    until("the threads of a hub", || threads(&hub) == OWN);
    let gateways =
        ["tcp://127.0.0.1:0", "pub+tcp://127.0.0.1:0", "rep+tcp://127.0.0.1:0", "pub+ws://127.0.0.1:0/states"];
    let (hub, _) = support::Cli::hub(&gateways);
    until("the threads of a hub", || threads(&hub) == OWN);
}

// ---- browsers

/// What a PUB gateway answers to a WebSocket that says this of itself: everything until it closes, or until `enough`.
fn web_socket(url: &str, host: &str, more: &str, enough: &[u8]) -> Vec<u8> {
    let (authority, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: pub.sp.nanomsg.org\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !answer.windows(enough.len()).any(|part| part == enough) {
        match stream.read(&mut buffer) {
            // A connection with something unread in it is reset.
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
        }
    }
    answer
}

#[test]
fn a_page_of_another_origin_gets_nothing_over_a_web_socket() {
    let site = Site::new();
    let ours = app("ours", &site.url);
    send(&ours, "secret", "none of a page's business");
    ours.flush(Some(PATIENCE)).unwrap();
    let url = site.open("pub", Place::Ws);
    let own = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    let secret = b"none of a page's business";
    let gets = |origin: &str| {
        let answer = web_socket(&url, own, origin, secret);
        answer.windows(secret.len()).any(|part| part == secret)
    };
    // Nobody but a browser sends one.
    assert!(gets(""));
    assert!(gets(&format!("Origin: http://{own}\r\n")));
    // Those of this machine may read.
    for origin in ["https://127.0.0.1", "http://127.0.0.1:1", "http://localhost"] {
        assert!(gets(&format!("Origin: {origin}\r\n")), "{origin}");
    }
    for origin in ["http://evil.example", "null", "file://", "http://localhost.evil.example"] {
        assert!(!gets(&format!("Origin: {origin}\r\n")), "{origin}");
    }
}

// ---- the command line
