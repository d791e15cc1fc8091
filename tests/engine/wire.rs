//! The rooms `wire` and `framing` from outside: the vectors that other languages share, round trips of whatever can be
//! made up, and every small damage to valid bytes.

use nanostate::engine::Role;
use nanostate::framing::{
    frame_head, frame_head_len, gateway_header, header, parse_gateway_header, parse_header, Decoder, Frame, FrameError,
    Framing, HeaderError, Version,
};
use nanostate::limits::{MAX_DEPTH, MAX_NAME, MAX_SENDER};
use nanostate::time::{LogicalTime, WallTime};
use nanostate::wire::{
    bool_, bytes, check, decode, encode, ext, from_msgpack, number, payload, skip, text, to_msgpack, with_stamp, Body,
    Control, Features, Form, HelloFlags, Hidden, HubStats, Instance, Malformed, Meta, PeerState, PeerStats, Presence,
    Secret, Stamp, StatsDraft,
};
use nanostate::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

/// The rows of a file of vectors.
fn rows(file: &str) -> Vec<Json> {
    let file: Json = serde_json::from_str(file).expect("vectors are JSON");
    file["vectors"].as_array().expect("vectors are an array").clone()
}

fn bodies() -> Vec<Json> {
    rows(include_str!("../vectors/bodies.json"))
}

fn str_at<'a>(row: &'a Json, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} is text in {row}"))
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn form_of(row: &Json) -> Form {
    match str_at(row, "form") {
        "old" => Form::Old,
        "v1" => Form::V1,
        other => panic!("no such form: {other}"),
    }
}

/// Every valid body of the vectors.
fn valid_bodies() -> Vec<(Form, Vec<u8>)> {
    let valid = |row: &Json| (row["verdict"] == "ok").then(|| (form_of(row), from_hex(str_at(row, "hex"))));
    bodies().iter().filter_map(valid).collect()
}

/// What a decoder accepts holds together, and every reader can take it.
fn assert_sound(body: &Body, raw: &[u8], form: Form) {
    assert!((1..=MAX_SENDER).contains(&body.sender().len()) && (1..=MAX_NAME).contains(&body.name().len()));
    assert!(!body.sender().contains('\0') && !body.name().contains('\0'));
    let kind = check(body.data).expect("one value");
    assert_eq!(body.kind, if body.meta.flags & Meta::CLEAR == 0 { kind } else { Kind::Cleared });
    assert_eq!(raw[body.meta_at..], *body.raw_meta);
    assert_eq!(raw[body.meta_at - body.data.len()..body.meta_at], *body.data);
    assert_eq!(form == Form::Old, body.raw_meta.is_empty());

    let mut again = Vec::new();
    encode(&mut again, Form::Old, body.sender(), body.name(), body.data, &Meta::default());
    let sliced = [&[0x93], &raw[1..body.meta_at]].concat();
    assert_eq!(again == sliced, body.canonical, "forwarded by slices exactly if that is the same");

    assert_eq!(text(body.data).is_some(), kind == Kind::Text);
    assert_eq!(bytes(body.data).is_some(), kind == Kind::Bytes);
    assert_eq!(bool_(body.data).is_some(), kind == Kind::Bool);
    assert_eq!(number(body.data).is_some(), matches!(kind, Kind::Int | Kind::Uint | Kind::Double));
    assert_eq!(ext(body.data).is_some(), kind == Kind::Ext);
    assert_eq!(payload(body.data).is_some(), matches!(kind, Kind::Text | Kind::Bytes | Kind::Ext));
    let json = from_msgpack(body.data);
    assert!(serde_json::from_str::<Json>(&json).is_ok(), "not JSON: {json}");
    if body.is_reserved() {
        let _ = Control::decode(body);
    }
}

