// A hub and two apps in one program: a state goes from one to the other, over TCP.
#include <chrono>
#include <iostream>
#include <optional>

#include <nanostate.hpp>

int main()
try {
    nanostate::Hub hub;
    hub.listen("tcp://127.0.0.1:0");
    nanostate::App sender("thermometer"), receiver("display");
    sender.connect(hub.address(0));
    receiver.connect(hub.address(0));
    sender.send("room/temperature", 21.5);
    const std::optional<nanostate::State> state = receiver.recv(std::chrono::seconds(30));
    if (!state)
        return 1;
    std::cout << state->name() << " of " << state->sender() << '\n';
    const bool same = state->sender() == "thermometer" && state->name() == "room/temperature" && state->as<double>() == 21.5;
    return same ? 0 : 1;
} catch (const nanostate::Error &error) {
    std::cerr << "failed: " << error.what() << '\n';
    return 1;
}
