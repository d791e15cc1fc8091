//! Many connections to one hub that are only read.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nanostate::framing::{self, Decoder, Frame, Framing, Version, HEADER_LEN};
use nanostate::wire::{self, Control, Features, Form, HelloFlags, Instance};
use nanostate::{App, Status};

use super::{words, PATIENCE};
use crate::drain::{Drain, FrameCounter};
use crate::system::{Crowd, Result};

/// Connections that say no more than they have to, in this framing. Only what all kinds of sockets can do is used.
pub(super) fn raw(
    n: usize,
    framing: Framing,
    connect: impl Fn() -> std::io::Result<UnixStream>,
) -> Result<Box<dyn Crowd>> {
    let connection = |i: usize| {
        let shaken = connect().and_then(|mut socket| Ok((shake_hands(&mut socket, framing, i)?, socket)));
        let (counter, socket) = shaken.map_err(|e| format!("connection {i} of {n}: {e}"))?;
        Ok((OwnedFd::from(socket), Box::new(counter) as Box<dyn FrameCounter>))
    };
    Ok(Box::new(Drain::new((0..n).map(connection).collect::<Result<Vec<_>>>()?)?))
}

/// As many apps.
pub(super) struct Apps(pub Vec<App>);

/// Between two looks at all of them.
const PAUSE: Duration = Duration::from_millis(1);

impl Crowd for Apps {
    fn drain(&mut self, states: u64, _payload: usize, patience: Duration) -> Result<u64> {
        let wanted = states * self.0.len() as u64;
        let (mut arrived, mut last) = (0, Instant::now());
        while arrived < wanted && last.elapsed() <= patience {
            let before = arrived;
            for app in &self.0 {
                loop {
                    match app.recv(Some(Duration::ZERO)) {
                        Ok(_) => arrived += 1,
                        Err(error) if error.status() == Status::Timeout => break,
                        Err(error) => return Err(words(error)),
                    }
                }
            }
            if arrived > before {
                last = Instant::now();
            } else {
                thread::sleep(PAUSE);
            }
        }
        Ok(arrived)
    }
}

/// Says hello as the `i`th app of a crowd, and waits to be welcome.
fn shake_hands(socket: &mut UnixStream, framing: Framing, i: usize) -> std::io::Result<States> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let identity = format!("crowd-{i}");
    let mut instance = [0; 16];
    instance[..8].copy_from_slice(&(i as u64).to_be_bytes());
    let hello = Control::Hello {
        instance: Instance(instance),
        epoch: 1,
        accept: wire::ACCEPT_ANY,
        flags: HelloFlags::default(),
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    };
    let mut body = Vec::new();
    hello.encode(&identity, &mut body);
    let mut bytes = framing::header(Version::V1).to_vec();
    bytes.extend_from_slice(&framing::frame_head(framing, body.len()));
    bytes.extend_from_slice(&body);
    socket.write_all(&bytes)?;

    socket.set_read_timeout(Some(PATIENCE))?;
    let mut header = [0; HEADER_LEN];
    socket.read_exact(&mut header)?;
    match framing::parse_header(&header) {
        Ok(Version::V1) => {}
        other => return Err(invalid(format!("the hub answers with the header {other:?}"))),
    }
    let mut states = States { decoder: Decoder::new(framing, usize::MAX), welcome: false };
    let mut byte = [0];
    // A byte at a time, so that nothing behind the welcome is taken.
    while !states.welcome {
        socket.read_exact(&mut byte)?;
        if states.count(&byte) > 0 {
            return Err(invalid("the hub sends states before its welcome".to_string()));
        }
    }
    Ok(states)
}

/// Counts states, and not what the hub says itself.
struct States {
    decoder: Decoder,
    welcome: bool,
}

impl FrameCounter for States {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        while let Ok(Some(frame)) = self.decoder.next(&mut bytes) {
            let Frame::Body(body) = frame else { continue };
            match wire::decode(body, Form::V1) {
                Ok(body) if body.is_reserved() => {
                    self.welcome |= matches!(Control::decode(&body), Ok(Control::Welcome { .. }));
                }
                Ok(_) => count += 1,
                Err(_) => {}
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanostate::wire::Meta;
    use nanostate::Value;

    fn frame(body: &[u8]) -> Vec<u8> {
        [&framing::frame_head(Framing::Ipc, body.len())[..], body].concat()
    }

    #[test]
    fn states_count_and_what_the_hub_says_does_not() {
        let (mut state, mut ping, mut value) = (Vec::new(), Vec::new(), Vec::new());
        Value::Bytes(&[7; 64]).encode(&mut value);
        wire::encode(&mut state, Form::V1, "source", "name", &value, &Meta::default());
        Control::Ping { token: 1 }.encode(wire::HUB_SENDER, &mut ping);
        let stream = [frame(&state), frame(&ping), frame(&state)].concat();
        for size in 1..stream.len() {
            let mut states = States { decoder: Decoder::new(Framing::Ipc, usize::MAX), welcome: false };
            assert_eq!(stream.chunks(size).map(|chunk| states.count(chunk)).sum::<u64>(), 2, "{size} bytes at a time");
            assert!(!states.welcome);
        }
    }
}
