import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// Each test function has a hub in another process, a peer and a client, both connected.
TestCase {
    id: testCase

    property alias hub: testHub
    property alias peer: testPeer
    property NanostateClient client: null
    // How long an event may take before it counts as missing, in milliseconds.
    readonly property int patience: 30000
    property int fences: 0
    // Objects that a test function created.
    property var made: []

    TestHub { id: testHub }
    TestPeer { id: testPeer }
    Component {
        id: clientComponent
        NanostateClient {}
    }
    Component {
        id: sharedComponent
        SharedState {}
    }
    Component {
        id: spyComponent
        SignalSpy {}
    }

    function init() {
        verify(hub.start())
        peer.open("peer", hub.url)
        // It knows what it has not been asked for, too.
        client = makeClient({ identity: "me", url: hub.url, subscriptions: ["**"] })
        tryCompare(client, "state", NanostateClient.Connected, patience)
    }

    function cleanup() {
        made.reverse().forEach(object => { if (object) TestTools.deleteNow(object) })
        made = []
        client = null
        peer.close()
        hub.kill()
    }

    // Belongs to the test function; ended after it unless it does so itself.
    function own(object) {
        verify(object !== null)
        made.push(object)
        return object
    }

    function disown(object) {
        made = made.filter(other => other !== object)
    }

    function deleteNow(object) {
        disown(object)
        TestTools.deleteNow(object)
    }

    function makeClient(properties) {
        return own(clientComponent.createObject(null, properties))
    }

    function makeShared(properties) {
        return own(sharedComponent.createObject(null, Object.assign({ client: client, name: "v" }, properties || {})))
    }

    function makeSpy(target, signalName) {
        return own(spyComponent.createObject(testCase, { target: target, signalName: signalName }))
    }

    function eventually(check, what) {
        tryVerify(check, patience, what)
    }

    // Waits until the peer has everything that the client has published.
    function fence() {
        const number = ++fences
        verify(client.publish("fence", number))
        eventually(() => peer.json("fence") === String(number), "the fence has come to the peer")
    }

    // Waits until the peer has received this, as JSON.
    function peerHas(name, json) {
        eventually(() => peer.json(name) === json, name + " has come to the peer as " + json)
    }
}
