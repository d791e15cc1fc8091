// Callbacks: where they run, how they are replaced, and where their exceptions go.
#include "pair.hpp"

#include <algorithm>
#include <thread>

using namespace nanostate;
using namespace std::chrono_literals;

namespace {

struct Thrown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What the call throws; "" for nothing.
template <typename F> std::string thrown_by(F &&call)
{
    try {
        call();
    } catch (const Thrown &thrown) {
        return thrown.what();
    }
    return "";
}

std::string words_of(const std::exception_ptr &exception)
{
    return thrown_by([&] { std::rethrow_exception(exception); });
}

} // namespace

TEST("states, changes of the link and rejected states reach their functions in dispatch")
{
    Hub hub("tcp://127.0.0.1:0");
    App a("a"), b("b");
    std::vector<std::string> said;
    b.on_state([&](const State &state) { said.push_back("state " + std::string(state.name())); });
    b.on_link([&](Link link, Status why, std::string_view) {
        said.push_back("link " + std::to_string(static_cast<int>(link)) + (ok(why) ? "" : " trouble"));
    });
    b.on_reject([&](std::string_view sender, std::string_view name, Kind kind) {
        said.push_back("reject " + std::string(sender) + " " + std::string(name));
        EQUAL(Kind::int64, kind);
    });
    b.accept(Kind::text, Kind::bytes);
    b.connect(hub.address());
    a.connect(hub.address());
    a.send("number", 1);
    a.send("words", "text");
    while (said.empty() || said.back() != "state words")
        CHECK(b.dispatch(patience));
    const auto has_said = [&](const char *line) {
        return std::find(said.begin(), said.end(), line) != said.end();
    };
    CHECK(has_said("link 1") && has_said("link 2") && has_said("reject a number"));
    EQUAL(1u, b.stats().rejected);
    CHECK(!b.dispatch(0s));
    EQUAL(Status::timeout, b.try_dispatch(0s));
    b.on_state({});
    a.send("words", "more");
    EQUAL("more", b.recv(patience)->text());
}

TEST("a late app learns when it has what the hub held, and which states that were")
{
    Hub hub("tcp://127.0.0.1:0");
    App a("a"), late("late");
    a.connect(hub.address());
    a.send("x", 1);
    a.send("y", 2);
    a.flush(patience);
    std::vector<std::string> said;
    late.on_state([&](const State &state) {
        said.push_back(std::string(state.name()) + (state.retained() ? " retained" : " new"));
    });
    late.on_synced([&] { said.push_back("synced"); });
    FAILS(Status::state, late.wait_synced(0s));
    late.connect(hub.address());
    late.wait_synced(patience);
    // It knows them, and its functions have not heard of them.
    CHECK(said.empty());
    CHECK(late.get("x")->retained());
    EQUAL(2, late.get("y")->as<int>());
    a.send("z", 3);
    while (said.size() < 4)
        CHECK(late.dispatch(patience));
    std::sort(said.begin(), said.begin() + 2);
    EQUAL("x retained", said[0]);
    EQUAL("y retained", said[1]);
    EQUAL("synced", said[2]);
    EQUAL("z new", said[3]);

    // More is asked for.
    late.accept(Kind::text);
    late.accept_any();
    EQUAL(Status::ok, late.try_wait_synced(patience));
    while (said.back() != "synced")
        CHECK(late.dispatch(patience));
    // A new function hears at once of what is so already.
    said.clear();
    late.on_synced([&] { said.push_back("synced again"); });
    CHECK(late.dispatch(patience));
    EQUAL("synced again", said.back());
}

TEST("a value is stale when its app is gone, and the function hears of its sender")
{
    Hub hub;
    hub.listen("inproc://cpp-stale");
    App watcher("watcher");
    App b("b");
    std::string said;
    watcher.on_stale([&](std::string_view sender) { said = sender; });
    b.connect(hub.address());
    b.wait_connected(patience);
    watcher.connect(hub.address());
    b.send("x", 1);
    const State state = *watcher.recv(patience);
    while (said != "b")
        CHECK(watcher.dispatch(patience));
    CHECK(!watcher.is_stale(state));
    said.clear();
    b.close();
    while (said != "b")
        CHECK(watcher.dispatch(patience));
    CHECK(watcher.is_stale(state));
    CHECK(!watcher.is_stale(State()));
}

