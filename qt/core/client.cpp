#include "client.h"
#include "client_p.h"
#include "codec.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qdeadlinetimer.h>
#include <QtCore/qhash.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qset.h>
#include <QtCore/qsocketnotifier.h>
#include <QtCore/qvector.h>

#include <algorithm>
#include <utility>

namespace NanostateQt {

namespace {

// How long one pass may take before the rest of the event loop has its turn, in milliseconds. A quarter of a frame.
constexpr int PassMillis = 4;

struct Failure
{
    Client::Error error = Client::Error::NoError;
    QString text;

    explicit operator bool() const { return error != Client::Error::NoError; }
    bool operator==(const Failure &other) const { return error == other.error && text == other.text; }
};

QString fromCString(const char *utf8)
{
    return Codec::fromUtf8(utf8, qstrlen(utf8));
}

Failure failure(ns_status status, const QString &text)
{
    return {static_cast<Client::Error>(status), text};
}

// What this thread's last call of the C API could not do.
Failure lastFailure(ns_status status)
{
    return failure(status, fromCString(ns_last_error()));
}

// Whether a call failed because the hub refused the app, which then tries again by itself. After other failures the app
// is of no use any more.
bool isRefusal(ns_status status)
{
    return status != NS_OK && status != NS_ERR_TIMEOUT && status != NS_ERR_INTERRUPTED && status != NS_ERR_CLOSED
        && status != NS_ERR_STATE && status != NS_ERR_INTERNAL && status != NS_ERR_NO_MEMORY && status != NS_ERR_IO;
}

// A string for the C API, which ends it at a NUL. `what` names it in the failure; `status` is that of one with NULs.
bool toCString(const QString &text, ns_status status, const char *what, QByteArray *out, Failure *why)
{
    if (text.contains(QChar(QChar::Null))) {
        *why = failure(status, QStringLiteral("%1 has a NUL character").arg(QLatin1String(what)));
        return false;
    }
    if (!Codec::toUtf8(text, out)) {
        *why = failure(NS_ERR_UTF8, QStringLiteral("%1 has half a surrogate pair").arg(QLatin1String(what)));
        return false;
    }
    return true;
}

// Observers of one name. Shared, so that the list outlives its client while it is walked.
class ObserverList
{
public:
    void add(StateObserver *observer) { m_observers.append(observer); }

    void remove(StateObserver *observer)
    {
        const auto i = m_observers.lastIndexOf(observer);
        if (i < 0)
            return;
        if (m_walks > 0)
            m_observers[i] = nullptr;
        else
            m_observers.remove(i);
    }

    void forget() { m_observers.fill(nullptr); }

    bool isEmpty() const { return m_observers.isEmpty(); }

private:
    friend class ObserverWalk;

    QVector<StateObserver *> m_observers;
    int m_walks = 0;
};

// Goes through the observers that a list has now: those that are added meanwhile are left out, and so are those that are
// removed before their turn.
class ObserverWalk
{
public:
    explicit ObserverWalk(std::shared_ptr<ObserverList> list)
        : m_list(std::move(list)), m_count(m_list ? m_list->m_observers.size() : 0)
    {
        if (m_list)
            ++m_list->m_walks;
    }
    ~ObserverWalk()
    {
        if (m_list && --m_list->m_walks == 0)
            m_list->m_observers.removeAll(nullptr);
    }

    // Null: that was the last one.
    StateObserver *next()
    {
        while (m_at < m_count) {
            if (StateObserver *const observer = m_list->m_observers.at(m_at++))
                return observer;
        }
        return nullptr;
    }

private:
    Q_DISABLE_COPY(ObserverWalk)
    const std::shared_ptr<ObserverList> m_list;
    const decltype(QVector<StateObserver *>().size()) m_count;
    int m_at = 0;
};

} // namespace

/*
    States and link events are only noted by the callbacks of the C API, one per ns_app_dispatch, and told when that has
    returned. So a slot may do anything: run an event loop, in which updates go on, or deactivate or delete the client.

    What is so (active, state, failure) and what was told of it are kept apart, and settle() tells the difference until
    there is none. So every property has its new value when the first signal of a change is emitted, and connected and
    disconnected alternate, whatever a slot changes meanwhile.
*/
class ClientPrivate
{
public:
    explicit ClientPrivate(Client *client) : q(client) {}

