/* Hubs: every transport, options, peers, and the order of things. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two apps and a hub: everything that one sends arrives at the other, both ways, also what was sent before. */
static void crosses(const char *transport)
{
    ns_hub *hub = hub_at(free_url(transport));
    ns_app *a = app_at("a", hub);
    ns_app *b, *c;
    ns_state *state;
    const char *text;
    int i;
    OK(ns_app_send_text(a, "before", "kept"));
    OK(ns_app_flush(a, LONG));
    b = app_at("b", hub);
    state = next_named(b, "before");
    SAME("a", ns_state_sender(state));
    OK(ns_state_text(state, &text, NULL));
    SAME("kept", text);
    ns_state_free(state);
    for (i = 0; i < 100; i++) {
        OK(ns_app_send_int(a, "ping", i));
        state = next_named(b, "ping");
        ns_state_free(state);
        OK(ns_app_send_int(b, "pong", i));
        state = next_named(a, "pong");
        SAME("b", ns_state_sender(state));
        ns_state_free(state);
    }
    c = app_at("c", hub);
    for (i = 0; i < 3; i++) {
        ns_state_free(next(c));
    }
    IS(NS_ERR_TIMEOUT, ns_app_recv(c, 0, &state));
    ns_app_free(a);
    ns_app_free(b);
    ns_app_free(c);
    ns_hub_free(hub);
}

static void over_inproc(void)
{
    crosses("inproc");
}

static void over_ipc(void)
{
    crosses("ipc");
}

static void over_tcp(void)
{
    crosses("tcp");
}

static void several_addresses(void)
{
    ns_hub *hub;
    ns_app *apps[3];
    ns_state *state;
    size_t i;
    OK(ns_hub_new(&hub));
    CHECK(ns_hub_address(hub, 0) == NULL);
    OK(ns_hub_listen(hub, "tcp://127.0.0.1:0"));
    OK(ns_hub_listen(hub, free_url("ipc")));
    OK(ns_hub_listen(hub, free_url("inproc")));
    CONTAINS("tcp://127.0.0.1:", ns_hub_address(hub, 0));
    CHECK(strcmp("tcp://127.0.0.1:0", ns_hub_address(hub, 0)) != 0);
    CONTAINS("ipc://", ns_hub_address(hub, 1));
    CONTAINS("inproc://", ns_hub_address(hub, 2));
    CHECK(ns_hub_address(hub, 3) == NULL);
    CHECK(ns_hub_address(hub, SIZE_MAX) == NULL);
    CHECK(ns_hub_address(hub, 0) == ns_hub_address(hub, 0));
    for (i = 0; i < 3; i++) {
        char identity[8];
        snprintf(identity, sizeof identity, "%u", (unsigned)i);
        apps[i] = app_new(identity);
        OK(ns_app_connect(apps[i], ns_hub_address(hub, i)));
        OK(ns_app_wait_connected(apps[i], LONG));
    }
    OK(ns_app_send_nil(apps[0], "over-all"));
    for (i = 1; i < 3; i++) {
        state = next_named(apps[i], "over-all");
        ns_state_free(state);
    }
    EQUAL(3, hub_stats(hub).peers);
    for (i = 0; i < 3; i++) {
        ns_app_free(apps[i]);
    }
    ns_hub_free(hub);
}

