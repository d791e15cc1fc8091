#ifndef NANOSTATEQML_CLIENTUSER_H
#define NANOSTATEQML_CLIENTUSER_H

#include <NanostateQt/private/client_p.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qobject.h>
#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>
#include <QtQml/qqmlparserstatus.h>

namespace NanostateQt {

/*! Whether this is the sender of what the client, which must be active, publishes. */
bool isOwnSender(const Client *client, const char *sender);

/*!
    Base of the QML types that use a client: the property client, and observing it.

    A derived class is a QObject as well, and emits the signals of the properties. Any of the functions that it
    overrides may delete the object.
*/
class ClientUser : public QQmlParserStatus, protected StateObserver
{
public:
    Client *client() const { return m_client; }
    void setClient(Client *client);

    void classBegin() override;
    void componentComplete() override;

protected:
    explicit ClientUser(QObject *object) : m_object(object) {}
    ~ClientUser() override;
    Q_DISABLE_COPY(ClientUser)

    QObject *object() const { return m_object; }

    /*! The client is about to be replaced by another one, or by none. */
    virtual void leaveClient() {}
    /*! Connects to the signals of the client that this object needs. */
    virtual void connectClient(Client *client) { Q_UNUSED(client) }
    /*! The client no longer exists; restart() follows. */
    virtual void loseClient() {}
    /*! Starts again with what the client knows: there is another client, or the object is complete. */
    virtual void restart() = 0;
    virtual void emitClientChanged() = 0;
    /*! Values of this sender, or of all if it is empty, may be stale now, or no longer. For those who ask. */
    virtual void staleMayChange(const QString &sender) { Q_UNUSED(sender) }

    /*! False from when QML begins to create the object until all properties have their initial values. */
    bool isComplete() const { return m_complete; }
    /*! Whether this client published the state; observers receive those as well. The client must be active. */
    bool isOwn(const ns_state *state) const { return isOwnSender(m_client, ns_state_sender(state)); }

    /*! Observes this name from now on, or all names if it is empty, instead of what it observed before. */
    void observe(const QString &name);
    void ignore();
    /*! Has the client be sent what matches this pattern from now on, instead of the one before; none if it is empty. */
    void use(const QString &pattern);

    /*! Somebody wants to know what is stale. Whether that is so for the first time. */
    bool askStale();
    bool asksStale() const { return m_asksStale; }

private:
    void clientDestroyed();
    void connectStale();

    QObject *const m_object;
    Client *m_client = nullptr;
    QString m_observed;
    bool m_observing = false;
    QString m_used;
    bool m_complete = true;
    bool m_asksStale = false;
};

/*! The time of a state as QML has it: a QDateTime, which is a Date there; invalid, which is undefined, for 0. */
QVariant timeOf(qint64 millis);

/*!
    A client user with the property nameFilter: a name, a pattern of the C API, or empty for all names.
*/
class FilteringClientUser : public ClientUser
{
public:
    QString nameFilter() const { return m_nameFilter; }
    void setNameFilter(const QString &nameFilter);

protected:
    using ClientUser::ClientUser;

    virtual void emitNameFilterChanged() = 0;

    /*! Uses the names that pass the filter, and observes those that may. */
    void observeFiltered();
    /*! Whether a state that is observed passes it. */
    bool passes(const ns_state *state) const;

private:
    QString m_nameFilter;
    // Empty: everything that is observed passes.
    QByteArray m_pattern;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_CLIENTUSER_H
