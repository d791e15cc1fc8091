import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// The type that values of a SharedState have to have.
HubTestCase {
    name: "SharedStateType"

    // Waits until a value has been looked at that is not of the type.
    function makeWrong(shared, json) {
        verify(peer.send("v", json))
        eventually(() => shared.errorString !== "", json + " is an error")
    }

    function test_a_text_in_a_numeric_state_is_an_error_and_the_last_number_stays() {
        const shared = makeShared({ type: SharedState.Number, defaultValue: 0 })
        compare(shared.error, NanostateClient.NoError)
        compare(shared.errorString, "")
        verify(peer.send("v", "21.5"))
        tryCompare(shared, "value", 21.5, patience)
        const time = shared.time
        const value = makeSpy(shared, "valueChanged")
        const changed = makeSpy(shared, "errorChanged")
        const occurred = makeSpy(shared, "errorOccurred")
        makeWrong(shared, "\"hot\"")
        compare(shared.value, 21.5)
        compare(shared.valid, true)
        compare(shared.sender, "peer")
        compare(shared.time, time)
        compare(shared.error, NanostateClient.Kind)
        compare(shared.errorString, "\"v\" of peer is a string, not a number")
        compare(value.count, 0)
        compare(changed.count, 1)
        compare(occurred.count, 1)
        compare(occurred.signalArguments[0][0], NanostateClient.Kind)
        compare(occurred.signalArguments[0][1], shared.errorString)
        // The same once more is no other error.
        verify(peer.send("v", "\"hotter\""))
        verify(peer.send("v", "true"))
        tryCompare(shared, "errorString", "\"v\" of peer is a boolean, not a number", patience)
        compare(occurred.count, 2)
        verify(peer.send("v", "22"))
        tryCompare(shared, "error", NanostateClient.NoError, patience)
        compare(shared.errorString, "")
        compare(shared.value, 22)
        compare(value.count, 1)
        compare(occurred.count, 2)
    }

    function test_a_value_that_was_of_another_type_from_the_beginning_leaves_the_default() {
        verify(peer.send("v", "\"hot\""))
        eventually(() => client.value("v") === "hot")
        const shared = makeShared({ type: SharedState.Number, defaultValue: 7 })
        compare(shared.value, 7)
        compare(shared.valid, false)
        compare(shared.error, NanostateClient.Kind)
        shared.defaultValue = 8
        compare(shared.value, 8)
        compare(shared.error, NanostateClient.Kind)
        // It is of this name.
        shared.name = "w"
        compare(shared.error, NanostateClient.NoError)
        shared.name = "v"
        compare(shared.error, NanostateClient.Kind)
    }

    function test_each_type_takes_its_values_and_no_others_data() {
        return [
            { tag: "Boolean", type: SharedState.Boolean, words: "a boolean", right: "c3" },
            { tag: "Number, an integer", type: SharedState.Number, words: "a number", right: "05" },
            { tag: "Number, a large one", type: SharedState.Number, words: "a number", right: "cfffffffffffffffff" },
            { tag: "Number, a float", type: SharedState.Number, words: "a number", right: "ca3fc00000" },
            { tag: "String", type: SharedState.String, words: "a string", right: "a161" },
            { tag: "Bytes", type: SharedState.Bytes, words: "bytes", right: "c40161" },
            { tag: "Date", type: SharedState.Date, words: "a date", right: "d6ff00000001" },
            { tag: "Array", type: SharedState.Array, words: "an array", right: "9101" },
            { tag: "Object", type: SharedState.Object, words: "an object", right: "81a16101" },
            { tag: "Any, null", type: SharedState.Any, words: "null", right: "c0" },
            { tag: "Any, an extension", type: SharedState.Any, words: "an extension", right: "d40501" }
        ]
    }
    function test_each_type_takes_its_values_and_no_others(data) {
        const shared = []
        const types = [SharedState.Boolean, SharedState.Number, SharedState.String, SharedState.Bytes,
                       SharedState.Date, SharedState.Array, SharedState.Object, SharedState.Any]
        for (const type of types)
            shared.push(makeShared({ type: type }))
        verify(peer.sendRaw("v", data.right))
        eventually(() => shared[7].valid)
        eventually(() => shared.every(state => state.valid || state.errorString !== ""))
        shared.forEach(state => {
            const takes = state.type === data.type || state.type === SharedState.Any
            compare(state.valid, takes)
            compare(state.error, takes ? NanostateClient.NoError : NanostateClient.Kind)
            if (!takes)
                verify(state.errorString.startsWith("\"v\" of peer is " + data.words + ", not "), state.errorString)
        })
    }

    function test_a_value_of_another_type_is_not_published() {
        const shared = makeShared({ type: SharedState.Number })
        shared.value = 1
        ignoreWarning(/"v": value is a string, not a number$/)
        shared.value = "2"
        ignoreWarning(/"v": value is null, not a number$/)
        shared.value = null
        compare(shared.value, 1)
        compare(shared.error, NanostateClient.NoError)
        fence()
        compare(peer.all("v"), ["1"])
    }

    function test_the_value_that_is_shown_is_published_over_one_of_another_type() {
        const shared = makeShared({ type: SharedState.Number })
        shared.value = 1
        peerHas("v", "1")
        makeWrong(shared, "\"hot\"")
        shared.value = 1
        compare(shared.error, NanostateClient.NoError)
        fence()
        compare(peer.all("v"), ["1", "1"])
    }

    function test_another_type_looks_at_the_newest_value_again() {
        const shared = makeShared({ type: SharedState.Number, defaultValue: 0 })
        makeWrong(shared, "\"hot\"")
        shared.type = SharedState.Any
        compare(shared.error, NanostateClient.NoError)
        compare(shared.value, "hot")
        compare(shared.valid, true)
        shared.type = SharedState.Boolean
        compare(shared.errorString, "\"v\" of peer is a string, not a boolean")
        compare(shared.value, 0)
        compare(shared.valid, false)
        shared.type = SharedState.String
        compare(shared.value, "hot")
    }

    function test_bytes_are_a_string_with_bytesAsText() {
        const shared = makeShared({ type: SharedState.String })
        verify(peer.sendRaw("v", "c403616263"))
        eventually(() => shared.errorString !== "")
        compare(shared.errorString, "\"v\" of peer is bytes, not a string")
        client.bytesAsText = true
        compare(shared.value, "abc")
        compare(shared.error, NanostateClient.NoError)
    }

    function test_an_older_value_does_not_replace_one_of_another_type() {
        const shared = makeShared({ type: SharedState.Number })
        verify(peer.send("v", "1"))
        tryCompare(shared, "value", 1, patience)
        makeWrong(shared, "\"hot\"")
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        verify(hub.start())
        tryCompare(client, "synced", true, patience)
        compare(shared.error, NanostateClient.Kind)
        compare(shared.value, 1)
    }
}
