#include "clientprivate.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qdeadlinetimer.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qsocketnotifier.h>
#include <QtCore/qtimer.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace NanostateQt {

namespace {

// How long one pass may take before the rest of the event loop gets its turn, in milliseconds: a quarter of a frame.
constexpr int PassMillis = 4;

// The shortest and the longest time between two looks for own values that have expired.
constexpr std::chrono::milliseconds OftenExpire(10);
constexpr std::chrono::hours RarelyExpire(1);

} // namespace

bool ClientPrivate::settle()
{
    if (isSettled())
        return true;
    const Moment before(this);
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
        } else if (told.synced != isSynced()) {
            told.synced = isSynced();
            Q_EMIT q->syncedChanged();
        } else if (told.peersChanges != peersChanges) {
            told.peersChanges = peersChanges;
            Q_EMIT q->peersChanged();
        } else {
            const Failure now = failureNow();
            told.failure = now;
            Q_EMIT q->errorChanged();
            if (before.exists() && now && now == failureNow())
                Q_EMIT q->errorOccurred(now.error, now.text);
        }
        if (!before.exists())
            return false;
    }
    return true;
}

bool ClientPrivate::isSettled() const
{
    return told.active == active && told.state == state && told.connected == (state == Client::State::Connected)
        && told.synced == isSynced() && told.peersChanges == peersChanges && told.failure == failureNow();
}

void ClientPrivate::open()
{
    if (app || !active || deferred)
        return;
    Failure why;
    QByteArray utf8;
    if (!toCString(identity, NS_ERR_IDENTITY, "the identity", &utf8, &why))
        return giveUp(why);
    if (const ns_status status = ns_app_new(utf8.constData(), &app))
        return giveUp(lastFailure(status));
    if (const ns_status status = arrivals.listenTo(app))
        return giveUp(lastFailure(status));
    if (others.areWanted()) {
        if (const ns_status status = arrivals.watchPeers(app))
            return giveUp(lastFailure(status));
    }
    if (wantsStale) {
        if (const ns_status status = arrivals.watchStale(app))
            return giveUp(lastFailure(status));
    }
    subscriptions.forgetApp();
    if (subscribe())
        connectApp();
}

bool ClientPrivate::subscribe()
{
    static const QMetaMethod updated = QMetaMethod::fromSignal(&Client::stateUpdated);
    static const QMetaMethod cleared = QMetaMethod::fromSignal(&Client::stateCleared);
    const bool signalUsed = q->isSignalConnected(updated) || q->isSignalConnected(cleared);
    bool asks = false;
    ns_status status = subscriptions.tell(app, signalUsed, &asks);
    if (status == NS_OK && asks) {
        loseSynced();
        status = arrivals.expectSynced(app);
    }
    if (status == NS_OK)
        return true;
    giveUp(lastFailure(status));
    return false;
}

void ClientPrivate::watchPeers()
{
    if (others.areWanted())
        return;
    others.want();
    // Fails only if memory is short or the app is closed, of which the client hears by other ways.
    if (app)
        arrivals.watchPeers(app);
}

void ClientPrivate::watchStale()
{
    if (std::exchange(wantsStale, true))
        return;
    // As above.
    if (app)
        arrivals.watchStale(app);
}

void ClientPrivate::subscribeLater()
{
    if (subscribing || !app)
        return;
    subscribing = true;
    QMetaObject::invokeMethod(q, [this]() { subscribeNow(); }, Qt::QueuedConnection);
}

void ClientPrivate::subscribeNow()
{
    subscribing = false;
    if (app)
        subscribe();
    settle();
}

bool ClientPrivate::setOwnSubscriptions(const std::optional<QStringList> &own)
{
    Failure why;
    if (own && !Subscriptions::check(*own, &why))
        return refuse(why);
    callFailure = Failure();
    const QStringList before = subscriptions.list();
    subscriptions.setOwn(own);
    subscribeLater();
    const QPointer<Client> alive(q);
    if (before != subscriptions.list())
        Q_EMIT q->subscriptionsChanged();
    if (alive)
        settle();
    return true;
}

