/* ns_app_fd in a poll loop. */
#include "test.h"

#include <poll.h>
#include <stdio.h>

static bool readable(int fd, int timeout_ms)
{
    struct pollfd entry;
    entry.fd = fd;
    entry.events = POLLIN;
    entry.revents = 0;
    CHECK(poll(&entry, 1, timeout_ms) >= 0);
    return (entry.revents & POLLIN) != 0;
}

static void count(ns_app *app, const ns_state *state, void *ctx)
{
    CHECK(app != NULL);
    SAME("from", ns_state_sender(state));
    ++*(int *)ctx;
}

static void poll_loop(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    int came = 0, i;
    int fd = ns_app_fd(to);
    CHECK(fd >= 0);
    EQUAL(fd, ns_app_fd(to));
    CHECK(!readable(fd, 0));
    OK(ns_app_on_state(to, count, &came));
    for (i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        OK(ns_app_send_int(from, name, i));
    }
    while (came < 100) {
        CHECK(readable(fd, LONG));
        /* One at a time: what is left keeps it readable. */
        (void)ns_app_dispatch(to, 0, 1);
    }
    EQUAL(100, came);
    /* There may be something else to read, which is not for the program. */
    while (readable(fd, 0))
        IS(NS_ERR_TIMEOUT, ns_app_dispatch(to, 0, 0));
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(to, 0, 0));
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void level_triggered(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    int fd;
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_send_nil(from, "b"));
    /* Made after something came, it is readable all the same. */
    ns_state_free(next_named(to, "a"));
    fd = ns_app_fd(to);
    CHECK(readable(fd, LONG));
    CHECK(readable(fd, 0));
    ns_state_free(next_named(to, "b"));
    CHECK(!readable(fd, 0));
    OK(ns_app_close(to, 0));
    CHECK(readable(fd, LONG));
    IS(NS_ERR_CLOSED, ns_app_dispatch(to, 0, 0));
    ns_app_free(to);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void link_of(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    (void)app;
    (void)why;
    CHECK(text != NULL);
    *(ns_link *)ctx = link;
}

static void links_too(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_new("app");
    ns_link link = NS_LINK_IDLE;
    int fd = ns_app_fd(app);
    CHECK(fd >= 0);
    OK(ns_app_on_link(app, link_of, &link));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    while (link != NS_LINK_CONNECTED) {
        CHECK(readable(fd, LONG));
        (void)ns_app_dispatch(app, 0, 0);
    }
    CHECK(!readable(fd, 0));
    ns_app_free(app);
    ns_hub_free(hub);
}

const struct test poll_tests[] = {
    {"a poll loop sees every state", poll_loop},
    {"the descriptor is readable as long as something waits, and when the app is closed", level_triggered},
    {"the descriptor tells of the link too", links_too},
    {NULL, NULL},
};
