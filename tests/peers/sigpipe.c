/* A send in the program's own thread to a hub that has just died, while the app's thread is held up in a callback and
 * cannot know yet: sigpipe URL
 * Prints "held" once the first state has come, reads a line, sends, prints "alive". */
#include <nanostate.h>

#include <semaphore.h>
#include <stdio.h>
#include <time.h>

static sem_t go_on;

static void hold(ns_app *app, const ns_state *state, void *ctx)
{
    (void)app, (void)state, (void)ctx;
    printf("held\n");
    fflush(stdout);
    sem_wait(&go_on);
}

int main(int argc, char **argv)
{
    const struct timespec pause = {0, 1000000};
    char line[16];
    ns_app *app;
    int i;

    if (argc != 2 || sem_init(&go_on, 0, 0) != 0 || ns_app_new("sigpipe", &app) != NS_OK
        || ns_app_set(app, NS_OPT_CALLBACK_THREAD, 1) != NS_OK || ns_app_on_state(app, hold, NULL) != NS_OK
        || ns_app_connect(app, argv[1]) != NS_OK || fgets(line, sizeof line, stdin) == NULL) {
        fprintf(stderr, "sigpipe: %s\n", ns_last_error());
        return 1;
    }
    /* Apart in time, so that each is written at once. */
    for (i = 0; i < 20; i++) {
        if (ns_app_send_int(app, "n", i) != NS_OK)
            return 1;
        nanosleep(&pause, NULL);
    }
    printf("alive\n");
    fflush(stdout);
    sem_post(&go_on);
    ns_app_close(app, 0);
    ns_app_free(app);
    return 0;
}
