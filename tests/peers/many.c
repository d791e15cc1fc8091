/* Many apps in one program: many URL COUNT
 * Each publishes one state and waits for those of all the others, and then for the state "go", which somebody else
 * sends after "all here" was printed. */
#include <nanostate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PATIENCE_MS = 60000 };

static int fail(const char *what)
{
    fprintf(stderr, "many: %s: %s\n", what, ns_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    ns_app **apps;
    long count, i, n;

    if (argc != 3) {
        fprintf(stderr, "usage: many URL COUNT\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    count = strtol(argv[2], NULL, 10);
    apps = calloc((size_t)count, sizeof *apps);
    if (apps == NULL)
        return fail("memory");
    for (i = 0; i < count; i++) {
        char name[32];
        sprintf(name, "app-%ld", i);
        if (ns_app_new(name, &apps[i]) != NS_OK || ns_app_connect(apps[i], argv[1]) != NS_OK
            || ns_app_send_int(apps[i], "here", i) != NS_OK)
            return fail(name);
    }
    for (i = 0; i < count; i++) {
        if (ns_app_wait_connected(apps[i], PATIENCE_MS) != NS_OK)
            return fail("connect");
    }
    for (i = 0; i < count; i++) {
        char *seen = calloc((size_t)count, 1);
        if (seen == NULL)
            return fail("memory");
        for (n = 1; n < count;) {
            ns_state *state;
            int64_t from;
            if (ns_app_recv(apps[i], PATIENCE_MS, &state) != NS_OK) {
                fprintf(stderr, "many: app %ld has %ld of %ld\n", i, n, count);
                return fail("recv");
            }
            if (ns_state_int(state, &from) != NS_OK || from < 0 || from >= count || from == i || seen[from]++)
                return fail(ns_state_name(state));
            n++;
            ns_state_free(state);
        }
        free(seen);
    }
    printf("all here\n");
    fflush(stdout);
    for (i = 0; i < count; i++) {
        ns_state *state;
        if (ns_app_recv(apps[i], PATIENCE_MS, &state) != NS_OK || strcmp(ns_state_name(state), "go") != 0)
            return fail("go");
        ns_state_free(state);
    }
    printf("all went\n");
    for (i = 0; i < count; i++)
        ns_app_free(apps[i]);
    free(apps);
    return 0;
}
