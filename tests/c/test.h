/* The harness of the C tests, and what they share. C99, C11 and C++17. */
#ifndef NANOSTATE_TEST_H
#define NANOSTATE_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nanostate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A test: a sentence, and a function that returns if it is true. */
struct test {
    const char *name;
    void (*run)(void);
};

/* One table for each file, ended by a NULL name. */
extern const struct test app_tests[];
extern const struct test callback_tests[];
extern const struct test counter_tests[];
extern const struct test descriptor_tests[];
extern const struct test error_tests[];
extern const struct test fork_tests[];
extern const struct test free_tests[];
extern const struct test handler_tests[];
extern const struct test hub_tests[];
extern const struct test key_tests[];
extern const struct test link_tests[];
extern const struct test log_tests[];
extern const struct test null_tests[];
extern const struct test poll_tests[];
extern const struct test queue_tests[];
extern const struct test state_tests[];
extern const struct test thread_tests[];
extern const struct test tls_tests[];

/* Ends the program with a message. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 3, 4)))
#endif
void fail(const char *file, int line, const char *format, ...);

void check_status(const char *file, int line, const char *call, ns_status status, ns_status wanted);
void check_text(const char *file, int line, const char *call, const char *text, const char *wanted);
void check_contains(const char *file, int line, const char *call, const char *text, const char *part);
void check_int(const char *file, int line, const char *call, long long value, long long wanted);

/* The condition holds. */
#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, "%s", #condition))
/* The call returns this status. */
#define IS(wanted, call) check_status(__FILE__, __LINE__, #call, (call), (wanted))
#define OK(call) IS(NS_OK, call)
/* The integers are equal. */
#define EQUAL(wanted, value) check_int(__FILE__, __LINE__, #value, (long long)(value), (long long)(wanted))
/* The strings are equal. */
#define SAME(wanted, text) check_text(__FILE__, __LINE__, #text, (text), (wanted))
/* The string has this part. */
#define CONTAINS(part, text) check_contains(__FILE__, __LINE__, #text, (text), (part))

/* Milliseconds that nothing here takes unless something is wrong. */
enum { LONG = 20000 };

/* A hub that listens at `url`. */
ns_hub *hub_at(const char *url);
/* An app that is connected to the first address of `hub`. */
ns_app *app_at(const char *identity, ns_hub *hub);
/* An app that knows nothing yet. */
ns_app *app_new(const char *identity);
/* The counters of an app. */
ns_app_stats_t app_stats(const ns_app *app);
/* The counters of a hub. */
ns_hub_stats_t hub_stats(const ns_hub *hub);
/* The next state, which must come. */
ns_state *next(ns_app *app);
/* The next state, which must have this name. */
ns_state *next_named(ns_app *app, const char *name);
/* A URL of a transport ("tcp", "ipc", "inproc") where nothing listens; in one of four buffers. */
const char *free_url(const char *transport);
/* A free URL of TCP, which no other program gets while no hub of ours listens there. */
const char *lasting_url(void);
/* Runs `body` in a thread. */
struct thread;
struct thread *thread_start(void (*body)(void *), void *argument);
void thread_join(struct thread *thread);
/* Runs `body` in a child, by fork, which must come to its end. */
void in_child(void (*body)(void *), void *argument);
/* Waits until another thread of this process waits in a system call or a lock: it does nothing any more. Its number is
   what `thread_number` told it. */
long thread_number(void);
void until_asleep(long number);
/* Waits until the process has no thread but this one. */
void until_alone(void);

/* A gate between threads: wait_for(&n, 3) returns once it was passed 3 times. */
struct gate;
struct gate *gate_new(void);
void gate_pass(struct gate *gate);
void gate_wait(struct gate *gate, int times);
void gate_free(struct gate *gate);

#ifdef __cplusplus
}
#endif

#endif
