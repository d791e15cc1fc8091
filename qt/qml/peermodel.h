#ifndef NANOSTATEQML_PEERMODEL_H
#define NANOSTATEQML_PEERMODEL_H

#include "clientuser.h"

#include <QtCore/qabstractitemmodel.h>

#include <vector>

namespace NanostateQt {

/*!
    The other apps that are connected to the client's hub, sorted by identity. Roles: identity, which several apps may share;
    presence, which is NanostateClient.Here or NanostateClient.Suspect; instance, which tells apps apart.

    Rows are added, change and go at most once per pass of the event loop. They stay while the client reconnects, and go
    when it is not active.
*/
class PeerModel : public QAbstractListModel, public ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)

public:
    enum Role {
        IdentityRole = Qt::UserRole,
        PresenceRole,
        InstanceRole
    };

    explicit PeerModel(QObject *parent = nullptr);

    int count() const { return int(m_rows.size()); }

    int rowCount(const QModelIndex &parent = QModelIndex()) const override;
    QVariant data(const QModelIndex &index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void clientChanged();
    void countChanged();

private:
    // Says nothing: who is there comes by the client's signals.
    void stateArrived(const ns_state *) override {}
    void connectClient(Client *client) override;
    void restart() override { updateLater(); }
    void emitClientChanged() override { Q_EMIT clientChanged(); }
    void tellCount();
    void updateLater();
    void update();
    // Makes the first rows that differ what the client knows. False: none does.
    bool step();

    std::vector<PeerInfo> m_rows;
    bool m_queued = false;
    bool m_updating = false;
    // The count at the last countChanged.
    int m_told = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_PEERMODEL_H
