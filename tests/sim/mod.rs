//! Processes, connections and clocks of the engine's own: everything in one thread and out of one seed.
//!
//! A [`World`] holds hubs, apps, old peers and attackers, and the pipes between them. Bytes travel in pieces of any
//! size, a receiver may stop reading, a pipe holds little, connections break, processes die, clocks differ and jump.
//! Whatever an app is given is checked on the way; [`World::check_promise`] holds the rest against what was sent.

#![allow(dead_code, unused_imports)] // Each test uses a part.

pub mod chaos;
mod direct;
mod direct_app;
mod peers;
mod world;

use std::env;
use std::time::Duration;

use nanostate::engine::Now;
use nanostate::time::{BootTime, LogicalTime, MonoTime, WallTime};
use nanostate::wire::{Form, Instance, Meta, Stamp, Value};
use nanostate::{Kind, State};

pub use direct::{whole_frames, Direct};
pub use direct_app::{written, DirectApp};
pub use peers::{OldHub, OldPeer, RawPeer};
pub use world::{App, Id, Process, Shelf, World, MS, SEC};

/// Numbers that look random and are the same for the same seed.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed ^ 0x5851_F42D_4C95_7F2D)
    }

    /// Any number (splitmix64).
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound
    }

    /// A length or an index below `bound`, which is not 0.
    pub fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// A length of at most `max` bytes: as often small as large.
    pub fn length(&mut self, max: usize) -> usize {
        let bits = self.below(u64::from(usize::BITS - max.leading_zeros()) + 1);
        (self.below(1 << bits) as usize).min(max)
    }

    /// Bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.any() as u8).collect()
    }

    /// An instance.
    pub fn instance(&mut self) -> Instance {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.any().to_be_bytes());
        bytes[8..].copy_from_slice(&self.any().to_be_bytes());
        Instance(bytes)
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Runs `target` with one seed after the other: `default` of them, or `NANOSTATE_FUZZ_RUNS` divided by `cost` (what one
/// run costs in inputs of the cheapest target), from `NANOSTATE_FUZZ_SEED` on. Tells the seed of a run that fails.
pub fn each_seed(default: u64, cost: u64, mut target: impl FnMut(u64)) {
    struct Tell(u64);
    impl Drop for Tell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let thread = std::thread::current();
                let test = thread.name().unwrap_or_default();
                eprintln!("to see {test} fail again: NANOSTATE_FUZZ_SEED={} NANOSTATE_FUZZ_RUNS=1", self.0);
            }
        }
    }
    let runs = number_from("NANOSTATE_FUZZ_RUNS").map_or(default, |runs| (runs / cost).max(1));
    let first = number_from("NANOSTATE_FUZZ_SEED").unwrap_or(1);
    for run in 0..runs {
        let tell = Tell(first.wrapping_add(run));
        target(tell.0);
    }
}

/// What stands for the value of a key that has none any more: no MessagePack.
pub const CLEARED: &[u8] = &[];

/// The value of a state that a program was given.
pub fn given(state: &State) -> Vec<u8> {
    if state.kind() == Kind::Cleared {
        assert_eq!(state.msgpack(), [0xC0], "it has no value");
        return CLEARED.to_vec();
    }
    state.msgpack().to_vec()
}

/// A value of this kind, as MessagePack. All that can are of about `size` bytes and differ from those of other
/// numbers.
pub fn value(kind: Kind, number: u64, size: usize) -> Vec<u8> {
    let filled = || {
        let mut text = number.to_string();
        text.extend(std::iter::repeat_n('.', size.saturating_sub(text.len())));
        text
    };
    let nested = |head: &[u8]| {
        let mut out = head.to_vec();
        Value::Uint(number).encode(&mut out);
        Value::Text(&".".repeat(size)).encode(&mut out);
        out
    };
    let mut out = Vec::new();
    match kind {
        Kind::Text => Value::Text(&filled()).encode(&mut out),
        Kind::Bytes => Value::Bytes(filled().as_bytes()).encode(&mut out),
        Kind::Nil => Value::Nil.encode(&mut out),
        Kind::Bool => Value::Bool(number % 2 == 0).encode(&mut out),
        Kind::Int => Value::Int(-(number as i64)).encode(&mut out),
        Kind::Uint => Value::Uint(u64::MAX - number).encode(&mut out),
        Kind::Double => Value::Double(number as f64 + 0.5).encode(&mut out),
        Kind::Array => out = nested(&[0x92]),
        Kind::Map => out = nested(&[0x81]),
        Kind::Ext => {
            out.extend([0xC9, 0, 0, 0, 8, 7]);
            out.extend(number.to_be_bytes());
        }
        Kind::Cleared => out = CLEARED.to_vec(),
    }
    out
}

/// The number of a [`value`], if its kind tells it.
pub fn number_of(value: &[u8]) -> Option<u64> {
    let json = nanostate::wire::from_msgpack(value);
    let digits: String = json.chars().skip_while(|c| matches!(c, '"' | '-')).take_while(char::is_ascii_digit).collect();
    match nanostate::wire::check(value).ok()? {
        Kind::Text | Kind::Int => digits.parse().ok(),
        Kind::Uint => digits.parse::<u64>().ok().map(|number| u64::MAX - number),
        _ => None,
    }
}

/// A stamp of some instance, at a time in milliseconds.
pub fn stamp(millis: u64) -> Stamp {
    Stamp { clock: LogicalTime::from_millis(millis), instance: Instance([7; 16]) }
}

/// A time to begin at, so many nanoseconds after its machine was started. It was also suspended for a while.
pub fn beginning(mono: u64) -> Now {
    Now {
        mono: MonoTime::from_nanos(mono),
        wall: WallTime::from_millis(1_800_000_000_000),
        boot: BootTime::from_nanos(500 * SEC),
    }
}

/// A time that is so many milliseconds later by the wall clock, or earlier.
pub fn wall_after(wall: WallTime, millis: i64) -> WallTime {
    WallTime::from_millis(wall.as_millis().saturating_add_signed(millis))
}

/// A time that is so many nanoseconds later by all clocks.
pub fn after(now: Now, nanos: u64) -> Now {
    let passed = Duration::from_nanos(nanos);
    Now { mono: now.mono + passed, wall: wall_after(now.wall, (nanos / MS) as i64), boot: now.boot + passed }
}

/// A body.
pub fn body(form: Form, sender: &str, name: &str, value: &[u8], meta: &Meta) -> Vec<u8> {
    let mut out = Vec::new();
    nanostate::wire::encode(&mut out, form, sender, name, value, meta);
    out
}
