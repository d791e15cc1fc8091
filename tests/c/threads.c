/* Several threads on one handle, and callbacks on the app's own thread. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A thread that waits on an app, and what it came back with. */
struct waiter {
    ns_app *app;
    ns_status (*wait)(ns_app *app);
    ns_status status;
    struct gate *started;
    long number;
    struct thread *thread;
};

static ns_status in_recv(ns_app *app)
{
    ns_state *state = NULL;
    ns_status status = ns_app_recv(app, -1, &state);
    CHECK(state == NULL);
    return status;
}

static ns_status in_dispatch(ns_app *app)
{
    return ns_app_dispatch(app, -1, 0);
}

static ns_status in_wait_connected(ns_app *app)
{
    return ns_app_wait_connected(app, -1);
}

static ns_status in_flush(ns_app *app)
{
    return ns_app_flush(app, -1);
}

static void waits(void *argument)
{
    struct waiter *waiter = (struct waiter *)argument;
    waiter->number = thread_number();
    gate_pass(waiter->started);
    waiter->status = waiter->wait(waiter->app);
}

static void start_waiting(struct waiter *waiter, ns_app *app, ns_status (*wait)(ns_app *))
{
    waiter->app = app;
    waiter->wait = wait;
    waiter->status = NS_OK;
    waiter->started = gate_new();
    waiter->thread = thread_start(waits, waiter);
    gate_wait(waiter->started, 1);
    until_asleep(waiter->number);
}

static void end_waiting(struct waiter *waiter, ns_status wanted)
{
    thread_join(waiter->thread);
    gate_free(waiter->started);
    IS(wanted, waiter->status);
}

/* An app that never gets anywhere: its hub is not there. */
static ns_app *lonely(void)
{
    ns_app *app = app_new("lonely");
    OK(ns_app_set(app, NS_OPT_LINGER_MS, 0));
    OK(ns_app_send_nil(app, "unsent"));
    OK(ns_app_connect(app, free_url("inproc")));
    return app;
}

static ns_status (*const waits_in[])(ns_app *) = {in_recv, in_dispatch, in_wait_connected, in_flush};

static void woken_by_close(void)
{
    size_t i;
    for (i = 0; i < 4; i++) {
        struct waiter waiter;
        ns_app *app = lonely();
        start_waiting(&waiter, app, waits_in[i]);
        OK(ns_app_close(app, 0));
        end_waiting(&waiter, NS_ERR_CLOSED);
        ns_app_free(app);
    }
}

static void woken_by_free(void)
{
    size_t i;
    for (i = 0; i < 4; i++) {
        struct waiter waiter;
        ns_app *app = lonely();
        start_waiting(&waiter, app, waits_in[i]);
        ns_app_free(app);
        end_waiting(&waiter, NS_ERR_CLOSED);
    }
}

static void woken_by_interrupt(void)
{
    size_t i;
    for (i = 0; i < 4; i++) {
        struct waiter waiter;
        ns_app *app = lonely();
        start_waiting(&waiter, app, waits_in[i]);
        ns_app_interrupt(app);
        end_waiting(&waiter, NS_ERR_INTERRUPTED);
        ns_app_free(app);
    }
}

static void woken_without_connect(void)
{
    struct waiter waiter;
    ns_app *app = app_new("idle");
    start_waiting(&waiter, app, in_recv);
    ns_app_interrupt(app);
    end_waiting(&waiter, NS_ERR_INTERRUPTED);
    start_waiting(&waiter, app, in_dispatch);
    OK(ns_app_close(app, -1));
    end_waiting(&waiter, NS_ERR_CLOSED);
    ns_app_free(app);
    app = app_new("idle");
    start_waiting(&waiter, app, in_recv);
    ns_app_free(app);
    end_waiting(&waiter, NS_ERR_CLOSED);
}

static ns_app *interrupted;

static void on_signal(int signal)
{
    (void)signal;
    ns_app_interrupt(interrupted);
}

