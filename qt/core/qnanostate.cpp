#include "qtnanostate/qnanostate.h"

#include <thread>

QNanostate::QNanostate(const char *identity, const char *addr) : Nanostate(deferred, identity, addr), _ending(false)
{
    // For connections by name, and for those across threads.
    qRegisterMetaType<std::string>("std::string");
}

QNanostate::~QNanostate()
{
    // A run() of an old program may ask isInterruptionRequested() instead of running an event loop.
    QNanostate::requestInterruption();
    wait();
}

void QNanostate::requestInterruption()
{
    QThread::requestInterruption();
    quit();
}

// quit() and exit() are not virtual, so only an event loop notices them. One runs here, while another thread waits for
// states.
void QNanostate::run()
{
    if (!open())
        return;
    _ending = false;
    std::thread receiver([this]() { receive_states(); });
    exec();
    _ending = true;
    interrupt();
    receiver.join();
}

void QNanostate::receive_states()
{
    std::string sender;
    std::string name;
    std::string data;
    // One interruption may remain from an earlier run; after a second one in a row nothing can arrive any more.
    for (int failures = 0; failures < 2 && !_ending; ++failures) {
        while (!_ending && wait_state_update(-1, sender, name, data)) {
            failures = 0;
            Q_EMIT state_updated(sender, name, data);
        }
    }
}
