/* What was sent is what is read, and nothing is read as what it is not. */
#include "test.h"

#include <math.h>
#include <string.h>

static ns_hub *hub;
static ns_app *from, *to;

static void set_up(void)
{
    hub = hub_at(free_url("inproc"));
    from = app_at("from \xc3\xa4", hub);
    to = app_at("to", hub);
}

static void tear_down(void)
{
    ns_app_free(from);
    ns_app_free(to);
    ns_hub_free(hub);
}

/* What a state says to every accessor: a letter for each that reads it, R for NS_ERR_RANGE. */
static void check_readers(int line, const ns_state *state, const char *wanted)
{
    char readers[16];
    size_t n = 0, len;
    const char *text;
    const void *data;
    bool truth;
    int64_t integer;
    uint64_t natural;
    double number;
    int8_t type;
    struct {
        ns_status status;
        char letter;
    } results[7];
    size_t i;
    results[0].status = ns_state_text(state, &text, &len);
    results[0].letter = 't';
    if (results[0].status != NS_OK) {
        SAME("", text);
        EQUAL(0, len);
    }
    results[1].status = ns_state_bytes(state, &data, &len);
    results[1].letter = 'b';
    if (results[1].status != NS_OK) {
        CHECK(data == NULL && len == 0);
    }
    results[2].status = ns_state_bool(state, &truth);
    results[2].letter = 'o';
    results[3].status = ns_state_int(state, &integer);
    results[3].letter = 'i';
    if (results[3].status != NS_OK) {
        EQUAL(0, integer);
    }
    results[4].status = ns_state_uint(state, &natural);
    results[4].letter = 'u';
    if (results[4].status != NS_OK) {
        EQUAL(0, natural);
    }
    results[5].status = ns_state_double(state, &number);
    results[5].letter = 'd';
    if (results[5].status != NS_OK) {
        CHECK(number == 0);
    }
    results[6].status = ns_state_ext(state, &type, &data, &len);
    results[6].letter = 'e';
    for (i = 0; i < 7; i++) {
        if (results[i].status == NS_OK) {
            readers[n++] = results[i].letter;
        } else if (results[i].status == NS_ERR_RANGE) {
            readers[n++] = 'R';
        } else {
            check_status(__FILE__, line, "accessor", results[i].status, NS_ERR_KIND);
        }
    }
    readers[n] = 0;
    check_text(__FILE__, line, ns_state_name(state), readers, wanted);
}

/* Receives the state of this name and checks its kind, its readers and its JSON. */
#define ARRIVES(name, kind, readers, json) arrives(__LINE__, name, kind, readers, json)

static ns_state *arrives(int line, const char *name, ns_kind kind, const char *readers, const char *json)
{
    ns_state *state = next(to);
    const char *text;
    size_t len;
    check_text(__FILE__, line, "name", ns_state_name(state), name);
    check_text(__FILE__, line, "sender", ns_state_sender(state), "from \xc3\xa4");
    check_int(__FILE__, line, name, ns_state_kind(state), kind);
    CHECK(ns_state_time(state) > INT64_C(1500000000000));
    check_readers(line, state, readers);
    OK(ns_state_json(state, &text, &len));
    check_text(__FILE__, line, name, text, json);
    EQUAL(strlen(text), len);
    return state;
}

