//! What those need who package nanostate: manual pages, completions, what the static library links, and the notices of
//! what is inside.
#![cfg(feature = "cli")]

mod common;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{nanostate, run, TempDir};

/// What a command that has to succeed prints.
fn output(command: Command) -> String {
    let ended = run(command, b"");
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    ended.stdout.join("\n")
}

/// The first words of the lines of a section of `--help`, up to the next empty line.
fn listed(help: &str, section: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.is_empty());
    let words = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(str::to_owned).collect();
    assert!(!words.is_empty(), "no {section} in {help}");
    words
}

/// The subcommands that `nanostate --help` names.
fn subcommands() -> Vec<String> {
    listed(&output(nanostate(["--help"])), "Commands:").into_iter().filter(|name| name != "help").collect()
}

/// The long options of a subcommand, as its `--help` lists them.
fn options(subcommand: &str) -> Vec<String> {
    let help = output(nanostate([subcommand, "--help"]));
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let options = lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")));
    let options: Vec<_> = options.map(str::to_owned).collect();
    assert!(options.contains(&"--help".to_owned()), "{help}");
    options
}

/// The manual pages, as they are installed.
fn pages() -> TempDir {
    let dir = TempDir::new();
    assert_eq!(output(nanostate([Path::new("man"), dir.path()])), "");
    dir
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = pages();
    let mut expected: Vec<_> = subcommands().iter().map(|name| format!("nanostate-{name}.1")).collect();
    expected.push("nanostate.1".to_owned());
    expected.sort();
    let mut written: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    written.sort();
    assert_eq!(written, expected);
}

#[test]
fn the_manual_pages_name_every_option_and_the_version() {
    let dir = pages();
    for subcommand in subcommands() {
        let page = fs::read_to_string(dir.path().join(format!("nanostate-{subcommand}.1"))).unwrap();
        assert!(page.contains(concat!("nanostate ", env!("CARGO_PKG_VERSION"))), "{page}");
        for option in options(&subcommand) {
            assert!(page.contains(&option.replace('-', "\\-")), "{option}: {page}");
        }
    }
    let page = fs::read_to_string(dir.path().join("nanostate.1")).unwrap();
    assert!(page.contains("NANOSTATE_URL") && page.contains("Exit codes"), "{page}");
}

#[test]
fn a_directory_that_is_not_there_gets_no_manual_pages() {
    let dir = TempDir::new();
    let missing = dir.path().join("missing");
    let ended = run(nanostate([Path::new("man"), &missing]), b"");
    let words = format!("nanostate: {}: No such file or directory", missing.display());
    assert!(ended.code == Some(1) && ended.stderr.len() == 1 && ended.stderr[0].starts_with(&words), "{ended:?}");
}

/// What bash offers after `nanostate` and these words, with the script that is installed.
fn offered(words: &[&str]) -> Vec<String> {
    let script = output(nanostate(["completions", "bash"]));
    let complete = format!(
        "{script}\nset -- {}\nCOMP_WORDS=(nanostate \"$@\")\nCOMP_CWORD=$#\n\
         _nanostate nanostate \"${{!#}}\" \"${{COMP_WORDS[$#-1]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" ")
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &complete]);
    output(bash).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    for subcommand in subcommands() {
        assert!(offered(&["''"]).contains(&subcommand), "{subcommand}");
        assert_eq!(offered(&[&subcommand[..subcommand.len() - 1]]), [subcommand.as_str()]);
        let offered = offered(&[&subcommand, "--"]);
        for option in options(&subcommand) {
            assert!(offered.contains(&option), "{subcommand} {option}: {offered:?}");
        }
    }
    assert_eq!(offered(&["send", "--type", "d"]), ["double"]);
}

#[test]
fn the_scripts_of_zsh_and_fish_name_every_command() {
    for (shell, first) in [("zsh", "#compdef nanostate"), ("fish", "")] {
        let script = output(nanostate(["completions", shell]));
        assert!(script.starts_with(first), "{script}");
        for subcommand in subcommands() {
            assert!(script.contains(&subcommand), "{shell} {subcommand}: {script}");
        }
    }
}

#[test]
fn an_unknown_shell_is_refused() {
    let ended = run(nanostate(["completions", "nosuchshell"]), b"");
    assert!(ended.code == Some(2) && ended.stderr[0].contains("nosuchshell"), "{ended:?}");
}

#[test]
fn the_package_names_the_system_libraries_that_the_toolchain_reports() {
    let (mut cargo, _) = common::cargo_library("rustc");
    cargo.args(["--crate-type", "staticlib", "--color", "never", "--", "--print", "native-static-libs"]);
    let words = String::from_utf8(common::run(&mut cargo).stderr).unwrap();
    let reported = words.lines().find_map(|line| line.strip_prefix("note: native-static-libs: "));
    let reported = reported.unwrap_or_else(|| panic!("not reported: {words}"));
    // Every compiler links these by itself.
    let needed: Vec<_> = reported.split(' ').filter(|library| !["-lc", "-lgcc_s"].contains(library)).collect();
    assert_eq!(common::system_libraries(), needed);
}

/// `cargo metadata`'s entry of the crate that brings NNG.
fn nng_crate() -> serde_json::Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", env!("NANOSTATE_TARGET"), "--manifest-path"]);
    let text = common::run(cargo.arg(common::root().join("Cargo.toml"))).stdout;
    let mut metadata: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let packages = metadata["packages"].as_array_mut().unwrap();
    packages.iter_mut().find(|package| package["name"] == "nng-sys").expect("nanostate depends on nng-sys").take()
}

#[test]
fn the_notices_of_nng_are_those_of_the_nng_inside() {
    let notices = fs::read_to_string(common::root().join("THIRD-PARTY.md")).unwrap();
    let nng = nng_crate();
    // The crate's version, and behind a plus NNG's.
    let (own, inside) = nng["version"].as_str().unwrap().split_once('+').unwrap();
    let versions = format!("NNG {inside}, <https://nng.nanomsg.org>, built from the source in the crate nng-sys {own}");
    assert!(notices.contains(&versions), "not in THIRD-PARTY.md: {versions}");
    let sources = Path::new(nng["manifest_path"].as_str().unwrap()).parent().unwrap();
    for file in ["nng/LICENSE.txt", "LICENSE"] {
        let licence = fs::read_to_string(sources.join(file)).unwrap();
        assert!(notices.contains(licence.trim()), "not in THIRD-PARTY.md: {file} of nng-sys");
    }
}
