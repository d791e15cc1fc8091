//! Processes of nanostate-cat and of nanocat, and what the tests of the workspace share.

// Not all of what is shared is used here.
#![allow(dead_code)]

#[path = "../../../../tests/support/basics.rs"]
mod basics;
#[path = "../../../../tests/support/process.rs"]
mod process;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

pub use basics::{eventually, TempDir, Transport, PATIENCE};
pub use process::{run, Ended, Process};

/// The top of the project.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// nanostate-cat with these arguments.
pub fn cat<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanostate-cat"));
    command.args(arguments);
    command
}

/// The same, with what is in one text, by words.
pub fn cat_words(words: &str) -> Command {
    cat(words.split(' '))
}

/// nanocat, which `scripts/setup test` installs.
pub fn nanocat(words: &str) -> Command {
    let mut command = Command::new("nanocat");
    command.args(words.split(' '));
    command
}

/// Runs to its end, which has to be a success without complaints.
pub fn lines(command: Command) -> Vec<String> {
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && complaints(&ended).is_empty(), "{ended:?}");
    ended.stdout
}

/// What it said, without that it waits for an address (on a busy machine the other side may listen later), and without
/// what `--verbose` adds.
pub fn complaints(ended: &Ended) -> Vec<&str> {
    let usual = |line: &&str| {
        line.ends_with("; waiting for it")
            || ["listening on ", "a peer came; ", "a peer went; "].iter().any(|words| line.contains(words))
    };
    ended.stderr.iter().map(String::as_str).filter(|line| !usual(line)).collect()
}

/// Runs to its end; its exit code and its last words.
pub fn failure(command: Command) -> (Option<i32>, String) {
    let ended = run(command, b"");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let words = complaints(&ended).last().map(|words| (*words).to_owned());
    (ended.code, words.unwrap_or_default())
}

/// What it writes to standard output, as bytes.
pub fn bytes(mut command: Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Starts nanostate-cat, which listens; where.
pub fn listening(words: &str, url: &str) -> (Process, String) {
    let mut process = Process::spawn(cat_words(&format!("{words} --verbose --listen {url}")));
    let line = process.next_error_line_with("listening on ");
    let (_, url) = line.split_once("listening on ").unwrap();
    (process, url.to_owned())
}
