#ifndef NANOSTATEQT_READER_H
#define NANOSTATEQT_READER_H

// A QVariant of MessagePack. Not installed.

#include "codec.h"
#include "extension.h"
#include "msgpack.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qendian.h>
#include <QtCore/qlocale.h>
#include <QtCore/qtimezone.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace NanostateQt {
namespace Codec {

inline bool isContinuation(uchar byte)
{
    return (byte & 0xC0) == 0x80;
}

// Well-formed by the Unicode standard: nothing overlong, no surrogates, nothing above U+10FFFF.
inline bool isUtf8(const char *text, size_t size)
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

class Reader
{
public:
    Reader(const void *data, size_t size, Bytes bytes)
        : m_at(static_cast<const uchar *>(data)), m_end(m_at + size), m_bytes(bytes)
    {
    }

    bool atEnd() const { return m_at == m_end; }

    // A length is compared with the bytes that are left before it is used, so nothing is allocated for missing bytes.
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

    // Invalid if it is no timestamp, or one that QDateTime cannot represent.
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

    // A key as JSON text. `raw` is its MessagePack.
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
        // Qt writes an exponent with its sign and at least two digits.
        const auto e = text.indexOf(QLatin1Char('e'));
        return text.left(e + 1) + QString::number(text.mid(e + 1).toInt());
    }

    const uchar *m_at;
    const uchar *const m_end;
    const Bytes m_bytes;
};

} // namespace Codec
} // namespace NanostateQt

#endif // NANOSTATEQT_READER_H
