//! What the pages of `docs/` say of this repository is so.

use std::fs;

use crate::support::build::root;

/// The code spans of a text.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_that_docs_faults_names_is_there() {
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let (mut file, mut text, mut tests) = (String::new(), String::new(), 0);
    for span in spans(&page) {
        let (path, name) = span.split_once("::").unwrap_or((span, ""));
        if path.contains('/') && path.contains('.') && root().join(path).is_file() {
            file = path.to_owned();
            text = fs::read_to_string(root().join(path)).unwrap();
        } else if !path.is_empty() {
            assert!(!["src/", "tests/", "qt/"].iter().any(|room| path.starts_with(room)), "there is no {path}");
            continue;
        }
        let name = name.trim_start_matches('…').trim_end_matches('…');
        assert!(text.contains(name), "{file} has no {name}");
        tests += usize::from(!name.is_empty());
    }
    assert!(tests > 80, "{tests}");
}
