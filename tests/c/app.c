/* What an app is, knows and refuses. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void identities(void)
{
    char longest[257];
    ns_app *app;
    memset(longest, 'x', 256);
    longest[256] = 0;
    IS(NS_ERR_IDENTITY, ns_app_new(longest, &app));
    CHECK(app == NULL);
    longest[255] = 0;
    OK(ns_app_new(longest, &app));
    SAME(longest, ns_app_identity(app));
    ns_app_free(app);
    IS(NS_ERR_IDENTITY, ns_app_new("", &app));
    IS(NS_ERR_UTF8, ns_app_new("\xe4", &app));
    CONTAINS("identity", ns_last_error());
    CHECK(app == NULL);
    app = app_new("na\xc3\xafve");
    SAME("na\xc3\xafve", ns_app_identity(app));
    ns_app_free(app);
}

static void names(void)
{
    char longest[1026];
    ns_app *app = app_new("names");
    memset(longest, 'x', 1025);
    longest[1025] = 0;
    IS(NS_ERR_NAME, ns_app_send_nil(app, longest));
    longest[1024] = 0;
    OK(ns_app_send_nil(app, longest));
    IS(NS_ERR_NAME, ns_app_send_nil(app, ""));
    IS(NS_ERR_NAME, ns_app_send_nil(app, "$ns/"));
    IS(NS_ERR_NAME, ns_app_send_text(app, "$ns/hello", "x"));
    IS(NS_ERR_NAME, ns_app_send_json(app, "", "1", 1));
    IS(NS_ERR_NAME, ns_app_send_msgpack(app, "", "\xc0", 1));
    OK(ns_app_send_nil(app, "$nsa"));
    OK(ns_app_send_nil(app, "$"));
    OK(ns_app_send_nil(app, "a//b c/\xc3\xa4"));
    IS(NS_ERR_UTF8, ns_app_send_nil(app, "\xc3"));
    ns_app_free(app);
}

static void hubs_identity(void)
{
    ns_app *app;
    IS(NS_ERR_IDENTITY, ns_app_new("$ns", &app));
    CHECK(app == NULL);
    SAME("identity not allowed: \"$ns\": reserved for the hub", ns_last_error());
    OK(ns_app_new("$ns2", &app));
    IS(NS_ERR_URL, ns_app_connect(app, "tcp://::1:15000"));
    SAME("malformed URL: tcp://::1:15000: an IPv6 address must be in brackets: tcp://[::1]:15000", ns_last_error());
    IS(NS_ERR_URL, ns_app_connect(app, "http://localhost:15000"));
    CONTAINS("known are tcp, ", ns_last_error());
    ns_app_free(app);
}

static void options(void)
{
    static const ns_opt flags[] = {NS_OPT_CALLBACK_THREAD, NS_OPT_ECHO, NS_OPT_TAKE_OVER, NS_OPT_SHARED,
                                   NS_OPT_OBSERVER};
    static const ns_opt sizes[] = {NS_OPT_SEND_QUEUE, NS_OPT_RECV_QUEUE, NS_OPT_MAX_MESSAGE, NS_OPT_BACKOFF_MAX_MS,
                                   NS_OPT_BACKOFF_MIN_MS};
    static const ns_opt early[] = {NS_OPT_CALLBACK_THREAD, NS_OPT_MAX_MESSAGE, NS_OPT_ECHO, NS_OPT_TAKE_OVER,
                                   NS_OPT_SHARED,          NS_OPT_OBSERVER};
    ns_app *app = app_new("options");
    size_t i;
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        OK(ns_app_set(app, flags[i], 1));
        OK(ns_app_set(app, flags[i], 0));
        IS(NS_ERR_INVALID, ns_app_set(app, flags[i], 2));
        IS(NS_ERR_INVALID, ns_app_set(app, flags[i], -1));
    }
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        OK(ns_app_set(app, sizes[i], 100000));
        IS(NS_ERR_INVALID, ns_app_set(app, sizes[i], 0));
        IS(NS_ERR_INVALID, ns_app_set(app, sizes[i], -1));
        IS(NS_ERR_INVALID, ns_app_set(app, sizes[i], INT64_MAX));
    }
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_LINGER_MS, -2));
    IS(NS_ERR_INVALID, ns_app_set(app, 0, 1));
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_HUB_ECHO, 1));
    SAME("113 is not an option of an app", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_set(app, INT32_MIN, 1));
    OK(ns_app_connect(app, free_url("inproc")));
    for (i = 0; i < sizeof early / sizeof early[0]; i++) {
        IS(NS_ERR_STATE, ns_app_set(app, early[i], 1));
    }
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    ns_app_free(app);
}

static int64_t option_of(const ns_app *app, ns_opt option)
{
    int64_t value = -7;
    OK(ns_app_option(app, option, &value));
    return value;
}

static void reads_options(void)
{
    ns_app *app = app_new("reads-options");
    int64_t value = 7;
    EQUAL(1000, option_of(app, NS_OPT_LINGER_MS));
    EQUAL(0, option_of(app, NS_OPT_CALLBACK_THREAD));
    EQUAL(64 << 20, option_of(app, NS_OPT_SEND_QUEUE));
    EQUAL(16 << 20, option_of(app, NS_OPT_RECV_QUEUE));
    EQUAL(16 << 20, option_of(app, NS_OPT_MAX_MESSAGE));
    EQUAL(50, option_of(app, NS_OPT_BACKOFF_MIN_MS));
    EQUAL(5000, option_of(app, NS_OPT_BACKOFF_MAX_MS));
    EQUAL(0, option_of(app, NS_OPT_ECHO));
    EQUAL(0, option_of(app, NS_OPT_TAKE_OVER));
    EQUAL(0, option_of(app, NS_OPT_SHARED));
    EQUAL(0, option_of(app, NS_OPT_OBSERVER));

    OK(ns_app_set(app, NS_OPT_LINGER_MS, 20));
    OK(ns_app_set(app, NS_OPT_SEND_QUEUE, 4711));
    OK(ns_app_set(app, NS_OPT_RECV_QUEUE, 4712));
    OK(ns_app_set(app, NS_OPT_MAX_MESSAGE, 4713));
    OK(ns_app_set(app, NS_OPT_ECHO, 1));
    EQUAL(20, option_of(app, NS_OPT_LINGER_MS));
    EQUAL(4711, option_of(app, NS_OPT_SEND_QUEUE));
    EQUAL(4712, option_of(app, NS_OPT_RECV_QUEUE));
    EQUAL(4713, option_of(app, NS_OPT_MAX_MESSAGE));
    EQUAL(1, option_of(app, NS_OPT_ECHO));
    EQUAL(0, option_of(app, NS_OPT_SHARED));

    /* The error names the option that is refused, and nothing changes. */
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_LINGER_MS, -5));
    CONTAINS("NS_OPT_LINGER_MS must be 0 to ", ns_last_error());
    EQUAL(20, option_of(app, NS_OPT_LINGER_MS));
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_BACKOFF_MIN_MS, 5001));
    SAME("NS_OPT_BACKOFF_MIN_MS cannot be 5001, above NS_OPT_BACKOFF_MAX_MS, which is 5000", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 49));
    SAME("NS_OPT_BACKOFF_MAX_MS cannot be 49, below NS_OPT_BACKOFF_MIN_MS, which is 50", ns_last_error());
    OK(ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 50));
    OK(ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, 100));
    OK(ns_app_set(app, NS_OPT_BACKOFF_MIN_MS, 100));
    EQUAL(100, option_of(app, NS_OPT_BACKOFF_MIN_MS));

    IS(NS_ERR_INVALID, ns_app_option(app, NS_OPT_HUB_ECHO, &value));
    EQUAL(0, value);
    SAME("113 is not an option of an app", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_option(app, NS_OPT_ECHO, NULL));
    IS(NS_ERR_INVALID, ns_app_option(NULL, NS_OPT_ECHO, &value));
    OK(ns_app_connect(app, free_url("inproc")));
    IS(NS_ERR_STATE, ns_app_set(app, NS_OPT_SHARED, 1));
    SAME("NS_OPT_SHARED must be set before connect", ns_last_error());
    OK(ns_app_close(app, 0));
    IS(NS_ERR_CLOSED, ns_app_option(app, NS_OPT_ECHO, &value));
    ns_app_free(app);
}

