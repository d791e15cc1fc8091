import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// Values that wait: for a client, for publishInterval, for the end of a hold, or until the object is enabled.
HubTestCase {
    name: "SharedStateWaiting"

    function test_a_value_set_before_the_hub_is_there_is_pending_and_goes_out_then() {
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        const shared = makeShared({ defaultValue: 50 })
        const spy = makeSpy(shared, "pendingChanged")
        shared.value = 1
        shared.value = 2
        compare(shared.value, 2)
        compare(shared.pending, true)
        verify(hub.start())
        tryCompare(shared, "pending", false, patience)
        compare(spy.count, 2)
        peerHas("v", "2")
    }

    function test_a_value_set_while_the_client_is_inactive_is_kept_for_it() {
        client.active = false
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 3
        compare(shared.value, 3)
        compare(shared.pending, true)
        compare(shared.valid, true)
        client.active = true
        peerHas("v", "3")
        tryCompare(shared, "pending", false, patience)
        compare(shared.value, 3)
    }

    function test_a_value_set_without_a_client_or_a_name_waits_for_them() {
        const shared = makeShared({ client: null, name: "" })
        shared.value = 4
        compare(shared.pending, true)
        shared.client = client
        compare(shared.pending, true)
        shared.name = "v"
        compare(shared.pending, false)
        compare(shared.sender, "me")
        peerHas("v", "4")
    }

    function test_a_value_that_waits_is_for_its_name_and_no_other() {
        client.active = false
        const shared = makeShared({ defaultValue: 50 })
        shared.value = 4
        shared.name = "w"
        compare(shared.value, 50)
        compare(shared.pending, false)
        client.active = true
        tryCompare(client, "state", NanostateClient.Connected, patience)
        fence()
        compare(peer.all("w"), [])
    }

    function test_a_value_that_no_hub_had_goes_out_under_another_identity() {
        hub.kill()
        tryCompare(client, "state", NanostateClient.Connecting, patience)
        const shared = makeShared()
        shared.value = 5
        client.identity = "me-again"
        verify(hub.start())
        peerHas("v", "5")
    }

    function test_while_held_remote_values_wait_and_the_newest_applies_on_release() {
        const shared = makeShared({ defaultValue: 50 })
        const witness = makeShared()
        shared.held = true
        for (const value of [1, 2, 3]) {
            verify(peer.send("v", String(value)))
            tryCompare(witness, "value", value, patience)
            compare(shared.value, 50)
            compare(shared.valid, false)
        }
        const spy = makeSpy(shared, "valueChanged")
        shared.held = false
        compare(shared.value, 3)
        compare(shared.sender, "peer")
        compare(spy.count, 1)
        fence()
        compare(peer.all("v"), [])
    }

    function test_a_value_set_while_held_stays_and_is_published_once_more_over_a_later_remote_one() {
        const shared = makeShared({ defaultValue: 50 })
        const witness = makeShared()
        shared.held = true
        shared.value = 10
        // Only a value whose sender has seen the other one is certainly newer.
        peerHas("v", "10")
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        compare(shared.value, 10)
        shared.held = false
        compare(shared.value, 10)
        tryCompare(witness, "value", 10, patience)
        fence()
        compare(peer.all("v"), ["10", "10"])
        compare(shared.value, 10)
        compare(shared.sender, "me")
    }

    function test_a_value_set_while_held_over_an_earlier_remote_one_is_published_once() {
        const shared = makeShared({ defaultValue: 50 })
        const witness = makeShared()
        shared.held = true
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        shared.value = 10
        shared.held = false
        compare(shared.value, 10)
        fence()
        compare(peer.all("v"), ["10"])
        compare(witness.value, 10)
    }

    function test_a_later_remote_value_that_is_equal_to_the_one_set_while_held_needs_no_answer() {
        const shared = makeShared()
        shared.held = true
        shared.value = [10]
        peerHas("v", "[10]")
        verify(peer.send("v", "[10.0]"))
        eventually(() => client.value("v", "peer") !== undefined)
        shared.held = false
        compare(shared.value, [10])
        compare(shared.sender, "peer")
        fence()
        compare(peer.all("v"), ["[10]"])
    }

    function test_the_value_that_is_shown_counts_as_set_when_it_is_set_while_held() {
        const shared = makeShared({ defaultValue: 50 })
        const witness = makeShared()
        verify(peer.send("v", "[10]"))
        eventually(() => shared.valid)
        shared.held = true
        // A value that was there stays unpublished; one that is newer is replaced at once, as by any other value that
        // is set.
        shared.value = [10.0]
        fence()
        compare(peer.all("v"), [])
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        compare(shared.value, [10])
        shared.held = false
        compare(shared.value, [10])
        peerHas("v", "[10]")
        compare(shared.sender, "me")
        compare(witness.value, [10])
    }

    function test_the_value_that_is_shown_is_published_when_it_is_set_while_held_over_another_one() {
        const shared = makeShared({ defaultValue: 50 })
        const witness = makeShared()
        shared.held = true
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        shared.value = 50
        peerHas("v", "50")
        compare(shared.valid, true)
        compare(shared.sender, "me")
        shared.held = false
        compare(shared.value, 50)
        tryCompare(witness, "value", 50, patience)
        fence()
        compare(peer.all("v"), ["50"])
    }

    function test_the_default_that_is_set_while_held_is_published_only_over_another_value() {
        const shared = makeShared({ defaultValue: 50 })
        shared.held = true
        shared.value = 50
        shared.held = false
        fence()
        compare(peer.all("v"), [])
        compare(shared.value, 50)
        compare(shared.valid, false)
    }

    function test_a_hold_in_which_nothing_was_set_follows_one_in_which_something_was() {
        const shared = makeShared()
        shared.held = true
        shared.value = 10
        shared.held = false
        peerHas("v", "10")
        shared.held = true
        verify(peer.send("v", "20"))
        eventually(() => client.value("v") === 20)
        compare(shared.value, 10)
        shared.held = false
        compare(shared.value, 20)
    }

    function test_another_name_while_held_shows_what_is_known_of_it() {
        verify(peer.send("w", "8"))
        eventually(() => client.value("w") === 8)
        const shared = makeShared({ defaultValue: 50 })
        shared.held = true
        shared.value = 10
        shared.name = "w"
        compare(shared.value, 8)
        shared.held = false
        compare(shared.value, 8)
        fence()
        compare(peer.all("w"), [])
        compare(peer.all("v"), ["10"])
    }

    function test_publishInterval_publishes_the_first_change_and_the_newest_of_the_others() {
        const shared = makeShared({ publishInterval: 200 })
        for (let i = 1; i <= 100; ++i)
            shared.value = i
        compare(shared.value, 100)
        compare(shared.pending, true)
        peerHas("v", "100")
        tryCompare(shared, "pending", false, patience)
        compare(peer.all("v"), ["1", "100"])
    }

    function test_what_waits_for_the_interval_is_not_lost_with_a_client_of_cpp_data() {
        return [
            { tag: "destroyed", end: client => deleteNow(client) },
            { tag: "deactivated", end: client => TestTools.deactivate(client) }
        ]
    }
    function test_what_waits_for_the_interval_is_not_lost_with_a_client_of_cpp(data) {
        const plain = own(TestTools.plainClient("plain", hub.url))
        tryVerify(() => TestTools.isConnected(plain), patience)
        const shared = makeShared({ client: plain, publishInterval: 100000 })
        const other = makeShared({ client: plain, name: "w", publishInterval: 100000 })
        for (let i = 1; i <= 2; ++i) {
            shared.value = i
            other.value = -i
        }
        compare(shared.pending, true)
        data.end(plain)
        peerHas("v", "2")
        peerHas("w", "-2")
    }

    function test_what_waits_for_the_interval_is_not_lost_when_cpp_deactivates_the_client() {
        const shared = makeShared({ publishInterval: 100000 })
        shared.value = 1
        shared.value = 2
        TestTools.deactivate(client)
        compare(client.active, false)
        peerHas("v", "2")
    }

    function test_a_remote_value_does_not_take_the_place_of_one_that_waits() {
        const shared = makeShared({ publishInterval: 100000 })
        const witness = makeShared()
        shared.value = 1
        shared.value = 2
        peerHas("v", "1")
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        compare(shared.value, 2)
        shared.publishInterval = 0
        compare(shared.pending, false)
        peerHas("v", "2")
        tryCompare(witness, "value", 2, patience)
        compare(shared.value, 2)
    }

    function test_what_waits_for_the_interval_is_not_lost_data() {
        return [
            { tag: "when it is destroyed", end: shared => deleteNow(shared) },
            { tag: "when the client is destroyed", end: () => { deleteNow(client); client = null } },
            { tag: "when the client is deactivated", end: () => client.active = false },
            { tag: "when the client is changed", end: shared => shared.client = null },
            { tag: "when the name is changed", end: shared => shared.name = "w" },
            { tag: "when it is disabled", end: shared => shared.enabled = false },
            { tag: "when the interval is taken away", end: shared => shared.publishInterval = 0 }
        ]
    }
    function test_what_waits_for_the_interval_is_not_lost(data) {
        const shared = makeShared({ publishInterval: 100000 })
        shared.value = 1
        shared.value = 2
        compare(shared.pending, true)
        data.end(shared)
        peerHas("v", "2")
    }

    function test_disabled_it_neither_follows_nor_publishes() {
        const shared = makeShared({ defaultValue: 50, enabled: false })
        const witness = makeShared()
        verify(peer.send("v", "20"))
        tryCompare(witness, "value", 20, patience)
        compare(shared.value, 50)
        shared.value = 60
        compare(shared.value, 60)
        compare(shared.pending, false)
        fence()
        compare(peer.all("v"), [])
        compare(witness.value, 20)
        shared.enabled = true
        compare(shared.value, 20)
        compare(shared.sender, "peer")
        fence()
        compare(peer.all("v"), [])
    }

    function test_enabled_again_with_nothing_known_it_shows_the_default() {
        const shared = makeShared({ defaultValue: 50, enabled: false })
        shared.value = 60
        shared.enabled = true
        compare(shared.value, 50)
        compare(shared.valid, false)
    }
}
