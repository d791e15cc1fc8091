//! Calls on states.

use super::*;

impl Run {
    /// Calls an accessor with a pointer and a length, each NULL at times, and checks both.
    pub(crate) fn slice(
        &self,
        rng: &mut Rng,
        what: &'static str,
        is_text: bool,
        call: impl FnOnce(*mut *const c_void, *mut usize) -> ns_status,
    ) -> Result<Vec<u8>, ns_status> {
        let (mut data, mut len) = (ptr::dangling::<c_void>(), 77);
        let (no_data, no_len) = (rng.one_in(8), rng.one_in(8));
        mark();
        let status =
            call(if no_data { ptr::null_mut() } else { &mut data }, if no_len { ptr::null_mut() } else { &mut len });
        self.check(what, status, listed(what));
        if no_data || (no_len && !is_text) {
            self.require(status == NS_ERR_INVALID, || format!("{what} with NULL: {status}"));
        }
        if status != NS_OK {
            self.require(no_len || len == 0, || format!("{what} failed and its length is {len}"));
            if !no_data && is_text {
                self.require(self.c_str(what, data.cast()).is_empty(), || format!("{what} failed and is not \"\""));
            } else if !no_data {
                self.require(data.is_null(), || format!("{what} failed and is not NULL"));
            }
            return Err(status);
        }
        if is_text && no_len {
            return Ok(self.c_str(what, data.cast()));
        }
        if len == 0 && !is_text {
            return Ok(Vec::new());
        }
        // SAFETY: the accessor says that so many bytes are there, with text a NUL behind them.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len + usize::from(is_text)) };
        if is_text {
            self.require(bytes[len] == 0, || format!("{what}: no NUL at the end"));
            self.require(std::str::from_utf8(bytes).is_ok(), || format!("{what}: not UTF-8"));
        }
        Ok(bytes[..len].to_vec())
    }

