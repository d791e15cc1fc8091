// A library with its own copies of what nanostate.hpp has inline.
#ifndef NANOSTATE_TEST_HIDDEN_HPP
#define NANOSTATE_TEST_HIDDEN_HPP

#include <nanostate.hpp>

#define EXPORTED __attribute__((visibility("default")))

// Sets functions that throw a std::runtime_error of these words.
EXPORTED void set_functions_that_throw(nanostate::App &app, const char *words);

// Fails with words of nanostate.hpp's own.
EXPORTED nanostate::Status send_under_a_name_with_a_nul(nanostate::App &app);

// Throws an Error.
EXPORTED void fail_in_the_library(nanostate::App &app);

#endif