static void time_outs(void)
{
    ns_app *app = app_new("time-outs");
    ns_state *state;
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    IS(NS_ERR_INVALID, ns_app_recv(app, -2, &state));
    CONTAINS("-2", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_dispatch(app, -2, 0));
    IS(NS_ERR_INVALID, ns_app_wait_connected(app, -2));
    IS(NS_ERR_INVALID, ns_app_flush(app, -2));
    IS(NS_ERR_INVALID, ns_app_close(app, -2));
    IS(NS_ERR_TIMEOUT, ns_app_recv(app, 0, &state));
    CHECK(state == NULL);
    IS(NS_ERR_TIMEOUT, ns_app_recv(app, 1, &state));
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(app, 0, 0));
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(app, 1, 0));
    OK(ns_app_connect(app, free_url("inproc")));
    IS(NS_ERR_TIMEOUT, ns_app_wait_connected(app, 0));
    OK(ns_app_send_nil(app, "n"));
    IS(NS_ERR_TIMEOUT, ns_app_flush(app, 0));
    IS(NS_ERR_TIMEOUT, ns_app_flush(app, 1));
    ns_app_free(app);
}

static void urls(void)
{
    static const char *const malformed[] = {"",           "nonsense",         "tcp://",      "tcp://127.0.0.1",
                                            "tcp://[::1", "tcp://127.0.0.1:", "tcp://:1:2:", "tcp://127.0.0.1:65536",
                                            "inproc://",  "ipc://"};
    ns_app *app = app_new("urls");
    size_t i;
    for (i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        IS(NS_ERR_URL, ns_app_connect(app, malformed[i]));
        CONTAINS(malformed[i], ns_last_error());
    }
    IS(NS_ERR_URL, ns_app_connect(app, "ws://127.0.0.1:15001/a path"));
    IS(NS_ERR_UTF8, ns_app_connect(app, "ipc:///\xff"));
    EQUAL(NS_LINK_IDLE, ns_app_link(app));
    OK(ns_app_connect(app, free_url("inproc")));
    IS(NS_ERR_STATE, ns_app_connect(app, free_url("inproc")));
    ns_app_free(app);
}

