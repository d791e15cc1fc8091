//! Identities: which connection holds one, and when another replaces it.

use nanostate::engine::hub::RouterConfig;
use nanostate::engine::ConnId;
use nanostate::wire::{self, Control, Form, HelloFlags, Instance, Stamp};
use nanostate::Status;

use crate::sim::{stamp, Direct, SEC};

#[test]
fn a_newer_connection_of_the_same_app_replaces_at_once_and_an_older_one_does_not() {
    let mut hub = Direct::new(RouterConfig::default());
    let first = hub.hello("a", 1, 5, HelloFlags(0));
    let second = hub.hello("a", 1, 6, HelloFlags(0));
    assert!(hub.is_closed(first));
    assert_eq!(hub.said(second), ["welcome"]);
    let late = hub.hello("a", 1, 5, HelloFlags(0));
    assert_eq!(hub.refusal(late), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(second) && hub.is_closed(late));
    assert_eq!(hub.router.stats().peers, 1);
}

#[test]
fn another_app_with_a_held_identity_is_refused_while_the_holder_answers() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    let token = hub.ping(holder).expect("the holder is asked");
    assert!(!hub.is_closed(other) && hub.bodies(other).is_empty());
    hub.pass(SEC / 2);
    hub.control(holder, "a", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(other), Some(Status::IdentityTaken));
    hub.pass(2 * SEC);
    assert!(!hub.is_closed(holder));
    hub.publish(holder, "a", "x", &[1]);
    assert_eq!(hub.router.stats().messages_in, 1);
}

#[test]
fn a_holder_that_answers_the_last_of_several_pings_keeps_its_identity_from_all_who_asked() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let first = hub.hello("a", 2, 1, HelloFlags(0));
    hub.ping(holder).expect("the holder is asked");
    let second = hub.hello("a", 3, 1, HelloFlags(0));
    let token = hub.ping(holder).expect("it is asked again");
    hub.control(holder, "a", Control::Pong { token, time: None });
    assert_eq!([first, second].map(|other| hub.refusal(other)), [Some(Status::IdentityTaken); 2]);
    hub.pass(2 * SEC);
    assert!(!hub.is_closed(holder));
}

#[test]
fn another_app_takes_the_identity_of_a_holder_that_is_silent_for_a_second() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    hub.pass(SEC - 1);
    assert!(!hub.is_closed(holder));
    hub.pass(1);
    assert!(hub.is_closed(holder));
    assert_eq!(hub.refusal(holder), Some(Status::IdentityTaken));
    assert_eq!(hub.said(other), ["welcome"]);
    // What the silent one still sends counts for nothing.
    hub.publish(holder, "a", "x", &[1]);
    assert_eq!(hub.router.stats().messages_in, 0);
}

#[test]
fn nobody_but_the_holder_answers_for_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let evil = hub.open_v1("evil", 3);
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    for token in 0..10 {
        hub.control(evil, "evil", Control::Pong { token, time: None });
    }
    hub.pass(SEC);
    assert!(hub.is_closed(holder) && !hub.is_closed(other));
    assert_eq!(hub.said(other), ["welcome"]);
}

#[test]
fn a_holder_that_leaves_while_it_is_asked_makes_room() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let (second, third) = (hub.hello("a", 2, 1, HelloFlags(0)), hub.hello("a", 3, 1, HelloFlags(0)));
    hub.lose(holder);
    assert_eq!(hub.said(second).first().map(String::as_str), Some("welcome"));
    // The third waits for the second now.
    let _ = hub.said(third);
    hub.pass(SEC);
    hub.pass(SEC);
    assert_eq!(hub.router.stats().peers, 1);
}

#[test]
fn a_holder_that_reconnects_while_another_waits_for_its_identity_keeps_it() {
    let mut hub = Direct::new(RouterConfig::default());
    let broken = hub.hello("a", 1, 1, HelloFlags(0));
    let other = hub.hello("a", 2, 1, HelloFlags(0));
    let again = hub.hello("a", 1, 2, HelloFlags(0));
    assert!(hub.is_closed(broken));
    let bodies = hub.bodies(again);
    let controls: Vec<_> =
        bodies.iter().map(|bytes| Control::decode(&wire::decode(bytes, Form::V1).unwrap()).unwrap()).collect();
    assert!(matches!(controls[0], Control::Welcome { .. }), "{controls:?}");
    let Some(Control::Ping { token }) = controls.get(1).copied() else { panic!("the new link is asked: {controls:?}") };
    hub.control(again, "a", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(other), Some(Status::IdentityTaken));
}

#[test]
fn who_takes_over_an_identity_gets_it_at_once_also_if_another_waits() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.open_v1("a", 1);
    let waits = hub.hello("a", 2, 1, HelloFlags(0));
    let takes = hub.hello("a", 3, 1, HelloFlags::TAKE_OVER);
    assert_eq!(hub.refusal(holder), Some(Status::IdentityTaken));
    assert_eq!(hub.said(takes).first().map(String::as_str), Some("welcome"));
    assert!(!hub.is_closed(takes) && !hub.is_closed(waits));
}

