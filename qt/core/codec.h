#ifndef NANOSTATEQT_CODEC_H
#define NANOSTATEQT_CODEC_H

// QVariant to MessagePack and back. Not installed.
//
//     QVariant                                                   MessagePack
//     invalid, nullptr, JSON null                                nil; read as nullptr
//     bool                                                       true, false
//     integers, enums and flags                                  the shortest integer; read as qlonglong, above its
//                                                                range as qulonglong
//     float, double                                              float of 32 or 64 bits; read as double
//     QString, QChar, QUrl, QUuid, QDate, QTime                  str; read as QString
//     QByteArray                                                 bin
//     QVariantList, QStringList, other sequential containers     array; read as QVariantList
//     QVariantMap, QVariantHash, other associative containers    map; read as QVariantMap: the last of equal
//                                                                keys; a key that is no str as its JSON text (bytes and
//                                                                structured keys: base64)
//     QDateTime                                                  ext -1, to the millisecond; read as UTC
//     NanostateQt::Extension                                     any other ext
//     QJsonValue, QJsonObject, QJsonArray, QJsonDocument,        what they hold
//     QCborValue

#include <NanostateQt/nanostateqt_global.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>

#include <nanostate.h>

namespace NanostateQt {
namespace Codec {

/*! How deep containers may nest, as everywhere in nanostate; a scalar has depth 0. */
constexpr int MaxDepth = 32;

/*! Why a value was not encoded: a status of the C API, and words that name the type at fault. */
struct Error
{
    ns_status status = NS_OK;
    QString text;
};

enum class Bytes {
    AsBytes, //!< bin is QByteArray.
    AsText //!< bin that is valid UTF-8 is QString: the original nanostate sends its text as bin.
};

/*! Appends the value to \a out. On failure \a out is as it was. */
NANOSTATEQT_EXPORT bool encode(const QVariant &value, QByteArray *out, Error *error = nullptr);

/*! Reads exactly one value; false if the bytes are not that, and \a out is then invalid. Accepts what the core accepts:
    every well-formed value whose str is UTF-8, up to \l MaxDepth. */
NANOSTATEQT_EXPORT bool decode(const void *data, size_t size, QVariant *out, Bytes bytes = Bytes::AsBytes);

/*! Whether a receiver cannot tell two values apart. Numbers are compared by value (50 equals 50.0, exactly, and NaN
    equals NaN), containers deeply. Values that cannot be encoded are compared as QVariant does. */
NANOSTATEQT_EXPORT bool deepEqual(const QVariant &a, const QVariant &b);

/*! Makes UTF-8. False: the text has half a surrogate pair, which UTF-8 cannot represent. */
NANOSTATEQT_EXPORT bool toUtf8(const QString &text, QByteArray *out);
/*! Text of UTF-8, with a byte order mark at its beginning, which QString::fromUtf8 drops. */
NANOSTATEQT_EXPORT QString fromUtf8(const char *utf8, size_t size);

} // namespace Codec
} // namespace NanostateQt

#endif // NANOSTATEQT_CODEC_H
