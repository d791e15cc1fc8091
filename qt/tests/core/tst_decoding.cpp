#include <QtCore/qdatetime.h>
#include <QtCore/qfile.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qrandom.h>
#include <QtTest/qtest.h>

#include "codecs.h"

#include <cmath>
#include <limits>
#include <vector>

namespace {

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

// The data of a well-formed body: what is between the name and the rest that decodes as meta.
QByteArray dataOf(const QByteArray &body)
{
    const uchar head = uchar(body.at(0));
    const int from = behindText(body, behindText(body, head == 0xDC ? 3 : head == 0xDD ? 5 : 1));
    QVariant ignored;
    // No value is a prefix of another one, so only one length is possible.
    for (int size = 1; from + size <= body.size(); ++size) {
        if (decodes(body.mid(from, size), &ignored))
            return body.mid(from, size);
    }
    return QByteArray();
}

} // namespace

class DecodingTest : public QObject
{
    Q_OBJECT

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
                // Compared as text: JSON of Qt has only doubles.
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
            // Only floats of 32 bits and keys that became text get longer.
            const bool mayGrow = kind == text("double") || json.contains('{');
            QVERIFY2(again.size() <= data.size() || mayGrow, name.constData());
            ++checked;
        }
        QVERIFY(checked > 80);
    }

    void noMalformedVectorIsRead()
    {
        const QStringList wellFormed{text("ok"),      text("sender"), text("name"),        text("meta"),
                                     text("feature"), text("clear"),  text("wrong-count"), text("not-array")};
        int checked = 0;
        for (const QJsonValue &each : std::as_const(m_vectors)) {
            const QJsonObject vector = each.toObject();
            if (wellFormed.contains(vector.value(text("verdict")).toString()))
                continue;
            // In a sender or a name, bytes have to be text; in a value they need not be.
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

    // Whatever the bytes are, this codec and the core's own check agree, and what was read can be written.
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

QTEST_GUILESS_MAIN(DecodingTest)
#include "tst_decoding.moc"
