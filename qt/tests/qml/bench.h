#ifndef NANOSTATEQML_TESTS_BENCH_H
#define NANOSTATEQML_TESTS_BENCH_H

// What the tests in QML need from C++: import NanostateTest 1.0.

#include "../core/support.h"

#include <NanostateQt/client.h>
#include <NanostateQt/private/client_p.h>

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qobject.h>
#include <QtCore/qsocketnotifier.h>
#include <QtCore/qvariant.h>
#include <QtCore/qvector.h>
#include <QtQml/qqml.h>
#include <QtQml/qqmlengine.h>
#include <QtTest/qabstractitemmodeltester.h>

#include <memory>

// A hub in a separate process, whose address stays the same when it is killed and started again.
class TestHub : public QObject
{
    Q_OBJECT
    Q_PROPERTY(QString url READ url CONSTANT)

public:
    QString url() const { return m_address.url(); }

    Q_INVOKABLE bool start()
    {
        m_process = std::make_unique<HubProcess>();
        return !m_process->start(url()).isEmpty();
    }
    // By SIGKILL.
    Q_INVOKABLE void kill() { m_process.reset(); }

private:
    Address m_address;
    std::unique_ptr<HubProcess> m_process;
};

// To the others a separate program: it uses the C API, and not the Qt codec. Keeps what it receives.
class TestPeer : public QObject
{
    Q_OBJECT
    Q_PROPERTY(int count READ count NOTIFY received)

public:
    ~TestPeer() override { close(); }

    // Returns once it is connected.
    Q_INVOKABLE bool open(const QString &identity, const QString &url)
    {
        close();
        m_peer = std::make_unique<Peer>(identity.toUtf8().constData(), url);
        m_notifier = std::make_unique<QSocketNotifier>(ns_app_fd(*m_peer), QSocketNotifier::Read);
        connect(m_notifier.get(), &QSocketNotifier::activated, this, &TestPeer::receive);
        return true;
    }
    Q_INVOKABLE void close()
    {
        m_notifier.reset();
        m_peer.reset();
        m_log.clear();
    }
    // Returns once the hub has it.
    Q_INVOKABLE bool send(const QString &name, const QString &json)
    {
        const QByteArray utf8 = json.toUtf8();
        return ns_app_send_json(*m_peer, name.toUtf8().constData(), utf8.constData(), size_t(utf8.size())) == NS_OK
            && m_peer->flush();
    }
    // MessagePack in hexadecimal digits.
    Q_INVOKABLE bool sendRaw(const QString &name, const QString &hex)
    {
        const QByteArray bytes = QByteArray::fromHex(hex.toLatin1());
        return ns_app_send_msgpack(*m_peer, name.toUtf8().constData(), bytes.constData(), size_t(bytes.size())) == NS_OK
            && m_peer->flush();
    }
    // Withdraws a value. Returns once the hub has heard of it.
    Q_INVOKABLE bool clear(const QString &name)
    {
        return ns_app_clear(*m_peer, name.toUtf8().constData()) == NS_OK && m_peer->flush();
    }
    // A value of each of so many names that begin with this, without waiting in between.
    Q_INVOKABLE bool sendEach(const QString &prefix, int count)
    {
        for (int i = 0; i < count; ++i) {
            if (ns_app_send_int(*m_peer, (prefix + QString::number(i)).toUtf8().constData(), i) != NS_OK)
                return false;
        }
        return m_peer->flush();
    }
    // The integers from 1 to `count`, without waiting in between.
    Q_INVOKABLE bool sendMany(const QString &name, int count)
    {
        for (int i = 1; i <= count; ++i) {
            if (ns_app_send_int(*m_peer, name.toUtf8().constData(), i) != NS_OK)
                return false;
        }
        return m_peer->flush();
    }

    int count() const { return int(m_log.size()); }
    // The newest value of a name that was received, as JSON; "" if there is none.
    Q_INVOKABLE QString json(const QString &name) const
    {
        for (auto entry = m_log.crbegin(); entry != m_log.crend(); ++entry) {
            if (entry->name == name)
                return entry->json;
        }
        return QString();
    }
    // The same in hexadecimal digits of its MessagePack.
    Q_INVOKABLE QString raw(const QString &name) const
    {
        for (auto entry = m_log.crbegin(); entry != m_log.crend(); ++entry) {
            if (entry->name == name)
                return entry->raw;
        }
        return QString();
    }
    // All values of a name that were received, as JSON.
    Q_INVOKABLE QStringList all(const QString &name) const
    {
        QStringList values;
        for (const Entry &entry : m_log) {
            if (entry.name == name)
                values.append(entry.json);
        }
        return values;
    }

Q_SIGNALS:
    void received();

private:
    struct Entry
    {
        QString name;
        QString json;
        QString raw;
    };

    void receive()
    {
        ns_state *state = nullptr;
        while (m_peer && ns_app_recv(*m_peer, 0, &state) == NS_OK) {
            const char *json = "";
            const void *data = nullptr;
            size_t size = 0;
            ns_state_json(state, &json, nullptr);
            ns_state_msgpack(state, &data, &size);
            const QByteArray raw = QByteArray(static_cast<const char *>(data), int(size)).toHex();
            m_log.append({QString::fromUtf8(ns_state_name(state)), QString::fromUtf8(json), QString::fromLatin1(raw)});
            ns_state_free(state);
            Q_EMIT received();
        }
    }