static void texts(void)
{
    ns_state *state;
    const char *text;
    size_t len;
    set_up();
    OK(ns_app_send_text(from, "text", "gr\xc3\xbc\xc3\x9f"));
    state = ARRIVES("text", NS_KIND_TEXT, "t", "\"gr\xc3\xbc\xc3\x9f\"");
    OK(ns_state_text(state, &text, &len));
    SAME("gr\xc3\xbc\xc3\x9f", text);
    EQUAL(6, len);
    ns_state_free(state);

    OK(ns_app_send_text(from, "empty", ""));
    state = ARRIVES("empty", NS_KIND_TEXT, "t", "\"\"");
    OK(ns_state_text(state, &text, &len));
    SAME("", text);
    EQUAL(0, len);
    ns_state_free(state);

    OK(ns_app_send_textn(from, "nul", "a\0b!", 3));
    state = ARRIVES("nul", NS_KIND_TEXT, "t", "\"a\\u0000b\"");
    OK(ns_state_text(state, &text, &len));
    EQUAL(3, len);
    CHECK(memcmp(text, "a\0b\0", 4) == 0);
    ns_state_free(state);

    OK(ns_app_send_textn(from, "none", NULL, 0));
    ns_state_free(ARRIVES("none", NS_KIND_TEXT, "t", "\"\""));
    IS(NS_ERR_UTF8, ns_app_send_text(from, "bad", "\xff"));
    IS(NS_ERR_UTF8, ns_app_send_textn(from, "bad", "ok\xc3", 3));
    CONTAINS("text is not valid UTF-8 at byte 2", ns_last_error());
    tear_down();
}

static void bytes(void)
{
    ns_state *state;
    const char *text;
    const void *data;
    size_t len;
    set_up();
    OK(ns_app_send_bytes(from, "binary", "\0\xff\x80", 3));
    state = ARRIVES("binary", NS_KIND_BYTES, "b", "\"AP+A\"");
    OK(ns_state_bytes(state, &data, &len));
    EQUAL(3, len);
    CHECK(memcmp(data, "\0\xff\x80", 3) == 0);
    IS(NS_ERR_KIND, ns_state_text(state, &text, NULL));
    CONTAINS("binary", ns_last_error());
    ns_state_free(state);

    OK(ns_app_send_bytes(from, "texty", "old text", 8));
    state = ARRIVES("texty", NS_KIND_BYTES, "tb", "\"b2xkIHRleHQ=\"");
    OK(ns_state_text(state, &text, &len));
    SAME("old text", text);
    EQUAL(8, len);
    ns_state_free(state);

    OK(ns_app_send_bytes(from, "nothing", NULL, 0));
    state = ARRIVES("nothing", NS_KIND_BYTES, "tb", "\"\"");
    OK(ns_state_bytes(state, &data, &len));
    CHECK(data != NULL);
    EQUAL(0, len);
    ns_state_free(state);
    tear_down();
}

static void scalars(void)
{
    ns_state *state;
    bool truth = false;
    int64_t integer;
    uint64_t natural;
    double number;
    set_up();
    OK(ns_app_send_nil(from, "nil"));
    ns_state_free(ARRIVES("nil", NS_KIND_NIL, "", "null"));
    OK(ns_app_send_bool(from, "true", true));
    state = ARRIVES("true", NS_KIND_BOOL, "o", "true");
    OK(ns_state_bool(state, &truth));
    CHECK(truth);
    ns_state_free(state);
    OK(ns_app_send_bool(from, "false", false));
    state = ARRIVES("false", NS_KIND_BOOL, "o", "false");
    OK(ns_state_bool(state, &truth));
    CHECK(!truth);
    ns_state_free(state);

    OK(ns_app_send_int(from, "zero", 0));
    ns_state_free(ARRIVES("zero", NS_KIND_INT, "iud", "0"));
    OK(ns_app_send_int(from, "minus", -5));
    state = ARRIVES("minus", NS_KIND_INT, "iRd", "-5");
    OK(ns_state_int(state, &integer));
    EQUAL(-5, integer);
    OK(ns_state_double(state, &number));
    CHECK(number == -5.0);
    IS(NS_ERR_RANGE, ns_state_uint(state, &natural));
    CONTAINS("-5", ns_last_error());
    ns_state_free(state);
    OK(ns_app_send_int(from, "least", INT64_MIN));
    state = ARRIVES("least", NS_KIND_INT, "iRd", "-9223372036854775808");
    OK(ns_state_int(state, &integer));
    CHECK(integer == INT64_MIN);
    ns_state_free(state);
    OK(ns_app_send_int(from, "most", INT64_MAX));
    state = ARRIVES("most", NS_KIND_INT, "iuR", "9223372036854775807");
    OK(ns_state_int(state, &integer));
    CHECK(integer == INT64_MAX);
    ns_state_free(state);

    OK(ns_app_send_uint(from, "small", 7));
    ns_state_free(ARRIVES("small", NS_KIND_INT, "iud", "7"));
    OK(ns_app_send_uint(from, "large", UINT64_MAX));
    state = ARRIVES("large", NS_KIND_UINT, "RuR", "18446744073709551615");
    OK(ns_state_uint(state, &natural));
    CHECK(natural == UINT64_MAX);
    ns_state_free(state);
    OK(ns_app_send_uint(from, "power", UINT64_C(1) << 63));
    ns_state_free(ARRIVES("power", NS_KIND_UINT, "Rud", "9223372036854775808"));

    OK(ns_app_send_double(from, "whole", 20.0));
    state = ARRIVES("whole", NS_KIND_DOUBLE, "iud", "20.0");
    OK(ns_state_int(state, &integer));
    EQUAL(20, integer);
    ns_state_free(state);
    OK(ns_app_send_double(from, "half", 0.5));
    state = ARRIVES("half", NS_KIND_DOUBLE, "RRd", "0.5");
    OK(ns_state_double(state, &number));
    CHECK(number == 0.5);
    ns_state_free(state);
    OK(ns_app_send_double(from, "huge", 1e300));
    ns_state_free(ARRIVES("huge", NS_KIND_DOUBLE, "RRd", "1e300"));
    OK(ns_app_send_double(from, "nan", NAN));
    state = ARRIVES("nan", NS_KIND_DOUBLE, "RRd", "null");
    OK(ns_state_double(state, &number));
    CHECK(isnan(number));
    ns_state_free(state);
    OK(ns_app_send_double(from, "infinite", -INFINITY));
    ns_state_free(ARRIVES("infinite", NS_KIND_DOUBLE, "RRd", "null"));
    tear_down();
}