bool ClientPrivate::setText(ns_opt option, const QString &value, const char *what)
{
    Failure why;
    QByteArray utf8;
    if (!toCString(value, NS_ERR_INVALID, what, &utf8, &why)) {
        giveUp(why);
        return false;
    }
    if (const ns_status status = ns_app_set_text(app, option, utf8.isEmpty() ? nullptr : utf8.constData())) {
        giveUp(lastFailure(status));
        return false;
    }
    return true;
}

void ClientPrivate::connectApp()
{
    Failure why;
    QByteArray utf8;
    if (!setText(NS_OPT_TLS_CA, ca, "the ca") || !setText(NS_OPT_TLS_PIN, pin, "the pin")
        || !setText(NS_OPT_TOKEN, token, "the token"))
        return;
    if (const ns_status status = ns_app_set(app, NS_OPT_CLEAR_TOKEN, clearToken))
        return giveUp(lastFailure(status));
    if (!toCString(url, NS_ERR_URL, "the url", &utf8, &why))
        return giveUp(why);
    if (const ns_status status = ns_app_connect(app, utf8.isEmpty() ? nullptr : utf8.constData()))
        return giveUp(lastFailure(status));
    state = Client::State::Connecting;
    if (!notifier)
        listen(true);
}

void ClientPrivate::reconnect()
{
    if (!app)
        return;
    linkFailure = Failure();
    loseSynced();
    questions.reconnecting();
    if (const ns_status status = ns_app_disconnect(app))
        return giveUp(lastFailure(status));
    const ns_status status = arrivals.dropLink(app);
    if (status != NS_ERR_TIMEOUT)
        return giveUp(lastFailure(status));
    connectApp();
}

// Has the event loop call pump(). A client that is older than the QCoreApplication has no event loop yet; if it may
// wait, a posted event, which the loop handles first, tries again.
void ClientPrivate::listen(bool mayWait)
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

void ClientPrivate::close()
{
    // The notifier is deleted before its descriptor is closed. Qt allows that in its own signal, which may be the
    // caller.
    delete std::exchange(notifier, nullptr);
    if (!app)
        return;
    ns_app_close(app, ns_app_link(app) == NS_LINK_CONNECTED ? -1 : 0);
    questions.end();
    ns_app_free(std::exchange(app, nullptr));
    arrivals.clear();
    lifetimes.clear();
    if (others.clear())
        ++peersChanges;
    ++closed;
    state = Client::State::Disconnected;
    loseSynced();
}

void ClientPrivate::giveUp(const Failure &why)
{
    close();
    active = false;
    linkFailure = why;
    callFailure = Failure();
}

// One pass: reports what has arrived, until the time is up. The descriptor stays readable while there is more.
void ClientPrivate::pump()
{
    const Moment before(this);
    const QDeadlineTimer end(PassMillis);
    do {
        if (!app)
            return;
        Arrivals::Arrival arrival;
        const ns_status status = arrivals.take(app, &arrival);
        if (status == NS_ERR_TIMEOUT)
            return;
        if (status != NS_OK) {
            giveUp(lastFailure(status));
            settle();
            return;
        }
        // The descriptor does not show what is in the queue, and an event loop that a slot runs must learn of it.
        if (!arrivals.isEmpty())
            pumpLater();
        if (const auto *arrived = std::get_if<StatePointer>(&arrival)) {
            stateArrived(arrived->get());
        } else if (const auto *change = std::get_if<LinkChange>(&arrival)) {
            linkChanged(*change);
            settle();
        } else if (const auto *peer = std::get_if<PeerInfo>(&arrival)) {
            peerChanged(*peer);
        } else if (const auto *stale = std::get_if<StaleSender>(&arrival)) {
            Q_EMIT q->staleChanged(stale->sender);
        } else {
            syncedArrived();
        }
    } while (before.exists() && !end.hasExpired());
}

void ClientPrivate::pumpLater()
{
    QMetaObject::invokeMethod(q, [this]() { pump(); }, Qt::QueuedConnection);
}

void ClientPrivate::stateArrived(const ns_state *arrivedState)
{
    const char *const name = ns_state_name(arrivedState);
    if (ns_state_kind(arrivedState) == NS_KIND_CLEARED)
        return stateCleared(arrivedState);
    const Moment before(this);
    observers.tell(name, [=](StateObserver *observer) { observer->stateArrived(arrivedState); },
                   [&before]() { return before.goesOn(); });
    if (!before.goesOn())
        return;
    static const QMetaMethod updated = QMetaMethod::fromSignal(&Client::stateUpdated);
    if (!q->isSignalConnected(updated))
        return;
    Q_EMIT q->stateUpdated(fromCString(ns_state_sender(arrivedState)), fromCString(name), valueOf(arrivedState),
                           ns_state_retained(arrivedState));
}