static void interrupted_by_signal(void)
{
    struct waiter waiter;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    interrupted = lonely();
    start_waiting(&waiter, interrupted, in_recv);
    /* To this thread: the one that waits is woken all the same. */
    CHECK(raise(SIGUSR1) == 0);
    end_waiting(&waiter, NS_ERR_INTERRUPTED);
    ns_app_free(interrupted);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

enum { STATES = 2000, RECEIVERS = 4 };

struct receiver {
    ns_app *app;
    int count;
    char seen[STATES];
};

static void receives(void *argument)
{
    struct receiver *receiver = (struct receiver *)argument;
    ns_state *state;
    while (ns_app_recv(receiver->app, -1, &state) == NS_OK) {
        int64_t value;
        OK(ns_state_int(state, &value));
        ns_state_free(state);
        receiver->seen[value]++;
        receiver->count++;
    }
}

struct sender {
    ns_app *app;
    int from, to;
};

static void sends(void *argument)
{
    struct sender *sender = (struct sender *)argument;
    int i;
    for (i = sender->from; i < sender->to; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        OK(ns_app_send_int(sender->app, name, i));
    }
}

static void many(void)
{
    static struct receiver receivers[RECEIVERS];
    struct sender senders[2];
    struct thread *threads[RECEIVERS + 2];
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    ns_app_stats_t stats;
    int i, n, total = 0;
    for (i = 0; i < RECEIVERS; i++) {
        memset(&receivers[i], 0, sizeof receivers[i]);
        receivers[i].app = to;
        threads[i] = thread_start(receives, &receivers[i]);
    }
    for (i = 0; i < 2; i++) {
        senders[i].app = from;
        senders[i].from = i * STATES / 2;
        senders[i].to = (i + 1) * STATES / 2;
        threads[RECEIVERS + i] = thread_start(sends, &senders[i]);
    }
    thread_join(threads[RECEIVERS]);
    thread_join(threads[RECEIVERS + 1]);
    do {
        OK(ns_app_stats(to, &stats, sizeof stats));
        sched_yield();
    } while (stats.received < STATES || stats.queued > 0);
    OK(ns_app_close(to, 0));
    for (i = 0; i < RECEIVERS; i++) {
        thread_join(threads[i]);
        total += receivers[i].count;
    }
    EQUAL(STATES, total);
    for (n = 0; n < STATES; n++) {
        int times = 0;
        for (i = 0; i < RECEIVERS; i++) {
            times += receivers[i].seen[n];
        }
        EQUAL(1, times);
    }
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

/* What a callback on the app's own thread saw. */
struct own {
    pthread_t thread;
    ns_status recv, dispatch, wait_connected, flush, send, set_accept;
    int fd;
    int calls;
    struct gate *gate;
    ns_link link;
};

static void on_own_thread(ns_app *app, const ns_state *state, void *ctx)
{
    struct own *own = (struct own *)ctx;
    ns_state *other = NULL;
    CHECK(state != NULL);
    own->thread = pthread_self();
    own->recv = ns_app_recv(app, 0, &other);
    own->dispatch = ns_app_dispatch(app, 0, 0);
    own->fd = ns_app_fd(app);
    own->wait_connected = ns_app_wait_connected(app, 0);
    own->flush = ns_app_flush(app, 0);
    own->send = ns_app_send_nil(app, "answer");
    own->set_accept = ns_app_set_accept(app, NS_ACCEPT_ANY);
    own->calls++;
    gate_pass(own->gate);
}

static void link_on_own_thread(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    struct own *own = (struct own *)ctx;
    (void)app;
    (void)why;
    (void)text;
    own->link = link;
    if (link == NS_LINK_CONNECTED) {
        gate_pass(own->gate);
    }
}

/* An app whose callbacks run on its own thread, connected to `hub`. */
static ns_app *own_threaded(ns_hub *hub, ns_state_fn function, void *ctx)
{
    ns_app *app = app_new("own");
    OK(ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1));
    OK(ns_app_on_state(app, function, ctx));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(app, LONG));
    return app;
}

static void own_thread(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *from = app_at("from", hub);
    ns_state *state;
    struct own own;
    ns_app *app;
    memset(&own, 0, sizeof own);
    own.gate = gate_new();
    app = own_threaded(hub, on_own_thread, &own);
    IS(NS_ERR_STATE, ns_app_recv(app, 0, &state));
    IS(NS_ERR_STATE, ns_app_dispatch(app, 0, 0));
    EQUAL(-1, ns_app_fd(app));
    OK(ns_app_send_nil(from, "question"));
    gate_wait(own.gate, 1);
    ns_state_free(next_named(from, "answer"));
    CHECK(!pthread_equal(own.thread, pthread_self()));
    EQUAL(NS_ERR_STATE, own.recv);
    EQUAL(NS_ERR_STATE, own.dispatch);
    EQUAL(-1, own.fd);
    EQUAL(NS_ERR_STATE, own.wait_connected);
    EQUAL(NS_ERR_STATE, own.flush);
    EQUAL(NS_OK, own.send);
    EQUAL(NS_OK, own.set_accept);
    /* Other threads may wait. */
    OK(ns_app_flush(app, LONG));
    OK(ns_app_on_state(app, NULL, NULL));
    OK(ns_app_send_nil(from, "unheard"));
    OK(ns_app_flush(from, LONG));
    ns_app_free(app);
    EQUAL(1, own.calls);
    gate_free(own.gate);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void own_thread_link(void)
{
    ns_hub *hub = hub_at("tcp://127.0.0.1:0");
    ns_app *app = app_new("own");
    struct own own;
    memset(&own, 0, sizeof own);
    own.gate = gate_new();
    OK(ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1));
    OK(ns_app_on_link(app, link_on_own_thread, &own));
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    gate_wait(own.gate, 1);
    ns_app_free(app);
    EQUAL(NS_LINK_CONNECTED, own.link);
    gate_free(own.gate);
    ns_hub_free(hub);
}

