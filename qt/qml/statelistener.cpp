#include "statelistener.h"

#include <QtCore/qmetaobject.h>

namespace NanostateQt {

StateListener::StateListener(QObject *parent) : QObject(parent), FilteringClientUser(this) {}

bool StateListener::isEnabled() const
{
    return m_enabled;
}

void StateListener::setEnabled(bool enabled)
{
    if (enabled == m_enabled)
        return;
    m_enabled = enabled;
    restart();
    Q_EMIT enabledChanged();
}

void StateListener::restart()
{
    if (isComplete() && m_enabled)
        observeFiltered();
    else
        ignore();
    if (!m_enabled)
        use(QString());
}

void StateListener::stateArrived(const ns_state *state)
{
    static const QMetaMethod signal = QMetaMethod::fromSignal(&StateListener::received);
    if (!passes(state) || !isSignalConnected(signal) || isOwn(state))
        return;
    Q_EMIT received(QString::fromUtf8(ns_state_sender(state)), QString::fromUtf8(ns_state_name(state)),
                    ClientAccess::valueOf(client(), state), ns_state_retained(state));
}

void StateListener::stateCleared(const ClearedState &state)
{
    // An own value has none.
    if (state.state && passes(state.state))
        Q_EMIT cleared(QString::fromUtf8(state.sender), QString::fromUtf8(state.name), ns_state_retained(state.state));
}

} // namespace NanostateQt
