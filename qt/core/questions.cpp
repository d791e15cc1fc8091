#include "questions.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qmetaobject.h>

#include <algorithm>
#include <system_error>
#include <thread>

namespace NanostateQt {

namespace {

// How many may be open at once, each with a thread.
constexpr size_t MostOpen = 16;

} // namespace

struct Questions::Question
{
    // Waits for the thread, which a child of a fork does not have.
    void join()
    {
        if (!thread.joinable())
            return;
        if (process == QCoreApplication::applicationPid())
            thread.join();
        else
            thread.detach();
    }

    // None once it is closed.
    ns_app *app;
    Call call;
    int timeout;
    QDeadlineTimer end;
    Again again;
    // Of these, when the thread was started.
    int links = 0;
    qint64 process = 0;
    std::thread thread;
};

Failure Questions::ask(ns_app *app, const Call &call, int timeout, Again again)
{
    if (m_open.size() == MostOpen) {
        const QString why = QStringLiteral("%1 calls of this client wait for the hub already");
        return failure(NS_ERR_FULL, why.arg(MostOpen));
    }
    const auto question = std::make_shared<Question>();
    question->app = app;
    question->call = call;
    question->timeout = timeout;
    question->end.setRemainingTime(timeout);
    question->again = again;
    const Failure why = start(question, timeout);
    if (!why)
        m_open.push_back(question);
    return why;
}

Failure Questions::start(const Pointer &question, int timeout)
{
    question->links = m_links;
    question->process = QCoreApplication::applicationPid();
    const auto run = [this, question, timeout, app = question->app]() {
        const Answer answer = question->call(app, timeout);
        QMetaObject::invokeMethod(m_client, [=]() { answered(question, answer); }, Qt::QueuedConnection);
    };
    try {
        question->thread = std::thread(run);
    } catch (const std::system_error &) {
        return failure(NS_ERR_IO, QStringLiteral("the hub was not asked: no memory or threads left"));
    }
    return Failure();
}

void Questions::answered(const Pointer &question, const Answer &answer)
{
    question->join();
    Failure failed = answer.failed;
    const bool isOfNoHub = failed.error == Client::Error::NotActive;
    if (question->links != m_links && (isOfNoHub || question->again == Again::Always)) {
        const int timeout = question->timeout;
        const int rest = timeout < 0 ? timeout : int(std::max<qint64>(question->end.remainingTime(), 0));
        failed = question->app ? start(question, rest)
                               : failure(NS_ERR_CLOSED, fromCString(ns_strerror(NS_ERR_CLOSED)));
        if (!failed)
            return;
    }
    m_open.remove(question);
    answer.tell(failed);
}

void Questions::end()
{
    for (const Pointer &question : m_open) {
        question->app = nullptr;
        question->join();
    }
}

} // namespace NanostateQt
