//! Our headers compile beside those of others, whose macros have names of ours, in either order and without a warning.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::build::{compiler, root, run, scratch, Standard};

/// Headers of others: their name here, what includes them, and the package of pkg-config that says where they are.
const FOREIGN: &[(&str, &str, Option<&str>)] = &[
    ("macros", "#include \"macros.h\"", None),
    ("X11", "#include <X11/Xlib.h>\n#include <X11/Xutil.h>\n#include <X11/Xatom.h>", None),
    ("curses", "#include <curses.h>\n#include <term.h>", None),
    ("Qt 5", "#include <QObject>\n#include <QThread>\n#include <QVariant>", Some("Qt5Core")),
    ("Qt 6", "#include <QObject>\n#include <QThread>\n#include <QVariant>", Some("Qt6Core")),
];

/// A program that uses nanostate.hpp by the names that no header takes, and templates that have to be used to be read.
const USE_HPP: &str = "
    nanostate::StatusCode wait(nanostate::App &app)
    {
        app.wait_connected(nanostate::wait_forever);
        const nanostate::State state = app.recv();
        if (state.as<std::uint8_t>() == 0 && state.as<float>() > 0 && state.as<std::vector<char>>().empty())
            app.send(\"name\", std::vector<char>());
        app.each([](const nanostate::State &) {});
        return app.try_dispatch(nanostate::wait_forever);
    }
";

const USE_COMPAT: &str = "
    bool use(Nanostate &n, std::string &a, std::string &b, std::vector<char> &data)
    {
        return n.send_state_update(a, data) && n.recv_state_update(a, b, data);
    }
";

const USE_H: &str = "
    ns_status use(ns_app *app);
    ns_status use(ns_app *app) { return ns_app_send_double(app, \"name\", 21.5); }
";

/// Those macros are still there afterwards, and are the others'.
const STILL_MACROS: &str = "
    #ifdef MACROS_H
    #if !defined(Status) || !defined(forever) || min(1, 2) != 1 || max(1, 2) != 2 || abs(-1) != 1
    #error a macro is gone
    #endif
    #endif
";

/// What a program has included already: these headers cannot be read behind some of the macros.
const STANDARD: &str = "
    #include <algorithm>
    #include <atomic>
    #include <chrono>
    #include <climits>
    #include <cmath>
    #include <condition_variable>
    #include <functional>
    #include <limits>
    #include <memory>
    #include <mutex>
    #include <string>
    #include <thread>
    #include <utility>
    #include <vector>
    #if __cplusplus >= 201703L
    #include <optional>
    #endif
";

/// The flags by which headers of a package are found, as those of the system: their warnings are not ours.
fn flags(package: Option<&str>) -> Vec<String> {
    let Some(package) = package else { return Vec::new() };
    let said = run(Command::new("pkg-config").args(["--cflags", package])).stdout;
    let flags = String::from_utf8(said).unwrap();
    let mut flags: Vec<String> = flags.split_whitespace().map(|flag| flag.replacen("-I", "-isystem", 1)).collect();
    flags.push("-fPIC".to_owned());
    flags
}

/// Compiles a text and makes nothing of it.
fn compile(text: &str, language: &[&str], flags: &[String]) -> Output {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let source = scratch("src").join(format!("{}.cc", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&source, text).unwrap();
    let cpp = language[1] == "-xc++";
    let mut command = compiler(if cpp { Standard::Cpp17 } else { Standard::C99 });
    command.args(language).args(["-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror"]);
    for directory in ["include", "include/nanostate-compat", "tests/headers"] {
        command.arg("-I").arg(root().join(directory));
    }
    command.arg("-I").arg(qt_headers()).args(flags).arg(&source);
    command.output().unwrap()
}

/// The headers for Qt under the name of the directory that they are installed in.
fn qt_headers() -> std::path::PathBuf {
    let dir = scratch("include");
    // Tests that make it at once do not mind each other.
    let _ = std::os::unix::fs::symlink(root().join("qt/core"), dir.join("NanostateQt"));
    assert!(dir.join("NanostateQt/client.h").exists());
    dir
}

fn compiles(what: &str, text: &str, language: &[&str], flags: &[String]) {
    let output = compile(text, language, flags);
    assert!(output.status.success(), "{what}, {language:?}:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A header of ours before and behind each of these.
fn either_order(ours: &str, using: &str, language: &[&str], foreign: &[(&str, &str, Option<&str>)]) {
    for (name, theirs, package) in foreign {
        let flags = flags(*package);
        // Without it the standard library is what does not compile.
        let first = if *name == "macros" && language[1] == "-xc++" { STANDARD } else { "" };
        compiles(
            &format!("{ours} before {name}"),
            &format!("{ours}\n{theirs}\n{using}{STILL_MACROS}"),
            language,
            &flags,
        );
        let text = format!("{first}\n{theirs}\n{ours}\n{using}{STILL_MACROS}");
        compiles(&format!("{ours} behind {name}"), &text, language, &flags);
    }
}

#[test]
fn the_header_for_cpp_compiles_beside_those_of_others() {
    either_order("#include <nanostate.hpp>", USE_HPP, &["-std=c++17", "-xc++"], FOREIGN);
}

#[test]
fn the_header_for_cpp_is_as_good_for_later_standards_and_with_gnu_extensions() {
    either_order("#include <nanostate.hpp>", USE_HPP, &["-std=gnu++20", "-xc++"], &FOREIGN[..1]);
}

#[test]
fn the_header_of_old_programs_compiles_beside_those_of_others() {
    either_order("#include <cnanostate/nanostate.h>", USE_COMPAT, &["-std=c++11", "-xc++"], &FOREIGN[..4]);
}

#[test]
fn the_header_for_c_compiles_beside_those_of_others() {
    let not_qt = &FOREIGN[..3];
    for language in [["-std=c99", "-xc"], ["-std=gnu11", "-xc"], ["-std=c++17", "-xc++"]] {
        either_order("#include <nanostate.h>", USE_H, &language, not_qt);
    }
}

#[test]
fn the_headers_for_qt_compile_beside_those_of_others() {
    let ours =
        "#include <NanostateQt/client.h>\n#include <NanostateQt/extension.h>\n#include <qtnanostate/qnanostate.h>";
    let using = "bool use(NanostateQt::Client &c) { return c.publish(QString(), NanostateQt::Extension().type); }\n";
    for (name, qt, package) in &FOREIGN[3..] {
        let flags = flags(*package);
        // Qt itself does not compile behind X11.
        for (other, theirs, _) in &FOREIGN[1..3] {
            for text in [format!("{ours}\n{theirs}\n{using}"), format!("{qt}\n{theirs}\n{ours}\n{using}")] {
                compiles(&format!("{name} and {other}"), &text, &["-std=c++17", "-xc++"], &flags);
            }
        }
    }
}

#[test]
fn an_older_cpp_gets_one_error_that_says_what_is_needed() {
    for standard in ["-std=c++14", "-std=c++11"] {
        let output = compile("#include <nanostate.hpp>\n", &[standard, "-xc++"], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("error")).collect();
        let first = errors.iter().filter(|line| line.contains("error:")).count();
        assert_eq!(first, 1, "{said}");
        assert!(errors[0].contains("nanostate.hpp needs C++17"), "{said}");
    }
}

/// The words in a header that are not in a comment.
fn words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut code = String::new();
    let mut rest = text.as_str();
    // Either kind of comment may have the beginning of the other in it.
    while let Some(at) = [rest.find("/*"), rest.find("//")].into_iter().flatten().min() {
        code.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") { "\n" } else { "*/" };
        rest = rest[at..].split_once(end).map_or("", |(_, behind)| behind);
        code.push('\n');
    }
    code.push_str(rest);
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    code.split(word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What a header defines beyond the standard library: names of macros.
fn macros(include: &str, package: Option<&str>) -> Vec<String> {
    let defined = |text: &str| -> Vec<String> {
        let source = scratch("src").join("macros.cc");
        fs::write(&source, text).unwrap();
        let mut command = compiler(Standard::Cpp17);
        command.args(["-std=c++17", "-xc++", "-dM", "-E"]).args(flags(package)).arg(&source);
        let said = String::from_utf8(run(&mut command).stdout).unwrap();
        let names = said.lines().filter_map(|line| line.strip_prefix("#define ")?.split([' ', '(']).next());
        names.map(str::to_owned).collect()
    };
    let plain = defined(STANDARD);
    let all = defined(&format!("{STANDARD}\n{include}\n"));
    all.into_iter().filter(|name| !plain.contains(name)).collect()
}

/// Every macro of those headers that has a name of nanostate.hpp is one of which it knows.
#[test]
fn the_header_for_cpp_knows_the_macros_that_have_its_names() {
    let path = root().join("include/nanostate.hpp");
    let text = fs::read_to_string(&path).unwrap();
    let listed = |directive: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(directive)?.strip_suffix("\")"));
        lines.map(|name| name.trim_start_matches("(\"").to_owned()).collect()
    };
    let known = listed("#pragma push_macro");
    assert!(known.len() > 5 && known.is_sorted(), "{known:?}");
    assert_eq!(known, listed("#pragma pop_macro"));
    // A member that is never called: a function-like macro leaves it alone.
    let harmless = ["timeout"];
    let words = words(&path);
    for (name, include, package) in &FOREIGN[1..] {
        for taken in macros(include, *package).iter().filter(|taken| words.contains(taken)) {
            assert!(known.contains(taken) || harmless.contains(&taken.as_str()), "{name} takes {taken}");
        }
    }
}
