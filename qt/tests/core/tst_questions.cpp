#include <NanostateQt/NanostateQt>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qfile.h>
#include <QtCore/qmutex.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qthread.h>
#include <QtCore/qvector.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "clients.h"

#include <memory>

#ifdef Q_OS_LINUX
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

// What the signals of the three questions have told, in words.
class Answers : public QStringList
{
public:
    explicit Answers(Client *client)
    {
        const auto add = [this](const QString &what, Client::Error error, const QString &errorString) {
            errors.append(errorString);
            append(text("%1 %2").arg(what).arg(QVariant::fromValue(error).toString()));
        };
        QObject::connect(client, &Client::forgotten, client,
                         [=](const QString &sender, const QString &name, Client::Error error, const QString &errorString) {
                             add(text("%1 %2").arg(sender, name), error, errorString);
                         });
        QObject::connect(client, &Client::hubStatsReceived, client,
                         [=](const QVariantMap &told, Client::Error error, const QString &errorString) {
                             stats = told;
                             add(text("stats"), error, errorString);
                         });
        QObject::connect(client, &Client::hubPeersReceived, client,
                         [=](const QVariantList &told, Client::Error error, const QString &errorString) {
                             peers = told;
                             add(text("peers"), error, errorString);
                         });
    }
    QStringList errors;
    QVariantMap stats;
    QVariantList peers;
};

// Leaves a value of a sender that is gone.
void leave(const char *sender, const char *name, const QString &url)
{
    const Peer gone(sender, url);
    QVERIFY(ns_app_send_int(gone, name, 1) == NS_OK && ns_app_flush(gone, Patience) == NS_OK);
}

} // namespace

