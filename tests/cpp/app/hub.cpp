// Hubs, options, links, moving handles, and threads.
#include "pair.hpp"

#include <atomic>
#include <csignal>
#include <poll.h>
#include <thread>

using namespace nanostate;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<App> && !std::is_copy_assignable_v<App>);
static_assert(!std::is_copy_constructible_v<Hub> && !std::is_copy_assignable_v<Hub>);
static_assert(std::is_nothrow_move_constructible_v<App> && std::is_nothrow_move_assignable_v<App>);
static_assert(std::is_nothrow_move_constructible_v<Hub> && std::is_nothrow_move_assignable_v<Hub>);
static_assert(std::is_nothrow_copy_constructible_v<State> && std::is_nothrow_move_constructible_v<State>);
static_assert(std::is_base_of_v<std::runtime_error, Error>);
static_assert(!std::is_convertible_v<const char *, App> && !std::is_convertible_v<const char *, Hub>);

TEST("a hub listens at several addresses and tells them")
{
    Hub hub;
    hub.listen("tcp://127.0.0.1:0");
    hub.listen("inproc://cpp-several");
    CONTAINS("tcp://127.0.0.1:", std::string(hub.address()));
    EQUAL("inproc://cpp-several", hub.address(1));
    EQUAL("", hub.address(2));
    EQUAL(Status::in_use, Hub().try_listen(hub.address()));
    FAILS(Status::url, hub.listen("nowhere"));
    FAILS(Status::in_use, Hub(hub.address()));
}

TEST("a hub counts, and knows its peers")
{
    Pair pair;
    pair.passed("x");
    EQUAL(2u, pair.hub.stats().peers);
    EQUAL(1u, pair.hub.stats().messages_in);
    const std::vector<PeerStats> peers = pair.hub.peers();
    EQUAL(2u, peers.size());
    const std::string identity = peers[0].identity;
    CHECK(identity == "a" || identity == "b");
    EQUAL(2u, pair.hub.peers().size());
    int calls = 0;
    pair.hub.each_peer([&](const PeerStats &peer) {
        EQUAL(identity, peer.identity);
        return ++calls < 1;
    });
    EQUAL(1, calls);
    EQUAL(Status::ok, pair.hub.try_each_peer([&](const PeerStats &) { calls++; }));
    EQUAL(3, calls);
    try {
        pair.hub.each_peer([](const PeerStats &) { throw 7; });
    } catch (int thrown) {
        calls += thrown;
    }
    EQUAL(10, calls);
    EQUAL(1u, pair.a.stats().sent);
    EQUAL(1u, pair.b.stats().received);
}

TEST("an app asks what its hub counts")
{
    Pair pair;
    pair.passed("x");
    EQUAL(2u, pair.a.hub_stats().peers);
    EQUAL(1u, pair.b.hub_stats(1min).messages_in);
    const std::vector<PeerStats> peers = pair.a.hub_peers();
    EQUAL(2u, peers.size());
    int calls = 0;
    pair.a.each_hub_peer([&](const PeerStats &peer) {
        EQUAL(std::string(peers[0].identity), peer.identity);
        return ++calls < 1;
    });
    EQUAL(1, calls);
    try {
        pair.a.each_hub_peer([](const PeerStats &) { throw 7; });
    } catch (int thrown) {
        calls += thrown;
    }
    EQUAL(8, calls);
    App alone("alone");
    EQUAL(Status::state, alone.try_hub_stats().status());
    EQUAL(Status::state, alone.try_each_hub_peer([](const PeerStats &) {}, 0ms));
}

