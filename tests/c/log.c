/* The log. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    CHECK(lines.joined);
    CHECK(lines.most <= NS_LOG_INFO);

    /* Only what is as bad as was asked for. */
    ns_set_log(collect, NS_LOG_ERROR, &lines);
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
    ++*(int *)ctx;
}

static void set_inside(void)
{
    int count = 0, before;
    ns_set_log(sets_inside, NS_LOG_INFO, &count);
    visit();
    CHECK(count > 0);
    before = count;
    visit();
    CHECK(count > before);
    ns_set_log(NULL, NS_LOG_OFF, NULL);
}

const struct test log_tests[] = {
    {"a log function gets the lines up to its level", lines_arrive},
    {"a log function cannot replace itself", set_inside},
    {NULL, NULL},
};
