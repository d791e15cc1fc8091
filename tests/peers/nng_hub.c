/* A plain BUS hub over libnng: nng_hub URL
 * Forwards what it receives to everybody, also back to where it came from; prints every body. */
#include <nng/nng.h>
#include <nng/protocol/bus0/bus.h>

#include "body.h"

int main(int argc, char **argv)
{
    nng_socket s;
    nng_msg *message;
    int error = nng_bus0_open(&s);

    if (argc != 2 || error != 0 || (error = nng_listen(s, argv[1], NULL, 0)) != 0) {
        fprintf(stderr, "nng_hub: %s: %s\n", argc == 2 ? argv[1] : "usage: nng_hub URL", nng_strerror(error));
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    while (nng_recvmsg(s, &message, 0) == 0) {
        print_body(nng_msg_body(message), nng_msg_len(message));
        if (nng_sendmsg(s, message, 0) != 0)
            nng_msg_free(message);
    }
    return 1;
}