TEST("options take values of their own type")
{
    App app("app");
    app.set(option::linger, 0s);
    app.set(option::backoff_min, 20ms);
    app.set(option::backoff_max, 1min);
    app.set(option::send_queue, 1 << 20);
    app.set(option::shared, true);
    app.set(NS_OPT_RECV_QUEUE, 1 << 20);
    CHECK(app.option(option::linger) == 0s);
    CHECK(app.option(option::backoff_max) == 1min);
    EQUAL(1 << 20, app.option(option::send_queue));
    CHECK(app.option(option::shared) && !app.option(option::echo));
    EQUAL(1 << 20, app.option(NS_OPT_RECV_QUEUE));
    EQUAL(16 << 20, app.option(NS_OPT_MAX_MESSAGE));
    EQUAL(Status::invalid, app.try_option(NS_OPT_HUB_ECHO).status());
    FAILS(Status::invalid, app.set(option::linger, -1s));
    FAILS(Status::invalid, app.set(option::recv_queue, 0));
    Hub hub;
    hub.set(option::hub_ipc_mode, 0660);
    hub.set(option::hub_departed, 1h);
    hub.set(option::hub_echo, true);
    FAILS(Status::invalid, hub.set(NS_OPT_LINGER_MS, 1));
    EQUAL(0660, hub.option(option::hub_ipc_mode));
    CHECK(hub.option(option::hub_departed) == 1h);
    CHECK(hub.option(option::hub_echo) && !hub.option(option::hub_legacy_snapshot));
    EQUAL(4096, hub.option(NS_OPT_HUB_MAX_PEERS));
    EQUAL(1024, hub.option(option::hub_max_websockets));
    EQUAL(64, hub.option(option::hub_http_rate));
    CHECK(hub.option(option::hub_suspect) == 5s && hub.option(option::hub_lost) == 20s);
    FAILS(Status::invalid, hub.set(option::hub_handshake, 0s));
    hub.set(option::hub_allow_local_pages, true);
    hub.allow_origin("https://example.org");
    FAILS(Status::invalid, hub.allow_origin("example.org"));
    hub.listen("inproc://cpp-options");
    FAILS(Status::state, hub.set(option::hub_echo, false));
    FAILS(Status::state, hub.allow_origin("https://example.org"));
    app.set(option::send_queue, 100);
    FAILS(Status::full, app.send("x", std::string(1000, 'x')));
}

TEST("a hub has a store where the library was built with stores")
{
    Hub hub;
    const Status status = hub.try_set_store("/dev/null/store");
    EQUAL(true, status == Status::unsupported || status == Status::io);
    FAILS(status, hub.set_store("/dev/null/store"));
    EQUAL(Status::invalid, hub.try_set_store(std::string_view("a\0b", 3)));
}

TEST("an app and a hub with TLS trust each other by texts")
{
    Hub hub;
    App app("secure");
    hub.set(option::hub_tls_cert, CERTIFICATE);
    FAILS(Status::state, hub.reload());
    const Status status = hub.try_listen("tls+tcp://127.0.0.1:0");
    if (status == Status::unsupported)
        return;
    EQUAL(Status::ok, status);
    hub.reload();
    FAILS(Status::tls, app.connect(hub.address()));
    FAILS(Status::invalid, app.set(option::tls_ca, std::string_view("a\0b", 3)));
    app.set(option::tls_ca, CERTIFICATE);
    app.connect(hub.address());
    app.wait_connected(patience);
    EQUAL(Status::state, app.try_set(option::tls_pin, "x"));
    CONTAINS("tls+tcp://", std::string(hub.peers()[0].from));
}

TEST("a hub asks for a token, and an app has one")
{
    std::string tokens = CERTIFICATE;
    tokens.replace(tokens.rfind('/') + 1, std::string::npos, "tokens.txt");
    Hub hub;
    App app("robot");
    hub.set(option::hub_read_without_token, false);
    hub.set(option::hub_token_file, tokens);
    FAILS(Status::invalid, hub.listen("tcp://0.0.0.0:0"));
    hub.listen("tcp://127.0.0.1:0");
    FAILS(Status::state, hub.set(option::hub_clear_tokens, true));
    app.connect(hub.address());
    FAILS(Status::permission, app.wait_connected(patience));
    app.disconnect();
    app.set(option::token, "the-token-of-the-robot");
    FAILS(Status::invalid, app.connect("tcp://192.0.2.1:15000"));
    app.set(option::clear_token, true);
    app.connect(hub.address());
    app.wait_connected(patience);
    hub.reload();
}

TEST("an app and a hub work on where they are moved to")
{
    Hub first("tcp://127.0.0.1:0");
    App app("app");
    std::string said;
    app.on_state([&](const State &state) { said = state.text(); });
    app.connect(first.address());
    Hub hub(std::move(first));
    App moved(std::move(app));
    App other("other");
    other.connect(hub.address());
    other = App("third");
    other.connect(hub.address());
    other.send("x", "after the move");
    CHECK(moved.dispatch(patience, 1));
    EQUAL("after the move", said);
    EQUAL("app", moved.identity());
    hub = Hub("tcp://127.0.0.1:0");
    EQUAL(0u, hub.stats().peers);
}

TEST("the hub refuses an identity that is taken")
{
    Pair pair;
    App twin("a");
    twin.connect(pair.hub.address());
    FAILS(Status::identity_taken, twin.wait_connected(patience));
    EQUAL(Link::refused, twin.link());
    twin.send("x", 1);
    FAILS(Status::identity_taken, twin.flush(patience));
}

TEST("what was sent last reaches the hub before the app is gone")
{
    Hub hub("tcp://127.0.0.1:0");
    App b("b");
    b.connect(hub.address());
    for (int i = 0; i < 20; i++) {
        {
            App app("short/" + std::to_string(i));
            app.set(option::linger, patience);
            app.connect(hub.address());
            app.send("last", i);
        }
        EQUAL(i, b.recv(patience)->as<int>());
    }
}

