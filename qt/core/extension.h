#ifndef NANOSTATEQT_EXTENSION_H
#define NANOSTATEQT_EXTENSION_H

#include <NanostateQt/nanostateqt_global.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qmetatype.h>
#include <QtCore/qobjectdefs.h>

namespace NanostateQt {

/*! A MessagePack extension that has no Qt type: a number from -128 to 127, and bytes. Timestamps are QDateTime. */
class NANOSTATEQT_EXPORT Extension
{
    Q_GADGET
    Q_PROPERTY(int type MEMBER type)
    Q_PROPERTY(QByteArray data MEMBER data)

public:
    Extension() = default;
    Extension(int number, const QByteArray &bytes) : type(number), data(bytes) {}

    int type = 0;
    QByteArray data;

    friend bool operator==(const Extension &a, const Extension &b) { return a.type == b.type && a.data == b.data; }
    friend bool operator!=(const Extension &a, const Extension &b) { return !(a == b); }
};

} // namespace NanostateQt

Q_DECLARE_METATYPE(NanostateQt::Extension)

#endif // NANOSTATEQT_EXTENSION_H
