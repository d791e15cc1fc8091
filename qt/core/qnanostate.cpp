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

// quit() and exit() are not virtual: only an event loop hears of them. So one runs here, and the waiting is done in a
// thread beside it.
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
    // One interruption may be left from an earlier run; a second one in a row says that nothing can come any more.
    for (int failures = 0; failures < 2 && !_ending; ++failures) {
        while (!_ending && wait_state_update(-1, sender, name, data)) {
            failures = 0;
            Q_EMIT state_updated(sender, name, data);
        }
    }
}
