// A program with a Client: answers "ping" from anyone with "pong" and the same value, and ends at "end".
// Usage: peer IDENTITY URL
#include <NanostateQt/Client>

#include <QtCore/qcoreapplication.h>

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    if (app.arguments().size() != 3)
        return 2;
    NanostateQt::Client client(app.arguments().at(1), app.arguments().at(2));
    QObject::connect(&client, &NanostateQt::Client::stateUpdated,
                     [&](const QString &, const QString &name, const QVariant &value) {
                         if (name == QStringLiteral("ping"))
                             client.publish(QStringLiteral("pong"), value);
                         else if (name == QStringLiteral("end"))
                             app.quit();
                     });
    client.setActive(true);
    return app.exec();
}