/* A callback that stays until it is let go. */
struct stay {
    struct gate *entered, *leave;
    int left;
    ns_app *app;
    struct gate *started;
    long number;
    int left_when_returned;
};

static void stays(ns_app *app, const ns_state *state, void *ctx)
{
    struct stay *stay = (struct stay *)ctx;
    CHECK(app == stay->app && state != NULL);
    gate_pass(stay->entered);
    gate_wait(stay->leave, 1);
    stay->left = 1;
}

static void replaces(void *argument)
{
    struct stay *stay = (struct stay *)argument;
    stay->number = thread_number();
    gate_pass(stay->started);
    OK(ns_app_on_state(stay->app, NULL, NULL));
    stay->left_when_returned = stay->left;
}

static void frees(void *argument)
{
    struct stay *stay = (struct stay *)argument;
    stay->number = thread_number();
    gate_pass(stay->started);
    ns_app_free(stay->app);
    stay->left_when_returned = stay->left;
}

static void dispatches(void *argument)
{
    struct stay *stay = (struct stay *)argument;
    (void)ns_app_dispatch(stay->app, LONG, 1);
}

static void waits_for_callback(void (*ends)(void *), bool own, bool freed)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    struct thread *ending, *running = NULL;
    struct stay stay;
    memset(&stay, 0, sizeof stay);
    stay.entered = gate_new();
    stay.leave = gate_new();
    stay.started = gate_new();
    if (own) {
        stay.app = own_threaded(hub, NULL, NULL);
    } else {
        stay.app = app_at("to", hub);
    }
    OK(ns_app_on_state(stay.app, stays, &stay));
    OK(ns_app_send_nil(from, "n"));
    if (!own) {
        running = thread_start(dispatches, &stay);
    }
    gate_wait(stay.entered, 1);
    ending = thread_start(ends, &stay);
    gate_wait(stay.started, 1);
    until_asleep(stay.number);
    gate_pass(stay.leave);
    thread_join(ending);
    EQUAL(1, stay.left_when_returned);
    if (running != NULL) {
        thread_join(running);
    }
    if (!freed) {
        ns_app_free(stay.app);
    }
    gate_free(stay.entered);
    gate_free(stay.leave);
    gate_free(stay.started);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void replaced_while_running(void)
{
    waits_for_callback(replaces, false, false);
    waits_for_callback(replaces, true, false);
}

static void freed_while_running(void)
{
    waits_for_callback(frees, false, true);
    waits_for_callback(frees, true, true);
}

static void closes_itself(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    OK(ns_app_close(app, -1));
    IS(NS_ERR_CLOSED, ns_app_send_nil(app, "n"));
    gate_pass((struct gate *)ctx);
}

static void closed_on_own_thread(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    struct gate *gate = gate_new();
    ns_app *app = own_threaded(hub, closes_itself, gate);
    OK(ns_app_send_nil(from, "n"));
    gate_wait(gate, 1);
    IS(NS_ERR_CLOSED, ns_app_wait_connected(app, -1));
    ns_app_free(app);
    gate_free(gate);
    ns_app_free(from);
    ns_hub_free(hub);
}

static void frees_itself(ns_app *app, const ns_state *state, void *ctx)
{
    (void)state;
    ns_app_free(app);
    gate_pass((struct gate *)ctx);
}

static void freed_on_own_thread(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *from = app_at("from", hub);
    struct gate *gate = gate_new();
    (void)own_threaded(hub, frees_itself, gate);
    OK(ns_app_send_nil(from, "a"));
    OK(ns_app_send_nil(from, "b"));
    gate_wait(gate, 1);
    ns_app_free(from);
    ns_hub_free(hub);
    until_alone();
    gate_free(gate);
}

static void all_threads_end(void)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *first = app_at("first", hub);
    ns_app *second = app_at("second", hub);
    ns_app_free(first);
    ns_hub_free(hub);
    ns_app_free(second);
    until_alone();
}

const struct test thread_tests[] = {
    {"close wakes every call that waits in another thread", woken_by_close},
    {"free wakes every call that waits in another thread", woken_by_free},
    {"interrupt wakes every call that waits in another thread", woken_by_interrupt},
    {"an app that never connected is woken too", woken_without_connect},
    {"a signal handler may interrupt", interrupted_by_signal},
    {"threads that receive share the states, and threads that send an app", many},
    {"callbacks run on the app's own thread, where nothing may wait", own_thread},
    {"link callbacks run on the app's own thread", own_thread_link},
    {"a replaced callback has returned", replaced_while_running},
    {"a callback has returned when free has, wherever it ran", freed_while_running},
    {"an app may be closed on its own thread", closed_on_own_thread},
    {"an app may be freed on its own thread", freed_on_own_thread},
    {"no thread is left when the handles are freed", all_threads_end},
    {NULL, NULL},
};
