//! The app of a command that looks at states and publishes none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;
use nanostate::pattern::Pattern;
use nanostate::{limits, App, AppOption, LinkState, State, Status};

use crate::arguments::Deadline;
use crate::signals::{self, Stop};
use crate::{complain, identity, logger, parent, Client, Failure};

/// How long the first connection may take before the user is informed that there is no hub.
const FIRST_CONNECT: Duration = Duration::from_secs(1);
/// How long a command looks for what is there, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that may wait to be taken: what a command prints to may be slower than a burst, and nothing of it may be lost.
const RECV_QUEUE: i64 = 256 << 20;

/// What a command does while there is no hub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It tells the user, and waits for one.
    Wait,
    /// It gives up when its time is over.
    Fail,
}

impl Absent {
    /// That of a command that waits for what it wants, or does not, and when its time is over. `timeout`: --timeout.
    pub fn of(waits: bool, timeout: Option<Duration>) -> (Absent, Deadline) {
        let (absent, patience) = if waits { (Absent::Wait, None) } else { (Absent::Fail, Some(PATIENCE)) };
        (absent, Deadline::after(timeout.or(patience)))
    }
}

/// What the app of a command may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Look, which the log does not tell above the level debug.
    Looks,
    /// The same, and be sent no states.
    LooksAtApps,
    /// Have values withdrawn, too.
    Withdraws,
}

/// What came from the hub.
pub enum Seen {
    /// A state.
    State(State),
    /// Everything has come that the hub held; for the first time, or again on a new link.
    Synced,
}

/// An app that only looks, until a signal stops its command or the time is over.
pub struct Observer {
    app: App,
    stop: Stop,
    deadline: Deadline,
    synced: Arc<AtomicBool>,
    /// Nobody reads its output any more.
    unread: Arc<AtomicBool>,
}

impl Observer {
    /// An app of `command` that only looks, connected to the hub; with [`Absent::Wait`] perhaps not yet. It is sent the
    /// names that match one of `patterns`, and others only if there are no patterns, or more than an app may have.
    pub fn connect(
        command: &str,
        client: &Client,
        absent: Absent,
        deadline: Deadline,
        patterns: &[Pattern],
    ) -> Result<Observer, Failure> {
        Observer::connect_as(Role::Looks, command, client, absent, deadline, patterns)
    }

    /// The same in this role.
    pub fn connect_as(
        role: Role,
        command: &str,
        client: &Client,
        absent: Absent,
        deadline: Deadline,
        patterns: &[Pattern],
    ) -> Result<Observer, Failure> {
        logger::start(client.log, LevelFilter::Off)?;
        let app = App::new(&identity::of(command, &identity::run()?))?;
        app.set(AppOption::Observer, (role != Role::Withdraws).into())?;
        if role == Role::LooksAtApps {
            app.subscribe(None)?;
        }
        if patterns.len() <= limits::PATTERNS {
            patterns.iter().try_for_each(|pattern| app.subscribe(Some(pattern.as_str())))?;
        }
        app.set(AppOption::RecvQueue, RECV_QUEUE)?;
        let waiting = app.clone();
        let stop = signals::on_stop(move || waiting.interrupt())?;
        let synced = Arc::new(AtomicBool::new(false));
        let observer = Observer { app, stop, deadline, synced, unread: Arc::default() };
        observer.tell_synced()?;
        let told = Arc::new(AtomicBool::new(false));
        if absent == Absent::Wait {
            observer.tell_about_the_link(&told)?;
        }
        client.connect(&observer.app)?;
        observer.first_connect(absent, &told)?;
        Ok(observer)
    }

    /// From now on every wait ends when nobody reads the output any more.
    pub fn ends_with_output(&self) -> Result<(), Failure> {
        let (app, unread) = (self.app.clone(), self.unread.clone());
        parent::on_output_closed(move || {
            unread.store(true, Ordering::Relaxed);
            app.interrupt();
        })
    }

    /// Why a wait is to end, if it is.
    fn ends(&self) -> Option<Failure> {
        let unread = self.unread.load(Ordering::Relaxed).then_some(Failure::OutputClosed);
        self.stop.signal().map(Failure::Signal).or(unread)
    }

    /// Waits for what comes next.
    pub fn next(&self) -> Result<Seen, Failure> {
        self.take(|| self.deadline.left())
    }

    /// What has come already, if anything has.
    pub fn next_now(&self) -> Result<Option<Seen>, Failure> {
        match self.take(|| Some(Duration::ZERO)) {
            Err(Failure::TimedOut(_)) if !self.deadline.is_over() => Ok(None),
            Ok(_) if self.deadline.is_over() => Err(Failure::TimedOut(Status::Timeout.text().to_owned())),
            result => result.map(Some),
        }
    }

