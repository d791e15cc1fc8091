//! The states of a measurement between the two apps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nanostate::{App, Error, State, Status, Value};

use super::measurement::Stream;
use super::{LAST, SLICE};
use crate::Failure;

/// States of one app for another.
pub(super) struct Incoming<'a> {
    pub(super) app: &'a App,
    pub(super) sender: &'a str,
    /// The first number that counts.
    pub(super) first: u64,
}

/// A state of the measurement.
pub(super) struct Arrived {
    pub(super) state: State,
    /// Counted from the first.
    pub(super) number: u64,
    /// Whether it is the last of its stream.
    pub(super) last: bool,
}

impl Incoming<'_> {
    /// The next state; `None` if none comes for a while.
    pub(super) fn next(&self) -> Result<Option<Arrived>, Error> {
        let mut since = None;
        loop {
            match self.app.recv(Some(SLICE)) {
                Ok(state) => {
                    if let Some((number, last)) = self.number(&state) {
                        return Ok(Some(Arrived { state, number, last }));
                    }
                    // On a busy hub, states of other apps come without a pause.
                    if since.get_or_insert_with(Instant::now).elapsed() >= SLICE {
                        return Ok(None);
                    }
                }
                Err(error) if error.status() == Status::Timeout => return self.check_link().map(|()| None),
                Err(error) => return Err(error),
            }
        }
    }

    /// An error if the link has been lost.
    pub(super) fn check_link(&self) -> Result<(), Error> {
        self.app.wait_connected(Some(Duration::ZERO)).map_err(|error| match error.status() {
            Status::Interrupted => error,
            status => Error::new(status, format!("the link to the hub was lost: {error}")),
        })
    }

    /// The number of a state that counts, and whether it is the last.
    pub(super) fn number(&self, state: &State) -> Option<(u64, bool)> {
        if state.sender() != self.sender {
            return None;
        }
        let number = u64::from_be_bytes(*state.bytes().ok()?.first_chunk()?);
        Some(((number & !LAST).checked_sub(self.first)?, number & LAST != 0))
    }
}

/// Sends each state back as `pong`, until it is interrupted.
pub(super) fn answer(incoming: &Incoming<'_>, pong: &str) -> Result<(), Failure> {
    loop {
        match incoming.next() {
            Ok(Some(arrived)) => incoming.app.send(pong, Value::Bytes(arrived.state.bytes()?))?,
            Ok(None) => {}
            Err(error) if error.status() == Status::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How far the receiver of a stream has come, for its sender.
pub(super) struct Flow {
    /// How many states, from the first, have arrived or were replaced by one that has.
    pub(super) settled: AtomicU64,
    /// The count at which the sender wants to be woken; the largest number stands for never.
    pub(super) wake_at: AtomicU64,
    pub(super) sender: Thread,
}

impl Flow {
    /// Waits a while until `target` states are settled; returns how many are.
    pub(super) fn wait(&self, target: u64) -> u64 {
        self.wake_at.store(target, Ordering::SeqCst);
        // Checked after the wish is published, so that one of the two threads sees the other.
        if self.settled.load(Ordering::SeqCst) < target {
            thread::park_timeout(SLICE);
        }
        self.wake_at.store(u64::MAX, Ordering::SeqCst);
        self.settled.load(Ordering::SeqCst)
    }

    pub(super) fn settle(&self, settled: u64) {
        self.settled.store(settled, Ordering::SeqCst);
        if settled >= self.wake_at.load(Ordering::SeqCst) {
            self.wake_at.store(u64::MAX, Ordering::SeqCst);
            self.sender.unpark();
        }
    }
}

/// What the receiver of a stream has seen.
pub(super) struct Followed {
    /// For each name, the number after that of its newest state.
    pub(super) seen: Vec<u64>,
    pub(super) received: u64,
    pub(super) ended: Instant,
}

/// Receives states that are sent under `names` names in turn, until the newest of each has arrived, or nothing arrives
/// for `timeout`.
pub(super) fn follow(
    incoming: &Incoming<'_>,
    names: usize,
    flow: &Flow,
    timeout: Duration,
) -> Result<Followed, Failure> {
    let names = names as u64;
    let place = |number: u64| (number % names) as usize;
    let mut seen = vec![0; names as usize];
    let (mut received, mut settled, mut total) = (0, 0, None);
    let mut quiet_since = None;
    loop {
        let Some(Arrived { number, last, .. }) = incoming.next()? else {
            let since = *quiet_since.get_or_insert_with(|| Instant::now() - SLICE);
            if since.elapsed() >= timeout {
                return Ok(Followed { seen, received, ended: since });
            }
            continue;
        };
        quiet_since = None;
        if last {
            total = Some(number + 1);
        }
        // An old hub may deliver it twice.
        if seen[place(number)] > number {
            continue;
        }
        seen[place(number)] = number + 1;
        received += 1;
        while seen[place(settled)] > settled {
            settled += 1;
        }
        flow.settle(settled);
        if total == Some(settled) {
            return Ok(Followed { seen, received, ended: Instant::now() });
        }
    }
}

impl Followed {
    pub(super) fn stream(self, sent: u64, seconds: f64) -> Stream {
        let names = self.seen.len() as u64;
        let used = names.min(sent);
        // The newest of the names are the last that were sent.
        let complete = (sent - used..sent).filter(|number| self.seen[(number % names) as usize] == number + 1).count();
        Stream { names: used, sent, received: self.received, complete: complete as u64, seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_knows_of_which_names_the_newest_arrived() {
        let followed = |seen: &[u64]| Followed { seen: seen.to_vec(), received: 0, ended: Instant::now() };
        // Numbers 0 to 6 under three names: the newest are 6, 4 and 5.
        for (seen, sent, names, complete) in
            [([7, 5, 6], 7, 3, 3), ([7, 2, 6], 7, 3, 2), ([4, 2, 3], 7, 3, 0), ([1, 2, 0], 2, 2, 2)]
        {
            let stream = followed(&seen).stream(sent, 1.0);
            assert_eq!((stream.names, stream.complete), (names, complete), "{seen:?}");
        }
    }

    #[test]
    fn a_sender_that_waits_is_woken_where_it_wants_to_be() {
        let flow = Flow { settled: AtomicU64::new(0), wake_at: AtomicU64::new(u64::MAX), sender: thread::current() };
        let settled = thread::scope(|scope| {
            scope.spawn(|| (1..=10).for_each(|settled| flow.settle(settled)));
            let mut settled = 0;
            while settled < 10 {
                settled = flow.wait(10);
            }
            settled
        });
        assert_eq!(settled, 10);
    }
}
