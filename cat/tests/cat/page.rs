//! The examples of docs/cat.md print what the page says, with other addresses.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use nanostate::Hub;

use crate::support::{complaints, root, run, TempDir, Transport};

/// The blocks of a language, each with the block of text behind it.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("\n```sh\n").skip(1);
    blocks.map(|rest| rest.split_once("```\n```text\n").expect("what it prints")).collect()
}

#[test]
fn the_examples_print_what_the_page_says() {
    let page = fs::read_to_string(root().join("docs/cat.md")).unwrap();
    let dir = TempDir::new();
    let hub = Hub::new().unwrap();
    // The gateways that the page says the hub has, by their ports.
    let mut ports = Vec::new();
    for word in page.split(|c: char| c.is_whitespace() || c == '\'') {
        let Some((before, rest)) = word.split_once("tcp://127.0.0.1:150") else { continue };
        let (port, query) = rest.split_at(2);
        if !ports.iter().any(|(known, _)| known == port) {
            let listened = before.ends_with('+') || port == "00";
            let address = if listened {
                hub.listen(&format!("{before}tcp://127.0.0.1:0{query}")).unwrap();
                let address = hub.address(ports.len()).unwrap();
                address.split_once("tcp://").unwrap().1.split('?').next().unwrap().to_owned()
            } else {
                Transport::Tcp.free(&dir).split_off("tcp://".len())
            };
            ports.push((port.to_owned(), address));
        }
    }
    assert_eq!(ports.len(), 6);

    symlink(env!("CARGO_BIN_EXE_nanostate-cat"), dir.path().join("nanostate-cat")).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let examples = examples(&page);
    assert!(examples.len() > 7);
    for (script, rest) in examples {
        let printed = rest.split("```").next().unwrap();
        let script =
            ports.iter().fold(script.replace("nanostate cat ", "nanostate-cat "), |script, (port, address)| {
                script.replace(&format!("127.0.0.1:150{port}"), address)
            });
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&script).env("PATH", &path);
        let ended = run(shell, b"");
        let mut lines = ended.stdout.clone();
        let mut expected: Vec<_> = printed.lines().collect();
        if script.contains(" &\n") {
            // Which of two programs prints first is left open.
            lines.sort();
            expected.sort_unstable();
        }
        assert!(lines == expected && complaints(&ended).is_empty(), "{script}{ended:?}");
    }
}

#[test]
fn the_page_names_every_option_of_use() {
    let page = fs::read_to_string(root().join("docs/cat.md")).unwrap();
    let ended = run(crate::support::cat(["--help"]), b"");
    let words = ended.stdout.iter().flat_map(|line| line.split([' ', ',', '=']));
    // Those that say what they are in `--help`, or are common.
    let others = ["--verbose", "--help", "--version", "--completions", "--format", "--silent", "--receive-timeout"];
    let local = ["--connect-local", "--bind-local", "--connect-ipc", "--bind-ipc"];
    for option in words.filter(|word| word.starts_with("--") && !word.ends_with('-')) {
        let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
        let by_format = page.contains(&format!("| `{}`", option.trim_start_matches('-')));
        let known = others.contains(&option) || local.contains(&option) || by_format;
        assert!(known || page.contains(option), "{option} is not in docs/cat.md");
    }
}
