import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// Which values are stale: those of programs that are gone.
HubTestCase {
    id: test
    name: "Stale"

    Component {
        id: peerComponent
        TestPeer {}
    }
    Component {
        id: labelComponent
        QtObject {
            property SharedState shared
            readonly property string text: shared.value + (shared.stale ? " stale" : "")
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
                    text: sender + " " + name + (stale ? " stale" : "")
                }
            }
        }
    }
    Component {
        id: modelComponent
        StateModel {}
    }

    function makePeer(identity) {
        const made = own(peerComponent.createObject(null))
        made.open(identity, hub.url)
        return made
    }

    function shown(rows) {
        const texts = []
        for (let i = 0; i < rows.repeater.count; ++i)
            texts.push(rows.repeater.itemAt(i).text)
        return texts.join(", ")
    }

    // The client knows who is there.
    function knowThePeers() {
        eventually(() => client.peers.length > 0, "the hub has told")
    }

    function test_a_binding_shows_that_the_program_is_gone_and_that_a_value_is_new() {
        const other = makePeer("other")
        other.send("v", "1")
        const shared = makeShared()
        const label = own(labelComponent.createObject(null, { shared: shared }))
        const spy = makeSpy(shared, "staleChanged")
        tryCompare(label, "text", "1", patience)
        eventually(() => client.peers.indexOf("other") >= 0, "the hub has told")
        other.close()
        tryCompare(label, "text", "1 stale", patience)
        compare(spy.count, 1)
        // Another run of it, which has not set the value.
        const again = makePeer("other")
        eventually(() => client.peers.indexOf("other") >= 0, "it is there again")
        verify(shared.stale)
        again.send("v", "1")
        tryCompare(label, "text", "1", patience)
        compare(spy.count, 2)
    }

    function test_an_own_value_and_the_default_are_not_stale() {
        const other = makePeer("other")
        other.send("v", "1")
        const shared = makeShared({ defaultValue: 7 })
        const label = own(labelComponent.createObject(null, { shared: shared }))
        tryCompare(label, "text", "1", patience)
        eventually(() => client.peers.indexOf("other") >= 0, "the hub has told")
        other.close()
        tryCompare(label, "text", "1 stale", patience)
        shared.value = 2
        compare(label.text, "2")
        shared.clear()
        tryCompare(label, "text", "1 stale", patience)
        shared.name = "another"
        compare(label.text, "7")
    }

    function test_the_value_that_stays_is_stale_while_the_newest_is_of_another_type() {
        const [first, second] = [makePeer("first"), makePeer("second")]
        first.send("v", "1")
        const shared = makeShared({ type: SharedState.Number })
        const label = own(labelComponent.createObject(null, { shared: shared }))
        tryCompare(label, "text", "1", patience)
        eventually(() => client.peers.indexOf("first") >= 0, "the hub has told")
        second.send("v", "\"text\"")
        tryCompare(shared, "error", NanostateClient.Kind, patience)
        verify(!shared.stale)
        first.close()
        tryCompare(label, "text", "1 stale", patience)
    }

    function test_a_handler_hears_of_it_without_anybody_reading_it() {
        const other = makePeer("other")
        other.send("v", "1")
        const shared = makeShared()
        const spy = makeSpy(shared, "staleChanged")
        tryCompare(shared, "value", 1, patience)
        eventually(() => client.peers.indexOf("other") >= 0, "the hub has told")
        other.close()
        tryCompare(spy, "count", 1, patience)
        verify(shared.stale)
    }

    function test_losing_the_hub_makes_nothing_stale_and_nothing_fresh() {
        const [stays, leaves] = [makePeer("stays"), makePeer("leaves")]
        stays.send("v", "1")
        leaves.send("w", "2")
        const [fresh, stale] = [makeShared(), makeShared({ name: "w" })]
        tryCompare(fresh, "value", 1, patience)
        tryCompare(stale, "value", 2, patience)
        verify(!fresh.stale && !stale.stale)
        eventually(() => client.peers.indexOf("leaves") >= 0, "the hub has told")
        leaves.close()
        tryCompare(stale, "stale", true, patience)
        hub.kill()
        eventually(() => client.state !== NanostateClient.Connected, "the hub is gone")
        verify(!fresh.stale && stale.stale)
        client.active = false
        verify(!fresh.stale && stale.stale)
    }

    function test_the_rows_of_a_program_that_is_gone_are_stale() {
        const [first, second] = [makePeer("first"), makePeer("second")]
        for (const [peer, name] of [[first, "a"], [first, "b"], [second, "c"], [first, "d"]])
            peer.send("x/" + name, "1")
        const model = own(modelComponent.createObject(null, { client: client, nameFilter: "x/*" }))
        TestTools.watchModel(model)
        const rows = own(rowsComponent.createObject(test, { model: model }))
        eventually(() => shown(rows) === "first x/a, first x/b, second x/c, first x/d", "all have rows")
        eventually(() => client.peers.indexOf("first") >= 0, "the hub has told")
        const changed = makeSpy(model, "dataChanged")
        first.close()
        eventually(() => shown(rows) === "first x/a stale, first x/b stale, second x/c, first x/d stale", "those are stale")
        // The values themselves may come once more, before or after that.
        const ranges = []
        for (const [first, last] of changed.signalArguments)
            ranges.push(first.row + " to " + last.row)
        compare(ranges.filter((range) => range !== "0 to 3"), ["0 to 1", "3 to 3"])
        const again = makePeer("first")
        again.send("x/b", "2")
        eventually(() => shown(rows) === "first x/a stale, first x/b, second x/c, first x/d stale", "one was set again")
    }

    function test_the_client_says_of_a_value_whether_it_is_stale() {
        const heard = []
        client.staleChanged.connect(sender => heard.push(sender))
        peer.send("x", "1")
        eventually(() => client.value("x") === 1, "the value")
        eventually(() => heard.indexOf("peer") >= 0 || heard.indexOf("") >= 0, "it is there")
        verify(!client.isStale("x") && !client.isStale("unknown"))
        heard.length = 0
        peer.close()
        eventually(() => heard.indexOf("peer") >= 0, "it has left")
        verify(client.isStale("x") && client.isStale("x", "peer") && !client.isStale("x", "nobody"))
    }
}
