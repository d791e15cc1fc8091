/* Many REQ clients in one program, over libnng: nng_reqs URL CLIENTS ROUNDS
 * In each round every client publishes a state of its own and then asks for it; all of them ask before the first reads
 * its answer. Prints "round N" after each round. Ends after the last, or with "gone" once no connection is left. */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <unistd.h>

#include "body.h"

enum { CLIENTS_MAX = 1000, PATIENCE_MS = 60000 };

static nng_socket sockets[CLIENTS_MAX];
static atomic_long connections;

static int fail(const char *what, int error)
{
    fprintf(stderr, "nng_reqs: %s: %s\n", what, nng_strerror(error));
    return 1;
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *none)
{
    static const char gone[] = "gone\n";
    (void)pipe;
    (void)none;
    if (event == NNG_PIPE_EV_ADD_POST)
        atomic_fetch_add(&connections, 1);
    else if (atomic_fetch_sub(&connections, 1) == 1)
        /* The other thread waits for an answer that does not come. */
        _exit(write(1, gone, sizeof gone - 1) < 0);
}

/* What client `i` sends in this round: ["get", name], or the state. */
static size_t request(unsigned char *out, long i, long round, int publish)
{
    char identity[32], name[32], value[32];
    size_t n = 0;
    sprintf(identity, "client-%ld", i);
    sprintf(name, "of/%ld", i);
    sprintf(value, "%ld", round);
    if (publish)
        return make_body(out, identity, name, value, strlen(value), 0);
    out[n++] = 0x92;
    n += put(out + n, "get", 3, 0);
    return n + put(out + n, name, strlen(name), 0);
}

/* Everybody asks, everybody is answered. */
static int ask(long clients, long round, int publish)
{
    unsigned char out[128], expected[128];
    size_t size, answer_size;
    void *answer;
    long i;
    int error;

    for (i = 0; i < clients; i++) {
        size = request(out, i, round, publish);
        if ((error = nng_send(sockets[i], out, size, 0)) != 0)
            return fail("send", error);
    }
    for (i = 0; i < clients; i++) {
        size = publish ? put(expected, "ok", 2, 0) : request(expected, i, round, 1);
        if ((error = nng_recv(sockets[i], &answer, &answer_size, NNG_FLAG_ALLOC)) != 0)
            return fail("recv", error);
        if (answer_size != size || memcmp(answer, expected, size) != 0) {
            fprintf(stderr, "nng_reqs: client %ld in round %ld: ", i, round);
            print_body(answer, answer_size);
            return fail("not the answer", NNG_EPROTO);
        }
        nng_free(answer, answer_size);
    }
    return 0;
}

int main(int argc, char **argv)
{
    long clients, rounds, i;
    int error;

    clients = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    rounds = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (clients < 1 || clients > CLIENTS_MAX) {
        fprintf(stderr, "usage: nng_reqs URL CLIENTS ROUNDS\n");
        return 2;
    }
    for (i = 0; i < clients; i++) {
        if ((error = nng_req0_open(&sockets[i])) != 0
            || (error = nng_pipe_notify(sockets[i], NNG_PIPE_EV_ADD_POST, on_pipe, NULL)) != 0
            || (error = nng_pipe_notify(sockets[i], NNG_PIPE_EV_REM_POST, on_pipe, NULL)) != 0
            || (error = nng_socket_set_ms(sockets[i], NNG_OPT_RECVTIMEO, PATIENCE_MS)) != 0
            || (error = nng_dial(sockets[i], argv[1], NULL, 0)) != 0)
            return fail(argv[1], error);
    }
    for (i = 0; i < rounds; i++) {
        if (ask(clients, i, 1) != 0 || ask(clients, i, 0) != 0)
            return 1;
        printf("round %ld\n", i);
        fflush(stdout);
    }
    /* Not as if the hub had gone. */
    _exit(0);
}
