/* Loaded before a program's libraries (LD_PRELOAD): lets its threads nap before and after what they do together, so
 * that they meet in orders that a quiet machine never shows. Which of them, and how long, follows from NAPS_SEED.
 *
 * Most naps are short, some are long, and a quarter of the threads nap more often than the others. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Naps of 10,000 chances, and the longest of the usual ones, in microseconds. */
enum { OFTEN = 200, LONGEST = 3000, SLUGGISH = 4 };

static uint64_t seed;

__attribute__((constructor)) static void begin(void)
{
    const char *given = getenv("NAPS_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : 0;
    /* What a library says just before it aborts is not to be lost. */
    setvbuf(stdout, NULL, _IONBF, 0);
}

/* Of this thread: xorshift, which is never 0 once it is seeded. */
static uint64_t next(int *fresh)
{
    static __thread uint64_t random;
    *fresh = random == 0;
    if (random == 0)
        random = ((seed + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)gettid() * 0xBF58476D1CE4E5B9u) | 1;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
}

static void nap(void)
{
    static __thread int sluggish;
    int fresh, error = errno;
    uint64_t random = next(&fresh), time;
    struct timespec pause;
    if (fresh)
        sluggish = (random >> 32) % 4 == 0;
    if (random % 10000 < OFTEN * (sluggish ? SLUGGISH : 1)) {
        random = next(&fresh);
        time = 1 + random % LONGEST;
        if ((random >> 50) % 4 != 0)
            time /= 20;
        if ((random >> 52) % 64 == 0)
            time *= 10;
        pause.tv_sec = 0;
        pause.tv_nsec = (long)time * 1000;
        nanosleep(&pause, NULL);
    }
    errno = error;
}

/* The function of this name behind ours. */
#define REAL(function)                                                                                                 \
    static __typeof__(function) *real;                                                                                 \
    if (real == NULL)                                                                                                  \
        *(void **)&real = dlsym(RTLD_NEXT, #function)

#define NAPPING(result, function, parameters, arguments)                                                               \
    result function parameters                                                                                         \
    {                                                                                                                  \
        result value;                                                                                                  \
        REAL(function);                                                                                                \
        nap();                                                                                                         \
        value = real arguments;                                                                                        \
        nap();                                                                                                         \
        return value;                                                                                                  \
    }

NAPPING(ssize_t, read, (int fd, void *to, size_t n), (fd, to, n))
NAPPING(ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n))
NAPPING(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
NAPPING(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags))
NAPPING(ssize_t, readv, (int fd, const struct iovec *to, int n), (fd, to, n))
NAPPING(ssize_t, writev, (int fd, const struct iovec *from, int n), (fd, from, n))
NAPPING(ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags))
NAPPING(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), (fd, from, flags))
NAPPING(int, epoll_wait, (int fd, struct epoll_event *events, int n, int time), (fd, events, n, time))
NAPPING(int, epoll_ctl, (int fd, int what, int other, struct epoll_event *event), (fd, what, other, event))
NAPPING(int, poll, (struct pollfd * fds, nfds_t n, int time), (fds, n, time))
NAPPING(int, accept4, (int fd, struct sockaddr *from, socklen_t *n, int flags), (fd, from, n, flags))
NAPPING(int, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
NAPPING(int, close, (int fd), (fd))
NAPPING(int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int value;
    REAL(pthread_mutex_unlock);
    value = real(mutex);
    /* Not before: that would only make the lock busier. */
    nap();
    return value;
}

/* Rust waits and wakes by futex. */
long syscall(long number, ...)
{
    va_list given;
    long a[6], value;
    int i;
    REAL(syscall);
    va_start(given, number);
    for (i = 0; i < 6; i++)
        a[i] = va_arg(given, long);
    va_end(given);
    nap();
    value = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    nap();
    return value;
}

struct start {
    void *(*function)(void *);
    void *argument;
};

static void *start(void *given)
{
    struct start start = *(struct start *)given;
    free(given);
    /* A thread that is late is what most programs do not think of. */
    nap(), nap(), nap(), nap();
    return start.function(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    int value;
    struct start *copy = malloc(sizeof *copy);
    REAL(pthread_create);
    if (copy == NULL)
        return EAGAIN;
    copy->function = function;
    copy->argument = argument;
    value = real(thread, attributes, start, copy);
    if (value != 0)
        free(copy);
    nap();
    return value;
}
