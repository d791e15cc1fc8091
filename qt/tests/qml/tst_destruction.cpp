// Objects are destroyed while updates for them arrive, in every possible way. For the address sanitizer.
#include "../core/support.h"

#include <NanostateQt/client.h>

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qdeadlinetimer.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

namespace {

constexpr char Scene[] = R"(
import QtQml 2.15
import Nanostate 1.0

QtObject {
    id: root
    property var shown: [of(shared, "value"), of(twin, "pending"), of(states, "count")]
    property int heard: 0
    // References to objects that may be gone.
    function of(object, property) { return object ? object[property] : null }

    property NanostateClient client: NanostateClient {
        id: hub
        identity: "scene"
        url: hubUrl
        active: false
    }
    property SharedState shared: SharedState { id: shared; client: hub; name: "load/a"; publishInterval: 1 }
    property SharedState twin: SharedState {
        id: twin
        client: hub
        name: "load/b"
        held: root.heard % 2 === 1
        // So that a value that was set here is waiting.
        onValueChanged: {
            const set = valid ? [value] : []
            if (shared)
                shared.value = set
            if (shared)
                shared.value = [set]
        }
    }
    property StateListener listener: StateListener {
        client: hub
        nameFilter: "**"
        onReceived: (sender, name, value) => ++heard
    }
    property StateModel states: StateModel { id: states; client: hub }
}
)";

// Sends burst after burst in a separate thread.
class Flood
{
public:
    explicit Flood(const QString &url) : m_peer("flood", url), m_thread([this]() { run(); }) {}
    ~Flood()
    {
        m_end = true;
        m_thread.join();
    }

private:
    void run()
    {
        constexpr const char *names[] = {"load/a", "load/b", "load/c", "load/d"};
        for (int64_t i = 0; !m_end; ++i) {
            ns_app_send_int(m_peer, names[i % 4], i);
            // Large bursts, but not all time of a processor: the other tests need some, too.
            if (i % 64 == 63)
                m_peer.flush();
        }
    }

    Peer m_peer;
    std::atomic<bool> m_end{false};
    std::thread m_thread;
};

// Runs the event loop until the condition holds. As EVENTUALLY, without its pauses.
template<typename Condition>
bool runUntil(Condition condition)
{
    const QDeadlineTimer end(Patience);
    while (!condition() && !end.hasExpired())
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    return condition();
}

// What is destroyed, and when: at once in one of its signals, or by the code that runs the event loop.
enum Way {
    SharedInLoop,
    ModelInLoop,
    ListenerInLoop,
    ClientInLoop,
    RootInLoop,
    EngineInLoop,
    SharedInValueChanged,
    SharedInSenderChanged,
    ClientInValueChanged,
    ClientInReceived,
    ListenerInReceived,
    ModelInRowsInserted,
    ModelInDataChanged,
    ClientInDataChanged,
    ClientInConnected,
    SharedInStateUpdated,
    RootInStateUpdated,
    Ways
};

} // namespace

class tst_Destruction : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void whileUpdatesArriveNothingIsDeliveredToWhatIsGone();

public Q_SLOTS:
    // Deletes the victim.
    void strike()
    {
        delete std::exchange(m_victim, nullptr);
    }

private:
    // Has `victim` deleted in a signal of `sender`.
    bool strikeIn(QObject *sender, const char *signal, QObject *victim)
    {
        m_victim = victim;
        return connect(sender, signal, this, SLOT(strike())) ? true : false;
    }

    QPointer<QObject> m_victim;
};

