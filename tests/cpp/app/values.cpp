// What is sent arrives as what it was sent as, and is read as nothing else.
#include "pair.hpp"

#include <array>
#include <cmath>
#include <limits>

using namespace nanostate;
using namespace std::chrono_literals;

namespace {

const char *const kind_names[] = {"",     "text",   "bytes",   "nil",   "bool", "int64",
                                  "uint64", "double", "array", "map", "ext", "cleared"};

// The name of the function that visit chooses.
std::string visited(const State &state)
{
    return state.visit(overloaded{
        [](std::string_view text) { return "text " + std::string(text); },
        [](Bytes bytes) { return "bytes " + std::string(bytes.chars()); },
        [](std::nullptr_t) { return std::string("nil"); },
        [](bool value) { return std::string(value ? "bool true" : "bool false"); },
        [](std::int64_t value) { return "int64 " + std::to_string(value); },
        [](std::uint64_t value) { return "uint64 " + std::to_string(value); },
        [](double value) { return "double " + std::to_string(value); },
        [](Structured value) {
            return (value.kind() == Kind::array ? "array " : "map ") + std::string(value.json());
        },
        [](Ext ext) { return "ext " + std::to_string(ext.type) + " " + std::string(ext.data.chars()); },
    });
}

template <typename T> Status reading(const State &state) { return state.try_as<T>().status(); }

} // namespace

TEST("each C++ type is sent as its own kind")
{
    Pair pair;
    const auto kind = [&](const auto &value) { return pair.passed(value).kind(); };
    EQUAL(Kind::text, kind("literal"));
    EQUAL(Kind::text, kind(static_cast<const char *>("pointer")));
    EQUAL(Kind::text, kind(std::string("string")));
    EQUAL(Kind::text, kind(std::string_view("view")));
    EQUAL(Kind::boolean, kind(true));
    EQUAL(Kind::nil, kind(nullptr));
    EQUAL(Kind::int64, kind(-1));
    EQUAL(Kind::int64, kind(short{3}));
    EQUAL(Kind::int64, kind(static_cast<signed char>(-3)));
    EQUAL(Kind::int64, kind(static_cast<unsigned char>(3)));
    EQUAL(Kind::int64, kind(5u));
    EQUAL(Kind::int64, kind(7LL));
    EQUAL(Kind::uint64, kind(std::numeric_limits<unsigned long long>::max()));
    EQUAL(Kind::float64, kind(0.5));
    EQUAL(Kind::float64, kind(0.5f));
    EQUAL(Kind::bytes, kind(Bytes("abc", 3)));
    EQUAL(Kind::bytes, kind(std::vector<std::byte>(3)));
    EQUAL(Kind::bytes, kind(std::vector<std::uint8_t>(3)));
    EQUAL(Kind::bytes, kind(std::vector<char>{'a'}));
    EQUAL(Kind::bytes, kind(std::array<unsigned char, 2>{1, 2}));
}

TEST("text and bytes of any content and length arrive")
{
    Pair pair;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{127}, std::size_t{128},
                                   std::size_t{70000}}) {
        const std::string text(size, 'x');
        EQUAL(text, pair.passed(text).as<std::string>());
        const std::vector<unsigned char> bytes(size, 0xff);
        CHECK(pair.passed(bytes).as<std::vector<unsigned char>>() == bytes);
    }
    // Names that fit the small buffer, and names that do not.
    for (const std::size_t size : {std::size_t{1}, std::size_t{127}, std::size_t{128}, std::size_t{1024}}) {
        const std::string name(size, 'n');
        pair.a.send(name, 1);
        EQUAL(name, pair.next().name());
    }
    const std::string_view with_nul("a\0b", 3);
    EQUAL(std::string(with_nul), pair.passed(with_nul).as<std::string>());
    EQUAL(0u, pair.passed(Bytes()).as<std::vector<char>>().size());
    EQUAL("", pair.passed(std::string_view()).as<std::string>());
}

TEST("a name need not end with a NUL")
{
    Pair pair;
    const std::string_view names = "first/second";
    pair.a.send(names.substr(0, 5), 1);
    const State state = pair.next();
    EQUAL("first", state.name());
    EQUAL("a", state.sender());
    CHECK(state.matches("f*"));
    CHECK(!state.matches(std::string_view("f*x").substr(0, 1)));
    CHECK(!state.matches(std::string_view("f*\0", 3)));
    CHECK(state.time() > std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50)));
}

