/* A burst over a PUSH of libnng: nng_push URL COUNT NAMES
 * Publishes the numbers below COUNT as texts of the sender "push", under the names n/0 to n/NAMES-1 in turn. Prints
 * "sent", and ends with its input: NNG forgets at its end what it has not written. */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>

#include "body.h"

static int fail(const char *what, int error)
{
    fprintf(stderr, "nng_push: %s: %s\n", what, nng_strerror(error));
    return 1;
}

int main(int argc, char **argv)
{
    nng_socket s;
    long count, names, i;
    int error;

    count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    names = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (count < 1 || names < 1) {
        fprintf(stderr, "usage: nng_push URL COUNT NAMES\n");
        return 2;
    }
    if ((error = nng_push0_open(&s)) != 0 || (error = nng_dial(s, argv[1], NULL, 0)) != 0)
        return fail(argv[1], error);
    for (i = 0; i < count; i++) {
        unsigned char body[128];
        char name[32], value[32];
        sprintf(name, "n/%ld", i % names);
        sprintf(value, "%ld", i);
        if ((error = nng_send(s, body, make_body(body, "push", name, value, strlen(value), 0), 0)) != 0)
            return fail("send", error);
    }
    printf("sent\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    nng_close(s);
    return 0;
}
