//! What goes wrong: processes that end, machines that sleep, connections that break or stall.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::Closed;
use nanostate::{Error, Status};

use super::{Id, Process, Wire, World};

impl World {
    /// Ends a process. What it had written arrives, or a part of it.
    pub fn kill(&mut self, id: Id) {
        if let Some(Process::App(app)) = self.nodes[id].process.take() {
            self.orphans.extend(app.sent.into_keys());
        }
        self.listeners.retain(|_, listener| *listener != id);
        self.dials.retain(|dial| dial.node != id);
        for w in 0..self.wires.len() {
            for side in 0..2 {
                if self.wires[w].ends[side].node == id && self.wires[w].ends[side].open {
                    self.wires[w].ends[side].open = false;
                    let keep = self.rng.one_in(2);
                    let other = &mut self.wires[w].ends[1 - side];
                    if !keep {
                        other.pipe.truncate(self.rng.index(other.pipe.len() + 1));
                    }
                    other.end.get_or_insert(Closed::ByPeer);
                }
            }
        }
    }

    /// Ends a process without a trace for its peers: its machine is gone.
    pub fn vanish(&mut self, id: Id) {
        if let Some(Process::App(app)) = self.nodes[id].process.take() {
            self.orphans.extend(app.sent.into_keys());
        }
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.node == id {
                end.reads_from = u64::MAX;
            }
        }
    }

    /// A hub at the URL of the one that was killed, with what that one has stored, if it had a store.
    pub fn replace_hub(&mut self, old: Id, url: &str, config: RouterConfig) -> Id {
        let id = self.add_hub(url, config);
        self.nodes[id].skew = self.nodes[old].skew;
        self.hubs += 1;
        if let Some(shelf) = self.take_shelf(old) {
            self.give_store(id, shelf);
        }
        id
    }

    /// Suspends the machine of a process for so long: it does nothing, its monotonic clock stands still, and its other
    /// clocks go on.
    pub fn suspend(&mut self, id: Id, time: u64) {
        if self.nodes[id].asleep.is_none() {
            self.nodes[id].asleep = Some((self.mono, self.mono + time));
        }
    }

    pub fn is_asleep(&self, id: Id) -> bool {
        self.nodes[id].asleep.is_some()
    }

    /// Wakes the machines whose time has come, or all.
    pub(super) fn wake(&mut self, all: bool) {
        for node in &mut self.nodes {
            if let Some((since, until)) = node.asleep {
                if all || until <= self.mono {
                    node.suspended += self.mono - since;
                    node.asleep = None;
                }
            }
        }
    }

    /// Breaks a connection of this process, if it has one; of many, any.
    pub fn break_one(&mut self, id: Id) {
        let has = |wire: &Wire| wire.ends.iter().any(|end| end.node == id && end.open);
        let wires: Vec<_> = (0..self.wires.len()).filter(|&w| has(&self.wires[w])).collect();
        if wires.is_empty() {
            return;
        }
        let w = self.rng.pick(&wires);
        for end in &mut self.wires[w].ends {
            end.pipe.truncate(self.rng.index(end.pipe.len() + 1));
            end.end.get_or_insert(Closed::Failed(Error::new(Status::Io, "broken")));
        }
    }

    /// This process reads nothing until then.
    pub fn stall(&mut self, id: Id, until: u64) {
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.node == id {
                end.reads_from = until;
            }
        }
    }
}
