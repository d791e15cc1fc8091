// A program of the original nanostate, unchanged: old_program IDENTITY URL send NAME VALUE | old_program IDENTITY URL echo
// `send` sends one value and ends. `echo` answers what it gets under its name with "/answer" behind, until it gets "end".
#include "cnanostate/nanostate.h"

#include <iostream>
#include <string>
#include <vector>

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::cerr << "usage: old_program IDENTITY URL send NAME VALUE | echo" << std::endl;
        return 2;
    }
    Nanostate state(argv[1], argv[2]);
    if (std::string(argv[3]) == "send" && argc == 6)
        return state.send_state_update(argv[4], std::string(argv[5])) ? 0 : 1;

    state.send_state_update("ready", std::string(state.get_identity()));
    std::string sender, name;
    std::vector<char> data;
    for (;;) {
        if (!state.recv_state_update(sender, name, data))
            continue;
        if (name == "end")
            return 0;
        if (!state.send_state_update(name + "/answer", data))
            return 1;
    }
}
