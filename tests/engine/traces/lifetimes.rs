//! Scenarios of values that expire.

use nanostate::engine::app::Policy;
use nanostate::framing::{header, Version};
use nanostate::wire::{Control, Features, Form, Meta, Stamp, Value};

use super::recorder::{Trace, IDENTITY, KNOWN};
use super::scenarios::{later, link_with, stamp_at};
use crate::sim::body;

/// What others, or a hub, say: a value that expires after so many milliseconds, or the tombstone that one with this stamp left.
fn mortal(trace: &mut Trace, name: &str, stamp: Stamp, flags: u32, millis: u64) {
    let meta = Meta { stamp: Some(stamp), flags, lifetime: Some(millis), ..Meta::default() };
    trace.frame(&body(Form::V1, "b", name, &[7], &meta));
}

/// The link is lost, and there is another one.
fn again(trace: &mut Trace, hub: u8, features: Features) {
    trace.closed();
    relink(trace, hub, features);
}

fn relink(trace: &mut Trace, hub: u8, features: Features) {
    trace.tick_until_dialled();
    trace.open();
    trace.bytes(&header(Version::V1));
    trace.lets_in(hub, 2_000, features);
}

fn expiry(trace: &mut Trace, sender: &str, name: &str, stamp: Stamp) {
    let meta = Meta { stamp: Some(stamp.expired()), flags: Meta::CLEAR, ..Meta::default() };
    trace.frame(&body(Form::V1, sender, name, &[5], &meta));
}

/// Values that expire, own ones and those of others, on a link and without one; that are set again in time, for longer or for
/// ever; what is left of them on the next link; hubs that do not know of it, and one that was faster.
pub fn lifetime(trace: &mut Trace) {
    trace.publish_for("early", Value::Text("x"), 10_000);
    trace.pass(2_500);
    link_with(trace, 0x11, KNOWN);
    trace.publish_for("first", Value::Int(1), 400);
    for (name, millis) in [("x", 1), ("x", 70_000), ("long", 1 << 40), ("y", 600), ("y", 500), ("z", 700)] {
        trace.publish_for(name, Value::Int(1), millis);
    }
    // The first to expire stays the first.
    trace.publish_for("gone", Value::Nil, 100_000);
    trace.clear("gone");
    trace.publish_for("lasting", Value::Int(1), 800);
    trace.publish("lasting", Value::Int(2));
    trace.publish_as("both", Value::Int(1), Policy { lifetime: Some(5_000), is_transient: true });
    let time = trace.hub_time(2_000);
    mortal(trace, "x", stamp_at(time), 0, 450);
    mortal(trace, "held", stamp_at(time), Meta::RETAINED, 475);
    mortal(trace, "again", stamp_at(time), 0, 480);
    mortal(trace, "again", stamp_at(later(time, 1)), 0, 900);
    mortal(trace, "lasting", stamp_at(time), 0, 490);
    trace.state("b", "lasting", &[8], stamp_at(later(time, 1)));
    mortal(trace, "gone", stamp_at(time), 0, 495);
    expiry(trace, "b", "gone", stamp_at(time));
    trace.tick();
    // Several at once, and not those that were replaced.
    trace.pass(100);
    trace.tick();
    // What the hub says of it, too; the value, which was on its way; and one that is set after it.
    expiry(trace, "b", "x", stamp_at(time));
    mortal(trace, "x", stamp_at(time), 0, 1);
    mortal(trace, "x", Stamp { clock: later(time, 1), ..stamp_at(time) }, 0, 1_000);
    // What is left of them.
    trace.pass(100);
    again(trace, 0x11, KNOWN);
    // A hub that does not know of it.
    again(trace, 0x22, Features(KNOWN.0 & !Features::LIFETIME.0));
    mortal(trace, "malformed", stamp_at(later(time, 2)), 0, 1_000);
    trace.publish_for("x", Value::Int(2), 30);
    trace.tick();
    // One that knows of neither, and of no tombstones.
    again(trace, 0x33, Features::SYNCED);
    trace.publish_as("both", Value::Int(2), Policy { lifetime: Some(40), is_transient: true });
    trace.tick();
    trace.flush();
    // It expires without a link.
    trace.closed();
    trace.publish_for("x", Value::Int(3), 20);
    trace.publish_for("y", Value::Int(3), 60_000);
    trace.tick();
    relink(trace, 0x11, KNOWN);
    faster_hub(trace);
}

/// A hub that has let own values expire before.
fn faster_hub(trace: &mut Trace) {
    let lives = Policy { lifetime: Some(10_000), ..Policy::default() };
    let stamp = trace.publish_as("fast", Value::Int(1), lives).expect("it is written");
    // Of another value than that.
    expiry(trace, IDENTITY, "fast", Stamp { clock: later(stamp.clock, 1), ..stamp });
    let stamp = trace.own_stamp("fast");
    expiry(trace, IDENTITY, "fast", stamp);
    let offered = trace.publish_as("fast", Value::Int(2), lives).expect("it is written");
    let held = offered.expired();
    trace.hears(Control::Stale { name: "fast", offered, held: Some(held), time: held.clock });
}

/// What another one under the identity sends lives as long for this one, which announces it so.
pub fn shared(trace: &mut Trace) {
    trace.configure(|config| (config.shared, config.echo) = (true, true));
    link_with(trace, 0x11, KNOWN);
    let stamp = trace.publish_as("x", Value::Int(1), Policy { lifetime: Some(5_000), ..Policy::default() });
    trace.publish("y", Value::Int(2));
    trace.publish_for("z", Value::Int(3), 9_000);
    let time = trace.hub_time(3_000);
    let meta = Meta { stamp: Some(stamp_at(time)), lifetime: Some(7_000), ..Meta::default() };
    trace.frame(&body(Form::V1, IDENTITY, "y", &[4], &meta));
    expiry(trace, IDENTITY, "x", stamp.expect("it is written"));
    trace.pass(1_000);
    again(trace, 0x11, KNOWN);
    // It has expired at the hub: of two, the later stamp counts.
    let offered = trace.own_stamp("z");
    let held = offered.expired();
    trace.hears(Control::Stale { name: "z", offered, held: Some(held), time: held.clock });
    trace.tick();
}
