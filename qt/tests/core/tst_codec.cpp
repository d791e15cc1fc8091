#include <NanostateQt/Extension>
#include <NanostateQt/private/codec.h>

#include <QtCore/qcborarray.h>
#include <QtCore/qcbormap.h>
#include <QtCore/qcborvalue.h>
#include <QtCore/qdatetime.h>
#include <QtCore/qfile.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qrandom.h>
#include <QtCore/qsize.h>
#include <QtCore/qurl.h>
#include <QtCore/quuid.h>
#include <QtTest/qtest.h>

#include "support.h"

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

using namespace NanostateQt;

namespace {

QByteArray encoded(const QVariant &value)
{
    QByteArray out;
    Codec::Error error;
    return Codec::encode(value, &out, &error) ? out.toHex() : "error: " + error.text.toUtf8();
}

bool decodes(const QByteArray &bytes, QVariant *out)
{
    return Codec::decode(bytes.constData(), size_t(bytes.size()), out);
}

QVariant decoded(const char *hex)
{
    QVariant out;
    return decodes(QByteArray::fromHex(hex), &out) ? out : QVariant(text("not decoded"));
}

QVariant nested(int depth)
{
    QVariant value = 1;
    for (int i = 0; i < depth; ++i)
        value = QVariantList{value};
    return value;
}

// A decoded value as the core writes it in JSON.
QJsonValue toJson(const QVariant &value)
{
    const auto base64 = [](const QByteArray &bytes) { return QString::fromLatin1(bytes.toBase64()); };
    switch (value.userType()) {
    case QMetaType::QByteArray:
        return base64(value.toByteArray());
    case QMetaType::QDateTime: {
        const QDateTime time = value.toDateTime();
        return time.toString(time.time().msec() == 0 ? Qt::ISODate : Qt::ISODateWithMs);
    }
    case QMetaType::Double:
        return std::isfinite(value.toDouble()) ? QJsonValue(value.toDouble()) : QJsonValue();
    case QMetaType::QVariantList: {
        QJsonArray array;
        for (const QVariant &element : value.toList())
            array.append(toJson(element));
        return array;
    }
    case QMetaType::QVariantMap: {
        QJsonObject object;
        const QVariantMap map = value.toMap();
        for (auto it = map.begin(); it != map.end(); ++it)
            object.insert(it.key(), toJson(it.value()));
        return object;
    }
    default:
        if (value.userType() != qMetaTypeId<Extension>())
            return QJsonValue::fromVariant(value);
        const auto extension = value.value<Extension>();
        return QJsonObject{{text("ext"), extension.type}, {text("data"), base64(extension.data)}};
    }
}

QByteArray jsonText(const QJsonValue &value)
{
    return QJsonDocument(QJsonArray{value}).toJson(QJsonDocument::Compact);
}

// Skips a text or bytes of a message body.
int behindText(const QByteArray &body, int at)
{
    const uchar head = uchar(body.at(at));
    if ((head & 0xE0) == 0xA0)
        return at + 1 + (head & 0x1F);
    const int width = head == 0xD9 || head == 0xC4 ? 1 : head == 0xDA || head == 0xC5 ? 2 : 4;
    return at + 1 + width + int(body.mid(at + 1, width).toHex().toUInt(nullptr, 16));
}

// The data of a body that is well-formed: what is left between the name and what decodes as the rest.
QByteArray dataOf(const QByteArray &body)
{
    const uchar head = uchar(body.at(0));
    const int from = behindText(body, behindText(body, head == 0xDC ? 3 : head == 0xDD ? 5 : 1));
    QVariant ignored;
    // No value is the beginning of another one, so there is one length only.
    for (int size = 1; from + size <= body.size(); ++size) {
        if (decodes(body.mid(from, size), &ignored))
            return body.mid(from, size);
    }
    return QByteArray();
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

private:
    QJsonArray m_vectors;

private Q_SLOTS:
    void initTestCase()
    {
        QFile file(text(NANOSTATE_VECTORS "/bodies.json"));
        QVERIFY2(file.open(QIODevice::ReadOnly), qPrintable(file.fileName()));
        m_vectors = QJsonDocument::fromJson(file.readAll()).object().value(text("vectors")).toArray();
        QVERIFY(m_vectors.size() > 100);
    }

    void everyVectorIsReadAsItsJsonSays()
    {
        int checked = 0;
        for (const QJsonValue &each : std::as_const(m_vectors)) {
            const QJsonObject vector = each.toObject();
            if (vector.value(text("verdict")).toString() != text("ok"))
                continue;
            const QByteArray name = vector.value(text("case")).toString().toUtf8();
            const QByteArray data = dataOf(QByteArray::fromHex(vector.value(text("hex")).toString().toLatin1()));
            QVariant value;
            QVERIFY2(decodes(data, &value), name.constData());
            const QByteArray json = vector.value(text("json")).toString().toUtf8();
            const QString kind = vector.value(text("kind")).toString();
            if (kind == text("int") || kind == text("uint")) {
                // Exactly: JSON of Qt has doubles only.
                QCOMPARE(value.toString().toUtf8(), json);
                QCOMPARE(value.userType(), int(kind == text("int") ? QMetaType::LongLong : QMetaType::ULongLong));
            } else {
                const QJsonDocument expected = QJsonDocument::fromJson('[' + json + ']');
                QVERIFY2(expected.isArray(), name.constData());
                QVERIFY2(jsonText(toJson(value)) == jsonText(expected.array().at(0)), name.constData());
            }
            QByteArray again;
            QVariant value2;
            QVERIFY2(Codec::encode(value, &again), name.constData());
            QVERIFY2(decodes(again, &value2) && Codec::deepEqual(value, value2), name.constData());
            // Longer are only a float of 32 bits, and keys that became text.
            const bool mayGrow = kind == text("double") || json.contains('{');
            QVERIFY2(again.size() <= data.size() || mayGrow, name.constData());
            ++checked;
        }
        QVERIFY(checked > 80);
    }

    void noMalformedVectorIsRead()
    {
        const QStringList wellFormed{text("ok"),      text("sender"),      text("name"),     text("meta"),
                                     text("feature"), text("wrong-count"), text("not-array")};
        int checked = 0;
        for (const QJsonValue &each : std::as_const(m_vectors)) {
            const QJsonObject vector = each.toObject();
            if (wellFormed.contains(vector.value(text("verdict")).toString()))
                continue;
            // In a sender or a name bytes have to be text; as a value they need not.
            if (vector.value(text("case")).toString().startsWith(text("bin ")))
                continue;
            QVariant value = 1;
            const QByteArray body = QByteArray::fromHex(vector.value(text("hex")).toString().toLatin1());
            QVERIFY2(!decodes(body, &value), qPrintable(vector.value(text("case")).toString()));
            QVERIFY(!value.isValid());
            ++checked;
        }
        QVERIFY(checked > 40);
    }

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
        // What may be negative or large, for all that is known.
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

    void everyKindIsReadAsItsType()
    {
        QCOMPARE(decoded("c0").userType(), int(QMetaType::Nullptr));
        QCOMPARE(decoded("c3").userType(), int(QMetaType::Bool));
        QCOMPARE(decoded("05").userType(), int(QMetaType::LongLong));
        QCOMPARE(decoded("cf0000000000000005").userType(), int(QMetaType::LongLong));
        QCOMPARE(decoded("cf8000000000000000").userType(), int(QMetaType::ULongLong));
        QCOMPARE(decoded("ca3fc00000"), QVariant(1.5));
        QCOMPARE(decoded("cb3ff8000000000000").userType(), int(QMetaType::Double));
        QCOMPARE(decoded("a161").userType(), int(QMetaType::QString));
        QCOMPARE(decoded("c40161").userType(), int(QMetaType::QByteArray));
        QCOMPARE(decoded("90").userType(), int(QMetaType::QVariantList));
        QCOMPARE(decoded("80").userType(), int(QMetaType::QVariantMap));
        QCOMPARE(decoded("d60000000000").userType(), qMetaTypeId<Extension>());
        QCOMPARE(decoded("d6ff00000000").userType(), int(QMetaType::QDateTime));
        QCOMPARE(decoded("cf0020000000000001").toLongLong(), 9007199254740993ll);
        QCOMPARE(decoded("cfffffffffffffffff").toULongLong(), std::numeric_limits<quint64>::max());
        QCOMPARE(decoded("a6efbbbfefbbbf").toString(), QString(2, QChar(0xFEFF)));
    }

    void bytesThatAreTextAreTextOnDemand()
    {
        const auto asText = [](const char *hex) {
            const QByteArray bytes = QByteArray::fromHex(hex);
            QVariant out;
            Codec::decode(bytes.constData(), size_t(bytes.size()), &out, Codec::Bytes::AsText);
            return out;
        };
        QCOMPARE(asText("c40461c3bc62"), QVariant(text("aüb")));
        QCOMPARE(asText("c400"), QVariant(QString(text(""))));
        QCOMPARE(asText("c402c328"), QVariant(QByteArray("\xC3\x28")));
        QCOMPARE(asText("91c40161"), QVariant(QVariantList{text("a")}));
        QCOMPARE(asText("81c4016101"), QVariant(QVariantMap{{text("a"), qlonglong(1)}}));
        for (const char *notText :
             {"c401ff", "c402c080", "c403eda080", "c404f4908080", "c403e08080", "c404f08080af", "c401c3"}) {
            QCOMPARE(asText(notText).userType(), int(QMetaType::QByteArray));
        }
    }

    void timestampsAreReadInAllThreeForms_data()
    {
        QTest::addColumn<QByteArray>("hex");
        QTest::addColumn<qint64>("millis");
        QTest::addColumn<bool>("same");
        const auto row = [](const char *name, const char *hex, qint64 millis, bool same = true) {
            QTest::newRow(name) << QByteArray(hex) << millis << same;
        };
        row("32 bits, 1970", "d6ff00000000", 0);
        row("32 bits, last", "d6ffffffffff", 4294967295000);
        row("64 bits, 1 ms", "d7ff003d090000000000", 1);
        row("64 bits, after 2106", "d7ff0000000100000000", 4294967296000);
        row("64 bits, last second", "d7ffee2e1f03ffffffff", 17179869183999);
        row("64 bits, not shortest", "d7ff0000000000000005", 5000, false);
        row("64 bits, nanoseconds are cut", "d7ff003d08fc00000000", 0, false);
        row("96 bits, before 1970", "c70cff00000000ffffffffffffffff", -1000);
        row("96 bits, 1 ms before 1970", "c70cff3b8b87c0ffffffffffffffff", -1);
        row("96 bits, 1 ns before 1970", "c70cff3b9ac9ffffffffffffffffff", -1, false);
        row("96 bits, year 2514", "c70cff000000000000000400000000", 17179869184000);
        row("96 bits, year 1", "c70cff00000000fffffff1886e0900", -62135596800000);
        row("96 bits, not shortest", "c70cff000000000000000000000005", 5000, false);
    }

    void timestampsAreReadInAllThreeForms()
    {
        QFETCH(QByteArray, hex);
        QFETCH(qint64, millis);
        QFETCH(bool, same);
        const QVariant value = decoded(hex.constData());
        QCOMPARE(value.userType(), int(QMetaType::QDateTime));
        QCOMPARE(value.toDateTime().toMSecsSinceEpoch(), millis);
        QCOMPARE(value.toDateTime().timeSpec(), Qt::UTC);
        QCOMPARE(encoded(value) == hex, same);
        QCOMPARE(decoded(encoded(value).constData()), value);
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

    void whatIsNoTimestampStaysAnExtension_data()
    {
        QTest::addColumn<QByteArray>("hex");
        QTest::newRow("1 byte") << QByteArray("d4ff61");
        QTest::newRow("2 bytes") << QByteArray("d5ff6162");
        QTest::newRow("nanoseconds of a second and more") << QByteArray("d7ffee6b280000000000");
        QTest::newRow("nanoseconds in 96 bits") << QByteArray("c70cff3b9aca000000000000000000");
        QTest::newRow("the end of time") << QByteArray("c70cff000000007fffffffffffffff");
        QTest::newRow("the beginning of time") << QByteArray("c70cff000000008000000000000000");
    }

    void whatIsNoTimestampStaysAnExtension()
    {
        QFETCH(QByteArray, hex);
        const QVariant value = decoded(hex.constData());
        QCOMPARE(value.userType(), qMetaTypeId<Extension>());
        QCOMPARE(value.value<Extension>().type, -1);
        QCOMPARE(encoded(value), hex);
    }

    void keysAreTextAsInTheJsonOfTheCore()
    {
        QRandomGenerator random(1);
        ns_app *app = nullptr;
        QCOMPARE(ns_app_new("keys", &app), NS_OK);
        QList<QByteArray> keys;
        for (const char *hex : {"c0", "c2", "c3", "00", "e0", "cfffffffffffffffff", "d38000000000000000", "a0",
                                "c4020061", "92c001", "81a16101", "d40561", "d6ff00000000", "ca3dcccccd",
                                "cb0000000000000000", "cb8000000000000000", "cb7ff0000000000000",
                                "cb7ff8000000000000"}) {
            keys.append(QByteArray::fromHex(hex));
        }
        for (const double number :
             {1e15, 1e16, 1e17, 1e-4, 1e-5, 9.999e-6, 0.1, 123456.75, 5e-324, 1.7976931348623157e308}) {
            keys.append(QByteArray::fromHex(encoded(number)));
        }
        for (int i = 0; i < 2000; ++i) {
            QByteArray number = "\xCB";
            for (int byte = 0; byte < 8; ++byte)
                number.append(char(random.bounded(256)));
            keys.append(number);
        }
        for (const QByteArray &key : std::as_const(keys)) {
            const QByteArray map = "\x81" + key + "\xC0";
            ns_state *state = nullptr;
            const char *json = nullptr;
            QCOMPARE(ns_app_send_msgpack(app, "n", map.constData(), size_t(map.size())), NS_OK);
            QCOMPARE(ns_app_get(app, nullptr, "n", &state), NS_OK);
            QCOMPARE(ns_state_json(state, &json, nullptr), NS_OK);
            const QStringList expected = QJsonDocument::fromJson(json).object().keys();
            ns_state_free(state);
            QVariant value;
            QVERIFY2(decodes(map, &value), map.toHex().constData());
            QCOMPARE(value.toMap().keys(), expected);
        }
        ns_app_free(app);
    }

    void ofAKeyGivenTwiceTheLastCounts()
    {
        QCOMPARE(decoded("82a16b01a16b02"), QVariant(QVariantMap{{text("k"), qlonglong(2)}}));
    }

    void claimedLengthsCostNothing()
    {
        for (const char *hex : {"ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff05", "dcffff01",
                                "ddffffffff0102", "dfffffffffa16b01"}) {
            QVariant value;
            QVERIFY(!decodes(QByteArray::fromHex(hex), &value));
        }
    }

    void depthIsBounded()
    {
        QVariant value;
        for (const char head : {'\x91', '\x81'}) {
            QByteArray bytes;
            for (int i = 0; i < Codec::MaxDepth; ++i)
                bytes += head == '\x91' ? QByteArray(1, head) : QByteArray("\x81\xA0");
            QVERIFY(decodes(bytes + '\x01', &value));
            QVERIFY(!decodes(head == '\x91' ? bytes + QByteArray("\x90") : bytes + QByteArray("\x80"), &value));
            QVERIFY(!decodes(bytes.repeated(10000), &value));
        }
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

    // Whatever comes, this codec and the core's own check are of one mind, and what was read can be written.
    void randomBytesAreReadIfAndOnlyIfTheCoreTakesThem()
    {
        std::vector<QByteArray> seeds;
        for (const QJsonValue &each : std::as_const(m_vectors)) {
            const QJsonObject vector = each.toObject();
            if (vector.value(text("verdict")).toString() == text("ok"))
                seeds.push_back(dataOf(QByteArray::fromHex(vector.value(text("hex")).toString().toLatin1())));
        }
        ns_app *app = nullptr;
        QCOMPARE(ns_app_new("fuzz", &app), NS_OK);
        QRandomGenerator random(20240501);
        int taken = 0;
        const int count = runs("NANOSTATE_FUZZ_RUNS", 20000);
        for (int run = 0; run < count; ++run) {
            QByteArray bytes = seeds[random.bounded(quint32(seeds.size()))];
            for (int change = random.bounded(4); change >= 0; --change) {
                const int at = bytes.isEmpty() ? 0 : random.bounded(int(bytes.size()));
                switch (bytes.isEmpty() ? 1 : random.bounded(6)) {
                case 0:
                    bytes[at] = char(random.bounded(256));
                    break;
                case 1:
                    bytes.insert(at, char(random.bounded(256)));
                    break;
                case 2:
                    bytes.remove(at, 1 + random.bounded(3));
                    break;
                case 3:
                    bytes[at] = char(bytes.at(at) ^ (1 << random.bounded(8)));
                    break;
                case 4:
                    bytes.prepend(random.bounded(2) ? "\x91" : "\x81\xA0");
                    break;
                default:
                    bytes += seeds[random.bounded(quint32(seeds.size()))];
                }
            }
            QVariant value;
            const bool read = decodes(bytes, &value);
            const bool valid = ns_app_send_msgpack(app, "n", bytes.constData(), size_t(bytes.size())) == NS_OK;
            QVERIFY2(read == valid, bytes.toHex().constData());
            if (!read)
                continue;
            ++taken;
            QByteArray again;
            QVariant value2;
            QVERIFY2(Codec::encode(value, &again), bytes.toHex().constData());
            QVERIFY2(decodes(again, &value2) && Codec::deepEqual(value, value2), bytes.toHex().constData());
        }
        QVERIFY(taken > count / 100);
        ns_app_free(app);
    }
};

QTEST_GUILESS_MAIN(CodecTest)
#include "tst_codec.moc"