void ClientPrivate::stateCleared(const ns_state *clearedState)
{
    const ClearedState cleared{ns_state_sender(clearedState), ns_state_name(clearedState), clearedState};
    const Moment before(this);
    observers.tell(cleared.name, [&cleared](StateObserver *observer) { observer->stateCleared(cleared); },
                   [&before]() { return before.goesOn(); });
    if (before.goesOn())
        Q_EMIT q->stateCleared(fromCString(cleared.sender), fromCString(cleared.name), ns_state_retained(clearedState));
}

void ClientPrivate::linkChanged(const LinkChange &change)
{
    // This client ended that link itself.
    if (change.link == NS_LINK_IDLE)
        return;
    state = static_cast<Client::State>(change.link);
    loseSynced();
    if (state == Client::State::Connected) {
        linkFailure = Failure();
        callFailure = Failure();
    } else if (change.why != NS_OK) {
        linkFailure = failure(change.why, change.text);
    }
}

void ClientPrivate::syncedArrived()
{
    // What observes states shows them before the client says that there are no others.
    const Moment before(this);
    const int then = unsynced;
    observers.tellAll(&StateObserver::clientSynced, [&before]() { return before.goesOn(); });
    if (!before.goesOn() || then != unsynced)
        return;
    synced = true;
    settle();
}

void ClientPrivate::peerChanged(const PeerInfo &peer)
{
    if (others.heard(peer))
        ++peersChanges;
    const Moment before(this);
    Q_EMIT q->presenceChanged(peer.identity, peer.presence, peer.instance);
    if (before.exists())
        settle();
}

void ClientPrivate::loseSynced()
{
    synced = false;
    ++unsynced;
}

bool ClientPrivate::tellClosing()
{
    if (!app)
        return true;
    const Moment before(this);
    observers.tellAll(&StateObserver::clientClosing, [&before]() { return before.exists(); });
    return before.exists();
}

bool ClientPrivate::checkSend(const QString &name, const char *done, QByteArray *utf8)
{
    if (!app) {
        return refuse(failure(NS_ERR_STATE,
                              QStringLiteral("\"%1\" was not %2: not active").arg(name, QLatin1String(done))));
    }
    Failure why;
    return toCString(name, NS_ERR_NAME, "the name", utf8, &why) || refuse(why);
}

bool ClientPrivate::checkSend(const QString &name, const QVariant &value, const char *done, QByteArray *utf8,
                              QByteArray *encoded)
{
    if (!checkSend(name, done, utf8))
        return false;
    Codec::Error error;
    return Codec::encode(value, encoded, &error)
        || refuse(failure(error.status, QStringLiteral("\"%1\": %2").arg(name, error.text)));
}

bool ClientPrivate::publish(const QByteArray &utf8, const QByteArray &encoded, const PublishOptions &options)
{
    const auto size = size_t(encoded.size());
    if (!options.transient && options.timeToLive.count() == 0)
        return sent(utf8, ns_app_send_msgpack(app, utf8.constData(), encoded.constData(), size));
    ns_key *made = nullptr;
    if (const ns_status status = ns_app_key(app, utf8.constData(), &made))
        return refuse(lastFailure(status));
    const std::unique_ptr<ns_key, decltype(&ns_key_free)> key(made, ns_key_free);
    ns_key_set(made, NS_OPT_KEY_TRANSIENT, options.transient);
    if (const ns_status status = ns_key_set(made, NS_OPT_KEY_TTL_MS, options.timeToLive.count())) {
        const QString why = QStringLiteral("\"%1\" was not published, for its timeToLive: %2");
        return refuse(failure(status, why.arg(fromCString(utf8.constData()), lastFailure(status).text)));
    }
    return sent(utf8, ns_key_send(made, ns_value_msgpack(encoded.constData(), size)), options.timeToLive);
}

