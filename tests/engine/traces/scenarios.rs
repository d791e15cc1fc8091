//! The scenarios. Each shows one matter from the beginning.

use std::time::Duration;

use nanostate::framing::{header, Version};
use nanostate::time::LogicalTime;
use nanostate::wire::{Control, Features, Form, Hidden, Instance, Meta, Stamp, Value};
use nanostate::{Kind, Status};

use super::recorder::{Trace, HUB, IDENTITY, KNOWN};
use crate::sim::{body, stamp, value};

/// A stamp of another app, at this time of the hub's clock.
pub fn stamp_at(clock: LogicalTime) -> Stamp {
    Stamp { clock, instance: Instance([0xBB; 16]) }
}

pub fn later(clock: LogicalTime, by: u64) -> LogicalTime {
    LogicalTime::from_bits(clock.to_bits() + by)
}

/// A link to a hub whose clock is ahead by two seconds.
fn link(trace: &mut Trace) {
    trace.connect(&[HUB]);
    trace.pass(1);
    trace.open();
    trace.pass(1);
    trace.welcome(0x11, 2_000);
}

/// A link to a hub that has these features.
pub fn link_with(trace: &mut Trace, hub: u8, features: Features) {
    trace.connect(&[HUB]);
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(hub, 2_000, features);
}

/// The link is lost, and there is another one.
pub fn link_again(trace: &mut Trace, hub: u8, features: Features) {
    trace.closed();
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(hub, 2_000, features);
}

/// Values before the first welcome, all kinds of values, states of others, duplicates of them, a ping, an end.
pub fn connect(trace: &mut Trace) {
    trace.publish("early", Value::Text("first"));
    trace.pass(250);
    trace.publish("early/2", Value::Int(-7));
    trace.publish("early", Value::Text("second"));
    link(trace);
    for (number, kind) in Kind::VALUES.iter().enumerate() {
        let data = match kind {
            // In their shortest forms, and with text as keys, as every language writes them.
            Kind::Map => vec![0x81, 0xA1, b'k', 0x92, 1, 0xC0],
            Kind::Ext => vec![0xD7, 7, 0, 1, 2, 3, 4, 5, 6, 7],
            kind => value(*kind, number as u64, 5),
        };
        trace.publish(kind.name(), Value::Msgpack(&data));
    }
    trace.pass(5);
    trace.publish("nested/\u{e9}", Value::Double(22.0));
    let time = trace.hub_time(2_000);
    trace.state("b", "x", &[0xC3], stamp_at(time));
    trace.state("b", "x", &[0xC3], stamp_at(time));
    trace.state("b", "x", &[0xC2], stamp_at(later(time, 1)));
    // What the hub knows, although it is older.
    trace.state("b", "x", &[7], stamp_at(time));
    trace.held("b", "held", &[0xCB, 0x40, 0x36, 0, 0, 0, 0, 0, 0], stamp_at(time));
    // Without a stamp, and two bodies in one piece, the second of them cut.
    trace.frame(&body(Form::V1, "o", "plain", b"\xA2ok", &Meta::default()));
    trace.hears(Control::Ping { token: u64::MAX });
    trace.publish("after", Value::Nil);
    trace.disconnect();
    trace.pass(1_000);
    trace.connect(&[HUB]);
    trace.open();
}

/// Refusals: the identity is taken, then by one that is not lost, then the hub is full, then it lets the app in.
pub fn refuse(trace: &mut Trace) {
    trace.configure(|config| config.take_over = true);
    trace.publish("x", Value::Int(1));
    trace.connect(&[HUB]);
    for (status, text) in [
        (Status::IdentityTaken, "\"a\" is held by another app"),
        (Status::IdentityTaken, "\"a\" is held by another app"),
        (Status::Full, ""),
        // Not a reason to refuse anybody.
        (Status::Timeout, "no reason"),
    ] {
        trace.pass(1);
        trace.open();
        trace.bytes(&header(Version::V1));
        trace.hears(Control::Refuse { status: status.code(), text });
        trace.tick();
    }
    trace.dial_fails();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 0);
    // Another app takes the identity over.
    trace.hears(Control::Refuse { status: Status::IdentityTaken.code(), text: "taken over" });
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
}

/// A hub that does not know the token refuses the app, and lets it in later, to read only.
pub fn token(trace: &mut Trace) {
    trace.configure(|config| config.token = Some(Hidden("s3cr\u{e9}t of sixteen".into())));
    trace.publish("x", Value::Int(1));
    trace.connect(&[HUB]);
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.hears(Control::Refuse { status: Status::Permission.code(), text: "unknown token" });
    trace.tick();
    trace.open();
    trace.welcome(0x11, 0);
    trace.hears(Control::Rejected { status: Status::Permission.code(), name: "x" });
    trace.flush();
    trace.pass(10);
}

