//! What becomes of wills if a newer link of an app has another token.

use nanostate::engine::hub::{RouterConfig, Tokens};
use nanostate::wire::{Features, HelloFlags};

use super::{bye, hello, leave, of, told, LOST};
use crate::sim::Direct;

/// What may be done over a link is what its token allows, also if the link before it had another.
#[test]
fn an_app_that_is_back_with_another_token_leaves_wills_if_it_may_publish_and_none_if_it_may_not() {
    let mut hub = Direct::new(RouterConfig::default());
    let tokens = "w read-write the-token-of-the-robot\nr read the-token-of-the-panel\n";
    let now = hub.now;
    hub.router.set_tokens(now, Some(Tokens::parse(tokens).expect("tokens")));
    let (writer, reader) = (Some("the-token-of-the-robot"), Some("the-token-of-the-panel"));
    let watcher = hello(&mut hub, "watcher", 99, 1, HelloFlags(0), Features::ALL, reader);
    hub.bodies(watcher);
    let before = hub.router.stats().memory_bytes;
    let join = |hub: &mut Direct, epoch, token| hello(hub, "a", 1, epoch, HelloFlags(0), Features::ALL, token);
    for cut in [true, false] {
        let a = join(&mut hub, 1, reader);
        if cut {
            hub.lose(a);
        }
        let a = join(&mut hub, 2, writer);
        leave(&mut hub, a, "a", "on", Some(0));
        bye(&mut hub, a, "a");
        assert_eq!(hub.router.stats().memory_bytes, before, "nothing is left of it");
        let a = join(&mut hub, 1, writer);
        leave(&mut hub, a, "a", "off", Some(0));
        if cut {
            hub.lose(a);
        }
        let a = join(&mut hub, 2, reader);
        hub.bodies(a);
        assert_eq!(hub.router.stats().memory_bytes, before, "it may not leave anything");
        bye(&mut hub, a, "a");
    }
    let a = join(&mut hub, 1, reader);
    hub.lose(a);
    let a = join(&mut hub, 2, writer);
    leave(&mut hub, a, "a", "on", Some(0));
    hub.lose(a);
    hub.pass(LOST);
    assert_eq!(told(&mut hub, watcher), of(&[("on", Some(0))]));
}
