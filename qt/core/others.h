#ifndef NANOSTATEQT_OTHERS_H
#define NANOSTATEQT_OTHERS_H

// Not installed.

#include "client_p.h"

#include <QtCore/qstringlist.h>

#include <map>
#include <utility>

namespace NanostateQt {

/*! The other apps that are there, by identity and instance. */
class Others
{
public:
    /*! Whether the hub is to tell which they are. */
    bool areWanted() const { return m_wanted; }
    void want() { m_wanted = true; }

    /*! This is what happened to one. Whether the list of identities is another one now. */
    bool heard(const PeerInfo &peer)
    {
        const std::pair<QString, QString> key(peer.identity, peer.instance);
        const bool isGone = peer.presence == Client::Presence::Left || peer.presence == Client::Presence::Lost;
        if (isGone)
            return m_known.erase(key) > 0;
        const bool isSuspect = peer.presence == Client::Presence::Suspect;
        return m_known.insert_or_assign(key, isSuspect).second;
    }
    /*! Nobody is known any more. Whether anybody was. */
    bool clear() { return !std::exchange(m_known, {}).empty(); }

    QStringList identities() const
    {
        QStringList all;
        for (const auto &[key, isSuspect] : m_known)
            all.append(key.first);
        return all;
    }

    /*! Each is here or suspect. */
    std::vector<PeerInfo> all() const
    {
        std::vector<PeerInfo> all;
        for (const auto &[key, isSuspect] : m_known)
            all.push_back({key.first, key.second, isSuspect ? Client::Presence::Suspect : Client::Presence::Here});
        return all;
    }

private:
    bool m_wanted = false;
    // Whether it is suspect.
    std::map<std::pair<QString, QString>, bool> m_known;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_OTHERS_H
