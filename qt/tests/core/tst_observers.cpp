#include <QtTest/qtest.h>

#include "clients.h"

#include <memory>

class ObserversTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void noUpdateIsToldOnceTheClientIsNotActive()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Received received(&client);
        int seen = 0;
        Observer observer([&](const ns_state *) {
            ++seen;
            client.setActive(false);
            client.setActive(true);
        });
        ClientAccess::addObserver(&client, text("n"), &observer);
        client.setActive(true);
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 1);
        EVENTUALLY(seen >= 3);
        QCOMPARE(received.count, 0);
        ClientAccess::removeObserver(&client, text("n"), &observer);
        EVENTUALLY(received.count > 0);
    }

    void observersHearThatTheClientIsAboutToBeSynced()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        ns_app_send_int(peer, "n", 1);
        QVERIFY(peer.flush());
        Client client(text("me"), hub.url());
        QStringList log;
        Observer one([&](const ns_state *) { log.append(text("one arrived")); });
        Observer all([&](const ns_state *) { log.append(text("all arrived")); });
        one.synced = [&]() { log.append(text("one %1").arg(client.isSynced())); };
        all.synced = [&]() { log.append(text("all %1").arg(client.isSynced())); };
        ClientAccess::addObserver(&client, text("n"), &one);
        ClientAccess::addObserver(&client, QString(), &all);
        connect(&client, &Client::syncedChanged, [&]() { log.append(text("changed %1").arg(client.isSynced())); });
        client.setActive(true);
        EVENTUALLY(client.isSynced());
        QCOMPARE(log.mid(0, 2), (QStringList{text("one arrived"), text("all arrived")}));
        // In no particular order.
        QStringList told = log.mid(2, 2);
        told.sort();
        QCOMPARE(told, (QStringList{text("all 0"), text("one 0")}));
        QCOMPARE(log.mid(4), QStringList(text("changed 1")));
    }

    void aClientThatLeavesItsHubWhenItIsAboutToBeSyncedIsNot()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QStringList log;
        Observer observer([](const ns_state *) {});
        int times = 0;
        observer.synced = [&]() {
            if (++times == 1)
                client.setUrl(text("inproc://nobody"));
            else
                client.setActive(false);
        };
        ClientAccess::addObserver(&client, QString(), &observer);
        connect(&client, &Client::syncedChanged, [&]() { log.append(text("synced")); });
        client.setActive(true);
        EVENTUALLY(times == 1);
        EVENTUALLY(hub.peers() == 0);
        QCOMPARE(client.state(), Client::State::Connecting);
        QVERIFY(!client.isSynced());
        client.setUrl(hub.url());
        EVENTUALLY(times == 2);
        QVERIFY(!client.isActive());
        QCOMPARE(log, QStringList());
    }

    void aClientMayBeDeletedWhenItIsAboutToBeSynced()
    {
        const Hub hub;
        auto client = std::make_unique<Client>(text("me"), hub.url());
        bool gone = false;
        Observer first([](const ns_state *) {});
        Observer second([](const ns_state *) {});
        int heard = 0;
        first.synced = second.synced = [&]() {
            ++heard;
            client.reset();
            gone = true;
        };
        ClientAccess::addObserver(client.get(), QString(), &first);
        ClientAccess::addObserver(client.get(), QString(), &second);
        client->setActive(true);
        EVENTUALLY(gone);
        EVENTUALLY(hub.peers() == 0);
        QCOMPARE(heard, 1);
    }

    void ownValuesTellObserversAndNoSignal()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Received received(&client);
        QStringList seen;
        const auto note = [&](const QString &who) {
            return [&seen, &client, who](const ns_state *state) {
                seen.append(text("%1 %2 %3 %4").arg(who, text(ns_state_sender(state)), text(ns_state_name(state)),
                                                    ClientAccess::valueOf(&client, state).toString()));
            };
        };
        Observer one(note(text("one")));
        Observer all(note(text("all")));
        ClientAccess::addObserver(&client, text("n"), &one);
        ClientAccess::addObserver(&client, QString(), &all);
        client.setActive(true);
        QVERIFY(client.publish(text("n"), 1));
        QVERIFY(client.publishBytes(text("ü"), "b"));
        QCOMPARE(seen, (QStringList{text("one me n 1"), text("all me n 1"), text("all me ü b")}));
        seen.clear();
        Peer peer("peer", hub.url());
        // It knows the value that it is about to replace, so its own is newer.
        for (QByteArray known; known != "me n 1";)
            known = peer.next();
        ns_app_send_int(peer, "n", 7);
        EVENTUALLY(seen.size() == 2);
        QCOMPARE(seen, (QStringList{text("one peer n 7"), text("all peer n 7")}));
        QCOMPARE(received.count, 1);
        const NanostateQt::StatePointer newest = ClientAccess::newest(&client, text("n"));
        QVERIFY(newest);
        QCOMPARE(text(ns_state_sender(newest.get())), text("peer"));
        seen.clear();
        ClientAccess::removeObserver(&client, text("n"), &one);
        ClientAccess::removeObserver(&client, QString(), &all);
        ClientAccess::removeObserver(&client, QString(), &all);
        QVERIFY(client.publish(text("n"), 2));
        QCOMPARE(seen, QStringList());
    }

    void observersMayChangeDuringACall()
    {
        Client client(text("me"), text("inproc://nobody"));
        client.setActive(true);
        const QString name = text("n");
        QStringList seen;
        Observer late([&](const ns_state *) { seen.append(text("late")); });
        Observer removed([&](const ns_state *) { seen.append(text("removed")); });
        std::unique_ptr<Observer> self;
        self.reset(new Observer([&](const ns_state *) {
            seen.append(text("self"));
            ClientAccess::removeObserver(&client, name, &removed);
            ClientAccess::addObserver(&client, name, &late);
            ClientAccess::addObserver(&client, text("other"), &late);
            ClientAccess::removeObserver(&client, name, self.get());
        }));
        Observer again([&](const ns_state *) {
            seen.append(text("again"));
            if (seen.size() < 4)
                client.publish(name, seen.size());
        });
        ClientAccess::addObserver(&client, name, self.get());
        ClientAccess::addObserver(&client, name, &removed);
        ClientAccess::addObserver(&client, name, &again);
        QVERIFY(client.publish(name, 0));
        QCOMPARE(seen, (QStringList{text("self"), text("again"), text("again"), text("again"), text("late"),
                                    text("late")}));
        ClientAccess::removeObserver(&client, name, &again);
        seen.clear();
        QVERIFY(client.publish(name, 1));
        QVERIFY(client.publish(text("other"), 1));
        QCOMPARE(seen, (QStringList{text("late"), text("late")}));
        for (int i = 0; i < 2; ++i)
            ClientAccess::removeObserver(&client, name, &late);
        for (int i = 0; i < 2; ++i)
            ClientAccess::removeObserver(&client, text("other"), &late);
    }

    void observersHearOfADeliberateEndWhileTheClientStillPublishes()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        Observer observer([](const ns_state *) {});
        int ends = 0;
        observer.closing = [&]() { QVERIFY(client.publish(text("end"), ++ends)); };
        ClientAccess::addObserver(&client, QString(), &observer);
        // A client that never opened reports no end.
        client.setActive(false);
        QCOMPARE(ends, 0);
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        client.setActive(false);
        QCOMPARE(ends, 1);
        QCOMPARE(peer.next(), QByteArray("me end 1"));
        ClientAccess::removeObserver(&client, QString(), &observer);
        client.setActive(true);
        client.setActive(false);
        QCOMPARE(ends, 1);
    }

    void aHandlerOfADeliberateEndMayDeleteTheClient()
    {
        for (const bool deleted : {false, true}) {
            auto client = std::make_unique<Client>(text("me"), text("inproc://nobody"));
            Observer first([](const ns_state *) {});
            Observer second([](const ns_state *) {});
            int heard = 0;
            first.closing = [&]() {
                if (client) // not in the middle of reset()
                    client->publish(QString(), 1);
            };
            second.closing = [&]() { ++heard; };
            ClientAccess::addObserver(client.get(), text("n"), &first);
            ClientAccess::addObserver(client.get(), text("n"), &second);
            connect(client.get(), &Client::errorOccurred, this, [&]() {
                if (deleted)
                    client.reset();
                else
                    client->setActive(false);
            });
            client->setActive(true);
            client->setActive(false);
            QVERIFY(heard > 0);
            QVERIFY(deleted || !client->isActive());
            if (client) {
                ClientAccess::removeObserver(client.get(), text("n"), &first);
                ClientAccess::removeObserver(client.get(), text("n"), &second);
            }
        }
    }

    void anObserverThatAddsItselfWhileAStateIsToldHearsItOnce()
    {
        Client client(text("me"), text("inproc://nobody"));
        client.setActive(true);
        const QString name = text("n");
        QStringList seen;
        std::unique_ptr<Observer> self;
        self.reset(new Observer([&](const ns_state *) {
            seen.append(text("self"));
            // Observes every name, in the list that is called after this one.
            if (seen.size() == 1) {
                ClientAccess::removeObserver(&client, name, self.get());
                ClientAccess::addObserver(&client, QString(), self.get());
            }
        }));
        ClientAccess::addObserver(&client, name, self.get());
        QVERIFY(client.publish(name, 0));
        QCOMPARE(seen, QStringList{text("self")});
        QVERIFY(client.publish(text("other"), 0));
        QCOMPARE(seen.size(), 2);
        ClientAccess::removeObserver(&client, QString(), self.get());
    }

    void noObserverHearsAStateOnceTheClientIsNotActive_data()
    {
        QTest::addColumn<bool>("own");
        QTest::addColumn<bool>("again");
        QTest::newRow("a state of another program") << false << false;
        QTest::newRow("a state of another program, active again") << false << true;
        QTest::newRow("an own state") << true << false;
        QTest::newRow("an own state, active again") << true << true;
    }

    void noObserverHearsAStateOnceTheClientIsNotActive()
    {
        QFETCH(bool, own);
        QFETCH(bool, again);
        const Hub hub;
        Client client(text("me"), hub.url());
        bool over = false;
        QStringList late;
        Observer first([&](const ns_state *) {
            over = true;
            client.setActive(false);
            client.setActive(again);
        });
        Observer second([&](const ns_state *) { late.append(text("second")); });
        Observer all([&](const ns_state *) { late.append(text("all")); });
        ClientAccess::addObserver(&client, text("n"), &first);
        ClientAccess::addObserver(&client, text("n"), &second);
        ClientAccess::addObserver(&client, QString(), &all);
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        Peer peer("peer", hub.url());
        if (own)
            QVERIFY(client.publish(text("n"), 1));
        else
            ns_app_send_int(peer, "n", 1);
        EVENTUALLY(over);
        ClientAccess::removeObserver(&client, text("n"), &first);
        ClientAccess::removeObserver(&client, text("n"), &second);
        ClientAccess::removeObserver(&client, QString(), &all);
        QCOMPARE(late, QStringList());
    }
};

QTEST_GUILESS_MAIN(ObserversTest)
#include "tst_observers.moc"