static void options(void)
{
    static const ns_opt sizes[] = {
        NS_OPT_HUB_MAX_MESSAGE,  NS_OPT_HUB_LEGACY_MAX,       NS_OPT_HUB_MAX_PEERS,    NS_OPT_HUB_OUTBOX,
        NS_OPT_HUB_UNFINISHED,   NS_OPT_HUB_STALLED_FRAME_MS, NS_OPT_HUB_HANDSHAKE_MS, NS_OPT_HUB_TABLE_STATES,
        NS_OPT_HUB_TABLE_BYTES,  NS_OPT_HUB_DEPARTED_MS,      NS_OPT_HUB_MAX_WEBSOCKETS,
    };
    static const ns_opt flags[] = {NS_OPT_HUB_ECHO, NS_OPT_HUB_LEGACY_STRUCTURED, NS_OPT_HUB_LEGACY_SNAPSHOT,
                                   NS_OPT_HUB_ALLOW_LOCAL_PAGES};
    ns_hub *hub;
    size_t i;
    OK(ns_hub_new(&hub));
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        OK(ns_hub_set(hub, sizes[i], 1000000));
        IS(NS_ERR_INVALID, ns_hub_set(hub, sizes[i], 0));
        IS(NS_ERR_INVALID, ns_hub_set(hub, sizes[i], -1));
        IS(NS_ERR_INVALID, ns_hub_set(hub, sizes[i], INT64_MAX));
    }
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        OK(ns_hub_set(hub, flags[i], 1));
        OK(ns_hub_set(hub, flags[i], 0));
        IS(NS_ERR_INVALID, ns_hub_set(hub, flags[i], 2));
    }
    OK(ns_hub_set(hub, NS_OPT_HUB_PROGRESS, 0));
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_PROGRESS, -1));
    OK(ns_hub_set(hub, NS_OPT_HUB_HTTP_RATE, 0));
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_HTTP_RATE, 1000001));
    OK(ns_hub_set(hub, NS_OPT_HUB_MEMORY, 0));
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_MEMORY, -1));
    OK(ns_hub_set(hub, NS_OPT_HUB_IPC_MODE, 0660));
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_IPC_MODE, 01000));
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_LINGER_MS, 1));
    SAME("1 is not an option of a hub", ns_last_error());
    OK(ns_hub_allow_origin(hub, "https://Example.org:443"));
    IS(NS_ERR_INVALID, ns_hub_allow_origin(hub, "example.org"));
    SAME("\"example.org\": an origin begins with http:// or https://", ns_last_error());
    IS(NS_ERR_INVALID, ns_hub_allow_origin(hub, NULL));
    OK(ns_hub_listen(hub, free_url("inproc")));
    IS(NS_ERR_STATE, ns_hub_set(hub, NS_OPT_HUB_ECHO, 1));
    IS(NS_ERR_STATE, ns_hub_allow_origin(hub, "https://example.org"));
    ns_hub_free(hub);
}

