#include "nanostateclient.h"

#include "jsvalue.h"
#include "stateimage.h"

#include <NanostateQt/private/client_p.h>

#include <QtCore/qnumeric.h>
#include <QtQml/qjsvalueiterator.h>
#include <QtQml/qqmlengine.h>
#include <QtQml/qqmlinfo.h>

#include <cmath>

namespace NanostateQt {

namespace {

// Sets an option of publish(). Why it cannot; empty if it could.
QString takeOption(const QString &option, const QJSValue &value, PublishOptions *options)
{
    if (value.isUndefined())
        return QString();
    if (option == QLatin1String("transient")) {
        options->transient = value.toBool();
        return value.isBool() ? QString() : QStringLiteral("transient is %1, and neither true nor false").arg(value.toString());
    }
    if (option != QLatin1String("timeToLive"))
        return QStringLiteral("\"%1\" is no option: there are transient and timeToLive").arg(option);
    const double millis = value.isNumber() ? value.toNumber() : qQNaN();
    // Beyond 2^53 a double is not exact.
    if (!(qAbs(millis) < 9007199254740992.0) || millis != std::floor(millis))
        return QStringLiteral("timeToLive is %1, and no whole number of milliseconds").arg(value.toString());
    options->timeToLive = std::chrono::milliseconds(qint64(millis));
    return QString();
}

} // namespace

NanostateClient::NanostateClient(QObject *parent) : Client(parent)
{
    ClientAccess::subscribeByUse(this);
}

bool NanostateClient::publish(const QString &name, const QJSValue &value)
{
    QVariant unwrapped;
    return unwrap(name, value, "published", &unwrapped) && publish(name, unwrapped);
}

bool NanostateClient::publish(const QString &name, const QJSValue &value, const QJSValue &options)
{
    PublishOptions taken;
    QString why;
    if (!options.isObject() && !options.isUndefined())
        why = QStringLiteral("the options are %1, and no object").arg(options.toString());
    for (QJSValueIterator option(options); why.isEmpty() && option.next();)
        why = takeOption(option.name(), option.value(), &taken);
    if (!why.isEmpty())
        return refuse(name, NS_ERR_INVALID, "published", why);
    QVariant unwrapped;
    return unwrap(name, value, "published", &unwrapped) && publish(name, unwrapped, taken);
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
    return refuse(name, NS_ERR_MSGPACK, done, why);
}

bool NanostateClient::refuse(const QString &name, ns_status status, const char *done, const QString &why)
{
    qmlWarning(this) << "\"" << name << "\" was not " << done << ": " << why;
    return ClientAccess::refuse(this, status, QStringLiteral("\"%1\": %2").arg(name, why));
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