TEST("an app is told which others are there, and who comes and leaves")
{
    Hub hub;
    hub.listen("inproc://cpp-presence");
    App watcher("watcher");
    std::vector<std::string> said;
    Instance last{};
    watcher.on_presence([&](Presence event, std::string_view identity, const Instance &instance) {
        said.push_back(std::string(identity) + " " + to_string(event));
        last = instance;
    });
    FAILS(Status::state, watcher.each_peer([](std::string_view, const Instance &, bool) {}, 0s));
    App a("a");
    a.connect(hub.address());
    a.wait_connected(patience);
    watcher.connect(hub.address());
    while (said.empty())
        CHECK(watcher.dispatch(patience));
    EQUAL("a here", said.back());
    int shown = 0;
    watcher.each_peer(
        [&](std::string_view identity, const Instance &instance, bool suspect) {
            shown++;
            CHECK(identity == "a" && instance == last && !suspect);
        },
        patience);
    EQUAL(1, shown);
    a.close();
    while (said.size() < 2)
        CHECK(watcher.dispatch(patience));
    EQUAL("a left", said.back());
    watcher.on_presence([&](Presence, std::string_view, const Instance &) { throw std::runtime_error("presence"); });
    App b("b");
    b.connect(hub.address());
    bool thrown = false;
    while (!thrown) {
        try {
            CHECK(watcher.dispatch(patience));
        } catch (const std::runtime_error &error) {
            EQUAL("presence", std::string(error.what()));
            thrown = true;
        }
    }
}

TEST("dispatch runs at most as many callbacks as it is told")
{
    Pair pair;
    int ran = 0;
    pair.b.on_state([&](const State &) { ran++; });
    for (int i = 0; i < 5; i++)
        pair.a.send("n" + std::to_string(i), i);
    while (pair.b.stats().queued < 5)
        std::this_thread::yield();
    CHECK(pair.b.dispatch(patience, 2));
    EQUAL(2, ran);
    CHECK(pair.b.dispatch(0s));
    EQUAL(5, ran);
}

TEST("an exception of a callback comes out of dispatch, and the other states stay")
{
    Pair pair;
    std::vector<std::string> names;
    pair.b.on_state([&](const State &state) {
        names.emplace_back(state.name());
        if (state.name() == "1")
            throw Thrown("at 1");
    });
    for (int i = 0; i < 4; i++)
        pair.a.send(std::to_string(i), i);
    while (pair.b.stats().queued < 4)
        std::this_thread::yield();
    EQUAL("at 1", thrown_by([&] { pair.b.dispatch(patience); }));
    EQUAL(2u, names.size());
    EQUAL("", thrown_by([&] { pair.b.dispatch(patience); }));
    EQUAL(4u, names.size());
}

TEST("an exception of a link, reject or synced function comes out of recv, which waits no longer")
{
    Pair pair;
    pair.b.on_reject([](std::string_view, std::string_view, Kind) { throw Thrown("reject"); });
    pair.b.accept(Kind::text);
    pair.a.send("x", 1);
    EQUAL("reject", thrown_by([&] { pair.b.recv(); }));
    pair.b.on_reject({});
    pair.b.on_link([](Link, Status, std::string_view) { throw Thrown("link"); });
    pair.b.disconnect();
    EQUAL("link", thrown_by([&] { pair.b.recv(); }));
    pair.b.on_link({});
    pair.b.on_synced([] { throw Thrown("synced"); });
    pair.b.connect(pair.hub.address());
    EQUAL("synced", thrown_by([&] { pair.b.recv(); }));
    pair.b.on_synced({});
    pair.a.send("y", "text");
    // No interruption is left behind.
    EQUAL("text", pair.next().text());
}

TEST("an exception passes through several apps whose callbacks dispatch each other")
{
    Pair outer, inner;
    inner.b.on_state([](const State &) { throw Thrown("inner"); });
    outer.b.on_state([&](const State &) { inner.b.dispatch(patience); });
    inner.a.send("x", 1);
    outer.a.send("x", 1);
    EQUAL("inner", thrown_by([&] { outer.b.dispatch(patience); }));
}

TEST("an exception on the app's own thread goes to on_exception")
{
    Hub hub("tcp://127.0.0.1:0");
    App a("a"), b("b");
    Told<std::exception_ptr> exception;
    b.set(option::callback_thread, true);
    b.on_exception([&](std::exception_ptr thrown) { exception.tell(thrown); });
    b.on_state([](const State &state) { throw Thrown(std::string(state.name())); });
    b.connect(hub.address());
    a.connect(hub.address());
    for (const char *name : {"first", "second"}) {
        a.send(name, 1);
        EQUAL(name, words_of(exception.wait()));
    }
}

