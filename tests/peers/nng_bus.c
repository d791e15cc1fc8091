/* A BUS program over libnng: nng_bus URL IDENTITY
 * Publishes what the lines of standard input say (see body.h), prints every body that comes, ends with its input. */
#include <nng/nng.h>
#include <nng/protocol/bus0/bus.h>
#include <poll.h>
#include <unistd.h>

#include "body.h"

/* NNG's BUS drops what does not fit its queues, which hold 16 messages unless told otherwise. */
enum { QUEUE = 8192 };

int main(int argc, char **argv)
{
    static unsigned char body[BODY_MAX];
    static char line[1 << 16];
    size_t fill = 0;
    struct pollfd fds[2];
    nng_socket s;
    int fd, error;

    if (argc != 3) {
        fprintf(stderr, "usage: nng_bus URL IDENTITY\n");
        return 2;
    }
    if ((error = nng_bus0_open(&s)) != 0 || (error = nng_socket_set_int(s, NNG_OPT_SENDBUF, QUEUE)) != 0
        || (error = nng_socket_set_int(s, NNG_OPT_RECVBUF, QUEUE)) != 0
        || (error = nng_socket_get_int(s, NNG_OPT_RECVFD, &fd)) != 0
        || (error = nng_dial(s, argv[1], NULL, NNG_FLAG_NONBLOCK)) != 0) {
        fprintf(stderr, "nng_bus: %s: %s\n", argv[1], nng_strerror(error));
        return 1;
    }
    fds[0].fd = 0;
    fds[1].fd = fd;
    fds[0].events = fds[1].events = POLLIN;
    while (poll(fds, 2, -1) >= 0) {
        if (fds[1].revents) {
            nng_msg *message;
            if (nng_recvmsg(s, &message, NNG_FLAG_NONBLOCK) == 0) {
                print_body(nng_msg_body(message), nng_msg_len(message));
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
                n = parse_command(line, argv[2], body);
                if (n < 0 || nng_send(s, body, (size_t)n, 0) != 0) {
                    fprintf(stderr, "nng_bus: cannot send: %s\n", line);
                    return 1;
                }
                fill -= (size_t)(end + 1 - line);
                memmove(line, end + 1, fill + 1);
            }
        }
    }
    nng_close(s);
    return 0;
}
