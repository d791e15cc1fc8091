/* How the link of an app comes, goes and ends. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void links(void)
{
    ns_hub *hub = hub_at(lasting_url());
    ns_app *app = app_new("links");
    char address[128], both[300];
    EQUAL(NS_LINK_IDLE, ns_app_link(app));
    IS(NS_ERR_STATE, ns_app_wait_connected(app, 0));
    OK(ns_app_disconnect(app));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(app, LONG));
    OK(ns_app_wait_connected(app, 0));
    EQUAL(NS_LINK_CONNECTED, ns_app_link(app));
    OK(ns_app_disconnect(app));
    EQUAL(NS_LINK_IDLE, ns_app_link(app));
    snprintf(address, sizeof address, "%s", ns_hub_address(hub, 0));
    ns_hub_free(hub);

    /* Nobody there: the words of the last failure tell which address, and why. */
    OK(ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 50));
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    OK(ns_app_connect(app, address));
    do {
        IS(NS_ERR_TIMEOUT, ns_app_wait_connected(app, 100));
        /* Not tried yet: a busy machine. */
    } while (strstr(ns_last_error(), "no answer") != NULL);
    CONTAINS("connection refused", ns_last_error());
    CONTAINS(address, ns_last_error());
    EQUAL(NS_LINK_CONNECTING, ns_app_link(app));

    /* A hub comes up there later. */
    hub = hub_at(address);
    OK(ns_app_wait_connected(app, LONG));
    OK(ns_app_disconnect(app));
    ns_hub_free(hub);

    /* Several addresses are tried in order. */
    hub = hub_at("tcp://127.0.0.1:0");
    snprintf(both, sizeof both, "%s,%s", address, ns_hub_address(hub, 0));
    OK(ns_app_connect(app, both));
    OK(ns_app_wait_connected(app, LONG));
    ns_app_free(app);
    ns_hub_free(hub);
}

static void unresolved(void)
{
    ns_app *app = app_new("unresolved");
    ns_status status;
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    OK(ns_app_connect(app, "tcp://-no-such-host.invalid:15000"));
    status = ns_app_wait_connected(app, 3000);
    CHECK(status == NS_ERR_TIMEOUT || status == NS_ERR_RESOLVE);
    ns_app_free(app);
}

static void announces_again(void)
{
    ns_hub *first = hub_at(free_url("inproc"));
    ns_hub *second = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", first);
    ns_app *to;
    ns_state *state;
    const char *text;
    OK(ns_app_send_text(from, "place", "here"));
    OK(ns_app_flush(from, LONG));
    OK(ns_app_disconnect(from));
    OK(ns_app_send_text(from, "place", "there"));
    OK(ns_app_connect(from, ns_hub_address(second, 0)));
    OK(ns_app_flush(from, LONG));
    to = app_at("to", second);
    state = next_named(to, "place");
    OK(ns_state_text(state, &text, NULL));
    SAME("there", text);
    ns_state_free(state);
    ns_app_free(to);

    /* The first hub has what it had. */
    to = app_at("to", first);
    state = next_named(to, "place");
    OK(ns_state_text(state, &text, NULL));
    SAME("here", text);
    ns_state_free(state);
    ns_app_free(to);
    ns_app_free(from);
    ns_hub_free(first);
    ns_hub_free(second);
}

static void closes(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_at("closes", hub);
    ns_state *state = (ns_state *)&state;
    OK(ns_app_close(app, 0));
    OK(ns_app_close(app, -1));
    OK(ns_app_close(app, 100));
    IS(NS_ERR_CLOSED, ns_app_send_text(app, "n", "t"));
    IS(NS_ERR_CLOSED, ns_app_send_textn(app, "n", "t", 1));
    IS(NS_ERR_CLOSED, ns_app_send_bytes(app, "n", "t", 1));
    IS(NS_ERR_CLOSED, ns_app_send_bool(app, "n", true));
    IS(NS_ERR_CLOSED, ns_app_send_int(app, "n", 1));
    IS(NS_ERR_CLOSED, ns_app_send_uint(app, "n", 1));
    IS(NS_ERR_CLOSED, ns_app_send_double(app, "n", 1));
    IS(NS_ERR_CLOSED, ns_app_send_nil(app, "n"));
    IS(NS_ERR_CLOSED, ns_app_send_json(app, "n", "1", 1));
    IS(NS_ERR_CLOSED, ns_app_send_msgpack(app, "n", "\xc0", 1));
    IS(NS_ERR_CLOSED, ns_app_recv(app, -1, &state));
    CHECK(state == NULL);
    IS(NS_ERR_CLOSED, ns_app_dispatch(app, -1, 0));
    IS(NS_ERR_CLOSED, ns_app_wait_connected(app, -1));
    IS(NS_ERR_CLOSED, ns_app_flush(app, -1));
    IS(NS_ERR_CLOSED, ns_app_connect(app, NULL));
    IS(NS_ERR_CLOSED, ns_app_disconnect(app));
    IS(NS_ERR_CLOSED, ns_app_set(app, NS_OPT_LINGER_MS, 1));
    IS(NS_ERR_CLOSED, ns_app_set_accept(app, 0));
    EQUAL(-1, ns_app_fd(app));
    EQUAL(NS_LINK_IDLE, ns_app_link(app));
    SAME("closes", ns_app_identity(app));
    EQUAL(1, app_stats(app).connects);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void lingers(void)
{
    ns_hub *hub = hub_at("tcp://127.0.0.1:0");
    ns_app *to = app_at("to", hub);
    char *block = (char *)calloc(1, 1 << 20);
    long long began;
    ns_app *from;
    int i;
    CHECK(block != NULL);

    /* What was sent just before free arrives, also if it is much. */
    from = app_at("from", hub);
    OK(ns_app_set(from, NS_OPT_LINGER_MS, LONG));
    for (i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        OK(ns_app_send_bytes(from, name, block, 1 << 20));
    }
    ns_app_free(from);
    for (i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        ns_state_free(next_named(to, name));
    }
    free(block);

    /* Without a hub, free waits for the linger time, and close with 0 not at all. */
    from = app_new("from");
    OK(ns_app_set(from, NS_OPT_LINGER_MS, 60));
    OK(ns_app_send_nil(from, "lost"));
    OK(ns_app_connect(from, free_url("inproc")));
    began = now_ms();
    ns_app_free(from);
    CHECK(now_ms() - began >= 55);
    from = app_new("from");
    OK(ns_app_set(from, NS_OPT_LINGER_MS, LONG));
    OK(ns_app_send_nil(from, "lost"));
    OK(ns_app_connect(from, free_url("inproc")));
    began = now_ms();
    OK(ns_app_close(from, 0));
    ns_app_free(from);
    CHECK(now_ms() - began < LONG / 2);

    /* Nothing to wait for: nothing is waited for. */
    from = app_at("from", hub);
    OK(ns_app_set(from, NS_OPT_LINGER_MS, LONG));
    began = now_ms();
    ns_app_free(from);
    CHECK(now_ms() - began < LONG / 2);
    ns_app_free(to);
    ns_hub_free(hub);
}

const struct test link_tests[] = {
    {"a link comes, goes and comes again, and a time-out tells the last failure", links},
    {"a host without address is not the end", unresolved},
    {"an app announces its newest values to the next hub", announces_again},
    {"closing is final, and closing again a success", closes},
    {"what was sent just before free arrives, within the linger", lingers},
    {NULL, NULL},
};
