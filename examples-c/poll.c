/* A chat: lines of standard input go to the others, theirs are printed. One thread, one poll loop, no busy waiting.
 *
 *   poll NAME [URL]     NAME: who you are; URL: the hub, default $NANOSTATE_URL or tcp://127.0.0.1:15000
 *   cc poll.c -lnanostate
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nanostate.h>

/* Callbacks run inside ns_app_dispatch, in this thread; `state` is valid until they return. */
static void on_state(ns_app *app, const ns_state *state, void *context)
{
    const char *text, *c;
    size_t length;
    (void)app;
    (void)context;
    if (strcmp(ns_state_name(state), "chat") != 0 || ns_state_text(state, &text, &length) != NS_OK)
        return;
    printf("%s: ", ns_state_sender(state));
    for (c = text; c < text + length; c++)
        putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c); /* no terminal escapes from others */
    putchar('\n');
    fflush(stdout);
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

/* Sends the whole lines at the start of `buffer`; returns how many bytes are left in it. */
static size_t send_lines(ns_app *app, char *buffer, size_t length, size_t size)
{
    char *end;
    while ((end = memchr(buffer, '\n', length)) != NULL || length == size) {
        size_t line = end != NULL ? (size_t)(end - buffer) : length;
        size_t taken = end != NULL ? line + 1 : line;
        if (ns_app_send_textn(app, "chat", buffer, line) != NS_OK)
            fprintf(stderr, "(not sent: %s)\n", ns_last_error());
        length -= taken;
        memmove(buffer, buffer + taken, length);
    }
    return length;
}

static int fail(ns_app *app)
{
    fprintf(stderr, "poll: %s\n", ns_last_error());
    ns_app_free(app);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    char buffer[1000];
    size_t length = 0;
    struct pollfd fds[2];
    ns_app *app;

    if (argc < 2) {
        fprintf(stderr, "usage: poll NAME [URL]\n");
        return 2;
    }
    if (ns_app_new(argv[1], &app) != NS_OK || ns_app_on_state(app, on_state, NULL) != NS_OK ||
        ns_app_on_link(app, on_link, NULL) != NS_OK || /* old programs send their text as bytes */
        ns_app_set_accept(app, NS_ACCEPT(NS_KIND_TEXT) | NS_ACCEPT(NS_KIND_BYTES)) != NS_OK ||
        ns_app_connect(app, argc > 2 ? argv[2] : NULL) != NS_OK)
        return fail(app);

    fds[0].fd = STDIN_FILENO;
    fds[1].fd = ns_app_fd(app);
    fds[0].events = fds[1].events = POLLIN;
    while (poll(fds, 2, -1) >= 0) { /* Ctrl-C ends the program, as usual */
        ns_status status = fds[1].revents != 0 ? ns_app_dispatch(app, 0, 0) : NS_OK;
        if (status != NS_OK && status != NS_ERR_TIMEOUT) /* the descriptor may be readable for nothing */
            return fail(app);
        if (fds[0].revents != 0) {
            ssize_t got = read(STDIN_FILENO, buffer + length, sizeof buffer - length);
            if (got <= 0)
                break;
            length = send_lines(app, buffer, length + (size_t)got, sizeof buffer);
        }
    }
    if (ns_app_flush(app, 2000) != NS_OK)
        return fail(app);
    ns_app_free(app);
    return EXIT_SUCCESS;
}
