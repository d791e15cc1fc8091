//! Scenarios of what a hub and an app announce to each other: the end of what was held, tombstones, subscriptions.

use nanostate::framing::{header, Version};
use nanostate::wire::{self, Control, Features, Form, Instance, Meta, PeerState, Presence, Stamp, Value};
use nanostate::Status;

use super::recorder::{Trace, HUB, IDENTITY, KNOWN};
use super::scenarios::{later, link_again, link_with, stamp_at};
use crate::sim::body;

/// What a hub held, and where that ends: behind the first pass, which may hold nothing; on each link anew; not before the
/// welcome, and not with a hub that has not announced it.
pub fn synced(trace: &mut Trace) {
    let relink = |trace: &mut Trace| {
        trace.tick();
        trace.open();
        trace.bytes(&header(Version::V1));
    };
    let mut marker = Vec::new();
    Control::Synced { asks: 0 }.encode(wire::HUB_SENDER, &mut marker);
    trace.connect(&[HUB]);
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.frame(&marker);
    trace.lets_in(0x11, 2_000, Features::SYNCED);
    let time = trace.hub_time(2_000);
    trace.held("b", "x", &[1], stamp_at(time));
    // In one piece: what was held, what is new, the marker, and what comes behind it.
    let state = |name: &str, data: u8, flags: u32| {
        let meta = Meta { stamp: Some(stamp_at(later(time, 1))), flags, ..Meta::default() };
        body(Form::V1, "b", name, &[data], &meta)
    };
    trace.frames(&[&state("y", 1, Meta::RETAINED), &state("x", 2, 0), &marker, &state("z", 3, 0)]);
    // For more requests than there were; and what is no marker.
    trace.hears(Control::Synced { asks: 7 });
    trace.frame(&body(Form::V1, wire::HUB_SENDER, "$ns/synced", b"\xA1x", &Meta::default()));
    // The same hub again, of which the app knows everything.
    trace.closed();
    relink(trace);
    trace.lets_in(0x11, 2_000, Features(1 << 31 | Features::SYNCED.0));
    trace.held("b", "z", &[3], stamp_at(later(time, 1)));
    trace.frame(&marker);
    // Hubs that say so without having announced it.
    for features in [Features::NONE, Features(1 << 31)] {
        trace.closed();
        relink(trace);
        trace.lets_in(0x22, 2_000, features);
        trace.frame(&marker);
    }
    // One that holds nothing, after a welcome that is malformed.
    trace.closed();
    relink(trace);
    trace.frame(&body(Form::V1, wire::HUB_SENDER, "$ns/welcome", &too_many_features(), &Meta::default()));
    trace.frame(&marker);
    trace.lets_in(0x33, 2_000, Features::SYNCED);
    trace.frame(&marker);
}

/// The data of a welcome whose features are 33 bits.
fn too_many_features() -> Vec<u8> {
    let mut data = vec![0x84, 0, 0xC4, 16];
    data.extend([0x33; 16]);
    data.extend([1, 0xCD, 0x40, 0, 2, 1, 4, 0xCF, 0, 0, 0, 1, 0, 0, 0, 1]);
    data
}

/// Values that are withdrawn, before a link, on it and on the next ones; a hub that does not know of it; what others
/// withdraw, of keys that are known and of others; and after a day all of it is forgotten.
pub fn clear(trace: &mut Trace) {
    trace.publish("early", Value::Text("x"));
    trace.clear("early");
    trace.clear("never");
    link_with(trace, 0x11, KNOWN);
    trace.publish("x", Value::Double(0.5));
    trace.clear("x");
    trace.clear("x");
    trace.flush();
    trace.hears(Control::Pong { token: 6, time: None });
    trace.publish("early", Value::Int(1));
    let time = trace.hub_time(2_000);
    let gone = |trace: &mut Trace, sender: &str, name: &str, data: &[u8], by: u64, flags: u32| {
        let meta = Meta { stamp: Some(stamp_at(later(time, by))), flags: Meta::CLEAR | flags, ..Meta::default() };
        trace.frame(&body(Form::V1, sender, name, data, &meta));
    };
    trace.state("b", "x", &[7], stamp_at(time));
    trace.state("c", "x", &[8], stamp_at(later(time, 1)));
    gone(trace, "c", "x", &[5], 2, 0);
    gone(trace, "c", "x", &[5], 2, 0);
    gone(trace, "c", "unknown", &[0xC0], 3, Meta::RETAINED);
    // What is no number of a kind.
    gone(trace, "c", "malformed", &[11], 4, 0);
    gone(trace, "c", "malformed", b"\xA1x", 4, 0);
    trace.state("c", "x", &[9], stamp_at(later(time, 5)));
    // What an earlier run left, which this one withdraws; and what that withdrew.
    trace.state(IDENTITY, "left", &[0xC3], stamp_at(later(time, 6)));
    trace.clear("left");
    gone(trace, IDENTITY, "early", &[5], 1 << 20, 0);
    gone(trace, IDENTITY, "never set", &[5], 7, 0);
    // A hub that holds a later value: what is withdrawn is withdrawn.
    let offered = trace.clear("x").unwrap();
    let held = stamp_at(later(time, 1 << 24));
    trace.hears(Control::Stale { name: "x", offered, held: Some(held), time: held.clock });
    // A hub that does not know of it: its own tombstones are kept back, and those that it sends are malformed.
    link_again(trace, 0x22, Features::SYNCED);
    trace.clear("early");
    gone(trace, "b", "x", &[5], 8, 0);
    link_again(trace, 0x11, Features(Features::CLEAR.0 | 1 << 31));
    gone(trace, "b", "x", &[5], 8, Meta::RETAINED);
    // A day later.
    trace.pass(24 * 3600 * 1000);
    link_again(trace, 0x11, KNOWN);
    trace.publish("in the place of the first that is forgotten", Value::Int(1));
    trace.clear("early");
    link_again(trace, 0x11, KNOWN);
}

