#include <NanostateQt/NanostateQt>

#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

// What a client is sent, and what happens when a value is withdrawn.
class SubscriptionsTest : public QObject
{
    Q_OBJECT

    // Waits until the client has told its app, and has everything.
    static bool hasAll(const Client &client)
    {
        QCoreApplication::sendPostedEvents();
        return QTest::qWaitFor([&]() { return client.isSynced(); }, Patience);
    }

private Q_SLOTS:
    void aClientSubscribesToEverythingAtFirst()
    {
        Client client;
        QSignalSpy changed(&client, &Client::subscriptionsChanged);
        QCOMPARE(client.subscriptions(), QStringList(text("**")));
        client.resetSubscriptions();
        client.setSubscriptions({text("**")});
        QCOMPARE(changed.count(), 0);
        QVERIFY(client.subscribe(text("a")));
        QCOMPARE(client.subscriptions(), (QStringList{text("**"), text("a")}));
        client.resetSubscriptions();
        QCOMPARE(client.subscriptions(), QStringList(text("**")));
        QVERIFY(client.subscribe(text("a")));
        QVERIFY(client.subscribe(text("a")));
        QCOMPARE(client.subscriptions(), QStringList(text("a")));
        QCOMPARE(changed.count(), 3);
        client.resetSubscriptions();
        QVERIFY(client.unsubscribe(text("**")));
        QCOMPARE(client.subscriptions(), QStringList());
        QVERIFY(client.setProperty("subscriptions", QStringList{text("b"), text("c"), text("b")}));
        QCOMPARE(client.property("subscriptions").toStringList(), (QStringList{text("b"), text("c")}));
    }

    void aClientIsSentWhatItSubscribesTo()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        for (const char *name : {"x/1", "x/2", "y", "z"})
            ns_app_send_int(peer, name, 1);
        QVERIFY(peer.flush());
        Client client(text("me"), hub.url());
        Received received(&client);
        QVERIFY(client.subscribe(text("x/*")));
        client.setActive(true);
        QVERIFY(hasAll(client));
        QCOMPARE(client.names(), (QStringList{text("x/1"), text("x/2")}));
        QCOMPARE(received.count, 2);

        QSignalSpy synced(&client, &Client::syncedChanged);
        QVERIFY(client.subscribe(text("y")));
        QVERIFY(client.subscribe(text("z")));
        QVERIFY(!client.isSynced());
        QVERIFY(hasAll(client));
        QCOMPARE(synced.count(), 2);
        QCOMPARE(client.names(), (QStringList{text("x/1"), text("x/2"), text("y"), text("z")}));
        QVERIFY(client.unsubscribe(text("x/*")));
        QVERIFY(client.isSynced());
        QVERIFY(hasAll(client));
        QCOMPARE(client.names(), (QStringList{text("y"), text("z")}));
        QCOMPARE(received.count, 4);

