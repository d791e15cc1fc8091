//! Requests, each of which makes the hub look at much that it holds.

use super::super::turns::TURN;
use super::*;

const CLIENTS: u64 = 20;

/// Clients of a gateway, which all ask this, and again when they are answered, for so many turns. Returns how often.
fn ask(storm: &mut Storm, words: &[&str], turns: usize) -> usize {
    let request = request(words);
    let mut asked = 0;
    for _ in 0..turns {
        for conn in 1000..1000 + CLIENTS {
            asked += usize::from(storm.bytes(conn, &request));
        }
        storm.turn();
    }
    asked
}

/// A hub with a gateway for requests, and its clients.
fn with_clients(mut storm: Storm) -> Storm {
    storm.router.serves(Role::Rep);
    (1000..1000 + CLIENTS).for_each(|conn| storm.open_client(conn, Role::Rep));
    storm
}

#[test]
fn a_pattern_that_takes_long_takes_one_name_more_than_its_turn() {
    const NAMES: u64 = 30;
    let mut storm = with_clients(Storm::of("patterns", 8 << 20, RouterConfig::default()));
    storm.join(10, 0);
    for n in 0..NAMES {
        let end = format!("{n:03}");
        let name = "a/".repeat((limits::MAX_NAME - end.len()) / 2) + &end;
        storm.bytes(10, &value(10, &name, &Value::Text("x"), n + 1));
    }
    storm.begins();
    let pattern = format!("**/{}b/**", format!("{}/", "*".repeat(70)).repeat(7));
    let asked = ask(&mut storm, &["list", &pattern], 700);
    assert!(asked > CLIENTS as usize, "some are answered: {asked}");
    // A name takes four steps for each of its bytes.
    let name = 4 * limits::MAX_NAME;
    storm.ends(TURN + 2 * name, TURN + 2 * name);
}

#[test]
fn a_list_of_all_takes_as_many_turns_as_it_is_long() {
    const STATES: u64 = 40_000;
    const LONGEST: usize = 256 << 10;
    let config = RouterConfig { legacy_max: LONGEST, ..RouterConfig::default() };
    let mut storm = with_clients(Storm::of("lists", 64 << 20, config));
    fill(&mut storm, STATES, "x");
    storm.begins();
    let asked = ask(&mut storm, &["list", "**"], 300);
    assert!(asked > CLIENTS as usize, "some are answered: {asked}");
    storm.ends(CALL, CALL);
}

#[test]
fn the_newest_value_of_a_name_is_not_looked_for_among_all_its_senders() {
    const SENDERS: u64 = 20_000;
    let mut storm = with_clients(Storm::of("gets", 64 << 20, RouterConfig::default()));
    storm.open_old(10);
    of_senders(SENDERS).for_each(|input| assert!(storm.bytes(10, &input)));
    storm.begins();
    assert_eq!(ask(&mut storm, &["get", "same"], 20), 20 * CLIENTS as usize);
    storm.ends(256, CALL);
}

#[test]
fn who_reads_no_answers_is_not_read_and_is_cut_when_there_is_no_memory() {
    let memory = 4 << 20;
    let mut storm = with_clients(Storm::of("unread answers", memory, RouterConfig::default()));
    fill(&mut storm, 2_000, &"x".repeat(80));
    (1000..1000 + CLIENTS).for_each(|conn| storm.takes(conn, 0));
    storm.begins();
    let asked = ask(&mut storm, &["list", "**"], 200);
    assert!(asked <= 3 * CLIENTS as usize, "{asked} requests were read");
    assert!(!storm.cut.is_empty() && storm.cut.len() < CLIENTS as usize, "{} were cut", storm.cut.len());
    storm.ends(CALL, CALL);
}

#[test]
fn asking_for_the_whole_table_again_and_again_takes_no_more_of_a_turn() {
    const APPS: u64 = 50;
    let mut storm = Storm::of("accepts", 64 << 20, RouterConfig::default());
    fill(&mut storm, 30_000, "x");
    // None of the states is of this kind.
    let mask = Kind::Nil.mask();
    (1000..1000 + APPS).for_each(|conn| storm.join(conn, mask));
    storm.begins();
    for _ in 0..10 {
        for conn in 1000..1000 + APPS {
            assert!(storm.bytes(conn, &control(conn, &Control::Accept { mask })));
        }
        storm.turn();
    }
    storm.ends(CALL, CALL);
}

#[test]
fn pings_of_one_who_does_not_read_are_answered_once() {
    const APPS: u64 = 50;
    let mut storm = Storm::of("pings", 8 << 20, RouterConfig { outbox: 64 << 10, ..RouterConfig::default() });
    for conn in 1000..1000 + APPS {
        storm.join(conn, 0);
        storm.takes(conn, 0);
    }
    storm.begins();
    for round in 0..5 {
        for conn in 1000..1000 + APPS {
            let frames = (0..).map(|token| control(conn, &Control::Ping { token }));
            batch(frames).take(1 + round % 2).for_each(|input| _ = storm.bytes(conn, &input));
        }
        storm.turn();
    }
    let waiting = storm.router.stats().outbox_bytes / APPS;
    assert!(waiting < 2 * (64 << 10), "{waiting} bytes of pongs for each");
    storm.ends(CALL, CALL);
}
