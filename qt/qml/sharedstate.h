#ifndef NANOSTATEQML_SHAREDSTATE_H
#define NANOSTATEQML_SHAREDSTATE_H

#include "arrived.h"
#include "clientuser.h"
#include "shown.h"

#include <QtCore/qbasictimer.h>
#include <QtCore/qobject.h>
#include <QtCore/qvariant.h>

#include <optional>

namespace NanostateQt {

/*!
    A value that programs share: the newest of its name, whoever published it. Setting it publishes it.

        SharedState { id: vol; client: hub; name: "volume"; defaultValue: 50; held: s.pressed }
        Slider { id: s; value: vol.value; onMoved: vol.value = value }

    Arriving values are shown at most once per pass of the event loop, only the newest, and are never published again.
*/
class SharedState : public QObject, public ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    /*! A value that is set while there is no client, or while it is not active, waits for it. */
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    /*! The name of the state. A value that is set while it is empty waits for one. */
    Q_PROPERTY(QString name READ name WRITE setName NOTIFY nameChanged)
    /*! The newest value that the client knows, own ones included; the default while there is none, also after it was
        withdrawn. Setting it publishes it, unless it is deeply equal to the one that is shown and has no \l timeToLive. A
        value in the declaration of the object is a default and is not published. undefined is refused, and so is what
        cannot be sent. */
    Q_PROPERTY(QVariant value READ value WRITE setValue NOTIFY valueChanged)
    /*! Shown while no value is known. Never published. */
    Q_PROPERTY(QVariant defaultValue READ defaultValue WRITE setDefaultValue NOTIFY defaultValueChanged)
    /*! The type that values have to have. One of another type that arrives is not shown: it is the \l error, and the
        last value of this type stays. One that is set is refused. Initially Any: all are shown. */
    Q_PROPERTY(Type type READ type WRITE setType NOTIFY typeChanged)
    /*! Kind while the newest value is not of the \l type, else NoError. */
    Q_PROPERTY(NanostateQt::Client::Error error READ error NOTIFY errorChanged)
    /*! The error as text, which names the state, its sender and the types; empty if there is none. */
    Q_PROPERTY(QString errorString READ errorString NOTIFY errorChanged)
    /*! Whether a value is known, so that it is shown instead of the default. Once the client is synced, false says that
        the hub has no value either. */
    Q_PROPERTY(bool valid READ isValid NOTIFY validChanged)
    /*! The identity of the program that published the value; empty for the default. */
    Q_PROPERTY(QString sender READ sender NOTIFY senderChanged)
    /*! When the value was published (a Date); undefined if it is not published, or if that is not known. */
    Q_PROPERTY(QVariant time READ time NOTIFY timeChanged)
    /*! Whether the program that published the value is gone, or has been started anew and has not published it since.
        False for the default, and for values of which that is not known: \l Client::isStale(). The hub is asked once
        somebody reads this or handles its signal. */
    Q_PROPERTY(bool stale READ isStale NOTIFY staleChanged)
    /*! Whether a value that was set here has not been sent yet: it waits for \l publishInterval, or for a connection.
        */
    Q_PROPERTY(bool pending READ isPending NOTIFY pendingChanged)
    /*! The shortest time between two published values, in milliseconds: the first is sent at once, the newest of those
        that follow when the time is up. Initially 0: each is sent at once. */
    Q_PROPERTY(int publishInterval READ publishInterval WRITE setPublishInterval NOTIFY publishIntervalChanged)
    /*! Only programs that are there are sent the values, such as the position of a mouse; those that come later are not.
        Counts for what is published from then on. Initially false. (QML reserves the word "transient".) */
    Q_PROPERTY(bool transientValue READ isTransient WRITE setTransient NOTIFY transientValueChanged)
    /*! A value is withdrawn for all programs unless it is published again within this time, in milliseconds, also if this
        program is gone by then. 0: it stays. Counts for what is published from then on. Unless this is 0, setting a value
        publishes it even if it equals the one that is shown. Initially 0. */
    Q_PROPERTY(int timeToLive READ timeToLive WRITE setTimeToLive NOTIFY timeToLiveChanged)
    /*! While it is true, for instance during a drag, arriving values wait. When it becomes false, the newest value is
        shown; but a value that was set meanwhile stays, and is published once more if another one has arrived after it.
        */
    Q_PROPERTY(bool held READ isHeld WRITE setHeld NOTIFY heldChanged)
    /*! While it is false, arriving values are not shown, and values that are set are shown but not published. When it
        becomes true again, the newest value is shown. Initially true. */
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled NOTIFY enabledChanged)

