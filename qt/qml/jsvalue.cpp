#include "jsvalue.h"

#include <NanostateQt/private/codec.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qdatetime.h>
#include <QtCore/qobject.h>
#include <QtCore/qvector.h>
#include <QtQml/qjsengine.h>

namespace NanostateQt {
namespace JsValue {

namespace {

QString text(const char *latin1)
{
    return QString::fromLatin1(latin1);
}

class Unwrapper
{
public:
    Unwrapper(QJSEngine *engine, QString *why) : m_engine(engine), m_why(*why) {}

    bool unwrap(const QVariant &value, QVariant *out)
    {
        const int type = value.userType();
        if (type == qMetaTypeId<QJSValue>())
            return unwrap(value.value<QJSValue>(), out);
        if (type == QMetaType::QVariantList)
            return unwrapList(value.toList(), out);
        if (type == QMetaType::QVariantMap)
            return unwrapMap(value.toMap(), out);
        if (!value.isValid())
            return refuse(text("undefined"));
        if (QMetaType(type).flags() & QMetaType::PointerToQObject)
            return refuseObject(value.value<QObject *>());
        *out = value;
        return true;
    }

    bool unwrap(const QJSValue &value, QVariant *out)
    {
        if (value.isUndefined())
            return refuse(text("undefined"));
        if (value.isNull()) {
            *out = QVariant::fromValue(nullptr);
            return true;
        }
        if (value.isBool() || value.isNumber() || value.isString()) {
            *out = value.toVariant();
            return true;
        }
        if (!value.isObject())
            return refuse(text("a symbol"));
        if (value.isCallable())
            return refuse(text("a function"));
        if (value.isQObject())
            return refuseObject(value.toQObject());
        if (value.isDate()) {
            *out = value.toDateTime();
            return true;
        }
        if (!m_engine)
            return refuse(text("a JavaScript object of an unknown engine"));
        if (value.isArray())
            return unwrapArray(value, out);
        if (!isPlain(value)) {
            if (isView(value))
                return unwrapView(value, out);
            // An object that wraps a C++ type, such as an ArrayBuffer.
            const QVariant own = value.toVariant();
            if (own.isValid() && own.userType() != QMetaType::QVariantMap
                    && own.userType() != qMetaTypeId<QJSValue>()) {
                *out = own;
                return true;
            }
            const QString builtin = builtinClass(value);
            if (!builtin.isEmpty())
                return refuse(text("a JavaScript %1").arg(builtin));
        }
        return unwrapObject(value, out);
    }

private:
    bool refuse(const QString &what)
    {
        m_why = text("value%1 is %2").arg(m_path, what);
        return false;
    }

    bool refuseObject(const QObject *object)
    {
        return refuse(object ? text("an object of type %1").arg(QLatin1String(object->metaObject()->className()))
                             : text("an object that is gone"));
    }

    // Calls `next` with the path extended by one step, for messages.
    template<typename Next>
    bool descend(const QString &step, Next next)
    {
        const auto length = m_path.size();
        m_path += step;
        const bool done = next();
        m_path.truncate(length);
        return done;
    }

    static QString atIndex(quint32 i) { return text("[%1]").arg(i); }
    static QString atKey(const QString &key) { return QLatin1Char('.') + key; }

    bool checkDepth()
    {
        return m_depth < Codec::MaxDepth || refuse(text("nested deeper than %1").arg(Codec::MaxDepth));
    }

    bool unwrapList(const QVariantList &list, QVariant *out)
    {
        if (!checkDepth())
            return false;
        ++m_depth;
        QVariantList elements;
        elements.reserve(list.size());
        for (const QVariant &element : list) {
            QVariant unwrapped;
            if (!descend(atIndex(quint32(elements.size())), [&]() { return unwrap(element, &unwrapped); }))
                return false;
            elements.append(unwrapped);
        }
        --m_depth;
        *out = elements;
        return true;
    }

