// Compares plugins.qmltypes, which is written by hand, with the types themselves.
#include "bench.h"

#include <QtCore/qfile.h>
#include <QtCore/qmap.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qset.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

#include <memory>
#include <vector>

namespace {

// An object of the file: its type, its bindings as they are written, and its objects.
struct Node
{
    QString type;
    QMap<QString, QString> values;
    std::vector<Node> children;

    QString string(const char *key) const
    {
        const QString value = values.value(text(key));
        return value.startsWith(QLatin1Char('"')) ? value.mid(1, value.size() - 2) : value;
    }
    bool flag(const char *key) const { return values.value(text(key)) == text("true"); }
    QStringList strings(const char *key) const
    {
        QStringList list;
        const QStringList parts = values.value(text(key)).split(QLatin1Char('"'));
        for (int i = 1; i < parts.size(); i += 2)
            list.append(parts.at(i));
        return list;
    }
    std::vector<const Node *> all(const char *childType) const
    {
        std::vector<const Node *> found;
        for (const Node &child : children) {
            if (child.type == text(childType))
                found.push_back(&child);
        }
        return found;
    }
};

// Reads the part of the QML syntax that qmltypes files use.
class Parser
{
public:
    explicit Parser(const QString &source) : m_source(source) {}

    Node root()
    {
        // The import, up to its end of line.
        m_at = int(m_source.indexOf(QLatin1Char('\n')));
        return node(word());
    }

private:
    void skip()
    {
        while (m_at < m_source.size()) {
            if (m_source.mid(m_at, 2) == text("//"))
                m_at = int(m_source.indexOf(QLatin1Char('\n'), m_at));
            else if (m_source.at(m_at).isSpace() || m_source.at(m_at) == QLatin1Char(';'))
                ++m_at;
            else
                return;
        }
    }
    QString word()
    {
        skip();
        const int begin = m_at;
        while (m_source.at(m_at).isLetterOrNumber())
            ++m_at;
        return m_source.mid(begin, m_at - begin);
    }
    QString value()
    {
        skip();
        const int begin = m_at;
        if (m_source.at(m_at) == QLatin1Char('['))
            m_at = int(m_source.indexOf(QLatin1Char(']'), m_at)) + 1;
        else if (m_source.at(m_at) == QLatin1Char('"'))
            m_at = int(m_source.indexOf(QLatin1Char('"'), m_at + 1)) + 1;
        else
            return word();
        return m_source.mid(begin, m_at - begin);
    }
    Node node(const QString &type)
    {
        Node made{type, {}, {}};
        skip();
        ++m_at; // {
        for (skip(); m_source.at(m_at) != QLatin1Char('}'); skip()) {
            const QString name = word();
            skip();
            if (m_source.at(m_at) == QLatin1Char(':')) {
                ++m_at;
                made.values.insert(name, value());
            } else {
                made.children.push_back(node(name));
            }
        }
        ++m_at;
        return made;
    }

    const QString m_source;
    int m_at = 0;
};

QString typeName(const char *type)
{
    return QString::fromLatin1(QMetaObject::normalizedType(type));
}

// One line for each member, equal for a member read from the file and one of the meta-object.

QString describe(const Node &parameterized, const char *kind)
{
    QStringList parameters;
    for (const Node *parameter : parameterized.all("Parameter")) {
        parameters.append(parameter->string("type") + text(parameter->flag("isPointer") ? "* " : " ")
                          + parameter->string("name"));
    }
    const QString type = parameterized.string("type");
    return text("%1 %2 %3(%4)").arg(text(kind), type.isEmpty() ? text("void") : type,
                                    parameterized.string("name"), parameters.join(text(", ")));
}

QString describe(const QMetaMethod &method)
{
    QStringList parameters;
    const QList<QByteArray> types = method.parameterTypes();
    const QList<QByteArray> names = method.parameterNames();
    for (int i = 0; i < types.size(); ++i)
        parameters.append(typeName(types.at(i).constData()) + text(" ") + QString::fromLatin1(names.at(i)));
    return text("%1 %2 %3(%4)").arg(text(method.methodType() == QMetaMethod::Signal ? "signal" : "method"),
                                    typeName(method.typeName()), QString::fromLatin1(method.name()),
                                    parameters.join(text(", ")));
}

QString describeProperty(const Node &property)
{
    return text("property %1%2 %3 %4 notify %5")
        .arg(property.string("type"), text(property.flag("isPointer") ? "*" : ""), property.string("name"),
             text(property.flag("isReadonly") ? "readonly" : "writable"), property.string("notify"));
}

QString describe(const QMetaObject *object, const QMetaProperty &property)
{
    QString type = typeName(property.typeName());
    // Enums of the class itself are named without the class.
    const QString own = text(object->className()) + text("::");
    if (property.isEnumType() && type.startsWith(own))
        type = type.mid(own.size());
    return text("property %1 %2 %3 notify %4")
        .arg(type, QString::fromLatin1(property.name()), text(property.isWritable() ? "writable" : "readonly"),
             QString::fromLatin1(property.notifySignal().name()));
}

QStringList describe(const Node &component)
{
    QStringList lines;
    for (const Node *property : component.all("Property"))
        lines.append(describeProperty(*property));
    for (const Node *signal : component.all("Signal"))
        lines.append(describe(*signal, "signal"));
    for (const Node *method : component.all("Method"))
        lines.append(describe(*method, "method"));
    for (const Node *enumeration : component.all("Enum"))
        lines.append(text("enum %1 %2").arg(enumeration->string("name"), enumeration->strings("values").join(text(" "))));
    lines.sort();
    return lines;
}

QStringList describe(const QMetaObject *object)
{
    QStringList lines;
    for (int i = object->propertyOffset(); i < object->propertyCount(); ++i)
        lines.append(describe(object, object->property(i)));
    for (int i = object->methodOffset(); i < object->methodCount(); ++i)
        lines.append(describe(object->method(i)));
    for (int i = object->enumeratorOffset(); i < object->enumeratorCount(); ++i) {
        QStringList keys;
        for (int k = 0; k < object->enumerator(i).keyCount(); ++k)
            keys.append(text(object->enumerator(i).key(k)));
        lines.append(text("enum %1 %2").arg(text(object->enumerator(i).name()), keys.join(text(" "))));
    }
    lines.sort();
    return lines;
}

} // namespace

