//! A queue for lines of the log. A thread that logs puts its line here and goes on; the queue's own thread writes the
//! lines. So a reader of the log that is slow, or stops, delays only that thread.

// For a system call: a write to standard error.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use log::Level;

use crate::runtime::spawn_with_stack;
use crate::transport::PerProcess;
use crate::visible;

/// Limit of the lines that wait.
const LINES: usize = 4096;
/// Limit of their bytes.
const BYTES: usize = 1 << 20;
/// The stack of the thread, which may run a function of the program.
const STACK: usize = 2 << 20;
/// How long the end of a handle, or of the process, waits for a line to be written.
pub const MOMENT: Duration = Duration::from_secs(1);

/// A line of the log.
#[derive(Debug)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// When it was logged.
    pub at: SystemTime,
    /// One line, in which every character is visible.
    pub text: String,
}

/// A bounded queue of lines, and the thread that hands them to `sink`, one after the other. Lines that do not fit are
/// counted, and one line reports their number.
///
/// The thread is started by the first line. A child of `fork` begins with an empty queue, and starts one of its own.
pub struct LogQueue {
    sink: fn(&Line),
    queue: PerProcess<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Contents>,
    /// Notified of every change in `state` that a thread may wait for.
    changed: Condvar,
}

#[derive(Default)]
struct Contents {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that did not fit since the last one that did.
    lost: u64,
    thread: Option<JoinHandle<()>>,
    /// Set while the thread runs.
    runs: Option<ThreadId>,
    /// The thread has to end once the queue is empty.
    ends: bool,
    /// The sink has a line.
    busy: bool,
    /// Lines that were written.
    done: u64,
    /// A thread has waited in vain for the line that the sink has.
    stuck: bool,
}

impl Contents {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.lost == 0 && !self.busy
    }

    /// After a loss some space has to become free first, or every second line would report losses.
    fn has_room(&self) -> bool {
        let share = if self.lost > 0 { 2 } else { 1 };
        self.lines.len() < LINES / share && self.bytes < BYTES / share
    }

    fn add(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
    }

    fn next(&mut self) -> Option<Line> {
        let line = self.lines.pop_front().or_else(|| self.take_lost())?;
        self.bytes = self.bytes.saturating_sub(line.text.len());
        Some(line)
    }

    /// The line that reports losses.
    fn take_lost(&mut self) -> Option<Line> {
        let lost = std::mem::take(&mut self.lost);
        let level = log::max_level().to_level().map_or(Level::Warn, |most| most.min(Level::Warn));
        let text = format!("{lost} lines of the log were lost: they came faster than they could be written");
        (lost > 0).then(|| Line { level, at: SystemTime::now(), text })
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, Contents>) -> MutexGuard<'a, Contents> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, at most for `timeout`; returns whether it is.
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, Contents>,
        timeout: Duration,
        done: impl Fn(&Contents) -> bool,
    ) -> (MutexGuard<'a, Contents>, bool) {
        let end = Instant::now() + timeout;
        while !done(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (state, false);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state, true)
    }

    /// The thread's function.
    fn run(&self, sink: fn(&Line)) {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.next() {
                state.busy = true;
                drop(state);
                // A sink that panics loses its line.
                let _ = std::panic::catch_unwind(|| sink(&line));
                drop(line);
                state = self.lock();
                state.busy = false;
                state.stuck = false;
                state.done += 1;
                self.changed.notify_all();
            } else if state.ends {
                state.ends = false;
                state.runs = None;
                self.changed.notify_all();
                return;
            } else {
                state = self.wait(state);
            }
        }
    }
}

impl LogQueue {
    /// A queue that hands each line to `sink`.
    pub const fn new(sink: fn(&Line)) -> LogQueue {
        LogQueue { sink, queue: PerProcess::new() }
    }

    /// Appends a line, without waiting for the others. Lines that the sink itself logs are dropped.
    pub fn push(&self, level: Level, text: fmt::Arguments<'_>) {
        let line = Line { level, at: SystemTime::now(), text: visible::one_line(&text.to_string()).into_owned() };
        let queue = self.queue.get();
        let mut state = queue.lock();
        if state.runs == Some(std::thread::current().id()) {
            return;
        }
        if !state.has_room() {
            state.lost += 1;
            return;
        }
        if let Some(lost) = state.take_lost() {
            state.add(lost);
        }
        state.add(line);
        state.ends = false;
        if state.runs.is_none() {
            let sink = self.sink;
            // If no thread can be started, lines wait for one, and are counted as lost in the end.
            if let Ok(thread) = spawn_with_stack("ns-log", STACK, move || queue.run(sink)) {
                state.runs = Some(thread.thread().id());
                state.thread = Some(thread);
            }
        }
        if !state.busy {
            queue.changed.notify_all();
        }
    }

    /// Waits until all lines are written, as long as one is written within each `timeout`; returns whether they are.
    /// Does not wait again for a line that an earlier call has waited for in vain, nor inside the sink.
    pub fn flush(&self, timeout: Duration) -> bool {
        /// How many such times it waits at most while lines do go out.
        const MOMENTS: u32 = 3;
        let queue = self.queue.get();
        let mut state = queue.lock();
        for _ in 0..MOMENTS {
            if state.is_idle() {
                return true;
            }
            if state.stuck || state.runs.is_none() || state.runs == Some(std::thread::current().id()) {
                return false;
            }
            let before = state.done;
            state = queue.wait_until(state, timeout, Contents::is_idle).0;
            state.stuck = state.busy && state.done == before;
        }
        state.is_idle()
    }

