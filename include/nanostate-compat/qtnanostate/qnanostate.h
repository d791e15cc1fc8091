/*
 * The class QNanostate of the original nanostate: old Qt programs compile as they are, against the libraries of today
 * (CMake: nanostate::compat, with the component Qt). For Qt 5 and Qt 6. New programs use NanostateQt::Client, which
 * needs no thread.
 */
#ifndef NANOSTATE_COMPAT_QTNANOSTATE_H
#define NANOSTATE_COMPAT_QTNANOSTATE_H

#include "cnanostate/nanostate.h"

#include <NanostateQt/nanostateqt_global.h>

#include <QtCore/qmetatype.h>
#include <QtCore/qthread.h>

#include <atomic>
#include <string>

Q_DECLARE_METATYPE(std::string)

/*
 * Receives states in its thread and tells them by a signal. Sending works without the thread.
 *
 * Nothing is made, no connection and no descriptor, before start() or the first send or receive, so that it may be
 * built before the QCoreApplication.
 */
class NANOSTATEQT_EXPORT QNanostate : public QThread, public Nanostate
{
    Q_OBJECT

public:
    /* As the constructor of Nanostate, but connects at start() or at the first send or receive. */
    explicit QNanostate(const char *identity, const char *addr);
    /* Ends the thread, for which it is asked as by requestInterruption(), and then as the destructor of Nanostate. */
    ~QNanostate() override;

    /* quit() and exit() end the thread too, also through a QThread; this one is not seen through one. */
    void requestInterruption();

Q_SIGNALS:
    /* A state of another program has come; `data` is text or bytes as they were sent. Emitted in a thread beside this
     * one: slots of objects that live anywhere else run there, in their event loop. */
    void state_updated(const std::string &sender, const std::string &name, const std::string &data);

protected:
    /* Receives until the thread is asked to end. */
    void run() override;

private:
    void receive_states();

    std::atomic<bool> _ending;
};

#endif /* NANOSTATE_COMPAT_QTNANOSTATE_H */
