//! Clients of gateways that send anything to a hub.

use super::*;

/// What its clients may ask for there.
fn site(gateway: Gateway) -> Site {
    let only = gateway.role.speaks();
    Site { path: "/".into(), only: (!gateway.structured).then_some(only), ..Site::default() }
}

/// The request of a program for a WebSocket of this gateway.
fn upgrade(gateway: Gateway) -> Vec<u8> {
    let mut request = Vec::new();
    Request::write("hub", "/", &gateway.role.speaks().subprotocol(), [7; 16], &mut request);
    request
}

/// A client of a gateway, and what a hub owes it.
struct Door {
    conn: ConnId,
    gateway: Gateway,
    framing: Framing,
    masks: Masks,
    /// What it is going to send: its header, or its request, first.
    unsent: Vec<u8>,
    /// Whether it takes part, and what it has not got of the hub's header, or answer.
    joined: bool,
    header: Vec<u8>,
    /// Bodies that the hub is to count, in all that it sends.
    published: u64,
    /// The traces of what is not answered yet.
    traces: VecDeque<Vec<u8>>,
    /// Of what the hub sends.
    decoder: Decoder,
    frames: u64,
    /// For each key the data that came since a client asked for everything; `None` if none did.
    newest: Option<BTreeMap<(String, String), Vec<u8>>>,
}

impl Door {
    fn new(conn: ConnId, gateway: Gateway, framing: Framing) -> Door {
        let (unsent, header) = if framing.is_ws() {
            let (request, mut answer) = (upgrade(gateway), Vec::new());
            serve(&site(gateway), &request, 0, &mut answer).expect("it is granted");
            (request, answer)
        } else {
            (gateway_header(gateway.role.hears()).to_vec(), gateway_header(gateway.role.speaks()).to_vec())
        };
        Door {
            conn,
            gateway,
            framing,
            masks: Masks::new([conn.0 as u8; 16]),
            joined: false,
            header,
            unsent,
            published: 0,
            traces: VecDeque::new(),
            decoder: Decoder::new(if framing.is_ws() { Framing::WsClient } else { framing }, usize::MAX),
            frames: 0,
            newest: (gateway.role == Role::Pub).then(BTreeMap::new),
        }
    }

    /// Whether it gets structured states: not at an address for all.
    fn structured(&self) -> bool {
        self.gateway.structured && !self.framing.is_ws()
    }

    /// What a hub is told of its connection.
    fn info(&self) -> ConnInfo {
        let web = self.framing.is_ws().then(|| Web::Site(Arc::new(site(self.gateway))));
        // At an address for all, a WebSocket's request says which gateway it is for; those have no options.
        let gateway = (web.is_none() || !self.gateway.structured).then_some(self.gateway);
        ConnInfo { framing: self.framing, from: Door::from(self.conn), host: None, gateway, web }
    }

    fn from(conn: ConnId) -> String {
        format!("gateway {}", conn.0)
    }

    /// One more message, where frames of at most `max` bytes are taken.
    fn says(&mut self, rng: &mut Rng, max: usize) {
        let message = match self.gateway.role.answers() {
            true => [any_trace(rng), any_request(rng)].concat(),
            false => any_request(rng),
        };
        self.published += u64::from(self.asks(&message, max));
        if self.framing.is_ws() {
            ws::message(&[&message], &mut self.masks, &mut self.unsent);
            if rng.one_in(4) {
                ws::ping(Some(&mut self.masks), &mut self.unsent);
            }
        } else {
            self.unsent.extend_from_slice(&frame_head(self.framing, message.len()));
            self.unsent.extend(message);
        }
    }

    /// It sends what it has to, a client perhaps not all of it, as long as the hub reads.
    fn writes(&mut self, router: &mut Router, now: Now, rng: &mut Rng) {
        while !self.unsent.is_empty() && router.reads(self.conn) && !rng.one_in(8) {
            let most = if rng.one_in(2) { self.unsent.len() } else { 1 + rng.index(self.unsent.len()) };
            let piece: Vec<u8> = self.unsent.drain(..most).collect();
            router.bytes(now, self.conn, &piece);
        }
    }

    /// It sends this message. Whether the hub is to count a body.
    fn asks(&mut self, message: &[u8], max: usize) -> bool {
        if message.len() > max {
            return true;
        }
        match (self.gateway.role, trace_len(message)) {
            (Role::Pub, _) => false,
            (Role::Pull, _) | (Role::Rep | Role::Respondent, None) => true,
            (role, Some(len)) => {
                let (trace, asks) = message.split_at(len);
                self.traces.push_back(trace.to_vec());
                role == Role::Rep && queries::parse(asks) == Ok(Query::Publish)
            }
        }
    }

    /// Whether it has everything, in both directions.
    fn is_done(&self, router: &Router) -> bool {
        self.unsent.is_empty() && router.reads(self.conn)
    }

