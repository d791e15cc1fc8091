#include "arrived.h"

#include "clientuser.h"

namespace NanostateQt {

namespace {

// Whether the time of a state proves it newer than those with an earlier time. An own value has no final time before
// the hub has welcomed the client, and values of an old hub have none.
bool hasFinalTime(const Client *client, const ns_state *state)
{
    return ns_state_time(state) != 0 && !isOwnSender(client, ns_state_sender(state));
}

} // namespace

void Arrived::add(const Client *client, const ns_state *state)
{
    begin(client);
    const bool later = !m_state || ns_state_time(state) > ns_state_time(m_state.get());
    m_isNewest = (m_isFirst || (m_isNewest && later)) && hasFinalTime(client, state);
    m_isFirst = false;
    if (later)
        m_state.reset(ns_state_ref(state));
}

void Arrived::addCleared(const Client *client, const char *sender)
{
    begin(client);
    // What was earlier than the value that is withdrawn is not known here.
    m_isFirst = m_isNewest = false;
    if (m_state && qstrcmp(ns_state_sender(m_state.get()), sender) == 0)
        m_state.reset();
}

void Arrived::clear()
{
    m_state.reset();
    m_isFirst = true;
}

void Arrived::begin(const Client *client)
{
    const int generation = ClientAccess::generation(client);
    if (m_generation != generation) {
        clear();
        m_isNewest = false;
        m_generation = generation;
    }
}

StatePointer Arrived::newest(const Client *client, const QString &name, const ns_state *shown) const
{
    if (!client || !ClientAccess::app(client))
        return nullptr;
    const ns_state *const arrived = m_generation == ClientAccess::generation(client) ? m_state.get() : nullptr;
    const bool isNewest = arrived && m_isNewest
        && (!shown || (hasFinalTime(client, shown) && ns_state_time(arrived) > ns_state_time(shown)));
    StatePointer newest;
    if (!isNewest)
        newest = ClientAccess::newest(client, name);
    // The client forgets values once it has received more than it keeps.
    if (!newest && arrived)
        newest.reset(ns_state_ref(arrived));
    return newest;
}

} // namespace NanostateQt
