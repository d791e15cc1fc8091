#ifndef NANOSTATEQT_CLIENTPRIVATE_H
#define NANOSTATEQT_CLIENTPRIVATE_H

// Not installed.

#include "arrivals.h"
#include "client.h"
#include "client_p.h"
#include "failure.h"
#include "lifetimes.h"
#include "observers.h"
#include "others.h"
#include "questions.h"
#include "subscriptions.h"

#include <QtCore/qpointer.h>

#include <optional>

QT_BEGIN_NAMESPACE
class QSocketNotifier;
class QTimer;
QT_END_NAMESPACE

namespace NanostateQt {

/*
    A client keeps the actual values (active, state, synced, failure) apart from those that it has reported, and
    settle() emits signals until they are equal. So every property has its new value when the first signal of a change
    is emitted, and connected() and disconnected() alternate, whatever a slot changes meanwhile.

    A slot may run an event loop, in which updates go on, or deactivate or delete the client. So after a signal or a
    call of an observer nothing is touched before a Moment says that it still exists.
*/
class ClientPrivate
{
public:
    explicit ClientPrivate(Client *client) : q(client), questions(client) {}
    ~ClientPrivate() { close(); }

    static ClientPrivate *of(const Client *client) { return client->d.data(); }

    const Failure &failureNow() const
    {
        return callFailure ? callFailure : linkFailure ? linkFailure : subscriptions.fault();
    }

    // Emits the signals of all changes. False: a slot deleted the client.
    bool settle();

    // Makes the app and connects it, or gives up.
    void open();
    // Connects the same app, which keeps its values, to another hub.
    void reconnect();
    // Sets a property with which apps connect, and connects anew.
    template<typename T>
    void change(T *property, const T &value, void (Client::*changed)());
    void close();

    // Informs the observers that the app is about to be closed. False: a slot deleted the client.
    bool tellClosing();

    // The name of a state for a call that sends it, in UTF-8. False: it cannot be done, and the error is reported.
    bool checkSend(const QString &name, const char *done, QByteArray *utf8);
    // The same for a value, which it encodes.
    bool checkSend(const QString &name, const QVariant &value, const char *done, QByteArray *utf8, QByteArray *encoded);
    // Publishes a value in MessagePack with these options. False: the error is reported.
    bool publish(const QByteArray &utf8, const QByteArray &encoded, const PublishOptions &options);
    // Leaves a will for the name, or takes it back. False: the error is reported.
    bool leave(const QByteArray &utf8, const ns_value *will);
    // Handles the result of a call that sent a value with this time to live; 0: it stays.
    bool sent(const QByteArray &utf8, ns_status status, std::chrono::milliseconds life = std::chrono::milliseconds(0));
    bool cleared(const QByteArray &utf8, ns_status status);
    // Asks the hub by a call that waits, in another thread. False: it is refused, and the error is reported.
    bool ask(const Questions::Call &call, int timeout, Questions::Again again);
    // Reports the failure of a call. Always false.
    bool refuse(const Failure &why);

    // Has the hub tell which other apps are there.
    void watchPeers();
    // Has the hub tell of whom values may be stale.
    void watchStale();

    // The program subscribes to these from now on; nothing: to what is the default. False: the error is reported.
    bool setOwnSubscriptions(const std::optional<QStringList> &own);
    // Tells the app what is wanted after the present pass of the event loop.
    void subscribeLater();
    bool isSynced() const { return synced && !subscriptions.isBehind(); }

    StatePointer get(const QString &name, const QString &sender) const;
    QVariant valueOf(const ns_state *someState) const;

    QString identity;
    QString url;
    QString ca;
    QString pin;
    QString token;
    bool clearToken = false;
    bool bytesAsText = false;
    bool deferred = false;
    bool active = false;
    Client::State state = Client::State::Disconnected;
    bool synced = false;
    Failure linkFailure;
    Failure callFailure;
    ns_app *app = nullptr;
    // How many apps were closed.
    int closed = 0;
    Observers observers;
    Subscriptions subscriptions;
    Others others;
    bool wantsStale = false;

private:
    // A point in the life of a client, taken before code of the program runs.
    class Moment
    {
    public:
        explicit Moment(const ClientPrivate *d) : m_d(d), m_client(d->q), m_closed(d->closed) {}

        // Whether the client still exists.
        bool exists() const { return m_client; }
        // Whether it still has the same app, too.
        bool goesOn() const { return m_client && m_d->closed == m_closed; }

    private:
        const ClientPrivate *const m_d;
        const QPointer<Client> m_client;
        const int m_closed;
    };

    bool isSettled() const;
    // Sets a text of the app; false if it gave up instead.
    bool setText(ns_opt option, const QString &value, const char *what);
    // Tells the app what is wanted. False: it gave up instead.
    bool subscribe();
    void subscribeNow();
    void connectApp();
    void listen(bool mayWait);
    void giveUp(const Failure &why);
    void pump();
    void pumpLater();
    void stateArrived(const ns_state *arrivedState);
    void stateCleared(const ns_state *clearedState);
    void linkChanged(const LinkChange &change);
    void syncedArrived();
    void peerChanged(const PeerInfo &peer);
    void loseSynced();
    // Tells the observers that the own value of the name is gone. False: a slot deleted the client.
    bool tellCleared(const QByteArray &utf8);
    // Has the event loop call expire() after this time, or earlier.
    void expireLater(std::chrono::milliseconds rest);
    void expire();

    Client *const q;
    QSocketNotifier *notifier = nullptr;
    Arrivals arrivals;
    // How often synced was lost.
    int unsynced = 0;
    // How often the list of peers changed.
    int peersChanges = 0;
    // subscribeNow() is queued.
    bool subscribing = false;
    // Ended before the app is freed.
    Questions questions;
    Lifetimes lifetimes;
    // When expire() runs next; in the past if it is not going to.
    QDeadlineTimer expiry;
    // A child of the client; none before the first value that expires.
    QTimer *expiryTimer = nullptr;
    // What the signals emitted so far have reported.
    struct
    {
        bool active = false;
        Client::State state = Client::State::Disconnected;
        bool connected = false;
        bool synced = false;
        int peersChanges = 0;
        Failure failure;
    } told;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_CLIENTPRIVATE_H
