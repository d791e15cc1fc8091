//! A hub under attack, with an honest pair beside the attackers.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::super::super::gateway::Gateway;
use super::super::super::Web;
use super::super::turns::TURN;
use super::*;
use crate::effort;
use crate::framing::http::server::Site;
use crate::framing::{gateway_header, Decoder, Version};
use crate::wire::{Kind, Value};

/// What a driver reads of one connection at a time.
pub const READ: usize = 64 << 10;

/// What one call to the engine may cost in nearly all attacks, in steps. What is charged to a turn is in larger steps: one
/// in which a value is found and written counts for six here.
pub const CALL: usize = 8 * TURN;

/// The honest apps send each other values of this kind, which attackers neither send nor take.
const KIND: Kind = Kind::Bytes;
const VALUE: usize = 64;
const PAIR: [u64; 2] = [1, 2];
/// An honest app that sends large values, if it has joined.
const LARGE: u64 = 3;

/// What a hub holds may be so much more than its limit: a tenth, as the page of the benchmark says.
const fn most_memory(limit: usize) -> usize {
    limit + limit / 10
}

/// A hub, an honest pair, and the part of a driver: it hands bytes to the hub, carries out its actions, and lets it have
/// its turns. What each call costs is counted from [`Storm::begins`] on.
pub struct Storm {
    row: &'static str,
    pub router: Router,
    pub now: Now,
    /// What the hub has told its owner since the storm began: each may be a line of the log.
    pub events: usize,
    /// The connections that the hub has closed.
    pub cut: BTreeSet<ConnId>,
    honest: [Honest; 2],
    sent: u64,
    /// The bytes that each connection still takes; as many as there are, if it is not in here.
    takes: HashMap<ConnId, usize>,
    writes: VecDeque<ConnId>,
    begun: bool,
    /// The most that a call has cost, and the most that a tick has.
    most: [usize; 2],
}

/// What an honest app has received.
struct Honest {
    decoder: Decoder,
    newest: u64,
    large: usize,
    pings: Vec<u64>,
}

impl Storm {
    /// A storm as in the row of this name, with a hub that may hold so many bytes.
    pub fn of(row: &'static str, memory: usize, config: RouterConfig) -> Storm {
        let honest = PAIR.map(|_| Honest {
            decoder: Decoder::new(Framing::Tcp, usize::MAX),
            newest: 0,
            large: 0,
            pings: Vec::new(),
        });
        let mut storm = Storm {
            row,
            router: Router::new(Instance([9; 16]), RouterConfig { memory, ..config }),
            now: Now { mono: MonoTime::from_nanos(1), ..Now::default() },
            events: 0,
            cut: BTreeSet::new(),
            honest,
            sent: 0,
            takes: HashMap::new(),
            writes: VecDeque::new(),
            begun: false,
            most: [0; 2],
        };
        // Most of its apps say nothing, also if they are asked.
        *storm.router.silence_mut() = Silence::ANY;
        for conn in PAIR {
            storm.join(conn, KIND.mask());
        }
        storm
    }

    /// What is done before is not counted.
    pub fn begins(&mut self) {
        self.settle();
        (self.begun, self.events, self.most) = (true, 0, [0; 2]);
        self.exchange();
    }

    /// No call has cost more than that, and no tick.
    pub fn ends(mut self, call: usize, tick: usize) {
        self.settle();
        self.exchange();
        let [most_call, most_tick] = self.most;
        // For those who set the bounds.
        println!("{}: {most_call} steps in a call, {most_tick} in a tick, {} events", self.row, self.events);
        let row = self.row;
        assert!(most_call <= call, "{row}: {most_call} steps in a call, and {call} are the most");
        assert!(most_tick <= tick, "{row}: {most_tick} steps in a tick, and {tick} are the most");
    }

    /// Calls the engine and counts.
    fn counted<T>(&mut self, is_tick: bool, call: impl FnOnce(&mut Router, Now) -> T) -> T {
        let before = effort::steps();
        let result = call(&mut self.router, self.now);
        let most = &mut self.most[usize::from(is_tick)];
        *most = (*most).max(effort::steps() - before);
        result
    }

