//! Which room of the crate imports which, how long a file is and how wide a type: the limits, and the tests that hold the
//! sources to them.
//!
//! A room is a module of the crate's root. What counts is every path that leads into another room, in a `use` or where
//! it stands, in code and in unit tests; not links in comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it imports, from the ground up: a room imports only rooms that stand above it here, so
/// that there is no circle. An import that is new is added in a review, one that is gone is removed.
const ROOMS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("effort", &[]),
    ("numbered", &[]),
    ("time", &[]),
    ("visible", &[]),
    ("error", &[]),
    ("repeats", &["time"]),
    ("leaving", &[]),
    ("callback", &["leaving"]),
    ("memory", &["error", "visible"]),
    ("random", &["error"]),
    ("options", &["error", "limits", "numbered"]),
    ("pattern", &["effort", "error", "limits", "visible"]),
    ("wire", &["error", "limits", "memory", "numbered", "time", "visible"]),
    ("state", &["error", "memory", "time", "wire"]),
    ("framing", &["limits", "memory"]),
    (
        "engine",
        &[
            "effort", "error", "framing", "limits", "memory", "numbered", "options", "pattern", "state", "time",
            "visible", "wire",
        ],
    ),
    ("transport", &["error", "memory"]),
    ("runtime", &["engine", "error", "framing", "limits", "memory", "random", "repeats", "time", "transport"]),
    ("store", &["engine", "error", "limits", "runtime", "time", "transport", "visible", "wire"]),
    ("logging", &["runtime", "transport", "visible"]),
    ("handle_state", &["engine", "error", "runtime"]),
    ("instance", &["error", "random", "wire"]),
    (
        "hub",
        &[
            "callback",
            "engine",
            "error",
            "framing",
            "handle_state",
            "instance",
            "leaving",
            "limits",
            "logging",
            "options",
            "repeats",
            "runtime",
            "store",
            "time",
            "transport",
            "visible",
        ],
    ),
    (
        "app",
        &[
            "callback",
            "engine",
            "error",
            "handle_state",
            "instance",
            "leaving",
            "limits",
            "logging",
            "memory",
            "options",
            "pattern",
            "runtime",
            "state",
            "time",
            "transport",
            "visible",
            "wire",
        ],
    ),
    ("ffi", &["app", "error", "hub", "logging", "options", "pattern", "runtime", "state", "transport", "wire"]),
];

/// What the crate's root exports of each room for the rooms that stand above it, and for programs.
const EXPORTS: &[(&str, &[&str])] = &[
    ("error", &["Error", "Result", "Status"]),
    ("options", &["AppOption", "AppText", "HubOption", "HubText", "KeyOption"]),
    ("wire", &["Kind", "Value"]),
    ("state", &["State"]),
    (
        "app",
        &[
            "App",
            "AppStats",
            "Handler",
            "Key",
            "LinkState",
            "OnLink",
            "OnPresence",
            "OnReject",
            "OnStale",
            "OnState",
            "OnSynced",
            "Peer",
            "PresenceEvent",
            "Will",
        ],
    ),
    ("hub", &["Hub", "HubStats", "OnPeer", "PeerEvent", "PeerStats"]),
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

/// What each room imports. What the root exports of a room counts as that room.
fn imports_of_rooms() -> BTreeMap<String, BTreeSet<String>> {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module) in sources() {
        // The root, and this file, which names what it looks for.
        let Some(room) = module.first().filter(|room| *room != "rooms") else { continue };
        let imports = imports(&module, &fs::read_to_string(path).unwrap()).into_iter().map(|name| {
            let exporter = EXPORTS.iter().find(|(_, names)| names.contains(&name.as_str()));
            exporter.map_or(name, |(room, _)| (*room).to_owned())
        });
        rooms.entry(room.clone()).or_default().extend(imports.filter(|name| name != room));
    }
    rooms
}

