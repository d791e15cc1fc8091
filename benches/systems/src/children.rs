//! Child processes: hubs, and the clients that a figure sends orders to. None outlives this process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::calls::Counter;
use crate::cores::Core;
use crate::order::{Answer, Job, Line, Order};
use crate::system::{Place, Result, System};

/// No answer takes longer, or the child is stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Lines of a child's last words that make an error.
const LAST_WORDS: usize = 6;

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it, on one core if there is one; what it says on standard error goes to a file in `directory`, and
    /// standard output too unless it is set. To be called in the main thread: the child is killed when the thread that
    /// started it ends.
    pub fn spawn(
        mut command: Command,
        name: &str,
        directory: &Path,
        output: Option<Stdio>,
        core: Option<Core>,
    ) -> Result<Process> {
        let failed = |error: io::Error| format!("cannot start {name} ({:?}): {error}", command.get_program());
        let log = directory.join(format!("{}.log", name.replace([' ', '/'], "-")));
        let file = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let output = match output {
            Some(output) => output,
            None => file.try_clone().map_err(failed)?.into(),
        };
        let input = if name == HUB { Stdio::null() } else { Stdio::piped() };
        let parent = std::process::id() as libc::pid_t;
        command.stdin(input).stdout(output).stderr(file);
        // SAFETY: all calls are async-signal-safe, and nothing is allocated between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                    return Err(io::Error::last_os_error());
                }
                // The parent may have ended before.
                if libc::getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                core.map_or(Ok(()), |core| core.take())
            });
        }
        let child = command.spawn().map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::NotFound { " (not installed?)" } else { "" };
            format!("cannot start {name} ({:?}): {error}{hint}", command.get_program())
        })?;
        Ok(Process { child, name: name.to_string(), log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended and what it said last, once it has ended.
    pub fn epitaph(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.words(status))
    }

    /// Ends it; how it ended, and what it said last.
    pub fn end(&mut self) -> String {
        // It may have ended already.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => self.words(status),
            Err(error) => format!("{}: {error}", self.name),
        }
    }

    /// Its standard output, if that is a pipe that nobody has taken.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    fn words(&self, status: ExitStatus) -> String {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (_, Some(code)) => format!("ended with exit code {code}"),
            _ => "ended".to_string(),
        };
        let said = self.last_words();
        let colon = if said.is_empty() { "" } else { ": " };
        format!("{} {how}{colon}{said}", self.name)
    }

    fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("; ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name of a hub's process.
const HUB: &str = "hub";

/// A process of clients, and their answers that have not been read yet.
struct Host {
    process: Process,
    input: ChildStdin,
    lines: Receiver<io::Result<String>>,
    heard: VecDeque<Line<Answer>>,
}

impl Host {
    fn spawn(system: &dyn System, place: &Place, jobs: &[Job], core: Option<Core>) -> Result<Host> {
        let program = std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
        let mut command = Command::new(program);
        command.args(["client", system.name(), "--directory"]).arg(&place.directory);
        command.args(["--port", &place.port.to_string()]).args(jobs.iter().map(|job| job.name()));
        let name = jobs.first().map_or("client", |job| job.name());
        let mut process = Process::spawn(command, name, &place.directory, Some(Stdio::piped()), core)?;
        let (Some(input), Some(output)) = (process.child.stdin.take(), process.take_output()) else {
            return Err(format!("{name} has no pipes"));
        };
        let (sender, lines) = mpsc::channel();
        // Ends with the child, which is killed at the latest when the receiver goes.
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Host { process, input, lines, heard: VecDeque::new() })
    }

    fn tell(&mut self, job: usize, order: Order) -> Result<()> {
        let mut line = serde_json::to_string(&Line { job, says: order }).map_err(|e| e.to_string())?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).map_err(|error| self.gone(&error.to_string()))
    }

    /// Waits for an answer of one job; none within the time.
    fn hear(&mut self, job: usize, patience: Duration) -> Result<Option<Answer>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.heard.iter().position(|line| line.job == job) {
                return Ok(self.heard.remove(at).map(|line| line.says));
            }
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Ok(line)) => {
                    let unknown = |e| format!("{} says {line:?}: {e}", self.process.name);
                    self.heard.push_back(serde_json::from_str(&line).map_err(unknown)?);
                }
                Ok(Err(error)) => return Err(self.gone(&error.to_string())),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone("its output is closed")),
            }
        }
    }

    /// Why there is nothing to hear any more.
    fn gone(&mut self, error: &str) -> String {
        format!("{} ({error})", self.process.end())
    }
}

