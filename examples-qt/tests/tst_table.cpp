// The table of the dashboard.
#include "fixture.h"

class TestTable : public Dashboard
{
    Q_OBJECT

private Q_SLOTS:
    void theTableIsSortedByTheHeadingThatIsClickedAndReversedByAnotherClick();
    void theFilterShowsNamesAndSendersThatHaveItsText();
    void aLongNameIsElidedInTheMiddleAndItsTooltipHasAllOfIt();
    void figuresInBytesHaveUnits();
};

void TestTable::theTableIsSortedByTheHeadingThatIsClickedAndReversedByAnotherClick()
{
    Client other(QStringLiteral("another"), m_hub->url());
    other.setActive(true);
    QVERIFY(send("cpu10", 7));
    QVERIFY(send("cpu2", 30));
    QVERIFY(send("text", QStringLiteral("words")));
    QVERIFY(other.publish(QStringLiteral("B"), 8.5));
    const QStringList byName{QStringLiteral("B"), QStringLiteral("cpu2"), QStringLiteral("cpu10"), QStringLiteral("text")};
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), byName, bound);
    click("nameHeading");
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), QStringList(byName.crbegin(), byName.crend()), bound);
    // Numbers by size, and first.
    click("valueHeading");
    const QStringList values{QStringLiteral("7"), QStringLiteral("8.5"), QStringLiteral("30"), QStringLiteral("words")};
    QTRY_COMPARE_WITH_TIMEOUT(column("value"), values, bound);
    // A value that changes goes where it belongs.
    QVERIFY(send("cpu10", 100));
    const QStringList changed{QStringLiteral("8.5"), QStringLiteral("30"), QStringLiteral("100"), QStringLiteral("words")};
    QTRY_COMPARE_WITH_TIMEOUT(column("value"), changed, bound);
    click("senderHeading");
    const QStringList senders{QStringLiteral("another"), QStringLiteral("publish"), QStringLiteral("publish"),
                              QStringLiteral("publish")};
    QTRY_COMPARE_WITH_TIMEOUT(column("sender"), senders, bound);
    click("senderHeading");
    QTRY_COMPARE_WITH_TIMEOUT(column("sender").first(), QStringLiteral("publish"), bound);
    // Those of one sender are in the order of their names all the same.
    QCOMPARE(column("name"), (QStringList{QStringLiteral("cpu2"), QStringLiteral("cpu10"), QStringLiteral("text"),
                                          QStringLiteral("B")}));
    // The youngest first.
    click("ageHeading");
    QTRY_VERIFY_WITH_TIMEOUT((send("text", QStringLiteral("again")), column("name").first() == QStringLiteral("text")), bound);
    // Also by the keyboard.
    item("nameHeading")->forceActiveFocus();
    QTest::keyClick(m_window, Qt::Key_Space);
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), byName, bound);
}

void TestTable::theFilterShowsNamesAndSendersThatHaveItsText()
{
    Client other(QStringLiteral("Phone"), m_hub->url());
    other.setActive(true);
    for (const char *name : {"net/eth0/rx", "net/eth0/tx", "cpu/load"})
        QVERIFY(send(name, 1));
    QVERIFY(other.publish(QStringLiteral("x"), 1));
    QTRY_COMPARE_WITH_TIMEOUT(column("name").size(), 4, bound);
    click("filter");
    type("ETH0");
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), (QStringList{QStringLiteral("net/eth0/rx"), QStringLiteral("net/eth0/tx")}), bound);
    // How many there are stands beside the title.
    QQuickItem *const table = item("states")->parentItem();
    QCOMPARE(table->property("summary").toString(), QStringLiteral("2 of 4"));
    QQuickItem *const filter = item("filter");
    filter->setProperty("text", QStringLiteral(" phone "));
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), QStringList(QStringLiteral("x")), bound);
    filter->setProperty("text", QStringLiteral("nothing has this"));
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), QStringList(), bound);
    filter->setProperty("text", QString());
    QTRY_COMPARE_WITH_TIMEOUT(column("name").size(), 4, bound);
    QCOMPARE(table->property("summary").toString(), QStringLiteral("4"));
}

void TestTable::aLongNameIsElidedInTheMiddleAndItsTooltipHasAllOfIt()
{
    const QString name = QStringLiteral("house/living room/window by the street/left wing/temperature");
    // Without figures a banner would come, and move the table.
    QVERIFY(send("cpu/load", 0.5));
    QVERIFY(m_sender->publish(name, 21.5));
    QTRY_COMPARE_WITH_TIMEOUT(column("name"), (QStringList{QStringLiteral("cpu/load"), name}), bound);
    QVERIFY(!item("banner")->isVisible());
    QQuickItem *const elided = cell(1, "name");
    QVERIFY(elided->property("truncated").toBool());
    QCOMPARE(elided->property("elide").toInt(), int(Qt::ElideMiddle));
    QVERIFY(elided->property("paintedWidth").toDouble() <= elided->width());
    QVERIFY(nextFrame());
    const QPoint there = elided->mapToScene(QPointF(20, 10)).toPoint();
    QTest::mouseMove(m_window, there - QPoint(0, 200));
    QTest::mouseMove(m_window, there);
    const QObject *const hint = elided->findChild<QObject *>(QStringLiteral("hint"));
    QVERIFY(hint != nullptr);
    QTRY_VERIFY_WITH_TIMEOUT(hint->property("opened").toBool(), bound);
    QCOMPARE(hint->property("text").toString(), name);
    QTest::mouseMove(m_window, QPoint(5, 5));
    QTRY_VERIFY_WITH_TIMEOUT(!hint->property("visible").toBool(), bound);
}

void TestTable::figuresInBytesHaveUnits()
{
    QVERIFY(send("mem/total", qint64(16) << 30));
    QVERIFY(send("net/eth0/rx", 1536));
    QVERIFY(send("other", 1536));
    QVERIFY(send("picture", QByteArray(2048, 'x')));
    QTRY_COMPARE_WITH_TIMEOUT(column("value"), (QStringList{QStringLiteral("16.0 GiB"), QStringLiteral("1.50 KiB"),
                                                            QStringLiteral("1536"), QStringLiteral("2.00 KiB")}), bound);
}

int main(int argc, char **argv)
{
    Dashboard::prepare();
    QGuiApplication app(argc, argv);
    TestTable test;
    QTEST_SET_MAIN_SOURCE_PATH
    return QTest::qExec(&test, argc, argv);
}

#include "tst_table.moc"
