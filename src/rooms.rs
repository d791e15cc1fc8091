//! Which room of the crate imports which: the table, and the test that holds the sources to it.
//!
//! A room is a module of the crate's root. What counts is every path that leads into another room, in a `use` or where
//! it stands, in code and in unit tests; not links in comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it must not import.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("wire", &["app", "engine", "ffi", "framing", "gateway", "hub", "runtime", "transport"]),
    ("framing", &["app", "engine", "ffi", "gateway", "hub", "runtime", "transport", "wire"]),
    ("engine", &["app", "ffi", "gateway", "hub", "runtime", "transport"]),
    ("transport", &["app", "engine", "ffi", "framing", "gateway", "hub", "runtime", "wire"]),
    ("runtime", &["app", "ffi", "gateway", "hub"]),
    ("logging", &["app", "engine", "ffi", "framing", "gateway", "hub", "wire"]),
    ("gateway", &["app", "ffi", "hub"]),
    ("app", &["ffi", "gateway", "hub"]),
    ("hub", &["app", "ffi"]),
];

/// A piece of source text, as far as paths need it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Other(char),
}

/// The tokens of a source text, without its comments, texts and characters.
fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < text.len() {
        match at(i) {
            '/' if at(i + 1) == '/' => i += text[i..].iter().take_while(|&&c| c != '\n').count(),
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= text.len() {
                        break;
                    }
                }
            }
            '"' => i = end_of_text(&text, i + 1),
            // A character, or a lifetime.
            '\'' if at(i + 1) == '\\' => i += 3 + text[i + 3..].iter().take_while(|&&c| c != '\'').count() + 1,
            '\'' if at(i + 2) == '\'' => i += 3,
            c if is_word(c) => {
                let word: String = text[i..].iter().copied().take_while(|&c| is_word(c)).collect();
                i += word.chars().count();
                let hashes = text[i..].iter().take_while(|&&c| c == '#').count();
                match (word.as_str(), at(i + hashes)) {
                    ("r" | "br" | "cr", '"') => {
                        let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                        let rest: String = text[i + hashes + 1..].iter().collect();
                        let len = rest.find(&end).map_or(rest.len(), |found| found + end.len());
                        i += hashes + 1 + rest[..len].chars().count();
                    }
                    _ => tokens.push(Token::Word(word)),
                }
            }
            ':' if at(i + 1) == ':' => {
                tokens.push(Token::Path);
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Other(c));
                }
                i += 1;
            }
        }
    }
    tokens
}

/// Behind the text that begins at `i`.
fn end_of_text(text: &[char], mut i: usize) -> usize {
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The rooms that a source text imports, whose module has this path from the root of the crate.
fn imports(module: &[String], source: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let word = |i: usize| match tokens.get(i) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let mut rooms = BTreeSet::new();
    // The modules inside this file that are open, and at which depth of braces each began.
    let (mut depth, mut inner) = (0, Vec::new());
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Other('{') => {
                if i >= 2 && word(i - 2) == "mod" {
                    inner.push(depth);
                }
                depth += 1;
            }
            Token::Other('}') => {
                depth -= 1;
                if inner.last() == Some(&depth) {
                    inner.pop();
                }
            }
            Token::Word(first) if first == "crate" || first == "super" || first == "self" => {
                if i > 0 && tokens[i - 1] == Token::Path {
                    // Not the beginning of a path.
                    continue;
                }
                let (mut above, mut end) = (usize::from(first == "super"), i + 1);
                while first != "crate" && tokens.get(end) == Some(&Token::Path) && word(end + 1) == "super" {
                    (above, end) = (above + 1, end + 2);
                }
                let is_root = first == "crate" || above == module.len() + inner.len();
                if is_root && tokens.get(end) == Some(&Token::Path) {
                    first_words(&tokens[end + 1..], &mut rooms);
                }
            }
            _ => {}
        }
    }
    rooms
}

/// The first word of a path, or of each path in a group.
fn first_words(tokens: &[Token], words: &mut BTreeSet<String>) {
    match tokens {
        [Token::Word(word), ..] => drop(words.insert(word.clone())),
        [Token::Other('{'), group @ ..] => {
            let (mut depth, mut begins) = (1, true);
            for token in group {
                match token {
                    Token::Word(word) if begins => drop(words.insert(word.clone())),
                    Token::Other('{') => depth += 1,
                    Token::Other('}') => depth -= 1,
                    _ => {}
                }
                begins = depth == 1 && *token == Token::Other(',');
                if depth == 0 {
                    return;
                }
            }
        }
        // `*`: whatever is used of it cannot be told.
        _ => drop(words.insert("*".to_owned())),
    }
}

/// The source files of the library, each with the path of its module.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    fn visit(directory: &Path, module: &[String], sources: &mut Vec<(PathBuf, Vec<String>)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let mut inner = module.to_vec();
            if path.is_dir() {
                // The command is a crate of its own.
                if !(module.is_empty() && name == "bin") {
                    inner.push(name);
                    visit(&path, &inner, sources);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if name != "mod" && name != "lib" {
                    inner.push(name);
                }
                sources.push((path, inner));
            }
        }
    }
    let mut sources = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut sources);
    sources
}

#[test]
fn no_room_imports_what_it_must_not() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (path, module) in &sources {
        let Some((_, forbidden)) = FORBIDDEN.iter().find(|(room, _)| module.first().is_some_and(|first| first == room))
        else {
            continue;
        };
        let imports = imports(module, &fs::read_to_string(path).unwrap());
        for room in imports.iter().filter(|room| forbidden.contains(&room.as_str()) || *room == "*") {
            wrong.push(format!("{} imports crate::{room}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for room in FORBIDDEN.iter().flat_map(|(room, others)| others.iter().chain([room])) {
        assert!(sources.iter().any(|(_, module)| module.first().is_some_and(|first| first == room)), "no room {room}");
    }
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let module = ["transport", "poller"].map(str::to_owned);
    let imports = |source: &str| imports(&module, source).into_iter().collect::<Vec<_>>().join(" ");
    for (source, rooms) in [
        ("use crate::engine::Role;", "engine"),
        ("use crate::{Error, engine::{Role, gateway::{self, Note}}, hub};", "Error engine hub"),
        ("pub(in crate::engine) fn f() {}", "engine"),
        ("fn f() -> crate::framing::Framing { crate::app::g::<crate::hub::Hub>() }", "app framing hub"),
        ("use super::super::engine::Role;", "engine"),
        ("use super::engine::Role; use self::engine::Role; use super::{hub};", ""),
        ("mod tests { use super::super::super::engine; mod more { use super::super::engine; } use super::super::hub; }", "engine"),
        ("mod tests { } use super::super::hub;", "hub"),
        ("macro_rules! m { () => { $crate::ffi::f() } }", "ffi"),
        ("use crate::*;", "*"),
        ("/// [`crate::engine`] \n// crate::hub\n /* /* crate::app */ crate::app */ fn f() {}", ""),
        (r###"const A: &str = "crate::engine \" crate::hub"; const B: &str = r#"crate::app" "#; use crate::ffi;"###, "ffi"),
        (r"const QUOTE: char = '\''; const OTHER: char = '\u{22}'; const C: char = '/'; fn f<'a>() { crate::hub::f() }", "hub"),
        ("fn crated() { supercrate::engine(); not::crate_engine::engine(); nanostate::engine::f(); }", ""),
    ] {
        assert_eq!(imports(source), rooms, "{source}");
    }
}
