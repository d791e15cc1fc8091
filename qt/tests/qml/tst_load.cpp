// A SharedState that is flooded leaves the event loop to the rest of the program.
#include "../core/support.h"

#include <NanostateQt/private/client_p.h>

#include <QtCore/qelapsedtimer.h>
#include <QtCore/qfile.h>
#include <QtCore/qprocess.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>
#include <QtQuick/qquickwindow.h>

#include <memory>

namespace {

constexpr char Scene[] = R"(
import QtQuick 2.15
import QtQuick.Window 2.15
import Nanostate 1.0

Window {
    property alias client: hub
    property alias load: load
    width: 100
    height: 100
    visible: true

    NanostateClient { id: hub; identity: "scene"; active: false }
    SharedState { id: load; client: hub; name: "load"; defaultValue: 0 }
    StateModel { id: states; client: hub }
    Rectangle {
        x: load.value % 90
        width: 10
        height: 10
        color: "red"
    }
    Repeater {
        model: states
        Text { text: name + " " + value }
    }
}
)";

// Memory of this process that is in RAM and its own, in KiB.
qint64 memory()
{
    QFile status(text("/proc/self/status"));
    if (!status.open(QIODevice::ReadOnly))
        return 0;
    const QList<QByteArray> lines = status.readAll().split('\n');
    for (const QByteArray &line : lines) {
        if (line.startsWith("RssAnon:"))
            return line.mid(8).trimmed().split(' ').first().toLongLong();
    }
    return 0;
}

// Counts states as they are passed on, and changes of the value that is shown.
class Counter : public QObject, public NanostateQt::StateObserver
{
    Q_OBJECT

public:
    void stateArrived(const ns_state *) override { ++states; }

    qint64 states = 0;
    qint64 changes = 0;

public Q_SLOTS:
    void changed() { ++changes; }
};

} // namespace

class tst_Load : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void framesAreDrawnWhileUpdatesFlowAndMemoryIsFlat();
};

void tst_Load::framesAreDrawnWhileUpdatesFlowAndMemoryIsFlat()
{
    const int count = runs("NANOSTATE_LOAD", 1000000);
    // Flat means: by less than this, in KiB. States that wait while this program gets no processor may be half of it
    // (the receive queue); if every update were kept, it would be ten times as much.
    constexpr qint64 Growth = 32 * 1024;
    constexpr int Frames = 10;

    HubProcess hub;
    const QString url = hub.start();
    QVERIFY(!url.isEmpty());

    QQmlEngine engine;
    QQmlComponent component(&engine);
    component.setData(Scene, QUrl());
    const std::unique_ptr<QObject> root(component.create());
    QVERIFY2(root, qPrintable(component.errorString()));
    auto *const window = qobject_cast<QQuickWindow *>(root.get());
    QVERIFY(window);
    QVERIFY(QTest::qWaitForWindowExposed(window));
    auto *const client = root->property("client").value<NanostateQt::Client *>();
    auto *const load = root->property("load").value<QObject *>();
    client->setUrl(url);
    client->setActive(true);
    EVENTUALLY(client->state() == NanostateQt::Client::State::Connected);

    Counter arrived;
    NanostateQt::ClientAccess::addObserver(client, text("load"), &arrived);
    // All frames, and those before which updates had arrived since the previous one.
    int frames = 0;
    int busyFrames = 0;
    qint64 atLastFrame = 0;
    connect(window, &QQuickWindow::frameSwapped, load, [&]() {
        ++frames;
        if (arrived.states != atLastFrame)
            ++busyFrames;
        atLastFrame = arrived.states;
        window->update();
    });
    const QMetaObject::Connection counted = connect(load, SIGNAL(valueChanged()), &arrived, SLOT(changed()));
    QVERIFY(counted);

    const auto flood = [&](int updates) {
        // The sender counts from 1; until its first value the scene shows 0.
        load->setProperty("value", 0);
        frames = 0;
        busyFrames = 0;
        arrived.states = 0;
        arrived.changes = 0;
        atLastFrame = 0;
        QProcess sender;
        sender.setProcessChannelMode(QProcess::ForwardedChannels);
        QElapsedTimer clock;
        sender.start(text(NANOSTATE_FLOOD), {url, text("load"), QString::number(updates)});
        QVERIFY(sender.waitForStarted(Patience));
        clock.start();
        const auto shown = [&]() { return load->property("value").toLongLong(); };
        // The timeout is for the next update, not for all of them.
        while (shown() != updates) {
            const qint64 before = arrived.states;
            EVENTUALLY(arrived.states != before || shown() == updates);
        }
        const qint64 millis = qMax(qint64(1), clock.elapsed());
        EVENTUALLY(sender.state() == QProcess::NotRunning);
        QCOMPARE(sender.exitCode(), 0);
        qInfo("%d updates sent: %lld/s; %lld handed over one by one: %lld/s; %lld changes of the value; %d frames, %d of "
              "them after updates", updates, updates * 1000LL / millis, arrived.states, arrived.states * 1000 / millis,
              arrived.changes, frames, busyFrames);
        QVERIFY2(busyFrames >= Frames, qPrintable(QString::number(busyFrames)));
        // Coalesced, since otherwise the engine would evaluate the bindings for each update.
        QVERIFY(arrived.changes > 0);
        QVERIFY(arrived.changes < arrived.states);
    };

    flood(count);
    if (QTest::currentTestFailed())
        return;
    const qint64 warm = memory();
    QVERIFY(warm > 0);
    flood(3 * count);
    const qint64 grown = memory() - warm;
    qInfo("memory grew by %lld KiB", grown);
    QVERIFY2(grown < Growth, qPrintable(QString::number(grown)));
}

QTEST_MAIN(tst_Load)

#include "tst_load.moc"