#[test]
fn each_room_imports_what_its_line_says_and_nothing_that_stands_below_it() {
    let found = imports_of_rooms();
    let mut wrong = Vec::new();
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        let Some(imports) = found.get(*room) else {
            wrong.push(format!("there is no room {room}"));
            continue;
        };
        for other in imports.iter().filter(|other| !allowed.contains(&other.as_str())) {
            wrong.push(format!("{room} imports {other}"));
        }
        for other in allowed.iter().filter(|other| !imports.contains(**other)) {
            wrong.push(format!("{room} does not import {other} any more"));
        }
        for other in allowed.iter().filter(|other| !ROOMS[..at].iter().any(|(above, _)| above == *other)) {
            wrong.push(format!("{room} may not import {other}, which does not stand above it"));
        }
    }
    for room in found.keys().filter(|room| !ROOMS.iter().any(|(known, _)| known == room)) {
        wrong.push(format!("{room} is no room that is known: {:?}", found[room]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The most lines of a file, and fields of a type.
const LINES: usize = 600;
const FIELDS: usize = 15;

/// Types that may have more fields: counters, options, structs of the C API.
const WIDE: &[&str] = &["AppStats", "HubStats", "PeerStats", "ns_app_stats_t", "ns_hub_stats_t", "ns_peer_stats_t"];

/// The directories whose files have at most that many lines, and how the names of these files end. (The headers in
/// `include` are for programs to include, and longer.)
const SOURCES: &[&str] = &["src", "tests", "benches", "fuzz", "qt", "cat", "js", "examples-c", "examples-qt"];
const EXTENSIONS: &[&str] = &["rs", "c", "cpp", "h", "hpp", "qml", "ts"];

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    fn visit(path: &Path, name: &str, found: &mut usize, long: &mut Vec<String>) {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().to_str().unwrap()));
            if path.is_dir() {
                // Of the packages beside this one.
                if entry.file_name() != "target" && entry.file_name() != "node_modules" {
                    visit(&path, &name, found, long);
                }
            } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
                *found += 1;
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                if lines > LINES {
                    long.push(format!("{name} has {lines} lines, and {LINES} are the most"));
                }
            }
        }
    }
    let (mut found, mut long) = (0, Vec::new());
    for directory in SOURCES {
        visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), directory, &mut found, &mut long);
    }
    assert!(found > 250, "{found}");
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Each struct with named fields in a source text, and how many it has.
fn fields(source: &str) -> Vec<(String, usize)> {
    let tokens = tokens(source);
    let mut types = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let (Token::Word(word), Some(Token::Word(name))) = (token, tokens.get(i + 1)) else { continue };
        if word != "struct" {
            continue;
        }
        let (mut depth, mut fields) = (0, 0);
        for (at, token) in tokens[i + 2..].iter().enumerate() {
            match token {
                Token::Other(';') if depth == 0 => break,
                Token::Other('{' | '(' | '[') => depth += 1,
                Token::Other('}' | ')' | ']') => depth -= 1,
                // Of a field: its type follows. A path is another token.
                Token::Other(':') if depth == 1 && matches!(tokens[i + 1 + at], Token::Word(_)) => fields += 1,
                _ => {}
            }
            if depth == 0 && *token == Token::Other('}') {
                break;
            }
        }
        types.push((name.clone(), fields));
    }
    types
}

#[test]
fn no_type_has_more_fields_than_can_be_kept_in_mind() {
    for (path, _) in sources() {
        for (name, fields) in fields(&fs::read_to_string(&path).unwrap()) {
            let may = WIDE.contains(&name.as_str());
            assert!(
                fields <= FIELDS || may,
                "{name} in {} has {fields} fields, and {FIELDS} are the most",
                path.display()
            );
        }
    }
}

#[test]
fn the_fields_of_a_type_are_counted_whatever_their_types() {
    for (source, expected) in [
        ("struct A;", 0),
        ("pub struct A(u8, crate::B);", 0),
        ("pub struct A<T: Copy> where T: Clone { pub a: T, b: [(u8, HashMap<u8, fn(u8) -> u8>); 3] }", 2),
        ("struct A { /// B: c\n a: &'static str, #[cfg(test)] b: crate::b::B<Box<dyn Fn(u8)>> }\nfn f() { let a: u8 = 0; }", 2),
    ] {
        assert_eq!(fields(source), [("A".to_owned(), expected)], "{source}");
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
