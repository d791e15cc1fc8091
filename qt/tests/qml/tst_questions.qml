import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "Questions"

    Component {
        id: askingComponent
        NanostateClient {
            property var told: []
            onForgotten: (sender, name, error, errorString) => told.push([sender, name, error, errorString])
            onHubStatsReceived: (stats, error, errorString) => told.push([stats, error, errorString])
            onHubPeersReceived: (peers, error, errorString) => told.push([peers, error, errorString])
        }
    }

    function makeAsking(properties) {
        return own(askingComponent.createObject(null, Object.assign({ identity: "asking", url: hub.url }, properties || {})))
    }

    function test_a_value_of_a_program_that_is_gone_is_withdrawn() {
        const shared = makeShared({ name: "room/people", defaultValue: -1 })
        verify(peer.send("room/people", "3"))
        tryCompare(shared, "value", 3, patience)
        const asking = makeAsking()
        verify(asking.forget("peer", "room/people"))
        eventually(() => asking.told.length === 1, "the peer is there, and keeps its value")
        compare(asking.told[0].slice(0, 3), ["peer", "room/people", NanostateClient.NotActive])
        verify(asking.told[0][3].length > 0)
        peer.close()
        // Until the hub has noticed that it is gone.
        const answer = () => asking.told[asking.told.length - 1]
        asking.forgotten.connect((sender, name, error) => {
            if (error === NanostateClient.NotActive)
                asking.forget("peer", "room/people", patience)
        })
        verify(asking.forget("peer", "room/people", patience))
        eventually(() => asking.told.length > 1 && answer()[2] !== NanostateClient.NotActive, "it is forgotten")
        compare(answer(), ["peer", "room/people", NanostateClient.NoError, ""])
        tryCompare(shared, "value", -1, patience)
        compare(shared.valid, false)
    }

    function test_what_the_hub_counts_are_numbers_of_JavaScript() {
        verify(peer.send("x", "1"))
        const asking = makeAsking()
        verify(asking.requestHubStats())
        eventually(() => asking.told.length === 1, "the hub has answered")
        const [stats, error, errorString] = asking.told[0]
        compare([error, errorString], [NanostateClient.NoError, ""])
        compare([stats.peers, stats.messagesIn, stats.states, stats.maxStates, stats.storeFailed], [3, 1, 1, 1000000, 0])
        verify(stats.uptimeMs > 0 && stats.memoryBytes >= stats.tableBytes)
        verify(asking.requestHubPeers(patience))
        eventually(() => asking.told.length === 2, "it has told of the peers")
        const [peers] = asking.told[1]
        compare(peers.map(one => one.identity).sort(), ["asking", "me", "peer"])
        const one = peers.find(one => one.identity === "peer")
        compare([one.messagesIn, one.messagesOut, one.old, one.live, one.suspect], [1, 0, false, true, false])
        compare(typeof one.from, "string")
    }

    function test_a_question_that_is_not_answered_in_time_says_so() {
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        const asking = makeAsking()
        verify(asking.requestHubStats(1))
        eventually(() => asking.told.length === 1, "the time is up")
        const [stats, error, errorString] = asking.told[0]
        compare([Object.keys(stats).length, error], [0, NanostateClient.Timeout])
        verify(errorString.length > 0)
        asking.active = false
        compare(asking.requestHubStats(), false)
        compare([asking.error, asking.errorString], [NanostateClient.NotActive, "the hub was not asked: not active"])
    }
}
