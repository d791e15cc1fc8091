#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

#include <memory>

class LinkTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void itConnectsInTheEventLoopAndTellsSo()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Log log(&client);
        client.setActive(true);
        QCOMPARE(log, (QStringList{text("active"), text("state 1")}));
        EVENTUALLY_EQUAL(log, (QStringList{text("active"), text("state 1"), text("state 2"), text("connected")}));
        log.clear();
        client.setActive(false);
        QCOMPARE(log, (QStringList{text("inactive"), text("state 0"), text("disconnected")}));
        EVENTUALLY(hub.peers() == 0);
        log.clear();
        client.setActive(true);
        EVENTUALLY_EQUAL(log, (QStringList{text("active"), text("state 1"), text("state 2"), text("connected")}));
    }

    void theDefaultUrlIsThatOfTheEnvironment()
    {
        const Hub hub;
        qputenv("NANOSTATE_URL", hub.url().toUtf8());
        Client client(text("me"));
        client.setActive(true);
        qunsetenv("NANOSTATE_URL");
        EVENTUALLY(isConnected(client));
    }

    void aHubWithTlsIsTrustedByItsCertificateOrItsKey()
    {
        const Hub hub(text("tls+tcp://127.0.0.1:0"), NANOSTATE_CERTIFICATE);
        Client byCa(text("byCa"), hub.url());
        Client byPin(text("byPin"), hub.url());
        byCa.setActive(true);
        QVERIFY(!byCa.isActive());
        QCOMPARE(byCa.error(), Client::Error::Tls);
        QVERIFY(byCa.errorString().contains(text("NS_OPT_TLS_CA")));
        QSignalSpy changed(&byCa, &Client::caChanged);
        byCa.setCa(text(NANOSTATE_CERTIFICATE));
        byCa.setCa(byCa.ca());
        QCOMPARE(changed.count(), 1);
        byCa.setActive(true);
        byPin.setPin(QString(64, QLatin1Char('0')));
        byPin.setActive(true);
        EVENTUALLY(isConnected(byCa));
        EVENTUALLY(byPin.errorString().contains(text("its pin is ")));
        QCOMPARE(byPin.error(), Client::Error::Tls);
        // The error names the pin that would be right.
        const QString told = byPin.errorString().section(text("its pin is "), 1);
        byPin.setPin(told.section(QLatin1Char(':'), 0, 0));
        EVENTUALLY(isConnected(byPin));
        QCOMPARE(byPin.error(), Client::Error::NoError);
        byPin.setPin(text("x"));
        QVERIFY(!byPin.isActive());
        QCOMPARE(byPin.error(), Client::Error::Invalid);
    }

    void aHubThatAsksForATokenLetsInWhoHasOne()
    {
        const QByteArray tokens = QByteArray(NANOSTATE_CERTIFICATE).replace("hub.pem", "tokens.txt");
        const Hub hub(text("tcp://127.0.0.1:0"), nullptr, tokens.constData());
        Client client(text("robot"), hub.url());
        QSignalSpy changed(&client, &Client::tokenChanged);
        client.setActive(true);
        EVENTUALLY(client.errorString().contains(text("the hub asks for a token")));
        QCOMPARE(client.error(), Client::Error::Permission);
        client.setToken(text("the-token-of-the-robot"));
        client.setToken(client.token());
        QCOMPARE(changed.count(), 1);
        EVENTUALLY(isConnected(client));
        client.setUrl(text("tcp://192.0.2.1:15000"));
        QVERIFY(!client.isActive());
        QCOMPARE(client.error(), Client::Error::Invalid);
        QVERIFY(!client.errorString().contains(client.token()));
        QVERIFY(!client.clearToken());
        client.setClearToken(true);
        client.setActive(true);
        QVERIFY(client.isActive());
    }

    void whatIsPublishedBeforeThereIsAHubArrives()
    {
        const QString url = text("inproc://later");
        Client client(text("me"), url);
        client.setActive(true);
        QVERIFY(client.publish(text("early"), 1));
        QVERIFY(client.publish(text("early"), 2));
        QCOMPARE(client.value(text("early")), QVariant(qlonglong(2)));
        const Hub hub(url);
        Peer peer("peer", url);
        QCOMPARE(peer.next(), QByteArray("me early 2"));
        EVENTUALLY(isConnected(client));
    }

    void whatDoesNotEvenOpenIsNotActive_data()
    {
        QTest::addColumn<QString>("identity");
        QTest::addColumn<QString>("url");
        QTest::addColumn<int>("error");
        const QString good = text("inproc://nobody");
        QTest::newRow("no identity") << QString() << good << int(Client::Error::Identity);
        QTest::newRow("long identity") << QString(256, QLatin1Char('x')) << good << int(Client::Error::Identity);
        QTest::newRow("identity with NUL") << QString(text("a") + QChar(0)) << good << int(Client::Error::Identity);
        QTest::newRow("half a pair") << QString(QChar(0xDFFF)) << good << int(Client::Error::Utf8);
        QTest::newRow("bad url") << text("me") << text("nonsense") << int(Client::Error::Url);
        QTest::newRow("url without port") << text("me") << text("tcp://localhost") << int(Client::Error::Url);
        QTest::newRow("url with NUL") << text("me") << QString(good + QChar(0)) << int(Client::Error::Url);
    }

    void whatDoesNotEvenOpenIsNotActive()
    {
        QFETCH(QString, identity);
        QFETCH(QString, url);
        QFETCH(int, error);
        Client client(identity, url);
        Log log(&client);
        const QStringList story{text("active"), text("inactive"), text("error %1").arg(error),
                                text("occurred %1").arg(error)};
        client.setActive(true);
        QCOMPARE(log, story);
        QVERIFY(!client.isActive());
        QCOMPARE(client.state(), Client::State::Disconnected);
        QCOMPARE(int(client.error()), error);
        // And again, as a user expects who presses the button again.
        log.clear();
        client.setActive(true);
        QCOMPARE(log, (QStringList{text("active"), text("error 0"), text("inactive"), text("error %1").arg(error),
                                   text("occurred %1").arg(error)}));
    }

    void anErrorOfOpeningIsGoneOnceItOpens()
    {
        Client client(QString(), text("inproc://nobody"));
        client.setActive(true);
        QCOMPARE(client.error(), Client::Error::Identity);
        client.setIdentity(text("me"));
        QVERIFY(!client.isActive());
        client.setActive(true);
        QVERIFY(client.isActive());
        QCOMPARE(client.error(), Client::Error::NoError);
        QCOMPARE(client.state(), Client::State::Connecting);
        client.setUrl(text("nonsense"));
        QVERIFY(!client.isActive());
        QCOMPARE(client.error(), Client::Error::Url);
        QCOMPARE(client.state(), Client::State::Disconnected);
    }

    void aTakenIdentityIsRefused()
    {
        const Hub hub;
        Peer holder("me", hub.url());
        Client client(text("me"), hub.url());
        Log log(&client);
        client.setActive(true);
        EVENTUALLY(client.state() == Client::State::Refused);
        QVERIFY(client.isActive());
        QCOMPARE(client.error(), Client::Error::IdentityTaken);
        QVERIFY(!client.errorString().isEmpty());
        QCOMPARE(log, (QStringList{text("active"), text("state 1"), text("state 3"), text("error -22"),
                                   text("occurred -22")}));
        QVERIFY(client.publish(text("n"), 1));
        QCOMPARE(client.error(), Client::Error::IdentityTaken);
        log.clear();
        client.setIdentity(text("me2"));
        // The previous identity is the one that is taken.
        QCOMPARE(client.state(), Client::State::Connecting);
        QCOMPARE(client.errorString(), QString());
        EVENTUALLY(isConnected(client));
        QCOMPARE(client.error(), Client::Error::NoError);
        QCOMPARE(log, (QStringList{text("identity me2"), text("state 1"), text("error 0"), text("state 2"),
                                   text("connected")}));
    }

    void aNewIdentityIsAnotherApp()
    {
        const Hub hub;
        Client client(text("one"), hub.url());
        Peer peer("peer", hub.url());
        client.setActive(true);
        QVERIFY(client.publish(text("n"), 1));
        QCOMPARE(peer.next(), QByteArray("one n 1"));
        EVENTUALLY(isConnected(client));
        Log log(&client);
        client.setIdentity(text("two"));
        QVERIFY(client.publish(text("n"), 2));
        QCOMPARE(peer.next(), QByteArray("two n 2"));
        EVENTUALLY_EQUAL(log, (QStringList{text("identity two"), text("state 1"), text("disconnected"),
                                           text("state 2"), text("connected")}));
        EVENTUALLY(hub.peers() == 2);
    }

    void aNewUrlIsAnotherHubForTheSameValues()
    {
        const Hub first;
        const Hub second;
        Client client(text("me"), first.url());
        Received received(&client);
        client.setActive(true);
        QVERIFY(client.publish(text("n"), 1));
        EVENTUALLY(isConnected(client));
        Log log(&client);
        Peer peer("peer", second.url());
        ns_app_send_int(peer, "of second", 2);
        client.setUrl(second.url());
        QCOMPARE(peer.next(), QByteArray("me n 1"));
        EVENTUALLY(received.contains(text("peer of second")));
        QCOMPARE(log, (QStringList{text("url ") + second.url(), text("state 1"), text("disconnected"),
                                   text("state 2"), text("connected")}));
        EVENTUALLY(first.peers() == 0);
        // Of many changes in a row only the last one is reported.
        log.clear();
        for (int i = 0; i < 100; ++i)
            client.setUrl(i % 2 ? second.url() : first.url());
        QCOMPARE(client.state(), Client::State::Connecting);
        EVENTUALLY(isConnected(client));
        QCOMPARE(log.filter(text("connected")), (QStringList{text("disconnected"), text("connected")}));
        EVENTUALLY(first.peers() == 0 && second.peers() == 2);
    }

    void whatAnEarlierHubStillHadToTellIsNotTold()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Log log(&client);
        client.setActive(true);
        // It is connected, but the event loop does not know yet.
        QCOMPARE(ns_app_wait_connected(ClientAccess::app(&client), Patience), NS_OK);
        QCOMPARE(client.state(), Client::State::Connecting);
        client.setUrl(text("inproc://nobody"));
        EVENTUALLY(hub.peers() == 0);
        QCoreApplication::processEvents();
        QCOMPARE(client.state(), Client::State::Connecting);
        QCOMPARE(log.filter(text("connected")), QStringList());
    }

    void whyItDoesNotConnectIsToldOnceForEachReason()
    {
        const Address address;
        const QString url = address.url();
        HubProcess hub;
        QCOMPARE(hub.start(url), url);
        // The listener is gone, and has left its socket file behind.
        hub.kill();
        Client client(text("me"), url);
        Log log(&client);
        client.setActive(true);
        EVENTUALLY(client.error() == Client::Error::ConnectionRefused);
        QVERIFY2(client.errorString().contains(url), qPrintable(client.errorString()));
        QCOMPARE(client.state(), Client::State::Connecting);
        const QStringList story{text("active"), text("state 1"), text("error -19"), text("occurred -19")};
        QCOMPARE(log, story);
        // The error of a failed call takes precedence, and is cleared by the next success.
        QVERIFY(!client.publish(QString(), 1));
        QCOMPARE(client.error(), Client::Error::Name);
        QVERIFY(client.publish(text("n"), 1));
        QCOMPARE(client.error(), Client::Error::ConnectionRefused);
        QCOMPARE(hub.start(url), url);
        EVENTUALLY(isConnected(client));
        QCOMPARE(client.error(), Client::Error::NoError);
        QCOMPARE(log.filter(text("occurred -19")).size(), 2);
        QCOMPARE(log.mid(log.size() - 3), (QStringList{text("state 2"), text("connected"), text("error 0")}));
    }

    void aLostHubIsToldAndComesBack()
    {
        const Address address;
        const QString url = address.url();
        auto hub = std::make_unique<Hub>(url);
        Client client(text("me"), url);
        client.setActive(true);
        QVERIFY(client.publish(text("n"), 1));
        EVENTUALLY(isConnected(client));
        Log log(&client);
        hub.reset();
        EVENTUALLY(client.state() == Client::State::Connecting);
        QVERIFY(client.error() != Client::Error::NoError);
        QVERIFY(client.publish(text("n"), 2));
        QVERIFY(client.error() != Client::Error::NoError);
        hub = std::make_unique<Hub>(url);
        EVENTUALLY(isConnected(client));
        QCOMPARE(client.error(), Client::Error::NoError);
        QCOMPARE(log.filter(text("connected")), (QStringList{text("disconnected"), text("connected")}));
        Peer peer("peer", url);
        QCOMPARE(peer.next(), QByteArray("me n 2"));
    }

    void itIsSyncedOnceEverythingHasArrivedThatTheHubHeld()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        constexpr int Count = 2000;
        for (int i = 0; i < Count; ++i)
            ns_app_send_int(peer, QByteArray::number(i).constData(), i);
        QVERIFY(peer.flush());
        Client client(text("me"), hub.url());
        int retained = 0;
        int published = 0;
        QStringList log;
        connect(&client, &Client::stateUpdated,
                [&](const QString &, const QString &, const QVariant &, bool isRetained) {
                    ++(isRetained ? retained : published);
                });
        connect(&client, &Client::connected, [&]() { log.append(text("connected %1").arg(client.isSynced())); });
        connect(&client, &Client::syncedChanged, [&]() {
            log.append(text("synced %1 after %2").arg(client.isSynced()).arg(retained));
        });
        QVERIFY(!client.isSynced());
        client.setActive(true);
        EVENTUALLY(client.isSynced());
        QCOMPARE(log, (QStringList{text("connected 0"), text("synced 1 after %1").arg(Count)}));
        QCOMPARE(client.names().size(), Count);
        ns_app_send_int(peer, "0", -1);
        EVENTUALLY(published == 1);
        QCOMPARE(retained, Count);
        client.setActive(false);
        QVERIFY(!client.isSynced());
        QCOMPARE(log.size(), 3);
    }

    void itIsNotSyncedWithoutItsLink()
    {
        const Address address;
        auto hub = std::make_unique<Hub>(address.url());
        const Hub other;
        Client client(text("me"), address.url());
        QStringList log;
        connect(&client, &Client::syncedChanged,
                [&]() { log.append(text("%1 %2").arg(client.isSynced()).arg(int(client.state()))); });
        client.setActive(true);
        EVENTUALLY(client.isSynced());
        hub.reset();
        EVENTUALLY(!client.isSynced());
        hub = std::make_unique<Hub>(address.url());
        EVENTUALLY(client.isSynced());
        client.setUrl(other.url());
        QVERIFY(!client.isSynced());
        EVENTUALLY(client.isSynced());
        client.setIdentity(text("another"));
        QVERIFY(!client.isSynced());
        EVENTUALLY(client.isSynced());
        QCOMPARE(log, (QStringList{text("1 2"), text("0 1"), text("1 2"), text("0 1"), text("1 2"), text("0 1"),
                                   text("1 2")}));
    }

    void whatAnEarlierHubStillHadToTellOfItsStatesIsNotTold()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        const QSignalSpy changed(&client, &Client::syncedChanged);
        client.setActive(true);
        // It has everything, but the event loop does not know yet.
        QCOMPARE(ns_app_wait_synced(ClientAccess::app(&client), Patience), NS_OK);
        client.setUrl(text("inproc://nobody"));
        EVENTUALLY(hub.peers() == 0);
        QCoreApplication::processEvents();
        QVERIFY(!client.isSynced());
        QCOMPARE(changed.count(), 0);
    }

    void connectedAndDisconnectedAlternateWhateverSlotsDo()
    {
        const Hub first;
        const Hub second;
        Client client(text("me"), first.url());
        QStringList told;
        int changes = 0;
        // This slot is called first, and gives the link up before any other slot learns of it.
        connect(&client, &Client::stateChanged, [&](Client::State state) {
            if (state == Client::State::Connected && ++changes <= 5)
                client.setUrl(changes % 2 ? second.url() : first.url());
        });
        connect(&client, &Client::connected, [&]() {
            told.append(text("connected"));
            QCOMPARE(client.state(), Client::State::Connected);
            if (told.size() < 5)
                client.setActive(false);
        });
        connect(&client, &Client::disconnected, [&]() {
            told.append(text("disconnected"));
            QVERIFY(client.state() != Client::State::Connected);
            client.setActive(true);
        });
        client.setActive(true);
        EVENTUALLY(told.size() == 5);
        QCOMPARE(told, (QStringList{text("connected"), text("disconnected"), text("connected"), text("disconnected"),
                                    text("connected")}));
        QVERIFY(isConnected(client));
    }

    void aDeferredClientOpensWhenItIsReady()
    {
        const Hub hub;
        Client client;
        ClientAccess::setDeferred(&client, true);
        client.setActive(true);
        client.setIdentity(text("me"));
        client.setUrl(hub.url());
        QVERIFY(client.isActive());
        QCOMPARE(client.state(), Client::State::Disconnected);
        QVERIFY(!client.publish(text("n"), 1));
        ClientAccess::setDeferred(&client, false);
        QCOMPARE(client.state(), Client::State::Connecting);
        EVENTUALLY(isConnected(client));
    }

    void anAppThatIsClosedBehindItsBackMakesItInactive()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        ns_app_interrupt(ClientAccess::app(&client));
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 1);
        EVENTUALLY(client.value(text("n")).isValid());
        Log log(&client);
        ns_app_close(ClientAccess::app(&client), 0);
        EVENTUALLY(!client.isActive());
        QCOMPARE(log, (QStringList{text("inactive"), text("state 0"), text("disconnected"), text("error -6"),
                                   text("occurred -6")}));
        client.setActive(true);
        EVENTUALLY(isConnected(client));
    }
};

QTEST_GUILESS_MAIN(LinkTest)
#include "tst_link.moc"
