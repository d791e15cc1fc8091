use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, Index};

use super::write::frame;
use super::*;

const MAX: usize = 1 << 20;

/// What a decoder gave, in a form that owns it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Got {
    Binary(Vec<u8>),
    Text(Vec<u8>),
    TooLarge(u64),
}

/// All that `decoder` makes of `input`, and with which error it ended.
fn decode(decoder: &mut Decoder, mut input: &[u8], got: &mut Vec<Got>) -> Option<WsError> {
    loop {
        got.push(match decoder.next(&mut input) {
            Ok(None) => return None,
            Ok(Some(Frame::Body(body))) => Got::Binary(body.to_vec()),
            Ok(Some(Frame::Large(body))) => Got::Binary(body.to_vec()),
            Ok(Some(Frame::Text(text))) => Got::Text(text.to_vec()),
            Ok(Some(Frame::TooLarge(len))) => Got::TooLarge(len),
            Ok(Some(Frame::NoMemory { .. })) => panic!("there is memory"),
            Err(FrameError::Ws(error)) => return Some(*error),
            Err(error) => panic!("{error}"),
        });
    }
}

fn all(masked: bool, input: &[u8]) -> (Vec<Got>, Option<WsError>) {
    let mut got = Vec::new();
    let error = decode(&mut Decoder::new(masked, MAX), input, &mut got);
    (got, error)
}

/// A frame as it must not always be.
fn raw(first: u8, payload: &[u8], masks: Option<&mut Masks>) -> Vec<u8> {
    let mut out = Vec::new();
    frame(first, &[payload], masks, &mut out);
    out
}

fn masks() -> Masks {
    Masks::new([7; 16])
}

