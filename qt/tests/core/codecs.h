#ifndef NANOSTATEQT_TESTS_CODECS_H
#define NANOSTATEQT_TESTS_CODECS_H

// The codec for tests: bytes are written in hexadecimal.

#include <NanostateQt/Extension>
#include <NanostateQt/private/codec.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qvariant.h>

#include "support.h"

using NanostateQt::Extension;
namespace Codec = NanostateQt::Codec;

inline QByteArray encoded(const QVariant &value)
{
    QByteArray out;
    Codec::Error error;
    return Codec::encode(value, &out, &error) ? out.toHex() : "error: " + error.text.toUtf8();
}

inline bool decodes(const QByteArray &bytes, QVariant *out)
{
    return Codec::decode(bytes.constData(), size_t(bytes.size()), out);
}

inline QVariant decoded(const char *hex)
{
    QVariant out;
    return decodes(QByteArray::fromHex(hex), &out) ? out : QVariant(text("not decoded"));
}

#endif // NANOSTATEQT_TESTS_CODECS_H
