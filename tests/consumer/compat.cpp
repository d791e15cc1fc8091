// A program written for the original nanostate, with its include line. It brings its own hub.
#include <cstdio>
#include <string>

#include "cnanostate/nanostate.h"

int main()
{
    const std::string content("\x08\x96\x01\x00\xff", 5);
    std::string sender, name, data;
    ns_hub *hub = nullptr;
    if (ns_hub_new(&hub) != NS_OK || ns_hub_listen(hub, "tcp://127.0.0.1:0") != NS_OK)
        return 1;
    bool received = false;
    {
        Nanostate out("out", ns_hub_address(hub, 0)), in("in", ns_hub_address(hub, 0));
        bool sent = out.send_state_update("message", content);
        // Each waits 50 ms: half a minute together.
        for (int tries = 0; sent && !received && tries < 600; tries++)
            received = in.recv_state_update(sender, name, data);
    }
    ns_hub_free(hub);
    std::printf("%s of %s: %zu bytes\n", name.c_str(), sender.c_str(), data.size());
    return received && sender == "out" && name == "message" && data == content ? 0 : 1;
}
