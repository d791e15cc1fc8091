// A window with a slider that is the same in every program on the hub. All of it is in Main.qml; this starts it.
//
//   slider NAME [URL]     NAME: who you are; URL: the hub, default $NANOSTATE_URL or tcp://127.0.0.1:15000
#include <QtGui/QGuiApplication>
#include <QtQml/QQmlApplicationEngine>

#include <cstdio>

int main(int argc, char **argv)
{
    // Before there is an application, which needs a display.
    if (argc < 2 || argv[1][0] == '-') {
        std::fprintf(stderr, "usage: slider NAME [URL]\n");
        return 2;
    }
#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
    QCoreApplication::setAttribute(Qt::AA_EnableHighDpiScaling);
#endif
    const QGuiApplication app(argc, argv);
    QQmlApplicationEngine engine(QUrl(QStringLiteral("qrc:/slider/Main.qml")));
    return engine.rootObjects().isEmpty() ? 1 : QGuiApplication::exec();
}
