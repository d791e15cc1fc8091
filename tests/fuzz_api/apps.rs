//! Calls on apps.

use super::*;

impl Run {
    pub(crate) fn app_new(&self, rng: &mut Rng, slot: usize) {
        let number = self.made.fetch_add(1, SeqCst);
        let (identity, allowed) = match rng.below(16) {
            0 => (None, false),
            1 => (Some(c"".into()), false),
            2 => (Some(c"\xc3(".into()), false),
            3 => (CString::new("i".repeat(256)).ok(), false),
            4 => (CString::new(format!("{number}-{}", "i".repeat(240))).ok(), true),
            5 => (Some(c"same".into()), true),
            _ => (CString::new(format!("app-{number}")).ok(), true),
        };
        let mut app = ptr::dangling_mut();
        if rng.one_in(20) {
            let status = status!(self, ns_app_new(pointer(&identity), ptr::null_mut()));
            self.require(status != NS_OK, || "an app without a handle".into());
        }
        let status = status!(self, ns_app_new(pointer(&identity), &mut app));
        self.require((status == NS_OK) == allowed, || format!("ns_app_new with identity {identity:?}: {status}"));
        self.require((status == NS_OK) != app.is_null(), || format!("ns_app_new: {status} and {app:?}"));
        if status != NS_OK {
            return;
        }
        let handle = Arc::new(handle(app, identity.unwrap_or_default()));
        // Nobody is to wait a second for what no hub will take.
        status!(self, &[], ns_app_set(app, NS_OPT_LINGER_MS, rng.below(15) as i64));
        if rng.one_in(3) {
            status!(self, &[], ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1));
            handle.callback_thread.store(true, SeqCst);
        }
        if rng.one_in(2) {
            status!(self, &[], ns_app_set(app, NS_OPT_BACKOFF_MIN_MS, 1));
            status!(self, &[], ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 5));
        }
        let mut handle = Some(handle);
        let mut held = lock(&self.apps[slot].0);
        if held.is_none() {
            *held = handle.take();
        }
        drop(held);
        // Another thread was faster.
        handle.into_iter().for_each(|handle| ns!(ns_app_free(handle.raw())));
    }

    /// Frees the app, if no other thread uses it.
    pub(crate) fn app_free(&self, slot: usize, only: Option<&Arc<Handle<ns_app>>>) {
        let Some(handle) = self.apps[slot].take(only) else { return };
        let own = INSIDE.with_borrow(|inside| inside.iter().filter(|id| **id == handle.id()).count());
        self.note(format!("ns_app_free {slot}"));
        mark();
        ns!(ns_app_free(handle.raw()));
        handle.freed.store(true, SeqCst);
        self.check_success("ns_app_free");
        let running = handle.running.load(SeqCst);
        self.require(running == own, || format!("ns_app_free returned and {running} callbacks run, {own} around it"));
    }

    /// A URL and whether it is well-formed and supported, which is not all that it needs.
    pub(crate) fn a_url(&self, rng: &mut Rng) -> (Option<CString>, bool) {
        let url = match rng.below(14) {
            0 => return (None, true),
            1 => return (Some(c"inproc://\xff".into()), false),
            2 => {
                let bad = ["", "nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc://", "inproc://"];
                return (CString::new(rng.pick(&bad)).ok(), false);
            }
            3 => return (CString::new(rng.pick(&["ws://127.0.0.1:1/a b", "mqtt://h:1"])).ok(), false),
            4 => return (CString::new(format!("ipc:///{}", "p".repeat(300))).ok(), false),
            5 => rng.pick(&["tcp://127.0.0.1:1", "ipc:///nonexistent/directory"]).to_owned(),
            _ => {
                let urls = lock(&self.urls);
                let at = if rng.one_in(2) { 0 } else { rng.index(urls.len()) };
                urls[at].clone()
            }
        };
        (CString::new(url).ok(), true)
    }

    pub(crate) fn send(&self, rng: &mut Rng, handle: Option<&Handle<ns_app>>, prefix: &str) {
        let app = handle.map_or(ptr::null_mut(), Handle::raw);
        let ((name, name_allowed), mut expected, mut allowed) = (a_name(rng, prefix), Vec::new(), true);
        let n = pointer(&name);
        let number = rng.any() >> rng.below(64);
        let mut clears = false;
        let status = match rng.below(13) {
            0 => {
                let text = a_text(rng);
                Value::Text(&text).encode(&mut expected);
                let text = if rng.one_in(12) { None } else { CString::new(text).ok() };
                allowed = text.is_some();
                status!(self, ns_app_send_text(app, n, pointer(&text)))
            }
            1 => {
                let text = a_text(rng) + if rng.one_in(2) { "a\0b" } else { "" };
                Value::Text(&text).encode(&mut expected);
                status!(self, ns_app_send_textn(app, n, text.as_ptr().cast(), text.len()))
            }
            2 => {
                allowed = false;
                let bad = [&b"\xffabc"[..], b"ab\xc3", b"\xed\xa0\x80"];
                let bad = rng.pick(&bad);
                status!(self, ns_app_send_textn(app, n, bad.as_ptr().cast(), bad.len()))
            }
            3 => {
                let len = a_length(rng);
                let bytes = if rng.one_in(2) { vec![b'b'; len] } else { rng.bytes(len) };
                Value::Bytes(&bytes).encode(&mut expected);
                let data = if len == 0 { ptr::null() } else { bytes.as_ptr() };
                status!(self, ns_app_send_bytes(app, n, data.cast(), len))
            }
            4 => {
                Value::Bool(number % 2 == 1).encode(&mut expected);
                status!(self, ns_app_send_bool(app, n, number % 2 == 1))
            }
            5 => {
                let number = if rng.one_in(2) { number as i64 } else { (number as i64).wrapping_neg() };
                Value::Int(number).encode(&mut expected);
                status!(self, ns_app_send_int(app, n, number))
            }
            6 => {
                Value::Uint(number).encode(&mut expected);
                status!(self, ns_app_send_uint(app, n, number))
            }
            7 => {
                let double = rng.pick(&[0.0, -0.0, 0.5, 1e300, f64::NAN, f64::INFINITY, 2e9, 9.3e18, number as f64]);
                Value::Double(double).encode(&mut expected);
                status!(self, ns_app_send_double(app, n, double))
            }
            8 => {
                Value::Nil.encode(&mut expected);
                status!(self, ns_app_send_nil(app, n))
            }
            9 => {
                let good =
                    ["{\"a\":[1,2.5,null]}", "[]", " -7 ", "\"\\u0000x\"", "18446744073709551615", "true", "1e400"];
                let bad = ["", "{", "[1,]", "nul", "1 2", "\"\\ud800\"", "{\"a\" 1}"];
                let deep = rng.below(60) as usize;
                let json = match rng.below(4) {
                    0 => rng.pick(&bad).to_owned(),
                    1 => "[".repeat(deep) + "1" + &"]".repeat(deep),
                    _ => rng.pick(&good).to_owned(),
                };
                allowed = wire::to_msgpack(&json, &mut expected).is_ok();
                status!(self, ns_app_send_json(app, n, json.as_ptr().cast(), json.len()))
            }
            10 => {
                clears = true;
                status!(self, ns_app_clear(app, n))
            }
            11 => {
                clears = rng.one_in(3);
                Value::Uint(number).encode(&mut expected);
                self.send_by_key(rng, app, n, (!clears).then_some(number))
            }
            _ => {
                let size = a_length(rng);
                expected = value(rng.pick(Kind::VALUES), number, size);
                if rng.one_in(3) {
                    let at = rng.index(expected.len());
                    expected[at] = rng.any() as u8;
                }
                allowed = wire::check(&expected).is_ok();
                status!(self, ns_app_send_msgpack(app, n, expected.as_ptr().cast(), expected.len()))
            }
        };
        self.note(format!(
            "  which was name {:?} and {} bytes",
            name.as_ref().map(|n| n.count_bytes()),
            expected.len()
        ));
        self.require((name_allowed && allowed) || status != NS_OK, || "a send of what is not allowed".into());
        self.check_open(handle, "a send", status);
        // Of several faults any may be told.
        if handle.is_none() && name_allowed && allowed && status != NS_ERR_INVALID {
            self.fail(format!("a send by NULL: {status}"));
        }
        let Some(handle) = handle.filter(|handle| status == NS_OK && handle.identity.as_c_str() != c"same") else {
            return;
        };
        if !self.single || INSIDE.with_borrow(|inside| !inside.is_empty()) {
            return;
        }
        // Nobody else sends this key.
        let mut state = ptr::null_mut();
        let found = status!(self, ns_app_get(app, handle.identity.as_ptr(), n, &mut state));
        if clears {
            return self.require(found == NS_ERR_NOT_FOUND, || format!("what was cleared is found: {found}"));
        }
        if found != NS_OK {
            let closing = handle.closing.load(SeqCst);
            return self.require(closing, || "an app does not know what it has sent".into());
        }
        let (mut data, mut len) = (ptr::null(), 0);
        status!(self, &[], ns_state_msgpack(state, &mut data, &mut len));
        // SAFETY: the accessor says that so many bytes are there, and no value is of none.
        let same = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) } == expected;
        self.require(same, || "an app has another value than it has sent".into());
        self.keep(rng, state);
    }

    /// Declares a name, sends a value or clears it, and frees the key.
    fn send_by_key(&self, rng: &mut Rng, app: *mut ns_app, name: *const c_char, value: Option<u64>) -> ns_status {
        let mut key = ptr::dangling_mut();
        let status = status!(self, ns_app_key(app, name, &mut key));
        self.require((status == NS_OK) != key.is_null(), || format!("ns_app_key: {status} and {key:?}"));
        if status != NS_OK {
            return status;
        }
        let ttl = rng.pick(&[i64::MIN, -1, 0, 1, 20, 86_400_000_000, i64::MAX]);
        let allowed = (0..=86_400_000_000).contains(&ttl);
        let set = status!(self, ns_key_set(key, NS_OPT_KEY_TTL_MS, ttl));
        self.require((set == NS_OK) == allowed, || format!("ns_key_set of {ttl}: {set}"));
        let transient = rng.pick(&[-1, 0, 1, 2, i64::MAX]);
        let set = status!(self, ns_key_set(key, NS_OPT_KEY_TRANSIENT, transient));
        self.require((set == NS_OK) == (0..=1).contains(&transient), || format!("transient {transient}: {set}"));
        // A value is looked for by who sends it.
        status!(self, ns_key_set(key, NS_OPT_KEY_TTL_MS, 0));
        status!(self, ns_key_set(key, NS_OPT_KEY_TRANSIENT, 0));
        let status = match value {
            Some(u) => {
                let value = ns_value { kind: NS_KIND_UINT, ext: 0, len: 0, r#as: ns_value_as { u } };
                status!(self, ns_key_send(key, value))
            }
            None => status!(self, ns_key_clear(key)),
        };
        let kind = if value.is_some() { NS_KIND_UINT } else { NS_KIND_CLEARED };
        let will = ns_value { kind, ext: 0, len: 0, r#as: ns_value_as { u: 7 } };
        status!(self, ns_key_will(key, if status == NS_OK { &will } else { ptr::null() }));
        mark();
        ns!(ns_key_free(key));
        self.check_success("ns_key_free");
        status
    }

    /// Whether a status fits what is known of the app: closed or not.
    pub(crate) fn check_open(&self, handle: Option<&Handle<ns_app>>, what: &str, status: ns_status) {
        let Some(handle) = handle else { return };
        let may_be_closed = handle.closing.load(SeqCst) || handle.freed.load(SeqCst);
        self.require(may_be_closed || status != NS_ERR_CLOSED, || format!("{what}: closed, but nobody closed the app"));
        // A callback in it, or another thread, may have closed the app when the work was done.
        let runs_callbacks = matches!(what, "ns_app_recv" | "ns_app_dispatch");
        let freed = runs_callbacks && handle.freed.load(SeqCst);
        self.require(!freed || status == NS_ERR_CLOSED, || format!("{what} of which a callback freed it: {status}"));
        let is_open = !handle.closed.load(SeqCst) || status != NS_OK || runs_callbacks || !self.single;
        self.require(is_open, || format!("{what} succeeded on a closed app"));
    }

    /// One call on an app, or a few. `only`: in a callback of this app.
    pub(crate) fn app_op(self: &Arc<Run>, rng: &mut Rng, slot: usize, only: Option<&Arc<Handle<ns_app>>>) {
        let inside = only.is_some();
        let op = rng.below(34);
        if op == 0 && rng.one_in(2) || inside && rng.one_in(12) {
            return self.app_free(slot, only);
        }
        let used = self.apps[slot].enter(only, op == 1 || op == 2);
        if used.is_none() && inside {
            return;
        }
        if used.is_none() && !rng.one_in(4) {
            return self.app_new(rng, slot);
        }
        // At times the handle is NULL.
        let handle = used.as_ref().map(|used| &used.handle).filter(|_| !rng.one_in(25));
        let app = handle.map_or(ptr::null_mut(), |handle| handle.raw());
        let own_thread = inside && handle.is_some_and(|handle| handle.callback_thread.load(SeqCst));
        let wait = if inside { 0 } else { rng.pick(&[-2, 0, 0, 0, 1, 4]) };
        let invalid_if = |what: &str, invalid: bool, status: ns_status| {
            self.require(!invalid || status == NS_ERR_INVALID, || format!("{what} with NULL or so: {status}"));
        };
        let null = app.is_null();
        let handle_ref = handle.map(|handle| &**handle);
        match op {
            1 | 2 => {
                let mut state = ptr::dangling_mut();
                let out = if rng.one_in(20) { ptr::null_mut() } else { &raw mut state };
                let status = status!(self, ns_app_recv(app, wait, out));
                invalid_if("ns_app_recv", null || out.is_null(), status);
                self.check_open(handle_ref, "ns_app_recv", status);
                if status == NS_OK {
                    // Whatever it says: who is there changes all the time.
                    ns!(ns_app_is_stale(app, state));
                    self.keep(rng, state);
                } else if !out.is_null() {
                    self.require(state.is_null(), || "ns_app_recv failed and its state is not NULL".into());
                }
                self.check_callback_thread(handle_ref, "ns_app_recv", status);
            }
            3..=5 => {
                let status = status!(self, ns_app_dispatch(app, wait, rng.below(4) as usize));
                invalid_if("ns_app_dispatch", null || wait < -1, status);
                self.check_open(handle_ref, "ns_app_dispatch", status);
                self.check_callback_thread(handle_ref, "ns_app_dispatch", status);
                self.require(!inside || status != NS_OK, || "ns_app_dispatch inside a callback".into());
            }
            6 => {
                mark();
                let fd = ns!(ns_app_fd(app));
                self.check_value("ns_app_fd", fd == -1);
                self.require(fd >= -1 && (!null || fd == -1), || format!("ns_app_fd: {fd}"));
                if fd >= 0 {
                    self.check_callback_thread(handle_ref, "ns_app_fd", NS_OK);
                    self.check_open(handle_ref, "ns_app_fd", NS_OK);
                    let again = ns!(ns_app_fd(app));
                    let closing = handle.is_some_and(|handle| handle.closing.load(SeqCst));
                    self.require(again == fd || closing, || format!("ns_app_fd: {fd}, then {again}"));
                }
            }
            7 => {
                let (option, value) = self.an_option(rng, 1);
                let mut is = -7;
                let status = status!(self, ns_app_option(app, option, &mut is));
                invalid_if("ns_app_option", null || nanostate::AppOption::from_code(option).is_none(), status);
                self.require(status == NS_OK || is == 0, || format!("ns_app_option {option}: {status}, {is}"));
                let status = status!(self, ns_app_set(app, option, value));
                invalid_if("ns_app_set", null || nanostate::AppOption::from_code(option).is_none(), status);
                self.check_open(handle_ref, "ns_app_set", status);
                if let (Some(handle), NS_OK, NS_OPT_CALLBACK_THREAD) = (handle, status, option) {
                    handle.callback_thread.store(value == 1, SeqCst);
                }
                let (option, text) =
                    (rng.pick(&[option, NS_OPT_TLS_CA, NS_OPT_TLS_PIN, NS_OPT_TOKEN]), rng.pick(&[c"", c"x"]));
                let status = status!(self, ns_app_set_text(app, option, text.as_ptr()));
                invalid_if("ns_app_set_text", null || nanostate::AppText::from_code(option).is_none(), status);
                self.check_open(handle_ref, "ns_app_set_text", status);
            }
            8 | 9 => {
                let (url, well_formed) = self.a_url(rng);
                let status = status!(self, ns_app_connect(app, pointer(&url)));
                invalid_if("ns_app_connect", null, status);
                self.check_open(handle_ref, "ns_app_connect", status);
                self.require(well_formed || status != NS_OK, || format!("ns_app_connect to {url:?}"));
            }
            11 if rng.one_in(3) => self.ping(handle_ref, wait, own_thread),
            11 if rng.one_in(2) => {
                let sender: &CStr = rng.pick(&[c"x", c"nobody", c"", c"\xff"]);
                let status = status!(self, ns_app_forget(app, sender.as_ptr(), c"x".as_ptr(), wait));
                self.check_open(handle_ref, "ns_app_forget", status);
                self.require(!null || status != NS_OK, || "ns_app_forget of NULL".into());
            }
            11 => {
                let status = status!(self, ns_app_wait_connected(app, wait));
                invalid_if("ns_app_wait_connected", null || (wait < -1 && !own_thread), status);
                self.check_open(handle_ref, "ns_app_wait_connected", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_wait_connected in a callback".into());
            }
            10 if rng.one_in(2) => {
                let pattern: &CStr = rng.pick(&[c"x", c"x/*", c"**", c"", c"\xff"]);
                let status = match rng.below(4) {
                    0 => status!(self, ns_app_subscribe(app, ptr::null())),
                    3 => {
                        let two = [pattern.as_ptr(), c"y/**".as_ptr()];
                        status!(self, ns_app_set_subscriptions(app, two.as_ptr(), rng.below(3) as usize))
                    }
                    1 => status!(self, ns_app_subscribe(app, pattern.as_ptr())),
                    _ => status!(self, ns_app_unsubscribe(app, pattern.as_ptr())),
                };
                invalid_if("ns_app_subscribe", null, status);
                self.check_open(handle_ref, "ns_app_subscribe", status);
            }
            12 if rng.one_in(4) => {
                let mut shown = Shown { size: 0, most: rng.index(4), count: 0 };
                let function = (!rng.one_in(20)).then_some(count_other as unsafe extern "C" fn(_, _, _, _, _) -> _);
                let status = status!(self, ns_app_peers(app, wait, function, (&raw mut shown).cast()));
                invalid_if("ns_app_peers", null || function.is_none() || (wait < -1 && !own_thread), status);
                let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most.max(1));
                self.require(fits, || format!("ns_app_peers: {status} and {} of {}", shown.count, shown.most));
                self.check_open(handle_ref, "ns_app_peers", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_peers in a callback".into());
            }
            12 if rng.one_in(4) => self.ask_hub(rng, handle_ref, wait, own_thread),
            12 if rng.one_in(2) => {
                let status = status!(self, ns_app_wait_synced(app, wait));
                invalid_if("ns_app_wait_synced", null || (wait < -1 && !own_thread), status);
                self.check_open(handle_ref, "ns_app_wait_synced", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_wait_synced in a callback".into());
            }
            12 => {
                let status = status!(self, ns_app_flush(app, wait));
                invalid_if("ns_app_flush", null || (wait < -1 && !own_thread), status);
                self.check_open(handle_ref, "ns_app_flush", status);
                self.require(!own_thread || status != NS_OK, || "ns_app_flush in a callback".into());
            }
            13 => {
                let status = status!(self, ns_app_disconnect(app));
                invalid_if("ns_app_disconnect", null, status);
                self.check_open(handle_ref, "ns_app_disconnect", status);
            }
            14 if rng.one_in(3) => {
                let linger = rng.pick(&[-2, -1, 0, 3]);
                if linger >= -1 {
                    handle.inspect(|handle| handle.closing.store(true, SeqCst));
                }
                let status = status!(self, ns_app_close(app, linger));
                self.require((status == NS_OK) == (!null && linger >= -1), || {
                    format!("ns_app_close {linger}: {status}")
                });
                if status == NS_OK {
                    handle.inspect(|handle| handle.closed.store(true, SeqCst));
                }
            }
            15 => {
                mark();
                ns!(ns_app_interrupt(app));
                self.check_value("ns_app_interrupt", false);
            }
            16 => {
                mark();
                let identity = self.c_str("ns_app_identity", ns!(ns_app_identity(app)));
                self.check_value("ns_app_identity", null);
                let same = handle.map_or(identity.is_empty(), |handle| handle.identity.as_bytes() == identity);
                self.require(same, || format!("ns_app_identity: {identity:?}"));
                let link = ns!(ns_app_link(app));
                self.require((NS_LINK_IDLE..=NS_LINK_REFUSED).contains(&link), || format!("ns_app_link: {link}"));
                let idle = handle.is_none_or(|handle| handle.closed.load(SeqCst));
                self.require(!idle || link == NS_LINK_IDLE, || format!("ns_app_link of a closed app: {link}"));
            }
            17 => {
                let status = status!(self, ns_app_set_accept(app, self.a_mask(rng)));
                invalid_if("ns_app_set_accept", null, status);
                self.check_open(handle_ref, "ns_app_set_accept", status);
            }
            18 => self.stats(rng, "ns_app_stats", size_of::<ns_app_stats_t>(), null, |out, size| {
                ns!(ns_app_stats(app, out.cast(), size))
            }),
            19 => {
                let sender = match rng.below(4) {
                    0 => Some(c"\xfe".into()),
                    1 => CString::new(format!("app-{}", rng.below(8))).ok(),
                    _ => None,
                };
                let prefix = rng.pick(&["n/", "callback/"]);
                let (name, _) = a_name(rng, prefix);
                let mut state = ptr::dangling_mut();
                let out = if rng.one_in(20) { ptr::null_mut() } else { &raw mut state };
                let status = status!(self, ns_app_get(app, pointer(&sender), pointer(&name), out));
                invalid_if("ns_app_get", null || (name.is_none() && sender.is_none()) || out.is_null(), status);
                if status == NS_OK {
                    self.keep(rng, state);
                } else if !out.is_null() {
                    self.require(state.is_null(), || "ns_app_get failed and its state is not NULL".into());
                }
            }
            20 => {
                let mut shown = Shown { size: 0, most: rng.pick(&[1, 3, usize::MAX]), count: 0 };
                let pattern = rng.pick(&[None, Some(c"**"), Some(c"n/*"), Some(c""), Some(c"\xfe")]);
                let function = (!rng.one_in(20)).then_some(count_state as unsafe extern "C" fn(_, _, _) -> _);
                let text = pattern.map_or(ptr::null(), CStr::as_ptr);
                let status = status!(self, ns_app_each(app, text, function, (&raw mut shown).cast()));
                invalid_if("ns_app_each", null || function.is_none(), status);
                let fits = shown.count == 0 || (status == NS_OK && shown.count <= shown.most);
                self.require(fits, || format!("ns_app_each: {status} and {} of {}", shown.count, shown.most));
                self.check_open(handle_ref, "ns_app_each", status);
            }
            21 if rng.one_in(2) => self.handler(rng, slot, handle),
            21..=22 => self.set_function(rng, slot, handle, inside),
            _ => self.send(rng, handle_ref, if inside { "callback/" } else { "n/" }),
        }
    }

    /// With callbacks on the app's own thread some calls are refused.
    pub(crate) fn check_callback_thread(&self, handle: Option<&Handle<ns_app>>, what: &str, status: ns_status) {
        let refused = self.single && handle.is_some_and(|handle| handle.callback_thread.load(SeqCst));
        let fits = matches!(status, NS_ERR_STATE | NS_ERR_CLOSED | NS_ERR_INVALID);
        self.require(!refused || fits, || format!("{what} with NS_OPT_CALLBACK_THREAD: {status}"));
    }

    pub(crate) fn an_option(&self, rng: &mut Rng, first: i32) -> (ns_opt, i64) {
        let option = first + rng.below(18) as i32 - 1;
        let option = if rng.one_in(20) { rng.any() as i32 } else { option };
        let any = rng.any() as i64;
        let value = rng.pick(&[0, 1, 1, 2, 300, 5000, 100_000, 1 << 24, -1, i64::MIN, i64::MAX, any]);
        let too_long = option == NS_OPT_LINGER_MS && value > 15;
        (option, if too_long { 3 } else { value })
    }

    pub(crate) fn a_mask(&self, rng: &mut Rng) -> u32 {
        let any = rng.any() as u32;
        rng.pick(&[u32::MAX, u32::MAX, u32::MAX, 0, 1 << NS_KIND_TEXT, any])
    }

    /// Reads counters with any size.
    pub(crate) fn stats(
        &self,
        rng: &mut Rng,
        what: &'static str,
        known: usize,
        null: bool,
        call: impl FnOnce(*mut u64, usize) -> ns_status,
    ) {
        let mut buffer = [0xAAAA_AAAA_AAAA_AAAA_u64; 256];
        let size = rng.pick(&[0, 1, 7, 8, 12, known - 1, known, known, known, known + 3, known + 64, 2000]);
        let no_out = rng.one_in(12);
        mark();
        let status = call(if no_out { ptr::null_mut() } else { buffer.as_mut_ptr() }, size);
        self.check(what, status, listed(what));
        let invalid = null || no_out || size == 0;
        self.require(!invalid || status == NS_ERR_INVALID, || format!("{what} with NULL or no size: {status}"));
        let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let written = if no_out { 0 } else { size };
        self.require(bytes[written..].iter().all(|byte| *byte == 0xAA), || format!("{what} wrote behind its {size}"));
        let zero_from = if status == NS_OK { known.min(written) } else { 0 };
        self.require(bytes[zero_from..written].iter().all(|byte| *byte == 0), || format!("{what}: {size} not all 0"));
    }

    /// Sets or clears a callback.
    pub(crate) fn set_function(
        self: &Arc<Run>,
        rng: &mut Rng,
        slot: usize,
        handle: Option<&Arc<Handle<ns_app>>>,
        inside: bool,
    ) {
        let which = rng.index(6);
        let clear = rng.one_in(4);
        let Some(handle) = handle else {
            let status = match which {
                0 => status!(self, ns_app_on_state(ptr::null_mut(), None, ptr::null_mut())),
                1 => status!(self, ns_app_on_link(ptr::null_mut(), None, ptr::null_mut())),
                2 => status!(self, ns_app_on_synced(ptr::null_mut(), None, ptr::null_mut())),
                3 => status!(self, ns_app_on_presence(ptr::null_mut(), None, ptr::null_mut())),
                4 => status!(self, ns_app_on_stale(ptr::null_mut(), None, ptr::null_mut())),
                _ => status!(self, ns_app_on_reject(ptr::null_mut(), None, ptr::null_mut())),
            };
            return self.require(status == NS_ERR_INVALID, || format!("a function of NULL: {status}"));
        };
        // Who sets it in another thread waits for the callback that this may be in.
        let Some(mut function) = self.try_function(&handle.functions[which], inside) else { return };
        let new = (!clear).then(|| Arc::new(context(self, slot, handle, rng)));
        let ctx = new.as_ref().map_or(ptr::null(), Arc::as_ptr).cast_mut().cast::<c_void>();
        lock(&self.app_contexts).extend(new.clone());
        let app = handle.raw();
        let status = match which {
            0 => {
                let function = if clear { None } else { Some(on_state as _) };
                status!(self, ns_app_on_state(app, function, ctx))
            }
            1 => {
                let function = if clear { None } else { Some(on_link as _) };
                status!(self, ns_app_on_link(app, function, ctx))
            }
            2 => {
                let function = if clear { None } else { Some(on_synced as _) };
                status!(self, ns_app_on_synced(app, function, ctx))
            }
            3 => {
                let function = if clear { None } else { Some(on_presence as _) };
                status!(self, ns_app_on_presence(app, function, ctx))
            }
            4 => {
                let function = if clear { None } else { Some(on_stale as _) };
                status!(self, ns_app_on_stale(app, function, ctx))
            }
            _ => {
                let function = if clear { None } else { Some(on_reject as _) };
                status!(self, ns_app_on_reject(app, function, ctx))
            }
        };
        // To clear is also a success when there is nothing to clear any more.
        let shown = if clear && status == NS_OK { NS_ERR_INVALID } else { status };
        self.check_open(Some(handle), "ns_app_on_", shown);
        self.replaced(&mut function, new, status);
    }

    pub(crate) fn try_function<'a, T>(
        &self,
        function: &'a Mutex<Option<Arc<Context<T>>>>,
        inside: bool,
    ) -> Option<MutexGuard<'a, Option<Arc<Context<T>>>>> {
        if inside || INSIDE.with_borrow(|inside| !inside.is_empty()) {
            return function.try_lock().ok();
        }
        Some(lock(function))
    }

    /// A function was set, or could not be.
    pub(crate) fn replaced<T>(
        &self,
        held: &mut Option<Arc<Context<T>>>,
        new: Option<Arc<Context<T>>>,
        status: ns_status,
    ) {
        if status != NS_OK {
            new.inspect(|new| new.replaced.store(true, SeqCst));
            return;
        }
        if let Some(old) = std::mem::replace(held, new) {
            old.replaced.store(true, SeqCst);
            let inside = INSIDE.with_borrow(|inside| inside.contains(&Arc::as_ptr(&old).cast()));
            let running = old.running.load(SeqCst);
            self.require(inside || running == 0, || "a function was replaced and still runs".into());
        }
    }
}
