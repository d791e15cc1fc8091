// What fails says why: a status, and words that name the value at fault.
#include "pair.hpp"

#include <thread>

using namespace nanostate;
using namespace std::chrono_literals;

namespace {

std::string words_of(Status status) { return to_string(status); }

} // namespace

TEST("an error has its status and the words of the library")
{
    Status status = Status::ok;
    std::string words;
    try {
        App app(std::string(256, 'x'));
    } catch (const std::runtime_error &error) {
        words = error.what();
        status = dynamic_cast<const Error &>(error).status();
    }
    EQUAL(Status::identity, status);
    EQUAL(words, last_error());
    CHECK(!words.empty());
}

TEST("every status has the number and the text of the C API")
{
    for (int number = NS_ERR_TLS; number <= NS_OK; number++)
        EQUAL(std::string(ns_strerror(number)), words_of(static_cast<Status>(number)));
    EQUAL(static_cast<int>(NS_ERR_IO), static_cast<int>(Status::io));
    EQUAL(static_cast<int>(NS_ERR_INVALID), static_cast<int>(Status::invalid));
    CHECK(ok(Status::ok) && !ok(Status::io));
}

TEST("identities, addresses and names that are not allowed are refused in words")
{
    FAILS(Status::identity, App(""));
    FAILS(Status::utf8, App("\xff"));
    FAILS(Status::identity, App(std::string_view("a\0b", 3)));
    CONTAINS("NUL", last_error());
    EQUAL(Status::identity, App::try_make("").status());

    App app("app");
    FAILS(Status::url, app.connect("nowhere"));
    CONTAINS("nowhere", last_error());
    FAILS(Status::url, app.connect(std::string_view("tcp://127.0.0.1:1\0", 18)));
    FAILS(Status::unsupported, app.connect("pub+tcp://127.0.0.1:1"));
    FAILS(Status::name, app.send("", 1));
    FAILS(Status::name, app.send(std::string(1025, 'n'), 1));
    FAILS(Status::name, app.send("$ns/x", 1));
    FAILS(Status::name, app.send(std::string_view("a\0", 2), 1));
    FAILS(Status::utf8, app.send("\xff", 1));
    FAILS(Status::utf8, app.send("x", "\xff"));
    FAILS(Status::invalid, app.send("x", static_cast<const char *>(nullptr)));
    FAILS(Status::invalid, app.send_json("x", "{"));
    CONTAINS("1", last_error());
    FAILS(Status::msgpack, app.send_msgpack("x", Bytes("\xc1", 1)));
    EQUAL(Status::name, app.try_send("", 1));
    EQUAL(0u, app.stats().sent);
}

TEST("the words of this file do not hide later ones of the library")
{
    App app("app");
    EQUAL(Status::name, app.try_send(std::string_view("a\0", 2), 1));
    CONTAINS("NUL", last_error());
    EQUAL(Status::url, app.try_connect("elsewhere"));
    CONTAINS("elsewhere", last_error());
}

TEST("a call at the wrong time is Status::state")
{
    App app("app");
    FAILS(Status::state, app.wait_connected(0s));
    FAILS(Status::state, app.wait_synced(0s));
    app.send("x", 1);
    FAILS(Status::state, app.flush(0s));
    app.connect("inproc://nobody-listens");
    FAILS(Status::state, app.connect("inproc://nobody-listens"));
    FAILS(Status::state, app.set(option::echo, true));
    FAILS(Status::timeout, app.wait_connected(0s));
    FAILS(Status::timeout, app.wait_synced(0s));
    FAILS(Status::timeout, app.flush(0s));
    app.on_state([](const State &) {});
    FAILS(Status::state, app.recv(0s));

    App threaded("threaded");
    threaded.set(option::callback_thread, true);
    FAILS(Status::state, threaded.fd());
    FAILS(Status::state, threaded.recv(0s));
    FAILS(Status::state, threaded.dispatch(0s));
}

TEST("a closed app says so")
{
    App app("app");
    app.close();
    app.close(0s);
    FAILS(Status::closed, app.send("x", 1));
    FAILS(Status::closed, app.connect());
    FAILS(Status::closed, app.recv());
    FAILS(Status::closed, app.dispatch(forever));
    FAILS(Status::closed, app.fd());
    FAILS(Status::closed, app.disconnect());
    FAILS(Status::closed, app.accept_any());
    FAILS(Status::closed, app.subscribe("x"));
    FAILS(Status::closed, app.unsubscribe("x"));
    FAILS(Status::closed, app.set_subscriptions({"x"}));
    FAILS(Status::closed, app.on_state([](const State &) {}));
    FAILS(Status::closed, app.on_synced([] {}));
    FAILS(Status::closed, app.on_presence([](Presence, std::string_view, const Instance &) {}));
    FAILS(Status::closed, app.on_stale([](std::string_view) {}));
    FAILS(Status::closed, app.wait_synced(0s));
    FAILS(Status::closed, app.each([](const State &) {}));
    CHECK(!app.get("x"));
    EQUAL(Link::idle, app.link());
}

