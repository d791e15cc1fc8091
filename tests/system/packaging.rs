//! What those need who package nanostate: manual pages, completions, what the static library links, the notices of what
//! is inside, and an installation that builds nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::build;
use crate::support::{nanostate, run, Ended, TempDir};

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

/// The subcommands that `nanostate --help` names, without those of other programs: `cat` is one of its own.
fn subcommands() -> Vec<String> {
    let names = listed(&output(nanostate(["--help"])), "Commands:").into_iter();
    names.filter(|name| !["help", "cat"].contains(&name.as_str())).collect()
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
    let _one_at_a_time = build::building();
    let (mut cargo, _) = build::cargo_library("rustc");
    cargo.args(["--crate-type", "staticlib", "--color", "never", "--", "--print", "native-static-libs"]);
    let words = String::from_utf8(build::run(&mut cargo).stderr).unwrap();
    let reported = words.lines().find_map(|line| line.strip_prefix("note: native-static-libs: "));
    let reported = reported.unwrap_or_else(|| panic!("not reported: {words}"));
    // Every compiler links these by itself.
    let needed: Vec<_> = reported.split(' ').filter(|library| !["-lc", "-lgcc_s"].contains(library)).collect();
    assert_eq!(build::system_libraries(), needed);
}

/// `cargo metadata`'s entry of a crate.
fn crate_entry(name: &str) -> serde_json::Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", env!("NANOSTATE_TARGET"), "--manifest-path"]);
    let text = build::run(cargo.arg(build::root().join("Cargo.toml"))).stdout;
    let mut metadata: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let packages = metadata["packages"].as_array_mut().unwrap();
    packages.iter_mut().find(|package| package["name"] == name).expect("nanostate depends on it").take()
}

