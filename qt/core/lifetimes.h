#ifndef NANOSTATEQT_LIFETIMES_H
#define NANOSTATEQT_LIFETIMES_H

// Not installed.

#include <QtCore/qbytearray.h>
#include <QtCore/qdeadlinetimer.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

namespace NanostateQt {

/*! When the values expire that a client has published with a time to live. The app withdraws them, and does not tell. */
class Lifetimes
{
public:
    /*! A value of this name was published with this time to live; 0: without one. */
    void set(const QByteArray &name, std::chrono::milliseconds life)
    {
        if (life.count() > 0)
            m_ends[name] = QDeadlineTimer(life, Qt::PreciseTimer);
        else
            m_ends.erase(name);
    }
    void clear() { m_ends.clear(); }

    /*! The names of the values that have expired. */
    std::vector<QByteArray> expired() const
    {
        std::vector<QByteArray> names;
        for (const auto &[name, end] : m_ends) {
            if (end.hasExpired())
                names.push_back(name);
        }
        return names;
    }
    /*! The time until the next one expires; nothing if there is none. */
    std::optional<std::chrono::milliseconds> rest() const
    {
        std::optional<std::chrono::milliseconds> least;
        for (const auto &[name, end] : m_ends) {
            const std::chrono::milliseconds rest(end.remainingTime());
            least = least ? std::min(*least, rest) : rest;
        }
        return least;
    }

private:
    std::map<QByteArray, QDeadlineTimer> m_ends;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_LIFETIMES_H