/// What apps that share an identity withdraw is everybody's, as what they publish is.
pub fn clear_shared(trace: &mut Trace) {
    trace.configure(|config| (config.shared, config.echo) = (true, true));
    link_with(trace, 0x11, KNOWN);
    trace.publish("x", Value::Int(1));
    trace.publish("y", Value::Int(2));
    let own = trace.clear("y").unwrap();
    let time = trace.hub_time(3_000);
    let gone = |trace: &mut Trace, name: &str, stamp: Stamp| {
        let meta = Meta { stamp: Some(stamp), flags: Meta::CLEAR, ..Meta::default() };
        trace.frame(&body(Form::V1, IDENTITY, name, &[5], &meta));
    };
    gone(trace, "x", stamp_at(time));
    gone(trace, "y", own);
    trace.state(IDENTITY, "y", &[3], stamp_at(later(time, 1)));
    link_again(trace, 0x11, KNOWN);
    // Another app's is later.
    let offered = trace.clear("x").unwrap();
    let held = stamp_at(later(time, 1 << 30));
    trace.hears(Control::Stale { name: "x", offered, held: Some(held), time: held.clock });
    link_again(trace, 0x11, KNOWN);
}

/// Values of senders that have departed, which the hub is to withdraw: it does, or says why not; answers that come twice, in
/// another order, not at all, or to what nobody has asked.
pub fn forget(trace: &mut Trace) {
    link_with(trace, 0x11, KNOWN);
    let answer = |trace: &mut Trace, token: u64, status: i32, text: &str| {
        trace.hears(Control::Forgotten { token, status, text });
    };
    trace.state("b", "x", &[5], stamp_at(trace.hub_time(2_000)));
    trace.forget("b", "x");
    trace.forget("b", "\u{e9}");
    trace.forget("c", "z");
    answer(trace, 3, Status::State.code(), "c is connected");
    let meta = Meta { stamp: Some(stamp_at(trace.hub_time(3_000))), flags: Meta::CLEAR, ..Meta::default() };
    trace.frame(&body(Form::V1, "b", "x", &[5], &meta));
    answer(trace, 1, 0, "");
    answer(trace, 1, Status::Full.code(), "");
    answer(trace, 77, 0, "");
    // Numbers of later versions.
    answer(trace, 2, -9999, "for reasons");
    for (token, status) in (4..).zip([Status::NotFound, Status::Permission, Status::Full]) {
        trace.forget("b", "x");
        answer(trace, token, status.code(), "");
    }
    trace.frame(&body(Form::V1, wire::HUB_SENDER, "$ns/forgotten", &[0x81, 0, 0xC0], &Meta::default()));
    trace.forget("b", "y");
    link_again(trace, 0x11, KNOWN);
    answer(trace, 7, 0, "");
    trace.forget("b", "y");
    answer(trace, 8, 0, "");
}

