#include "client.h"
#include "client_p.h"
#include "clientprivate.h"
#include "codec.h"
#include "counters.h"
#include "failure.h"

#include <QtCore/qpointer.h>
#include <QtCore/qset.h>

namespace NanostateQt {

Client::Client(QObject *parent) : QObject(parent), d(new ClientPrivate(this))
{
    // For connections across threads, and for those by name.
    qRegisterMetaType<Client::State>("NanostateQt::Client::State");
    qRegisterMetaType<Client::Error>("NanostateQt::Client::Error");
    qRegisterMetaType<Client::Presence>("NanostateQt::Client::Presence");
}

Client::Client(const QString &identity, const QString &url, QObject *parent) : Client(parent)
{
    d->identity = identity;
    d->url = url;
}

Client::~Client()
{
    // No handler may see a half-destroyed object.
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
        // A refusal of the other identity is no error of this one.
        d->linkFailure = Failure();
        d->open();
    }
    const QPointer<Client> alive(this);
    Q_EMIT identityChanged();
    if (alive)
        d->settle();
}

template<typename T>
void ClientPrivate::change(T *property, const T &value, void (Client::*changed)())
{
    if (value == *property)
        return;
    *property = value;
    reconnect();
    const QPointer<Client> alive(q);
    Q_EMIT (q->*changed)();
    if (alive)
        settle();
}

QString Client::url() const
{
    return d->url;
}

void Client::setUrl(const QString &url)
{
    d->change(&d->url, url, &Client::urlChanged);
}

QString Client::ca() const
{
    return d->ca;
}

void Client::setCa(const QString &file)
{
    d->change(&d->ca, file, &Client::caChanged);
}

QString Client::pin() const
{
    return d->pin;
}

void Client::setPin(const QString &pin)
{
    d->change(&d->pin, pin, &Client::pinChanged);
}

QString Client::token() const
{
    return d->token;
}

void Client::setToken(const QString &token)
{
    d->change(&d->token, token, &Client::tokenChanged);
}

bool Client::clearToken() const
{
    return d->clearToken;
}

void Client::setClearToken(bool clear)
{
    d->change(&d->clearToken, clear, &Client::clearTokenChanged);
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
    // Reports the end of an earlier failure before a new one can occur.
    if (d->settle()) {
        d->open();
        d->settle();
    }
}

Client::State Client::state() const
{
    return d->state;
}

bool Client::isSynced() const
{
    return d->isSynced();
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
    return publish(name, value, PublishOptions());
}

bool Client::publish(const QString &name, const QVariant &value, const PublishOptions &options)
{
    QByteArray utf8;
    QByteArray encoded;
    return d->checkSend(name, value, "published", &utf8, &encoded) && d->publish(utf8, encoded, options);
}

bool Client::publishBytes(const QString &name, const QByteArray &bytes)
{
    QByteArray utf8;
    if (!d->checkSend(name, "published", &utf8))
        return false;
    return d->sent(utf8, ns_app_send_bytes(d->app, utf8.constData(), bytes.constData(), size_t(bytes.size())));
}

bool Client::clear(const QString &name)
{
    QByteArray utf8;
    if (!d->checkSend(name, "cleared", &utf8))
        return false;
    return d->cleared(utf8, ns_app_clear(d->app, utf8.constData()));
}

bool Client::will(const QString &name, const QVariant &value)
{
    QByteArray utf8;
    QByteArray encoded;
    if (!d->checkSend(name, value, "left as a will", &utf8, &encoded))
        return false;
    const ns_value left = ns_value_msgpack(encoded.constData(), size_t(encoded.size()));
    return d->leave(utf8, &left);
}

bool Client::willClear(const QString &name)
{
    QByteArray utf8;
    const ns_value cleared = ns_value_cleared();
    return d->checkSend(name, "left as a will", &utf8) && d->leave(utf8, &cleared);
}

bool Client::noWill(const QString &name)
{
    QByteArray utf8;
    return d->checkSend(name, "taken back", &utf8) && d->leave(utf8, nullptr);
}

bool Client::forget(const QString &sender, const QString &name, int timeout)
{
    QByteArray sender8;
    QByteArray name8;
    Failure why;
    if (!d->checkSend(name, "forgotten", &name8))
        return false;
    if (!toCString(sender, NS_ERR_IDENTITY, "the sender", &sender8, &why))
        return d->refuse(why);
    const auto tell = [=](const Failure &failed) { Q_EMIT forgotten(sender, name, failed.error, failed.text); };
    const auto call = [=](ns_app *app, int rest) {
        const ns_status status = ns_app_forget(app, sender8.constData(), name8.constData(), rest);
        return Questions::Answer{resultOf(status), tell};
    };
    return d->ask(call, timeout, Questions::Again::IfNotConnected);
}

