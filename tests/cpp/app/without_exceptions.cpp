// Compiled without exceptions, in a program whose other files have them.
#include <nanostate.hpp>

#include <chrono>

// Makes this file have its own of what runs callbacks. True: a callback of its own ran.
bool runs_callbacks_without_exceptions(const char *url)
{
    auto app = nanostate::App::try_make("without");
    bool ran = false;
    return app && ok(app->try_on_link([&](nanostate::Link, nanostate::Status, std::string_view) { ran = true; }))
        && ok(app->try_on_state([](const nanostate::State &) {})) && ok(app->try_connect(url))
        && ok(app->try_dispatch(std::chrono::seconds(30))) && ran;
}
