//! One newest value for everybody, under any clocks: hours apart, set forth and back, suspended, of hubs that come back
//! with another clock, and of programs that share an identity.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Meta, Stamp, ACCEPT_ANY};
use nanostate::{Kind, Status};

use crate::sim::{self, body, each_seed, number_of, DirectApp, Id, OldPeer, RawPeer, World, MS, SEC};

const HUB: &str = "tcp://hub";

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Back to 1970: the clock of a board without a battery.
const TO_1970: i64 = -1_800_000_000_000;

/// What a v1 peer sends that publishes these names with these clocks, and does not care what it gets.
fn v1_peer(identity: &str, states: &[(&str, LogicalTime)]) -> Vec<u8> {
    let (instance, mut bodies) = (Instance([0xEE; 16]), vec![Vec::new()]);
    let flags = HelloFlags::default();
    Control::Hello { instance, epoch: 1, accept: 0, flags, time: None, secret: None }.encode(identity, &mut bodies[0]);
    for &(name, clock) in states {
        let meta = Meta { stamp: Some(Stamp { clock, instance }), ..Meta::default() };
        bodies.push(body(Form::V1, identity, name, &[7], &meta));
    }
    let mut bytes = header(Version::V1).to_vec();
    for body in bodies {
        bytes.extend_from_slice(&frame_head(Framing::Tcp, body.len()));
        bytes.extend(body);
    }
    bytes
}

/// What a value is and who gave it which stamp.
type Shown = (Stamp, Vec<u8>);

fn table(world: &mut World, hub: Id) -> BTreeMap<(String, String), Shown> {
    let entry = |entry: &nanostate::engine::table::Entry| {
        let key = (entry.sender().to_owned(), entry.name().to_owned());
        (key, (entry.stamp(), entry.data().to_vec()))
    };
    world.hub(hub).table().iter().map(entry).collect()
}

fn shown(world: &mut World, app: Id, sender: Option<&str>, name: &str) -> Option<Shown> {
    world.app(app).session.get(sender, name).map(|state| (state.stamp(), state.msgpack().to_vec()))
}

fn text(shown: Option<&Shown>) -> String {
    let text = |(stamp, value): &Shown| {
        let value = nanostate::wire::from_msgpack(value).chars().take(40).collect::<String>();
        format!("{value} of {:?}", stamp)
    };
    shown.map_or("nothing".into(), text)
}

/// The apps that take part.
fn up(world: &mut World, apps: &[Id]) -> Vec<Id> {
    apps.iter().copied().filter(|&id| world.app(id).session.link() == LinkState::Connected).collect()
}

/// After all is quiet: the hub, and all that each app is shown of each key and of each name, are the same; the last
/// value that some app sent is held, or the app has been told which one is.
fn check_one_value(world: &mut World, hub: Id, apps: &[Id]) {
    let held = table(world, hub);
    let apps = up(world, apps);
    for &id in &apps {
        let (identity, accept, shared) = {
            let app = world.app(id);
            app.take();
            (app.identity.clone(), app.accept, app.session.config.shared)
        };
        let sent = world.app(id).sent.clone();
        for (name, (_, value)) in &sent {
            let key = (identity.clone(), name.clone());
            let holds = held.get(&key);
            let wins = holds.is_some_and(|(_, held)| held == value);
            let given = world.app(id).newest.get(&key).map(|(_, given)| given.clone());
            let takes = |value: &[u8]| nanostate::wire::check(value).expect("a value").mask() & accept != 0;
            let told = match holds {
                Some((_, held)) if takes(held) => given.as_ref() == Some(held),
                // It does not want to be shown what came instead.
                Some(_) => true,
                None => false,
            };
            let told = shared && told;
            assert!(
                wins || told,
                "{key:?}: process {id} sent {} last, and the hub holds {}",
                nanostate::wire::from_msgpack(value),
                text(holds)
            );
        }
        for (key, value) in &held {
            let kind = nanostate::wire::check(&value.1).expect("a value");
            if kind.mask() & accept == 0 {
                continue;
            }
            let has = shown(world, id, Some(&key.0), &key.1);
            assert!(
                has.as_ref() == Some(value),
                "{key:?}: the hub holds {}, and {identity} (process {id}) has {}",
                text(Some(value)),
                text(has.as_ref())
            );
            let own = key.0 == identity && sent.get(&key.1).is_some_and(|(_, sent)| *sent == value.1);
            let given = world.app(id).newest.get(key).cloned();
            assert!(
                own || given.as_ref() == Some(value),
                "{key:?}: the hub holds {}, and the program of {identity} (process {id}) was given {}",
                text(Some(value)),
                text(given.as_ref())
            );
        }
    }
    let names: BTreeSet<_> = held.keys().map(|(_, name)| name.clone()).collect();
    let orphans = if world.hubs > 0 { world.orphans.clone() } else { BTreeSet::new() };
    for name in names.difference(&orphans) {
        let newest = world.hub(hub).table().newest(name).map(|held| (held.stamp(), held.data().to_vec()));
        for &id in &apps {
            if world.app(id).accept == ACCEPT_ANY {
                let has = shown(world, id, None, name);
                assert!(
                    has == newest,
                    "the newest {name} is {} for the hub, and {} for process {id}",
                    text(newest.as_ref()),
                    text(has.as_ref())
                );
            }
        }
    }
}