/// No hub, a hub that does not answer, one that ends and one that comes back as another: waits, epochs, stamps kept.
pub fn reconnect(trace: &mut Trace) {
    trace.publish("x", Value::Int(1));
    trace.connect(&[HUB]);
    for _ in 0..9 {
        trace.dial_fails();
        trace.tick();
    }
    trace.open();
    trace.tick();
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1)[..5]);
    trace.closed();
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.tick();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 500);
    trace.publish("y", Value::Int(2));
    trace.state("b", "z", &[1], stamp_at(trace.hub_time(500)));
    trace.pass(2_000);
    trace.closed();
    trace.publish("x", Value::Int(3));
    trace.tick();
    trace.open();
    trace.welcome(0x11, 500);
    trace.pass(100);
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x22, -3_000);
    trace.publish("y", Value::Int(4));
}

/// Several addresses of one hub: each is tried at once, and waits come after the last.
pub fn addresses(trace: &mut Trace) {
    trace.connect(&["tcp://one", "ipc:///two", "tcp://three"]);
    for _ in 0..4 {
        trace.dial_fails();
        if trace.waits() {
            trace.tick();
        }
    }
    trace.open();
    trace.welcome(0x11, 0);
    trace.closed();
    trace.tick();
}

/// Values are announced again in the order of their places, with their stamps, also those of names that came late.
pub fn announce(trace: &mut Trace) {
    link(trace);
    for i in 0..130 {
        trace.publish(&format!("n{i}"), Value::Int(i));
    }
    for i in (0..130).step_by(9) {
        trace.pass(1);
        trace.publish(&format!("n{i}"), Value::Int(1_000 + i));
    }
    trace.closed();
    trace.publish("late", Value::Bool(true));
    trace.publish("n7", Value::Nil);
    trace.tick();
    trace.open();
    trace.welcome(0x11, 2_000);
}

/// The hub holds later values: a key is stamped anew three times, and given up then. Answers that are out of date, and
/// values of an earlier run.
pub fn stale(trace: &mut Trace) {
    link(trace);
    trace.publish("x", Value::Int(1));
    trace.publish("y", Value::Int(2));
    trace.flush();
    let mut time = trace.hub_time(10_000);
    let stale = |trace: &mut Trace, name: &str, offered: Stamp, held: Option<Stamp>, time: LogicalTime| {
        trace.hears(Control::Stale { name, offered, held, time });
    };
    let first = trace.own_stamp("x");
    for _ in 0..4 {
        time = later(time, 5 << 16);
        let offered = trace.own_stamp("x");
        stale(trace, "x", offered, Some(stamp_at(time)), time);
    }
    stale(trace, "x", first, Some(stamp_at(time)), later(time, 3));
    stale(trace, "unknown", first, Some(stamp_at(time)), later(time, 4));
    trace.hears(Control::Pong { token: 2, time: Some(later(time, 9)) });
    trace.hears(Control::Pong { token: 5, time: None });
    let offered = trace.own_stamp("y");
    stale(trace, "y", offered, Some(stamp_at(later(time, 77))), time);
    // An earlier run under this identity.
    trace.state(IDENTITY, "y", &[9], stamp_at(later(time, 1_000)));
    trace.state(IDENTITY, "y", &[9], stamp_at(trace.hub_time(-100)));
    trace.state(IDENTITY, "before", &[9], stamp_at(trace.hub_time(-100)));
    trace.hears(Control::Rejected { status: Status::Full.code(), name: "y" });
    trace.publish("y", Value::Int(3));
    // On another link it begins anew.
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 30_000);
    let offered = trace.own_stamp("x");
    stale(trace, "x", offered, Some(stamp_at(later(time, 1 << 24))), time);
}