static void structures(void)
{
    static const char object[] = "{\"b\":[1,2.5,\"x\",null,true],\"a\":{}}";
    ns_state *state;
    const void *data;
    size_t len;
    int8_t type;
    set_up();
    OK(ns_app_send_json(from, "map", object, strlen(object)));
    ns_state_free(ARRIVES("map", NS_KIND_MAP, "", object));
    OK(ns_app_send_json(from, "array", " [ ] ", 5));
    state = ARRIVES("array", NS_KIND_ARRAY, "", "[]");
    OK(ns_state_msgpack(state, &data, &len));
    EQUAL(1, len);
    CHECK(memcmp(data, "\x90", 1) == 0);
    ns_state_free(state);
    OK(ns_app_send_json(from, "number", "12", 2));
    ns_state_free(ARRIVES("number", NS_KIND_INT, "iud", "12"));
    OK(ns_app_send_msgpack(from, "packed", "\x92\x01\xa1x", 4));
    state = ARRIVES("packed", NS_KIND_ARRAY, "", "[1,\"x\"]");
    OK(ns_state_msgpack(state, &data, &len));
    EQUAL(4, len);
    CHECK(memcmp(data, "\x92\x01\xa1x", 4) == 0);
    ns_state_free(state);
    OK(ns_app_send_msgpack(from, "ext", "\xd5\xfb\x01\x02", 4));
    state = ARRIVES("ext", NS_KIND_EXT, "e", "{\"ext\":-5,\"data\":\"AQI=\"}");
    OK(ns_state_ext(state, &type, &data, &len));
    EQUAL(-5, type);
    EQUAL(2, len);
    CHECK(memcmp(data, "\x01\x02", 2) == 0);
    ns_state_free(state);
    tear_down();
}

