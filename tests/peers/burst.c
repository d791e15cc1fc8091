/* A burst of states of 64 bytes: burst distinct|one|paused send|recv URL COUNT
 * The sender publishes COUNT states at full speed, under distinct names or under one, and waits until the hub has them.
 * If it is paused, names are distinct, and the receiver takes nothing for two seconds after a quarter of them.
 * The receiver prints "ready" when it is connected, and "whole" when it has every name once with its value, or the last
 * value of the one name. */
#define _POSIX_C_SOURCE 200809L
#include <nanostate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 64, PATIENCE_MS = 30000 };

static int fail(const char *what)
{
    fprintf(stderr, "burst: %s: %s\n", what, ns_last_error());
    return 1;
}

/* The value number `i`: SIZE bytes that tell the number. */
static void make_value(char *value, unsigned long i)
{
    memset(value, '.', SIZE);
    value[sprintf(value, "%lu", i)] = ' ';
}

static int send_all(ns_app *app, int distinct, unsigned long count)
{
    unsigned long i;
    for (i = 0; i < count; i++) {
        char name[32], value[SIZE];
        sprintf(name, "burst/%lu", distinct ? i : 0);
        make_value(value, i);
        if (ns_app_send_bytes(app, name, value, SIZE) != NS_OK)
            return fail(name);
    }
    if (ns_app_flush(app, PATIENCE_MS) != NS_OK)
        return fail("flush");
    printf("sent\n");
    return 0;
}

static int receive_all(ns_app *app, int distinct, int paused, unsigned long count)
{
    ns_app_stats_t stats;
    char *seen = calloc(count, 1);
    unsigned long got = 0, last = 0;
    if (seen == NULL)
        return fail("memory");
    while (distinct ? got < count : last + 1 < count) {
        ns_state *state;
        const void *data;
        size_t len;
        char value[SIZE];
        unsigned long i;
        if (ns_app_recv(app, PATIENCE_MS, &state) != NS_OK) {
            ns_app_stats(app, &stats, sizeof stats);
            fprintf(stderr, "burst: %lu of %lu came, the last was %lu; dropped %lu, conflated %lu\n", got, count, last,
                    (unsigned long)stats.dropped_in, (unsigned long)stats.conflated_in);
            return fail("recv");
        }
        if (ns_state_bytes(state, &data, &len) != NS_OK || len != SIZE)
            return fail("not what was sent");
        i = strtoul(data, NULL, 10);
        make_value(value, i);
        if (i >= count || memcmp(value, data, SIZE) != 0)
            return fail("not what was sent");
        if (distinct && (strtoul(ns_state_name(state) + 6, NULL, 10) != i || seen[i]++))
            return fail("another value, or one twice");
        if (!distinct && got > 0 && i <= last)
            return fail("an older value");
        last = i;
        got++;
        ns_state_free(state);
        if (paused && got == count / 4)
            sleep(2);
    }
    if (ns_app_stats(app, &stats, sizeof stats) != NS_OK || stats.dropped_in != 0)
        return fail("some were dropped");
    printf("whole %lu\n", got);
    free(seen);
    return 0;
}

int main(int argc, char **argv)
{
    ns_app *app;
    int distinct, paused, receiver, result;
    unsigned long count;

    if (argc != 5) {
        fprintf(stderr, "usage: burst distinct|one|paused send|recv URL COUNT\n");
        return 2;
    }
    paused = strcmp(argv[1], "paused") == 0;
    distinct = paused || strcmp(argv[1], "distinct") == 0;
    receiver = strcmp(argv[2], "recv") == 0;
    count = strtoul(argv[4], NULL, 10);
    if (ns_app_new(argv[2], &app) != NS_OK || ns_app_connect(app, argv[3]) != NS_OK
        || ns_app_wait_connected(app, PATIENCE_MS) != NS_OK)
        return fail("connect");
    if (receiver) {
        printf("ready\n");
        fflush(stdout);
    }
    result = receiver ? receive_all(app, distinct, paused, count) : send_all(app, distinct, count);
    ns_app_free(app);
    return result;
}
