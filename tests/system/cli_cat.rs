//! `nanostate cat`, which becomes another program: one beside it, or one in PATH. Here that is `echo`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{build, run, Ended};

/// The command alone in a directory of this name.
fn alone(name: &str) -> PathBuf {
    let dir = build::scratch(name);
    let command = dir.join("nanostate");
    let _ = fs::remove_file(&command);
    // A link of this kind is in its directory; nothing is written that is run.
    fs::hard_link(env!("CARGO_BIN_EXE_nanostate"), &command).unwrap();
    command
}

/// Puts `echo` under the name of the other program into a directory.
fn put_echo(dir: &Path) {
    let program = dir.join("nanostate-cat");
    let _ = fs::remove_file(&program);
    symlink("/bin/echo", program).unwrap();
}

fn cat(command: &Path, path: impl AsRef<OsStr>, arguments: &[&str]) -> Ended {
    let mut command = Command::new(command);
    command.arg("cat").args(arguments).env("PATH", path);
    run(command, b"")
}

#[test]
fn the_program_beside_the_command_gets_all_arguments() {
    let command = alone("cat-beside");
    put_echo(command.parent().unwrap());
    let ended = cat(&command, "/nowhere", &["--sub", "-Q", "--dial", "tcp://127.0.0.1:1", "--help", "--version"]);
    assert_eq!(ended.stdout, ["--sub -Q --dial tcp://127.0.0.1:1 --help --version"]);
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn the_program_in_the_path_is_found_and_its_exit_code_kept() {
    let command = alone("cat-in-path");
    let dir = build::scratch("cat-path");
    put_echo(&dir);
    let ended = cat(&command, &dir, &["-x", "a b"]);
    assert_eq!((ended.code, ended.stdout), (Some(0), vec!["-x a b".to_owned()]));
    fs::remove_file(dir.join("nanostate-cat")).unwrap();
    symlink("/bin/false", dir.join("nanostate-cat")).unwrap();
    assert_eq!(cat(&command, &dir, &[]).code, Some(1));
}

#[test]
fn without_the_program_the_command_says_how_to_get_it() {
    let ended = cat(&alone("cat-missing"), "/nowhere", &["--sub"]);
    let words = "nanostate: nanostate-cat is neither beside this program nor in PATH";
    assert!(ended.code == Some(1) && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr[0].starts_with(words) && ended.stderr[0].contains("NANOSTATE_CAT=ON"), "{ended:?}");
}