/// Clocks: values are as old as they are, whatever the wall clock does and for however long the machine sleeps; a clock
/// beyond 2200 is set back by the hub.
pub fn clocks(trace: &mut Trace) {
    trace.publish("old", Value::Int(1));
    trace.pass(700);
    trace.set_wall(-86_400_000);
    trace.publish("new", Value::Int(2));
    trace.suspend(60_000);
    trace.publish("newest", Value::Int(3));
    trace.connect(&[HUB]);
    trace.open();
    trace.welcome(0x11, 5_000);
    trace.set_wall(3_600_000);
    trace.publish("x", Value::Int(4));
    trace.suspend(10_000);
    trace.publish("x", Value::Int(5));
    let year_2300 = LogicalTime::from_millis(10_413_792_000_000);
    trace.state("b", "future", &[1], stamp_at(year_2300));
    trace.publish("x", Value::Int(6));
    trace.publish("y", Value::Int(7));
    let time = trace.hub_time(-3_590_000);
    for _ in 0..2 {
        let offered = trace.own_stamp("x");
        trace.hears(Control::Stale { name: "x", offered, held: None, time });
    }
    trace.pass(50);
    trace.state("b", "future", &[2], stamp_at(year_2300));
    trace.closed();
    trace.tick();
    trace.open();
    // Far behind: the clock is set back, and values that are later get their age.
    trace.welcome(0x22, 0);
    trace.hears(Control::Pong { token: 0, time: Some(LogicalTime::MAX) });
    trace.publish("x", Value::Int(8));
}

/// A transport that takes nothing: values wait, then newest values only, each in its place.
pub fn conflation(trace: &mut Trace) {
    link(trace);
    trace.publish("a", Value::Int(0));
    trace.congested(true);
    let large = "x".repeat(1 << 20);
    for i in 0..6 {
        trace.publish("b", Value::Int(i));
        trace.publish(&format!("large/{}", i % 3), Value::Text(&large));
    }
    trace.publish("c", Value::Int(1));
    trace.publish("b", Value::Int(7));
    trace.publish("c", Value::Int(2));
    trace.publish("large/1", Value::Text("small"));
    trace.flush();
    trace.hears(Control::Ping { token: 5 });
    trace.congested(false);
    trace.publish("b", Value::Int(8));
    trace.hears(Control::Pong { token: 18, time: None });
}

/// Acknowledgements: before there is a link, one for several values, none for what is acknowledged, again after a
/// reconnect, and not by another hub.
pub fn flush(trace: &mut Trace) {
    trace.flush();
    trace.publish("x", Value::Int(1));
    trace.flush();
    link(trace);
    trace.hears(Control::Pong { token: 1, time: None });
    trace.hears(Control::Pong { token: 2, time: None });
    trace.flush();
    trace.publish("x", Value::Int(2));
    trace.publish("x", Value::Int(3));
    trace.flush();
    trace.flush();
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 2_000);
    trace.hears(Control::Pong { token: 4, time: None });
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x22, 2_000);
    trace.flush();
    // More than there is.
    trace.hears(Control::Pong { token: 1_000_000, time: None });
}

/// How long the hub takes to answer: each ping has its own answer, which says nothing of values that came behind it, and
/// for those before it also what the hub was asked then. A ping whose link is lost is not answered.
pub fn ping(trace: &mut Trace) {
    const FIRST: u64 = 1 << 63;
    link(trace);
    trace.ping();
    trace.pass(3);
    trace.ping();
    trace.pass(2);
    for token in [FIRST + 1, FIRST, FIRST] {
        trace.pass(1);
        trace.hears(Control::Pong { token, time: None });
    }
    trace.publish("x", Value::Int(1));
    trace.flush();
    trace.ping();
    trace.publish("y", Value::Int(2));
    trace.flush();
    trace.pass(4);
    trace.hears(Control::Pong { token: FIRST + 2, time: None });
    trace.ping();
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 2_000);
    trace.ping();
    trace.hears(Control::Pong { token: FIRST + 4, time: None });
}

/// A hub over a network of which nothing is heard: it is asked after half of the time, what comes counts as an answer, and
/// a hub that stays silent is given up.
pub fn silence(trace: &mut Trace) {
    trace.configure(|config| config.silence = Duration::from_secs(20));
    link_with(trace, 0x11, KNOWN);
    // Something came in time: nobody is asked.
    trace.pass(7_000);
    trace.hears(Control::Ping { token: 1 });
    trace.tick();
    // Nothing came; then the answer.
    trace.tick();
    trace.pass(300);
    trace.hears(Control::Pong { token: 1 << 63, time: None });
    trace.tick();
    trace.tick();
    // Anything else is an answer, too; the next time there is none.
    trace.pass(1);
    trace.hears(Control::Synced { asks: 0 });
    trace.tick();
    trace.tick();
    trace.tick();
    link_again(trace, 0x11, KNOWN);
    trace.publish("x", Value::Int(1));
    trace.tick();
    trace.tick();
}

/// Own states come back, once.
pub fn echo(trace: &mut Trace) {
    trace.configure(|config| config.echo = true);
    link(trace);
    trace.publish("x", Value::Int(1));
    let own = trace.own_stamp("x");
    trace.state(IDENTITY, "x", &[1], own);
    trace.state(IDENTITY, "x", &[1], own);
    trace.publish("x", Value::Int(2));
    trace.state(IDENTITY, "x", &[1], own);
    let own = trace.own_stamp("x");
    trace.state(IDENTITY, "x", &[2], own);
}

