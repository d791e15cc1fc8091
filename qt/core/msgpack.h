#ifndef NANOSTATEQT_MSGPACK_H
#define NANOSTATEQT_MSGPACK_H

// Numbers of the MessagePack format. Not installed.

#include <QtCore/qglobal.h>

namespace NanostateQt {
namespace Codec {

// The extension that MessagePack itself defines.
constexpr int TimestampType = -1;
constexpr quint32 NanosPerSecond = 1000000000;
constexpr quint32 NanosPerMilli = 1000000;
constexpr qint64 MillisPerSecond = 1000;
// The seconds of a timestamp of 64 bits; the rest are nanoseconds.
constexpr int ShortSecondBits = 34;

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

} // namespace Codec
} // namespace NanostateQt

#endif // NANOSTATEQT_MSGPACK_H
