//! Wills under schedules that a seed makes, checked against what is promised.

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::wire::{Control, Features, HelloFlags, WillMessage};
use nanostate::{Kind, Value};

use super::stored::SILENT;
use super::{bye, hello, join, join_shared, leave, read, watcher, LOST};
use crate::sim::{each_seed, Id, Rng, Shelf, World, SEC};
use crate::store::{hub_with, restarted, store};

/// An app, as far as the promise is concerned.
struct Member {
    app: u8,
    epoch: u64,
    shares: bool,
    /// Its link, while that is there.
    conn: Option<ConnId>,
    /// The number of its last link.
    link: u64,
    /// When its link was cut.
    cut: u64,
    /// Another one came in its place.
    is_replaced: bool,
    wills: BTreeMap<String, u8>,
    /// Those that it has told on its present link.
    told: BTreeSet<String>,
}

/// What those left of an identity who are lost, and the last of these.
struct Lost {
    app: u8,
    epoch: u64,
    shares: bool,
    link: u64,
    wills: BTreeMap<String, u8>,
}

/// What a hub has to do, in the plainest words: an app is lost when its link was cut for 5 s; what it leaves is published
/// once nobody holds its identity any more, unless the last one said goodbye.
#[derive(Default)]
struct Model {
    members: BTreeMap<String, Vec<Member>>,
    /// What those left who are lost, by identity.
    left: BTreeMap<String, Lost>,
    /// How many links there were.
    links: u64,
    /// What is to be published now.
    due: Vec<(String, Option<u8>)>,
}

impl Model {
    fn of(&mut self, identity: &str) -> &mut Vec<Member> {
        self.members.entry(identity.to_owned()).or_default()
    }

    /// An app that may hold the identity is there; one that holds it alone has replaced all others.
    fn joins(&mut self, identity: &str, mut member: Member) {
        self.links += 1;
        member.link = self.links;
        if !member.shares {
            self.left.remove(identity);
            self.of(identity).iter_mut().for_each(|other| other.is_replaced = true);
            self.of(identity).retain(|other| other.conn.is_none());
        }
        self.of(identity).push(member);
    }

    fn ends(&mut self, identity: &str, at: usize, is_lost: bool) {
        let member = self.of(identity).remove(at);
        if member.is_replaced {
            return;
        }
        if is_lost {
            let mut wills = self.left.remove(identity).map(|left| left.wills).unwrap_or_default();
            wills.extend(member.wills);
            let Member { app, epoch, shares, link, .. } = member;
            self.left.insert(identity.to_owned(), Lost { app, epoch, shares, link, wills });
        }
        if self.of(identity).iter().all(|other| other.is_replaced) {
            let left = self.left.remove(identity).filter(|_| is_lost);
            self.due.extend(left.into_iter().flat_map(|left| left.wills).map(|(name, value)| (name, Some(value))));
        }
    }

    /// The hub is restarted at this time, with a store. Whoever has left something counts as one whose link was cut, so that
    /// it is lost when the hub has waited for it, and so does the last of an identity that was lost before. They are lost in the
    /// order in which they came.
    fn restarts(&mut self, now: u64) {
        let cut = now + SILENT - LOST;
        for (identity, Lost { app, epoch, shares, link, wills }) in std::mem::take(&mut self.left) {
            let (is_replaced, told) = Default::default();
            self.of(&identity).push(Member { app, epoch, shares, conn: None, link, cut, is_replaced, wills, told });
        }
        for members in self.members.values_mut() {
            members.retain(|member| !member.is_replaced && !member.wills.is_empty());
            members.iter_mut().for_each(|member| (member.conn, member.cut) = (None, cut));
            members.sort_by_key(|member| member.link);
        }
    }

    fn passes(&mut self, now: u64) {
        loop {
            let over = self.members.iter().flat_map(|(identity, members)| {
                let cut = members.iter().enumerate().filter(|(_, member)| member.conn.is_none());
                cut.map(move |(at, member)| (member.cut + LOST, identity.clone(), at))
            });
            let Some((_, identity, at)) = over.filter(|(at, ..)| *at <= now).min() else { return };
            self.ends(&identity, at, true);
        }
    }
}

