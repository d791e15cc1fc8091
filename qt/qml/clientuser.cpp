#include "clientuser.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qpointer.h>

#include <utility>

namespace NanostateQt {

bool isOwnSender(const Client *client, const char *sender)
{
    return qstrcmp(sender, ns_app_identity(ClientAccess::app(client))) == 0;
}

ClientUser::~ClientUser()
{
    ignore();
    use(QString());
}

void ClientUser::setClient(Client *client)
{
    if (client == m_client)
        return;
    const QPointer<QObject> alive(m_object);
    leaveClient();
    if (!alive)
        return;
    if (m_client)
        QObject::disconnect(m_client, nullptr, m_object, nullptr);
    ignore();
    use(QString());
    m_client = client;
    if (client) {
        QObject::connect(client, &QObject::destroyed, m_object, [this]() { clientDestroyed(); });
        if (m_asksStale)
            connectStale();
        connectClient(client);
    }
    restart();
    if (alive)
        emitClientChanged();
}

bool ClientUser::askStale()
{
    if (std::exchange(m_asksStale, true))
        return false;
    if (m_client)
        connectStale();
    return true;
}

void ClientUser::connectStale()
{
    QObject::connect(m_client, &Client::staleChanged, m_object, [this](const QString &sender) { staleMayChange(sender); });
}

void ClientUser::clientDestroyed()
{
    m_client = nullptr;
    // A client that is destroyed forgets its observers and what is in use.
    m_observing = false;
    m_used.clear();
    const QPointer<QObject> alive(m_object);
    loseClient();
    if (alive)
        restart();
    if (alive)
        emitClientChanged();
}

void ClientUser::classBegin()
{
    m_complete = false;
}

void ClientUser::componentComplete()
{
    m_complete = true;
    restart();
}

void ClientUser::observe(const QString &name)
{
    ignore();
    if (!m_client)
        return;
    m_observed = name;
    m_observing = true;
    ClientAccess::addObserver(m_client, name, this);
}

void ClientUser::ignore()
{
    if (!m_observing)
        return;
    m_observing = false;
    ClientAccess::removeObserver(m_client, m_observed, this);
}

void ClientUser::use(const QString &pattern)
{
    if (!m_client || pattern == m_used)
        return;
    const QString before = std::exchange(m_used, pattern);
    if (!pattern.isEmpty())
        ClientAccess::use(m_client, pattern);
    if (!before.isEmpty())
        ClientAccess::leave(m_client, before);
}

QVariant timeOf(qint64 millis)
{
    return millis == 0 ? QVariant() : QDateTime::fromMSecsSinceEpoch(millis).toUTC();
}

void FilteringClientUser::setNameFilter(const QString &nameFilter)
{
    if (nameFilter == m_nameFilter)
        return;
    m_nameFilter = nameFilter;
    const QPointer<QObject> alive(object());
    restart();
    if (alive)
        emitNameFilterChanged();
}

void FilteringClientUser::observeFiltered()
{
    const bool isPattern = m_nameFilter.contains(QLatin1Char('*'));
    m_pattern = isPattern ? m_nameFilter.toUtf8() : QByteArray();
    use(m_nameFilter.isEmpty() ? QStringLiteral("**") : m_nameFilter);
    observe(isPattern ? QString() : m_nameFilter);
}

bool FilteringClientUser::passes(const ns_state *state) const
{
    return m_pattern.isEmpty() || ns_state_matches(state, m_pattern.constData());
}

} // namespace NanostateQt
