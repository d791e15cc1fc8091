import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "StateListener"

    property var heard: []

    Component {
        id: listenerComponent
        StateListener { onReceived: (sender, name, value) => test.heard.push([sender, name, value]) }
    }
    Component {
        id: clientDestroying
        StateListener {
            onReceived: (sender, name, value) => {
                test.heard.push(value)
                test.deleteNow(client)
            }
        }
    }

    function makeListener(properties) {
        heard = []
        return own(listenerComponent.createObject(null, Object.assign({ client: client }, properties || {})))
    }

    property int drained: 0
    StateListener {
        client: test.client
        nameFilter: "drained"
        onReceived: (sender, name, value) => test.drained = value
    }

    // Waits until everything that the peer has sent has arrived.
    function drain() {
        const number = ++fences
        verify(peer.send("drained", String(number)))
        tryCompare(test, "drained", number, patience)
        return heard.filter(state => state[1] !== "drained")
    }

    function test_none_hears_a_state_in_whose_handler_another_one_deactivated_the_client() {
        const first = makeListener()
        first.received.connect(() => { client.active = false })
        const second = makeListener()
        const spy = makeSpy(second, "received")
        verify(peer.send("a", "1"))
        tryCompare(client, "active", false, patience)
        compare(spy.count, 0)
        compare(heard, [["peer", "a", 1]])
    }

    function test_properties_have_their_documented_defaults() {
        const listener = makeListener({ client: null })
        compare(listener.client, null)
        compare(listener.nameFilter, "")
        compare(listener.enabled, true)
    }

    function test_it_hears_of_each_state_with_its_sender() {
        makeListener()
        verify(peer.send("a", "[1]"))
        verify(peer.send("b", "null"))
        compare(drain(), [["peer", "a", [1]], ["peer", "b", null]])
    }

    function test_it_says_which_states_the_hub_held() {
        verify(peer.send("a", "1"))
        const late = makeClient({ active: false, identity: "late", url: hub.url })
        const listener = makeListener({ client: late })
        const spy = makeSpy(listener, "received")
        late.active = true
        tryCompare(late, "synced", true, patience)
        verify(peer.send("a", "2"))
        tryCompare(spy, "count", 2, patience)
        compare([spy.signalArguments[0][2], spy.signalArguments[0][3]], [1, true])
        compare([spy.signalArguments[1][2], spy.signalArguments[1][3]], [2, false])
    }

    function test_states_are_never_coalesced() {
        const count = 5000
        makeListener()
        verify(peer.sendMany("v", count))
        const states = drain()
        compare(states.length, count)
        verify(states.every((state, i) => state[2] === i + 1), "in order")
    }

    function test_own_states_are_not_heard() {
        makeListener()
        verify(client.publish("v", 1))
        fence()
        compare(drain(), [])
    }

    function test_the_filter_is_a_name_or_a_pattern_data() {
        return [
            { tag: "all", filter: "", heard: "room/1/t,room/2/t,room/2/u/x,v" },
            { tag: "a name", filter: "v", heard: "v" },
            { tag: "a name that nobody has", filter: "room", heard: "" },
            { tag: "one segment", filter: "room/*/t", heard: "room/1/t,room/2/t" },
            { tag: "a part of one", filter: "roo*/2/t", heard: "room/2/t" },
            { tag: "any number", filter: "room/2/**", heard: "room/2/t,room/2/u/x" }
        ]
    }
    function test_the_filter_is_a_name_or_a_pattern(data) {
        makeListener({ nameFilter: data.filter })
        for (const name of ["room/1/t", "room/2/t", "room/2/u/x", "v"])
            verify(peer.send(name, "1"))
        compare(drain().map(state => state[1]).join(), data.heard)
    }

    function test_filter_and_client_and_enabled_may_change() {
        const listener = makeListener({ nameFilter: "a" })
        verify(peer.send("a", "1"))
        compare(drain().length, 1)
        listener.nameFilter = "b*"
        verify(peer.send("a", "2"))
        verify(peer.send("bb", "3"))
        compare(drain().length, 2)
        listener.enabled = false
        verify(peer.send("bb", "4"))
        compare(drain().length, 2)
        listener.enabled = true
        listener.client = null
        verify(peer.send("bb", "5"))
        compare(drain().length, 2)
        listener.client = client
        verify(peer.send("bb", "6"))
        compare(drain().map(state => state[2]), [1, 3, 6])
    }

    function test_it_goes_on_when_the_hub_is_killed_and_started_again() {
        makeListener({ nameFilter: "v" })
        verify(peer.send("v", "1"))
        eventually(() => heard.length === 1)
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        verify(hub.start())
        verify(peer.send("v", "2"))
        eventually(() => heard.length > 0 && heard[heard.length - 1][2] === 2)
    }

    function test_the_end_of_its_client_is_noticed() {
        const other = makeClient({ identity: "other", url: hub.url })
        const listener = makeListener({ client: other })
        deleteNow(other)
        compare(listener.client, null)
    }

    function test_its_client_may_be_destroyed_in_its_handler() {
        heard = []
        const other = makeClient({ identity: "other", url: hub.url })
        const listener = own(clientDestroying.createObject(null, { client: other }))
        tryCompare(other, "state", NanostateClient.Connected, patience)
        verify(peer.sendMany("v", 100))
        tryCompare(listener, "client", null, patience)
        compare(heard, [1])
    }
}