#[test]
fn every_body_vector_gets_its_verdict() {
    let rows = bodies();
    assert!(rows.len() >= 60);
    for row in &rows {
        let (form, raw) = (form_of(row), from_hex(str_at(row, "hex")));
        let case = str_at(row, "case");
        let body = match decode(&raw, form) {
            Ok(body) => body,
            Err(reason) => {
                assert_eq!(reason.id(), str_at(row, "verdict"), "{case}");
                continue;
            }
        };
        assert_eq!(str_at(row, "verdict"), "ok", "{case}");
        assert_eq!(body.sender(), str_at(row, "sender"), "{case}");
        assert_eq!(body.name(), str_at(row, "name"), "{case}");
        assert_eq!(body.kind.name(), str_at(row, "kind"), "{case}");
        assert_eq!(from_msgpack(body.data), str_at(row, "json"), "{case}");
        assert_eq!(body.canonical, row["canonical"].as_bool().expect("canonical"), "{case}");
        assert_eq!(body.is_reserved(), row["reserved"].as_bool().unwrap_or(false), "{case}");
        if form == Form::V1 {
            let meta = &row["meta"];
            assert_eq!(body.meta.stamp.map(|stamp| to_hex(&stamp.to_bytes())).as_deref(), meta["stamp"].as_str());
            assert_eq!(body.meta.sequence, meta["sequence"].as_u64(), "{case}");
            assert_eq!(u64::from(body.meta.flags), meta["flags"].as_u64().unwrap_or(0), "{case}");
            assert_eq!(body.meta.request, meta["request"].as_u64(), "{case}");
            assert_eq!(body.meta.target, meta["target"].as_str(), "{case}");
            assert_eq!(body.meta.lifetime, meta["lifetime"].as_u64(), "{case}");
        }
        assert_sound(&body, &raw, form);
    }
}

#[test]
fn the_body_vectors_show_every_reason_every_kind_and_every_marker() {
    let rows = bodies();
    for reason in Malformed::ALL.iter().filter(|reason| !matches!(reason, Malformed::Control | Malformed::Text)) {
        assert!(rows.iter().any(|row| row["verdict"] == reason.id()), "no vector is {reason:?}");
    }
    for kind in Kind::ALL {
        assert!(rows.iter().any(|row| row["kind"] == kind.name()), "no vector is {kind:?}");
    }
    let mut markers = [false; 256];
    for (form, raw) in valid_bodies() {
        let body = decode(&raw, form).expect("valid");
        markers[usize::from(body.data[0])] = true;
    }
    // Each from C0 on has a meaning of its own but C1; below them, one of each range.
    for marker in (0xC0..=0xDF).filter(|marker| *marker != 0xC1) {
        assert!(markers[marker], "no valid vector has data that begins with {marker:02x}");
    }
    for range in [0x00..0x80, 0x80..0x90, 0x90..0xA0, 0xA0..0xC0, 0xE0..0x100] {
        assert!(markers[range.clone()].contains(&true), "no valid vector has data in {range:02x?}");
    }
}

#[test]
fn every_header_vector_gets_its_verdict() {
    for row in rows(include_str!("../vectors/headers.json")) {
        let raw = from_hex(str_at(&row, "hex")).try_into().expect("8 bytes");
        let role = row["gateway"].as_str().map(|name| {
            Role::ALL.into_iter().find(|role| role.name() == name).unwrap_or_else(|| panic!("no gateway {name}"))
        });
        let parsed = match role {
            Some(role) => parse_gateway_header(&raw, role.hears()).map(|()| Version::Old),
            None => parse_header(&raw),
        };
        let verdict = match parsed {
            Ok(Version::Old) => "old",
            Ok(Version::V1) => "v1",
            Err(HeaderError::NotSp(_)) => "not-sp",
            Err(HeaderError::OtherProtocol(..)) => "other-protocol",
            Err(HeaderError::Reserved(_)) => "reserved",
        };
        assert_eq!(verdict, str_at(&row, "verdict"), "{row}");
        if let (Some(role), "old") = (role, verdict) {
            assert_eq!(gateway_header(role.hears()), raw, "{row}");
        }
    }
}