TEST("an exception in a try_ form or on the hub's thread goes to on_exception")
{
    Pair pair;
    std::string said;
    pair.b.on_exception([&](const std::exception_ptr &thrown) { said = words_of(thrown); });
    pair.b.on_state([](const State &) { throw Thrown("in try_dispatch"); });
    pair.a.send("x", 1);
    EQUAL(Status::ok, pair.b.try_dispatch(patience));
    EQUAL("in try_dispatch", said);

    // A try_ form in a callback does not let the exception out of the dispatch around it.
    Pair outer;
    outer.b.on_state([&](const State &) { EQUAL(Status::ok, pair.b.try_dispatch(patience)); });
    said.clear();
    pair.a.send("x", 2);
    outer.a.send("x", 1);
    EQUAL("", thrown_by([&] { outer.b.dispatch(patience); }));
    EQUAL("in try_dispatch", said);

    Hub hub("tcp://127.0.0.1:0");
    Told<std::exception_ptr> exception;
    hub.on_exception([&](std::exception_ptr thrown) { exception.tell(thrown); });
    hub.on_peer([](std::string_view identity, std::string_view, PeerEvent event, Status why) {
        if (event == PeerEvent::joined && ok(why))
            throw Thrown("joined " + std::string(identity));
    });
    App app("app");
    app.connect(hub.address());
    EQUAL("joined app", words_of(exception.wait()));
}

TEST("a callback may replace itself, and what it holds lives until it returns")
{
    Pair pair;
    std::vector<std::string> ran;
    const std::string held(100, 'h');
    pair.b.on_state([&, held](const State &) {
        pair.b.on_state([&](const State &state) { ran.emplace_back(state.name()); });
        ran.push_back(held);
    });
    pair.a.send("x", 1);
    CHECK(pair.b.dispatch(patience, 1));
    pair.a.send("y", 1);
    CHECK(pair.b.dispatch(patience, 1));
    EQUAL(2u, ran.size());
    EQUAL(held, ran[0]);
    EQUAL("y", ran[1]);
}

TEST("a function that is replaced is destroyed")
{
    App app("app");
    const auto held = std::make_shared<int>(1);
    app.on_state([held](const State &) {});
    EQUAL(2, held.use_count());
    app.on_state([](const State &) {});
    EQUAL(1, held.use_count());
    app.on_link([held](Link, Status, std::string_view) {});
    app.on_reject([held](std::string_view, std::string_view, Kind) {});
    app.on_synced([held] {});
    EQUAL(4, held.use_count());
    app.on_synced(nullptr);
    EQUAL(3, held.use_count());
    app.on_link(nullptr);
    EQUAL(2, held.use_count());
    { App gone(std::move(app)); }
    EQUAL(1, held.use_count());
}

TEST("a callback may destroy its app")
{
    for (const bool throws : {false, true}) {
        Pair pair;
        std::optional<App> app;
        app.emplace("mortal");
        app->connect(pair.hub.address());
        app->wait_connected(patience);
        const std::string held(100, 'h');
        app->on_state([&, held, throws](const State &state) {
            app.reset();
            EQUAL("x", state.name());
            EQUAL(100u, held.size());
            if (throws)
                throw Thrown(held);
        });
        pair.a.send("x", 1);
        std::string thrown;
        Status status = Status::ok;
        try {
            app->dispatch(patience);
        } catch (const Thrown &error) {
            thrown = error.what();
        } catch (const Error &error) {
            status = error.status();
        }
        EQUAL(throws ? held : "", thrown);
        EQUAL(throws ? Status::ok : Status::closed, status);
        CHECK(!app);
    }
}

TEST("a link function that runs in recv may destroy its app")
{
    for (const bool throws : {false, true}) {
        Hub hub("tcp://127.0.0.1:0");
        std::optional<App> app;
        app.emplace("mortal");
        app->on_link([&](Link, Status, std::string_view) {
            app.reset();
            if (throws)
                throw Thrown("destroyed");
        });
        app->connect(hub.address());
        std::string outcome;
        try {
            app->recv(patience);
        } catch (const Thrown &thrown) {
            outcome = thrown.what();
        } catch (const Error &error) {
            outcome = to_string(error.status());
        }
        EQUAL(throws ? "destroyed" : to_string(Status::closed), outcome);
    }
}

