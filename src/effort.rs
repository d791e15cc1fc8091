//! How much is done, counted in test builds: a test that has to know what something costs counts, since time depends on
//! the machine.

/// What is done. Its number is what it costs: 64 are a step, which is a look at one entry of a table.
#[derive(Clone, Copy)]
pub enum Work {
    /// A byte is copied, compared or checked.
    Byte = 1,
    /// A peer is asked whether something concerns it.
    Peer = 8,
    /// Something is looked at that is probably in no cache.
    Look = 64,
}

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So much of this is done here.
#[inline(always)]
pub fn did(work: Work, times: usize) {
    #[cfg(test)]
    DONE.set(DONE.get() + work as usize * times);
    #[cfg(not(test))]
    let _ = (work, times);
}

/// What this thread has done so far, in steps.
#[cfg(test)]
pub fn steps() -> usize {
    DONE.get() / Work::Look as usize
}