static void default_url(void)
{
    ns_hub *hub = hub_at("tcp://127.0.0.1:0");
    ns_app *app = app_new("default-url");
    CHECK(setenv("NANOSTATE_URL", ns_hub_address(hub, 0), 1) == 0);
    OK(ns_app_connect(app, NULL));
    OK(ns_app_wait_connected(app, LONG));
    OK(ns_app_disconnect(app));
    CHECK(setenv("NANOSTATE_URL", "nonsense", 1) == 0);
    IS(NS_ERR_URL, ns_app_connect(app, NULL));
    CHECK(unsetenv("NANOSTATE_URL") == 0);
    SAME("tcp://127.0.0.1:15000", NS_DEFAULT_URL);
    ns_app_free(app);
    ns_hub_free(hub);
}

/* What ns_app_each showed. */
struct shown {
    ns_app *app;
    size_t count;
    size_t most; /* The walk ends after this one. 0: it does not. */
    char text[400];
};

static bool show(ns_app *app, const ns_state *state, void *ctx)
{
    struct shown *shown = (struct shown *)ctx;
    const char *json;
    CHECK(app == shown->app);
    OK(ns_state_json(state, &json, NULL));
    ++shown->count;
    snprintf(shown->text, sizeof shown->text, "%s/%s=%s", ns_state_sender(state), ns_state_name(state), json);
    return shown->count != shown->most;
}

static size_t shows(ns_app *app, const char *pattern, struct shown *shown)
{
    shown->app = app;
    shown->count = shown->most = 0;
    shown->text[0] = 0;
    OK(ns_app_each(app, pattern, show, shown));
    return shown->count;
}

/* The value of `name` in `app`, by `sender` or, if that is NULL, by its last sender. */
static void check_known(ns_app *app, const char *sender, const char *name, const char *whose, int64_t value)
{
    ns_state *state;
    int64_t known;
    OK(ns_app_get(app, sender, name, &state));
    SAME(whose, ns_state_sender(state));
    OK(ns_state_int(state, &known));
    EQUAL(value, known);
    ns_state_free(state);
}

