#ifndef NANOSTATEQT_ARRIVALS_H
#define NANOSTATEQT_ARRIVALS_H

// Not installed.

#include "client_p.h"

#include <QtCore/qstring.h>

#include <deque>

namespace NanostateQt {

/*! The app's link to the hub has changed, or fails for another reason than before. */
struct LinkChange
{
    ns_link link = NS_LINK_IDLE;
    ns_status why = NS_OK;
    QString text;
};

/*!
    Takes states and link changes from an app, one at a time and in their order.

    The callback for link changes only puts them into a queue. No code of the program runs inside a call of the C API, so
    that a slot may call whatever it likes.
*/
class Arrivals
{
public:
    struct Arrival
    {
        /*! NULL: it is a link change. */
        StatePointer state;
        LinkChange link;
    };

    Arrivals() = default;

    /*! Hears of the link of this app from now on. */
    ns_status listenTo(ns_app *app);
    /*! Takes the next arrival without waiting. NS_ERR_TIMEOUT: there is none. After any other failure the app is of no
        use any more. */
    ns_status take(ns_app *app, Arrival *out);
    /*! Whether something waits here that the descriptor of the app does not tell of any more. */
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
