// The class Nanostate, with real nanomsg BUS programs on our hub, and on a plain nanomsg hub of the old kind.
#include "cnanostate/nanostate.h"

#include "../test.hpp"
#include "process.hpp"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <type_traits>
#include <unistd.h>

bool sends_from_another_file(Nanostate &state);

static_assert(!std::is_copy_constructible<Nanostate>::value, "two objects cannot own one connection");
static_assert(!std::is_convertible<const char *, Nanostate>::value, "two arguments");

namespace {

// The signatures of the original, as pointers to members.
bool (Nanostate::*const send_vector)(const std::string &, const std::vector<char> &) = &Nanostate::send_state_update;
bool (Nanostate::*const send_string)(const std::string &, const std::string &) = &Nanostate::send_state_update;
bool (Nanostate::*const recv_vector)(std::string &, std::string &,
                                     std::vector<char> &) = &Nanostate::recv_state_update;
bool (Nanostate::*const recv_string)(std::string &, std::string &, std::string &) = &Nanostate::recv_state_update;
bool (Nanostate::*const has_state)() = &Nanostate::has_state_update;
const std::string &(Nanostate::*const identity_of)() const = &Nanostate::get_identity;

// What protobuf writes looks like this: NULs, bytes above 127, no valid UTF-8.
const std::string binary("\x08\x96\x01\x00\x12\x03\x00\xff\xfe\x1a\x80\x00", 12);

std::string hex(const std::string &bytes)
{
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (const char byte : bytes) {
        text += digits[static_cast<unsigned char>(byte) >> 4];
        text += digits[static_cast<unsigned char>(byte) & 15];
    }
    return text;
}

// A body [sender, name, data] with data of this head; all of them short.
std::string body(const std::string &sender, const std::string &name, const std::string &data)
{
    std::string bytes = "\x93";
    bytes += static_cast<char>(0xa0 | sender.size());
    bytes += sender;
    bytes += static_cast<char>(0xa0 | name.size());
    bytes += name;
    return bytes + data;
}

std::string bin(const std::string &bytes)
{
    return std::string("\xc4") + static_cast<char>(bytes.size()) + bytes;
}

// The hub of the command line.
struct Hub {
    Process process;
    std::string url;

    Hub() : process({COMMAND, "hub", "--listen", "tcp://127.0.0.1:0"})
    {
        const std::string said = process.line("listening on ");
        url = said.substr(std::string("listening on ").size());
    }
    // Waits until a program is in: one of ours by its identity, an old one by where it comes from.
    void joined(const std::string &who)
    {
        process.error(who + " (");
    }
    void old_joined()
    {
        CONTAINS("joined", process.error("tcp://127.0.0.1:"));
    }
};

// A hub of the old kind. It prints every body.
struct OldHub {
    char directory[32];
    std::string url;
    std::unique_ptr<Process> process;

