/* Handles that are freed while calls on them run in other threads. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call in a thread of its own, and whether it has begun and ended. */
struct call {
    ns_app *app;
    ns_hub *hub;
    ns_status (*make)(struct call *call);
    struct gate *begun, *go_on;
    struct thread *thread;
    ns_status status;
};

static void calls(void *argument)
{
    struct call *call = (struct call *)argument;
    gate_pass(call->begun);
    call->status = call->make(call);
}

/* Starts a call, and returns at the moment that it begins. */
static void call_start(struct call *call, ns_app *app, ns_hub *hub, ns_status (*make)(struct call *))
{
    memset(call, 0, sizeof *call);
    call->app = app;
    call->hub = hub;
    call->make = make;
    call->begun = gate_new();
    call->go_on = gate_new();
    call->thread = thread_start(calls, call);
    gate_wait(call->begun, 1);
}

/* The call ends, with success or because the handle was closed under it. */
static void call_end(struct call *call)
{
    thread_join(call->thread);
    if (call->status != NS_ERR_CLOSED) {
        OK(call->status);
    }
    gate_free(call->begun);
    gate_free(call->go_on);
}

enum { LARGE = 4 << 20 };

/* An array of ones, which takes a while to read. */
static char *large_json(void)
{
    char *json = (char *)malloc(LARGE);
    size_t i;
    CHECK(json != NULL);
    for (i = 0; i < LARGE; i++) {
        json[i] = i % 2 == 0 ? ',' : '1';
    }
    json[0] = '[';
    json[LARGE - 1] = ']';
    json[LARGE - 2] = '1';
    json[LARGE - 3] = '1';
    return json;
}

static char *json;

static ns_status sends_large(struct call *call)
{
    return ns_app_send_json(call->app, "large", json, LARGE);
}

static ns_status sends(struct call *call)
{
    return ns_app_send_bytes(call->app, "bytes", json, 1000);
}

static ns_status asks(struct call *call)
{
    ns_app_stats_t stats;
    (void)ns_app_link(call->app);
    return ns_app_stats(call->app, &stats, sizeof stats);
}

static ns_status asks_hub(struct call *call)
{
    ns_hub_stats_t stats;
    return ns_hub_stats(call->hub, &stats, sizeof stats);
}

static ns_status listens(struct call *call)
{
    return ns_hub_listen(call->hub, "tcp://127.0.0.1:0");
}

static void freed_under_a_send(void)
{
    struct call call;
    json = large_json();
    call_start(&call, app_new("freed"), NULL, sends_large);
    /* It reads its argument by now. */
    sched_yield();
    ns_app_free(call.app);
    call_end(&call);
    free(json);
}

/* Free comes at every moment of a call, also before it has come far. */
static void freed_under_short_calls(void)
{
    ns_status (*const on_app[])(struct call *) = {sends, asks};
    ns_status (*const on_hub[])(struct call *) = {asks_hub, listens};
    struct call call[2];
    ns_hub *other = hub_at(free_url("inproc"));
    int i, n;
    json = large_json();
    for (i = 0; i < 25; i++) {
        ns_app *app = app_at("freed", other);
        ns_hub *hub;
        for (n = 0; n < 2; n++) {
            call_start(&call[n], app, NULL, on_app[n]);
        }
        ns_app_free(app);
        call_end(&call[0]);
        call_end(&call[1]);
        OK(ns_hub_new(&hub));
        for (n = 0; n < 2; n++) {
            call_start(&call[n], NULL, hub, on_hub[n]);
        }
        ns_hub_free(hub);
        call_end(&call[0]);
        call_end(&call[1]);
    }
    ns_hub_free(other);
    free(json);
}

static bool stays(ns_app *app, const ns_state *state, void *ctx)
{
    struct call *call = (struct call *)ctx;
    CHECK(app == call->app && state != NULL);
    gate_pass(call->begun);
    gate_wait(call->go_on, 1);
    return true;
}

static ns_status walks(struct call *call)
{
    return ns_app_each(call->app, NULL, stays, call);
}

/* The walk shows nothing more once the app is freed. */
static void freed_under_a_walk(void)
{
    struct call call;
    ns_app *app = app_new("freed");
    OK(ns_app_send_nil(app, "a"));
    OK(ns_app_send_nil(app, "b"));
    call_start(&call, app, NULL, walks);
    gate_wait(call.begun, 2);
    ns_app_free(app);
    gate_pass(call.go_on);
    thread_join(call.thread);
    IS(NS_ERR_CLOSED, call.status);
    gate_wait(call.begun, 2);
    gate_free(call.begun);
    gate_free(call.go_on);
}

static bool frees_app(ns_app *app, const ns_state *state, void *ctx)
{
    CHECK(state != NULL);
    ++*(int *)ctx;
    ns_app_free(app);
    return true;
}

static bool frees_hub(ns_hub *hub, const ns_peer_stats_t *peer, void *ctx)
{
    CHECK(peer != NULL);
    ++*(int *)ctx;
    ns_hub_free(hub);
    return true;
}

static void freed_by_a_walk(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *first = app_at("first", hub);
    ns_app *second = app_at("second", hub);
    int count = 0;
    OK(ns_app_send_nil(first, "a"));
    OK(ns_app_send_nil(first, "b"));
    IS(NS_ERR_CLOSED, ns_app_each(first, NULL, frees_app, &count));
    EQUAL(1, count);
    (void)second;
    first = app_at("third", hub);
    IS(NS_ERR_CLOSED, ns_hub_each_peer(hub, frees_hub, &count, sizeof(ns_peer_stats_t)));
    EQUAL(2, count);
    ns_app_free(first);
    ns_app_free(second);
    until_alone();
}

const struct test free_tests[] = {
    {"a send that runs while its app is freed keeps it", freed_under_a_send},
    {"short calls that run while their handle is freed keep it", freed_under_short_calls},
    {"a walk ends when its app is freed in another thread", freed_under_a_walk},
    {"a walk may free its handle, and ends", freed_by_a_walk},
    {NULL, NULL},
};
