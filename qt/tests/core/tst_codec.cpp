#include <QtCore/qcborarray.h>
#include <QtCore/qcbormap.h>
#include <QtCore/qcborvalue.h>
#include <QtCore/qdatetime.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qsize.h>
#include <QtCore/qurl.h>
#include <QtCore/quuid.h>
#include <QtTest/qtest.h>

#include "codecs.h"

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace {

QVariant nested(int depth)
{
    QVariant value = 1;
    for (int i = 0; i < depth; ++i)
        value = QVariantList{value};
    return value;
}

enum class Wide : quint64 { Most = std::numeric_limits<quint64>::max() };
enum class Plain : qint16 { Below = -2, Above = 2 };
enum class Signed { Below = -2 };
enum class Unsigned : quint32 { Most = std::numeric_limits<quint32>::max() };

using MapByStdString = std::map<std::string, int>;

} // namespace

Q_DECLARE_METATYPE(Wide)
Q_DECLARE_METATYPE(Plain)
Q_DECLARE_METATYPE(Signed)
Q_DECLARE_METATYPE(Unsigned)
Q_DECLARE_METATYPE(std::string)
Q_DECLARE_METATYPE(MapByStdString)

class CodecTest : public QObject
{
    Q_OBJECT

public:
    enum Color { Red = 7, Green = -3 };
    Q_ENUM(Color)
    enum class Level : quint8 { Low = 1, High = 200 };
    Q_ENUM(Level)
    enum class Depth : qint8 { Deep = -100, Flat = 0 };
    Q_ENUM(Depth)
    enum class Port : quint16 { Any = 0, Last = 65535 };
    Q_ENUM(Port)
    enum Part { NoPart = 0, FirstPart = 1, LastPart = 0x80000000u };
    Q_DECLARE_FLAGS(Parts, Part)
    Q_FLAG(Parts)

private Q_SLOTS:
    void everythingIsWrittenInItsShortestForm_data()
    {
        QTest::addColumn<QVariant>("value");
        QTest::addColumn<QByteArray>("hex");
        const auto row = [](const char *name, const QVariant &value, const char *hex) {
            QTest::newRow(name) << value << QByteArray(hex);
        };
        row("nothing", QVariant(), "c0");
        row("null", QVariant::fromValue(nullptr), "c0");
        row("null pointer", QVariant::fromValue(static_cast<void *>(nullptr)), "c0");
        row("false", false, "c2");
        row("true", true, "c3");
        row("0", 0, "00");
        row("127", 127, "7f");
        row("128", 128, "cc80");
        row("255", 255, "ccff");
        row("256", 256, "cd0100");
        row("65535", 65535, "cdffff");
        row("65536", 65536, "ce00010000");
        row("2^32-1", 4294967295u, "ceffffffff");
        row("2^32", 4294967296ll, "cf0000000100000000");
        row("2^53+1", 9007199254740993ll, "cf0020000000000001");
        row("largest int64", std::numeric_limits<qint64>::max(), "cf7fffffffffffffff");
        row("largest uint64", std::numeric_limits<quint64>::max(), "cfffffffffffffffff");
        row("-1", -1, "ff");
        row("-32", -32, "e0");
        row("-33", -33, "d0df");
        row("-128", -128, "d080");
        row("-129", -129, "d1ff7f");
        row("-32768", -32768, "d18000");
        row("-32769", -32769, "d2ffff7fff");
        row("-2^31", std::numeric_limits<int>::min(), "d280000000");
        row("-2^31-1", -2147483649ll, "d3ffffffff7fffffff");
        row("least int64", std::numeric_limits<qint64>::min(), "d38000000000000000");
        row("short", QVariant::fromValue(short(-5)), "fb");
        row("unsigned short", QVariant::fromValue(ushort(300)), "cd012c");
        row("long", QVariant::fromValue(-40l), "d0d8");
        row("unsigned long", QVariant::fromValue(200ul), "ccc8");
        row("signed char", QVariant::fromValue(static_cast<signed char>(-7)), "f9");
        row("unsigned char", QVariant::fromValue(uchar(200)), "ccc8");
        row("enum", QVariant::fromValue(Green), "fd");
        row("unsigned enum of 8 bits", QVariant::fromValue(Level::High), "ccc8");
        row("signed enum of 8 bits", QVariant::fromValue(Depth::Deep), "d09c");
        row("unsigned enum of 16 bits", QVariant::fromValue(Port::Last), "cdffff");
        row("no key of an unsigned enum", QVariant::fromValue(Level(255)), "ccff");
        row("no key of a signed enum", QVariant::fromValue(Depth(-1)), "ff");
        row("flags", QVariant::fromValue(Parts(FirstPart | LastPart)), "ce80000001");
        row("enum without keys", QVariant::fromValue(Plain::Above), "02");
#if QT_VERSION >= QT_VERSION_CHECK(6, 0, 0)
        row("negative enum without keys", QVariant::fromValue(Plain::Below), "fe");
        row("unsigned enum without keys", QVariant::fromValue(Wide::Most), "cfffffffffffffffff");
#endif
        row("float", 1.5f, "ca3fc00000");
        row("double", 1.5, "cb3ff8000000000000");
        row("whole double", 50.0, "cb4049000000000000");
        row("text", text("für"), "a466c3bc72");
        row("no text", QString(), "a0");
        row("text of 31", QString(31, QLatin1Char('x')), QByteArray("bf" + QByteArray(31, 'x').toHex()).constData());
        row("text of 32", QString(32, QLatin1Char('x')), QByteArray("d920" + QByteArray(32, 'x').toHex()).constData());
        row("text with NUL", QString(QChar(0)), "a100");
        row("text with a byte order mark", QString(QChar(0xFEFF)), "a3efbbbf");
        row("text beyond 16 bits", text("😀"), "a4f09f9880");
        row("character", QChar(u'x'), "a178");
        row("URL", QUrl(text("a:b")), "a3613a62");
        row("date", QDate(2020, 2, 3), "aa323032302d30322d3033");
        row("time", QTime(1, 2, 3, 4), "ac30313a30323a30332e303034");
        row("UUID", QUuid(), "d9267b30303030303030302d303030302d303030302d303030302d3030303030303030303030307d");
        row("bytes", QByteArray("a\0b", 3), "c403610062");
        row("no bytes", QByteArray(), "c400");
        row("list", QVariantList{1, text("a"), QVariant()}, "9301a161c0");
        row("list of 16", QVariantList(QVector<QVariant>(16, 1).toList()), "dc001001010101010101010101010101010101");
        row("texts", QStringList{text("a"), text("b")}, "92a161a162");
        row("vector of int", QVariant::fromValue(QVector<int>{1, 2}), "920102");
        row("std::vector of double", QVariant::fromValue(std::vector<double>{1.5}), "91cb3ff8000000000000");
        row("map", QVariantMap{{text("b"), 1}, {text("a"), true}}, "82a161c3a16201");
        row("hash", QVariantHash{{text("b"), 1}}, "81a16201");
        row("map of int", QVariant::fromValue(QMap<QString, int>{{text("k"), 5}}), "81a16b05");
        row("map by int", QVariant::fromValue(QMap<int, QString>{{5, text("k")}}), "81a135a16b");
        row("JSON object", QJsonObject{{text("k"), QJsonArray{QJsonValue(), true}}}, "81a16b92c0c3");
        row("CBOR number", QVariant::fromValue(QCborValue(5)), "05");
        row("CBOR text", QVariant::fromValue(QCborValue(text("x"))), "a178");
        row("CBOR array", QVariant::fromValue(QCborValue(QCborArray{1, QCborValue()})), "9201c0");
        row("CBOR map", QVariant::fromValue(QCborMap{{text("k"), 1.5}}), "81a16bcb3ff8000000000000");
        row("JSON document", QJsonDocument(QJsonArray{text("a")}), "91a161");
        row("ext of 1", QVariant::fromValue(Extension(5, "a")), "d40561");
        row("ext of 3", QVariant::fromValue(Extension(-128, "abc")), "c70380616263");
        row("ext of 16", QVariant::fromValue(Extension(1, QByteArray(16, 0))), "d80100000000000000000000000000000000");
        row("depth 32", nested(32), QByteArray(QByteArray(32, '\x91').toHex() + "01").constData());
    }