#[test]
fn a_will_runs_exactly_when_it_is_promised_and_once() {
    each_seed(400, 500, |seed| {
        let mut rng = Rng::new(seed);
        let (mut shelf, mut model) = (Shelf::default(), Model::default());
        let mut hub = hub_with(&mut shelf);
        let mut observer = watcher(&mut hub);
        let (mut apps, mut published) = (0, 0);
        for _ in 0..150 {
            let identity = rng.pick(&["a", "b", "c"]);
            let shares = identity == "c" || identity == "b" && rng.one_in(2);
            let members = model.of(identity);
            let some = (!members.is_empty()).then(|| rng.index(members.len()));
            match (rng.below(12), some) {
                // Another app. One that holds its identity alone takes it from all others that are there.
                (0 | 1, _) if apps < 90 => {
                    let alone = model.of(identity).iter().any(|other| other.conn.is_some() && !other.shares);
                    apps += 1;
                    let flags = match (shares, alone) {
                        (true, false) => HelloFlags::SHARED,
                        (true, true) => HelloFlags::SHARED | HelloFlags::TAKE_OVER,
                        (false, _) => HelloFlags::TAKE_OVER,
                    };
                    if alone && shares {
                        // It displaces the one that is there, which has left with that.
                        let at = model.of(identity).iter().position(|other| other.conn.is_some()).unwrap();
                        model.ends(identity, at, false);
                    }
                    let conn = hello(&mut hub, identity, apps, 1, flags, Features::ALL, None);
                    let (wills, told) = Default::default();
                    let member = Member {
                        app: apps,
                        epoch: 1,
                        shares,
                        conn: Some(conn),
                        link: 0,
                        cut: 0,
                        is_replaced: false,
                        wills,
                        told,
                    };
                    model.joins(identity, member);
                }
                (2..6, Some(at)) => {
                    let (member, name) = (&mut model.of(identity)[at], rng.pick(&["x", "y", "z"]));
                    let Some(conn) = member.conn else { continue };
                    let key = format!("{identity}/{name}");
                    if rng.one_in(4) {
                        hub.control(conn, identity, Control::Will(WillMessage::Withdraws(&key)));
                        member.wills.remove(&key);
                    } else {
                        let value = rng.below(100) as u8;
                        leave(&mut hub, conn, identity, &key, Some(value));
                        member.told.insert(key.clone());
                        member.wills.insert(key, value);
                    }
                }
                (6, Some(at)) => {
                    let Some(conn) = model.of(identity)[at].conn else { continue };
                    bye(&mut hub, conn, identity);
                    model.ends(identity, at, false);
                }
                (7 | 8, Some(at)) => {
                    let member = &mut model.of(identity)[at];
                    let Some(conn) = member.conn.take() else { continue };
                    member.cut = hub.now.mono.as_nanos();
                    hub.lose(conn);
                }
                // The same app is back, whether or not its link is gone.
                (9, Some(at)) => {
                    let shares = model.of(identity)[at].shares;
                    let others = model.of(identity).iter().enumerate();
                    let is_held = others
                        .filter(|(other, _)| *other != at)
                        .any(|(_, other)| other.conn.is_some() && !(other.shares && shares));
                    if is_held {
                        continue;
                    }
                    model.links += 1;
                    let link = model.links;
                    let member = &mut model.of(identity)[at];
                    member.epoch += 1;
                    member.told.clear();
                    let (app, epoch) = (member.app, member.epoch);
                    let conn = match member.shares {
                        true => join_shared(&mut hub, identity, app, epoch),
                        false => join(&mut hub, identity, app, epoch),
                    };
                    member.conn = Some(conn);
                    member.link = link;
                    if member.is_replaced {
                        let mut member = model.of(identity).remove(at);
                        (member.is_replaced, member.wills) = (false, BTreeMap::new());
                        model.joins(identity, member);
                    }
                }
                (10, Some(at)) => {
                    let member = &mut model.of(identity)[at];
                    let Some(conn) = member.conn else { continue };
                    hub.control(conn, identity, Control::Will(WillMessage::Complete));
                    member.wills.retain(|name, _| member.told.contains(name));
                }
                (11, _) if rng.one_in(6) => {
                    if rng.one_in(2) {
                        store(&mut hub, &mut shelf);
                    } else {
                        // Another hub, which knows of nobody.
                        (shelf, model) = (Shelf::default(), Model::default());
                    }
                    hub = restarted(&hub, &mut shelf, 0);
                    model.restarts(hub.now.mono.as_nanos());
                    observer = watcher(&mut hub);
                }
                _ => {}
            }
            let pause = rng.pick(&[0, SEC / 10, SEC, 2 * SEC]);
            hub.pass(pause);
            model.passes(hub.now.mono.as_nanos());
            let mut due = std::mem::take(&mut model.due);
            (0..20).for_each(|_| hub.pass(0));
            let mut seen = read(&mut hub, observer);
            due.sort();
            seen.sort();
            published += seen.len();
            assert_eq!(seen, due);
        }
        hub.pass(LOST);
        assert!(seed != 1 || published > 0, "some are published");
    });
}