    OldHub()
    {
        const std::string place = "/tmp/nanostate-XXXXXX";
        place.copy(directory, place.size());
        directory[place.size()] = '\0';
        CHECK(mkdtemp(directory) != nullptr);
        url = std::string("ipc://") + directory + "/hub";
        process.reset(new Process({NN_HUB, url}));
        process->line("listening");
    }
    ~OldHub()
    {
        process.reset();
        unlink((std::string(directory) + "/hub").c_str());
        rmdir(directory);
    }
};

// Receives until a state of this name comes.
template <typename Data>
void receive(Nanostate &state, const std::string &wanted, std::string &sender, Data &data)
{
    std::string name;
    while (!state.recv_state_update(sender, name, data) || name != wanted) {
    }
}

// A BUS program that has been seen by the hub, and whose states the other sees.
void until_connected(Process &peer, Nanostate &state)
{
    std::string sender, name, data;
    do
        peer.write("text hello there");
    while (!state.recv_state_update(sender, name, data));
    EQUAL("hello", name);
}

// A program derived from the class, as QNanostate is.
struct Derived : Nanostate {
    Derived(const char *identity, const char *addr) : Nanostate(deferred, identity, addr) {}
    using Nanostate::_identity;
    using Nanostate::interrupt;
    using Nanostate::open;
    using Nanostate::wait_state_update;
};

// Standard error of this process while it lives.
class Errors
{
public:
    Errors() : _saved(dup(STDERR_FILENO))
    {
        int ends[2];
        CHECK(_saved >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
        close(ends[1]);
        _in = ends[0];
    }
    // What was written, and back to the standard error of before.
    std::string text()
    {
        char buffer[4096];
        ssize_t size;
        std::string all;
        CHECK(dup2(_saved, STDERR_FILENO) >= 0);
        close(_saved);
        while ((size = read(_in, buffer, sizeof buffer)) > 0)
            all.append(buffer, static_cast<std::string::size_type>(size));
        close(_in);
        return all;
    }

private:
    int _saved, _in;
};

int count(const std::string &text, char wanted)
{
    int n = 0;
    for (const char c : text)
        n += c == wanted;
    return n;
}

} // namespace

TEST("two programs exchange strings and vectors of any content")
{
    Hub hub;
    Nanostate a("a", hub.url.c_str()), b("b", hub.url.c_str());
    EQUAL("a", (a.*identity_of)());
    std::string sender, name;
    std::string long_data;
    for (int i = 0; i < 300000; i++)
        long_data += static_cast<char>(i);
    for (const std::string &data : {std::string("text"), std::string(), binary, std::string(1, '\0'), long_data}) {
        std::string got = "before";
        CHECK((a.*send_string)("string", data));
        receive(b, "string", sender, got);
        EQUAL("a", sender);
        CHECK(got == data);
        std::vector<char> bytes(data.begin(), data.end()), got_bytes(3, 'x');
        CHECK((b.*send_vector)("vector", bytes));
        receive(a, "vector", sender, got_bytes);
        EQUAL("b", sender);
        CHECK(got_bytes == bytes);
    }
    CHECK(a.send_state_update("größe/中", std::string("named")));
    receive(b, "größe/中", sender, long_data);
    EQUAL("named", long_data);
    CHECK(sends_from_another_file(a));
    receive(b, "other/file", sender, long_data);
    EQUAL("sent", long_data);
    name = "untouched";
    while ((b.*recv_string)(sender, name, long_data)) {
    }
    name = "untouched";
    std::vector<char> none(1, 'x');
    CHECK(!(b.*recv_vector)(sender, name, none));
    EQUAL("untouched", name);
    EQUAL(1u, none.size());
}

TEST("a nanomsg BUS program gets bytes, and its text and bytes are read as they are")
{
    Hub hub;
    Nanostate state("ours", hub.url.c_str());
    hub.joined("ours");
    Process peer({NN_BUS, hub.url, "theirs"});
    hub.old_joined();
    until_connected(peer, state);

    CHECK(state.send_state_update("to/them", binary));
    CONTAINS("body " + hex(body("ours", "to/them", bin(binary))) + "\t", peer.line("to/them"));
    CHECK(state.send_state_update("plain", std::string("text")));
    CONTAINS("\tours\tplain\tbin\ttext", peer.line("plain"));
    CHECK(state.send_state_update("empty", std::string()));
    CONTAINS(hex(body("ours", "empty", bin(""))), peer.line("empty"));

    std::string sender, data;
    peer.write("raw " + hex(body("theirs", "from/them", bin(binary))));
    receive(state, "from/them", sender, data);
    EQUAL("theirs", sender);
    CHECK(data == binary);
    peer.write("text a/text gr\xc3\xbc\xc3\x9f");
    receive(state, "a/text", sender, data);
    EQUAL("grüß", data);
    peer.write("raw " + hex(body("theirs", "nothing", bin(""))));
    receive(state, "nothing", sender, data);
    EQUAL("", data);
    std::vector<char> bytes(1, 'x');
    peer.write("raw " + hex(body("theirs", "empty/text", "\xa0")));
    receive(state, "empty/text", sender, bytes);
    EQUAL(0u, bytes.size());
    // The sender may be named in bytes, as by Python 2, and may be written in any language.
    peer.write("raw " + hex("\x93" + bin("snake") + bin("na\xc3\xafve") + "\xa1x"));
    receive(state, "naïve", sender, data);
    EQUAL("snake", sender);
    EQUAL("x", data);
}

TEST("states that are neither text nor bytes are skipped")
{
    Hub hub;
    Nanostate state("ours", hub.url.c_str());
    Process peer({NN_BUS, hub.url, "theirs"});
    hub.old_joined();
    until_connected(peer, state);
    const char *const others[] = {"\x05", "\xc0", "\xc3", "\x91\x01", "\x81\x01\x02", "\xd4\x05x", "\xca\x3f\x80\x01\x01"};
    for (const char *other : others)
        peer.write("raw " + hex(body("theirs", "other", other)));
    peer.write("text last one");
    std::string sender, name, data;
    // Some of what connected them may come again.
    do {
        while (!state.recv_state_update(sender, name, data)) {
        }
    } while (name == "hello");
    EQUAL("last", name);
}

TEST("it talks to a plain nanomsg hub and its programs as the original did")
{
    OldHub hub;
    Nanostate a("a", hub.url.c_str()), b("b", hub.url.c_str());
    Process peer({NN_BUS, hub.url, "theirs"});
    until_connected(peer, a);
    until_connected(peer, b);
    std::string sender, data;
    CHECK(a.send_state_update("across", binary));
    receive(b, "across", sender, data);
    EQUAL("a", sender);
    CHECK(data == binary);
    CONTAINS("body " + hex(body("a", "across", bin(binary))) + "\t", peer.line("across"));
    peer.write("raw " + hex(body("theirs", "back", bin(binary))));
    receive(a, "back", sender, data);
    CHECK(data == binary);
    // Such a hub sends back what it gets; own states are not received all the same.
    CHECK(a.send_state_update("mine", std::string("1")));
    CHECK(b.send_state_update("yours", std::string("2")));
    std::string name;
    do {
        while (!a.recv_state_update(sender, name, data)) {
        }
        CHECK(name != "mine");
    } while (name != "yours");
}

TEST("an old program compiled as it is sends and ends, and what it sent arrives")
{
    // It gives what it sends a second to reach a hub, and an old hub a moment to hand it on, which forgets it otherwise.
    // Where that is too short for this machine, the next one has as much.
    const auto until = [](const std::string &url, const std::string &data, const std::function<bool()> &arrives) {
        bool arrived = false;
        for (int tries = 0; tries < test::patience && !arrived; tries++) {
            Process program({OLD_PROGRAM, "old", url, "send", "last/word", data});
            EQUAL(0, program.wait());
            arrived = arrives();
        }
        CHECK(arrived);
    };
    Hub hub;
    Nanostate state("ours", hub.url.c_str());
    std::string sender, name, data;
    for (int i = 0; i < 5; i++) {
        until(hub.url, std::to_string(i), [&] {
            const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
            while (std::chrono::steady_clock::now() < end) {
                if (state.recv_state_update(sender, name, data) && data == std::to_string(i))
                    return true;
            }
            return false;
        });
        EQUAL("old", sender);
        EQUAL("last/word", name);
    }
    OldHub old;
    until(old.url, "bye", [&] { return old.process->says("\told\tlast/word\tbin\tbye", 1000); });
}

TEST("an old program compiled as it is answers a nanomsg BUS program")
{
    Hub hub;
    Process peer({NN_BUS, hub.url, "theirs"});
    hub.old_joined();
    Process program({OLD_PROGRAM, "old", hub.url, "echo"});
    CONTAINS("\told\tready\tbin\told", peer.line("ready"));
    peer.write("raw " + hex(body("theirs", "q", bin(binary))));
    CONTAINS("body " + hex(body("old", "q/answer", bin(binary))), peer.line("q/answer"));
    peer.write("text end now");
    EQUAL(0, program.wait());
}

TEST("has_state_update tells what the next receive gets, and waits for nothing")
{
    Hub hub;
    Nanostate a("a", hub.url.c_str()), b("b", hub.url.c_str());
    CHECK(!(b.*has_state)());
    CHECK(a.send_state_update("x", std::string("1")));
    while (!b.has_state_update())
        std::this_thread::yield();
    CHECK(b.has_state_update());
    std::string sender, name, data;
    CHECK(b.recv_state_update(sender, name, data));
    EQUAL("x", name);
    CHECK(!b.has_state_update());
}

TEST("programs may share an identity, as with the original")
{
    Hub hub;
    Nanostate one("twin", hub.url.c_str()), two("twin", hub.url.c_str()), other("other", hub.url.c_str());
    std::string sender, data;
    CHECK(one.send_state_update("of/one", std::string("1")));
    receive(other, "of/one", sender, data);
    CHECK(two.send_state_update("of/two", std::string("2")));
    receive(other, "of/two", sender, data);
    EQUAL("twin", sender);
    CHECK(other.send_state_update("for/both", std::string("3")));
    receive(one, "for/both", sender, data);
    receive(two, "for/both", sender, data);
}

TEST("names that are not allowed are false, and said once")
{
    Errors errors;
    {
        Nanostate state("ours", "inproc://nobody-listens");
        for (const std::string &name : {std::string(), std::string(1025, 'n'), std::string("\xff"),
                                        std::string("$ns/hello"), std::string("a\0b", 3)})
            CHECK(!state.send_state_update(name, std::string("data")));
        CHECK(!state.send_state_update("large", std::string(17 << 20, 'x')));
        CHECK(state.send_state_update(std::string(1024, 'n'), std::string("data")));
    }
    const std::string said = errors.text();
    EQUAL(1, count(said, '\n'));
    CONTAINS("Nanostate \"ours\": ", said);
}

TEST("what cannot be opened does nothing, and says so once")
{
    const struct {
        const char *identity, *addr, *said;
    } cases[] = {
        {nullptr, "inproc://x", "NULL"},
        {"a", nullptr, "NULL"},
        {nullptr, nullptr, "NULL"},
        {"", "inproc://x", "identity"},
        {"\xff", "inproc://x", "UTF-8"},
        {"a", "", "URL"},
        {"a", "nonsense", "nonsense"},
        {"a", "mqtt://127.0.0.1:1", "mqtt"},
    };
    for (const auto &c : cases) {
        Errors errors;
        {
            Nanostate state(c.identity, c.addr);
            std::string sender, name, data = "kept";
            std::vector<char> bytes(1, 'x');
            CHECK(!state.send_state_update("x", data));
            CHECK(!state.send_state_update("x", bytes));
            CHECK(!state.recv_state_update(sender, name, data));
            CHECK(!state.recv_state_update(sender, name, bytes));
            CHECK(!state.has_state_update());
            EQUAL(c.identity != nullptr ? c.identity : "", state.get_identity());
            EQUAL("kept", data);
        }
        const std::string said = errors.text();
        EQUAL(1, count(said, '\n'));
        CONTAINS(c.said, said);
    }
}

TEST("a receive takes its time also where nothing can come, so that a loop of them does not spin")
{
    Errors errors;
    Nanostate broken("a", "nonsense"), nobody("a", nullptr);
    std::string sender, name, data;
    for (Nanostate *state : {&broken, &nobody}) {
        const auto before = std::chrono::steady_clock::now();
        CHECK(!state->recv_state_update(sender, name, data));
        CHECK(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(50));
    }
}

TEST("a program that is refused while a state waits is not told to receive it for ever")
{
    Errors errors;
    ns_hub *hub;
    ns_app *sender, *holder;
    CHECK(ns_hub_new(&hub) == NS_OK && ns_hub_listen(hub, "tcp://127.0.0.1:0") == NS_OK);
    const std::string url = ns_hub_address(hub, 0);
    CHECK(ns_app_new("sender", &sender) == NS_OK && ns_app_connect(sender, url.c_str()) == NS_OK);
    CHECK(ns_app_send_text(sender, "x", "y") == NS_OK);
    Nanostate state("held", url.c_str());
    while (!state.has_state_update())
        std::this_thread::yield();

    // Another program takes the identity over.
    CHECK(ns_app_new("held", &holder) == NS_OK && ns_app_set(holder, NS_OPT_TAKE_OVER, 1) == NS_OK);
    CHECK(ns_app_connect(holder, url.c_str()) == NS_OK);
    while (state.send_state_update("x", std::string("y")))
        std::this_thread::yield();
    std::string from, name, data;
    while (state.has_state_update())
        state.recv_state_update(from, name, data);
    CHECK(!state.recv_state_update(from, name, data));
    CHECK(!state.has_state_update());
    ns_app_free(holder);
    ns_app_free(sender);
    ns_hub_free(hub);
}

TEST("a program that the hub refuses is told, and gets false")
{
    Hub hub;
    // A holder that does not share its identity.
    ns_app *holder;
    CHECK(ns_app_new("held", &holder) == NS_OK && ns_app_connect(holder, hub.url.c_str()) == NS_OK);
    CHECK(ns_app_wait_connected(holder, test::patience * 1000) == NS_OK);
    for (const bool receives : {false, true}) {
        Errors errors;
        {
            Nanostate state("held", hub.url.c_str());
            std::string sender, name, data;
            Derived deferred("held", hub.url.c_str());
            if (receives)
                CHECK(!deferred.wait_state_update(-1, sender, name, data));
            while (state.send_state_update("x", std::string("y"))) {
            }
            CHECK(!state.recv_state_update(sender, name, data));
            CHECK(!state.send_state_update("x", std::string("y")));
        }
        const std::string said = errors.text();
        EQUAL(receives ? 2 : 1, count(said, '\n'));
        CONTAINS("held", said);
        CONTAINS("held by another app", said);
    }
    ns_app_free(holder);
}

TEST("one thread sends while another receives and a third looks")
{
    Hub hub;
    Nanostate a("a", hub.url.c_str()), b("b", hub.url.c_str());
    const int states = 500;
    std::atomic<bool> done(false);
    std::thread sender([&] {
        for (int i = 0; i < states; i++)
            CHECK(a.send_state_update("n" + std::to_string(i), std::string("x")));
    });
    std::thread looker([&] {
        while (!done)
            b.has_state_update();
    });
    std::string who, name, data;
    for (int got = 0; got < states;) {
        if (b.recv_state_update(who, name, data)) {
            got++;
            CHECK(b.send_state_update("answer", data));
        }
    }
    done = true;
    sender.join();
    looker.join();
}

TEST("a deferred object opens nothing before its first use, and its wait is ended by an interruption")
{
    Hub hub;
    Derived state("deferred", hub.url.c_str());
    EQUAL("deferred", state.get_identity());
    EQUAL("deferred", state._identity);
    const int first_free = dup(STDERR_FILENO);
    close(first_free);
    std::string sender, name, data;
    // An interruption that comes first counts.
    state.interrupt();
    CHECK(!state.wait_state_update(-1, sender, name, data));
    const int still_free = dup(STDERR_FILENO);
    close(still_free);
    EQUAL(first_free, still_free);

    CHECK(state.open() && state.open());
    CHECK(!state.wait_state_update(0, sender, name, data));
    for (int i = 0; i < 50; i++) {
        bool ended = false;
        std::thread waits([&] { ended = !state.wait_state_update(-1, sender, name, data); });
        state.interrupt();
        waits.join();
        CHECK(ended);
    }
    // No interruption is left for a receive of another kind.
    Nanostate other("other", hub.url.c_str());
    CHECK(other.send_state_update("x", std::string("y")));
    CHECK(state.wait_state_update(test::patience * 1000, sender, name, data));
    EQUAL("x", name);
}

TEST("an interruption that a short receive meets first still ends the long wait")
{
    Hub hub;
    Derived state("deferred", hub.url.c_str());
    std::atomic<bool> done(false);
    std::thread short_receives([&] {
        std::string sender, name, data;
        while (!done)
            state.recv_state_update(sender, name, data);
    });
    for (int i = 0; i < 50; i++) {
        std::string sender, name, data;
        std::thread waits([&] { CHECK(!state.wait_state_update(-1, sender, name, data)); });
        state.interrupt();
        waits.join();
    }
    done = true;
    short_receives.join();
}

TEST("objects that are opened by several threads at once are opened once")
{
    Hub hub;
    for (int i = 0; i < 20; i++) {
        Derived state("many", hub.url.c_str());
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++)
            threads.emplace_back([&] { CHECK(state.send_state_update("x", std::string("y"))); });
        for (std::thread &thread : threads)
            thread.join();
    }
}