bool Client::requestHubStats(int timeout)
{
    const auto call = [=](ns_app *app, int rest) {
        ns_hub_stats_t stats;
        const Failure why = resultOf(ns_app_hub_stats(app, rest, &stats, sizeof stats));
        const QVariantMap counters = why ? QVariantMap() : countersOf(stats);
        const auto tell = [=](const Failure &failed) {
            Q_EMIT hubStatsReceived(failed ? QVariantMap() : counters, failed.error, failed.text);
        };
        return Questions::Answer{why, tell};
    };
    return d->ask(call, timeout, Questions::Again::Always);
}

bool Client::requestHubPeers(int timeout)
{
    const auto call = [=](ns_app *app, int rest) {
        QVariantList peers;
        const auto add = [](ns_app *, const ns_peer_stats_t *peer, void *ctx) {
            static_cast<QVariantList *>(ctx)->append(countersOf(*peer));
            return true;
        };
        const Failure why = resultOf(ns_app_each_hub_peer(app, rest, add, &peers, sizeof(ns_peer_stats_t)));
        const auto tell = [=](const Failure &failed) {
            Q_EMIT hubPeersReceived(failed ? QVariantList() : peers, failed.error, failed.text);
        };
        return Questions::Answer{why, tell};
    };
    return d->ask(call, timeout, Questions::Again::Always);
}

QStringList Client::subscriptions() const
{
    return d->subscriptions.list();
}

void Client::setSubscriptions(const QStringList &patterns)
{
    QStringList unique = patterns;
    unique.removeDuplicates();
    d->setOwnSubscriptions(unique);
}

void Client::resetSubscriptions()
{
    d->setOwnSubscriptions(std::nullopt);
}

bool Client::subscribe(const QString &pattern)
{
    QStringList patterns = d->subscriptions.own().value_or(QStringList());
    if (!patterns.contains(pattern))
        patterns.append(pattern);
    return d->setOwnSubscriptions(patterns);
}

bool Client::unsubscribe(const QString &pattern)
{
    QStringList patterns = subscriptions();
    if (!patterns.removeOne(pattern)) {
        return d->refuse(
            failure(NS_ERR_NOT_FOUND, QStringLiteral("\"%1\" is not subscribed to").arg(pattern)));
    }
    return d->setOwnSubscriptions(patterns);
}

QVariant Client::value(const QString &name, const QString &sender) const
{
    const StatePointer state = d->get(name, sender);
    return state ? d->valueOf(state.get()) : QVariant();
}

bool Client::isStale(const QString &name, const QString &sender) const
{
    const StatePointer state = d->get(name, sender);
    return ClientAccess::isStale(this, state.get());
}

QStringList Client::peers() const
{
    d->watchPeers();
    return d->others.identities();
}

void Client::connectNotify(const QMetaMethod &signal)
{
    static const QMetaMethod presence = QMetaMethod::fromSignal(&Client::presenceChanged);
    static const QMetaMethod peers = QMetaMethod::fromSignal(&Client::peersChanged);
    static const QMetaMethod stale = QMetaMethod::fromSignal(&Client::staleChanged);
    if (signal == presence || signal == peers)
        // It may be another thread that connects.
        QMetaObject::invokeMethod(this, [this]() { d->watchPeers(); }, Qt::QueuedConnection);
    if (signal == stale)
        QMetaObject::invokeMethod(this, [this]() { d->watchStale(); }, Qt::QueuedConnection);
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
    ClientPrivate::of(client)->observers.add(name.toUtf8(), observer);
}

void removeObserver(Client *client, const QString &name, StateObserver *observer)
{
    ClientPrivate::of(client)->observers.remove(name.toUtf8(), observer);
}

void use(Client *client, const QString &pattern)
{
    ClientPrivate *const d = ClientPrivate::of(client);
    if (d->subscriptions.use(pattern.toUtf8()))
        d->subscribeLater();
}

void leave(Client *client, const QString &pattern)
{
    ClientPrivate *const d = ClientPrivate::of(client);
    if (d->subscriptions.leave(pattern.toUtf8()))
        d->subscribeLater();
}

void subscribeByUse(Client *client)
{
    ClientPrivate::of(client)->subscriptions.setByUse();
}

void connectionsChanged(Client *client, const QMetaMethod &signal)
{
    static const QMetaMethod updated = QMetaMethod::fromSignal(&Client::stateUpdated);
    static const QMetaMethod cleared = QMetaMethod::fromSignal(&Client::stateCleared);
    ClientPrivate *const d = ClientPrivate::of(client);
    if (d->subscriptions.isByUse() && (signal == updated || signal == cleared))
        d->subscribeLater();
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

void watchPeers(Client *client)
{
    ClientPrivate::of(client)->watchPeers();
}

std::vector<PeerInfo> peers(const Client *client)
{
    return ClientPrivate::of(client)->others.all();
}

bool isStale(const Client *client, const ns_state *state)
{
    ClientPrivate *const d = ClientPrivate::of(client);
    d->watchStale();
    return d->app && state && ns_app_is_stale(d->app, state);
}

int generation(const Client *client)
{
    return ClientPrivate::of(client)->closed;
}

} // namespace ClientAccess

} // namespace NanostateQt