/// Who sends when all is quiet has the newest value, of this key and of this name, for everybody, and the hub holds it
/// when it says so.
fn check_last_word(world: &mut World, hub: Id, apps: &[Id], writer: Id, name: &str) {
    world.publish(writer, name, Kind::Text, 20).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
    let value = world.app(writer).sent[name].1.clone();
    let acked = world.app(writer).acked;
    world.request_ack(writer);
    world.settle();
    assert!(world.app(writer).acked > acked, "process {writer} waits for an acknowledgement");
    check_one_value(world, hub, apps);
    let identity = world.app(writer).identity.clone();
    let held = table(world, hub).remove(&(identity.clone(), name.to_owned()));
    let (Some(held), true) = (held, world.app(writer).accept == ACCEPT_ANY) else { return };
    assert!(held.1 == value, "{identity} sent {name} last, and the hub holds {}", text(Some(&held)));
    if !world.orphans.contains(name) || world.hubs == 0 {
        for id in up(world, apps) {
            let has = shown(world, id, None, name);
            let takes = world.app(id).accept == ACCEPT_ANY;
            assert!(
                !takes || has.as_ref() == Some(&held),
                "the newest {name} of process {id} is {}",
                text(has.as_ref())
            );
        }
    }
}

fn shared(world: &mut World, identity: &str, skew: i64) -> Id {
    let id = world.add_app_with(identity, HUB, |app| app.session.config.shared = true);
    world.set_skew(id, skew);
    id
}

fn app(world: &mut World, identity: &str, skew: i64) -> Id {
    let id = world.add_app(identity, HUB);
    world.set_skew(id, skew);
    id
}

fn hub(world: &mut World, skew: i64) -> Id {
    let id = world.add_hub(HUB, RouterConfig::default());
    world.set_skew(id, skew);
    id
}

fn replace(world: &mut World, old: Id, skew: i64) -> Id {
    world.kill(old);
    let id = world.replace_hub(old, HUB, RouterConfig::default());
    world.set_skew(id, skew);
    id
}

/// Any time that a clock may show.
fn any_skew(world: &mut World) -> i64 {
    let spread = world.rng.pick(&[0, 2_000, 30_000, 90_000, HOUR, 30 * HOUR, 5 * 365 * 24 * HOUR]);
    let skew = world.rng.below(2 * spread as u64 + 1) as i64 - spread;
    if world.rng.one_in(12) {
        TO_1970 + skew.abs()
    } else {
        skew
    }
}

