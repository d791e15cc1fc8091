//! How the library calls a function of the program: so that a thread may end inside it.
//!
//! `pthread_exit` and cancellation unwind the stack, which Rust code with a `catch_unwind` on it answers with an abort.
//! Python's threads do that when the interpreter ends. The functions are called by a frame without unwind information:
//! the unwinder takes it for the end of the stack, and the thread ends. What it leaves open, [`crate::leaving`] closes.
//! Elsewhere than on Linux with glibc, `pthread_exit` does not unwind, or aborts as it always has.

#[cfg(all(own_frame, target_arch = "x86_64"))]
std::arch::global_asm!(
    ".pushsection .text.nanostate_enter,\"ax\",@progbits",
    ".globl nanostate_enter",
    ".hidden nanostate_enter",
    ".type nanostate_enter,@function",
    "nanostate_enter:",
    "push rbp",
    "mov rbp, rsp",
    "call qword ptr [rbp + 16]",
    "pop rbp",
    "ret",
    ".size nanostate_enter, . - nanostate_enter",
    ".popsection",
);

#[cfg(all(own_frame, target_arch = "aarch64"))]
std::arch::global_asm!(
    ".pushsection .text.nanostate_enter,\"ax\",@progbits",
    ".globl nanostate_enter",
    ".hidden nanostate_enter",
    ".type nanostate_enter,@function",
    "nanostate_enter:",
    "stp x29, x30, [sp, #-16]!",
    "mov x29, sp",
    "blr x6",
    "ldp x29, x30, [sp], #16",
    "ret",
    ".size nanostate_enter, . - nanostate_enter",
    ".popsection",
);

#[cfg(own_frame)]
extern "C" {
    /// Calls `function` with the six words, which are in the registers of its arguments, and returns what it does.
    fn nanostate_enter(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, function: *const ()) -> usize;
}

/// Calls a function of the program with at most six arguments.
///
/// # Safety
/// `function` takes as many integers and pointers as `words` begins with, and returns nothing or a `bool`.
#[cfg(own_frame)]
pub(super) unsafe fn through(function: *const (), words: [usize; 6]) -> bool {
    let [a, b, c, d, e, f] = words;
    // SAFETY: as the caller promises; further registers are the callee's to ignore.
    unsafe { nanostate_enter(a, b, c, d, e, f, function) as u8 != 0 }
}

/// An argument as a word of a register.
#[cfg(own_frame)]
pub(super) trait Word {
    fn word(self) -> usize;
}

#[cfg(own_frame)]
impl<T> Word for *mut T {
    fn word(self) -> usize {
        self as usize
    }
}

#[cfg(own_frame)]
impl<T> Word for *const T {
    fn word(self) -> usize {
        self as usize
    }
}

#[cfg(own_frame)]
impl Word for bool {
    fn word(self) -> usize {
        self as usize
    }
}

#[cfg(own_frame)]
impl Word for i32 {
    fn word(self) -> usize {
        self as usize
    }
}

/// What a function returns: nothing, or a `bool`.
#[cfg(not(own_frame))]
pub(super) trait Returned {
    fn returned(self) -> bool;
}

#[cfg(not(own_frame))]
impl Returned for () {
    fn returned(self) -> bool {
        false
    }
}

#[cfg(not(own_frame))]
impl Returned for bool {
    fn returned(self) -> bool {
        self
    }
}

/// Calls a function of the program; a `bool` that it returns, else false. Unsafe as the function is.
macro_rules! enter {
    ($function:expr, $($argument:expr),+) => {{
        #[cfg(own_frame)]
        {
            let mut words = [0; 6];
            for (place, word) in words.iter_mut().zip([$($crate::ffi::enter::Word::word($argument)),+]) {
                *place = word;
            }
            $crate::ffi::enter::through($function as *const (), words)
        }
        #[cfg(not(own_frame))]
        {
            $crate::ffi::enter::Returned::returned($function($($argument),+))
        }
    }};
}
pub(super) use enter;
