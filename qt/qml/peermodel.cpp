#include "peermodel.h"

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>

#include <tuple>

namespace NanostateQt {

namespace {

bool isBefore(const PeerInfo &a, const PeerInfo &b)
{
    return std::tie(a.identity, a.instance) < std::tie(b.identity, b.instance);
}

} // namespace

PeerModel::PeerModel(QObject *parent) : QAbstractListModel(parent), ClientUser(this)
{
    // The first connections, so that count is right before any other slot of these signals runs.
    connect(this, &QAbstractItemModel::rowsInserted, this, &PeerModel::tellCount);
    connect(this, &QAbstractItemModel::rowsRemoved, this, &PeerModel::tellCount);
}

void PeerModel::connectClient(Client *client)
{
    ClientAccess::watchPeers(client);
    connect(client, &Client::presenceChanged, this, &PeerModel::updateLater);
    connect(client, &Client::peersChanged, this, &PeerModel::updateLater);
}

int PeerModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

QVariant PeerModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return QVariant();
    const PeerInfo &row = m_rows[size_t(index.row())];
    switch (role) {
    case IdentityRole:
        return row.identity;
    case PresenceRole:
        return int(row.presence);
    case InstanceRole:
        return row.instance;
    default:
        return QVariant();
    }
}

QHash<int, QByteArray> PeerModel::roleNames() const
{
    return {{IdentityRole, "identity"}, {PresenceRole, "presence"}, {InstanceRole, "instance"}};
}

void PeerModel::tellCount()
{
    if (m_told == count())
        return;
    m_told = count();
    Q_EMIT countChanged();
}

void PeerModel::updateLater()
{
    if (m_queued)
        return;
    m_queued = true;
    QMetaObject::invokeMethod(this, &PeerModel::update, Qt::QueuedConnection);
}

void PeerModel::update()
{
    m_queued = false;
    // This call runs in the event loop of a slot that update() called. The outer call takes the next step.
    if (m_updating)
        return;
    m_updating = true;
    // A slot may delete the model, or change its client.
    const QPointer<PeerModel> alive(this);
    while (step()) {
        if (!alive)
            return;
    }
    m_updating = false;
}

bool PeerModel::step()
{
    const std::vector<PeerInfo> known = client() ? ClientAccess::peers(client()) : std::vector<PeerInfo>();
    for (size_t at = 0; at < m_rows.size() || at < known.size(); ++at) {
        const auto isGone = [&](size_t row) {
            return row < m_rows.size() && (at == known.size() || isBefore(m_rows[row], known[at]));
        };
        const auto isNew = [&](size_t row) {
            return row < known.size() && (at == m_rows.size() || isBefore(known[row], m_rows[at]));
        };
        size_t end = at;
        if (isGone(at)) {
            while (isGone(end))
                ++end;
            const QPointer<PeerModel> alive(this);
            beginRemoveRows(QModelIndex(), int(at), int(end) - 1);
            if (!alive)
                return true;
            m_rows.erase(m_rows.begin() + std::ptrdiff_t(at), m_rows.begin() + std::ptrdiff_t(end));
            endRemoveRows();
            return true;
        }
        if (isNew(at)) {
            while (isNew(end))
                ++end;
            const QPointer<PeerModel> alive(this);
            beginInsertRows(QModelIndex(), int(at), int(end) - 1);
            if (!alive)
                return true;
            m_rows.insert(m_rows.begin() + std::ptrdiff_t(at), known.begin() + std::ptrdiff_t(at),
                          known.begin() + std::ptrdiff_t(end));
            endInsertRows();
            return true;
        }
        if (m_rows[at].presence != known[at].presence) {
            m_rows[at].presence = known[at].presence;
            Q_EMIT dataChanged(index(int(at)), index(int(at)), {PresenceRole});
            return true;
        }
    }
    return false;
}

} // namespace NanostateQt