    void everythingIsWrittenInItsShortestForm()
    {
        QFETCH(QVariant, value);
        QFETCH(QByteArray, hex);
        QCOMPARE(encoded(value), hex);
        const QVariant back = decoded(hex.constData());
        QVERIFY(Codec::deepEqual(back, decoded(encoded(back).constData())));
    }

    void longTextsAndContainersHaveTheRightHeads()
    {
        for (const int size : {255, 256, 65535, 65536}) {
            const QByteArray hex = encoded(QByteArray(size, 'x'));
            const QByteArray head = size < 256 ? "c4ff" : size < 65536 ? "c5" : "c6";
            QVERIFY(hex.startsWith(head));
            QCOMPARE(decoded(hex.constData()), QVariant(QByteArray(size, 'x')));
            const QVariant longText = QString(size, QLatin1Char('y'));
            QCOMPARE(decoded(encoded(longText).constData()), longText);
            const QVariant longList = QVariantList(QVector<QVariant>(size, qlonglong(1)).toList());
            QCOMPARE(decoded(encoded(longList).constData()), longList);
            QVariantMap map;
            for (int i = 0; i < size; ++i)
                map.insert(QString::number(i), qlonglong(i));
            QCOMPARE(decoded(encoded(map).constData()), QVariant(map));
            QCOMPARE(decoded(encoded(QVariant::fromValue(Extension(9, QByteArray(size, 'z')))).constData())
                         .value<Extension>(),
                     Extension(9, QByteArray(size, 'z')));
        }
    }