    /// Carries out what the hub wants done.
    fn carry_out(&mut self) {
        while let Some(action) = self.router.next_action() {
            match action {
                Action::Flush(conn) => self.writes.push_back(conn),
                Action::Close(conn) => {
                    assert!(conn.0 > LARGE, "an honest app is closed");
                    self.cut.insert(conn);
                }
                Action::Dial { .. } => unreachable!(),
            }
        }
        while self.router.next_event().is_some() {
            self.events += 1;
        }
        let held = self.router.stats().memory_bytes as usize;
        assert!(held <= most_memory(self.router.config().memory), "{held} bytes are held");
    }

    /// A connection is opened by one that says this header.
    fn open(&mut self, conn: u64, gateway: Option<Gateway>, header: &[u8]) {
        self.connect(conn, ConnInfo { framing: Framing::Tcp, from: String::new(), host: None, gateway, web: None });
        self.hand(conn, header);
    }

    /// A connection to an address for WebSockets, which says nothing yet.
    pub fn open_web(&mut self, conn: u64) {
        let web = Some(Web::Site(Arc::new(Site { path: "/".into(), ..Site::default() })));
        let framing = Framing::WsServer;
        self.connect(conn, ConnInfo { framing, from: String::new(), host: None, gateway: None, web });
    }

    fn connect(&mut self, conn: u64, info: ConnInfo) {
        self.counted(false, |router, now| router.opened(now, ConnId(conn), info, None));
        self.carry_out();
    }

    /// A connection that says nothing.
    pub fn open_silent(&mut self, conn: u64) {
        self.open(conn, None, &[]);
    }

    /// An old program connects.
    pub fn open_old(&mut self, conn: u64) {
        self.open(conn, None, &header(Version::Old));
    }

    /// A program of another protocol connects.
    pub fn open_client(&mut self, conn: u64, role: Role) {
        self.open(conn, Some(Gateway { role, structured: false }), &gateway_header(role.hears()));
    }

    /// An app joins.
    pub fn join(&mut self, conn: u64, accept: u32) {
        self.join_as(conn, &format!("app{conn}"), accept);
    }

    /// An app asks to be let in under this identity.
    pub fn join_as(&mut self, conn: u64, identity: &str, accept: u32) {
        self.open(conn, None, &header(Version::V1));
        self.hand(conn, &hello(conn, identity, accept));
    }

    /// Bytes of a connection, as much as a driver reads at a time. False: the hub does not read them now, or has closed
    /// the connection. Meanwhile the honest apps send a value each way.
    pub fn bytes(&mut self, conn: u64, input: &[u8]) -> bool {
        assert!(input.len() <= READ);
        let goes = !self.cut.contains(&ConnId(conn)) && self.router.reads(ConnId(conn));
        if goes {
            self.hand(conn, input);
            if self.begun {
                self.exchange();
            }
        }
        goes
    }

    fn hand(&mut self, conn: u64, input: &[u8]) {
        self.counted(false, |router, now| router.bytes(now, ConnId(conn), input));
        self.carry_out();
    }

    /// A connection ends.
    pub fn leave(&mut self, conn: u64) {
        if !self.cut.contains(&ConnId(conn)) {
            self.counted(false, |router, now| router.closed(now, ConnId(conn), Closed::ByPeer));
            self.carry_out();
        }
        self.takes.remove(&ConnId(conn));
    }

    /// From here on a connection takes so many bytes more, and then none.
    pub fn takes(&mut self, conn: u64, bytes: usize) {
        self.takes.insert(ConnId(conn), bytes);
    }

    /// A turn of the driver: what is due, and a write for each connection for which something waits.
    pub fn turn(&mut self) {
        self.go_on();
        if self.begun {
            self.exchange();
        }
    }

    /// Time passes until the hub reads from a connection. Returns how much.
    pub fn wait_until_read(&mut self, conn: u64) -> Duration {
        let start = self.now.mono;
        while !self.router.reads(ConnId(conn)) {
            self.now.mono = self.router.deadline().expect("nothing will have it read").max(self.now.mono);
            self.turn();
        }
        self.now.mono.since(start)
    }

    fn go_on(&mut self) {
        if self.router.is_due(self.now) {
            self.counted(true, Router::tick);
            self.carry_out();
        }
        for _ in 0..self.writes.len() {
            if let Some(conn) = self.writes.pop_front() {
                self.write(conn);
            }
        }
    }