/// Lets clocks be what they like while hubs and programs come and go.
fn turn(seed: u64) {
    let mut world = World::new(seed);
    let mut h = world.add_hub(HUB, RouterConfig::default());
    let skew = any_skew(&mut world);
    world.set_skew(h, skew);
    let names = world.rng.pick(&[1, 2, 5]);
    let (hub_kills, deaths) = (world.rng.one_in(2), world.rng.one_in(2));
    let mut apps: Vec<Id> = Vec::new();
    for i in 0..2 + world.rng.below(4) {
        let skew = any_skew(&mut world);
        let id = match world.rng.below(3) {
            0 => shared(&mut world, "s", skew),
            _ => app(&mut world, &format!("a{i}"), skew),
        };
        if world.rng.one_in(6) {
            let mask = Kind::Int.mask() | Kind::Nil.mask();
            world.with(id, |app, _| {
                app.accept = mask;
                app.session.set_accept(mask);
            });
        }
        apps.push(id);
    }
    let old = world.rng.one_in(4).then(|| world.add_old_peer(OldPeer::new("old"), HUB));
    for _ in 0..10 + world.rng.below(60) {
        let id = world.rng.pick(&apps);
        let name = format!("n{}", world.rng.below(names));
        match world.rng.below(24) {
            0..9 if !world.is_asleep(id) => {
                for _ in 0..1 + world.rng.below(3) {
                    let kind = world.rng.pick(&[Kind::Text, Kind::Int]);
                    let size = world.rng.length(6_000);
                    world.publish(id, &name, kind, size).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
                }
            }
            9 | 10 if !world.is_asleep(id) => world.request_ack(id),
            11..14 => {
                let (who, skew) = (world.rng.pick(&[id, h]), any_skew(&mut world));
                world.set_skew(who, skew);
            }
            14 => {
                let (who, time) = (world.rng.pick(&[id, h]), world.rng.pick(&[MS, 3 * SEC, 600 * SEC, 7200 * SEC]));
                world.suspend(who, time);
            }
            15 => {
                let until = world.mono + world.rng.below(3 * SEC);
                world.stall(id, until);
            }
            16 => world.break_one(id),
            17 if hub_kills => {
                let skew = any_skew(&mut world);
                h = replace(&mut world, h, skew);
            }
            18 if deaths => {
                let i = world.rng.index(apps.len());
                let gone = apps[i];
                let (identity, was_shared) = {
                    let app = world.app(gone);
                    (app.identity.clone(), app.session.config.shared)
                };
                world.kill(gone);
                let skew = any_skew(&mut world);
                apps[i] = match was_shared {
                    true => shared(&mut world, &identity, skew),
                    false => app(&mut world, &identity, skew),
                };
            }
            19 => {
                // Comes, says something and goes, as a command does.
                let skew = any_skew(&mut world);
                let id = shared(&mut world, "s", skew);
                world.publish(id, &name, Kind::Text, 20).expect("there is room");
                world.request_ack(id);
                world.run_for(2 * SEC);
                world.kill(id);
            }
            20 => {
                if let Some(old) = old.filter(|&old| !world.old_peer(old).lost) {
                    world.publish_old(old, &name, Kind::Text, 20);
                }
            }
            _ => {}
        }
        let time = world.rng.pick(&[0, 0, MS, 20 * MS, 500 * MS, 5 * SEC]);
        world.run_for(time);
    }
    world.settle();
    check_one_value(&mut world, h, &apps);
    let skew = any_skew(&mut world);
    apps.push(app(&mut world, "late", skew));
    world.settle();
    check_one_value(&mut world, h, &apps);
    for _ in 0..3 {
        let writer = world.rng.pick(&apps);
        if world.app(writer).session.link() == LinkState::Connected {
            check_last_word(&mut world, h, &apps, writer, "n0");
        }
    }
    if world.rng.one_in(2) {
        let skew = any_skew(&mut world);
        h = replace(&mut world, h, skew);
        world.settle();
        check_one_value(&mut world, h, &apps);
        let writer = apps[0];
        check_last_word(&mut world, h, &apps, writer, "n0");
    }
}

#[test]
fn everybody_has_the_same_newest_value_under_any_clocks() {
    each_seed(150, 1000, turn);
}

// ---- what was seen

