#ifndef NANOSTATEQML_SHAREDSTATE_H
#define NANOSTATEQML_SHAREDSTATE_H

#include "clientuser.h"

#include <QtCore/qbasictimer.h>
#include <QtCore/qobject.h>
#include <QtCore/qvariant.h>

#include <optional>

namespace NanostateQt {

/*!
    A value that programs share: the newest of its name, whoever published it. Setting it publishes it.

        SharedState { id: vol; client: hub; name: "volume"; defaultValue: 50; held: s.pressed }
        Slider { id: s; value: vol.value; onMoved: vol.value = value }

    What arrives is shown at most once per pass of the event loop, newest value only, and is never published again.
*/
class SharedState : public QObject, public ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    /*! A value that is set while there is no client, or while it is not active, waits for it. */
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! The name of the state. A value that is set while it is empty waits for one. */
    Q_PROPERTY(QString name READ name WRITE setName NOTIFY nameChanged)
    /*! The newest value that the client knows, own ones included; the default while there is none. Setting it publishes
        it, unless it is deeply equal to the one that is shown. A value in the declaration of the object is a default
        and is not published. undefined is refused, and so is what cannot be sent. */
    Q_PROPERTY(QVariant value READ value WRITE setValue NOTIFY valueChanged)
    /*! Shown while no value is known. Never published. */
    Q_PROPERTY(QVariant defaultValue READ defaultValue WRITE setDefaultValue NOTIFY defaultValueChanged)
    /*! Whether a value is known, which means that the default is not what is shown. */
    Q_PROPERTY(bool valid READ isValid NOTIFY validChanged)
    /*! The identity of the program that published the value; empty for the default. */
    Q_PROPERTY(QString sender READ sender NOTIFY senderChanged)
    /*! Whether a value that was set here is not on its way yet: it waits for \l publishInterval, or for a connection. */
    Q_PROPERTY(bool pending READ isPending NOTIFY pendingChanged)
    /*! The shortest time between two values that are published, in milliseconds: the first goes out at once, the newest
        of those that follow when the time is up. 0 at first: each goes out at once. */
    Q_PROPERTY(int publishInterval READ publishInterval WRITE setPublishInterval NOTIFY publishIntervalChanged)
    /*! While it is true, for instance during a drag, what arrives waits. When it becomes false, the newest value is shown;
        but a value that was set meanwhile stays, and is published once more if another one has arrived after it. */
    Q_PROPERTY(bool held READ isHeld WRITE setHeld NOTIFY heldChanged)
    /*! While it is false, what arrives is not shown, and what is set is shown but not published. When it becomes true
        again, the newest value is shown. True at first. */
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled NOTIFY enabledChanged)

public:
    explicit SharedState(QObject *parent = nullptr);
    /*! Publishes a value that waits for publishInterval. */
    ~SharedState() override;

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

    // Whether a value was published.
    enum class Sent {
        No,
        Yes,
        Deleted //!< A slot of the client deleted this object.
    };

    // What has arrived since a value was shown last.
    struct Arrived
    {
        // The one with the latest time.
        StatePointer state;
        // Whether it is certainly the newest. Values of the same millisecond are ordered too, but that order is the app's.
        bool isNewest = false;
        // The app of the client that it is from.
        int generation = 0;
    };

    void stateArrived(const ns_state *state) override;
    void clientClosing() override;
    void leaveClient() override;
    void connectClient(Client *client) override;
    void loseClient() override;
    void restart() override;
    void emitClientChanged() override;
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
    bool hasFinalTime(const ns_state *state) const;
    StatePointer newest() const;

    QString m_name;
    QVariant m_default;
    // A value of the initialiser, until the object is complete.
    std::optional<QVariant> m_initial;
    bool m_defaultGiven = false;
    int m_interval = 0;
    bool m_held = false;
    bool m_enabled = true;

    // What is shown, and those of its changes whose signals are not emitted yet.
    QVariant m_value;
    QString m_sender;
    bool m_valid = false;
    bool m_pending = false;
    int m_changes = 0;
    // The state whose value is shown, if it is one that arrived.
    StatePointer m_shown;
    Arrived m_arrived;

    // A value that was set and could not be given to the client yet. It is shown.
    std::optional<QVariant> m_waiting;
    // The value that is shown was set here, and given to a client that was not connected.
    bool m_offline = false;
    // The app of the client that got it.
    int m_generation = 0;
    // A value was set while held.
    bool m_touched = false;
    // Runs for publishInterval after each value that is published.
    QBasicTimer m_timer;
    bool m_queued = false;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_SHAREDSTATE_H
