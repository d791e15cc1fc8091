#ifndef NANOSTATEQT_QUESTIONS_H
#define NANOSTATEQT_QUESTIONS_H

// Not installed.

#include "failure.h"

#include <QtCore/qdeadlinetimer.h>

#include <functional>
#include <list>
#include <memory>

namespace NanostateQt {

/*!
    What a client asks the hub by functions of the C API that wait, each in a thread of its own, which ends before the
    answer is told in the client's thread.
*/
class Questions
{
public:
    /*! What a call has come to: why it failed, and what tells that, or another failure, in the client's thread. */
    struct Answer
    {
        Failure failed;
        std::function<void(const Failure &)> tell;
    };
    /*! Asks, for so many milliseconds, in another thread. It must not touch the client. */
    using Call = std::function<Answer(ns_app *, int timeout)>;
    /*! When to ask again, in the time that is left, if the client was told to connect anew meanwhile. */
    enum class Again {
        IfNotConnected, //!< If the app was found without a hub.
        Always //!< Whatever the answer is: it may be that of the earlier hub.
    };

    explicit Questions(Client *client) : m_client(client) {}
    ~Questions() { end(); }

    /*! The answer will be told, unless there is a failure. */
    Failure ask(ns_app *app, const Call &call, int timeout, Again again);
    /*! The app is about to connect anew. */
    void reconnecting() { ++m_links; }
    /*! Waits for the threads, whose calls end at once since their app is closed. */
    void end();

private:
    Q_DISABLE_COPY(Questions)
    struct Question;
    using Pointer = std::shared_ptr<Question>;

    Failure start(const Pointer &question, int timeout);
    void answered(const Pointer &question, const Answer &answer);

    Client *const m_client;
    // Those that are not told yet.
    std::list<Pointer> m_open;
    // How often the client has connected anew.
    int m_links = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_QUESTIONS_H
