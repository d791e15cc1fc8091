#ifndef SCREENSHOT_H
#define SCREENSHOT_H

#include <QtCore/QElapsedTimer>
#include <QtCore/QObject>
#include <QtCore/QString>
#include <QtCore/QTimer>

class QQuickWindow;

// What is to be written, and when. Times are in seconds.
struct ScreenshotOptions
{
    QString path;
    // Once figures are there and the connection is lost, instead of once they are there.
    bool disconnected = false;
    // So long after that.
    double after = 1;
    // It fails if it does not come to that within so long.
    double within = 30;
};

// Writes the dashboard's window, and the second one if it is open, then ends the program: 0, or 1 and why on standard
// error.
class Screenshot : public QObject
{
    Q_OBJECT

public:
    Screenshot(QQuickWindow *window, const ScreenshotOptions &options);

private:
    void look();
    bool save(QQuickWindow *window, const QString &path);
    void fail(const QString &text);

    QQuickWindow *m_window;
    ScreenshotOptions m_options;
    QTimer m_clock;
    QElapsedTimer m_elapsed;
    qint64 m_readySince = -1;
};

#endif // SCREENSHOT_H
