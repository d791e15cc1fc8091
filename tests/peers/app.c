/* An app of ours in C, with the signals as a C program has them: app URL IDENTITY [BACKOFF_MAX_MS [KIND]]
 * Does what the lines of standard input say, prints what comes, ends with its input:
 *   text NAME VALUE | json NAME VALUE | fill NAME COUNT | will NAME [VALUE] | flush | stats
 * (`fill`: text of COUNT times 'x'; KIND: the number of the only kind that it takes). Prints "state SENDER NAME KIND
 * LENGTH VALUE" (a long VALUE cut short), "link N", and behind each command "done" or "error N WORDS". */
#include <nanostate.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_link(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx)
{
    (void)app, (void)ctx;
    printf("link %d %d %s\n", (int)link, (int)why, text);
}

static void print_state(const ns_state *state)
{
    const char *value;
    size_t len;
    if (ns_state_text(state, &value, &len) != NS_OK)
        ns_state_json(state, &value, &len);
    printf("state %s %s %d %lu %.80s\n", ns_state_sender(state), ns_state_name(state), (int)ns_state_kind(state),
           (unsigned long)len, value);
}

static ns_status fill(ns_app *app, const char *name, size_t count)
{
    ns_status status;
    char *text = malloc(count + 1);
    if (text == NULL)
        abort();
    memset(text, 'x', count);
    status = ns_app_send_textn(app, name, text, count);
    free(text);
    return status;
}

/* A text, or without one that the value be withdrawn. */
static ns_status will(ns_app *app, const char *name, const char *text)
{
    ns_value value = text != NULL ? ns_value_text(text) : ns_value_cleared();
    ns_key *key;
    ns_status status = ns_app_key(app, name, &key);
    if (status == NS_OK)
        status = ns_key_will(key, &value);
    ns_key_free(key);
    return status;
}

static void obey(ns_app *app, char *line)
{
    char *command = strtok(line, " "), *name = strtok(NULL, " "), *value = strtok(NULL, "");
    ns_status status = NS_ERR_INVALID;
    if (command == NULL)
        return;
    if (strcmp(command, "text") == 0 && value != NULL) {
        status = ns_app_send_text(app, name, value);
    } else if (strcmp(command, "json") == 0 && value != NULL) {
        status = ns_app_send_json(app, name, value, strlen(value));
    } else if (strcmp(command, "fill") == 0 && value != NULL) {
        status = fill(app, name, strtoul(value, NULL, 10));
    } else if (strcmp(command, "will") == 0 && name != NULL) {
        status = will(app, name, value);
    } else if (strcmp(command, "flush") == 0) {
        status = ns_app_flush(app, 60000);
    } else if (strcmp(command, "stats") == 0) {
        ns_app_stats_t stats;
        status = ns_app_stats(app, &stats, sizeof stats);
        printf("stats received %lu malformed %lu dropped %lu\n", (unsigned long)stats.received,
               (unsigned long)stats.malformed, (unsigned long)stats.dropped_in);
    }
    if (status == NS_OK)
        printf("done\n");
    else
        printf("error %d %s\n", (int)status, ns_last_error());
}

int main(int argc, char **argv)
{
    static char line[1 << 12];
    size_t fill = 0;
    struct pollfd fds[2];
    ns_app *app;

    if (argc < 3) {
        fprintf(stderr, "usage: app URL IDENTITY [BACKOFF_MAX_MS [KIND]]\n");
        return 2;
    }
    if (ns_app_new(argv[2], &app) != NS_OK || ns_app_on_link(app, on_link, NULL) != NS_OK
        || (argc > 3 && ns_app_set(app, NS_OPT_BACKOFF_MAX_MS, atol(argv[3])) != NS_OK)
        || (argc > 4 && ns_app_set_accept(app, NS_ACCEPT(atoi(argv[4]))) != NS_OK)
        || ns_app_connect(app, argv[1]) != NS_OK) {
        fprintf(stderr, "app: %s\n", ns_last_error());
        return 1;
    }
    fds[0].fd = 0;
    fds[1].fd = ns_app_fd(app);
    fds[0].events = fds[1].events = POLLIN;
    while (poll(fds, 2, -1) >= 0) {
        if (fds[1].revents) {
            ns_state *state;
            int budget;
            for (budget = 1000; budget > 0 && ns_app_recv(app, 0, &state) == NS_OK; budget--) {
                print_state(state);
                ns_state_free(state);
            }
        }
        if (fds[0].revents) {
            ssize_t got = read(0, line + fill, sizeof line - 1 - fill);
            char *end;
            if (got <= 0)
                break;
            line[fill += (size_t)got] = 0;
            while ((end = strchr(line, '\n')) != NULL) {
                size_t used = (size_t)(end + 1 - line);
                *end = 0;
                obey(app, line);
                fill -= used;
                memmove(line, line + used, fill + 1);
            }
        }
        fflush(stdout);
    }
    ns_app_free(app);
    printf("end\n");
    return 0;
}