// What a client has the hub answer, without waiting.
class QuestionsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aValueOfAProgramThatIsGoneIsWithdrawnForAll()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Client other(text("other"), hub.url());
        Answers answers(&client);
        QSignalSpy cleared(&other, &Client::stateCleared);
        client.setActive(true);
        other.setActive(true);
        leave("room", "room/people", hub.url());
        EVENTUALLY(client.value(text("room/people")).isValid() && other.value(text("room/people")).isValid());
        // The hub has noticed that the sender is gone.
        EVENTUALLY_EQUAL(hub.peers(), quint64(2));
        QVERIFY(client.forget(text("room"), text("room/people")));
        EVENTUALLY_EQUAL(answers, QStringList(text("room room/people NoError")));
        QCOMPARE(answers.errors, QStringList(QString()));
        EVENTUALLY(!client.value(text("room/people")).isValid());
        EVENTUALLY_EQUAL(cleared.size(), 1);
        QCOMPARE(cleared.first().mid(0, 2), (QVariantList{text("room"), text("room/people")}));
        QVERIFY(!other.value(text("room/people")).isValid());
    }

    void whatIsNotForgottenIsToldWithTheReason()
    {
        const Hub hub;
        const Peer here("here", hub.url());
        QVERIFY(ns_app_send_int(here, "x", 1) == NS_OK && ns_app_flush(here, Patience) == NS_OK);
        Client client(text("me"), hub.url());
        Answers answers(&client);
        client.setActive(true);
        const struct
        {
            const char *sender;
            const char *name;
            const char *told;
            const char *names;
        } cases[] = {{"here", "x", "here x NotActive", "here"},
                     {"nobody", "x", "nobody x NotFound", "nobody"},
                     {"", "x", " x Identity", "identity"},
                     {"nobody", "$ns/x", "nobody $ns/x Name", "$ns/x"}};
        for (const auto &one : cases) {
            const int before = int(answers.size());
            QVERIFY(client.forget(text(one.sender), text(one.name)));
            EVENTUALLY_EQUAL(answers.size(), before + 1);
            QCOMPARE(answers.last(), text(one.told));
            QVERIFY2(answers.errors.last().contains(text(one.names)), qPrintable(answers.errors.last()));
            QCOMPARE(client.error(), Client::Error::NoError);
        }
        QVERIFY(client.forget(text("nobody"), text("x"), -2));
        EVENTUALLY_EQUAL(answers.last(), text("nobody x Invalid"));
    }

    void whatCannotBeAskedIsRefusedAndTheErrorSaysWhy()
    {
        const Address nowhere;
        Client client(text("me"), nowhere.url());
        Answers answers(&client);
        QVERIFY(!client.forget(text("a"), text("n")));
        QCOMPARE(client.errorString(), text("\"n\" was not forgotten: not active"));
        QVERIFY(!client.requestHubStats());
        QCOMPARE(client.errorString(), text("the hub was not asked: not active"));
        QVERIFY(!client.requestHubPeers());
        QCOMPARE(client.error(), Client::Error::NotActive);
        client.setActive(true);
        QVERIFY(!client.forget(QString(QChar(0)), text("n")));
        QCOMPARE(client.error(), Client::Error::Identity);
        QCOMPARE(client.errorString(), text("the sender has a NUL character"));
        QVERIFY(!client.forget(text("a"), QString(QChar(0xD800))));
        QCOMPARE(client.error(), Client::Error::Utf8);
        for (int i = 0; i < 16; ++i)
            QVERIFY(i % 2 ? client.requestHubStats() : client.forget(text("a"), text("n")));
        QVERIFY(!client.requestHubPeers());
        QCOMPARE(client.error(), Client::Error::Full);
        QCOMPARE(client.errorString(), text("16 calls of this client wait for the hub already"));
        // The error stays until the next publish.
        QVERIFY(client.publish(text("mine"), 1));
        QVERIFY(client.error() != Client::Error::Full);
        client.setActive(false);
        // No thread uses the app any more: all answers are on the way.
        QCoreApplication::sendPostedEvents(&client);
        QCOMPARE(answers.size(), 16);
        QCOMPARE(answers.filter(text("Closed")).size(), 16);
        // As many as before.
        client.setActive(true);
        for (int i = 0; i < 16; ++i)
            QVERIFY(client.requestHubStats());
        QVERIFY(!client.requestHubStats());
    }

    void aQuestionWaitsForAHubAndNobodyForTheQuestion()
    {
        const Address address;
        Client client(text("me"), address.url());
        Answers answers(&client);
        client.setActive(true);
        QVERIFY(client.forget(text("nobody"), text("x")));
        QVERIFY(client.requestHubStats());
        QVERIFY(client.requestHubPeers());
        QVERIFY(client.requestHubStats(1));
        // It has no more time than it was given, whatever else waits, and says why there is no connection.
        EVENTUALLY_EQUAL(answers, QStringList(text("stats Timeout")));
        QVERIFY2(answers.errors.first().contains(address.url()), qPrintable(answers.errors.first()));
        QVERIFY(answers.stats.isEmpty());
        QVERIFY(client.publish(text("mine"), 1));
        const Hub hub(address.url());
        EVENTUALLY_EQUAL(answers.size(), 4);
        answers.sort();
        QCOMPARE(answers, (QStringList{text("nobody x NotFound"), text("peers NoError"), text("stats NoError"),
                                       text("stats Timeout")}));
    }

    void whatTheHubCountsIsToldUnderTheNamesOfTheHeader()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        QVERIFY(ns_app_send_int(peer, "x", 1) == NS_OK && ns_app_flush(peer, Patience) == NS_OK);
        Client client(text("me"), hub.url());
        Answers answers(&client);
        client.setActive(true);
        QVERIFY(client.requestHubStats());
        QVERIFY(client.requestHubPeers());
        EVENTUALLY_EQUAL(answers.size(), 2);
        QCOMPARE(answers.filter(text("NoError")).size(), 2);
        ns_hub_stats_t counted;
        QCOMPARE(ns_hub_stats(hub.handle(), &counted, sizeof counted), NS_OK);
        QCOMPARE(answers.stats.value(text("peers")), QVariant(qulonglong(2)));
        QCOMPARE(answers.stats.value(text("messagesIn")), QVariant(qulonglong(1)));
        QCOMPARE(answers.stats.value(text("maxStates")), QVariant(qulonglong(counted.max_states)));
        QCOMPARE(answers.stats.keys(), fields("ns_hub_stats_t", text("malformedBy")));
        QCOMPARE(answers.peers.size(), 2);
        const QVariantMap first = answers.peers.at(0).toMap();
        const QVariantMap second = answers.peers.at(1).toMap();
        const QVariantMap told = first.value(text("identity")) == text("peer") ? first : second;
        QCOMPARE(told.value(text("identity")), QVariant(text("peer")));
        QVERIFY(told.value(text("from")).toString().startsWith(text("tcp://127.0.0.1:")));
        QCOMPARE(told.value(text("messagesIn")), QVariant(qulonglong(1)));
        QCOMPARE(told.value(text("live")), QVariant(true));
        QCOMPARE(told.value(text("old")), QVariant(false));
        QCOMPARE(told.value(text("suspect")), QVariant(false));
        QCOMPARE(told.keys(), fields("ns_peer_stats_t", QString()));
    }

    void statesArriveWhileQuestionsAreUnderWay()
    {
        const Hub hub;
        const Peer peer("peer", hub.url());
        Client client(text("me"), hub.url());
        Answers answers(&client);
        Received received(&client);
        client.setActive(true);
        EVENTUALLY(client.isSynced());
        // Each answer asks for the next, in the slot.
        const int questions = 200;
        const auto ask = [&]() {
            if (answers.size() < questions)
                QVERIFY(client.requestHubStats());
        };
        connect(&client, &Client::hubStatsReceived, this, ask);
        ask();
        ask();
        const int states = 5000;
        for (int i = 0; i < states; ++i) {
            QCOMPARE(ns_app_send_int(peer, "n", i), NS_OK);
            if (i % 100 == 0)
                QCoreApplication::processEvents();
        }
        EVENTUALLY_EQUAL(received.value(text("peer n")), QVariant(qlonglong(states - 1)));
        EVENTUALLY(answers.size() >= questions);
        QCOMPARE(answers.filter(text("NoError")).size(), answers.size());
    }

    void whoAsksAndLeavesIsToldThatItWasClosed()
    {
        const Address nowhere;
        Client client(text("me"), nowhere.url());
        Answers answers(&client);
        client.setActive(true);
        QVERIFY(client.forget(text("a"), text("n")));
        QVERIFY(client.requestHubPeers());
        client.setActive(false);
        QVERIFY(answers.isEmpty());
        QCoreApplication::sendPostedEvents(&client);
        QCOMPARE(answers.size(), 2);
        QCOMPARE(answers.filter(text("Closed")).size(), 2);
        QVERIFY(!answers.errors.contains(QString()));
        client.setActive(true);
        QVERIFY(client.requestHubStats());
        client.setIdentity(text("another"));
        EVENTUALLY_EQUAL(answers.last(), text("stats Closed"));
        QVERIFY(client.isActive());
    }

    void whoConnectsToAnotherHubIsAnsweredByThatOne()
    {
        const Hub hub;
        for (int i = 0; i < 50; ++i) {
            const Address nowhere;
            Client client(text("me"), nowhere.url());
            Answers answers(&client);
            client.setActive(true);
            QVERIFY(client.requestHubStats(Patience) && client.requestHubPeers());
            QVERIFY(client.forget(text("nobody"), text("x"), i % 2 ? Patience : -1));
            client.setUrl(hub.url());
            EVENTUALLY_EQUAL(answers.size(), 3);
            answers.sort();
            QCOMPARE(answers, (QStringList{text("nobody x NotFound"), text("peers NoError"), text("stats NoError")}));
        }
    }

    void whatAnEarlierHubCountedIsNotTold()
    {
        const Hub first;
        const Hub second;
        leave("gone", "x", first.url());
        for (int i = 0; i < 50; ++i) {
            Client client(text("me"), first.url());
            Answers answers(&client);
            client.setActive(true);
            EVENTUALLY(isConnected(client));
            QVERIFY(client.requestHubStats());
            // Its answer is on the way, or not yet.
            if (i % 2)
                QThread::msleep(5);
            client.setUrl(second.url());
            EVENTUALLY_EQUAL(answers, QStringList(text("stats NoError")));
            QCOMPARE(answers.stats.value(text("states")), QVariant(qulonglong(0)));
        }
    }

    void aQuestionThatNoHubCanBeAskedAnyMoreIsClosed()
    {
        for (int i = 0; i < 50; ++i) {
            const Address nowhere;
            Client client(text("me"), nowhere.url());
            Answers answers(&client);
            client.setActive(true);
            QVERIFY(client.requestHubStats() && client.forget(text("a"), text("n")));
            client.setUrl(text("no url"));
            QVERIFY(!client.isActive());
            EVENTUALLY_EQUAL(answers.size(), 2);
            answers.sort();
            QCOMPARE(answers, (QStringList{text("a n Closed"), text("stats Closed")}));
        }
    }

    void anAcceptedQuestionKeepsTheErrorOfAPublish()
    {
        const Hub hub;
        Client client(text("me"), hub.url());
        Answers answers(&client);
        client.setActive(true);
        EVENTUALLY(isConnected(client));
        QVERIFY(!client.publish(QString(), 1));
        QVERIFY(client.requestHubStats());
        EVENTUALLY_EQUAL(answers, QStringList(text("stats NoError")));
        QCOMPARE(client.error(), Client::Error::Name);
    }

