//! One connection between an app and its hub, as the engine of either side sees it.
//!
//! A [`Link`] starts with a [handshake], if its framing has one, and then carries frames in both directions. It cuts
//! frames out of the bytes that come, keeps what waits to be written in a [`Feed`], and asks the driver to write. What
//! a frame means is the engine's affair.

pub mod feed;
pub mod handshake;
pub mod outbox;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use self::feed::Feed;
use self::handshake::{Agreed, Handshake, Opened, Side};
use self::outbox::Pool;
use super::{Action, ConnId, Now};
use crate::framing::{Decoder, Frame, FrameError, Framing, HeaderError};
use crate::time::MonoTime;
use crate::wire::Control;

/// What a connection may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct LinkLimits {
    /// The largest frame that the other side may send.
    pub frame: usize,
    /// While more than this waits to be written, the other side gets newest values only.
    pub outbox: usize,
    /// While more than this waits to be written, nothing is answered.
    pub answers: usize,
}

/// One connection between an app and its hub.
pub struct Link {
    conn: ConnId,
    framing: Framing,
    /// None once it is over.
    handshake: Option<Handshake>,
    decoder: Decoder,
    /// What the other side is sent.
    pub feed: Feed,
    /// See [`LinkLimits::answers`].
    answers: usize,
    /// Whether the driver has been asked to write, and has not begun.
    flushing: bool,
    /// The token of the newest ping that there was no room to answer.
    pong: Option<u64>,
    /// When the other side last sent bytes.
    progress: MonoTime,
}

impl Link {
    /// The link of a connection that was just opened. A [`Side::Dialler`] has something to write at once, unless the
    /// framing has no handshake.
    pub fn new(now: Now, conn: ConnId, framing: Framing, side: Side, limits: LinkLimits, pool: &Pool) -> Link {
        let mut feed = Feed::new(framing, limits.outbox, pool);
        let mut said = Vec::new();
        let handshake = framing.has_header().then(|| Handshake::begin(side, &mut said));
        if !said.is_empty() {
            feed.raw(&said);
        }
        Link {
            conn,
            framing,
            handshake,
            decoder: Decoder::new(framing, limits.frame),
            feed,
            answers: limits.answers,
            flushing: false,
            pong: None,
            progress: now.mono,
        }
    }

    /// Its connection.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether the handshake is over, or there is none: [`Link::greet`] comes before the first frame otherwise.
    pub fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    /// Whether the other side sends and gets the frames of old programs.
    pub fn is_old(&self) -> bool {
        self.feed.is_old()
    }

    /// Goes on with the handshake. Takes what belongs to it from `input`, which advances over it, and writes what this
    /// side answers. `None`: all of `input` was taken, and more is needed.
    ///
    /// # Errors
    /// What the other side said wrong. It gets no answer.
    pub fn greet(&mut self, input: &mut &[u8], actions: &mut VecDeque<Action>) -> Result<Option<Opened>, HeaderError> {
        let Some(handshake) = &mut self.handshake else { return Ok(None) };
        let mut answer = Vec::new();
        let opened = handshake.take(input, &mut answer)?;
        if !answer.is_empty() {
            self.feed.raw(&answer);
            self.flush(actions);
        }
        if let Some(Opened { agreed, .. }) = &opened {
            self.handshake = None;
            if *agreed == Agreed::Old {
                self.feed.set_old();
            }
        }
        Ok(opened)
    }

    /// The largest frame that the other side may send, in bytes, from the next one on.
    pub fn set_max_frame(&mut self, max: usize) {
        self.decoder.set_max(max);
    }

    /// Gives out the decoder while frames are dealt with. They may be parts of it, and the link is needed to answer
    /// them.
    pub fn take_decoder(&mut self) -> Decoder {
        mem::replace(&mut self.decoder, Decoder::new(self.framing, 0))
    }

    /// The next frame out of `input`, which advances over what was taken. `decoder` is the link's own, from
    /// [`Link::take_decoder`]. `None`: all of `input` was taken, and more is needed. The link takes part because a
    /// framing may have to answer by itself.
    ///
    /// # Errors
    /// What came is not a frame; the connection is of no use any more.
    #[inline]
    pub fn next<'a, 'i: 'a>(
        &mut self,
        decoder: &'a mut Decoder,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        decoder.next(input)
    }

    /// Takes the decoder back.
    pub fn put_decoder(&mut self, decoder: Decoder) {
        self.decoder = decoder;
    }

    /// Whether a frame has come in part.
    pub fn is_amid_frame(&self) -> bool {
        self.decoder.unfinished()
    }

    /// Bytes that are allocated for the part of a frame that has come.
    pub fn allocated(&self) -> usize {
        self.decoder.allocated()
    }

    /// The other side has sent bytes.
    pub fn heard(&mut self, now: Now) {
        self.progress = now.mono;
    }

    /// When the other side last sent bytes, or when the connection was opened.
    pub fn progress(&self) -> MonoTime {
        self.progress
    }

    /// Whether an answer may be added to what waits. A peer that asks and does not read must not fill memory.
    pub fn has_room(&self) -> bool {
        self.feed.waiting() <= self.answers
    }

    /// The other side sent a ping with this token. Returns the token of the pong to send now, if there is room. Otherwise
    /// the ping takes the place of any before it: [`Link::due_pong`] gives it later.
    pub fn take_ping(&mut self, token: u64) -> Option<u64> {
        self.pong = Some(token);
        self.due_pong()
    }

    /// The token of a pong that had to wait and is to be sent now.
    pub fn due_pong(&mut self) -> Option<u64> {
        if self.has_room() {
            self.pong.take()
        } else {
            None
        }
    }

    /// Puts a control message of `sender` behind what waits. `scratch` is only used for its allocation.
    pub fn enqueue(&mut self, sender: &str, control: &Control<'_>, scratch: &mut Vec<u8>) {
        scratch.clear();
        control.encode(sender, scratch);
        self.feed.message(scratch);
    }

    /// Asks the driver to write, unless it has been asked already.
    #[inline]
    pub fn flush(&mut self, actions: &mut VecDeque<Action>) {
        if !mem::replace(&mut self.flushing, true) {
            actions.push_back(Action::Flush(self.conn));
        }
    }

    /// The driver begins to write: what is added from here on needs another [`Link::flush`].
    pub fn begin_write(&mut self) {
        self.flushing = false;
    }

    /// Appends what is to be written next to `slices`.
    pub fn gather<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        self.feed.gather(slices);
    }

    /// The first `n` bytes were written. Whether there is more to write.
    pub fn wrote(&mut self, n: usize) -> bool {
        self.feed.wrote(n) || self.pong.is_some()
    }
}

#[cfg(test)]
mod tests;
