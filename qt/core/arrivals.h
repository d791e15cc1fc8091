#ifndef NANOSTATEQT_ARRIVALS_H
#define NANOSTATEQT_ARRIVALS_H

// Not installed.

#include "client_p.h"

#include <QtCore/qstring.h>

#include <deque>

namespace NanostateQt {

/*! The app's link to the hub has changed, or now fails for a different reason. */
struct LinkChange
{
    ns_link link = NS_LINK_IDLE;
    ns_status why = NS_OK;
    QString text;
};

/*!
    Takes states and link changes from an app, one at a time and in their order.

    The callback for link changes only puts them into a queue. No code of the program runs inside a call of the C API,
    so a slot may call anything.
*/
class Arrivals
{
public:
    struct Arrival
    {
        /*! NULL for a link change. */
        StatePointer state;
        LinkChange link;
    };

    Arrivals() = default;

    /*! Receives the link changes of this app from now on. */
    ns_status listenTo(ns_app *app);
    /*! Takes the next arrival without waiting. NS_ERR_TIMEOUT: there is none. After any other failure the app can no
        longer be used. */
    ns_status take(ns_app *app, Arrival *out);
    /*! Whether the queue is empty. The descriptor of the app does not show what is in it. */
    bool isEmpty() const { return m_queue.empty(); }

    /*! Drops the link changes that \a app has not reported yet, after ns_app_disconnect(). States stay. The result is
        that of take(). */
    ns_status dropLinkChanges(ns_app *app);
    void clear() { m_queue.clear(); }

private:
    Q_DISABLE_COPY(Arrivals)
    static void queueLink(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx);

    std::deque<Arrival> m_queue;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_ARRIVALS_H
