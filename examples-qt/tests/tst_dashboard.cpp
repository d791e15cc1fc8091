// The dashboard, and the start of the slider, as a user sees them, with a real hub and `nanostate send`.
#include <QtCore/QProcess>
#include <QtCore/QTemporaryDir>
#include <QtGui/QPixmap>
#include <QtGui/QScreen>
#include <QtQml/QQmlApplicationEngine>
#include <QtQuick/QQuickItem>
#include <QtQuick/QQuickWindow>
#include <QtTest/QSignalSpy>
#include <QtTest/QTest>

#include <memory>

namespace {

const int bound = 30000;

class Hub
{
public:
    // Whether it listens.
    bool start()
    {
        m_process.setProcessChannelMode(QProcess::SeparateChannels);
        m_process.start(QStringLiteral(NANOSTATE_COMMAND),
            {QStringLiteral("hub"), QStringLiteral("--listen"), url()});
        while (!m_process.canReadLine()) {
            if (!m_process.waitForReadyRead(bound))
                return false;
        }
        return QString::fromUtf8(m_process.readLine()).trimmed() == QStringLiteral("listening on ") + url();
    }
    void kill()
    {
        m_process.kill();
        m_process.waitForFinished(bound);
    }
    ~Hub() { kill(); }
    // All that it has logged.
    QString log()
    {
        m_log += QString::fromUtf8(m_process.readAllStandardError());
        return m_log;
    }
    // Its own also while it is killed, which a port would not be.
    QString url() const { return QStringLiteral("ipc://") + m_directory.filePath(QStringLiteral("hub")); }

private:
    QTemporaryDir m_directory;
    QProcess m_process;
    QString m_log;
};

// How many pixels of an area are not the same.
int differences(const QImage &a, const QImage &b, const QRect &area)
{
    int count = 0;
    for (int y = area.top(); y <= area.bottom(); ++y) {
        for (int x = area.left(); x <= area.right(); ++x)
            count += a.pixel(x, y) != b.pixel(x, y);
    }
    return count;
}

// As it is seen, not as QObjects belong to each other: the second window is an object in the first one.
QQuickItem *findItem(QQuickItem *parent, const QString &name)
{
    const QList<QQuickItem *> children = parent->childItems();
    for (QQuickItem *child : children) {
        QQuickItem *found = child->objectName() == name ? child : findItem(child, name);
        if (found != nullptr)
            return found;
    }
    return nullptr;
}

QImage grab(QQuickWindow *window)
{
    const QImage image = window->grabWindow();
    // The offscreen platform of Qt 5 gives it only this way.
    return image.isNull() ? window->screen()->grabWindow(window->winId()).toImage() : image;
}

} // namespace

class TestDashboard : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void aRemoteChangeIsSeenInTheGauge();
    void aSliderMovesInBothWindows();
    void aHubThatIsKilledDimsTheFiguresAndOneThatIsBackBringsThemBack();
    void theScreenshotOptionWritesTheWindow();
    void theScreenshotOptionTellsWhyThereIsNothingToSee();
    void wrongOptionsAreNamed();
    void theSliderJoinsTheHubThatItIsTold();

private:
    bool send(const QString &name, const QString &value, const QString &type = QStringLiteral("double"));
    QQuickItem *item(const char *name, QQuickWindow *window = nullptr) const;
    QRect area(const char *name) const;
    bool nextFrame();
    // Exit code; what it said on standard error is in m_said.
    int runDashboard(const QStringList &arguments);

    std::unique_ptr<Hub> m_hub;
    std::unique_ptr<QQmlApplicationEngine> m_engine;
    QQuickWindow *m_window = nullptr;
    QString m_said;
};

void TestDashboard::init()
{
    m_hub.reset(new Hub);
    QVERIFY(m_hub->start());
    m_engine.reset(new QQmlApplicationEngine);
    m_engine->setInitialProperties({{QStringLiteral("url"), m_hub->url()},
                                    {QStringLiteral("identity"), QStringLiteral("dashboard")},
                                    {QStringLiteral("animated"), false}});
    m_engine->load(QUrl(QStringLiteral("qrc:/dashboard/Main.qml")));
    QCOMPARE(m_engine->rootObjects().size(), 1);
    m_window = qobject_cast<QQuickWindow *>(m_engine->rootObjects().first());
    QVERIFY(m_window != nullptr);
    QVERIFY(QTest::qWaitForWindowExposed(m_window, bound));
    QTRY_VERIFY_WITH_TIMEOUT(m_window->property("connected").toBool(), bound);
}

void TestDashboard::cleanup()
{
    m_engine.reset();
    m_hub.reset();
}

