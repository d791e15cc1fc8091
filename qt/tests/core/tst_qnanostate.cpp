#include <qtnanostate/qnanostate.h>

#include <NanostateQt/private/codec.h>

#include <QtTest/qsignalspy.h>
#include <QtTest/qtest.h>

#include "support.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

#include <atomic>
#include <memory>
#include <vector>

namespace Codec = NanostateQt::Codec;

namespace {

// A program that does not use nanostate: a plain nanomsg BUS socket.
class BusPeer
{
public:
    BusPeer() : m_socket(nn_socket(AF_SP, NN_BUS))
    {
        int patience = Patience;
        nn_setsockopt(m_socket, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience);
        nn_setsockopt(m_socket, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience);
    }
    ~BusPeer() { nn_close(m_socket); }

    void dial(const QString &url)
    {
        if (nn_connect(m_socket, url.toUtf8().constData()) < 0)
            qFatal("nn_connect: %s", nn_strerror(nn_errno()));
    }

    // Listens at a free port.
    QString listen()
    {
        for (int port = 20000 + int(QCoreApplication::applicationPid() % 20000); port < 60000; ++port) {
            const QString url = text("tcp://127.0.0.1:%1").arg(port);
            if (nn_bind(m_socket, url.toUtf8().constData()) >= 0)
                return url;
        }
        qFatal("nn_bind: %s", nn_strerror(nn_errno()));
        return QString();
    }

    // As the original's programs send it: all three elements as bytes, or only the data.
    void send(const QVariant &sender, const QVariant &name, const QByteArray &data)
    {
        QByteArray body;
        Codec::encode(QVariantList{sender, name, data}, &body);
        if (nn_send(m_socket, body.constData(), size_t(body.size()), 0) < 0)
            qFatal("nn_send: %s", nn_strerror(nn_errno()));
    }

    QVariant receive()
    {
        void *message = nullptr;
        const int size = nn_recv(m_socket, &message, NN_MSG, 0);
        if (size < 0)
            return QString::fromUtf8(nn_strerror(nn_errno()));
        QVariant value;
        Codec::decode(message, size_t(size), &value);
        nn_freemsg(message);
        return value;
    }

private:
    int m_socket;
};

// Any content: NULs, invalid UTF-8, something like a serialised structure.
std::string binary()
{
    std::string bytes("\x08\x96\x01\x12\x00\xFF\xFE", 7);
    for (int i = 0; i < 256; ++i)
        bytes.push_back(char(i));
    return bytes;
}

} // namespace

// As an old program is written: with the keywords of Qt or their substitutes, and connections by name.
class OldProgram : public QObject
{
    Q_OBJECT

public:
    explicit OldProgram(QNanostate *nanostate)
    {
        connect(nanostate, SIGNAL(state_updated(const std::string &, const std::string &, const std::string &)), this,
                SLOT(state_updated(const std::string &, const std::string &, const std::string &)));
    }

    std::vector<std::string> seen;
    bool here = true;

public Q_SLOTS:
    void state_updated(const std::string &sender, const std::string &name, const std::string &data)
    {
        here = here && QThread::currentThread() == thread();
        seen.push_back(sender + ' ' + name + ' ' + data);
    }
};

// As an old program may be written: with its own run(), which knows no event loop.
class OldThread : public QNanostate
{
    Q_OBJECT

public:
    OldThread(const char *identity, const QString &url, std::atomic<int> *received)
        : QNanostate(identity, url.toUtf8().constData()), m_received(received)
    {
    }

protected:
    void run() override
    {
        std::atomic<int> &received = *m_received;
        std::string sender;
        std::string name;
        std::string data;
        while (!isInterruptionRequested())
            received += recv_state_update(sender, name, data);
    }

private:
    std::atomic<int> *const m_received;
};

class QNanostateTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void itExchangesStatesWithANanomsgPeerThroughAHub()
    {
        const Hub hub;
        QNanostate nanostate("me", hub.url().toUtf8().constData());
        QCOMPARE(nanostate.get_identity(), std::string("me"));
        OldProgram program(&nanostate);
        nanostate.start();
        BusPeer peer;
        peer.dial(hub.url());
        EVENTUALLY(hub.peers() == 2);
        const std::string data = binary();
        QVERIFY(nanostate.send_state_update("binary", data));
        QCOMPARE(peer.receive(),
                 QVariant(QVariantList{text("me"), text("binary"), QByteArray(data.data(), int(data.size()))}));
        // A socket that has received something knows that it is connected; before that it drops what it should send.
        peer.send(text("peer"), text("text"), "t");
        peer.send(QByteArray("python2"), QByteArray("binary"), QByteArray(data.data(), int(data.size())));
        EVENTUALLY(program.seen.size() == 2);
        QCOMPARE(program.seen[0], std::string("peer text t"));
        QCOMPARE(program.seen[1], "python2 binary " + data);
        QVERIFY(program.here);
    }

    void itExchangesStatesWithANanomsgPeerThatListens()
    {
        BusPeer peer;
        QNanostate nanostate("me", peer.listen().toUtf8().constData());
        OldProgram program(&nanostate);
        nanostate.start();
        QVERIFY(nanostate.send_state_update("hello", std::string("there")));
        QCOMPARE(peer.receive(), QVariant(QVariantList{text("me"), text("hello"), QByteArray("there")}));
        peer.send(text("peer"), text("n"), "1");
        EVENTUALLY(program.seen.size() == 1);
        QCOMPARE(program.seen[0], std::string("peer n 1"));
    }

    void itSendsAndReceivesWithoutItsThread()
    {
        const Hub hub;
        QNanostate nanostate("me", hub.url().toUtf8().constData());
        QVERIFY(nanostate.send_state_update("n", std::string("1")));
        QVERIFY(!nanostate.isRunning());
        Peer peer("peer", hub.url());
        QCOMPARE(peer.next(), QByteArray("me n \"MQ==\""));
        ns_app_send_text(peer, "m", "2");
        std::string sender;
        std::string name;
        std::string data;
        bool received = false;
        EVENTUALLY(received || (received = nanostate.recv_state_update(sender, name, data)));
        QCOMPARE(sender + name + data, std::string("peerm2"));
    }

    void itsThreadEndsInEveryWayAndStartsAgain()
    {
        const Hub hub;
        QNanostate nanostate("me", hub.url().toUtf8().constData());
        OldProgram program(&nanostate);
        Peer peer("peer", hub.url());
        const std::vector<void (*)(QNanostate &)> ways{
            [](QNanostate &n) { n.quit(); },
            [](QNanostate &n) { n.requestInterruption(); },
            [](QNanostate &n) { n.exit(3); },
            [](QNanostate &n) { static_cast<QThread &>(n).quit(); },
            [](QNanostate &n) { QMetaObject::invokeMethod(&n, "quit"); },
        };
        int value = 0;
        for (int round = 0; round < 4; ++round) {
            for (const auto &way : ways) {
                nanostate.start();
                QVERIFY(nanostate.isRunning());
                // In the second half it may not even have started.
                if (round < 2) {
                    ns_app_send_text(peer, "n", QByteArray::number(++value).constData());
                    const std::string expected = "peer n " + std::to_string(value);
                    EVENTUALLY(!program.seen.empty() && program.seen.back() == expected);
                }
                way(nanostate);
                QVERIFY(nanostate.wait(Patience));
                QVERIFY(nanostate.isFinished());
            }
        }
        nanostate.start();
        ns_app_send_text(peer, "n", "last");
        EVENTUALLY(program.seen.back() == "peer n last");
    }

    void itsEndInterruptsARunOfAnOldProgram()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        ns_app_send_text(peer, "n", "1");
        std::atomic<int> received{0};
        OldThread nanostate("me", hub.url(), &received);
        nanostate.start();
        EVENTUALLY(received == 1);
        // Here it would wait indefinitely.
    }

    void itIsDestroyedWhileStatesArrive()
    {
        const Hub hub;
        Peer peer("peer", hub.url());
        std::atomic<bool> end{false};
        std::thread sender([&]() {
            for (int i = 0; !end; ++i) {
                ns_app_send_text(peer, QByteArray::number(i % 100).constData(), "x");
                if (i % 100 == 99)
                    peer.flush();
            }
        });
        for (int i = 0; i < 100; ++i) {
            auto nanostate = std::make_unique<QNanostate>("me", hub.url().toUtf8().constData());
            OldProgram program(nanostate.get());
            nanostate->start();
            if (i % 2)
                EVENTUALLY(program.seen.size() > size_t(i % 7));
        }
        end = true;
        sender.join();
    }

    void anIdentityOrAddressThatIsNotValidDoesNothing()
    {
        for (const auto &arguments : {std::make_pair("me", "nonsense"), std::make_pair("", "tcp://127.0.0.1:1"),
                                      std::make_pair(static_cast<const char *>(nullptr), "tcp://127.0.0.1:1")}) {
            QNanostate nanostate(arguments.first, arguments.second);
            nanostate.start();
            QVERIFY(nanostate.wait(Patience));
            QVERIFY(!nanostate.send_state_update("n", std::string("1")));
        }
    }
};

QTEST_GUILESS_MAIN(QNanostateTest)
#include "tst_qnanostate.moc"
