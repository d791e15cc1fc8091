//! `include/nanostate.h` is what the sources generate, and its functions are the exported symbols of the library, which
//! are the committed list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::build::{self, output, root};

/// The parts of the header, in order: source file and title.
const PARTS: &[(&str, &str)] = &[
    ("types.rs", "Numbers"),
    ("version.rs", "Version"),
    ("errors.rs", "Errors"),
    ("names.rs", "Names"),
    ("log.rs", "Log"),
    ("value.rs", "Value"),
    ("state.rs", "State"),
    ("app/mod.rs", "App"),
    ("hub/mod.rs", "Hub"),
];

/// Constants of these prefixes become one enum each, behind the type that they are the numbers of.
const ENUMS: &[(&str, &str)] = &[
    ("NS_OK", "ns_status"),
    ("NS_ERR_", "ns_status"),
    ("NS_KIND_", "ns_kind"),
    ("NS_LINK_", "ns_link"),
    ("NS_PEER_", "ns_peer_event"),
    ("NS_PRESENCE_", "ns_presence"),
    ("NS_OPT_", "ns_opt"),
    ("NS_LOG_", "a level, which is an int"),
    ("NS_MALFORMED_", "an index"),
];

fn header_path() -> PathBuf {
    root().join("include/nanostate.h")
}

fn generate() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut header = fs::read_to_string(root().join("src/ffi/header.h.in")).unwrap();
    for (mark, value) in [
        ("@VERSION@", version),
        ("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR")),
        ("@MINOR@", env!("CARGO_PKG_VERSION_MINOR")),
        ("@PATCH@", env!("CARGO_PKG_VERSION_PATCH")),
        ("@DEFAULT_URL@", nanostate::limits::DEFAULT_URL),
    ] {
        header = header.replace(mark, value);
    }
    for (file, title) in PARTS {
        header.push_str(&format!("\n/* {title} {} */\n\n", "-".repeat(100 - 7 - title.len())));
        header.push_str(&part(&root().join("src/ffi").join(file)));
        // What is compiled into the program stands beside it.
        header.push_str(
            &fs::read_to_string(root().join("src/ffi").join(file).with_extension("h.in")).unwrap_or_default(),
        );
    }
    header.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* NANOSTATE_H */\n");
    header
}

/// What cbindgen makes of one file, its constants turned into enums.
fn part(source: &Path) -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_config(config).with_src(source).generate().unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).unwrap();

    let mut enums: Vec<(&str, String)> = Vec::new();
    let mut rest = Vec::new();
    for paragraph in text.trim().split("\n\n") {
        let define = paragraph.lines().last().and_then(|line| line.strip_prefix("#define "));
        let Some((name, number)) = define.and_then(|define| define.split_once(' ')) else {
            rest.push(paragraph.to_owned());
            continue;
        };
        let kind = ENUMS.iter().find(|(prefix, _)| name.starts_with(prefix));
        let (_, kind) = kind.unwrap_or_else(|| panic!("{name} belongs to no enum"));
        if enums.last().is_none_or(|(last, _)| last != kind) {
            enums.push((kind, String::new()));
        }
        let members = &mut enums.last_mut().unwrap().1;
        let comment = paragraph.lines().filter_map(|line| line.strip_prefix(" * ")).collect::<Vec<_>>();
        assert!(!comment.is_empty(), "{name} has no comment");
        members.push_str(&format!("    /** {} */\n    {name} = {number},\n", comment.join("\n     *  ")));
    }
    for (kind, members) in enums {
        let members = format!("enum {{\n{}\n}};", members.trim_end().trim_end_matches(','));
        let end = format!("typedef int32_t {kind};");
        match rest.iter_mut().find(|paragraph| paragraph.ends_with(&end)) {
            Some(paragraph) => paragraph.push_str(&format!("\n{members}")),
            None => rest.insert(0, members),
        }
    }
    let lines: Vec<String> = rest.join("\n\n").lines().map(wrapped).collect();
    lines.join("\n") + "\n"
}

/// A declaration that is too long is continued in a second line.
fn wrapped(line: &str) -> String {
    match line[..line.len().min(100)].rfind(", ") {
        Some(comma) if line.len() > 100 && line.ends_with(");") => {
            format!("{},\n{}{}", &line[..comma], " ".repeat(8), &line[comma + 2..])
        }
        _ => line.to_owned(),
    }
}