    ~ClientPrivate()
    {
        close();
        for (const auto &list : std::as_const(observers))
            list->forget();
    }

    static ClientPrivate *of(const Client *client) { return client->d.data(); }

    const Failure &failureNow() const { return callFailure ? callFailure : linkFailure; }

    // Tells what was not told yet. False: a slot deleted the client.
    bool settle()
    {
        if (isSettled())
            return true;
        const QPointer<Client> alive(q);
        while (!isSettled()) {
            if (told.active != active) {
                told.active = active;
                Q_EMIT q->activeChanged();
            } else if (told.state != state) {
                told.state = state;
                Q_EMIT q->stateChanged(state);
            } else if (told.connected != (state == Client::State::Connected)) {
                told.connected = !told.connected;
                if (told.connected)
                    Q_EMIT q->connected();
                else
                    Q_EMIT q->disconnected();
            } else {
                const Failure now = failureNow();
                told.failure = now;
                Q_EMIT q->errorChanged();
                if (alive && now && now == failureNow())
                    Q_EMIT q->errorOccurred(now.error, now.text);
            }
            if (!alive)
                return false;
        }
        return true;
    }

    bool isSettled() const
    {
        return told.active == active && told.state == state && told.connected == (state == Client::State::Connected)
            && told.failure == failureNow();
    }

    // Makes the app and connects it, or gives up.
    void open()
    {
        if (app || !active || deferred)
            return;
        Failure why;
        QByteArray utf8;
        if (!toCString(identity, NS_ERR_IDENTITY, "the identity", &utf8, &why))
            return giveUp(why);
        if (const ns_status status = ns_app_new(utf8.constData(), &app))
            return giveUp(lastFailure(status));
        ns_status status = ns_app_on_state(app, onState, this);
        if (status == NS_OK)
            status = ns_app_on_link(app, onLink, this);
        if (status != NS_OK)
            return giveUp(lastFailure(status));
        connectApp();
    }

    void connectApp()
    {
        Failure why;
        QByteArray utf8;
        if (!toCString(url, NS_ERR_URL, "the url", &utf8, &why))
            return giveUp(why);
        if (const ns_status status = ns_app_connect(app, utf8.isEmpty() ? nullptr : utf8.constData()))
            return giveUp(lastFailure(status));
        state = Client::State::Connecting;
        if (!notifier)
            listen(true);
    }

    // Another hub for the same app, which keeps its values.
    void reconnect()
    {
        if (!app)
            return;
        linkFailure = Failure();
        if (const ns_status status = ns_app_disconnect(app))
            return giveUp(lastFailure(status));
        // What the former link still has to tell, up to its end, which comes before any state.
        ns_status status;
        do {
            noted = Noted();
            status = ns_app_dispatch(app, 0, 1);
        } while (status == NS_ERR_INTERRUPTED || isRefusal(status) || (status == NS_OK && noted.link != NS_LINK_IDLE));
        noted = Noted();
        if (status != NS_OK && status != NS_ERR_TIMEOUT)
            return giveUp(lastFailure(status));
        connectApp();
    }

    // Has the event loop call pump(). Before there is one, as in a client that is older than the QCoreApplication, this
    // waits in the queue that the loop will look at first.
    void listen(bool mayWait)
    {
        if (!QAbstractEventDispatcher::instance(q->thread())) {
            if (!mayWait)
                return giveUp(failure(NS_ERR_UNSUPPORTED, QStringLiteral("the client's thread has no event loop")));
            const auto later = [this]() {
                if (app && !notifier) {
                    listen(false);
                    settle();
                }
            };
            QMetaObject::invokeMethod(q, later, Qt::QueuedConnection);
            return;
        }
        const int fd = ns_app_fd(app);
        if (fd < 0)
            return giveUp(lastFailure(NS_ERR_IO));
        notifier = new QSocketNotifier(fd, QSocketNotifier::Read, q);
        QObject::connect(notifier, &QSocketNotifier::activated, q, [this]() { pump(); });
    }

