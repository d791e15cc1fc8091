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
    Makes a QVariant of what JavaScript gives, with no QJSValue left in it: arrays become QVariantList, objects
    QVariantMap of their own enumerable properties, ArrayBuffer and the bytes that a typed array or DataView shows
    QByteArray, Date QDateTime, null nullptr.

    False for what is no value: undefined, functions, symbols, objects of the language and of QML without such a form,
    cycles, and what is nested deeper than a state can be. Then \a why says where and what it is, as in
    "value.list[2].run is a function". Getters of the object run. \a engine is the one that the value is from.
*/
bool unwrap(const QJSValue &value, QJSEngine *engine, QVariant *out, QString *why);
/*! The same for a QVariant that may be a QJSValue, or a container with one in it. */
bool unwrap(const QVariant &value, QJSEngine *engine, QVariant *out, QString *why);

} // namespace JsValue
} // namespace NanostateQt

#endif // NANOSTATEQML_JSVALUE_H
