#ifndef FIXTURE_H
#define FIXTURE_H

// The dashboard as a user sees it, with a real hub.

#include <QtCore/QProcess>
#include <QtCore/QTemporaryDir>
#include <QtGui/QPixmap>
#include <QtGui/QScreen>
#include <QtQml/QQmlApplicationEngine>
#include <QtQuick/QQuickItem>
#include <QtQuick/QQuickWindow>
#include <QtTest/QSignalSpy>
#include <QtTest/QTest>

#include <NanostateQt/Client>

#include <memory>

#include "../dashboard/sortedstates.h"

using NanostateQt::Client;

constexpr int bound = 30000;

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

// As it is seen, not as QObjects belong to each other: the second window is an object in the first one.
inline QQuickItem *findItem(QQuickItem *parent, const QString &name)
{
    const QList<QQuickItem *> children = parent->childItems();
    for (QQuickItem *child : children) {
        QQuickItem *found = child->objectName() == name ? child : findItem(child, name);
        if (found != nullptr)
            return found;
    }
    return nullptr;
}

inline QImage grab(QQuickWindow *window)
{
    const QImage image = window->grabWindow();
    // The offscreen platform of Qt 5 gives it only this way.
    return image.isNull() ? window->screen()->grabWindow(window->winId()).toImage() : image;
}

// A window of the dashboard on a hub of its own, for each test function.
class Dashboard : public QObject
{
    Q_OBJECT

public:
    // For a test program, before its QGuiApplication.
    static void prepare()
    {
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
        QQuickWindow::setGraphicsApi(QSGRendererInterface::Software);
#else
        QQuickWindow::setSceneGraphBackend(QSGRendererInterface::Software);
#endif
        SortedStates::registerType();
    }

protected Q_SLOTS:
    void init()
    {
        m_hub.reset(new Hub);
        QVERIFY(m_hub->start());
        m_sender.reset(new Client(QStringLiteral("publish"), m_hub->url()));
        m_sender->setActive(true);
        QTRY_COMPARE_WITH_TIMEOUT(m_sender->state(), Client::State::Connected, bound);
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

    void cleanup()
    {
        m_engine.reset();
        m_sender.reset();
        m_hub.reset();
    }

protected:
    // From another program, which is there until m_sender is not active.
    bool send(const char *name, const QVariant &value)
    {
        return m_sender->publish(QLatin1String(name), value);
    }

    QQuickItem *item(const char *name, QQuickWindow *window = nullptr) const
    {
        return findItem((window ? window : m_window)->contentItem(), QLatin1String(name));
    }

    QRect area(const char *name) const
    {
        const QQuickItem *found = item(name);
        return found->mapRectToScene(found->boundingRect()).toRect();
    }

    bool nextFrame()
    {
        QSignalSpy swapped(m_window, &QQuickWindow::frameSwapped);
        m_window->update();
        return swapped.wait(bound);
    }

    // A cell of the table; none if its row is not seen.
    QQuickItem *cell(int row, const char *name) const
    {
        QQuickItem *found = nullptr;
        QMetaObject::invokeMethod(item("states"), "itemAtIndex", Q_RETURN_ARG(QQuickItem *, found), Q_ARG(int, row));
        return found != nullptr ? findItem(found, QLatin1String(name)) : nullptr;
    }

    // The texts in a column of the table, from above.
    QStringList column(const char *name) const
    {
        QStringList texts;
        for (int row = 0; row < item("states")->property("count").toInt(); ++row) {
            if (const QQuickItem *found = cell(row, name))
                texts.append(found->property("text").toString());
        }
        return texts;
    }

    void click(const char *name)
    {
        QTest::mouseClick(m_window, Qt::LeftButton, Qt::NoModifier, area(name).center());
    }

    // By the keyboard, into what has the focus.
    void type(const char *text)
    {
        for (; *text; ++text)
            QTest::keyClick(m_window, *text);
    }

    std::unique_ptr<Hub> m_hub;
    std::unique_ptr<Client> m_sender;
    std::unique_ptr<QQmlApplicationEngine> m_engine;
    QQuickWindow *m_window = nullptr;
};

#endif // FIXTURE_H
