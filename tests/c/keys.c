/* Names that a program declares once. */
#include "test.h"

#include <stdio.h>
#include <string.h>

static ns_hub *hub;
static ns_app *from, *to;

static void set_up(void)
{
    hub = hub_at(free_url("inproc"));
    from = app_at("from", hub);
    to = app_at("to", hub);
}

static void tear_down(void)
{
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

/* The next state of `to`, which has this name: its integer. */
static int64_t next_int(const char *name)
{
    ns_state *state = next_named(to, name);
    int64_t value;
    OK(ns_state_int(state, &value));
    ns_state_free(state);
    return value;
}

static void sends(void)
{
    ns_key *key, *again;
    ns_state *state;
    char name[] = "room/people";
    set_up();
    OK(ns_app_key(from, name, &key));
    OK(ns_app_key(from, name, &again));
    memset(name, 'x', sizeof name - 1);
    OK(ns_key_send(key, ns_value_int(1)));
    EQUAL(1, next_int("room/people"));
    OK(ns_app_send_int(from, "room/people", 2));
    EQUAL(2, next_int("room/people"));
    OK(ns_key_send(again, ns_value_int(3)));
    EQUAL(3, next_int("room/people"));
    OK(ns_key_clear(key));
    state = next_named(to, "room/people");
    EQUAL(NS_KIND_CLEARED, ns_state_kind(state));
    ns_state_free(state);
    OK(ns_key_send(again, ns_value_int(4)));
    EQUAL(4, next_int("room/people"));
    ns_key_free(key);
    ns_key_free(again);
    OK(ns_app_get(from, NULL, "room/people", &state));
    ns_state_free(state);
    tear_down();
}

static void refuses(void)
{
    ns_app *app = app_new("app");
    ns_key *key = (ns_key *)&key;
    ns_value value = ns_value_int(1);
    char name[1026];
    IS(NS_ERR_NAME, ns_app_key(app, "", &key));
    CHECK(key == NULL);
    IS(NS_ERR_NAME, ns_app_key(app, "$ns/x", &key));
    CONTAINS("$ns/x", ns_last_error());
    IS(NS_ERR_UTF8, ns_app_key(app, "\xff", &key));
    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    IS(NS_ERR_NAME, ns_app_key(app, name, &key));
    name[1024] = '\0';
    OK(ns_app_key(app, name, &key));
    OK(ns_key_send(key, value));
    value.kind = NS_KIND_CLEARED;
    IS(NS_ERR_INVALID, ns_key_send(key, value));
    IS(NS_ERR_UTF8, ns_key_send(key, ns_value_text("\xff")));
    IS(NS_ERR_MSGPACK, ns_key_send(key, ns_value_msgpack("\xc1", 1)));
    ns_key_free(key);
    ns_app_free(app);
}

static void wills(void)
{
    ns_value will = ns_value_int(0);
    char name[8];
    ns_state *state;
    ns_key *key;
    int n;
    set_up();
    OK(ns_app_key(from, "room/people", &key));
    OK(ns_key_send(key, ns_value_int(1)));
    OK(ns_key_will(key, &will));
    will = ns_value_cleared();
    OK(ns_key_will(key, &will));
    OK(ns_app_flush(from, LONG));
    OK(ns_key_will(key, NULL));
    OK(ns_key_will(key, NULL));
    will = ns_value_text("\xff");
    IS(NS_ERR_UTF8, ns_key_will(key, &will));
    will = ns_value_msgpack("\xc1", 1);
    IS(NS_ERR_MSGPACK, ns_key_will(key, &will));
    will.kind = 99;
    IS(NS_ERR_INVALID, ns_key_will(key, &will));
    CONTAINS("99", ns_last_error());
    ns_key_free(key);
    will = ns_value_nil();
    for (n = 0; n <= 1000; n++) {
        sprintf(name, "%d", n);
        OK(ns_app_key(from, name, &key));
        IS(n < 1000 ? NS_OK : NS_ERR_FULL, ns_key_will(key, &will));
        ns_key_free(key);
    }
    CONTAINS("\"1000\"", ns_last_error());
    OK(ns_app_flush(from, LONG));
    /* After a goodbye there is none. */
    OK(ns_app_close(from, LONG));
    OK(ns_app_send_int(to, "last", 1));
    OK(ns_app_flush(to, LONG));
    EQUAL(1, next_int("room/people"));
    IS(NS_ERR_TIMEOUT, ns_app_recv(to, 0, &state));
    tear_down();
}

static void expires(void)
{
    ns_key *key;
    ns_state *state;
    ns_status found;
    set_up();
    OK(ns_app_key(from, "n", &key));
    IS(NS_ERR_INVALID, ns_key_set(key, NS_OPT_KEY_TTL_MS, -1));
    CONTAINS("NS_OPT_KEY_TTL_MS must be 0 to", ns_last_error());
    IS(NS_ERR_INVALID, ns_key_set(key, NS_OPT_LINGER_MS, 1));
    SAME("1 is not an option of a key", ns_last_error());
    OK(ns_key_set(key, NS_OPT_KEY_TTL_MS, 20));
    OK(ns_key_send(key, ns_value_int(1)));
    EQUAL(1, next_int("n"));
    state = next_named(to, "n");
    EQUAL(NS_KIND_CLEARED, ns_state_kind(state));
    ns_state_free(state);
    IS(NS_ERR_NOT_FOUND, ns_app_get(to, NULL, "n", &state));
    /* The app itself forgets it, too, at its own time. */
    while ((found = ns_app_get(from, NULL, "n", &state)) == NS_OK) {
        ns_state_free(state);
    }
    IS(NS_ERR_NOT_FOUND, found);
    /* It counts for what is sent from then on. */
    OK(ns_key_set(key, NS_OPT_KEY_TTL_MS, 0));
    OK(ns_key_send(key, ns_value_int(2)));
    EQUAL(2, next_int("n"));
    ns_key_free(key);
    tear_down();
}

/* Whether an app that comes now is sent a value of this name. */
static int is_found_later(const char *name)
{
    ns_app *late = app_at("late", hub);
    ns_state *state;
    ns_status found;
    OK(ns_app_wait_synced(late, 60000));
    found = ns_app_get(late, NULL, name, &state);
    ns_state_free(state);
    ns_app_free(late);
    return found == NS_OK;
}

static void is_transient(void)
{
    ns_key *key;
    set_up();
    OK(ns_app_key(from, "n", &key));
    IS(NS_ERR_INVALID, ns_key_set(key, NS_OPT_KEY_TRANSIENT, 2));
    CONTAINS("NS_OPT_KEY_TRANSIENT must be 0", ns_last_error());
    OK(ns_key_set(key, NS_OPT_KEY_TRANSIENT, 1));
    OK(ns_key_send(key, ns_value_int(1)));
    EQUAL(1, next_int("n"));
    CHECK(!is_found_later("n"));
    OK(ns_key_set(key, NS_OPT_KEY_TRANSIENT, 0));
    OK(ns_key_send(key, ns_value_int(2)));
    EQUAL(2, next_int("n"));
    CHECK(is_found_later("n"));
    ns_key_free(key);
    tear_down();
}

static void outlives(void)
{
    ns_app *app = app_new("app");
    ns_key *key, *other;
    OK(ns_app_key(app, "n", &key));
    OK(ns_key_send(key, ns_value_int(1)));
    OK(ns_app_close(app, 0));
    IS(NS_ERR_CLOSED, ns_key_send(key, ns_value_int(2)));
    IS(NS_ERR_CLOSED, ns_app_key(app, "n", &other));
    CHECK(other == NULL);
    ns_app_free(app);
    IS(NS_ERR_CLOSED, ns_key_send(key, ns_value_int(3)));
    IS(NS_ERR_CLOSED, ns_key_clear(key));
    IS(NS_ERR_CLOSED, ns_key_will(key, NULL));
    ns_key_free(key);
}

const struct test key_tests[] = {
    {"what is sent of a key is the app's own value of its name", sends},
    {"a name or a value that is none is refused by a key's functions", refuses},
    {"an app leaves, changes and takes back what the hub publishes when it is lost", wills},
    {"a value of a key with a time to live is gone for all when that is over", expires},
    {"a transient value of a key reaches those who are there, and nobody who comes later", is_transient},
    {"a key may outlive its app, and says that it is closed", outlives},
    {NULL, NULL},
};