#ifdef Q_OS_LINUX
    void aQuestionForWhichThereIsNoThreadIsRefused()
    {
#ifdef __SANITIZE_ADDRESS__
        QSKIP("AddressSanitizer ends a program that gets no memory");
#endif
        const Address nowhere;
        Client client(text("me"), nowhere.url());
        Answers answers(&client);
        client.setActive(true);
        QFile memory(text("/proc/self/statm"));
        QVERIFY(memory.open(QIODevice::ReadOnly));
        const rlim_t pages = memory.readAll().split(' ').first().toULongLong();
        rlimit before;
        QCOMPARE(getrlimit(RLIMIT_AS, &before), 0);
        // Room for what is allocated meanwhile, but not for the stacks of 16 threads.
        rlimit few = before;
        few.rlim_cur = pages * rlim_t(sysconf(_SC_PAGESIZE)) + (rlim_t(4) << 20);
        QCOMPARE(setrlimit(RLIMIT_AS, &few), 0);
        int accepted = 0;
        while (accepted < 16 && client.requestHubStats())
            ++accepted;
        setrlimit(RLIMIT_AS, &before);
        QVERIFY(accepted < 16);
        QCOMPARE(client.error(), Client::Error::Io);
        QCOMPARE(client.errorString(), text("the hub was not asked: no memory or threads left"));
        QVERIFY(client.requestHubStats());
        client.setActive(false);
        EVENTUALLY_EQUAL(answers.size(), accepted + 1);
        QCOMPARE(answers.filter(text("Closed")).size(), answers.size());
    }

    void aChildOfAForkDestroysItsCopyOfAClientThatAsks()
    {
        const Address nowhere;
        auto client = std::make_unique<Client>(text("me"), nowhere.url());
        Answers answers(client.get());
        client->setActive(true);
        QVERIFY(client->requestHubStats());
        const pid_t child = fork();
        if (child == 0) {
            alarm(unsigned(Patience) / 1000);
            client.reset();
            _exit(0);
        }
        int status = -1;
        QCOMPARE(waitpid(child, &status, 0), child);
        QCOMPARE(status, 0);
        client->setActive(false);
        EVENTUALLY_EQUAL(answers, QStringList(text("stats Closed")));
    }
