import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// Values of JavaScript, and what arrives at the other end: the peer knows nothing of Qt.
HubTestCase {
    id: test
    name: "Values"

    property var listOfInts: [1, 2]
    property date someDate: new Date(1500)

    function hex(buffer) {
        return Array.from(new Uint8Array(buffer)).map(octet => (octet < 16 ? "0" : "") + octet.toString(16)).join("")
    }

    function test_a_value_of_JavaScript_is_sent_as_what_it_is_data() {
        const bytes = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7])
        class Point {
            constructor(x) { this.x = x }
            method() {}
        }
        const heir = Object.create({ method: function() {} })
        heir.x = 3
        const withGetter = { get twice() { return 2 } }
        const bare = Object.create(null)
        bare.a = 1
        return [
            { tag: "true", value: true, raw: "c3" },
            { tag: "false", value: false, raw: "c2" },
            { tag: "null", value: null, raw: "c0" },
            { tag: "0", value: 0, raw: "00" },
            { tag: "-1", value: -1, raw: "ff" },
            { tag: "300", value: 300, raw: "cd012c" },
            { tag: "2.5", value: 2.5, raw: "cb4004000000000000" },
            { tag: "2 to the 53", value: Math.pow(2, 53), raw: "cb4340000000000000" },
            { tag: "NaN", value: NaN, raw: "cb7ff8000000000000" },
            { tag: "infinity", value: -Infinity, raw: "cbfff0000000000000" },
            { tag: "empty text", value: "", raw: "a0" },
            { tag: "text", value: "h\u00e9\ud83d\ude00", raw: "a768c3a9f09f9880" },
            { tag: "empty array", value: [], raw: "90" },
            { tag: "array", value: [1, "a", null, [true]], raw: "9401a161c091c3" },
            { tag: "array of QML", value: listOfInts, raw: "920102" },
            { tag: "empty object", value: {}, raw: "80" },
            { tag: "object", value: { a: 1, b: { c: [] } }, raw: "82a16101a16281a16390" },
            { tag: "object of a class", value: new Point(3), raw: "81a17803" },
            { tag: "object with a prototype", value: heir, raw: "81a17803" },
            { tag: "object with a getter", value: withGetter, raw: "81a5747769636502" },
            { tag: "object without a prototype", value: bare, raw: "81a16101" },
            { tag: "ArrayBuffer", value: bytes.buffer, raw: "c4080001020304050607" },
            { tag: "empty ArrayBuffer", value: new ArrayBuffer(0), raw: "c400" },
            { tag: "Uint8Array", value: bytes, raw: "c4080001020304050607" },
            { tag: "empty Uint8Array", value: new Uint8Array(0), raw: "c400" },
            { tag: "part of an Uint8Array", value: bytes.subarray(2, 5), raw: "c403020304" },
            { tag: "Int8Array", value: new Int8Array([-1, 1]), raw: "c402ff01" },
            { tag: "Uint8ClampedArray", value: new Uint8ClampedArray([300]), raw: "c401ff" },
            { tag: "part as an Uint16Array", value: new Uint16Array(bytes.buffer, 2, 2), raw: "c40402030405" },
            { tag: "Float64Array", value: new Float64Array([0]), raw: "c4080000000000000000" },
            { tag: "DataView", value: new DataView(bytes.buffer, 6), raw: "c4020607" },
            { tag: "bytes inside", value: { b: [bytes.subarray(7)] }, raw: "81a16291c40107" },
            { tag: "Date", value: new Date(1000), raw: "d6ff00000001" },
            { tag: "Date with milliseconds", value: new Date(1500), raw: "d7ff7735940000000001" },
            { tag: "Date before 1970", value: new Date(-1), raw: "c70cff3b8b87c0ffffffffffffffff" },
            { tag: "date of QML", value: someDate, raw: "d7ff7735940000000001" },
            { tag: "Date inside", value: [new Date(1000)], raw: "91d6ff00000001" },
            { tag: "color", value: Qt.rgba(1, 0, 0, 1).toString(), raw: "a723666630303030" },
            { tag: "url", value: Qt.resolvedUrl("http://a/b").toString(), raw: "aa687474703a2f2f612f62" }
        ]
    }
    function test_a_value_of_JavaScript_is_sent_as_what_it_is(data) {
        verify(client.publish("published", data.value))
        eventually(() => peer.raw("published") === data.raw, peer.raw("published"))
        const shared = makeShared({ name: "set" })
        shared.value = data.value
        eventually(() => peer.raw("set") === data.raw, peer.raw("set"))
    }

    function test_a_value_arrives_in_JavaScript_as_what_it_is_data() {
        return [
            { tag: "true", raw: "c3", check: value => value === true },
            { tag: "nil", raw: "c0", check: value => value === null },
            { tag: "integer", raw: "cd012c", check: value => value === 300 },
            { tag: "negative integer", raw: "d3ffffffff00000000", check: value => value === -4294967296 },
            { tag: "large integer", raw: "cf0020000000000000", check: value => value === Math.pow(2, 53) },
            { tag: "single", raw: "ca40200000", check: value => value === 2.5 },
            { tag: "double", raw: "cb4004000000000000", check: value => value === 2.5 },
            { tag: "NaN", raw: "cb7ff8000000000000", check: value => typeof value === "number" && isNaN(value) },
            { tag: "text", raw: "a768c3a9f09f9880", check: value => value === "h\u00e9\ud83d\ude00" },
            { tag: "bytes", raw: "c40300ff0a",
              check: value => value instanceof ArrayBuffer && hex(value) === "00ff0a" },
            { tag: "array", raw: "9401a161c091c3",
              check: value => value.length === 4 && value[1] === "a" && value[2] === null && value[3][0] === true },
            { tag: "map", raw: "82a16101a16281a16390",
              check: value => value.a === 1 && value.b.c.length === 0 && Object.keys(value).join() === "a,b" },
            { tag: "map with keys of other kinds", raw: "820105c306",
              check: value => value["1"] === 5 && value["true"] === 6 },
            { tag: "timestamp of 32 bits", raw: "d6ff00000001",
              check: value => value instanceof Date && value.getTime() === 1000 },
            { tag: "timestamp of 64 bits", raw: "d7ff7735940000000001", check: value => value.getTime() === 1500 },
            { tag: "timestamp of 96 bits", raw: "c70cff3b8b87c0ffffffffffffffff",
              check: value => value.getTime() === -1 },
            { tag: "extension", raw: "d40563", check: value => value.type === 5 && hex(value.data) === "63" }
        ]
    }
    function test_a_value_arrives_in_JavaScript_as_what_it_is(data) {
        const shared = makeShared()
        verify(peer.sendRaw("v", data.raw))
        eventually(() => shared.valid)
        verify(data.check(shared.value), "value of a SharedState")
        verify(data.check(client.value("v")), "value of the client")
    }

    function test_what_arrived_can_be_sent_on_data() {
        return [
            { tag: "text", raw: "a768c3a9f09f9880" },
            { tag: "bytes", raw: "c40300ff0a" },
            { tag: "nested", raw: "9401a161c091c40163" },
            { tag: "map", raw: "82a16101a16281a16390" },
            { tag: "timestamp", raw: "d7ff7735940000000001" },
            { tag: "extension", raw: "d40563" },
            { tag: "extension inside", raw: "91d40563" }
        ]
    }
    function test_what_arrived_can_be_sent_on(data) {
        const shared = makeShared()
        verify(peer.sendRaw("v", data.raw))
        eventually(() => shared.valid)
        verify(client.publish("on", shared.value))
        eventually(() => peer.raw("on") === data.raw, peer.raw("on"))
        makeShared({ name: "set" }).value = shared.value
        eventually(() => peer.raw("set") === data.raw, peer.raw("set"))
    }
}