    /// Calls an accessor of one value, with NULL at times. `None`: it failed.
    pub(crate) fn scalar<T: Copy + PartialEq + Default>(
        &self,
        rng: &mut Rng,
        (what, other): (&'static str, T),
        call: impl FnOnce(*mut T) -> ns_status,
    ) -> Result<T, ns_status> {
        let mut out = other;
        let null = rng.one_in(8);
        mark();
        let status = call(if null { ptr::null_mut() } else { &mut out });
        self.check(what, status, listed(what));
        self.require(!null || status == NS_ERR_INVALID, || format!("{what} with NULL: {status}"));
        if status == NS_OK {
            return Ok(out);
        }
        self.require(null || out == T::default(), || format!("{what} failed and is not 0"));
        Err(status)
    }

    /// Calls every accessor. Returns a digest of what the state holds.
    pub(crate) fn check_state(&self, rng: &mut Rng, state: *const ns_state) -> u64 {
        mark();
        let kind = ns!(ns_state_kind(state));
        let sender = self.c_str("sender", ns!(ns_state_sender(state)));
        let name = self.c_str("name", ns!(ns_state_name(state)));
        let time = ns!(ns_state_time(state));
        let retained = ns!(ns_state_retained(state));
        let null = state.is_null();
        self.check_value("ns_state_time and others", null);
        let known = Kind::ALL.iter().copied().find(|known| *known as i32 == kind);
        if null {
            self.require(kind == 0 && time == 0 && !retained && sender.is_empty() && name.is_empty(), || {
                "NULL has something".into()
            });
        } else {
            self.require(known.is_some(), || format!("kind {kind}"));
            self.require((1..=255).contains(&sender.len()), || format!("sender {sender:?}"));
            self.require((1..=1024).contains(&name.len()), || format!("name {name:?}"));
            self.require(time >= 0, || format!("time {time}"));
        }

        let text = self.slice(rng, "ns_state_text", true, |text, len| ns!(ns_state_text(state, text.cast(), len)));
        let bytes = self.slice(rng, "ns_state_bytes", false, |data, len| ns!(ns_state_bytes(state, data, len)));
        let json = self.slice(rng, "ns_state_json", true, |json, len| ns!(ns_state_json(state, json.cast(), len)));
        let msgpack = self.slice(rng, "ns_state_msgpack", false, |value, len| ns!(ns_state_msgpack(state, value, len)));
        let mut number = 7;
        let no_number = rng.one_in(8);
        let number_out = if no_number { ptr::null_mut() } else { &raw mut number };
        let ext = self.slice(rng, "ns_state_ext", false, |data, len| ns!(ns_state_ext(state, number_out, data, len)));
        self.require(!no_number || ext.is_err(), || "ns_state_ext without type succeeded".into());
        self.require(ext.is_ok() || no_number || number == 0, || "ns_state_ext failed and its type is not 0".into());
        let bool_ = self.scalar(rng, ("ns_state_bool", true), |out| ns!(ns_state_bool(state, out)));
        let int = self.scalar(rng, ("ns_state_int", 77), |out| ns!(ns_state_int(state, out)));
        let uint = self.scalar(rng, ("ns_state_uint", 77), |out| ns!(ns_state_uint(state, out)));
        let double = self.scalar(rng, ("ns_state_double", 7.5), |out| ns!(ns_state_double(state, out)));

        // Whether it is of that kind; NS_ERR_INVALID was explained above.
        let of_kind = |what: &str, status: Option<ns_status>, is: bool| {
            let fits = match status {
                Some(NS_ERR_INVALID) => true,
                Some(NS_ERR_KIND) => !is,
                _ => is,
            };
            self.require(fits, || format!("{what} of kind {kind}: {status:?}"));
        };
        if null {
            let statuses = [text.err(), bytes.err(), json.err(), msgpack.err(), ext.err(), bool_.err()];
            let numbers = [int.err(), uint.err(), double.err()];
            let all = statuses.iter().chain(&numbers).all(|status| *status == Some(NS_ERR_INVALID));
            self.require(all, || format!("accessors of NULL: {statuses:?} {numbers:?}"));
            return 0;
        }
        if kind != NS_KIND_BYTES || text.is_ok() {
            of_kind("text", text.as_ref().err().copied(), matches!(kind, NS_KIND_TEXT | NS_KIND_BYTES));
        }
        of_kind("bytes", bytes.as_ref().err().copied(), kind == NS_KIND_BYTES);
        of_kind("ext", ext.as_ref().err().copied(), kind == NS_KIND_EXT);
        of_kind("bool", bool_.err(), kind == NS_KIND_BOOL);
        let is_number = matches!(kind, NS_KIND_INT | NS_KIND_UINT | NS_KIND_DOUBLE);
        of_kind("int", int.err(), is_number);
        of_kind("uint", uint.err(), is_number);
        of_kind("double", double.err(), is_number);
        self.require(kind != NS_KIND_INT || int != Err(NS_ERR_RANGE), || "an int that is none".into());
        self.require(kind != NS_KIND_UINT || int.is_err(), || format!("a uint that is the int {int:?}"));
        self.require(kind != NS_KIND_UINT || uint != Err(NS_ERR_RANGE), || "a uint that is none".into());
        self.require(kind != NS_KIND_DOUBLE || double != Err(NS_ERR_RANGE), || "a double that is none".into());
        if let (Ok(int), Ok(uint)) = (int, uint) {
            self.require(i128::from(int) == i128::from(uint), || format!("int {int} and uint {uint}"));
        }
        if let (Ok(int), Ok(double)) = (int, double) {
            self.require(double as i128 == i128::from(int), || format!("int {int} and double {double}"));
        }
        if let (Ok(text), Ok(bytes)) = (&text, &bytes) {
            self.require(text.starts_with(bytes) || bytes.starts_with(text), || "text is not its bytes".into());
        }
        if let Ok(json) = json {
            use serde_json::Value as Json;
            let fits = serde_json::from_slice(&json).is_ok_and(|read: Json| match kind {
                NS_KIND_TEXT | NS_KIND_BYTES => read.is_string(),
                NS_KIND_NIL | NS_KIND_CLEARED => read.is_null(),
                NS_KIND_BOOL => read.is_boolean(),
                NS_KIND_INT | NS_KIND_UINT => read.is_number(),
                NS_KIND_DOUBLE => read.is_number() || read.is_null(),
                NS_KIND_ARRAY => read.is_array(),
                // A time is a text.
                NS_KIND_EXT => read.is_object() || read.is_string(),
                _ => read.is_object(),
            });
            // An embedded NUL is escaped in JSON, so the text is whole also without its length.
            self.require(fits, || format!("kind {kind} as JSON: {}", String::from_utf8_lossy(&json)));
        }
        let mut hasher = DefaultHasher::new();
        (kind, sender, name, time).hash(&mut hasher);
        match msgpack {
            Ok(value) => {
                // What was cleared has no value.
                let known = known.map(|known| if known == Kind::Cleared { Kind::Nil } else { known });
                self.require(wire::check(&value).ok() == known, || format!("kind {kind} as MessagePack: {value:?}"));
                value.hash(&mut hasher);
            }
            Err(_) => {
                let (mut value, mut len) = (ptr::null(), 0);
                status!(self, &[], ns_state_msgpack(state, &mut value, &mut len));
                // SAFETY: the accessor says that so many bytes are there, and no value is of none.
                unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Takes a reference into the pool.
    pub(crate) fn keep(&self, rng: &mut Rng, state: *mut ns_state) {
        if state.is_null() {
            return self.fail("a state is NULL".into());
        }
        let digest = self.check_state(rng, state);
        let mut states = lock(&self.states);
        let too_many = (states.len() >= STATES).then(|| states.swap_remove(rng.index(STATES)));
        states.push(Held { state: AtomicPtr::new(state), digest });
        drop(states);
        if let Some(old) = too_many {
            ns!(ns_state_free(old.state.load(SeqCst)));
        }
    }

    pub(crate) fn state_op(&self, rng: &mut Rng) {
        let held = {
            let mut states = lock(&self.states);
            if states.is_empty() || rng.one_in(10) {
                None
            } else {
                let at = rng.index(states.len());
                Some(states.swap_remove(at))
            }
        };
        let Some(held) = held else {
            mark();
            let none = ns!(ns_state_ref(ptr::null()));
            self.check_value("ns_state_ref(NULL)", true);
            self.require(none.is_null(), || "a reference to NULL".into());
            ns!(ns_state_free(ptr::null_mut()));
            self.check_state(rng, ptr::null());
            return;
        };
        let state = held.state.load(SeqCst);
        let digest = self.check_state(rng, state);
        self.require(digest == held.digest, || "a state has changed".into());
        match rng.below(4) {
            0 => ns!(ns_state_free(state)),
            1 => {
                mark();
                let again = ns!(ns_state_ref(state));
                self.check_value("ns_state_ref", false);
                self.require(again == state, || "ns_state_ref returned another".into());
                let second = Held { state: AtomicPtr::new(again), digest };
                lock(&self.states).extend([held, second]);
            }
            _ => lock(&self.states).push(held),
        }
    }
}
