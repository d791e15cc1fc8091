#include "codec.h"
#include "extension.h"

#include <QtCore/qcborvalue.h>
#include <QtCore/qdatetime.h>
#include <QtCore/qendian.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qjsonvalue.h>
#include <QtCore/qlocale.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qmetatype.h>
#include <QtCore/qtimezone.h>
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
#include <QtCore/qassociativeiterable.h>
#endif

#include <cmath>
#include <cstring>
#include <limits>

namespace NanostateQt {
namespace Codec {

namespace {

// The extension that MessagePack itself defines.
constexpr int TimestampType = -1;
constexpr quint32 NanosPerSecond = 1000000000;
constexpr quint32 NanosPerMilli = 1000000;
constexpr qint64 MillisPerSecond = 1000;
// The seconds of a timestamp of 64 bits; the rest are nanoseconds.
constexpr int ShortSecondBits = 34;

constexpr char ByteOrderMark[] = "\xEF\xBB\xBF";
constexpr size_t ByteOrderMarkSize = sizeof ByteOrderMark - 1;

enum Head : uchar {
    FixMap = 0x80,
    FixArray = 0x90,
    FixStr = 0xA0,
    Nil = 0xC0,
    Unused = 0xC1,
    False = 0xC2,
    True = 0xC3,
    Bin8 = 0xC4,
    Bin16 = 0xC5,
    Bin32 = 0xC6,
    Ext8 = 0xC7,
    Ext16 = 0xC8,
    Ext32 = 0xC9,
    Float32 = 0xCA,
    Float64 = 0xCB,
    Uint8 = 0xCC,
    Uint16 = 0xCD,
    Uint32 = 0xCE,
    Uint64 = 0xCF,
    Int8 = 0xD0,
    Int16 = 0xD1,
    Int32 = 0xD2,
    Int64 = 0xD3,
    FixExt1 = 0xD4,
    FixExt2 = 0xD5,
    FixExt4 = 0xD6,
    FixExt8 = 0xD7,
    FixExt16 = 0xD8,
    Str8 = 0xD9,
    Str16 = 0xDA,
    Str32 = 0xDB,
    Array16 = 0xDC,
    Array32 = 0xDD,
    Map16 = 0xDE,
    Map32 = 0xDF,
    NegativeFixInt = 0xE0
};

bool isContinuation(uchar byte)
{
    return (byte & 0xC0) == 0x80;
}

// Well-formed by the Unicode standard: nothing overlong, no surrogates, nothing above U+10FFFF.
bool isUtf8(const char *text, size_t size)
{
    const uchar *at = reinterpret_cast<const uchar *>(text);
    const uchar *const end = at + size;
    while (at < end) {
        const uchar first = *at++;
        if (first < 0x80)
            continue;
        int more = 0;
        uchar low = 0x80;
        uchar high = 0xBF;
        if (first >= 0xC2 && first <= 0xDF) {
            more = 1;
        } else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            low = first == 0xE0 ? 0xA0 : low;
            high = first == 0xED ? 0x9F : high;
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            low = first == 0xF0 ? 0x90 : low;
            high = first == 0xF4 ? 0x8F : high;
        } else {
            return false;
        }
        if (end - at < more || *at < low || *at > high)
            return false;
        for (++at, --more; more > 0; ++at, --more) {
            if (!isContinuation(*at))
                return false;
        }
    }
    return true;
}

#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
// Qt 6 finds the operator by itself.
void registerComparators()
{
    QMetaType::registerEqualsComparator<Extension>();
}
Q_CONSTRUCTOR_FUNCTION(registerComparators)
#endif

/* Writing ------------------------------------------------------------------------------------------------------- */

// Whether a double is an integer that T holds. The ends are compared as powers of two, which are exact as doubles.
template<typename T>
bool holds(double value)
{
    const double end = std::ldexp(1.0, std::numeric_limits<T>::digits);
    const double begin = std::numeric_limits<T>::is_signed ? -end : 0;
    return value >= begin && value < end && std::trunc(value) == value;
}

// Whether it is a container whose keys are not text for Qt: in a QVariantMap all would be the empty one.
bool hasKeysWithoutText(const QVariant &value)
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
        // QtQml registers conversions that make an empty list of a number: such a value is to be unwrapped before.
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

