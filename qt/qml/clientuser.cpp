#include "clientuser.h"

namespace NanostateQt {

ClientUser::~ClientUser()
{
    attach(nullptr);
}

void ClientUser::attach(Client *client)
{
    ignore();
    m_client = client;
}

void ClientUser::clientDied()
{
    m_client = nullptr;
    m_observing = false;
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

} // namespace NanostateQt
