#ifndef NANOSTATEQT_SUBSCRIPTIONS_H
#define NANOSTATEQT_SUBSCRIPTIONS_H

// Not installed.

#include "failure.h"

#include <nanostate.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qhash.h>
#include <QtCore/qset.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qvector.h>

#include <optional>

namespace NanostateQt {

/*!
    The names that a client is sent: those that its program subscribes to, and those that objects of the QML library use.

    An app has a limited number of patterns. Where more are wanted it is sent all names, which nobody notices who looks
    only at the names that it uses.
*/
class Subscriptions
{
public:
    /*! The pattern of all names. */
    static QString everything() { return QStringLiteral("**"); }

    /*! What the program has subscribed to; nothing if it has not said anything. */
    const std::optional<QStringList> &own() const { return m_own; }
    void setOwn(const std::optional<QStringList> &own);
    /*! What the client is sent while the program has not said anything: what is in use, instead of everything. */
    void setByUse() { m_byUse = true; }
    bool isByUse() const { return m_byUse && !m_own; }
    /*! As a list: that of the program, or else what stands for the default. */
    QStringList list() const;

    /*! Whether an app can have these patterns; else \a why says why not. */
    static bool check(const QStringList &patterns, Failure *why);

    /*! One more object uses a pattern. Whether the app has to be told. */
    bool use(const QByteArray &pattern);
    /*! One object fewer uses it. Whether the app has to be told. */
    bool leave(const QByteArray &pattern);

    /*! The app is another one, which is sent everything. */
    void forgetApp();
    /*! Tells the app what is wanted; \a signalUsed: by a handler of stateUpdated(), for all names. \a asks is set if the
        app has asked the hub for more. */
    ns_status tell(ns_app *app, bool signalUsed, bool *asks);
    /*! Why something that is used is not among them: it is no pattern. */
    const Failure &fault() const { return m_fault; }
    /*! Whether something is wanted that the app has not been told of. */
    bool isBehind() const { return m_behind; }

private:
    using Patterns = QSet<QByteArray>;

    // Nothing: everything.
    std::optional<Patterns> wanted(bool signalUsed) const;
    static ns_status tell(ns_app *app, const Patterns &patterns);
    // Notes that this is wanted.
    void want(const QByteArray &pattern);

    std::optional<QStringList> m_own;
    bool m_byUse = false;
    QHash<QByteArray, int> m_uses;
    // Those that are used and are no patterns, and why the first is none.
    Patterns m_bad;
    Failure m_fault;
    // What the app was told; nothing: it was never told anything.
    std::optional<Patterns> m_told;
    bool m_behind = false;
    // So many patterns were too many for the app.
    std::optional<int> m_tooMany;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_SUBSCRIPTIONS_H