/// A client in a child process.
pub struct Actor {
    host: Rc<RefCell<Host>>,
    index: usize,
    job: Job,
}

impl Actor {
    /// Sends an order.
    pub fn tell(&self, order: Order) -> Result<()> {
        self.host.borrow_mut().tell(self.index, order)
    }

    /// Waits for an answer, or for the time; a failure of the client is an error.
    pub fn hear_within(&self, patience: Duration) -> Result<Option<Answer>> {
        match self.host.borrow_mut().hear(self.index, patience)? {
            Some(Answer::Failed { text }) => Err(format!("{}: {text}", self.job.name())),
            answer => Ok(answer),
        }
    }

    /// Waits for an answer.
    pub fn hear(&self) -> Result<Answer> {
        self.hear_within(PATIENCE)?
            .ok_or_else(|| format!("{} has not answered for {} s", self.job.name(), PATIENCE.as_secs()))
    }

    /// Waits until it has carried out its order.
    pub fn ready(&self) -> Result<()> {
        match self.hear()? {
            Answer::Ready => Ok(()),
            answer => Err(self.unexpected(&answer)),
        }
    }

    /// An answer that does not belong to its order.
    pub fn unexpected(&self, answer: &Answer) -> String {
        format!("{} answers {answer:?}", self.job.name())
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.host.borrow().process.id()
    }
}

/// The hub of a system, where its clients find it.
pub struct Stage<'a> {
    system: &'a dyn System,
    place: Place,
    hub: Option<RefCell<Process>>,
    core: Option<Core>,
}

impl<'a> Stage<'a> {
    /// Starts the hub, if it has a process of its own.
    pub fn new(system: &'a dyn System, place: Place) -> Result<Stage<'a>> {
        Stage::on(None, system, place)
    }

    /// As [`Stage::new`], with the hub and all clients on one core.
    pub fn pinned(system: &'a dyn System, place: Place) -> Result<Stage<'a>> {
        Stage::on(Some(Core::last()?), system, place)
    }

    fn on(core: Option<Core>, system: &'a dyn System, place: Place) -> Result<Stage<'a>> {
        let hub = match system.hub(&place) {
            Some(command) => Some(RefCell::new(Process::spawn(command?, HUB, &place.directory, None, core)?)),
            None => None,
        };
        Ok(Stage { system, place, hub, core })
    }

    /// The hub's process id.
    pub fn hub(&self) -> Result<u32> {
        let hub = self.hub.as_ref().ok_or_else(|| format!("the hub of {} is no process", self.system.name()))?;
        Ok(hub.borrow().id())
    }

    /// Counts the system calls of a client.
    pub fn counter(&self, client: &Actor) -> Result<Counter> {
        Counter::start(client.id(), &self.place.directory)
    }

    /// Starts clients and waits until they are connected: each in a process of its own, or all in one if the hub has
    /// none.
    pub fn clients(&self, jobs: &[Job]) -> Result<Vec<Actor>> {
        if self.hub.is_none() {
            return self.together(jobs);
        }
        let mut actors = Vec::new();
        for job in jobs {
            actors.extend(self.together(&[*job])?);
        }
        Ok(actors)
    }

    /// Starts clients in one process and waits until they are connected.
    pub fn together(&self, jobs: &[Job]) -> Result<Vec<Actor>> {
        let host = Rc::new(RefCell::new(self.explain(Host::spawn(self.system, &self.place, jobs, self.core))?));
        let actor = |(index, job): (usize, &Job)| Actor { host: host.clone(), index, job: *job };
        let actors: Vec<Actor> = jobs.iter().enumerate().map(actor).collect();
        for actor in &actors {
            self.explain(actor.ready())?;
        }
        Ok(actors)
    }

    /// Says of a failure that the hub has ended, if it has.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match self.hub.as_ref().and_then(|hub| hub.borrow_mut().epitaph()) {
            Some(epitaph) => format!("{epitaph} ({error})"),
            None => error,
        })
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // The hub first: what it writes to its log when clients go is of no use.
        self.hub = None;
        // What cannot be removed goes with the directory of the run.
        let _ = fs::remove_dir_all(&self.place.directory);
    }
}
