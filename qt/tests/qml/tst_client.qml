import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "NanostateClient"

    Component {
        id: inactive
        NanostateClient {
            active: false
            identity: "inactive"
            url: test.hub.url
        }
    }
    // identity and url come after active here, and both are bindings.
    Component {
        id: bound
        NanostateClient {
            active: true
            url: test.hub.url
            identity: "bo" + "und"
        }
    }

    function test_properties_have_their_documented_defaults() {
        const bare = own(inactive.createObject(null, { identity: "", url: "" }))
        compare(bare.active, false)
        compare(bare.identity, "")
        compare(bare.url, "")
        compare(bare.state, NanostateClient.Disconnected)
        compare(bare.synced, false)
        compare(bare.error, NanostateClient.NoError)
        compare(bare.errorString, "")
        compare(bare.bytesAsText, false)
    }

    function test_it_opens_when_its_properties_are_set_unless_it_is_not_active() {
        const other = own(bound.createObject(null))
        compare(other.active, true)
        compare(other.identity, "bound")
        tryCompare(other, "state", NanostateClient.Connected, patience)
        compare(own(inactive.createObject(null)).state, NanostateClient.Disconnected)
    }

    function test_active_opens_and_closes_it() {
        const other = own(inactive.createObject(null))
        const active = makeSpy(other, "activeChanged")
        const connected = makeSpy(other, "connected")
        const disconnected = makeSpy(other, "disconnected")
        other.active = true
        compare(other.state, NanostateClient.Connecting)
        tryCompare(other, "state", NanostateClient.State.Connected, patience)
        other.active = false
        compare(other.state, NanostateClient.Disconnected)
        compare(active.count, 2)
        compare(connected.count, 1)
        compare(disconnected.count, 1)
    }

    function test_it_reconnects_when_the_hub_is_killed_and_started_again() {
        const connected = makeSpy(client, "connected")
        const disconnected = makeSpy(client, "disconnected")
        verify(client.publish("v", 1))
        fence()
        hub.kill()
        tryCompare(disconnected, "count", 1, patience)
        compare(client.state, NanostateClient.Connecting)
        verify(hub.start())
        tryCompare(connected, "count", 1, patience)
        compare(client.error, NanostateClient.NoError)
        compare(client.value("v"), 1)
    }

    function test_errors_are_told_in_words_and_cleared() {
        const spy = makeSpy(client, "errorOccurred")
        compare(client.publish("$ns/x", 1), false)
        compare(client.error, NanostateClient.Name)
        compare(client.error, NanostateClient.Error.Name)
        verify(client.errorString.indexOf("$ns/") >= 0, client.errorString)
        compare(spy.count, 1)
        compare(spy.signalArguments[0][0], NanostateClient.Name)
        compare(spy.signalArguments[0][1], client.errorString)
        compare(client.publish("x", 1), true)
        compare(client.error, NanostateClient.NoError)
        compare(client.errorString, "")
    }

    function test_an_inactive_client_publishes_nothing_and_says_so() {
        const other = own(inactive.createObject(null))
        compare(other.publish("x", 1), false)
        compare(other.error, NanostateClient.NotActive)
        compare(other.publishBytes("x", new ArrayBuffer(1)), false)
        compare(other.value("x"), undefined)
        compare(other.names(), [])
    }

    function test_an_identity_or_url_that_is_not_valid_makes_it_inactive_data() {
        return [
            { tag: "identity", properties: { identity: "", url: hub.url }, error: NanostateClient.Identity },
            { tag: "url", properties: { identity: "x", url: "nowhere" }, error: NanostateClient.Url }
        ]
    }
    function test_an_identity_or_url_that_is_not_valid_makes_it_inactive(data) {
        const other = makeClient(data.properties)
        compare(other.active, false)
        compare(other.state, NanostateClient.Disconnected)
        compare(other.error, data.error)
        verify(other.errorString !== "")
    }

    function test_a_taken_identity_is_refused() {
        const other = makeClient({ identity: "me", url: hub.url })
        tryCompare(other, "state", NanostateClient.Refused, patience)
        compare(other.error, NanostateClient.IdentityTaken)
        other.identity = "another"
        tryCompare(other, "state", NanostateClient.Connected, patience)
        compare(other.error, NanostateClient.NoError)
    }

    function test_a_failing_connection_says_why() {
        hub.kill()
        tryVerify(() => client.error !== NanostateClient.NoError, patience)
        verify(client.errorString.indexOf("ipc://") >= 0, client.errorString)
    }

    function test_it_tells_each_state_of_others() {
        const spy = makeSpy(client, "stateUpdated")
        verify(peer.send("a/b", "{\"x\": [1, 2.5, \"s\"]}"))
        eventually(() => spy.count === 1)
        compare(spy.signalArguments[0][0], "peer")
        compare(spy.signalArguments[0][1], "a/b")
        compare(spy.signalArguments[0][2], { x: [1, 2.5, "s"] })
        verify(client.publish("own", 1))
        fence()
        compare(spy.count, 1)
    }

    function test_it_is_synced_while_it_has_what_the_hub_held() {
        tryCompare(client, "synced", true, patience)
        const spy = makeSpy(client, "syncedChanged")
        hub.kill()
        tryCompare(client, "synced", false, patience)
        verify(hub.start())
        tryCompare(client, "synced", true, patience)
        compare(spy.count, 2)
    }

    function test_a_state_that_the_hub_held_is_retained() {
        verify(peer.send("v", "1"))
        const late = makeClient({ active: false, identity: "late", url: hub.url })
        const spy = makeSpy(late, "stateUpdated")
        late.active = true
        tryCompare(late, "synced", true, patience)
        compare(spy.count, 1)
        compare(spy.signalArguments[0][3], true)
        verify(peer.send("v", "2"))
        tryCompare(spy, "count", 2, patience)
        compare(spy.signalArguments[1][3], false)
    }

    function test_it_knows_the_newest_values() {
        verify(peer.send("a", "1"))
        eventually(() => client.value("a") === 1)
        verify(client.publish("a", 2))
        verify(client.publish("b", "own"))
        compare(client.value("a"), 2)
        compare(client.value("a", "peer"), 1)
        compare(client.value("a", "me"), 2)
        compare(client.value("c"), undefined)
        compare(client.names(), ["a", "b"])
    }

    function test_publishBytes_publishes_the_bytes_of_a_buffer() {
        verify(client.publishBytes("b", new Uint8Array([0, 255, 10]).buffer))
        eventually(() => peer.raw("b") === "c40300ff0a")
    }

    function test_bytesAsText_reads_the_text_of_the_original() {
        verify(peer.sendRaw("old", "c403616263"))
        eventually(() => client.value("old") !== undefined)
        verify(client.value("old") instanceof ArrayBuffer)
        client.bytesAsText = true
        compare(client.value("old"), "abc")
    }

    function test_what_cannot_be_sent_is_refused_with_the_place_data() {
        const cycle = {}
        cycle.self = cycle
        return [
            { tag: "undefined", value: undefined, warning: /"x" was not published: value is undefined$/ },
            { tag: "function", value: function() {}, warning: /"x" was not published: value is a function$/ },
            { tag: "function inside", value: { on: [x => x] }, warning: /value\.on\[0\] is a function$/ },
            { tag: "cycle", value: cycle, warning: /value\.self is a cycle: it contains itself$/ },
            { tag: "symbol inside", value: [Symbol("s")], warning: /value\[0\] is a symbol$/ },
            { tag: "promise", value: new Promise(() => 0), warning: /value is a JavaScript Promise$/ },
            { tag: "boxed number", value: new Number(1), warning: /value is a JavaScript Number$/ },
            { tag: "object of Qt", value: test, warning: /value is an object of type / }
        ]
    }
    function test_what_cannot_be_sent_is_refused_with_the_place(data) {
        ignoreWarning(data.warning)
        compare(client.publish("x", data.value), false)
        compare(client.error, NanostateClient.Value)
        verify(/^"x": value.* is /.test(client.errorString), client.errorString)
        fence()
        compare(peer.all("x"), [])
    }

    function test_it_talks_to_a_program_in_another_process() {
        verify(TestTools.command(["send", "--connect", hub.url, "--timeout", String(patience / 1000),
                                   "--as", "shell", "greeting", "hello"]))
        eventually(() => client.value("greeting", "shell") === "hello")
    }

    function test_it_may_be_destroyed_in_a_handler_of_its_own() {
        const other = makeClient({ identity: "other", url: hub.url })
        let told = 0
        other.stateUpdated.connect(() => { ++told; other.destroy() })
        disown(other)
        tryCompare(other, "state", NanostateClient.Connected, patience)
        verify(peer.sendMany("v", 100))
        eventually(() => told > 0)
        fence()
    }
}
