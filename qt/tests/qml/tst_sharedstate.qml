import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "SharedState"

    Component {
        id: initialised
        SharedState { value: 30 }
    }
    Component {
        id: initialisedTwice
        SharedState {
            value: 30
            defaultValue: 40
        }
    }
    Component {
        id: boundValue
        SharedState { value: test.source }
    }
    Component {
        id: clamped
        SharedState { onValueChanged: if (value > 100) value = 100 }
    }
    Component {
        id: selfDestroying
        SharedState {
            onValueChanged: destroy()
            Component.onDestruction: ++test.destroyed
        }
    }
    Component {
        id: clientDestroying
        SharedState { onValueChanged: if (valid) test.deleteNow(client) }
    }
    Component {
        id: absence
        QtObject {
            property NanostateClient client
            property SharedState shared
            readonly property bool absent: client.synced && !shared.valid
            property bool everAbsent: false
            onAbsentChanged: everAbsent = everAbsent || absent
        }
    }
    property int source: 1
    property int destroyed: 0

    function test_properties_have_their_documented_defaults() {
        const shared = makeShared({ client: null, name: "" })
        compare(shared.client, null)
        compare(shared.name, "")
        compare(shared.value, undefined)
        compare(shared.defaultValue, undefined)
        compare(shared.valid, false)
        compare(shared.sender, "")
        compare(shared.time, undefined)
        compare(shared.pending, false)
        compare(shared.publishInterval, 0)
        compare(shared.held, false)
        compare(shared.enabled, true)
    }

    function test_it_shows_the_default_until_a_value_is_known() {
        const shared = makeShared({ defaultValue: 50 })
        compare(shared.value, 50)
        compare(shared.valid, false)
        compare(shared.sender, "")
        verify(peer.send("v", "70"))
        tryCompare(shared, "value", 70, patience)
        compare(shared.valid, true)
        compare(shared.sender, "peer")
    }

    function test_it_is_valid_before_its_client_is_synced_if_the_hub_holds_a_value() {
        const names = []
        for (let i = 0; i < 5; ++i)
            names.push("held/" + i)
        names.forEach(name => verify(peer.send(name, "1")))
        const late = makeClient({ active: false, identity: "late", url: hub.url })
        const shared = []
        // The first to hear of it.
        let missing = null
        late.syncedChanged.connect(() => { missing = late.synced ? shared.filter(state => !state.valid) : null })
        names.concat(["nobody/has/it"]).forEach(name => shared.push(makeShared({ client: late, name: name })))
        const bound = own(absence.createObject(null, { client: late, shared: shared[0] }))
        const unheld = own(absence.createObject(null, { client: late, shared: shared[5] }))
        late.active = true
        verify(TestTools.holdNumbersBack(late))
        // All come after it is connected, when nothing but their arrival shows them, and before it is synced.
        late.connected.connect(() => TestTools.haveEverything(late))
        eventually(() => missing !== null)
        compare(missing.map(state => state.name), ["nobody/has/it"])
        compare(bound.everAbsent, false)
        compare(unheld.absent, true)
        verify(peer.send("nobody/has/it", "2"))
        tryCompare(unheld, "absent", false, patience)
        compare(shared[5].value, 2)
    }

    function test_the_time_is_that_at_which_the_value_was_published() {
        const shared = makeShared({ defaultValue: 50 })
        const spy = makeSpy(shared, "timeChanged")
        compare(shared.time, undefined)
        const before = Date.now()
        verify(peer.send("v", "1"))
        tryCompare(shared, "value", 1, patience)
        const first = shared.time
        verify(first instanceof Date)
        // The hub's time, which began at this machine's clock and does not follow it when it is set.
        verify(Math.abs(first.getTime() - before) < 60000, String(first))
        compare(spy.count, 1)
        // Also when the value is the same.
        eventually(() => {
            verify(peer.send("v", "1"))
            return shared.time > first
        })
        const second = shared.time
        const value = makeSpy(shared, "valueChanged")
        shared.value = 2
        verify(shared.time >= second)
        compare(value.count, 1)
        shared.name = "nobody/has/it"
        compare(shared.time, undefined)
        shared.name = "v"
        verify(shared.time >= second)
    }

    function test_a_value_that_is_not_published_yet_has_no_time() {
        const shared = makeShared({ publishInterval: 600000 })
        shared.value = 1
        verify(shared.time instanceof Date)
        shared.value = 2
        compare(shared.time, undefined)
        shared.publishInterval = 0
        eventually(() => shared.time instanceof Date)
        shared.enabled = false
        shared.value = 3
        compare(shared.time, undefined)
    }

    function test_another_default_is_shown_only_while_no_value_is_known() {
        const shared = makeShared({ defaultValue: 50 })
        const spy = makeSpy(shared, "defaultValueChanged")
        shared.defaultValue = 51
        compare(shared.value, 51)
        shared.value = 1
        shared.defaultValue = 52
        compare(shared.value, 1)
        compare(spy.count, 2)
    }

    function test_it_shows_at_once_what_the_client_knows_already() {
        verify(peer.send("v", "70"))
        eventually(() => client.value("v") === 70)
        compare(makeShared().value, 70)
    }

    function test_a_remote_update_is_not_published_again() {
        const shared = makeShared()
        verify(peer.send("v", "[1, {\"a\": 2}]"))
        eventually(() => shared.valid)
        compare(shared.value, [1, { a: 2 }])
        fence()
        compare(peer.all("v"), [])
    }

    function test_a_set_value_is_published_once_and_is_its_own() {
        const shared = makeShared({ defaultValue: 50 })
        const spy = makeSpy(shared, "valueChanged")
        shared.value = 7
        compare(shared.value, 7)
        compare(shared.valid, true)
        compare(shared.sender, "me")
        compare(shared.pending, false)
        compare(spy.count, 1)
        fence()
        compare(peer.all("v"), ["7"])
        compare(spy.count, 1)
    }

    function test_a_value_that_is_equal_in_depth_is_not_published_again_data() {
        return [
            { tag: "integers", first: 50, again: 50.0 },
            { tag: "text", first: "a", again: "a" },
            { tag: "null", first: null, again: null },
            { tag: "NaN", first: NaN, again: NaN },
            { tag: "array", first: [1, [2, "x"]], again: [1.0, [2, "x"]] },
            { tag: "object", first: { a: 1, b: { c: [] } }, again: { b: { c: [] }, a: 1 } },
            { tag: "bytes", first: new Uint8Array([1, 2]), again: new Uint8Array([1, 2]).buffer },
            { tag: "date", first: new Date(12345), again: new Date(12345) }
        ]
    }
    function test_a_value_that_is_equal_in_depth_is_not_published_again(data) {
        const shared = makeShared()
        shared.value = data.first
        shared.value = data.again
        fence()
        compare(peer.all("v").length, 1)
    }

    function test_a_remote_value_that_is_set_again_is_not_published() {
        const shared = makeShared()
        verify(peer.send("v", "{\"list\": [1, 2.5]}"))
        eventually(() => shared.valid)
        shared.value = { list: [1, 2.5] }
        compare(shared.sender, "peer")
        fence()
        compare(peer.all("v"), [])
    }

    function test_a_value_in_the_initialiser_is_a_default_and_is_never_published() {
        const shared = own(initialised.createObject(null, { client: client, name: "v" }))
        compare(shared.value, 30)
        compare(shared.defaultValue, 30)
        compare(shared.valid, false)
        fence()
        compare(peer.all("v"), [])
        // A default like any other: the first remote value replaces it.
        verify(peer.send("v", "31"))
        tryCompare(shared, "value", 31, patience)
    }

    function test_a_default_beside_a_value_in_the_initialiser_wins() {
        const shared = own(initialisedTwice.createObject(null, { client: client, name: "v" }))
        compare(shared.value, 40)
        compare(shared.defaultValue, 40)
    }

    function test_a_binding_of_the_value_is_a_default_first_and_publishes_its_changes() {
        source = 1
        const shared = own(boundValue.createObject(null, { client: client, name: "v" }))
        compare(shared.value, 1)
        verify(peer.send("v", "5"))
        tryCompare(shared, "value", 5, patience)
        // Remote updates do not break the binding.
        source = 2
        compare(shared.value, 2)
        fence()
        compare(peer.all("v"), ["2"])
    }

    function test_the_last_value_stays_while_the_client_is_inactive() {
        const shared = makeShared({ defaultValue: 50 })
        verify(peer.send("v", "70"))
        tryCompare(shared, "value", 70, patience)
        client.active = false
        compare(shared.value, 70)
        verify(peer.send("v", "71"))
        client.active = true
        tryCompare(shared, "value", 71, patience)
    }

    function test_it_goes_on_when_the_hub_is_killed_and_started_again() {
        const shared = makeShared({ defaultValue: 50 })
        verify(peer.send("v", "1"))
        tryCompare(shared, "value", 1, patience)
        for (let i = 2; i < 5; ++i) {
            hub.kill()
            tryCompare(client, "state", NanostateClient.Connecting, patience)
            compare(shared.value, i - 1)
            verify(hub.start())
            verify(peer.send("v", String(i)))
            tryCompare(shared, "value", i, patience)
        }
        shared.value = 9
        peerHas("v", "9")
    }

    function test_it_follows_another_name() {
        const shared = makeShared({ defaultValue: 50 })
        verify(peer.send("v", "1"))
        tryCompare(shared, "value", 1, patience)
        shared.name = "w"
        compare(shared.value, 50)
        compare(shared.valid, false)
        compare(shared.sender, "")
        verify(peer.send("w", "2"))
        tryCompare(shared, "value", 2, patience)
        verify(peer.send("v", "3"))
        eventually(() => client.value("v") === 3)
        compare(shared.value, 2)
        shared.name = "v"
        compare(shared.value, 3)
    }

    function test_it_follows_another_client() {
        const other = makeClient({ identity: "other", url: hub.url })
        tryCompare(other, "state", NanostateClient.Connected, patience)
        const shared = makeShared({ defaultValue: 50 })
        shared.client = other
        shared.value = 6
        compare(shared.sender, "other")
        eventually(() => client.value("v", "other") === 6)
        shared.client = null
        compare(shared.value, 50)
        compare(shared.valid, false)
        shared.client = client
        compare(shared.value, 6)
        compare(shared.sender, "other")
    }

    function test_the_end_of_its_client_brings_back_the_default() {
        const other = makeClient({ identity: "other", url: hub.url })
        const shared = makeShared({ client: other, defaultValue: 50 })
        const spy = makeSpy(shared, "clientChanged")
        shared.value = 6
        deleteNow(other)
        compare(shared.client, null)
        compare(spy.count, 1)
        compare(shared.value, 50)
        compare(shared.valid, false)
        compare(shared.pending, false)
    }

    function test_a_remote_value_that_is_older_than_the_one_set_here_does_not_replace_it() {
        const shared = makeShared()
        const spy = makeSpy(shared, "valueChanged")
        verify(peer.send("v", "20"))
        // The client knows it, but no signal is emitted before the event loop runs.
        const end = Date.now() + patience
        while (client.value("v") !== 20 && Date.now() < end) {}
        shared.value = 30
        fence()
        verify(peer.send("w", "1"))
        eventually(() => client.value("w") === 1)
        compare(shared.value, 30)
        compare(shared.sender, "me")
        compare(spy.count, 1)
        compare(peer.all("v"), ["30"])
    }

    function test_two_of_one_name_follow_each_other() {
        const one = makeShared()
        const two = makeShared()
        one.value = { x: 1 }
        eventually(() => two.valid)
        compare(two.value, { x: 1 })
        compare(two.sender, "me")
        two.value = 2
        tryCompare(one, "value", 2, patience)
        peerHas("v", "2")
        verify(peer.send("v", "3"))
        tryCompare(one, "value", 3, patience)
        tryCompare(two, "value", 3, patience)
    }

    function test_two_clients_of_one_program_share() {
        const other = makeClient({ identity: "other", url: hub.url })
        const one = makeShared()
        const two = makeShared({ client: other })
        one.value = "from me"
        tryCompare(two, "value", "from me", patience)
        compare(two.sender, "me")
        two.value = "from other" // which has seen the other value
        tryCompare(one, "value", "from other", patience)
        compare(one.sender, "other")
    }

    function test_a_client_of_cpp_will_do() {
        const plain = own(TestTools.plainClient("plain", hub.url))
        const shared = makeShared({ client: plain })
        verify(peer.send("v", "[true]"))
        eventually(() => shared.valid)
        compare(shared.value, [true])
        shared.value = { set: [here => 0].length }
        peerHas("v", "{\"set\":1}")
    }

    function test_a_value_may_be_set_in_the_handler_of_its_change() {
        const shared = own(clamped.createObject(null, { client: client, name: "v" }))
        verify(peer.send("v", "150"))
        tryCompare(shared, "value", 100, patience)
        compare(shared.sender, "me")
        shared.value = 200
        compare(shared.value, 100)
        fence()
        compare(peer.all("v"), ["100", "200", "100"])
    }

    function test_values_of_one_pass_of_the_event_loop_are_shown_once() {
        const shared = makeShared()
        const spy = makeSpy(shared, "valueChanged")
        for (let i = 1; i <= 1000; ++i)
            verify(client.publish("v", i))
        compare(spy.count, 0)
        tryCompare(shared, "value", 1000, patience)
        compare(spy.count, 1)
    }

    function test_it_may_destroy_itself_in_the_handler_of_its_change() {
        const shared = own(selfDestroying.createObject(null, { client: client, name: "v" }))
        disown(shared)
        shared.value = 1
        peerHas("v", "1")
        tryCompare(test, "destroyed", 1, patience)
    }

    function test_its_client_may_be_destroyed_in_the_handler_of_its_change() {
        const other = makeClient({ identity: "other", url: hub.url })
        const shared = own(clientDestroying.createObject(null, { client: other, name: "v", defaultValue: 50 }))
        tryCompare(other, "state", NanostateClient.Connected, patience)
        verify(peer.send("v", "1"))
        tryCompare(shared, "client", null, patience)
        compare(shared.value, 50)
    }

    function test_what_cannot_be_sent_is_refused_and_changes_nothing_data() {
        const cycle = { list: [] }
        cycle.list.push(cycle)
        let deep = []
        for (let i = 0; i < 33; ++i)
            deep = [deep]
        return [
            { tag: "undefined", value: undefined, warning: /"v": value is undefined$/ },
            { tag: "undefined inside", value: { a: undefined }, warning: /"v": value\.a is undefined$/ },
            { tag: "a function inside", value: { a: [1, function() {}] }, warning: /"v": value\.a\[1\] is a function$/ },
            { tag: "a cycle", value: cycle, warning: /"v": value\.list\[0\] is a cycle: it contains itself$/ },
            { tag: "too deep", value: deep, warning: /"v": value(\[0\]){32} is nested deeper than 32$/ },
            { tag: "an object", value: test, warning: /"v": value is an object of type / },
            { tag: "an object inside", value: [test], warning: /"v": value\[0\] is an object of type / },
            { tag: "a map", value: new Map(), warning: /"v": value is a JavaScript Map$/ },
            { tag: "an error", value: new RangeError("x"), warning: /"v": value is a JavaScript RangeError$/ },
            { tag: "a point", value: Qt.point(1, 2), warning: /"v": a value of type QPointF cannot be sent$/ },
            { tag: "no time", value: new Date(NaN), warning: /"v": an invalid QDateTime cannot be sent$/ }
        ]
    }
    function test_what_cannot_be_sent_is_refused_and_changes_nothing(data) {
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 1
        const spy = makeSpy(shared, "valueChanged")
        ignoreWarning(data.warning)
        shared.value = data.value
        compare(shared.value, 1)
        // Even when it could not be sent yet.
        client.active = false
        ignoreWarning(data.warning)
        shared.value = data.value
        compare(shared.value, 1)
        compare(spy.count, 0)
        compare(shared.pending, false)
    }

    function test_a_function_is_refused_by_the_engine() {
        const shared = makeShared({ defaultValue: 50 })
        let thrown = ""
        try {
            shared.value = function() {}
        } catch (error) {
            thrown = String(error)
        }
        compare(thrown, "Error: Cannot assign JavaScript function to QVariant")
        compare(shared.value, 50)
    }

    function test_a_name_that_is_not_allowed_is_refused_and_changes_nothing() {
        const shared = makeShared({ name: "$ns/x", defaultValue: 50 })
        ignoreWarning(/SharedState: .*\$ns\//)
        shared.value = 1
        compare(shared.value, 50)
        compare(client.error, NanostateClient.Name)
    }

    function test_integers_beyond_2_to_the_53_stay_exact_in_cpp() {
        const big = "9007199254740993"
        const shared = makeShared()
        verify(peer.send("v", big))
        eventually(() => shared.valid)
        compare(TestTools.inCpp(shared, "value"), "qlonglong " + big)
        verify(peer.send("v", "18446744073709551615"))
        eventually(() => TestTools.inCpp(shared, "value") === "qulonglong 18446744073709551615")
        TestTools.setBig(shared, "value", big)
        peerHas("v", big)
        // Values that differ by one are different, though a double could not tell them apart.
        TestTools.setBig(shared, "value", "9007199254740992")
        peerHas("v", "9007199254740992")
        compare(peer.all("v").length, 2)
    }

    function test_bytesAsText_reads_the_value_again() {
        const shared = makeShared()
        verify(peer.sendRaw("v", "c403616263"))
        eventually(() => shared.valid)
        verify(shared.value instanceof ArrayBuffer)
        client.bytesAsText = true
        compare(shared.value, "abc")
        client.bytesAsText = false
        verify(shared.value instanceof ArrayBuffer)
    }

    function test_null_and_undefined_are_two_values() {
        const shared = makeShared()
        compare(shared.value, undefined)
        verify(peer.send("v", "null"))
        eventually(() => shared.valid)
        compare(shared.value, null)
        const setting = makeShared({ name: "w" })
        setting.value = null
        peerHas("w", "null")
    }
}
