#include "hidden.hpp"

#include <stdexcept>

using namespace nanostate;

void set_functions_that_throw(App &app, const char *words)
{
    const std::string held(words);
    app.on_state([held](const State &) { throw std::runtime_error(held); });
    app.on_link([held](Link, Status, std::string_view) { throw std::runtime_error(held); });
}

Status send_under_a_name_with_a_nul(App &app) { return app.try_send(std::string_view("a\0b", 3), 1); }

void fail_in_the_library(App &app) { app.send("", 1); }
