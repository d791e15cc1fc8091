/* A BUS program over libnanomsg: nn_bus URL IDENTITY
 * Publishes what the lines of standard input say (see body.h), prints every body that comes, ends with its input. */
#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <poll.h>
#include <unistd.h>

#include "body.h"

int main(int argc, char **argv)
{
    static unsigned char body[BODY_MAX];
    static char line[1 << 16];
    size_t fill = 0, size = sizeof(int);
    struct pollfd fds[2];
    int s, fd;

    if (argc != 3) {
        fprintf(stderr, "usage: nn_bus URL IDENTITY\n");
        return 2;
    }
    s = nn_socket(AF_SP, NN_BUS);
    if (s < 0 || nn_connect(s, argv[1]) < 0 || nn_getsockopt(s, NN_SOL_SOCKET, NN_RCVFD, &fd, &size) < 0) {
        fprintf(stderr, "nn_bus: %s: %s\n", argv[1], nn_strerror(nn_errno()));
        return 1;
    }
    fds[0].fd = 0;
    fds[1].fd = fd;
    fds[0].events = fds[1].events = POLLIN;
    while (poll(fds, 2, -1) >= 0) {
        if (fds[1].revents) {
            void *message = NULL;
            int n = nn_recv(s, &message, NN_MSG, NN_DONTWAIT);
            if (n >= 0) {
                print_body(message, (size_t)n);
                nn_freemsg(message);
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
                if (n < 0 || nn_send(s, body, (size_t)n, 0) < 0) {
                    fprintf(stderr, "nn_bus: cannot send: %s\n", line);
                    return 1;
                }
                fill -= (size_t)(end + 1 - line);
                memmove(line, end + 1, fill + 1);
            }
        }
    }
    nn_close(s);
    return 0;
}