    // The keys of an enum, or of flags, that are known to Qt; those of others are not valid.
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
    // Qt 5 takes every enum for a signed one.
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

    // What the keys of an enum, which Qt 5 keeps as int, say of a value that it takes for a negative one.
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

/* Reading ------------------------------------------------------------------------------------------------------- */

class Reader
{
public:
    Reader(const void *data, size_t size, Bytes bytes)
        : m_at(static_cast<const uchar *>(data)), m_end(m_at + size), m_bytes(bytes)
    {
    }

    bool atEnd() const { return m_at == m_end; }

    // A length is held against the bytes at hand before it is used, so nothing is allocated for what is not there.
    bool read(QVariant *out, int depthLeft = MaxDepth)
    {
        uchar head;
        if (!take(&head))
            return false;
        if (head < FixMap)
            return set(out, qlonglong(head));
        if (head >= NegativeFixInt)
            return set(out, qlonglong(qint8(head)));
        if (head < FixArray)
            return readMap(out, head & 0x0F, depthLeft);
        if (head < FixStr)
            return readList(out, head & 0x0F, depthLeft);
        if (head < Nil)
            return readText(out, head & 0x1F);
        switch (head) {
        case Nil:
            *out = QVariant::fromValue(nullptr);
            return true;
        case False:
        case True:
            return set(out, head == True);
        case Bin8:
            return readSized<quint8>(out, &Reader::readBytes);
        case Bin16:
            return readSized<quint16>(out, &Reader::readBytes);
        case Bin32:
            return readSized<quint32>(out, &Reader::readBytes);
        case Ext8:
            return readSized<quint8>(out, &Reader::readExtension);
        case Ext16:
            return readSized<quint16>(out, &Reader::readExtension);
        case Ext32:
            return readSized<quint32>(out, &Reader::readExtension);
        case FixExt1:
            return readExtension(out, 1);
        case FixExt2:
            return readExtension(out, 2);
        case FixExt4:
            return readExtension(out, 4);
        case FixExt8:
            return readExtension(out, 8);
        case FixExt16:
            return readExtension(out, 16);
        case Float32:
            return readFloating<float, quint32>(out);
        case Float64:
            return readFloating<double, quint64>(out);
        case Uint8:
            return readInteger<quint8>(out);
        case Uint16:
            return readInteger<quint16>(out);
        case Uint32:
            return readInteger<quint32>(out);
        case Uint64:
            return readInteger<quint64>(out);
        case Int8:
            return readInteger<qint8>(out);
        case Int16:
            return readInteger<qint16>(out);
        case Int32:
            return readInteger<qint32>(out);
        case Int64:
            return readInteger<qint64>(out);
        case Str8:
            return readSized<quint8>(out, &Reader::readText);
        case Str16:
            return readSized<quint16>(out, &Reader::readText);
        case Str32:
            return readSized<quint32>(out, &Reader::readText);
        case Array16:
            return readCounted<quint16>(out, depthLeft, &Reader::readList);
        case Array32:
            return readCounted<quint32>(out, depthLeft, &Reader::readList);
        case Map16:
            return readCounted<quint16>(out, depthLeft, &Reader::readMap);
        case Map32:
            return readCounted<quint32>(out, depthLeft, &Reader::readMap);
        default:
            return false;
        }
    }

private:
    size_t left() const { return size_t(m_end - m_at); }

    template<typename T>
    bool take(T *out)
    {
        if (left() < sizeof(T))
            return false;
        *out = qFromBigEndian<T>(m_at);
        m_at += sizeof(T);
        return true;
    }

    bool take(const char **bytes, size_t size)
    {
        if (left() < size)
            return false;
        *bytes = reinterpret_cast<const char *>(m_at);
        m_at += size;
        return true;
    }

    template<typename T>
    static bool set(QVariant *out, const T &value)
    {
        *out = QVariant::fromValue(value);
        return true;
    }

