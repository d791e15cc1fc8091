#ifndef NANOSTATEQML_CLIENTUSER_H
#define NANOSTATEQML_CLIENTUSER_H

#include <NanostateQt/private/client_p.h>

#include <QtCore/qstring.h>

namespace NanostateQt {

/*!
    What the QML types that use a client have in common: the client, and observing it.
*/
class ClientUser : protected StateObserver
{
protected:
    ClientUser() = default;
    ~ClientUser();
    Q_DISABLE_COPY(ClientUser)

    Client *client() const { return m_client; }
    /*! Uses another client, or none; it ends observing. */
    void attach(Client *client);
    /*! The client does not exist any more. */
    void clientDied();

    /*! Observes one name from now on, or all with an empty one, instead of what it observed. */
    void observe(const QString &name);
    void ignore();

private:
    Client *m_client = nullptr;
    QString m_observed;
    bool m_observing = false;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_CLIENTUSER_H
