#ifndef NANOSTATEQML_STATEFILTER_H
#define NANOSTATEQML_STATEFILTER_H

#include <nanostate.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>

namespace NanostateQt {

/*! What to observe of a client, and what to match, for a nameFilter: a name, a pattern of the C API, or empty. */
namespace StateFilter {

inline bool isPattern(const QString &nameFilter)
{
    return nameFilter.contains(QLatin1Char('*'));
}

/*! The name to observe; empty: all. */
inline QString observed(const QString &nameFilter)
{
    return isPattern(nameFilter) ? QString() : nameFilter;
}

/*! What is left to match of the states observed; empty: nothing. */
inline QByteArray pattern(const QString &nameFilter)
{
    return isPattern(nameFilter) ? nameFilter.toUtf8() : QByteArray();
}

inline bool matches(const ns_state *state, const QByteArray &pattern)
{
    return pattern.isEmpty() || ns_state_matches(state, pattern.constData());
}

} // namespace StateFilter
} // namespace NanostateQt

#endif // NANOSTATEQML_STATEFILTER_H