    template<typename Size>
    bool readSized(QVariant *out, bool (Reader::*rest)(QVariant *, size_t))
    {
        Size size;
        return take(&size) && (this->*rest)(out, size);
    }

    template<typename Count>
    bool readCounted(QVariant *out, int depthLeft, bool (Reader::*rest)(QVariant *, size_t, int))
    {
        Count count;
        return take(&count) && (this->*rest)(out, count, depthLeft);
    }

    template<typename T>
    bool readInteger(QVariant *out)
    {
        T value;
        if (!take(&value))
            return false;
        if (std::is_unsigned<T>::value && quint64(value) > quint64(std::numeric_limits<qlonglong>::max()))
            return set(out, qulonglong(value));
        return set(out, qlonglong(value));
    }

    template<typename T, typename Bits>
    bool readFloating(QVariant *out)
    {
        Bits bits;
        T value;
        static_assert(sizeof bits == sizeof value, "the bits of a float");
        if (!take(&bits))
            return false;
        std::memcpy(&value, &bits, sizeof value);
        return set(out, double(value));
    }

    bool readText(QVariant *out, size_t size)
    {
        const char *text;
        return take(&text, size) && isUtf8(text, size) && set(out, fromUtf8(text, size));
    }

    bool readBytes(QVariant *out, size_t size)
    {
        const char *bytes;
        if (!take(&bytes, size))
            return false;
        if (m_bytes == Bytes::AsText && isUtf8(bytes, size))
            return set(out, fromUtf8(bytes, size));
        return set(out, byteArray(bytes, size));
    }

    bool readExtension(QVariant *out, size_t size)
    {
        qint8 type;
        const char *bytes;
        if (!take(&type) || !take(&bytes, size))
            return false;
        if (type == TimestampType) {
            const QDateTime time = timestamp(bytes, size);
            if (time.isValid())
                return set(out, time);
        }
        return set(out, Extension(type, byteArray(bytes, size)));
    }

    bool readList(QVariant *out, size_t count, int depthLeft)
    {
        if (depthLeft == 0)
            return false;
        QVariantList list;
        for (; count > 0; --count) {
            list.append(QVariant());
            if (!read(&list.last(), depthLeft - 1))
                return false;
        }
        return set(out, list);
    }

    bool readMap(QVariant *out, size_t count, int depthLeft)
    {
        if (depthLeft == 0)
            return false;
        QVariantMap map;
        for (; count > 0; --count) {
            const uchar *const begin = m_at;
            QVariant key;
            if (!read(&key, depthLeft - 1))
                return false;
            const QString text = keyText(key, byteArray(reinterpret_cast<const char *>(begin), size_t(m_at - begin)));
            if (!read(&map[text], depthLeft - 1))
                return false;
        }
        return set(out, map);
    }

    static QByteArray byteArray(const char *bytes, size_t size)
    {
        return QByteArray(bytes, qsizetype(size));
    }

    // Invalid if it is no timestamp, or one that QDateTime does not hold.
    static QDateTime timestamp(const char *bytes, size_t size)
    {
        qint64 seconds;
        quint32 nanos = 0;
        switch (size) {
        case 4:
            seconds = qFromBigEndian<quint32>(bytes);
            break;
        case 8: {
            const quint64 both = qFromBigEndian<quint64>(bytes);
            nanos = quint32(both >> ShortSecondBits);
            seconds = qint64(both & ((quint64(1) << ShortSecondBits) - 1));
            break;
        }
        case 12:
            nanos = qFromBigEndian<quint32>(bytes);
            seconds = qFromBigEndian<qint64>(bytes + 4);
            break;
        default:
            return QDateTime();
        }
        constexpr qint64 most = std::numeric_limits<qint64>::max() / MillisPerSecond - 1;
        if (nanos >= NanosPerSecond || seconds > most || seconds < -most)
            return QDateTime();
        const qint64 millis = seconds * MillisPerSecond + nanos / NanosPerMilli;
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
        const QDateTime time = QDateTime::fromMSecsSinceEpoch(millis, QTimeZone(QTimeZone::UTC));
#else
        const QDateTime time = QDateTime::fromMSecsSinceEpoch(millis, Qt::UTC);
#endif
        return time.toMSecsSinceEpoch() == millis ? time : QDateTime();
    }

