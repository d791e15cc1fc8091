#ifndef NANOSTATEQT_CLIENT_P_H
#define NANOSTATEQT_CLIENT_P_H

// What the QML library uses of a Client besides its public functions. Not installed.

#include "client.h"

#include <memory>

namespace NanostateQt {

struct StateFree
{
    void operator()(ns_state *state) const { ns_state_free(state); }
};
/*! A reference to a state. */
using StatePointer = std::unique_ptr<ns_state, StateFree>;

/*!
    Hears of states without the cost of a signal and a QVariant for each: of one name, or of all.

    Called in the client's thread, for remote states and for own ones right after publish(). The state is borrowed for
    the call. An observer may add and remove observers, itself included, and may deactivate or delete the client, in a
    call: one that is added hears the next state, and none hears a state of a client that is not active any more.
*/
class StateObserver
{
public:
    virtual void stateArrived(const ns_state *state) = 0;
    /*! The client is about to be deactivated or destroyed: the last moment to publish. In a client that is being
        destroyed no signal is emitted any more. */
    virtual void clientClosing() {}

protected:
    ~StateObserver() = default;
};

namespace ClientAccess {

/*! While deferred, setActive(true) and changes of identity and url are only noted; its end opens the client if it is
    active. For clients whose properties are set one after the other. */
NANOSTATEQT_EXPORT void setDeferred(Client *client, bool deferred);

/*! Adds an observer of one name, or of all with an empty one. It must be removed before it or the client dies; a client
    that dies forgets its observers. */
NANOSTATEQT_EXPORT void addObserver(Client *client, const QString &name, StateObserver *observer);
NANOSTATEQT_EXPORT void removeObserver(Client *client, const QString &name, StateObserver *observer);

/*! The newest value of a name of any sender, own ones included. NULL: not known. */
NANOSTATEQT_EXPORT StatePointer newest(const Client *client, const QString &name);
/*! The value of a state as the client hands it out (bytesAsText). */
NANOSTATEQT_EXPORT QVariant valueOf(const Client *client, const ns_state *state);
/*! Has the client say that a call could not be done, and why; false, for the call to return. Handlers of the client may
    delete it. */
NANOSTATEQT_EXPORT bool refuse(Client *client, ns_status status, const QString &text);

/*! The app behind the client; NULL while it is not active. */
NANOSTATEQT_EXPORT ns_app *app(const Client *client);
/*! Tells apps of one client apart, which may come to lie at the same address one after the other. */
NANOSTATEQT_EXPORT int generation(const Client *client);

} // namespace ClientAccess

} // namespace NanostateQt

#endif // NANOSTATEQT_CLIENT_P_H
