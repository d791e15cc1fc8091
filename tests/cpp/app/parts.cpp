// A program of parts that are compiled differently.
#include "hidden.hpp"
#include "pair.hpp"

#include <string>

using namespace nanostate;

bool runs_callbacks_without_exceptions(const char *url);

namespace {

template <typename F> std::string thrown_by(F &&call)
{
    try {
        call();
    } catch (const std::exception &error) {
        return error.what();
    }
    return "";
}

} // namespace

TEST("a file without exceptions in the program does not change what the others do with theirs")
{
    Pair pair;
    CHECK(runs_callbacks_without_exceptions(std::string(pair.hub.address()).c_str()));
    const StateFunction throws = [](const State &) { throw std::runtime_error("thrown"); };
    pair.b.on_state(throws);
    pair.a.send("x", 1);
    EQUAL("thrown", thrown_by([&] { pair.b.dispatch(patience); }));
}

TEST("an exception of a callback in a library that hides its symbols comes out of the program's dispatch and recv")
{
    Pair pair;
    set_functions_that_throw(pair.b, "of the library");
    pair.a.send("x", 1);
    EQUAL("of the library", thrown_by([&] { pair.b.dispatch(patience); }));
    pair.b.on_state({});
    pair.b.disconnect();
    EQUAL("of the library", thrown_by([&] { pair.b.recv(); }));
}

TEST("errors and words of a library that hides its symbols are those of the program")
{
    App app("app");
    EQUAL(Status::name, send_under_a_name_with_a_nul(app));
    CONTAINS("NUL", last_error());
    FAILS(Status::name, fail_in_the_library(app));
}
