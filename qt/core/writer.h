#ifndef NANOSTATEQT_WRITER_H
#define NANOSTATEQT_WRITER_H

// MessagePack of a QVariant. Not installed.

#include "codec.h"
#include "extension.h"
#include "msgpack.h"

#include <QtCore/qcborvalue.h>
#include <QtCore/qdatetime.h>
#include <QtCore/qendian.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qjsonvalue.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qmetatype.h>
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
#include <QtCore/qassociativeiterable.h>
#endif

#include <cmath>
#include <cstring>
#include <limits>

namespace NanostateQt {
namespace Codec {

// Whether a double is an integer that T holds. The ends are compared as powers of two, which are exact as doubles.
template<typename T>
bool holds(double value)
{
    const double end = std::ldexp(1.0, std::numeric_limits<T>::digits);
    const double begin = std::numeric_limits<T>::is_signed ? -end : 0;
    return value >= begin && value < end && std::trunc(value) == value;
}

// Whether it is a container whose keys Qt does not convert to text: in a QVariantMap all of them would be empty.
inline bool hasKeysWithoutText(const QVariant &value)
{
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
    const bool iterable = value.canConvert<QAssociativeIterable>();
#else
    const bool iterable = QMetaType::hasRegisteredConverterFunction(
        value.userType(), qMetaTypeId<QtMetaTypePrivate::QAssociativeIterableImpl>());
#endif
    if (!iterable)
        return false;
    const auto entries = value.value<QAssociativeIterable>();
    return entries.size() > 0 && !entries.begin().key().canConvert<QString>();
}

class Writer
{
public:
    enum Form {
        AsGiven,
        Canonical //!< Equal values give equal bytes, whatever their types are.
    };

    Writer(QByteArray *out, Form form) : m_out(*out), m_form(form) {}

    const Error &error() const { return m_error; }

    bool write(const QVariant &value, int depthLeft = MaxDepth)
    {
        switch (value.userType()) {
        case QMetaType::UnknownType:
        case QMetaType::Nullptr:
            return put(Nil);
        case QMetaType::VoidStar:
            return value.value<void *>() ? refuse(value) : put(Nil);
        case QMetaType::Bool:
            return put(value.toBool() ? True : False);
        case QMetaType::Char:
        case QMetaType::SChar:
        case QMetaType::Short:
        case QMetaType::Int:
        case QMetaType::Long:
        case QMetaType::LongLong:
            return writeInt(value.toLongLong());
        case QMetaType::UChar:
        case QMetaType::UShort:
        case QMetaType::UInt:
        case QMetaType::ULong:
        case QMetaType::ULongLong:
            return writeUint(value.toULongLong());
        case QMetaType::Float:
            return writeFloat(value.toFloat());
        case QMetaType::Double:
            return writeDouble(value.toDouble());
        case QMetaType::QString:
        case QMetaType::QChar:
        case QMetaType::QUrl:
        case QMetaType::QUuid:
        case QMetaType::QDate:
        case QMetaType::QTime:
            return writeText(value.toString());
        case QMetaType::QByteArray:
            return writeBytes(value.toByteArray());
        case QMetaType::QDateTime:
            return writeTimestamp(value.toDateTime());
        case QMetaType::QVariantList:
            return writeList(value.toList(), depthLeft);
        case QMetaType::QStringList:
            return writeList(value.toStringList(), depthLeft);
        case QMetaType::QVariantMap:
            return writeMap(value.toMap(), depthLeft);
        case QMetaType::QVariantHash:
            return writeMap(value.value<QVariantMap>(), depthLeft);
        case QMetaType::QJsonValue:
            return write(value.toJsonValue().toVariant(), depthLeft);
        case QMetaType::QJsonObject:
            return writeMap(value.toJsonObject().toVariantMap(), depthLeft);
        case QMetaType::QJsonArray:
            return writeList(value.toJsonArray().toVariantList(), depthLeft);
        case QMetaType::QJsonDocument:
            return write(value.toJsonDocument().toVariant(), depthLeft);
        case QMetaType::QCborValue:
            return write(value.value<QCborValue>().toVariant(), depthLeft);
        default:
            return writeOther(value, depthLeft);
        }
    }

private:
    bool fail(ns_status status, const QString &text)
    {
        m_error.status = status;
        m_error.text = text;
        return false;
    }

    bool refuse(const QVariant &value)
    {
        return fail(NS_ERR_MSGPACK,
                    QStringLiteral("a value of type %1 cannot be sent").arg(QLatin1String(value.typeName())));
    }

    bool put(uchar byte)
    {
        m_out.append(char(byte));
        return true;
    }

    template<typename T>
    bool put(uchar head, T value)
    {
        put(head);
        return putBigEndian(value);
    }