/// An identity that several apps hold: the newest value is everybody's, and is announced by everybody.
pub fn shared(trace: &mut Trace) {
    trace.configure(|config| config.shared = true);
    link(trace);
    trace.publish("x", Value::Int(1));
    trace.publish("y", Value::Int(2));
    let time = trace.hub_time(3_000);
    trace.state(IDENTITY, "x", &[11], stamp_at(time));
    trace.state(IDENTITY, "y", &[12], stamp(1_000));
    trace.state(IDENTITY, "z", &[13], stamp_at(time));
    trace.publish("z", Value::Int(3));
    let offered = trace.own_stamp("y");
    trace.flush();
    trace.hears(Control::Stale { name: "y", offered, held: Some(stamp_at(later(time, 1 << 20))), time });
    trace.hears(Control::Pong { token: 4, time: None });
    trace.publish("new", Value::Int(4));
    trace.closed();
    trace.tick();
    trace.open();
    trace.welcome(0x11, 2_000);
}

/// A hub of nanomsg or NNG: dialled twice, text and bytes only, no acknowledgement, own states are dropped.
pub fn old_hub(trace: &mut Trace) {
    trace.publish("text", Value::Text("x"));
    trace.publish("number", Value::Int(1));
    trace.flush();
    trace.connect(&[HUB]);
    trace.open();
    trace.bytes(&header(Version::Old));
    trace.open();
    trace.bytes(&header(Version::Old));
    trace.publish("bytes", Value::Bytes(&[1, 2, 3]));
    trace.publish("number", Value::Int(2));
    trace.flush();
    let old = |sender: &str, name: &str, data: &[u8]| body(Form::Old, sender, name, data, &Meta::default());
    trace.frame(&old("b", "x", b"\xA1v"));
    trace.frame(&old(IDENTITY, "text", b"\xA1x"));
    trace.frame(&old("b", "$ns/ping", &[1]));
    trace.frame(&[0x93, 0xC4, 2, b'p', b'2', 0xC4, 1, b'n', 0xC4, 1, b'v']);
    trace.closed();
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::Old));
    trace.closed();
    // The address is dialled as an old hub's for a minute.
    trace.pass(60_000);
    trace.tick();
    trace.open();
    trace.welcome(0x11, 0);
}

/// What is not as it should be: unknown and malformed messages, features that nobody announced, frames over the limit, a
/// stream that is none, and another protocol.
pub fn faults(trace: &mut Trace) {
    trace.configure(|config| config.max_message = 10_000);
    link(trace);
    trace.frame(&body(Form::V1, "$ns", "$ns/later", &[0xC0], &Meta::default()));
    trace.frame(&body(Form::V1, "$ns", "$ns/ping", b"\xA1x", &Meta::default()));
    trace.frame(&body(Form::V1, "$ns", "$ns/stale", &[0x80], &Meta::default()));
    trace.frame(&[0x94, 1]);
    trace.frame(&[]);
    let time = trace.hub_time(2_000);
    let meta = |flags: u32| Meta { stamp: Some(stamp_at(time)), flags, ..Meta::default() };
    trace.frame(&body(Form::V1, "b", "event", &[1], &meta(Meta::EVENT)));
    trace.frame(&body(Form::V1, "b", "held", &[1], &meta(Meta::RETAINED)));
    trace.frame(&body(Form::V1, "b", "targeted", &[1], &Meta { target: Some("a"), ..meta(0) }));
    let large = body(Form::V1, "b", "large", &value(Kind::Bytes, 1, 20_000), &meta(0));
    let whole = body(Form::V1, "b", "fits", &[2], &meta(0));
    let head = |body: &[u8]| (body.len() as u64).to_be_bytes();
    let stream = [&head(&large)[..], &large, &head(&whole), &whole].concat();
    trace.bytes(&stream[..7]);
    trace.bytes(&stream[7..9_000]);
    trace.bytes(&stream[9_000..20_040]);
    trace.bytes(&stream[20_040..]);
    trace.bytes(b"GET / HTTP/1.1\r\n\r\n");
    trace.tick();
    trace.open();
    trace.bytes(b"HTTP/1.1 400 Bad Request\r\n");
    trace.tick();
    trace.open();
    trace.bytes(&header(Version::V1));
    // Before the welcome nothing is taken but control messages.
    trace.frame(&whole);
    trace.hears(Control::Ping { token: 1 });
    trace.hears(Control::Stale { name: "x", offered: stamp_at(time), held: None, time });
}
