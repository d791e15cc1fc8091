#ifndef NANOSTATEQT_ARRIVALS_H
#define NANOSTATEQT_ARRIVALS_H

// Not installed.

#include "client_p.h"

#include <QtCore/qstring.h>

#include <deque>
#include <variant>

namespace NanostateQt {

/*! The app's link to the hub has changed, or now fails for a different reason. */
struct LinkChange
{
    ns_link link = NS_LINK_IDLE;
    ns_status why = NS_OK;
    QString text;
};

/*! The hub has sent everything that it held and that the app has asked for. */
struct Synced
{
};

/*! Values of this sender, or of all if it is empty, may be stale now, or no longer. */
struct StaleSender
{
    QString sender;
};

/*!
    Takes states, link changes, what happens to other apps, and what else it tells from an app, one at a time and in their order.

    The callbacks only put what they are told into a queue. No code of the program runs inside a call of the C API, so a
    slot may call anything.
*/
class Arrivals
{
public:
    using Arrival = std::variant<StatePointer, LinkChange, Synced, PeerInfo, StaleSender>;

    Arrivals() = default;

    /*! Receives what this app tells besides states from now on. */
    ns_status listenTo(ns_app *app);
    /*! Has the hub tell which other apps are there, too. */
    ns_status watchPeers(ns_app *app);
    /*! Has the hub tell of whom values may be stale, too. */
    ns_status watchStale(ns_app *app);
    /*! Takes the next arrival without waiting. NS_ERR_TIMEOUT: there is none. After any other failure the app can no
        longer be used. */
    ns_status take(ns_app *app, Arrival *out);
    /*! Whether the queue is empty. The descriptor of the app does not show what is in it. */
    bool isEmpty() const { return m_queue.empty(); }

    /*! Drops what \a app has not reported yet of the link that ns_app_disconnect() ended. States stay, and what happened
        to other apps. The result is that of take(). */
    ns_status dropLink(ns_app *app);
    /*! \a app has asked for more: what says that it is synced is dropped, and comes again behind all of that. */
    ns_status expectSynced(ns_app *app);
    void clear() { m_queue.clear(); }

private:
    Q_DISABLE_COPY(Arrivals)
    template<typename Unwanted>
    void drop(Unwanted unwanted);
    static void queueLink(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx);
    static void queueSynced(ns_app *app, void *ctx);
    static void queueStale(ns_app *app, const char *sender, void *ctx);
    static void queuePeer(ns_app *app, ns_presence event, const char *identity, const uint8_t *instance, void *ctx);

    std::deque<Arrival> m_queue;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_ARRIVALS_H
