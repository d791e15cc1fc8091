#include "registration.h"

#include "nanostateclient.h"
#include "peermodel.h"
#include "sharedstate.h"
#include "stateimage.h"
#include "statelistener.h"
#include "statemodel.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qvector.h>
#include <QtQml/qqml.h>

#include <utility>

namespace NanostateQt {

namespace {

// The ids of the types, while they are registered.
QVector<int> &registered()
{
    static QVector<int> ids;
    return ids;
}

} // namespace

void registerQmlTypes()
{
    if (!registered().isEmpty())
        return;
    constexpr char uri[] = "Nanostate";
    constexpr int major = 1;
    constexpr int minor = 0;
    // Arguments of signals.
    qRegisterMetaType<Client::State>();
    qRegisterMetaType<Client::Error>();
    qRegisterMetaType<Client::Presence>();
    registered() = {
        // The type of the property client, which may be a Client that C++ made.
        qmlRegisterAnonymousType<Client>(uri, major),
        qmlRegisterType<NanostateClient>(uri, major, minor, "NanostateClient"),
        qmlRegisterType<PeerModel>(uri, major, minor, "PeerModel"),
        qmlRegisterType<SharedState>(uri, major, minor, "SharedState"),
        qmlRegisterType<StateImage>(uri, major, minor, "StateImage"),
        qmlRegisterType<StateListener>(uri, major, minor, "StateListener"),
        qmlRegisterType<StateModel>(uri, major, minor, "StateModel"),
    };
}

void unregisterQmlTypes()
{
    const auto ids = std::exchange(registered(), {});
    for (const int id : ids)
        QQmlPrivate::qmlunregister(QQmlPrivate::TypeRegistration, quintptr(id));
}

// A program that links the library needs no plugin: the types are registered, and the qmldir is in the resources.
Q_COREAPP_STARTUP_FUNCTION(registerQmlTypes)

} // namespace NanostateQt