TEST("each gives what the app knows, own states included, and an exception ends it")
{
    Pair pair;
    pair.a.send("room/temperature", 1);
    pair.a.send("room/comment", 2);
    pair.next();
    pair.next();
    pair.b.send("room/own", 3);
    pair.b.send("other", 4);
    int sum = 0;
    pair.b.each([&](const State &state) { sum += state.as<int>(); });
    EQUAL(10, sum);
    sum = 0;
    pair.b.each("room/*", [&](const State &state) { sum += state.as<int>(); });
    EQUAL(6, sum);
    std::vector<State> kept;
    EQUAL(Status::ok, pair.b.try_each("*", [&](const State &state) { kept.push_back(state); }));
    EQUAL(1u, kept.size());
    EQUAL("other", kept[0].name());
    int calls = 0;
    pair.b.each([&](const State &) { return ++calls < 2; });
    EQUAL(2, calls);
    calls = 0;
    const auto throws = [&](const State &) {
        calls++;
        throw Thrown("each");
    };
    EQUAL("each", thrown_by([&] { pair.b.each(throws); }));
    EQUAL(1, calls);
    FAILS(Status::name, pair.b.each("", [](const State &) {}));
    FAILS(Status::utf8, pair.b.each("\xff", [](const State &) {}));
}

TEST("get gives the newest value of a name, of any sender or of one")
{
    Pair pair;
    CHECK(!pair.b.get("x"));
    EQUAL(Status::not_found, pair.b.try_get("x").status());
    pair.a.send("x", 1);
    pair.next();
    pair.b.send("x", 2);
    EQUAL(2, pair.b.get("x")->as<int>());
    EQUAL(1, pair.b.get("a", "x")->as<int>());
    EQUAL(2, (*pair.b.try_get("b", "x")).as<int>());
    CHECK(!pair.b.get("c", "x"));
}

TEST("a function for a pattern gets the states that match, as long as its handler lives")
{
    Pair pair;
    std::string called;
    const auto adds = [&](char letter) { return [&called, letter](const State &) { called += letter; }; };
    const auto calls = [&](const char *name) {
        called.clear();
        pair.a.send(name, 1);
        CHECK(pair.b.dispatch(patience, 1));
        return called;
    };
    Handler all = pair.b.on("**", adds('a'));
    {
        const Handler some = pair.b.on("x/*", adds('s'));
        EQUAL("as", calls("x/1"));
        EQUAL("a", calls("y"));
    }
    EQUAL("a", calls("x/1"));
    Handler moved = std::move(all);
    CHECK(!all && moved);
    EQUAL("a", calls("x/1"));
    // Another one in its place ends it.
    moved = pair.b.on("y", adds('y'));
    EQUAL("y", calls("y"));
    // In itself.
    Handler once;
    once = pair.b.on("once", [&](const State &) {
        called += 'o';
        once.end();
    });
    EQUAL("o", calls("once"));
    CHECK(!once);
    EQUAL("", calls("once"));
    pair.b.on("kept", adds('k')).keep();
    EQUAL("k", calls("kept"));
    FAILS(Status::name, pair.b.on("", adds('n')));
    FAILS(Status::invalid, pair.b.on("x", {}));
}

TEST("what a function for a pattern throws comes out of dispatch, and what it holds is destroyed with it")
{
    Pair pair;
    auto held = std::make_shared<int>(7);
    const std::weak_ptr<int> watch = held;
    Handler handler = pair.b.on("x", [held](const State &) { throw Thrown("from x"); });
    held.reset();
    pair.a.send("x", 1);
    EQUAL("from x", thrown_by([&] { pair.b.dispatch(patience); }));
    CHECK(!watch.expired());
    handler.end();
    CHECK(watch.expired());
}

TEST("a handler may outlive its app, and end in the function that ends the app")
{
    Hub hub("tcp://127.0.0.1:0");
    App a("a");
    a.connect(hub.address());
    Handler left, inside;
    auto b = std::make_unique<App>("b");
    left = b->on("y", [](const State &) {});
    inside = b->on("x", [&](const State &) {
        b.reset();
        inside.end();
    });
    b->connect(hub.address());
    b->wait_connected(patience);
    a.send("x", 1);
    EQUAL(Status::closed, b->try_dispatch(patience));
    CHECK(b == nullptr);
    left.end();
}