bool TestDashboard::send(const QString &name, const QString &value, const QString &type)
{
    return QProcess::execute(QStringLiteral(NANOSTATE_COMMAND),
               {QStringLiteral("send"), name, value, QStringLiteral("--type"), type, QStringLiteral("--connect"),
                m_hub->url(), QStringLiteral("--timeout"), QString::number(bound / 1000)}) == 0;
}

QQuickItem *TestDashboard::item(const char *name, QQuickWindow *window) const
{
    return findItem((window ? window : m_window)->contentItem(), QLatin1String(name));
}

QRect TestDashboard::area(const char *name) const
{
    const QQuickItem *found = item(name);
    return found->mapRectToScene(found->boundingRect()).toRect();
}

bool TestDashboard::nextFrame()
{
    QSignalSpy swapped(m_window, &QQuickWindow::frameSwapped);
    m_window->update();
    return swapped.wait(bound);
}

int TestDashboard::runDashboard(const QStringList &arguments)
{
    QProcess process;
    process.setProcessChannelMode(QProcess::SeparateChannels);
    process.start(QStringLiteral(DASHBOARD), arguments);
    const bool ended = process.waitForFinished(4 * bound);
    m_said = QString::fromUtf8(process.readAllStandardError());
    return ended && process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1;
}

void TestDashboard::aRemoteChangeIsSeenInTheGauge()
{
    QVERIFY(send(QStringLiteral("mem/total"), QStringLiteral("16000000000"), QStringLiteral("int")));
    QVERIFY(send(QStringLiteral("mem/available"), QStringLiteral("12000000000"), QStringLiteral("int")));
    QVERIFY(send(QStringLiteral("cpu/load"), QStringLiteral("0.5")));
    QQuickItem *gauge = item("loadGauge");
    QTRY_COMPARE_WITH_TIMEOUT(gauge->property("value").toDouble(), 0.5, bound);
    QTRY_COMPARE_WITH_TIMEOUT(item("memoryGauge")->property("value").toDouble(), 4e9, bound);
    QVERIFY(nextFrame());
    QVERIFY(nextFrame());

    const QRect load = area("loadGauge");
    const QRect memory = area("memoryGauge");
    QVERIFY(load.width() > 100 && load.height() > 100);
    const QImage before = grab(m_window);
    QVERIFY(before.rect().contains(load) && before.rect().contains(memory));
    QVERIFY(nextFrame());
    const QImage unchanged = grab(m_window);
    QCOMPARE(differences(before, unchanged, load), 0);

    // From half of a scale to 1, to seven eighths of one to 4: as seen, 3 of 8 parts of the arc change their colour.
    QVERIFY(send(QStringLiteral("cpu/load"), QStringLiteral("3.5")));
    QTRY_COMPARE_WITH_TIMEOUT(gauge->property("value").toDouble(), 3.5, bound);
    QTRY_VERIFY_WITH_TIMEOUT(differences(before, grab(m_window), load) > 0.03 * load.width() * load.height(), bound);
    QCOMPARE(differences(before, grab(m_window), memory), 0);
}

void TestDashboard::aSliderMovesInBothWindows()
{
    m_window->setProperty("secondWindow", true);
    auto *second = m_window->property("otherWindow").value<QQuickWindow *>();
    QVERIFY(second != nullptr);
    QQuickItem *here = item("spanSlider");
    QQuickItem *there = item("spanSlider", second);
    QVERIFY(here != nullptr && there != nullptr);
    QCOMPARE(there->property("value").toDouble(), here->property("value").toDouble());

    const QPointF right(here->width() * 0.9, here->height() / 2);
    QTest::mouseClick(m_window, Qt::LeftButton, Qt::NoModifier, here->mapToScene(right).toPoint());
    const double chosen = here->property("value").toDouble();
    QVERIFY(chosen > 100);
    QTRY_COMPARE_WITH_TIMEOUT(there->property("value").toDouble(), chosen, bound);
    QTRY_COMPARE_WITH_TIMEOUT(item("loadPlot", second)->property("span").toDouble(), chosen, bound);

    // And back, by the keyboard.
    there->forceActiveFocus();
    QTest::keyClick(second, Qt::Key_Left);
    QVERIFY(there->property("value").toDouble() < chosen);
    QTRY_COMPARE_WITH_TIMEOUT(here->property("value").toDouble(), there->property("value").toDouble(), bound);

    m_window->setProperty("secondWindow", false);
}

