// Each of these, chosen by its number, must not compile; with 0 the rest does.
#include <nanostate.hpp>

enum class Colour { red };
struct Thing {};

// Bytes of another library, as std::span<const std::byte> in C++20.
struct Span {
    using value_type = std::byte;
    Span() = default;
    Span(const std::byte *first, const std::byte *last) : first(first), last(last) {}
    const std::byte *data() const { return first; }
    std::size_t size() const { return static_cast<std::size_t>(last - first); }
    const std::byte *first = nullptr, *last = nullptr;
};

void refused(nanostate::App &app)
{
    app.send("name", "text");
    const nanostate::State kept = app.recv();
    const auto span = kept.as<Span>();
#if REFUSED == 1
    app.send("name", 'c');
#elif REFUSED == 2
    app.send("name", Colour::red);
#elif REFUSED == 3
    app.send("name", &app);
#elif REFUSED == 4
    app.send("name", Thing());
#elif REFUSED == 5
    app.send("name", L'c');
#elif REFUSED == 6
    app.send("name", 1.0L);
#elif REFUSED == 7
    app.send("name", std::vector<int>());
#elif REFUSED == 8
    const auto bytes = app.recv().bytes();
#elif REFUSED == 9
    const auto bytes = app.recv().as<nanostate::Bytes>();
#elif REFUSED == 10
    const auto value = app.recv().msgpack();
#elif REFUSED == 11
    app.recv().as<char>();
#elif REFUSED == 12
    nanostate::App copy(app);
#elif REFUSED == 13
    app.set(nanostate::option::hub_echo, true);
#elif REFUSED == 14
    app.recv(5);
#elif REFUSED == 15
    app.try_send("name", 1);
#elif REFUSED == 16
    const auto dangling = app.recv().as<Span>();
#endif
}
