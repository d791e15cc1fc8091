// A program without exceptions: the forms that return a status.
#include "pair.hpp"

using namespace nanostate;
using namespace std::chrono_literals;

static_assert(!NANOSTATE_EXCEPTIONS, "this is compiled with -fno-exceptions");

TEST("states are sent and received without exceptions")
{
    Result<Hub> hub = Hub::try_make();
    CHECK(hub && ok(hub->try_listen("tcp://127.0.0.1:0")));
    Result<App> a = App::try_make("a");
    Result<App> b = App::try_make("b");
    CHECK(a && b);
    EQUAL(Status::ok, a->try_connect(hub->address()));
    EQUAL(Status::ok, b->try_connect(hub->address()));
    EQUAL(Status::ok, b->try_wait_connected(patience));
    EQUAL(Status::ok, a->try_send("room/temperature", 21.5));
    EQUAL(Status::ok, a->try_flush(patience));
    Result<State> state = b->try_recv(patience);
    CHECK(state);
    EQUAL(21.5, *state->try_as<double>());
    EQUAL(Status::range, state->try_as<int>().status());
    EQUAL(0, state->try_as<int>().value_or(0));
    EQUAL(Status::kind, state->try_as<std::string>().status());
    EQUAL("double", state->visit(overloaded{[](double) { return "double"; }, [](const auto &) { return "else"; }}));
    EQUAL(Status::timeout, b->try_recv(0s).status());
    EQUAL(Status::not_found, b->try_get("nothing").status());
    EQUAL(21.5, *b->try_get("room/temperature")->try_as<double>());
}

TEST("callbacks run without exceptions")
{
    Result<Hub> hub = Hub::try_make();
    CHECK(hub && ok(hub->try_listen("tcp://127.0.0.1:0")));
    Result<App> a = App::try_make("a");
    int calls = 0;
    // Before it connects: what happens to the link until then is told to nobody.
    CHECK(a && ok(a->try_on_link([&](Link, Status, std::string_view) { calls++; })));
    EQUAL(Status::ok, a->try_connect(hub->address()));
    EQUAL(Status::ok, a->try_dispatch(patience));
    CHECK(calls > 0);
    EQUAL(Status::ok, a->try_wait_synced(patience));
    bool synced = false;
    EQUAL(Status::ok, a->try_on_synced([&] { synced = true; }));
    while (!synced)
        EQUAL(Status::ok, a->try_dispatch(patience));
    EQUAL(Status::ok, a->try_send("x", 1));
    calls = 0;
    EQUAL(Status::ok, a->try_each([&](const State &own) { calls += *own.try_as<int>(); }));
    EQUAL(1, calls);
    EQUAL(Status::ok, try_set_log({}, LogLevel::off));
}

TEST("errors are told without exceptions")
{
    EQUAL(Status::identity, App::try_make("").status());
    CHECK(*last_error() != '\0');
    Result<App> app = App::try_make("app");
    EQUAL(Status::name, app->try_send("", 1));
    EQUAL(Status::name, app->try_send(std::string_view("\0", 1), 1));
    CONTAINS("NUL", last_error());
}