    std::unique_ptr<Peer> m_peer;
    std::unique_ptr<QSocketNotifier> m_notifier;
    QVector<Entry> m_log;
};

// What QML cannot do itself.
class TestTools : public QObject
{
    Q_OBJECT

public:
    // At once, not in the event loop as destroy() does.
    Q_INVOKABLE void deleteNow(QObject *object) { delete object; }
    // What C++ sees in a property: its type and its text.
    Q_INVOKABLE QString inCpp(QObject *object, const QString &property) const
    {
        const QVariant value = object->property(property.toUtf8().constData());
        return text("%1 %2").arg(text(value.typeName()), value.toString());
    }
    // A client as C++ creates it, without the QML library.
    Q_INVOKABLE QObject *plainClient(const QString &identity, const QString &url) const
    {
        auto *const client = new NanostateQt::Client(identity, url);
        client->setActive(true);
        return client;
    }
    // As C++ code does that does not know NanostateClient.
    Q_INVOKABLE void deactivate(QObject *client) const
    {
        qobject_cast<NanostateQt::Client *>(client)->setActive(false);
    }
    // How many states have come to this client.
    Q_INVOKABLE int received(QObject *client) const
    {
        ns_app_stats_t stats;
        ns_app_stats(appOf(client), &stats, sizeof stats);
        return int(stats.received);
    }
    // Aborts the program if a signal of the model does not fit what it has.
    Q_INVOKABLE void watchModel(QObject *model) const
    {
        new QAbstractItemModelTester(qobject_cast<QAbstractItemModel *>(model),
                                     QAbstractItemModelTester::FailureReportingMode::Fatal, model);
    }
    // Numbers do not come to this client until haveEverything() is called.
    Q_INVOKABLE bool holdNumbersBack(QObject *client) const
    {
        return ns_app_set_accept(appOf(client), NS_ACCEPT(NS_KIND_TEXT)) == NS_OK;
    }
    // Waits, outside the event loop, until everything has come that the hub held, and leaves it for the event loop.
    Q_INVOKABLE bool haveEverything(QObject *client) const
    {
        return ns_app_set_accept(appOf(client), NS_ACCEPT_ANY) == NS_OK
            && ns_app_wait_synced(appOf(client), Patience) == NS_OK;
    }
    Q_INVOKABLE bool isConnected(QObject *client) const
    {
        return qobject_cast<NanostateQt::Client *>(client)->state() == NanostateQt::Client::State::Connected;
    }
    Q_INVOKABLE void setBig(QObject *object, const QString &property, const QString &number) const
    {
        object->setProperty(property.toUtf8().constData(), number.toLongLong());
    }
    // Runs the command `nanostate` to its end, in a separate process.
    Q_INVOKABLE bool command(const QStringList &arguments) const
    {
        return QProcess::execute(text(NANOSTATE_COMMAND), arguments) == 0;
    }
    // A program in a separate process that is there under this identity, until it is killed.
    Q_INVOKABLE void startProgram(const QString &identity, const QString &url)
    {
        m_program = std::make_unique<QProcess>();
        m_program->start(text(NANOSTATE_COMMAND),
                         {text("send"), text("--stdin"), text("--as"), identity, text("--connect"), url});
    }
    // A program in QML, by `window`, in a separate process that is there under this identity, until it is killed.
    Q_INVOKABLE void startWindow(const QString &identity, const QString &url, const QString &file)
    {
        m_program = std::make_unique<QProcess>();
        m_program->setProcessChannelMode(QProcess::ForwardedErrorChannel);
        m_program->start(QCoreApplication::applicationDirPath() + text("/window"),
                         {identity, url, text(QUICK_TEST_SOURCE_DIR "/") + file});
    }
    // What it answers: the value of an expression in its file, as JSON in brackets.
    Q_INVOKABLE QString evaluate(const QString &expression)
    {
        m_program->write("= " + expression.toUtf8() + '\n');
        while (!m_program->canReadLine()) {
            if (!m_program->waitForReadyRead(Patience))
                return m_program->errorString();
        }
        return QString::fromUtf8(m_program->readLine().trimmed());
    }
    Q_INVOKABLE void killProgram()
    {
        m_program->kill();
        m_program->waitForFinished(Patience);
    }

private:
    static ns_app *appOf(QObject *client)
    {
        return NanostateQt::ClientAccess::app(qobject_cast<NanostateQt::Client *>(client));
    }

    std::unique_ptr<QProcess> m_program;
};

inline void registerBench()
{
    constexpr char uri[] = "NanostateTest";
    qmlRegisterType<TestHub>(uri, 1, 0, "TestHub");
    qmlRegisterType<TestPeer>(uri, 1, 0, "TestPeer");
    qmlRegisterSingletonType<TestTools>(uri, 1, 0, "TestTools",
                                        [](QQmlEngine *, QJSEngine *) -> QObject * { return new TestTools; });
}

#endif // NANOSTATEQML_TESTS_BENCH_H
