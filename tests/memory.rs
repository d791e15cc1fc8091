//! A process that may have no more memory: calls say so, and it goes on.
#![cfg(target_os = "linux")]

mod common;
mod support;

use std::fs;
use std::process::Command;

use common::{compile_c, scratch, Link, Standard};

const PROGRAM: &str = r#"
    #include <nanostate.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/resource.h>
    #include <unistd.h>

    #define CHECK(condition) ((condition) ? (void)0 : failed(__LINE__, #condition))
    void failed(int line, const char *what);
    void failed(int line, const char *what)
    {
        fprintf(stderr, "%d: %s: %s\n", line, what, ns_last_error());
        _exit(1);
    }

    enum { MEGA = 1 << 20, LARGE = 15 * MEGA };

    static struct rlimit before;
    /* Leaves so many bytes of address space. */
    static void leave(rlim_t bytes)
    {
        unsigned long pages;
        struct rlimit limit;
        FILE *statm = fopen("/proc/self/statm", "r");
        CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1 && fclose(statm) == 0);
        CHECK(getrlimit(RLIMIT_AS, &before) == 0);
        limit = before;
        limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    }
    static void give_back(void)
    {
        CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    }

    int main(void)
    {
        char *large = (char *)malloc(LARGE);
        ns_hub *hub;
        ns_app *app;
        ns_status status;
        CHECK(large != NULL);
        memset(large, '1', LARGE);
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
        CHECK(ns_app_new("app", &app) == NS_OK);

        /* The stack of a thread that runs callbacks is larger than what is left. */
        CHECK(ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1) == NS_OK);
        leave(MEGA);
        status = ns_app_connect(app, ns_hub_address(hub, 0));
        give_back();
        CHECK(status == NS_ERR_IO || status == NS_ERR_NO_MEMORY);

        leave(4 * MEGA);
        status = ns_app_send_bytes(app, "large", large, LARGE);
        CHECK(status == NS_ERR_NO_MEMORY && strstr(ns_last_error(), "\"large\"") != NULL);
        CHECK(ns_app_send_textn(app, "large", large, LARGE) == NS_ERR_NO_MEMORY);
        CHECK(ns_app_send_json(app, "large", large, LARGE) == NS_ERR_NO_MEMORY);
        CHECK(ns_app_send_bytes(app, "small", large, 1000) == NS_OK);
        give_back();

        CHECK(ns_app_connect(app, ns_hub_address(hub, 0)) == NS_OK && ns_app_flush(app, 60000) == NS_OK);
        CHECK(ns_app_send_bytes(app, "large", large, LARGE) == NS_OK && ns_app_flush(app, 60000) == NS_OK);
        ns_app_free(app);
        ns_hub_free(hub);
        free(large);
        return 0;
    }
"#;

#[test]
fn a_process_without_memory_is_told_so_and_goes_on() {
    let source = scratch("src").join("memory.c");
    fs::write(&source, PROGRAM).unwrap();
    let program = compile_c("memory", &[source], Standard::C99, Link::Shared, &["-D_DEFAULT_SOURCE"]);
    let ended = support::run(Command::new(program), b"");
    assert!(ended.code == Some(0), "{ended:?}");
}
