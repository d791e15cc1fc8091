//! The terminal while a table is shown in it: another screen, keys as they are pressed, and everything as before at the
//! end, however that comes.

#![allow(unsafe_code)]

use std::io::{self, IsTerminal as _, Write as _};
use std::mem::MaybeUninit;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use nanostate::Error;

use crate::{stdio, Failure};

/// The other screen, without a cursor, on which long lines are cut.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// The same backwards.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How the terminal was, while it is different.
static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

/// The terminal, changed until this is dropped, the process ends by `exit`, or a thread panics.
pub struct Screen(());

impl Screen {
    /// Changes the terminal, which standard input and output have to be.
    pub fn enter() -> Result<Screen, Failure> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: a function without arguments, which does not unwind.
            unsafe { libc::atexit(at_exit) };
            let hook = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                hook(info);
            }));
        });
        let screen = Screen(());
        screen.begin()?;
        Ok(screen)
    }

    fn begin(&self) -> Result<(), Failure> {
        change().map_err(|error| Failure::Failed(format!("the terminal: {}", Error::words(&error))))?;
        Ok(stdio::output()?.write_all(ENTER.as_bytes())?)
    }

    /// Gives the terminal back and stops the process, as Ctrl-Z demands, until it is continued; if there is a shell that can
    /// do that.
    pub fn suspend(&self) -> Result<(), Failure> {
        if !has_shell() {
            return Ok(());
        }
        restore();
        // SAFETY: a signal that has no handler.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.begin()
    }

    /// Shows these lines from the top, and nothing below them.
    pub fn show(&self, lines: &[String]) -> io::Result<()> {
        let text = format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"));
        stdio::output()?.write_all(text.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether standard input and output are a terminal; if not, which is none.
pub fn check() -> Result<(), &'static str> {
    match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
        (_, false) => Err("standard output"),
        (false, true) => Err("standard input"),
        (true, true) => Ok(()),
    }
}

/// Whether the parent is in the same session, and has made this a job: then it is told when the process stops.
fn has_shell() -> bool {
    // SAFETY: these calls take and return numbers.
    unsafe {
        let parent = libc::getppid();
        libc::getsid(parent) == libc::getsid(0) && libc::getpgid(parent) != libc::getpgrp()
    }
}

/// How many columns and lines the terminal has.
pub fn size() -> (usize, usize) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the place for the size lives through the call.
    let known = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) } == 0;
    match (size.ws_col, size.ws_row) {
        (columns @ 1.., rows @ 1..) if known => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

fn change() -> io::Result<()> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the place for the attributes is writable.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so filled it in.
    let before = unsafe { before.assume_init() };
    let mut changed = before;
    // Keys come one by one, and are not shown. Ctrl-C and Ctrl-Z are still signals; Ctrl-S does not stop the output, nor
    // does Ctrl-\ leave the terminal as it is now.
    changed.c_lflag &= !(libc::ICANON | libc::ECHO);
    changed.c_iflag &= !(libc::IXON | libc::ICRNL);
    changed.c_cc[libc::VMIN] = 1;
    changed.c_cc[libc::VTIME] = 0;
    changed.c_cc[libc::VQUIT] = libc::_POSIX_VDISABLE;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    set(&changed)
}

fn set(attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: the attributes live through the call.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, attributes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the terminal as it was, if it is different.
fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = stdio::output().and_then(|mut out| out.write_all(LEAVE.as_bytes()));
        let _ = set(&before);
    }
}

extern "C" fn at_exit() {
    restore();
}
