//! What the command does for the programs around it: ends with the one that started it, however that ends (`--until-eof`),
//! and with the one that reads its output; and tells by the end of standard output that nothing more is printed.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, thread};

use nanostate::Error;
use signal_hook::consts::SIGTERM;
use signal_hook::low_level;

use crate::stdio::Waiting;
use crate::Failure;

/// Ends the command as SIGTERM does when nobody holds the other end of this descriptor any more.
pub fn watch(descriptor: i32) -> Result<(), Failure> {
    let cannot = |error| format!("--until-eof {descriptor}: {}", Error::words(&error));
    let mut input = inherited(descriptor).map_err(|error| Failure::Usage(cannot(error)))?;
    let watcher = move || {
        // What comes before the end means nothing, and an error is the end, too.
        let _ = io::copy(&mut input, &mut io::sink());
        log::info!("--until-eof: descriptor {descriptor} is at its end");
        let _ = low_level::raise(SIGTERM);
    };
    thread::Builder::new()
        .name("until-eof".to_owned())
        .spawn(watcher)
        .map_err(|error| Failure::Failed(cannot(error)))?;
    Ok(())
}

/// What the program that started this one left open for reading under this number.
fn inherited(descriptor: i32) -> io::Result<Waiting> {
    // SAFETY: F_GETFL takes no argument, and fails where nothing is open.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::O_ACCMODE == libc::O_WRONLY {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and nothing here closes what it has inherited.
    Waiting::of(&unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Calls `tell`, in a thread, when nobody reads standard output any more, if that is a pipe or a socket: a command that has
/// nothing to print would not notice.
pub fn on_output_closed(tell: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let watcher = move || {
        let mut polled = libc::pollfd { fd: libc::STDOUT_FILENO, events: 0, revents: 0 };
        loop {
            // SAFETY: it is one structure, and lives through the call.
            match unsafe { libc::poll(&mut polled, 1, -1) } {
                1.. if polled.revents & (libc::POLLERR | libc::POLLHUP) != 0 => return tell(),
                0.. => return,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    };
    let started = thread::Builder::new().name("output".to_owned()).spawn(watcher);
    started.map(drop).map_err(|error| Failure::Failed(format!("standard output: {}", Error::words(&error))))
}

/// Lets the readers of standard output come to its end. Its number stays in use, so that nothing that is opened later
/// becomes standard output.
pub fn end_output() -> io::Result<()> {
    let nothing = File::options().write(true).open("/dev/null")?;
    // SAFETY: it takes two numbers, and what is open under the second is nobody's object.
    match unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDOUT_FILENO) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
