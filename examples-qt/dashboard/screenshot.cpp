#include "screenshot.h"

#include <QtCore/QCoreApplication>
#include <QtGui/QImage>
#include <QtGui/QImageWriter>
#include <QtGui/QPixmap>
#include <QtGui/QScreen>
#include <QtQuick/QQuickWindow>

#include <NanostateQt/client.h>

#include <cstdio>
#include <cstdlib>

using NanostateQt::Client;

namespace {

// "shot.png" -> "shot-2.png"
QString secondPath(const QString &path)
{
    const int dot = int(path.lastIndexOf(QLatin1Char('.')));
    return path.left(dot) + QStringLiteral("-2") + path.mid(dot);
}

// Why there are no figures to show yet.
QString reason(const Client *client, const QString &address)
{
    if (!client->errorString().isEmpty())
        return client->errorString();
    return client->state() == Client::State::Connected
        ? QStringLiteral("connected to %1, but nobody sends cpu/load: start publish").arg(address)
        : QStringLiteral("no answer from %1").arg(address);
}

} // namespace

Screenshot::Screenshot(QQuickWindow *window, const ScreenshotOptions &options)
    : m_window(window)
    , m_options(options)
{
    connect(&m_clock, &QTimer::timeout, this, &Screenshot::look);
    m_elapsed.start();
    m_clock.start(50);
}

void Screenshot::look()
{
    const auto *client = m_window->property("client").value<Client *>();
    const bool connected = client->state() == Client::State::Connected;
    const bool ready = m_window->property("hasData").toBool() && connected != m_options.disconnected;
    if (ready && m_readySince < 0)
        m_readySince = m_elapsed.elapsed();
    if (ready && m_elapsed.elapsed() - m_readySince >= m_options.after * 1000) {
        auto *second = m_window->property("otherWindow").value<QQuickWindow *>();
        if (save(m_window, m_options.path) && (second == nullptr || save(second, secondPath(m_options.path))))
            QCoreApplication::exit(EXIT_SUCCESS);
    } else if (m_readySince < 0 && (m_elapsed.elapsed() >= m_options.within * 1000 || !client->isActive())) {
        fail(QStringLiteral("no screenshot: %1").arg(reason(client, m_window->property("address").toString())));
    }
}

bool Screenshot::save(QQuickWindow *window, const QString &path)
{
    QImage image = window->grabWindow();
    // The offscreen platform of Qt 5 gives it only this way.
    if (image.isNull())
        image = window->screen()->grabWindow(window->winId()).toImage();
    QImageWriter writer(path);
    // For PNG: compress well. Windows are opaque.
    writer.setQuality(0);
    if (writer.write(image.convertToFormat(QImage::Format_RGB32)))
        return true;
    fail(QStringLiteral("cannot write %1: %2").arg(path, writer.errorString()));
    return false;
}

void Screenshot::fail(const QString &text)
{
    std::fprintf(stderr, "dashboard: %s\n", qPrintable(text));
    QCoreApplication::exit(EXIT_FAILURE);
}
