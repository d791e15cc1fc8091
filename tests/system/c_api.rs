//! The C suite of `tests/c`: as C99, C11 and C++17, linked shared and static, and under valgrind.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::slice;

use crate::support;
use crate::support::build::{compile_c, compiler, root, run, scratch, valgrind, Link, Standard};

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/c")).unwrap().map(|entry| entry.unwrap().path());
    let mut sources: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "c")).collect();
    sources.sort();
    sources
}

fn suite(standard: Standard, link: Link) -> PathBuf {
    compile_c("suite", &sources(), standard, link, &["-D_DEFAULT_SOURCE", "-lm"])
}

/// Runs a suite whole, and checks that it did run.
fn check(command: &mut Command) {
    let output = run(command.env_remove("NANOSTATE_URL").env_remove("NANOSTATE_LOG").env("TMPDIR", scratch("tmp")));
    let output = String::from_utf8(output.stdout).unwrap();
    let count = output.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(count > 60, "only {count} tests ran:\n{output}");
}

#[test]
fn the_c_suite_passes_as_c99_with_the_shared_library() {
    check(&mut Command::new(suite(Standard::C99, Link::Shared)));
}

#[test]
fn the_c_suite_passes_as_c11_with_the_static_library() {
    check(&mut Command::new(suite(Standard::C11, Link::Static)));
}

#[test]
fn the_c_suite_passes_as_cpp17_with_the_shared_library() {
    check(&mut Command::new(suite(Standard::Cpp17, Link::Shared)));
}

#[test]
fn the_c_suite_compiles_in_every_other_combination() {
    suite(Standard::C11, Link::Shared);
    suite(Standard::C99, Link::Static);
    suite(Standard::Cpp17, Link::Static);
}

#[test]
fn the_c_suite_has_no_memory_error_and_no_leak_under_valgrind() {
    // Valgrind takes what ring's AES makes of a record for bytes that nobody has written.
    check(valgrind().env("NANOSTATE_TEST_VALGRIND", "1").arg(suite(Standard::C99, Link::Shared)));
}

#[test]
fn the_environment_lets_the_log_out_to_standard_error() {
    let suite = suite(Standard::C99, Link::Shared);
    let log = |level: Option<&str>| {
        let mut command = Command::new(&suite);
        command.env_remove("NANOSTATE_URL").env_remove("NANOSTATE_LOG").env("TMPDIR", scratch("tmp"));
        level.inspect(|level| {
            command.env("NANOSTATE_LOG", level);
        });
        String::from_utf8(run(command.arg("states cross over ipc")).stderr).unwrap()
    };
    assert_eq!(log(None), "");
    assert_eq!(log(Some("error")), "");
    assert_eq!(log(Some("nonsense")), "");
    let info = log(Some("info"));
    assert!(info.lines().all(|line| line.starts_with("nanostate ")), "{info}");
    assert!(info.contains("nanostate info "), "{info}");
    assert!(info.contains("joined"), "{info}");
    assert!(!info.contains("nanostate debug "), "{info}");
    // Every step of a connection, of the app and of the hub, and with the last level every message, on both sides.
    let debug = log(Some("debug"));
    for step in ["connecting to ipc://", "hello", "welcome at ipc://", "announces ", "is welcomed"] {
        assert!(debug.contains(step), "{step}: {debug}");
    }
    assert!(!debug.contains("nanostate trace "), "{debug}");
    let trace = log(Some("trace"));
    for message in [": sends ", "from ", "to ", ": receives "] {
        let told =
            |line: &str| line.starts_with("nanostate trace ") && line.contains(message) && line.ends_with(" bytes)");
        assert!(trace.lines().any(told), "{message}: {trace}");
    }
}

