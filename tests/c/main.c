/* Runs the C tests: all, or those whose name has one of the arguments in it. */
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static const char *running = "";
static char directory[64];

void fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "FAILED: %s\n%s:%d: ", running, file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    /* Not exit: threads of the test may still use what exit tears down. */
    _exit(1);
}

void check_status(const char *file, int line, const char *call, ns_status status, ns_status wanted)
{
    if (status != wanted) {
        fail(file, line, "%s is %d (%s; last error: %s), not %d (%s)", call, (int)status, ns_strerror(status),
             ns_last_error(), (int)wanted, ns_strerror(wanted));
    }
}

void check_text(const char *file, int line, const char *call, const char *text, const char *wanted)
{
    if (text == NULL || strcmp(text, wanted) != 0) {
        fail(file, line, "%s is \"%s\", not \"%s\"", call, text != NULL ? text : "(NULL)", wanted);
    }
}

void check_contains(const char *file, int line, const char *call, const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL) {
        fail(file, line, "%s is \"%s\", without \"%s\"", call, text != NULL ? text : "(NULL)", part);
    }
}

void check_int(const char *file, int line, const char *call, long long value, long long wanted)
{
    if (value != wanted) {
        fail(file, line, "%s is %lld, not %lld", call, value, wanted);
    }
}

ns_hub *hub_at(const char *url)
{
    ns_hub *hub;
    OK(ns_hub_new(&hub));
    OK(ns_hub_listen(hub, url));
    return hub;
}

ns_app *app_new(const char *identity)
{
    ns_app *app;
    OK(ns_app_new(identity, &app));
    return app;
}

ns_app *app_at(const char *identity, ns_hub *hub)
{
    ns_app *app = app_new(identity);
    OK(ns_app_connect(app, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(app, LONG));
    return app;
}

ns_hub_stats_t hub_stats(const ns_hub *hub)
{
    ns_hub_stats_t stats;
    OK(ns_hub_stats(hub, &stats, sizeof stats));
    return stats;
}

ns_app_stats_t app_stats(const ns_app *app)
{
    ns_app_stats_t stats;
    OK(ns_app_stats(app, &stats, sizeof stats));
    return stats;
}

ns_state *next(ns_app *app)
{
    ns_state *state;
    OK(ns_app_recv(app, LONG, &state));
    CHECK(state != NULL);
    return state;
}

ns_state *next_named(ns_app *app, const char *name)
{
    ns_state *state = next(app);
    SAME(name, ns_state_name(state));
    return state;
}

const char *free_url(const char *transport)
{
    static char urls[4][128];
    static unsigned count;
    char *url = urls[count % 4];
    count++;
    if (strcmp(transport, "tcp") == 0) {
        return "tcp://127.0.0.1:0";
    }
    if (strcmp(transport, "ipc") == 0) {
        snprintf(url, sizeof urls[0], "ipc://%s/%u", directory, count);
    } else {
        snprintf(url, sizeof urls[0], "inproc://test-%u", count);
    }
    return url;
}

const char *lasting_url(void)
{
    static char url[64];
    static unsigned count;
    for (;;) {
        /* Below those that the system gives to connections, and to who asks for any. */
        unsigned port = 10000 + ((unsigned)getpid() * 97 + count++) % 20000;
        struct sockaddr_in address;
        int fd = socket(AF_INET, SOCK_STREAM, 0), bound;
        CHECK(fd >= 0);
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        address.sin_port = htons((unsigned short)port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
        close(fd);
        if (bound == 0) {
            snprintf(url, sizeof url, "tcp://127.0.0.1:%u", port);
            return url;
        }
    }
}

struct thread {
    pthread_t id;
    void (*body)(void *);
    void *argument;
};

static void *thread_main(void *argument)
{
    struct thread *thread = (struct thread *)argument;
    thread->body(thread->argument);
    return NULL;
}

struct thread *thread_start(void (*body)(void *), void *argument)
{
    struct thread *thread = (struct thread *)malloc(sizeof *thread);
    CHECK(thread != NULL);
    thread->body = body;
    thread->argument = argument;
    CHECK(pthread_create(&thread->id, NULL, thread_main, thread) == 0);
    return thread;
}

void thread_join(struct thread *thread)
{
    CHECK(pthread_join(thread->id, NULL) == 0);
    free(thread);
}

long thread_number(void)
{
    return syscall(SYS_gettid);
}

void until_asleep(long number)
{
    char path[64];
    char line[512];
    int asleep = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", number);
    /* Several looks: a lock on the way to where it waits does not last. */
    while (asleep < 50) {
        FILE *file = fopen(path, "r");
        const char *state = NULL;
        CHECK(file != NULL);
        if (fgets(line, sizeof line, file) != NULL) {
            state = strrchr(line, ')');
        }
        fclose(file);
        CHECK(state != NULL);
        asleep = state[2] == 'S' ? asleep + 1 : 0;
        sched_yield();
    }
}

void until_alone(void)
{
    for (;;) {
        DIR *tasks = opendir("/proc/self/task");
        struct dirent *task;
        int count = 0;
        CHECK(tasks != NULL);
        while ((task = readdir(tasks)) != NULL) {
            count += task->d_name[0] != '.';
        }
        closedir(tasks);
        if (count == 1) {
            return;
        }
        sched_yield();
    }
}

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    int times;
};

struct gate *gate_new(void)
{
    struct gate *gate = (struct gate *)malloc(sizeof *gate);
    CHECK(gate != NULL);
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->passed, NULL);
    gate->times = 0;
    return gate;
}

