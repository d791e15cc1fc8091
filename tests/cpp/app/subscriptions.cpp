// Which names an app is sent.
#include "pair.hpp"

#include <set>
#include <string>
#include <vector>

using namespace nanostate;
using namespace std::chrono_literals;

namespace {

// Has a send these names, and then returns those that b is sent beside what the hub held. It subscribes to the last.
std::vector<std::string> passing(Pair &pair, const std::vector<std::string> &names)
{
    for (const std::string &name : names)
        pair.a.send(name, 1);
    std::vector<std::string> passed;
    while (passed.empty() || passed.back() != names.back()) {
        const State state = pair.next();
        if (!state.retained())
            passed.emplace_back(state.name());
    }
    return passed;
}

using Names = std::vector<std::string>;

} // namespace

TEST("an app is sent the names that it subscribes to, and what the hub holds of them")
{
    Pair pair;
    pair.a.send("room/1", 1);
    pair.a.send("cpu", 2);
    pair.a.flush(patience);
    App late("late");
    late.subscribe();
    late.connect(pair.hub.address());
    late.wait_synced(patience);
    CHECK(!late.get("room/1") && !late.get("cpu"));
    late.subscribe("room/*", std::string("none"), std::string_view("unused/x").substr(0, 6));
    late.wait_synced(patience);
    CHECK(late.get("room/1") && !late.get("cpu"));
    EQUAL("room/1", late.recv().name());
    late.unsubscribe("room/*");
    CHECK(!late.get("room/1"));
    late.unsubscribe("unused");
    FAILS(Status::not_found, late.unsubscribe("unused"));
    EQUAL(Status::not_found, late.try_unsubscribe("room/*"));
    EQUAL(1u, late.stats().received);
}

TEST("with the first pattern an app that had everything takes no other names")
{
    Pair pair;
    CHECK((Names{"x", "y"}) == passing(pair, {"x", "y"}));
    pair.b.subscribe("x/**");
    pair.b.subscribe("y");
    pair.b.wait_synced(patience);
    CHECK((Names{"x", "x/1/2", "y"}) == passing(pair, {"w", "x", "x/1/2", "y/1", "y"}));
    pair.b.unsubscribe("x/**");
    // The hub has dealt with that when it has sent what is asked for behind it.
    pair.b.subscribe("z");
    pair.b.wait_synced(patience);
    CHECK((Names{"y"}) == passing(pair, {"x", "x/1/2", "y"}));
}

TEST("a list of patterns takes the place of the one before")
{
    Pair pair;
    pair.b.set_subscriptions({"x/*", "y"});
    pair.b.wait_synced(patience);
    CHECK((Names{"x/1", "y"}) == passing(pair, {"x/1", "z", "y"}));
    const std::set<std::string> patterns{"z", "y"};
    pair.b.set_subscriptions(patterns);
    pair.b.set_subscriptions(std::vector<const char *>{"w", "z"});
    pair.b.wait_synced(patience);
    CHECK((Names{"w", "z"}) == passing(pair, {"x/1", "y", "w", "z"}));
    CHECK(!pair.b.get("x/1") && !pair.b.get("y"));
    pair.b.set_subscriptions(std::vector<std::string>());
    CHECK(!pair.b.get("z"));
}

TEST("what is no pattern is refused, and changes nothing")
{
    App app("app");
    const std::string_view with_nul("a\0b", 3);
    const std::string too_long(1025, 'x');
    for (const std::string_view bad : {std::string_view(), with_nul, std::string_view(too_long)}) {
        EQUAL(Status::name, app.try_subscribe(bad));
        FAILS(Status::name, app.subscribe("good", bad, "unreached"));
        FAILS(Status::name, app.set_subscriptions({"other", bad}));
    }
    FAILS(Status::utf8, app.subscribe("\xff"));
    FAILS(Status::utf8, app.set_subscriptions({"\xff"}));
    app.unsubscribe("good");
    FAILS(Status::not_found, app.unsubscribe("unreached"));
    FAILS(Status::not_found, app.unsubscribe("other"));
    std::vector<std::string> many;
    for (int i = 0; i < 1025; i++)
        many.push_back(std::to_string(i));
    FAILS(Status::full, app.set_subscriptions(many));
    many.pop_back();
    app.set_subscriptions(many);
    FAILS(Status::full, app.subscribe("one/more"));
    CONTAINS("one/more", std::string(last_error()));
}
