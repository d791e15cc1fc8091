import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// Values for those who are there, and values that expire.
HubTestCase {
    id: test
    name: "Lifetimes"

    Component {
        id: modelComponent
        StateModel {}
    }
    Component {
        id: mouseComponent
        SharedState {
            name: "mouse"
            transientValue: true
        }
    }
    Component {
        id: aliveComponent
        SharedState {
            name: "alive"
            timeToLive: 1000
        }
    }

    // Another program's client, which is sent everything, once it has what the hub held.
    function makeLate(identity) {
        const late = makeClient({ identity: identity, url: hub.url, subscriptions: ["**"] })
        eventually(() => late.synced, "all that the hub held")
        return late
    }

    function test_properties_have_their_documented_defaults() {
        const shared = makeShared()
        compare([shared.transientValue, shared.timeToLive], [false, 0])
        const [reach, life] = [makeSpy(shared, "transientValueChanged"), makeSpy(shared, "timeToLiveChanged")]
        for (let i = 0; i < 2; ++i) {
            shared.transientValue = true
            shared.timeToLive = 7
        }
        compare([shared.transientValue, shared.timeToLive, reach.count, life.count], [true, 7, 1, 1])
    }

    function test_a_transient_value_reaches_those_who_are_there_and_nobody_who_comes_later_data() {
        return [
            { tag: "SharedState", publish: value => {
                own(mouseComponent.createObject(null, { client: client })).value = value
            } },
            { tag: "publish", publish: value => verify(client.publish("mouse", value, { transient: true })) }
        ]
    }
    function test_a_transient_value_reaches_those_who_are_there_and_nobody_who_comes_later(data) {
        const there = makeShared({ client: makeLate("there"), name: "mouse" })
        data.publish([3, 4])
        tryCompare(there, "value", [3, 4], patience)
        verify(client.publish("lasting", 1))
        fence()
        const late = makeLate("late")
        compare([late.value("mouse"), late.value("lasting")], [undefined, 1])
        verify(there.valid)
    }

    function test_an_option_counts_for_what_is_published_from_then_on() {
        const mouse = own(mouseComponent.createObject(null, { client: client }))
        mouse.value = 1
        fence()
        compare(makeLate("late1").value("mouse"), undefined)
        mouse.transientValue = false
        mouse.value = 2
        fence()
        compare(makeLate("late2").value("mouse"), 2)
        verify(client.publish("mouse", 3, { transient: true }))
        verify(client.publish("mouse", 4))
        fence()
        compare(makeLate("late3").value("mouse"), 4)
    }

    function test_a_value_that_is_not_published_again_in_time_is_withdrawn_everywhere_data() {
        return [
            { tag: "SharedState", publish: value => {
                own(aliveComponent.createObject(null, { client: client })).value = value
            } },
            { tag: "publish", publish: value => verify(client.publish("alive", value, { timeToLive: 1000 })) },
            { tag: "both options",
              publish: value => verify(client.publish("alive", value, { timeToLive: 1000, transient: true })) }
        ]
    }
    function test_a_value_that_is_not_published_again_in_time_is_withdrawn_everywhere(data) {
        const clients = [client, makeLate("other")]
        const shown = Array.from(clients, each => makeShared({ client: each, name: "alive", defaultValue: "gone" }))
        const models = Array.from(clients, each => own(modelComponent.createObject(null, { client: each, nameFilter: "alive" })))
        models.forEach(model => TestTools.watchModel(model))
        const values = shown.map(() => [])
        shown.forEach((shared, i) => shared.valueChanged.connect(() => values[i].push(shared.value)))
        const counts = models.map(() => [])
        models.forEach((model, i) => model.countChanged.connect(() => counts[i].push(model.count)))
        data.publish("here")
        eventually(() => values.every(each => each.length === 2), "it has come and gone")
        eventually(() => counts.every(each => each.length === 2), "its rows as well")
        compare(values, [["here", "gone"], ["here", "gone"]])
        compare(counts, [[1, 0], [1, 0]])
        verify(shown.every(shared => !shared.valid && shared.sender === ""))
        compare(Array.from(clients, each => each.value("alive")), [undefined, undefined])
        verify(client.names().indexOf("alive") < 0)
        compare(makeLate("late").value("alive"), undefined)
        compare(client.error, NanostateClient.NoError)
    }

    function test_the_newest_value_of_another_program_takes_its_place() {
        const shared = makeShared({ timeToLive: 100 })
        verify(peer.send("v", "1"))
        tryCompare(shared, "value", 1, patience)
        shared.value = 2
        compare([shared.value, shared.sender], [2, "me"])
        tryCompare(shared, "value", 1, patience)
        compare(shared.sender, "peer")
    }

    function test_a_value_that_is_set_again_in_time_lives_on_also_if_it_is_the_same() {
        const alive = own(aliveComponent.createObject(null, { client: client, timeToLive: 30000 }))
        const other = makeShared({ client: makeLate("other"), name: "alive" })
        const validity = makeSpy(other, "validChanged")
        alive.value = true
        tryCompare(other, "value", true, patience)
        const first = other.time
        alive.value = true
        eventually(() => other.time > first, "it was published again")
        compare([other.value, validity.count], [true, 1])
        // Without a time to live it would not be.
        alive.timeToLive = 0
        alive.value = false
        fence()
        alive.value = false
        fence()
        compare(peer.all("alive"), ["true", "true", "false"])
    }

    function test_a_value_without_it_takes_the_place_of_one_with_a_time_to_live_and_stays() {
        const model = own(modelComponent.createObject(null, { client: client, nameFilter: "*" }))
        const counted = makeSpy(model, "rowsRemoved")
        verify(client.publish("v", 1, { timeToLive: 50 }))
        verify(client.publish("v", 2))
        verify(client.publish("w", 1, { timeToLive: 100 }))
        eventually(() => model.count === 1 && client.value("w") === undefined, "the other one has expired")
        compare([client.value("v"), counted.count], [2, 1])
        // Nor does one expire that was withdrawn.
        verify(client.publish("v", 3, { timeToLive: 50 }))
        verify(client.clear("v"))
        tryCompare(model, "count", 0, patience)
        verify(client.publish("v", 4))
        verify(client.publish("w", 1, { timeToLive: 100 }))
        eventually(() => client.value("w") === undefined && model.count === 1, "the other one has expired again")
        compare(client.value("v"), 4)
    }

    function test_a_value_that_was_set_without_a_hub_expires_there_as_well() {
        hub.kill()
        eventually(() => client.state !== NanostateClient.Connected, "the hub is gone")
        const alive = own(aliveComponent.createObject(null, { client: client, timeToLive: 50 }))
        alive.value = true
        verify(alive.valid && alive.pending)
        tryCompare(alive, "valid", false, patience)
        verify(!alive.pending)
    }

    function test_a_value_that_waits_for_its_client_begins_to_live_when_it_is_published() {
        const idle = makeClient({ active: false, identity: "idle", url: hub.url })
        const alive = own(aliveComponent.createObject(null, { client: idle }))
        alive.value = "waits"
        const other = makeShared({ name: "alive", defaultValue: "gone" })
        const values = []
        other.valueChanged.connect(() => values.push(other.value))
        verify(client.publish("w", 1, { timeToLive: 100 }))
        eventually(() => client.value("w") === undefined, "some time has passed")
        compare([alive.value, values], ["waits", []])
        idle.active = true
        eventually(() => values.length === 2, "it has come and gone")
        compare(values, ["waits", "gone"])
        tryCompare(alive, "valid", false, patience)
    }

    function test_what_is_no_option_is_refused_with_words_data() {
        return [
            { tag: "name", options: { ttl: 5 }, why: "\"ttl\" is no option: there are transient and timeToLive" },
            { tag: "transient", options: { transient: 1 }, why: "transient is 1, and neither true nor false" },
            { tag: "text", options: { timeToLive: "5" }, why: "timeToLive is 5, and no whole number of milliseconds" },
            { tag: "fraction", options: { timeToLive: 1.5 }, why: "timeToLive is 1.5, and no whole number of milliseconds" },
            { tag: "not a number", options: { timeToLive: NaN },
              why: "timeToLive is NaN, and no whole number of milliseconds" },
            { tag: "infinite", options: { timeToLive: Infinity },
              why: "timeToLive is Infinity, and no whole number of milliseconds" },
            { tag: "no object", options: 5000, why: "the options are 5000, and no object" },
            { tag: "null", options: null, why: "the options are null, and no object" }
        ]
    }
    function test_what_is_no_option_is_refused_with_words(data) {
        ignoreWarning(new RegExp("\"v\" was not published: " + data.why + "$"))
        compare(client.publish("v", 1, data.options), false)
        compare([client.error, client.errorString], [NanostateClient.Invalid, "\"v\": " + data.why])
        compare(client.value("v"), undefined)
        verify(client.publish("v", 1, { transient: undefined, timeToLive: undefined }))
        compare([client.error, client.value("v")], [NanostateClient.NoError, 1])
    }

    function test_a_time_to_live_beyond_its_range_is_refused_and_named() {
        for (const millis of [-1, 1000 * 86400 * 1000 + 1]) {
            compare(client.publish("v", 1, { timeToLive: millis }), false)
            compare(client.error, NanostateClient.Invalid)
            verify(client.errorString.indexOf("\"v\"") >= 0 && client.errorString.indexOf(String(millis)) >= 0,
                   client.errorString)
        }
        const shared = makeShared({ timeToLive: 5 })
        ignoreWarning(/timeToLive is -1, and a time is not negative$/)
        shared.timeToLive = -1
        compare(shared.timeToLive, 5)
    }
}
