// The dashboard, and the start of the slider, as a user sees them, with a real hub and `nanostate send`.
#include "contrast.h"
#include "fixture.h"

#include <QtCore/QBuffer>
#include <QtQml/QQmlComponent>

namespace {

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

} // namespace

class TestDashboard : public Dashboard
{
    Q_OBJECT

private Q_SLOTS:
    void aRemoteChangeIsSeenInTheGauge();
    void aSliderMovesInBothWindows();
    void aHubThatIsKilledDimsTheFiguresAndOneThatIsBackBringsThemBack();
    void whatAProgramHasSentThatIsGoneIsShownAsStale();
    void aSwitchATextAndAnImageAreShared();
    void allTextsCanBeReadInBothThemes_data();
    void allTextsCanBeReadInBothThemes();
    void coloursOfTheThemesHaveContrastToEachSurface();
    void theScreenshotOptionWritesTheWindow();
    void theScreenshotOptionTellsWhyThereIsNothingToSee();
    void wrongOptionsAreNamed();
    void theSliderJoinsTheHubThatItIsTold();

private:
    // The texts that have too little contrast to what is behind them, each with its contrast.
    QStringList unreadable(QQuickWindow *window) const;
    // Exit code; what it said on standard error is in m_said.
    int runDashboard(const QStringList &arguments);

    QString m_said;
};

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
    QVERIFY(send("mem/total", qint64(16000000000)));
    QVERIFY(send("mem/available", qint64(12000000000)));
    QVERIFY(send("cpu/load", 0.5));
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
    QVERIFY(send("cpu/load", 3.5));
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
    QVERIFY(send("cpu/load", 0.5));
    QTRY_COMPARE_WITH_TIMEOUT(item("loadGauge")->property("value").toDouble(), 0.5, bound);
    QQuickItem *banner = item("banner");
    QTRY_VERIFY_WITH_TIMEOUT(!banner->isVisible(), bound);

    m_hub->kill();
    QTRY_VERIFY_WITH_TIMEOUT(banner->isVisible(), bound);
    QVERIFY(!m_window->property("connected").toBool());
    QCOMPARE(item("loadGauge")->property("value").toDouble(), 0.5);
    QVERIFY(item("loadGauge")->property("dimmed").toBool());
    // Its text names the hub, and why it does not answer.
    QTRY_VERIFY_WITH_TIMEOUT(banner->property("explanation").toString().contains(QStringLiteral("connection refused")),
                             bound);
    QVERIFY(banner->property("explanation").toString().contains(m_hub->url()));

    QVERIFY(m_hub->start());
    QTRY_VERIFY_WITH_TIMEOUT(m_window->property("connected").toBool(), bound);
    QVERIFY(send("cpu/load", 0.75));
    QTRY_COMPARE_WITH_TIMEOUT(item("loadGauge")->property("value").toDouble(), 0.75, bound);
    QTRY_VERIFY_WITH_TIMEOUT(!banner->isVisible(), bound);
    QVERIFY(!item("loadGauge")->property("dimmed").toBool());
}

QStringList TestDashboard::unreadable(QQuickWindow *window) const
{
    const QImage image = grab(window);
    const double ratio = image.devicePixelRatio();
    QStringList found;
    int count = 0;
    eachText(window->contentItem(), QRectF(QPointF(), window->size()), 1, [&](QQuickItem *text, const QRect &area, double opacity) {
        const QRect pixels(area.topLeft() * ratio, area.size() * ratio);
        const QColor behind = mostOf(image, pixels & image.rect());
        const double seen = contrast(over(text->property("color").value<QColor>(), opacity, behind), behind);
        ++count;
        if (seen < 4.5)
            found.append(QStringLiteral("%1: %2").arg(text->property("text").toString()).arg(seen));
    });
    return count > 3 ? found : QStringList(QStringLiteral("there are no texts"));
}

