// Clients and QNanostates that are older than the QCoreApplication.
#include <NanostateQt/Client>
#include <qtnanostate/qnanostate.h>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qdir.h>
#include <QtTest/qtest.h>

#include "support.h"

using NanostateQt::Client;

namespace {

// Descriptors and threads of this process.
int resources()
{
    const auto count = [](const QString &path) {
        return QDir(path).entryList(QDir::NoDotAndDotDot | QDir::AllEntries | QDir::System).size();
    };
    return int(count(text("/proc/self/fd")) + count(text("/proc/self/task")));
}

Client *client = nullptr;
QNanostate *old = nullptr;
QNanostate *running = nullptr;
int made = -1;
Hub *hub = nullptr;

} // namespace

class EarlyTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aClientThatIsOlderThanTheApplicationReceivesOnceThereIsAnEventLoop()
    {
        QVariantMap received;
        QObject context;
        connect(client, &Client::stateUpdated, &context,
                [&](const QString &, const QString &name, const QVariant &value) { received.insert(name, value); });
        EVENTUALLY_EQUAL(client->state(), Client::State::Connected);
        Peer peer("peer", hub->url());
        ns_app_send_int(peer, "n", 1);
        EVENTUALLY_EQUAL(received.value(text("n")), QVariant(qlonglong(1)));
        // Published before the application existed.
        QCOMPARE(peer.next(), QByteArray("early early true"));
    }

    void aQNanostateMayEvenRunBeforeTheApplication()
    {
        std::string data;
        QObject context;
        connect(running, &QNanostate::state_updated, &context,
                [&](const std::string &, const std::string &name, const std::string &value) {
                    if (name == "for running")
                        data = value;
                });
        QVERIFY(running->isRunning());
        Peer peer("peer3", hub->url());
        ns_app_send_text(peer, "for running", "t");
        EVENTUALLY(data == "t");
        running->quit();
        QVERIFY(running->wait(Patience));
    }

    void aQNanostateMakesNothingBeforeItIsStarted()
    {
        QCOMPARE(made, 0);
        std::string data;
        QObject context;
        connect(old, &QNanostate::state_updated, &context,
                [&](const std::string &, const std::string &name, const std::string &value) {
                    if (name == "text")
                        data = value;
                });
        old->start();
        Peer peer("peer2", hub->url());
        ns_app_send_text(peer, "text", "t");
        EVENTUALLY(data == "t");
    }
};

int main(int argc, char **argv)
{
    const int before = resources();
    old = new QNanostate("old", "tcp://127.0.0.1:1");
    made = resources() - before;
    delete old;
    hub = new Hub;
    old = new QNanostate("old", hub->url().toUtf8().constData());
    running = new QNanostate("running", hub->url().toUtf8().constData());
    running->start();
    client = new Client(text("early"), hub->url());
    client->setActive(true);
    client->publish(text("early"), true);
    int failures = 0;
    {
        QCoreApplication app(argc, argv);
        EarlyTest test;
        failures = QTest::qExec(&test, argc, argv);
    }
    // Created after its end.
    delete running;
    delete old;
    delete client;
    delete hub;
    return failures;
}

#include "tst_early.moc"
