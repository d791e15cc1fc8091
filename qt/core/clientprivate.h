#ifndef NANOSTATEQT_CLIENTPRIVATE_H
#define NANOSTATEQT_CLIENTPRIVATE_H

// Not installed.

#include "arrivals.h"
#include "client.h"
#include "client_p.h"
#include "failure.h"
#include "observers.h"

#include <QtCore/qpointer.h>

QT_BEGIN_NAMESPACE
class QSocketNotifier;
QT_END_NAMESPACE

namespace NanostateQt {

/*
    A client keeps what is so (active, state, failure) apart from what it has reported of it, and settle() emits signals
    until there is no difference. So every property has its new value when the first signal of a change is emitted, and
    connected() and disconnected() alternate, whatever a slot changes meanwhile.

    A slot may run an event loop, in which updates go on, or deactivate or delete the client. So nothing is touched after
    a signal or a call of an observer before a Moment says that it still is there.
*/
class ClientPrivate
{
public:
    explicit ClientPrivate(Client *client) : q(client) {}
    ~ClientPrivate() { close(); }

    static ClientPrivate *of(const Client *client) { return client->d.data(); }

    const Failure &failureNow() const { return callFailure ? callFailure : linkFailure; }

    // Emits the signals of all changes. False: a slot deleted the client.
    bool settle();

    // Makes the app and connects it, or gives up.
    void open();
    // Connects the same app, which keeps its values, to another hub.
    void reconnect();
    void close();

    // Tells the observers that the app is about to be closed. False: a slot deleted the client.
    bool tellClosing();

    // UTF-8 of the name of a state that is to be sent now. False: it cannot be, and the client has said so.
    bool checkSend(const QString &name, QByteArray *utf8);
    // After a call that sent, with its result.
    bool sent(const QByteArray &utf8, ns_status status);
    // Reports the failure of a call. Always false.
    bool refuse(const Failure &why);

    StatePointer get(const QString &name, const QString &sender) const;
    QVariant valueOf(const ns_state *someState) const;

    QString identity;
    QString url;
    bool bytesAsText = false;
    bool deferred = false;
    bool active = false;
    Client::State state = Client::State::Disconnected;
    Failure linkFailure;
    Failure callFailure;
    ns_app *app = nullptr;
    // Counts the apps that were closed.
    int closed = 0;
    Observers observers;

private:
    // A point in the life of a client, before code of the program runs.
    class Moment
    {
    public:
        explicit Moment(const ClientPrivate *d) : m_d(d), m_client(d->q), m_closed(d->closed) {}

        // Whether the client still exists.
        bool exists() const { return m_client; }
        // Whether it also has the same app.
        bool goesOn() const { return m_client && m_d->closed == m_closed; }

    private:
        const ClientPrivate *const m_d;
        const QPointer<Client> m_client;
        const int m_closed;
    };

    bool isSettled() const;
    void connectApp();
    void listen(bool mayWait);
    void giveUp(const Failure &why);
    void pump();
    void pumpLater();
    void stateArrived(const ns_state *arrivedState);
    void linkChanged(const LinkChange &change);

    Client *const q;
    QSocketNotifier *notifier = nullptr;
    Arrivals arrivals;
    // What signals have told so far.
    struct
    {
        bool active = false;
        Client::State state = Client::State::Disconnected;
        bool connected = false;
        Failure failure;
    } told;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_CLIENTPRIVATE_H