static void reads_options(void)
{
    static const struct {
        ns_opt option;
        int64_t is;
    } defaults[] = {
        {NS_OPT_HUB_MAX_MESSAGE, 16 << 20},     {NS_OPT_HUB_LEGACY_MAX, 1 << 20},
        {NS_OPT_HUB_MAX_PEERS, 4096},           {NS_OPT_HUB_OUTBOX, 4 << 20},
        {NS_OPT_HUB_UNFINISHED, 256 << 20},     {NS_OPT_HUB_STALLED_FRAME_MS, 30000},
        {NS_OPT_HUB_HANDSHAKE_MS, 5000},        {NS_OPT_HUB_TABLE_STATES, 1000000},
        {NS_OPT_HUB_TABLE_BYTES, 512 << 20},    {NS_OPT_HUB_DEPARTED_MS, 24 * 3600 * 1000},
        {NS_OPT_HUB_IPC_MODE, 0600},            {NS_OPT_HUB_ECHO, 0},
        {NS_OPT_HUB_LEGACY_STRUCTURED, 0},      {NS_OPT_HUB_LEGACY_SNAPSHOT, 0},
        {NS_OPT_HUB_PROGRESS, 64 << 10},        {NS_OPT_HUB_MEMORY, 0},
        {NS_OPT_HUB_ALLOW_LOCAL_PAGES, 0},      {NS_OPT_HUB_MAX_WEBSOCKETS, 1024},
        {NS_OPT_HUB_HTTP_RATE, 64},
    };
    ns_hub *hub;
    int64_t value;
    size_t i;
    OK(ns_hub_new(&hub));
    for (i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        value = -7;
        OK(ns_hub_option(hub, defaults[i].option, &value));
        EQUAL(defaults[i].is, value);
    }
    for (i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        int64_t set = defaults[i].is > 1 ? defaults[i].is - 1 : 1;
        OK(ns_hub_set(hub, defaults[i].option, set));
        OK(ns_hub_option(hub, defaults[i].option, &value));
        EQUAL(set, value);
    }
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_MAX_PEERS, 0));
    SAME("NS_OPT_HUB_MAX_PEERS must be 1 to 2147483647, not 0", ns_last_error());
    IS(NS_ERR_INVALID, ns_hub_set(hub, NS_OPT_HUB_IPC_MODE, 01000));
    SAME("NS_OPT_HUB_IPC_MODE must be 0000 to 0777, not 01000", ns_last_error());
    IS(NS_ERR_INVALID, ns_hub_option(hub, NS_OPT_ECHO, &value));
    EQUAL(0, value);
    SAME("8 is not an option of a hub", ns_last_error());
    IS(NS_ERR_INVALID, ns_hub_option(hub, NS_OPT_HUB_ECHO, NULL));
    IS(NS_ERR_INVALID, ns_hub_option(NULL, NS_OPT_HUB_ECHO, &value));
    OK(ns_hub_listen(hub, free_url("inproc")));
    IS(NS_ERR_STATE, ns_hub_set(hub, NS_OPT_HUB_ECHO, 0));
    SAME("NS_OPT_HUB_ECHO must be set before listen", ns_last_error());
    OK(ns_hub_option(hub, NS_OPT_HUB_ECHO, &value));
    EQUAL(1, value);
    ns_hub_free(hub);
}

static void listen_failures(void)
{
    static const char *const malformed[] = {"", "nonsense", "tcp://", "tcp://127.0.0.1", "ipc://", "inproc://"};
    ns_hub *hub = hub_at("tcp://127.0.0.1:0");
    ns_hub *second;
    const char *url;
    char address[100];
    ns_status status;
    size_t i;
    OK(ns_hub_new(&second));
    for (i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        IS(NS_ERR_URL, ns_hub_listen(second, malformed[i]));
    }
    IS(NS_ERR_UTF8, ns_hub_listen(second, "ipc:///tmp/\xff"));
    IS(NS_ERR_URL, ns_hub_listen(second, "ws://127.0.0.1:0/a path"));
    snprintf(address, sizeof address, "%s", ns_hub_address(hub, 0));
    IS(NS_ERR_IN_USE, ns_hub_listen(second, address));
    CONTAINS(address, ns_last_error());
    OK(ns_hub_listen(hub, "ws://127.0.0.1:0/ws"));
    IS(NS_ERR_IN_USE, ns_hub_listen(second, ns_hub_address(hub, 1)));
    url = free_url("ipc");
    OK(ns_hub_listen(hub, url));
    IS(NS_ERR_IN_USE, ns_hub_listen(second, url));
    url = free_url("inproc");
    OK(ns_hub_listen(hub, url));
    IS(NS_ERR_IN_USE, ns_hub_listen(second, url));
    IS(NS_ERR_NOT_FOUND, ns_hub_listen(second, "ipc:///no/such/directory/hub"));
    CONTAINS("/no/such/directory/hub", ns_last_error());
    IS(NS_ERR_IO, ns_hub_listen(second, "ipc:///dev/null/hub"));
    CONTAINS("Not a directory: ipc:///dev/null/hub", ns_last_error());
    CHECK(strstr(ns_last_error(), "os error") == NULL);
    IS(NS_ERR_RESOLVE, ns_hub_listen(second, "tcp://-no-such-host.invalid:0"));
    CONTAINS("-no-such-host.invalid", ns_last_error());
    CHECK(strstr(ns_last_error(), "failed to lookup") == NULL);
    /* A directory where even root cannot create files; in a container it may be read-only. */
    status = ns_hub_listen(second, "ipc:///sys/kernel/nanostate-test");
    CHECK(status == NS_ERR_PERMISSION || (status == NS_ERR_IO && strstr(ns_last_error(), "Read-only") != NULL));
    CHECK(ns_hub_address(second, 0) == NULL);
    /* After all that it still listens. */
    OK(ns_hub_listen(second, free_url("inproc")));
    ns_hub_free(second);
    ns_hub_free(hub);
}

