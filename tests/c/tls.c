/* TLS and access tokens: the options that are texts, and states that cross. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What tests/certificates/hub.pem pins. */
#define PIN "aoAfbak1BheaLGlsf78docLD4fGis3EgFfVxatdUVG4="

/* The path of a file of this name, which is good until the next call. */
static const char *fixture(const char *name)
{
    static char path[4096];
    const char *here = __FILE__;
    int directory = (int)(strrchr(here, '/') - here);
    snprintf(path, sizeof path, "%.*s/../certificates/%s", directory, here, name);
    return path;
}

/* A certificate that has issued itself, and its key. */
static const char *certificate(void)
{
    return fixture("hub.pem");
}

/* A hub with TLS; NULL if this build has none. */
static ns_hub *hub_with_tls(void)
{
    ns_hub *hub;
    if (!ns_has("tls")) {
        return NULL;
    }
    OK(ns_hub_new(&hub));
    OK(ns_hub_set_text(hub, NS_OPT_HUB_TLS_CERT, certificate()));
    OK(ns_hub_listen(hub, "tls+tcp://127.0.0.1:0"));
    CONTAINS("tls+tcp://127.0.0.1:", ns_hub_address(hub, 0));
    return hub;
}

static void crosses(void)
{
    ns_hub *hub = getenv("NANOSTATE_TEST_VALGRIND") == NULL ? hub_with_tls() : NULL;
    ns_app *by_ca = app_new("by-ca"), *by_pin = app_new("by-pin");
    ns_state *state;
    const char *text;
    size_t length;
    if (hub != NULL) {
        OK(ns_app_set_text(by_ca, NS_OPT_TLS_CA, certificate()));
        OK(ns_app_set_text(by_pin, NS_OPT_TLS_PIN, PIN));
        OK(ns_app_connect(by_ca, ns_hub_address(hub, 0)));
        OK(ns_app_connect(by_pin, ns_hub_address(hub, 0)));
        OK(ns_app_wait_connected(by_pin, LONG));
        IS(NS_ERR_STATE, ns_app_set_text(by_pin, NS_OPT_TLS_PIN, PIN));
        SAME("NS_OPT_TLS_PIN must be set before connect", ns_last_error());
        OK(ns_hub_reload(hub));
        OK(ns_app_send_text(by_ca, "greeting", "hello"));
        OK(ns_app_recv(by_pin, LONG, &state));
        OK(ns_state_text(state, &text, &length));
        SAME("hello", text);
        ns_state_free(state);
    }
    ns_app_free(by_ca);
    ns_app_free(by_pin);
    ns_hub_free(hub);
}

static void texts_of_apps(void)
{
    ns_app *app = app_new("texts");
    IS(NS_ERR_INVALID, ns_app_set_text(app, NS_OPT_LINGER_MS, "1"));
    SAME("1 is not an option of an app that is a text", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_set_text(app, NS_OPT_HUB_TLS_CERT, "x"));
    IS(NS_ERR_INVALID, ns_app_set(app, NS_OPT_TLS_CA, 1));
    IS(NS_ERR_UTF8, ns_app_set_text(app, NS_OPT_TLS_CA, "\xff"));
    OK(ns_app_set_text(app, NS_OPT_TLS_CA, "/missing/ca.pem"));
    if (ns_has("tls")) {
        IS(NS_ERR_NOT_FOUND, ns_app_connect(app, "tls+tcp://127.0.0.1:1"));
        SAME("not found: /missing/ca.pem", ns_last_error());
        OK(ns_app_set_text(app, NS_OPT_TLS_CA, NULL));
        OK(ns_app_set_text(app, NS_OPT_TLS_PIN, "x"));
        IS(NS_ERR_INVALID, ns_app_connect(app, "tls+tcp://127.0.0.1:1"));
        OK(ns_app_set_text(app, NS_OPT_TLS_PIN, ""));
        IS(NS_ERR_TLS, ns_app_connect(app, "tls+tcp://127.0.0.1:1"));
        CONTAINS("neither NS_OPT_TLS_CA ($NANOSTATE_TLS_CA) nor NS_OPT_TLS_PIN", ns_last_error());
    }
    ns_app_free(app);
}

