#ifndef NANOSTATEQT_CLIENT_H
#define NANOSTATEQT_CLIENT_H

#include <NanostateQt/nanostateqt_global.h>

#include <QtCore/qobject.h>
#include <QtCore/qscopedpointer.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qvariant.h>

#include <nanostate.h>

#include <chrono>

namespace NanostateQt {

class ClientPrivate;

/*! How a value is published. */
struct PublishOptions
{
    /*! Only programs that are there are sent the value, such as the position of a mouse; those that come later are not. */
    bool transient = false;
    /*! The value is withdrawn for all programs, this one included, unless it is published again within this time, also if
        this program is gone by then. 0: it stays. At most 1000 days. */
    std::chrono::milliseconds timeToLive{0};
};

/*!
    A program's endpoint: publishes states to a hub, and receives those of other programs.

    It connects when \l active becomes true, and reconnects by itself whenever the hub goes away. Values published
    meanwhile are kept, the newest of each name. It works in the event loop of the thread that it lives in, without a
    thread of its own, except for forget(), requestHubStats() and requestHubPeers(), and with a timer only while values
    that it has published with a time to live have not expired.
    A client that is active before there is an event loop sends at once, and receives as soon as the loop runs. It is
    not thread-safe: use it in its thread, and move it to another one only while it is not active.

    No function waits for the hub, with one exception: ending a connected client (deactivation, destruction, another
    identity) may take up to one second, for values that are not written yet.

    A slot may do anything with the client: change, deactivate or delete it, or run an event loop, in which updates go
    on. No signal is emitted once it is destroyed, and no stateUpdated() once it is not active. All properties have
    their new values when the first signal of a change is emitted, and connected() and disconnected() alternate.
*/
class NANOSTATEQT_EXPORT Client : public QObject
{
    Q_OBJECT
    /*! The name that other programs see, 1 to 255 bytes of UTF-8. A change while it is active takes effect at once: it
        leaves the hub, and joins it under the new name. */
    Q_PROPERTY(QString identity READ identity WRITE setIdentity NOTIFY identityChanged)
    /*! The hub: "tcp://127.0.0.1:15000", "ipc:///run/hub", "inproc://name", "ws://127.0.0.1:15001/ws"; several
        addresses of one hub, separated by commas, are tried in order. Empty: $NANOSTATE_URL, else NS_DEFAULT_URL. */
    Q_PROPERTY(QString url READ url WRITE setUrl NOTIFY urlChanged)
    /*! For hubs with TLS, "tls+tcp://hub.example:15443" or "wss://hub.example/ws": the path of a file (PEM) with the
        certificates of the authorities by which a hub is trusted, or its own. Empty: $NANOSTATE_TLS_CA. */
    Q_PROPERTY(QString ca READ ca WRITE setCa NOTIFY caChanged)
    /*! For hubs with TLS: the SHA-256 of the public key that the hub has to have, in base64 or hexadecimal; or several,
        separated by commas. Empty: $NANOSTATE_TLS_PIN. */
    Q_PROPERTY(QString pin READ pin WRITE setPin NOTIFY pinChanged)
    /*! The access token, for a hub that asks for one. Empty: $NANOSTATE_TOKEN. */
    Q_PROPERTY(QString token READ token WRITE setToken NOTIFY tokenChanged)
    /*! Whether the token may go unencrypted to another machine, where anybody on the network between can read it.
        Initially false. */
    Q_PROPERTY(bool clearToken READ clearToken WRITE setClearToken NOTIFY clearTokenChanged)
    /*! Whether it connects and stays connected. Initially false. Becomes false by itself if identity or url is not
        valid, so that it cannot even try; then \l error says why. */
    Q_PROPERTY(bool active READ isActive WRITE setActive NOTIFY activeChanged)
    Q_PROPERTY(State state READ state NOTIFY stateChanged)
    /*! Whether everything has arrived that the hub held and that is subscribed to, so that such a name without a value
        has none on the hub. False until then, after each further subscription, and once the link is lost; always false
        with a hub that does not say so. */
    Q_PROPERTY(bool synced READ isSynced NOTIFY syncedChanged)
    /*! The current error: why the last publish failed or a call was refused since, else why it is not connected, else
        what QML types use although it is no pattern. The next successful publish clears the first, and a connection the
        first two. */
    Q_PROPERTY(Error error READ error NOTIFY errorChanged)
    /*! The error as text, which names the value at fault; empty if there is none. */
    Q_PROPERTY(QString errorString READ errorString NOTIFY errorChanged)
    /*! The names that the hub sends, or patterns of them: `*` is one segment of a name or part of one, `**` any number of
        segments. Initially ["**"], which is all; reset, it is that again. The client forgets the values of names that match
        none of them, except its own, and those that QML types with this client use. */
    Q_PROPERTY(QStringList subscriptions READ subscriptions WRITE setSubscriptions RESET resetSubscriptions NOTIFY
                   subscriptionsChanged)
    /*! The identities of the other apps that are connected to the hub, sorted; one for each app, also of several that share
        it. They stay while the client reconnects; empty while it is not active, and with a hub that does not tell. The hub
        is asked once somebody reads this, or connects to its signal or presenceChanged(): at first it is empty. */
    Q_PROPERTY(QStringList peers READ peers NOTIFY peersChanged)
    /*! Whether bytes that are valid UTF-8 arrive as QString. Initially false. The original nanostate sends its text as
        bytes. */
    Q_PROPERTY(bool bytesAsText READ bytesAsText WRITE setBytesAsText NOTIFY bytesAsTextChanged)

public:
    enum class State {
        Disconnected = NS_LINK_IDLE, //!< Not active.
        Connecting = NS_LINK_CONNECTING, //!< Connecting, or waiting to try again.
        Connected = NS_LINK_CONNECTED, //!< The hub has welcomed it.
        Refused = NS_LINK_REFUSED //!< The hub refused it; it tries again by itself.
    };
    Q_ENUM(State)