bool ClientPrivate::leave(const QByteArray &utf8, const ns_value *will)
{
    ns_key *key = nullptr;
    ns_status status = ns_app_key(app, utf8.constData(), &key);
    if (status == NS_OK)
        status = ns_key_will(key, will);
    callFailure = resultOf(status);
    ns_key_free(key);
    settle();
    return status == NS_OK;
}

bool ClientPrivate::sent(const QByteArray &utf8, ns_status status, std::chrono::milliseconds life)
{
    if (status != NS_OK)
        return refuse(lastFailure(status));
    callFailure = Failure();
    lifetimes.set(utf8, life);
    if (life.count() > 0)
        expireLater(life);
    const Moment before(this);
    if (observers.has(utf8)) {
        ns_state *own = nullptr;
        if (ns_app_get(app, ns_app_identity(app), utf8.constData(), &own) == NS_OK) {
            const StatePointer owner(own);
            observers.tell(utf8.constData(), [own](StateObserver *observer) { observer->stateArrived(own); },
                           [&before]() { return before.goesOn(); });
        }
    }
    if (before.exists())
        settle();
    return true;
}

bool ClientPrivate::cleared(const QByteArray &utf8, ns_status status)
{
    if (status != NS_OK)
        return refuse(lastFailure(status));
    callFailure = Failure();
    lifetimes.set(utf8, std::chrono::milliseconds(0));
    if (tellCleared(utf8))
        settle();
    return true;
}

bool ClientPrivate::tellCleared(const QByteArray &utf8)
{
    const Moment before(this);
    const QByteArray sender(ns_app_identity(app));
    const ClearedState state{sender.constData(), utf8.constData(), nullptr};
    observers.tell(state.name, [&state](StateObserver *observer) { observer->stateCleared(state); },
                   [&before]() { return before.goesOn(); });
    return before.exists();
}

void ClientPrivate::expireLater(std::chrono::milliseconds rest)
{
    // A QTimer cannot wait for the longest times to live.
    const auto wait = std::clamp<std::chrono::milliseconds>(rest, OftenExpire, RarelyExpire);
    const QDeadlineTimer then(wait, Qt::PreciseTimer);
    if (!expiry.hasExpired() && expiry <= then)
        return;
    expiry = then;
    // A client that was made before the QCoreApplication cannot start a timer yet.
    const auto begin = [this, wait]() {
        if (expiryTimer == nullptr) {
            expiryTimer = new QTimer(q);
            expiryTimer->setSingleShot(true);
            expiryTimer->setTimerType(Qt::PreciseTimer);
            QObject::connect(expiryTimer, &QTimer::timeout, q, [this]() { expire(); });
        }
        expiryTimer->start(wait);
    };
    QMetaObject::invokeMethod(q, begin, Qt::QueuedConnection);
}

void ClientPrivate::expire()
{
    const Moment before(this);
    for (const QByteArray &name : lifetimes.expired()) {
        ns_state *own = nullptr;
        // The app may not have withdrawn it yet.
        const ns_status status = ns_app_get(app, ns_app_identity(app), name.constData(), &own);
        ns_state_free(own);
        if (status != NS_ERR_NOT_FOUND)
            continue;
        lifetimes.set(name, std::chrono::milliseconds(0));
        tellCleared(name);
        if (!before.goesOn())
            return;
    }
    if (const auto rest = lifetimes.rest())
        expireLater(*rest);
}

bool ClientPrivate::ask(const Questions::Call &call, int timeout, Questions::Again again)
{
    if (!app)
        return refuse(failure(NS_ERR_STATE, QStringLiteral("the hub was not asked: not active")));
    const Failure why = questions.ask(app, call, timeout, again);
    return !why || refuse(why);
}

bool ClientPrivate::refuse(const Failure &why)
{
    callFailure = why;
    settle();
    return false;
}

StatePointer ClientPrivate::get(const QString &name, const QString &sender) const
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

QVariant ClientPrivate::valueOf(const ns_state *someState) const
{
    const void *data = nullptr;
    size_t size = 0;
    QVariant value;
    if (ns_state_msgpack(someState, &data, &size) == NS_OK)
        Codec::decode(data, size, &value, bytesAsText ? Codec::Bytes::AsText : Codec::Bytes::AsBytes);
    return value;
}

} // namespace NanostateQt