    bool unwrapMap(const QVariantMap &map, QVariant *out)
    {
        if (!checkDepth())
            return false;
        ++m_depth;
        QVariantMap members;
        for (auto it = map.cbegin(); it != map.cend(); ++it) {
            if (!descend(atKey(it.key()), [&]() { return unwrap(it.value(), &members[it.key()]); }))
                return false;
        }
        --m_depth;
        *out = members;
        return true;
    }

    // The containers that are being read, outermost first. A container inside itself is a cycle.
    bool enter(const QJSValue &container)
    {
        for (const QJSValue &outer : std::as_const(m_outer)) {
            if (outer.strictlyEquals(container))
                return refuse(text("a cycle: it contains itself"));
        }
        if (!checkDepth())
            return false;
        ++m_depth;
        m_outer.append(container);
        return true;
    }

    void leave()
    {
        m_outer.removeLast();
        --m_depth;
    }

    bool unwrapArray(const QJSValue &array, QVariant *out)
    {
        if (!enter(array))
            return false;
        const quint32 length = array.property(text("length")).toUInt();
        QVariantList elements;
        for (quint32 i = 0; i < length; ++i) {
            QVariant unwrapped;
            if (!descend(atIndex(i), [&]() { return unwrap(array.property(i), &unwrapped); }))
                return false;
            elements.append(unwrapped);
        }
        leave();
        *out = elements;
        return true;
    }

    bool unwrapObject(const QJSValue &object, QVariant *out)
    {
        if (!enter(object))
            return false;
        const QJSValue keys = global("Object").property(text("keys")).call({object});
        if (!keys.isArray())
            return refuse(text("a JavaScript object of another engine"));
        const quint32 count = keys.property(text("length")).toUInt();
        QVariantMap members;
        for (quint32 i = 0; i < count; ++i) {
            const QString key = keys.property(i).toString();
            if (!descend(atKey(key), [&]() { return unwrap(object.property(key), &members[key]); }))
                return false;
        }
        leave();
        *out = members;
        return true;
    }

    bool unwrapView(const QJSValue &view, QVariant *out)
    {
        const QVariant buffer = view.property(text("buffer")).toVariant();
        if (buffer.userType() != QMetaType::QByteArray)
            return refuse(text("a view of memory that is shared"));
        *out = buffer.toByteArray().mid(view.property(text("byteOffset")).toInt(),
                                        view.property(text("byteLength")).toInt());
        return true;
    }

    QJSValue global(const char *name) const { return m_engine->globalObject().property(text(name)); }

    bool isView(const QJSValue &value) const
    {
        return global("ArrayBuffer").property(text("isView")).call({value}).toBool();
    }

    bool isPlain(const QJSValue &value) const
    {
        const QJSValue prototype = value.prototype();
        return prototype.isNull() || prototype.strictlyEquals(global("Object").property(text("prototype")));
    }

    // The class of an object if the language defines it, except Object: a Map, a Promise. Its content is not in
    // properties.
    QString builtinClass(const QJSValue &value) const
    {
        const QJSValue constructor = value.property(text("constructor"));
        if (!constructor.isCallable() || constructor.strictlyEquals(global("Object")))
            return QString();
        const QString name = constructor.property(text("name")).toString();
        return m_engine->globalObject().property(name).strictlyEquals(constructor) ? name : QString();
    }

    QJSEngine *const m_engine;
    QString &m_why;
    QString m_path;
    QVector<QJSValue> m_outer;
    int m_depth = 0;
};

} // namespace

bool unwrap(const QJSValue &value, QJSEngine *engine, QVariant *out, QString *why)
{
    return Unwrapper(engine, why).unwrap(value, out);
}

bool unwrap(const QVariant &value, QJSEngine *engine, QVariant *out, QString *why)
{
    return Unwrapper(engine, why).unwrap(value, out);
}

} // namespace JsValue
} // namespace NanostateQt