    void close()
    {
        // Before its descriptor is closed. It may be what called us: Qt allows that.
        delete std::exchange(notifier, nullptr);
        if (!app)
            return;
        ns_app_close(app, ns_app_link(app) == NS_LINK_CONNECTED ? -1 : 0);
        ns_app_free(std::exchange(app, nullptr));
        noted = Noted();
        ++closed;
        state = Client::State::Disconnected;
    }

    void giveUp(const Failure &why)
    {
        close();
        active = false;
        linkFailure = why;
        callFailure = Failure();
    }

    // One pass: tells what has come, until the time is up. The descriptor stays readable while there is more.
    void pump()
    {
        const QPointer<Client> alive(q);
        const QDeadlineTimer end(PassMillis);
        do {
            if (!app)
                return;
            const ns_status status = ns_app_dispatch(app, 0, 1);
            if (status == NS_ERR_TIMEOUT || status == NS_ERR_INTERRUPTED)
                return;
            if (isRefusal(status))
                continue; // The callback for the link has told it.
            if (status != NS_OK) {
                giveUp(lastFailure(status));
                settle();
                return;
            }
            // A slot may come back here in an event loop of its own.
            const Noted now = std::exchange(noted, Noted());
            if (now.state) {
                arrived(now.state.get());
            } else {
                linkChanged(now);
                settle();
            }
        } while (alive && !end.hasExpired());
    }

    void arrived(const ns_state *arrivedState)
    {
        const QPointer<Client> alive(q);
        const int closedBefore = closed;
        tell(arrivedState);
        if (!alive || closed != closedBefore)
            return;
        static const QMetaMethod updated = QMetaMethod::fromSignal(&Client::stateUpdated);
        if (!q->isSignalConnected(updated))
            return;
        Q_EMIT q->stateUpdated(fromCString(ns_state_sender(arrivedState)), fromCString(ns_state_name(arrivedState)),
                               valueOf(arrivedState));
    }

    struct Noted
    {
        StatePointer state;
        ns_link link = NS_LINK_IDLE;
        ns_status why = NS_OK;
        QString text;
    };

    void linkChanged(const Noted &event)
    {
        // The end of a link that was given up here is known already.
        if (event.link == NS_LINK_IDLE)
            return;
        state = static_cast<Client::State>(event.link);
        if (state == Client::State::Connected) {
            linkFailure = Failure();
            callFailure = Failure();
        } else if (event.why != NS_OK) {
            linkFailure = failure(event.why, event.text);
        }
    }

    // Tells the observers, until one of them deactivates or deletes the client.
    void tell(const ns_state *arrivedState)
    {
        if (observers.isEmpty())
            return;
        const char *const name = ns_state_name(arrivedState);
        const QByteArray keys[] = {QByteArray::fromRawData(name, int(qstrlen(name))), QByteArray()};
        const QPointer<Client> alive(q);
        const int closedBefore = closed;
        {
            // Both before anybody hears: an observer may add itself to the other one.
            ObserverWalk walks[] = {ObserverWalk(observers.value(keys[0])), ObserverWalk(observers.value(keys[1]))};
            for (ObserverWalk &walk : walks) {
                while (StateObserver *const observer = walk.next()) {
                    observer->stateArrived(arrivedState);
                    if (!alive)
                        return;
                    if (closed != closedBefore)
                        break;
                }
                if (closed != closedBefore)
                    break;
            }
        }
        for (const QByteArray &key : keys)
            forgetIfEmpty(key);
    }

    // Before a deliberate end of the app. False: a handler of what was published meanwhile deleted the client.
    bool tellClosing()
    {
        if (!app)
            return true;
        const QPointer<Client> alive(q);
        // A list of its own: what is published changes the client.
        const auto lists = observers.values();
        for (const auto &list : lists) {
            ObserverWalk walk(list);
            while (StateObserver *const observer = walk.next()) {
                observer->clientClosing();
                if (!alive)
                    return false;
            }
        }
        const auto keys = observers.keys();
        for (const QByteArray &key : keys)
            forgetIfEmpty(key);
        return true;
    }

    bool isObserved(const QByteArray &name) const
    {
        return observers.contains(name) || observers.contains(QByteArray());
    }

