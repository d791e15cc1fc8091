/* A plain BUS hub over libnanomsg, as the original's: nn_hub URL
 * Forwards what it receives to everybody, also back to where it came from; prints every body. */
#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

#include "body.h"

int main(int argc, char **argv)
{
    int s = nn_socket(AF_SP, NN_BUS);

    if (argc != 2 || s < 0 || nn_bind(s, argv[1]) < 0) {
        fprintf(stderr, "nn_hub: %s: %s\n", argc == 2 ? argv[1] : "usage: nn_hub URL", nn_strerror(nn_errno()));
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        void *message = NULL;
        int n = nn_recv(s, &message, NN_MSG, 0);
        if (n < 0)
            return 1;
        print_body(message, (size_t)n);
        nn_send(s, &message, NN_MSG, 0);
    }
}
