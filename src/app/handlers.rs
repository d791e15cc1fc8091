//! Functions that get the states of names that match a pattern.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use super::callbacks::OnState;
use super::App;
use crate::callback::Callback;
use crate::engine::patterns::PatternIndex;
use crate::pattern::Pattern;
use crate::{Error, Result, Status};

/// Sets of lines in which it is kept which functions get the names that came last: 40 KiB, once there is a function.
const SETS: usize = 256;

/// A function that [`App::on`] has set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Handler(u64);

#[cfg(feature = "capi")]
impl Handler {
    /// For the C layer: its number, which is not 0.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// For the C layer: undoes [`Handler::number`].
    pub(crate) fn of_number(number: u64) -> Handler {
        Handler(number)
    }
}

/// What a handler is called with.
type Function = Arc<Callback<OnState>>;

/// All that are set.
pub(super) struct Handlers {
    registry: Mutex<Registry>,
    /// How many there are, for threads that do not hold the lock.
    count: AtomicUsize,
}

struct Registry {
    /// By the numbers of the handlers, which grow: so they are called in the order in which they were set.
    index: PatternIndex<u64, SETS>,
    functions: HashMap<u64, (Arc<Pattern>, Function)>,
    last: u64,
}

impl Default for Handlers {
    fn default() -> Handlers {
        let registry = Registry { index: PatternIndex::default(), functions: HashMap::new(), last: 0 };
        Handlers { registry: Mutex::new(registry), count: AtomicUsize::new(0) }
    }
}

impl Handlers {
    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn add(&self, pattern: Pattern, function: Box<OnState>) -> Handler {
        let (pattern, function) = (Arc::new(pattern), Arc::new(Callback::of(function)));
        let mut registry = self.registry.lock();
        registry.last += 1;
        let number = registry.last;
        registry.index.add(number, &pattern);
        registry.functions.insert(number, (pattern, function));
        self.count.store(registry.functions.len(), Ordering::Relaxed);
        Handler(number)
    }

    fn remove(&self, handler: Handler) -> Option<Function> {
        let mut registry = self.registry.lock();
        let (pattern, function) = registry.functions.remove(&handler.0)?;
        registry.index.remove(handler.0, &[pattern]);
        self.count.store(registry.functions.len(), Ordering::Relaxed);
        Some(function)
    }

    /// The app ends. One that is running is dropped when it has returned.
    pub fn end_all(&self) {
        let mut registry = self.registry.lock();
        let functions = std::mem::take(&mut registry.functions);
        registry.index = PatternIndex::default();
        self.count.store(0, Ordering::Relaxed);
        drop(registry);
        // Their ends are code of the program.
        drop(functions);
    }

    /// Those that get the states of a name, in the order in which they were set.
    pub fn of(&self, name: &str) -> Vec<Function> {
        if !self.are_any() {
            return Vec::new();
        }
        let Registry { index, functions, .. } = &mut *self.registry.lock();
        let (numbers, _) = index.listed(name);
        numbers.iter().filter_map(|number| functions.get(number)).map(|(_, function)| function.clone()).collect()
    }
}

impl App {
    /// Has a function get the states whose names match `pattern` ([`crate::pattern`]), until [`App::off`] or the end of the
    /// app. It is called where the one of [`App::on_state`] is, behind that one, and those of several matching patterns in
    /// the order in which they were set. A state for which there is no function is left out: with the first handler states
    /// come through [`App::dispatch`], for which all functions of a state are one. It gets what comes from now on; that which
    /// the app knows is in [`App::states`]. It does not subscribe ([`App::subscribe`]).
    ///
    /// A function may set and end others, and itself: one that is set for the present state does not get it, one that is ended
    /// before its turn does not either. How many patterns there are does not matter for the time that a state takes.
    ///
    /// # Errors
    /// [`Status::Name`]: no pattern; [`Status::Closed`].
    pub fn on(&self, pattern: &str, function: Box<OnState>) -> Result<Handler> {
        let pattern = Pattern::new(pattern)?;
        let inner = &self.inner;
        inner.check_usable()?;
        let handlers = &inner.callbacks.handlers;
        let handler = handlers.add(pattern, function);
        inner.tell_session(|_| ()).inspect_err(|_| drop(handlers.remove(handler)))?;
        Ok(handler)
    }

    /// Ends a handler. When this returns its function is not running and will not run, and is dropped; if this is called
    /// inside it, it is dropped when it has returned.
    ///
    /// # Errors
    /// [`Status::NotFound`]: it was ended before, or is of another app; [`Status::State`]: in a child after `fork`.
    pub fn off(&self, handler: Handler) -> Result<()> {
        let inner = &self.inner;
        if inner.shared.forked() {
            // What is locked in here may be locked for ever.
            return inner.check_usable();
        }
        let ended = inner.callbacks.handlers.remove(handler);
        let Some(function) = ended else {
            return Err(Error::new(Status::NotFound, format!("handler {} is not set", handler.0)));
        };
        // A closed app need not be told.
        let _ = inner.tell_session(|_| ());
        function.set(&inner.callbacks.gate, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_match_are_called_in_the_order_in_which_they_were_set() {
        let handlers = Handlers::default();
        let set = |pattern: &str| handlers.add(Pattern::new(pattern).expect("a pattern"), Box::new(|_| ()));
        let function = |handler: Handler| handlers.registry.lock().functions[&handler.0].1.clone();
        assert!(!handlers.are_any() && handlers.of("x/1").is_empty());
        let [all, exact, other, again] = [set("**"), set("x/1"), set("y/*"), set("x/1")];
        let found = |name: &str, wanted: &[Handler]| {
            let found = handlers.of(name);
            assert_eq!(found.len(), wanted.len(), "{name}");
            assert!(found.iter().zip(wanted).all(|(found, wanted)| Arc::ptr_eq(found, &function(*wanted))), "{name}");
        };
        for _ in 0..2 {
            found("x/1", &[all, exact, again]);
            found("y/2", &[all, other]);
        }
        assert!(handlers.remove(exact).is_some() && handlers.remove(exact).is_none());
        found("x/1", &[all, again]);
        for handler in [all, other, again] {
            assert!(handlers.remove(handler).is_some());
        }
        assert!(!handlers.are_any() && handlers.of("x/1").is_empty());
    }
}