#[test]
fn shared_apps_hold_an_identity_together_and_only_with_each_other() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.hello("cli", 1, 1, HelloFlags::SHARED), hub.hello("cli", 2, 1, HelloFlags::SHARED));
    assert_eq!((hub.said(one), hub.said(two)), (vec!["welcome".into()], vec!["welcome".into()]));
    hub.publish_at(one, "cli", "x", &[1], Stamp { instance: Instance([1; 16]), ..stamp(1) });
    assert_eq!(hub.said(two), ["x"]);
    let alone = hub.hello("cli", 3, 1, HelloFlags(0));
    assert!(hub.bodies(alone).is_empty() && !hub.is_closed(alone), "it waits for the holders' answer");
    let token = hub.ping(one).expect("asked");
    hub.control(one, "cli", Control::Pong { token, time: None });
    assert_eq!(hub.refusal(alone), Some(Status::IdentityTaken));
}

#[test]
fn values_of_a_shared_identity_stay_while_one_of_its_holders_is_there() {
    let mut hub = Direct::new(RouterConfig::default());
    let (one, two) = (hub.hello("cli", 1, 1, HelloFlags::SHARED), hub.hello("cli", 2, 1, HelloFlags::SHARED));
    hub.publish_at(one, "cli", "x", &[1], Stamp { instance: Instance([1; 16]), ..stamp(1) });
    hub.lose(one);
    hub.pass(25 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 1);
    hub.lose(two);
    hub.pass(23 * 3600 * SEC);
    assert_eq!(hub.router.table().len(), 1);
    hub.pass(SEC * 3600);
    assert_eq!(hub.router.table().len(), 0);
}

/// The holder answers the question whether it lives.
fn answer(hub: &mut Direct, holder: ConnId, identity: &str) {
    let token = hub.ping(holder).expect("the holder is asked");
    hub.control(holder, identity, Control::Pong { token, time: None });
}

#[test]
fn an_instance_without_its_secret_replaces_nobody() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    assert_eq!(hub.said(holder), ["welcome"]);
    for secret in [None, Some(8)] {
        let thief = hub.hello_with("a", 1, u64::MAX, HelloFlags(0), secret);
        assert!(!hub.is_closed(holder) && !hub.is_closed(thief), "the holder is asked first");
        answer(&mut hub, holder, "a");
        assert_eq!(hub.refusal(thief), Some(Status::IdentityTaken));
    }
    // The app itself comes back at once.
    let again = hub.hello_with("a", 1, 6, HelloFlags(0), Some(7));
    assert!(hub.is_closed(holder));
    assert_eq!(hub.said(again), ["welcome"]);
}

#[test]
fn a_secret_proves_nothing_to_a_link_that_has_none() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello("a", 1, 5, HelloFlags(0));
    let other = hub.hello_with("a", 1, 6, HelloFlags(0), Some(7));
    assert!(!hub.is_closed(holder) && !hub.is_closed(other));
}

#[test]
fn shared_holders_with_one_instance_and_different_secrets_do_not_disturb_each_other() {
    let mut hub = Direct::new(RouterConfig::default());
    let one = hub.hello_with("cli", 1, 1, HelloFlags::SHARED, Some(1));
    let two = hub.hello_with("cli", 1, u64::MAX, HelloFlags::SHARED, Some(2));
    assert!(!hub.is_closed(one) && !hub.is_closed(two));
    let one_again = hub.hello_with("cli", 1, 2, HelloFlags::SHARED, Some(1));
    assert!(hub.is_closed(one) && !hub.is_closed(two) && !hub.is_closed(one_again));
}

#[test]
fn a_repeated_hello_is_no_newer_connection() {
    let mut hub = Direct::new(RouterConfig::default());
    let first = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    let repeated = hub.hello_with("a", 1, 5, HelloFlags(0), Some(7));
    assert_eq!(hub.refusal(repeated), Some(Status::IdentityTaken));
    assert!(!hub.is_closed(first));
}

#[test]
fn a_retry_gets_the_identity_of_a_lost_holder_and_not_of_a_slow_one() {
    let mut hub = Direct::new(RouterConfig::default());
    let holder = hub.hello_with("a", 1, 1, HelloFlags(0), Some(1));
    let retry = |hub: &mut Direct, epoch: u64| {
        let conn = hub.hello_with("a", 2, epoch, HelloFlags::RETRY | HelloFlags::TAKE_OVER, Some(2));
        hub.pass(SEC);
        conn
    };
    // It is stopped, or its program is slow to take states.
    for epoch in 0..4 {
        let slow = retry(&mut hub, epoch);
        assert_eq!(hub.refusal(slow), Some(Status::IdentityTaken));
        hub.pass(4 * SEC);
    }
    // It says something, although it is no answer.
    hub.publish(holder, "a", "x", &[1]);
    for epoch in 4..8 {
        let slow = retry(&mut hub, epoch);
        assert_eq!(hub.refusal(slow), Some(Status::IdentityTaken));
        assert!(!hub.is_closed(holder));
        hub.pass(4 * SEC);
    }
    let heir = retry(&mut hub, 8);
    assert!(hub.is_closed(holder));
    assert_eq!(hub.said(heir).first().map(String::as_str), Some("welcome"));
}