    void whatCannotBeSentIsNamed_data()
    {
        QTest::addColumn<QVariant>("value");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("word");
        const int value = NS_ERR_MSGPACK;
        QTest::newRow("size") << QVariant(QSize(1, 2)) << value << text("QSize");
        QTest::newRow("in a list") << QVariant(QVariantList{QSize(1, 2)}) << value << text("QSize");
        QTest::newRow("in a map") << QVariant(QVariantMap{{text("k"), QSize(1, 2)}}) << value << text("QSize");
        QTest::newRow("object") << QVariant::fromValue<QObject *>(this) << value << text("QObject*");
        QTest::newRow("pointer") << QVariant::fromValue(static_cast<void *>(this)) << value << text("void*");
        QTest::newRow("ext number") << QVariant::fromValue(Extension(128, "a")) << value << text("128");
        const QVariant noText = QVariant::fromValue(MapByStdString{{"a", 1}, {"b", 2}});
        QTest::newRow("map by what is no text") << noText << value << text(noText.typeName());
#if QT_VERSION < QT_VERSION_CHECK(6, 0, 0)
        // Enums that may be negative or large, as far as Qt knows.
        QTest::newRow("enum without keys") << QVariant::fromValue(Plain::Below) << value << text("Plain");
        QTest::newRow("unsigned enum without keys") << QVariant::fromValue(Wide::Most) << value << text("Wide");
#endif
        QTest::newRow("no date") << QVariant(QDateTime()) << value << text("QDateTime");
        QTest::newRow("depth 33") << nested(33) << value << text("32");
        QTest::newRow("half a pair") << QVariant(QString(QChar(0xD83D))) << int(NS_ERR_UTF8) << text("surrogate");
        QTest::newRow("second half") << QVariant(text("a") + QChar(0xDE00) + text("b")) << int(NS_ERR_UTF8)
                                     << text("surrogate");
        QTest::newRow("half a pair as key") << QVariant(QVariantMap{{QString(QChar(0xD83D)), 1}}) << int(NS_ERR_UTF8)
                                            << text("surrogate");
    }

    void whatCannotBeSentIsNamed()
    {
        QFETCH(QVariant, value);
        QFETCH(int, status);
        QFETCH(QString, word);
        QByteArray out = "before";
        Codec::Error error;
        QVERIFY(!Codec::encode(value, &out, &error));
        QCOMPARE(int(error.status), status);
        QVERIFY2(error.text.contains(word), qPrintable(error.text));
        QCOMPARE(out, QByteArray("before"));
    }

    void aConverterTellsWhetherAnEnumIsSigned()
    {
        QVERIFY((QMetaType::registerConverter<Signed, qlonglong>([](Signed value) { return qlonglong(value); })));
        QVERIFY((QMetaType::registerConverter<Unsigned, qulonglong>([](Unsigned value) { return qulonglong(value); })));
        QCOMPARE(encoded(QVariant::fromValue(Signed::Below)), QByteArray("fe"));
        QCOMPARE(encoded(QVariant::fromValue(Unsigned::Most)), QByteArray("ceffffffff"));
    }

    void timesOfOtherZonesAreTheSameInstant()
    {
        const QDateTime utc(QDate(1969, 12, 31), QTime(23, 59, 59, 999), Qt::UTC);
        QCOMPARE(encoded(utc.toOffsetFromUtc(-5 * 3600)), encoded(utc));
        QCOMPARE(encoded(utc.toLocalTime()), encoded(utc));
    }

