#include "statelistener.h"

#include "statefilter.h"

#include <QtCore/qmetaobject.h>

namespace NanostateQt {

StateListener::StateListener(QObject *parent) : QObject(parent) {}

void StateListener::setClient(Client *client)
{
    if (client == this->client())
        return;
    if (this->client())
        disconnect(this->client(), nullptr, this, nullptr);
    attach(client);
    if (client) {
        connect(client, &QObject::destroyed, this, [this]() {
            clientDied();
            Q_EMIT clientChanged();
        });
    }
    listen();
    Q_EMIT clientChanged();
}

QString StateListener::nameFilter() const
{
    return m_nameFilter;
}

void StateListener::setNameFilter(const QString &nameFilter)
{
    if (nameFilter == m_nameFilter)
        return;
    m_nameFilter = nameFilter;
    listen();
    Q_EMIT nameFilterChanged();
}

bool StateListener::isEnabled() const
{
    return m_enabled;
}

void StateListener::setEnabled(bool enabled)
{
    if (enabled == m_enabled)
        return;
    m_enabled = enabled;
    listen();
    Q_EMIT enabledChanged();
}

void StateListener::classBegin()
{
    m_complete = false;
}

void StateListener::componentComplete()
{
    m_complete = true;
    listen();
}

void StateListener::listen()
{
    if (!m_complete || !m_enabled) {
        ignore();
        return;
    }
    m_pattern = StateFilter::pattern(m_nameFilter);
    observe(StateFilter::observed(m_nameFilter));
}

void StateListener::stateArrived(const ns_state *state)
{
    static const QMetaMethod signal = QMetaMethod::fromSignal(&StateListener::received);
    if (!StateFilter::matches(state, m_pattern) || !isSignalConnected(signal))
        return;
    // Observers hear of own states as well.
    if (qstrcmp(ns_state_sender(state), ns_app_identity(ClientAccess::app(client()))) == 0)
        return;
    Q_EMIT received(QString::fromUtf8(ns_state_sender(state)), QString::fromUtf8(ns_state_name(state)),
                    ClientAccess::valueOf(client(), state));
}

} // namespace NanostateQt