/// Values for those who are there: on a link and without one, in each other's place with lasting ones; announced on a new link
/// while they are not too old, or a flush waits for them; a hub that does not know of it; and those of others.
pub fn transient(trace: &mut Trace) {
    trace.publish_transient("early", Value::Text("x"));
    link_with(trace, 0x11, KNOWN);
    for (name, value) in [("x", 1), ("x", 2), ("y", 3)] {
        trace.publish_transient(name, Value::Int(value));
    }
    trace.publish("y", Value::Int(4));
    trace.publish("z", Value::Int(5));
    trace.publish_transient("z", Value::Bytes(&[7; 300]));
    trace.clear("x");
    trace.publish_transient("x", Value::Double(0.5));
    let time = trace.hub_time(2_000);
    let other = |trace: &mut Trace, by: u64, flags: u32| {
        let meta = Meta { stamp: Some(stamp_at(later(time, by))), flags, ..Meta::default() };
        trace.frame(&body(Form::V1, "b", "x", &[7], &meta));
    };
    other(trace, 1, Meta::TRANSIENT);
    other(trace, 2, Meta::TRANSIENT | Meta::RETAINED);
    trace.pass(29_000);
    link_again(trace, 0x11, KNOWN);
    // A hub that does not know of it.
    link_again(trace, 0x22, Features::SYNCED);
    trace.publish_transient("x", Value::Int(6));
    other(trace, 3, Meta::TRANSIENT);
    trace.pass(25_000);
    trace.publish_transient("z", Value::Int(7));
    trace.flush();
    trace.closed();
    trace.publish_transient("w", Value::Int(8));
    trace.pass(31_000);
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(0x11, 2_000, KNOWN);
    link_again(trace, 0x11, KNOWN);
}

/// What another one under the identity sends as transient is announced as such.
pub fn transient_shared(trace: &mut Trace) {
    trace.configure(|config| config.shared = true);
    link_with(trace, 0x11, KNOWN);
    trace.publish("x", Value::Int(1));
    trace.publish_transient("y", Value::Int(2));
    let time = trace.hub_time(3_000);
    for (name, flags) in [("x", Meta::TRANSIENT), ("y", 0)] {
        let meta = Meta { stamp: Some(stamp_at(time)), flags, ..Meta::default() };
        trace.frame(&body(Form::V1, IDENTITY, name, &[3], &meta));
    }
    link_again(trace, 0x11, KNOWN);
    trace.pass(31_000);
    link_again(trace, 0x11, KNOWN);
}

/// An app that leaves what the hub does when it is lost, changes it and takes it back, with and without a link; a hub that
/// does not take one, one that keeps none; and a goodbye.
pub fn will(trace: &mut Trace) {
    trace.no_will("never");
    trace.publish("x", Value::Int(1));
    trace.will("x", Value::Double(0.5));
    trace.will_clear("early");
    trace.will("a", Value::Text("gone"));
    trace.no_will("a");
    link_with(trace, 0x11, KNOWN);
    trace.will("x", Value::Int(2));
    trace.will("long", Value::Bytes(&[7; 300]));
    trace.no_will("long");
    trace.flush();
    trace.hears(Control::WillRejected { status: Status::Full.code(), name: "x", nth: 3 });
    trace.hears(Control::Pong { token: 8, time: None });
    link_again(trace, 0x22, Features::SYNCED);
    trace.will("x", Value::Int(3));
    link_again(trace, 0x11, KNOWN);
    trace.no_will("x");
    trace.no_will("early");
    link_again(trace, 0x11, KNOWN);
    trace.disconnect();
}