    void forgetIfEmpty(const QByteArray &key)
    {
        const auto it = observers.constFind(key);
        if (it != observers.constEnd() && it.value()->isEmpty())
            observers.remove(key);
    }

    // After a call that sent, with its result.
    bool sent(const QByteArray &utf8, ns_status status)
    {
        if (status != NS_OK)
            return refuse(lastFailure(status));
        callFailure = Failure();
        const QPointer<Client> alive(q);
        if (isObserved(utf8)) {
            ns_state *own = nullptr;
            if (ns_app_get(app, ns_app_identity(app), utf8.constData(), &own) == NS_OK) {
                const StatePointer owner(own);
                tell(own);
            }
        }
        if (alive)
            settle();
        return true;
    }

    bool refuse(const Failure &why)
    {
        callFailure = why;
        settle();
        return false;
    }

    // The name of a state that is to be sent now.
    bool checkSend(const QString &name, QByteArray *utf8)
    {
        if (!app)
            return refuse(failure(NS_ERR_STATE, QStringLiteral("\"%1\" was not published: not active").arg(name)));
        Failure why;
        return toCString(name, NS_ERR_NAME, "the name", utf8, &why) || refuse(why);
    }

    StatePointer get(const QString &name, const QString &sender) const
    {
        Failure why;
        QByteArray name8;
        QByteArray sender8;
        ns_state *found = nullptr;
        if (app && toCString(name, NS_ERR_NAME, "", &name8, &why)
            && toCString(sender, NS_ERR_IDENTITY, "", &sender8, &why)) {
            ns_app_get(app, sender8.isEmpty() ? nullptr : sender8.constData(), name8.constData(), &found);
        }
        return StatePointer(found);
    }

    QVariant valueOf(const ns_state *someState) const
    {
        const void *data = nullptr;
        size_t size = 0;
        QVariant value;
        if (ns_state_msgpack(someState, &data, &size) == NS_OK)
            Codec::decode(data, size, &value, bytesAsText ? Codec::Bytes::AsText : Codec::Bytes::AsBytes);
        return value;
    }

    static void onState(ns_app *, const ns_state *arrivedState, void *ctx)
    {
        static_cast<ClientPrivate *>(ctx)->noted.state.reset(ns_state_ref(arrivedState));
    }

    static void onLink(ns_app *, ns_link link, ns_status why, const char *text, void *ctx)
    {
        Noted &noted = static_cast<ClientPrivate *>(ctx)->noted;
        noted.link = link;
        noted.why = why;
        noted.text = fromCString(text);
    }

    Client *const q;
    QString identity;
    QString url;
    bool bytesAsText = false;
    bool deferred = false;

    bool active = false;
    Client::State state = Client::State::Disconnected;
    Failure linkFailure;
    Failure callFailure;
    struct
    {
        bool active = false;
        Client::State state = Client::State::Disconnected;
        bool connected = false;
        Failure failure;
    } told;