    /// The app, and the time that is left for its calls.
    pub fn app(&self) -> (&App, Option<Duration>) {
        (&self.app, self.deadline.left())
    }

    /// Whether there is a hub.
    pub fn has_hub(&self) -> bool {
        self.app.link() == LinkState::Connected
    }

    /// Fails if this hub never says that everything has come.
    pub fn check_that_the_hub_tells(&self) -> Result<(), Failure> {
        match self.app.wait_synced(Some(Duration::ZERO)) {
            Err(error) if error.status() == Status::Unsupported => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Says how many states were not seen because they arrived faster than they were taken.
    pub fn tell_losses(&self) {
        let stats = self.app.stats();
        let losses = [("replaced by newer ones", stats.conflated_in), ("dropped", stats.dropped_in)];
        for (what, n) in losses.into_iter().filter(|(_, n)| *n > 0) {
            complain(&format!("{n} states arrived faster than they were read, and were {what}"));
        }
    }

    /// Waits until there is something for the functions of the app, and runs them.
    pub fn dispatch(&self) -> Result<(), Failure> {
        let left = self.deadline.left();
        if let Some(end) = self.ends() {
            return Err(end);
        }
        match self.app.dispatch(left, usize::MAX) {
            // A marker of states interrupts, too.
            Err(error) if error.status() == Status::Interrupted => Ok(()),
            Err(error) => Err(self.why(error.into())),
            Ok(_) if left == Some(Duration::ZERO) => Err(Failure::TimedOut(Status::Timeout.text().to_owned())),
            Ok(_) => Ok(()),
        }
    }

    fn take(&self, timeout: impl Fn() -> Option<Duration>) -> Result<Seen, Failure> {
        loop {
            match self.app.recv(timeout()) {
                Ok(state) => return Ok(Seen::State(state)),
                Err(error) if error.status() != Status::Interrupted => return Err(self.why(error.into())),
                Err(error) => match self.ends() {
                    Some(end) => return Err(end),
                    None if self.synced.swap(false, Ordering::Relaxed) => return Ok(Seen::Synced),
                    None => log::trace!("{error}"),
                },
            }
        }
    }

    /// A failure, or the signal that led to it.
    pub fn why(&self, failure: Failure) -> Failure {
        self.stop.signal().map_or(failure, Failure::Signal)
    }

    /// The callback ends the wait in which it runs.
    fn tell_synced(&self) -> Result<(), Failure> {
        let (app, synced) = (self.app.clone(), self.synced.clone());
        let tell = move || {
            synced.store(true, Ordering::Relaxed);
            app.interrupt();
        };
        Ok(self.app.on_synced(Some(Box::new(tell)))?)
    }

    /// Tells the user once when the link is lost, and when it is back. Refusals are errors of the call that waits.
    fn tell_about_the_link(&self, told: &Arc<AtomicBool>) -> Result<(), Failure> {
        let told = told.clone();
        let mut was = LinkState::Idle;
        let tell = move |link, why: Status, text: &str| {
            let reason = if text.is_empty() { why.text() } else { text };
            match link {
                LinkState::Connecting if was == LinkState::Connected => {
                    told.store(true, Ordering::Relaxed);
                    complain(&format!("{reason}; connecting again"));
                }
                LinkState::Connected if told.swap(false, Ordering::Relaxed) => complain("connected"),
                _ => {}
            }
            was = link;
        };
        Ok(self.app.on_link(Some(Box::new(tell)))?)
    }

    /// Waits for the first connection, and tells the user if there is none soon.
    fn first_connect(&self, absent: Absent, told: &AtomicBool) -> Result<(), Failure> {
        let left = self.deadline.left();
        let patience = match absent {
            Absent::Wait => Some(left.map_or(FIRST_CONNECT, |left| left.min(FIRST_CONNECT))),
            Absent::Fail => left,
        };
        match self.app.wait_connected(patience) {
            Err(error) if error.status() == Status::Timeout && absent == Absent::Wait && !self.deadline.is_over() => {
                told.store(true, Ordering::Relaxed);
                complain(&format!("{error}; waiting for the hub"));
                Ok(())
            }
            result => result.map_err(|error| self.why(error.into())),
        }
    }
}

/// The callbacks end with it: one refers to the app, and the user need not hear that the link ends.
impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.app.on_link(None);
        let _ = self.app.on_synced(None);
        let _ = self.app.on_presence(None);
    }
}
