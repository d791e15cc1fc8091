//! Frames of a WebSocket on their way out.

use super::super::{FrameHead, MAX_HEAD};
use super::{CloseCode, BINARY, CLOSE, FIN, LENGTH_16, LENGTH_64, MASKED, MASK_LEN, MAX_CONTROL, PING, PONG, TEXT};

/// The bytes before a binary message of `len` bytes that a server sends.
pub fn head(len: usize) -> FrameHead {
    head_of(FIN | BINARY, len)
}

fn head_of(first: u8, len: usize) -> FrameHead {
    let mut bytes = [0; MAX_HEAD];
    let [.., b7, b8, b9] = &mut bytes;
    let start = if len <= MAX_CONTROL {
        (*b8, *b9) = (first, len as u8);
        MAX_HEAD - 2
    } else if let Ok(len) = u16::try_from(len) {
        *b7 = LENGTH_16;
        bytes[MAX_HEAD - 2..].copy_from_slice(&len.to_be_bytes());
        bytes[MAX_HEAD - 4] = first;
        MAX_HEAD - 4
    } else {
        bytes[0] = first;
        bytes[1] = LENGTH_64;
        bytes[2..].copy_from_slice(&(len as u64).to_be_bytes());
        0
    };
    FrameHead { bytes, start: start as u8 }
}

/// Writes a pong with what its ping carried, at most [`MAX_CONTROL`] bytes.
pub fn pong(payload: &[u8], masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    control(PONG, payload, masks, out);
}

/// Writes a ping that carries nothing.
pub fn ping(masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    control(PING, &[], masks, out);
}

/// Writes a close frame. A reason that is too long is cut.
pub fn close(code: CloseCode, reason: &str, masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    let mut payload = code.0.to_be_bytes().to_vec();
    let end = (0..=reason.len().min(MAX_CONTROL - 2)).rev().find(|&at| reason.is_char_boundary(at));
    payload.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    control(CLOSE, &payload, masks, out);
}

fn control(opcode: u8, payload: &[u8], masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    frame(FIN | opcode, &[payload], masks, out);
}

/// Writes a binary message of these parts.
pub fn message(parts: &[&[u8]], masks: &mut Masks, out: &mut Vec<u8>) {
    frame(FIN | BINARY, parts, Some(masks), out);
}

/// Writes a text message.
pub fn text(text: &str, masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    frame(FIN | TEXT, &[text.as_bytes()], masks, out);
}

pub(super) fn frame(first: u8, parts: &[&[u8]], masks: Option<&mut Masks>, out: &mut Vec<u8>) {
    let len = parts.iter().map(|part| part.len()).sum();
    let head_at = out.len();
    out.extend_from_slice(&head_of(first, len));
    let mask = masks.map(Masks::next);
    if let Some(mask) = mask {
        out[head_at + 1] |= MASKED;
        out.extend_from_slice(&mask);
    }
    let at = out.len();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    if let Some(mask) = mask {
        apply_mask(&mut out[at..], mask);
    }
}

/// Masks, or unmasks.
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; MASK_LEN]) {
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().unwrap_or_default());
    let mut words = bytes.chunks_exact_mut(size_of::<u64>());
    for word in &mut words {
        let masked = u64::from_ne_bytes((&*word).try_into().unwrap_or_default()) ^ wide;
        word.copy_from_slice(&masked.to_ne_bytes());
    }
    words.into_remainder().iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// The masks of a client, which nobody can foresee who does not know the seed.
#[derive(Debug)]
pub struct Masks {
    seed: [u8; 16],
    count: u64,
}

impl Masks {
    /// `seed` is random, and of this connection alone.
    pub fn new(seed: [u8; 16]) -> Masks {
        Masks { seed, count: 0 }
    }

    pub(super) fn next(&mut self) -> [u8; MASK_LEN] {
        self.count += 1;
        let mut hash = sha1_smol::Sha1::new();
        hash.update(&self.seed);
        hash.update(&self.count.to_be_bytes());
        let [a, b, c, d, ..] = hash.digest().bytes();
        [a, b, c, d]
    }
}
