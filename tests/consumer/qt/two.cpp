// Says "two", and waits for the sum that the QML program makes of it.
#include <iostream>

#include <nanostate.hpp>

int main()
try {
    nanostate::App app("two");
    app.connect();
    app.send("two", 2);
    double sum = 0;
    while (sum != 3) {
        const nanostate::State state = app.recv();
        if (state.name() == "sum")
            sum = state.as<double>();
    }
    app.send("two/done", true);
    app.flush();
    std::cout << "two: the sum is " << sum << '\n';
} catch (const nanostate::Error &error) {
    std::cerr << "two: " << error.what() << '\n';
    return 1;
}