static void refused_values(void)
{
    char deep[64];
    ns_app *app = app_new("refused");
    IS(NS_ERR_INVALID, ns_app_send_json(app, "json", "[1,", 3));
    CONTAINS("offset", ns_last_error());
    IS(NS_ERR_INVALID, ns_app_send_json(app, "json", "1 2", 3));
    IS(NS_ERR_INVALID, ns_app_send_json(app, "json", NULL, 0));
    IS(NS_ERR_UTF8, ns_app_send_json(app, "json", "\"\xff\"", 3));
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", "\xc1", 1));
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", "\x92\x01", 2));
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", "\x01\x02", 2));
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", NULL, 0));
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", "\xdd\xff\xff\xff\xff", 5));
    memset(deep, '\x91', sizeof deep);
    deep[40] = '\xc0';
    IS(NS_ERR_MSGPACK, ns_app_send_msgpack(app, "msgpack", deep, 41));
    memset(deep, '[', sizeof deep);
    CHECK(ns_app_send_json(app, "json", deep, 40) != NS_OK);
    ns_app_free(app);
}

static void references(void)
{
    ns_state *state, *again;
    const char *text, *sender;
    set_up();
    OK(ns_app_send_text(from, "kept", "still here"));
    state = next_named(to, "kept");
    again = ns_state_ref(state);
    CHECK(again == state);
    OK(ns_state_text(state, &text, NULL));
    sender = ns_state_sender(state);
    ns_state_free(state);
    tear_down();
    SAME("still here", text);
    SAME("from \xc3\xa4", sender);
    SAME("kept", ns_state_name(again));
    ns_state_free(again);
}

static void times(void)
{
    ns_state *first, *second;
    set_up();
    OK(ns_app_send_int(from, "first", 1));
    OK(ns_app_send_int(from, "second", 2));
    first = next_named(to, "first");
    second = next_named(to, "second");
    CHECK(ns_state_time(first) <= ns_state_time(second));
    ns_state_free(first);
    ns_state_free(second);
    tear_down();
}

static void cleared(void)
{
    ns_state *state;
    const char *json;
    const void *value;
    size_t len;
    set_up();
    IS(NS_ERR_NAME, ns_app_clear(from, ""));
    IS(NS_ERR_NAME, ns_app_clear(from, "$ns/x"));
    IS(NS_ERR_UTF8, ns_app_clear(from, "\xff"));
    OK(ns_app_send_int(from, "gone", 7));
    state = next_named(to, "gone");
    EQUAL(NS_KIND_INT, ns_state_kind(state));
    ns_state_free(state);
    OK(ns_app_clear(from, "gone"));
    OK(ns_app_flush(from, LONG));
    IS(NS_ERR_NOT_FOUND, ns_app_get(from, NULL, "gone", &state));
    state = next_named(to, "gone");
    EQUAL(NS_KIND_CLEARED, ns_state_kind(state));
    SAME("cleared", ns_kind_name(NS_KIND_CLEARED));
    SAME(ns_app_identity(from), ns_state_sender(state));
    CHECK(ns_state_time(state) > 0);
    check_readers(__LINE__, state, "");
    OK(ns_state_json(state, &json, &len));
    SAME("null", json);
    OK(ns_state_msgpack(state, &value, &len));
    CHECK(len == 1 && memcmp(value, "\xc0", 1) == 0);
    ns_state_free(state);
    IS(NS_ERR_NOT_FOUND, ns_app_get(to, NULL, "gone", &state));
    CHECK(state == NULL);
    IS(NS_ERR_NOT_FOUND, ns_app_get(to, ns_app_identity(from), "gone", &state));
    /* Once more, and what never was. */
    OK(ns_app_clear(from, "gone"));
    OK(ns_app_clear(from, "never"));
    OK(ns_app_send_int(from, "gone", 8));
    ns_state_free(next_named(to, "gone"));
    ns_state_free(next_named(to, "never"));
    state = next_named(to, "gone");
    EQUAL(NS_KIND_INT, ns_state_kind(state));
    ns_state_free(state);
    tear_down();
}

static void matches(void)
{
    ns_state *state;
    set_up();
    OK(ns_app_send_nil(from, "net/eth0/rx"));
    state = next_named(to, "net/eth0/rx");
    CHECK(ns_state_matches(state, "net/eth0/rx"));
    CHECK(ns_state_matches(state, "net/*/rx"));
    CHECK(ns_state_matches(state, "net/**"));
    CHECK(!ns_state_matches(state, "net/*"));
    CHECK(!ns_state_matches(state, "NET/**"));
    CHECK(!ns_state_matches(state, ""));
    CONTAINS("pattern is empty", ns_last_error());
    CHECK(!ns_state_matches(state, "\xff"));
    CONTAINS("UTF-8", ns_last_error());
    ns_state_free(state);
    tear_down();
}

