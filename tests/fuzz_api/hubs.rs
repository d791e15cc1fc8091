//! Calls on hubs.

use std::ffi::c_int;

use super::*;

impl Run {
    /// An app asks its hub for a sign of life. `wait`: milliseconds; `own_thread`: whether this is a callback there.
    pub(crate) fn ping(&self, handle: Option<&Handle<ns_app>>, wait: c_int, own_thread: bool) {
        let app = handle.map_or(ptr::null_mut(), Handle::raw);
        let mut ns = 9;
        let status = status!(self, ns_app_ping(app, wait, &raw mut ns));
        self.check_open(handle, "ns_app_ping", status);
        self.require(status == NS_OK || ns == 0, || format!("ns_app_ping tells {ns}"));
        self.require(!own_thread || status != NS_OK, || "ns_app_ping in a callback".into());
    }

    /// An app asks what its hub counts, otherwise as in [`Run::ping`].
    pub(crate) fn ask_hub(&self, rng: &mut Rng, handle: Option<&Handle<ns_app>>, wait: c_int, own_thread: bool) {
        let app = handle.map_or(ptr::null_mut(), Handle::raw);
        let must_fail = app.is_null() || (wait < -1 && !own_thread);
        let size = rng.pick(&[0, 1, 8, size_of::<ns_peer_stats_t>(), 65536, usize::MAX]);
        let mut shown = Shown { size, most: rng.index(3), count: 0 };
        let function = (!rng.one_in(20)).then_some(count_hub_peer as unsafe extern "C" fn(_, _, _) -> _);
        let status = status!(self, ns_app_each_hub_peer(app, wait, function, (&raw mut shown).cast(), size));
        let invalid = must_fail || function.is_none() || size == 0 || size == usize::MAX;
        self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_app_each_hub_peer: {status}"));
        let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most.max(1));
        self.require(fits, || format!("ns_app_each_hub_peer: {status} and {} of {}", shown.count, shown.most));
        self.check_open(handle, "ns_app_each_hub_peer", status);
        let mut stats = std::mem::MaybeUninit::<ns_hub_stats_t>::uninit();
        let status = status!(self, ns_app_hub_stats(app, wait, stats.as_mut_ptr(), size_of::<ns_hub_stats_t>()));
        self.require(!must_fail || status == NS_ERR_INVALID, || format!("ns_app_hub_stats: {status}"));
        self.check_open(handle, "ns_app_hub_stats", status);
        // SAFETY: written whatever comes of the call.
        let stats = unsafe { stats.assume_init() };
        self.require(status == NS_OK || stats.max_peers == 0, || "counters of a call that failed".into());
        self.require(!own_thread || status != NS_OK, || "ns_app_hub_stats in a callback".into());
    }

    pub(crate) fn hub_op(self: &Arc<Run>, rng: &mut Rng, slot: usize, only: Option<&Arc<Handle<ns_hub>>>) {
        let inside = only.is_some();
        let op = rng.below(12);
        if op == 0 && rng.one_in(2) {
            return self.hub_free(slot, only);
        }
        let used = self.hubs[slot].enter(only, false);
        if used.is_none() && inside {
            return;
        }
        if used.is_none() && !rng.one_in(4) {
            return self.hub_new(rng, slot);
        }
        let handle = used.as_ref().map(|used| &used.handle).filter(|_| !rng.one_in(25));
        let hub = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let null = hub.is_null();
        match op {
            1 => {
                let (option, value) = self.an_option(rng, 101);
                let mut is = -7;
                let status = status!(self, ns_hub_option(hub, option, &mut is));
                let known = !null && nanostate::HubOption::from_code(option).is_some();
                self.require((status == NS_OK) == known, || format!("ns_hub_option {option}: {status}, {is}"));
                let status = status!(self, ns_hub_set(hub, option, value));
                let invalid = null || nanostate::HubOption::from_code(option).is_none();
                self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_hub_set {option}: {status}"));
                let (option, text) =
                    (rng.pick(&[option, NS_OPT_HUB_TLS_CERT, NS_OPT_HUB_TOKEN_FILE]), rng.pick(&[c"", c"/missing"]));
                let status = status!(self, ns_hub_set_text(hub, option, text.as_ptr()));
                let invalid = null || nanostate::HubText::from_code(option).is_none();
                self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_hub_set_text {option}: {status}"));
                let status = status!(self, ns_hub_reload(hub));
                self.require(status != NS_OK, || "ns_hub_reload without TLS".into());
                // No directory can be made there.
                let status = status!(self, ns_hub_set_store(hub, c"/dev/null/store".as_ptr()));
                self.require(status != NS_OK, || "ns_hub_set_store in no directory".into());
                let origins = [c"http://localhost:8000", c"https://a.example", c"a.example", c"null", c""];
                let origin = rng.pick(&origins);
                let status = status!(self, ns_hub_allow_origin(hub, origin.as_ptr()));
                let invalid = null || !origin.to_bytes().starts_with(b"http");
                self.require(!invalid || status != NS_OK, || format!("ns_hub_allow_origin {origin:?}: {status}"));
            }
            2..=4 => self.listen(rng, handle),
            5 => {
                mark();
                let address = ns!(ns_hub_address(hub, rng.below(5) as usize));
                if null {
                    self.check_value("ns_hub_address", true);
                    self.require(address.is_null(), || "NULL has an address".into());
                } else if !address.is_null() {
                    self.check_value("ns_hub_address", false);
                    let address = self.c_str("ns_hub_address", address);
                    self.require(address.windows(3).any(|w| w == b"://"), || format!("ns_hub_address: {address:?}"));
                }
            }
            6 => self.stats(rng, "ns_hub_stats", size_of::<ns_hub_stats_t>(), null, |out, size| {
                ns!(ns_hub_stats(hub, out.cast(), size))
            }),
            7 => {
                let mut shown =
                    Shown { size: rng.pick(&[0, 1, 8, 500, 65536, usize::MAX]), most: rng.index(3), count: 0 };
                let size = if rng.one_in(2) { size_of::<ns_peer_stats_t>() } else { shown.size };
                shown.size = size;
                let function = (!rng.one_in(20)).then_some(count_peer as unsafe extern "C" fn(_, _, _) -> _);
                let status = status!(self, ns_hub_each_peer(hub, function, (&raw mut shown).cast(), size));
                let invalid = null || function.is_none() || size == 0 || size == usize::MAX;
                self.require(!invalid || status == NS_ERR_INVALID, || format!("ns_hub_each_peer: {status}"));
                let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most.max(1));
                self.require(fits, || format!("ns_hub_each_peer: {status} and {} of {}", shown.count, shown.most));
            }
            8 | 9 => {
                let Some(handle) = handle else {
                    let status = status!(self, ns_hub_on_peer(hub, None, ptr::null_mut()));
                    return self.require(status != NS_OK, || "a function of NULL".into());
                };
                let Some(mut function) = self.try_function(&handle.functions[0], inside) else { return };
                let new = (!rng.one_in(4)).then(|| Arc::new(context(self, slot, handle, rng)));
                let ctx = new.as_ref().map_or(ptr::null(), Arc::as_ptr).cast_mut().cast::<c_void>();
                lock(&self.hub_contexts).extend(new.clone());
                let set: ns_peer_fn = if new.is_some() { Some(on_peer) } else { None };
                let status = status!(self, &[], ns_hub_on_peer(hub, set, ctx));
                self.replaced(&mut function, new, status);
            }
            _ => {
                mark();
                ns!(ns_app_free(ptr::null_mut()));
                ns!(ns_hub_free(ptr::null_mut()));
                ns!(ns_app_interrupt(ptr::null_mut()));
                self.check_value("ns_hub_free(NULL)", false);
                let status = if rng.one_in(2) { -(rng.below(26) as i32) } else { rng.any() as i32 };
                for name in [ns_status_name, ns_kind_name, ns_link_name, ns_peer_event_name, ns_malformed_name] {
                    let name = self.c_str("a name", name(status));
                    self.require(!name.is_empty(), || format!("{status} has no name"));
                }
                let text = self.c_str("ns_strerror", ns_strerror(status));
                let is_status = (NS_ERR_TLS..=NS_OK).contains(&status);
                self.require((text != b"unknown status") == is_status, || format!("ns_strerror {status}: {text:?}"));
            }
        }
    }

    pub(crate) fn hub_new(&self, rng: &mut Rng, slot: usize) {
        if rng.one_in(10) {
            status!(self, ns_hub_new(ptr::null_mut()));
        }
        let mut hub = ptr::dangling_mut();
        if status!(self, &[], ns_hub_new(&mut hub)) != NS_OK {
            return;
        }
        let mut handle = Some(Arc::new(handle(hub, c"".into())));
        let mut held = lock(&self.hubs[slot].0);
        if held.is_none() {
            *held = handle.take();
        }
        drop(held);
        // Another thread was faster.
        handle.into_iter().for_each(|handle| ns!(ns_hub_free(handle.raw())));
    }

    pub(crate) fn listen(&self, rng: &mut Rng, handle: Option<&Arc<Handle<ns_hub>>>) {
        let hub = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let (url, well_formed) = if rng.one_in(4) {
            (Some(rng.pick(&[c"tcp://127.0.0.1:0", c"ws://127.0.0.1:0/x"]).into()), true)
        } else {
            self.a_url(rng)
        };
        let status = status!(self, ns_hub_listen(hub, pointer(&url)));
        let null = hub.is_null() || url.is_none();
        self.require(!null || status == NS_ERR_INVALID, || format!("ns_hub_listen with NULL: {status}"));
        self.require(well_formed || status != NS_OK, || format!("ns_hub_listen at {url:?}"));
        if status != NS_OK {
            return;
        }
        let mut i = 0;
        loop {
            let address = ns!(ns_hub_address(hub, i));
            if address.is_null() {
                break self.require(i > 0, || "a hub that listens has no address".into());
            }
            let address = String::from_utf8_lossy(&self.c_str("ns_hub_address", address)).into_owned();
            let mut urls = lock(&self.urls);
            if !urls.contains(&address) {
                urls.push(address);
            }
            i += 1;
        }
    }

    pub(crate) fn hub_free(&self, slot: usize, only: Option<&Arc<Handle<ns_hub>>>) {
        let Some(handle) = self.hubs[slot].take(only) else { return };
        let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
        self.note(format!("ns_hub_free {slot}"));
        mark();
        ns!(ns_hub_free(handle.raw()));
        handle.freed.store(true, SeqCst);
        self.check_success("ns_hub_free");
        let running = handle.running.load(SeqCst);
        self.require(running == own, || format!("ns_hub_free returned and {running} callbacks run, {own} around it"));
    }
}
