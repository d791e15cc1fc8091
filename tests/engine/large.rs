//! Large values, of which most bytes are put where they stay.

use std::io::IoSlice;

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::{ConnId, Now, Protocol};
use nanostate::framing::{frame_head, Framing};
use nanostate::limits;
use nanostate::wire::{Features, Form, Instance, Meta, Stamp};
use nanostate::Kind;

use super::sim::{self, body, value, Direct, DirectApp, SEC};

const LEN: usize = 1 << 20;

/// Gives a message to an engine as a driver does that reads at most 256 KiB at a time, of which only the first are copied, and a small rest.
/// Returns where its body is.
fn place(engine: &mut impl Protocol, now: Now, conn: ConnId, body: &[u8]) -> *const u8 {
    let frame = [&frame_head(Framing::Tcp, body.len())[..], body].concat();
    let (first, mut rest) = frame.split_at(64 << 10);
    engine.bytes(now, conn, first);
    let mut at = std::ptr::null();
    while !rest.is_empty() {
        let Some(room) = engine.room(now, conn) else {
            assert!(rest.len() < 16 << 10, "no room for {} bytes", rest.len());
            engine.bytes(now, conn, rest);
            break;
        };
        let (piece, behind) = rest.split_at(rest.len().min(room.most).min(256 << 10));
        room.body.extend_from_slice(piece);
        at = room.body.as_ptr();
        rest = behind;
        engine.placed(now, conn, piece.len());
    }
    assert!(engine.room(now, conn).is_none(), "nothing is missing");
    at
}

#[test]
fn a_hub_writes_a_large_value_from_where_it_was_read() {
    let mut hub = Direct::new(RouterConfig::default());
    let (app, displays) = (hub.open_v1("app", 1), [2, 3].map(|n| hub.open_v1(&format!("display{n}"), n)));
    for round in 0..3 {
        let stamp = Stamp { instance: Instance([1; 16]), ..sim::stamp(hub.now.wall.as_millis()) };
        let meta = Meta { stamp: Some(stamp), ..Meta::default() };
        let body = body(Form::V1, "app", "camera", &value(Kind::Bytes, round, LEN), &meta);
        let at = place(&mut hub.router, hub.now, app, &body);
        for conn in displays {
            let mut slices: Vec<IoSlice> = Vec::new();
            hub.router.gather(hub.now, conn, &mut slices);
            let found = slices.iter().find(|slice| slice.len() == body.len()).expect("the body as a whole");
            assert_eq!(found.as_ptr(), at);
            let len = slices.iter().map(|slice| slice.len()).sum();
            hub.router.wrote(hub.now, conn, len);
        }
        hub.pass(SEC);
    }
}

#[test]
fn an_app_gives_the_program_a_large_value_where_it_was_read() {
    let mut app = DirectApp::new();
    app.link_to(1, Features::ALL, limits::MAX_MESSAGE as u64);
    for round in 0..3 {
        app.pass(SEC);
        let meta = Meta { stamp: Some(sim::stamp(app.now.wall.as_millis())), ..Meta::default() };
        let body = body(Form::V1, "other", "camera", &value(Kind::Bytes, round, LEN), &meta);
        let (now, conn) = (app.now, ConnId(app.conns));
        let at = place(&mut app.session, now, conn, &body);
        let state = app.session.take_state().expect("a state");
        assert_eq!(state.bytes().unwrap().len(), LEN);
        let offset = state.msgpack().as_ptr() as usize - at as usize;
        assert!(offset < body.len(), "the value lies in the body");
    }
}