    // A key as it stands in JSON. `raw` is its MessagePack.
    static QString keyText(const QVariant &key, const QByteArray &raw)
    {
        switch (key.userType()) {
        case QMetaType::QString:
            return key.toString();
        case QMetaType::QByteArray:
            return QString::fromLatin1(key.toByteArray().toBase64());
        case QMetaType::Nullptr:
            return QStringLiteral("null");
        case QMetaType::Bool:
        case QMetaType::LongLong:
        case QMetaType::ULongLong:
            return key.toString();
        case QMetaType::Double:
            return doubleText(key.toDouble());
        default:
            return QString::fromLatin1(raw.toBase64());
        }
    }

    // The shortest text that reads back as the same double, always with a point or an exponent.
    static QString doubleText(double value)
    {
        if (!std::isfinite(value))
            return QStringLiteral("null");
        const double magnitude = std::fabs(value);
        const bool plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
        QString text = QString::number(value, plain ? 'f' : 'e', QLocale::FloatingPointShortest);
        if (plain) {
            if (std::signbit(value) && magnitude == 0 && !text.startsWith(QLatin1Char('-')))
                text.prepend(QLatin1Char('-'));
            return text.contains(QLatin1Char('.')) ? text : text + QLatin1String(".0");
        }
        // Qt writes an exponent with its sign and two digits at least.
        const auto e = text.indexOf(QLatin1Char('e'));
        return text.left(e + 1) + QString::number(text.mid(e + 1).toInt());
    }

    const uchar *m_at;
    const uchar *const m_end;
    const Bytes m_bytes;
};

} // namespace

bool encode(const QVariant &value, QByteArray *out, Error *error)
{
    const auto size = out->size();
    Writer writer(out, Writer::AsGiven);
    const bool done = writer.write(value);
    if (!done)
        out->truncate(size);
    if (error)
        *error = writer.error();
    return done;
}

bool decode(const void *data, size_t size, QVariant *out, Bytes bytes)
{
    Reader reader(data, size, bytes);
    QVariant value;
    if (reader.read(&value) && reader.atEnd()) {
        *out = value;
        return true;
    }
    *out = QVariant();
    return false;
}

bool deepEqual(const QVariant &a, const QVariant &b)
{
    if (a.userType() == b.userType()) {
        switch (a.userType()) {
        case QMetaType::Bool:
        case QMetaType::Int:
        case QMetaType::LongLong:
        case QMetaType::QString:
        case QMetaType::QByteArray:
            return a == b;
        case QMetaType::Double: {
            const double left = a.toDouble();
            const double right = b.toDouble();
            return left == right || (std::isnan(left) && std::isnan(right));
        }
        default:
            break;
        }
    }
    QByteArray left;
    QByteArray right;
    if (Writer(&left, Writer::Canonical).write(a) && Writer(&right, Writer::Canonical).write(b))
        return left == right;
    return a == b;
}

bool toUtf8(const QString &text, QByteArray *out)
{
    const auto size = text.size();
    for (qsizetype i = 0; i < size; ++i) {
        if (!text.at(i).isSurrogate())
            continue;
        if (!text.at(i).isHighSurrogate() || i + 1 == size || !text.at(i + 1).isLowSurrogate())
            return false;
        ++i;
    }
    *out = text.toUtf8();
    return true;
}

QString fromUtf8(const char *utf8, size_t size)
{
    static const bool dropsMark = QString::fromUtf8(ByteOrderMark, ByteOrderMarkSize).isEmpty();
    const QString text = QString::fromUtf8(utf8, qsizetype(size));
    const bool marked = size >= ByteOrderMarkSize && std::memcmp(utf8, ByteOrderMark, ByteOrderMarkSize) == 0;
    return marked && dropsMark ? QChar(QChar::ByteOrderMark) + text : text;
}

} // namespace Codec
} // namespace NanostateQt
