/* The log. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lines {
    pthread_mutex_t mutex;
    int count, most;
    bool joined;
};

static void collect(int level, const char *text, void *ctx)
{
    struct lines *lines = (struct lines *)ctx;
    CHECK(level >= NS_LOG_ERROR && level <= NS_LOG_TRACE);
    pthread_mutex_lock(&lines->mutex);
    lines->count++;
    lines->most = level > lines->most ? level : lines->most;
    lines->joined = lines->joined || strstr(text, "visitor") != NULL;
    pthread_mutex_unlock(&lines->mutex);
}

static bool has_joined(struct lines *lines)
{
    bool joined;
    pthread_mutex_lock(&lines->mutex);
    joined = lines->joined;
    pthread_mutex_unlock(&lines->mutex);
    return joined;
}

/* A hub and an app that comes and goes. */
static void visit(void)
{
    ns_hub *hub = hub_at(free_url("inproc"));
    ns_app *app = app_at("visitor", hub);
    OK(ns_app_send_nil(app, "n"));
    OK(ns_app_flush(app, LONG));
    ns_app_free(app);
    ns_hub_free(hub);
}

static void lines_arrive(void)
{
    struct lines lines;
    int before;
    memset(&lines, 0, sizeof lines);
    pthread_mutex_init(&lines.mutex, NULL);
    ns_set_log(collect, NS_LOG_INFO, &lines);
    visit();
    while (!has_joined(&lines)) {
        sched_yield();
    }

    /* Only what is as bad as was asked for. */
    ns_set_log(collect, NS_LOG_ERROR, &lines);
    CHECK(lines.most <= NS_LOG_INFO);
    before = lines.count;
    visit();
    EQUAL(before, lines.count);

    /* Nothing any more, whatever the number. */
    ns_set_log(collect, NS_LOG_OFF, &lines);
    visit();
    ns_set_log(collect, -7, &lines);
    visit();
    EQUAL(before, lines.count);
    ns_set_log(NULL, NS_LOG_OFF, NULL);
    visit();
    EQUAL(before, lines.count);
    pthread_mutex_destroy(&lines.mutex);
}

static void sets_inside(int level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    /* Has no effect here, and does not hang. */
    ns_set_log(NULL, NS_LOG_OFF, NULL);
    gate_pass((struct gate *)ctx);
}

static void set_inside(void)
{
    struct gate *lines = gate_new();
    ns_set_log(sets_inside, NS_LOG_INFO, lines);
    /* Each join is reported, a leave perhaps. */
    visit();
    visit();
    visit();
    gate_wait(lines, 3);
    ns_set_log(NULL, NS_LOG_OFF, NULL);
    gate_free(lines);
    /* The thread of the log is gone too. */
    until_alone();
}

struct slow {
    struct gate *entered, *released;
    pid_t process;
    /* Lines in a child. */
    volatile int lines;
};

static void waits(int level, const char *text, void *ctx)
{
    struct slow *slow = (struct slow *)ctx;
    (void)level;
    (void)text;
    if (getpid() != slow->process) {
        slow->lines++;
        return;
    }
    gate_pass(slow->entered);
    gate_wait(slow->released, 1);
}

static void logs_in_child(void *argument)
{
    struct slow *slow = (struct slow *)argument;
    visit();
    while (slow->lines == 0) {
        sched_yield();
    }
}

static void waiting_holds_up_nobody(void)
{
    struct slow slow;
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *first, *second;
    slow.entered = gate_new();
    slow.released = gate_new();
    slow.process = getpid();
    slow.lines = 0;
    ns_set_log(waits, NS_LOG_TRACE, &slow);
    first = app_at("first", hub);
    gate_wait(slow.entered, 1);
    /* Neither the hub's thread nor an app's, nor this one, waits for the function. */
    second = app_at("second", hub);
    OK(ns_app_send_text(first, "n", "value"));
    OK(ns_app_flush(first, LONG));
    ns_state_free(next_named(second, "n"));
    /* A child has a log of its own, whatever its parent's was doing. */
    in_child(logs_in_child, &slow);
    gate_pass(slow.released);
    ns_app_free(first);
    ns_app_free(second);
    ns_hub_free(hub);
    ns_set_log(NULL, NS_LOG_OFF, NULL);
    gate_free(slow.entered);
    gate_free(slow.released);
}

struct escaped {
    pthread_mutex_t mutex;
    int raw, taken_over, held;
};

static void looks(int level, const char *text, void *ctx)
{
    struct escaped *escaped = (struct escaped *)ctx;
    (void)level;
    pthread_mutex_lock(&escaped->mutex);
    escaped->raw += strpbrk(text, "\n\033") != NULL || strstr(text, "\xe2\x80\xae") != NULL;
    escaped->taken_over += strstr(text, "taken over") != NULL && strstr(text, "evil\\n\\x1b[2J\\u202e") != NULL;
    escaped->held += strstr(text, "is held") != NULL && strstr(text, "evil\\n\\x1b[2J\\u202e") != NULL;
    pthread_mutex_unlock(&escaped->mutex);
}

static void refused(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    (void)app;
    (void)why;
    if (link == NS_LINK_REFUSED) {
        CHECK(strpbrk(text, "\n\033") == NULL);
        CHECK(strstr(text, "\xe2\x80\xae") == NULL);
        gate_pass((struct gate *)ctx);
    }
}

/* An identity is a text of another program in every line and callback that contains it. */
static void identities_are_escaped(void)
{
    static const char evil[] = "evil\n\033[2J\xe2\x80\xae";
    struct escaped escaped;
    struct gate *gate = gate_new();
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *holder, *other, *thief;
    bool all;
    memset(&escaped, 0, sizeof escaped);
    pthread_mutex_init(&escaped.mutex, NULL);
    ns_set_log(looks, NS_LOG_TRACE, &escaped);
    holder = app_new(evil);
    OK(ns_app_set(holder, NS_OPT_CALLBACK_THREAD, 1));
    OK(ns_app_on_link(holder, refused, gate));
    OK(ns_app_connect(holder, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(holder, LONG));
    other = app_new(evil);
    OK(ns_app_set(other, NS_OPT_CALLBACK_THREAD, 1));
    OK(ns_app_on_link(other, refused, gate));
    OK(ns_app_connect(other, ns_hub_address(hub, 0)));
    gate_wait(gate, 1);
    ns_app_free(other);
    thief = app_new(evil);
    OK(ns_app_set(thief, NS_OPT_TAKE_OVER, 1));
    OK(ns_app_connect(thief, ns_hub_address(hub, 0)));
    gate_wait(gate, 2);
    ns_app_free(holder);
    ns_app_free(thief);
    ns_hub_free(hub);
    do {
        sched_yield();
        pthread_mutex_lock(&escaped.mutex);
        all = escaped.taken_over > 0 && escaped.held > 0;
        pthread_mutex_unlock(&escaped.mutex);
    } while (!all);
    ns_set_log(NULL, NS_LOG_OFF, NULL);
    EQUAL(0, escaped.raw);
    pthread_mutex_destroy(&escaped.mutex);
    gate_free(gate);
}

const struct test log_tests[] = {
    {"a log function gets the lines up to its level", lines_arrive},
    {"a log function cannot replace itself", set_inside},
    {"a log function that waits holds up nobody, and a child has its own", waiting_holds_up_nobody},
    {"the log and callbacks show identities escaped", identities_are_escaped},
    {NULL, NULL},
};
