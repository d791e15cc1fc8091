/* Descriptors: which the library takes, whom it lets in by them, and what happens when something else closes them. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void standard_ones_are_closed(void)
{
    int fd;
    for (fd = 0; fd < 3; fd++) {
        CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
    }
}

static void without_0_to_2(void *argument)
{
    static const char *const transports[] = {"inproc", "ipc", "tcp"};
    size_t i;
    int fd;
    (void)argument;
    for (fd = 0; fd < 3; fd++) {
        close(fd);
    }
    for (i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        ns_hub *hub = hub_at(free_url(transports[i]));
        ns_app *from = app_at("from", hub);
        ns_app *to = app_at("to", hub);
        standard_ones_are_closed();
        CHECK(ns_app_fd(to) > 2);
        OK(ns_app_send_nil(from, "n"));
        ns_state_free(next_named(to, "n"));
        standard_ones_are_closed();
        ns_app_free(from);
        ns_app_free(to);
        ns_hub_free(hub);
    }
}

static void standard_ones_are_left_alone(void)
{
    in_child(without_0_to_2, NULL);
}

#if defined(__linux__)
struct visitor {
    char url[64];
    bool welcome;
};

static void visits_as_another(void *argument)
{
    struct visitor *visitor = (struct visitor *)argument;
    ns_app *app = app_new("visitor");
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    OK(ns_app_connect(app, visitor->url));
    if (visitor->welcome) {
        OK(ns_app_wait_connected(app, LONG));
    } else {
        CHECK(ns_app_wait_connected(app, 500) != NS_OK);
    }
    ns_app_free(app);
}

/* A socket without a file has no mode; who connects is asked for instead. */
static void abstract_sockets_have_users(void)
{
    static const struct {
        int mode;
        bool welcome;
    } modes[] = {{0600, false}, {0660, false}, {0666, true}};
    size_t i;
    for (i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct visitor visitor;
        ns_hub *hub;
        ns_app *own;
        snprintf(visitor.url, sizeof visitor.url, "ipc://@nanostate-%ld-%o", (long)getpid(), (unsigned)modes[i].mode);
        visitor.welcome = modes[i].welcome;
        OK(ns_hub_new(&hub));
        OK(ns_hub_set(hub, NS_OPT_HUB_IPC_MODE, modes[i].mode));
        OK(ns_hub_listen(hub, visitor.url));
        own = app_at("own", hub);
        if (geteuid() == 0) {
            in_child(visits_as_another, &visitor);
        }
        ns_app_free(own);
        ns_hub_free(hub);
    }
}

/* Closes what epoll made: what a program does that closes descriptors it does not know. */
static void close_epolls(void)
{
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    char path[300], target[100];
    CHECK(all != NULL);
    while ((entry = readdir(all)) != NULL) {
        ssize_t len;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        len = readlink(path, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            if (strcmp(target, "anon_inode:[eventpoll]") == 0) {
                close(atoi(entry->d_name));
            }
        }
    }
    closedir(all);
}

static void closes_them(void *argument)
{
    ns_hub *hub = hub_at("ipc://@nanostate-closed");
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    FILE *said = tmpfile();
    (void)argument;
    CHECK(said != NULL);
    CHECK(dup2(fileno(said), 2) == 2);
    close_epolls();
    /* Each loop finds out with its next turn. */
    while (ns_app_send_nil(from, "n") == NS_OK) {
        sched_yield();
    }
    IS(NS_ERR_IO, ns_app_send_nil(from, "n"));
    IS(NS_ERR_IO, ns_app_flush(from, LONG));
    CONTAINS("closed", ns_last_error());
    while (ns_hub_listen(hub, free_url("inproc")) == NS_OK) {
        sched_yield();
    }
    IS(NS_ERR_IO, ns_hub_listen(hub, free_url("inproc")));
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
    CHECK(lseek(fileno(said), 0, SEEK_END) == 0);
    fclose(said);
}

/* All of them, but for the pipe to the parent. */
static void closes_all(void *argument)
{
    ns_hub *hub = hub_at(free_url("ipc"));
    ns_app *from = app_at("from", hub);
    ns_app *to = app_at("to", hub);
    FILE *said = tmpfile();
    struct stat found;
    int fd;
    (void)argument;
    CHECK(said != NULL);
    CHECK(dup2(fileno(said), 2) == 2);
    CHECK(ns_app_fd(to) > 2);
    for (fd = 3; fd < 1024; fd++) {
        if (fd != fileno(said) && fstat(fd, &found) == 0 && !S_ISFIFO(found.st_mode)) {
            close(fd);
        }
    }
    while (ns_app_send_nil(from, "n") == NS_OK) {
        sched_yield();
    }
    IS(NS_ERR_IO, ns_app_send_nil(from, "n"));
    /* No thread can be woken any more, and none is waited for. */
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
    CHECK(lseek(fileno(said), 0, SEEK_END) == 0);
    fclose(said);
}

static void closed_descriptors_are_a_status(void)
{
    in_child(closes_them, NULL);
    in_child(closes_all, NULL);
}
#endif

const struct test descriptor_tests[] = {
    {"the descriptors 0 to 2 are left alone", standard_ones_are_left_alone},
#if defined(__linux__)
    {"an abstract socket lets in whom the mode lets in", abstract_sockets_have_users},
    {"descriptors that something else closed are a status, not a panic", closed_descriptors_are_a_status},
#endif
    {NULL, NULL},
};