/// Two writers of one name, in turn, with the hub's clock so far off, and that of the second.
fn two_writers(seed: u64, hub_skew: i64, second_skew: i64, then_killed: bool) {
    let mut world = World::new(seed);
    let mut h = hub(&mut world, hub_skew);
    let mut apps = vec![app(&mut world, "a", 0), app(&mut world, "b", second_skew), app(&mut world, "reader", 0)];
    world.settle();
    for turn in 0..4 {
        check_last_word(&mut world, h, &apps.clone(), apps[turn % 2], "x");
        world.run_for(SEC);
    }
    if then_killed {
        h = replace(&mut world, h, hub_skew);
        world.settle();
    }
    apps.push(app(&mut world, "late", 0));
    world.settle();
    check_one_value(&mut world, h, &apps);
    check_last_word(&mut world, h, &apps.clone(), apps[0], "x");
}

#[test]
fn two_writers_on_a_hub_that_is_70_seconds_behind_see_the_same() {
    each_seed(10, 1000, |seed| two_writers(seed, -70_000, 0, false));
}

#[test]
fn the_last_value_wins_on_a_hub_that_is_an_hour_behind_and_killed() {
    each_seed(10, 1000, |seed| two_writers(seed, -HOUR, 0, true));
}

#[test]
fn the_last_value_wins_although_one_writer_is_five_minutes_ahead() {
    each_seed(10, 1000, |seed| two_writers(seed, 0, 5 * MINUTE, true));
}

#[test]
fn a_reconnect_to_a_hub_that_is_an_hour_behind_delivers_nothing_again() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, -HOUR);
        let a = app(&mut world, "a", 0);
        let b = world.add_app_with("b", HUB, |app| app.log = Some(Vec::new()));
        world.settle();
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.settle();
        for _ in 0..3 {
            world.break_one(a);
            world.settle();
            h = replace(&mut world, h, -HOUR);
            world.settle();
        }
        assert_eq!(world.app(b).log.as_ref().map(Vec::len), Some(1));
        check_one_value(&mut world, h, &[a, b]);
    });
}

#[test]
fn a_shared_identity_that_comes_back_with_its_clock_30_seconds_behind_is_heard() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let h = hub(&mut world, 0);
        let reader = app(&mut world, "reader", 0);
        for (skew, before_the_link) in [(0, true), (-30_000, true), (-60_000, false), (TO_1970, true)] {
            let id = shared(&mut world, "command", skew);
            if !before_the_link {
                world.settle();
            }
            check_last_word(&mut world, h, &[reader, id], id, "x");
            world.kill(id);
            world.settle();
        }
    });
}

#[test]
fn what_was_set_first_before_the_link_does_not_win_over_what_was_set_since() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        // Sent before there is a hub, with a clock that is ahead.
        let early = shared(&mut world, "s", HOUR);
        world.publish(early, "x", Kind::Int, 0).unwrap();
        world.publish(early, "y", Kind::Int, 0).unwrap();
        world.suspend(early, 100 * SEC);
        let h = hub(&mut world, 0);
        let other = shared(&mut world, "s", -HOUR);
        world.run_for(10 * SEC);
        world.publish(other, "x", Kind::Int, 0).unwrap();
        let last = world.app(other).sent["x"].1.clone();
        world.run_for(300 * SEC);
        world.request_ack(early);
        world.settle();
        check_one_value(&mut world, h, &[early, other]);
        let held = table(&mut world, h);
        assert!(held[&("s".to_owned(), "x".to_owned())].1 == last, "the one that was sent last");
        assert!(held[&("s".to_owned(), "x".to_owned())].0 > held[&("s".to_owned(), "y".to_owned())].0);
    });
}

#[test]
fn nobody_is_deaf_once_the_hubs_clock_was_set_back_and_it_came_back() {
    each_seed(10, 1000, |seed| {
        for back in [90_000, HOUR, -TO_1970] {
            let mut world = World::new(seed);
            let mut h = hub(&mut world, 0);
            let apps = [app(&mut world, "a", 0), app(&mut world, "b", 0)];
            world.settle();
            for round in 0..3 {
                let skew = if round == 0 { 0 } else { -back };
                if round == 1 {
                    world.run_for(20 * SEC);
                    for id in apps.into_iter().chain([h]) {
                        world.set_skew(id, skew);
                    }
                    h = replace(&mut world, h, skew);
                    world.settle();
                }
                for writer in apps {
                    check_last_word(&mut world, h, &apps, writer, "x");
                }
            }
        }
    });
}