    /// The hub writes it at most `most` bytes, once. How many it wrote.
    fn reads(&mut self, router: &mut Router, now: Now, most: usize) -> usize {
        let mut slices: Vec<IoSlice> = Vec::new();
        router.gather(now, self.conn, &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        if !bytes.is_empty() {
            router.wrote(now, self.conn, bytes.len());
            self.gets(&bytes, router.config());
        }
        bytes.len()
    }

    /// The hub has written this to it.
    fn gets(&mut self, bytes: &[u8], config: &RouterConfig) {
        let (header, bytes) = bytes.split_at(self.header.len().min(bytes.len()));
        if !self.header.starts_with(header) {
            let full = b"HTTP/1.1 503 Service Unavailable\r\n";
            return assert!(header.starts_with(full) || full.starts_with(header), "{header:?}");
        }
        self.header.drain(..header.len());
        let (mut rest, mut decoder) = (bytes, mem::replace(&mut self.decoder, Decoder::InUse));
        loop {
            let next = decoder.next(&mut rest);
            let frame = match &next {
                Ok(Some(Frame::Body(frame))) => frame,
                Ok(Some(Frame::Large(frame))) => &frame[..],
                Ok(None) => break,
                // The hub is full.
                Err(error) if error.is_close() => return,
                other => panic!("{other:?}"),
            };
            self.frames += 1;
            if self.gateway.role.answers() {
                let trace = self.traces.pop_front().expect("an answer to each request, and no more");
                let answer = frame.strip_prefix(&trace[..]).expect("in the order of the requests");
                let kind = wire::check(answer).unwrap_or_else(|why| panic!("{why}: {answer:02x?}"));
                assert!(frame.len() <= config.legacy_max, "an answer of {} bytes", answer.len());
                assert!(self.gateway.role == Role::Rep || kind == Kind::Map);
                continue;
            }
            assert_eq!(self.gateway.role, Role::Pub, "only who listens is sent states");
            let nul = frame.iter().position(|&byte| byte == 0).expect("a NUL behind the name");
            let (name, bytes) = (&frame[..nul], &frame[nul + 1..]);
            let body = wire::decode(bytes, Form::Old).unwrap_or_else(|why| panic!("{why}: {frame:02x?}"));
            assert!(body.canonical && !body.is_reserved() && name == body.name().as_bytes());
            assert!(body.kind.is_plain() || self.structured() || config.legacy_structured, "{:?}", body.kind);
            assert!(gateway::prefix_len(body.name()) + bytes.len() <= config.legacy_max, "{} bytes", bytes.len());
            if let Some(newest) = &mut self.newest {
                newest.insert((body.sender().to_owned(), body.name().to_owned()), body.data.to_vec());
            }
        }
        self.decoder = decoder;
    }

    /// Everything was written: a client that asked for everything has it.
    fn check_drained(&self, router: &Router) {
        let whole = !self.decoder.unfinished() && self.header.is_empty();
        assert!(whole && self.traces.is_empty(), "whole frames, and an answer to each request");
        let Some(newest) = &self.newest else { return };
        let config = router.config();
        // Their form has no word for a value that was withdrawn.
        let allowed = |entry: &&Entry| {
            !entry.is_cleared()
                && (entry.kind().is_plain() || self.structured() || config.legacy_structured)
                && gateway::prefix_len(entry.name()) + entry.meta_at() <= config.legacy_max
        };
        for entry in router.table().iter().filter(allowed) {
            let got = newest.get(&(entry.sender().to_owned(), entry.name().to_owned()));
            assert_eq!(got.map(Vec::as_slice), Some(entry.data()), "{:?} of {:?}", entry.name(), entry.sender());
        }
    }
}

/// How many bodies a hub has had, taken or not.
fn bodies(router: &Router) -> u64 {
    let stats = router.stats();
    let not_taken = stats.malformed + stats.reserved + stats.foreign_sender + stats.too_large;
    stats.messages_in + stats.stale + stats.refused + not_taken
}

#[test]
fn a_hub_bears_whatever_comes_in_by_its_gateways() {
    const OUTBOX: usize = 5000;
    const TABLE: usize = 60_000;
    const MAX: usize = 8000;
    /// More than the text of a fault.
    const LEGACY_MAX: usize = 5000;
    /// Messages in one read.
    const MESSAGES: usize = 4;
    each_seed(1_500, 500, |seed| {
        let mut rng = Rng::new(seed);
        let config = RouterConfig {
            max_message: MAX,
            legacy_max: LEGACY_MAX,
            max_peers: 10,
            outbox: rng.pick(&[0, 300, OUTBOX]),
            echo: rng.one_in(4),
            legacy_structured: rng.one_in(4),
            legacy_snapshot: rng.one_in(2),
            // A client may be slow with the rest of its frame.
            stalled_frame: Duration::from_secs(3600),
            ..RouterConfig::default()
        };
        let max_outbox = config.outbox;
        let max_message = config.max_message + limits::META_ROOM + gateway::MAX_TRACE;
        let mut router = Router::new(rng.instance(), config);
        let about = router.about_mut();
        (about.host, about.addresses) = ("host".into(), vec!["tcp://hub".into(), "ipc:///hub".into()]);
        (router.capacity_mut().bytes, router.capacity_mut().states) = (TABLE, 40);
        let mut now = sim::beginning(SEC);
        let (mut doors, mut strangers, mut next) = (Vec::<Door>::new(), Vec::new(), 0);
        // Peers that take part.
        let mut peers = 0;
        // Bodies of gateways and clients that the hub has counted; of those that are gone, how many there were at most.
        let (mut counted, mut gone) = (0, 0);
        for _ in 0..200 {
            now.mono += Duration::from_nanos(rng.below(200 * MS));
            now.wall = jumped(now.wall, &mut rng);
            now.boot += Duration::from_nanos(rng.below(400_000_000));
            match rng.below(16) {
                0 => {
                    next += 1;
                    let conn = ConnId(next);
                    let gateway = Gateway { role: rng.pick(&Role::ALL), structured: rng.one_in(2) };
                    let framing = rng.pick(&[Framing::Tcp, Framing::Ipc, Framing::WsServer]);
                    let door = Door::new(conn, gateway, framing);
                    router.opened(now, conn, door.info(), None);
                    doors.push(door);
                }
                1 => {
                    next += 1;
                    let conn = ConnId(next);
                    let framing = rng.pick(&FRAMINGS);
                    let role = rng.pick(&Role::ALL);
                    let wrong = client_header(&mut rng, role);
                    let gateway = (framing.has_handshake() && wrong != gateway_header(role.hears()))
                        .then_some(Gateway { role, structured: rng.one_in(2) });
                    let info = ConnInfo { framing, from: "a stranger".into(), host: None, gateway, web: None };
                    strangers.push(conn);
                    router.opened(now, conn, info, None);
                    if gateway.is_some() {
                        let state = body(Form::Old, "evil", "n0", &value(Kind::Text, 1, 5), &Meta::default());
                        let first = [&wrong[..], &frame_head(framing, state.len()), &state].concat();
                        let before = (router.stats().joined, router.stats().messages_in);
                        router.bytes(now, conn, &first);
                        assert_eq!((router.stats().joined, router.stats().messages_in), before, "it is not let in");
                    } else {
                        let (first, _) = chaos::attackers_header(&mut rng, framing);
                        router.bytes(now, conn, &first);
                    }
                }
                2 if !strangers.is_empty() => {
                    let conn = strangers.swap_remove(rng.index(strangers.len()));
                    router.closed(now, conn, Closed::ByPeer);
                }
                3 if !doors.is_empty() && rng.one_in(3) => {
                    let door = doors.swap_remove(rng.index(doors.len()));
                    gone += door.published;
                    router.closed(now, door.conn, Closed::ByPeer);
                }
                4 if router.is_due(now) => {
                    let before = bodies(&router);
                    router.tick(now);
                    counted += bodies(&router) - before;
                }
                5 | 6 if !strangers.is_empty() => {
                    let conn = rng.pick(&strangers);
                    let (framing, v1) = (rng.pick(&FRAMINGS), rng.one_in(2));
                    let bytes = chaos::attack(&mut rng, framing, v1);
                    router.bytes(now, conn, &bytes);
                }
                _ if !doors.is_empty() => {
                    let i = rng.index(doors.len());
                    let door = &mut doors[i];
                    for _ in 0..rng.index(MESSAGES + 1) {
                        door.says(&mut rng, max_message);
                    }
                    if !router.reads(door.conn) {
                        let goes_on = router.is_due(now);
                        let takes = !door.traces.is_empty() || !door.header.is_empty();
                        assert!(takes || goes_on, "only who has answers to take is not read");
                    }
                    let before = bodies(&router);
                    door.writes(&mut router, now, &mut rng);
                    counted += bodies(&router) - before;
                }
                _ => {}
            }
            while let Some(action) = router.next_action() {
                if let Action::Close(conn) = action {
                    strangers.retain(|&other| other != conn);
                    gone += doors.iter().find(|door| door.conn == conn).map_or(0, |door| door.published);
                    doors.retain(|door| door.conn != conn);
                }
            }
            while let Some(event) = router.next_event() {
                match event {
                    RouterEvent::Peer { event: PeerEvent::Joined, from, .. } => {
                        peers += 1;
                        let joined = doors.iter_mut().find(|door| Door::from(door.conn) == from);
                        joined.into_iter().for_each(|door| door.joined = true);
                    }
                    RouterEvent::Peer { event: PeerEvent::Left, .. } => peers -= 1,
                    RouterEvent::Peer { from, why, .. } => {
                        assert!(
                            matches!(why, Status::Full | Status::Timeout | Status::Closed) || from == "a stranger",
                            "{from}: {why:?}"
                        );
                    }
                    RouterEvent::Warning(text) => assert!(!text.contains(char::is_control), "{text:?}"),
                    RouterEvent::NoMemory(text) => panic!("{text}"),
                    RouterEvent::Info(_) | RouterEvent::Freed => {}
                }
            }
            for door in &mut doors {
                let most = rng.pick(&[0, 0, 1, 100, 3000, usize::MAX]);
                door.reads(&mut router, now, most);
            }
            for &conn in &strangers {
                let mut slices: Vec<IoSlice> = Vec::new();
                router.gather(now, conn, &mut slices);
                let n = slices.iter().map(|slice| slice.len()).sum::<usize>().min(rng.pick(&[0, 1, 3000]));
                if n > 0 {
                    router.wrote(now, conn, n);
                }
            }
            let rows: Vec<_> = router.peer_stats().collect();
            let stats = router.stats();
            assert!(rows.len() as u64 == stats.peers && stats.peers == peers && peers <= 10);
            assert_eq!(stats.malformed, stats.malformed_by.iter().sum::<u64>());
            let sum = |of: fn(&PeerStats) -> u64| rows.iter().map(of).sum::<u64>();
            assert!(sum(|row| row.messages_in) <= stats.messages_in && sum(|row| row.withheld) <= stats.withheld);
            assert!(sum(|row| row.messages_out) <= stats.messages_out && sum(|row| row.bytes_out) <= stats.bytes_out);
            assert!(sum(|row| row.malformed) <= stats.malformed && sum(|row| row.too_large) <= stats.too_large);
            for row in &rows {
                // What came in one read of an app, behind what may wait.
                assert!(row.outbox_bytes as usize <= OUTBOX + 4 * (LEGACY_MAX + 300), "{row:?}");
            }
            for door in doors.iter().filter(|door| door.joined) {
                let row = rows.iter().find(|row| row.from == Door::from(door.conn)).expect("it takes part");
                assert!(row.old && row.identity.is_empty());
                assert!(row.outbox_bytes as usize <= max_outbox + LEGACY_MAX + 300, "one answer or state: {row:?}");
                let is_pub = door.gateway.role == Role::Pub;
                assert!(if is_pub { row.messages_out >= door.frames } else { row.messages_out == 0 });
                assert!(is_pub || (row.live && row.withheld == 0 && row.conflated == 0));
                assert!(!is_pub || row.messages_in == 0);
            }
            let table = router.table();
            assert!(table.bytes() <= TABLE && table.len() <= 40);
            for entry in table.iter() {
                let body = wire::decode(entry.bytes(), Form::V1).expect("the table holds valid bodies");
                assert_eq!((body.sender(), body.name(), body.kind), (entry.sender(), entry.name(), entry.kind()));
            }
        }
        // Everything is said and answered.
        for turn in 0.. {
            assert!(turn < 100_000, "it comes to an end");
            let before = bodies(&router);
            for door in &mut doors {
                door.writes(&mut router, now, &mut rng);
                while door.reads(&mut router, now, usize::MAX) > 0 {}
            }
            let goes_on = router.is_due(now);
            if goes_on {
                router.tick(now);
            }
            counted += bodies(&router) - before;
            let mut closed = Vec::new();
            while let Some(action) = router.next_action() {
                closed.extend(matches!(action, Action::Close(_)).then_some(action));
            }
            let is_closed = |door: &Door| closed.contains(&Action::Close(door.conn));
            gone += doors.iter().filter(|door| is_closed(door)).map(|door| door.published).sum::<u64>();
            doors.retain(|door| !is_closed(door));
            if !goes_on && doors.iter().all(|door| door.is_done(&router)) {
                break;
            }
        }
        for door in &mut doors {
            while door.reads(&mut router, now, usize::MAX) > 0 {}
            door.check_drained(&router);
        }
        let published = doors.iter().map(|door| door.published).sum::<u64>();
        assert!((published..=published + gone).contains(&counted), "each body counts once: {counted} of {published}");
        for conn in doors.iter().map(|door| door.conn).chain(strangers) {
            router.closed(now, conn, Closed::ByPeer);
        }
        while router.next_action().is_some() {}
        now.mono += Duration::from_secs(25 * 3600);
        router.tick(now);
        let stats = router.stats();
        assert_eq!((stats.peers, stats.states, stats.table_bytes, stats.unfinished_bytes), (0, 0, 0, 0));
        assert_eq!(router.deadline(), None);
    });
}
