/* A hub and two apps in one program. They meet in memory (inproc); with a URL others can join them.
 *
 *   embedded_hub [URL]     URL: where the hub listens, too, say tcp://127.0.0.1:15000
 *   cc embedded_hub.c -lnanostate
 */
#include <stdio.h>
#include <stdlib.h>

#include <nanostate.h>

#define INSIDE "inproc://embedded"

static int failures;

static int ok(ns_status status)
{
    if (status != NS_OK) {
        fprintf(stderr, "embedded_hub: %s\n", ns_last_error());
        failures++;
    }
    return status == NS_OK;
}

/* Runs in the hub's thread, so it is short. */
static void on_peer(ns_hub *hub, const char *identity, const char *from, ns_peer_event event, ns_status why, void *ctx)
{
    (void)hub;
    (void)from;
    (void)ctx;
    if (event == NS_PEER_JOINED)
        printf("hub: %s joined\n", identity);
    else
        printf("hub: %s %s (%s)\n", identity, ns_peer_event_name(event), ns_strerror(why));
}

/* An app that publishes. */
static void measure(ns_app *sensor)
{
    int i;
    for (i = 0; i < 3; i++) {
        ok(ns_app_send_double(sensor, "room/temperature", 20.5 + i));
        ok(ns_app_send_text(sensor, "room/comment", i < 2 ? "fine" : "open a window"));
    }
    /* The hub has the newest values when this returns; programs that join later get them, too. */
    ok(ns_app_flush(sensor, 2000));
}

/* An app that waits until it has been told the last of them. A state's newest value is what arrives for sure. */
static void show(ns_app *display)
{
    ns_state *state;
    double temperature = 0;
    while (temperature < 22.5 && ok(ns_app_recv(display, 2000, &state))) {
        const char *text;
        size_t length;
        if (ns_state_double(state, &temperature) == NS_OK)
            printf("%s of %s: %.1f\n", ns_state_name(state), ns_state_sender(state), temperature);
        else if (ns_state_text(state, &text, &length) == NS_OK)
            printf("%s of %s: %s\n", ns_state_name(state), ns_state_sender(state), text);
        ns_state_free(state);
    }
}

int main(int argc, char **argv)
{
    ns_hub *hub = NULL;
    ns_app *sensor = NULL, *display = NULL;

    if (ok(ns_hub_new(&hub)) && ok(ns_hub_on_peer(hub, on_peer, NULL)) && ok(ns_hub_listen(hub, INSIDE)) &&
        (argc < 2 || ok(ns_hub_listen(hub, argv[1]))) &&
        ok(ns_app_new("sensor", &sensor)) && ok(ns_app_connect(sensor, INSIDE)) &&
        ok(ns_app_new("display", &display)) && ok(ns_app_connect(display, INSIDE))) {
        measure(sensor);
        show(display);
    }
    /* In any order; NULL is fine. */
    ns_app_free(display);
    ns_app_free(sensor);
    ns_hub_free(hub);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