struct event {
    char identity[100], from[100];
    ns_peer_event event;
    ns_status why;
};

struct events {
    struct gate *gate;
    ns_hub *hub;
    struct event list[16];
    int count;
};

static void hears(ns_hub *hub, const char *identity, const char *from, ns_peer_event event, ns_status why, void *ctx)
{
    struct events *events = (struct events *)ctx;
    struct event *entry = &events->list[events->count++];
    CHECK(events->count < 16);
    CHECK(hub == events->hub);
    snprintf(entry->identity, sizeof entry->identity, "%s", identity);
    snprintf(entry->from, sizeof entry->from, "%s", from);
    entry->event = event;
    entry->why = why;
    gate_pass(events->gate);
}

static void peers(void)
{
    struct events events;
    ns_hub *hub;
    ns_app *app, *other;
    memset(&events, 0, sizeof events);
    events.gate = gate_new();
    OK(ns_hub_new(&hub));
    events.hub = hub;
    OK(ns_hub_set(hub, NS_OPT_HUB_MAX_PEERS, 1));
    OK(ns_hub_on_peer(hub, hears, &events));
    OK(ns_hub_listen(hub, "tcp://127.0.0.1:0"));
    app = app_at("guest", hub);
    gate_wait(events.gate, 1);
    EQUAL(NS_PEER_JOINED, events.list[0].event);
    EQUAL(NS_OK, events.list[0].why);
    SAME("guest", events.list[0].identity);
    CHECK(strlen(events.list[0].from) > 0);

    /* The hub accepts one peer. */
    other = app_new("crowd");
    OK(ns_app_set(other, NS_OPT_LINGER_MS, 0));
    OK(ns_app_connect(other, ns_hub_address(hub, 0)));
    gate_wait(events.gate, 2);
    EQUAL(NS_PEER_REFUSED, events.list[1].event);
    CHECK(events.list[1].why != NS_OK);
    ns_app_free(other);
    CHECK(hub_stats(hub).refused_peers >= 1);
    EQUAL(1, hub_stats(hub).joined);

    /* Nobody listens any more. */
    OK(ns_hub_on_peer(hub, NULL, NULL));
    ns_app_free(app);
    while (hub_stats(hub).peers > 0) {
        sched_yield();
    }
    ns_hub_free(hub);
    gate_free(events.gate);
}

static void leaves(void)
{
    struct events events;
    ns_hub *hub;
    ns_app *app;
    memset(&events, 0, sizeof events);
    events.gate = gate_new();
    OK(ns_hub_new(&hub));
    events.hub = hub;
    OK(ns_hub_on_peer(hub, hears, &events));
    OK(ns_hub_listen(hub, free_url("ipc")));
    app = app_at("guest", hub);
    ns_app_free(app);
    gate_wait(events.gate, 2);
    EQUAL(NS_PEER_LEFT, events.list[1].event);
    CHECK(events.list[1].why != NS_OK);
    SAME("guest", events.list[1].identity);
    ns_hub_free(hub);
    EQUAL(2, events.count);
    gate_free(events.gate);
}

static void frees_hub(ns_hub *hub, const char *identity, const char *from, ns_peer_event event, ns_status why, void *ctx)
{
    (void)identity;
    (void)from;
    (void)event;
    (void)why;
    ns_hub_free(hub);
    gate_pass((struct gate *)ctx);
}