#[test]
fn a_hub_and_an_app_that_both_come_back_with_their_clocks_behind_are_heard() {
    each_seed(20, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, 0);
        let (a, reader) = (app(&mut world, "a", 0), app(&mut world, "reader", 0));
        world.settle();
        check_last_word(&mut world, h, &[a, reader], a, "x");
        let until = world.mono + 20 * SEC;
        world.stall(reader, until);
        world.kill(a);
        h = replace(&mut world, h, -HOUR);
        let a = app(&mut world, "a", -2 * HOUR);
        world.publish(a, "x", Kind::Int, 0).unwrap();
        world.run_for(SEC);
        world.settle();
        for _ in 0..3 {
            world.publish(a, "x", Kind::Int, 0).unwrap();
            world.settle();
            check_one_value(&mut world, h, &[a, reader]);
        }
    });
}

#[test]
fn a_hub_whose_clock_is_at_its_end_is_outlived() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        // The last milliseconds that a stamp can hold.
        let end = (u64::MAX >> 16) as i64 + TO_1970;
        let mut h = hub(&mut world, end);
        let apps = [app(&mut world, "a", 0), app(&mut world, "b", 0), shared(&mut world, "s", 0)];
        world.settle();
        let first = v1_peer("evil", &[("z", LogicalTime::MAX), ("x", LogicalTime::MAX)]);
        world.add_raw(RawPeer::new(first), HUB);
        world.settle();
        assert_eq!(shown(&mut world, apps[0], Some("evil"), "z").map(|(stamp, _)| stamp.clock), Some(LogicalTime::MAX));
        for &id in apps.iter().cycle().take(9) {
            world.publish(id, "x", Kind::Int, 0).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
            world.publish(id, "y", Kind::Int, 0).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
            world.run_for(SEC);
        }
        h = replace(&mut world, h, 0);
        world.settle();
        check_one_value(&mut world, h, &apps);
        for &id in apps.iter().cycle().take(6) {
            check_last_word(&mut world, h, &apps, id, "x");
        }
        let newest = table(&mut world, h).into_values().map(|(stamp, _)| stamp.millis()).max();
        assert!(newest.is_some_and(|newest| newest < 1_900_000_000_000), "{newest:?}: no longer at its end");
    });
}

#[test]
fn values_are_numbered_where_their_kind_has_room() {
    for kind in [Kind::Text, Kind::Int, Kind::Uint] {
        assert_eq!(number_of(&sim::value(kind, 4711, 30)), Some(4711));
    }
}

// ---- one app, by hand

const TIME: LogicalTime = LogicalTime::from_millis(1_800_000_000_000);

fn later(time: LogicalTime, millis: u64) -> LogicalTime {
    LogicalTime::from_millis(time.as_millis() + millis)
}

impl DirectApp {
    /// A hub that tells this time lets it in.
    fn welcome(&mut self, hub: u8, time: LogicalTime) {
        self.open();
        self.bytes(&header(Version::V1));
        let (instance, wall) = (Instance([hub; 16]), self.now.wall);
        self.hear(Control::Welcome { instance, max_message: 1 << 20, wall, time: Some(time) });
    }

    /// The stamps of what it sends now, by name.
    fn sends(&mut self) -> Vec<(String, Stamp)> {
        let stamp = |bytes: Vec<u8>| {
            let body = wire::decode(&bytes, Form::V1).expect("a body");
            (!body.is_reserved()).then(|| (body.name.to_owned(), body.meta.stamp.expect("a stamp")))
        };
        self.bodies().into_iter().filter_map(stamp).collect()
    }

    fn is_stale(&mut self, name: &str, offered: Stamp, held: Option<Stamp>, time: LogicalTime) {
        self.hear(Control::Stale { name, offered, held, time });
    }
}

fn of_another(clock: LogicalTime) -> Stamp {
    Stamp { clock, instance: Instance([2; 16]) }
}