    void theFirstAndTheLastInstantAreWritten()
    {
        const auto instant = [](qint64 millis) { return QDateTime::fromMSecsSinceEpoch(millis, Qt::UTC); };
        QCOMPARE(encoded(instant(std::numeric_limits<qint64>::min())), QByteArray("c70cff0b71b000ffdf3b645a1cac08"));
        QCOMPARE(encoded(instant(std::numeric_limits<qint64>::max())), QByteArray("c70cff3019d7c00020c49ba5e353f7"));
    }

    void equalIsWhatReceiversCannotTellApart_data()
    {
        QTest::addColumn<QVariant>("a");
        QTest::addColumn<QVariant>("b");
        QTest::addColumn<bool>("equal");
        const auto row = [](const char *name, const QVariant &a, const QVariant &b, bool equal) {
            QTest::newRow(name) << a << b << equal;
        };
        const double nan = std::numeric_limits<double>::quiet_NaN();
        const qint64 odd = 9007199254740993;
        row("int and double", 50, 50.0, true);
        row("int and other double", 50, 50.5, false);
        row("int and float", 2, 2.0f, true);
        row("signed and unsigned", 7, 7u, true);
        row("zeros", 0.0, -0.0, true);
        row("int 0 and -0.0", 0, -0.0, true);
        row("beyond 2^53", odd, double(odd), false);
        row("beyond 2^53, exact", odd + 1, double(odd + 1), true);
        row("2^63", quint64(1) << 63, std::ldexp(1.0, 63), true);
        row("2^64 is no integer of ours", std::numeric_limits<quint64>::max(), std::ldexp(1.0, 64), false);
        row("-2^63", std::numeric_limits<qint64>::min(), -std::ldexp(1.0, 63), true);
        row("NaNs", nan, nan, true);
        row("NaN and float NaN", nan, std::numeric_limits<float>::quiet_NaN(), true);
        row("NaN and 0", nan, 0, false);
        row("float and double of 0.1", 0.1f, 0.1, false);
        row("true and 1", true, 1, false);
        row("text and number", text("1"), 1, false);
        row("text and bytes", text("a"), QByteArray("a"), false);
        row("nothing and null", QVariant(), QVariant::fromValue(nullptr), true);
        row("null and 0", QVariant(), 0, false);
        row("lists", QVariantList{1, text("a")}, QVariantList{1.0, text("a")}, true);
        row("lists of another order", QVariantList{1, 2}, QVariantList{2, 1}, false);
        row("list and its beginning", QVariantList{1, 2}, QVariantList{1}, false);
        row("list and texts", QVariantList{text("a")}, QStringList{text("a")}, true);
        row("maps", QVariantMap{{text("k"), QVariantList{nan}}}, QVariantHash{{text("k"), QVariantList{nan}}}, true);
        row("maps of other values", QVariantMap{{text("k"), 1}}, QVariantMap{{text("k"), 2}}, false);
        row("maps of other keys", QVariantMap{{text("k"), 1}}, QVariantMap{{text("l"), 1}}, false);
        const QDateTime time = QDateTime::fromMSecsSinceEpoch(1600000000123, Qt::UTC);
        row("an instant in two zones", time, time.toOffsetFromUtc(3600), true);
        row("two instants", time, time.addMSecs(1), false);
        row("extensions", QVariant::fromValue(Extension(1, "a")), QVariant::fromValue(Extension(1, "a")), true);
        row("other extensions", QVariant::fromValue(Extension(1, "a")), QVariant::fromValue(Extension(2, "a")), false);
        row("what cannot be sent", QSize(1, 2), QSize(1, 2), true);
        row("what cannot be sent, other", QSize(1, 2), QSize(1, 3), false);
        row("what cannot be sent and what can", QSize(1, 2), 1, false);
    }

    void equalIsWhatReceiversCannotTellApart()
    {
        QFETCH(QVariant, a);
        QFETCH(QVariant, b);
        QFETCH(bool, equal);
        QCOMPARE(Codec::deepEqual(a, b), equal);
        QCOMPARE(Codec::deepEqual(b, a), equal);
        QVERIFY(Codec::deepEqual(a, a) && Codec::deepEqual(b, b));
    }
};

QTEST_GUILESS_MAIN(CodecTest)
#include "tst_codec.moc"
