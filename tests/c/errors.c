/* Statuses, error texts, versions. */
#include <resolv.h> /* It defines ns_ names of its own: the header must stand beside it. */

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void texts(void)
{
    int status;
    SAME("success", ns_strerror(NS_OK));
    SAME("timed out", ns_strerror(NS_ERR_TIMEOUT));
    SAME("input/output error", ns_strerror(NS_ERR_IO));
    for (status = NS_ERR_TLS; status <= NS_OK; status++) {
        int other;
        CHECK(strcmp(ns_strerror(status), "unknown status") != 0);
        for (other = NS_ERR_TLS; other < status; other++) {
            CHECK(strcmp(ns_strerror(status), ns_strerror(other)) != 0);
        }
    }
    SAME("unknown status", ns_strerror(1));
    SAME("unknown status", ns_strerror(NS_ERR_TLS - 1));
    SAME("unknown status", ns_strerror(INT32_MIN));
    CHECK(ns_strerror(NS_ERR_IO) == ns_strerror(NS_ERR_IO));
}

static void numbers(void)
{
    EQUAL(0, NS_OK);
    EQUAL(-1, NS_ERR_INVALID);
    EQUAL(-2, NS_ERR_NO_MEMORY);
    EQUAL(-3, NS_ERR_INTERNAL);
    EQUAL(-4, NS_ERR_STATE);
    EQUAL(-5, NS_ERR_TIMEOUT);
    EQUAL(-6, NS_ERR_CLOSED);
    EQUAL(-7, NS_ERR_INTERRUPTED);
    EQUAL(-8, NS_ERR_UNSUPPORTED);
    EQUAL(-9, NS_ERR_URL);
    EQUAL(-10, NS_ERR_NAME);
    EQUAL(-11, NS_ERR_IDENTITY);
    EQUAL(-12, NS_ERR_UTF8);
    EQUAL(-13, NS_ERR_MSGPACK);
    EQUAL(-14, NS_ERR_KIND);
    EQUAL(-15, NS_ERR_RANGE);
    EQUAL(-16, NS_ERR_TOO_LARGE);
    EQUAL(-17, NS_ERR_FULL);
    EQUAL(-18, NS_ERR_IN_USE);
    EQUAL(-19, NS_ERR_REFUSED);
    EQUAL(-20, NS_ERR_RESOLVE);
    EQUAL(-21, NS_ERR_PERMISSION);
    EQUAL(-22, NS_ERR_IDENTITY_TAKEN);
    EQUAL(-23, NS_ERR_NOT_FOUND);
    EQUAL(-24, NS_ERR_NO_HANDLER);
    EQUAL(-25, NS_ERR_IO);
    EQUAL(-26, NS_ERR_TLS);
}

static void names(void)
{
    static const char *const kinds[] = {"unknown", "text",   "bytes", "nil", "bool", "int",
                                        "uint",    "double", "array", "map", "ext",  "cleared",
                                        "unknown"};
    static const char *const links[] = {"idle", "connecting", "connected", "refused", "unknown"};
    int i;
    SAME("NS_OK", ns_status_name(NS_OK));
    SAME("NS_ERR_INVALID", ns_status_name(NS_ERR_INVALID));
    SAME("NS_ERR_IDENTITY_TAKEN", ns_status_name(NS_ERR_IDENTITY_TAKEN));
    SAME("NS_ERR_IO", ns_status_name(NS_ERR_IO));
    for (i = 0; i < 13; i++) {
        SAME(kinds[i], ns_kind_name(i));
    }
    for (i = 0; i < 5; i++) {
        SAME(links[i], ns_link_name(i));
    }
    SAME("joined", ns_peer_event_name(NS_PEER_JOINED));
    SAME("left", ns_peer_event_name(NS_PEER_LEFT));
    SAME("refused", ns_peer_event_name(NS_PEER_REFUSED));
    SAME("empty", ns_malformed_name(NS_MALFORMED_EMPTY));
    SAME("not-array", ns_malformed_name(NS_MALFORMED_NOT_ARRAY));
    SAME("control", ns_malformed_name(NS_MALFORMED_CONTROL));
    for (i = -1; i >= INT32_MIN / 2; i *= 2) {
        SAME("unknown", ns_kind_name(i));
        SAME("unknown", ns_link_name(i));
        SAME("unknown", ns_peer_event_name(i));
        SAME("unknown", ns_malformed_name(i));
        SAME("unknown", ns_status_name(-i));
    }
    SAME("unknown", ns_status_name(INT32_MIN));
    SAME("unknown", ns_kind_name(INT32_MAX));
}

