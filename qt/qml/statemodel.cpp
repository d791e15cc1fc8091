#include "statemodel.h"

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace NanostateQt {

namespace {

QByteArray keyOf(const char *name, const char *sender)
{
    QByteArray key(name);
    key.append('\0');
    key.append(sender);
    return key;
}

QByteArray keyOf(const ns_state *state)
{
    return keyOf(ns_state_name(state), ns_state_sender(state));
}

} // namespace

StateModel::StateModel(QObject *parent) : QAbstractListModel(parent), FilteringClientUser(this)
{
    // The first connections, so that count is right before any other slot of these signals runs.
    connect(this, &QAbstractItemModel::rowsInserted, this, &StateModel::tellCount);
    connect(this, &QAbstractItemModel::rowsRemoved, this, &StateModel::tellCount);
    connect(this, &QAbstractItemModel::modelReset, this, &StateModel::tellCount);
}

StateModel::~StateModel() = default;

void StateModel::connectClient(Client *client)
{
    connect(client, &Client::bytesAsTextChanged, this, &StateModel::decodeAgain);
}

// Tells of the rows of this sender, or of all, that are stale now, or no longer.
void StateModel::staleMayChange(const QString &sender)
{
    // Without an app it stays as it was.
    if (!ClientAccess::app(client()))
        return;
    const QByteArray of = sender.toUtf8();
    const auto hasChanged = [&](const Row &row) {
        const ns_state *const state = row.state.get();
        if (!of.isEmpty() && of != ns_state_sender(state))
            return false;
        const bool stale = ClientAccess::isStale(client(), state);
        return std::exchange(row.stale, stale) != stale;
    };
    std::vector<std::pair<int, int>> changed;
    for (int i = 0; i < count(); ++i) {
        if (!hasChanged(m_rows[size_t(i)]))
            continue;
        if (!changed.empty() && changed.back().second == i - 1)
            changed.back().second = i;
        else
            changed.emplace_back(i, i);
    }
    const QPointer<StateModel> alive(this);
    const int generation = m_generation;
    for (const auto &[first, last] : changed) {
        // A slot may remove rows; whoever looks again sees how they are.
        if (!alive || generation != m_generation || last >= count())
            return;
        Q_EMIT dataChanged(index(first), index(last), {StaleRole});
    }
}

int StateModel::count() const
{
    return int(m_rows.size());
}

int StateModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : count();
}

QVariant StateModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return QVariant();
    const Row &row = m_rows[size_t(index.row())];
    switch (role) {
    case NameRole:
        return QString::fromUtf8(ns_state_name(row.state.get()));
    case SenderRole:
        return QString::fromUtf8(ns_state_sender(row.state.get()));
    case ValueRole:
        // Without a client the rows are about to be removed.
        if (!row.decoded && client()) {
            row.value = ClientAccess::valueOf(client(), row.state.get());
            row.decoded = true;
        }
        return row.value;
    case TimeRole:
        return timeOf(ns_state_time(row.state.get()));
    case RetainedRole:
        return ns_state_retained(row.state.get());
    case StaleRole:
        const_cast<StateModel *>(this)->askStale();
        // Without an app it stays as it was.
        if (client() && ClientAccess::app(client()))
            row.stale = ClientAccess::isStale(client(), row.state.get());
        return row.stale;
    default:
        return QVariant();
    }
}

QHash<int, QByteArray> StateModel::roleNames() const
{
    return {{NameRole, "name"},
            {ValueRole, "value"},
            {SenderRole, "sender"},
            {TimeRole, "time"},
            {RetainedRole, "retained"},
            {StaleRole, "stale"}};
}

void StateModel::stateArrived(const ns_state *state)
{
    if (!passes(state))
        return;
    m_arrived[keyOf(state)].reset(ns_state_ref(state));
    flushLater();
}

void StateModel::stateCleared(const ClearedState &state)
{
    // Where there is no row, flush() has nothing to do.
    m_arrived[keyOf(state.name, state.sender)].reset();
    flushLater();
}

void StateModel::clientSynced()
{
    // An app that has just joined is not told what was withdrawn before; it does not know it.
    const int generation = ClientAccess::generation(client());
    if (generation != m_appGeneration) {
        m_appGeneration = generation;
        ns_app *const app = ClientAccess::app(client());
        for (const Row &row : m_rows) {
            ns_state *known = nullptr;
            const char *const sender = ns_state_sender(row.state.get());
            if (!isOwnSender(client(), sender) && m_arrived.find(row.key) == m_arrived.end()
                && ns_app_get(app, sender, ns_state_name(row.state.get()), &known) == NS_ERR_NOT_FOUND)
                m_arrived[row.key].reset();
            ns_state_free(known);
        }
    }
    flush();
}

