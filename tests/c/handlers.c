/* Functions for the states of some names: ns_app_on, ns_app_off. */
#include "test.h"

#include <string.h>

/* A function of ns_app_on: adds its letter to what was called. */
struct handler {
    char letter;
    char *called;
    ns_app *app;
    ns_handler number, ends, *sets;
    int destroyed;
};

static void called(char *where, char letter)
{
    size_t end = strlen(where);
    CHECK(end < 30);
    where[end] = letter;
    where[end + 1] = '\0';
}

static void handles(ns_app *app, const ns_state *state, void *ctx)
{
    struct handler *handler = (struct handler *)ctx;
    CHECK(app == handler->app && ns_state_name(state)[0] != '\0');
    called(handler->called, handler->letter);
    if (handler->ends != 0) {
        OK(ns_app_off(app, handler->ends));
        handler->ends = 0;
    }
    if (handler->sets != NULL) {
        OK(ns_app_on(app, "**", handles, ctx, NULL, handler->sets));
        handler->sets = NULL;
    }
    EQUAL(0, handler->destroyed);
}

static void destroys(void *ctx)
{
    ((struct handler *)ctx)->destroyed++;
}

static void counts_state(ns_app *app, const ns_state *state, void *ctx)
{
    (void)app;
    (void)state;
    called((char *)ctx, '-');
}

/* What is called for a state of this name. */
static void check_called(ns_app *from, ns_app *to, const char *name, char *called_letters, const char *wanted)
{
    called_letters[0] = '\0';
    OK(ns_app_send_int(from, name, 1));
    OK(ns_app_dispatch(to, LONG, 1));
    SAME(wanted, called_letters);
}

static void handlers(void)
{
    static const char *const patterns[4] = {"x/*", "x/1", "**", "y"};
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_state *state;
    ns_handler added = 0, none;
    struct handler all[4];
    char letters[32] = "";
    size_t i;
    memset(all, 0, sizeof all);
    for (i = 0; i < 4; i++) {
        all[i].letter = (char)('a' + i);
        all[i].called = letters;
        all[i].app = to;
        OK(ns_app_on(to, patterns[i], handles, &all[i], destroys, &all[i].number));
        CHECK(all[i].number != 0);
    }
    IS(NS_ERR_STATE, ns_app_recv(to, 0, &state));
    check_called(from, to, "x/1", letters, "abc");
    check_called(from, to, "x/2", letters, "ac");
    check_called(from, to, "y", letters, "cd");
    check_called(from, to, "z", letters, "c");
    /* Behind the function for all states. */
    OK(ns_app_on_state(to, counts_state, letters));
    check_called(from, to, "x/1", letters, "-abc");
    OK(ns_app_on_state(to, NULL, NULL));
    /* One ends another before its turn, and then itself. */
    all[0].ends = all[1].number;
    check_called(from, to, "x/1", letters, "ac");
    EQUAL(1, all[1].destroyed);
    all[0].ends = all[0].number;
    check_called(from, to, "x/1", letters, "ac");
    EQUAL(1, all[0].destroyed);
    check_called(from, to, "x/1", letters, "c");
    /* One that is set in a function is for later states. */
    all[2].sets = &added;
    check_called(from, to, "x/1", letters, "c");
    check_called(from, to, "x/1", letters, "cc");
    OK(ns_app_off(to, added));
    IS(NS_ERR_NOT_FOUND, ns_app_off(to, added));
    CONTAINS("is not set", ns_last_error());
    IS(NS_ERR_NOT_FOUND, ns_app_off(to, 0));
    IS(NS_ERR_NAME, ns_app_on(to, "", handles, &all[0], destroys, &none));
    EQUAL(0, none);
    IS(NS_ERR_UTF8, ns_app_on(to, "\xff", handles, &all[0], destroys, &none));
    EQUAL(1, all[0].destroyed);
    OK(ns_app_off(to, all[2].number));
    EQUAL(1, all[2].destroyed);
    /* Without any, receive again; the last one ends with its app. */
    OK(ns_app_off(to, all[3].number));
    OK(ns_app_send_int(from, "w", 1));
    ns_state_free(next_named(to, "w"));
    OK(ns_app_on(to, "w", handles, &all[3], destroys, &all[3].number));
    ns_app_free(to);
    EQUAL(2, all[3].destroyed);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void frees(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    called(((struct handler *)ctx)->called, 'f');
    ns_app_free(app);
}

static void freed_inside_handler(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    char letters[32] = "";
    struct handler first, second;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    first.called = second.called = letters;
    OK(ns_app_on(to, "x", frees, &first, destroys, &first.number));
    OK(ns_app_on(to, "x", frees, &second, destroys, &second.number));
    OK(ns_app_send_int(from, "x", 1));
    IS(NS_ERR_CLOSED, ns_app_dispatch(to, LONG, 0));
    SAME("f", letters);
    CHECK(first.destroyed == 1 && second.destroyed == 1);
    ns_app_free(from);
    ns_hub_free(hub);
}

const struct test handler_tests[] = {
    {"functions for patterns get the states that match, in their order, until they are ended", handlers},
    {"an app freed in a function for a pattern calls no other, and tells both that they are at their end",
     freed_inside_handler},
    {NULL, NULL},
};