#[test]
fn the_frames_of_the_rfc_are_read() {
    let hello = Got::Text(b"Hello".to_vec());
    for (masked, bytes) in [
        (false, &b"\x81\x05Hello"[..]),
        (true, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        (false, b"\x01\x03Hel\x80\x02lo"),
    ] {
        assert_eq!(all(masked, bytes), (vec![hello.clone()], None));
    }
    let mut decoder = Decoder::new(false, MAX);
    assert_eq!(decode(&mut decoder, b"\x89\x05Hello", &mut Vec::new()), None);
    assert_eq!(decoder.take_pings().iter().collect::<Vec<_>>(), [b"Hello"]);
    assert_eq!(all(true, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), (vec![], None));
}

#[test]
fn the_heads_of_the_rfc_are_written() {
    assert_eq!(&head(125)[..], b"\x82\x7d");
    assert_eq!(&head(126)[..], b"\x82\x7e\0\x7e");
    assert_eq!(&head(256)[..], b"\x82\x7e\x01\0");
    assert_eq!(&head(65_535)[..], b"\x82\x7e\xff\xff");
    assert_eq!(&head(65_536)[..], b"\x82\x7f\0\0\0\0\0\x01\0\0");
}

#[test]
fn a_ping_passes_between_the_fragments_of_a_message() {
    let stream = [&raw(BINARY, b"one", None)[..], &raw(FIN | PING, b"!", None), &raw(FIN, b"two", None)].concat();
    let (mut decoder, mut got) = (Decoder::new(false, MAX), Vec::new());
    assert_eq!(decode(&mut decoder, &stream, &mut got), None);
    assert_eq!(got, [Got::Binary(b"onetwo".to_vec())]);
    assert_eq!(decoder.take_pings().iter().collect::<Vec<_>>(), [b"!"]);
    assert!(decoder.take_pings().is_empty());
}

#[test]
fn of_pings_that_come_faster_than_they_are_answered_the_newest_are_kept() {
    let mut decoder = Decoder::new(false, MAX);
    for n in 0..1000_u16 {
        decode(&mut decoder, &raw(FIN | PING, &n.to_be_bytes(), None), &mut Vec::new());
    }
    let mut pings = decoder.take_pings();
    let kept: Vec<_> = pings.iter().map(<[u8]>::to_vec).collect();
    assert!(kept.len() < 700 && kept.last().is_some_and(|last| *last == 999_u16.to_be_bytes()));
    pings.keep_newest();
    assert_eq!(pings.iter().collect::<Vec<_>>(), [999_u16.to_be_bytes()]);
}

#[test]
fn a_message_over_the_limit_is_told_once_and_skipped_whether_in_one_frame_or_many() {
    for fragments in [1, 2, 1000] {
        let mut decoder = Decoder::new(true, 1000);
        let mut stream = Vec::new();
        let mut masks = masks();
        let payload = vec![7; 2000 / fragments];
        for i in 0..fragments {
            let first = if i == 0 { BINARY } else { CONTINUATION } | if i + 1 == fragments { FIN } else { 0 };
            stream.extend(raw(first, &payload, Some(&mut masks)));
            stream.extend(raw(FIN | PONG, b"", Some(&mut masks)));
        }
        stream.extend(raw(FIN | BINARY, b"next", Some(&mut masks)));
        let mut got = Vec::new();
        assert_eq!(decode(&mut decoder, &stream, &mut got), None);
        let [Got::TooLarge(len), Got::Binary(next)] = &got[..] else { panic!("{got:?}") };
        assert!(*len > 1000 && next == b"next");
        assert!(decoder.allocated() <= KEPT, "nothing of it is kept");
    }
}

#[test]
fn memory_follows_what_came_and_not_what_is_claimed() {
    let mut decoder = Decoder::new(true, MAX);
    let whole = raw(FIN | BINARY, &vec![3; MAX], Some(&mut masks()));
    let (head, payload) = whole.split_at(14);
    assert_eq!(decoder.next(&mut &head[..]), Ok(None));
    assert!(decoder.allocated() == 0 && decoder.unfinished());
    let mut came = 0;
    for piece in payload.chunks(1000) {
        let mut got = Vec::new();
        decode(&mut decoder, piece, &mut got);
        came += piece.len();
        assert!(came == MAX || (came..=2 * came).contains(&decoder.allocated()));
        assert_eq!(got.len(), usize::from(came == MAX));
    }
    assert!(decoder.allocated() == 0 && !decoder.unfinished());
}

#[test]
fn a_message_in_many_fragments_is_copied_a_few_times_and_not_for_each() {
    const FRAGMENTS: usize = 130_000;
    let mut decoder = Decoder::new(true, 16 << 20);
    let (mut masks, mut copies, mut before) = (masks(), 0, 0);
    for n in 0..FRAGMENTS {
        let fragment = raw(if n == 0 { BINARY } else { CONTINUATION }, b"x", Some(&mut masks));
        assert!(decoder.next(&mut &fragment[..]).is_ok_and(|frame| frame.is_none()));
        copies += usize::from(decoder.allocated() != before);
        before = decoder.allocated();
    }
    assert!(copies <= 20, "{copies} copies");
    assert!((FRAGMENTS..=2 * FRAGMENTS).contains(&before), "{before} bytes");
}

#[test]
fn a_frame_that_breaks_the_protocol_ends_the_stream_with_the_code_that_says_so() {
    let close = |payload: &[u8]| raw(FIN | CLOSE, payload, None);
    for (bytes, error) in [
        (raw(FIN | BINARY | 0x40, b"", None), WsError::Extension(0xC2)),
        (raw(FIN | 3, b"", None), WsError::Opcode(3)),
        (raw(FIN | 0xB, b"", None), WsError::Opcode(0xB)),
        (raw(FIN | BINARY, b"", Some(&mut masks())), WsError::Mask(true)),
        (raw(PING, b"", None), WsError::Control),
        (raw(FIN | PING, &[0; 126], None), WsError::Control),
        (raw(FIN | CONTINUATION, b"", None), WsError::Continuation),
        ([raw(BINARY, b"", None), raw(FIN | BINARY, b"", None)].concat(), WsError::Interleaved),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0".to_vec(), WsError::Length(1 << 63)),
        (b"\x82\x7f\0\0\x01\0\0\0\0\x01".to_vec(), WsError::Length((1 << 40) + 1)),
        (raw(FIN | TEXT, b"\xff", None), WsError::Utf8),
        (raw(FIN | TEXT, b"k\xc3", None), WsError::Utf8),
        (close(b"x"), WsError::CloseFrame),
        (close(&1005_u16.to_be_bytes()), WsError::CloseFrame),
        (close(b"\x03\xe8\xff"), WsError::Utf8),
        (close(b""), WsError::Closed(None, String::new())),
        (close(b"\x03\xe9bye"), WsError::Closed(Some(CloseCode::GOING_AWAY), "bye".into())),
    ] {
        let mut decoder = Decoder::new(false, MAX);
        let mut got = Vec::new();
        assert_eq!(decode(&mut decoder, &bytes, &mut got), Some(error.clone()));
        assert_eq!(decode(&mut decoder, b"\x82\0", &mut got), Some(error.clone()), "it stays so");
        assert!(got.is_empty() && error.code().may_be_sent());
    }
    assert_eq!(all(true, b"\x82\0").1, Some(WsError::Mask(false)));
    assert_eq!(WsError::Utf8.code(), CloseCode::NOT_UTF8);
    assert_eq!(WsError::Length(1 << 50).code(), CloseCode::TOO_BIG);
}

#[test]
fn a_text_is_refused_where_it_stops_being_utf8() {
    let mut decoder = Decoder::new(false, MAX);
    let mut got = Vec::new();
    // The first half of an ä, then what cannot follow it, and the message goes on.
    assert_eq!(decode(&mut decoder, &raw(TEXT, b"k\xc3", None), &mut got), None);
    assert_eq!(decode(&mut decoder, b"\x00\x7d(", &mut got), Some(WsError::Utf8));
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_characters() {
    let mut out = Vec::new();
    close(CloseCode::POLICY, &"ä".repeat(200), None, &mut out);
    let (got, error) = all(false, &out);
    assert!(got.is_empty());
    assert_eq!(error, Some(WsError::Closed(Some(CloseCode::POLICY), "ä".repeat(61))));
}

#[test]
fn masks_are_not_repeated_and_differ_from_seed_to_seed() {
    let (mut one, mut other) = (Masks::new([1; 16]), Masks::new([2; 16]));
    let mut seen: Vec<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 1990, "{} of 2000", seen.len());
}

/// A message, or a control frame, and in how many frames it comes.
fn parts() -> impl Strategy<Value = (u8, Vec<u8>, usize)> {
    prop_oneof![
        (Just(BINARY), vec(any::<u8>(), 0..200), 1..4_usize),
        (Just(BINARY), vec(any::<u8>(), 4000..9000), 1..4_usize),
        (Just(TEXT), "\\PC{0,60}".prop_map(String::into_bytes), 1..4_usize),
        (select(vec![PING, PONG]), vec(any::<u8>(), 0..125), Just(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_whatever_the_pieces(
        messages in vec(parts(), 0..8),
        masked in any::<bool>(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (mut stream, mut expected, mut pings, mut masks) = (Vec::new(), Vec::new(), Vec::new(), masks());
        let mut overhead = 0;
        for (opcode, payload, frames) in &messages {
            let size = payload.len().div_ceil(*frames).max(1);
            let mut pieces: Vec<_> = payload.chunks(size).collect();
            if pieces.is_empty() {
                pieces.push(&[]);
            }
            let last = pieces.len() - 1;
            for (i, piece) in pieces.into_iter().enumerate() {
                let first = if i == 0 { *opcode } else { CONTINUATION } | if i == last { FIN } else { 0 };
                stream.extend(raw(first, piece, masked.then_some(&mut masks)));
                overhead += match *opcode {
                    PING => 16,
                    PONG => 1,
                    _ => u32::from(i < last && piece.len() < 126),
                };
            }
            match *opcode {
                BINARY => expected.push(Got::Binary(payload.clone())),
                TEXT => expected.push(Got::Text(payload.clone())),
                PING => pings.push(payload.clone()),
                _ => {}
            }
        }
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([stream.len()]).collect();
        ends.sort_unstable();
        let (mut decoder, mut got, mut at) = (Decoder::new(masked, MAX), Vec::new(), 0);
        for end in ends {
            prop_assert_eq!(decode(&mut decoder, &stream[at..end], &mut got), None);
            at = end;
        }
        prop_assert_eq!(got, expected);
        prop_assert_eq!(decoder.take_pings().iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), pings);
        prop_assert_eq!([(); 2].map(|()| decoder.take_overhead()), [overhead, 0]);
        prop_assert!(!decoder.unfinished() && decoder.allocated() <= KEPT);
    }

    #[test]
    fn any_bytes_are_frames_or_an_error_whatever_the_pieces(
        bytes in vec(any::<u8>(), 0..400),
        masked in any::<bool>(),
        cut in any::<Index>(),
    ) {
        let whole = all(masked, &bytes);
        let (mut decoder, mut got) = (Decoder::new(masked, MAX), Vec::new());
        let cut = cut.index(bytes.len() + 1);
        let mut error = decode(&mut decoder, &bytes[..cut], &mut got);
        if error.is_none() {
            error = decode(&mut decoder, &bytes[cut..], &mut got);
        }
        prop_assert_eq!((got, error), whole);
        prop_assert!(decoder.allocated() <= 2 * bytes.len().max(8));
    }
}
