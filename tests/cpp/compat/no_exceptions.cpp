// The class without exceptions.
#include "cnanostate/nanostate.h"

#include "../test.hpp"

TEST("the class compiles and works without exceptions")
{
    Nanostate bad(nullptr, nullptr);
    CHECK(!bad.send_state_update("x", std::string("y")));
    Nanostate good("good", "inproc://nobody-listens");
    CHECK(good.send_state_update("x", std::string("y")));
    CHECK(!good.has_state_update());
}