/// An app that says which names it is sent: none at first, then more and fewer, with and without a link; what comes of
/// others; when it has what the hub held of them; more patterns than go into one message; hubs that know less.
pub fn subscribe(trace: &mut Trace) {
    trace.subscribe(None);
    link_with(trace, 0x11, KNOWN);
    trace.hears(Control::Synced { asks: 0 });
    trace.hears(Control::Synced { asks: 1 });
    let time = trace.hub_time(2_000);
    let held = |trace: &mut Trace, name: &str, by: u64| trace.held("b", name, &[7], stamp_at(later(time, by)));
    held(trace, "x/1", 1);
    trace.subscribe(Some("x/*"));
    trace.subscribe(Some("y"));
    held(trace, "x/1", 1);
    trace.hears(Control::Synced { asks: 2 });
    held(trace, "y", 2);
    // For more than it asked for.
    trace.hears(Control::Synced { asks: 1_000 });
    held(trace, "z", 3);
    let gone = |trace: &mut Trace, name: &str, by: u64| {
        let meta = Meta { stamp: Some(stamp_at(later(time, by))), flags: Meta::CLEAR, ..Meta::default() };
        trace.frame(&body(Form::V1, "b", name, &[5], &meta));
    };
    gone(trace, "y", 4);
    gone(trace, "z", 4);
    trace.unsubscribe("x/*");
    // It was on its way.
    trace.state("b", "x/2", &[7], stamp_at(later(time, 5)));
    trace.subscribe(Some("**"));
    held(trace, "x/1", 1);
    gone(trace, "y", 4);
    trace.publish("x", Value::Int(1));
    trace.closed();
    trace.hears(Control::Synced { asks: 5 });
    // Without a link.
    trace.unsubscribe("**");
    trace.subscribe(Some("x/*"));
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(0x11, 2_000, KNOWN);
    held(trace, "x/1", 1);
    trace.hears(Control::Synced { asks: 1 });
    for i in 0..90 {
        trace.subscribe(Some(&format!("{i}/{}", "\u{e9}".repeat(200))));
    }
    link_again(trace, 0x11, KNOWN);
    for asks in 1..=3 {
        trace.hears(Control::Synced { asks });
    }
    trace.subscribe(Some("last"));
    trace.hears(Control::Synced { asks: 4 });
    // A hub that sends all names: it is told nothing, and has been asked for all.
    link_again(trace, 0x22, Features::SYNCED);
    trace.hears(Control::Synced { asks: 0 });
    trace.subscribe(Some("more"));
    held(trace, "more", 6);
    trace.hears(Control::Synced { asks: 0 });
    // One that does not say when it has sent them.
    link_again(trace, 0x22, Features::SUBSCRIBE);
    trace.subscribe(Some("z"));
    held(trace, "z", 6);
    trace.hears(Control::Synced { asks: 4 });
    trace.unsubscribe("z");
    // Some are given up.
    for pattern in ["y", "x/*", "last", "more"] {
        trace.unsubscribe(pattern);
    }
    link_again(trace, 0x11, KNOWN);
    trace.unsubscribe(&format!("0/{}", "\u{e9}".repeat(200)));
}

/// What others that share the identity say of an app's own values counts, also of names that it does not take: it
/// announces that, and its program does not hear of it.
pub fn subscribe_shared(trace: &mut Trace) {
    trace.configure(|config| config.shared = true);
    trace.subscribe(Some("z"));
    for name in ["x", "y", "z"] {
        trace.publish(name, Value::Int(1));
    }
    link_with(trace, 0x11, KNOWN);
    let time = trace.hub_time(3_000);
    trace.state(IDENTITY, "x", &[2], stamp_at(time));
    let meta = Meta { stamp: Some(stamp_at(time)), flags: Meta::CLEAR, ..Meta::default() };
    trace.frame(&body(Form::V1, IDENTITY, "y", &[5], &meta));
    trace.state(IDENTITY, "z", &[2], stamp_at(time));
    trace.state(IDENTITY, "unknown", &[2], stamp_at(time));
    link_again(trace, 0x22, KNOWN);
}

/// Which other apps are there: those who were, who comes and goes, the same in a list behind a break, also at a hub that was
/// just started; the app itself, and numbers of later versions; and that it leaves on purpose.
pub fn presence(trace: &mut Trace) {
    use PeerState::{Left, Lost, Present, Suspect};
    let says = |trace: &mut Trace, state: PeerState, identity: &str, instance: u8| {
        let instance = Instance([instance; 16]);
        trace.hears(Control::Presence(Presence::Peer { state, identity, instance }));
    };
    let begins = |trace: &mut Trace| trace.hears(Control::Presence(Presence::Begins));
    let complete = |trace: &mut Trace, young: bool| trace.hears(Control::Presence(Presence::Complete { young }));
    let data = |trace: &mut Trace, data: &[u8]| {
        trace.frame(&body(Form::V1, wire::HUB_SENDER, "$ns/presence", data, &Meta::default()));
    };
    // What nobody has asked for is not told.
    link_with(trace, 0x11, KNOWN);
    says(trace, Present, "early", 1);
    trace.watch();
    begins(trace);
    says(trace, Present, "b", 1);
    says(trace, Present, IDENTITY, 2);
    trace.frame(&own_presence());
    says(trace, Suspect, "c", 3);
    complete(trace, false);
    // Changes, and what is none; of one that is not known, too.
    says(trace, Present, "d", 4);
    says(trace, Present, "d", 4);
    says(trace, Suspect, "b", 1);
    says(trace, Suspect, "b", 1);
    says(trace, Present, "b", 1);
    says(trace, Left, "d", 4);
    says(trace, Lost, "c", 3);
    says(trace, Lost, "nobody", 9);
    says(trace, Present, "b", 5);
    // Later versions, and what is malformed.
    data(trace, &[0x81, 0, 9]);
    data(trace, &[0x82, 0, 1, 1, 0xA1, b'x']);
    data(trace, &[0xC0]);
    // A hub that was just started: one is back, one is another app, and one is on its way.
    link_again(trace, 0x22, KNOWN);
    begins(trace);
    says(trace, Present, "b", 5);
    says(trace, Present, IDENTITY, 2);
    says(trace, Present, "e", 6);
    complete(trace, true);
    complete(trace, false);
    // A hub that does not tell.
    link_again(trace, 0x33, Features::SYNCED);
    link_again(trace, 0x22, KNOWN);
    trace.publish("last", Value::Int(1));
    trace.disconnect();
}

