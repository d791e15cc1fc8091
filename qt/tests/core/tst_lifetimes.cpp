#include <NanostateQt/NanostateQt>

#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

using namespace std::chrono_literals;
using NanostateQt::ClearedState;
using NanostateQt::PublishOptions;

// Values for those who are there, and values that expire.
class LifetimesTest : public QObject
{
    Q_OBJECT

    static PublishOptions expiring(std::chrono::milliseconds timeToLive)
    {
        PublishOptions options;
        options.timeToLive = timeToLive;
        return options;
    }

private Q_SLOTS:
    void aTransientValueReachesThoseWhoAreThereAndNobodyWhoComesLater()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Client there(text("there"), hub.url());
        client.setActive(true);
        there.setActive(true);
        EVENTUALLY(there.isSynced());
        PublishOptions transient;
        transient.transient = true;
        QVERIFY(client.publish(text("mouse"), QVariantList{3, 4}, transient));
        QVERIFY(client.publish(text("lasting"), 1));
        EVENTUALLY(there.value(text("lasting")).isValid());
        QCOMPARE(there.value(text("mouse")).toList().size(), 2);
        Client late(text("late"), hub.url());
        late.setActive(true);
        EVENTUALLY(late.isSynced());
        QCOMPARE(late.names(), QStringList(text("lasting")));
        // It counts for that value only.
        QVERIFY(client.publish(text("mouse"), 5));
        EVENTUALLY_EQUAL(late.value(text("mouse")), QVariant(qlonglong(5)));
        Client last(text("last"), hub.url());
        last.setActive(true);
        EVENTUALLY(last.isSynced());
        QCOMPARE(last.value(text("mouse")), QVariant(qlonglong(5)));
    }

    void aValueThatIsNotPublishedAgainInTimeIsWithdrawnForAllAndItsObserversAreTold()
    {
        struct Observer : StateObserver
        {
            void stateArrived(const ns_state *) override { told.append(text("value")); }
            void stateCleared(const ClearedState &cleared) override
            {
                told.append(text(cleared.sender) + text(" cleared ") + text(cleared.name));
            }
            QStringList told;
        };
        const Hub hub;
        Client client(text("me"), hub.url());
        Client other(text("other"), hub.url());
        QSignalSpy cleared(&other, &Client::stateCleared);
        Observer observer;
        ClientAccess::addObserver(&client, text("alive"), &observer);
        client.setActive(true);
        other.setActive(true);
        EVENTUALLY(other.isSynced());
        QVERIFY(client.publish(text("alive"), true, expiring(1s)));
        EVENTUALLY_EQUAL(cleared.count(), 1);
        QCOMPARE(cleared.first().mid(0, 2), (QVariantList{text("me"), text("alive")}));
        const QStringList all{text("value"), text("me cleared alive")};
        EVENTUALLY_EQUAL(observer.told, all);
        QVERIFY(!client.value(text("alive")).isValid() && !other.value(text("alive")).isValid());
        ClientAccess::removeObserver(&client, text("alive"), &observer);
    }

    void aClientThatIsEndedWhileItsValueLivesIsNotCalledForIt()
    {
        struct Observer : StateObserver
        {
            void stateArrived(const ns_state *) override { ++told; }
            void stateCleared(const ClearedState &) override { ++told; }
            int told = 0;
        };
        const Hub hub;
        Observer observer;
        auto *const client = new Client(text("me"), hub.url());
        ClientAccess::addObserver(client, text("alive"), &observer);
        client->setActive(true);
        QVERIFY(client->publish(text("alive"), 1, expiring(30ms)));
        client->setActive(false);
        // It expires later than the first one would have.
        Client other(text("other"), hub.url());
        other.setActive(true);
        QVERIFY(other.publish(text("after"), 1, expiring(60ms)));
        EVENTUALLY(!other.value(text("after")).isValid());
        // Any sooner, the hub would send the value that the client had left there.
        client->setActive(true);
        EVENTUALLY(client->isSynced());
        QCOMPARE(observer.told, 1);
        QVERIFY(client->publish(text("alive"), 1, expiring(30ms)));
        delete client;
        QVERIFY(other.publish(text("after"), 1, expiring(60ms)));
        EVENTUALLY(!other.value(text("after")).isValid());
        QCOMPARE(observer.told, 2);
    }

    void anObserverMayEndTheClientWhenAValueExpires()
    {
        struct Observer : StateObserver
        {
            void stateArrived(const ns_state *) override {}
            void stateCleared(const ClearedState &) override { client.reset(); }
            std::unique_ptr<Client> client;
        };
        const Hub hub;
        Observer observer;
        observer.client = std::make_unique<Client>(text("me"), hub.url());
        ClientAccess::addObserver(observer.client.get(), QString(), &observer);
        observer.client->setActive(true);
        for (const char *name : {"a", "b"})
            QVERIFY(observer.client->publish(text(name), 1, expiring(30ms)));
        EVENTUALLY(!observer.client);
    }

    void aTimeToLiveOutOfItsRangeIsAnErrorThatNamesIt()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QVERIFY(!client.publish(text("v"), 1, expiring(5s)));
        QCOMPARE(client.error(), Client::Error::NotActive);
        client.setActive(true);
        for (const auto &options : {expiring(-1ms), expiring(24001h)}) {
            QVERIFY(!client.publish(text("v"), 1, options));
            QCOMPARE(client.error(), Client::Error::Invalid);
            const QString begin = text("\"v\" was not published, for its timeToLive: ");
            QVERIFY2(client.errorString().startsWith(begin), qPrintable(client.errorString()));
            const QString value = QString::number(options.timeToLive.count());
            QVERIFY2(client.errorString().endsWith(value), qPrintable(client.errorString()));
        }
        QVERIFY(!client.value(text("v")).isValid());
        QVERIFY(client.publish(text("v"), 1, expiring(24000h)));
        QCOMPARE(client.error(), Client::Error::NoError);
    }
};

QTEST_GUILESS_MAIN(LifetimesTest)
#include "tst_lifetimes.moc"
