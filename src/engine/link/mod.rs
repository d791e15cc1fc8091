//! One connection between an app and its hub, as the engine of either side sees it.
//!
//! A [`Link`] starts with a [handshake], if its framing has one, and then carries frames in both directions. It cuts
//! frames out of the bytes that come, keeps what waits to be written in a [`Feed`], and asks the driver to write. What
//! a frame means is the engine's affair.

pub mod feed;
pub mod handshake;
pub mod outbox;
pub mod walk;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use self::feed::Feed;
use self::handshake::{Agreed, Handshake, HandshakeError, Opened, Side};
use self::outbox::Pool;
use super::{Action, ConnId, ConnInfo, Now, Web};
use crate::framing::http::server::Refusal;
use crate::framing::ws::{self, CloseCode, Masks, Pings};
use crate::framing::{Decoder, Frame, FrameError, Framing, Room};
use crate::time::MonoTime;
use crate::wire::Control;
use crate::Status;

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

/// What the end of a connection is counted as that carries no frames any more.
pub fn end_of(error: &FrameError) -> Status {
    if error.is_close() {
        Status::Closed
    } else {
        Status::Invalid
    }
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
    /// The same of the pings of a WebSocket.
    pings: Pings,
    /// A close frame is written, behind which nothing may follow.
    said_close: bool,
    /// When the other side last sent bytes.
    progress: MonoTime,
    /// When it last took bytes that had to wait for room.
    took: MonoTime,
    /// Whether bytes wait for room.
    is_blocked: bool,
}

impl Link {
    /// The link of a connection that was just opened. A [`Side::Dialler`] has something to write at once, unless the
    /// framing has no handshake.
    pub fn new(now: Now, conn: ConnId, info: &ConnInfo, side: Side, limits: LinkLimits, pool: &Pool) -> Link {
        let framing = info.framing;
        let mut feed = Feed::new(framing, limits.outbox, pool);
        if let Some(Web::Target { masks, .. }) = &info.web {
            feed.set_masks(Masks::new(*masks));
        }
        let mut said = Vec::new();
        let handshake = framing.has_handshake().then(|| Handshake::begin(side, info.web.clone(), &mut said));
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
            pings: Pings::default(),
            said_close: false,
            progress: now.mono,
            took: now.mono,
            is_blocked: false,
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
    /// What the other side said wrong. Only a request for a WebSocket is answered then.
    pub fn greet(
        &mut self,
        input: &mut &[u8],
        actions: &mut VecDeque<Action>,
    ) -> Result<Option<Opened>, HandshakeError> {
        let Some(handshake) = &mut self.handshake else { return Ok(None) };
        let mut answer = Vec::new();
        let opened = handshake.take(input, &mut answer);
        if !answer.is_empty() {
            self.feed.raw(&answer);
            self.flush(actions);
        }
        if let Ok(Some(Opened { agreed, .. })) = &opened {
            self.handshake = None;
            // No frame follows a file.
            self.said_close = *agreed == Agreed::Served;
            if matches!(agreed, Agreed::Old | Agreed::Plain | Agreed::Client(_)) {
                self.feed.set_old();
            }
        }
        opened
    }

    /// Whether a request for a WebSocket is awaited, of which nothing has come.
    pub fn awaits_request(&self) -> bool {
        self.handshake.as_ref().is_some_and(Handshake::awaits_request)
    }

    /// The request for a WebSocket that is awaited will be refused, as [`Handshake::refuse`] says.
    pub fn refuse_request(&mut self, refusal: Refusal) {
        if let Some(handshake) = &mut self.handshake {
            handshake.refuse(refusal);
        }
    }

    /// The largest frame that the other side may send, in bytes, from the next one on.
    pub fn set_max_frame(&mut self, max: usize) {
        self.decoder.set_max(max);
    }

    /// Gives out the decoder while frames are dealt with. They may be parts of it, and the link is needed to answer
    /// them.
    pub fn take_decoder(&mut self) -> Decoder {
        mem::replace(&mut self.decoder, Decoder::InUse)
    }

    /// The next frame out of `input`, which advances over what was taken. `decoder` is the link's own, from
    /// [`Link::take_decoder`]. `None`: all of `input` was taken, and more is needed. The link takes part because a
    /// WebSocket that ends is answered.
    ///
    /// # Errors
    /// What came is not a frame, or the end of a WebSocket; the connection is of no use any more.
    #[inline(always)]
    pub fn next<'a, 'i: 'a>(
        &mut self,
        decoder: &'a mut Decoder,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if input.is_empty() && decoder.is_between() {
            return Ok(None);
        }
        self.next_frame(decoder, input)
    }

    fn next_frame<'a, 'i: 'a>(
        &mut self,
        decoder: &'a mut Decoder,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        let next = decoder.next(input);
        if let Err(FrameError::Ws(error)) = &next {
            self.say_close(error.code(), "");
        }
        next
    }

    /// As [`Decoder::room`].
    #[inline]
    pub fn room(&mut self) -> Option<Room<'_>> {
        self.decoder.room()
    }

    /// Takes the decoder back. The pings of a WebSocket that it found are answered.
    pub fn put_decoder(&mut self, decoder: Decoder, actions: &mut VecDeque<Action>) {
        self.decoder = decoder;
        if let Decoder::Ws(decoder) = &mut self.decoder {
            let pings = decoder.take_pings();
            if !pings.is_empty() {
                self.pings = pings;
                self.answer_pings();
                self.flush(actions);
            }
        }
    }

    /// Answers the pings of a WebSocket. Where there is no room, the newest waits.
    fn answer_pings(&mut self) {
        if !self.has_room() {
            return self.pings.keep_newest();
        }
        let pings = mem::take(&mut self.pings);
        pings.iter().for_each(|payload| self.feed.control(|masks, out| ws::pong(payload, masks, out)));
    }

    /// Whether the other side may be gone without a word: over a network, that is. A tunnel may end at this machine's own
    /// address.
    pub fn may_vanish(&self) -> bool {
        self.framing == Framing::Tcp || self.framing.is_ws()
    }

    /// Whether it is a WebSocket.
    pub fn is_ws(&self) -> bool {
        self.framing.is_ws()
    }

    /// Pings the other side of a WebSocket, so that nothing on the way takes it for idle.
    pub fn ping(&mut self) {
        self.feed.control(ws::ping);
    }

    /// Ends a WebSocket from this side: what follows is not read. The reason is for people.
    pub fn say_close(&mut self, code: CloseCode, reason: &str) {
        if self.framing.is_ws() && self.is_open() && !mem::replace(&mut self.said_close, true) {
            self.feed.control(|masks, out| ws::close(code, reason, masks, out));
        }
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

    /// When the other side last showed that it lives: it sent bytes, or took what had to wait. One that is cut off does not
    /// show it for long: the system takes bytes for it until its buffer is full.
    pub fn last_sign(&self) -> MonoTime {
        self.progress.max(self.took)
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
    pub fn wrote(&mut self, now: Now, n: usize) -> bool {
        let more = self.feed.wrote(n);
        if mem::replace(&mut self.is_blocked, self.feed.waiting() > 0) && n > 0 {
            self.took = now.mono;
        }
        if !self.pings.is_empty() {
            self.answer_pings();
            return true;
        }
        more || self.pong.is_some()
    }
}

#[cfg(test)]
mod tests;
