#ifndef NANOSTATEQT_COUNTERS_H
#define NANOSTATEQT_COUNTERS_H

// Not installed.

#include <QtCore/qvariant.h>

#include <nanostate.h>

namespace NanostateQt {

/*! The counters that a hub tells to apps, by the names of the C API in camelCase. */
QVariantMap countersOf(const ns_hub_stats_t &hub);
QVariantMap countersOf(const ns_peer_stats_t &peer);

} // namespace NanostateQt

#endif // NANOSTATEQT_COUNTERS_H