TEST("visit calls the function of the kind that was sent")
{
    Pair pair;
    EQUAL("text hello", visited(pair.passed("hello")));
    EQUAL("bytes hello", visited(pair.passed(Bytes("hello", 5))));
    EQUAL("nil", visited(pair.passed(nullptr)));
    EQUAL("bool true", visited(pair.passed(true)));
    EQUAL("bool false", visited(pair.passed(false)));
    EQUAL("int64 -9223372036854775808", visited(pair.passed(std::numeric_limits<std::int64_t>::min())));
    EQUAL("int64 9223372036854775807", visited(pair.passed(9223372036854775807u)));
    EQUAL("uint64 18446744073709551615", visited(pair.passed(std::numeric_limits<std::uint64_t>::max())));
    EQUAL("double 0.500000", visited(pair.passed(0.5)));
    pair.a.send_json("value", "[1,{\"a\":true}]");
    EQUAL("array [1,{\"a\":true}]", visited(pair.next()));
    pair.a.send_json("value", "{\"a\":[]}");
    EQUAL("map {\"a\":[]}", visited(pair.next()));
    pair.a.send_msgpack("value", Bytes("\xd5\x05xy", 4));
    EQUAL("ext 5 xy", visited(pair.next()));
}

TEST("visit returns what the function returns, and works with one function for all kinds")
{
    Pair pair;
    const State state = pair.passed(std::numeric_limits<std::uint64_t>::max());
    int calls = 0;
    visit(state, [&](const auto &) { calls++; });
    EQUAL(1, calls);
    CHECK(&visit(state, [&](const auto &) -> int & { return calls; }) == &calls);
    std::string thrown;
    try {
        visit(state, [](const auto &) { throw std::runtime_error("out of visit"); });
    } catch (const std::runtime_error &error) {
        thrown = error.what();
    }
    EQUAL("out of visit", thrown);
}

TEST("a number is read as any type that holds it exactly, and as no other")
{
    Pair pair;
    const State twenty = pair.passed(20.0);
    EQUAL(20, twenty.as<int>());
    EQUAL(20u, twenty.as<std::uint8_t>());
    EQUAL(20.0, twenty.as<double>());
    EQUAL(20.0f, twenty.as<float>());

    const State large = pair.passed(300);
    EQUAL(300, large.as<short>());
    EQUAL(Status::range, reading<std::uint8_t>(large));
    EQUAL(Status::range, reading<signed char>(large));
    EQUAL(std::string("the number does not fit"), std::string(last_error()).substr(0, 23));

    const State negative = pair.passed(-1);
    EQUAL(-1, negative.as<signed char>());
    EQUAL(Status::range, reading<unsigned>(negative));
    EQUAL(Status::range, reading<std::uint64_t>(negative));

    const State fraction = pair.passed(0.1);
    EQUAL(0.1, fraction.as<double>());
    EQUAL(Status::range, reading<float>(fraction));
    EQUAL(Status::range, reading<int>(fraction));

    const State huge = pair.passed(1e300);
    EQUAL(Status::range, reading<float>(huge));
    EQUAL(Status::range, reading<std::int64_t>(huge));
    CHECK(std::isnan(pair.passed(std::nan("")).as<float>()));
    CHECK(std::isinf(pair.passed(HUGE_VAL).as<float>()));
    EQUAL(Status::range, reading<double>(pair.passed((std::int64_t{1} << 53) + 1)));
    EQUAL(Status::range, reading<std::int64_t>(pair.passed(std::numeric_limits<std::uint64_t>::max())));
    EQUAL(std::numeric_limits<std::uint64_t>::max(),
          pair.passed(std::numeric_limits<std::uint64_t>::max()).as<std::uint64_t>());
}