void StateModel::flushLater()
{
    if (m_queued)
        return;
    m_queued = true;
    QMetaObject::invokeMethod(this, &StateModel::flush, Qt::QueuedConnection);
}

void StateModel::restart()
{
    if (!isComplete())
        return;
    if (m_changing) {
        m_restart = true;
        return;
    }
    ++m_generation;
    beginResetModel();
    m_rows.clear();
    m_arrived.clear();
    ignore();
    if (client()) {
        m_appGeneration = ClientAccess::generation(client());
        observeFiltered();
        if (ns_app *const app = ClientAccess::app(client())) {
            const QByteArray filter = nameFilter().toUtf8();
            const auto add = [](ns_app *, const ns_state *state, void *ctx) {
                static_cast<std::vector<Row> *>(ctx)->emplace_back(keyOf(state), state);
                return true;
            };
            ns_app_each(app, filter.isEmpty() ? nullptr : filter.constData(), add, &m_rows);
            std::sort(m_rows.begin(), m_rows.end(), [](const Row &a, const Row &b) { return a.key < b.key; });
        }
    }
    endResetModel();
}

void StateModel::tellCount()
{
    if (m_told == count())
        return;
    m_told = count();
    Q_EMIT countChanged();
}

void StateModel::flush()
{
    // This call runs in the event loop of a slot that flush() called. The outer call queues another one at its end.
    if (m_flushing)
        return;
    m_flushing = true;
    m_queued = false;
    const auto arrived = std::exchange(m_arrived, {});
    // A slot may delete the model or restart it.
    const QPointer<StateModel> alive(this);
    const int generation = m_generation;

    auto next = arrived.begin();
    size_t at = 0;
    const auto seek = [&]() {
        const auto found = std::lower_bound(m_rows.begin() + std::ptrdiff_t(at), m_rows.end(), next->first,
                                            [](const Row &row, const Key &key) { return row.key < key; });
        at = size_t(found - m_rows.begin());
        return found != m_rows.end() && found->key == next->first;
    };
    while (next != arrived.end()) {
        const bool known = seek();
        const size_t first = at;
        if (!next->second) {
            size_t count = 0;
            while (next != arrived.end() && !next->second && first + count < m_rows.size()
                   && m_rows[first + count].key == next->first) {
                ++count;
                ++next;
            }
            if (count == 0)
                ++next;
            else if (!removeRowsAt(first, count))
                return;
        } else if (known) {
            do {
                Row &row = m_rows[at++];
                row.state.reset(ns_state_ref(next->second.get()));
                row.decoded = false;
            } while (++next != arrived.end() && next->second && at < m_rows.size() && m_rows[at].key == next->first);
            Q_EMIT dataChanged(index(int(first)), index(int(at) - 1), {ValueRole, TimeRole, RetainedRole, StaleRole});
        } else {
            std::vector<Row> rows;
            do {
                rows.emplace_back(next->first, next->second.get());
            } while (++next != arrived.end() && next->second
                     && (at == m_rows.size() || next->first < m_rows[at].key));
            m_changing = true;
            beginInsertRows(QModelIndex(), int(first), int(first + rows.size()) - 1);
            at += rows.size();
            m_rows.insert(m_rows.begin() + std::ptrdiff_t(first), std::make_move_iterator(rows.begin()),
                          std::make_move_iterator(rows.end()));
            endInsertRows();
            if (!alive || !endChange())
                return;
        }
        if (!alive)
            return;
        if (generation != m_generation)
            break;
    }
    m_flushing = false;
    if (m_queued)
        QMetaObject::invokeMethod(this, &StateModel::flush, Qt::QueuedConnection);
}

bool StateModel::removeRowsAt(size_t first, size_t count)
{
    const QPointer<StateModel> alive(this);
    m_changing = true;
    beginRemoveRows(QModelIndex(), int(first), int(first + count) - 1);
    if (!alive)
        return false;
    const auto begin = m_rows.begin() + std::ptrdiff_t(first);
    m_rows.erase(begin, begin + std::ptrdiff_t(count));
    endRemoveRows();
    return alive && endChange();
}

// The signals of an insertion or removal have been emitted. False: a slot deleted the model.
bool StateModel::endChange()
{
    const QPointer<StateModel> alive(this);
    m_changing = false;
    if (std::exchange(m_restart, false))
        restart();
    return alive;
}

void StateModel::decodeAgain()
{
    for (Row &row : m_rows)
        row.decoded = false;
    if (!m_rows.empty())
        Q_EMIT dataChanged(index(0), index(count() - 1), {ValueRole});
}

} // namespace NanostateQt
