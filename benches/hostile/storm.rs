//! The process of the attackers: how it is started, and what an attack in it knows.

use std::io::{self, BufRead as _};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::attacks;
use crate::hub::{ended_with_us, Addresses, Hub};
use crate::support::Process;

/// The first argument of the process of attackers.
pub const ATTACK: &str = "attack";

/// Attackers give way to the hub and the honest pair on the same machine; elsewhere they would have processors of their
/// own.
const NICE: i32 = 19;
/// An attacker that was cut off waits so long before it comes again.
const AGAIN: Duration = Duration::from_millis(10);
/// The stack of an attacker's thread.
const STACK: usize = 256 << 10;

/// The lines between the two processes.
const READY: &str = "ready";
const BEGIN: &str = "begin";
const DID: &str = "did ";

/// The attackers, in a process of their own. They end with it.
pub struct Attackers(Process);

impl Attackers {
    /// Starts the attack, and waits until it has filled the table as it needs.
    pub fn prepare(name: &str, hub: &Hub) -> Attackers {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args([ATTACK, name]).args(hub.addresses.all());
        ended_with_us(&mut command);
        let mut process = Process::start(name, &mut command);
        process.next_line_with(READY);
        Attackers(process)
    }

    /// Begins the storm.
    pub fn begin(&mut self) {
        self.0.tell(BEGIN);
    }

    /// Ends the storm, and says how often it struck and how many connections the hub cut.
    pub fn end(mut self) -> String {
        self.0.end_of_input();
        let line = self.0.next_line_with(DID);
        line.trim_start_matches(DID).to_owned()
    }
}

/// What an attack knows of its own process.
#[derive(Clone)]
pub struct Storm {
    on: Arc<AtomicBool>,
    struck: Arc<AtomicU64>,
    cut: Arc<AtomicU64>,
}

impl Storm {
    /// The table is as the attack needs it: waits for the word to begin.
    pub fn begins(&self) {
        println!("{READY}");
        let mut line = String::new();
        // The benchmark may have ended.
        if !matches!(io::stdin().lock().read_line(&mut line), Ok(1..)) {
            std::process::exit(0);
        }
        let on = Arc::clone(&self.on);
        thread::spawn(move || {
            let _ = io::stdin().lock().read_line(&mut String::new());
            on.store(false, Ordering::Relaxed);
        });
    }

    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Counts what the attack does.
    pub fn strike(&self, n: u64) {
        self.struck.fetch_add(n, Ordering::Relaxed);
    }

    /// Sleeps, unless the storm ends before.
    pub fn wait(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(50);
        let mut left = time;
        while self.is_on() && !left.is_zero() {
            thread::sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
        }
    }

    /// Has so many threads do this again and again until the storm is over. A connection that breaks ends one attempt
    /// and is counted.
    pub fn crowd(&self, n: usize, attempt: impl Fn(usize) -> io::Result<()> + Send + Sync + 'static) {
        let attempt = Arc::new(attempt);
        for i in 0..n {
            let (storm, attempt) = (self.clone(), Arc::clone(&attempt));
            let work = move || {
                while storm.is_on() {
                    if attempt(i).is_err() && storm.is_on() {
                        storm.cut.fetch_add(1, Ordering::Relaxed);
                        storm.wait(AGAIN);
                    }
                }
            };
            thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread for each attacker");
        }
        while self.is_on() {
            self.wait(Duration::from_secs(1));
        }
    }
}

/// Is the process of attackers: `arguments` are the name of the attack and the addresses of the hub.
pub fn attack(arguments: &[String]) -> Result<(), String> {
    let attack = arguments.first().and_then(|name| attacks::ALL.iter().find(|attack| attack.name == *name));
    let (Some(attack), Some(addresses)) = (attack, Addresses::parse(arguments.get(1..).unwrap_or_default())) else {
        return Err("expected an attack and the addresses of the hub".to_owned());
    };
    // SAFETY: the call has no requirements. It fails only without a right that is not needed to give way.
    unsafe { libc::nice(NICE) };
    let storm = Storm { on: Arc::new(AtomicBool::new(true)), struck: Arc::default(), cut: Arc::default() };
    (attack.run)(&addresses, &storm).map_err(|error| format!("{}: {error}", attack.name))?;
    let (struck, cut) = (storm.struck.load(Ordering::Relaxed), storm.cut.load(Ordering::Relaxed));
    println!("{DID}{struck} {cut}");
    // Threads may still wait for the hub.
    std::process::exit(0);
}