void TestDashboard::whatAProgramHasSentThatIsGoneIsShownAsStale()
{
    Client phone(QStringLiteral("phone"), m_hub->url());
    phone.setActive(true);
    QVERIFY(send("cpu/load", 0.5));
    QVERIFY(phone.publish(QStringLiteral("dashboard/switch"), true));
    QVERIFY(phone.publish(QStringLiteral("dashboard/span"), 30));
    const QStringList senders{QStringLiteral("publish"), QStringLiteral("phone"), QStringLiteral("phone")};
    QTRY_COMPARE_WITH_TIMEOUT(column("sender"), senders, bound);
    QTRY_COMPARE_WITH_TIMEOUT(item("switchOrigin")->property("text").toString(), QStringLiteral("set by phone"), bound);
    QVERIFY(!item("loadGauge")->property("dimmed").toBool());
    const auto *const client = m_window->property("client").value<Client *>();
    QTRY_COMPARE_WITH_TIMEOUT(client->peers().size(), 2, bound);

    phone.setActive(false);
    const QStringList withoutPhone{QStringLiteral("publish"), QStringLiteral("stale: phone"), QStringLiteral("stale: phone")};
    QTRY_COMPARE_WITH_TIMEOUT(column("sender"), withoutPhone, bound);
    for (const char *name : {"switchOrigin", "spanOrigin"})
        QTRY_COMPARE_WITH_TIMEOUT(item(name)->property("text").toString(), QStringLiteral("stale: set by phone"), bound);
    QVERIFY(!item("loadGauge")->property("dimmed").toBool());

    m_sender->setActive(false);
    QTRY_VERIFY_WITH_TIMEOUT(item("loadGauge")->property("dimmed").toBool(), bound);
    QVERIFY(item("loadPlot")->property("dimmed").toBool());
    QTRY_COMPARE_WITH_TIMEOUT(column("sender").first(), QStringLiteral("stale: publish"), bound);

    m_sender->setActive(true);
    QVERIFY(send("cpu/load", 0.75));
    QTRY_VERIFY_WITH_TIMEOUT(!item("loadGauge")->property("dimmed").toBool(), bound);
    QTRY_COMPARE_WITH_TIMEOUT(column("sender").first(), QStringLiteral("publish"), bound);
}

void TestDashboard::aSwitchATextAndAnImageAreShared()
{
    // Without figures a banner would come, and move what is clicked.
    QVERIFY(send("cpu/load", 0.5));
    QTRY_VERIFY_WITH_TIMEOUT(m_window->property("hasData").toBool(), bound);
    click("switch");
    QTRY_COMPARE_WITH_TIMEOUT(m_sender->value(QStringLiteral("dashboard/switch")), QVariant(true), bound);
    QVERIFY(send("dashboard/switch", false));
    QTRY_VERIFY_WITH_TIMEOUT(!item("switch")->property("checked").toBool(), bound);
    click("switch");
    QTRY_COMPARE_WITH_TIMEOUT(m_sender->value(QStringLiteral("dashboard/switch")), QVariant(true), bound);
    QVERIFY(send("dashboard/switch", false));
    QTRY_VERIFY_WITH_TIMEOUT(!item("switch")->property("checked").toBool(), bound);

    click("text");
    type("Hello");
    QTRY_COMPARE_WITH_TIMEOUT(m_sender->value(QStringLiteral("dashboard/text")), QVariant(QStringLiteral("Hello")), bound);
    QVERIFY(send("dashboard/text", QStringLiteral("Good morning")));
    QTRY_COMPARE_WITH_TIMEOUT(item("text")->property("text").toString(), QStringLiteral("Good morning"), bound);

    QVERIFY(!item("image")->isVisible());
    QImage red(6, 4, QImage::Format_RGB32);
    red.fill(Qt::red);
    QBuffer png;
    png.open(QIODevice::WriteOnly);
    QVERIFY(red.save(&png, "PNG"));
    QVERIFY(send("image", png.data()));
    QTRY_VERIFY_WITH_TIMEOUT(item("image")->isVisible(), bound);
    QCOMPARE(item("image")->property("paintedWidth").toDouble() / item("image")->property("paintedHeight").toDouble(), 1.5);
    QTRY_COMPARE_WITH_TIMEOUT(item("imageNote")->property("text").toString(),
                              QStringLiteral("%1 B, set by publish").arg(png.data().size()), bound);
    QVERIFY(nextFrame());
    const QRect shown = area("image");
    QCOMPARE(grab(m_window).pixelColor(shown.left() + 4, shown.center().y()), QColor(Qt::red));
}

void TestDashboard::allTextsCanBeReadInBothThemes_data()
{
    QTest::addColumn<bool>("light");
    QTest::newRow("dark") << false;
    QTest::newRow("light") << true;
}

