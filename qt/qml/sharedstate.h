#ifndef NANOSTATEQML_SHAREDSTATE_H
#define NANOSTATEQML_SHAREDSTATE_H

#include "clientuser.h"

#include <QtCore/qbasictimer.h>
#include <QtCore/qobject.h>
#include <QtCore/qvariant.h>
#include <QtQml/qqmlparserstatus.h>

#include <optional>

namespace NanostateQt {

/*!
    A value that programs share: the newest of its name, whoever published it. To set it publishes it.

        SharedState { id: vol; client: hub; name: "volume"; defaultValue: 50; held: s.pressed }
        Slider { id: s; value: vol.value; onMoved: vol.value = value }

    What arrives is shown at most once per pass of the event loop, the newest at the time, and is never published again.
*/
class SharedState : public QObject, public QQmlParserStatus, private ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    /*! Without one, as with one that is not active, a value that is set waits for it. */
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! The name of the state. A value that is set while it is empty waits for one. */
    Q_PROPERTY(QString name READ name WRITE setName NOTIFY nameChanged)
    /*! The newest value that the client knows, own ones included; the default while there is none. To set it publishes
        it, unless it is equal, in all depth, to the one that is shown. What it is given where the object is declared is
        a default value and is not published. undefined is refused, as is what cannot be sent. */
    Q_PROPERTY(QVariant value READ value WRITE setValue NOTIFY valueChanged)
    /*! What is shown while no value is known. Never published. */
    Q_PROPERTY(QVariant defaultValue READ defaultValue WRITE setDefaultValue NOTIFY defaultValueChanged)
    /*! Whether a value is known: what is shown is not the default. */
    Q_PROPERTY(bool valid READ isValid NOTIFY validChanged)
    /*! The identity of whom the value is from; empty for the default. */
    Q_PROPERTY(QString sender READ sender NOTIFY senderChanged)
    /*! Whether a value was set here that is not on its way yet: it waits for \l publishInterval, or for the client to
        be connected. */
    Q_PROPERTY(bool pending READ isPending NOTIFY pendingChanged)
    /*! The shortest time between two values that are published, in milliseconds: the first goes at once, the newest of
        those that follow when the time is up. 0 at first: all at once. */
    Q_PROPERTY(int publishInterval READ publishInterval WRITE setPublishInterval NOTIFY publishIntervalChanged)
    /*! While it is true, as during a drag, what arrives waits. At its end the newest is shown; but if a value was set
        meanwhile, that one stays, and is published once more if another one had come after it. */
    Q_PROPERTY(bool held READ isHeld WRITE setHeld NOTIFY heldChanged)
    /*! While it is false nothing that arrives is shown, and what is set is shown but not published. When it becomes
        true again, the newest is shown. True at first. */
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled NOTIFY enabledChanged)

public:
    explicit SharedState(QObject *parent = nullptr);
    /*! Publishes what still waits for publishInterval. */
    ~SharedState() override;

    using ClientUser::client;
    void setClient(Client *client);
    QString name() const;
    void setName(const QString &name);
    QVariant value() const;
    void setValue(const QVariant &value);
    QVariant defaultValue() const;
    void setDefaultValue(const QVariant &defaultValue);
    bool isValid() const;
    QString sender() const;
    bool isPending() const;
    int publishInterval() const;
    void setPublishInterval(int millis);
    bool isHeld() const;
    void setHeld(bool held);
    bool isEnabled() const;
    void setEnabled(bool enabled);

    void classBegin() override;
    void componentComplete() override;

Q_SIGNALS:
    void clientChanged();
    void nameChanged();
    void valueChanged();
    void defaultValueChanged();
    void validChanged();
    void senderChanged();
    void pendingChanged();
    void publishIntervalChanged();
    void heldChanged();
    void enabledChanged();

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    using Signal = void (SharedState::*)();

    enum Change {
        ValueChange = 1,
        ValidChange = 2,
        SenderChange = 4,
        PendingChange = 8
    };

    // What became of a value that was set.
    enum class Sent {
        No,
        Yes,
        Deleted //!< This object, by a handler of the client.
    };

    void stateArrived(const ns_state *state) override;
    void clientClosing() override;
    void clientDestroyed();
    void linkChanged();
    void decodeAgain();

    void start();
    void flush();
    void follow();
    bool showNewest();
    void show(const QVariant &value, const QString &sender, bool valid);
    void showDefault();
    void updatePending();
    bool tell(Signal also = nullptr);

    bool canSend() const;
    Sent send(const QVariant &value);
    Sent sendWaiting();
    void sendAtOnce();
    bool unwrap(const QVariant &given, QVariant *value);
    StatePointer newest() const;

    QString m_name;
    QVariant m_default;
    // A value of the initialiser, before its end.
    std::optional<QVariant> m_initial;
    bool m_defaultGiven = false;
    int m_interval = 0;
    bool m_held = false;
    bool m_enabled = true;
    bool m_complete = true;

    // What is shown, and the changes of it that are not told yet, of Change.
    QVariant m_value;
    QString m_sender;
    bool m_valid = false;
    bool m_pending = false;
    int m_changes = 0;
    // The state whose value is shown, if it is one that arrived.
    StatePointer m_shown;

    // A value that was set and could not be given to the client yet. It is what is shown.
    std::optional<QVariant> m_waiting;
    // The value that is shown was set here, and given to a client that was not connected.
    bool m_offline = false;
    // The app of the client that it was given to.
    int m_generation = 0;
    // A value was set while held.
    bool m_touched = false;
    // Runs for publishInterval after each value that is published.
    QBasicTimer m_timer;
    bool m_queued = false;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_SHAREDSTATE_H
