#ifndef NANOSTATEQT_TESTS_CLIENTS_H
#define NANOSTATEQT_TESTS_CLIENTS_H

// What tests observe of a client.

#include <NanostateQt/Client>
#include <NanostateQt/private/client_p.h>

#include <QtCore/qstringlist.h>
#include <QtCore/qvariant.h>

#include "support.h"

#include <functional>
#include <utility>

using NanostateQt::Client;
using NanostateQt::StateObserver;
namespace ClientAccess = NanostateQt::ClientAccess;

// Every signal of a client, as text.
class Log : public QStringList
{
public:
    explicit Log(Client *client)
    {
        const auto note = [this](const QString &what) { append(what); };
        QObject::connect(client, &Client::activeChanged,
                         [=]() { note(client->isActive() ? text("active") : text("inactive")); });
        QObject::connect(client, &Client::stateChanged, [=](Client::State state) {
            note(text("state %1").arg(int(state)));
            if (state != client->state())
                note(text("but it is %1").arg(int(client->state())));
        });
        QObject::connect(client, &Client::connected, [=]() { note(text("connected")); });
        QObject::connect(client, &Client::disconnected, [=]() { note(text("disconnected")); });
        QObject::connect(client, &Client::errorChanged, [=]() { note(text("error %1").arg(int(client->error()))); });
        QObject::connect(client, &Client::errorOccurred, [=](Client::Error error, const QString &words) {
            note(text("occurred %1").arg(int(error)));
            if (words != client->errorString() || words.isEmpty())
                note(text("but it is %1").arg(client->errorString()));
        });
        QObject::connect(client, &Client::identityChanged, [=]() { note(text("identity ") + client->identity()); });
        QObject::connect(client, &Client::urlChanged, [=]() { note(text("url ") + client->url()); });
        QObject::connect(client, &Client::bytesAsTextChanged,
                         [=]() { note(client->bytesAsText() ? text("text") : text("bytes")); });
    }
};

// The newest value of each sender and name that a client reported, and how many states it reported.
class Received : public QVariantMap
{
public:
    explicit Received(Client *client)
    {
        QObject::connect(client, &Client::stateUpdated,
                         [this](const QString &sender, const QString &name, const QVariant &value) {
                             insert(sender + text(" ") + name, value);
                             ++count;
                         });
    }
    int count = 0;
};

class Observer : public StateObserver
{
public:
    explicit Observer(std::function<void(const ns_state *)> function) : m_function(std::move(function)) {}
    void stateArrived(const ns_state *state) override { m_function(state); }
    void clientClosing() override
    {
        if (closing)
            closing();
    }

    void clientSynced() override
    {
        if (synced)
            synced();
    }

    std::function<void()> closing;
    std::function<void()> synced;

private:
    std::function<void(const ns_state *)> m_function;
};

inline bool isConnected(const Client &client)
{
    return client.state() == Client::State::Connected;
}

#endif // NANOSTATEQT_TESTS_CLIENTS_H