#[test]
fn what_was_set_before_the_first_welcome_is_stamped_then_by_its_age() {
    for shared in [false, true] {
        let mut app = DirectApp::new();
        app.session.config.shared = shared;
        for name in ["x", "y", "z"] {
            app.publish(name, &[1]).unwrap();
            app.pass(SEC);
        }
        app.publish("x", &[2]).unwrap();
        // A day ahead of the hub, and five years behind it.
        for time in [TIME - Duration::from_millis(86_400_000), later(TIME, 5 * 365 * 86_400_000)] {
            if app.session.link() == LinkState::Connected {
                app.closed();
                app.pass(10 * SEC);
                app.welcome(2, time);
                assert!(app.sends().iter().all(|(_, stamp)| stamp.clock < time), "they keep their stamps");
                continue;
            }
            app.welcome(1, time);
            let mut sent = app.sends();
            sent.sort_by_key(|(_, stamp)| *stamp);
            let (names, clocks): (Vec<_>, Vec<_>) = sent.into_iter().map(|(name, stamp)| (name, stamp.clock)).unzip();
            assert_eq!(names, ["y", "z", "x"]);
            let second = Duration::from_secs(1);
            for (clock, age) in clocks.into_iter().zip([2, 1, 0]) {
                let earliest = time - age * second;
                assert!((earliest..=later(earliest, 1)).contains(&clock), "{clock:?} {age}");
            }
        }
    }
}

#[test]
fn an_exclusive_app_stamps_anew_what_is_stale_three_times_and_then_says_so() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let mut clock = TIME;
    for round in 0..4 {
        let version = app.session.request_ack();
        let bodies = app.bodies();
        let bodies: Vec<_> = bodies.iter().map(|bytes| wire::decode(bytes, Form::V1).expect("a body")).collect();
        let stamp = bodies.iter().find_map(|body| body.meta.stamp).expect("the value");
        assert!(stamp.clock > clock || round == 0);
        let ping = bodies.iter().find_map(|body| match Control::decode(body) {
            Ok(Control::Ping { token }) => Some(token),
            _ => None,
        });
        clock = later(clock, 3_600_000);
        // Said of a stamp that is no longer its own it counts for nothing.
        app.is_stale("x", of_another(LogicalTime::from_bits(1)), Some(of_another(clock)), clock);
        app.is_stale("x", stamp, Some(of_another(clock)), clock);
        let token = ping.expect("a ping");
        app.hear(Control::Pong { token, time: Some(clock) });
        assert_eq!(app.session.is_acked(version), round == 3, "not held yet, or never");
        let taken = app.session.check_taken(version).map_err(|error| error.status());
        assert_eq!(taken, if round == 3 { Err(Status::IdentityTaken) } else { Ok(()) });
    }
    assert_eq!((app.session.stats().refused, app.session.stats().superseded), (1, 0));
    assert!(app.session.get(Some("a"), "x").is_some_and(|state| state.msgpack() == [1]), "its own word");
}

#[test]
fn an_app_that_shares_its_identity_drops_what_is_stale_for_what_the_hub_holds() {
    let mut app = DirectApp::new();
    app.session.config.shared = true;
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    let (_, stamp) = app.sends().pop().expect("the value");
    let held = of_another(LogicalTime::from_bits(stamp.clock.to_bits() + 5));
    app.is_stale("x", stamp, Some(held), held.clock);
    let meta = Meta { stamp: Some(held), ..Meta::default() };
    app.receive(&body(Form::V1, "a", "x", &[2], &meta));
    app.hear(Control::Pong { token: version, time: Some(held.clock) });
    assert!(app.session.is_acked(version) && app.session.check_taken(version).is_ok());
    assert_eq!((app.session.stats().refused, app.session.stats().superseded), (0, 1));
    assert_eq!(app.session.inbox.pop().expect("it is told").msgpack(), [2]);
    assert!(app.session.get(Some("a"), "x").is_some_and(|state| state.msgpack() == [2]));
    assert!(app.sends().is_empty());
    // Its next word is the last again.
    app.publish("x", &[3]).unwrap();
    assert!(app.sends().pop().expect("the value").1 > held);
}

