#include <NanostateQt/NanostateQt>

#include <QtCore/qdatetime.h>
#include <QtCore/qeventloop.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

#include <atomic>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

using NanostateQt::Extension;

class ClientTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aNewClientIsNotActive()
    {
        const Client client;
        QCOMPARE(client.identity(), QString());
        QCOMPARE(client.url(), QString());
        QVERIFY(!client.isActive());
        QCOMPARE(client.state(), Client::State::Disconnected);
        QCOMPARE(client.error(), Client::Error::NoError);
        QCOMPARE(client.errorString(), QString());
        QVERIFY(!client.bytesAsText());
        QVERIFY(!client.value(text("n")).isValid());
        QVERIFY(client.names().isEmpty());
        QCOMPARE(ClientAccess::app(&client), nullptr);

        const Client named(text("me"), text("tcp://127.0.0.1:1"));
        QCOMPARE(named.identity(), text("me"));
        QCOMPARE(named.url(), text("tcp://127.0.0.1:1"));
        QVERIFY(!named.isActive());
    }

    void everyPropertyIsReadAndWrittenByName()
    {
        Client client;
        Log log(&client);
        QVERIFY(client.setProperty("identity", text("me")));
        QVERIFY(client.setProperty("url", text("inproc://nobody")));
        QVERIFY(client.setProperty("bytesAsText", true));
        QVERIFY(client.setProperty("active", true));
        QCOMPARE(client.property("identity").toString(), text("me"));
        QCOMPARE(client.property("url").toString(), text("inproc://nobody"));
        QVERIFY(client.property("bytesAsText").toBool());
        QVERIFY(client.property("active").toBool());
        QCOMPARE(client.property("state").toInt(), int(Client::State::Connecting));
        QCOMPARE(client.property("error").toInt(), 0);
        QCOMPARE(client.property("errorString").toString(), QString());
        QVERIFY(!client.setProperty("state", 2));
        QCOMPARE(log, (QStringList{text("identity me"), text("url inproc://nobody"), text("text"), text("active"),
                                   text("state 1")}));
        log.clear();
        client.setIdentity(text("me"));
        client.setUrl(text("inproc://nobody"));
        client.setBytesAsText(true);
        client.setActive(true);
        QCOMPARE(log, QStringList());
        client.setActive(false);
        QCOMPARE(log, (QStringList{text("inactive"), text("state 0")}));
    }

    void valuesOfEveryTypeArrive_data()
    {
        QTest::addColumn<QVariant>("sent");
        QTest::addColumn<QVariant>("arrived");
        const auto same = [](const char *name, const QVariant &value) { QTest::newRow(name) << value << value; };
        same("text", text("für 😀"));
        same("text with NUL", QString(text("a") + QChar(0) + text("b")));
        same("bytes", QByteArray("\0\xFF", 2));
        same("no bytes", QByteArray());
        same("true", true);
        same("int64 beyond 2^53", qlonglong(9007199254740993));
        same("least int64", std::numeric_limits<qlonglong>::min());
        same("largest uint64", std::numeric_limits<qulonglong>::max());
        same("double", 0.1);
        same("infinity", std::numeric_limits<double>::infinity());
        same("null", QVariant::fromValue(nullptr));
        same("list", QVariantList{qlonglong(1), text("a"), QVariantList{}, QVariant::fromValue(nullptr)});
        same("map", QVariantMap{{text("a"), QVariantMap{{text("b"), 1.5}}}});
        same("time", QDateTime(QDate(1969, 7, 20), QTime(20, 17, 40, 123), Qt::UTC));
        same("extension", QVariant::fromValue(Extension(42, "x")));
        const auto becomes = [](const char *name, const QVariant &sent, const QVariant &arrived) {
            QTest::newRow(name) << sent << arrived;
        };
        becomes("int", 5, qlonglong(5));
        becomes("unsigned that fits", 5u, qlonglong(5));
        becomes("float", 1.5f, 1.5);
        becomes("nothing", QVariant(), QVariant::fromValue(nullptr));
        becomes("texts", QStringList{text("a")}, QVariantList{text("a")});
        becomes("hash", QVariantHash{{text("a"), true}}, QVariantMap{{text("a"), true}});
        becomes("enum", QVariant::fromValue(Client::State::Refused), qlonglong(NS_LINK_REFUSED));
    }

    void valuesOfEveryTypeArrive()
    {
        QFETCH(QVariant, sent);
        QFETCH(QVariant, arrived);
        const Hub hub;
        Client sender(text("sender"), hub.url());
        Client receiver(text("receiver"), hub.url());
        Received received(&receiver);
        sender.setActive(true);
        receiver.setActive(true);
        // A byte order mark is a character like others.
        const QString name = QChar(QChar::ByteOrderMark) + text("a/b");
        QVERIFY(sender.publish(name, sent));
        EVENTUALLY(received.contains(text("sender ") + name));
        const QVariant value = received.value(text("sender ") + name);
        QCOMPARE(value.userType(), arrived.userType());
        QCOMPARE(value, arrived);
        QCOMPARE(receiver.value(name), arrived);
        QCOMPARE(receiver.value(name, text("sender")), arrived);
        QCOMPARE(sender.value(name), arrived);
        QCOMPARE(receiver.names(), QStringList(name));
    }

    void publishBytesPublishesBytes()
    {
        const Hub hub;
        Client sender(text("sender"), hub.url());
        Peer peer("peer", hub.url());
        sender.setActive(true);
        QVERIFY(sender.publishBytes(text("raw"), QByteArray("\0\xFF", 2)));
        QCOMPARE(peer.next(), QByteArray("sender raw \"AP8=\""));
        QCOMPARE(sender.value(text("raw")), QVariant(QByteArray("\0\xFF", 2)));
    }

    void kindsOfTheCApiArriveAsTheirTypes()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Received received(&client);
        client.setActive(true);
        Peer peer("peer", hub.url());
        ns_app_send_text(peer, "text", "t");
        ns_app_send_bytes(peer, "bytes", "b", 1);
        ns_app_send_nil(peer, "nil");
        ns_app_send_bool(peer, "bool", true);
        ns_app_send_int(peer, "int", INT64_MIN);
        ns_app_send_uint(peer, "uint", UINT64_MAX);
        ns_app_send_double(peer, "double", 0.1);
        const char json[] = "{\"a\":[1,true]}";
        ns_app_send_json(peer, "json", json, sizeof json - 1);
        EVENTUALLY(received.size() == 8);
        const QVariantMap expected{{text("peer text"), text("t")},
                                   {text("peer bytes"), QByteArray("b")},
                                   {text("peer nil"), QVariant::fromValue(nullptr)},
                                   {text("peer bool"), true},
                                   {text("peer int"), std::numeric_limits<qlonglong>::min()},
                                   {text("peer uint"), std::numeric_limits<qulonglong>::max()},
                                   {text("peer double"), 0.1},
                                   {text("peer json"), QVariantMap{{text("a"), QVariantList{qlonglong(1), true}}}}};
        for (auto it = expected.begin(); it != expected.end(); ++it) {
            QCOMPARE(received.value(it.key()).userType(), it.value().userType());
            QCOMPARE(received.value(it.key()), it.value());
        }
        QCOMPARE(client.names(), (QStringList{text("bool"), text("bytes"), text("double"), text("int"), text("json"),
                                              text("nil"), text("text"), text("uint")}));
    }

    void bytesOfOriginalSendersAreTextOnDemand()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Received received(&client);
        client.setActive(true);
        Peer peer("peer", hub.url());
        ns_app_send_bytes(peer, "text", "t\xC3\xBCr", 4);
        EVENTUALLY(received.contains(text("peer text")));
        QCOMPARE(received.value(text("peer text")), QVariant(QByteArray("t\xC3\xBCr")));
        client.setBytesAsText(true);
        QCOMPARE(client.value(text("text")), QVariant(text("tür")));
        ns_app_send_bytes(peer, "text2", "t\xC3\xBCr", 4);
        ns_app_send_bytes(peer, "bytes", "\xFF", 1);
        EVENTUALLY(received.contains(text("peer bytes")));
        QCOMPARE(received.value(text("peer text2")), QVariant(text("tür")));
        QCOMPARE(received.value(text("peer bytes")), QVariant(QByteArray("\xFF")));
    }

    void publishNeedsAnActiveClient()
    {
        Client client(text("me"), text("inproc://nobody"));
        Log log(&client);
        QVERIFY(!client.publish(text("n"), 1));
        QCOMPARE(client.error(), Client::Error::NotActive);
        QVERIFY2(client.errorString().contains(text("\"n\"")), qPrintable(client.errorString()));
        QVERIFY(!client.publishBytes(text("n"), "b"));
        QCOMPARE(log, (QStringList{text("error -4"), text("occurred -4")}));
    }

    void aNameThatIsNotAllowedIsRefused_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("error");
        QTest::newRow("empty") << QString() << int(Client::Error::Name);
        QTest::newRow("reserved") << text("$ns/x") << int(Client::Error::Name);
        QTest::newRow("1025 bytes") << QString(1025, QLatin1Char('x')) << int(Client::Error::Name);
        QTest::newRow("NUL inside") << QString(text("a") + QChar(0) + text("b")) << int(Client::Error::Name);
        QTest::newRow("NUL alone") << QString(QChar(0)) << int(Client::Error::Name);
        QTest::newRow("half a pair") << QString(QChar(0xD800)) << int(Client::Error::Utf8);
    }

    void aNameThatIsNotAllowedIsRefused()
    {
        QFETCH(QString, name);
        QFETCH(int, error);
        Client client(text("me"), text("inproc://nobody"));
        client.setActive(true);
        QSignalSpy spy(&client, &Client::errorOccurred);
        QVERIFY(!client.publish(name, 1));
        QCOMPARE(int(client.error()), error);
        QVERIFY(!client.errorString().isEmpty());
        QCOMPARE(spy.count(), 1);
        QVERIFY(client.isActive());
        QVERIFY(client.publish(text("good"), 1));
        QCOMPARE(client.error(), Client::Error::NoError);
        QVERIFY(!client.publishBytes(name, "b"));
        QCOMPARE(int(client.error()), error);
        QCOMPARE(client.names(), QStringList(text("good")));
        QVERIFY(!client.value(name).isValid());
        QVERIFY(!client.value(text("good"), name + QChar(0)).isValid());
    }

    void aValueThatCannotBeSentIsNamedWithItsType()
    {
        Client client(text("me"), text("inproc://nobody"));
        client.setActive(true);
        Log log(&client);
        QVERIFY(!client.publish(text("room/size"), QVariantList{QSize(1, 2)}));
        QCOMPARE(client.error(), Client::Error::Value);
        QVERIFY2(client.errorString().contains(text("room/size")), qPrintable(client.errorString()));
        QVERIFY2(client.errorString().contains(text("QSize")), qPrintable(client.errorString()));
        QVERIFY(!client.publish(text("half"), QString(QChar(0xDC00))));
        QCOMPARE(client.error(), Client::Error::Utf8);
        QVERIFY2(client.errorString().contains(text("half")), qPrintable(client.errorString()));
        QVERIFY(!client.publish(text("big"), QByteArray(17 << 20, 'x')));
        QCOMPARE(client.error(), Client::Error::TooLarge);
        QCOMPARE(log.filter(text("occurred")),
                 (QStringList{text("occurred -13"), text("occurred -12"), text("occurred -16")}));
        QVERIFY(client.names().isEmpty());
    }

    void theSameErrorIsToldOnceUntilItIsGone()
    {
        Client client(text("me"), text("inproc://nobody"));
        client.setActive(true);
        Log log(&client);
        for (int i = 0; i < 3; ++i)
            QVERIFY(!client.publish(QString(), i));
        QCOMPARE(log, (QStringList{text("error -10"), text("occurred -10")}));
        QVERIFY(client.publish(text("n"), 1));
        QVERIFY(client.publish(text("n"), 2));
        QVERIFY(!client.publish(QString(), 1));
        QCOMPARE(log, (QStringList{text("error -10"), text("occurred -10"), text("error 0"), text("error -10"),
                                   text("occurred -10")}));
    }

    void severalClientsLiveInOneThread()
    {
        const Hub hub;
        constexpr int count = 8;
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<std::unique_ptr<Received>> received;
        for (int i = 0; i < count; ++i) {
            clients.push_back(std::make_unique<Client>(text("client%1").arg(i), hub.url()));
            received.push_back(std::make_unique<Received>(clients.back().get()));
            clients.back()->setActive(true);
        }
        for (int i = 0; i < count; ++i)
            QVERIFY(clients[size_t(i)]->publish(text("n"), i));
        for (int i = 0; i < count; ++i) {
            EVENTUALLY(received[size_t(i)]->size() == count - 1);
            QVERIFY(!received[size_t(i)]->contains(text("client%1 n").arg(i)));
        }
    }

    void aClientWorksInAWorkerThread()
    {
        const Hub hub;
        QThread thread;
        Client client(text("worker"), hub.url());
        client.moveToThread(&thread);
        thread.start();
        std::atomic<int> elsewhere{0};
        QVariant value;
        QEventLoop loop;
        connect(&client, &Client::stateUpdated, &client, [&]() { elsewhere += QThread::currentThread() != &thread; });
        // Queued to this thread, so the arguments have to be of registered types.
        connect(&client, &Client::stateUpdated, &loop, [&](const QString &, const QString &, const QVariant &got) {
            value = got;
            loop.quit();
        });
        QSignalSpy states(&client, &Client::stateChanged);
        QMetaObject::invokeMethod(&client, [&]() { client.setActive(true); }, Qt::QueuedConnection);
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 3);
        QTimer::singleShot(Patience, &loop, &QEventLoop::quit);
        loop.exec();
        QCOMPARE(value, QVariant(qlonglong(3)));
        QCOMPARE(elsewhere.load(), 0);
        const auto here = [&]() {
            client.setActive(false);
            client.moveToThread(thread.thread());
        };
        QMetaObject::invokeMethod(&client, here, Qt::BlockingQueuedConnection);
        thread.quit();
        thread.wait();
    }

    void aClientInAThreadWithoutEventLoopSendsAndWaitsForOne()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 4);
        QVERIFY(peer.flush());
        QVariant value;
        std::thread plain([&]() {
            Client client(text("plain"), hub.url());
            client.setActive(true);
            client.publish(text("sent"), 5);
            // The only event loop of this thread.
            QEventLoop loop;
            QObject::connect(&client, &Client::stateUpdated,
                             [&](const QString &, const QString &, const QVariant &got) {
                                 value = got;
                                 loop.quit();
                             });
            QTimer::singleShot(Patience, &loop, &QEventLoop::quit);
            loop.exec();
        });
        plain.join();
        QCOMPARE(value, QVariant(qlonglong(4)));
        QCOMPARE(peer.next(), QByteArray("plain sent 5"));
    }

    void movingAnActiveClientKeepsItWorking()
    {
        const Hub hub;
        QThread thread;
        thread.start();
        Client client(text("me"), hub.url());
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        std::atomic<bool> there{false};
        connect(&client, &Client::stateUpdated, &client, [&]() { there = QThread::currentThread() == &thread; });
        client.moveToThread(&thread);
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 1);
        EVENTUALLY(there.load());
        const auto back = [&]() { client.moveToThread(thread.thread()); };
        QMetaObject::invokeMethod(&client, back, Qt::BlockingQueuedConnection);
        thread.quit();
        thread.wait();
    }

    // More is queued than fits into one pass, so the rest of the event loop gets its turns in between.
    void aFullQueueDoesNotKeepTheEventLoop()
    {
        constexpr int count = 40000;
        const Hub hub;
        Client client(text("me"), hub.url());
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        Peer peer("peer", hub.url());
        const char json[] = "[1,2,3,4,5,6,7,8,9,10,\"a\",\"b\",\"c\",\"d\"]";
        for (int i = 0; i < count; ++i)
            ns_app_send_json(peer, QByteArray::number(i).constData(), json, sizeof json - 1);
        QVERIFY(peer.flush());
        ns_app_stats_t stats;
        QElapsedTimer patience;
        patience.start();
        do {
            ns_app_stats(ClientAccess::app(&client), &stats, sizeof stats);
        } while (stats.queued < count && !patience.hasExpired(Patience));
        QCOMPARE(int(stats.queued), count);

        Received received(&client);
        int timers = 0;
        int posted = 0;
        QTimer timer;
        connect(&timer, &QTimer::timeout, [&]() {
            ++timers;
            QMetaObject::invokeMethod(&client, [&]() { ++posted; }, Qt::QueuedConnection);
        });
        timer.start(0);
        while (received.count < count && !patience.hasExpired(Patience))
            QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
        QCOMPARE(received.count, count);
        QVERIFY2(timers >= 5 && posted >= 4, qPrintable(text("%1 timers, %2 events").arg(timers).arg(posted)));
    }

    void theEventLoopStaysFreeWhileUpdatesPour()
    {
        constexpr int count = 300000;
        const Hub hub;
        Client client(text("me"), hub.url());
        Received received(&client);
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        int turns = 0;
        QTimer timer;
        connect(&timer, &QTimer::timeout, [&]() { ++turns; });
        timer.start(0);
        std::thread sender([url = hub.url()]() {
            Peer peer("peer", url);
            for (int i = 0; i < count; ++i)
                ns_app_send_int(peer, QByteArray::number(i % 1000).constData(), i);
            ns_app_send_bool(peer, "end", true);
            peer.flush();
        });
        EVENTUALLY(received.contains(text("peer end")));
        sender.join();
        // A client that falls behind gets newest values, in no particular order.
        for (int i = 0; i < 1000; ++i)
            EVENTUALLY_EQUAL(received.value(text("peer %1").arg(i)).toInt(), count - 1000 + i);
        QVERIFY2(turns >= 10, qPrintable(text("%1 turns, %2 updates").arg(turns).arg(received.count)));
    }
};

QTEST_GUILESS_MAIN(ClientTest)
#include "tst_client.moc"