TEST("a state is read as the kind that was sent, else Status::kind")
{
    Pair pair;
    std::vector<State> states;
    for (const char *json : {"\"text\"", "null", "true", "1", "18446744073709551615", "0.5", "[]", "{}"}) {
        pair.a.send_json("value", json);
        states.push_back(pair.next());
    }
    states.push_back(pair.passed(Bytes("\xff", 1)));
    pair.a.send_msgpack("value", Bytes("\xd4\x05x", 3));
    states.push_back(pair.next());
    for (const State &state : states) {
        const std::string kind = kind_names[static_cast<int>(state.kind())];
        const bool number = kind == "int64" || kind == "uint64" || kind == "double";
        const auto fits = [&](Status status) { return number ? status != Status::kind : status == Status::kind; };
        EQUAL(kind == "bool", ok(reading<bool>(state)));
        EQUAL(kind == "text", ok(reading<std::string_view>(state)));
        EQUAL(kind == "text", ok(reading<std::string>(state)));
        EQUAL(kind == "bytes", ok(reading<Bytes>(state)));
        EQUAL(kind == "bytes", ok(reading<std::vector<std::byte>>(state)));
        EQUAL(kind == "nil", ok(reading<std::nullptr_t>(state)));
        EQUAL(kind == "ext", ok(reading<Ext>(state)));
        EQUAL(kind == "array" || kind == "map", ok(reading<Structured>(state)));
        CHECK(fits(reading<std::int64_t>(state)) && fits(reading<std::uint64_t>(state)));
        CHECK(fits(reading<double>(state)) && fits(reading<int>(state)) && fits(reading<float>(state)));
        if (kind != "bool")
            FAILS(Status::kind, state.as<bool>());
    }
    FAILS(Status::kind, states[1].text());
    FAILS(Status::kind, states[0].bytes());
}

TEST("text that an old program sends as bytes is read as text")
{
    Pair pair;
    const State state = pair.passed(Bytes("gr\xc3\xbc\xc3\x9f", 6));
    EQUAL(Kind::bytes, state.kind());
    EQUAL("grüß", state.text());
    EQUAL("grüß", state.bytes().chars());
}

TEST("json and msgpack read every kind, and pass a state on as it is")
{
    Pair pair;
    for (const char *json : {"\"x\"", "null", "false", "-3", "0.5", "[1,2]", "{\"k\":[null]}"}) {
        pair.a.send_json("value", json);
        const State state = pair.next();
        EQUAL(json, state.json());
        pair.a.send_msgpack("again", state.msgpack());
        const State again = pair.next();
        EQUAL(state.kind(), again.kind());
        EQUAL(state.msgpack(), again.msgpack());
    }
}

TEST("a state is copied, moved and assigned, and outlives its app")
{
    State kept;
    CHECK(!kept);
    {
        Pair pair;
        State state = pair.passed("kept");
        State copy(state);
        CHECK(copy.handle() == state.handle());
        State moved(std::move(copy));
        CHECK(!copy && moved);
        kept = moved;
        State &same = kept;
        kept = same;
        moved = State();
        CHECK(!moved && kept && state);
        copy = std::move(state);
        CHECK(copy && !state);
        State adopted = State::adopt(copy.release());
        CHECK(adopted && !copy);
    }
    EQUAL("kept", kept.text());
    EQUAL("value", kept.name());
}

TEST("what is read of a temporary state is a copy")
{
    Pair pair;
    const auto text = pair.passed("text").text();
    static_assert(std::is_same_v<decltype(text), const std::string>);
    EQUAL("text", text);
    const auto name = pair.passed(1).name();
    static_assert(std::is_same_v<decltype(name), const std::string>);
    EQUAL("value", name);
    EQUAL("a", pair.passed(1).sender());
    EQUAL("2", pair.passed(2).json());
    EQUAL(3, pair.passed(3).as<int>());
}

TEST("an empty state is safe to ask")
{
    const State empty;
    EQUAL("", empty.sender());
    EQUAL("", empty.name());
    EQUAL("", empty.json());
    EQUAL(0u, empty.msgpack().size());
    EQUAL(0, static_cast<int>(empty.kind()));
    CHECK(!empty.matches("**"));
    EQUAL(Status::invalid, reading<int>(empty));
    EQUAL(Status::invalid, reading<std::string>(empty));
    FAILS(Status::invalid, empty.text());
}

TEST("bytes are a view of any container of bytes")
{
    const std::vector<char> chars{'a', 'b'};
    const Bytes bytes = chars;
    EQUAL(2u, bytes.size());
    CHECK(static_cast<const void *>(bytes.data()) == chars.data());
    CHECK(bytes[1] == std::byte{'b'});
    CHECK(bytes == Bytes("ab", 2) && bytes != Bytes("ac", 2) && !bytes.empty());
    CHECK(Bytes().empty() && Bytes() == Bytes("", 0));
    std::size_t sum = 0;
    for (const std::byte byte : bytes)
        sum += static_cast<std::size_t>(byte);
    EQUAL(std::size_t{'a' + 'b'}, sum);
    static_assert(!std::is_constructible_v<Bytes, std::vector<int>>);
    static_assert(!std::is_constructible_v<Bytes, const char *>);
}

