//! One app, and a hand that plays its driver and the hub.

use nanostate::engine::app::{LinkState, Session};
use nanostate::engine::{Action, Closed, ConnId, ConnInfo, Now, Protocol, Web};
use nanostate::framing::{frame_head, header, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Features, Form, Instance};
use nanostate::{Status, Value};

use super::{after, beginning, SEC};

const HUB: &str = "tcp://hub";

/// An app whose connection the test reads and writes itself.
pub struct DirectApp {
    pub session: Session,
    pub now: Now,
    pub conns: u64,
    pub dials: Vec<u64>,
    pub closed: Vec<ConnId>,
}

impl DirectApp {
    pub fn new() -> DirectApp {
        let mut session = Session::new("a", Instance([1; 16]));
        session.connect(vec![HUB.into()]);
        let now = beginning(100 * SEC);
        let mut app = DirectApp { session, now, conns: 0, dials: Vec::new(), closed: Vec::new() };
        app.actions();
        app
    }

    pub fn actions(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Dial { token, .. } => self.dials.push(token),
                Action::Close(conn) => self.closed.push(conn),
                Action::Flush(_) => {}
            }
        }
    }

    pub fn pass(&mut self, time: u64) {
        self.now = after(self.now, time);
        if self.session.is_due(self.now) {
            self.session.tick(self.now);
        }
        self.actions();
    }

    pub fn open(&mut self) -> ConnId {
        self.open_with(Framing::Tcp, None)
    }

    /// A connection to an address for WebSockets.
    pub fn open_web(&mut self) -> ConnId {
        let web = Web::Target { host: "hub:1".into(), path: "/ws".into(), key: *b"the sample nonce", masks: [7; 16] };
        self.open_with(Framing::WsClient, Some(web))
    }

    fn open_with(&mut self, framing: Framing, web: Option<Web>) -> ConnId {
        self.conns += 1;
        let token = self.dials.pop().expect("it dials");
        let info = ConnInfo { framing, from: HUB.into(), host: None, gateway: None, web };
        self.session.opened(self.now, ConnId(self.conns), info, Some(token));
        self.actions();
        ConnId(self.conns)
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.session.bytes(self.now, ConnId(self.conns), bytes);
        self.actions();
    }

    pub fn hear(&mut self, control: Control<'_>) {
        let mut body = Vec::new();
        control.encode(wire::HUB_SENDER, &mut body);
        self.receive(&body);
    }

    pub fn receive(&mut self, body: &[u8]) {
        let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
        self.bytes(&frame);
    }

    pub fn closed(&mut self) {
        self.session.closed(self.now, ConnId(self.conns), Closed::ByPeer);
        self.actions();
    }

    /// A v1 link to this hub.
    pub fn link(&mut self, hub: u8) {
        self.link_with(hub, Features::ALL);
    }

    /// A v1 link to this hub, which has these features.
    pub fn link_with(&mut self, hub: u8, features: Features) {
        self.link_to(hub, features, 1 << 20);
    }

    /// The same to a hub that takes messages of so many bytes.
    pub fn link_to(&mut self, hub: u8, features: Features, max_message: u64) {
        self.open();
        self.bytes(&header(Version::V1));
        let (instance, wall, time) = (Instance([hub; 16]), self.now.wall, None);
        self.hear(Control::Welcome { instance, max_message, wall, time, features });
        assert_eq!(self.session.link(), LinkState::Connected);
    }

    /// What it writes.
    pub fn written(&mut self) -> Vec<u8> {
        written(&mut self.session, self.now, ConnId(self.conns))
    }

    pub fn bodies(&mut self) -> Vec<Vec<u8>> {
        let bytes = self.written();
        let mut input = if bytes.starts_with(b"\0SP\0") { &bytes[HEADER_LEN..] } else { &bytes };
        let mut decoder = Decoder::new(Framing::Tcp, usize::MAX);
        let mut bodies = Vec::new();
        while let Ok(Some(Frame::Body(body))) = decoder.next(&mut input) {
            bodies.push(body.to_vec());
        }
        bodies
    }

    pub fn publish(&mut self, name: &str, value: &[u8]) -> Result<(), Status> {
        let kind = wire::check(value).unwrap();
        let done = self.session.publish(self.now, name, Value::Msgpack(value), kind);
        self.actions();
        done.map_err(|error| error.status())
    }

    pub fn ping(&mut self) -> Option<u64> {
        self.bodies().iter().rev().find_map(|bytes| {
            match Control::decode(&wire::decode(bytes, Form::V1).expect("a body")) {
                Ok(Control::Ping { token }) => Some(token),
                _ => None,
            }
        })
    }
}

/// All that an app writes now.
pub fn written(session: &mut Session, now: Now, conn: ConnId) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let mut slices = Vec::new();
        session.gather(now, conn, &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        if bytes.is_empty() {
            return out;
        }
        session.wrote(now, conn, bytes.len());
        out.extend(bytes);
    }
}
