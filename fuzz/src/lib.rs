//! Checks that hold for any bytes. `tests/fuzz` runs them on inputs that it makes from seeds, and the targets of this
//! crate on inputs that libFuzzer finds by coverage.

use std::sync::Arc;

use nanostate::framing::http::client::Request;
use nanostate::framing::http::files::Files;
use nanostate::framing::http::server::{serve, Pages, Refusal, Served, Site};
use nanostate::framing::{Decoder, Frame, Framing, BUS};
use nanostate::time::LogicalTime;
use nanostate::wire::{self, Control, Form, Instance, Kind, Meta, Stamp};

/// The two forms of a body.
pub const FORMS: [Form; 2] = [Form::Old, Form::V1];
/// The framings of a stream.
pub const FRAMINGS: [Framing; 3] = [Framing::Tcp, Framing::Ipc, Framing::Inproc];

/// A body gets a verdict on both kinds of links. One that is accepted is still the same after it was written again.
pub fn body(bytes: &[u8]) {
    FORMS.iter().for_each(|&form| body_of(bytes, form));
}

fn body_of(bytes: &[u8], form: Form) {
    let Ok(body) = wire::decode(bytes, form) else { return };
    let kind = wire::check(body.data).expect("the data is one value");
    assert_eq!(body.kind, if body.meta.flags & Meta::CLEAR == 0 { kind } else { Kind::Cleared });
    assert!(!body.sender().is_empty() && !body.sender().contains('\0') && !body.name().contains('\0'));
    assert_eq!(wire::decode_start(bytes, form), Some((body.sender(), body.name())), "the start of a body is its head");
    value(body.data);
    let mut out = Vec::new();
    wire::encode(&mut out, form, body.sender(), body.name(), body.data, &body.meta);
    let second = wire::decode(&out, form).expect("what was written reads back");
    assert_eq!(
        (second.sender(), second.name(), second.data, second.kind),
        (body.sender(), body.name(), body.data, body.kind)
    );
    assert_eq!(second.meta, body.meta);
    assert!(second.canonical);
    if body.canonical {
        assert_eq!(&out[..second.meta_at], &bytes[..body.meta_at]);
        let old = [&[0x93], &bytes[1..body.meta_at]].concat();
        assert!(wire::decode(&old, Form::Old).is_ok(), "its old form is a slice of it");
    }
    let stamp = Stamp { clock: LogicalTime::from_bits(77), instance: Instance([7; 16]) };
    let mut meta = Vec::new();
    wire::with_stamp(body.raw_meta, stamp, &mut meta);
    assert_eq!(Meta::decode(&meta).map(|(meta, len)| (meta.stamp, len)), Ok((Some(stamp), meta.len())));
    if let (true, Ok(control)) = (body.is_reserved(), Control::decode(&body)) {
        written_again(&control, body.sender());
    }
}

fn written_again(control: &Control, sender: &str) {
    if *control != Control::Unknown {
        let mut out = Vec::new();
        control.encode(sender, &mut out);
        let again = wire::decode(&out, Form::V1).expect("a body");
        assert_eq!(Control::decode(&again).as_ref(), Ok(control));
    }
}

/// Data under each reserved name gets a verdict, and a control message that is accepted is still the same after it was
/// written again. The first byte picks the name.
pub fn control(bytes: &[u8]) {
    const NAMES: [&str; 9] = ["hello", "welcome", "refuse", "ping", "pong", "accept", "rejected", "stale", "later"];
    let Some((&first, data)) = bytes.split_first() else { return };
    let name = format!("{}{}", wire::RESERVED, NAMES[usize::from(first) % NAMES.len()]);
    let mut out = Vec::new();
    wire::encode(&mut out, Form::V1, "s", &name, data, &Meta::default());
    let Ok(body) = wire::decode(&out, Form::V1) else { return };
    assert!(body.is_reserved());
    if let Ok(control) = Control::decode(&body) {
        written_again(&control, body.sender());
    }
}

