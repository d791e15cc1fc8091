#include <NanostateQt/Client>
#include <NanostateQt/private/client_p.h>

#include <QtCore/qeventloop.h>
#include <QtCore/qpointer.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>
#include <QtTest/qtest.h>

#include "support.h"

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

using NanostateQt::Client;
using NanostateQt::StateObserver;
namespace ClientAccess = NanostateQt::ClientAccess;

namespace {

// Publishes from a separate thread until it is destroyed.
class Flood
{
public:
    explicit Flood(const QString &url) : m_peer("flood", url), m_thread([this]() { run(); }) {}

    ~Flood()
    {
        m_end = true;
        m_thread.join();
    }

private:
    void run()
    {
        for (int i = 0; !m_end; ++i) {
            ns_app_send_int(m_peer, QByteArray::number(i % 100).constData(), i);
            // Not faster than the hub accepts it, so that the last value does not wait for all others.
            if (i % 100 == 99)
                m_peer.flush();
        }
    }

    Peer m_peer;
    std::atomic<bool> m_end{false};
    std::thread m_thread;
};

class Observer : public StateObserver
{
public:
    explicit Observer(std::function<void()> function) : m_function(std::move(function)) {}
    void stateArrived(const ns_state *) override { m_function(); }

private:
    std::function<void()> m_function;
};

// Runs the event loop of this thread until the condition holds; false if it never does.
bool wait(const std::function<bool()> &condition)
{
    QElapsedTimer patience;
    patience.start();
    // Makes the loop check the condition even if nothing happens.
    QTimer look;
    look.start(100);
    while (!condition()) {
        if (patience.hasExpired(Patience))
            return false;
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    }
    return true;
}

} // namespace

class LifetimeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void clientsAreDestroyedWhileUpdatesArrive()
    {
        const Hub tcp;
        const Hub inproc(text("inproc://lifetime"));
        const Flood flood(tcp.url());
        const Flood flood2(inproc.url());
        const int count = runs("NANOSTATE_LIFETIME_RUNS", 1000);
        int updates = 0;
        for (int i = 0; i < count; ++i) {
            const QString url = i % 8 ? inproc.url() : tcp.url();
            auto *client = new Client(text("client"), url);
            const QPointer<Client> alive(client);
            bool over = false;
            bool ended = false;
            const int wanted = 1 + i % 50;
            int had = 0;
            connect(client, &Client::stateUpdated, client, [&, client]() {
                QVERIFY(!ended);
                ++updates;
                if (++had != wanted)
                    return;
                over = true;
                ended = i % 5 < 3;
                switch (i % 5) {
                case 0:
                    delete client;
                    break;
                case 1:
                    client->deleteLater();
                    client->setActive(false);
                    break;
                case 2:
                    client->setActive(false);
                    delete client;
                    break;
                default:
                    break;
                }
            });
            client->publish(text("refused"), 1);
            client->setActive(true);
            client->publish(text("own"), i);
            QVERIFY(wait([&]() { return over; }));
            // Not from a slot, while states arrive.
            if (i % 5 >= 3)
                delete client;
            QVERIFY(wait([&]() { return !alive; }));
        }
        QVERIFY(updates >= count);
    }

    void observersAreForgottenWhileUpdatesArrive()
    {
        const Hub hub(text("inproc://observers"));
        const Flood flood(hub.url());
        for (int i = 0; i < 200; ++i) {
            auto client = std::make_unique<Client>(text("client"), hub.url());
            bool over = false;
            Observer last([&]() { QVERIFY(!over); });
            Observer first([&]() {
                over = true;
                client.reset();
            });
            for (const QString &name : {text("7"), QString()}) {
                ClientAccess::addObserver(client.get(), name, &first);
                ClientAccess::addObserver(client.get(), name, &last);
            }
            client->setActive(true);
            QVERIFY(wait([&]() { return over; }));
        }
    }

    void aClientMayBeDeletedInEachOfItsSlots_data()
    {
        QTest::addColumn<QByteArray>("signal");
        for (const char *signal :
             {"activeChanged()", "stateChanged(NanostateQt::Client::State)", "connected()", "disconnected()",
              "syncedChanged()", "errorChanged()", "errorOccurred(NanostateQt::Client::Error,QString)",
              "identityChanged()", "urlChanged()", "bytesAsTextChanged()",
              "stateUpdated(QString,QString,QVariant,bool)", "destroyed()"}) {
            QTest::newRow(signal) << QByteArray(signal);
        }
    }

    void aClientMayBeDeletedInEachOfItsSlots()
    {
        QFETCH(QByteArray, signal);
        const Hub hub;
        const Flood flood(hub.url());
        // Each signal is emitted several times: the client goes at the first, the second, …
        for (int when = 1; when <= 3; ++when) {
            QPointer<Client> client = new Client(text("me"), hub.url());
            m_doomed = client;
            m_when = when;
            QVERIFY(connect(client, ('2' + signal).constData(), this, SLOT(doom())));
            const auto step = [&](const std::function<void(Client *)> &action) {
                if (client)
                    action(client);
            };
            const auto synced = [&]() { return !client || client->isSynced(); };
            step([](Client *c) { c->setActive(true); });
            QVERIFY(wait(synced));
            step([](Client *c) { c->publish(QString(), 1); });
            step([](Client *c) { c->publish(text("n"), 1); });
            step([](Client *c) { c->setBytesAsText(true); });
            step([](Client *c) { c->setIdentity(text("me2")); });
            QVERIFY(wait(synced));
            step([&](Client *c) {
                c->setUrl(hub.url() + text(",") + hub.url());
            });
            QVERIFY(wait(synced));
            int updates = 0;
            step([&](Client *c) { connect(c, &Client::stateUpdated, this, [&]() { ++updates; }); });
            QVERIFY(wait([&]() { return !client || updates > 3; }));
            step([](Client *c) { c->disconnect(SIGNAL(stateUpdated(QString, QString, QVariant, bool))); });
            step([](Client *c) { c->setActive(false); });
            step([](Client *c) { c->setBytesAsText(false); });
            step([](Client *c) { c->setUrl(text("nonsense")); });
            step([](Client *c) { c->setActive(true); });
            step([](Client *c) { c->setBytesAsText(true); });
            if (signal != "destroyed()")
                QVERIFY2(!client || when > 1, signal.constData());
            delete client;
        }
    }

    void aClientMayChangeInASlotOfAnUpdate()
    {
        const Hub hub;
        const Flood flood(hub.url());
        Client client(text("me"), hub.url());
        bool active = true;
        int updates = 0;
        int depth = 0;
        connect(&client, &Client::stateUpdated, &client, [&]() {
            QVERIFY(active);
            QCOMPARE(++depth, 1);
            switch (++updates) {
            case 5:
                client.setIdentity(text("me2"));
                break;
            case 10:
                client.setUrl(hub.url() + text(",") + hub.url());
                break;
            case 15:
                client.setActive(false);
                client.setActive(true);
                break;
            case 20:
                active = false;
                client.setActive(false);
                break;
            }
            --depth;
        });
        client.setActive(true);
        QVERIFY(wait([&]() { return !active; }));
        // Nothing is in flight any more.
        QCoreApplication::processEvents();
        QCOMPARE(updates, 20);
    }

    void updatesGoOnInAnEventLoopOfASlot()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QVector<int> values;
        int level = 0;
        int deepest = 0;
        connect(&client, &Client::stateUpdated, &client, [&](const QString &, const QString &, const QVariant &value) {
            values.append(value.toInt());
            if (value.toInt() % 10 != 0 || level >= 4)
                return;
            deepest = qMax(deepest, ++level);
            const int until = values.size() + 10;
            QVERIFY(wait([&]() { return values.size() >= until || values.last() == 99; }));
            --level;
        });
        client.setActive(true);
        QVERIFY(wait([&]() { return client.state() == Client::State::Connected; }));
        Peer peer("peer", hub.url());
        for (int i = 0; i < 100; ++i)
            ns_app_send_int(peer, QByteArray::number(i).constData(), i);
        QVERIFY(wait([&]() { return values.size() == 100; }));
        for (int i = 0; i < 100; ++i)
            QCOMPARE(values.at(i), i);
        QCOMPARE(level, 0);
        QVERIFY(deepest > 1);
    }

    void aClientMayBeDeletedInAnEventLoopOfItsSlot()
    {
        const Hub hub;
        const Flood flood(hub.url());
        for (int i = 0; i < 20; ++i) {
            QPointer<Client> client = new Client(text("me"), hub.url());
            int updates = 0;
            connect(client, &Client::stateUpdated, this, [&]() {
                if (++updates == 1)
                    QVERIFY(wait([&]() { return !client; }));
                else if (updates == 10)
                    delete client;
            });
            client->setActive(true);
            QVERIFY(wait([&]() { return !client; }));
            QCOMPARE(updates, 10);
        }
    }

    void whatAConnectedClientPublishedLastArrives()
    {
        const Hub hub;
        for (int i = 0; i < 20; ++i) {
            {
                Client client(text("me"), hub.url());
                client.setActive(true);
                QVERIFY(wait([&]() { return client.state() == Client::State::Connected; }));
                for (int j = 0; j < 1000; ++j)
                    client.publish(text("n"), i * 1000 + j);
            }
            Peer peer("peer", hub.url());
            QCOMPARE(peer.next(), "me n " + QByteArray::number(i * 1000 + 999));
        }
    }

    void aClientWithoutAHubIsDestroyedAtOnce()
    {
        // With the default linger of a second each, the test would take that long.
        for (int i = 0; i < 1000; ++i) {
            Client client(text("me"), text("inproc://nobody"));
            client.setActive(true);
            client.publish(text("n"), i);
        }
    }

    void aClientIsDestroyedInAThreadThatEnds()
    {
        const Hub hub;
        const Flood flood(hub.url());
        for (int i = 0; i < 50; ++i) {
            QThread thread;
            auto *client = new Client(text("me"), hub.url());
            client->moveToThread(&thread);
            std::atomic<int> updates{0};
            connect(client, &Client::stateUpdated, client, [&]() {
                if (++updates == 3)
                    thread.quit();
            });
            connect(&thread, &QThread::started, client, [=]() { client->setActive(true); });
            connect(&thread, &QThread::finished, client, &QObject::deleteLater);
            thread.start();
            QVERIFY(thread.wait(Patience));
            QVERIFY(updates >= 3);
        }
    }

public Q_SLOTS:
    // Public: private slots are tests.
    void doom()
    {
        if (m_doomed && --m_when == 0)
            delete m_doomed;
    }

private:
    QPointer<Client> m_doomed;
    int m_when = 0;
};

QTEST_GUILESS_MAIN(LifetimeTest)
#include "tst_lifetime.moc"
