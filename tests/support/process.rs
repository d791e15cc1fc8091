//! Child processes: their output as it comes, their input, and their end with the test's.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use super::{eventually, PATIENCE};

/// A running program. It is killed when this goes.
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Lines>,
    errors: Arc<Lines>,
    /// How far the `next_…` functions are in each stream.
    output_at: usize,
    errors_at: usize,
    /// The lines of standard error that were asked for, by their place.
    expected: Vec<usize>,
}

/// What an ended program left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// The lines behind the last that [`Process::next_line`] and [`Process::next_line_with`] gave.
    pub stdout: Vec<String>,
    /// The lines that [`Process::next_error_line_with`] did not give.
    pub stderr: Vec<String>,
}

/// The lines of one stream so far.
#[derive(Default)]
struct Lines {
    read: Mutex<Printed>,
    more: Condvar,
}

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn follow(stream: impl Read + Send + 'static) -> Arc<Lines> {
        let lines = Arc::new(Lines::default());
        let reader = Arc::clone(&lines);
        thread::spawn(move || {
            let mut stream = BufReader::with_capacity(1 << 16, stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                reader.read.lock().unwrap().lines.push(text);
                reader.more.notify_all();
            }
            reader.read.lock().unwrap().ended = true;
            reader.more.notify_all();
        });
        lines
    }

    /// Waits for the end of the stream, and gives all its lines unless that is later than `end`.
    fn whole(&self, end: Instant) -> Option<Vec<String>> {
        let read = self.read.lock().unwrap();
        let left = end.saturating_duration_since(Instant::now());
        let (read, _) = self.more.wait_timeout_while(read, left, |read| !read.ended).unwrap();
        read.ended.then(|| read.lines.clone())
    }

    fn last(&self, n: usize) -> String {
        let read = self.read.lock().unwrap();
        let shown = |line: &String| line.chars().take(200).collect::<String>();
        let from = read.lines.len().saturating_sub(n);
        read.lines[from..].iter().map(shown).collect::<Vec<_>>().join("\n")
    }
}

/// Allows this process, and its children, so many open files.
#[allow(unsafe_code)] // rlimit
pub fn allow_descriptors(count: usize) -> Result<(), String> {
    let count = count as libc::rlim_t;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit's place is writable.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } < 0 {
        return Err(format!("the limit of open files is unknown: {}", std::io::Error::last_os_error()));
    }
    if limit.rlim_max < count {
        return Err(format!("{count} open files are needed, {} are allowed: ulimit -Hn", limit.rlim_max));
    }
    limit.rlim_cur = limit.rlim_cur.max(count);
    // SAFETY: the limit lives until the call returns.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } < 0 {
        return Err(format!("cannot raise the limit of open files: {}", std::io::Error::last_os_error()));
    }
    Ok(())
}