/// A JSON text is refused or becomes one value.
pub fn json(bytes: &[u8]) {
    let mut out = Vec::new();
    if wire::to_msgpack(&String::from_utf8_lossy(bytes), &mut out).is_ok() {
        assert!(wire::check(&out).is_ok(), "one value");
        value(&out);
    }
}

/// Every reader of values gives a value or nothing, and what `check` accepts can be shown as JSON that reads back.
pub fn value(bytes: &[u8]) {
    let verdict = wire::check(bytes);
    match wire::skip(bytes) {
        Ok((kind, len)) if len == bytes.len() => assert_eq!(verdict, Ok(kind)),
        Ok((_, len)) => assert!(len < bytes.len() && verdict.is_err()),
        Err(_) => assert!(verdict.is_err()),
    }
    let json = wire::from_msgpack(bytes);
    if verdict.is_err() {
        return;
    }
    let readers = [
        wire::text(bytes).is_some(),
        wire::bytes(bytes).is_some(),
        wire::bool_(bytes).is_some(),
        wire::number(bytes).is_some(),
        wire::ext(bytes).is_some(),
    ];
    assert!(readers.iter().filter(|&&reads| reads).count() <= 1, "a value is of one kind: {readers:?}");
    let mut again = Vec::new();
    wire::to_msgpack(&json, &mut again).unwrap_or_else(|error| panic!("JSON that reads back: {error}: {json}"));
    assert!(wire::check(&again).is_ok());
}

/// What a decoder gives.
#[derive(PartialEq, Debug)]
enum Got {
    Body(Vec<u8>),
    Text(Vec<u8>),
    TooLarge(u64),
    Broken,
}

/// What the decoder gives for a stream that comes in pieces of these sizes, with bodies of at most `max` bytes.
fn frames(framing: Framing, max: usize, stream: &[u8], piece: &mut dyn FnMut() -> usize) -> Vec<Got> {
    let (mut decoder, mut got, mut received) = (Decoder::new(framing, max), Vec::new(), 0);
    let mut rest = stream;
    while !rest.is_empty() {
        let (mut input, behind) = rest.split_at(piece().clamp(1, rest.len()));
        rest = behind;
        received += input.len();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Frame::Body(body))) => got.push(Got::Body(body.to_vec())),
                Ok(Some(Frame::Large(body))) => got.push(Got::Body(body.to_vec())),
                Ok(Some(Frame::Text(text))) => got.push(Got::Text(text.to_vec())),
                Ok(Some(Frame::TooLarge(len))) => got.push(Got::TooLarge(len)),
                Ok(Some(Frame::NoMemory { len, .. })) => panic!("no memory for {len} bytes"),
                Ok(None) => break,
                Err(_) => {
                    got.push(Got::Broken);
                    return got;
                }
            }
        }
        assert!(input.is_empty(), "everything was taken");
        // Every other piece of a large body is put where the rest of it goes.
        if let Some(room) = decoder.room() {
            let (placed, behind) = rest.split_at(piece().clamp(1, room.most).min(rest.len()));
            room.body.extend_from_slice(placed);
            rest = behind;
            received += placed.len();
        }
        assert!(decoder.allocated() <= 2 * received + 64, "{} of {received}", decoder.allocated());
        assert!(decoder.allocated() <= max);
    }
    got
}

/// A stream gives the same bodies however it is cut: whole, byte by byte, and in pieces of these sizes.
pub fn stream_in_pieces(framing: Framing, max: usize, stream: &[u8], piece: &mut dyn FnMut() -> usize) {
    let whole = frames(framing, max, stream, &mut || usize::MAX);
    assert!(frames(framing, max, stream, &mut || 1) == whole, "byte by byte");
    assert!(frames(framing, max, stream, piece) == whole, "in pieces");
}

