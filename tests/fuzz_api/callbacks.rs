//! What the library calls.

use super::*;

pub(crate) fn handle<T>(ptr: *mut T, identity: CString) -> Handle<T> {
    Handle {
        ptr: AtomicPtr::new(ptr),
        identity,
        users: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        freed: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        callback_thread: AtomicBool::new(false),
        functions: Default::default(),
    }
}

pub(crate) fn context<T>(run: &Arc<Run>, slot: usize, handle: &Arc<Handle<T>>, rng: &mut Rng) -> Context<T> {
    Context {
        run: Arc::downgrade(run),
        slot,
        handle: handle.clone(),
        running: AtomicUsize::new(0),
        replaced: AtomicBool::new(false),
        owed: AtomicBool::new(false),
        destroyed: AtomicUsize::new(0),
        rng: Mutex::new(Rng::new(rng.any())),
    }
}

/// A callback: checks that it may run, and makes calls of its own.
pub(crate) fn callback<T>(
    what: &str,
    shown: *mut T,
    ctx: *mut c_void,
    body: impl FnOnce(&Arc<Run>, &Context<T>, &mut Rng),
) {
    // SAFETY: contexts live until all threads of the sequence have ended.
    let context = unsafe { &*ctx.cast::<Context<T>>() };
    let Some(run) = context.run.upgrade() else { return };
    let handle = &context.handle;
    run.note(format!("{what} of {} runs", context.slot));
    let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
    let running = handle.running.fetch_add(1, SeqCst);
    context.running.fetch_add(1, SeqCst);
    run.require(running == own, || format!("{what} runs beside another callback of the handle"));
    run.require(!handle.freed.load(SeqCst), || format!("{what} of a freed handle"));
    run.require(!context.replaced.load(SeqCst), || format!("{what} after it was replaced"));
    run.require(shown == handle.raw(), || format!("{what} of another handle"));
    INSIDE.with_borrow_mut(|inside| inside.extend([handle.id(), ptr::from_ref(context).cast()]));
    let mut rng = Rng::new(lock(&context.rng).any());
    body(&run, context, &mut rng);
    INSIDE.with_borrow_mut(|inside| inside.truncate(inside.len() - 2));
    context.running.fetch_sub(1, SeqCst);
    handle.running.fetch_sub(1, SeqCst);
}

/// Calls of an app's callback.
pub(crate) fn in_callback(run: &Arc<Run>, context: &Context<ns_app>, rng: &mut Rng) {
    if run.single {
        let calling = USED.with_borrow(|used| used.last().copied());
        let expected = !context.handle.callback_thread.load(SeqCst);
        let calling = calling.is_some_and(|(id, _)| id == context.handle.id());
        run.require(calling == expected, || "a callback in the wrong thread".into());
    }
    // Not indefinitely: a callback may run others.
    if INSIDE.with_borrow(Vec::len) <= 4 && rng.one_in(3) {
        (0..rng.below(4)).for_each(|_| run.app_op(rng, context.slot, Some(&context.handle)));
    }
}

pub(crate) unsafe extern "C" fn on_state(app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) {
    callback("on_state", app, ctx, |run, context: &Context<ns_app>, rng| {
        let in_recv = USED.with_borrow(|used| used.last().is_some_and(|(_, recv)| *recv));
        run.require(!in_recv, || "on_state in ns_app_recv".into());
        run.check_state(rng, state);
        if rng.one_in(4) {
            let kept = ns!(ns_state_ref(state));
            run.keep(rng, kept);
        }
        in_callback(run, context, rng);
        // Also when the app is freed, the state is borrowed for the whole call.
        run.check_state(rng, state);
    });
}

/// What a walk shows: it ends after `most`.
pub(crate) struct Shown {
    pub(crate) size: usize,
    pub(crate) most: usize,
    pub(crate) count: usize,
}

impl Shown {
    pub(crate) fn goes_on(&mut self) -> bool {
        self.count += 1;
        self.count < self.most
    }
}

/// Reads each peer that ns_hub_each_peer shows, also what a later version would read, and counts them.
pub(crate) unsafe extern "C" fn count_peer(_hub: *mut ns_hub, peer: *const ns_peer_stats_t, ctx: *mut c_void) -> bool {
    // SAFETY: as ns_hub_each_peer gives them.
    unsafe { count_stats(peer, ctx) }
}

/// As [`count_peer`], for ns_app_each_hub_peer.
pub(crate) unsafe extern "C" fn count_hub_peer(
    _app: *mut ns_app,
    peer: *const ns_peer_stats_t,
    ctx: *mut c_void,
) -> bool {
    // SAFETY: as ns_app_each_hub_peer gives them.
    unsafe { count_stats(peer, ctx) }
}

unsafe fn count_stats(peer: *const ns_peer_stats_t, ctx: *mut c_void) -> bool {
    // SAFETY: the program gave a `Shown`.
    let shown = unsafe { &mut *ctx.cast::<Shown>() };
    let size = shown.size.max(size_of::<ns_peer_stats_t>());
    // SAFETY: the struct has as many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(peer.cast::<u8>(), size) };
    assert!(bytes[..256].contains(&0) && bytes[256..384].contains(&0));
    assert!(bytes[size_of::<ns_peer_stats_t>()..].iter().all(|byte| *byte == 0));
    shown.goes_on()
}