#[test]
fn the_notices_of_nng_are_those_of_the_nng_inside_nanostate_cat() {
    let notices = fs::read_to_string(build::root().join("THIRD-PARTY.md")).unwrap();
    let nng = crate_entry("nng-sys");
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

#[test]
fn the_notice_of_ring_is_that_of_the_ring_inside() {
    let notices = fs::read_to_string(build::root().join("THIRD-PARTY.md")).unwrap();
    let ring = crate_entry("ring");
    let sources = Path::new(ring["manifest_path"].as_str().unwrap()).parent().unwrap();
    let licence = fs::read_to_string(sources.join("LICENSE-other-bits")).unwrap();
    assert!(notices.contains(licence.trim()), "not in THIRD-PARTY.md: the licence of ring");
}

/// The targets of the Makefile, which are no files.
fn targets() -> Vec<String> {
    let makefile = fs::read_to_string(build::root().join("Makefile")).unwrap().replace("\\\n", " ");
    let targets = makefile.lines().filter_map(|line| line.strip_prefix(".PHONY:"));
    targets.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn make_help_has_a_line_for_each_target() {
    let mut make = Command::new("make");
    make.arg("-C").arg(build::root()).args(["--no-print-directory", "help"]).env_remove("MAKEFLAGS");
    let help = output(make);
    let mut listed = listed(&help, "make TARGET");
    let mut targets = targets();
    for target in &targets {
        let line = help.lines().find(|line| line.starts_with(&format!("  {target} ")));
        let words = line.unwrap_or_else(|| panic!("no {target} in {help}")).split_whitespace().count();
        assert!(words > 2, "{target} is not explained: {help}");
    }
    listed.sort();
    targets.sort();
    assert_eq!(listed, targets);
    assert!(help.lines().any(|line| line.starts_with("  PREFIX ")), "{help}");
}

/// A build that `make install` takes for nanostate's, with one library in it; and programs in front of the system's.
struct Installation {
    dir: TempDir,
    /// Whom `id -u` names.
    user: &'static str,
    /// Where the loader looks.
    searched: PathBuf,
}

impl Installation {
    fn new(user: &'static str) -> Installation {
        let dir = TempDir::new();
        let at = |name: &str| dir.path().join(name);
        for folder in ["source", "bin"] {
            fs::create_dir(at(folder)).unwrap();
        }
        let project = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(fake NONE)\n\
             add_custom_target(never ALL COMMAND false)\n\
             install(FILES libfake.so DESTINATION lib)\n\
             install(CODE \"set(NANOSTATE_LIBDIR lib)\")\ninstall(SCRIPT {}/cmake/loader.cmake)\n",
            build::root().display()
        );
        fs::write(at("source/CMakeLists.txt"), project).unwrap();
        fs::write(at("source/libfake.so"), "").unwrap();
        for (program, script) in [
            ("id", "echo $FAKE_USER"),
            (
                "ldconfig",
                "case \"$*\" in *-N*) echo \"$FAKE_SEARCHED: (from here)\" ;; *) echo run >>\"$FAKE_LOG\" ;; esac",
            ),
            ("cargo", "echo cargo >>\"$FAKE_LOG\"; exit 1"),
        ] {
            let path = at("bin").join(program);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut cmake = Command::new("cmake");
        cmake.arg("-S").arg(at("source")).arg("-B").arg(at("build"));
        cmake.arg(format!("-DCMAKE_INSTALL_PREFIX={}", at("prefix").display()));
        build::run(&mut cmake);
        fs::write(at("build/.built"), "").unwrap();
        let searched = at("prefix/lib");
        Installation { dir, user, searched }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `make install` with these variables.
    fn install(&self, variables: &[String]) -> Ended {
        let mut make = Command::new("make");
        let path = std::env::var("PATH").unwrap();
        make.arg("-C").arg(build::root()).args(["--no-print-directory", "install"]).args(variables);
        make.env_remove("MAKEFLAGS").env_remove("DESTDIR").env_remove("PREFIX");
        make.env("PATH", format!("{}:{path}", self.at("bin").display()));
        make.env("FAKE_USER", self.user).env("FAKE_SEARCHED", &self.searched).env("FAKE_LOG", self.at("log"));
        run(make, b"")
    }

    /// What was run of the loader's program and of cargo.
    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    fn build(&self) -> String {
        format!("BUILD={}", self.at("build").display())
    }
}

#[test]
fn an_installation_without_a_build_says_what_to_do() {
    let nothing = Installation::new("0");
    let ended = nothing.install(&[format!("BUILD={}", nothing.at("nothing").display())]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr[0].contains("/nothing/: make first, then (sudo) make install"), "{ended:?}");
    assert_eq!(nothing.log(), "");
}

#[test]
fn an_installation_by_root_builds_nothing_and_tells_the_loader() {
    let root = Installation::new("0");
    let ended = root.install(&[root.build()]);
    assert!(ended.code == Some(0) && root.at("prefix/lib/libfake.so").exists(), "{ended:?}");
    assert_eq!(root.log(), "run\n");
    assert_eq!(ended.stderr, [format!("-- The loader finds the libraries in {} (ldconfig)", root.searched.display())]);
}

#[test]
fn an_installation_by_a_user_says_what_root_has_to_do() {
    let user = Installation::new("1000");
    let ended = user.install(&[user.build()]);
    assert!(ended.code == Some(0) && user.at("prefix/lib/libfake.so").exists(), "{ended:?}");
    assert_eq!(user.log(), "");
    let words = format!("-- For the loader to find the libraries in {}: sudo ldconfig", user.searched.display());
    assert_eq!(ended.stderr, [words]);
}

#[test]
fn an_installation_where_the_loader_does_not_look_says_what_to_set() {
    let elsewhere = Installation::new("0");
    let prefix = elsewhere.at("elsewhere");
    let ended = elsewhere.install(&[elsewhere.build(), format!("PREFIX={}", prefix.display())]);
    assert!(ended.code == Some(0) && prefix.join("lib/libfake.so").exists(), "{ended:?}");
    assert!(!elsewhere.at("prefix").exists());
    assert_eq!(elsewhere.log(), "");
    let set = format!("LD_LIBRARY_PATH={}", prefix.join("lib").display());
    assert!(ended.stderr.iter().any(|line| line.trim() == set), "{ended:?}");
}

#[test]
fn an_installation_for_a_package_leaves_this_machine_alone() {
    let package = Installation::new("0");
    let root = package.at("package");
    let ended = package.install(&[package.build(), format!("DESTDIR={}", root.display()), "PREFIX=/usr".to_owned()]);
    assert!(ended.code == Some(0) && root.join("usr/lib/libfake.so").exists(), "{ended:?}");
    assert!(ended.stderr.is_empty() && package.log().is_empty(), "{ended:?} {}", package.log());
}
