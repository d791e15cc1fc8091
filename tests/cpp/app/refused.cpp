// Each of these, chosen by its number, must not compile; with 0 the rest does.
#include <nanostate.hpp>

enum class Colour { red };
struct Thing {};

void refused(nanostate::App &app)
{
    app.send("name", "text");
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
#endif
}