static void freed_inside(void)
{
    struct gate *gate = gate_new();
    ns_hub *hub;
    ns_app *app;
    OK(ns_hub_new(&hub));
    OK(ns_hub_on_peer(hub, frees_hub, gate));
    OK(ns_hub_listen(hub, free_url("ipc")));
    app = app_new("app");
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    gate_wait(gate, 1);
    ns_app_free(app);
    until_alone();
    gate_free(gate);
}

static void hub_echo(void)
{
    ns_hub *hub;
    ns_app *app;
    ns_app_stats_t stats;
    OK(ns_hub_new(&hub));
    OK(ns_hub_set(hub, NS_OPT_HUB_ECHO, 1));
    OK(ns_hub_listen(hub, free_url("inproc")));
    app = app_at("app", hub);
    OK(ns_app_send_nil(app, "mine"));
    /* The app did not ask for it, and drops it. */
    do {
        OK(ns_app_stats(app, &stats, sizeof stats));
        sched_yield();
    } while (stats.stale == 0);
    EQUAL(1, hub_stats(hub).messages_out);
    EQUAL(0, stats.queued);
    ns_app_free(app);
    ns_hub_free(hub);
}

static void restarts(void)
{
    char address[200];
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *a = app_at("a", hub);
    ns_app *b;
    ns_state *state;
    const char *text;
    snprintf(address, sizeof address, "%s", ns_hub_address(hub, 0));
    OK(ns_app_set(a, NS_OPT_BACKOFF_MAX_MS, 50));
    OK(ns_app_send_text(a, "colour", "red"));
    OK(ns_app_flush(a, LONG));
    ns_hub_free(hub);
    OK(ns_app_send_text(a, "colour", "blue"));
    hub = hub_at(address);
    OK(ns_app_flush(a, LONG));
    b = app_at("b", hub);
    state = next_named(b, "colour");
    OK(ns_state_text(state, &text, NULL));
    SAME("blue", text);
    ns_state_free(state);
    /* The hub goes first. */
    ns_hub_free(hub);
    OK(ns_app_set(a, NS_OPT_LINGER_MS, 0));
    OK(ns_app_set(b, NS_OPT_LINGER_MS, 0));
    ns_app_free(a);
    ns_app_free(b);
}

static void refused_state(void)
{
    static const char block[3000] = {0};
    ns_hub *hub;
    ns_app *app, *other;
    ns_app_stats_t stats;
    char name[8];
    int i;
    OK(ns_hub_new(&hub));
    OK(ns_hub_set(hub, NS_OPT_HUB_TABLE_STATES, 8));
    OK(ns_hub_listen(hub, free_url("inproc")));
    app = app_at("app", hub);
    other = app_at("other", hub);
    for (i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%d", i);
        OK(ns_app_send_bytes(app, name, block, sizeof block));
    }
    IS(NS_ERR_FULL, ns_app_flush(app, LONG));
    CHECK(strstr(ns_last_error(), "was not taken by the hub") != NULL);
    OK(ns_app_stats(app, &stats, sizeof stats));
    CHECK(stats.refused > 0);
    EQUAL(stats.refused, hub_stats(hub).refused);
    CHECK(hub_stats(hub).states <= 8);
    ns_app_free(app);
    ns_app_free(other);
    ns_hub_free(hub);
}

const struct test hub_tests[] = {
    {"states cross over inproc", over_inproc},
    {"states cross over ipc", over_ipc},
    {"states cross over tcp", over_tcp},
    {"a hub listens at several addresses and says where", several_addresses},
    {"a hub's option takes its values only, before listen", options},
    {"a hub's option is read back as it was set, else as its default", reads_options},
    {"why a hub cannot listen is told", listen_failures},
    {"a peer function hears who joins and who is refused", peers},
    {"a peer function hears who leaves", leaves},
    {"a hub freed in its peer function is gone at once", freed_inside},
    {"a hub may send states back, which apps drop that did not ask for them", hub_echo},
    {"a hub that comes again is whole as soon as its apps are back", restarts},
    {"a state for which the hub has no room is refused and counted on both sides", refused_state},
    {NULL, NULL},
};