/// Which values are stale: of an app that is there, is suspect, lost and back, of one that was started anew, of a hub, of
/// another app that shares the identity, of the app itself; while it is not known who is there; and at another hub.
pub fn gone(trace: &mut Trace) {
    use PeerState::{Left, Lost, Present, Suspect};
    let says = |trace: &mut Trace, state: PeerState, identity: &str, instance: u8| {
        let instance = Instance([instance; 16]);
        trace.hears(Control::Presence(Presence::Peer { state, identity, instance }));
    };
    let begins = |trace: &mut Trace| trace.hears(Control::Presence(Presence::Begins));
    let complete = |trace: &mut Trace, young: bool| trace.hears(Control::Presence(Presence::Complete { young }));
    let set = |trace: &mut Trace, sender: &str, name: &str, time: i64, instance: u8| {
        let stamp = Stamp { clock: trace.hub_time(time), instance: Instance([instance; 16]) };
        trace.state(sender, name, &[7], stamp);
    };
    let ask = |trace: &mut Trace| {
        for sender in ["b", "c", "old", IDENTITY, "nobody"] {
            trace.asks_stale(sender, "x");
        }
    };
    trace.configure(|config| config.shared = true);
    link_with(trace, 0x11, KNOWN);
    trace.publish("x", Value::Int(1));
    set(trace, "b", "x", 2_000, 1);
    set(trace, "c", "x", 2_001, 2);
    set(trace, "old", "x", 2_002, 0x11);
    trace.watch();
    ask(trace);
    begins(trace);
    says(trace, Present, "b", 1);
    trace.frame(&own_presence());
    complete(trace, true);
    ask(trace);
    trace.watch_stale();
    complete(trace, false);
    ask(trace);
    trace.watch_stale();
    // Changes, and what is none.
    says(trace, Suspect, "b", 1);
    ask(trace);
    says(trace, Lost, "b", 1);
    ask(trace);
    says(trace, Present, "b", 1);
    ask(trace);
    says(trace, Left, "b", 1);
    says(trace, Present, "b", 3);
    ask(trace);
    set(trace, "b", "x", 2_003, 3);
    ask(trace);
    // Of another app under the own identity, whose value is announced from here on.
    set(trace, IDENTITY, "x", 2_004, 4);
    ask(trace);
    says(trace, Present, IDENTITY, 4);
    ask(trace);
    // Another list, in which one is missing.
    begins(trace);
    ask(trace);
    says(trace, Present, "b", 3);
    set(trace, "d", "x", 2_005, 5);
    trace.asks_stale("d", "x");
    complete(trace, false);
    ask(trace);
    trace.asks_stale("d", "x");
    // What is cleared is not.
    let meta = Meta { stamp: Some(stamp_at(trace.hub_time(2_006))), flags: Meta::CLEAR, ..Meta::default() };
    trace.frame(&body(Form::V1, "d", "x", &[5], &meta));
    trace.asks_stale("d", "x");
    // No hub, and another one.
    trace.closed();
    ask(trace);
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(0x22, 2_000, KNOWN);
    ask(trace);
    set(trace, "e", "x", 2_007, 6);
    set(trace, "b", "y", 2_008, 7);
    begins(trace);
    says(trace, Present, "c", 2);
    complete(trace, true);
    ask(trace);
    says(trace, Left, "c", 2);
    ask(trace);
    complete(trace, false);
    ask(trace);
    trace.asks_stale("e", "x");
    trace.asks_stale("b", "y");
}

/// The app itself, as its hub lists it.
fn own_presence() -> Vec<u8> {
    let (instance, mut body) = (Instance(std::array::from_fn(|i| 0xA0 + i as u8)), Vec::new());
    let own = Presence::Peer { state: PeerState::Present, identity: IDENTITY, instance };
    Control::Presence(own).encode(wire::HUB_SENDER, &mut body);
    body
}
