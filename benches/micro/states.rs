//! What programs publish: bodies, and streams of frames that can be made newer where they lie.

use nanostate::engine::Now;
use nanostate::framing::{frame_head, Framing};
use nanostate::time::{BootTime, LogicalTime, MonoTime, WallTime};
use nanostate::wire::{self, Form, Instance, Meta, Stamp};
use nanostate::Value;

/// The time in all benchmarks: it stands still, so that no deadline comes.
pub const NOW: Now = Now {
    mono: MonoTime::from_nanos(1_000_000_000),
    wall: WallTime::from_millis(1_800_000_000_000),
    boot: BootTime::from_nanos(500_000),
};

/// How the benchmarks cut streams.
pub const FRAMING: Framing = Framing::Ipc;

/// What a state holds in most benchmarks, in bytes.
pub const PAYLOAD: usize = 64;

/// The number of hexadecimal digits that make a name unique.
const DIGITS: usize = 8;

/// A value of `len` bytes, as MessagePack.
pub fn bytes_value(len: usize) -> Vec<u8> {
    let mut value = Vec::new();
    Value::Bytes(&vec![0xA5; len]).encode(&mut value);
    value
}

/// The `number`th name, as long as every other.
pub fn name(number: u32) -> String {
    format!("machine/sensor-{number:0DIGITS$x}")
}

/// A v1 body.
pub fn body(sender: &str, name: &str, value: &[u8], stamp: Stamp) -> Vec<u8> {
    let mut body = Vec::new();
    wire::encode(&mut body, Form::V1, sender, name, value, &Meta { stamp: Some(stamp), ..Meta::default() });
    body
}

/// Where in a frame its name's digits and its clock are.
struct Places {
    digits: usize,
    clock: usize,
}

/// Frames of one sender, one state each, with [`name`]s that begin with number 0.
pub struct Frames {
    bytes: Vec<u8>,
    places: Vec<Places>,
    stamp: Stamp,
    next_name: u32,
}

impl Frames {
    /// `count` frames, each of so many bytes of value.
    pub fn new(sender: &str, instance: Instance, count: u32, payload: usize) -> Frames {
        let mut stamp = Stamp { clock: LogicalTime::from_millis(NOW.wall.as_millis()), instance };
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let value = bytes_value(payload);
        for number in 0..count {
            stamp.clock = stamp.clock.succ();
            let name = name(number);
            let body = body(sender, &name, &value, stamp);
            bytes.extend_from_slice(&frame_head(FRAMING, body.len()));
            let at = bytes.len();
            let digits = at + position(&body, name.as_bytes()) + name.len() - DIGITS;
            places.push(Places { digits, clock: at + position(&body, &stamp.to_bytes()) });
            bytes.extend_from_slice(&body);
        }
        Frames { bytes, places, stamp, next_name: count }
    }

    /// All frames.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each frame.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.bytes.len() / self.places.len())
    }

    /// Gives every state a newer stamp.
    pub fn newer(&mut self) {
        for places in &self.places {
            self.stamp.clock = self.stamp.clock.succ();
            self.bytes[places.clock..][..size_of::<u64>()].copy_from_slice(&self.stamp.clock.to_bits().to_be_bytes());
        }
    }

    /// Gives every state a name that none had before.
    pub fn renamed(&mut self) {
        for places in &self.places {
            let digits = &mut self.bytes[places.digits..][..DIGITS];
            for (i, digit) in digits.iter_mut().rev().enumerate() {
                *digit = b"0123456789abcdef"[(self.next_name >> (4 * i)) as usize % 16];
            }
            self.next_name += 1;
        }
    }
}

fn position(body: &[u8], of: &[u8]) -> usize {
    body.windows(of.len()).position(|window| window == of).expect("the body holds it")
}