    /// [Flushes](LogQueue::flush), and ends the thread if all lines are written. The next line starts another one.
    pub fn end(&self, timeout: Duration) {
        if !self.flush(timeout) {
            return;
        }
        let queue = self.queue.get();
        let mut state = queue.lock();
        if state.runs.is_none() || state.runs == Some(std::thread::current().id()) {
            return;
        }
        state.ends = true;
        queue.changed.notify_all();
        let (mut state, ended) = queue.wait_until(state, timeout, |state| state.runs.is_none() || !state.ends);
        let thread = if ended && state.runs.is_none() { state.thread.take() } else { None };
        drop(state);
        // It has nothing more to do.
        thread.map(JoinHandle::join);
    }

    /// Whether this is the thread of the queue, inside the sink.
    pub fn is_inside(&self) -> bool {
        self.queue.get().lock().runs == Some(std::thread::current().id())
    }

    /// Calls `f` while the sink is given no line; with `quiet`, also only while it has none.
    pub fn while_held<T>(&self, quiet: impl Fn() -> bool, f: impl FnOnce() -> T) -> T {
        let queue = self.queue.get();
        let mut state = queue.lock();
        while state.busy && quiet() {
            state = queue.wait(state);
        }
        let result = f();
        drop(state);
        result
    }
}

/// Writes bytes to standard error, all of them if possible: it may be a full pipe, or non-blocking. Not through
/// `std::io::stderr`, whose lock another thread may hold, indefinitely or during a `fork`.
pub fn write_to_stderr(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are those of a live slice.
        let n = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
        if n >= 0 {
            bytes = &bytes[(n as usize).min(bytes.len())..];
            continue;
        }
        match std::io::Error::last_os_error().kind() {
            std::io::ErrorKind::Interrupted => {}
            std::io::ErrorKind::WouldBlock => {
                let mut ready = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
                // SAFETY: one element, which lives during the call.
                if unsafe { libc::poll(&mut ready, 1, -1) } < 0 {
                    return;
                }
            }
            // A failure to log cannot be reported.
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// The lines that a sink got; it waits while `held`.
    struct Seen {
        lines: Mutex<(Vec<String>, bool)>,
        changed: Condvar,
    }

    impl Seen {
        const fn new() -> Seen {
            Seen { lines: Mutex::new((Vec::new(), false)), changed: Condvar::new() }
        }

        fn take(&self, line: &Line) {
            let mut lines = self.lines.lock().unwrap();
            lines.0.push(line.text.clone());
            self.changed.notify_all();
            drop(self.changed.wait_while(lines, |lines| lines.1).unwrap());
        }

        fn hold(&self, held: bool) {
            self.lines.lock().unwrap().1 = held;
            self.changed.notify_all();
        }

        fn wait_for(&self, n: usize) {
            drop(self.changed.wait_while(self.lines.lock().unwrap(), |lines| lines.0.len() < n).unwrap());
        }

        fn lines(&self) -> Vec<String> {
            self.lines.lock().unwrap().0.clone()
        }
    }

    const SOON: Duration = Duration::from_secs(60);

    #[test]
    fn lines_come_out_in_order_each_on_one_line() {
        static SEEN: Seen = Seen::new();
        static QUEUE: LogQueue = LogQueue::new(|line| SEEN.take(line));
        assert!(QUEUE.flush(Duration::ZERO));
        for i in 0..1000 {
            QUEUE.push(Level::Info, format_args!("line\n{i}"));
        }
        assert!(QUEUE.flush(SOON));
        assert_eq!(SEEN.lines(), (0..1000).map(|i| format!("line\\n{i}")).collect::<Vec<_>>());
        QUEUE.end(SOON);
        assert!(QUEUE.queue.get().lock().runs.is_none(), "its thread has ended");
        QUEUE.push(Level::Info, format_args!("again"));
        assert!(QUEUE.flush(SOON));
        assert_eq!(SEEN.lines().len(), 1001);
    }

    #[test]
    fn a_sink_that_waits_holds_up_nobody_and_what_is_lost_is_counted() {
        static SEEN: Seen = Seen::new();
        static QUEUE: LogQueue = LogQueue::new(|line| SEEN.take(line));
        SEEN.hold(true);
        QUEUE.push(Level::Info, format_args!("first"));
        SEEN.wait_for(1);
        for i in 0..LINES + 10 {
            QUEUE.push(Level::Info, format_args!("{i}"));
        }
        assert!(!QUEUE.flush(Duration::from_millis(1)));
        assert!(!QUEUE.flush(SOON), "and nobody waits again in vain");
        SEEN.hold(false);
        SEEN.wait_for(LINES + 2);
        let lines = SEEN.lines();
        assert_eq!(lines[LINES], (LINES - 1).to_string());
        assert!(lines[LINES + 1].starts_with("10 lines of the log were lost"), "{}", lines[LINES + 1]);
        QUEUE.push(Level::Info, format_args!("last"));
        assert!(QUEUE.flush(SOON));
        assert_eq!(SEEN.lines().last().unwrap(), "last");
    }

    #[test]
    fn what_a_sink_says_is_dropped_and_it_may_panic() {
        static QUEUE: LogQueue = LogQueue::new(|_| {
            assert!(QUEUE.is_inside());
            QUEUE.push(Level::Info, format_args!("of the sink"));
            assert!(!QUEUE.flush(SOON));
            panic!("as a test");
        });
        assert!(!QUEUE.is_inside());
        QUEUE.push(Level::Info, format_args!("one"));
        assert!(QUEUE.flush(SOON));
        QUEUE.push(Level::Info, format_args!("two"));
        assert!(QUEUE.flush(SOON));
    }
}
