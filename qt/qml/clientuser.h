#ifndef NANOSTATEQML_CLIENTUSER_H
#define NANOSTATEQML_CLIENTUSER_H

#include <NanostateQt/private/client_p.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qobject.h>
#include <QtCore/qstring.h>
#include <QtQml/qqmlparserstatus.h>

namespace NanostateQt {

/*!
    What the QML types that use a client have in common: the property client, and observing it.

    A class that derives from it is a QObject as well, and emits the signals of the properties. Any of the functions that
    it overrides may delete the object.
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
    /*! The client does not exist any more; restart() follows. */
    virtual void loseClient() {}
    /*! Begins again with what the client knows: the client is another one, or the object is complete. */
    virtual void restart() = 0;
    virtual void emitClientChanged() = 0;

    /*! False from the moment when QML begins to make the object until all properties have their first values. */
    bool isComplete() const { return m_complete; }
    /*! Whether this client published the state: observers hear of those as well. It must be active. */
    bool isOwn(const ns_state *state) const;

    /*! Observes one name from now on, or all with an empty one, instead of what it observed. */
    void observe(const QString &name);
    void ignore();

private:
    void clientDestroyed();

    QObject *const m_object;
    Client *m_client = nullptr;
    QString m_observed;
    bool m_observing = false;
    bool m_complete = true;
};

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

    /*! Observes the names that may pass the filter. */
    void observeFiltered();
    /*! Whether a state that is observed passes it. */
    bool passes(const ns_state *state) const;

private:
    QString m_nameFilter;
    // Empty: all that is observed passes.
    QByteArray m_pattern;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_CLIENTUSER_H
