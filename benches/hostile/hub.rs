//! The hub that is attacked: `nanostate hub` as a process of its own, and what the system says of its memory.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nanostate::limits;

use crate::support::{nanostate, Process, TempDir};

/// The limit of all that the hub holds, in bytes: as it is by default.
pub const MEMORY: u64 = 2 * limits::TABLE_BYTES as u64;

/// Where the hub listens.
#[derive(Clone)]
pub struct Addresses {
    pub tcp: String,
    pub ipc: String,
    pub rep: String,
    pub ws: String,
}

impl Addresses {
    pub fn all(&self) -> [&str; 4] {
        [&self.tcp, &self.ipc, &self.rep, &self.ws]
    }

    /// Reads what [`Addresses::all`] gave.
    pub fn parse(all: &[String]) -> Option<Addresses> {
        let [tcp, ipc, rep, ws] = all else { return None };
        Some(Addresses { tcp: tcp.clone(), ipc: ipc.clone(), rep: rep.clone(), ws: ws.clone() })
    }
}

/// Has the kernel kill the process when this one ends, however it ends. To be called in the main thread.
pub fn ended_with_us(command: &mut Command) {
    let parent = std::process::id() as libc::pid_t;
    let ask = move || {
        // SAFETY: both calls are async-signal-safe, and nothing is allocated between fork and exec.
        let (asked, now) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
        // The parent may have ended before.
        if asked < 0 || now != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: see inside.
    unsafe { command.pre_exec(ask) };
}

/// A hub, which is killed when this goes.
pub struct Hub {
    process: Process,
    pub addresses: Addresses,
    _dir: TempDir,
}

impl Hub {
    /// Starts one with the default options.
    pub fn start() -> Hub {
        let dir = TempDir::new();
        let urls = ["tcp://127.0.0.1:0", &dir.ipc(), "rep+tcp://127.0.0.1:0", "ws://127.0.0.1:0/ws"];
        let mut command = nanostate(["hub"]);
        command.args(["--memory", &MEMORY.to_string()]).args(urls.iter().flat_map(|url| ["--listen", url]));
        ended_with_us(&mut command);
        let mut process = Process::start("hub", &mut command);
        let mut address = || {
            let line = process.next_line_with("listening on ");
            line.trim_start_matches("listening on ").to_owned()
        };
        let addresses = Addresses { tcp: address(), ipc: address(), rep: address(), ws: address() };
        Hub { process, addresses, _dir: dir }
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it said last.
    pub fn words(&self) -> String {
        self.process.words()
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS")
    }

    /// The most that it had resident so far, in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM")
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    }

    /// How many states it says that it holds.
    pub fn states(&mut self) -> u64 {
        self.process.signal("USR1");
        let line = self.process.next_error_line_with(" states held");
        let words: Vec<&str> = line.split_whitespace().collect();
        words
            .windows(3)
            .find_map(|words| (words[1..] == ["states", "held,"]).then(|| words[0].parse().ok())?)
            .unwrap_or(0)
    }
}