    /*! What happened to another app. */
    enum class Presence {
        Here = NS_PRESENCE_HERE, //!< It was there before this client asked.
        Joined = NS_PRESENCE_JOINED, //!< It has come.
        Suspect = NS_PRESENCE_SUSPECT, //!< Nothing is heard of it, or its connection has broken.
        Recovered = NS_PRESENCE_RECOVERED, //!< It is not suspect any more.
        Left = NS_PRESENCE_LEFT, //!< It has left on purpose, or was gone when this client had its hub back.
        Lost = NS_PRESENCE_LOST //!< It was suspect for too long.
    };
    Q_ENUM(Presence)

    /*! Numbers of the C API; ns_strerror has a text for each. */
    enum class Error {
        NoError = NS_OK,
        Invalid = NS_ERR_INVALID,
        NoMemory = NS_ERR_NO_MEMORY,
        Internal = NS_ERR_INTERNAL,
        NotActive = NS_ERR_STATE,
        Timeout = NS_ERR_TIMEOUT,
        Closed = NS_ERR_CLOSED,
        Unsupported = NS_ERR_UNSUPPORTED,
        Url = NS_ERR_URL,
        Name = NS_ERR_NAME,
        Identity = NS_ERR_IDENTITY,
        Utf8 = NS_ERR_UTF8,
        Kind = NS_ERR_KIND,
        Value = NS_ERR_MSGPACK,
        Range = NS_ERR_RANGE,
        TooLarge = NS_ERR_TOO_LARGE,
        Full = NS_ERR_FULL,
        ConnectionRefused = NS_ERR_REFUSED,
        Resolve = NS_ERR_RESOLVE,
        Permission = NS_ERR_PERMISSION,
        IdentityTaken = NS_ERR_IDENTITY_TAKEN,
        NotFound = NS_ERR_NOT_FOUND,
        Io = NS_ERR_IO,
        Tls = NS_ERR_TLS
    };
    Q_ENUM(Error)

    explicit Client(QObject *parent = nullptr);
    /*! Has identity and url, and connects after setActive(true). */
    explicit Client(const QString &identity, const QString &url = QString(), QObject *parent = nullptr);
    ~Client() override;

