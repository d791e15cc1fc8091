//! Where a stream of messages stands, without a look at what they hold.

use super::LENGTH;
use crate::drain::FrameCounter;

/// The position in a stream of messages, known by their lengths only.
#[derive(Clone, Default)]
pub(super) struct Lengths {
    head: [u8; LENGTH],
    /// Bytes of the head that came.
    have: usize,
    /// Bytes of the body that have not come.
    left: usize,
}

impl Lengths {
    /// Takes bytes; how many messages ended in them, and where the last one did.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (u64, usize) {
        let (mut count, mut ended, mut at) = (0, 0, 0);
        while at < bytes.len() {
            if self.have < LENGTH {
                let n = (LENGTH - self.have).min(bytes.len() - at);
                self.head[self.have..self.have + n].copy_from_slice(&bytes[at..at + n]);
                self.have += n;
                at += n;
                if self.have < LENGTH {
                    break;
                }
                self.left = u64::from_be_bytes(self.head) as usize;
            }
            let n = self.left.min(bytes.len() - at);
            self.left -= n;
            at += n;
            if self.left == 0 {
                self.have = 0;
                count += 1;
                ended = at;
            }
        }
        (count, ended)
    }

    /// Whether it stands inside a message.
    pub(super) fn inside(&self) -> bool {
        self.have > 0
    }
}

impl FrameCounter for Lengths {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        self.advance(bytes).0
    }
}
