//! Counts the system calls of another process between two marks of its own, by ptrace(2).
//!
//! The counter is a process: it is the tracer of every thread of a client, and stops each at each call, which makes the
//! client slower. So calls are counted in trips of their own.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::mem::{size_of, MaybeUninit};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::children::Process;
use crate::system::Result;

/// What the counter says once it sees every call.
const READY: &str = "ready";

/// With this signal a thread stops at a call: PTRACE_O_TRACESYSGOOD.
const AT_CALL: i32 = libc::SIGTRAP | 0x80;
/// PTRACE_EVENT_STOP, which libc does not have for every C library.
const EVENT_STOP: i32 = 128;

/// Begins what is counted, and ends it: a call that nothing else makes.
pub fn mark() {
    // SAFETY: takes nothing, and cannot fail.
    unsafe { libc::getppid() };
}

/// Lets the counter trace this process, where the kernel only lets parents.
pub fn allow() {
    // SAFETY: no memory is passed. A kernel without such a rule does not know the option, and needs none.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::MAX, 0, 0, 0) };
}

/// The counter of a client.
pub struct Counter {
    process: Process,
    lines: BufReader<std::process::ChildStdout>,
}

impl Counter {
    /// Starts it, and returns once it sees every call of the process.
    pub fn start(pid: u32, directory: &Path) -> Result<Counter> {
        let program = std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
        let mut command = Command::new(program);
        command.args(["count-calls", &pid.to_string()]);
        let mut process = Process::spawn(command, "counter", directory, Some(Stdio::piped()), None)?;
        let output = process.take_output().ok_or("the counter has no pipe")?;
        let mut counter = Counter { process, lines: BufReader::new(output) };
        match counter.line()?.as_str() {
            READY => Ok(counter),
            line => Err(format!("the counter says {line:?}")),
        }
    }

    /// The calls between the marks, once the second one was there.
    pub fn count(mut self) -> Result<u64> {
        let line = self.line()?;
        line.parse().map_err(|e| format!("the counter says {line:?}: {e}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).map_err(|e| format!("cannot hear the counter: {e}"))?;
        match read {
            0 => Err(self.process.end()),
            _ => Ok(line.trim_end().to_string()),
        }
    }
}

/// Is the counter of a process.
pub fn serve_counter(pid: u32) -> Result<()> {
    // Threads that have not stopped for the first time.
    let mut expected = seize(pid)?;
    let (mut ready, mut counting, mut count) = (false, false, 0u64);
    loop {
        let mut status = 0;
        // SAFETY: the status is writable. This process has no children: all that it waits for are traced threads.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        if tid < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(format!("process {pid} has ended: {error}"));
        }
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let mut deliver = 0;
        if signal == AT_CALL {
            match call(tid) {
                Some(libc::SYS_getppid) if counting => {
                    println!("{count}");
                    // The end of the tracer lets all threads go on.
                    return Ok(());
                }
                Some(libc::SYS_getppid) => counting = true,
                Some(_) => count += u64::from(counting),
                None => {}
            }
        } else if event == 0 {
            deliver = signal;
        } else if event == EVENT_STOP {
            expected = expected.saturating_sub(1);
        }
        // A thread that has been killed meanwhile is reported by the next wait.
        request(libc::PTRACE_SYSCALL, tid, deliver as usize);
        if expected == 0 && !ready {
            println!("{READY}");
            io::stdout().flush().map_err(|e| format!("nobody hears: {e}"))?;
            ready = true;
        }
    }
}

/// Stops every thread that a process has; returns how many there are.
fn seize(pid: u32) -> Result<usize> {
    let directory = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&directory).map_err(|e| format!("cannot read {directory}: {e}"))?;
    let mut count = 0;
    for task in tasks.flatten() {
        let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Threads that are started later are traced from their start.
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;
        if request(libc::PTRACE_SEIZE, tid, options as usize) < 0 {
            return Err(format!("cannot trace thread {tid}: {}", io::Error::last_os_error()));
        }
        request(libc::PTRACE_INTERRUPT, tid, 0);
        count += 1;
    }
    Ok(count)
}

/// The call that a thread begins; none where it returns from one.
fn call(tid: libc::pid_t) -> Option<libc::c_long> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    // SAFETY: the place has that size, and is writable.
    let size = unsafe {
        let size = size_of::<libc::ptrace_syscall_info>();
        libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, info.as_mut_ptr())
    };
    // SAFETY: zeros are numbers, as is what the kernel has written.
    let info = unsafe { info.assume_init() };
    if size <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: that is what the union holds at the entry.
    Some(unsafe { info.u.entry.nr } as libc::c_long)
}

/// A request that takes a number.
fn request(request: libc::c_uint, tid: libc::pid_t, data: usize) -> libc::c_long {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: none of the requests here reads or writes memory of this process.
    unsafe { libc::ptrace(request, tid, none, data as *mut libc::c_void) }
}