TEST("every function of an app and a hub that were moved from is Status::invalid")
{
    App app("app");
    const App owner(std::move(app));
    CHECK(app.handle() == nullptr && owner.handle() != nullptr);
    EQUAL("", app.identity());
    EQUAL(Link::idle, app.link());
    app.interrupt();
    app.on_exception({});
    for (const Status status :
         {app.try_set(option::linger, 1s), app.try_option(option::linger).status(), app.try_connect(), app.try_connect("inproc://x"),
          app.try_wait_connected(0s), app.try_wait_synced(0s), app.try_flush(0s), app.try_disconnect(),
          app.try_ping(0s).status(), app.try_on("x", {}).status(),
          app.try_on("x", [](const State &) {}).status(), app.try_forget("s", "x", 0s),
          app.try_close(), app.try_close(0s),
          app.try_send("x", 1), app.try_send("x", "text"), app.try_send_json("x", "1"),
          app.try_send_msgpack("x", Bytes("\x01", 1)), app.try_get("x").status(), app.try_get("s", "x").status(),
          app.try_each([](const State &) {}), app.try_recv(0s).status(), app.try_dispatch(0s),
          app.try_fd().status(), app.try_on_state({}), app.try_on_link({}), app.try_on_reject({}), app.try_on_synced({}),
          app.try_on_presence({}), app.try_on_stale({}),
          app.try_on_state([](const State &) {}), app.try_accept(), app.try_accept_any(),
          app.try_subscribe(), app.try_subscribe("x"), app.try_unsubscribe("x"), app.try_set_subscriptions({"x"}),
          app.try_stats().status()})
        EQUAL(Status::invalid, status);
    FAILS(Status::invalid, app.recv(0s));
    FAILS(Status::invalid, app.dispatch(0s));

    Hub hub;
    const Hub hub_owner(std::move(hub));
    EQUAL("", hub.address());
    for (const Status status :
         {hub.try_set(option::hub_echo, true), hub.try_option(option::hub_echo).status(), hub.try_listen("inproc://x"), hub.try_on_peer({}),
          hub.try_stats().status(), hub.try_each_peer([](const PeerStats &) {})})
        EQUAL(Status::invalid, status);
    FAILS(Status::invalid, hub.peers());
}

TEST("a result is a value or a status")
{
    Result<std::string> value(std::string("value"));
    CHECK(value && ok(value.status()));
    EQUAL("value", *value);
    EQUAL(5u, value->size());
    EQUAL("value", std::move(value).value());
    Result<std::string> none(Status::not_found);
    CHECK(!none);
    EQUAL(Status::not_found, none.status());
    EQUAL("other", std::move(none).value_or("other"));
    FAILS(Status::range, Result<int>(Status::range).value());
}

TEST("numbers have names")
{
    EQUAL("NS_ERR_TIMEOUT", std::string(status_name(Status::timeout)));
    EQUAL("unknown", std::string(status_name(static_cast<Status>(7))));
    EQUAL("text", std::string(to_string(Kind::text)));
    EQUAL("connected", std::string(to_string(Link::connected)));
    EQUAL("left", std::string(to_string(PeerEvent::left)));
    EQUAL("lost", std::string(to_string(Presence::lost)));
}

TEST("log lines reach the function, and what it throws goes no further")
{
    static std::atomic<int> lines{0};
    set_log(
        [](LogLevel level, std::string_view text) {
            lines += level <= LogLevel::debug && !text.empty();
            throw std::runtime_error("out of the log");
        },
        LogLevel::debug);
    Pair pair;
    pair.passed("x");
    // They come from a thread of the log.
    while (lines == 0)
        std::this_thread::yield();
    set_log({}, LogLevel::off);
    const int before = lines;
    pair.passed("y");
    EQUAL(before, lines.load());
}

TEST("the version and the features are those of the library")
{
    EQUAL(ns_version(), version());
    EQUAL(ns_version_number(), version_number());
    CHECK(has("tcp") && !has("tc") && !has(std::string_view("tcp\0", 4)));
    CHECK(has(std::string_view("tcpx", 3)));
}