/* What arrives when this value is sent. */
static ns_state *passed(ns_value value)
{
    OK(ns_app_send(from, "value", value));
    return next_named(to, "value");
}

/* The same value once more, as it was read. */
static void check_again(const ns_state *state)
{
    ns_value value;
    ns_state *again;
    const void *sent, *read;
    size_t sent_len, read_len;
    OK(ns_state_value(state, &value));
    EQUAL(ns_state_kind(state), value.kind);
    again = passed(value);
    OK(ns_state_msgpack(state, &sent, &sent_len));
    OK(ns_state_msgpack(again, &read, &read_len));
    EQUAL(sent_len, read_len);
    CHECK(memcmp(sent, read, sent_len) == 0);
    ns_state_free(again);
}

static void values(void)
{
    static const char with_nul[] = "a\0b";
    ns_value all[13];
    static const struct {
        ns_kind kind;
        const char *json;
    } wanted[13] = {
        {NS_KIND_TEXT, "\"text\""},  {NS_KIND_TEXT, "\"a\\u0000b\""}, {NS_KIND_BYTES, "\"YQBi\""},
        {NS_KIND_NIL, "null"},       {NS_KIND_BOOL, "true"},          {NS_KIND_INT, "-3"},
        {NS_KIND_INT, "3"},          {NS_KIND_UINT, "18446744073709551615"}, {NS_KIND_DOUBLE, "0.5"},
        {NS_KIND_EXT, "{\"ext\":5,\"data\":\"YQBi\"}"}, {NS_KIND_ARRAY, "[1,null]"}, {NS_KIND_MAP, "{\"k\":false}"},
        {NS_KIND_TEXT, "\"\""},
    };
    size_t i;
    all[0] = ns_value_text("text");
    all[1] = ns_value_textn(with_nul, 3);
    all[2] = ns_value_bytes(with_nul, 3);
    all[3] = ns_value_nil();
    all[4] = ns_value_bool(true);
    all[5] = ns_value_int(-3);
    all[6] = ns_value_uint(3);
    all[7] = ns_value_uint(UINT64_MAX);
    all[8] = ns_value_double(0.5);
    all[9] = ns_value_ext(5, with_nul, 3);
    all[10] = ns_value_msgpack("\x92\x01\xc0", 3);
    all[11] = ns_value_msgpack("\x81\xa1k\xc2", 4);
    all[12] = ns_value_textn(NULL, 0);
    set_up();
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *json;
        ns_state *state = passed(all[i]);
        EQUAL(wanted[i].kind, ns_state_kind(state));
        OK(ns_state_json(state, &json, NULL));
        SAME(wanted[i].json, json);
        check_again(state);
        ns_state_free(state);
    }
    tear_down();
}

static void refuses(ns_status status, ns_value value, const char *words)
{
    IS(status, ns_app_send(from, "value", value));
    CONTAINS(words, ns_last_error());
}

static void wrong_values(void)
{
    ns_value value = ns_value_nil();
    ns_state *state;
    set_up();
    value.kind = NS_KIND_CLEARED;
    refuses(NS_ERR_INVALID, value, "ns_app_clear");
    value.kind = 77;
    refuses(NS_ERR_INVALID, value, "value.kind is 77");
    value.kind = -1;
    refuses(NS_ERR_INVALID, value, "value.kind is -1");
    memset(&value, 0, sizeof value);
    refuses(NS_ERR_MSGPACK, value, "");
    refuses(NS_ERR_MSGPACK, ns_value_msgpack("\x01\x02", 2), "");
    value = ns_value_msgpack("\x90", 1);
    value.kind = NS_KIND_MAP;
    refuses(NS_ERR_MSGPACK, value, "value.kind says map, and its MessagePack is array");
    refuses(NS_ERR_UTF8, ns_value_text("\xff"), "value.as.p");
    refuses(NS_ERR_INVALID, ns_value_bytes("x", SIZE_MAX), "length");
    IS(NS_ERR_NAME, ns_app_send(from, "", ns_value_nil()));
    IS(NS_ERR_UTF8, ns_app_send(from, "\xff", ns_value_nil()));
    /* Nothing of that was sent. */
    OK(ns_app_flush(from, LONG));
    IS(NS_ERR_TIMEOUT, ns_app_recv(to, 0, &state));
    tear_down();
}

