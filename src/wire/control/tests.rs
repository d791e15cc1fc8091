use super::*;
use crate::wire::decode;

/// What the data under this name is read as.
fn read(name: &str, data: &[u8]) -> Result<Control<'static>, Malformed> {
    let mut raw = Vec::new();
    encode(&mut raw, Form::V1, "a", &format!("{RESERVED}{name}"), data, &Meta::default());
    Control::decode(&decode(raw.leak(), Form::V1).expect("a body"))
}

#[test]
fn keys_of_later_versions_are_ignored() {
    // {"k": [1], 9: nil, 1: "no", -1: 1, 0: -19}
    let data = b"\x85\xA1k\x91\x01\x09\xC0\x01\xA2no\xFF\x01\x00\xED";
    assert_eq!(read("refuse", data), Ok(Control::Refuse { status: -19, text: "no" }));
}

#[test]
fn a_pong_is_its_token_or_a_map_with_the_time_of_the_hub() {
    assert_eq!(read("pong", b"\x07"), Ok(Control::Pong { token: 7, time: None }));
    assert_eq!(read("pong", b"\x81\x00\x07"), Ok(Control::Pong { token: 7, time: None }));
    assert_eq!(
        read("pong", b"\x82\x00\x07\x01\x09"),
        Ok(Control::Pong { token: 7, time: Some(LogicalTime::from_bits(9)) })
    );
    let mut raw = Vec::new();
    Control::Pong { token: 7, time: None }.encode(HUB_SENDER, &mut raw);
    assert_eq!(decode(&raw, Form::V1).expect("a body").data, b"\x07");
}

#[test]
fn names_of_later_versions_are_ignored() {
    for name in ["announce", "", "ping/2", "hello "] {
        assert_eq!(read(name, &[0xC0]), Ok(Control::Unknown));
    }
}

#[test]
fn flags_of_later_versions_are_kept() {
    let mut raw = Vec::new();
    let flags = HelloFlags::ECHO | HelloFlags::SHARED | HelloFlags(1 << 31);
    Control::Hello {
        instance: Instance::default(),
        epoch: 1,
        accept: 2,
        flags,
        time: None,
        secret: None,
        token: None,
        features: Features::NONE,
    }
    .encode("a", &mut raw);
    let body = decode(&raw, Form::V1).expect("a body");
    let Ok(Control::Hello { flags, .. }) = Control::decode(&body) else { panic!("a hello") };
    assert!(flags.contains(HelloFlags::ECHO | HelloFlags::SHARED) && !flags.contains(HelloFlags::TAKE_OVER));
    assert_eq!(flags.0, 1 << 31 | 6);
}

#[test]
fn data_of_another_form_is_refused() {
    let cases: [(&str, &[u8]); 18] = [
        ("ping", b"\xC0"),
        ("ping", b"\xFF"),
        ("pong", b"\xA11"),
        ("accept", b"\xCF\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("refuse", b"\xC0"),
        ("refuse", b"\x80"),
        ("refuse", b"\x81\x00\x01"),
        ("refuse", b"\x82\x00\x01\x01\xC4\x01a"),
        ("refuse", b"\x82\x00\xCE\xFF\xFF\xFF\xFF\x01\xA0"),
        ("rejected", b"\x82\x00\x90\x01\xA1n"),
        ("welcome", b"\x83\x00\xC4\x01\x00\x01\x01\x02\x01"),
        ("hello", b"\x84\x00\xC0\x01\x01\x02\x01\x03\x01"),
        ("pong", b"\x80"),
        ("pong", b"\x82\x00\x01\x01\xA11"),
        ("pong", b"\x81\x01\x01"),
        ("stale", b"\x81\x00\xA1n"),
        ("stale", b"\x83\x00\xA1n\x01\xC4\x01\x00\x03\x01"),
        ("stale", b"\xA1n"),
    ];
    for (name, data) in cases {
        assert_eq!(read(name, data), Err(Malformed::Control), "{name} {data:02x?}");
    }
}

#[test]
fn a_hello_may_have_a_secret_of_16_bytes() {
    let hello = |end: &[u8]| {
        let head = [0x84 + u8::from(!end.is_empty()), 0x00, 0xC4, 16];
        read("hello", &[&head, &[7; 16][..], b"\x01\x01\x02\x01\x03\x01", end].concat())
    };
    let of = |hello| match hello {
        Ok(Control::Hello { secret, .. }) => Ok(secret),
        Ok(other) => panic!("{other:?}"),
        Err(reason) => Err(reason),
    };
    assert_eq!(of(hello(b"")), Ok(None));
    assert_eq!(of(hello(&[b"\x05\xC4\x10", &[9; 16][..]].concat())), Ok(Some(Secret([9; 16]))));
    for end in [&b"\x05\x01"[..], b"\x05\xC4\x01a", &[b"\x05\xB0", &[b'x'; 16][..]].concat()] {
        assert_eq!(of(hello(end)), Err(Malformed::Control), "{end:02x?}");
    }
}

#[test]
fn a_hello_may_have_a_token_which_is_a_text() {
    let hello = |end: &[u8]| {
        let head = [0x84 + u8::from(!end.is_empty()), 0x00, 0xC4, 16];
        match read("hello", &[&head, &[7; 16][..], b"\x01\x01\x02\x01\x03\x01", end].concat()) {
            Ok(Control::Hello { token, .. }) => Ok(token),
            Ok(other) => panic!("{other:?}"),
            Err(reason) => Err(reason),
        }
    };
    assert_eq!(hello(b""), Ok(None));
    assert_eq!(hello(b"\x06\xA3abc"), Ok(Some(Hidden("abc"))));
    assert_eq!(hello(b"\x06\xC4\x03abc"), Err(Malformed::Control));
}

#[test]
fn what_is_unknown_is_not_sent() {
    let mut out = Vec::new();
    Control::Unknown.encode(HUB_SENDER, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_will_is_a_body_a_name_or_that_all_were_told() {
    for will in [WillMessage::Leaves(b"a body"), WillMessage::Withdraws("x"), WillMessage::Complete] {
        let mut raw = Vec::new();
        Control::Will(will).encode("a", &mut raw);
        assert_eq!(Control::decode(&decode(&raw, Form::V1).expect("a body")), Ok(Control::Will(will)));
    }
    assert_eq!(read("will", b"\x01"), Err(Malformed::Control));
    assert_eq!(read("will", b"\x80"), Err(Malformed::Control));
    let answer = Control::WillRejected { status: -12, name: "x", nth: 7 };
    assert_eq!(read("will-rejected", b"\x83\x00\xF4\x01\xA1x\x02\x07"), Ok(answer));
    assert_eq!(read("will-rejected", b"\x82\x00\xF4\x01\xA1x"), Err(Malformed::Control));
}