#endif

    void aClientThatIsDestroyedTellsNothingMore()
    {
        const Address nowhere;
        const Hub hub;
        for (int i = 0; i < runs("NANOSTATE_DESTRUCTIONS", 100); ++i) {
            auto client = std::make_unique<Client>(text("me"), i % 2 ? nowhere.url() : hub.url());
            int told = 0;
            const auto count = [&told]() { ++told; };
            connect(client.get(), &Client::forgotten, this, count);
            connect(client.get(), &Client::hubStatsReceived, this, count);
            connect(client.get(), &Client::hubPeersReceived, this, count);
            client->setActive(true);
            if (i % 4 == 0)
                EVENTUALLY(isConnected(*client));
            QVERIFY(client->forget(text("a"), text("n")));
            QVERIFY(client->requestHubStats());
            QVERIFY(client->requestHubPeers());
            client.reset();
            QCoreApplication::processEvents();
            QCOMPARE(told, 0);
        }
    }

    void aSlotMayDeleteTheClient()
    {
        const Hub hub;
        auto *const client = new Client(text("me"), hub.url());
        int told = 0;
        connect(client, &Client::forgotten, this, [&]() {
            ++told;
            delete client;
        });
        client->setActive(true);
        QVERIFY(client->forget(text("a"), text("n")) && client->forget(text("b"), text("n")));
        EVENTUALLY_EQUAL(told, 1);
        QCoreApplication::processEvents();
        QCOMPARE(told, 1);
    }

    void theAnswerComesInTheThreadToWhichTheClientWasMoved()
    {
        const Address nowhere;
        const Hub hub;
        auto *const client = new Client(text("me"), nowhere.url());
        QThread thread;
        QVector<QThread *> toldIn;
        QStringList told;
        QMutex guard;
        connect(client, &Client::hubStatsReceived, client,
                [&](const QVariantMap &, Client::Error error, const QString &) {
                    const QMutexLocker lock(&guard);
                    toldIn.append(QThread::currentThread());
                    told.append(QVariant::fromValue(error).toString());
                });
        client->setActive(true);
        QVERIFY(client->requestHubStats());
        client->setActive(false);
        // Its answer is on the way, and moves with it.
        client->moveToThread(&thread);
        thread.start();
        QMetaObject::invokeMethod(client, [&]() {
            client->setUrl(hub.url());
            client->setActive(true);
            client->requestHubStats();
        });
        const auto count = [&]() {
            const QMutexLocker lock(&guard);
            return told.size();
        };
        EVENTUALLY_EQUAL(count(), 2);
        QCOMPARE(told, (QStringList{text("Closed"), text("NoError")}));
        QCOMPARE(toldIn, (QVector<QThread *>{&thread, &thread}));
        QMetaObject::invokeMethod(client, [&]() { delete client; }, Qt::BlockingQueuedConnection);
        thread.quit();
        QVERIFY(thread.wait(Patience));
    }

private:
    // The fields of a struct in nanostate.h, in camelCase and sorted, without one of them.
    static QStringList fields(const char *structName, const QString &without)
    {
        QFile header(text(NANOSTATE_HEADER));
        if (!header.open(QIODevice::ReadOnly))
            return {};
        const QString all = QString::fromUtf8(header.readAll());
        const int end = int(all.indexOf(text("} %1;").arg(text(structName))));
        const int begin = int(all.lastIndexOf(text("typedef struct {"), end));
        static const QRegularExpression field(text("^    (?:uint64_t|char) (\\w+)(?:\\[\\d+\\])?;$"),
                                              QRegularExpression::MultilineOption);
        static const QRegularExpression word(text("_(\\w)"));
        QStringList names;
        for (auto each = field.globalMatch(all.mid(begin, end - begin)); each.hasNext();) {
            QString name = each.next().captured(1);
            for (auto match = word.match(name); match.hasMatch(); match = word.match(name))
                name.replace(match.capturedStart(), match.capturedLength(), match.captured(1).toUpper());
            if (name != without)
                names.append(name);
        }
        names.sort();
        return names;
    }
};

QTEST_GUILESS_MAIN(QuestionsTest)
#include "tst_questions.moc"
