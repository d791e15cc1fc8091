/* A slider that is the same in every program on the hub: this one, the window of examples-qt/slider, and the page
 * examples-js/slider.html. Draws it whenever it moves; a number on standard input moves it.
 *
 *   slider NAME [URL]     NAME: who you are; URL: the hub, default $NANOSTATE_URL or tcp://127.0.0.1:15000
 *   cc slider.c -lnanostate
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanostate.h>

#define NAME "volume"
#define WIDTH 50

/* A line for each move: [#####     ] 10 of SENDER. */
static void draw(const char *sender, double value)
{
    int i, filled = value >= 100 ? WIDTH : value > 0 ? (int)(value * WIDTH / 100) : 0;
    putchar('[');
    for (i = 0; i < WIDTH; i++)
        putchar(i < filled ? '#' : ' ');
    printf("] %g of %s\n", value, sender);
    fflush(stdout);
}

/* Runs in the app's own thread, while main waits for standard input. */
static void on_state(ns_app *app, const ns_state *state, void *context)
{
    double value;
    (void)app;
    (void)context;
    if (strcmp(ns_state_name(state), NAME) == 0 && ns_state_double(state, &value) == NS_OK)
        draw(ns_state_sender(state), value);
}

static void on_link(ns_app *app, ns_link link, ns_status why, const char *text, void *context)
{
    (void)app;
    (void)context;
    if (link == NS_LINK_CONNECTED)
        fputs("(connected)\n", stderr);
    else if (why != NS_OK)
        fprintf(stderr, "(%s)\n", text);
}

static int fail(ns_app *app)
{
    fprintf(stderr, "slider: %s\n", ns_last_error());
    ns_app_free(app);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    char line[100], *end;
    ns_app *app;

    if (argc < 2) {
        fprintf(stderr, "usage: slider NAME [URL]\n");
        return 2;
    }
    /* A slider sends doubles, also 22, which it could send as an integer: this program gets no other kind. */
    if (ns_app_new(argv[1], &app) != NS_OK || ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1) != NS_OK ||
        ns_app_set_accept(app, NS_ACCEPT(NS_KIND_DOUBLE)) != NS_OK || ns_app_on_state(app, on_state, NULL) != NS_OK ||
        ns_app_on_link(app, on_link, NULL) != NS_OK || ns_app_connect(app, argc > 2 ? argv[2] : NULL) != NS_OK)
        return fail(app);

    while (fgets(line, sizeof line, stdin) != NULL) { /* Ctrl-D ends the program */
        double value = strtod(line, &end);
        if (end == line || *end != '\n' || !(value >= 0 && value <= 100))
            fputs("(a number from 0 to 100 moves the slider)\n", stderr);
        else if (ns_app_send_double(app, NAME, value) != NS_OK)
            return fail(app);
        else
            draw(argv[1], value);
    }
    if (ns_app_flush(app, 2000) != NS_OK)
        return fail(app);
    ns_app_free(app);
    return EXIT_SUCCESS;
}
