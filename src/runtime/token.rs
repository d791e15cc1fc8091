//! Who reads a connection: the loop, or a thread of the program that waits for what comes by it.
//!
//! A thread that waits for the loop to read for it is woken twice: the kernel wakes the loop, the loop the thread. So a
//! thread that waits may *take* the token and read by itself; the loop then leaves the connection alone. When it
//! *leaves* it passes the token to the others who wait, or gives it back to the loop. A token that was passed on
//! belongs to those who waited in that moment: the first of them that finds nothing to return with takes it, and the
//! last of them that goes without settles it with the loop. So there is never a moment in which nobody will read.
//!
//! Everything here happens under the lock of the driver. `make loom` checks it together with the ways of sleeping.

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Holder {
    #[default]
    Loop,
    Caller,
    /// Left to the threads that wait.
    Passed,
}

/// What the one who gave the token away has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Left {
    /// Have the loop read again, which looks anew whether there is something.
    ToLoop,
    /// Wake the threads that wait.
    ToWaiters,
}

/// The right to read one connection.
#[derive(Default, Debug)]
pub struct Token {
    holder: Holder,
    /// Threads that wait while another reads.
    waiting: usize,
    /// The loop reads for good.
    kept: bool,
}

impl Token {
    /// Whether a thread reads, which has to be woken for what does not come by the connection.
    pub fn is_with_caller(&self) -> bool {
        self.holder == Holder::Caller
    }

    /// Whether [`Token::take`] would succeed.
    pub fn is_free(&self) -> bool {
        !self.kept && self.holder != Holder::Caller
    }

    /// The calling thread reads from now on, until it [`leave`](Token::leave)s. Not if [`is_free`](Token::is_free)
    /// says no.
    pub fn take(&mut self) {
        debug_assert!(self.is_free());
        self.holder = Holder::Caller;
    }

    /// The thread that reads does so no more.
    pub fn leave(&mut self) -> Left {
        if self.holder == Holder::Caller && self.waiting > 0 && !self.kept {
            self.holder = Holder::Passed;
            return Left::ToWaiters;
        }
        self.holder = Holder::Loop;
        Left::ToLoop
    }

    /// The calling thread begins to wait for another that reads.
    pub fn wait(&mut self) {
        self.waiting += 1;
    }

    /// It waits no more: it was woken, or its time is up.
    pub fn waited(&mut self) {
        self.waiting -= 1;
    }

    /// A thread that waited goes its way. Whether the loop has to read again, since nobody is left to whom the token
    /// was passed.
    #[must_use]
    pub fn settle(&mut self) -> bool {
        self.waiting == 0 && self.decline()
    }

    /// Nobody can take a token that was passed on. Whether it was, and the loop has to read again.
    #[must_use]
    pub fn decline(&mut self) -> bool {
        let passed = self.holder == Holder::Passed;
        if passed {
            self.holder = Holder::Loop;
        }
        passed
    }

    /// The connection is gone: its successor is the loop's. Whether a thread was reading, which has to be woken.
    #[must_use]
    pub fn void(&mut self) -> bool {
        std::mem::take(&mut self.holder) == Holder::Caller
    }

    /// From now on the loop reads, for good. A thread that reads is to be woken, and leaves. Whether the loop has to
    /// read again now.
    #[must_use]
    pub fn keep(&mut self) -> bool {
        self.kept = true;
        self.decline()
    }

    /// Whether the thread that reads has to leave.
    pub fn is_kept(&self) -> bool {
        self.kept
    }
}
