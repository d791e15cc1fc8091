//! The thread that writes to a store.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{error, info, warn};
use parking_lot::{Condvar, Mutex};

use super::{Fault, Store};
use crate::engine::hub::Batch;
use crate::limits;
use crate::runtime::thread;
use crate::transport::fork::Birth;
use crate::visible::Quoted;

/// Its stack, in bytes: SQLite sorts and balances pages on it.
const STACK: usize = 512 << 10;

/// What a writer has done since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// The entries of the batch that was stored, if one was.
    pub stored: Option<u64>,
    /// How often a batch could not be stored.
    pub failed: u64,
    /// Nothing is stored any more, and the batch is forgotten: what there was is damaged.
    pub lost: bool,
    /// Whether it waits for a batch.
    pub idle: bool,
    /// Whether there is no thread any more.
    pub ended: bool,
}

/// Writes one batch at a time, and tries again until it is stored.
pub struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    birth: Birth,
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    /// A batch was given, or the end is near.
    given: Condvar,
    /// A batch is done with, or the thread has ended.
    done: Condvar,
}

#[derive(Default)]
struct State {
    batch: Option<Batch>,
    /// Whether the thread has a batch.
    busy: bool,
    report: Report,
    /// What fails is not tried again.
    hurry: bool,
    /// There will be no more batches.
    last: bool,
    ended: bool,
}

impl Writer {
    /// A thread that writes to `store`, and calls `done` after each batch and each failure: there is something to report.
    pub fn start(store: Store, done: impl Fn() + Send + 'static) -> io::Result<Writer> {
        let desk = Arc::<Desk>::default();
        let of_thread = desk.clone();
        let run = move || {
            // However it ends, nobody waits for it.
            let _end = End(of_thread.clone());
            of_thread.run(store, done);
        };
        let thread = thread::spawn_with_stack("ns-store", STACK, run)?;
        Ok(Writer { desk, thread: Some(thread), birth: Birth::here() })
    }

    /// What it has done since this was last called.
    pub fn report(&self) -> Report {
        let mut state = self.desk.state.lock();
        let idle = !state.busy && state.batch.is_none() && !state.ended;
        Report { idle, ended: state.ended, ..std::mem::take(&mut state.report) }
    }

    /// Has it store this. Only while it is idle.
    pub fn give(&self, batch: Batch) {
        self.desk.state.lock().batch = Some(batch);
        self.desk.given.notify_one();
    }

    /// From here on what fails is not tried again.
    pub fn hurry(&self) {
        self.desk.state.lock().hurry = true;
        self.desk.given.notify_one();
    }

    /// Waits until it has no batch. False: it has ended, or could not store the last one.
    pub fn wait(&self) -> bool {
        let mut state = self.desk.state.lock();
        while (state.busy || state.batch.is_some()) && !state.ended {
            self.desk.done.wait(&mut state);
        }
        !state.ended
    }
}

impl Drop for Writer {
    /// Waits until it has stored what it has, or has failed to, and has closed the store.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.birth.forked() {
            // It is not in this process.
            std::mem::forget(thread);
        } else {
            let mut state = self.desk.state.lock();
            (state.hurry, state.last) = (true, true);
            self.desk.given.notify_one();
            while !state.ended {
                self.desk.done.wait(&mut state);
            }
            drop(state);
            thread::join(thread);
        }
    }
}

struct End(Arc<Desk>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.done.notify_all();
    }
}

impl Desk {
    fn run(&self, mut store: Store, done: impl Fn()) {
        let mut troubled = false;
        while let Some(batch) = self.next() {
            // Without an outcome it is the end, until which the thread counts as busy.
            let Some(report) = self.store(&mut store, &batch, &mut troubled, &done) else { return };
            let mut state = self.state.lock();
            state.busy = false;
            state.report = Report { failed: state.report.failed, ..report };
            drop(state);
            self.done.notify_all();
            done();
        }
    }

    /// Waits for a batch. `None`: there will be none.
    fn next(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            if let Some(batch) = state.batch.take() {
                state.busy = true;
                return Some(batch);
            }
            if state.last {
                return None;
            }
            self.given.wait(&mut state);
        }
    }

    /// Tries until the batch is stored, or, without an outcome, until there is no more time for that. Calls `failed` after each failure.
    fn store(&self, store: &mut Store, batch: &Batch, troubled: &mut bool, failed: &impl Fn()) -> Option<Report> {
        let mut pause = limits::STORE_RETRY_MIN;
        loop {
            let place = Quoted(store.directory.name()).to_string();
            let why = match store.write(batch) {
                Ok(()) => {
                    if std::mem::take(troubled) {
                        info!("the store in {place} is written again");
                    }
                    return Some(Report { stored: Some(batch.entries.len() as u64), ..Report::default() });
                }
                Err(Fault::Damaged(why)) => match store.start_over(&why) {
                    Ok(()) => return Some(Report { lost: true, ..Report::default() }),
                    Err(error) => error,
                },
                Err(Fault::System(why)) => store.directory.error(&why),
            };
            self.state.lock().report.failed += 1;
            failed();
            if !std::mem::replace(troubled, true) {
                warn!("not stored, and tried again until it is: {why}");
            }
            if self.is_last_after(pause) {
                let entries = batch.entries.len();
                error!("{entries} states that have changed are not stored, and maybe more: {why}");
                return None;
            }
            pause = (2 * pause).min(limits::STORE_RETRY_MAX);
        }
    }

    /// Waits so long, unless there is no more time.
    fn is_last_after(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.hurry {
            self.given.wait_for(&mut state, pause);
        }
        state.hurry
    }
}
