#include <NanostateQt/NanostateQt>

#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

#include <memory>

// Which other apps are there.
class PeersTest : public QObject
{
    Q_OBJECT

    // What a client tells of others, as "identity presence".
    struct Told : QStringList
    {
        explicit Told(Client *client)
        {
            QObject::connect(client, &Client::presenceChanged, client,
                             [this](const QString &identity, Client::Presence presence, const QString &instance) {
                                 append(identity + text(" ") + QString::fromLatin1(ns_presence_name(int(presence))));
                                 instances.append(instance);
                             });
        }
        // At a hub that was just started, one that comes may have come back.
        bool hasCome(const char *identity) const
        {
            return contains(text(identity) + text(" here")) || contains(text(identity) + text(" joined"));
        }
        QStringList instances;
    };

private Q_SLOTS:
    void aClientIsToldWhoIsThereAndWhoComesAndLeaves()
    {
        const Hub hub;
        const Peer first("first", hub.url());
        Client client(text("me"), hub.url());
        Told told(&client);
        QSignalSpy changed(&client, &Client::peersChanged);
        client.setActive(true);
        EVENTUALLY_EQUAL(told, QStringList(text("first here")));
        QCOMPARE(client.peers(), QStringList(text("first")));
        QCOMPARE(changed.count(), 1);
        {
            const Peer second("a second", hub.url());
            EVENTUALLY(told.hasCome("a second"));
            QCOMPARE(client.peers(), (QStringList{text("a second"), text("first")}));
        }
        EVENTUALLY_EQUAL(told.value(2), text("a second left"));
        QCOMPARE(client.peers(), QStringList(text("first")));
        QCOMPARE(told.instances.at(1), told.instances.at(2));
        QVERIFY(told.instances.at(0) != told.instances.at(1));
        QCOMPARE(told.instances.at(0).size(), 32);
        QCOMPARE(changed.count(), 3);
    }

    void theListHasItsNewValueWhenAChangeIsTold()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QStringList then;
        QObject::connect(&client, &Client::presenceChanged, &client, [&]() { then = client.peers(); });
        client.setActive(true);
        const Peer peer("peer", hub.url());
        EVENTUALLY_EQUAL(then, QStringList(text("peer")));
    }

    void readingTheListHasTheHubAsked()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        client.setActive(true);
        EVENTUALLY_EQUAL(client.peers(), QStringList(text("peer")));
    }

    void aClientThatIsNotActiveKnowsNobodyAndHearsOfAllAgain()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        Told told(&client);
        client.setActive(true);
        EVENTUALLY_EQUAL(told.size(), 1);
        QSignalSpy changed(&client, &Client::peersChanged);
        client.setActive(false);
        QCOMPARE(client.peers(), QStringList());
        QCOMPARE(changed.count(), 1);
        client.setActive(true);
        EVENTUALLY_EQUAL(told, (QStringList{text("peer here"), text("peer here")}));
    }

    void aHubThatIsGoneIsNothingThatHappenedToOthers()
    {
        const Address address;
        auto hub = std::make_unique<Hub>(address.url());
        Client client(text("me"), address.url());
        Told told(&client);
        const Peer peer("peer", address.url());
        client.setActive(true);
        EVENTUALLY_EQUAL(told.size(), 1);
        hub.reset();
        EVENTUALLY(client.state() != Client::State::Connected);
        QCOMPARE(client.peers(), QStringList(text("peer")));
        hub = std::make_unique<Hub>(address.url());
        EVENTUALLY(client.state() == Client::State::Connected);
        const Peer other("other", address.url());
        EVENTUALLY(told.hasCome("other"));
        QCOMPARE(told.size(), 2);
    }

    void anotherAddressOfTheHubLosesNothingThatWasToBeTold()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        Told told(&client);
        client.setActive(true);
        EVENTUALLY_EQUAL(told.size(), 1);
        client.setUrl(hub.url() + text(",") + hub.url());
        EVENTUALLY(client.state() == Client::State::Connected);
        const Peer other("other", hub.url());
        EVENTUALLY(told.hasCome("other"));
        QCOMPARE(client.peers(), (QStringList{text("other"), text("peer")}));
    }

    void aSlotMayDeleteTheClient()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        auto *client = new Client(text("me"), hub.url());
        bool gone = false;
        QObject::connect(client, &QObject::destroyed, [&]() { gone = true; });
        QObject::connect(client, &Client::presenceChanged, [client]() { delete client; });
        client->setActive(true);
        EVENTUALLY(gone);
    }

    void theNumbersOfPresenceAreThoseOfTheLibrary()
    {
        const QMetaEnum presence = QMetaEnum::fromType<Client::Presence>();
        QCOMPARE(presence.keyCount(), 6);
        for (int i = 0; i < presence.keyCount(); ++i)
            QCOMPARE(QString::fromLatin1(presence.key(i)).toLower(),
                     QString::fromLatin1(ns_presence_name(presence.value(i))));
    }
};

QTEST_GUILESS_MAIN(PeersTest)

#include "tst_peers.moc"
