/* Says "one", and waits for the sum that the QML program makes of it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <nanostate.h>

int main(void)
{
    ns_app *app;
    ns_state *state;
    double sum = 0;
    bool ok = ns_app_new("one", &app) == NS_OK && ns_app_connect(app, NULL) == NS_OK &&
              ns_app_send_int(app, "one", 1) == NS_OK;
    while (ok && sum != 3) {
        ok = ns_app_recv(app, -1, &state) == NS_OK;
        if (ok && strcmp(ns_state_name(state), "sum") == 0)
            ok = ns_state_double(state, &sum) == NS_OK;
        ns_state_free(state);
    }
    ok = ok && ns_app_send_bool(app, "one/done", true) == NS_OK && ns_app_flush(app, -1) == NS_OK;
    printf("one: the sum is %g %s\n", sum, ok ? "" : ns_last_error());
    ns_app_free(app);
    return ok ? 0 : 1;
}
