//! Time passes: which events can happen, and which of them does.

use nanostate::engine::app::LinkState;

use super::{Dial, Event, Id, Node, World, SEC};

impl World {
    fn gather_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        for (w, wire) in self.wires.iter().enumerate() {
            for side in 0..2 {
                let end = &wire.ends[side];
                if !end.open || self.nodes[end.node].process.is_none() || self.is_asleep(end.node) {
                    continue;
                }
                if end.reads_from <= self.mono && (!end.pipe.is_empty() || end.end.is_some()) {
                    events.push(Event::Read(w, side));
                }
                let other = &wire.ends[1 - side];
                let room = other.pipe.len() < wire.capacity || other.end.is_some() || !other.open;
                if (end.blocked && room) || (end.later && !end.blocked) {
                    events.push(Event::Write(w, side));
                }
            }
        }
        let due = |dial: &Dial| dial.at <= self.mono && !self.is_asleep(dial.node) && !self.listener_sleeps(&dial.url);
        events.extend((0..self.dials.len()).filter(|&d| due(&self.dials[d])).map(Event::Dial));
        for (id, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.asleep.is_none()) {
            let Some(process) = node.process.as_mut() else { continue };
            let (is_ready, deadline) = (process.protocol().is_ready(), process.protocol().deadline());
            if is_ready || deadline.is_some_and(|at| node.at(at) <= self.mono) {
                events.push(Event::Tick(id));
            }
        }
        let written = |id: &Id| !self.is_asleep(*id) && self.written_at(*id).is_some_and(|at| at <= self.mono);
        events.extend(self.disks.keys().copied().filter(written).map(Event::Written));
        self.events = events;
    }

    fn listener_sleeps(&self, url: &str) -> bool {
        self.listeners.get(url).is_some_and(|&id| self.is_asleep(id))
    }

    /// When anything happens next by itself.
    fn next_time(&mut self) -> Option<u64> {
        let mut next: Option<u64> = None;
        let mut at = |time: u64| {
            if time != u64::MAX {
                next = Some(next.map_or(time, |next| next.min(time)));
            }
        };
        for end in self.wires.iter().flat_map(|wire| &wire.ends) {
            let asleep = self.nodes[end.node].asleep.is_some();
            if end.open && !asleep && end.reads_from > self.mono && (!end.pipe.is_empty() || end.end.is_some()) {
                at(end.reads_from);
            }
        }
        let awake = |dial: &&Dial| !self.is_asleep(dial.node) && !self.listener_sleeps(&dial.url);
        self.dials.iter().filter(awake).for_each(|dial| at(dial.at));
        self.disks.keys().filter_map(|id| self.written_at(*id)).for_each(&mut at);
        for node in &mut self.nodes {
            if let Some((_, until)) = node.asleep {
                at(until);
            } else if let Some(deadline) = node.process.as_mut().and_then(|process| process.protocol().deadline()) {
                at(node.at(deadline));
            }
        }
        next
    }

    /// Lets one thing happen, any of those that can. False: nothing can before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        self.wake(false);
        self.gather_events();
        if self.events.is_empty() {
            match self.next_time() {
                Some(time) if time <= until => self.mono = self.mono.max(time),
                _ => {
                    self.mono = self.mono.max(until);
                    return false;
                }
            }
            return true;
        }
        let event = self.events[self.rng.index(self.events.len())];
        self.mono += self.rng.below(20_000);
        match event {
            Event::Read(w, side) => self.read(w, side),
            Event::Write(w, side) => {
                self.wires[w].ends[side].blocked = false;
                self.write(w, side);
            }
            Event::Dial(d) => {
                let dial = self.dials.swap_remove(d);
                self.connect(dial);
            }
            Event::Written(id) => self.written(id),
            Event::Tick(id) => {
                let now = self.now(id);
                if let Some(process) = &mut self.nodes[id].process {
                    process.protocol().tick(now);
                    self.act(id);
                }
            }
        }
        true
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: u64) {
        let until = self.mono + time;
        let mut steps = 0u64;
        while self.mono < until && self.step(until) {
            steps += 1;
            assert!(steps < 5_000_000, "events never end");
        }
    }

    /// Lets everything happen that happens without a fault: nobody stalls, and every app that is not refused gets its
    /// link. Gives up after ten minutes.
    pub fn settle(&mut self) {
        self.wake(true);
        for end in self.wires.iter_mut().flat_map(|wire| &mut wire.ends) {
            if end.reads_from != u64::MAX {
                end.reads_from = 0;
            }
        }
        let until = self.mono + 600 * SEC;
        loop {
            self.gather_events();
            let ready = |node: &mut Node| node.process.as_mut().is_some_and(|process| process.protocol().is_ready());
            let busy = self.events.iter().any(|event| !matches!(event, Event::Tick(_) | Event::Written(_)))
                || self.nodes.iter_mut().any(ready);
            if !busy && self.dials.is_empty() && self.alive_apps().into_iter().all(|id| self.is_linked(id)) {
                return;
            }
            assert!(self.mono < until, "it does not settle");
            self.step(until);
        }
    }

    fn is_linked(&mut self, id: Id) -> bool {
        matches!(self.app(id).session.link(), LinkState::Connected | LinkState::Refused | LinkState::Idle)
    }
}
