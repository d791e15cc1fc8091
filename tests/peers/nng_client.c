/* A client of gateways over libnng: nng_client sub|push|req|surveyor URL,... IDENTITY
 * Sends what the lines of standard input say (see body.h), prints every message that comes as `message HEX`, and
 * "connected" and "gone" as its connections come and go. Ends with its input. A SUB takes everything; `brief` instead
 * of `sub` prints `name NAME FIRST-WORD` for each text. */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/protocol/survey0/survey.h>
#include <poll.h>
#include <unistd.h>

#include "body.h"

/* A SUB of NNG drops what does not fit its queue, which holds 128 messages unless told otherwise. */
enum { QUEUE = 8192, PATIENCE_MS = 60000 };

static int fail(const char *what, int error)
{
    fprintf(stderr, "nng_client: %s: %s\n", what, nng_strerror(error));
    return 1;
}

/* Runs in a thread of NNG. */
static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *none)
{
    (void)pipe;
    (void)none;
    flockfile(stdout);
    printf(event == NNG_PIPE_EV_ADD_POST ? "connected\n" : "gone\n");
    fflush(stdout);
    funlockfile(stdout);
}

static void print_message(const unsigned char *b, size_t n)
{
    flockfile(stdout);
    printf("message ");
    print_hex(b, n);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
}

/* The name and the first word of a text, of a PUB's message: name, NUL, body. */
static void print_brief(const unsigned char *b, size_t n)
{
    const unsigned char *part, *end = memchr(b, 0, n);
    size_t at = end != NULL ? (size_t)(end - b) + 2 : n, len = 0;
    int i, bin;
    for (i = 0; i < 3; i++) {
        if (!get(b, n, &at, &part, &len, &bin)) {
            fprintf(stderr, "nng_client: not a state\n");
            exit(1);
        }
    }
    end = memchr(part, ' ', len);
    printf("name %s %.*s\n", (const char *)b, end != NULL ? (int)(end - part) : (int)len, (const char *)part);
    fflush(stdout);
}

static int open_socket(const char *pattern, nng_socket *s)
{
    int error;
    if (strcmp(pattern, "push") == 0)
        return nng_push0_open(s);
    if (strcmp(pattern, "req") == 0)
        return nng_req0_open(s);
    if (strcmp(pattern, "surveyor") == 0) {
        /* A survey is over after a second unless told otherwise. */
        error = nng_surveyor0_open(s);
        return error != 0 ? error : nng_socket_set_ms(*s, NNG_OPT_SURVEYOR_SURVEYTIME, PATIENCE_MS);
    }
    if ((error = nng_sub0_open(s)) != 0 || (error = nng_socket_set_int(*s, NNG_OPT_RECVBUF, QUEUE)) != 0)
        return error;
    return nng_socket_set(*s, NNG_OPT_SUB_SUBSCRIBE, "", 0);
}

int main(int argc, char **argv)
{
    static unsigned char body[BODY_MAX];
    static char line[4 * BODY_MAX];
    size_t fill = 0;
    struct pollfd fds[2];
    nng_socket s;
    char *url;
    int error, brief;

    if (argc != 4) {
        fprintf(stderr, "usage: nng_client sub|brief|push|req|surveyor URL,... IDENTITY\n");
        return 2;
    }
    brief = strcmp(argv[1], "brief") == 0;
    fds[0].fd = 0;
    fds[1].fd = -1;
    if ((error = open_socket(argv[1], &s)) != 0 || (error = nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, 0)) != 0
        || (error = nng_pipe_notify(s, NNG_PIPE_EV_ADD_POST, on_pipe, NULL)) != 0
        || (error = nng_pipe_notify(s, NNG_PIPE_EV_REM_POST, on_pipe, NULL)) != 0
        || (strcmp(argv[1], "push") != 0 && (error = nng_socket_get_int(s, NNG_OPT_RECVFD, &fds[1].fd)) != 0))
        return fail(argv[1], error);
    for (url = strtok(argv[2], ","); url != NULL; url = strtok(NULL, ",")) {
        if ((error = nng_dial(s, url, NULL, 0)) != 0)
            return fail(url, error);
    }
    fds[0].events = fds[1].events = POLLIN;
    fds[1].revents = 0;
    while (poll(fds, 2, -1) >= 0) {
        if (fds[1].revents) {
            nng_msg *message;
            if (nng_recvmsg(s, &message, NNG_FLAG_NONBLOCK) == 0) {
                (brief ? print_brief : print_message)(nng_msg_body(message), nng_msg_len(message));
                nng_msg_free(message);
            }
        }
        if (fds[0].revents) {
            ssize_t got = read(0, line + fill, sizeof line - 1 - fill);
            char *end;
            if (got <= 0)
                break;
            line[fill += (size_t)got] = 0;
            while ((end = strchr(line, '\n')) != NULL) {
                long n;
                *end = 0;
                n = parse_command(line, argv[3], body);
                if (n < 0)
                    return fail(line, NNG_EINVAL);
                if ((error = nng_send(s, body, (size_t)n, 0)) != 0)
                    return fail("cannot send", error);
                fill -= (size_t)(end + 1 - line);
                memmove(line, end + 1, fill + 1);
            }
        }
    }
    nng_close(s);
    return 0;
}
