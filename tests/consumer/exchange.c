/* A hub and two apps in one program: a state goes from one to the other, over TCP. */
#include <stdio.h>
#include <string.h>

#include <nanostate.h>

/* How long anything may take, in milliseconds. */
#define PATIENCE 30000

static int exchange(ns_hub *hub, ns_app *sender, ns_app *receiver)
{
    ns_state *state;
    double value = 0;
    int same;
    if (ns_hub_listen(hub, "tcp://127.0.0.1:0") != NS_OK || ns_app_connect(sender, ns_hub_address(hub, 0)) != NS_OK ||
        ns_app_connect(receiver, ns_hub_address(hub, 0)) != NS_OK ||
        ns_app_send_double(sender, "room/temperature", 21.5) != NS_OK ||
        ns_app_recv(receiver, PATIENCE, &state) != NS_OK)
        return 0;
    printf("%s of %s\n", ns_state_name(state), ns_state_sender(state));
    same = strcmp(ns_state_sender(state), "thermometer") == 0 && strcmp(ns_state_name(state), "room/temperature") == 0 &&
           ns_state_double(state, &value) == NS_OK && value == 21.5;
    ns_state_free(state);
    return same;
}

int main(void)
{
    ns_hub *hub = NULL;
    ns_app *sender = NULL, *receiver = NULL;
    int ok = strcmp(ns_version(), NS_VERSION) == 0 && ns_hub_new(&hub) == NS_OK &&
             ns_app_new("thermometer", &sender) == NS_OK && ns_app_new("display", &receiver) == NS_OK &&
             exchange(hub, sender, receiver);
    if (!ok)
        fprintf(stderr, "failed: %s\n", ns_last_error());
    ns_app_free(sender);
    ns_app_free(receiver);
    ns_hub_free(hub);
    return ok ? 0 : 1;
}
