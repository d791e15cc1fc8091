// What has_state_update tells, where a state that was withdrawn waits, or another thread does.
#include "cnanostate/nanostate.h"

#include "../test.hpp"

#include <atomic>
#include <string>
#include <thread>

namespace {

// A hub in this process.
struct Hub {
    ns_hub *hub = nullptr;
    std::string url;

    Hub()
    {
        CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
        url = ns_hub_address(hub, 0);
    }
    Hub(const Hub &) = delete;
    Hub &operator=(const Hub &) = delete;
    ~Hub()
    {
        ns_hub_free(hub);
    }
};

} // namespace

TEST("a value that is cleared is nothing to receive")
{
    const Hub hub;
    Nanostate b("b", hub.url.c_str());
    ns_app *sender, *other;
    CHECK(ns_app_new("sender", &sender) == NS_OK && ns_app_connect(sender, hub.url.c_str()) == NS_OK);
    CHECK(ns_app_send_text(sender, "x", "1") == NS_OK);
    while (!b.has_state_update())
        std::this_thread::yield();
    std::string from, name, data;
    CHECK(b.recv_state_update(from, name, data));
    EQUAL("1", data);

    CHECK(ns_app_clear(sender, "x") == NS_OK && ns_app_flush(sender, test::patience * 1000) == NS_OK);
    // The hub asks b whether it is still there, and b answers once it has all that came before.
    CHECK(ns_app_new("b", &other) == NS_OK && ns_app_connect(other, hub.url.c_str()) == NS_OK);
    CHECK(ns_app_wait_connected(other, -1) == NS_ERR_IDENTITY_TAKEN);
    CHECK(!b.has_state_update());
    CHECK(!b.recv_state_update(from, name, data));

    CHECK(ns_app_send_text(sender, "x", "2") == NS_OK && ns_app_clear(sender, "y") == NS_OK);
    while (!b.has_state_update())
        std::this_thread::yield();
    CHECK(b.has_state_update() && b.recv_state_update(from, name, data));
    EQUAL("2", data);
    ns_app_free(other);
    ns_app_free(sender);
}

TEST("a state that has_state_update has found comes to a receive that waits in another thread")
{
    const Hub hub;
    Nanostate a("a", hub.url.c_str()), b("b", hub.url.c_str());
    std::atomic<int> left{200};
    std::thread receiver([&] {
        std::string from, name, data;
        while (left > 0)
            left -= b.recv_state_update(from, name, data);
    });
    for (int i = 0; left > 0; i++) {
        if (i < 200)
            CHECK(a.send_state_update("x/" + std::to_string(i), std::string("1")));
        b.has_state_update();
    }
    receiver.join();
    EQUAL(0, left);
}