#[test]
fn an_app_whose_clock_is_at_its_end_still_sends_and_a_good_hub_brings_it_back() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("before", &[1]).unwrap();
    let before = app.sends().pop().expect("the value").1;
    let meta = Meta { stamp: Some(of_another(LogicalTime::MAX)), ..Meta::default() };
    app.receive(&body(Form::V1, "evil", "x", &[9], &meta));
    for _ in 0..3 {
        app.publish("x", &[1]).unwrap();
        app.publish("y", &[1]).unwrap();
        app.pass(SEC);
    }
    let bad: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert!(bad["x"].clock == LogicalTime::MAX && bad["y"].clock == LogicalTime::MAX);
    let now = later(TIME, 3000);
    // On the same link, or by the welcome of the next one.
    app.is_stale("x", bad["x"], None, now);
    let good: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert_eq!(good.keys().collect::<Vec<_>>(), ["x", "y"], "what had a good stamp keeps it");
    assert!(good.values().all(|stamp| *stamp > before && stamp.clock <= now));
    assert!(app.session.get(None, "x").is_some_and(|state| state.sender() == "a"), "nobody wins for ever");
    app.publish("y", &[2]).unwrap();
    assert!(app.sends().pop().expect("the value").1.clock.to_bits() <= now.to_bits() + 10);
    app.receive(&body(Form::V1, "evil", "x", &[8], &meta));
    app.publish("x", &[4]).unwrap();
    app.sends();
    app.closed();
    app.pass(10 * SEC);
    let now = later(now, 20_000);
    app.welcome(2, now);
    let again: BTreeMap<_, _> = app.sends().into_iter().collect();
    assert!(again["x"].clock <= now && again["x"] > good["x"] && again["before"] == before);
}

#[test]
fn a_value_that_the_hub_has_no_room_for_is_not_acknowledged() {
    let mut app = DirectApp::new();
    app.welcome(1, TIME);
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    app.hear(Control::Rejected { status: Status::Full.code(), name: "x" });
    app.hear(Control::Pong { token: version, time: None });
    assert!(app.session.is_acked(version));
    let error = app.session.check_taken(version).unwrap_err();
    assert!(error.status() == Status::Full && error.to_string().contains("\"x\""), "{error}");
    app.publish("x", &[2]).unwrap();
    let version = app.session.request_ack();
    app.hear(Control::Pong { token: version, time: None });
    assert!(app.session.check_taken(version).is_ok(), "another value is another question");
}

#[test]
fn a_value_that_waited_for_the_first_welcome_and_is_not_taken_is_not_acknowledged() {
    let mut app = DirectApp::new();
    app.publish("x", &[1]).unwrap();
    let version = app.session.request_ack();
    app.welcome(1, TIME);
    assert_eq!(app.sends().len(), 1);
    app.hear(Control::Rejected { status: Status::Full.code(), name: "x" });
    app.hear(Control::Pong { token: u64::MAX, time: Some(TIME) });
    assert!(app.session.is_acked(version));
    assert_eq!(app.session.check_taken(version).map_err(|error| error.status()), Err(Status::Full));
}

#[test]
fn a_hub_that_is_killed_gets_the_newest_value_back_from_whoever_shares_the_identity() {
    each_seed(10, 1000, |seed| {
        let mut world = World::new(seed);
        let mut h = hub(&mut world, 0);
        let (one, other) = (shared(&mut world, "s", 0), shared(&mut world, "s", -HOUR));
        let reader = app(&mut world, "reader", 0);
        world.settle();
        for id in [one, other] {
            world.publish(id, "x", Kind::Int, 0).unwrap();
            world.settle();
        }
        let last = world.app(other).sent["x"].1.clone();
        world.kill(other);
        for _ in 0..2 {
            h = replace(&mut world, h, -HOUR);
            world.settle();
            world.break_one(one);
            world.settle();
        }
        let late = app(&mut world, "late", 0);
        world.settle();
        for id in [one, reader, late] {
            assert_eq!(shown(&mut world, id, Some("s"), "x").map(|(_, value)| value), Some(last.clone()));
        }
        assert_eq!(world.app(reader).taken, 2, "and nobody gets it again");
    });
}