static void knows(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *a = app_at("a", hub);
    ns_app *b = app_at("b", hub);
    ns_state *state;
    struct shown shown;
    EQUAL(0, shows(a, NULL, &shown));
    IS(NS_ERR_NOT_FOUND, ns_app_get(a, NULL, "x/y", &state));
    CHECK(state == NULL);
    CONTAINS("x/y", ns_last_error());

    OK(ns_app_send_int(a, "x/y", 1));
    EQUAL(1, shows(a, NULL, &shown));
    SAME("a/x/y=1", shown.text);
    check_known(a, NULL, "x/y", "a", 1);
    ns_state_free(next_named(b, "x/y"));
    OK(ns_app_send_int(b, "x/y", 2));
    OK(ns_app_send_int(b, "x/y", 3));
    OK(ns_app_send_int(b, "x/z", 4));
    do {
        state = next(a);
        ns_state_free(state);
    } while (shows(a, "x/z", &shown) == 0);

    /* For a sender its newest value; for a name alone the newest of all senders. */
    EQUAL(3, shows(a, NULL, &shown));
    EQUAL(2, shows(a, "*/y", &shown));
    EQUAL(3, shows(a, "x/**", &shown));
    EQUAL(1, shows(a, "x/z", &shown));
    SAME("b/x/z=4", shown.text);
    EQUAL(0, shows(a, "x", &shown));
    shown.count = 0;
    shown.most = 2;
    OK(ns_app_each(a, NULL, show, &shown));
    EQUAL(2, shown.count);
    check_known(a, NULL, "x/y", "b", 3);
    check_known(a, "a", "x/y", "a", 1);
    check_known(b, NULL, "x/y", "b", 3);
    OK(ns_app_send_int(a, "x/y", 5));
    check_known(a, NULL, "x/y", "a", 5);
    check_known(a, "b", "x/y", "b", 3);

    IS(NS_ERR_NAME, ns_app_each(a, "", show, &shown));
    IS(NS_ERR_UTF8, ns_app_each(a, "\xff", show, &shown));
    OK(ns_app_disconnect(a));
    EQUAL(3, shows(a, NULL, &shown));
    OK(ns_app_close(a, 0));
    IS(NS_ERR_CLOSED, ns_app_each(a, NULL, show, &shown));
    ns_app_free(a);
    ns_app_free(b);
    ns_hub_free(hub);
}

