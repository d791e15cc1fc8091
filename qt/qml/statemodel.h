#ifndef NANOSTATEQML_STATEMODEL_H
#define NANOSTATEQML_STATEMODEL_H

#include "clientuser.h"

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qbytearray.h>
#include <QtCore/qvariant.h>
#include <QtQml/qqmlparserstatus.h>

#include <map>
#include <vector>

namespace NanostateQt {

/*!
    The states that a client knows, own ones included: a row for the newest of each name and sender, sorted by name and
    then by sender. Roles: name, value, sender, time (a Date; undefined if it is not known).

    Rows come and change at most once per pass of the event loop, and stay while the client is not connected.
*/
class StateModel : public QAbstractListModel, public QQmlParserStatus, private ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! Of which names: `*` is one segment of a name or part of one, `**` any number of segments. Empty: of all. */
    Q_PROPERTY(QString nameFilter READ nameFilter WRITE setNameFilter NOTIFY nameFilterChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)

public:
    enum Role {
        NameRole = Qt::UserRole,
        ValueRole,
        SenderRole,
        TimeRole
    };

    explicit StateModel(QObject *parent = nullptr);
    ~StateModel() override;

    using ClientUser::client;
    void setClient(Client *client);
    QString nameFilter() const;
    void setNameFilter(const QString &nameFilter);
    int count() const;

    int rowCount(const QModelIndex &parent = QModelIndex()) const override;
    QVariant data(const QModelIndex &index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

    void classBegin() override;
    void componentComplete() override;

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
        // Decoded when it is asked for.
        mutable QVariant value;
        mutable bool decoded = false;
    };

    void stateArrived(const ns_state *state) override;
    void restart();
    void flush();
    void tellCount();
    void clientDestroyed();
    void decodeAgain();

    QString m_nameFilter;
    QByteArray m_pattern;
    bool m_complete = true;
    std::vector<Row> m_rows;
    // The newest of each since the last flush.
    std::map<Key, StatePointer> m_arrived;
    bool m_queued = false;
    bool m_flushing = false;
    // The count that was told last.
    int m_told = 0;
    // Rows are announced, and not everybody has heard of them yet; and it is to start again then.
    bool m_inserting = false;
    bool m_restart = false;
    // Counts restarts.
    int m_generation = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_STATEMODEL_H