/// Builds and runs a program with nanostate and the libnng that it links with these flags, which meet at a gateway:
/// nothing of one may be taken for the other's.
fn runs_beside_libnng(link: Link, nng: &[&str]) {
    let source = scratch("src").join(format!("beside_nng_{link:?}.c"));
    let text = r#"
        #include <nanostate.h>
        #include <nng/nng.h>
        #include <nng/protocol/pubsub0/sub.h>
        #include <stdio.h>
        #include <string.h>
        static int failed(const char *what)
        {
            fprintf(stderr, "%s: %s\n", what, ns_last_error());
            return 1;
        }
        int main(void)
        {
            nng_socket sub;
            ns_hub *hub;
            ns_app *app;
            char *got;
            size_t len;
            if (nng_sub0_open(&sub) != 0 || nng_socket_set(sub, NNG_OPT_SUB_SUBSCRIBE, "", 0) != 0 ||
                nng_socket_set_ms(sub, NNG_OPT_RECVTIMEO, 20000) != 0)
                return failed("libnng");
            if (ns_hub_new(&hub) != NS_OK || ns_hub_listen(hub, "inproc://beside") != NS_OK ||
                ns_hub_listen(hub, "pub+ws://127.0.0.1:0/beside") != NS_OK)
                return failed("the hub");
            if (ns_app_new("app", &app) != NS_OK || ns_app_connect(app, "inproc://beside") != NS_OK ||
                ns_app_send_text(app, "beside", "libnng") != NS_OK)
                return failed("the app");
            if (nng_dial(sub, ns_hub_address(hub, 1) + strlen("pub+"), NULL, 0) != 0 || nng_recv(sub, &got, &len, NNG_FLAG_ALLOC) != 0)
                return failed("the gateway");
            /* The name, and an array of three. */
            if (len < 8 || memcmp(got, "beside\0\x93", 8) != 0)
                return failed("the message");
            nng_free(got, len);
            ns_app_free(app);
            ns_hub_free(hub);
            return nng_close(sub) != 0 ? failed("the end") : 0;
        }
    "#;
    fs::write(&source, text).unwrap();
    let program = compile_c("beside-nng", &[source], Standard::C99, link, nng);
    // With a bound: where the two are taken for each other, it need not end.
    let ended = support::run(Command::new(program), b"");
    assert!(ended.code == Some(0), "{ended:?}");
}

/// The static library has all of Rust's standard library and several crates inside; none of it may meet what
/// another library brings.
#[test]
fn the_static_library_links_beside_libnng() {
    runs_beside_libnng(Link::Static, &["-lnng"]);
    let whole = ["-Wl,-Bstatic", "-lnng", "-Wl,-Bdynamic", "-lmbedtls", "-lmbedx509", "-lmbedcrypto"];
    // A libnng.a that needs what is not installed says nothing about ours.
    if links(&whole) {
        runs_beside_libnng(Link::Static, &whole);
    }
}

#[test]
fn the_shared_library_runs_beside_libnng() {
    runs_beside_libnng(Link::Shared, &["-lnng"]);
}

/// Whether a program that does nothing links with these flags.
fn links(flags: &[&str]) -> bool {
    let source = scratch("src").join("nothing.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let out = scratch("bin").join("nothing");
    let mut command = compiler(Standard::C99);
    command.arg(&source).arg("-o").arg(&out).args(flags).arg("-pthread");
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn the_header_stands_alone_in_every_language() {
    let source = scratch("src").join("alone.c");
    fs::write(&source, "#include \"nanostate.h\"\n#include \"nanostate.h\"\nint main(void) { return 0; }\n").unwrap();
    for standard in Standard::ALL {
        run(&mut Command::new(compile_c("alone", slice::from_ref(&source), standard, Link::Shared, &[])));
    }
}

/// The result of a call that waits may not be ignored in silence, in C and in C++.
#[test]
fn ignoring_what_flush_or_wait_connected_returns_is_a_warning() {
    for (call, standard) in [("ns_app_flush", Standard::C99), ("ns_app_wait_connected", Standard::Cpp17)] {
        for (name, body) in [("ignored", "CALL(app, 1); return NS_OK;"), ("looked_at", "return CALL(app, 1);")] {
            let source = scratch("src").join(format!("{name}_{call}.c"));
            let body = body.replace("CALL", call);
            fs::write(&source, format!("#include <nanostate.h>\nns_status f(ns_app *app) {{ {body} }}\n")).unwrap();
            let mut command = compiler(standard);
            command.args(standard.arguments()).args(["-Wall", "-Werror"]);
            command.args(["-S", "-o", "/dev/null", "-I"]).arg(root().join("include")).arg(&source);
            let output = command.output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), name == "looked_at", "{call}: {words}");
            assert!(name == "looked_at" || words.contains(call), "{words}");
        }
    }
}