TEST("the descriptor is readable while a state waits")
{
    Pair pair;
    pollfd ready{pair.b.fd(), POLLIN, 0};
    while (pair.b.recv(0s)) {
    }
    pair.a.send("x", 1);
    EQUAL(1, poll(&ready, 1, test::patience * 1000));
    EQUAL(1, pair.b.recv(patience)->as<int>());
    EQUAL(pair.b.fd(), *pair.b.try_fd());
}

namespace {
App *to_interrupt;
}

TEST("a signal handler interrupts a wait")
{
    Pair pair;
    to_interrupt = &pair.b;
    std::signal(SIGUSR1, [](int) { to_interrupt->interrupt(); });
    std::raise(SIGUSR1);
    FAILS(Status::interrupted, pair.b.recv());
    std::raise(SIGUSR1);
    FAILS(Status::interrupted, pair.b.dispatch(forever));
    std::raise(SIGUSR1);
    EQUAL(Status::interrupted, pair.b.try_recv().status());
    std::signal(SIGUSR1, SIG_DFL);
    // One that comes while callbacks run is for the next wait.
    pair.b.on_state([&](const State &) { pair.b.interrupt(); });
    pair.a.send("x", 1);
    CHECK(pair.b.dispatch(patience));
    FAILS(Status::interrupted, pair.b.dispatch(forever));
}

TEST("several threads send, receive and read one app at once")
{
    Pair pair;
    constexpr int senders = 3, receivers = 2, names = 200;
    std::atomic<int> received{0};
    std::vector<std::thread> threads;
    for (int s = 0; s < senders; s++) {
        threads.emplace_back([&, s] {
            for (int i = 0; i < names; i++) {
                pair.a.send("from/" + std::to_string(s) + "/" + std::to_string(i), i);
                EQUAL(Status::name, pair.a.try_send(std::string_view("a\0", 2), i));
            }
        });
    }
    for (int r = 0; r < receivers; r++) {
        threads.emplace_back([&] {
            try {
                for (;;) {
                    const State state = pair.b.recv();
                    const State copy = state;
                    CHECK(copy.as<int>() < names && copy.json() == state.json());
                    if (++received == senders * names)
                        pair.b.close(0s);
                }
            } catch (const Error &error) {
                EQUAL(Status::closed, error.status());
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    EQUAL(senders * names, received.load());
}

TEST("an exception in one of several receiving threads loses no state")
{
    Pair pair;
    constexpr int states = 300;
    std::atomic<int> received{0}, exceptions{0}, interruptions{0};
    pair.b.on_reject([](std::string_view, std::string_view, Kind) { throw 1; });
    pair.b.accept(Kind::int64);
    std::vector<std::thread> threads;
    for (int r = 0; r < 2; r++) {
        threads.emplace_back([&] {
            for (;;) {
                try {
                    if (pair.b.recv().name() == "last")
                        return pair.b.close(0s);
                    received++;
                } catch (const Error &error) {
                    if (error.status() == Status::closed)
                        return;
                    EQUAL(Status::interrupted, error.status());
                    interruptions++;
                } catch (int) {
                    exceptions++;
                }
            }
        });
    }
    for (int i = 0; i < states; i++) {
        pair.a.send("n" + std::to_string(i), i);
        pair.a.send("t" + std::to_string(i), "not accepted");
    }
    pair.a.flush(patience);
    while (received < states)
        std::this_thread::yield();
    pair.a.send("last", 0);
    for (std::thread &thread : threads)
        thread.join();
    EQUAL(states, received.load());
    CHECK(exceptions > 0);
}

TEST("an on_ function that returned does not run any more, whatever thread runs the callbacks")
{
    Hub hub("tcp://127.0.0.1:0");
    App a("a"), b("b");
    b.set(option::callback_thread, true);
    b.connect(hub.address());
    a.connect(hub.address());
    std::atomic<bool> stop{false};
    std::thread sender([&] {
        // Many at once, but not all of a processor's time: the others need some, too.
        for (int i = 0; !stop; i++) {
            a.send("n", i);
            if (i % 64 == 63)
                a.flush(patience);
        }
    });
    for (int i = 0; i < 200; i++) {
        const auto alive = std::make_shared<std::atomic<bool>>(true);
        Told<bool> ran;
        b.on_state([&, alive](const State &) {
            CHECK(*alive);
            ran.tell(true);
        });
        ran.wait();
        b.on_state({});
        *alive = false;
        EQUAL(1, alive.use_count());
    }
    stop = true;
    sender.join();
}