void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->times++;
    pthread_cond_broadcast(&gate->passed);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_wait(struct gate *gate, int times)
{
    pthread_mutex_lock(&gate->mutex);
    while (gate->times < times) {
        pthread_cond_wait(&gate->passed, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

void gate_free(struct gate *gate)
{
    pthread_mutex_destroy(&gate->mutex);
    pthread_cond_destroy(&gate->passed);
    free(gate);
}

static bool wanted(const char *name, int count, char **words)
{
    int i;
    for (i = 0; i < count; i++) {
        if (strstr(name, words[i]) != NULL) {
            return true;
        }
    }
    return count == 0;
}

static void hangs(int signal)
{
    static const char text[] = "FAILED: it hangs: ";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    written += write(STDERR_FILENO, running, strlen(running));
    (void)signal;
    (void)written;
    abort();
}

int main(int count, char **words)
{
    static const struct test *const files[] = {
        error_tests,    null_tests,    state_tests,  key_tests, app_tests, link_tests, queue_tests, poll_tests,
        callback_tests, handler_tests, thread_tests, tls_tests, hub_tests, log_tests,  fork_tests,  free_tests,
        descriptor_tests, counter_tests,
    };
    const char *place = getenv("TMPDIR");
    size_t i;
    int ran = 0;
    snprintf(directory, sizeof directory, "%s/nsXXXXXX", place != NULL && strlen(place) < 40 ? place : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    /* A program that writes to a broken connection must not be ended by it: the default disposition stays. */
    CHECK(signal(SIGALRM, hangs) != SIG_ERR);
    for (i = 0; i < sizeof files / sizeof files[0]; i++) {
        const struct test *test;
        for (test = files[i]; test->name != NULL; test++) {
            if (!wanted(test->name, count - 1, words + 1)) {
                continue;
            }
            running = test->name;
            alarm(60);
            test->run();
            ran++;
            printf("ok %d %s\n", ran, test->name);
            fflush(stdout);
        }
    }
    alarm(0);
    /* Sockets go with their hubs; what stays is a lock file each. */
    {
        DIR *left = opendir(directory);
        struct dirent *entry;
        char path[400];
        CHECK(left != NULL);
        while ((entry = readdir(left)) != NULL) {
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
            unlink(path);
        }
        closedir(left);
        CHECK(rmdir(directory) == 0);
    }
    if (ran == 0) {
        fprintf(stderr, "no such test\n");
        return 1;
    }
    return 0;
}
