//! The driver of all processes: dials, reads, writes and what they ask for.

use std::collections::VecDeque;
use std::io::IoSlice;

use nanostate::engine::{Action, Closed, ConnId, ConnInfo};
use nanostate::framing::Framing;
use nanostate::{Error, Status};

use super::{Dial, End, Id, Process, Wire, World, MS, SLACK};

impl World {
    pub(super) fn dial(&mut self, node: Id, token: u64, url: String) {
        let at = self.mono + self.rng.below(5 * MS);
        self.dials.push(Dial { node, token, url, at });
    }

    /// Does what a process asks for.
    pub(super) fn act(&mut self, id: Id) {
        loop {
            let Some(process) = &mut self.nodes[id].process else { return };
            let Some(action) = process.protocol().next_action() else { break };
            match action {
                Action::Dial { token, url } => self.dial(id, token, url),
                Action::Flush(conn) => {
                    if let Some((w, side)) = self.find(id, conn) {
                        if self.rng.one_in(2) {
                            self.wires[w].ends[side].later = true;
                        } else {
                            self.write(w, side);
                        }
                    }
                }
                Action::Close(conn) => {
                    if let Some((w, side)) = self.find(id, conn) {
                        self.wires[w].ends[side].blocked = false;
                        self.write(w, side);
                        let [a, b] = &mut self.wires[w].ends;
                        let (end, other) = if side == 0 { (a, b) } else { (b, a) };
                        end.open = false;
                        other.end.get_or_insert(Closed::ByPeer);
                    }
                }
            }
        }
        self.after(id);
    }

    fn find(&self, id: Id, conn: ConnId) -> Option<(usize, usize)> {
        let is_it = |end: &End| end.node == id && end.conn == conn && end.open;
        self.wires.iter().enumerate().find_map(|(w, wire)| Some((w, wire.ends.iter().position(is_it)?)))
    }

    /// Writes until nothing is left or nothing more is taken.
    pub(super) fn write(&mut self, w: usize, side: usize) {
        let World { wires, nodes, rng, mono, pieces, .. } = self;
        let Wire { ends: [a, b], capacity } = &mut wires[w];
        let (end, other) = if side == 0 { (a, b) } else { (b, a) };
        end.later = false;
        let node = &mut nodes[end.node];
        let now = node.now(*mono);
        let Some(process) = &mut node.process else { return };
        let protocol = process.protocol();
        while !end.blocked && end.open {
            let mut slices: Vec<IoSlice> = Vec::new();
            protocol.gather(now, end.conn, &mut slices);
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            if offered == 0 {
                return;
            }
            // What is written to a connection that is gone is gone.
            let gone = other.end.is_some() || end.end.is_some() || !other.open;
            let room = if gone { offered } else { capacity.saturating_sub(other.pipe.len()) };
            let mut n = offered.min(room);
            if *pieces && n > 0 && rng.one_in(4) {
                n = 1 + rng.index(n);
            }
            let mut left = n;
            for slice in &slices {
                let part = left.min(slice.len());
                if !gone {
                    other.pipe.extend(&slice[..part]);
                }
                left -= part;
            }
            end.blocked = n < offered;
            let more = n > 0 && protocol.wrote(now, end.conn, n);
            if n == offered && !more {
                return;
            }
        }
    }

    pub(super) fn read(&mut self, w: usize, side: usize) {
        let end = &mut self.wires[w].ends[side];
        let (id, conn) = (end.node, end.conn);
        if end.pipe.is_empty() {
            if let Some(why) = end.end.clone() {
                end.open = false;
                let now = self.now(id);
                if let Some(process) = &mut self.nodes[id].process {
                    process.protocol().closed(now, conn, why);
                    self.act(id);
                }
            }
            return;
        }
        let n = if self.pieces && self.rng.one_in(3) {
            1 + self.rng.length(end.pipe.len() - 1)
        } else {
            end.pipe.len().min(256 << 10)
        };
        let now = self.now(id);
        let pipe = &mut self.wires[w].ends[side].pipe;
        let Some(process) = &mut self.nodes[id].process else {
            pipe.drain(..n);
            return;
        };
        let protocol = process.protocol();
        if let Some(room) = protocol.room(now, conn) {
            let n = n.min(room.most);
            let piece: Vec<u8> = pipe.drain(..n).collect();
            room.body.extend_from_slice(&piece);
            protocol.placed(now, conn, n);
        } else {
            let piece: Vec<u8> = pipe.drain(..n).collect();
            protocol.bytes(now, conn, &piece);
        }
        self.act(id);
    }

    pub(super) fn connect(&mut self, dial: Dial) {
        let listener = self.listeners.get(&dial.url).copied();
        let now = self.now(dial.node);
        let Some(process) = &mut self.nodes[dial.node].process else { return };
        let Some(listener) = listener else {
            process.protocol().dial_failed(now, dial.token, Error::new(Status::Refused, dial.url));
            return self.act(dial.node);
        };
        let framing = match dial.url.split(':').next() {
            Some("ipc") => Framing::Ipc,
            Some("inproc") => Framing::Inproc,
            _ => Framing::Tcp,
        };
        let mut end = |node| {
            self.next_conn += 1;
            End {
                node,
                conn: ConnId(self.next_conn),
                open: true,
                pipe: VecDeque::new(),
                end: None,
                blocked: false,
                later: false,
                reads_from: 0,
            }
        };
        let ends = [end(dial.node), end(listener)];
        let conns = [ends[0].conn, ends[1].conn];
        self.wires.retain(|wire| wire.ends.iter().any(|end| end.open));
        self.wires.push(Wire { ends, capacity: self.capacity });
        for (id, conn, token) in [(dial.node, conns[0], Some(dial.token)), (listener, conns[1], None)] {
            let info = ConnInfo { framing, from: format!("process {id}"), host: None, gateway: None, web: None };
            let now = self.now(id);
            if let Some(process) = &mut self.nodes[id].process {
                process.protocol().opened(now, conn, info, token);
                self.act(id);
            }
        }
    }

    /// What is looked at after a process did anything.
    fn after(&mut self, id: Id) {
        let mono = self.mono;
        match &mut self.nodes[id].process {
            Some(Process::App(app)) => {
                app.hubs = self.hubs;
                app.stores = !self.disks.is_empty();
                if app.takes {
                    app.take();
                }
                app.hear();
                app.session.next_warning();
                if app.ack.as_ref().is_some_and(|ack| app.session.is_acked(ack.version)) {
                    self.check_ack(id);
                }
            }
            Some(Process::Hub(router)) => {
                router.next_event();
                self.steps += 1;
                if self.steps % 32 == 0 {
                    let most = router.config().outbox + router.config().max_message.min(64 << 10) + SLACK;
                    for peer in router.peer_stats() {
                        let waiting = peer.outbox_bytes as usize;
                        assert!(waiting <= most, "{waiting} bytes wait for {} at {mono}, {most} at most", peer.from);
                    }
                }
            }
            _ => {}
        }
        self.keep(id);
    }
}
