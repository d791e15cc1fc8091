#include "clientuser.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qpointer.h>

namespace NanostateQt {

bool isOwnState(const Client *client, const ns_state *state)
{
    return qstrcmp(ns_state_sender(state), ns_app_identity(ClientAccess::app(client))) == 0;
}

ClientUser::~ClientUser()
{
    ignore();
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
    m_client = client;
    if (client) {
        QObject::connect(client, &QObject::destroyed, m_object, [this]() { clientDestroyed(); });
        connectClient(client);
    }
    restart();
    if (alive)
        emitClientChanged();
}

void ClientUser::clientDestroyed()
{
    m_client = nullptr;
    // A client that is destroyed forgets its observers.
    m_observing = false;
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
    observe(isPattern ? QString() : m_nameFilter);
}

bool FilteringClientUser::passes(const ns_state *state) const
{
    return m_pattern.isEmpty() || ns_state_matches(state, m_pattern.constData());
}

} // namespace NanostateQt