/// What comes out of a stream that is fed in these pieces: frames as the vectors write them, whether more is needed,
/// and how it broke.
fn cut<'a>(
    framing: Framing,
    max: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, bool, Option<FrameError>) {
    let mut decoder = Decoder::new(framing, max);
    let mut frames = Vec::new();
    let mut received = 0;
    for mut input in pieces {
        received += input.len();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Frame::Body(body))) => frames.push(to_hex(body)),
                Ok(Some(Frame::Large(body))) => frames.push(to_hex(&body)),
                Ok(Some(Frame::TooLarge(len))) => frames.push(format!("too-large {len}")),
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => {
                    let good = frame_head(framing, 0);
                    assert_eq!(decoder.next(&mut &good[..]), Err(error.clone()), "a broken stream stays so");
                    return (frames, false, Some(error));
                }
            }
        }
        assert!(input.is_empty(), "all of the input is taken");
        assert!(decoder.allocated() <= (2 * received).min(max.max(4096)), "memory follows what came");
    }
    (frames, decoder.unfinished(), None)
}

#[test]
fn every_frame_vector_gives_its_frames_however_it_is_cut() {
    for row in rows(include_str!("../vectors/frames.json")) {
        let framing = match str_at(&row, "framing") {
            "tcp" => Framing::Tcp,
            "ipc" => Framing::Ipc,
            "inproc" => Framing::Inproc,
            other => panic!("no such framing: {other}"),
        };
        let max = row["max"].as_u64().expect("max") as usize;
        let raw = from_hex(str_at(&row, "hex"));
        let frames: Vec<_> = row["frames"].as_array().expect("frames").iter().map(|f| f.as_str().unwrap()).collect();
        for size in 1..=raw.len().max(1) {
            let (found, unfinished, error) = cut(framing, max, raw.chunks(size));
            assert_eq!(found, frames, "{row} in pieces of {size}");
            assert_eq!(unfinished, row["unfinished"].as_bool().unwrap_or(false), "{row} in pieces of {size}");
            let error = error.map(|error| match error {
                FrameError::BadMark(mark) => format!("bad-mark {mark}"),
                FrameError::NoLength(bytes) => format!("no-length {}", u64::from_be_bytes(bytes)),
                FrameError::Ws(error) => format!("ws {error}"),
            });
            assert_eq!(error.as_deref(), row["error"].as_str(), "{row} in pieces of {size}");
        }
    }
}

#[test]
fn every_truncation_of_a_valid_body_is_named_so() {
    for (form, raw) in valid_bodies() {
        assert_eq!(decode(&[], form), Err(Malformed::Empty));
        for len in 1..raw.len() {
            assert_eq!(decode(&raw[..len], form), Err(Malformed::Truncated), "{} cut to {len}", to_hex(&raw));
        }
    }
}

#[test]
fn every_change_of_one_byte_of_a_valid_body_gets_a_verdict() {
    let mut accepted = 0;
    let mut reasons = [0; Malformed::COUNT];
    for (form, mut raw) in valid_bodies() {
        for at in 0..raw.len() {
            let original = raw[at];
            // In the middle of a long text one change is like the next.
            let step = if raw.len() > 128 && at > 16 && at < raw.len() - 16 { 61 } else { 1 };
            for change in (1..=255).step_by(step) {
                raw[at] = original ^ change;
                match decode(&raw, form) {
                    Ok(body) => {
                        assert_sound(&body, &raw, form);
                        accepted += 1;
                    }
                    Err(reason) => reasons[reason.index()] += 1,
                }
            }
            raw[at] = original;
        }
    }
    assert!(accepted > 0);
    for reason in Malformed::ALL {
        let possible = !matches!(reason, Malformed::Empty | Malformed::Control | Malformed::Text);
        assert_eq!(reasons[reason.index()] > 0, possible, "{reason:?}: {}", reasons[reason.index()]);
    }
}

#[test]
fn the_other_form_of_a_valid_body_is_refused_by_its_count() {
    for (form, raw) in valid_bodies() {
        let other = if form == Form::Old { Form::V1 } else { Form::Old };
        assert_eq!(decode(&raw, other), Err(Malformed::WrongCount));
    }
}

