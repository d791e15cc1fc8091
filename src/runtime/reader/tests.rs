//! The right to read a connection, and the sleep of the thread that has it.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::runtime::conns::lending::{Source, Waiter};
use crate::transport::waiter::{MemoryWaiter, SocketWaiter};

/// What a thread sleeps on, which counts its wakes and finds something to read at once.
#[derive(Clone, Default)]
struct Wakes(Arc<AtomicUsize>);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wait for Wakes {
    type Source = ();

    fn wait(&self, (): (), _: Option<Duration>) -> io::Result<Woken> {
        Ok(Woken::Readable)
    }

    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections of which at most one is lent, and how each thread is treated.
#[derive(Default)]
struct Connections {
    lent: Option<u32>,
    paused: bool,
    /// The loop has something to read of them.
    due: bool,
    /// Only the loop can wait for them.
    only_loop: bool,
    /// The one that the program's own event loop watches.
    shown: Option<u32>,
    cannot_show: bool,
}

impl Lender for Connections {
    type Conn = u32;
    type Wait = Wakes;

    fn can_lend(&self, _: u32) -> bool {
        !self.only_loop
    }

    fn lend(&mut self, conn: u32, _: &Arc<Sleeper<Wakes>>) -> bool {
        if !self.only_loop {
            self.lent = Some(conn);
        }
        !self.only_loop
    }

    fn take_back(&mut self, conn: u32) {
        assert_eq!((self.lent.take(), self.shown), (Some(conn), None), "it is given back once");
    }

    fn show(&mut self, conn: u32) -> bool {
        if !self.cannot_show {
            self.shown = Some(conn);
        }
        !self.cannot_show
    }

    fn hide(&mut self, _: u32) {
        self.shown = None;
    }

    fn is_due(&self, _: u32) -> bool {
        self.due
    }

    fn is_paused(&self, _: u32) -> bool {
        self.paused
    }

    fn source(&self, _: u32) -> Option<()> {
        Some(())
    }

