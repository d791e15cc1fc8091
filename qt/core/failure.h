#ifndef NANOSTATEQT_FAILURE_H
#define NANOSTATEQT_FAILURE_H

// Errors of a client, and conversion of strings to and from the C API. Not installed.

#include "client.h"
#include "codec.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>

namespace NanostateQt {

/*! An error, as a number and as text. False: there is none. */
struct Failure
{
    Client::Error error = Client::Error::NoError;
    QString text;

    explicit operator bool() const { return error != Client::Error::NoError; }
    bool operator==(const Failure &other) const { return error == other.error && text == other.text; }
};

inline QString fromCString(const char *utf8)
{
    return Codec::fromUtf8(utf8, qstrlen(utf8));
}

inline Failure failure(ns_status status, const QString &text)
{
    return {static_cast<Client::Error>(status), text};
}

/*! The last failure of the C API in this thread. */
inline Failure lastFailure(ns_status status)
{
    return failure(status, fromCString(ns_last_error()));
}

/*! What a call of the C API in this thread has just returned. */
inline Failure resultOf(ns_status status)
{
    return status == NS_OK ? Failure() : lastFailure(status);
}

/*! Makes a NUL-terminated string for the C API. False: the text contains a NUL, for which \a why has \a status, or half
    a surrogate pair. \a what names the text in \a why. */
inline bool toCString(const QString &text, ns_status status, const char *what, QByteArray *out, Failure *why)
{
    if (text.contains(QChar(QChar::Null))) {
        *why = failure(status, QStringLiteral("%1 has a NUL character").arg(QLatin1String(what)));
        return false;
    }
    if (!Codec::toUtf8(text, out)) {
        *why = failure(NS_ERR_UTF8, QStringLiteral("%1 has half a surrogate pair").arg(QLatin1String(what)));
        return false;
    }
    return true;
}

} // namespace NanostateQt

#endif // NANOSTATEQT_FAILURE_H