/// One value as MessagePack in forms of any width, with its depth.
fn msgpack() -> impl Strategy<Value = Vec<u8>> {
    fn head(marker: u8, len: &[u8]) -> Vec<u8> {
        [&[marker], len].concat()
    }
    let string = |markers: [u8; 3]| {
        move |(width, content): (usize, Vec<u8>)| {
            let len = content.len() as u32;
            let mut out = match width {
                0 => head(markers[0], &(len as u8).to_be_bytes()),
                1 => head(markers[1], &(len as u16).to_be_bytes()),
                _ => head(markers[2], &len.to_be_bytes()),
            };
            out.extend(content);
            out
        }
    };
    let leaf = prop_oneof![
        Just(vec![0xC0]),
        any::<bool>().prop_map(|value| vec![0xC2 + u8::from(value)]),
        prop_oneof![0u8..0x80, 0xE0u8..=0xFF].prop_map(|value| vec![value]),
        any::<u16>().prop_map(|value| head(0xCD, &value.to_be_bytes())),
        any::<u64>().prop_map(|value| head(0xCF, &value.to_be_bytes())),
        any::<i32>().prop_map(|value| head(0xD2, &value.to_be_bytes())),
        any::<i64>().prop_map(|value| head(0xD3, &value.to_be_bytes())),
        any::<u32>().prop_map(|bits| head(0xCA, &bits.to_be_bytes())),
        any::<u64>().prop_map(|bits| head(0xCB, &bits.to_be_bytes())),
        any::<[u8; 5]>().prop_map(|bytes| head(0xD6, &bytes)),
        (0usize..3, ".{0,40}".prop_map(String::into_bytes)).prop_map(string([0xD9, 0xDA, 0xDB])),
        (0usize..3, vec(any::<u8>(), 0..80)).prop_map(string([0xC4, 0xC5, 0xC6])),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..8), 0..3).prop_map(|(values, width)| {
                let len = values.len() as u32;
                let mut out = match width {
                    0 => vec![0x90 | len as u8],
                    1 => head(0xDC, &(len as u16).to_be_bytes()),
                    _ => head(0xDD, &len.to_be_bytes()),
                };
                out.extend(values.concat());
                out
            }),
            (vec((inner.clone(), inner), 0..8), 0..3).prop_map(|(pairs, width)| {
                let len = pairs.len() as u32;
                let mut out = match width {
                    0 => vec![0x80 | len as u8],
                    1 => head(0xDE, &(len as u16).to_be_bytes()),
                    _ => head(0xDF, &len.to_be_bytes()),
                };
                for (key, value) in pairs {
                    out.extend(key);
                    out.extend(value);
                }
                out
            }),
        ]
    })
}

/// A JSON value whose text is the same after a round trip through MessagePack.
fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON has finite numbers only", |value| value.is_finite()).prop_map(Json::from),
        ".{0,40}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 100, 24, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..24).prop_map(Json::from),
            vec((".{0,6}", inner), 0..24).prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Text without NUL of 1 to `max` bytes.
fn key(max: usize) -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/]{1,40}", "[^\0]{1,60}", Just("x".repeat(max))]
        .prop_filter("not too long", move |text| text.len() <= max)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (time(), any::<[u8; 16]>()).prop_map(|(clock, instance)| Stamp { clock, instance: Instance(instance) })
}