static void fails_elsewhere(void *unused)
{
    (void)unused;
    SAME("", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_set(NULL, NS_OPT_ECHO, 1));
    SAME("app is NULL", ns_last_error());
}

static void last_error(void)
{
    ns_app *app = app_new("last-error");
    IS(NS_ERR_NAME, ns_app_send_nil(app, "$ns/hello"));
    CONTAINS("$ns/hello", ns_last_error());
    thread_join(thread_start(fails_elsewhere, NULL));
    CONTAINS("$ns/hello", ns_last_error());
    OK(ns_app_send_nil(app, "fine"));
    CONTAINS("$ns/hello", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_set(app, 4711, 1));
    CONTAINS("4711", ns_last_error());
    IS(NS_ERR_UTF8, ns_app_send_nil(app, "temp\xe9rature"));
    CONTAINS("name is not valid UTF-8 at byte 4 (0xe9), after \"temp\"", ns_last_error());
    ns_app_free(app);
}

/* The text of a failure is printed beside a call that fails: printf("%d %s", ns_app_fd(app), ns_last_error()). */
static void texts_stay(void)
{
    ns_app *app = app_new("texts-stay");
    const char *texts[17];
    char line[256];
    int i;
    IS(NS_ERR_NAME, ns_app_send_nil(app, "$ns/a rather long name, so that its text is memory of its own"));
    texts[0] = ns_last_error();
    for (i = 1; i < 17; i++) {
        IS(NS_ERR_INVALID, ns_app_set(app, 4710 + i, 1));
        texts[i] = ns_last_error();
    }
    CONTAINS("$ns/a rather long name", texts[0]);
    for (i = 1; i < 17; i++) {
        snprintf(line, sizeof line, "%d is not an option of an app", 4710 + i);
        SAME(line, texts[i]);
    }
    /* Both orders of evaluation. */
    snprintf(line, sizeof line, "%d %s", ns_app_fd(NULL), ns_last_error());
    CHECK(strcmp(line, "-1 app is NULL") == 0 || strcmp(line, "-1 4726 is not an option of an app") == 0);
    ns_app_free(app);
}

static void versions(void)
{
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", NS_VERSION_MAJOR, NS_VERSION_MINOR, NS_VERSION_PATCH);
    SAME(text, NS_VERSION);
    SAME(NS_VERSION, ns_version());
    EQUAL(NS_VERSION_NUMBER, ns_version_number());
    EQUAL(NS_VERSION_MAJOR * 65536 + NS_VERSION_MINOR * 256 + NS_VERSION_PATCH, ns_version_number());
}

static void features(void)
{
    CHECK(ns_has("tcp"));
    CHECK(ns_has("ipc"));
    CHECK(ns_has("inproc"));
    CHECK(ns_has("ws"));
    CHECK(ns_has("gateway"));
    CHECK(!ns_has(""));
    CHECK(!ns_has("TCP"));
    CHECK(!ns_has("tc"));
    CHECK(!ns_has("\xff"));
}

static void accept_masks(void)
{
    ns_kind kind;
    uint32_t all = 0;
    for (kind = NS_KIND_TEXT; kind <= NS_KIND_EXT; kind++) {
        CHECK((all & NS_ACCEPT(kind)) == 0);
        all |= NS_ACCEPT(kind);
    }
    CHECK((all & NS_ACCEPT_ANY) == all);
    EQUAL(UINT32_MAX, NS_ACCEPT_ANY);
}

const struct test error_tests[] = {
    {"every status has a text of its own, and unknown numbers have one too", texts},
    {"kinds, links, statuses and peer events have names, and unknown numbers have one too", names},
    {"the numbers of the statuses are those of the contract", numbers},
    {"the last error is this thread's, names the value at fault, and survives success", last_error},
    {"the text of a failure outlives the next 16 failures of its thread", texts_stay},
    {"the header's version is the library's", versions},
    {"a build says which features it has", features},
    {"every kind has a bit of its own in the accept mask", accept_masks},
    {NULL, NULL},
};