TEST("a value that is cleared arrives as a state without one, and is found no more")
{
    Pair pair;
    const State value = pair.passed(7);
    const std::string name(value.name());
    pair.a.clear(name);
    const State cleared = pair.next();
    EQUAL(Kind::cleared, cleared.kind());
    EQUAL(value.sender(), cleared.sender());
    EQUAL(name, cleared.name());
    EQUAL("null", cleared.json());
    EQUAL(Status::kind, reading<std::nullptr_t>(cleared));
    EQUAL(Status::kind, reading<int>(cleared));
    EQUAL(Status::kind, reading<Structured>(cleared));
    EQUAL("nil", visited(cleared));
    EQUAL(1, cleared.visit(overloaded{[](Cleared) { return 1; }, [](const auto &) { return 0; }}));
    EQUAL(Status::not_found, pair.a.try_get(name).status());
    EQUAL(Status::ok, pair.a.try_clear(name));
    EQUAL(Status::name, pair.a.try_clear(""));
    FAILS(Status::name, pair.a.clear(""));
}

TEST("time-outs are rounded up, and only forever is for ever")
{
    EQUAL(0, Timeout(0s).ms());
    EQUAL(0, Timeout(-5s).ms());
    EQUAL(0, Timeout(std::chrono::hours::min()).ms());
    EQUAL(1, Timeout(1ns).ms());
    EQUAL(1500, Timeout(1500ms).ms());
    EQUAL(1501, Timeout(1500001us).ms());
    EQUAL(5000, Timeout(std::chrono::duration<double>(5)).ms());
    EQUAL(3600000, Timeout(1h).ms());
    EQUAL(-1, Timeout(forever).ms());
    EQUAL(-1, Timeout(std::chrono::hours::max()).ms());
    EQUAL(0, Timeout(std::chrono::duration<double>(std::nan(""))).ms());
}

TEST("a time arrives as it was sent, to the nanosecond, and is read where it fits")
{
    using namespace std::chrono;
    using Time = system_clock::time_point;
    Pair pair;
    const Time whole{duration_cast<Time::duration>(milliseconds(1795908033123))};
    for (const Time time : {Time(), whole, whole + nanoseconds(456789), Time(-nanoseconds(1)), Time(-hours(24 * 365 * 100))}) {
        const State state = pair.passed(time);
        EQUAL(Kind::ext, state.kind());
        CHECK(state.as<Time>() == time);
    }
    const State state = pair.passed(whole + nanoseconds(456789));
    EQUAL("\"2026-11-28T23:20:33.123456789Z\"", state.json());
    using Seconds = time_point<system_clock, seconds>;
    CHECK(state.as<Seconds>() == floor<seconds>(whole));
    CHECK(pair.passed(Seconds(seconds(-5))).as<Seconds>() == Seconds(seconds(-5)));
    CHECK(pair.passed(whole).as<Time>() == whole);
    // The year 3000, and the last second that MessagePack has.
    const Seconds far{hours(24) * 376200};
    CHECK(pair.passed(far).as<Seconds>() == far);
    EQUAL(Status::range, pair.passed(far).try_as<Time>().status());
    EQUAL(Status::range, pair.passed(Seconds::max()).try_as<Seconds>().status());
    EQUAL(Status::kind, reading<Time>(pair.passed("2026-11-28T23:20:33Z")));
    EQUAL(Status::kind, reading<Time>(pair.passed(1795908033)));
}

TEST("the hub answers pings, and withdraws what a departed sender left")
{
    Pair pair;
    CHECK(pair.a.ping(patience) > 0ns);
    FAILS(Status::state, App("idle").ping(0s));
    {
        App gone("gone");
        gone.connect(pair.hub.address());
        gone.send("left", 1);
        gone.flush(patience);
    }
    EQUAL("left", pair.next().name());
    Status status = Status::state;
    while (status == Status::state)
        status = pair.a.try_forget("gone", "left", patience);
    EQUAL(Status::ok, status);
    EQUAL(Kind::cleared, pair.next().kind());
    FAILS(Status::not_found, pair.a.forget("gone", "left", patience));
    FAILS(Status::identity, pair.a.forget("", "left", patience));
}
