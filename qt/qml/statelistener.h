#ifndef NANOSTATEQML_STATELISTENER_H
#define NANOSTATEQML_STATELISTENER_H

#include "clientuser.h"

#include <QtCore/qobject.h>
#include <QtCore/qvariant.h>

namespace NanostateQt {

/*!
    Reports every state of others that a client receives, one by one, for what has to see each value of a burst.
    SharedState and StateModel show the newest at the time.
*/
class StateListener : public QObject, public FilteringClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! The names to report: `*` is one segment of a name or part of one, `**` any number of segments. Empty: all. */
    Q_PROPERTY(QString nameFilter READ nameFilter WRITE setNameFilter NOTIFY nameFilterChanged)
    /*! Initially true. While it is false, nothing is reported, and the client need not be sent these names. */
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled NOTIFY enabledChanged)

public:
    explicit StateListener(QObject *parent = nullptr);

    bool isEnabled() const;
    void setEnabled(bool enabled);

Q_SIGNALS:
    /*! A state is \a retained if the hub held it already when the client asked for it: it may be of any age. */
    void received(const QString &sender, const QString &name, const QVariant &value, bool retained);
    /*! A program has withdrawn its value. If that was while the client was away, it is \a retained. */
    void cleared(const QString &sender, const QString &name, bool retained);

    void clientChanged();
    void nameFilterChanged();
    void enabledChanged();

private:
    void stateArrived(const ns_state *state) override;
    void stateCleared(const ClearedState &state) override;
    void restart() override;
    void emitClientChanged() override { Q_EMIT clientChanged(); }
    void emitNameFilterChanged() override { Q_EMIT nameFilterChanged(); }

    bool m_enabled = true;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_STATELISTENER_H
