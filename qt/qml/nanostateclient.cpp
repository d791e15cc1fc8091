#include "nanostateclient.h"

#include "jsvalue.h"
#include "stateimage.h"

#include <NanostateQt/private/client_p.h>

#include <QtQml/qqmlengine.h>
#include <QtQml/qqmlinfo.h>

namespace NanostateQt {

NanostateClient::NanostateClient(QObject *parent) : Client(parent)
{
    ClientAccess::subscribeByUse(this);
}

bool NanostateClient::publish(const QString &name, const QJSValue &value)
{
    QVariant unwrapped;
    return unwrap(name, value, "published", &unwrapped) && publish(name, unwrapped);
}

bool NanostateClient::will(const QString &name, const QJSValue &value)
{
    QVariant unwrapped;
    return unwrap(name, value, "left as a will", &unwrapped) && will(name, unwrapped);
}

bool NanostateClient::unwrap(const QString &name, const QJSValue &value, const char *done, QVariant *out)
{
    QString why;
    if (JsValue::unwrap(value, qjsEngine(this), out, &why))
        return true;
    qmlWarning(this) << "\"" << name << "\" was not " << done << ": " << why;
    return ClientAccess::refuse(this, NS_ERR_MSGPACK, QStringLiteral("\"%1\": %2").arg(name, why));
}

void NanostateClient::classBegin()
{
    ClientAccess::setDeferred(this, true);
    setActive(true);
    // Before any Image of the same file asks.
    providePictures(qmlEngine(this));
}

void NanostateClient::componentComplete()
{
    ClientAccess::setDeferred(this, false);
}

void NanostateClient::connectNotify(const QMetaMethod &signal)
{
    Client::connectNotify(signal);
    ClientAccess::connectionsChanged(this, signal);
}

void NanostateClient::disconnectNotify(const QMetaMethod &signal)
{
    ClientAccess::connectionsChanged(this, signal);
}

} // namespace NanostateQt
