#include "counters.h"
#include "failure.h"

#include <QtCore/qstring.h>

#include <iterator>

namespace NanostateQt {

namespace {

template<typename Stats>
struct Counter
{
    const char *field;
    uint64_t Stats::*value;
};

#define NANOSTATE_COUNTER(stats, field) {#field, &stats::field}
#define OF_HUB(field) NANOSTATE_COUNTER(ns_hub_stats_t, field)
#define OF_PEER(field) NANOSTATE_COUNTER(ns_peer_stats_t, field)

constexpr Counter<ns_hub_stats_t> ofHub[] = {
    OF_HUB(peers), OF_HUB(old_peers), OF_HUB(joined), OF_HUB(refused_peers), OF_HUB(states), OF_HUB(table_bytes),
    OF_HUB(unfinished_bytes), OF_HUB(messages_in), OF_HUB(bytes_in), OF_HUB(messages_out), OF_HUB(bytes_out),
    OF_HUB(conflated), OF_HUB(withheld), OF_HUB(refused), OF_HUB(stale), OF_HUB(ahead), OF_HUB(too_large),
    OF_HUB(foreign_sender), OF_HUB(reserved), OF_HUB(malformed), OF_HUB(outbox_bytes), OF_HUB(memory_bytes),
    OF_HUB(stored), OF_HUB(store_failed), OF_HUB(uptime_ms), OF_HUB(withheld_unaccepted), OF_HUB(withheld_structured),
    OF_HUB(withheld_large), OF_HUB(withheld_cleared), OF_HUB(refused_full), OF_HUB(refused_memory),
    OF_HUB(refused_rights), OF_HUB(max_peers), OF_HUB(max_states), OF_HUB(max_table_bytes), OF_HUB(max_memory_bytes),
    OF_HUB(departed_senders)};

constexpr Counter<ns_peer_stats_t> ofPeer[] = {
    OF_PEER(messages_in), OF_PEER(bytes_in), OF_PEER(messages_out), OF_PEER(bytes_out), OF_PEER(conflated),
    OF_PEER(withheld), OF_PEER(malformed), OF_PEER(too_large), OF_PEER(outbox_bytes), OF_PEER(connection),
    OF_PEER(connected_ms), OF_PEER(withheld_unaccepted), OF_PEER(withheld_structured), OF_PEER(withheld_large),
    OF_PEER(withheld_cleared), OF_PEER(refused), OF_PEER(refused_full), OF_PEER(refused_memory),
    OF_PEER(refused_rights), OF_PEER(stale), OF_PEER(ahead), OF_PEER(foreign_sender), OF_PEER(reserved)};

// What is 0 or 1.
constexpr Counter<ns_peer_stats_t> flagsOfPeer[] = {OF_PEER(old), OF_PEER(live), OF_PEER(suspect)};

// Nothing that the header has is missing, except malformed_by, which hubs do not tell to apps.
static_assert(sizeof(ns_hub_stats_t)
              == std::size(ofHub) * sizeof(uint64_t) + sizeof(ns_hub_stats_t::malformed_by));
static_assert(sizeof(ns_peer_stats_t)
              == (std::size(ofPeer) + std::size(flagsOfPeer)) * sizeof(uint64_t) + sizeof(ns_peer_stats_t::identity)
                  + sizeof(ns_peer_stats_t::from));

// "messagesIn" for "messages_in".
QString camelCase(const char *field)
{
    QString name;
    bool isUpper = false;
    for (; *field; ++field) {
        const auto letter = QLatin1Char(*field);
        if (letter != QLatin1Char('_'))
            name += isUpper ? QChar(letter).toUpper() : QChar(letter);
        isUpper = letter == QLatin1Char('_');
    }
    return name;
}

template<typename Stats, typename List>
void add(const Stats &stats, const List &list, QVariantMap *out)
{
    for (const auto &counter : list)
        out->insert(camelCase(counter.field), qulonglong(stats.*counter.value));
}

} // namespace

QVariantMap countersOf(const ns_hub_stats_t &hub)
{
    QVariantMap counters;
    add(hub, ofHub, &counters);
    return counters;
}

QVariantMap countersOf(const ns_peer_stats_t &peer)
{
    QVariantMap counters{{QStringLiteral("identity"), fromCString(peer.identity)},
                         {QStringLiteral("from"), fromCString(peer.from)}};
    add(peer, ofPeer, &counters);
    for (const auto &flag : flagsOfPeer)
        counters.insert(camelCase(flag.field), peer.*flag.value != 0);
    return counters;
}

} // namespace NanostateQt
