/* Publishes figures of this machine from /proc, once a second: numbers, and texts.
 *
 *   publish [URL [COUNT]]     URL: the hub, default $NANOSTATE_URL or tcp://127.0.0.1:15000
 *                             COUNT: stop after so many rounds, default never (Ctrl-C)
 *   cc publish.c -lnanostate
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nanostate.h>

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* No send waits for the hub: what is sent while it is away is kept, newest value per name. So this is a real error. */
static void check(ns_status status)
{
    if (status != NS_OK) {
        fprintf(stderr, "publish: %s\n", ns_last_error());
        exit(EXIT_FAILURE);
    }
}

/* Publishes what is known in `path`. */
static void publish(ns_app *app, const char *path)
{
    char line[400], name[100], text[100], interface[64];
    double one, five, fifteen;
    long long kib, received, sent;
    FILE *file = fopen(path, "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lf %lf %lf", &one, &five, &fifteen) == 3) {
            snprintf(text, sizeof text, "%.2f %.2f %.2f", one, five, fifteen);
            check(ns_app_send_double(app, "cpu/load", one));
            check(ns_app_send_text(app, "cpu/loads", text));
        } else if (sscanf(line, "MemTotal: %lld", &kib) == 1) {
            check(ns_app_send_int(app, "mem/total", kib * 1024));
        } else if (sscanf(line, "MemAvailable: %lld", &kib) == 1) {
            check(ns_app_send_int(app, "mem/available", kib * 1024));
        /* interface: bytes received, 7 other figures, bytes sent, ... */
        } else if (sscanf(line, " %63[^: ]: %lld %*s %*s %*s %*s %*s %*s %*s %lld", interface, &received, &sent) == 3) {
            snprintf(name, sizeof name, "net/%s/rx", interface);
            check(ns_app_send_int(app, name, received));
            snprintf(name, sizeof name, "net/%s/tx", interface);
            check(ns_app_send_int(app, name, sent));
        }
    }
    if (file != NULL)
        fclose(file);
    else
        fprintf(stderr, "publish: cannot read %s\n", path);
}

int main(int argc, char **argv)
{
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    struct sigaction action;
    ns_app *app;

    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    check(ns_app_new("publish", &app));
    check(ns_app_connect(app, argc > 1 ? argv[1] : NULL));
    if (ns_app_wait_connected(app, 1000) != NS_OK)
        fprintf(stderr, "publish: no hub yet (%s); it gets the newest values when it is there\n", ns_last_error());
    while (!stopped && rounds != 0) {
        struct timespec second = {1, 0};
        publish(app, "/proc/loadavg");
        publish(app, "/proc/meminfo");
        publish(app, "/proc/net/dev");
        if (rounds < 0 || --rounds > 0)
            nanosleep(&second, NULL);
    }
    /* Returns when the hub has everything. */
    if (ns_app_flush(app, 2000) != NS_OK)
        fprintf(stderr, "publish: the last values did not reach the hub: %s\n", ns_last_error());
    ns_app_free(app);
    return EXIT_SUCCESS;
}
