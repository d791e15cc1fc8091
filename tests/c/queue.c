/* What the queues of an app keep, replace and refuse, and what is delivered. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static void conflates(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_hub_stats_t hub_stats;
    ns_state *state;
    int64_t value, last = 0;
    int i, came = 0;
    for (i = 1; i <= 5000; i++) {
        OK(ns_app_send_int(from, "counter", i));
    }
    OK(ns_app_send_nil(from, "end"));
    OK(ns_app_flush(from, LONG));
    do {
        state = next(to);
        if (strcmp(ns_state_name(state), "end") == 0) {
            break;
        }
        OK(ns_state_int(state, &value));
        CHECK(value > last);
        last = value;
        came++;
        ns_state_free(state);
    } while (true);
    ns_state_free(state);
    EQUAL(5000, last);
    /* Every value that did not come is counted somewhere. */
    OK(ns_hub_stats(hub, &hub_stats, sizeof hub_stats));
    EQUAL(5000, came + app_stats(from).conflated_out + hub_stats.conflated + app_stats(to).conflated_in);
    EQUAL(5001, app_stats(from).sent);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void receive_queue_conflates(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_new("to");
    ns_state *state;
    int64_t value;
    int i;
    OK(ns_app_set(to, NS_OPT_RECV_QUEUE, 1));
    OK(ns_app_connect(to, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(to, LONG));
    for (i = 1; i <= 100; i++) {
        OK(ns_app_send_int(from, "counter", i));
        OK(ns_app_flush(from, LONG));
    }
    while (app_stats(to).received < 100) {
        sched_yield();
    }
    state = next_named(to, "counter");
    OK(ns_state_int(state, &value));
    EQUAL(100, value);
    ns_state_free(state);
    IS(NS_ERR_TIMEOUT, ns_app_recv(to, 0, &state));
    EQUAL(99, app_stats(to).conflated_in);
    EQUAL(0, app_stats(to).dropped_in);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void conflates_without_link(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_new("from");
    ns_app *to = app_at("to", hub);
    ns_state *state;
    int64_t value;
    int i;
    for (i = 1; i <= 1000; i++) {
        OK(ns_app_send_int(from, "counter", i));
    }
    OK(ns_app_connect(from, ns_hub_address(hub, 0)));
    OK(ns_app_flush(from, LONG));
    state = next_named(to, "counter");
    OK(ns_state_int(state, &value));
    EQUAL(1000, value);
    ns_state_free(state);
    IS(NS_ERR_TIMEOUT, ns_app_recv(to, 0, &state));
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void too_large(void)
{
    static const char block[4000] = {0};
    ns_hub *hub;
    ns_app *app = app_new("too-large");
    OK(ns_app_set(app, NS_OPT_MAX_MESSAGE, 1000));
    IS(NS_ERR_TOO_LARGE, ns_app_send_bytes(app, "n", block, 1000));
    CONTAINS("1000", ns_last_error());
    OK(ns_app_send_bytes(app, "n", block, 900));
    ns_app_free(app);

    /* The hub says what it takes. */
    OK(ns_hub_new(&hub));
    OK(ns_hub_set(hub, NS_OPT_HUB_MAX_MESSAGE, 2000));
    OK(ns_hub_listen(hub, free_url("inproc")));
    app = app_at("too-large", hub);
    IS(NS_ERR_TOO_LARGE, ns_app_send_bytes(app, "n", block, 2000));
    OK(ns_app_send_bytes(app, "n", block, 1900));
    OK(ns_app_flush(app, LONG));
    ns_app_free(app);
    ns_hub_free(hub);
}

static void full(void)
{
    static const char block[1000] = {0};
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *to = app_at("to", hub);
    ns_app *app = app_new("full");
    ns_status status = NS_OK;
    char name[16];
    int i, kept;
    OK(ns_app_set(app, NS_OPT_SEND_QUEUE, 100000));
    for (i = 0; status == NS_OK; i++) {
        snprintf(name, sizeof name, "%d", i);
        status = ns_app_send_bytes(app, name, block, sizeof block);
        CHECK(i < 1000);
    }
    kept = i - 1;
    IS(NS_ERR_FULL, status);
    CONTAINS("100000", ns_last_error());
    CHECK(kept > 10);
    CHECK(app_stats(app).own_bytes <= 100000);
    EQUAL(kept, app_stats(app).sent);
    /* What is there can be replaced, and all of it arrives. */
    OK(ns_app_send_bytes(app, "0", block, sizeof block));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    OK(ns_app_flush(app, LONG));
    for (i = 0; i < kept; i++) {
        ns_state_free(next(to));
    }
    ns_app_free(app);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void receive_queue(void)
{
    static const char block[1000] = {0};
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_new("to");
    ns_state *state;
    char name[16];
    int i, came = 0;
    OK(ns_app_set(to, NS_OPT_RECV_QUEUE, 20000));
    OK(ns_app_connect(to, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(to, LONG));
    for (i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%d", i);
        OK(ns_app_send_bytes(from, name, block, sizeof block));
    }
    while (app_stats(to).received < 100) {
        sched_yield();
    }
    EQUAL(100, app_stats(to).queued);
    CHECK(app_stats(to).queued_bytes > 20000);
    while (ns_app_recv(to, 0, &state) == NS_OK) {
        SAME("from", ns_state_sender(state));
        snprintf(name, sizeof name, "%d", came++);
        SAME(name, ns_state_name(state));
        ns_state_free(state);
    }
    EQUAL(100, came);
    EQUAL(0, app_stats(to).dropped_in);
    EQUAL(0, app_stats(to).queued_bytes);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void accepts(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_new("to");
    ns_state *state;
    OK(ns_app_set_accept(to, NS_ACCEPT(NS_KIND_INT) | NS_ACCEPT(NS_KIND_BOOL)));
    OK(ns_app_connect(to, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(to, LONG));
    OK(ns_app_send_text(from, "text", "no"));
    OK(ns_app_send_int(from, "int", 1));
    OK(ns_app_send_double(from, "double", 1.5));
    OK(ns_app_send_nil(from, "nil"));
    OK(ns_app_send_bool(from, "bool", true));
    ns_state_free(next_named(to, "int"));
    ns_state_free(next_named(to, "bool"));
    IS(NS_ERR_TIMEOUT, ns_app_recv(to, 0, &state));

    /* From now on: nothing, then everything. */
    OK(ns_app_set_accept(to, 0));
    OK(ns_app_flush(to, LONG));
    OK(ns_app_send_int(from, "unheard", 1));
    OK(ns_app_flush(from, LONG));
    OK(ns_app_set_accept(to, NS_ACCEPT_ANY));
    OK(ns_app_flush(to, LONG));
    OK(ns_app_send_text(from, "heard", "yes"));
    for (;;) {
        state = next(to);
        if (strcmp(ns_state_name(state), "heard") == 0) {
            break;
        }
        ns_state_free(state);
    }
    ns_state_free(state);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void echoes(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *quiet = app_at("quiet", hub);
    ns_app *loud = app_new("loud");
    ns_state *state;
    OK(ns_app_set(loud, NS_OPT_ECHO, 1));
    OK(ns_app_connect(loud, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(loud, LONG));
    OK(ns_app_send_nil(loud, "mine"));
    state = next_named(loud, "mine");
    SAME("loud", ns_state_sender(state));
    ns_state_free(state);
    ns_state_free(next_named(quiet, "mine"));
    OK(ns_app_send_nil(quiet, "not-mine"));
    ns_state_free(next_named(loud, "not-mine"));
    OK(ns_app_flush(quiet, LONG));
    IS(NS_ERR_TIMEOUT, ns_app_recv(quiet, 0, &state));
    ns_app_free(loud);
    ns_app_free(quiet);
    ns_hub_free(hub);
}

const struct test queue_tests[] = {
    {"values arrive in order, the newest for certain, and each that did not is counted", conflates},
    {"a full receive queue keeps the newest value of a name, counted", receive_queue_conflates},
    {"without a link values are replaced by name", conflates_without_link},
    {"a value over the app's or the hub's limit is refused when it is sent", too_large},
    {"a full send queue refuses new names and loses nothing", full},
    {"a full receive queue keeps the newest value of every name", receive_queue},
    {"only kinds that are accepted are delivered", accepts},
    {"own states come back only if asked for", echoes},
    {NULL, NULL},
};
