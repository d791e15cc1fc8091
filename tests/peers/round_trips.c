/* Sends and receives in turn, and counts what that costs: the system calls of the whole process that read, write, wait or
 * watch, and how often the app's own thread has slept.
 *
 *     round_trips URL HOW echo            answers for ever
 *     round_trips URL HOW ask MOST TRIES  prints "CALLS SLEEPS" of 1,000 round trips, TRIES times at most: until a thousand
 *                                         cost at most MOST calls
 *
 * HOW: wait, in ns_app_recv; or poll, as an event loop that takes all there is, or pick, as one that takes what it wants. */
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

/* How it waits. */
static enum { WAIT, POLL, PICK } how;

static void wait_readable(ns_app *app)
{
    struct pollfd fd;
    fd.fd = ns_app_fd(app);
    fd.events = POLLIN;
    check(poll(&fd, 1, 60000) == 1, "poll");
}

static void receive(ns_app *app, const char *name)
{
    for (int is_it = 0; !is_it;) {
        ns_state *state;
        ns_status status;
        if (how == PICK)
            wait_readable(app);
        while ((status = ns_app_recv(app, how == WAIT ? 60000 : 0, &state)) == NS_ERR_TIMEOUT && how != WAIT)
            wait_readable(app);
        check(status == NS_OK, "recv");
        is_it = !strcmp(ns_state_name(state), name);
        ns_state_free(state);
    }
}

int main(int count, char **words)
{
    ns_app *app;
    int echoes, tries, n = 0;
    echoes = count > 3 && !strcmp(words[3], "echo");
    check(echoes || count > 5, "usage");
    how = !strcmp(words[2], "poll") ? POLL : !strcmp(words[2], "pick") ? PICK : WAIT;
    check(ns_app_new(words[3], &app) == NS_OK, "new");
    check(ns_app_connect(app, words[1]) == NS_OK && ns_app_wait_connected(app, 60000) == NS_OK, "connect");
    if (echoes)
        for (puts("ready"), fflush(stdout);;) {
            receive(app, "question");
            check(ns_app_send_int(app, "answer", n++) == NS_OK, "send");
        }
    for (tries = atoi(words[5]); tries > 0; tries--) {
        long slept = sleeps(), before = atomic_load(&calls), cost;
        int end = n + 1000;
        for (; n < end; n++) {
            check(ns_app_send_int(app, "question", n) == NS_OK, "send");
            receive(app, "answer");
        }
        cost = atomic_load(&calls) - before;
        printf("%ld %ld\n", cost, sleeps() - slept);
        if (cost <= atol(words[4]))
            break;
    }
    ns_app_free(app);
    return 0;
}
