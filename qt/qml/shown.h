#ifndef NANOSTATEQML_SHOWN_H
#define NANOSTATEQML_SHOWN_H

#include <NanostateQt/private/client_p.h>

#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>

namespace NanostateQt {

/*! Whether two values are the same. undefined and null are two values in QML, though both are nil on the wire. */
bool isSame(const QVariant &a, const QVariant &b);

/*!
    What a SharedState shows, and which of its changes are not signalled yet.
*/
class Shown
{
public:
    enum Change {
        ValueChange = 1,
        ValidChange = 2,
        SenderChange = 4,
        PendingChange = 8,
        TimeChange = 16,
        ErrorChange = 32,
        StaleChange = 64
    };

    const QVariant &value() const { return m_value; }
    const QString &sender() const { return m_sender; }
    /*! In milliseconds since 1970; 0 if it is not known. */
    qint64 time() const { return m_time; }
    bool isValid() const { return m_valid; }
    bool isPending() const { return m_pending; }
    /*! Why the newest value is not shown; empty if it is. */
    const QString &errorString() const { return m_errorString; }

    /*! Whether the app that published the value is gone. */
    bool isStale() const { return m_stale; }

    void show(const QVariant &value, const QString &sender, qint64 time, bool valid);
    void setPending(bool pending);
    void setErrorString(const QString &text);
    /*! Asks the client whether the value that is shown is stale; while it is not active, that stays as it was. */
    void updateStale(const Client *client);

    /*! Whether this has changed since it was last asked. */
    bool takeChange(Change change);

    /*! The state whose value is shown, if it arrived; or not shown, if there is an error. */
    StatePointer state;

private:
    // The state of the value that is shown, while there is an error.
    StatePointer m_good;
    QVariant m_value;
    QString m_sender;
    qint64 m_time = 0;
    QString m_errorString;
    bool m_valid = false;
    bool m_pending = false;
    bool m_stale = false;
    int m_changes = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_SHOWN_H