void TestDashboard::allTextsCanBeReadInBothThemes()
{
    QFETCH(bool, light);
    if (light)
        click("theme");
    QCOMPARE(m_window->property("light").toBool(), light);
    Client phone(QStringLiteral("phone"), m_hub->url());
    phone.setActive(true);
    m_window->setProperty("secondWindow", true);
    auto *const second = m_window->property("otherWindow").value<QQuickWindow *>();
    QVERIFY(QTest::qWaitForWindowExposed(second, bound));
    QVERIFY(send("cpu/load", 0.5));
    QVERIFY(send("mem/total", 2000));
    QVERIFY(send("mem/available", 1000));
    QVERIFY(phone.publish(QStringLiteral("dashboard/switch"), true));
    QVERIFY(phone.publish(QStringLiteral("dashboard/span"), 30));
    QTRY_COMPARE_WITH_TIMEOUT(item("switchOrigin")->property("text").toString(), QStringLiteral("set by phone"), bound);
    QTRY_COMPARE_WITH_TIMEOUT(column("name").size(), 5, bound);
    QTRY_VERIFY_WITH_TIMEOUT(!item("banner")->isVisible(), bound);
    const auto *const client = m_window->property("client").value<Client *>();
    QTRY_COMPARE_WITH_TIMEOUT(client->peers().size(), 3, bound);
    const auto check = [&](const char *when) {
        QVERIFY(nextFrame());
        QVERIFY(nextFrame());
        for (QQuickWindow *window : {m_window, second}) {
            const QStringList found = unreadable(window);
            QVERIFY2(found.isEmpty(), qPrintable(QLatin1String(when) + QStringLiteral(": ") + found.join(QStringLiteral("; "))));
        }
    };
    check("connected");
    phone.setActive(false);
    m_sender->setActive(false);
    QTRY_COMPARE_WITH_TIMEOUT(column("sender").first(), QStringLiteral("stale: publish"), bound);
    QTRY_COMPARE_WITH_TIMEOUT(item("switchOrigin")->property("text").toString(), QStringLiteral("stale: set by phone"), bound);
    check("stale");
    m_hub->kill();
    QTRY_VERIFY_WITH_TIMEOUT(item("banner")->isVisible(), bound);
    check("disconnected");
}

void TestDashboard::coloursOfTheThemesHaveContrastToEachSurface()
{
    QQmlComponent component(m_engine.get());
    component.setData("import QtQml 2.15\nimport \"qrc:/dashboard\"\nQtObject { property var theme: Theme }", QUrl());
    const std::unique_ptr<QObject> root(component.create());
    QVERIFY2(root, qPrintable(component.errorString()));
    QObject *const theme = root->property("theme").value<QObject *>();
    const auto color = [&](const char *name) {
        const QColor found = theme->property(name).value<QColor>();
        if (!found.isValid())
            qFatal("the theme has no %s", name);
        return found;
    };
    for (const bool light : {false, true}) {
        m_window->setProperty("light", light);
        QCOMPARE(theme->property("dark").toBool(), !light);
        for (const char *surface : {"background", "card"}) {
            for (const char *text : {"text", "muted", "teal", "blue", "violet", "amber", "red", "green"}) {
                const double seen = contrast(color(text), color(surface));
                QVERIFY2(seen >= 4.5, qPrintable(QStringLiteral("%1 on %2: %3").arg(QLatin1String(text), QLatin1String(surface)).arg(seen)));
            }
            // The banner and the pill are tinted with the colours of their words.
            for (const char *tint : {"amber", "red", "green", "blue"}) {
                const QColor tinted = over(color(tint), 0.1, color(surface));
                const double seen = std::min(contrast(color(tint), tinted), contrast(color("muted"), tinted));
                QVERIFY2(seen >= 4.5, qPrintable(QStringLiteral("%1 on itself: %2").arg(QLatin1String(tint)).arg(seen)));
            }
        }
        // What shows that something can be clicked.
        QVERIFY(contrast(color("text"), color("track")) >= 4.5);
    }
}

void TestDashboard::theScreenshotOptionWritesTheWindow()
{
    m_engine.reset();
    QVERIFY(send("cpu/load", 0.5));
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
    Dashboard::prepare();
    QGuiApplication app(argc, argv);
    TestDashboard test;
    QTEST_SET_MAIN_SOURCE_PATH
    return QTest::qExec(&test, argc, argv);
}

#include "tst_dashboard.moc"