static void counters(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_at("counters", hub);
    struct {
        ns_app_stats_t stats;
        uint64_t later[2];
    } grown;
    uint64_t old[3] = {7, 7, 7};
    OK(ns_app_send_nil(app, "a"));
    OK(ns_app_send_nil(app, "b"));
    OK(ns_app_flush(app, LONG));
    EQUAL(2, app_stats(app).sent);
    CHECK(app_stats(app).sent_bytes > 0);
    CHECK(app_stats(app).own_bytes > 0);
    EQUAL(1, app_stats(app).connects);
    /* An older program's struct is shorter, a newer one's longer. */
    OK(ns_app_stats(app, (ns_app_stats_t *)(void *)old, 2 * sizeof old[0]));
    EQUAL(2, old[0]);
    EQUAL(7, old[2]);
    memset(&grown, 0xff, sizeof grown);
    OK(ns_app_stats(app, &grown.stats, sizeof grown));
    EQUAL(2, grown.stats.sent);
    EQUAL(0, grown.later[0]);
    EQUAL(0, grown.later[1]);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void interrupts(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_at("interrupts", hub);
    ns_state *state;
    ns_app_interrupt(app);
    IS(NS_ERR_INTERRUPTED, ns_app_recv(app, -1, &state));
    CHECK(state == NULL);
    IS(NS_ERR_TIMEOUT, ns_app_recv(app, 0, &state));
    ns_app_interrupt(app);
    ns_app_interrupt(app);
    IS(NS_ERR_INTERRUPTED, ns_app_dispatch(app, -1, 0));
    IS(NS_ERR_TIMEOUT, ns_app_dispatch(app, 0, 0));
    OK(ns_app_send_nil(app, "fine"));
    OK(ns_app_flush(app, LONG));
    ns_app_free(app);
    ns_hub_free(hub);
}

static void identity_taken(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *first = app_at("same", hub);
    ns_app *second = app_new("same");
    ns_state *state;
    ns_status status;
    int i;
    OK(ns_app_connect(second, ns_hub_address(hub, 0)));
    status = ns_app_wait_connected(second, LONG);
    for (i = 0; i < 5 && status == NS_OK; i++) {
        /* Rightly so if the machine had no time for the holder for as long as a probe waits. */
        ns_app_free(second);
        ns_app_free(first);
        first = app_at("same", hub);
        second = app_new("same");
        OK(ns_app_connect(second, ns_hub_address(hub, 0)));
        status = ns_app_wait_connected(second, LONG);
    }
    IS(NS_ERR_IDENTITY_TAKEN, status);
    CONTAINS("same", ns_last_error());
    EQUAL(NS_LINK_REFUSED, ns_app_link(second));
    OK(ns_app_send_nil(second, "n"));
    IS(NS_ERR_IDENTITY_TAKEN, ns_app_flush(second, LONG));
    /* A call that waits for states returns it, once. */
    IS(NS_ERR_IDENTITY_TAKEN, ns_app_recv(second, -1, &state));
    CHECK(state == NULL);
    CONTAINS("same", ns_last_error());
    IS(NS_ERR_TIMEOUT, ns_app_recv(second, 0, &state));
    EQUAL(NS_LINK_CONNECTED, ns_app_link(first));
    ns_app_free(second);

    /* It can be taken over. */
    second = app_new("same");
    OK(ns_app_set(second, NS_OPT_TAKE_OVER, 1));
    OK(ns_app_connect(second, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(second, LONG));
    while (ns_app_link(first) != NS_LINK_REFUSED) {
        sched_yield();
    }
    IS(NS_ERR_IDENTITY_TAKEN, ns_app_wait_connected(first, LONG));
    ns_app_free(first);
    ns_app_free(second);

    /* And be shared. */
    first = app_new("same");
    second = app_new("same");
    OK(ns_app_set(first, NS_OPT_SHARED, 1));
    OK(ns_app_set(second, NS_OPT_SHARED, 1));
    OK(ns_app_connect(first, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(first, LONG));
    OK(ns_app_connect(second, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(second, LONG));
    EQUAL(NS_LINK_CONNECTED, ns_app_link(first));
    ns_app_free(first);
    ns_app_free(second);
    ns_hub_free(hub);
}

/* The app, which has other patterns, is given lists of them. */
static void lists(ns_app *app, ns_app *from)
{
    const char *const good[] = {"x/*", "w", "x/*"};
    const char *const bad[][2] = {{"w", NULL}, {"w", ""}, {"w", "\xff"}};
    const ns_status why[] = {NS_ERR_INVALID, NS_ERR_NAME, NS_ERR_UTF8};
    static const char *many[1025];
    static char texts[1025][16];
    ns_state *state;
    size_t i;
    OK(ns_app_set_subscriptions(app, good, 3));
    ns_state_free(next_named(app, "x/1"));
    ns_state_free(next_named(app, "x/2"));
    OK(ns_app_get(app, NULL, "x/2", &state));
    ns_state_free(state);
    for (i = 0; i < 3; i++)
        IS(why[i], ns_app_set_subscriptions(app, bad[i], 2));
    IS(NS_ERR_INVALID, ns_app_set_subscriptions(app, NULL, 1));
    for (i = 0; i < 1025; i++) {
        snprintf(texts[i], sizeof texts[i], "v/%d", (int)i);
        many[i] = texts[i];
    }
    IS(NS_ERR_FULL, ns_app_set_subscriptions(app, many, 1025));
    CONTAINS("1025 patterns", ns_last_error());
    OK(ns_app_get(app, NULL, "x/2", &state)); /* nothing has changed */
    ns_state_free(state);
    IS(NS_ERR_NOT_FOUND, ns_app_unsubscribe(app, "z/7"));
    OK(ns_app_unsubscribe(app, "w"));
    /* All of them are others, and the hub never has too many. */
    OK(ns_app_set_subscriptions(app, many, 1024));
    OK(ns_app_send_int(from, "v/7", 5));
    ns_state_free(next_named(app, "v/7"));
    OK(ns_app_set_subscriptions(app, many + 1, 1024));
    OK(ns_app_wait_synced(app, LONG));
    EQUAL(NS_LINK_CONNECTED, ns_app_link(app));
    OK(ns_app_set_subscriptions(app, NULL, 0));
    IS(NS_ERR_NOT_FOUND, ns_app_get(app, NULL, "v/7", &state));
    IS(NS_ERR_NOT_FOUND, ns_app_unsubscribe(app, "v/7"));
}

static void subscribes(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *app = app_new("subscribes");
    ns_app_stats_t stats;
    ns_state *state;
    char pattern[16];
    int i;
    OK(ns_app_send_int(from, "x/1", 1));
    OK(ns_app_send_int(from, "y/1", 2));
    OK(ns_app_flush(from, LONG));
    OK(ns_app_subscribe(app, NULL));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    OK(ns_app_wait_synced(app, LONG));
    IS(NS_ERR_NOT_FOUND, ns_app_get(app, NULL, "x/1", &state));
    OK(ns_app_subscribe(app, "x/*"));
    OK(ns_app_wait_synced(app, LONG));
    OK(ns_app_get(app, NULL, "x/1", &state));
    CHECK(ns_state_retained(state));
    ns_state_free(state);
    IS(NS_ERR_NOT_FOUND, ns_app_get(app, NULL, "y/1", &state));
    OK(ns_app_send_int(from, "y/2", 3));
    OK(ns_app_send_int(from, "x/2", 4));
    ns_state_free(next_named(app, "x/1"));
    ns_state_free(next_named(app, "x/2"));
    OK(ns_app_stats(app, &stats, sizeof stats));
    EQUAL(2, stats.received);
    OK(ns_app_unsubscribe(app, "x/*"));
    IS(NS_ERR_NOT_FOUND, ns_app_get(app, NULL, "x/1", &state));
    IS(NS_ERR_NOT_FOUND, ns_app_unsubscribe(app, "x/*"));
    CONTAINS("\"x/*\"", ns_last_error());
    IS(NS_ERR_NAME, ns_app_subscribe(app, ""));
    IS(NS_ERR_UTF8, ns_app_subscribe(app, "\xff"));
    IS(NS_ERR_INVALID, ns_app_unsubscribe(app, NULL));
    for (i = 0; i < 1024; i++) {
        snprintf(pattern, sizeof pattern, "z/%d", i);
        OK(ns_app_subscribe(app, pattern));
    }
    OK(ns_app_subscribe(app, "z/7"));
    IS(NS_ERR_FULL, ns_app_subscribe(app, "one/more"));
    CONTAINS("one/more", ns_last_error());
    OK(ns_app_wait_synced(app, LONG));
    lists(app, from);
    ns_app_free(app);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void pings(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_at("app", hub);
    ns_app *idle = app_new("idle");
    int64_t ns = 0;
    OK(ns_app_ping(app, LONG, &ns));
    CHECK(ns > 0 && ns < INT64_C(1000000) * LONG);
    IS(NS_ERR_STATE, ns_app_ping(idle, 0, &ns));
    EQUAL(0, ns);
    IS(NS_ERR_INVALID, ns_app_ping(app, -2, &ns));
    ns_app_free(idle);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void forgets(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *app = app_at("app", hub);
    ns_app *idle = app_new("idle");
    ns_state *state;
    OK(ns_app_send_int(from, "x", 1));
    OK(ns_app_flush(from, LONG));
    ns_state_free(next_named(app, "x"));
    IS(NS_ERR_STATE, ns_app_forget(app, "from", "x", LONG));
    CONTAINS("\"x\" of \"from\"", ns_last_error());
    CONTAINS("clear it there", ns_last_error());
    ns_app_free(from);
    while (ns_app_forget(app, "from", "x", LONG) == NS_ERR_STATE)
        ; /* until the hub has seen that it left */
    OK(ns_app_recv(app, LONG, &state));
    EQUAL(NS_KIND_CLEARED, ns_state_kind(state));
    SAME("from", ns_state_sender(state));
    ns_state_free(state);
    IS(NS_ERR_NOT_FOUND, ns_app_get(app, NULL, "x", &state));
    IS(NS_ERR_NOT_FOUND, ns_app_forget(app, "from", "x", LONG));
    CONTAINS("is not held by the hub", ns_last_error());
    IS(NS_ERR_NAME, ns_app_forget(app, "from", "", LONG));
    IS(NS_ERR_IDENTITY, ns_app_forget(app, "", "x", LONG));
    IS(NS_ERR_UTF8, ns_app_forget(app, "\xff", "x", LONG));
    IS(NS_ERR_INVALID, ns_app_forget(app, "from", "x", -2));
    IS(NS_ERR_STATE, ns_app_forget(idle, "from", "x", LONG));
    ns_app_free(idle);
    ns_app_free(app);
    ns_hub_free(hub);
}

const struct test app_tests[] = {
    {"an identity is 1 to 255 bytes of UTF-8", identities},
    {"a name is 1 to 1024 bytes of UTF-8 and not reserved", names},
    {"the hub's own identity is nobody else's", hubs_identity},
    {"an option takes its values only, and some only before connect", options},
    {"an option is read back as it was set, else as its default, and refused by its name", reads_options},
    {"a time-out is -1 or a number of milliseconds, and 0 only tries", time_outs},
    {"malformed and unsupported URLs are refused at once and named", urls},
    {"without a URL the environment names the hub", default_url},
    {"an app knows the newest value of each key, its own included", knows},
    {"the counters count, whatever size the program's struct has", counters},
    {"an interrupt is kept for the next call that would wait, once", interrupts},
    {"an identity is held by one, taken over, or shared", identity_taken},
    {"an app is sent only what it subscribes to", subscribes},
    {"the hub answers a ping, and the app tells how long that took", pings},
    {"an app has the hub withdraw what a sender left that has departed, and nobody else's", forgets},
    {NULL, NULL},
};
