/* Prints every state that comes, of every kind.
 *
 *   subscribe [URL]     URL: the hub, default $NANOSTATE_URL or tcp://127.0.0.1:15000
 *   cc subscribe.c -lnanostate
 */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanostate.h>

static ns_app *app;

/* ns_app_interrupt may be called from a signal handler: the ns_app_recv below returns NS_ERR_INTERRUPTED. */
static void stop(int number)
{
    (void)number;
    ns_app_interrupt(app);
}

/* Text comes from another program: its control characters (of ASCII) must not reach the terminal. */
static void print_text(const char *text, size_t length)
{
    for (; length > 0; text++, length--)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_value(const ns_state *state)
{
    const char *text;
    const void *data;
    size_t length, i;
    bool flag;
    int64_t integer;
    uint64_t natural;
    double number;

    /* Reading a state as another kind than it has fails with NS_ERR_KIND, and never gives a wrong value. */
    switch (ns_state_kind(state)) {
    case NS_KIND_TEXT:
        if (ns_state_text(state, &text, &length) == NS_OK)
            print_text(text, length);
        break;
    case NS_KIND_BYTES:
        if (ns_state_bytes(state, &data, &length) == NS_OK)
            for (i = 0; i < length; i++)
                printf("%02x", ((const unsigned char *)data)[i]);
        break;
    case NS_KIND_BOOL:
        if (ns_state_bool(state, &flag) == NS_OK)
            printf("%s", flag ? "true" : "false");
        break;
    case NS_KIND_INT:
        if (ns_state_int(state, &integer) == NS_OK)
            printf("%" PRId64, integer);
        break;
    case NS_KIND_UINT: /* only those above INT64_MAX */
        if (ns_state_uint(state, &natural) == NS_OK)
            printf("%" PRIu64, natural);
        break;
    case NS_KIND_DOUBLE:
        if (ns_state_double(state, &number) == NS_OK)
            printf("%g", number);
        break;
    default: /* nil, array, map, ext */
        if (ns_state_json(state, &text, &length) == NS_OK)
            print_text(text, length);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action;
    ns_state *state;
    ns_status status = ns_app_new("subscribe", &app);

    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    status = status == NS_OK ? ns_app_connect(app, argc > 1 ? argv[1] : NULL) : status;
    while (status == NS_OK && (status = ns_app_recv(app, -1, &state)) == NS_OK) {
        print_text(ns_state_sender(state), strlen(ns_state_sender(state)));
        putchar(' ');
        print_text(ns_state_name(state), strlen(ns_state_name(state)));
        printf(" = ");
        print_value(state);
        putchar('\n');
        fflush(stdout);
        ns_state_free(state);
    }
    if (status != NS_ERR_INTERRUPTED)
        fprintf(stderr, "subscribe: %s\n", ns_last_error());
    ns_app_free(app);
    return status == NS_ERR_INTERRUPTED ? EXIT_SUCCESS : EXIT_FAILURE;
}
