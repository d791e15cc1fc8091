#ifndef NANOSTATEQML_STATELISTENER_H
#define NANOSTATEQML_STATELISTENER_H

#include "clientuser.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qobject.h>
#include <QtCore/qvariant.h>
#include <QtQml/qqmlparserstatus.h>

namespace NanostateQt {

/*!
    Hears of every state of others that comes to a client, one by one: for what has to see each value of a burst.
    SharedState and StateModel see the newest at the time.
*/
class StateListener : public QObject, public QQmlParserStatus, private ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! Of which names: `*` is one segment of a name or part of one, `**` any number of segments. Empty: of all. */
    Q_PROPERTY(QString nameFilter READ nameFilter WRITE setNameFilter NOTIFY nameFilterChanged)
    /*! True at first. */
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled NOTIFY enabledChanged)

public:
    explicit StateListener(QObject *parent = nullptr);

    using ClientUser::client;
    void setClient(Client *client);
    QString nameFilter() const;
    void setNameFilter(const QString &nameFilter);
    bool isEnabled() const;
    void setEnabled(bool enabled);

    void classBegin() override;
    void componentComplete() override;

Q_SIGNALS:
    void received(const QString &sender, const QString &name, const QVariant &value);

    void clientChanged();
    void nameFilterChanged();
    void enabledChanged();

private:
    void stateArrived(const ns_state *state) override;
    void listen();

    QString m_nameFilter;
    // The filter for the C API; empty if what is observed needs none.
    QByteArray m_pattern;
    bool m_enabled = true;
    bool m_complete = true;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_STATELISTENER_H
