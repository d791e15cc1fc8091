import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "Peers"

    Component {
        id: modelComponent
        PeerModel {}
    }
    Component {
        id: rowsComponent
        Column {
            property alias model: repeater.model
            property alias repeater: repeater
            Repeater {
                id: repeater
                Text {
                    readonly property string which: instance
                    text: identity + (presence === NanostateClient.Suspect ? " suspect" : presence === NanostateClient.Here ? " here" : " ?")
                }
            }
        }
    }
    Component {
        id: textComponent
        QtObject {
            property NanostateClient client
            readonly property string identities: client ? String(client.peers) : ""
        }
    }
    Component {
        id: peerComponent
        TestPeer {}
    }

    function makeModel(properties) {
        const model = own(modelComponent.createObject(null, Object.assign({ client: client }, properties || {})))
        TestTools.watchModel(model)
        return model
    }

    function makeRows(model) {
        return own(rowsComponent.createObject(test, { model: model }))
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

    function test_rows_come_and_go_with_the_apps() {
        const model = makeModel()
        const rows = makeRows(model)
        eventually(() => shown(rows) === "peer here", "the peer has a row")
        compare(rows.repeater.itemAt(0).which.length, 32)
        const first = makePeer("a first")
        const last = makePeer("z last")
        eventually(() => shown(rows) === "a first here, peer here, z last here", "all have rows")
        compare(model.count, 3)
        first.close()
        eventually(() => shown(rows) === "peer here, z last here", "one is gone")
        last.close()
        eventually(() => model.count === 1, "another is gone")
    }

    function test_an_app_whose_link_has_broken_is_suspect() {
        const rows = makeRows(makeModel())
        TestTools.startProgram("killed", hub.url)
        eventually(() => shown(rows) === "killed here, peer here", "both have rows")
        TestTools.killProgram()
        eventually(() => shown(rows) === "killed suspect, peer here", "one is suspect")
        eventually(() => shown(rows) === "peer here", "one is lost")
    }

    function test_a_binding_shows_who_is_there() {
        const label = own(textComponent.createObject(null, { client: client }))
        tryCompare(label, "identities", "peer", patience)
        const other = makePeer("other")
        tryCompare(label, "identities", "other,peer", patience)
        other.close()
        tryCompare(label, "identities", "peer", patience)
    }

    function test_a_handler_hears_of_each_change() {
        const heard = []
        client.presenceChanged.connect((identity, presence) => heard.push([identity, presence]))
        eventually(() => heard.length === 1, "the peer is there")
        compare(heard[0], ["peer", NanostateClient.Here])
        peer.close()
        eventually(() => heard.length === 2, "it has left")
        compare(heard[1], ["peer", NanostateClient.Left])
    }

    function test_rows_go_with_the_client() {
        const model = makeModel()
        tryCompare(model, "count", 1, patience)
        client.active = false
        tryCompare(model, "count", 0, patience)
        client.active = true
        tryCompare(model, "count", 1, patience)
        model.client = null
        tryCompare(model, "count", 0, patience)
        compare(makeModel({ client: null }).count, 0)
    }

    function test_the_rows_change_by_what_has_changed() {
        const model = makeModel()
        tryCompare(model, "count", 1, patience)
        const inserted = makeSpy(model, "rowsInserted")
        const removed = makeSpy(model, "rowsRemoved")
        const other = makePeer("other")
        tryCompare(inserted, "count", 1, patience)
        compare([inserted.signalArguments[0][1], inserted.signalArguments[0][2]], [0, 0])
        other.close()
        tryCompare(removed, "count", 1, patience)
        compare(model.data(model.index(0, 0), Qt.UserRole), "peer")
    }

    function test_a_slot_may_delete_the_model() {
        const model = makeModel()
        model.countChanged.connect(() => deleteNow(model))
        eventually(() => made.indexOf(model) < 0, "it is deleted")
    }
}
