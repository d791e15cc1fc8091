#ifndef NANOSTATEQML_NANOSTATECLIENT_H
#define NANOSTATEQML_NANOSTATECLIENT_H

#include <NanostateQt/client.h>

#include <QtQml/qjsvalue.h>
#include <QtQml/qqmlparserstatus.h>

namespace NanostateQt {

/*!
    Client for QML. Created by QML it is active unless it says otherwise, and opens when all its properties are set.
*/
class NanostateClient : public Client, public QQmlParserStatus
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(bool active READ isActive WRITE setActive NOTIFY activeChanged)

public:
    explicit NanostateClient(QObject *parent = nullptr);

    using Client::publish;
    /*! Publishes a value of JavaScript: arrays, objects, ArrayBuffer, typed arrays and Date too. For what is no value,
        as undefined or a function, it returns false, and a warning says where in the value it is. */
    Q_INVOKABLE bool publish(const QString &name, const QJSValue &value);

    void classBegin() override;
    void componentComplete() override;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_NANOSTATECLIENT_H
