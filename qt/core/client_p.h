#ifndef NANOSTATEQT_CLIENT_P_H
#define NANOSTATEQT_CLIENT_P_H

// What the QML library uses of a Client besides its public functions. Not installed.

#include "client.h"

#include <QtCore/qmetaobject.h>

#include <memory>
#include <vector>

namespace NanostateQt {

struct StateFree
{
    void operator()(ns_state *state) const { ns_state_free(state); }
};
/*! A reference to a state. */
using StatePointer = std::unique_ptr<ns_state, StateFree>;

/*! A value that its sender has withdrawn. */
struct ClearedState
{
    const char *sender;
    const char *name;
    /*! NULL for an own value. */
    const ns_state *state;
};

/*!
    Receives the states of one name, or of all, without the cost of a signal and a QVariant for each.

    Runs in the client's thread, for states of other programs as they arrive and for own ones inside publish() and
    clear(). What a call is given is borrowed for the call. In a call an observer may add and remove observers, itself included, and deactivate
    or delete the client. An observer that is added in a call receives the next state, and none receives a state of a
    client that is no longer active.
*/
class StateObserver
{
public:
    virtual void stateArrived(const ns_state *state) = 0;
    virtual void stateCleared(const ClearedState &cleared) { Q_UNUSED(cleared) }
    /*! All states that the hub held have arrived, and the client is about to say that it is synced. */
    virtual void clientSynced() {}
    /*! The client is about to be deactivated or destroyed; this is the last chance to publish. A client that is being
        destroyed emits no signal. */
    virtual void clientClosing() {}

protected:
    ~StateObserver() = default;
};

/*! Another app, and what happened to it or how it is. */
struct PeerInfo
{
    QString identity;
    QString instance;
    Client::Presence presence;
};

namespace ClientAccess {

/*! A deferred client does not open, whatever its properties are; once it is no longer deferred, it opens if it is
    active. For clients whose properties are set one after the other. */
NANOSTATEQT_EXPORT void setDeferred(Client *client, bool deferred);

/*! Adds an observer of one name, or with an empty name of all. It must be removed before it is destroyed, unless the
    client is destroyed first. */
NANOSTATEQT_EXPORT void addObserver(Client *client, const QString &name, StateObserver *observer);
NANOSTATEQT_EXPORT void removeObserver(Client *client, const QString &name, StateObserver *observer);

/*! Has the client be sent the states whose names match a pattern, as often as it is called; leave() takes one call back.
    The hub is told after the present pass of the event loop. */
NANOSTATEQT_EXPORT void use(Client *client, const QString &pattern);
NANOSTATEQT_EXPORT void leave(Client *client, const QString &pattern);
/*! Has the client be sent only what is in use, as long as its program has not said what it subscribes to. A handler of
    stateUpdated() uses all names. */
NANOSTATEQT_EXPORT void subscribeByUse(Client *client);
/*! A signal was connected or disconnected. */
NANOSTATEQT_EXPORT void connectionsChanged(Client *client, const QMetaMethod &signal);

/*! The newest value of a name that the client knows, of any sender, itself included; NULL if there is none. */
NANOSTATEQT_EXPORT StatePointer newest(const Client *client, const QString &name);
/*! The value of a state as the client returns it (bytesAsText). */
NANOSTATEQT_EXPORT QVariant valueOf(const Client *client, const ns_state *state);
/*! Sets the error of the client, for a call that failed, and returns false, for that call to return. A slot may delete
    the client. */
NANOSTATEQT_EXPORT bool refuse(Client *client, ns_status status, const QString &text);

/*! Has the hub tell which other apps are there. */
NANOSTATEQT_EXPORT void watchPeers(Client *client);
/*! The other apps that are there, as far as the hub has told, each here or suspect, sorted by identity and instance. */
NANOSTATEQT_EXPORT std::vector<PeerInfo> peers(const Client *client);

/*! Whether a state that this client knows is stale; the hub is asked from the first call on. False while the client is not
    active. */
NANOSTATEQT_EXPORT bool isStale(const Client *client, const ns_state *state);

/*! The app behind the client; NULL while it is not active. */
NANOSTATEQT_EXPORT ns_app *app(const Client *client);
/*! Changes with each new app of the client. (The address of the app may be the same again.) */
NANOSTATEQT_EXPORT int generation(const Client *client);

} // namespace ClientAccess

} // namespace NanostateQt

#endif // NANOSTATEQT_CLIENT_P_H
