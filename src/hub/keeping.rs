//! What joins a hub's engine and the thread that writes its store.

#[cfg(feature = "store")]
use std::path::Path;

#[cfg(feature = "store")]
use parking_lot::Mutex;

use crate::engine::hub::Router;
use crate::engine::Now;
use crate::runtime::Shared;
#[cfg(feature = "store")]
use crate::store::{Report, Store, Writer};
use crate::time::MonoTime;
#[cfg(feature = "store")]
use crate::{runtime, Error, Result, Status};

/// The store of a hub, if it has one.
#[derive(Default)]
pub struct Keeping {
    #[cfg(feature = "store")]
    writer: Mutex<Option<Writer>>,
}

#[cfg(feature = "store")]
impl Keeping {
    /// Reads the store in this directory into the hub's engine, and keeps it there from now on. `wake` has the hub's loop
    /// do another turn.
    pub fn start(
        &self,
        directory: &Path,
        now: Now,
        router: &mut Router,
        wake: impl Fn() + Send + 'static,
    ) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.is_some() {
            return Err(Error::new(Status::State, "the hub has a store already"));
        }
        let started = Store::open(directory, now, router).and_then(|store| {
            Writer::start(store, wake).map_err(|error| Error::io(&error, "starting the store's thread"))
        });
        match started {
            Ok(started) => *writer = Some(started),
            Err(error) => {
                router.forget_store();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether there is one.
    pub fn is_used(&self) -> bool {
        self.writer.lock().is_some()
    }

    /// Has the next batch written, if it is time for that. Returns when it is.
    pub fn turn(&self, now: Now, router: &mut Router) -> Option<MonoTime> {
        let mut writer = self.writer.lock();
        let writing = writer.as_ref()?;
        let report = tell(writing, router);
        if report.ended {
            log::error!("nothing is stored any more: the store's thread has ended");
            (*writer, _) = (None, router.stop_storing());
            return None;
        }
        if report.idle {
            if let Some(batch) = router.take_batch(now) {
                writing.give(batch);
            }
        }
        router.next_batch()
    }

    /// Has everything written that is not yet, and closes the store. What fails now is not tried again.
    pub fn finish(&self, shared: &Shared<Router>) {
        if shared.forked() {
            return;
        }
        let Some(writer) = self.writer.lock().take() else { return };
        writer.hurry();
        while writer.wait() {
            let router = &mut shared.lock().protocol;
            tell(&writer, router);
            match router.take_last_batch(runtime::now()) {
                Some(batch) => writer.give(batch),
                None => break,
            }
        }
        tell(&writer, &mut shared.lock().protocol);
    }
}

/// Tells the engine what was written.
#[cfg(feature = "store")]
fn tell(writer: &Writer, router: &mut Router) -> Report {
    let report = writer.report();
    router.not_stored(report.failed);
    if report.lost {
        router.store_anew();
    }
    if let Some(entries) = report.stored {
        router.stored(entries);
    }
    report
}

#[cfg(not(feature = "store"))]
impl Keeping {
    /// There is none.
    pub fn is_used(&self) -> bool {
        false
    }

    /// Nothing is written.
    pub fn turn(&self, _now: Now, _router: &mut Router) -> Option<MonoTime> {
        None
    }

    /// There is nothing to close.
    pub fn finish(&self, _shared: &Shared<Router>) {}
}
