#include "valuetype.h"

#include <NanostateQt/private/codec.h>

namespace NanostateQt {
namespace ValueType {

namespace {

using Type = SharedState::Type;

// Any for null and for extensions, which have no type of their own.
Type typeOf(const QVariant &value)
{
    switch (value.userType()) {
    case QMetaType::Bool:
        return Type::Boolean;
    case QMetaType::LongLong:
    case QMetaType::ULongLong:
    case QMetaType::Double:
        return Type::Number;
    case QMetaType::QString:
        return Type::String;
    case QMetaType::QByteArray:
        return Type::Bytes;
    case QMetaType::QDateTime:
        return Type::Date;
    case QMetaType::QVariantList:
        return Type::Array;
    case QMetaType::QVariantMap:
        return Type::Object;
    default:
        return Type::Any;
    }
}

QString wordsOf(Type type)
{
    switch (type) {
    case Type::Boolean:
        return QStringLiteral("a boolean");
    case Type::Number:
        return QStringLiteral("a number");
    case Type::String:
        return QStringLiteral("a string");
    case Type::Bytes:
        return QStringLiteral("bytes");
    case Type::Date:
        return QStringLiteral("a date");
    case Type::Array:
        return QStringLiteral("an array");
    case Type::Object:
        return QStringLiteral("an object");
    case Type::Any:
        break;
    }
    return QString();
}

// The value as a receiver gets it. One that cannot be sent stays as it is; sending it tells why.
QVariant received(const QVariant &value)
{
    QByteArray encoded;
    QVariant decoded;
    if (!Codec::encode(value, &encoded) || !Codec::decode(encoded.constData(), size_t(encoded.size()), &decoded))
        return value;
    return decoded;
}

} // namespace

bool isOf(const QVariant &value, SharedState::Type type)
{
    return type == Type::Any || typeOf(value) == type;
}

bool isSentAs(const QVariant &value, SharedState::Type type)
{
    return type == Type::Any || isOf(received(value), type);
}

QString mismatch(const QVariant &value, SharedState::Type type)
{
    const QVariant other = received(value);
    const Type otherType = typeOf(other);
    QString words = wordsOf(otherType);
    if (otherType == Type::Any)
        words = other.userType() == QMetaType::Nullptr ? QStringLiteral("null") : QStringLiteral("an extension");
    return QStringLiteral("is %1, not %2").arg(words, wordsOf(type));
}

} // namespace ValueType
} // namespace NanostateQt
