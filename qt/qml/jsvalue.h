#ifndef NANOSTATEQML_JSVALUE_H
#define NANOSTATEQML_JSVALUE_H

#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>
#include <QtQml/qjsvalue.h>

QT_BEGIN_NAMESPACE
class QJSEngine;
QT_END_NAMESPACE

namespace NanostateQt {
namespace JsValue {

/*!
    Makes a QVariant without any QJSValue in it: an array becomes a QVariantList, an object a QVariantMap of its own
    enumerable properties, an ArrayBuffer or the bytes that a typed array or DataView shows a QByteArray, a Date a
    QDateTime, null nullptr.

    False for anything that is not a value: undefined, functions, symbols, other objects of the language and of QML,
    cycles, and what is nested deeper than a state can be. Then \a why says what it is and where, as in
    "value.list[2].run is a function".
    Getters of the object run. \a engine is the engine of the value.
*/
bool unwrap(const QJSValue &value, QJSEngine *engine, QVariant *out, QString *why);
/*! The same for a QVariant that may be a QJSValue, or a container with one in it. */
bool unwrap(const QVariant &value, QJSEngine *engine, QVariant *out, QString *why);

} // namespace JsValue
} // namespace NanostateQt

#endif // NANOSTATEQML_JSVALUE_H