static void times_as_values(void)
{
    static const int64_t all[] = {0, 1, 999, 1000, 1795908033123, -1, -1000, INT64_C(4294967296000),
                                  INT64_C(17179869184000), INT64_MAX, INT64_MIN};
    static const struct {
        size_t len;
        const char *bytes;
        int64_t ms;
        uint32_t ns;
        ns_status status;
    } forms[] = {
        {4, "\0\0\0\1", 1000, 0, NS_OK},
        {8, "\0\0\0\4\0\0\0\2", 2000, 1, NS_OK},
        {12, "\x3b\x9a\xc9\xff\xff\xff\xff\xff\xff\xff\xff\xff", -1, 999999, NS_OK},
        {12, "\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 0, 0, NS_ERR_RANGE},
        {12, "\x3b\x9a\xca\0\0\0\0\0\0\0\0\0", 0, 0, NS_ERR_KIND}, /* a thousand million nanoseconds */
        {5, "\0\0\0\0\0", 0, 0, NS_ERR_KIND},
    };
    const char *json;
    int64_t ms;
    uint32_t ns;
    ns_state *state;
    size_t i;
    set_up();
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        state = passed(ns_value_time(all[i]));
        EQUAL(NS_KIND_EXT, ns_state_kind(state));
        OK(ns_state_time_value(state, &ms, &ns));
        EQUAL(all[i], ms);
        EQUAL(0, ns);
        OK(ns_state_time_value(state, &ms, NULL));
        check_again(state);
        ns_state_free(state);
    }
    for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        state = passed(ns_value_ext(-1, forms[i].bytes, forms[i].len));
        IS(forms[i].status, ns_state_time_value(state, &ms, &ns));
        EQUAL(forms[i].ms, ms);
        EQUAL(forms[i].ns, ns);
        ns_state_free(state);
    }
    state = passed(ns_value_time(INT64_C(1795908033123)));
    OK(ns_state_json(state, &json, NULL));
    SAME("\"2026-11-28T23:20:33.123Z\"", json);
    IS(NS_ERR_INVALID, ns_state_time_value(state, NULL, &ns));
    IS(NS_ERR_INVALID, ns_state_value(state, NULL));
    ns_state_free(state);
    state = passed(ns_value_time(INT64_MAX));
    OK(ns_state_json(state, &json, NULL));
    CONTAINS("{\"ext\":-1,", json);
    ns_state_free(state);
    state = passed(ns_value_text("2026-11-28T23:20:33Z"));
    IS(NS_ERR_KIND, ns_state_time_value(state, &ms, &ns));
    CONTAINS("is text, not a time", ns_last_error());
    ns_state_free(state);
    tear_down();
}

const struct test state_tests[] = {
    {"text arrives as text, also empty and with NULs in it", texts},
    {"bytes arrive as bytes, and are text only if they are UTF-8", bytes},
    {"numbers, truth and nil arrive as what they are, and are read only where they fit exactly", scalars},
    {"arrays, maps and extensions arrive whole", structures},
    {"what is not one well-formed value is refused when it is sent", refused_values},
    {"a value of every kind is sent as what it says, and read as it was sent", values},
    {"a value that says what no value is is refused, and named", wrong_values},
    {"a time is sent and read in every form that there is, and before 1970 and beyond the years", times_as_values},
    {"a state outlives its app and its hub as long as it is referred to", references},
    {"states tell when they were sent", times},
    {"a value that is cleared arrives as a state without one, and is found no more", cleared},
    {"a state matches the patterns of its name", matches},
    {NULL, NULL},
};
