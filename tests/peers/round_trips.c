/* Sends and receives in turn, and counts what that costs: the system calls of the whole process that read, write, wait or
 * watch, and how often the app's own thread has slept.
 *
 *     round_trips URL echo            answers for ever
 *     round_trips URL ask MOST TRIES  prints "CALLS SLEEPS" of 1,000 round trips, TRIES times at most: until a thousand cost
 *                                     at most MOST calls */
#define _GNU_SOURCE
#include <nanostate.h>

#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;

/* A function of the C library that is counted. */
#define COUNTED(type, name, parameters, arguments)                                                                            \
    type name parameters;                                                                                                     \
    type name parameters                                                                                                      \
    {                                                                                                                         \
        static type(*real) parameters;                                                                                        \
        if (!real)                                                                                                            \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                        \
        atomic_fetch_add(&calls, 1);                                                                                          \
        return real arguments;                                                                                                \
    }

COUNTED(ssize_t, read, (int fd, void *to, size_t n), (fd, to, n))
COUNTED(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
COUNTED(ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags))
COUNTED(ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n))
COUNTED(ssize_t, writev, (int fd, const struct iovec *from, int n), (fd, from, n))
COUNTED(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags))
COUNTED(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), (fd, from, flags))
COUNTED(int, poll, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout))
COUNTED(int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
        (fds, n, timeout, mask))
COUNTED(int, epoll_wait, (int fd, struct epoll_event *events, int n, int timeout), (fd, events, n, timeout))
COUNTED(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event))

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, ns_last_error());
        _exit(1);
    }
}

/* How often threads other than this one have slept. */
static long sleeps(void)
{
    long all = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    check(tasks != NULL, "/proc/self/task");
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[200];
        FILE *file;
        long n;
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        file = fopen(path, "r");
        check(file != NULL, path);
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
                all += n;
        fclose(file);
    }
    closedir(tasks);
    return all;
}

static void receive(ns_app *app, const char *name)
{
    ns_state *state;
    int is_it;
    do {
        check(ns_app_recv(app, 60000, &state) == NS_OK, "recv");
        is_it = !strcmp(ns_state_name(state), name);
        ns_state_free(state);
    } while (!is_it);
}

int main(int count, char **words)
{
    ns_app *app;
    int echoes, tries, n = 0;
    echoes = count > 2 && !strcmp(words[2], "echo");
    check(echoes || count > 4, "usage");
    check(ns_app_new(words[2], &app) == NS_OK, "new");
    check(ns_app_connect(app, words[1]) == NS_OK && ns_app_wait_connected(app, 60000) == NS_OK, "connect");
    if (echoes)
        for (puts("ready"), fflush(stdout);;) {
            receive(app, "question");
            check(ns_app_send_int(app, "answer", n++) == NS_OK, "send");
        }
    for (tries = atoi(words[4]); tries > 0; tries--) {
        long slept = sleeps(), before = atomic_load(&calls), cost;
        int end = n + 1000;
        for (; n < end; n++) {
            check(ns_app_send_int(app, "question", n) == NS_OK, "send");
            receive(app, "answer");
        }
        cost = atomic_load(&calls) - before;
        printf("%ld %ld\n", cost, sleeps() - slept);
        if (cost <= atol(words[3]))
            break;
    }
    ns_app_free(app);
    return 0;
}