/// A stream gives the same bodies however it is cut. The first byte picks the framing, the second the size of pieces.
pub fn stream(bytes: &[u8]) {
    let [framing, piece, stream @ ..] = bytes else { return };
    let all = [&FRAMINGS[..], &[Framing::WsServer, Framing::WsClient]].concat();
    let (framing, piece) = (all[usize::from(*framing) % all.len()], usize::from(*piece) + 1);
    stream_in_pieces(framing, 3000, stream, &mut || piece);
}

/// What comes of an HTTP head that comes in pieces of so many bytes.
fn in_pieces<T>(bytes: &[u8], piece: usize, mut take: impl FnMut(&[u8], usize) -> Option<T>) -> Option<T> {
    let mut seen = 0;
    while seen < bytes.len() {
        let end = bytes.len().min(seen + piece);
        if let Some(end) = take(&bytes[..end], seen) {
            return Some(end);
        }
        seen = end;
    }
    None
}

/// An HTTP request is answered in the same way however it comes: a page, a WebSocket, or why not. The first byte picks
/// what is served at the address, the second the size of the pieces.
pub fn request(bytes: &[u8]) {
    let [flags, piece, bytes @ ..] = bytes else { return };
    let is = |bit: u8| flags & 1 << bit != 0;
    let mut files = Files::default();
    files.add("/", b"<p>".to_vec());
    files.add("/page.html", vec![b'p'; 1000]);
    let origins = vec!["https://example.org".to_owned()];
    let site = Site {
        host: is(0).then(|| "hub".to_owned()),
        path: "/ws".to_owned(),
        loopback: is(1),
        tls: is(2),
        only: is(3).then_some(BUS),
        pages: Pages { origins, local: is(4), files: Arc::new(files) },
    };
    let ask = |piece: usize| {
        let mut out = Vec::new();
        let end = in_pieces(bytes, piece, |bytes, seen| serve(&site, bytes, seen, &mut out).transpose());
        // What is no HTTP, and a head that is too long, may be found out earlier in pieces.
        let end = end.map(|end| {
            end.map_err(|why| match why {
                Refusal::NotHttp(_) | Refusal::TooLong => "no head".to_owned(),
                why => why.to_string(),
            })
        });
        (end, out)
    };
    let whole = ask(usize::MAX);
    match &whole.0 {
        Some(Ok((len, Served::WebSocket(_)))) => {
            assert!(*len <= bytes.len() && whole.1.starts_with(b"HTTP/1.1 101 "));
        }
        Some(Ok((len, Served::Page))) => assert!(*len <= bytes.len() && whole.1.starts_with(b"HTTP/1.1 ")),
        // The answer to what is refused is the owner's to write.
        Some(Err(_)) | None => assert!(whole.1.is_empty()),
    }
    assert!(ask(1) == whole, "byte by byte");
    assert!(ask(usize::from(*piece) + 1) == whole, "in pieces");
}

/// The answer to a request for a WebSocket is read in the same way however it comes. The first byte picks what was asked
/// for, the second the size of the pieces.
pub fn answer(bytes: &[u8]) {
    let [protocol, piece, bytes @ ..] = bytes else { return };
    let protocol = ["nanostate.v1", "bus.sp.nanomsg.org"][usize::from(protocol % 2)];
    let request = Request::write("hub:1", "/ws", protocol, *b"the sample nonce", &mut Vec::new());
    let read = |piece: usize| in_pieces(bytes, piece, |bytes, seen| request.answer(bytes, seen).transpose());
    let kind = |end: Option<Result<_, _>>| {
        end.map(|end: Result<_, nanostate::framing::http::client::AnswerError>| {
            end.map_err(|why| std::mem::discriminant(&why))
        })
    };
    let whole = kind(read(usize::MAX));
    if let Some(Ok((len, _))) = whole {
        assert!(len <= bytes.len());
    }
    assert!(kind(read(1)) == whole, "byte by byte");
    assert!(kind(read(usize::from(*piece) + 1)) == whole, "in pieces");
}
