/* The burst of nng_push over a PUSH of libnanomsg: nn_push URL COUNT NAMES */
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include "body.h"

static int fail(const char *what)
{
    fprintf(stderr, "nn_push: %s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

int main(int argc, char **argv)
{
    long count, names, i;
    int s;

    count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    names = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (count < 1 || names < 1) {
        fprintf(stderr, "usage: nn_push URL COUNT NAMES\n");
        return 2;
    }
    if ((s = nn_socket(AF_SP, NN_PUSH)) < 0 || nn_connect(s, argv[1]) < 0)
        return fail(argv[1]);
    for (i = 0; i < count; i++) {
        unsigned char body[128];
        char name[32], value[32];
        sprintf(name, "n/%ld", i % names);
        sprintf(value, "%ld", i);
        if (nn_send(s, body, make_body(body, "push", name, value, strlen(value), 0), 0) < 0)
            return fail("send");
    }
    printf("sent\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    nn_close(s);
    return 0;
}
