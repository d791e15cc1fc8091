//! Random clocks, while hubs and apps come and go.

use nanostate::engine::app::LinkState;
use nanostate::engine::hub::RouterConfig;
use nanostate::Kind;

use super::{app, check_last_word, check_one_value, replace, shared, HOUR, HUB, TO_1970};
use crate::sim::{each_seed, Id, OldPeer, World, MS, SEC};

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
                    let kind = world.rng.pick(&[Kind::Text, Kind::Int, Kind::Text, Kind::Int, Kind::Cleared]);
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
