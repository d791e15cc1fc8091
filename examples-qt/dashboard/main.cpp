// A dashboard of what examples-c/publish sends. It is in the QML files; this starts them, and sorts the table.
#include <QtCore/QByteArrayList>
#include <QtCore/QCommandLineParser>
#include <QtGui/QGuiApplication>
#include <QtGui/QOpenGLContext>
#include <QtQml/QQmlApplicationEngine>
#include <QtQuick/QQuickWindow>

#include <nanostate.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "screenshot.h"
#include "sortedstates.h"

namespace {

const int exitUsage = 2;

int fail(const QString &text, int code = EXIT_FAILURE)
{
    std::fprintf(stderr, "dashboard: %s\n", qPrintable(text));
    return code;
}

bool canUseOpenGl()
{
    QOpenGLContext context;
    return context.create();
}

// Whether it is asked for words only, which need no display. A QGuiApplication without one ends the program.
bool wantsWords(int argc, char **argv)
{
    const QByteArrayList options{"-h", "--help", "--help-all", "-v", "--version"};
    return std::any_of(argv + 1, argv + argc, [&](const char *argument) { return options.contains(argument); });
}

} // namespace

int main(int argc, char **argv)
{
#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
    QCoreApplication::setAttribute(Qt::AA_EnableHighDpiScaling);
#endif
    const bool words = wantsWords(argc, argv);
    const std::unique_ptr<QCoreApplication> app(words ? new QCoreApplication(argc, argv)
                                                      : new QGuiApplication(argc, argv));
    QCoreApplication::setApplicationName(QStringLiteral("dashboard"));
    QCoreApplication::setApplicationVersion(QString::fromLatin1(ns_version()));

    QCommandLineParser parser;
    parser.setApplicationDescription(QStringLiteral("Shows what examples-c/publish sends."));
    const QCommandLineOption help = parser.addHelpOption();
    const QCommandLineOption version = parser.addVersionOption();
    const QCommandLineOption url(QStringLiteral("url"),
        QStringLiteral("The hub. Default: $NANOSTATE_URL, else %1.").arg(QLatin1String(NS_DEFAULT_URL)),
        QStringLiteral("URL"));
    const QCommandLineOption identity(QStringLiteral("identity"),
        QStringLiteral("The name on the hub, one for each running program. Default: dashboard."),
        QStringLiteral("NAME"), QStringLiteral("dashboard"));
    const QCommandLineOption light(QStringLiteral("light"), QStringLiteral("Begin with the light theme."));
    const QCommandLineOption secondWindow(QStringLiteral("second-window"),
        QStringLiteral("Open the second window, too."));
    const QCommandLineOption screenshot(QStringLiteral("screenshot"),
        QStringLiteral("Write the window to FILE (of a second window to FILE-2) once figures are there, and exit."),
        QStringLiteral("FILE"));
    const QCommandLineOption after(QStringLiteral("after"),
        QStringLiteral("With --screenshot: so many seconds after that. Default: 1."),
        QStringLiteral("SECONDS"), QStringLiteral("1"));
    const QCommandLineOption within(QStringLiteral("within"),
        QStringLiteral("With --screenshot: fail if it does not come to that within so many seconds. Default: 30."),
        QStringLiteral("SECONDS"), QStringLiteral("30"));
    const QCommandLineOption disconnected(QStringLiteral("disconnected"),
        QStringLiteral("With --screenshot: wait for figures, and then for the loss of the connection."));
    parser.addOptions({url, identity, light, secondWindow, screenshot, after, within, disconnected});
    if (!parser.parse(QCoreApplication::arguments()))
        return fail(parser.errorText() + QStringLiteral(" (--help lists the options)"), exitUsage);
    if (parser.isSet(help))
        parser.showHelp();
    if (parser.isSet(version))
        parser.showVersion();
    if (words)
        return fail(QStringLiteral("an option without its value (--help lists the options)"), exitUsage);
    if (!parser.positionalArguments().isEmpty())
        return fail(QStringLiteral("not an option: %1").arg(parser.positionalArguments().first()), exitUsage);
    bool afterValid = false;
    bool withinValid = false;
    const ScreenshotOptions shot{parser.value(screenshot), parser.isSet(disconnected),
                                 parser.value(after).toDouble(&afterValid),
                                 parser.value(within).toDouble(&withinValid)};
    if (!afterValid || !withinValid || shot.after < 0 || shot.within < 0)
        return fail(QStringLiteral("--after and --within take a number of seconds"), exitUsage);
    if (parser.isSet(screenshot) && !shot.path.contains(QLatin1Char('.')))
        return fail(QStringLiteral("--screenshot takes a file name like dashboard.png"), exitUsage);

    // A screenshot is the same everywhere without the graphics card, and a virtual display may have none.
    if (!shot.path.isEmpty() || !canUseOpenGl()) {
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
        QQuickWindow::setGraphicsApi(QSGRendererInterface::Software);
#else
        QQuickWindow::setSceneGraphBackend(QSGRendererInterface::Software);
#endif
    }

    SortedStates::registerType();
    QQmlApplicationEngine engine;
    engine.setInitialProperties({
        {QStringLiteral("url"), parser.value(url)},
        {QStringLiteral("defaultUrl"), qEnvironmentVariable("NANOSTATE_URL", QLatin1String(NS_DEFAULT_URL))},
        {QStringLiteral("identity"), parser.value(identity)},
        {QStringLiteral("light"), parser.isSet(light)},
        {QStringLiteral("secondWindow"), parser.isSet(secondWindow)},
        {QStringLiteral("animated"), shot.path.isEmpty()},
    });
    engine.load(QUrl(QStringLiteral("qrc:/dashboard/Main.qml")));
    if (engine.rootObjects().isEmpty())
        return fail(QStringLiteral("the user interface did not load: see above"));

    std::unique_ptr<Screenshot> camera;
    if (!shot.path.isEmpty())
        camera.reset(new Screenshot(qobject_cast<QQuickWindow *>(engine.rootObjects().first()), shot));
    return QGuiApplication::exec();
}
