// A program with a Client: answers "ping" from anyone with "pong" and the same value, and ends at "end". At "leave" it leaves
// that value as its will for "on" and the word that its value of "seen" be withdrawn, and says "left" when the hub has both.
// Usage: peer IDENTITY URL
#include <NanostateQt/Client>
#include <NanostateQt/private/client_p.h>

#include <QtCore/qcoreapplication.h>

namespace {

bool leave(NanostateQt::Client *client, const QVariant &value)
{
    const QString on = QStringLiteral("on");
    const QString seen = QStringLiteral("seen");
    const QString none = QStringLiteral("none");
    return client->publish(on, 1) && client->publish(seen, 1) && client->will(none, 1) && client->will(on, 2)
        && client->will(on, value) && client->willClear(seen) && client->noWill(none)
        && ns_app_flush(NanostateQt::ClientAccess::app(client), -1) == NS_OK;
}

} // namespace

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
                         else if (name == QStringLiteral("leave"))
                             client.publish(QStringLiteral("left"), leave(&client, value));
                         else if (name == QStringLiteral("end"))
                             app.quit();
                     });
    client.setActive(true);
    return app.exec();
}
