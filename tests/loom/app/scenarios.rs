//! What threads do with an app at the same time.

use super::*;

type Act = fn(&App);

/// Runs these threads beside the loop, which the last of them stops.
fn check_app(preemptions: usize, acts: &'static [Act]) {
    check_app_with(false, false, preemptions, acts);
}

/// The same where threads that stop reading keep the connection, since they are expected back.
fn check_app_that_expects(preemptions: usize, acts: &'static [Act]) {
    check_app_with(true, false, preemptions, acts);
}

/// The same where the program has an event loop of its own, too.
fn check_app_that_polls(preemptions: usize, acts: &'static [Act]) {
    check_app_with(true, true, preemptions, acts);
}

fn check_app_with(expects: bool, polls: bool, preemptions: usize, acts: &'static [Act]) {
    [false, true].into_iter().for_each(|in_memory| check_connection(expects, polls, in_memory, preemptions, acts));
}

/// The same with a socket, or a connection in memory.
fn check_connection(expects: bool, polls: bool, in_memory: bool, preemptions: usize, acts: &'static [Act]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let (app, left) = (App::new(expects, polls, in_memory), Arc::new(AtomicUsize::new(acts.len())));
        let threads: Vec<_> = acts
            .iter()
            .map(|act| {
                let (app, left) = (app.clone(), left.clone());
                thread::spawn(move || {
                    act(&app);
                    if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                        app.stop();
                    }
                })
            })
            .collect();
        app.run();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        is_away_for_too_long(&app);
        assert!(!app.lock().connection.lent, "nobody reads any more");
    });
}

/// The loop's part, once a thread that is expected back has not come for long.
fn is_away_for_too_long(app: &App) {
    let mut driver = app.lock();
    let (reader, connection) = App::parts(&mut driver);
    reader.recall(connection);
}

fn receives(app: &App) {
    assert!(app.recv());
}

fn receives_nothing(app: &App) {
    assert!(!app.recv());
}

fn receives_or_not(app: &App) {
    let _ = app.recv();
}

fn receives_twice(app: &App) {
    (0..2).for_each(|_| receives(app));
}

fn a_message_arrives(app: &App) {
    app.kernel.arrives(|socket| socket.unread += 1);
}

fn two_messages_arrive(app: &App) {
    (0..2).for_each(|_| a_message_arrives(app));
}

fn the_connection_ends(app: &App) {
    app.kernel.arrives(|socket| socket.closed = true);
}

/// As `App::interrupt`, which only has the loop look.
fn interrupts(app: &App) {
    app.lock().interrupted = true;
    app.kernel.poller.wake();
}

fn keeps_reading(app: &App) {
    let mut driver = app.lock();
    let (reader, connection) = App::parts(&mut driver);
    reader.keep(connection);
}