void tst_Destruction::whileUpdatesArriveNothingIsDeliveredToWhatIsGone()
{
    const int rounds = runs("NANOSTATE_DESTRUCTIONS", 1000);
    const Hub hub;
    const Flood flood(hub.url());

    // Survives all of it: updates go on.
    NanostateQt::Client witness(text("witness"), hub.url());
    quint64 updates = 0;
    connect(&witness, &NanostateQt::Client::stateUpdated, this, [&]() { ++updates; });
    witness.setActive(true);
    EVENTUALLY(updates > 0);

    for (int round = 0; round < rounds; ++round) {
        const Way way = Way(round % Ways);
        auto engine = std::make_unique<QQmlEngine>();
        QString source = QString::fromUtf8(Scene);
        source.replace(text("hubUrl"), QLatin1Char('"') + hub.url() + QLatin1Char('"'));
        QQmlComponent component(engine.get());
        component.setData(source.toUtf8(), QUrl());
        QPointer<QObject> root(component.create());
        QVERIFY2(root, qPrintable(component.errorString()));
        const auto part = [&](const char *name) { return root->property(name).value<QObject *>(); };
        const QPointer<QObject> client(part("client"));
        const QPointer<QObject> shared(part("shared"));
        const QPointer<QObject> listener(part("listener"));
        const QPointer<QObject> states(part("states"));

        bool armed = true;
        // For objects that are destroyed in the loop.
        std::function<void()> victimInLoop;
        const auto inLoop = [&](const QPointer<QObject> &victim) {
            victimInLoop = [victim]() { delete victim.data(); };
        };
        switch (way) {
        case SharedInLoop:
            inLoop(shared);
            break;
        case ModelInLoop:
            inLoop(states);
            break;
        case ListenerInLoop:
            inLoop(listener);
            break;
        case ClientInLoop:
            inLoop(client);
            break;
        case RootInLoop:
            inLoop(root);
            break;
        case EngineInLoop:
            victimInLoop = [&engine]() { engine.reset(); };
            break;
        case SharedInValueChanged:
            armed = strikeIn(shared, SIGNAL(valueChanged()), shared);
            break;
        case SharedInSenderChanged:
            // Observes a name that nobody has sent: otherwise the sender may be this program from the start, from an
            // earlier round, and stay so.
            shared->setProperty("name", text("load/new/%1").arg(round));
            armed = strikeIn(shared, SIGNAL(senderChanged()), shared);
            break;
        case ClientInValueChanged:
            armed = strikeIn(shared, SIGNAL(valueChanged()), client);
            break;
        case ClientInReceived:
            armed = strikeIn(listener, SIGNAL(received(QString, QString, QVariant, bool)), client);
            break;
        case ListenerInReceived:
            armed = strikeIn(listener, SIGNAL(received(QString, QString, QVariant, bool)), listener);
            break;
        case ModelInRowsInserted:
            armed = strikeIn(states, SIGNAL(rowsInserted(QModelIndex, int, int)), states);
            break;
        case ModelInDataChanged:
            armed = strikeIn(states, SIGNAL(dataChanged(QModelIndex, QModelIndex, QVector<int>)), states);
            break;
        case ClientInDataChanged:
            armed = strikeIn(states, SIGNAL(dataChanged(QModelIndex, QModelIndex, QVector<int>)), client);
            break;
        case ClientInConnected:
            armed = strikeIn(client, SIGNAL(connected()), client);
            break;
        case SharedInStateUpdated:
            armed = strikeIn(client, SIGNAL(stateUpdated(QString, QString, QVariant, bool)), shared);
            break;
        case RootInStateUpdated:
            armed = strikeIn(client, SIGNAL(stateUpdated(QString, QString, QVariant, bool)), root);
            break;
        case Ways:
            break;
        }
        const QByteArray where = QByteArray::number(int(way));
        QVERIFY2(armed, where.constData());
        // Not earlier: what the client knows when the others begin is shown without a signal.
        client->setProperty("active", true);
        if (victimInLoop) {
            QVERIFY(runUntil([&]() { return root->property("heard").toInt() > 0; }));
            victimInLoop();
        }
        QVERIFY2(runUntil([this]() { return !m_victim; }), where.constData());
        // Whatever was queued for it arrives now, and more.
        const quint64 before = updates;
        QVERIFY(runUntil([&]() { return updates > before; }));
        delete root.data();
        delete client.data();
        delete shared.data();
        delete listener.data();
        delete states.data();
    }
}

QTEST_GUILESS_MAIN(tst_Destruction)

#include "tst_destruction.moc"