public:
    /*! Types of values, as JavaScript has them. null is of none of them but Any. */
    enum class Type {
        Any,
        Boolean,
        Number,
        String, //!< With bytesAsText of the client also bytes that are UTF-8.
        Bytes,
        Date,
        Array,
        Object
    };
    Q_ENUM(Type)

    explicit SharedState(QObject *parent = nullptr);
    /*! Publishes a value that waits for publishInterval. */
    ~SharedState() override;

    QString name() const;
    void setName(const QString &name);
    QVariant value() const;
    void setValue(const QVariant &value);
    QVariant defaultValue() const;
    void setDefaultValue(const QVariant &defaultValue);
    Type type() const;
    void setType(Type type);
    Client::Error error() const;
    QString errorString() const;
    bool isValid() const;
    QString sender() const;
    QVariant time() const;
    bool isStale() const;
    bool isPending() const;
    int publishInterval() const;
    void setPublishInterval(int millis);
    bool isTransient() const;
    void setTransient(bool transient);
    int timeToLive() const;
    void setTimeToLive(int millis);
    bool isHeld() const;
    void setHeld(bool held);
    bool isEnabled() const;
    void setEnabled(bool enabled);

    /*! Withdraws the value that this program has published of the name, at once. What another program has published
        is then the newest, if there is any, else the default is shown. Like a value it waits for a client that is
        active, and while \l enabled is false nothing is withdrawn. */
    Q_INVOKABLE void clear();

    void componentComplete() override;

Q_SIGNALS:
    void clientChanged();
    void nameChanged();
    void valueChanged();
    void defaultValueChanged();
    void typeChanged();
    void errorChanged();
    /*! A value of another type has arrived; \l error and \l errorString have it from now on. */
    void errorOccurred(NanostateQt::Client::Error error, const QString &errorString);
    void validChanged();
    void senderChanged();
    void timeChanged();
    void staleChanged();
    void pendingChanged();
    void publishIntervalChanged();
    void transientValueChanged();
    void timeToLiveChanged();
    void heldChanged();
    void enabledChanged();

protected:
    void timerEvent(QTimerEvent *event) override;
    void connectNotify(const QMetaMethod &signal) override;

private:
    using Signal = void (SharedState::*)();

    // Whether a value was published.
    enum class Sent {
        No,
        Yes,
        Deleted //!< A slot of the client deleted this object.
    };

    void stateArrived(const ns_state *state) override;
    void stateCleared(const ClearedState &state) override;
    void clientSynced() override;
    void clientClosing() override;
    void leaveClient() override;
    void connectClient(Client *client) override;
    void loseClient() override;
    void restart() override;
    void emitClientChanged() override;
    void staleMayChange(const QString &sender) override;
    void linkChanged();
    void decodeAgain();

    void start();
    void flushLater();
    void flush();
    void showArrived();
    void follow();
    bool showNewest();
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
    // A value of the initialiser, until the object is complete.
    std::optional<QVariant> m_initial;
    bool m_defaultGiven = false;
    int m_interval = 0;
    PublishOptions m_options;
    bool m_held = false;
    bool m_enabled = true;
    Type m_type = Type::Any;

    Shown m_shown;
    Arrived m_arrived;

    // The value that is shown was withdrawn.
    bool m_cleared = false;
    // The app of the client from which the state is that is shown.
    int m_shownGeneration = 0;

    // A value that was set but could not be passed to the client yet. It is shown. Invalid: the value is withdrawn.
    std::optional<QVariant> m_waiting;
    // What was last set here, or withdrawn, and passed to a client that was not connected.
    std::optional<QVariant> m_offline;
    // The app of the client that received it.
    int m_generation = 0;
    // A value was set while held.
    bool m_touched = false;
    // Runs for publishInterval after each value that is published.
    QBasicTimer m_timer;
    bool m_queued = false;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_SHAREDSTATE_H
