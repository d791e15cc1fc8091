#include "shown.h"

#include <NanostateQt/private/codec.h>

#include <utility>

namespace NanostateQt {

bool isSame(const QVariant &a, const QVariant &b)
{
    return a.isValid() == b.isValid() && Codec::deepEqual(a, b);
}

void Shown::show(const QVariant &value, const QString &sender, qint64 time, bool valid)
{
    if (!isSame(value, m_value))
        m_changes |= ValueChange;
    if (sender != m_sender)
        m_changes |= SenderChange;
    if (time != m_time)
        m_changes |= TimeChange;
    if (valid != m_valid)
        m_changes |= ValidChange;
    // Equal numbers may be of different types.
    m_value = value;
    m_sender = sender;
    m_time = time;
    m_valid = valid;
}

void Shown::setPending(bool pending)
{
    if (pending != m_pending)
        m_changes |= PendingChange;
    m_pending = pending;
}

void Shown::setErrorString(const QString &text)
{
    if (text != m_errorString)
        m_changes |= ErrorChange;
    if (m_errorString.isEmpty() && !text.isEmpty())
        m_good = std::move(state);
    m_errorString = text;
}

void Shown::updateStale(const Client *client)
{
    const ns_state *const own = (m_errorString.isEmpty() ? state : m_good).get();
    bool stale = m_stale;
    if (!own || !m_valid)
        stale = false;
    else if (client && ClientAccess::app(client))
        stale = ClientAccess::isStale(client, own);
    if (stale != m_stale)
        m_changes |= StaleChange;
    m_stale = stale;
}

bool Shown::takeChange(Change change)
{
    const bool changed = m_changes & change;
    m_changes &= ~change;
    return changed;
}

} // namespace NanostateQt
