import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "Will"

    function test_what_a_program_in_QML_left_is_published_when_it_is_killed() {
        TestTools.startWindow("killed", hub.url, "Together.qml")
        const calls = ["hub.publish('seen', 1)", "hub.will('on', { list: [1, 'x', null, true] })", "hub.willClear('seen')",
                       "hub.will('none', 1)", "hub.noWill('none')", "hub.publish('left', 1)"]
        for (const call of calls)
            compare(TestTools.evaluate(call), "[true]", call)
        peerHas("left", "1")
        TestTools.killProgram()
        peerHas("on", '{"list":[1,"x",null,true]}')
        eventually(() => peer.json("seen") === "null", "it is withdrawn")
        fence()
        compare([peer.all("on").length, peer.all("none").length], [1, 0])
    }

    function test_what_cannot_be_sent_cannot_be_left() {
        ignoreWarning(/"x" was not left as a will: value\.on\[0\] is a function$/)
        compare(client.will("x", { on: [() => 0] }), false)
        compare([client.error, client.errorString], [NanostateClient.Value, "\"x\": value.on[0] is a function"])
        compare(client.willClear("$ns/x"), false)
        compare(client.error, NanostateClient.Name)
        compare(client.noWill("x"), true)
        compare(client.error, NanostateClient.NoError)
    }
}
