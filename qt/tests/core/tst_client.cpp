#include <NanostateQt/NanostateQt>
#include <NanostateQt/private/client_p.h>
#include <NanostateQt/private/codec.h>

#include <QtCore/qdatetime.h>
#include <QtCore/qeventloop.h>
#include <QtCore/qpointer.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>
#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "support.h"

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

using NanostateQt::Client;
using NanostateQt::Extension;
using NanostateQt::StateObserver;
namespace ClientAccess = NanostateQt::ClientAccess;
namespace Codec = NanostateQt::Codec;

namespace {

// Every signal of a client, in words.
class Log : public QStringList
{
public:
    explicit Log(Client *client)
    {
        const auto note = [this](const QString &what) { append(what); };
        QObject::connect(client, &Client::activeChanged,
                         [=]() { note(client->isActive() ? text("active") : text("inactive")); });
        QObject::connect(client, &Client::stateChanged, [=](Client::State state) {
            note(text("state %1").arg(int(state)));
            if (state != client->state())
                note(text("but it is %1").arg(int(client->state())));
        });
        QObject::connect(client, &Client::connected, [=]() { note(text("connected")); });
        QObject::connect(client, &Client::disconnected, [=]() { note(text("disconnected")); });
        QObject::connect(client, &Client::errorChanged, [=]() { note(text("error %1").arg(int(client->error()))); });
        QObject::connect(client, &Client::errorOccurred, [=](Client::Error error, const QString &words) {
            note(text("occurred %1").arg(int(error)));
            if (words != client->errorString() || words.isEmpty())
                note(text("but it is %1").arg(client->errorString()));
        });
        QObject::connect(client, &Client::identityChanged, [=]() { note(text("identity ") + client->identity()); });
        QObject::connect(client, &Client::urlChanged, [=]() { note(text("url ") + client->url()); });
        QObject::connect(client, &Client::bytesAsTextChanged,
                         [=]() { note(client->bytesAsText() ? text("text") : text("bytes")); });
    }
};

// What has come, newest value per sender and name, and how often anything did.
class Received : public QVariantMap
{
public:
    explicit Received(Client *client)
    {
        QObject::connect(client, &Client::stateUpdated,
                         [this](const QString &sender, const QString &name, const QVariant &value) {
                             insert(sender + text(" ") + name, value);
                             ++count;
                         });
    }
    int count = 0;
};

class Observer : public StateObserver
{
public:
    explicit Observer(std::function<void(const ns_state *)> function) : m_function(std::move(function)) {}
    void stateArrived(const ns_state *state) override { m_function(state); }
    void clientClosing() override
    {
        if (closing)
            closing();
    }

    std::function<void()> closing;

private:
    std::function<void(const ns_state *)> m_function;
};

bool isConnected(const Client &client)
{
    return client.state() == Client::State::Connected;
}

} // namespace

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
        // And again, as the user who presses the button again expects.
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
        // It is the former identity that is taken.
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
        // Many changes in one go tell of the last one only.
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
        // It is connected, and the event loop has not heard of it.
        QCOMPARE(ns_app_wait_connected(ClientAccess::app(&client), Patience), NS_OK);
        QCOMPARE(client.state(), Client::State::Connecting);
        client.setUrl(text("inproc://nobody"));
        EVENTUALLY(hub.peers() == 0);
        QCoreApplication::processEvents();
        QCOMPARE(client.state(), Client::State::Connecting);
        QCOMPARE(log.filter(text("connected")), QStringList());
    }

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

    void whyItDoesNotConnectIsToldOnceForEachReason()
    {
        const Address address;
        const QString url = address.url();
        HubProcess hub;
        QCOMPARE(hub.start(url), url);
        // Who listened there is gone, as the file that it leaves behind tells.
        hub.kill();
        Client client(text("me"), url);
        Log log(&client);
        client.setActive(true);
        EVENTUALLY(client.error() == Client::Error::ConnectionRefused);
        QVERIFY2(client.errorString().contains(url), qPrintable(client.errorString()));
        QCOMPARE(client.state(), Client::State::Connecting);
        const QStringList story{text("active"), text("state 1"), text("error -19"), text("occurred -19")};
        QCOMPARE(log, story);
        // A failed call stands in front of it, and goes with the next success.
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

    void connectedAndDisconnectedAlternateWhateverSlotsDo()
    {
        const Hub first;
        const Hub second;
        Client client(text("me"), first.url());
        QStringList told;
        int changes = 0;
        // Told first, this slot gives the link up again before anybody else hears of it.
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
        // Nothing ends of one that has not begun.
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
            // Of every name: the list that is told after this one.
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
            // It has the only loop of this thread.
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

    // What waits is more than fits into one pass, so the rest of the event loop has its turns in between.
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
        // Who falls behind gets newest values, which are in no order.
        for (int i = 0; i < 1000; ++i)
            EVENTUALLY_EQUAL(received.value(text("peer %1").arg(i)).toInt(), count - 1000 + i);
        QVERIFY2(turns >= 10, qPrintable(text("%1 turns, %2 updates").arg(turns).arg(received.count)));
    }
};

QTEST_GUILESS_MAIN(ClientTest)
#include "tst_client.moc"
