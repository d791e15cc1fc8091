#ifndef NANOSTATEQML_NANOSTATECLIENT_H
#define NANOSTATEQML_NANOSTATECLIENT_H

#include <NanostateQt/client.h>

#include <QtQml/qjsvalue.h>
#include <QtQml/qqmlparserstatus.h>

namespace NanostateQt {

/*!
    Client for QML. If QML creates it, it is active unless its declaration says otherwise, and opens once all its
    properties are set. As long as \l subscriptions is not set it is empty, and the hub sends what is in use: the names of
    each SharedState and StateImage, the filters of each StateListener and StateModel, and everything if there is a
    handler of stateUpdated() or stateCleared().
*/
class NanostateClient : public Client, public QQmlParserStatus
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(bool active READ isActive WRITE setActive NOTIFY activeChanged)

public:
    explicit NanostateClient(QObject *parent = nullptr);

    using Client::publish;
    /*! Publishes a value of JavaScript, also an array, an object, an ArrayBuffer, a typed array or a Date. If it
        contains something that is not a value, such as undefined or a function, this returns false, and a warning says
        where. */
    Q_INVOKABLE bool publish(const QString &name, const QJSValue &value);

    /*! The same with options, which count for this value only: { transient: true }: only programs that are there are sent it;
        { timeToLive: 5000 }: it is withdrawn unless it is published again within this time, in milliseconds. Any other
        option or type is refused: this returns false, and a warning says why. */
    Q_INVOKABLE bool publish(const QString &name, const QJSValue &value, const QJSValue &options);

    using Client::will;
    /*! Leaves a value of JavaScript as publish() takes it. */
    Q_INVOKABLE bool will(const QString &name, const QJSValue &value);

    void classBegin() override;
    void componentComplete() override;

protected:
    void connectNotify(const QMetaMethod &signal) override;
    void disconnectNotify(const QMetaMethod &signal) override;

private:
    // What a value of JavaScript is for C++. False: it contains something that is no value, which is reported.
    bool unwrap(const QString &name, const QJSValue &value, const char *done, QVariant *out);
    // Reports that an argument of a call is refused. Always false.
    bool refuse(const QString &name, ns_status status, const char *done, const QString &why);
};

} // namespace NanostateQt

#endif // NANOSTATEQML_NANOSTATECLIENT_H
