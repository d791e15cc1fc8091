//! One newest value for everybody, under any clocks: hours apart, set forth and back, suspended, of hubs that come back
//! with another clock, and of programs that share an identity.

mod any;
mod one_app;
mod scenarios;

use std::collections::{BTreeMap, BTreeSet};

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{Control, Features, Form, HelloFlags, Instance, Meta, Stamp, ACCEPT_ANY};
use nanostate::Kind;

use crate::sim::{body, Id, World, CLEARED};

const HUB: &str = "tcp://hub";
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Back to 1970: the clock of a board without a battery.
const TO_1970: i64 = -1_800_000_000_000;

/// What a v1 peer sends that publishes these names with these clocks, and does not care what it gets.
fn v1_peer(identity: &str, states: &[(&str, LogicalTime)]) -> Vec<u8> {
    let (instance, mut bodies) = (Instance([0xEE; 16]), vec![Vec::new()]);
    let flags = HelloFlags::default();
    Control::Hello {
        instance,
        epoch: 1,
        accept: 0,
        flags,
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    }
    .encode(identity, &mut bodies[0]);
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
        (key, (entry.stamp(), if entry.is_cleared() { CLEARED.to_vec() } else { entry.data().to_vec() }))
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

/// The kinds of which a program has to take one to be given this. That of a value that was cleared is not known here.
fn kinds_of(value: &[u8]) -> u32 {
    match value {
        CLEARED => 1,
        value => nanostate::wire::check(value).expect("a value").mask(),
    }
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
            let takes = |value: &[u8]| kinds_of(value) & accept != 0;
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
            if kinds_of(&value.1) & accept == 0 {
                continue;
            }
            if value.1 == CLEARED {
                let has = shown(world, id, Some(&key.0), &key.1);
                assert!(has.is_none(), "{key:?} is cleared, and {identity} (process {id}) has {}", text(has.as_ref()));
                let own = key.0 == identity && sent.get(&key.1).is_some_and(|(_, sent)| sent == CLEARED);
                let given = world.app(id).newest.get(key).cloned();
                // Whoever came later is not told.
                let knows = given.as_ref().is_none_or(|given| given == value);
                assert!(own || knows, "{key:?} is cleared, and process {id} was given {}", text(given.as_ref()));
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

/// A value that is sent when all is quiet is the newest of its key and of its name for every app, and the hub holds it once
/// it has acknowledged it.
fn check_last_word(world: &mut World, hub: Id, apps: &[Id], writer: Id, name: &str) {
    let kind = world.rng.pick(&[Kind::Text, Kind::Text, Kind::Cleared]);
    world.publish(writer, name, kind, 20).unwrap_or_else(|status| panic!("a send fails: {status:?}"));
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
    if kind != Kind::Cleared && (!world.orphans.contains(name) || world.hubs == 0) {
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