/// Reads each state that ns_app_each shows, and counts them.
pub(crate) unsafe extern "C" fn count_state(_app: *mut ns_app, state: *const ns_state, ctx: *mut c_void) -> bool {
    let mut len = 0;
    let mut value = ptr::null();
    assert_eq!(ns!(ns_state_msgpack(state, &mut value, &mut len)), NS_OK);
    assert!(ns!(ns_state_matches(state, c"**".as_ptr())) && len > 0);
    // SAFETY: the caller of ns_app_each gave it.
    unsafe { &mut *ctx.cast::<Shown>() }.goes_on()
}

pub(crate) unsafe extern "C" fn on_link(
    app: *mut ns_app,
    link: ns_link,
    why: ns_status,
    text: *const c_char,
    ctx: *mut c_void,
) {
    callback("on_link", app, ctx, |run, context: &Context<ns_app>, rng| {
        run.require((NS_LINK_IDLE..=NS_LINK_REFUSED).contains(&link), || format!("on_link: link {link}"));
        run.require((NS_ERR_TLS..=NS_OK).contains(&why), || format!("on_link: why {why}"));
        in_callback(run, context, rng);
        run.c_str("text of on_link", text);
    });
}

pub(crate) unsafe extern "C" fn on_synced(app: *mut ns_app, ctx: *mut c_void) {
    callback("on_synced", app, ctx, |run, context: &Context<ns_app>, rng| {
        in_callback(run, context, rng);
    });
}

pub(crate) unsafe extern "C" fn on_stale(app: *mut ns_app, sender: *const c_char, ctx: *mut c_void) {
    callback("on_stale", app, ctx, |run, context: &Context<ns_app>, rng| {
        in_callback(run, context, rng);
        let is_named = sender.is_null() || !run.c_str("sender of on_stale", sender).is_empty();
        run.require(is_named, || "on_stale: a sender without a name".into());
    });
}

pub(crate) unsafe extern "C" fn on_presence(
    app: *mut ns_app,
    event: ns_presence,
    identity: *const c_char,
    instance: *const u8,
    ctx: *mut c_void,
) {
    callback("on_presence", app, ctx, |run, context: &Context<ns_app>, rng| {
        let known = (NS_PRESENCE_HERE..=NS_PRESENCE_LOST).contains(&event);
        run.require(known, || format!("on_presence: event {event}"));
        in_callback(run, context, rng);
        run.require(!run.c_str("identity of on_presence", identity).is_empty(), || "on_presence: no identity".into());
        // SAFETY: it has 16 bytes.
        let instance = unsafe { std::slice::from_raw_parts(instance, 16) };
        run.require(instance != [0; 16], || "on_presence: no instance".into());
    });
}

/// Reads each app that ns_app_peers shows, and counts them.
pub(crate) unsafe extern "C" fn count_other(
    _app: *mut ns_app,
    identity: *const c_char,
    instance: *const u8,
    _suspect: bool,
    ctx: *mut c_void,
) -> bool {
    // SAFETY: both are borrowed for the call; the caller of ns_app_peers gave the last.
    let (identity, instance) =
        unsafe { (std::ffi::CStr::from_ptr(identity), std::slice::from_raw_parts(instance, 16)) };
    assert!(!identity.is_empty() && instance != [0; 16]);
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<Shown>() }.goes_on()
}

pub(crate) unsafe extern "C" fn on_reject(
    app: *mut ns_app,
    sender: *const c_char,
    name: *const c_char,
    kind: ns_kind,
    ctx: *mut c_void,
) {
    callback("on_reject", app, ctx, |run, context: &Context<ns_app>, rng| {
        run.require((NS_KIND_TEXT..=NS_KIND_EXT).contains(&kind), || format!("on_reject: kind {kind}"));
        in_callback(run, context, rng);
        run.require(!run.c_str("sender of on_reject", sender).is_empty(), || "on_reject: no sender".into());
        run.require(!run.c_str("name of on_reject", name).is_empty(), || "on_reject: no name".into());
    });
}

pub(crate) unsafe extern "C" fn on_peer(
    hub: *mut ns_hub,
    identity: *const c_char,
    from: *const c_char,
    event: ns_peer_event,
    why: ns_status,
    ctx: *mut c_void,
) {
    callback("on_peer", hub, ctx, |run, context: &Context<ns_hub>, rng| {
        run.require((NS_PEER_JOINED..=NS_PEER_REFUSED).contains(&event), || format!("on_peer: event {event}"));
        run.require((NS_ERR_TLS..=NS_OK).contains(&why), || format!("on_peer: why {why}"));
        if rng.one_in(3) {
            (0..rng.below(4)).for_each(|_| run.hub_op(rng, context.slot, Some(&context.handle)));
        }
        run.c_str("identity of on_peer", identity);
        run.c_str("from of on_peer", from);
    });
}

// What is left behind ---------------------------------------------------------------------------------------------
