import QtQuick 2.15
import QtQuick.Window 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "StateModel"
    width: 200
    height: 200
    visible: true
    when: windowShown

    Component {
        id: modelComponent
        StateModel {}
    }
    Component {
        id: peerComponent
        TestPeer {}
    }
    Component {
        id: windowComponent
        Window {
            property alias client: late
            property alias model: states
            width: 200
            height: 200
            visible: true

            NanostateClient {
                id: late
                identity: "window"
                url: test.hub.url
            }
            ListView {
                anchors.fill: parent
                model: StateModel {
                    id: states
                    client: late
                    nameFilter: "n/*"
                }
                delegate: Text { text: name + " = " + value + (retained ? " (held)" : "") }
            }
        }
    }
    Component {
        id: rowsComponent
        Column {
            property alias model: repeater.model
            property alias repeater: repeater
            Repeater {
                id: repeater
                Text {
                    property var at: time
                    text: name + "=" + JSON.stringify(value) + "@" + sender
                }
            }
        }
    }

    Component {
        id: countComponent
        QtObject {
            property StateModel model
            readonly property int count: model ? model.count : -1
        }
    }

    function makeModel(properties) {
        return own(modelComponent.createObject(null, Object.assign({ client: client }, properties || {})))
    }

    // The rows as delegates show them.
    function makeRows(model) {
        return own(rowsComponent.createObject(test, { model: model }))
    }

    function shown(rows) {
        const texts = []
        for (let i = 0; i < rows.repeater.count; ++i)
            texts.push(rows.repeater.itemAt(i).text)
        return texts.join(" ")
    }

    function test_properties_have_their_documented_defaults() {
        const model = makeModel({ client: null })
        compare(model.client, null)
        compare(model.nameFilter, "")
        compare(model.count, 0)
    }

    function test_it_has_what_the_client_knows_already_sorted_by_name_and_sender() {
        verify(peer.send("b", "[1]"))
        verify(peer.send("a", "\"x\""))
        eventually(() => client.value("a") !== undefined)
        verify(client.publish("b", 2))
        verify(client.publish("c", null))
        const model = makeModel()
        compare(model.count, 4)
        compare(shown(makeRows(model)), "a=\"x\"@peer b=2@me b=[1]@peer c=null@me")
    }

    function test_rows_come_and_change_as_states_do() {
        const model = makeModel()
        const rows = makeRows(model)
        const changed = makeSpy(model, "dataChanged")
        verify(peer.send("m", "1"))
        eventually(() => shown(rows) === "m=1@peer")
        verify(peer.send("z", "1"))
        verify(peer.send("a", "1"))
        eventually(() => shown(rows) === "a=1@peer m=1@peer z=1@peer")
        verify(client.publish("m", 2))
        eventually(() => shown(rows) === "a=1@peer m=2@me m=1@peer z=1@peer")
        compare(changed.count, 0)
        verify(peer.send("m", "{\"n\": 3}"))
        eventually(() => shown(rows) === "a=1@peer m=2@me m={\"n\":3}@peer z=1@peer")
        // For the row that changed, and for no other.
        compare(changed.count, 1)
        compare(changed.signalArguments[0][0].row, 2)
        compare(changed.signalArguments[0][1].row, 2)
        compare(model.count, 4)
    }

    function test_the_time_is_a_Date() {
        const before = Date.now()
        const rows = makeRows(makeModel())
        verify(peer.send("v", "1"))
        eventually(() => rows.repeater.count === 1)
        const time = rows.repeater.itemAt(0).at
        verify(time instanceof Date)
        // The hub's time, which began at this machine's clock and does not follow it when it is set.
        verify(Math.abs(time.getTime() - before) < 60000, String(time))
    }

    function test_it_has_all_rows_when_its_client_is_synced_and_says_which_the_hub_held() {
        for (let i = 0; i < 10; ++i)
            verify(peer.send("held/" + i, "1"))
        const late = makeClient({ active: false, identity: "late", url: hub.url })
        const model = makeModel({ client: late, nameFilter: "held/*" })
        let rows = -1
        late.syncedChanged.connect(() => { rows = model.count })
        late.active = true
        verify(TestTools.haveEverything(late))
        eventually(() => rows === 10, "10 rows")
        const retained = row => model.data(model.index(row, 0), Qt.UserRole + 4)
        for (let row = 0; row < 10; ++row)
            compare(retained(row), true)
        verify(peer.send("held/0", "2"))
        eventually(() => !retained(0))
        compare(retained(1), true)
    }

    function test_a_window_that_comes_late_has_10000_states_of_20_senders_once_it_is_synced_and_knows_that_they_were_held() {
        const senders = []
        for (let i = 0; i < 20; ++i) {
            const sender = own(peerComponent.createObject(null))
            verify(sender.open("sender" + i, hub.url))
            verify(sender.sendEach("n/", 500))
            senders.push(sender)
        }
        const window = own(windowComponent.createObject(null))
        const model = window.model
        let rows = -1
        window.client.syncedChanged.connect(() => { rows = model.count })
        eventually(() => window.client.synced, "all that the hub held")
        compare([rows, model.count], [10000, 10000])
        const shown = row => [Qt.UserRole, Qt.UserRole + 2, Qt.UserRole + 1, Qt.UserRole + 4].map(
            role => model.data(model.index(row, 0), role)).join(" ")
        const texts = new Set()
        for (let row = 0; row < 10000; ++row)
            texts.add(shown(row))
        for (let i = 0; i < 20; ++i) {
            for (let n = 0; n < 500; ++n)
                verify(texts.has("n/" + n + " sender" + i + " " + n + " true"))
        }
        // What is published from then on is not held.
        compare(shown(0), "n/0 sender0 0 true")
        verify(senders[0].send("n/0", "7"))
        eventually(() => shown(0) === "n/0 sender0 7 false", "a new value")
        compare(shown(1), "n/0 sender1 0 true")
        compare(model.count, 10000)
    }

    function test_changes_of_one_pass_of_the_event_loop_are_told_once() {
        const model = makeModel()
        verify(client.publish("v", 0))
        eventually(() => model.count === 1)
        const changed = makeSpy(model, "dataChanged")
        const inserted = makeSpy(model, "rowsInserted")
        const counted = makeSpy(model, "countChanged")
        for (let i = 1; i <= 1000; ++i)
            verify(client.publish("v", i))
        for (const name of ["x", "y", "z", "a"])
            verify(client.publish(name, 1))
        compare(changed.count, 0)
        eventually(() => model.count === 5)
        compare(changed.count, 1)
        compare(inserted.count, 2)
        // Emitted with the rows, so that it is right in every handler of them.
        compare(counted.count, 2)
        compare(shown(makeRows(model)), "a=1@me v=1000@me x=1@me y=1@me z=1@me")
    }

    function test_the_filter_is_a_name_or_a_pattern() {
        for (const name of ["room/1/t", "room/2/t", "room/2/u/x", "v"])
            verify(client.publish(name, 1))
        const model = makeModel({ nameFilter: "room/*/t" })
        const rows = makeRows(model)
        compare(shown(rows), "room/1/t=1@me room/2/t=1@me")
        verify(peer.send("room/0/t", "2"))
        verify(peer.send("w", "2"))
        eventually(() => model.count === 3)
        compare(shown(rows), "room/0/t=2@peer room/1/t=1@me room/2/t=1@me")
        model.nameFilter = "v"
        compare(shown(rows), "v=1@me")
        eventually(() => client.value("w") === 2)
        model.nameFilter = ""
        compare(model.count, 6)
    }

    function test_it_survives_the_hub() {
        const model = makeModel()
        const rows = makeRows(model)
        verify(peer.send("v", "1"))
        eventually(() => shown(rows) === "v=1@peer")
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        compare(shown(rows), "v=1@peer")
        verify(hub.start())
        verify(peer.send("v", "2"))
        eventually(() => shown(rows) === "v=2@peer")
    }

    function test_another_client_brings_other_rows() {
        verify(client.publish("mine", 1))
        const other = makeClient({ identity: "other", url: hub.url, subscriptions: ["**"] })
        tryCompare(other, "state", NanostateClient.Connected, patience)
        const model = makeModel()
        const rows = makeRows(model)
        compare(shown(rows), "mine=1@me")
        model.client = null
        compare(model.count, 0)
        verify(other.publish("theirs", 2))
        eventually(() => client.value("theirs") === 2 && other.value("mine") === 1)
        model.client = other
        compare(shown(rows), "mine=1@me theirs=2@other")
        deleteNow(other)
        compare(model.client, null)
        compare(model.count, 0)
        compare(shown(rows), "")
    }

    function test_a_binding_of_count_has_its_new_value_when_rows_are_told() {
        const model = makeModel()
        const bound = own(countComponent.createObject(null, { model: model }))
        const seen = []
        const note = () => seen.push(bound.count + " of " + model.rowCount())
        model.rowsInserted.connect(note)
        model.modelReset.connect(note)
        // Two groups of rows: before and after the existing one.
        verify(client.publish("m", 1))
        eventually(() => model.count === 1)
        verify(client.publish("a", 1))
        verify(client.publish("z", 1))
        eventually(() => model.count === 3)
        model.nameFilter = "z"
        model.client = null
        compare(seen, ["1 of 1", "2 of 2", "3 of 3", "1 of 1", "0 of 0"])
        compare(bound.count, 0)
    }

    function test_a_binding_of_count_is_right_when_the_model_starts_again_while_rows_come_data() {
        return [
            { tag: "before", signal: "rowsAboutToBeInserted" },
            { tag: "after", signal: "rowsInserted" },
            { tag: "with the count", signal: "countChanged" }
        ]
    }
    function test_a_binding_of_count_is_right_when_the_model_starts_again_while_rows_come(data) {
        const model = makeModel({ nameFilter: "d/**" })
        const bound = own(countComponent.createObject(null, { model: model }))
        const rows = makeRows(model)
        model[data.signal].connect(() => { model.nameFilter = "e" })
        verify(client.publish("e", 5))
        verify(client.publish("d/1", 1))
        eventually(() => shown(rows) === "e=5@me")
        compare(model.count, 1)
        compare(bound.count, 1)
    }

    function test_it_may_start_again_while_rows_are_about_to_come() {
        const model = makeModel({ nameFilter: "d/**" })
        model.rowsAboutToBeInserted.connect(() => { model.nameFilter = "e" })
        verify(client.publish("e", 5))
        verify(client.publish("d/1", 1))
        eventually(() => model.count === 1 && model.data(model.index(0, 0), Qt.UserRole) === "e")
    }

    function test_rows_may_be_read_while_they_are_about_to_go() {
        verify(client.publish("d", 1))
        const model = makeModel()
        compare(model.count, 1)
        let reads = 0
        model.modelAboutToBeReset.connect(() => {
            for (let role = Qt.UserRole; role < Qt.UserRole + 5; ++role)
                model.data(model.index(0, 0), role)
            ++reads
        })
        model.client = null
        compare(reads, 1)
        compare(model.count, 0)
    }

    function test_bytesAsText_reads_the_values_again() {
        const rows = makeRows(makeModel())
        verify(peer.sendRaw("v", "c403616263"))
        eventually(() => rows.repeater.count === 1)
        client.bytesAsText = true
        compare(shown(rows), "v=\"abc\"@peer")
    }

    function test_many_names_in_any_order_end_up_sorted() {
        const model = makeModel()
        const names = []
        for (let i = 0; i < 500; ++i)
            names.push("n" + (i * 7919 % 500))
        names.slice(0, 250).forEach(name => verify(client.publish(name, 1)))
        eventually(() => model.count === 250)
        names.slice(100).forEach(name => verify(client.publish(name, 2)))
        eventually(() => model.count === 500)
        const rows = shown(makeRows(model)).split(" ")
        const expected = names.map((name, i) => name + "=" + (i < 100 ? 1 : 2) + "@me").sort()
        // By name, not by text of the row.
        const byName = (a, b) => a.split("=")[0] < b.split("=")[0] ? -1 : 1
        compare(rows, expected.sort(byName))
    }
}