    /// Turns, until nothing is left to do.
    pub fn settle(&mut self) {
        /// Many times what any of the attacks needs.
        const TURNS: usize = 100_000;
        for _ in 0..TURNS {
            self.go_on();
            if !self.router.is_due(self.now) && self.writes.is_empty() {
                return;
            }
            if self.begun {
                self.exchange();
            }
        }
        panic!("{}: there is no end of work", self.row);
    }

    /// One write, of what the connection takes.
    fn write(&mut self, conn: ConnId) {
        let room = self.takes.get(&conn).copied().unwrap_or(usize::MAX);
        if room == 0 || self.cut.contains(&conn) {
            return;
        }
        let honest = PAIR.iter().position(|&one| one == conn.0);
        let mut taken = Vec::new();
        let (n, more) = self.counted(false, |router, now| {
            let mut slices = Vec::new();
            router.gather(now, conn, &mut slices);
            let n = slices.iter().map(|slice| slice.len()).sum::<usize>().min(room);
            if honest.is_some() {
                slices.iter().for_each(|slice| taken.extend_from_slice(slice));
            }
            drop(slices);
            (n, n > 0 && router.wrote(now, conn, n))
        });
        self.takes.entry(conn).and_modify(|room| *room -= n);
        if more {
            self.writes.push_back(conn);
        }
        self.carry_out();
        if let Some(i) = honest {
            self.honest[i].read(&taken);
            for token in std::mem::take(&mut self.honest[i].pings) {
                self.hand(PAIR[i], &control(PAIR[i], &Control::Pong { token, time: None }));
            }
        }
    }

    /// Each of the honest apps sends a value, which the other has at once: whatever attackers have begun, the call takes
    /// the steps of this value and no others.
    fn exchange(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            assert!(self.router.reads(ConnId(PAIR[from])), "an honest app is not read");
            self.sent += 1;
            let mut data = [0; VALUE];
            data[..8].copy_from_slice(&self.sent.to_be_bytes());
            let frame = value(PAIR[from], "honest", &Value::Bytes(&data), self.sent);
            let before = effort::steps();
            self.hand(PAIR[from], &frame);
            // A look for each peer, and one value.
            let (spent, most) = (effort::steps() - before, 64 + self.router.peers.len() / 4);
            assert!(spent <= most, "{}: {spent} steps for an honest value, and {most} are the most", self.row);
            // Its turn, which is the next one whoever else waits.
            self.writes.retain(|conn| conn.0 != PAIR[to]);
            self.write(ConnId(PAIR[to]));
            assert_eq!(self.honest[to].newest, self.sent, "the honest value is there");
        }
    }

    /// A part of a large value that an honest app sends, which is the `nth` of them.
    pub fn send_large(&mut self, nth: u64, len: usize, part: usize, parts: usize) {
        if part == 0 && nth == 1 {
            self.join(LARGE, 0);
        }
        let frame = value(LARGE, "large", &Value::Bytes(&vec![7; len]), nth);
        assert!(self.router.reads(ConnId(LARGE)), "an honest app is not read");
        if let Some(input) = frame.chunks(frame.len().div_ceil(parts)).nth(part) {
            self.hand(LARGE, input);
        }
    }

    /// The large values that the other honest app has received.
    pub fn large_values(&mut self) -> usize {
        self.write(ConnId(PAIR[1]));
        self.honest[1].large
    }
}

impl Honest {
    fn read(&mut self, mut input: &[u8]) {
        if self.newest == 0 && input.len() >= 8 && input[..8] == header(Version::V1) {
            input = &input[8..];
        }
        loop {
            let frame = match self.decoder.next(&mut input).expect("frames") {
                Some(Frame::Body(body)) => body.to_vec(),
                Some(Frame::Large(body)) => body.to_vec(),
                Some(_) => unreachable!(),
                None => return,
            };
            let body = wire::decode(&frame, Form::V1).expect("a body");
            match Control::decode(&body) {
                Ok(Control::Ping { token }) => self.pings.push(token),
                Ok(_) if body.is_reserved() => {}
                _ => match wire::bytes(body.data) {
                    Some(data) if data.len() == VALUE => {
                        self.newest = u64::from_be_bytes(*data.first_chunk().expect("a number"));
                    }
                    _ => self.large += 1,
                },
            }
        }
    }
}
