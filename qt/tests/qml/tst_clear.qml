import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "Clear"

    Component {
        id: modelComponent
        StateModel {}
    }
    Component {
        id: listenerComponent
        StateListener {}
    }

    function names(model) {
        const found = []
        for (let row = 0; row < model.count; ++row)
            found.push(model.data(model.index(row, 0), Qt.UserRole))
        return found.join(" ")
    }

    // A shared state that shows a value of the peer.
    function makeShowing(properties) {
        const shared = makeShared(properties)
        verify(peer.send("v", "7"))
        tryCompare(shared, "value", 7, patience)
        return shared
    }

    function test_a_value_that_is_withdrawn_makes_place_for_the_default() {
        const shared = makeShowing({ defaultValue: 50 })
        const seen = []
        const note = () => seen.push([shared.valid, shared.value, shared.sender, shared.time])
        shared.validChanged.connect(note)
        shared.valueChanged.connect(note)
        shared.senderChanged.connect(note)
        verify(peer.clear("v"))
        tryCompare(shared, "valid", false, patience)
        compare(seen, [[false, 50, "", undefined], [false, 50, "", undefined], [false, 50, "", undefined]])
        compare(client.value("v"), undefined)
        verify(peer.send("v", "7"))
        tryCompare(shared, "value", 7, patience)
        compare(shared.valid, true)
    }

    function test_a_value_that_comes_again_at_once_is_shown_without_the_default_in_between() {
        const shared = makeShowing({ defaultValue: 50 })
        const valid = makeSpy(shared, "validChanged")
        const end = Date.now() + patience
        verify(peer.clear("v"))
        verify(peer.send("v", "8"))
        while (TestTools.received(client) < 3 && Date.now() < end) {}
        tryCompare(shared, "value", 8, patience)
        compare(valid.count, 0)
    }

    function test_what_another_program_has_set_is_the_newest_then() {
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 1
        peerHas("v", "1")
        verify(peer.send("v", "2"))
        tryCompare(shared, "sender", "peer", patience)
        verify(peer.clear("v"))
        tryCompare(shared, "sender", "me", patience)
        compare(shared.value, 1)
        // One that is not shown.
        verify(peer.send("v", "3"))
        tryCompare(shared, "value", 3, patience)
        verify(client.clear("v"))
        peerHas("v", "null")
        wait(0)
        compare([shared.value, shared.valid, shared.sender], [3, true, "peer"])
    }

    function test_clear_withdraws_what_was_set_here() {
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 5
        peerHas("v", "5")
        const other = makeShared({ defaultValue: 40 })
        compare(other.value, 5)
        shared.clear()
        compare([shared.value, shared.valid, shared.sender, shared.pending], [50, false, "", false])
        tryCompare(other, "valid", false, patience)
        compare(other.value, 40)
        peerHas("v", "null")
        verify(peer.send("v", "6"))
        tryCompare(shared, "value", 6, patience)
        // It is not this program's.
        shared.clear()
        compare([shared.value, shared.sender], [6, "peer"])
        shared.value = 7
        shared.clear()
        compare([shared.value, shared.sender], [6, "peer"])
    }

    function test_clear_waits_for_a_client_that_is_active_and_connected() {
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 5
        peerHas("v", "5")
        client.active = false
        shared.clear()
        compare([shared.value, shared.valid, shared.pending], [50, false, true])
        client.active = true
        peerHas("v", "null")
        tryCompare(shared, "pending", false, patience)

        const other = makeShared({ name: "w" })
        hub.kill()
        eventually(() => client.state !== NanostateClient.Connected)
        other.clear()
        compare(other.pending, true)
        // The app to which it was passed never connects.
        client.active = false
        compare(other.pending, true)
        verify(hub.start())
        client.active = true
        peerHas("w", "null")
        tryCompare(other, "pending", false, patience)
    }

    function test_clear_comes_before_a_value_that_waits_and_a_value_after_it_counts() {
        const shared = makeShared({ publishInterval: 1000000 })
        shared.value = 1
        shared.value = 2
        compare(shared.pending, true)
        shared.clear()
        compare([shared.value, shared.valid, shared.pending], [undefined, false, false])
        fence()
        compare(peer.all("v"), ["1", "null"])
        shared.value = 3
        shared.publishInterval = 0
        peerHas("v", "3")
        compare(shared.value, 3)
    }

    function test_while_it_is_not_enabled_nothing_is_withdrawn() {
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 5
        peerHas("v", "5")
        shared.enabled = false
        shared.clear()
        compare([shared.value, shared.valid], [50, false])
        fence()
        compare(peer.json("v"), "5")
        shared.enabled = true
        compare(shared.value, 5)
    }

    function test_while_it_is_held_a_value_stays_that_is_withdrawn() {
        const shared = makeShowing({ defaultValue: 50 })
        shared.held = true
        verify(peer.clear("v"))
        eventually(() => client.value("v") === undefined)
        wait(0)
        compare(shared.value, 7)
        shared.held = false
        compare([shared.value, shared.valid], [50, false])
    }

    function test_a_value_of_another_type_that_is_withdrawn_is_no_error_any_more() {
        const shared = makeShowing({ type: SharedState.Number })
        verify(peer.send("v", "\"hot\""))
        tryCompare(shared, "error", NanostateClient.Kind, patience)
        compare(shared.value, 7)
        verify(peer.clear("v"))
        tryCompare(shared, "error", NanostateClient.NoError, patience)
        compare([shared.value, shared.valid], [undefined, false])
    }

    function test_what_was_withdrawn_while_the_client_was_not_active_is_gone_when_it_is_synced() {
        const shared = makeShowing()
        const model = makeModel()
        verify(peer.send("stays", "1"))
        client.publish("mine", 1)
        eventually(() => names(model) === "mine stays v")
        client.active = false
        verify(peer.clear("v"))
        compare([shared.value, shared.valid], [7, true])
        client.active = true
        eventually(() => client.synced)
        compare([shared.value, shared.valid], [undefined, false])
        compare(names(model), "mine stays")
    }

    function makeModel(properties) {
        const model = own(modelComponent.createObject(null, Object.assign({ client: client }, properties || {})))
        TestTools.watchModel(model)
        return model
    }

    function test_rows_of_a_model_go_with_their_values() {
        const model = makeModel()
        for (const name of ["a", "b", "c", "d", "e"])
            verify(peer.send(name, "1"))
        client.publish("c", 2)
        eventually(() => names(model) === "a b c c d e")
        const removed = makeSpy(model, "rowsRemoved")
        const counts = []
        model.countChanged.connect(() => counts.push(model.count))
        let inHandler = 0
        model.rowsRemoved.connect(() => { inHandler = model.count })
        verify(peer.clear("d"))
        eventually(() => names(model) === "a b c c e")
        compare([removed.count, removed.signalArguments[0][1], removed.signalArguments[0][2]], [1, 4, 4])
        compare([counts, inHandler], [[5], 5])
        // Its own.
        client.clear("c")
        eventually(() => names(model) === "a b c e")
        compare(model.data(model.index(2, 0), Qt.UserRole + 2), "peer")
        // What nobody has, or is not known here.
        verify(peer.clear("nothing"))
        for (const name of ["b", "c", "e", "a"])
            verify(peer.clear(name))
        eventually(() => model.count === 0)
        verify(peer.send("b", "3"))
        eventually(() => names(model) === "b")
    }

    function test_rows_go_come_and_change_in_one_pass() {
        const model = makeModel()
        for (const name of ["a", "b", "c", "d"])
            verify(peer.send(name, "1"))
        eventually(() => model.count === 4)
        const before = TestTools.received(client)
        verify(peer.clear("a"))
        verify(peer.clear("b"))
        verify(peer.send("bb", "1"))
        verify(peer.clear("c"))
        verify(peer.send("c", "2"))
        verify(peer.clear("d"))
        verify(peer.send("e", "1"))
        verify(peer.clear("e"))
        const end = Date.now() + patience
        while (TestTools.received(client) < before + 8 && Date.now() < end) {}
        eventually(() => names(model) === "bb c")
        compare(model.data(model.index(1, 0), Qt.UserRole + 1), 2)
    }

    function test_a_handler_of_rows_that_go_may_restart_the_model_or_delete_it() {
        const model = makeModel()
        for (const name of ["a", "b", "c", "d"])
            verify(peer.send(name, "1"))
        eventually(() => model.count === 4)
        model.rowsAboutToBeRemoved.connect(() => { model.nameFilter = "*" })
        verify(peer.clear("a"))
        verify(peer.clear("c"))
        eventually(() => names(model) === "b d")
        const doomed = makeModel()
        doomed.rowsRemoved.connect(() => test.deleteNow(doomed))
        verify(peer.clear("b"))
        eventually(() => made.indexOf(doomed) < 0)
        eventually(() => names(model) === "d")
    }

    function test_a_listener_tells_what_others_withdraw() {
        const listener = own(listenerComponent.createObject(null, { client: client, nameFilter: "x/*" }))
        const cleared = makeSpy(listener, "cleared")
        const received = makeSpy(listener, "received")
        verify(peer.send("x/1", "1"))
        verify(peer.send("y", "1"))
        client.publish("x/1", 2)
        client.clear("x/1")
        verify(peer.clear("y"))
        verify(peer.clear("x/1"))
        tryCompare(cleared, "count", 1, patience)
        compare(Array.from(cleared.signalArguments[0]), ["peer", "x/1", false])
        compare(received.count, 1)
    }

    function test_a_client_tells_what_others_withdraw_and_withdraws_what_is_its_own() {
        const cleared = makeSpy(client, "stateCleared")
        const updated = makeSpy(client, "stateUpdated")
        verify(peer.send("v", "1"))
        verify(peer.clear("v"))
        tryCompare(cleared, "count", 1, patience)
        compare(Array.from(cleared.signalArguments[0]), ["peer", "v", false])
        compare(updated.count, 1)
        verify(client.publish("w", 1))
        verify(client.clear("w"))
        peerHas("w", "null")
        compare([client.value("w"), cleared.count], [undefined, 1])
        verify(!client.clear("$ns/x"))
        compare(client.error, NanostateClient.Name)
        client.active = false
        verify(!client.clear("w"))
        compare([client.error, client.errorString], [NanostateClient.NotActive, "\"w\" was not cleared: not active"])
    }
}
