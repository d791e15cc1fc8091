#include "arrivals.h"

#include "failure.h"

#include <algorithm>
#include <utility>

namespace NanostateQt {

namespace {

// Whether the hub refused the app, which then tries again by itself. After other failures the app can no longer be
// used.
bool isRefusal(ns_status status)
{
    return status != NS_OK && status != NS_ERR_TIMEOUT && status != NS_ERR_INTERRUPTED && status != NS_ERR_CLOSED
        && status != NS_ERR_STATE && status != NS_ERR_INTERNAL && status != NS_ERR_NO_MEMORY && status != NS_ERR_IO;
}

} // namespace

ns_status Arrivals::listenTo(ns_app *app)
{
    const ns_status status = ns_app_on_link(app, queueLink, this);
    return status == NS_OK ? ns_app_on_synced(app, queueSynced, this) : status;
}

ns_status Arrivals::watchPeers(ns_app *app)
{
    return ns_app_on_presence(app, queuePeer, this);
}

ns_status Arrivals::watchStale(ns_app *app)
{
    return ns_app_on_stale(app, queueStale, this);
}

ns_status Arrivals::take(ns_app *app, Arrival *out)
{
    while (m_queue.empty()) {
        ns_state *received = nullptr;
        // Everything else enters the queue inside this call, and is older than the state.
        const ns_status status = ns_app_recv(app, 0, &received);
        StatePointer state(received);
        if (state && m_queue.empty()) {
            *out = std::move(state);
            return NS_OK;
        }
        if (state)
            m_queue.push_back(std::move(state));
        else if (m_queue.empty() && !isRefusal(status))
            return status == NS_ERR_INTERRUPTED ? NS_ERR_TIMEOUT : status;
    }
    *out = std::move(m_queue.front());
    m_queue.pop_front();
    return NS_OK;
}

ns_status Arrivals::dropLink(ns_app *app)
{
    ns_status status;
    do {
        status = ns_app_dispatch(app, 0, 0);
    } while (status == NS_OK || status == NS_ERR_INTERRUPTED || isRefusal(status));
    drop([](const Arrival &arrival) { return std::holds_alternative<LinkChange>(arrival) || std::holds_alternative<Synced>(arrival); });
    return status;
}

ns_status Arrivals::expectSynced(ns_app *app)
{
    drop([](const Arrival &arrival) { return std::holds_alternative<Synced>(arrival); });
    // The hub may have sent all of it by now. To set the function has it called for that, too.
    return ns_app_on_synced(app, queueSynced, this);
}

template<typename Unwanted>
void Arrivals::drop(Unwanted unwanted)
{
    m_queue.erase(std::remove_if(m_queue.begin(), m_queue.end(), unwanted), m_queue.end());
}

void Arrivals::queueLink(ns_app *, ns_link link, ns_status why, const char *text, void *ctx)
{
    static_cast<Arrivals *>(ctx)->m_queue.push_back(LinkChange{link, why, fromCString(text)});
}

void Arrivals::queueSynced(ns_app *, void *ctx)
{
    static_cast<Arrivals *>(ctx)->m_queue.push_back(Synced());
}

void Arrivals::queueStale(ns_app *, const char *sender, void *ctx)
{
    static_cast<Arrivals *>(ctx)->m_queue.push_back(StaleSender{fromCString(sender)});
}

void Arrivals::queuePeer(ns_app *, ns_presence event, const char *identity, const uint8_t *instance, void *ctx)
{
    const QByteArray bytes(reinterpret_cast<const char *>(instance), 16);
    static_cast<Arrivals *>(ctx)->m_queue.push_back(
        PeerInfo{fromCString(identity), QString::fromLatin1(bytes.toHex()), static_cast<Client::Presence>(event)});
}

} // namespace NanostateQt