    QString identity() const;
    void setIdentity(const QString &identity);
    QString url() const;
    void setUrl(const QString &url);
    QString ca() const;
    void setCa(const QString &file);
    QString pin() const;
    void setPin(const QString &pin);
    QString token() const;
    void setToken(const QString &token);
    bool clearToken() const;
    void setClearToken(bool clear);
    bool isActive() const;
    void setActive(bool active);
    State state() const;
    bool isSynced() const;
    Error error() const;
    QString errorString() const;
    QStringList subscriptions() const;
    /*! A pattern that is none, or more than 1,024 of them: \l error says so, and nothing changes. */
    void setSubscriptions(const QStringList &patterns);
    void resetSubscriptions();
    QStringList peers() const;
    bool bytesAsText() const;
    void setBytesAsText(bool on);

    /*! Publishes the newest value of \a name: 1 to 1024 bytes of UTF-8 that do not begin with "$ns/". False: it was
        refused, and \l error says why: Value if it holds a type that cannot be sent, Utf8 if name or value has half a
        surrogate pair. A value published while there is no hub is sent once there is one. */
    Q_INVOKABLE bool publish(const QString &name, const QVariant &value);
    /*! The same with options, which count for this value only: the next publish() without them publishes a value that
        stays. False also if timeToLive is negative or above 1000 days. */
    bool publish(const QString &name, const QVariant &value, const PublishOptions &options);
    /*! publish() for bytes, which a QString would change. */
    Q_INVOKABLE bool publishBytes(const QString &name, const QByteArray &bytes);
    /*! Withdraws the value that this client has published of \a name, also one that it published before it was active the
        last time: the name has none from then on, here and in other programs, until one is published again. False: as
        with publish(). What is withdrawn while there is no hub is withdrawn once there is one. */
    Q_INVOKABLE bool clear(const QString &name);
    /*! Leaves a value of \a name with the hub, which publishes it as this client's when the client is lost: when its
        process ends without deactivating or destroying it, and is not back within 5 s, or when nothing is heard of it for
        20 s (NS_OPT_HUB_LOST_MS). The will may be changed at any time, and is void once the client is not active or has
        another identity. False: as with publish(), and Full if 1,000 names have one, or if all would have more than 1 MiB
        together. If the hub does not take it, the log says so. */
    Q_INVOKABLE bool will(const QString &name, const QVariant &value);
    /*! The same, but the hub withdraws this client's value of \a name then. */
    Q_INVOKABLE bool willClear(const QString &name);
    /*! Takes the will for \a name back. */
    Q_INVOKABLE bool noWill(const QString &name);
    /*! Adds a pattern to \l subscriptions; the first one takes the place of the initial "**". The hub sends what it holds
        of it, and \l synced is false until all of that has arrived. Several subscriptions of one pass of the event loop
        go out together. False: it is refused, and \l error says why: Name if it is no pattern, Full if there are
        1,024. */
    Q_INVOKABLE bool subscribe(const QString &pattern);
    /*! Takes a pattern out of \l subscriptions. False: it is not there. */
    Q_INVOKABLE bool unsubscribe(const QString &pattern);
    /*! The newest value of \a name that this client knows: that of \a sender, or without one that of any sender, itself
        included. An invalid QVariant if there is none. Does not ask the hub. */
    Q_INVOKABLE QVariant value(const QString &name, const QString &sender = QString()) const;
    /*! Whether that value is stale: the app that set it is gone, or has been restarted and has not set it since. A suspect
        app is not gone. Values that the hub itself has stamped are not stale while that hub runs: those of old programs
        and of clients of gateways, and wills. The first call, or connection to staleChanged(), makes the client ask the
        hub which apps are there. Until the hub has told all of them, a value becomes stale only if the hub says that its
        app is gone; without a hub, none does. */
    Q_INVOKABLE bool isStale(const QString &name, const QString &sender = QString()) const;
    /*! The names of all values that this client knows, its own included, sorted. */
    Q_INVOKABLE QStringList names() const;