/// What an observer that never breaks was given of wills: how often each.
fn wills_seen(world: &mut World, observer: Id) -> BTreeMap<Vec<u8>, u64> {
    let log = world.with(observer, |app, _| {
        app.take();
        app.log.clone().unwrap_or_default()
    });
    let mut seen = BTreeMap::new();
    log.into_iter().filter(|(_, name, _)| name == "will").for_each(|(.., value)| *seen.entry(value).or_default() += 1);
    seen
}

const HUB: &str = "tcp://hub";

/// How an app ended, and what it had left then.
struct Gone {
    will: Vec<u8>,
    /// It was killed, and its hub had the will.
    is_promised: bool,
    /// It said goodbye, and its link had never broken.
    is_excluded: bool,
    /// How often it may have been lost.
    losses: u64,
}

#[test]
fn whatever_breaks_the_will_of_an_app_that_is_killed_runs_once_and_that_of_one_that_ends_never() {
    let (mut runs, mut promised, mut excluded) = (0, 0, 0);
    each_seed(200, 1000, |seed| {
        let mut world = World::new(seed);
        let mut hub = world.add_hub(HUB, RouterConfig::default());
        let has_store = seed % 2 == 0;
        if has_store {
            world.give_store(hub, Shelf::default());
        }
        // A goodbye for which the connection has no room when it is closed does not arrive.
        (world.pieces, world.capacity) = (false, 64 << 10);
        let observer = world.add_app_with("observer", HUB, |app| app.log = Some(Vec::new()));
        world.settle();
        let mut alive: BTreeMap<Id, u64> = BTreeMap::new();
        let (mut gone, mut hubs): (Vec<Gone>, u64) = (Vec::new(), 0);
        let add = |world: &mut World, alive: &mut BTreeMap<Id, u64>, n: u64| {
            let id = world.add_app_with(&format!("app{n}"), HUB, |app| {
                app.session.set_will("will", Value::Uint(1_000_000 + n).into()).expect("there is room");
            });
            world.publish(id, "n", Kind::Int, 0).expect("there is room");
            alive.insert(id, 0);
        };
        (0..3).for_each(|n| add(&mut world, &mut alive, n));
        for step in 3..25 {
            let ids: Vec<_> = alive.keys().copied().collect();
            let id = world.rng.pick(&ids);
            match world.rng.below(8) {
                0 => add(&mut world, &mut alive, step),
                how @ 1..4 if ids.len() > 1 => {
                    let mut will = Vec::new();
                    let n: u64 = world.app(id).identity[3..].parse().expect("a number");
                    Value::Uint(1_000_000 + n).encode(&mut will);
                    // The hub has it if it has acknowledged that.
                    let version = world.with(id, |app, _| app.session.request_ack());
                    world.run_for(SEC);
                    let told = world.app(id).session.is_acked(version);
                    let is_up = world.app(id).session.linked().is_some();
                    let losses = alive.remove(&id).expect("it lives");
                    let before = hubs;
                    if how == 3 {
                        world.with(id, |app, _| app.session.disconnect());
                        world.run_for(SEC);
                    }
                    match how {
                        2 => world.vanish(id),
                        _ => world.kill(id),
                    }
                    let is_promised = how != 3 && told && is_up && losses == 0;
                    gone.push(Gone {
                        will,
                        is_promised,
                        is_excluded: how == 3 && told && is_up && losses == 0,
                        losses,
                    });
                    assert_eq!(hubs, before);
                }
                4 => {
                    world.break_one(id);
                    *alive.get_mut(&id).expect("it lives") += 1;
                }
                5 if world.rng.one_in(3) => {
                    // Without a store, what it was told of is gone with it.
                    world.kill(hub);
                    hub = world.replace_hub(hub, HUB, RouterConfig::default());
                    hubs += 1;
                    gone.iter_mut().for_each(|gone| gone.is_promised &= has_store);
                }
                6 => {
                    let time = world.rng.below(40 * SEC);
                    world.suspend(id, time);
                    *alive.get_mut(&id).expect("it lives") += 1;
                }
                7 => {
                    let until = world.mono + world.rng.below(30 * SEC);
                    world.stall(id, until);
                    *alive.get_mut(&id).expect("it lives") += 1;
                }
                _ => {}
            }
            let pause = world.rng.pick(&[0, SEC / 10, 8 * SEC, 30 * SEC]);
            world.run_for(pause);
        }
        world.settle();
        world.run_for(60 * SEC);
        world.settle();
        let seen = wills_seen(&mut world, observer);
        for Gone { will, is_promised, is_excluded, losses } in &gone {
            let times = seen.get(will).copied().unwrap_or(0);
            // A hub that is killed may have published what it has not stored yet.
            let most = if has_store { 1 + hubs } else { 1 };
            assert!(!is_promised || (1..=most).contains(&times), "promised, and published {times} times");
            assert!(!is_excluded || times == 0, "it said goodbye, and its will was published {times} times");
            // A hub that took another one's place may have given it to the observer once more.
            assert!(times <= (losses + 1) * (hubs + 1), "{times} times after {losses} breaks and {hubs} hubs");
        }
        runs += 1;
        promised += gone.iter().filter(|gone| gone.is_promised).count();
        excluded += gone.iter().filter(|gone| gone.is_excluded).count();
        // Whoever is there has the last word.
        world.check_promise();
    });
    assert!(promised > 0 && excluded > 0, "{promised} were promised, {excluded} excluded");
}

/// Wills of apps that publish the same names, and are lost and come back: their own values win.
#[test]
fn an_app_that_was_lost_and_is_back_has_the_last_word_on_its_names() {
    each_seed(100, 1000, |seed| {
        let mut world = World::new(seed);
        world.add_hub(HUB, RouterConfig::default());
        let apps: Vec<_> = (0..3).map(|n| world.add_app(&format!("app{n}"), HUB)).collect();
        world.settle();
        for _ in 0..20 {
            let (id, name) = (world.rng.pick(&apps), world.rng.pick(&["x", "y"]));
            match world.rng.below(4) {
                0 => world.publish(id, name, Kind::Int, 0).expect("there is room"),
                1 => {
                    world.publish(id, name, Kind::Int, 0).expect("there is room");
                    world.with(id, |app, _| app.session.set_will(name, Value::Int(-1).into())).expect("there is room");
                }
                2 => {
                    let time = world.rng.below(60 * SEC);
                    world.suspend(id, time);
                }
                _ => world.break_one(id),
            }
            let pause = world.rng.below(20 * SEC);
            world.run_for(pause);
        }
        world.settle();
        world.run_for(60 * SEC);
        world.settle();
        world.check_promise();
    });
}