    template<typename T>
    bool putBigEndian(T value)
    {
        char bytes[sizeof value];
        qToBigEndian(value, bytes);
        m_out.append(bytes, sizeof bytes);
        return true;
    }

    bool putHead(quint64 size, uchar head8, uchar head16, uchar head32)
    {
        if (head8 && size <= 0xFF)
            return put(head8, quint8(size));
        if (size <= 0xFFFF)
            return put(head16, quint16(size));
        if (size <= 0xFFFFFFFF)
            return put(head32, quint32(size));
        return fail(NS_ERR_TOO_LARGE, QStringLiteral("a value of %1 bytes or elements cannot be sent").arg(size));
    }

    bool writeInt(qint64 value)
    {
        if (value >= 0)
            return writeUint(quint64(value));
        if (value >= -32)
            return put(uchar(value));
        if (value >= std::numeric_limits<qint8>::min())
            return put(Int8, qint8(value));
        if (value >= std::numeric_limits<qint16>::min())
            return put(Int16, qint16(value));
        if (value >= std::numeric_limits<qint32>::min())
            return put(Int32, qint32(value));
        return put(Int64, value);
    }

    bool writeUint(quint64 value)
    {
        if (value < FixMap)
            return put(uchar(value));
        if (value <= 0xFFFFFFFF)
            return putHead(value, Uint8, Uint16, Uint32);
        return put(Uint64, value);
    }

    bool writeFloat(float value)
    {
        if (m_form == Canonical)
            return writeDouble(double(value));
        quint32 bits;
        std::memcpy(&bits, &value, sizeof bits);
        return put(Float32, bits);
    }

    bool writeDouble(double value)
    {
        if (m_form == Canonical) {
            if (holds<qint64>(value))
                return writeInt(qint64(value));
            if (holds<quint64>(value))
                return writeUint(quint64(value));
            if (std::isnan(value))
                value = std::numeric_limits<double>::quiet_NaN();
        }
        quint64 bits;
        std::memcpy(&bits, &value, sizeof bits);
        return put(Float64, bits);
    }

    bool writeText(const QString &text)
    {
        QByteArray utf8;
        if (!toUtf8(text, &utf8))
            return fail(NS_ERR_UTF8, QStringLiteral("a text with half a surrogate pair cannot be sent"));
        const bool head = utf8.size() < 32 ? put(uchar(FixStr | utf8.size()))
                                           : putHead(quint64(utf8.size()), Str8, Str16, Str32);
        if (head)
            m_out.append(utf8);
        return head;
    }

    bool writeBytes(const QByteArray &bytes)
    {
        const bool head = putHead(quint64(bytes.size()), Bin8, Bin16, Bin32);
        if (head)
            m_out.append(bytes);
        return head;
    }

    bool writeTimestamp(const QDateTime &time)
    {
        if (!time.isValid())
            return fail(NS_ERR_MSGPACK, QStringLiteral("an invalid QDateTime cannot be sent"));
        const qint64 millis = time.toMSecsSinceEpoch();
        qint64 seconds = millis / MillisPerSecond;
        qint64 rest = millis % MillisPerSecond;
        if (rest < 0) {
            --seconds;
            rest += MillisPerSecond;
        }
        const quint32 nanos = quint32(rest) * NanosPerMilli;
        if (seconds < 0 || seconds >> ShortSecondBits != 0) {
            putExtHead(TimestampType, 12);
            putBigEndian(nanos);
            return putBigEndian(seconds);
        }
        if (nanos == 0 && seconds <= 0xFFFFFFFF) {
            putExtHead(TimestampType, 4);
            return putBigEndian(quint32(seconds));
        }
        putExtHead(TimestampType, 8);
        return putBigEndian(quint64(nanos) << ShortSecondBits | quint64(seconds));
    }

    bool putExtHead(int type, quint64 size)
    {
        bool head = true;
        switch (size) {
        case 1:
            put(FixExt1);
            break;
        case 2:
            put(FixExt2);
            break;
        case 4:
            put(FixExt4);
            break;
        case 8:
            put(FixExt8);
            break;
        case 16:
            put(FixExt16);
            break;
        default:
            head = putHead(size, Ext8, Ext16, Ext32);
        }
        return head && put(uchar(type));
    }

    bool writeExtension(const Extension &extension)
    {
        const int type = extension.type;
        if (type < std::numeric_limits<qint8>::min() || type > std::numeric_limits<qint8>::max())
            return fail(NS_ERR_MSGPACK, QStringLiteral("an extension %1 cannot be sent: -128 to 127").arg(type));
        if (!putExtHead(type, quint64(extension.data.size())))
            return false;
        m_out.append(extension.data);
        return true;
    }