    /*! Has the hub withdraw the value of \a name of a program that is gone, as clear() withdraws an own one; forgotten()
        tells what has come of it. Does not wait: a thread does, also for a connection, for \a timeout milliseconds: a
        whole number from 0 to 2147483647, or -1 for no limit. No code of your program runs in it. While the hub refuses
        the client, the call ends at once with the reason. False: it is refused, and \l error says why: NotActive, Full
        if 16 calls of this function, requestHubStats() and requestHubPeers() wait already, or Io if there is no memory
        or thread left. */
    Q_INVOKABLE bool forget(const QString &sender, const QString &name, int timeout = -1);
    /*! Asks the hub what it counts, which hubStatsReceived() tells. Waits, and is refused, as forget(). */
    Q_INVOKABLE bool requestHubStats(int timeout = -1);
    /*! Asks the hub what it counts of each peer, which hubPeersReceived() tells. Waits, and is refused, as forget(). */
    Q_INVOKABLE bool requestHubPeers(int timeout = -1);

Q_SIGNALS:
    /*! A state of another program has arrived. Each state of a burst is reported, unless this program falls so far
        behind that the queue is full; then only the newest values are. A state is \a retained if the hub held it
        already when this client asked for it: it may be of any age. Otherwise it was published since. */
    void stateUpdated(const QString &sender, const QString &name, const QVariant &value, bool retained);
    /*! Another program has withdrawn its value of a name. If that was while this client was away, it is \a retained. */
    void stateCleared(const QString &sender, const QString &name, bool retained);
    /*! Another app was there, has come, is gone, or is suspect. \a instance, 32 hexadecimal digits, tells it from others with
        that identity. Each that is there is told to the first that connects; after a reconnect, what has changed. Losing
        the hub is nothing that happened to others. */
    void presenceChanged(const QString &identity, NanostateQt::Client::Presence presence, const QString &instance);
    /*! Values of \a sender, or of all senders if it is empty, may have become stale or fresh: isStale() says which are
        stale. */
    void staleChanged(const QString &sender);
    /*! A forget() that was not refused has come to its end. NoError: the value is withdrawn, and stateCleared() and the
        like tell of it. NotFound: the hub holds no such value. NotActive: the sender is connected, and clears its value
        itself. Permission: this client may only read. Timeout: the hub has not answered in time. Closed: it was still
        open when this client was deactivated, or got another identity. Io: the connection was lost before the answer
        came, so that the value may be withdrawn or not. Others: as errorString says.

        Each call is told of once, also if the client is no longer active by then, unless it is destroyed. */
    void forgotten(const QString &sender, const QString &name, NanostateQt::Client::Error error,
                   const QString &errorString);
    /*! A requestHubStats() that was not refused has come to its end. \a stats are the counters of ns_hub_stats_t without
        malformed_by, by their names in camelCase, such as messagesIn; it is empty if there is an \a error. Unsupported: the
        hub does not tell. If the client connects to another hub meanwhile, that one is asked, in the time that is left.
        Each call is told of once, as by forgotten(). */
    void hubStatsReceived(const QVariantMap &stats, NanostateQt::Client::Error error, const QString &errorString);
    /*! The same for requestHubPeers(): a map for each peer, this client among them, with the fields of ns_peer_stats_t in
        camelCase: identity, from, the flags old, live and suspect, and counters. In no particular order. */
    void hubPeersReceived(const QVariantList &peers, NanostateQt::Client::Error error, const QString &errorString);
    void connected();
    void disconnected();
    /*! An error occurred; \l error and \l errorString have it from now on. */
    void errorOccurred(NanostateQt::Client::Error error, const QString &errorString);

    void identityChanged();
    void urlChanged();
    void caChanged();
    void pinChanged();
    void tokenChanged();
    void clearTokenChanged();
    void activeChanged();
    void stateChanged(NanostateQt::Client::State state);
    void syncedChanged();
    void errorChanged();
    void subscriptionsChanged();
    void peersChanged();
    void bytesAsTextChanged();

protected:
    void connectNotify(const QMetaMethod &signal) override;

private:
    friend class ClientPrivate;
    Q_DISABLE_COPY(Client)
    QScopedPointer<ClientPrivate> d;
};

} // namespace NanostateQt

#endif // NANOSTATEQT_CLIENT_H