fn time() -> impl Strategy<Value = LogicalTime> {
    any::<u64>().prop_map(LogicalTime::from_bits)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_that_was_encoded_is_decoded_to_the_same(
        sender in key(MAX_SENDER),
        name in key(MAX_NAME),
        data in msgpack(),
        stamp in proptest::option::of(stamp()),
        sequence in any::<Option<u64>>(),
        flags in any::<u32>(),
        request in any::<Option<u64>>(),
        target in proptest::option::of(key(MAX_SENDER)),
        lifetime in any::<Option<u64>>(),
    ) {
        let meta = Meta { stamp, sequence, flags, request, target: target.as_deref(), lifetime };
        for form in [Form::Old, Form::V1] {
            let mut raw = Vec::new();
            // Of what is cleared, data says the kind.
            let data = if form == Form::V1 && flags & Meta::CLEAR != 0 { &[5][..] } else { &data };
            encode(&mut raw, form, &sender, &name, data, &meta);
            let body = decode(&raw, form).expect("what is encoded is valid");
            prop_assert_eq!((body.sender(), body.name(), body.data), (&*sender, &*name, data));
            prop_assert!(body.canonical);
            prop_assert_eq!(body.meta, if form == Form::V1 { meta } else { Meta::default() });
            assert_sound(&body, &raw, form);
        }
    }

    #[test]
    fn a_control_message_is_decoded_to_the_same(
        token in any::<u64>(),
        mask in any::<u32>(),
        status in any::<i32>(),
        instance in any::<[u8; 16]>(),
        time in proptest::option::of(time()),
        offered in stamp(),
        held in proptest::option::of(stamp()),
        secret in any::<[u8; 16]>(),
        words in ".{0,80}",
        sender in key(MAX_SENDER),
    ) {
        let instance = Instance(instance);
        let mut counted = StatsDraft::new((token % 3 > 0).then(HubStats::default).as_ref());
        (0..token % 3).for_each(|_| assert!(counted.add(&PeerStats::default(), usize::MAX)));
        for control in [
            Control::Hello { instance, epoch: token, accept: mask, flags: HelloFlags(!mask), time, secret: None, token: None, features: Features::NONE },
            Control::Hello { instance, epoch: token, accept: mask, flags: HelloFlags(mask), time, secret: Some(Secret(secret)), token: Some(Hidden(&words)), features: Features::NONE },
            Control::Welcome { instance, max_message: token, wall: WallTime::from_millis(!token), time, features: Features::NONE },
            Control::Refuse { status, text: &words },
            Control::Ping { token },
            Control::Pong { token, time },
            Control::Accept { mask },
            Control::Rejected { status, name: &words },
            Control::Forget { token, sender: &words, name: &words },
            Control::Forgotten { token, status, text: &words },
            Control::Watch,
            Control::Bye,
            Control::Stats { token, from: u64::from(mask), most: (token % 2 == 0).then_some(token) },
            Control::Counted { token, next: (token % 2 == 0).then_some(token), part: counted.part() },
            Control::Presence(Presence::Begins),
            Control::Presence(Presence::Complete { young: token % 2 == 0 }),
            Control::Presence(Presence::Peer { state: PeerState::ALL[token as usize % 4], identity: &words, instance }),
            Control::Stale { name: &words, offered, held, time: LogicalTime::from_bits(token) },
        ] {
            let mut raw = Vec::new();
            control.encode(&sender, &mut raw);
            let body = decode(&raw, Form::V1).expect("a body");
            prop_assert_eq!(body.sender(), &*sender);
            prop_assert!(body.is_reserved() && body.raw_meta == [0x80]);
            prop_assert_eq!(Control::decode(&body), Ok(control));
        }
    }

    #[test]
    fn a_new_stamp_leaves_all_else_of_a_meta_as_it_was(
        old in proptest::option::of(stamp()),
        new in stamp(),
        at in 0usize..4,
        values in vec(msgpack(), 0..20),
    ) {
        let mut entries: Vec<Vec<u8>> = vec![vec![0x01, 0xCD, 0x00, 0x07]];
        entries.extend(values.iter().enumerate().map(|(i, value)| [&[10 + i as u8], &value[..]].concat()));
        let rest = entries.concat();
        let encoded = |stamp: Stamp| [&[0x00, 0xC4, 0x18], &stamp.to_bytes()[..]].concat();
        if let Some(old) = old {
            entries.insert(at.min(entries.len()), encoded(old));
        }
        let mut raw = vec![0xDE, 0x00, entries.len() as u8];
        raw.extend(entries.concat());
        let (before, len) = Meta::decode(&raw).expect("valid");
        prop_assert_eq!((len, before.stamp), (raw.len(), old));

        let mut out = b"before".to_vec();
        with_stamp(&raw, new, &mut out);
        let out = out.strip_prefix(b"before").expect("appended");
        let (after, len) = Meta::decode(out).expect("valid");
        prop_assert_eq!(len, out.len());
        prop_assert_eq!(after, Meta { stamp: Some(new), ..before });
        let new = encoded(new);
        let place = out.windows(new.len()).position(|window| window == new).expect("the stamp is there");
        let without = [&out[..place], &out[place + new.len()..]].concat();
        prop_assert!(without.ends_with(&rest), "every other entry, byte for byte and in order");
    }

    #[test]
    fn json_comes_back_from_msgpack_as_it_was(value in json()) {
        let written = value.to_string();
        let mut raw = Vec::new();
        to_msgpack(&written, &mut raw).expect("JSON");
        prop_assert!(check(&raw).is_ok());
        let again = from_msgpack(&raw);
        prop_assert_eq!(serde_json::from_str::<Json>(&again).expect("JSON"), value);
        let mut twice = Vec::new();
        to_msgpack(&again, &mut twice).expect("JSON");
        prop_assert_eq!(twice, raw);
    }

    #[test]
    fn any_text_is_json_for_us_exactly_if_it_is_json(text in r#"[\[\]{}:,"0-9.eE\\ntrufalse -]{0,24}"#) {
        let mut out = b"before".to_vec();
        let ours = to_msgpack(&text, &mut out);
        prop_assert_eq!(ours.is_ok(), serde_json::from_str::<Json>(&text).is_ok());
        if ours.is_ok() {
            prop_assert!(check(&out[6..]).is_ok());
        } else {
            prop_assert_eq!(out, b"before");
        }
    }

    #[test]
    fn any_well_formed_value_is_accepted_and_shown_as_json(value in msgpack(), behind in vec(any::<u8>(), 1..8)) {
        let kind = check(&value).expect("well-formed");
        let json = from_msgpack(&value);
        prop_assert!(serde_json::from_str::<Json>(&json).is_ok(), "not JSON: {json}");
        let more = [&value[..], &behind].concat();
        prop_assert_eq!(skip(&more), Ok((kind, value.len())));
        prop_assert_eq!(check(&more), Err(Malformed::Trailing));
        for len in 0..value.len() {
            prop_assert_eq!(check(&value[..len]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn any_bytes_get_a_verdict(mut raw in vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        for form in [Form::Old, Form::V1] {
            if let Ok(body) = decode(&raw, form) {
                assert_sound(&body, &raw, form);
            }
        }
        // Random bytes seldom get far; behind a good head they do.
        let head = [0x94, 0xA1, b'a', 0xA5, b'$', b'n', b's', b'/', b'x'];
        raw.splice(..0, head);
        if let Ok(body) = decode(&raw, Form::V1) {
            assert_sound(&body, &raw, Form::V1);
        }
        let start = at.index(raw.len());
        let _ = from_msgpack(&raw[start..]);
        let _ = Meta::decode(&raw[start..]);
        with_stamp(&raw[start..], Stamp::default(), &mut Vec::new());
    }

    #[test]
    fn bodies_come_out_of_a_stream_however_it_is_cut(
        bodies in vec(vec(any::<u8>(), 0..300), 0..12),
        max in 0usize..300,
        sizes in vec(1usize..400, 1..40),
    ) {
        for framing in [Framing::Tcp, Framing::Ipc, Framing::Inproc] {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for body in &bodies {
                let head = frame_head(framing, body.len());
                prop_assert_eq!(head.len(), frame_head_len(framing));
                stream.extend_from_slice(&head);
                stream.extend_from_slice(body);
                let too_large = body.len() > max;
                expected.push(if too_large { format!("too-large {}", body.len()) } else { to_hex(body) });
            }
            let mut rest = &stream[..];
            let mut sizes = sizes.iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let (piece, behind) = rest.split_at(rest.len().min(*sizes.next()?));
                rest = behind;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(cut(framing, max, pieces), (expected, false, None));
        }
    }

    #[test]
    fn any_stream_is_cut_the_same_in_pieces_as_whole(
        stream in vec(prop_oneof![3 => Just(0u8), 2 => 0u8..3, 1 => any::<u8>()], 0..200),
        size in 1usize..20,
    ) {
        for framing in [Framing::Tcp, Framing::Ipc, Framing::Inproc] {
            let whole = cut(framing, 64, std::iter::once(&stream[..]));
            prop_assert_eq!(cut(framing, 64, stream.chunks(size)), whole);
        }
    }
}

#[test]
fn a_header_is_read_as_it_was_written() {
    for version in [Version::Old, Version::V1] {
        assert_eq!(parse_header(&header(version)), Ok(version));
    }
}

#[test]
fn the_depth_of_json_is_that_of_a_value() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut out = Vec::new();
    to_msgpack(&nested(MAX_DEPTH), &mut out).expect("within the limit");
    assert_eq!(check(&out), Ok(Kind::Array));
    assert!(to_msgpack(&nested(MAX_DEPTH + 1), &mut out).is_err());
}