    ns_app *app = nullptr;
    QSocketNotifier *notifier = nullptr;
    // What the callback of the running ns_app_dispatch was told.
    Noted noted;
    // Counts apps that are gone.
    int closed = 0;
    // By name in UTF-8; of every name: the empty one.
    QHash<QByteArray, std::shared_ptr<ObserverList>> observers;
};

Client::Client(QObject *parent) : QObject(parent), d(new ClientPrivate(this))
{
    // For connections across threads, and for those by name.
    qRegisterMetaType<Client::State>("NanostateQt::Client::State");
    qRegisterMetaType<Client::Error>("NanostateQt::Client::Error");
}

Client::Client(const QString &identity, const QString &url, QObject *parent) : Client(parent)
{
    d->identity = identity;
    d->url = url;
}

Client::~Client()
{
    // Handlers would meet an object that is half gone.
    blockSignals(true);
    d->tellClosing();
}

QString Client::identity() const
{
    return d->identity;
}

void Client::setIdentity(const QString &identity)
{
    if (identity == d->identity)
        return;
    d->identity = identity;
    if (d->app) {
        d->close();
        // What the other identity was refused for is not wrong with this one.
        d->linkFailure = Failure();
        d->open();
    }
    const QPointer<Client> alive(this);
    Q_EMIT identityChanged();
    if (alive)
        d->settle();
}

QString Client::url() const
{
    return d->url;
}

void Client::setUrl(const QString &url)
{
    if (url == d->url)
        return;
    d->url = url;
    d->reconnect();
    const QPointer<Client> alive(this);
    Q_EMIT urlChanged();
    if (alive)
        d->settle();
}

bool Client::isActive() const
{
    return d->active;
}

void Client::setActive(bool active)
{
    if (active == d->active)
        return;
    if (!active && (!d->tellClosing() || !d->active))
        return;
    d->active = active;
    d->linkFailure = Failure();
    d->callFailure = Failure();
    if (!active)
        d->close();
    // The end of an earlier failure is told before there may be a new one.
    if (d->settle()) {
        d->open();
        d->settle();
    }
}

Client::State Client::state() const
{
    return d->state;
}

Client::Error Client::error() const
{
    return d->failureNow().error;
}

QString Client::errorString() const
{
    return d->failureNow().text;
}

bool Client::bytesAsText() const
{
    return d->bytesAsText;
}

void Client::setBytesAsText(bool on)
{
    if (on == d->bytesAsText)
        return;
    d->bytesAsText = on;
    Q_EMIT bytesAsTextChanged();
}

bool Client::publish(const QString &name, const QVariant &value)
{
    QByteArray utf8;
    if (!d->checkSend(name, &utf8))
        return false;
    QByteArray encoded;
    Codec::Error error;
    if (!Codec::encode(value, &encoded, &error))
        return d->refuse(failure(error.status, QStringLiteral("\"%1\": %2").arg(name, error.text)));
    const auto size = size_t(encoded.size());
    return d->sent(utf8, ns_app_send_msgpack(d->app, utf8.constData(), encoded.constData(), size));
}

bool Client::publishBytes(const QString &name, const QByteArray &bytes)
{
    QByteArray utf8;
    if (!d->checkSend(name, &utf8))
        return false;
    return d->sent(utf8, ns_app_send_bytes(d->app, utf8.constData(), bytes.constData(), size_t(bytes.size())));
}

QVariant Client::value(const QString &name, const QString &sender) const
{
    const StatePointer state = d->get(name, sender);
    return state ? d->valueOf(state.get()) : QVariant();
}

QStringList Client::names() const
{
    QSet<QString> names;
    const auto collect = [](ns_app *, const ns_state *state, void *ctx) {
        static_cast<QSet<QString> *>(ctx)->insert(fromCString(ns_state_name(state)));
        return true;
    };
    if (d->app)
        ns_app_each(d->app, nullptr, collect, &names);
    QStringList sorted(names.cbegin(), names.cend());
    sorted.sort();
    return sorted;
}

namespace ClientAccess {

void setDeferred(Client *client, bool deferred)
{
    ClientPrivate *const d = ClientPrivate::of(client);
    d->deferred = deferred;
    d->open();
    d->settle();
}

void addObserver(Client *client, const QString &name, StateObserver *observer)
{
    auto &list = ClientPrivate::of(client)->observers[name.toUtf8()];
    if (!list)
        list = std::make_shared<ObserverList>();
    list->add(observer);
}

void removeObserver(Client *client, const QString &name, StateObserver *observer)
{
    ClientPrivate *const d = ClientPrivate::of(client);
    const QByteArray key = name.toUtf8();
    if (const auto list = d->observers.value(key)) {
        list->remove(observer);
        d->forgetIfEmpty(key);
    }
}

StatePointer newest(const Client *client, const QString &name)
{
    return ClientPrivate::of(client)->get(name, QString());
}

QVariant valueOf(const Client *client, const ns_state *state)
{
    return ClientPrivate::of(client)->valueOf(state);
}

bool refuse(Client *client, ns_status status, const QString &text)
{
    return ClientPrivate::of(client)->refuse(failure(status, text));
}

ns_app *app(const Client *client)
{
    return ClientPrivate::of(client)->app;
}

int generation(const Client *client)
{
    return ClientPrivate::of(client)->closed;
}

} // namespace ClientAccess

} // namespace NanostateQt