class tst_QmlTypes : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void everyComponentIsOfTheModule();
    void membersAreThoseOfTheMetaObject_data();
    void membersAreThoseOfTheMetaObject();
    void theResourcesHaveTheModule();

private:
    const Node *component(const QString &className) const
    {
        for (const Node *candidate : m_module.all("Component")) {
            if (candidate->string("name") == className)
                return candidate;
        }
        return nullptr;
    }

    Node m_module;
    QQmlEngine m_engine;
    std::vector<std::unique_ptr<QObject>> m_objects;
    QMap<QString, const QMetaObject *> m_metaObjects;
};

void tst_QmlTypes::initTestCase()
{
    QFile file(text(NANOSTATE_QMLTYPES));
    QVERIFY(file.open(QIODevice::ReadOnly));
    m_module = Parser(QString::fromUtf8(file.readAll())).root();
    QCOMPARE(m_module.type, text("Module"));

    for (const char *name : {"NanostateClient", "PeerModel", "SharedState", "StateImage", "StateListener", "StateModel"}) {
        QQmlComponent component(&m_engine);
        component.setData(QByteArray("import Nanostate 1.0\n") + name + " {}", QUrl());
        QObject *const object = component.create();
        QVERIFY2(object, qPrintable(component.errorString()));
        m_objects.emplace_back(object);
        m_metaObjects.insert(text(object->metaObject()->className()), object->metaObject());
        QCOMPARE(text(object->metaObject()->className()), text("NanostateQt::%1").arg(text(name)));
    }
    const QMetaObject *const client = &NanostateQt::Client::staticMetaObject;
    m_metaObjects.insert(text(client->className()), client);
}

void tst_QmlTypes::everyComponentIsOfTheModule()
{
    QStringList described;
    for (const Node *component : m_module.all("Component"))
        described.append(component->string("name"));
    described.sort();
    QCOMPARE(described, QStringList(m_metaObjects.keys()));
}

void tst_QmlTypes::membersAreThoseOfTheMetaObject_data()
{
    QTest::addColumn<QString>("className");
    for (auto it = m_metaObjects.cbegin(); it != m_metaObjects.cend(); ++it)
        QTest::newRow(qPrintable(it.key())) << it.key();
}

void tst_QmlTypes::membersAreThoseOfTheMetaObject()
{
    QFETCH(QString, className);
    const Node *const described = component(className);
    QVERIFY(described);
    const QMetaObject *const object = m_metaObjects.value(className);
    QCOMPARE(described->string("prototype"), text(object->superClass()->className()));
    QCOMPARE(describe(*described).join(QLatin1Char('\n')), describe(object).join(QLatin1Char('\n')));
    // The plain Client is not a type of QML.
    const QString name = className.mid(className.lastIndexOf(QLatin1Char(':')) + 1);
    QCOMPARE(described->strings("exports"),
             name == text("Client") ? QStringList() : QStringList(text("Nanostate/%1 1.0").arg(name)));
}

void tst_QmlTypes::theResourcesHaveTheModule()
{
    QVERIFY(QFile::exists(text(":/qt-project.org/imports/Nanostate/qmldir")));
}

QTEST_GUILESS_MAIN(tst_QmlTypes)

#include "tst_qmltypes.moc"
