#include <NanostateQt/Client>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qprocess.h>
#include <QtTest/qtest.h>

#include "support.h"

using NanostateQt::Client;

class ProcessesTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void twoClientsAndAHubInThreeProcessesExchangeStates()
    {
        HubProcess hub;
        const QString url = hub.start();
        QVERIFY(!url.isEmpty());
        Client client(text("me"), url);
        QVariantMap pongs;
        connect(&client, &Client::stateUpdated, this,
                [&](const QString &sender, const QString &name, const QVariant &value) {
                    if (name == text("pong"))
                        pongs.insert(sender, value);
                });
        client.setActive(true);
        const QVariantList value{text("für"), qlonglong(9007199254740993), QByteArray("\0\xFF", 2)};
        // Published before the other program exists: a latecomer receives it too.
        QVERIFY(client.publish(text("ping"), value));
        QProcess peer;
        peer.setProcessChannelMode(QProcess::ForwardedChannels);
        peer.start(QCoreApplication::applicationDirPath() + text("/peer"), {text("other"), url});
        EVENTUALLY_EQUAL(pongs.value(text("other")), QVariant(value));
        QVERIFY(client.publish(text("ping"), 2));
        EVENTUALLY_EQUAL(pongs.value(text("other")), QVariant(qlonglong(2)));
        QVERIFY(client.publish(text("end"), true));
        EVENTUALLY(peer.state() == QProcess::NotRunning);
        QCOMPARE(peer.exitCode(), 0);
    }

    void aHubThatIsKilledIsWholeAgainWhenItIsBack()
    {
        const Address address;
        const QString url = address.url();
        HubProcess hub;
        QCOMPARE(hub.start(url), url);
        Client one(text("one"), url);
        Client two(text("two"), url);
        QVariantMap received;
        connect(&two, &Client::stateUpdated, this,
                [&](const QString &, const QString &name, const QVariant &value) { received.insert(name, value); });
        QStringList links;
        connect(&one, &Client::connected, this, [&]() { links.append(text("connected")); });
        connect(&one, &Client::disconnected, this, [&]() { links.append(text("disconnected")); });
        one.setActive(true);
        two.setActive(true);
        QVERIFY(one.publish(text("before"), 1));
        EVENTUALLY(received.contains(text("before")));
        for (int round = 0; round < 3; ++round) {
            hub.kill();
            EVENTUALLY(one.state() == Client::State::Connecting && two.state() == Client::State::Connecting);
            QVERIFY(one.error() != Client::Error::NoError);
            QVERIFY(!one.errorString().isEmpty());
            QVERIFY(one.publish(text("meanwhile"), round));
            QCOMPARE(two.value(text("before")), QVariant(qlonglong(1)));
            QCOMPARE(hub.start(url), url);
            EVENTUALLY(received.value(text("meanwhile")) == QVariant(qlonglong(round)));
            EVENTUALLY(one.state() == Client::State::Connected);
            QCOMPARE(one.error(), Client::Error::NoError);
        }
        QCOMPARE(links, (QStringList{text("connected"), text("disconnected"), text("connected"), text("disconnected"),
                                     text("connected"), text("disconnected"), text("connected")}));
        // A program that joins only now receives what was published before.
        Client late(text("late"), url);
        late.setActive(true);
        EVENTUALLY_EQUAL(late.value(text("before")), QVariant(qlonglong(1)));
        EVENTUALLY_EQUAL(late.names(), (QStringList{text("before"), text("meanwhile")}));
    }
};

QTEST_GUILESS_MAIN(ProcessesTest)
#include "tst_processes.moc"
