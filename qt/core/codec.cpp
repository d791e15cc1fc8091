#include "codec.h"
#include "reader.h"
#include "writer.h"

#include <cmath>
#include <cstring>

namespace NanostateQt {
namespace Codec {

namespace {

constexpr char ByteOrderMark[] = "\xEF\xBB\xBF";
constexpr size_t ByteOrderMarkSize = sizeof ByteOrderMark - 1;

#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
// Qt 6 finds the operator by itself.
void registerComparators()
{
    QMetaType::registerEqualsComparator<Extension>();
}
Q_CONSTRUCTOR_FUNCTION(registerComparators)
#endif

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