    fn waiter(&self, _: u32) -> io::Result<Wakes> {
        Ok(Wakes::default())
    }
}

/// A reader, the connections, and connection 1 borrowed by a thread.
fn borrowed() -> (Reader<Connections>, Connections) {
    let (mut reader, mut conns) = (Reader::default(), Connections::default());
    assert!(reader.borrow(&mut conns, 1) && reader.is_borrowed(&conns, 1) && conns.lent == Some(1));
    (reader, conns)
}

/// As [`borrowed`], then passed on to so many threads that wait.
fn passed_on(waiting: usize) -> (Reader<Connections>, Connections) {
    let (mut reader, mut conns) = borrowed();
    (0..waiting).for_each(|_| reader.begin_wait());
    assert!(reader.give_back(&mut conns, 1, false) && conns.lent == Some(1), "the loop does not read meanwhile");
    (reader, conns)
}

/// The thread that reads sleeps from now on: counts how often it is woken.
fn asleep(reader: &Reader<Connections>) -> Wakes {
    let (_, sleeper) = reader.sleeper.as_ref().expect("a thread reads");
    assert!(sleeper.flag.sleep());
    sleeper.waiter.clone()
}

#[test]
fn one_thread_at_a_time_reads_and_the_loop_once_nobody_waits() {
    let (mut reader, mut conns) = borrowed();
    assert!(!reader.borrow(&mut conns, 1), "another thread reads");
    assert!(!reader.give_back(&mut conns, 1, false) && conns.lent.is_none());
}

/// As [`borrowed`], then kept for the thread, which is away.
fn away() -> (Reader<Connections>, Connections) {
    let (mut reader, mut conns) = borrowed();
    assert!(!reader.give_back(&mut conns, 1, true) && reader.is_away());
    assert_eq!((conns.lent, conns.shown), (Some(1), Some(1)));
    (reader, conns)
}

#[test]
fn what_is_kept_for_a_thread_is_read_by_it_or_another_or_by_the_loop_once_it_is_recalled() {
    let (mut reader, mut conns) = away();
    reader.leave(&mut conns);
    assert!(reader.is_away(), "one that has not read changes nothing");
    assert!(reader.borrow(&mut conns, 1) && reader.is_borrowed(&conns, 1) && !reader.is_away());
    assert!(conns.shown.is_none(), "nobody else is told of what it reads");
    reader.recall(&mut conns);
    assert!(reader.is_borrowed(&conns, 1), "nobody is away");
    let (mut reader, mut conns) = away();
    reader.recall(&mut conns);
    assert_eq!((conns.lent, reader.is_lent(), reader.is_away()), (None, false, false));
    let (mut reader, mut conns) = away();
    reader.keep(&mut conns);
    assert_eq!((conns.lent, reader.is_lent()), (None, false));
    let (mut reader, mut conns) = away();
    conns.only_loop = true;
    assert!(!reader.borrow(&mut conns, 1) && conns.lent.is_none() && !reader.is_away());
    let (mut reader, mut conns) = away();
    (conns.lent, conns.shown) = (None, None);
    reader.close();
    assert!(!reader.is_away() && reader.borrow(&mut conns, 2));
}

#[test]
fn what_the_loop_reads_is_set_aside_for_a_program_with_a_loop_of_its_own_unless_somebody_waits_or_it_cannot_watch() {
    let mut conns = Connections::default();
    let mut reader = Reader::default();
    assert!(reader.may_set_aside(&conns, 1));
    reader.begin_wait();
    assert!(!reader.may_set_aside(&conns, 1));
    reader.end_wait();
    reader.begin_to_rely(&mut conns);
    assert!(!reader.may_set_aside(&conns, 1));
    reader.end_to_rely();
    (conns.due, conns.only_loop) = (true, false);
    assert!(!reader.may_set_aside(&conns, 1));
    (conns.due, conns.only_loop) = (false, true);
    assert!(!reader.may_set_aside(&conns, 1));
    conns.only_loop = false;
    conns.cannot_show = true;
    reader.set_aside(&mut conns, 1);
    assert_eq!((reader.kept(), conns.lent), (None, None));
    conns.cannot_show = false;
    reader.set_aside(&mut conns, 1);
    assert_eq!((reader.kept(), conns.lent, conns.shown), (Some(1), Some(1), Some(1)));
    assert!(!reader.may_set_aside(&conns, 1), "the loop does not read it");
    // A loop of the program's own that begins now, and cannot watch it.
    conns.cannot_show = true;
    reader.show(&mut conns);
    assert_eq!((reader.kept(), conns.lent, conns.shown), (None, None, None));
    reader.keep(&mut conns);
    assert!(!reader.may_set_aside(&conns, 1));
}

#[test]
fn nothing_is_kept_while_a_thread_relies_on_others_to_read_or_nothing_can_be_read() {
    let (mut reader, mut conns) = away();
    reader.begin_to_rely(&mut conns);
    assert!(conns.lent.is_none());
    assert!(reader.borrow(&mut conns, 1) && !reader.give_back(&mut conns, 1, true) && conns.lent.is_none());
    reader.end_to_rely();
    assert!(reader.borrow(&mut conns, 1));
    conns.paused = true;
    assert!(!reader.give_back(&mut conns, 1, true) && conns.lent.is_none());
    let (mut reader, mut conns) = borrowed();
    conns.due = true;
    assert!(!reader.give_back(&mut conns, 1, true) && conns.lent.is_none() && reader.kept().is_none());
}

#[test]
fn what_is_passed_on_is_read_by_the_first_that_borrows_it_or_by_the_loop_after_the_last_has_left() {
    let (mut reader, mut conns) = passed_on(2);
    reader.end_wait();
    reader.leave(&mut conns);
    assert_eq!(conns.lent, Some(1), "one still waits");
    reader.end_wait();
    assert!(reader.borrow(&mut conns, 1));
    let (mut reader, mut conns) = passed_on(1);
    reader.end_wait();
    reader.leave(&mut conns);
    assert_eq!(conns.lent, None);
}

#[test]
fn what_is_passed_on_and_cannot_be_borrowed_belongs_to_the_loop() {
    let (mut reader, mut conns) = passed_on(1);
    conns.only_loop = true;
    assert!(!reader.borrow(&mut conns, 1));
    assert_eq!((conns.lent, reader.is_lent()), (None, false));
    let (mut reader, mut conns) = borrowed();
    reader.begin_wait();
    conns.paused = true;
    assert!(!reader.is_borrowed(&conns, 1) && reader.give_back(&mut conns, 1, false));
    assert_eq!((conns.lent, reader.is_lent()), (None, false));
}

#[test]
fn once_the_loop_keeps_reading_no_thread_reads() {
    // From a thread that reads.
    let (mut reader, mut conns) = borrowed();
    let woken = asleep(&reader);
    reader.keep(&mut conns);
    assert!(woken.count() == 1 && !reader.is_borrowed(&conns, 1));
    reader.begin_wait();
    assert!(!reader.give_back(&mut conns, 1, false) && conns.lent.is_none(), "it is not passed on");
    assert!(!reader.borrow(&mut conns, 1));
    // From threads to whom it was passed on and who have not looked yet.
    let (mut reader, mut conns) = passed_on(1);
    reader.keep(&mut conns);
    assert_eq!((conns.lent, reader.is_lent()), (None, false));
}

#[test]
fn a_connection_that_is_closed_is_forgotten_and_the_next_has_a_sleeper_of_its_own() {
    let (mut reader, mut conns) = borrowed();
    let first = asleep(&reader);
    conns.lent = None;
    reader.close();
    assert!(first.count() == 1 && !reader.is_lent() && !reader.is_borrowed(&conns, 1));
    assert!(reader.borrow(&mut conns, 2), "another thread");
    assert!(!reader.give_back(&mut conns, 1, false) && reader.is_borrowed(&conns, 2), "the first gives nothing back");
    let second = asleep(&reader);
    reader.wake();
    assert_eq!((first.count(), second.count()), (1, 1));
}

fn sleeper(waiter: Waiter) -> Sleeper<Waiter> {
    Sleeper { flag: WakeFlag::new(), waiter }
}

/// What a thread sleeps on that waits for a socket, or for a connection in memory, which has nothing to read; and what a
/// wake ends the wait as.
fn kinds(socket: &UnixStream) -> [(Sleeper<Waiter>, Source, Woken); 2] {
    let memory = sleeper(Waiter::Memory(MemoryWaiter::default()));
    let to_socket = sleeper(Waiter::Socket(SocketWaiter::new().unwrap()));
    [
        (to_socket, Source::Socket(socket.as_raw_fd()), Woken::Otherwise),
        // It is not known who woke it.
        (memory, Source::Memory { has_more: false }, Woken::Readable),
    ]
}

#[test]
fn bytes_a_hang_up_and_a_wake_each_end_a_wait() {
    let (mine, mut theirs) = UnixStream::pair().unwrap();
    let [(sleeper, source, _), (memory, ..)] = kinds(&mine);
    let wait = |timeout| sleeper.wait(source, timeout).unwrap();
    assert_eq!(wait(Some(Duration::ZERO)), Woken::Otherwise);
    theirs.write_all(b"x").unwrap();
    assert_eq!(wait(None), Woken::Readable);
    drop(theirs);
    assert_eq!(wait(None), Woken::Broken);
    assert_eq!(memory.wait(Source::Memory { has_more: true }, None).unwrap(), Woken::Readable);
}

#[test]
fn a_wait_is_not_shorter_than_asked_for() {
    let (mine, _theirs) = UnixStream::pair().unwrap();
    for (sleeper, source, woken) in kinds(&mine) {
        let begin = Instant::now();
        assert_eq!(sleeper.wait(source, Some(Duration::from_micros(10_100))).unwrap(), Woken::Otherwise);
        assert!(begin.elapsed() >= Duration::from_micros(10_100));
        sleeper.wake();
        assert_eq!(sleeper.wait(source, Some(Duration::MAX)).unwrap(), woken);
    }
}

#[test]
fn a_wake_that_came_before_the_wait_ends_it() {
    let (mine, _theirs) = UnixStream::pair().unwrap();
    for (sleeper, source, woken) in kinds(&mine) {
        let sleeper = Arc::new(sleeper);
        sleeper.wake();
        assert_eq!(sleeper.wait(source, None).unwrap(), woken);
        for _ in 0..1000 {
            let waker = {
                let sleeper = sleeper.clone();
                std::thread::spawn(move || sleeper.wake())
            };
            // For ever, if the wake was lost.
            assert_eq!(sleeper.wait(source, None).unwrap(), woken);
            waker.join().unwrap();
        }
    }
}