void TestDashboard::aHubThatIsKilledDimsTheFiguresAndOneThatIsBackBringsThemBack()
{
    QVERIFY(send(QStringLiteral("cpu/load"), QStringLiteral("0.5")));
    QTRY_COMPARE_WITH_TIMEOUT(item("loadGauge")->property("value").toDouble(), 0.5, bound);
    QQuickItem *banner = item("banner");
    QTRY_VERIFY_WITH_TIMEOUT(!banner->isVisible(), bound);

    m_hub->kill();
    QTRY_VERIFY_WITH_TIMEOUT(banner->isVisible(), bound);
    QVERIFY(!m_window->property("connected").toBool());
    QCOMPARE(item("loadGauge")->property("value").toDouble(), 0.5);
    // Its text names the hub, and why it does not answer.
    QTRY_VERIFY_WITH_TIMEOUT(banner->property("explanation").toString().contains(QStringLiteral("connection refused")),
                             bound);
    QVERIFY(banner->property("explanation").toString().contains(m_hub->url()));

    QVERIFY(m_hub->start());
    QTRY_VERIFY_WITH_TIMEOUT(m_window->property("connected").toBool(), bound);
    QVERIFY(send(QStringLiteral("cpu/load"), QStringLiteral("0.75")));
    QTRY_COMPARE_WITH_TIMEOUT(item("loadGauge")->property("value").toDouble(), 0.75, bound);
    QTRY_VERIFY_WITH_TIMEOUT(!banner->isVisible(), bound);
}

void TestDashboard::theScreenshotOptionWritesTheWindow()
{
    m_engine.reset();
    QVERIFY(send(QStringLiteral("cpu/load"), QStringLiteral("0.5")));
    QTemporaryDir directory;
    const QString path = directory.filePath(QStringLiteral("shot.png"));
    const int code = runDashboard({QStringLiteral("--url"), m_hub->url(), QStringLiteral("--screenshot"), path,
                                   QStringLiteral("--second-window")});
    QVERIFY2(code == 0, qPrintable(m_said));
    QCOMPARE(QImage(path).size(), QSize(1200, 760));
    QVERIFY(!QImage(directory.filePath(QStringLiteral("shot-2.png"))).isNull());
}

void TestDashboard::theScreenshotOptionTellsWhyThereIsNothingToSee()
{
    m_engine.reset();
    m_hub->kill();
    QTemporaryDir directory;
    const QString path = directory.filePath(QStringLiteral("shot.png"));
    QCOMPARE(runDashboard({QStringLiteral("--url"), m_hub->url(), QStringLiteral("--screenshot"), path,
                           QStringLiteral("--within"), QStringLiteral("5")}), 1);
    QVERIFY2(m_said.contains(QStringLiteral("connection refused")), qPrintable(m_said));
    QVERIFY(!QFile::exists(path));
    QCOMPARE(runDashboard({QStringLiteral("--url"), QStringLiteral("nonsense"), QStringLiteral("--screenshot"), path}),
             1);
    QVERIFY2(m_said.contains(QStringLiteral("nonsense")), qPrintable(m_said));
}

void TestDashboard::wrongOptionsAreNamed()
{
    m_engine.reset();
    QCOMPARE(runDashboard({QStringLiteral("--colour")}), 2);
    QVERIFY2(m_said.contains(QStringLiteral("colour")), qPrintable(m_said));
    QCOMPARE(runDashboard({QStringLiteral("tcp://127.0.0.1:15000")}), 2);
    QVERIFY2(m_said.contains(QStringLiteral("tcp://127.0.0.1:15000")), qPrintable(m_said));
}

void TestDashboard::theSliderJoinsTheHubThatItIsTold()
{
    m_engine.reset();
    QProcess slider;
    // Qt 5 has no OpenGL offscreen, and ends without it.
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    environment.insert(QStringLiteral("QT_QUICK_BACKEND"), QStringLiteral("software"));
    slider.setProcessEnvironment(environment);
    slider.start(QStringLiteral(SLIDER), {QStringLiteral("kitchen"), m_hub->url()});
    QTRY_VERIFY_WITH_TIMEOUT(m_hub->log().contains(QStringLiteral(" kitchen (")), bound);
    slider.kill();
    QVERIFY(slider.waitForFinished(bound));
    const QString said = QString::fromUtf8(slider.readAllStandardError());
    QVERIFY2(!said.contains(QStringLiteral("Main.qml")), qPrintable(said));
    slider.start(QStringLiteral(SLIDER), QStringList());
    QVERIFY(slider.waitForFinished(bound));
    QCOMPARE(slider.exitCode(), 2);
}

int main(int argc, char **argv)
{
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
    QQuickWindow::setGraphicsApi(QSGRendererInterface::Software);
#else
    QQuickWindow::setSceneGraphBackend(QSGRendererInterface::Software);
#endif
    QGuiApplication app(argc, argv);
    TestDashboard test;
    QTEST_SET_MAIN_SOURCE_PATH
    return QTest::qExec(&test, argc, argv);
}

#include "tst_dashboard.moc"
