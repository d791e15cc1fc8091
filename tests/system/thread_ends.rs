//! Threads of the program that end inside the library: by `pthread_exit` in a callback, as those of Python do when the
//! interpreter ends, or by cancellation. The process goes on.

use std::fs;
use std::process::Command;

use crate::support;
use crate::support::build::{compile_c_text, library, scratch, Link, Standard};

/// A program in C, run once for each of its cases.
const PROGRAM: &str = r#"
    #include <pthread.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/wait.h>

    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    static int passed;
    static void pass(void)
    {
        pthread_mutex_lock(&mutex);
        passed++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    static void wait_for(int n)
    {
        pthread_mutex_lock(&mutex);
        while (passed < n)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
    }

    static void exits(ns_app *app, const ns_state *state, void *ctx)
    {
        (void)app, (void)state, (void)ctx;
        pass();
        pthread_exit(&passed);
    }
    static bool exits_in_walk(ns_app *app, const ns_state *state, void *ctx)
    {
        exits(app, state, ctx);
        return true;
    }
    static void peer_exits(ns_hub *hub, const char *identity, const char *from, ns_peer_event event, ns_status why,
                           void *ctx)
    {
        (void)hub, (void)identity, (void)from, (void)event, (void)why, (void)ctx;
        pass();
        pthread_exit(NULL);
    }

    static ns_hub *hub;
    static ns_app *from, *to;
    /* Its readers wait in the kernel, which is where a thread is cancelled. */
    #define URL ns_hub_address(hub, 0)
    static void start(int callback_thread, ns_state_fn function)
    {
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
        CHECK(ns_app_new("from", &from) == NS_OK && ns_app_connect(from, URL) == NS_OK);
        CHECK(ns_app_new("to", &to) == NS_OK && ns_app_set(to, NS_OPT_CALLBACK_THREAD, callback_thread) == NS_OK);
        CHECK(ns_app_on_state(to, function, NULL) == NS_OK && ns_app_connect(to, URL) == NS_OK);
        CHECK(ns_app_wait_connected(from, 60000) == NS_OK && ns_app_wait_connected(to, 60000) == NS_OK);
        CHECK(ns_app_send_nil(from, "a") == NS_OK && ns_app_flush(from, 60000) == NS_OK);
    }
    static int end(void)
    {
        ns_app_free(to);
        ns_app_free(from);
        ns_hub_free(hub);
        return 0;
    }

    static void *dispatches(void *ctx)
    {
        (void)ns_app_dispatch(to, -1, 0);
        return ctx;
    }
    static void *walks(void *ctx)
    {
        (void)ns_app_each(from, NULL, exits_in_walk, NULL);
        return ctx;
    }
    static void *receives(void *ctx)
    {
        ns_state *state;
        pass();
        CHECK(ns_app_recv(to, -1, &state) == NS_ERR_INTERRUPTED);
        pthread_testcancel();
        return ctx;
    }

    /* The app's own thread ends in a callback: the app is closed. */
    static int own_thread(void)
    {
        ns_status closed;
        start(1, exits);
        wait_for(1);
        /* The thread is still on its way out. */
        while ((closed = ns_app_wait_connected(to, 60000)) == NS_OK)
            usleep(1000);
        CHECK(closed == NS_ERR_CLOSED);
        CHECK(ns_app_send_nil(to, "b") == NS_ERR_CLOSED);
        CHECK(ns_app_on_state(to, NULL, NULL) == NS_OK);
        return end();
    }

    static int hub_thread(void)
    {
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
        CHECK(ns_hub_on_peer(hub, peer_exits, NULL) == NS_OK);
        CHECK(ns_app_new("from", &from) == NS_OK && ns_app_connect(from, URL) == NS_OK);
        wait_for(1);
        CHECK(ns_hub_on_peer(hub, NULL, NULL) == NS_OK);
        return end();
    }

    /* A thread of the program ends in a callback that it ran. */
    static int in_dispatch(void)
    {
        pthread_t thread;
        void *result;
        start(0, exits);
        CHECK(pthread_create(&thread, NULL, dispatches, NULL) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == &passed);
        CHECK(ns_app_dispatch(to, 60000, 0) == NS_ERR_CLOSED);
        return end();
    }

    static int in_walk(void)
    {
        pthread_t thread;
        void *result;
        start(0, NULL);
        CHECK(pthread_create(&thread, NULL, walks, NULL) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == &passed);
        CHECK(ns_app_send_nil(from, "b") == NS_OK && ns_app_flush(from, 60000) == NS_OK);
        return end();
    }

    /* Cancellation waits until the call has returned. */
    static int cancelled(void)
    {
        pthread_t thread;
        void *result;
        start(0, NULL);
        {
            ns_state *state;
            CHECK(ns_app_recv(to, 60000, &state) == NS_OK);
            ns_state_free(state);
        }
        CHECK(pthread_create(&thread, NULL, receives, NULL) == 0);
        wait_for(1);
        CHECK(pthread_cancel(thread) == 0);
        usleep(20000);
        ns_app_interrupt(to);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        CHECK(ns_app_send_nil(to, "b") == NS_OK && ns_app_flush(to, 60000) == NS_OK);
        return end();
    }

    static void faults(ns_app *app, const ns_state *state, void *ctx)
    {
        (void)app, (void)state;
        *(volatile int *)ctx = 1;
    }
    static void handles(int signal)
    {
        static const char words[] = "handled\n";
        CHECK(signal == SIGSEGV && write(1, words, sizeof words - 1) > 0);
        _exit(0);
    }

    /* The program's handler runs for a fault in a callback on the library's thread. */
    static int fault(void)
    {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_handler = handles;
        CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
        start(1, faults);
        pause();
        return 1;
    }

    static pid_t child;
    static void spawns(ns_app *app, const ns_state *state, void *ctx)
    {
        (void)app, (void)state, (void)ctx;
        child = fork();
        if (child == 0) {
            execlp("sleep", "sleep", "600", (char *)NULL);
            _exit(1);
        }
        pass();
    }

    /* A child that a callback starts has the signal mask of the thread that made the app. */
    static int spawn(void)
    {
        sigset_t blocked, mask;
        int status;
        CHECK(sigemptyset(&blocked) == 0 && sigaddset(&blocked, SIGUSR2) == 0);
        CHECK(pthread_sigmask(SIG_BLOCK, &blocked, &mask) == 0 && !sigismember(&mask, SIGTERM));
        start(1, spawns);
        wait_for(1);
        CHECK(kill(child, SIGUSR2) == 0 && kill(child, SIGTERM) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGTERM);
        return end();
    }

    int main(int argc, char **argv)
    {
        static const struct { const char *name; int (*run)(void); } cases[] = {
            {"own_thread", own_thread}, {"hub_thread", hub_thread}, {"in_dispatch", in_dispatch}, {"in_walk", in_walk},
            {"cancelled", cancelled}, {"fault", fault}, {"spawn", spawn},
        };
        size_t i;
        CHECK(argc == 2);
        for (i = 0; i < sizeof cases / sizeof *cases; i++)
            if (strcmp(cases[i].name, argv[1]) == 0)
                return cases[i].run();
        return 2;
    }
"#;

/// Runs a case with the shared library and with the static one.
fn passes(case: &str) {
    for (link, standard) in [(Link::Shared, Standard::C99), (Link::Static, Standard::C11)] {
        let mut command = Command::new(compile_c_text(case, PROGRAM, standard, link));
        command.arg(case);
        let ended = support::run(command, b"");
        assert!(ended.code == Some(0), "{case}, {link:?}: {ended:?}");
    }
}

#[test]
fn the_own_thread_of_an_app_may_end_in_a_callback() {
    passes("own_thread");
}

#[test]
fn the_thread_of_a_hub_may_end_in_a_callback() {
    passes("hub_thread");
}

#[test]
fn a_thread_may_end_in_a_callback_that_dispatch_runs() {
    passes("in_dispatch");
}

#[test]
fn a_thread_may_end_in_the_function_of_a_walk() {
    passes("in_walk");
}

#[test]
fn a_thread_is_cancelled_when_its_call_has_returned() {
    passes("cancelled");
}

#[test]
fn a_fault_in_a_callback_is_handled_by_the_program() {
    passes("fault");
}

#[test]
fn a_child_started_in_a_callback_hears_signals() {
    passes("spawn");
}

/// A program in Python that ends while callbacks run on the app's own thread, without freeing anything. It takes the
/// callback back first: a thread that comes into an interpreter that has ended crashes in there (PyGILState_Ensure, 3.11).
#[test]
fn a_python_program_that_takes_its_callback_back_may_end_while_callbacks_run() {
    let text = r#"
import atexit, ctypes, sys, time
lib = ctypes.CDLL(sys.argv[1])
STATE_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
hub, app, source = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
def ok(status):
    assert status == 0, status
url = b"inproc://python"
ok(lib.ns_hub_new(ctypes.byref(hub)))
ok(lib.ns_hub_listen(hub, url))
count = 0
def seen(app, state, ctx):
    global count
    count += 1
    time.sleep(0)
function = STATE_FN(seen)
ok(lib.ns_app_new(b"python", ctypes.byref(app)))
ok(lib.ns_app_set(app, 2, ctypes.c_int64(1)))
ok(lib.ns_app_on_state(app, function, None))
atexit.register(lambda: ok(lib.ns_app_on_state(app, None, None)))
ok(lib.ns_app_connect(app, url))
ok(lib.ns_app_new(b"source", ctypes.byref(source)))
ok(lib.ns_app_connect(source, url))
ok(lib.ns_app_wait_connected(app, 60000))
ok(lib.ns_app_wait_connected(source, 60000))
while count < 10:
    for i in range(1000):
        ok(lib.ns_app_send_int(source, b"n/%d" % i, ctypes.c_int64(i)))
"#;
    let source = scratch("src").join("ends.py");
    fs::write(&source, text).unwrap();
    let python = if fs::exists("/usr/bin/python3").unwrap() { "/usr/bin/python3" } else { "python3" };
    for _ in 0..16 {
        let mut command = Command::new(python);
        command.args(["-X", "faulthandler"]).arg(&source).arg(&library().shared);
        let ended = support::run(command, b"");
        assert!(ended.code == Some(0), "{ended:?}");
    }
}