impl Process {
    /// The memory that it shares with no other process, in bytes.
    #[cfg(target_os = "linux")]
    #[allow(dead_code, reason = "not every test program measures")]
    pub fn private_bytes(&self) -> usize {
        let map = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id())).unwrap();
        let field = |name| {
            let line = map.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
        };
        field("Private_Clean:") + field("Private_Dirty:")
    }

    /// Starts it, with pipes, and without what the environment says of nanostate.
    pub fn start(name: &str, command: &mut Command) -> Process {
        for variable in ["NANOSTATE_URL", "NANOSTATE_LOG", "NANOSTATE_TLS_CA", "NANOSTATE_TLS_PIN", "NANOSTATE_TOKEN"] {
            if !command.get_envs().any(|(set, _)| set == variable) {
                command.env_remove(variable);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Process {
            name: name.to_owned(),
            input: child.stdin.take(),
            output: Lines::follow(child.stdout.take().unwrap()),
            errors: Lines::follow(child.stderr.take().unwrap()),
            child,
            output_at: 0,
            errors_at: 0,
            expected: Vec::new(),
        }
    }

    /// As [`Process::start`], under the name of its program.
    pub fn spawn(mut command: Command) -> Process {
        let name = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
        Process::start(&name, &mut command)
    }

    pub fn run<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Process {
        let mut command = Command::new(program);
        command.args(arguments);
        Process::spawn(command)
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Writes to its standard input.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.input.as_mut().unwrap().write_all(bytes) {
            panic!("{} does not read: {error}\n{}", self.name, self.words());
        }
    }

    /// Closes its standard input.
    pub fn end_of_input(&mut self) {
        self.input = None;
    }

    /// What it has printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.read.lock().unwrap().lines.clone()
    }

    /// The lines of standard error so far.
    pub fn error_lines(&self) -> Vec<String> {
        self.errors.read.lock().unwrap().lines.clone()
    }

    /// Waits until its standard output ends, and gives all its lines.
    #[allow(dead_code, reason = "not every test program asks")]
    pub fn whole_output(&self) -> Vec<String> {
        let whole = self.output.whole(Instant::now() + PATIENCE);
        whole.unwrap_or_else(|| panic!("the output of {} did not end:\n{}", self.name, self.words()))
    }

    /// How many lines it has printed so far.
    pub fn printed(&self) -> usize {
        self.output.read.lock().unwrap().lines.len()
    }

    /// Waits for a line that satisfies `wanted`, at `*from` or later; `*from` moves behind it.
    pub fn line_from(&self, from: &mut usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.find(&self.output, from, what, wanted)
    }

    /// Waits for a line that satisfies `wanted`, now or before.
    pub fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.find(&self.output, &mut 0, what, wanted)
    }

    /// As [`Process::line`], of standard error.
    pub fn error_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.find(&self.errors, &mut 0, what, wanted)
    }

    /// The next line that it prints.
    pub fn next_line(&mut self) -> String {
        self.next("a line", |_| true)
    }

    /// The next line that it prints with `part` in it.
    pub fn next_line_with(&mut self, part: &str) -> String {
        self.next(&format!("{part:?}"), |line| line.contains(part))
    }

    fn next(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut at = self.output_at;
        let line = self.find(&self.output, &mut at, what, wanted);
        self.output_at = at;
        line
    }

    /// The next line of standard error with `part` in it. What comes before it stays for [`Ended::stderr`].
    pub fn next_error_line_with(&mut self, part: &str) -> String {
        self.next_error_line(&format!("{part:?}"), |line| line.contains(part))
    }

    /// As [`Process::next_error_line_with`], a line that satisfies `wanted`.
    pub fn next_error_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut at = self.errors_at;
        let line = self.find(&self.errors, &mut at, what, wanted);
        self.errors_at = at;
        self.expected.push(at - 1);
        line
    }

    fn find(&self, stream: &Lines, from: &mut usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut read = stream.read.lock().unwrap();
        loop {
            while let Some(line) = read.lines.get(*from) {
                *from += 1;
                if wanted(line) {
                    return line.clone();
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || read.ended {
                let why = if read.ended { "it has ended" } else { "time is up" };
                drop(read);
                panic!("{} did not print {what} ({why}):\n{}", self.name, self.words());
            }
            read = stream.more.wait_timeout(read, left).unwrap().0;
        }
    }

    /// The end of what it printed.
    pub fn words(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.output.last(5), self.errors.last(20))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `STOP`, `CONT`, `TERM`, …
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name} {}", self.name);
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("the end of {name}"), || self.child.try_wait().unwrap())
    }

    /// Closes its standard input, waits for its end, and returns the output that was not read before.
    pub fn wait(mut self) -> Ended {
        self.end_of_input();
        // Both streams end with the process.
        let end = Instant::now() + PATIENCE;
        let whole = |stream: &Lines| {
            stream.whole(end).unwrap_or_else(|| panic!("{} did not end:\n{}", self.name, self.words()))
        };
        let (stdout, stderr) = (whole(&self.output), whole(&self.errors));
        let stdout = stdout.into_iter().skip(self.output_at).collect();
        let unexpected = |(at, line)| (!self.expected.contains(&at)).then_some(line);
        let stderr = stderr.into_iter().enumerate().filter_map(unexpected).collect();
        Ended { code: self.ended().code(), stdout, stderr }
    }

    /// Stops it by a signal and waits for its end.
    pub fn stop(self, signal: &str) -> Ended {
        self.signal(signal);
        self.wait()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, with `input`.
pub fn run(command: Command, input: &[u8]) -> Ended {
    let mut process = Process::spawn(command);
    // A program that fails need not read its input.
    if let Some(stdin) = &mut process.input {
        let _ = stdin.write_all(input);
    }
    process.wait()
}
