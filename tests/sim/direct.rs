//! One engine, and a hand that plays its driver and the other side.

use std::collections::HashMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;

use nanostate::engine::gateway;
use nanostate::engine::hub::{PeerEvent, PeerStats, Router, RouterConfig, RouterEvent, Silence};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Gateway, Now, Protocol, Role, Web};
use nanostate::framing::http::server::Site;
use nanostate::framing::{frame_head, gateway_header, header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance, Meta, Secret, Stamp};
use nanostate::Status;

use super::{after, beginning, body, SEC};

/// A hub whose connections the test reads and writes itself.
pub struct Direct {
    pub router: Router,
    pub now: Now,
    next: u64,
    pub closed: Vec<ConnId>,
    /// What each connection said in its hello.
    instances: HashMap<ConnId, Instance>,
    /// What was still written to a connection that the hub closed.
    last: HashMap<ConnId, Vec<u8>>,
}

impl Direct {
    pub fn new(config: RouterConfig) -> Direct {
        let mut router = Router::new(Instance([9; 16]), config);
        // Its peers answer only what a test has them answer.
        *router.silence_mut() = Silence::ANY;
        let now = beginning(100 * SEC);
        Direct { router, now, next: 0, closed: Vec::new(), instances: HashMap::new(), last: HashMap::new() }
    }

    /// Lets time pass, on both clocks.
    pub fn pass(&mut self, time: u64) {
        self.now = after(self.now, time);
        if self.router.is_due(self.now) {
            self.router.tick(self.now);
        }
        self.actions();
    }

