//! How an app is closed, and how its thread ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Ender, Inner};
use crate::app::LinkState;
use crate::runtime;
use crate::runtime::deadline::Deadline;
use crate::runtime::reader;
use crate::runtime::thread::join;

impl Inner {
    pub(super) fn close(&self, linger: Option<Duration>) {
        if self.check_usable().is_err() {
            return;
        }
        let linger =
            linger.unwrap_or_else(|| Duration::from_millis(self.linger_ms.load(Ordering::Relaxed).max(0) as u64));
        let may_wait = self.check_may_wait().is_ok() && !self.callbacks.gate.inside() && !linger.is_zero();
        // Begins now, and is one for all three waits.
        let mut deadline = Deadline::after(Some(linger));
        deadline.at();
        if may_wait {
            if let Ok(mut driver) = self.open() {
                let wanted = driver.protocol.request_ack();
                self.act(&mut driver);
                reader::wait(self, &mut driver, &mut deadline, |driver| {
                    let session = &driver.protocol;
                    let linked = matches!(session.link(), LinkState::Connecting | LinkState::Connected);
                    (!linked || session.is_acked(wanted) || self.check_usable().is_err()).then_some(())
                });
                while let Some(settled) = driver.protocol.settles_until() {
                    let left = settled.since(runtime::now().mono);
                    let until = deadline.at().into_iter().chain(Deadline::after(Some(left)).at()).min();
                    if left.is_zero() || deadline.is_over() {
                        break;
                    }
                    reader::wait_for_others(self, &mut driver, until);
                }
            }
        }
        let Ok(mut driver) = self.open() else { return };
        self.handle_state.close();
        driver.protocol.disconnect();
        self.act(&mut driver);
        self.tell(&mut driver);
        driver.reader().wake();
        if may_wait {
            // What was written to a TCP connection is lost if it is closed with something unread.
            reader::wait(self, &mut driver, &mut deadline, |driver| (driver.closing() == 0).then_some(()));
        }
        self.shared.stop();
    }

    /// A thread has ended inside a callback: the app is closed. It is not logged, since the thread may run no more code of
    /// the program.
    pub(super) fn leave(&self) {
        self.handle_state.close();
        self.shared.stop();
    }

    pub(super) fn end_loop(&self) {
        let mut driver = self.shared.lock();
        driver.close_all();
        self.tell(&mut driver);
    }

    /// Closes the app and ends its thread, as far as it has one.
    pub(super) fn end(&self) {
        if self.shared.forked() {
            if self.thread.abandon() {
                self.shared.abandon();
            }
            return;
        }
        match self.thread.take() {
            // Never connected: there is no loop to end.
            None => self.handle_state.close(),
            Some(thread) => {
                self.close(None);
                self.shared.stop();
                // Inside a callback on that thread, it ends when the callback has returned. One that cannot be woken would
                // be waited for indefinitely.
                if !self.thread.is_current() && !self.shared.is_deaf() {
                    join(thread);
                    crate::logging::flush();
                }
            }
        }
        self.callbacks.handlers.end_all();
    }
}

impl Drop for Ender {
    fn drop(&mut self) {
        self.0.end();
    }
}
