// A Qt program written for the original nanostate, with its include line. It brings its own hub.
#include <cstdio>
#include <string>

#include <QCoreApplication>
#include <QTimer>

#include "qtnanostate/qnanostate.h"

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    ns_hub *hub = nullptr;
    if (ns_hub_new(&hub) != NS_OK || ns_hub_listen(hub, "tcp://127.0.0.1:0") != NS_OK)
        return 1;
    QNanostate in("in", ns_hub_address(hub, 0)), out("out", ns_hub_address(hub, 0));
    QObject::connect(&in, &QNanostate::state_updated, &application,
                     [](const std::string &sender, const std::string &name, const std::string &data) {
                         std::printf("%s of %s: %s\n", name.c_str(), sender.c_str(), data.c_str());
                         QCoreApplication::exit(sender == "out" && name == "message" && data == "hello" ? 0 : 1);
                     });
    QTimer::singleShot(30000, &application, [] { QCoreApplication::exit(1); });
    in.start();
    int result = out.send_state_update("message", std::string("hello")) ? application.exec() : 1;
    in.quit();
    in.wait();
    ns_hub_free(hub);
    return result;
}
