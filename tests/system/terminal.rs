//! A program in a terminal: a pseudo-terminal, what the program shows in it, and keys.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::{io, ptr, thread};

use crate::support::{until, PATIENCE};

/// What the program has written, and whether it has ended.
type Output = Arc<(Mutex<(Vec<u8>, bool)>, Condvar)>;

/// A terminal, and the program in it. The program is killed when this goes.
pub struct Terminal {
    master: File,
    /// The program's side, held open so that it can be looked at behind the program's end.
    slave: File,
    child: Child,
    output: Output,
}

fn check(result: libc::c_int) {
    assert!(result >= 0, "{}", io::Error::last_os_error());
}

impl Terminal {
    /// Runs a program in a terminal of so many columns and lines, without what the environment says of nanostate.
    pub fn start(mut command: Command, size: (u16, u16)) -> Terminal {
        let (mut master, mut slave) = (0, 0);
        // SAFETY: the places for the descriptors are writable; neither a name, attributes nor a size are given.
        check(unsafe { libc::openpty(&mut master, &mut slave, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) });
        // SAFETY: the call has made both, and nobody else has them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NANOSTATE_")) {
            command.env_remove(name);
        }
        let end = || slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: both calls may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        set_size(&end(), size);
        let child = command.spawn().unwrap();
        // It holds more descriptors of the terminal.
        drop(command);
        let terminal = Terminal { master, slave, child, output: Output::default() };
        let (mut reader, output) = (terminal.master.try_clone().unwrap(), terminal.output.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let length = reader.read(&mut buffer).unwrap_or(0);
                let mut written = output.0.lock().unwrap();
                written.0.extend_from_slice(&buffer[..length]);
                written.1 |= length == 0;
                output.1.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        terminal
    }

    /// Gives the terminal another size.
    pub fn resize(&self, size: (u16, u16)) {
        set_size(&self.master, size);
    }

    /// Waits until all processes of the terminal are stopped but the first one, a shell.
    pub fn jobs_stop(&self) {
        let shell = self.child.id();
        until("the jobs are stopped", || {
            let states = fs::read_dir("/proc").unwrap().filter_map(|process| {
                let path = process.ok()?.path();
                let of: u32 = path.file_name()?.to_str()?.parse().ok()?;
                let stat = fs::read_to_string(path.join("stat")).ok()?;
                // State, parent, group, session.
                let mut words = stat.rsplit_once(") ")?.1.split(' ');
                let (state, session) = (words.next()?.to_owned(), words.nth(2)?.parse::<u32>().ok()?);
                (session == shell && of != shell).then_some(state)
            });
            let states: Vec<_> = states.collect();
            !states.is_empty() && states.iter().all(|state| state == "T")
        });
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until what was written last, a few screens of it, satisfies `wanted`.
    pub fn writes(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let (written, more) = &*self.output;
        let text = |written: &(Vec<u8>, bool)| last(&written.0);
        let waits = |written: &mut (Vec<u8>, bool)| !wanted(&text(written));
        let (written, timeout) = more.wait_timeout_while(written.lock().unwrap(), PATIENCE, waits).unwrap();
        assert!(!timeout.timed_out(), "no {what} in {:#?}", lines(&text(&written)));
    }

    /// Waits until what is shown satisfies `wanted`. Returns its lines.
    pub fn shows(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.writes(what, |text| wanted(&lines(text)));
        lines(&last(&self.output.0.lock().unwrap().0))
    }

    /// How the terminal is set: local and input flags, and the character for Ctrl-\.
    pub fn attributes(&self) -> (libc::tcflag_t, libc::tcflag_t, libc::cc_t) {
        let mut attributes = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the place for the attributes is writable.
        check(unsafe { libc::tcgetattr(self.slave.as_raw_fd(), attributes.as_mut_ptr()) });
        // SAFETY: the call has filled it in.
        let attributes = unsafe { attributes.assume_init() };
        (attributes.c_lflag, attributes.c_iflag, attributes.c_cc[libc::VQUIT])
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: a child that was not waited for.
        check(unsafe { libc::kill(self.child.id() as libc::pid_t, signal) });
    }

    /// Waits for the end of the program. Returns its exit code.
    pub fn ends(&mut self) -> Option<i32> {
        until("the program has ended", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

fn set_size(terminal: &File, (columns, lines): (u16, u16)) {
    let size = libc::winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the size lives through the call.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) });
}

/// What was written last.
fn last(written: &[u8]) -> String {
    String::from_utf8_lossy(&written[written.len().saturating_sub(16 << 10)..]).into_owned()
}

/// The lines of what was shown last as a whole, from the top of the terminal.
fn lines(written: &str) -> Vec<String> {
    let Some((whole, _)) = written.rsplit_once("\x1b[J") else { return Vec::new() };
    let Some((_, last)) = whole.rsplit_once("\x1b[H") else { return Vec::new() };
    let plain = ["\x1b[K", "\x1b[7m", "\x1b[m"].iter().fold(last.to_owned(), |text, code| text.replace(code, ""));
    plain.split("\r\n").map(|line| line.trim_end().to_owned()).collect()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