    fn actions(&mut self) {
        while let Some(action) = self.router.next_action() {
            if let Action::Close(conn) = action {
                self.closed.push(conn);
                let last = self.write(conn, usize::MAX);
                self.last.insert(conn, last);
            }
        }
    }

    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.contains(&conn)
    }

    /// A TCP connection that has sent nothing.
    pub fn open(&mut self) -> ConnId {
        self.connect(Framing::Tcp, None)
    }

    /// A subscriber over TCP that has taken what was there.
    pub fn open_pub(&mut self, structured: bool) -> ConnId {
        let conn = self.join_client(Role::Pub, structured);
        self.frames(conn);
        conn
    }

    /// A client of a gateway with a connection of its own, which has sent nothing.
    pub fn open_client(&mut self, framing: Framing, role: Role, structured: bool) -> ConnId {
        self.connect(framing, Some(Gateway { role, structured }))
    }

    /// A client over TCP that has sent its header and read the hub's, and nothing else.
    pub fn join_client(&mut self, role: Role, structured: bool) -> ConnId {
        let conn = self.open_client(Framing::Tcp, role, structured);
        self.bytes(conn, &gateway_header(role.hears()));
        assert_eq!(self.read(conn, HEADER_LEN), gateway_header(role.speaks()), "{role:?}");
        conn
    }

    /// Lets the hub go on with everything that it left for later, if what it waits for is a turn.
    pub fn settle(&mut self) {
        for turn in 0.. {
            if !self.router.is_due(self.now) {
                break;
            }
            assert!(turn < 100_000, "it comes to an end");
            self.pass(0);
        }
    }

    /// A connection to an address for WebSockets that has sent nothing.
    pub fn open_web(&mut self, site: Site) -> ConnId {
        self.connect_to(Framing::WsServer, None, Some(Web::Site(Arc::new(site))), None)
    }

    /// The same from this address.
    pub fn open_web_from(&mut self, site: Site, host: IpAddr) -> ConnId {
        self.connect_to(Framing::WsServer, None, Some(Web::Site(Arc::new(site))), Some(host))
    }

    fn connect(&mut self, framing: Framing, gateway: Option<Gateway>) -> ConnId {
        self.connect_to(framing, gateway, None, None)
    }

    fn connect_to(
        &mut self,
        framing: Framing,
        gateway: Option<Gateway>,
        web: Option<Web>,
        host: Option<IpAddr>,
    ) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        let info = ConnInfo { framing, from: format!("peer {}", conn.0), host, gateway, web };
        self.router.opened(self.now, conn, info, None);
        self.actions();
        conn
    }

    pub fn bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.router.bytes(self.now, conn, bytes);
        self.actions();
    }

    pub fn send(&mut self, conn: ConnId, body: &[u8]) {
        let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
        self.bytes(conn, &frame);
    }

    /// A message of a client of a gateway, behind a trace if its protocol has one.
    pub fn message(&mut self, conn: ConnId, trace: &[u8], message: &[u8]) {
        self.send(conn, &[trace, message].concat());
    }

    /// The answer to this message, the only one that waits.
    pub fn ask(&mut self, conn: ConnId, message: &[u8]) -> Vec<u8> {
        const TRACE: &[u8] = b"\x80\0\0\x09";
        self.message(conn, TRACE, message);
        self.settle();
        let mut answers = self.answers(conn);
        assert_eq!(answers.len(), 1, "one answer to one message");
        let (trace, answer) = answers.remove(0);
        assert_eq!(trace, TRACE);
        answer
    }

    /// All answers that wait for a client, with their traces.
    pub fn answers(&mut self, conn: ConnId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let split = |frame: Vec<u8>| {
            let (trace, answer) = gateway::split_trace(&frame).expect("a trace");
            (trace.to_vec(), answer.to_vec())
        };
        self.frames(conn).into_iter().map(split).collect()
    }

    /// All frames that wait for a peer over TCP that takes them now, from the start of one.
    pub fn frames(&mut self, conn: ConnId) -> Vec<Vec<u8>> {
        let bytes = self.read(conn, usize::MAX);
        whole_frames(Framing::Tcp, &bytes)
    }

    pub fn control(&mut self, conn: ConnId, sender: &str, control: Control<'_>) {
        let mut body = Vec::new();
        control.encode(sender, &mut body);
        self.send(conn, &body);
    }

    /// The other side is gone.
    pub fn lose(&mut self, conn: ConnId) {
        self.router.closed(self.now, conn, Closed::ByPeer);
        self.actions();
    }

    pub fn open_old(&mut self) -> ConnId {
        let conn = self.open();
        self.bytes(conn, &header(Version::Old));
        conn
    }

    /// A v1 connection that has said hello, and whatever came of that.
    pub fn hello(&mut self, identity: &str, instance: u8, epoch: u64, flags: HelloFlags) -> ConnId {
        self.hello_with(identity, instance, epoch, flags, None)
    }

    /// The same with a secret.
    pub fn hello_with(
        &mut self,
        identity: &str,
        instance: u8,
        epoch: u64,
        flags: HelloFlags,
        secret: Option<u8>,
    ) -> ConnId {
        let conn = self.open();
        self.bytes(conn, &header(Version::V1));
        let (instance, secret) = (Instance([instance; 16]), secret.map(|byte| Secret([byte; 16])));
        let hello = Control::Hello {
            instance,
            epoch,
            accept: wire::ACCEPT_ANY,
            flags,
            time: None,
            secret,
            token: None,
            features: Features::NONE,
        };
        self.instances.insert(conn, instance);
        self.control(conn, identity, hello);
        conn
    }

    /// A v1 peer that takes part.
    pub fn open_v1(&mut self, identity: &str, instance: u8) -> ConnId {
        let conn = self.hello(identity, instance, 1, HelloFlags(0));
        assert!(self.said(conn).contains(&"welcome".to_owned()), "{identity} is welcome");
        conn
    }

    /// A state from a v1 peer, with a stamp of now.
    pub fn publish(&mut self, conn: ConnId, sender: &str, name: &str, value: &[u8]) {
        let instance = self.instances.get(&conn).copied().unwrap_or_default();
        let stamp = Stamp { clock: LogicalTime::from_millis(self.now.wall.as_millis()), instance };
        self.publish_at(conn, sender, name, value, stamp);
    }

    pub fn publish_at(&mut self, conn: ConnId, sender: &str, name: &str, value: &[u8], stamp: Stamp) {
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        self.send(conn, &body(Form::V1, sender, name, value, &meta));
    }

    /// At most `most` bytes of what is to be written, or what was when the hub closed it.
    pub fn read(&mut self, conn: ConnId, most: usize) -> Vec<u8> {
        let mut out = self.last.remove(&conn).unwrap_or_default();
        out.extend(self.write(conn, most));
        self.actions();
        out
    }

    fn write(&mut self, conn: ConnId, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < most {
            let mut slices: Vec<IoSlice> = Vec::new();
            self.router.gather(self.now, conn, &mut slices);
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most - out.len()).collect();
            if bytes.is_empty() {
                break;
            }
            self.router.wrote(self.now, conn, bytes.len());
            out.extend(bytes);
        }
        out
    }

    /// All bodies that wait for a TCP peer that reads them now, from the start of a frame or of the stream.
    pub fn bodies(&mut self, conn: ConnId) -> Vec<Vec<u8>> {
        let bytes = self.read(conn, usize::MAX);
        let input = match bytes.get(..4) {
            Some(b"\0SP\0") => &bytes[HEADER_LEN..],
            _ => &bytes,
        };
        whole_frames(Framing::Tcp, input)
    }

    /// The names of all bodies that wait, without what stands before them if it is reserved.
    pub fn said(&mut self, conn: ConnId) -> Vec<String> {
        let name = |body: Vec<u8>| {
            let body = wire::decode(&body, Form::V1).expect("a body");
            body.name().trim_start_matches("$ns/").to_owned()
        };
        self.bodies(conn).into_iter().map(name).collect()
    }

    /// The status of the refusal that waits, if one does.
    pub fn refusal(&mut self, conn: ConnId) -> Option<Status> {
        self.bodies(conn).iter().find_map(|bytes| {
            match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
                Ok(Control::Refuse { status, .. }) => Status::from_code(status),
                _ => None,
            }
        })
    }

    /// The queued reports of stale values: name, offered and held stamp, time.
    pub fn stale(&mut self, conn: ConnId) -> Vec<(String, Stamp, Option<Stamp>, LogicalTime)> {
        let stale = |bytes: Vec<u8>| match Control::decode(&wire::decode(&bytes, Form::V1).expect("a body")) {
            Ok(Control::Stale { name, offered, held, time }) => Some((name.to_owned(), offered, held, time)),
            _ => None,
        };
        self.bodies(conn).into_iter().filter_map(stale).collect()
    }

    /// The token of the ping that waits, if one does.
    pub fn ping(&mut self, conn: ConnId) -> Option<u64> {
        self.bodies(conn).iter().find_map(|bytes| {
            match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
                Ok(Control::Ping { token }) => Some(token),
                _ => None,
            }
        })
    }

    /// The reports of peers that came and went, as (event, why).
    pub fn events(&mut self) -> Vec<(PeerEvent, Status)> {
        let mut events = Vec::new();
        while let Some(event) = self.router.next_event() {
            if let RouterEvent::Peer { event, why, .. } = event {
                events.push((event, why));
            }
        }
        events
    }

    /// Why peers were not let in, with the words.
    pub fn refusals(&mut self) -> Vec<(Status, String)> {
        let mut refusals = Vec::new();
        while let Some(event) = self.router.next_event() {
            if let RouterEvent::Peer { event: PeerEvent::Refused, why, text, .. } = event {
                refusals.push((why, text));
            }
        }
        refusals
    }

    /// What the operator was told.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        while let Some(event) = self.router.next_event() {
            if let RouterEvent::Warning(text) = event {
                warnings.push(text);
            }
        }
        warnings
    }

    pub fn peer(&self, conn: ConnId) -> PeerStats {
        let from = format!("peer {}", conn.0);
        self.router.peer_stats().find(|peer| peer.from == from).expect("a peer that takes part")
    }
}

/// What is in these frames, of which the last is whole.
pub fn whole_frames(framing: Framing, mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(framing, usize::MAX);
    let mut frames = Vec::new();
    while let Ok(Some(Frame::Body(frame))) = decoder.next(&mut input) {
        frames.push(frame.to_vec());
    }
    assert!(!decoder.unfinished(), "whole frames");
    frames
}
