/* NULL for every pointer of every function. */
#include "test.h"

#include <string.h>

static void null_apps(void)
{
    ns_state *state = (ns_state *)&state;
    ns_key *key = (ns_key *)&key;
    ns_app_stats_t stats;
    int64_t ns = 9;
    ns_handler handler = 9;
    memset(&stats, 0xff, sizeof stats);
    IS(NS_ERR_INVALID, ns_app_set(NULL, NS_OPT_LINGER_MS, 1));
    IS(NS_ERR_INVALID, ns_app_set_text(NULL, NS_OPT_TLS_CA, "x"));
    IS(NS_ERR_INVALID, ns_app_connect(NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_wait_connected(NULL, 0));
    IS(NS_ERR_INVALID, ns_app_wait_synced(NULL, 0));
    IS(NS_ERR_INVALID, ns_app_flush(NULL, 0));
    IS(NS_ERR_INVALID, ns_app_ping(NULL, 0, &ns));
    EQUAL(0, ns);
    IS(NS_ERR_INVALID, ns_app_disconnect(NULL));
    IS(NS_ERR_INVALID, ns_app_close(NULL, 0));
    ns_app_interrupt(NULL);
    ns_app_free(NULL);
    SAME("", ns_app_identity(NULL));
    EQUAL(NS_LINK_IDLE, ns_app_link(NULL));
    IS(NS_ERR_INVALID, ns_app_send_text(NULL, "n", "t"));
    IS(NS_ERR_INVALID, ns_app_send_textn(NULL, "n", "t", 1));
    IS(NS_ERR_INVALID, ns_app_send_bytes(NULL, "n", "t", 1));
    IS(NS_ERR_INVALID, ns_app_send_bool(NULL, "n", true));
    IS(NS_ERR_INVALID, ns_app_send_int(NULL, "n", 1));
    IS(NS_ERR_INVALID, ns_app_send_uint(NULL, "n", 1));
    IS(NS_ERR_INVALID, ns_app_send_double(NULL, "n", 1));
    IS(NS_ERR_INVALID, ns_app_send_nil(NULL, "n"));
    IS(NS_ERR_INVALID, ns_app_send_json(NULL, "n", "1", 1));
    IS(NS_ERR_INVALID, ns_app_send_msgpack(NULL, "n", "\xc0", 1));
    IS(NS_ERR_INVALID, ns_app_send(NULL, "n", ns_value_int(1)));
    IS(NS_ERR_INVALID, ns_app_clear(NULL, "n"));
    IS(NS_ERR_INVALID, ns_app_forget(NULL, "s", "n", 0));
    IS(NS_ERR_INVALID, ns_app_key(NULL, "n", &key));
    CHECK(key == NULL);
    IS(NS_ERR_INVALID, ns_app_recv(NULL, 0, &state));
    CHECK(state == NULL);
    state = (ns_state *)&state;
    IS(NS_ERR_INVALID, ns_app_get(NULL, NULL, "n", &state));
    CHECK(state == NULL);
    IS(NS_ERR_INVALID, ns_app_each(NULL, NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_dispatch(NULL, 0, 1));
    EQUAL(-1, ns_app_fd(NULL));
    IS(NS_ERR_INVALID, ns_app_on_state(NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_on(NULL, "x", NULL, NULL, NULL, &handler));
    EQUAL(0, handler);
    IS(NS_ERR_INVALID, ns_app_off(NULL, 1));
    IS(NS_ERR_INVALID, ns_app_on_link(NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_on_reject(NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_on_synced(NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_on_presence(NULL, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_on_stale(NULL, NULL, NULL));
    CHECK(!ns_app_is_stale(NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_peers(NULL, 0, NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_hub_stats(NULL, 0, NULL, sizeof(ns_hub_stats_t)));
    IS(NS_ERR_INVALID, ns_app_each_hub_peer(NULL, 0, NULL, NULL, sizeof(ns_peer_stats_t)));
    IS(NS_ERR_INVALID, ns_app_set_accept(NULL, 0));
    IS(NS_ERR_INVALID, ns_app_subscribe(NULL, NULL));
    IS(NS_ERR_INVALID, ns_app_subscribe(NULL, "x"));
    IS(NS_ERR_INVALID, ns_app_unsubscribe(NULL, "x"));
    IS(NS_ERR_INVALID, ns_app_set_subscriptions(NULL, NULL, 0));
    IS(NS_ERR_INVALID, ns_app_stats(NULL, &stats, sizeof stats));
    EQUAL(0, stats.sent);
    EQUAL(0, stats.queued_bytes);
    SAME("app is NULL", ns_last_error());
}

static void null_arguments_of_apps(void)
{
    ns_app *app = (ns_app *)&app;
    ns_app_stats_t stats;
    ns_handler handler;
    IS(NS_ERR_INVALID, ns_app_new(NULL, &app));
    CHECK(app == NULL);
    IS(NS_ERR_INVALID, ns_app_new("null", NULL));
    CONTAINS("out is NULL", ns_last_error());
    app = app_new("null");
    IS(NS_ERR_INVALID, ns_app_send_text(app, NULL, "t"));
    IS(NS_ERR_INVALID, ns_app_send_text(app, "n", NULL));
    IS(NS_ERR_INVALID, ns_app_send_textn(app, NULL, "t", 1));
    IS(NS_ERR_INVALID, ns_app_send_textn(app, "n", NULL, 1));
    IS(NS_ERR_INVALID, ns_app_send_bytes(app, NULL, "t", 1));
    IS(NS_ERR_INVALID, ns_app_send_bytes(app, "n", NULL, 1));
    CONTAINS("data is NULL with length 1", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_send_bytes(app, "n", "t", SIZE_MAX));
    IS(NS_ERR_INVALID, ns_app_send_bool(app, NULL, true));
    IS(NS_ERR_INVALID, ns_app_send_int(app, NULL, 1));
    IS(NS_ERR_INVALID, ns_app_send_uint(app, NULL, 1));
    IS(NS_ERR_INVALID, ns_app_send_double(app, NULL, 1));
    IS(NS_ERR_INVALID, ns_app_send_nil(app, NULL));
    IS(NS_ERR_INVALID, ns_app_send_json(app, NULL, "1", 1));
    IS(NS_ERR_INVALID, ns_app_send_json(app, "n", NULL, 1));
    IS(NS_ERR_INVALID, ns_app_send_msgpack(app, NULL, "\xc0", 1));
    IS(NS_ERR_INVALID, ns_app_send(app, NULL, ns_value_nil()));
    IS(NS_ERR_INVALID, ns_app_send(app, "n", ns_value_text(NULL)));
    SAME("value.as.p is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_send(app, "n", ns_value_textn(NULL, 1)));
    SAME("value.as.p is NULL with length 1", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_send(app, "n", ns_value_bytes(NULL, 1)));
    IS(NS_ERR_INVALID, ns_app_send(app, "n", ns_value_ext(1, NULL, 1)));
    IS(NS_ERR_INVALID, ns_app_send(app, "n", ns_value_msgpack(NULL, 1)));
    IS(NS_ERR_INVALID, ns_app_ping(app, 0, NULL));
    SAME("ns is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_forget(app, NULL, "n", 0));
    SAME("sender is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_forget(app, "s", NULL, 0));
    SAME("name is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_clear(app, NULL));
    IS(NS_ERR_INVALID, ns_app_send_msgpack(app, "n", NULL, 1));
    OK(ns_app_send_textn(app, "n", NULL, 0));
    OK(ns_app_send_bytes(app, "n", NULL, 0));
    IS(NS_ERR_INVALID, ns_app_recv(app, 0, NULL));
    IS(NS_ERR_INVALID, ns_app_get(app, NULL, "n", NULL));
    IS(NS_ERR_INVALID, ns_app_each(app, NULL, NULL, NULL));
    CONTAINS("function is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_stats(app, NULL, sizeof stats));
    IS(NS_ERR_INVALID, ns_app_stats(app, &stats, 0));
    IS(NS_ERR_INVALID, ns_app_on(app, NULL, NULL, NULL, NULL, &handler));
    SAME("pattern is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_on(app, "x", NULL, NULL, NULL, &handler));
    SAME("function is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_on(app, "x", NULL, NULL, NULL, NULL));
    SAME("out is NULL", ns_last_error());
    OK(ns_app_on_state(app, NULL, NULL));
    OK(ns_app_on_link(app, NULL, NULL));
    OK(ns_app_on_reject(app, NULL, NULL));
    ns_app_free(app);
}

static void null_keys(void)
{
    ns_app *app = app_new("null");
    ns_key *key = (ns_key *)&key;
    IS(NS_ERR_INVALID, ns_app_key(app, NULL, &key));
    SAME("name is NULL", ns_last_error());
    CHECK(key == NULL);
    IS(NS_ERR_INVALID, ns_app_key(app, "n", NULL));
    SAME("out is NULL", ns_last_error());
    OK(ns_app_key(app, "n", &key));
    IS(NS_ERR_INVALID, ns_key_send(key, ns_value_text(NULL)));
    SAME("value.as.p is NULL", ns_last_error());
    OK(ns_key_will(key, NULL));
    ns_key_free(key);
    ns_app_free(app);
    IS(NS_ERR_INVALID, ns_key_send(NULL, ns_value_int(1)));
    SAME("key is NULL", ns_last_error());
    IS(NS_ERR_INVALID, ns_key_clear(NULL));
    IS(NS_ERR_INVALID, ns_key_will(NULL, NULL));
    IS(NS_ERR_INVALID, ns_key_set(NULL, NS_OPT_KEY_TTL_MS, 1));
    ns_key_free(NULL);
}

static void null_states(void)
{
    const char *text = NULL;
    const void *data = &text;
    size_t len = 9;
    bool truth = true;
    int64_t integer = 9;
    uint64_t natural = 9;
    double number = 9;
    int8_t type = 9;
    uint32_t nanos = 9;
    ns_value any = ns_value_int(9);
    SAME("", ns_state_sender(NULL));
    SAME("", ns_state_name(NULL));
    EQUAL(0, ns_state_time(NULL));
    CHECK(!ns_state_retained(NULL));
    EQUAL(0, ns_state_kind(NULL));
    IS(NS_ERR_INVALID, ns_state_text(NULL, &text, &len));
    SAME("", text);
    EQUAL(0, len);
    text = NULL;
    len = 9;
    IS(NS_ERR_INVALID, ns_state_json(NULL, &text, &len));
    SAME("", text);
    EQUAL(0, len);
    len = 9;
    IS(NS_ERR_INVALID, ns_state_bytes(NULL, &data, &len));
    CHECK(data == NULL && len == 0);
    data = &text;
    len = 9;
    IS(NS_ERR_INVALID, ns_state_msgpack(NULL, &data, &len));
    CHECK(data == NULL && len == 0);
    data = &text;
    len = 9;
    IS(NS_ERR_INVALID, ns_state_ext(NULL, &type, &data, &len));
    CHECK(data == NULL && len == 0 && type == 0);
    IS(NS_ERR_INVALID, ns_state_time_value(NULL, &integer, &nanos));
    CHECK(integer == 0 && nanos == 0);
    integer = 9;
    IS(NS_ERR_INVALID, ns_state_value(NULL, &any));
    EQUAL(NS_KIND_NIL, any.kind);
    IS(NS_ERR_INVALID, ns_state_bool(NULL, &truth));
    CHECK(!truth);
    IS(NS_ERR_INVALID, ns_state_int(NULL, &integer));
    EQUAL(0, integer);
    IS(NS_ERR_INVALID, ns_state_uint(NULL, &natural));
    EQUAL(0, natural);
    IS(NS_ERR_INVALID, ns_state_double(NULL, &number));
    CHECK(number == 0);
    SAME("state is NULL", ns_last_error());
    CHECK(ns_state_ref(NULL) == NULL);
    ns_state_free(NULL);
}

static void null_arguments_of_states(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_state *state;
    const char *text;
    const void *data = &text;
    size_t len = 9;
    int8_t type;
    OK(ns_app_send_text(from, "text", "hello"));
    state = next_named(to, "text");
    IS(NS_ERR_INVALID, ns_state_text(state, NULL, &len));
    EQUAL(0, len);
    OK(ns_state_text(state, &text, NULL));
    SAME("hello", text);
    IS(NS_ERR_INVALID, ns_state_json(state, NULL, &len));
    OK(ns_state_json(state, &text, NULL));
    SAME("\"hello\"", text);
    IS(NS_ERR_INVALID, ns_state_msgpack(state, NULL, &len));
    IS(NS_ERR_INVALID, ns_state_msgpack(state, &data, NULL));
    CHECK(data == NULL);
    IS(NS_ERR_INVALID, ns_state_bool(state, NULL));
    IS(NS_ERR_INVALID, ns_state_int(state, NULL));
    IS(NS_ERR_INVALID, ns_state_uint(state, NULL));
    IS(NS_ERR_INVALID, ns_state_double(state, NULL));
    ns_state_free(state);

    OK(ns_app_send_bytes(from, "bytes", "\xff", 1));
    state = next_named(to, "bytes");
    IS(NS_ERR_INVALID, ns_state_bytes(state, NULL, &len));
    IS(NS_ERR_INVALID, ns_state_bytes(state, &data, NULL));
    ns_state_free(state);

    OK(ns_app_send_msgpack(from, "ext", "\xd4\x05x", 3));
    state = next_named(to, "ext");
    IS(NS_ERR_INVALID, ns_state_ext(state, NULL, &data, &len));
    IS(NS_ERR_INVALID, ns_state_ext(state, &type, NULL, &len));
    IS(NS_ERR_INVALID, ns_state_ext(state, &type, &data, NULL));
    CHECK(data == NULL);
    EQUAL(0, type);
    ns_state_free(state);

    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

static bool show_peer(ns_hub *hub, const ns_peer_stats_t *peer, void *ctx)
{
    (void)hub;
    (void)peer;
    (void)ctx;
    CHECK(!"there is no peer to show");
    return true;
}

static void null_hubs(void)
{
    ns_hub *hub;
    ns_hub_stats_t stats;
    IS(NS_ERR_INVALID, ns_hub_new(NULL));
    IS(NS_ERR_INVALID, ns_hub_set(NULL, NS_OPT_HUB_ECHO, 1));
    IS(NS_ERR_INVALID, ns_hub_set_text(NULL, NS_OPT_HUB_TLS_KEY, "x"));
    IS(NS_ERR_INVALID, ns_hub_reload(NULL));
    IS(NS_ERR_INVALID, ns_hub_set_store(NULL, "/tmp"));
    IS(NS_ERR_INVALID, ns_hub_listen(NULL, "inproc://null"));
    CHECK(ns_hub_address(NULL, 0) == NULL);
    IS(NS_ERR_INVALID, ns_hub_on_peer(NULL, NULL, NULL));
    memset(&stats, 0xff, sizeof stats);
    IS(NS_ERR_INVALID, ns_hub_stats(NULL, &stats, sizeof stats));
    EQUAL(0, stats.peers);
    EQUAL(0, stats.malformed_by[31]);
    IS(NS_ERR_INVALID, ns_hub_each_peer(NULL, show_peer, NULL, sizeof(ns_peer_stats_t)));
    SAME("hub is NULL", ns_last_error());
    ns_hub_free(NULL);
    OK(ns_hub_new(&hub));
    IS(NS_ERR_INVALID, ns_hub_listen(hub, NULL));
    IS(NS_ERR_INVALID, ns_hub_set_store(hub, NULL));
    IS(NS_ERR_INVALID, ns_hub_stats(hub, NULL, sizeof stats));
    IS(NS_ERR_INVALID, ns_hub_stats(hub, &stats, 0));
    IS(NS_ERR_INVALID, ns_hub_each_peer(hub, NULL, NULL, sizeof(ns_peer_stats_t)));
    IS(NS_ERR_INVALID, ns_hub_each_peer(hub, show_peer, NULL, 0));
    IS(NS_ERR_INVALID, ns_hub_each_peer(hub, show_peer, NULL, SIZE_MAX));
    OK(ns_hub_on_peer(hub, NULL, NULL));
    ns_hub_free(hub);
}

const struct test null_tests[] = {
    {"a NULL app is refused everywhere and makes outputs safe", null_apps},
    {"NULL arguments of an app's functions are refused, but for empty data", null_arguments_of_apps},
    {"a NULL key and NULL arguments of a key's functions are refused", null_keys},
    {"a NULL state is refused everywhere and makes outputs safe", null_states},
    {"NULL outputs of a state's functions are refused, but for the length of text", null_arguments_of_states},
    {"a NULL hub is refused everywhere and makes outputs safe", null_hubs},
    {NULL, NULL},
};
