/* Callbacks in the thread that calls ns_app_dispatch or ns_app_recv. */
#include "test.h"

#include <stdio.h>
#include <string.h>

struct seen {
    ns_app *app;
    ns_state *kept;
    int states, links, rejects, synced;
    ns_link link;
    ns_status why;
    char text[200];
    char name[100];
    ns_kind kind;
    ns_status inside;
};

static void seen_state(ns_app *app, const ns_state *state, void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    seen->app = app;
    seen->states++;
    snprintf(seen->name, sizeof seen->name, "%s", ns_state_name(state));
    ns_state_free(seen->kept);
    seen->kept = ns_state_ref(state);
}

static void seen_link(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    seen->app = app;
    seen->links++;
    seen->link = link;
    seen->why = why;
    snprintf(seen->text, sizeof seen->text, "%s", text);
}

static void seen_reject(ns_app *app, const char *sender, const char *name, ns_kind kind, void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    seen->app = app;
    seen->rejects++;
    snprintf(seen->text, sizeof seen->text, "%s", sender);
    snprintf(seen->name, sizeof seen->name, "%s", name);
    seen->kind = kind;
}

static void seen_synced(ns_app *app, void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    seen->app = app;
    seen->synced++;
}

static void states(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_state *state;
    const char *text;
    struct seen seen, other;
    memset(&seen, 0, sizeof seen);
    memset(&other, 0, sizeof other);
    OK(ns_app_on_state(to, seen_state, &seen));
    IS(NS_ERR_STATE, ns_app_recv(to, 0, &state));
    OK(ns_app_send_text(from, "a", "alpha"));
    OK(ns_app_dispatch(to, LONG, 0));
    EQUAL(1, seen.states);
    CHECK(seen.app == to);
    SAME("a", seen.name);
    /* Another function, another ctx. */
    OK(ns_app_on_state(to, seen_state, &other));
    OK(ns_app_send_text(from, "b", "beta"));
    OK(ns_app_dispatch(to, -1, 1));
    EQUAL(1, seen.states);
    EQUAL(1, other.states);
    SAME("b", other.name);
    /* None: recv again. */
    OK(ns_app_on_state(to, NULL, NULL));
    OK(ns_app_send_text(from, "c", "gamma"));
    ns_state_free(next_named(to, "c"));
    EQUAL(1, other.states);
    ns_app_free(to);
    /* What a callback kept is still there. */
    OK(ns_state_text(seen.kept, &text, NULL));
    SAME("alpha", text);
    ns_state_free(seen.kept);
    ns_state_free(other.kept);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void at_most(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_app_stats_t stats;
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    OK(ns_app_on_state(to, seen_state, &seen));
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_send_nil(from, "b"));
    OK(ns_app_send_nil(from, "c"));
    OK(ns_app_send_nil(from, "d"));
    do {
        OK(ns_app_stats(to, &stats, sizeof stats));
    } while (stats.queued < 4);
    OK(ns_app_dispatch(to, 0, 1));
    EQUAL(1, seen.states);
    OK(ns_app_dispatch(to, 0, 2));
    EQUAL(3, seen.states);
    OK(ns_app_dispatch(to, 0, 0));
    EQUAL(4, seen.states);
    SAME("d", seen.name);
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(to, 0, 0));
    ns_state_free(seen.kept);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void links(void)
{
    ns_hub *hub = hub_at(lasting_url());
    ns_app *app = app_new("app");
    char address[100];
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    snprintf(address, sizeof address, "%s", ns_hub_address(hub, 0));
    OK(ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 50));
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    OK(ns_app_on_link(app, seen_link, &seen));
    OK(ns_app_connect(app, address));
    while (seen.link != NS_LINK_CONNECTED) {
        OK(ns_app_dispatch(app, LONG, 1));
    }
    EQUAL(NS_OK, seen.why);
    CHECK(seen.app == app);
    ns_hub_free(hub);
    OK(ns_app_dispatch(app, LONG, 1));
    EQUAL(NS_LINK_CONNECTING, seen.link);
    CHECK(seen.why != NS_OK);
    CHECK(strlen(seen.text) > 0);
    /* It comes back by itself. */
    hub = hub_at(address);
    while (seen.link != NS_LINK_CONNECTED) {
        OK(ns_app_dispatch(app, LONG, 1));
    }
    OK(ns_app_disconnect(app));
    OK(ns_app_dispatch(app, LONG, 1));
    EQUAL(NS_LINK_IDLE, seen.link);
    EQUAL(NS_OK, seen.why);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void rejects(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_new("to");
    ns_app_stats_t stats;
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    OK(ns_app_set_accept(to, NS_ACCEPT(NS_KIND_TEXT)));
    OK(ns_app_on_reject(to, seen_reject, &seen));
    OK(ns_app_connect(to, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(to, LONG));
    OK(ns_app_send_int(from, "number", 1));
    OK(ns_app_send_text(from, "text", "t"));
    /* recv runs it too. */
    ns_state_free(next_named(to, "text"));
    EQUAL(1, seen.rejects);
    CHECK(seen.app == to);
    SAME("from", seen.text);
    SAME("number", seen.name);
    EQUAL(NS_KIND_INT, seen.kind);
    OK(ns_app_stats(to, &stats, sizeof stats));
    EQUAL(1, stats.rejected);
    EQUAL(1, stats.received);
    OK(ns_app_send_json(from, "map", "{}", 2));
    OK(ns_app_dispatch(to, LONG, 0));
    EQUAL(2, seen.rejects);
    EQUAL(NS_KIND_MAP, seen.kind);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void synced(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *late = app_new("late");
    ns_state *state;
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    IS(NS_ERR_STATE, ns_app_wait_synced(late, 0));
    CONTAINS("not connected", ns_last_error());
    OK(ns_app_send_int(from, "x", 1));
    OK(ns_app_send_int(from, "y", 2));
    OK(ns_app_flush(from, LONG));
    OK(ns_app_on_synced(late, seen_synced, &seen));
    OK(ns_app_connect(late, ns_hub_address(hub, 0)));
    OK(ns_app_wait_synced(late, LONG));
    OK(ns_app_wait_synced(late, 0));
    /* Known, though it has received nothing. */
    OK(ns_app_get(late, "from", "y", &state));
    CHECK(ns_state_retained(state));
    ns_state_free(state);
    state = next_named(late, "x");
    CHECK(ns_state_retained(state));
    ns_state_free(state);
    EQUAL(0, seen.synced);
    OK(ns_app_send_int(from, "z", 3));
    ns_state_free(next_named(late, "y"));
    /* Behind the states that came before; recv runs it, too. */
    state = next_named(late, "z");
    CHECK(!ns_state_retained(state));
    ns_state_free(state);
    EQUAL(1, seen.synced);
    CHECK(seen.app == late);
    /* More is asked for. */
    OK(ns_app_set_accept(late, NS_ACCEPT(NS_KIND_TEXT)));
    OK(ns_app_set_accept(late, NS_ACCEPT_ANY));
    OK(ns_app_wait_synced(late, LONG));
    while (seen.synced < 2) {
        OK(ns_app_dispatch(late, LONG, 1));
    }
    /* Also for what is so already. */
    OK(ns_app_on_synced(late, NULL, NULL));
    OK(ns_app_on_synced(late, seen_synced, &seen));
    OK(ns_app_dispatch(late, LONG, 1));
    EQUAL(3, seen.synced);
    IS(NS_ERR_INVALID, ns_app_wait_synced(late, -2));
    ns_app_free(from);
    ns_app_free(late);
    ns_hub_free(hub);
}

struct others {
    char said[256];
    uint8_t instance[16];
    int count;
};

static void seen_presence(ns_app *app, ns_presence event, const char *identity, const uint8_t *instance, void *ctx)
{
    struct others *others = (struct others *)ctx;
    size_t len = strlen(others->said);
    (void)app;
    memcpy(others->instance, instance, sizeof others->instance);
    snprintf(others->said + len, sizeof others->said - len, "%s %s;", identity, ns_presence_name(event));
}

static bool seen_peer(ns_app *app, const char *identity, const uint8_t *instance, bool suspect, void *ctx)
{
    struct others *others = (struct others *)ctx;
    (void)app;
    CHECK(!suspect);
    SAME("b", identity);
    CHECK(memcmp(instance, others->instance, sizeof others->instance) == 0);
    return ++others->count < 1;
}

static void presence(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *a = app_at("a", hub);
    ns_app *watcher = app_new("watcher");
    ns_app *b;
    struct others others;
    memset(&others, 0, sizeof others);
    IS(NS_ERR_STATE, ns_app_peers(watcher, 0, seen_peer, &others));
    IS(NS_ERR_INVALID, ns_app_peers(watcher, -2, seen_peer, &others));
    IS(NS_ERR_INVALID, ns_app_peers(watcher, 0, NULL, NULL));
    OK(ns_app_on_presence(watcher, seen_presence, &others));
    OK(ns_app_connect(watcher, ns_hub_address(hub, 0)));
    while (strcmp(others.said, "a here;") != 0) {
        OK(ns_app_dispatch(watcher, LONG, 1));
    }
    ns_app_free(a);
    while (strcmp(others.said, "a here;a left;") != 0) {
        OK(ns_app_dispatch(watcher, LONG, 1));
    }
    b = app_at("b", hub);
    while (strstr(others.said, "a here;a left;b ") == NULL) {
        OK(ns_app_dispatch(watcher, LONG, 1));
    }
    EQUAL(0, others.count);
    OK(ns_app_peers(watcher, LONG, seen_peer, &others));
    EQUAL(1, others.count);
    OK(ns_app_on_presence(watcher, NULL, NULL));
    ns_app_free(b);
    ns_app_free(watcher);
    ns_hub_free(hub);
}

static void seen_stale(ns_app *app, const char *sender, void *ctx)
{
    char *said = (char *)ctx;
    (void)app;
    snprintf(said, 64, "%s", sender == NULL ? "all" : sender);
}

static void stale(void)
{
    char said[64] = "";
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *b = app_at("b", hub);
    ns_app *watcher = app_new("watcher");
    ns_state *state;
    OK(ns_app_on_stale(watcher, seen_stale, said));
    OK(ns_app_connect(watcher, ns_hub_address(hub, 0)));
    OK(ns_app_send_int(b, "x", 1));
    OK(ns_app_recv(watcher, LONG, &state));
    while (strcmp(said, "b") != 0) {
        /* That it is there. */
        OK(ns_app_dispatch(watcher, LONG, 1));
    }
    CHECK(!ns_app_is_stale(watcher, state));
    CHECK(!ns_app_is_stale(watcher, NULL));
    said[0] = '\0';
    ns_app_free(b);
    while (strcmp(said, "b") != 0) {
        OK(ns_app_dispatch(watcher, LONG, 1));
    }
    CHECK(ns_app_is_stale(watcher, state));
    OK(ns_app_on_stale(watcher, NULL, NULL));
    OK(ns_app_close(watcher, 0));
    CHECK(!ns_app_is_stale(watcher, state));
    ns_state_free(state);
    ns_app_free(watcher);
    ns_hub_free(hub);
}

static void dispatches_inside(ns_app *app, const ns_state *state, void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    (void)state;
    seen->states++;
    seen->inside = ns_app_dispatch(app, 0, 0);
    /* What does not wait is allowed. */
    OK(ns_app_send_nil(app, "answer"));
    OK(ns_app_on_state(app, NULL, NULL));
}

static void inside(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    OK(ns_app_on_state(to, dispatches_inside, &seen));
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_dispatch(to, LONG, 1));
    EQUAL(NS_ERR_STATE, seen.inside);
    ns_state_free(next_named(from, "answer"));
    OK(ns_app_send_nil(from, "b"));
    ns_state_free(next_named(to, "b"));
    EQUAL(1, seen.states);
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void frees(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    ++*(int *)ctx;
    OK(ns_app_send_nil(app, "last words"));
    ns_app_free(app);
}

static void freed_inside(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_app_stats_t stats;
    int called = 0;
    OK(ns_app_on_state(to, frees, &called));
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_send_nil(from, "b"));
    do {
        OK(ns_app_stats(to, &stats, sizeof stats));
    } while (stats.queued < 2);
    IS(NS_ERR_CLOSED, ns_app_dispatch(to, LONG, 0));
    EQUAL(1, called);
    ns_state_free(next_named(from, "last words"));
    ns_app_free(from);
    ns_hub_free(hub);
}

static void frees_on_link(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    (void)why;
    (void)text;
    if (link == NS_LINK_CONNECTED) {
        ++*(int *)ctx;
        ns_app_free(app);
    }
}

static void freed_inside_recv(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_new("app");
    ns_state *state;
    int called = 0;
    OK(ns_app_on_link(app, frees_on_link, &called));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    IS(NS_ERR_CLOSED, ns_app_recv(app, -1, &state));
    CHECK(state == NULL);
    EQUAL(1, called);
    ns_hub_free(hub);
}

static void frees_on_reject(ns_app *app, const char *sender, const char *name, ns_kind kind, void *ctx)
{
    (void)sender;
    (void)name;
    (void)kind;
    ++*(int *)ctx;
    ns_app_free(app);
}

static void freed_inside_reject(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    int called = 0;
    OK(ns_app_set_accept(to, 0));
    OK(ns_app_on_reject(to, frees_on_reject, &called));
    OK(ns_app_flush(to, LONG));
    OK(ns_app_send_nil(from, "a"));
    IS(NS_ERR_CLOSED, ns_app_dispatch(to, -1, 0));
    EQUAL(1, called);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void closes(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    ++*(int *)ctx;
    OK(ns_app_close(app, -1));
}

static void closed_inside(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    int called = 0;
    OK(ns_app_on_state(to, closes, &called));
    OK(ns_app_send_nil(from, "a"));
    (void)ns_app_dispatch(to, LONG, 0);
    EQUAL(1, called);
    IS(NS_ERR_CLOSED, ns_app_dispatch(to, -1, 0));
    ns_app_free(to);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void frees_another(ns_app *app, const ns_state *state, void *ctx)
{
    ns_app **other = (ns_app **)ctx;
    (void)app;
    (void)state;
    ns_app_free(*other);
    *other = NULL;
}

static void another_freed_inside(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    OK(ns_app_on_state(to, frees_another, &from));
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_dispatch(to, LONG, 0));
    CHECK(from == NULL);
    ns_app_free(to);
    ns_hub_free(hub);
}

static void interrupts(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    ++*(int *)ctx;
    ns_app_interrupt(app);
}

static void interrupted_inside(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    int called = 0;
    ns_status status;
    OK(ns_app_on_state(to, interrupts, &called));
    OK(ns_app_send_nil(from, "a"));
    status = ns_app_dispatch(to, LONG, 0);
    EQUAL(1, called);
    /* This dispatch or the next one tells. */
    if (status != NS_ERR_INTERRUPTED) {
        OK(status);
        IS(NS_ERR_INTERRUPTED, ns_app_dispatch(to, LONG, 0));
    }
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(to, 0, 0));
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

const struct test callback_tests[] = {
    {"a state function gets every state, until it is replaced", states},
    {"dispatch runs at most as many callbacks as it is told", at_most},
    {"a link function hears of connect, loss and return", links},
    {"a reject function hears of what is not accepted", rejects},
    {"a late app learns when it has what the hub held, and which states that were", synced},
    {"an app is told which others are there, and who comes and leaves", presence},
    {"a value is stale when its app is gone, and the function hears of its sender", stale},
    {"a callback may send and replace itself, but not dispatch", inside},
    {"an app freed in its state function is gone at once, and lingers", freed_inside},
    {"an app freed in its link function ends the receive that ran it", freed_inside_recv},
    {"an app freed in its reject function ends the dispatch that ran it", freed_inside_reject},
    {"an app closed in its state function is closed", closed_inside},
    {"a callback may free another app", another_freed_inside},
    {"an interrupt inside a callback is not lost", interrupted_inside},
    {NULL, NULL},
};
