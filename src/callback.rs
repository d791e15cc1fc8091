//! Functions of the program that the library calls.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, ReentrantMutex};

use crate::leaving;

/// Lets one callback of a handle run at a time, and makes a thread that replaces one wait until it has returned.
#[derive(Default)]
pub(crate) struct Gate {
    mutex: ReentrantMutex<()>,
    left: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Gate {
    /// Sets what happens when a thread ends inside a callback.
    pub fn when_left(&self, left: impl Fn() + Send + Sync + 'static) {
        let _ = self.left.set(Box::new(left));
    }

    /// The thread ends inside a callback; other threads no longer wait for that callback.
    #[allow(unsafe_code)]
    fn leave(&self) {
        // SAFETY: this thread has locked it in `Callback::call`, and does not come back there to unlock it.
        unsafe { self.mutex.force_unlock() };
        if let Some(left) = self.left.get() {
            left();
        }
    }

    /// Whether this thread is inside a callback.
    pub fn inside(&self) -> bool {
        self.mutex.is_owned_by_current_thread()
    }
}

/// One callback.
pub(crate) struct Callback<F: ?Sized>(Mutex<Registered<F>>);

struct Registered<F: ?Sized> {
    function: Option<Box<F>>,
    /// Counts replacements, so that a function that was replaced while it ran is not put back.
    generation: u64,
}

impl<F: ?Sized> Default for Callback<F> {
    fn default() -> Callback<F> {
        Callback(Mutex::new(Registered { function: None, generation: 0 }))
    }
}

impl<F: ?Sized> Callback<F> {
    /// This function.
    pub fn of(function: Box<F>) -> Callback<F> {
        Callback(Mutex::new(Registered { function: Some(function), generation: 0 }))
    }

    /// Replaces the function. When this returns, the old one is not running and will not run; inside a callback of the
    /// same thread that holds once the callback has returned.
    pub fn set(&self, gate: &Gate, function: Option<Box<F>>) {
        let _running = gate.mutex.lock();
        let mut registered = self.0.lock();
        registered.generation += 1;
        let old = std::mem::replace(&mut registered.function, function);
        drop(registered);
        // Its drop may run code of the program, so it must not happen under the lock.
        drop(old);
    }

    /// Calls the function, if there is one.
    pub fn call(&self, gate: &Arc<Gate>, call: impl FnOnce(&mut F)) {
        let _running = gate.mutex.lock();
        let mut registered = self.0.lock();
        let generation = registered.generation;
        let Some(mut function) = registered.function.take() else { return };
        drop(registered);
        let left = gate.clone();
        leaving::closing(move || left.leave(), || call(&mut function));
        let mut registered = self.0.lock();
        if registered.generation == generation {
            registered.function = Some(function);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    type Function = dyn FnMut(u32) + Send;

    #[test]
    fn a_replaced_function_has_returned_and_runs_no_more() {
        let (gate, slot) = (Arc::new(Gate::default()), Arc::new(Callback::<Function>::default()));
        let (entered, wait_entered) = mpsc::channel();
        let (release, wait_release) = mpsc::channel::<()>();
        let returned = Arc::new(AtomicUsize::new(0));
        let count = returned.clone();
        slot.set(
            &gate,
            Some(Box::new(move |_| {
                entered.send(()).unwrap();
                wait_release.recv().unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            })),
        );
        let (gate2, slot2) = (gate.clone(), slot.clone());
        let runner = std::thread::spawn(move || slot2.call(&gate2, |f| f(1)));
        wait_entered.recv().unwrap();
        let (gate2, slot2, returned2) = (gate.clone(), slot.clone(), returned.clone());
        let setter = std::thread::spawn(move || {
            slot2.set(&gate2, None);
            returned2.load(Ordering::SeqCst)
        });
        release.send(()).unwrap();
        assert_eq!(setter.join().unwrap(), 1);
        runner.join().unwrap();
        slot.call(&gate, |_| panic!("there is no function any more"));
    }

    #[test]
    fn a_function_may_replace_itself() {
        let (gate, slot) = (Arc::new(Gate::default()), Arc::new(Callback::<Function>::default()));
        let ran = Arc::new(AtomicUsize::new(0));
        let (gate2, slot2, ran2) = (gate.clone(), slot.clone(), ran.clone());
        slot.set(
            &gate,
            Some(Box::new(move |_| {
                ran2.fetch_add(1, Ordering::SeqCst);
                slot2.set(&gate2, None);
            })),
        );
        slot.call(&gate, |f| f(1));
        slot.call(&gate, |f| f(2));
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }
}
