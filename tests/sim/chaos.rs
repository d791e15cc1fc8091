//! Everything at once: what a network and its programs may do, in any order.

use std::time::Duration;

use nanostate::engine::hub::RouterConfig;
use nanostate::framing::{frame_head, header, Framing, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{Control, Features, Form, HelloFlags, Instance, Meta, Secret, Stamp};
use nanostate::Kind;

use super::{body, value, Id, OldPeer, RawPeer, Rng, Shelf, World, MS, SEC};

/// Frames that no friend sends, some of them valid.
pub fn attack(rng: &mut Rng, framing: Framing, v1: bool) -> Vec<u8> {
    let (form, size) = (if v1 { Form::V1 } else { Form::Old }, rng.length(20_000));
    let kind = rng.pick(Kind::VALUES);
    let name = rng.pick(&["n0", "n1", "x", "$ns/hello", "$ns/ping", "$ns/pong", "$ns/accept", "$ns/refuse", "$ns/new"]);
    let sender = rng.pick(&["app0", "app1", "evil", "$ns"]);
    let stamp = Stamp { clock: LogicalTime::from_bits(rng.any() >> rng.below(64)), instance: rng.instance() };
    let meta = Meta { stamp: rng.one_in(2).then_some(stamp), ..Meta::default() };
    let mut frame = match rng.below(8) {
        0 => rng.bytes(size),
        1 => [0xC1, 0x93, 0xDD, 0x94].get(rng.index(5)).map_or(Vec::new(), |&byte| vec![byte]),
        2 => vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
        3 => [&[0x91; 40][..], &[0xC0]].concat(),
        4 => {
            let mut out = Vec::new();
            let control = match rng.below(4) {
                0 => Control::Ping { token: rng.any() },
                1 => Control::Pong {
                    token: rng.below(50),
                    time: rng.one_in(2).then(|| LogicalTime::from_bits(rng.any() >> rng.below(64))),
                },
                2 => Control::Accept { mask: rng.any() as u32 },
                _ => Control::Hello {
                    instance: Instance([rng.any() as u8; 16]),
                    epoch: rng.below(4),
                    accept: u32::MAX,
                    flags: HelloFlags(0),
                    time: None,
                    secret: None,
                    token: None,
                    features: Features::NONE,
                },
            };
            control.encode(sender, &mut out);
            out
        }
        _ => body(form, sender, name, &value(kind, 7, size), &meta),
    };
    if rng.one_in(3) && !frame.is_empty() {
        let at = rng.index(frame.len());
        frame[at] = rng.any() as u8;
    }
    let mut out = frame_head(framing, frame.len()).to_vec();
    out.extend(frame);
    if rng.one_in(20) {
        let at = rng.index(out.len());
        out[at] = rng.any() as u8;
    }
    if rng.one_in(20) {
        out.truncate(rng.index(out.len()));
    }
    out
}

/// What an attacker sends first.
pub fn attackers_header(rng: &mut Rng, framing: Framing) -> (Vec<u8>, bool) {
    let v1 = rng.one_in(2);
    let mut out = Vec::new();
    if framing.has_handshake() {
        out.extend(header(if v1 { Version::V1 } else { Version::Old }));
    }
    if rng.one_in(10) && !out.is_empty() {
        let at = rng.index(out.len());
        out[at] = rng.any() as u8;
    }
    if v1 && !rng.one_in(4) {
        let mut hello = Vec::new();
        let sender = rng.pick(&["evil", "evil2"]);
        let (instance, flags) = (rng.instance(), HelloFlags(rng.below(16) as u32));
        let secret = rng.one_in(2).then_some(Secret([7; 16]));
        Control::Hello {
            instance,
            epoch: 1,
            accept: u32::MAX,
            flags,
            time: None,
            secret,
            token: None,
            features: Features::NONE,
        }
        .encode(sender, &mut hello);
        out.extend(&*frame_head(framing, hello.len()));
        out.extend(hello);
    }
    (out, v1)
}

/// How much of what happens.
pub struct Chaos {
    pub operations: u64,
    /// Connections break.
    pub breaks: bool,
    /// The hub is killed, and another takes its place.
    pub hub_kills: bool,
    /// The hub has a store, which outlives it.
    pub store: bool,
    /// Apps are killed, and others take their identities.
    pub deaths: bool,
    /// Wall clocks differ and jump.
    pub skew: bool,
    pub old_peers: u64,
    pub attackers: u64,
}

/// Lets everything happen, then lets it settle, and checks what has to hold.
pub fn run(seed: u64, chaos: &Chaos) {
    let mut world = World::new(seed);
    let any_url = ["tcp://hub", "ipc:///hub", "inproc://hub"];
    let url = world.rng.pick(if chaos.old_peers > 0 { &any_url[..2] } else { &any_url });
    let framing = match &url[..3] {
        "tcp" => Framing::Tcp,
        "ipc" => Framing::Ipc,
        _ => Framing::Inproc,
    };
    let config = RouterConfig {
        outbox: world.rng.pick(&[1, 2_000, 30_000, 300_000]),
        stalled_frame: Duration::from_secs(3600),
        ..RouterConfig::default()
    };
    let names = world.rng.pick(&[1, 3, 20, 200, 2000]);
    let largest = if names > 100 { 200 } else { world.rng.pick(&[20, 4_200, 40_000]) };
    let mut hub = world.add_hub(url, config.clone());
    if chaos.store {
        world.give_store(hub, Shelf::default());
    }
    let mut hub_is_up = true;
    let mut apps: Vec<Id> = Vec::new();
    for i in 0..2 + world.rng.below(4) {
        let accept = world.rng.pick(&[u32::MAX, u32::MAX, Kind::Text.mask() | Kind::Int.mask()]);
        let queue = world.rng.pick(&[1, 2_000, 30_000, 16 << 20]);
        let id = world.add_app_with(&format!("app{i}"), url, |app| {
            app.accept = accept;
            app.session.set_recv_queue(queue);
            // So that it also falls behind with what it sends.
            app.session.config.outbox = queue;
        });
        if chaos.skew {
            let skew = world.rng.below(40_000) as i64 - 20_000;
            world.set_skew(id, skew);
        }
        apps.push(id);
    }
    let old: Vec<Id> =
        (0..chaos.old_peers).map(|i| world.add_old_peer(OldPeer::new(&format!("old{i}")), url)).collect();
    let mut attackers = Vec::new();
    if chaos.attackers > 0 && chaos.hub_kills {
        // What they publish is gone with a hub that is killed, but not from the apps that heard it.
        world.orphans.extend(["n0".to_owned(), "n1".to_owned()]);
    }
    for _ in 0..chaos.attackers {
        let (first, v1) = attackers_header(&mut world.rng, framing);
        attackers.push((world.add_raw(RawPeer::new(first), url), v1));
    }
    for _ in 0..chaos.operations {
        let app = world.rng.pick(&apps);
        match world.rng.below(40) {
            0..20 => {
                for _ in 0..world.rng.length(64) {
                    let name = format!("n{}", world.rng.below(names));
                    let (kind, size) = (world.rng.pick(Kind::ALL), world.rng.length(largest));
                    world.publish(app, &name, kind, size).expect("there is room");
                }
            }
            20..24 => {
                let until = world.mono + world.rng.below(3 * SEC);
                world.stall(app, until);
            }
            24 => {
                let until = world.mono + world.rng.below(SEC / 2);
                world.stall(hub, until);
            }
            25..28 => world.request_ack(app),
            36 | 37 => world.with(app, |app, _| app.pauses()),
            38 => world.with(app, |app, _| app.goes_on()),
            // Half of them never do.
            39 if app % 2 == 0 => {
                let text = world.rng.pick(&["n1*", "n*", "n0", "n1", "**", "*2", "x/**"]);
                let also = !world.rng.one_in(3);
                world.with(app, |app, _| app.subscribe(text, also));
            }
            28 if chaos.skew => {
                let skew = world.rng.below(40_000) as i64 - 20_000;
                // What a hub knew of the time before it was set back is lost with it.
                let who = if chaos.hub_kills { app } else { world.rng.pick(&[app, hub]) };
                world.set_skew(who, skew);
            }
            29 if chaos.breaks => world.break_one(app),
            30 if chaos.hub_kills => {
                if hub_is_up {
                    world.kill(hub);
                    hub_is_up = false;
                } else {
                    hub = world.replace_hub(hub, url, config.clone());
                    hub_is_up = true;
                }
            }
            31 if chaos.deaths && apps.len() > 1 && world.rng.one_in(2) => {
                let gone = apps.swap_remove(world.rng.index(apps.len()));
                let identity = world.app(gone).identity.clone();
                if world.rng.one_in(2) {
                    world.kill(gone);
                } else {
                    world.vanish(gone);
                }
                let id = world.add_app(&identity, url);
                if chaos.skew {
                    let skew = world.rng.below(40_000) as i64 - 20_000;
                    world.set_skew(id, skew);
                }
                apps.push(id);
            }
            32 | 33 if !old.is_empty() => {
                let peer = world.rng.pick(&old);
                for _ in 0..world.rng.length(20) {
                    let name = format!("n{}", world.rng.below(names));
                    let (kind, size) = (world.rng.pick(&[Kind::Text, Kind::Bytes]), world.rng.length(largest));
                    world.publish_old(peer, &name, kind, size);
                }
            }
            34 | 35 if !attackers.is_empty() => {
                let i = world.rng.index(attackers.len());
                let (id, v1) = attackers[i];
                if world.raw(id).closed {
                    let (first, v1) = attackers_header(&mut world.rng, framing);
                    attackers[i] = (world.add_raw(RawPeer::new(first), url), v1);
                } else {
                    for _ in 0..world.rng.length(30) {
                        let bytes = attack(&mut world.rng, framing, v1);
                        world.raw_send(id, &bytes);
                    }
                    if world.rng.one_in(3) {
                        let until = world.mono + 20 * SEC;
                        world.stall(id, until);
                    }
                }
            }
            _ => {}
        }
        let time = world.rng.pick(&[0, 0, MS / 10, MS, 20 * MS, 500 * MS]);
        world.run_for(time);
    }
    if !hub_is_up {
        hub = world.replace_hub(hub, url, config);
    }
    world.settle();
    world.check_promise();
    world.add_app("newcomer", url);
    world.settle();
    world.check_promise();
    world.check_counters(hub);
    for peer in old {
        assert!(chaos.hub_kills || !world.old_peer(peer).lost, "an old peer that keeps to the rules keeps its link");
    }
}
