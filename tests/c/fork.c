/* A child of fork: what it inherited is unusable, what it makes itself works, and its parent does not notice. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

void in_child(void (*body)(void *), void *argument)
{
    int ends[2];
    char done = 0;
    pid_t child;
    int status;
    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        body(argument);
        if (write(ends[1], "k", 1) != 1) {
            abort();
        }
        /* It does not exit: it lacks the threads whose memory it has, and a tool would call that lost. */
        for (;;) {
            pause();
        }
    }
    close(ends[1]);
    CHECK(read(ends[0], &done, 1) == 1);
    close(ends[0]);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    EQUAL('k', done);
}

struct inherited {
    ns_hub *hub;
    ns_app *app;
    ns_state *state;
};

static void unusable(void *argument)
{
    struct inherited *inherited = (struct inherited *)argument;
    ns_app *app = inherited->app;
    ns_state *state = (ns_state *)&state;
    const char *text;
    IS(NS_ERR_STATE, ns_app_send_text(app, "n", "t"));
    CONTAINS("fork", ns_last_error());
    IS(NS_ERR_STATE, ns_app_send_bytes(app, "n", "t", 1));
    IS(NS_ERR_STATE, ns_app_send_json(app, "n", "1", 1));
    IS(NS_ERR_STATE, ns_app_recv(app, -1, &state));
    CHECK(state == NULL);
    IS(NS_ERR_STATE, ns_app_dispatch(app, -1, 0));
    IS(NS_ERR_STATE, ns_app_wait_connected(app, -1));
    IS(NS_ERR_STATE, ns_app_flush(app, -1));
    IS(NS_ERR_STATE, ns_app_connect(app, "inproc://child"));
    IS(NS_ERR_STATE, ns_app_disconnect(app));
    IS(NS_ERR_STATE, ns_app_set(app, NS_OPT_LINGER_MS, 1));
    IS(NS_ERR_STATE, ns_app_set_accept(app, 0));
    IS(NS_ERR_STATE, ns_hub_listen(inherited->hub, "inproc://child"));
    IS(NS_ERR_STATE, ns_hub_set(inherited->hub, NS_OPT_HUB_ECHO, 1));
    EQUAL(-1, ns_app_fd(app));
    EQUAL(NS_LINK_IDLE, ns_app_link(app));
    SAME("inherited", ns_app_identity(app));
    ns_app_interrupt(app);
    /* States stay readable. */
    OK(ns_state_text(inherited->state, &text, NULL));
    SAME("hello", text);
    ns_state_free(inherited->state);
    ns_app_free(app);
    ns_hub_free(inherited->hub);
}

static void makes_its_own(void *argument)
{
    ns_hub *hub = hub_at("inproc://of-the-child");
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    (void)argument;
    OK(ns_app_send_nil(from, "n"));
    ns_state_free(next_named(to, "n"));
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void calls_parent(void *argument)
{
    ns_app *app = app_new("child");
    OK(ns_app_connect(app, (const char *)argument));
    OK(ns_app_wait_connected(app, LONG));
    OK(ns_app_send_text(app, "from-child", "hello"));
    OK(ns_app_flush(app, LONG));
    ns_app_free(app);
}

static void executes(void *argument)
{
    pid_t child = fork();
    int status;
    (void)argument;
    CHECK(child >= 0);
    if (child == 0) {
        execlp("true", "true", (char *)NULL);
        abort();
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forks(const char *transport)
{
    struct inherited inherited;
    ns_hub *hub = hub_at(free_url(transport));
    ns_app *other = app_at("other", hub);
    ns_app *app = app_at("inherited", hub);
    ns_state *state;
    OK(ns_app_send_text(other, "greeting", "hello"));
    inherited.hub = hub;
    inherited.app = app;
    inherited.state = next_named(app, "greeting");
    in_child(unusable, &inherited);
    in_child(makes_its_own, NULL);
    in_child(executes, NULL);
    /* Nothing has changed here. */
    EQUAL(NS_LINK_CONNECTED, ns_app_link(app));
    OK(ns_app_send_nil(other, "after"));
    ns_state_free(next_named(app, "after"));
    OK(ns_app_send_nil(app, "back"));
    OK(ns_app_flush(app, LONG));
    ns_state_free(next_named(other, "back"));
    if (strcmp(transport, "inproc") != 0) {
        char address[200];
        snprintf(address, sizeof address, "%s", ns_hub_address(hub, 0));
        in_child(calls_parent, address);
        state = next_named(app, "from-child");
        SAME("child", ns_state_sender(state));
        ns_state_free(state);
    }
    ns_state_free(inherited.state);
    ns_app_free(other);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void over_ipc(void)
{
    forks("ipc");
}

static void over_tcp(void)
{
    forks("tcp");
}

static void over_inproc(void)
{
    forks("inproc");
}

const struct test fork_tests[] = {
    {"a child leaves the ipc handles of its parent alone", over_ipc},
    {"a child leaves the tcp handles of its parent alone", over_tcp},
    {"a child leaves the inproc handles of its parent alone", over_inproc},
    {NULL, NULL},
};
