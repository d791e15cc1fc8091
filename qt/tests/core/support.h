#ifndef NANOSTATEQT_TESTS_SUPPORT_H
#define NANOSTATEQT_TESTS_SUPPORT_H

#include <QtCore/qbytearray.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qprocess.h>
#include <QtCore/qstring.h>
#include <QtCore/qtemporarydir.h>
#include <QtTest/qtest.h>

#include <nanostate.h>

#include <memory>

// How long an event may take before it counts as missing, in milliseconds. It never measures anything.
constexpr int Patience = 30000;

#define EVENTUALLY(condition) QTRY_VERIFY_WITH_TIMEOUT(condition, Patience)
#define EVENTUALLY_EQUAL(value, expected) QTRY_COMPARE_WITH_TIMEOUT(value, expected, Patience)

inline QString text(const char *literal)
{
    return QString::fromUtf8(literal);
}

// How often a repeated check runs: `name` in the environment, else `otherwise`.
inline int runs(const char *name, int otherwise)
{
    bool given = false;
    const int number = qEnvironmentVariableIntValue(name, &given);
    return given ? number : otherwise;
}

// An address at which no other program listens while no hub does; a free port may be taken by any program.
class Address
{
public:
    QString url() const { return text("ipc://") + m_directory.filePath(text("hub")); }

private:
    QTemporaryDir m_directory;
};

// A hub in this process.
class Hub
{
public:
    explicit Hub(const QString &url = text("tcp://127.0.0.1:0"), const char *certificate = nullptr,
                 const char *tokens = nullptr)
    {
        if (ns_hub_new(&m_hub) != NS_OK || ns_hub_set_text(m_hub, NS_OPT_HUB_TLS_CERT, certificate) != NS_OK
            || ns_hub_set_text(m_hub, NS_OPT_HUB_TOKEN_FILE, tokens) != NS_OK
            || ns_hub_listen(m_hub, url.toUtf8().constData()) != NS_OK)
            qFatal("no hub: %s", ns_last_error());
    }
    ~Hub() { ns_hub_free(m_hub); }

    QString url() const { return QString::fromUtf8(ns_hub_address(m_hub, 0)); }
    ns_hub *handle() const { return m_hub; }

    quint64 peers() const
    {
        ns_hub_stats_t stats;
        ns_hub_stats(m_hub, &stats, sizeof stats);
        return stats.peers;
    }

private:
    Q_DISABLE_COPY(Hub)
    ns_hub *m_hub = nullptr;
};

// A hub in a separate process: the command.
class HubProcess
{
public:
    // Empty if it did not start.
    QString start(const QString &url = text("tcp://127.0.0.1:0"))
    {
        m_process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
        m_process.start(text(NANOSTATE_COMMAND), {text("hub"), text("--listen"), url});
        const QByteArray said = "listening on ";
        while (m_process.canReadLine() || m_process.waitForReadyRead(Patience)) {
            if (!m_process.canReadLine())
                continue;
            const QByteArray line = m_process.readLine().trimmed();
            const auto at = line.indexOf(said);
            if (at >= 0)
                return QString::fromUtf8(line.mid(at + said.size()));
        }
        return QString();
    }

    void kill()
    {
        m_process.kill();
        m_process.waitForFinished(Patience);
    }

    ~HubProcess() { kill(); }

private:
    QProcess m_process;
};

// To the others a separate program: it uses the C API.
class Peer
{
public:
    Peer(const char *identity, const QString &url)
    {
        if (ns_app_new(identity, &m_app) != NS_OK || ns_app_connect(m_app, url.toUtf8().constData()) != NS_OK
            || ns_app_wait_connected(m_app, Patience) != NS_OK) {
            qFatal("no peer: %s", ns_last_error());
        }
    }
    ~Peer() { ns_app_free(m_app); }

    ns_app *app() const { return m_app; }
    operator ns_app *() const { return m_app; }

    // Waits until the hub has everything that was sent.
    bool flush() { return ns_app_flush(m_app, Patience) == NS_OK; }

    // The next state as "sender name json".
    QByteArray next()
    {
        ns_state *state = nullptr;
        const char *json = "";
        if (ns_app_recv(m_app, Patience, &state) != NS_OK)
            return QByteArray(ns_last_error());
        ns_state_json(state, &json, nullptr);
        const QByteArray line = QByteArray(ns_state_sender(state)) + ' ' + ns_state_name(state) + ' ' + json;
        ns_state_free(state);
        return line;
    }

private:
    Q_DISABLE_COPY(Peer)
    ns_app *m_app = nullptr;
};

#endif // NANOSTATEQT_TESTS_SUPPORT_H
