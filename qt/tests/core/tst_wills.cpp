#include <NanostateQt/NanostateQt>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qprocess.h>
#include <QtTest/qtest.h>

#include "clients.h"

// What a client leaves for the time when it is lost.
class WillsTest : public QObject
{
    Q_OBJECT

    // The program `peer`, which has left its wills with the hub: for "on" that value, and that "seen" be withdrawn.
    struct Leaving : QProcess
    {
        Leaving(Client *client, const QVariant &value)
        {
            setProcessChannelMode(QProcess::ForwardedChannels);
            start(QCoreApplication::applicationDirPath() + text("/peer"), {text("other"), client->url()});
            client->publish(text("leave"), value);
        }
    };

private Q_SLOTS:
    void theWillsOfAProgramThatIsKilledArePublishedAndWhatWasTakenBackIsNot()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        client.setActive(true);
        const QVariantMap value{{text("für"), QVariantList{qlonglong(9007199254740993), QByteArray("\0\xFF", 2)}}};
        Leaving other(&client, value);
        EVENTUALLY_EQUAL(client.value(text("left"), text("other")), QVariant(true));
        QCOMPARE(client.value(text("on"), text("other")), QVariant(qlonglong(1)));
        QCOMPARE(client.value(text("seen"), text("other")), QVariant(qlonglong(1)));
        other.kill();
        EVENTUALLY_EQUAL(client.value(text("on"), text("other")), QVariant(value));
        EVENTUALLY(!client.value(text("seen"), text("other")).isValid());
        // What it had left for other names has come by now.
        const Peer last("last", hub.url());
        QCOMPARE(ns_app_send_int(last, "last", 1), NS_OK);
        EVENTUALLY(client.value(text("last")).isValid());
        QCOMPARE(client.names(), (QStringList{text("last"), text("leave"), text("left"), text("on")}));
        other.waitForFinished(Patience);
    }

    void theWillsOfAProgramThatEndsAreNotPublished()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QList<Client::Presence> told;
        connect(&client, &Client::presenceChanged, this,
                [&](const QString &, Client::Presence presence) { told.append(presence); });
        client.setActive(true);
        Leaving other(&client, 2);
        EVENTUALLY_EQUAL(client.value(text("left"), text("other")), QVariant(true));
        EVENTUALLY_EQUAL(told.size(), 1);
        QVERIFY(client.publish(text("end"), true));
        EVENTUALLY_EQUAL(told.size(), 2);
        // It is not lost, which would run them.
        QCOMPARE(told.last(), Client::Presence::Left);
        QCOMPARE(client.value(text("on"), text("other")), QVariant(qlonglong(1)));
        QCOMPARE(client.value(text("seen"), text("other")), QVariant(qlonglong(1)));
        other.waitForFinished(Patience);
    }

    void whatCannotBeLeftIsAnErrorThatNamesIt()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        QVERIFY(!client.will(text("w"), 1));
        QCOMPARE(client.error(), Client::Error::NotActive);
        QCOMPARE(client.errorString(), text("\"w\" was not left as a will: not active"));
        QVERIFY(!client.willClear(text("w")));
        QCOMPARE(client.errorString(), text("\"w\" was not left as a will: not active"));
        QVERIFY(!client.noWill(text("w")));
        QCOMPARE(client.errorString(), text("\"w\" was not taken back: not active"));
        client.setActive(true);
        QVERIFY(!client.will(text("$ns/w"), 1));
        QCOMPARE(client.error(), Client::Error::Name);
        QVERIFY2(client.errorString().contains(text("$ns/w")), qPrintable(client.errorString()));
        QVERIFY(!client.will(text("w"), QVariant::fromValue(static_cast<QObject *>(this))));
        QCOMPARE(client.error(), Client::Error::Value);
        QVERIFY2(client.errorString().startsWith(text("\"w\": ")), qPrintable(client.errorString()));
        QVERIFY(client.noWill(text("w")));
        QCOMPARE(client.error(), Client::Error::NoError);
        for (int i = 0; i < 1000; ++i)
            QVERIFY(client.will(text("w%1").arg(i), i));
        QVERIFY(!client.will(text("w"), 1));
        QCOMPARE(client.error(), Client::Error::Full);
        QVERIFY(client.noWill(text("w7")) && client.will(text("w"), 1));
        QCOMPARE(client.error(), Client::Error::NoError);
    }
};

QTEST_GUILESS_MAIN(WillsTest)
#include "tst_wills.moc"
