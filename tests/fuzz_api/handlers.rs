//! Functions for the states of some names.

use super::*;

/// What is known of a function that was set.
pub(crate) type Set = (ns_handler, Arc<Context<ns_app>>);

/// Is told that a function has run for the last time.
unsafe extern "C" fn destroyed(ctx: *mut c_void) {
    // SAFETY: contexts live until all threads of the sequence have ended.
    let context = unsafe { &*ctx.cast::<Context<ns_app>>() };
    let Some(run) = context.run.upgrade() else { return };
    run.require(context.running.load(SeqCst) == 0, || "a function that still runs was destroyed".into());
    context.replaced.store(true, SeqCst);
    context.destroyed.fetch_add(1, SeqCst);
}

impl Run {
    /// Sets a function for a pattern, or ends one.
    pub(crate) fn handler(self: &Arc<Run>, rng: &mut Rng, slot: usize, handle: Option<&Arc<Handle<ns_app>>>) {
        let Some(handle) = handle else {
            let status = status!(self, ns_app_off(ptr::null_mut(), 1));
            return self.require(status == NS_ERR_INVALID, || format!("ns_app_off of NULL: {status}"));
        };
        let app = handle.raw();
        if rng.one_in(2) {
            let (number, ended) = self.ended(rng, handle);
            let status = status!(self, ns_app_off(app, number));
            self.require(status == NS_ERR_NOT_FOUND || ended.is_some(), || format!("ns_app_off {number}: {status}"));
            if let Some(context) = ended.filter(|_| status == NS_OK) {
                let inside = INSIDE.with_borrow(|inside| inside.contains(&Arc::as_ptr(&context).cast()));
                let destroyed = context.destroyed.load(SeqCst);
                self.require(inside || destroyed == 1, || format!("a function that was ended: destroyed {destroyed}"));
            }
            return;
        }
        let pattern = rng.pick(&[None, Some(c"**"), Some(c"n/*"), Some(c"callback/**"), Some(c""), Some(c"\xfe")]);
        let text = pattern.map_or(ptr::null(), CStr::as_ptr);
        let new = Arc::new(context(self, slot, handle, rng));
        lock(&self.app_contexts).push(new.clone());
        let ctx = Arc::as_ptr(&new).cast_mut().cast::<c_void>();
        let mut number = 7;
        let out = if rng.one_in(20) { ptr::null_mut() } else { &raw mut number };
        let status = status!(self, ns_app_on(app, text, Some(on_state), ctx, Some(destroyed), out));
        let refused = matches!(status, NS_ERR_INVALID | NS_ERR_NAME | NS_ERR_UTF8 | NS_ERR_CLOSED);
        self.require(status == NS_OK || refused, || format!("ns_app_on: {status}"));
        self.check_open(Some(handle), "ns_app_on", status);
        if status == NS_OK {
            new.owed.store(true, SeqCst);
            lock(&self.handlers).push((number, new));
        } else {
            self.require(out.is_null() || number == 0, || format!("ns_app_on failed, and tells the number {number}"));
            new.replaced.store(true, SeqCst);
        }
    }

    /// The number of a function of this app, or of none. No other thread ends it, too.
    fn ended(&self, rng: &mut Rng, handle: &Arc<Handle<ns_app>>) -> (ns_handler, Option<Arc<Context<ns_app>>>) {
        let mut handlers = lock(&self.handlers);
        let own: Vec<_> = (0..handlers.len()).filter(|&at| Arc::ptr_eq(&handlers[at].1.handle, handle)).collect();
        if own.is_empty() || rng.one_in(5) {
            return (rng.pick(&[0, 1 << 40, u64::MAX]), None);
        }
        let (number, context) = handlers.swap_remove(own[rng.index(own.len())]);
        (number, Some(context))
    }

    /// All apps were freed: each function that was set has been destroyed once, and no other.
    pub(crate) fn check_destroyed(&self) {
        for context in lock(&self.app_contexts).iter() {
            let (owed, destroyed) = (context.owed.load(SeqCst), context.destroyed.load(SeqCst));
            self.require(usize::from(owed) == destroyed, || format!("destroyed {destroyed} times, was set: {owed}"));
        }
    }
}