#[test]
fn a_thread_that_waits_gets_each_message_whoever_reads_it() {
    check_app(2, &[two_messages_arrive, receives_twice]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_what_the_loop_reads() {
    check_app(2, &[a_message_arrives, App::waits_for_a_message]);
}

#[test]
fn two_threads_that_wait_get_a_message_each() {
    check_app(1, &[two_messages_arrive, receives, receives]);
}

#[test]
fn a_thread_that_is_expected_back_gets_each_message() {
    check_app_that_expects(2, &[two_messages_arrive, receives_twice]);
}

#[test]
fn two_threads_get_a_message_each_while_each_is_expected_back() {
    check_app_that_expects(1, &[two_messages_arrive, receives, receives]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_a_message_while_another_is_expected_back() {
    check_app_that_expects(2, &[two_messages_arrive, receives, App::waits_for_a_message]);
}

#[test]
fn a_connection_that_is_kept_for_a_thread_that_stays_away_is_read_by_the_loop() {
    check_app_that_expects(
        2,
        &[two_messages_arrive, |app| {
            receives(app);
            is_away_for_too_long(app);
            // It relies on the loop, and recalls nothing.
            let mut driver = app.lock();
            while driver.inbox == 0 {
                Monitor::wait(app, &mut driver, None);
            }
        }],
    );
}

#[test]
fn the_end_of_a_connection_ends_every_wait_while_a_thread_is_expected_back() {
    check_app_that_expects(
        1,
        &[receives_or_not, receives_or_not, |app| {
            a_message_arrives(app);
            the_connection_ends(app);
        }],
    );
}

#[test]
fn an_interrupt_ends_a_wait() {
    check_app(2, &[interrupts, receives_nothing]);
}

#[test]
fn the_end_of_the_connection_ends_every_wait() {
    check_app(1, &[the_connection_ends, receives_nothing, receives_nothing]);
}

#[test]
fn once_the_loop_keeps_reading_it_reads_for_a_thread_that_waits() {
    check_app(
        2,
        &[receives, |app| {
            keeps_reading(app);
            a_message_arrives(app);
        }],
    );
}

/// As `App::disconnect`: another thread closes the connection, of which the kernel need not tell who sleeps on it.
fn disconnects(app: &App) {
    let mut driver = app.lock();
    driver.close();
    app.notify();
}

#[test]
fn a_connection_that_is_closed_before_its_thread_has_the_lock_is_not_read() {
    check_app(
        2,
        &[receives_or_not, |app| {
            a_message_arrives(app);
            disconnects(app);
        }],
    );
}

#[test]
fn a_connection_that_another_thread_closes_ends_every_wait() {
    check_app(1, &[disconnects, receives_nothing, receives_nothing]);
}

#[test]
fn once_the_loop_keeps_reading_it_reads_for_every_thread_that_waits() {
    check_app(
        1,
        &[receives, receives, |app| {
            a_message_arrives(app);
            keeps_reading(app);
            a_message_arrives(app);
        }],
    );
}

fn polls_for_two(app: &App) {
    app.polls_for(Some(2));
}

fn polls_for_one(app: &App) {
    app.polls_for(Some(1));
}

#[test]
fn a_program_with_an_event_loop_of_its_own_gets_each_message_whoever_reads_it() {
    check_app_that_polls(2, &[two_messages_arrive, polls_for_two]);
}

#[test]
fn it_gets_a_message_that_came_when_it_had_stayed_away_for_too_long() {
    check_app_that_polls(
        2,
        &[two_messages_arrive, |app| {
            polls_for_one(app);
            is_away_for_too_long(app);
            polls_for_one(app);
        }],
    );
}

#[test]
fn it_gets_a_message_beside_a_thread_that_waits_for_another() {
    check_app_that_polls(1, &[two_messages_arrive, polls_for_one, receives]);
}

#[test]
fn a_thread_that_waits_without_reading_hears_of_a_message_beside_it() {
    check_app_that_polls(1, &[a_message_arrives, App::waits_for_a_message, polls_for_none]);
}

#[test]
fn it_learns_of_the_end_of_the_connection() {
    check_app_that_polls(
        2,
        &[
            |app| app.polls_for(None),
            |app| {
                a_message_arrives(app);
                the_connection_ends(app);
            },
        ],
    );
}

#[test]
fn it_gets_a_message_beside_a_thread_that_reads_and_takes_none() {
    check_app_that_polls(
        1,
        &[App::waits_for_the_end, |app| {
            a_message_arrives(app);
            polls_for_one(app);
            the_connection_ends(app);
        }],
    );
}

#[test]
fn it_gets_a_message_after_a_call_that_has_only_looked() {
    check_app_that_polls(
        2,
        &[two_messages_arrive, |app| {
            polls_for_one(app);
            app.looks();
            polls_for_one(app);
        }],
    );
}

/// As a program whose own event loop has woken it for nothing.
fn polls_for_none(app: &App) {
    if app.try_recv() {
        app.lock().inbox += 1;
        app.notify();
    }
}
