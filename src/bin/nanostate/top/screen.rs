//! The terminal while a table is shown in it: another screen, keys as they are pressed, and everything as before at the
//! end, however that comes.

#![allow(unsafe_code)]

use std::io::{self, IsTerminal as _, Write as _};
use std::mem::MaybeUninit;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

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

    /// Restores the terminal and stops the process, as Ctrl-Z demands, until it is continued. The system ignores the stop if
    /// no shell could continue the process.
    pub fn suspend(&self) -> Result<(), Failure> {
        restore();
        stop();
        self.begin()
    }

    /// Shows these lines from the top, and nothing below them. Does nothing if the terminal is restored already, because a
    /// thread has panicked.
    pub fn show(&self, lines: &[String]) -> io::Result<()> {
        if BEFORE.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(());
        }
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

/// Does what SIGTSTP does to a program that does not handle it. Returns when the process goes on.
fn stop() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros are the default action; the places for actions live through the calls, which touch no other signal.
    unsafe {
        let default = action.assume_init();
        if libc::sigaction(libc::SIGTSTP, &default, action.as_mut_ptr()) == 0 {
            libc::raise(libc::SIGTSTP);
            libc::sigaction(libc::SIGTSTP, action.as_ptr(), std::ptr::null_mut());
        }
    }
}

/// Whether a key comes from standard input within this time.
pub fn has_key(within: Duration) -> bool {
    let mut input = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one element, for the length of the call.
        match unsafe { libc::poll(&mut input, 1, within.as_millis() as libc::c_int) } {
            // A signal: the time begins anew, which is short.
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            ready => return ready > 0,
        }
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

/// Restores the terminal, if it was changed.
fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = stdio::output().and_then(|mut out| out.write_all(LEAVE.as_bytes()));
        // The shell may have the terminal already, if another process of the same job has stopped.
        let _ = in_background(|| set(&before));
    }
}

/// Runs `change`, which changes the terminal, without being stopped by SIGTTOU if another program has the terminal.
fn in_background<T>(change: impl FnOnce() -> T) -> T {
    let (mut blocked, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the places for sets of signals live through the calls, of which the first fills one in.
    unsafe {
        libc::sigemptyset(blocked.as_mut_ptr());
        libc::sigaddset(blocked.as_mut_ptr(), libc::SIGTTOU);
        let is_blocked = libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr()) == 0;
        let changed = change();
        if is_blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
        changed
    }
}

extern "C" fn at_exit() {
    restore();
}