static void texts_of_hubs(void)
{
    ns_hub *hub;
    OK(ns_hub_new(&hub));
    IS(NS_ERR_INVALID, ns_hub_set_text(hub, NS_OPT_HUB_ECHO, "1"));
    SAME("113 is not an option of a hub that is a text", ns_last_error());
    IS(NS_ERR_UTF8, ns_hub_set_text(hub, NS_OPT_HUB_TLS_KEY, "\xff"));
    IS(NS_ERR_STATE, ns_hub_reload(hub));
    ns_hub_free(hub);
    hub = hub_with_tls();
    if (hub != NULL) {
        OK(ns_hub_set_text(hub, NS_OPT_HUB_TLS_CERT, "/missing/hub.pem"));
        IS(NS_ERR_NOT_FOUND, ns_hub_reload(hub));
        SAME("not found: /missing/hub.pem", ns_last_error());
        OK(ns_hub_set_text(hub, NS_OPT_HUB_TLS_CERT, __FILE__));
        IS(NS_ERR_TLS, ns_hub_reload(hub));
        OK(ns_hub_set_text(hub, NS_OPT_HUB_TLS_CERT, NULL));
        IS(NS_ERR_INVALID, ns_hub_reload(hub));
    }
    ns_hub_free(hub);
}

static void tokens(void)
{
    ns_hub *hub;
    ns_app *robot = app_new("robot"), *panel = app_new("panel"), *other = app_new("other");
    ns_state *state;
    OK(ns_hub_new(&hub));
    OK(ns_hub_set_text(hub, NS_OPT_HUB_TOKEN_FILE, "/missing/tokens"));
    IS(NS_ERR_NOT_FOUND, ns_hub_listen(hub, "tcp://127.0.0.1:0"));
    OK(ns_hub_set_text(hub, NS_OPT_HUB_TOKEN_FILE, __FILE__));
    IS(NS_ERR_INVALID, ns_hub_listen(hub, "tcp://127.0.0.1:0"));
    CONTAINS("tls.c: line 1: expected a name", ns_last_error());
    OK(ns_hub_set_text(hub, NS_OPT_HUB_TOKEN_FILE, fixture("tokens.txt")));
    IS(NS_ERR_INVALID, ns_hub_listen(hub, "tcp://0.0.0.0:0"));
    OK(ns_hub_listen(hub, "tcp://127.0.0.1:0"));
    IS(NS_ERR_STATE, ns_hub_set_text(hub, NS_OPT_HUB_TOKEN_FILE, NULL));
    OK(ns_hub_reload(hub));

    OK(ns_app_connect(other, ns_hub_address(hub, 0)));
    IS(NS_ERR_PERMISSION, ns_app_wait_connected(other, LONG));
    CONTAINS("the hub asks for a token (NS_OPT_TOKEN, $NANOSTATE_TOKEN)", ns_last_error());
    OK(ns_app_set_text(robot, NS_OPT_TOKEN, "the-token-of-the-robot"));
    IS(NS_ERR_INVALID, ns_app_connect(robot, "tcp://192.0.2.1:15000"));
    OK(ns_app_connect(robot, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(robot, LONG));
    OK(ns_app_set_text(panel, NS_OPT_TOKEN, "the-token-of-the-panel"));
    OK(ns_app_connect(panel, ns_hub_address(hub, 0)));
    OK(ns_app_wait_connected(panel, LONG));
    OK(ns_app_send_int(robot, "x", 1));
    OK(ns_app_recv(panel, LONG, &state));
    ns_state_free(state);
    OK(ns_app_send_int(panel, "mine", 1));
    IS(NS_ERR_PERMISSION, ns_app_flush(panel, LONG));
    ns_app_free(robot);
    ns_app_free(panel);
    ns_app_free(other);
    ns_hub_free(hub);
}

const struct test tls_tests[] = {
    {"states cross over TLS, to apps that trust the hub by its certificate or its key", crosses},
    {"the texts of an app are checked when it connects", texts_of_apps},
    {"the texts of a hub are checked when they are read", texts_of_hubs},
    {"a hub lets in who has a token, to read or to publish", tokens},
    {NULL, NULL},
};
