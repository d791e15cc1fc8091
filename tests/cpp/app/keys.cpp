// Names that a program declares once.
#include "pair.hpp"

#include <string>
#include <type_traits>
#include <vector>

using namespace nanostate;
using namespace std::chrono_literals;

TEST("a key sends values of every type that an app sends")
{
    Pair pair;
    Key key = pair.a.key("room/value");
    const auto passed = [&](const auto &value) {
        key.send(value);
        const State state = pair.next();
        EQUAL("room/value", state.name());
        return state;
    };
    EQUAL(true, passed(true).as<bool>());
    EQUAL(-7, passed(-7).as<int>());
    EQUAL(UINT64_MAX, passed(UINT64_MAX).as<std::uint64_t>());
    EQUAL(21.5, passed(21.5).as<double>());
    EQUAL(Kind::nil, passed(nullptr).kind());
    EQUAL("text", passed("text").text());
    EQUAL("", passed(std::string_view()).text());
    EQUAL(std::string("a\0b", 3), passed(std::string("a\0b", 3)).text());
    const std::vector<char> bytes{'b', '\0'};
    CHECK(bytes == passed(bytes).as<std::vector<char>>());
    const auto time = std::chrono::system_clock::time_point(1234567890123456us);
    CHECK(time == passed(time).as<std::chrono::system_clock::time_point>());
}

TEST("a key withdraws its value, moves, and leaves the value when it is destroyed")
{
    Pair pair;
    {
        Key key = pair.a.key("n");
        Key moved = std::move(key);
        moved.send(1);
        EQUAL(1, pair.next().as<int>());
        moved.clear();
        EQUAL(Kind::cleared, pair.next().kind());
        key = pair.a.key("n");
        key.send(2);
        EQUAL(2, pair.next().as<int>());
    }
    EQUAL(2, pair.a.get("n")->as<int>());
    static_assert(!std::is_copy_constructible_v<Key> && std::is_nothrow_move_constructible_v<Key>);
}

TEST("an app leaves, changes and takes back what the hub publishes when it is lost")
{
    Pair pair;
    Key key = pair.a.key("n");
    key.will(false);
    key.will("gone");
    key.will_clear();
    pair.a.flush(1min);
    key.no_will();
    EQUAL(Status::utf8, key.try_will("\xff"));
    FAILS(Status::full, [&] {
        for (int n = 0; n <= 1000; n++)
            pair.a.key(std::to_string(n)).will(nullptr);
    }());
    EQUAL(Status::full, pair.a.key("m").try_will_clear());
    EQUAL(Status::ok, pair.a.key("7").try_no_will());
    EQUAL(Status::ok, pair.a.key("m").try_will(std::chrono::system_clock::now()));
    const Key empty = std::move(key);
    EQUAL(Status::invalid, key.try_no_will());
    FAILS(Status::invalid, key.no_will());
}

TEST("a value of a key with a time to live expires")
{
    Pair pair;
    Key key = pair.a.key("n");
    key.set(option::key_ttl, 20ms);
    key.send(1);
    EQUAL(1, pair.next().as<int>());
    EQUAL(Kind::cleared, pair.next().kind());
    FAILS(Status::invalid, key.set(option::key_ttl, -1ms));
    EQUAL(Status::invalid, key.try_set(NS_OPT_LINGER_MS, 1));
    key.set(NS_OPT_KEY_TTL_MS, 0);
}

TEST("a transient value of a key reaches those who are there, and nobody who comes later")
{
    Pair pair;
    Key key = pair.a.key("n");
    key.set(option::key_transient, true);
    key.send(1);
    EQUAL(1, pair.next().as<int>());
    App late("late");
    late.connect(pair.hub.address());
    late.wait_synced(1min);
    EQUAL(false, late.get("n").has_value());
    EQUAL(Status::invalid, key.try_set(NS_OPT_KEY_TRANSIENT, 2));
}

TEST("a key of no name is refused, and one of an app that is gone says so")
{
    App app("app");
    EQUAL(Status::name, app.try_key("").status());
    EQUAL(Status::name, app.try_key(std::string_view("\0", 1)).status());
    FAILS(Status::name, app.key("$ns/x"));
    std::optional<Key> key;
    {
        App gone("gone");
        key = gone.key("n");
        EQUAL(Status::ok, key->try_send(1));
    }
    EQUAL(Status::closed, key->try_send(2));
    FAILS(Status::closed, key->send(2));
    FAILS(Status::closed, key->clear());
    const Key empty = std::move(*key);
    EQUAL(Status::invalid, key->try_clear());
}
