// The class in a second file of the same program, after the headers that are easily confused with it.
#include <nanostate.h>

#include "cnanostate/nanostate.h"

bool sends_from_another_file(Nanostate &state)
{
    return state.send_state_update("other/file", std::string("sent"));
}