#[test]
fn the_header_is_what_the_sources_generate() {
    let generated = generate();
    if std::env::var_os("NANOSTATE_UPDATE_HEADER").is_some() {
        fs::create_dir_all(header_path().parent().unwrap()).unwrap();
        fs::write(header_path(), &generated).unwrap();
    }
    let committed = fs::read_to_string(header_path()).unwrap();
    for (n, (committed, generated)) in committed.lines().zip(generated.lines()).enumerate() {
        assert_eq!(committed, generated, "include/nanostate.h:{}: run scripts/header", n + 1);
    }
    assert!(committed == generated, "include/nanostate.h has another length: run scripts/header");
}

#[test]
fn no_line_of_the_header_is_too_long_to_read() {
    for (n, line) in generate().lines().enumerate() {
        assert!(line.chars().count() <= 103, "line {}: {line}", n + 1);
    }
}

/// What the functions of the header begin with that are compiled into the program.
const INLINE: &str = "static inline ";

/// The functions that the committed header declares, in its order, except those whose line begins with `but`.
fn declared(but: &str) -> Vec<String> {
    let header = fs::read_to_string(header_path()).unwrap();
    let mut names = Vec::new();
    for line in header.lines().filter(|line| !line.starts_with([' ', '/', '#', '}']) && !line.starts_with("typedef")) {
        if let Some((before, _)) = line.split_once('(').filter(|_| but.is_empty() || !line.starts_with(but)) {
            names.push(before.rsplit([' ', '*']).next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn every_function_and_type_of_the_header_has_a_comment() {
    let header = fs::read_to_string(header_path()).unwrap();
    let lines: Vec<&str> = header.lines().collect();
    let commented: Vec<&str> = lines.windows(2).filter(|pair| pair[0] == " */").map(|pair| pair[1]).collect();
    let declared = declared("");
    assert!(declared.len() > 50, "{} functions found", declared.len());
    for name in declared {
        assert!(commented.iter().any(|line| line.contains(&format!("{name}("))), "no comment: {name}");
    }
    for line in lines.iter().filter(|line| line.starts_with("typedef")) {
        assert!(commented.contains(line), "no comment: {line}");
    }
}

/// `tests/symbols.txt`: a name and the first version that has it in each line.
fn listed() -> BTreeSet<String> {
    let list = fs::read_to_string(root().join("tests/symbols.txt")).unwrap();
    let names = list.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, version) = line.split_once(' ').unwrap_or_else(|| panic!("no version: {line}"));
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "no version: {line}");
        name.to_owned()
    });
    let names: Vec<String> = names.collect();
    assert!(names.is_sorted(), "tests/symbols.txt is not sorted");
    names.into_iter().collect()
}

#[test]
fn the_functions_of_the_header_are_the_committed_symbols() {
    let declared = declared(INLINE);
    let set: BTreeSet<String> = declared.iter().cloned().collect();
    assert_eq!(set.len(), declared.len(), "declared twice");
    assert_eq!(set, listed());
}

/// The symbols in the output of `nm -P`.
fn symbols(nm: &str) -> BTreeSet<String> {
    let lines = nm.lines().filter(|line| line.split_whitespace().count() >= 2);
    lines.map(|line| line.split([' ', '@']).next().unwrap().to_owned()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_exports_the_committed_symbols_and_nothing_else() {
    let library = build::library();
    let exported = symbols(&output("nm", ["-P", "-D", "--defined-only"].map(Path::new), &[&library.shared]));
    assert_eq!(exported, listed());
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_has_its_soname_and_is_never_unloaded() {
    let library = build::library();
    let dynamic = output("readelf", ["-d", "-W"].map(Path::new), &[&library.shared]);
    let entry = |tag: &str| dynamic.lines().find(|line| line.contains(tag)).unwrap_or_default().to_owned();
    assert!(entry("(SONAME)").ends_with("[libnanostate.so.0]"), "{dynamic}");
    assert!(entry("(FLAGS_1)").contains("NODELETE"), "{dynamic}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_static_library_exports_the_committed_symbols_and_nothing_else() {
    let library = build::library();
    let exported = symbols(&output("nm", ["-P", "-g", "--defined-only"].map(Path::new), &[&library.archive]));
    assert_eq!(exported, listed());
}
