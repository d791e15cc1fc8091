// Shows sum.qml until it quits.
#include <QGuiApplication>
#include <QQmlApplicationEngine>

int main(int argc, char **argv)
{
    QGuiApplication application(argc, argv);
    QQmlApplicationEngine engine(QUrl(QStringLiteral("qrc:/sum.qml")));
    return engine.rootObjects().isEmpty() ? 1 : application.exec();
}