        // Another app of the same client has them, too.
        client.setActive(false);
        client.setActive(true);
        QVERIFY(hasAll(client));
        QCOMPARE(client.names(), (QStringList{text("y"), text("z")}));
        client.resetSubscriptions();
        QVERIFY(!client.isSynced());
        QVERIFY(hasAll(client));
        QCOMPARE(client.names().size(), 4);
    }

    void ownValuesAreKnownWhateverIsSubscribedTo()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        client.setSubscriptions({});
        client.setActive(true);
        QVERIFY(client.publish(text("mine"), 1));
        QVERIFY(hasAll(client));
        QCOMPARE(client.value(text("mine")).toInt(), 1);
        QCOMPARE(client.names(), QStringList(text("mine")));
    }

    void whatIsNoPatternIsRefusedAndChangesNothing()
    {
        Client client(text("me"), text("inproc://nobody"));
        const auto refused = [&](Client::Error error) {
            return client.error() == error && !client.errorString().isEmpty()
                && client.subscriptions() == QStringList(text("good"));
        };
        for (int active = 0; active < 2; ++active) {
            client.setActive(active);
            client.setSubscriptions({text("good")});
            QCOMPARE(client.error(), Client::Error::NoError);
            QVERIFY(!client.subscribe(QString()));
            QVERIFY(refused(Client::Error::Name));
            QVERIFY(!client.subscribe(QString(1025, QLatin1Char('x'))));
            QVERIFY(refused(Client::Error::Name));
            QVERIFY(!client.subscribe(text("a/**/1/2/3/4/5/6/7/8/9/**")));
            QVERIFY(refused(Client::Error::Name));
            QVERIFY(!client.subscribe(QString(QChar(0xd800))));
            QVERIFY(refused(Client::Error::Utf8));
            QVERIFY(!client.unsubscribe(text("other")));
            QVERIFY(refused(Client::Error::NotFound));
            QStringList many;
            for (int i = 0; i < 1025; ++i)
                many.append(QString::number(i));
            client.setSubscriptions(many);
            QVERIFY(refused(Client::Error::Full));
            QVERIFY(client.subscribe(text("good")));
            QCOMPARE(client.error(), Client::Error::NoError);
        }
    }

    void aSlotMayDeleteTheClientWhenItsSubscriptionsChange()
    {
        const Hub hub;
        auto client = std::make_unique<Client>(text("me"), hub.url());
        client->setActive(true);
        EVENTUALLY(isConnected(*client));
        connect(client.get(), &Client::subscriptionsChanged, [&]() { client.reset(); });
        QVERIFY(client->subscribe(text("x")));
        QVERIFY(!client);
        EVENTUALLY(hub.peers() == 0);
    }

    void aValueThatIsWithdrawnIsASignalOfItsOwn()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        Received received(&client);
        QSignalSpy cleared(&client, &Client::stateCleared);
        client.setActive(true);
        QVERIFY(client.publish(text("v"), 1));
        QVERIFY(hasAll(client));
        ns_app_send_int(peer, "v", 2);
        ns_app_clear(peer, "v");
        EVENTUALLY(cleared.count() == 1);
        QCOMPARE(cleared.first(), (QVariantList{text("peer"), text("v"), false}));
        QCOMPARE(received.count, 1);
        QCOMPARE(client.value(text("v")).toInt(), 1);
        QVERIFY(client.clear(text("v")));
        QVERIFY(!client.value(text("v")).isValid());
        QCOMPARE(client.names(), QStringList());
        QByteArray last;
        do
            last = peer.next();
        while (last != "me v null");
        QCOMPARE(cleared.count(), 1);

        QVERIFY(!client.clear(text("$ns/x")));
        QCOMPARE(client.error(), Client::Error::Name);
        client.setActive(false);
        QVERIFY(!client.clear(text("v")));
        QCOMPARE(client.error(), Client::Error::NotActive);
        QCOMPARE(client.errorString(), text("\"v\" was not cleared: not active"));
    }

    void whatIsWithdrawnWhileTheClientIsAwayIsToldAsRetained()
    {
        HubProcess hub;
        const Address address;
        QVERIFY(!hub.start(address.url()).isEmpty());
        Peer peer("peer", address.url());
        ns_app_send_int(peer, "v", 1);
        QVERIFY(peer.flush());
        Client client(text("me"), address.url());
        QSignalSpy cleared(&client, &Client::stateCleared);
        client.setActive(true);
        QVERIFY(hasAll(client));
        client.setUrl(text("inproc://nobody"));
        ns_app_clear(peer, "v");
        QVERIFY(peer.flush());
        client.setUrl(address.url());
        EVENTUALLY(cleared.count() == 1);
        QCOMPARE(cleared.first().at(2).toBool(), true);
        QVERIFY(!client.value(text("v")).isValid());
    }

    void observersHearOfOwnValuesThatAreWithdrawnAndMayDeleteTheClient()
    {
        struct Clearing : Observer
        {
            using Observer::Observer;
            void stateCleared(const NanostateQt::ClearedState &state) override
            {
                told.append(text(state.sender) + text(" ") + text(state.name) + text(state.state ? " theirs" : " own"));
                if (client)
                    client->reset();
            }
            QStringList told;
            std::unique_ptr<Client> *client = nullptr;
        };
        const Hub hub;
        auto client = std::make_unique<Client>(text("me"), hub.url());
        Clearing first([](const ns_state *) {});
        Clearing second([](const ns_state *) {});
        ClientAccess::addObserver(client.get(), text("v"), &first);
        ClientAccess::addObserver(client.get(), QString(), &second);
        client->setActive(true);
        QVERIFY(client->clear(text("w")));
        QVERIFY(client->clear(text("v")));
        QCOMPARE(first.told, QStringList(text("me v own")));
        QCOMPARE(second.told, (QStringList{text("me w own"), text("me v own")}));
        first.client = &client;
        QVERIFY(client->clear(text("v")));
        QVERIFY(!client);
        QCOMPARE(second.told.size(), 2);
    }
};

QTEST_GUILESS_MAIN(SubscriptionsTest)
#include "tst_subscriptions.moc"
