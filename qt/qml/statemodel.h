#ifndef NANOSTATEQML_STATEMODEL_H
#define NANOSTATEQML_STATEMODEL_H

#include "clientuser.h"

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qbytearray.h>
#include <QtCore/qvariant.h>

#include <map>
#include <vector>

namespace NanostateQt {

/*!
    The states that a client knows, own ones included: a row for the newest of each name and sender, sorted by name,
    then by sender. Roles: name, value, sender, time (a Date; undefined if it is not known), retained (whether the hub
    held the state already when the client asked for it).

    Rows are added, change and go, as their values are withdrawn, at most once per pass of the event loop. They stay while
    the client is not connected.
*/
class StateModel : public QAbstractListModel, public FilteringClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! The names to show: `*` is one segment of a name or part of one, `**` any number of segments. Empty: all. */
    Q_PROPERTY(QString nameFilter READ nameFilter WRITE setNameFilter NOTIFY nameFilterChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)

public:
    enum Role {
        NameRole = Qt::UserRole,
        ValueRole,
        SenderRole,
        TimeRole,
        RetainedRole,
        StaleRole
    };

    explicit StateModel(QObject *parent = nullptr);
    ~StateModel() override;

    int count() const;

    int rowCount(const QModelIndex &parent = QModelIndex()) const override;
    QVariant data(const QModelIndex &index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void clientChanged();
    void nameFilterChanged();
    void countChanged();

private:
    // Name and sender in UTF-8, with a NUL between them, which neither has: sorts by name, then by sender.
    using Key = QByteArray;

    struct Row
    {
        Row(const Key &key, const ns_state *state) : key(key), state(ns_state_ref(state)) {}

        Key key;
        StatePointer state;
        // Decoded on demand.
        mutable QVariant value;
        mutable bool decoded = false;
        // As it was last shown.
        mutable bool stale = false;
    };

    void stateArrived(const ns_state *state) override;
    void stateCleared(const ClearedState &state) override;
    void clientSynced() override;
    void connectClient(Client *client) override;
    void restart() override;
    void emitClientChanged() override { Q_EMIT clientChanged(); }
    void staleMayChange(const QString &sender) override;
    void emitNameFilterChanged() override { Q_EMIT nameFilterChanged(); }
    void flushLater();
    void flush();
    // Removes this row and so many behind it. False: a slot deleted the model.
    bool removeRowsAt(size_t first, size_t count);
    bool endChange();
    void tellCount();
    void decodeAgain();

    std::vector<Row> m_rows;
    // The newest state of each key since the last flush; NULL if it was withdrawn.
    std::map<Key, StatePointer> m_arrived;
    bool m_queued = false;
    bool m_flushing = false;
    // The count at the last countChanged.
    int m_told = 0;
    // Signals of an insertion or removal are being emitted, and restart() has to wait for their end.
    bool m_changing = false;
    bool m_restart = false;
    // Counts restarts.
    int m_generation = 0;
    // The app of the client from which the rows are.
    int m_appGeneration = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_STATEMODEL_H
