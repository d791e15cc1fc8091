//! What the pages of `docs/` and those beside the README say of this repository is so.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::build::root;

/// The code spans of a text.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// What a file holds, or all files of a directory.
fn contents(path: &Path) -> String {
    if path.is_dir() {
        let files = fs::read_dir(path).unwrap();
        return files.map(|entry| contents(&entry.unwrap().path())).collect();
    }
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_test_that_docs_faults_names_is_there() {
    let tests = named_tests("docs/faults.md");
    assert!(tests > 80, "{tests}");
}

#[test]
fn every_test_that_docs_semantics_names_is_there() {
    let tests = named_tests("docs/semantics.md");
    assert!(tests > 25, "{tests}");
}

/// How many tests a page names, each of which is there.
fn named_tests(page: &str) -> usize {
    let page = fs::read_to_string(root().join(page)).unwrap();
    let (mut file, mut text, mut tests) = (String::new(), String::new(), 0);
    for span in spans(&page) {
        let (path, name) = span.split_once("::").unwrap_or((span, ""));
        if path.contains('/') && !path.starts_with('/') && root().join(path).exists() {
            file = path.to_owned();
            text = contents(&root().join(path));
        } else if !path.is_empty() {
            assert!(!["src/", "tests/", "qt/"].iter().any(|room| path.starts_with(room)), "there is no {path}");
            continue;
        }
        let name = name.trim_start_matches('…').trim_end_matches('…');
        assert!(text.contains(name), "{file} has no {name}");
        tests += usize::from(!name.is_empty());
    }
    tests
}

/// The pages: `*.md` at the top and in `docs/`.
fn pages() -> Vec<PathBuf> {
    ["", "docs"]
        .iter()
        .flat_map(|directory| fs::read_dir(root().join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The lines of a page that are not inside a code block.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        code ^= line.starts_with("```");
        !code
    })
}

/// What links of a line lead to.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

/// The fragment that GitHub gives a heading.
fn fragment(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_to_a_heading_in_it() {
    let (mut found, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in prose(&text).flat_map(links).filter(|link| !link.contains("://")) {
            found += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let is_right = target.exists()
                && (heading.is_empty()
                    || prose(&fs::read_to_string(&target).unwrap())
                        .filter(|line| line.starts_with('#'))
                        .any(|line| fragment(line.trim_start_matches('#')) == heading));
            if !is_right {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 30, "{found}");
}

/// The text of all sources of the library, of Qt and of the command.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| ["rs", "h", "cpp"].iter().any(|&source| source == extension))
        {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Whether `name` stands in `text` behind one of `words`, and is a whole word.
fn declares(text: &str, words: &[&str], name: &str) -> bool {
    words.iter().any(|word| {
        text.match_indices(&format!("{word} {name}"))
            .any(|(at, found)| !text[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn everything_that_docs_architecture_names_is_there() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut text = String::new();
    sources(&root().join("src"), &mut text);
    sources(&root().join("qt"), &mut text);
    let types = ["struct", "enum", "trait", "class", "class NANOSTATEQT_EXPORT", "class NANOSTATEQML_EXPORT"];
    let of_others = ["QSocketNotifier"];
    let (mut paths, mut names, mut wrong) = (0, 0, Vec::new());
    for span in spans(&page) {
        let is_path = ["src/", "qt/", "js/", "tests/", "include/", "docs/"].iter().any(|room| span.starts_with(room));
        let mut words = span.split("::");
        let (first, member) = (words.next().unwrap(), words.next());
        if is_path {
            paths += 1;
            if !root().join(span).exists() {
                wrong.push(format!("there is no {span}"));
            }
        } else if first.starts_with(char::is_uppercase) && first.chars().all(|c| c.is_ascii_alphanumeric()) {
            names += 1;
            if !of_others.contains(&first) && !declares(&text, &types, first) {
                wrong.push(format!("there is no type {first}"));
            }
            if let Some(member) = member {
                let is_variant = member.starts_with(char::is_uppercase) && text.contains(&format!("    {member}"));
                let is_function = declares(&text, &["fn", "void"], member);
                if !is_variant && !is_function {
                    wrong.push(format!("there is no {span}"));
                }
            }
        } else if first.starts_with("ns_") && !text.contains(first.split('(').next().unwrap()) {
            wrong.push(format!("there is no {first}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(paths > 40 && names > 60, "{paths} paths, {names} names");
}

#[test]
fn the_client_in_javascript_dials_where_a_hub_listens_unless_told_otherwise() {
    for (file, url) in
        [("js/src/index.ts", nanostate::limits::DEFAULT_WS_URL), ("js/src/node.ts", nanostate::limits::DEFAULT_URL)]
    {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&format!("'{url}'")), "{file} does not name {url}");
    }
}

/// The fields of a struct in the header.
fn fields_of(name: &str) -> Vec<String> {
    let header = fs::read_to_string(root().join("include/nanostate.h")).unwrap();
    let (before, _) = header.split_once(&format!("}} {name};")).unwrap_or_else(|| panic!("there is no {name}"));
    let (_, body) = before.rsplit_once("typedef struct {").unwrap();
    let declarations = body.lines().filter(|line| line.ends_with(';'));
    let name = |line: &str| line.trim().trim_end_matches(';').split(['[', ' ']).nth(1).map(str::to_owned);
    declarations.map(|line| name(line).unwrap()).collect()
}

#[test]
fn docs_counters_explains_each_counter_in_the_order_of_the_header() {
    let page = fs::read_to_string(root().join("docs/counters.md")).unwrap();
    for (heading, name) in [
        ("## Of a hub\n", "ns_hub_stats_t"),
        ("## Of a peer of a hub\n", "ns_peer_stats_t"),
        ("## Of an app\n", "ns_app_stats_t"),
    ] {
        let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("there is no {heading}"));
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let explained: Vec<_> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
        assert_eq!(explained, fields_of(name), "{name}");
    }
}