    bool putContainerHead(int depthLeft, quint64 count, uchar fix, uchar head16, uchar head32)
    {
        if (depthLeft == 0)
            return fail(NS_ERR_MSGPACK, QStringLiteral("a value nested deeper than %1 cannot be sent").arg(MaxDepth));
        return count < 16 ? put(uchar(fix | count)) : putHead(count, 0, head16, head32);
    }

    template<typename List>
    bool writeList(const List &list, int depthLeft)
    {
        if (!putContainerHead(depthLeft, quint64(list.size()), FixArray, Array16, Array32))
            return false;
        for (const auto &element : list) {
            if (!write(element, depthLeft - 1))
                return false;
        }
        return true;
    }

    bool writeMap(const QVariantMap &map, int depthLeft)
    {
        if (!putContainerHead(depthLeft, quint64(map.size()), FixMap, Map16, Map32))
            return false;
        for (auto it = map.constBegin(); it != map.constEnd(); ++it) {
            if (!writeText(it.key()) || !write(it.value(), depthLeft - 1))
                return false;
        }
        return true;
    }

    bool writeOther(const QVariant &value, int depthLeft)
    {
        const int type = value.userType();
        if (type == qMetaTypeId<Extension>())
            return writeExtension(value.value<Extension>());
        const QMetaEnum keys = keysOf(type);
        if (keys.isValid() && keys.isFlag() && QMetaType(type).sizeOf() == sizeof(quint32))
            return writeUint(*static_cast<const quint32 *>(value.constData()));
        if (QMetaType(type).flags() & QMetaType::IsEnumeration)
            return writeEnum(value, keys);
        // QtQml registers conversions that turn a number into an empty list, so the caller has to unwrap such a value.
        if (std::strcmp(value.typeName(), "QJSValue") == 0)
            return refuse(value);
        if (hasKeysWithoutText(value))
            return refuse(value);
        if (value.canConvert<QVariantMap>())
            return writeMap(value.value<QVariantMap>(), depthLeft);
        if (value.canConvert<QVariantList>())
            return writeList(value.value<QVariantList>(), depthLeft);
        return refuse(value);
    }

    // The keys of an enum or of flags; not valid if Qt does not know them.
    static QMetaEnum keysOf(int type)
    {
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
        const QMetaObject *const object = QMetaType(type).metaObject();
#else
        const QMetaObject *const object = QMetaType::metaObjectForType(type);
#endif
        if (!object)
            return QMetaEnum();
        // Of "Scope::Enum", of "Scope::Flags", or in Qt 6 of "QFlags<Scope::Enum>".
        QByteArray name = QByteArray(QMetaType(type).name()).split(':').last();
        if (name.endsWith('>'))
            name.chop(1);
        return object->enumerator(object->indexOfEnumerator(name.constData()));
    }

#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
    bool writeEnum(const QVariant &value, const QMetaEnum &)
    {
        return value.metaType().flags() & QMetaType::IsUnsignedEnumeration ? writeUint(value.toULongLong())
                                                                           : writeInt(value.toLongLong());
    }
#else
    // Qt 5 treats every enum as signed.
    bool writeEnum(const QVariant &value, const QMetaEnum &keys)
    {
        const int type = value.userType();
        if (QMetaType::hasRegisteredConverterFunction(type, QMetaType::ULongLong))
            return writeUint(value.toULongLong());
        const qint64 number = value.toLongLong();
        if (number >= 0 || QMetaType::hasRegisteredConverterFunction(type, QMetaType::LongLong))
            return writeInt(number);
        const int bits = 8 * QMetaType::sizeOf(type);
        switch (signOf(number, bits, keys)) {
        case Sign::Signed:
            return writeInt(number);
        case Sign::Unsigned:
            return writeUint(quint64(number) & ((quint64(1) << bits) - 1));
        case Sign::Unknown:
            break;
        }
        return fail(NS_ERR_MSGPACK,
                    QStringLiteral("an enum of type %1 cannot be sent: Qt 5 does not tell whether it is signed; make it "
                                   "an integer, or register a converter to qlonglong or qulonglong")
                        .arg(QLatin1String(value.typeName())));
    }

    enum class Sign { Signed, Unsigned, Unknown };

    // Whether an enum is signed, judged by its keys, which Qt 5 stores as int. Qt 5 takes `number` for negative.
    static Sign signOf(qint64 number, int bits, const QMetaEnum &keys)
    {
        Sign sign = Sign::Unknown;
        for (int i = 0; i < keys.keyCount(); ++i) {
            const int key = keys.value(i);
            if (bits < 32 && key >= 1 << (bits - 1))
                return Sign::Unsigned;
            if (key < 0 && (bits < 32 || (bits == 32 && key == number)))
                sign = Sign::Signed;
        }
        return sign;
    }
#endif

    QByteArray &m_out;
    const Form m_form;
    Error m_error;
};

} // namespace Codec
} // namespace NanostateQt

#endif // NANOSTATEQT_WRITER_H
