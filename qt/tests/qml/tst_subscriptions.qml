import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "Subscriptions"

    // A client that has not said what it subscribes to.
    property NanostateClient late: null

    Component {
        id: modelComponent
        StateModel {}
    }
    Component {
        id: listenerComponent
        StateListener {}
    }
    Component {
        id: imageComponent
        StateImage {}
    }
    Component {
        id: pageComponent
        QtObject {
            id: page
            property string told: ""
            readonly property NanostateClient hub: NanostateClient {
                identity: "page"
                url: test.hub.url
                onStateUpdated: (sender, name, value) => { page.told += name + "=" + value }
            }
        }
    }

    function makeLate() {
        for (const name of ["v", "w", "x/1", "x/2", "camera"])
            verify(peer.send(name, "1"))
        late = makeClient({ identity: "late", url: hub.url })
    }

    function makeModel(properties) {
        return own(modelComponent.createObject(null, Object.assign({ client: late }, properties || {})))
    }

    // The names that the late client has once it has everything.
    function known() {
        wait(0)
        eventually(() => late.synced)
        return Array.from(late.names()).join(" ")
    }

    function test_a_client_is_sent_the_names_in_use_and_no_others() {
        makeLate()
        compare(late.subscriptions, [])
        const shared = makeShared({ client: late, name: "v" })
        compare(known(), "v")
        compare([shared.valid, shared.value], [true, 1])
        verify(peer.send("w", "2"))
        verify(peer.send("v", "2"))
        tryCompare(shared, "value", 2, patience)
        compare(TestTools.received(late), 2)
    }

    function test_what_is_used_later_comes_later_and_until_then_the_client_is_not_synced() {
        makeLate()
        makeShared({ client: late, name: "v" })
        compare(known(), "v")
        const synced = makeSpy(late, "syncedChanged")
        const states = []
        for (const name of ["w", "x/1", "x/2", "none"])
            states.push(makeShared({ client: late, name: name }))
        compare([late.synced, states[0].valid], [false, false])
        compare(known(), "v w x/1 x/2")
        compare(synced.count, 2)
        compare([states[0].valid, states[1].valid, states[2].valid, states[3].valid], [true, true, true, false])
        const again = makeShared({ client: late, name: "w" })
        compare([late.synced, again.value], [true, 1])
    }

    function test_a_name_is_given_up_with_its_last_user() {
        makeLate()
        const first = makeShared({ client: late, name: "v" })
        const second = makeShared({ client: late, name: "v" })
        const third = makeShared({ client: late, name: "w" })
        compare(known(), "v w")
        deleteNow(first)
        compare(known(), "v w")
        second.name = "x/1"
        compare(known(), "w x/1")
        third.client = null
        compare(known(), "x/1")
        // One that is not enabled has the newest value as soon as it is.
        second.enabled = false
        verify(peer.send("x/1", "2"))
        eventually(() => late.value("x/1") === 2)
        second.enabled = true
        compare(second.value, 2)
        deleteNow(second)
        compare(known(), "")
    }

    function test_models_and_listeners_use_their_patterns_and_pictures_their_name() {
        makeLate()
        const model = makeModel({ nameFilter: "x/*" })
        compare(known(), "x/1 x/2")
        eventually(() => model.count === 2)
        const listener = own(listenerComponent.createObject(null, { client: late, nameFilter: "*" }))
        const received = makeSpy(listener, "received")
        compare(known(), "camera v w x/1 x/2")
        compare(received.count, 3)
        verify(received.signalArguments.every(one => one[3] === true), "they are retained")
        listener.enabled = false
        compare(known(), "x/1 x/2")
        ignoreWarning(/is no picture: it is not bytes$/)
        const picture = own(imageComponent.createObject(null, { client: late, name: "camera" }))
        compare(known(), "camera x/1 x/2")
        picture.name = ""
        model.nameFilter = ""
        compare(known(), "camera v w x/1 x/2")
        eventually(() => model.count === 5)
        deleteNow(model)
        compare(known(), "")
    }

    function test_what_the_program_subscribes_to_comes_beside_what_is_in_use() {
        makeLate()
        const shared = makeShared({ client: late, name: "v" })
        verify(late.subscribe("x/*"))
        compare(late.subscriptions, ["x/*"])
        compare(known(), "v x/1 x/2")
        deleteNow(shared)
        compare(known(), "x/1 x/2")
        late.subscriptions = ["w"]
        compare(known(), "w")
        late.subscriptions = ["**"]
        compare(known(), "camera v w x/1 x/2")
        late.subscriptions = []
        compare(known(), "")
        verify(!late.unsubscribe("w"))
        compare([late.error, late.errorString], [NanostateClient.NotFound, "\"w\" is not subscribed to"])
        verify(!late.subscribe(""))
        compare(late.error, NanostateClient.Name)
    }

    function test_a_handler_of_stateUpdated_uses_all_names() {
        verify(peer.send("v", "1"))
        const page = own(pageComponent.createObject(null))
        tryCompare(page, "told", "v=1", patience)
        verify(peer.send("w", "2"))
        tryCompare(page, "told", "v=1w=2", patience)
        // One that comes later, and goes.
        makeLate()
        compare(known(), "")
        const handler = () => {}
        late.stateUpdated.connect(handler)
        compare(known(), "camera v w x/1 x/2")
        late.stateUpdated.disconnect(handler)
        compare(known(), "")
    }

    function test_a_client_made_in_cpp_is_sent_everything_until_it_says_what_it_wants() {
        makeLate()
        const plain = own(TestTools.plainClient("plain", hub.url))
        compare(plain.subscriptions, ["**"])
        const shared = makeShared({ client: plain, name: "v" })
        eventually(() => plain.synced)
        compare(plain.names().length, 5)
        plain.subscriptions = ["w"]
        wait(0)
        eventually(() => plain.synced)
        compare(plain.names(), ["v", "w"])
        compare(shared.value, 1)
        plain.subscriptions = undefined
        compare(plain.subscriptions, ["**"])
        wait(0)
        eventually(() => plain.synced)
        compare(plain.names().length, 5)
    }

    function test_more_patterns_than_an_app_can_have_are_all_names() {
        makeLate()
        const states = []
        for (let i = 0; i < 1100; ++i)
            states.push(makeShared({ client: late, name: "many/" + i }))
        const last = makeShared({ client: late, name: "v" })
        compare(known(), "camera v w x/1 x/2")
        compare([last.value, late.error], [1, NanostateClient.NoError])
        states.forEach(state => deleteNow(state))
        compare(known(), "v")
    }

    function test_a_filter_that_is_no_pattern_is_an_error_and_the_others_count() {
        makeLate()
        const model = makeModel({ nameFilter: "a/**/1/2/3/4/5/6/7/8/9/**" })
        makeShared({ client: late, name: "v" })
        compare(known(), "v")
        compare(late.error, NanostateClient.Name)
        verify(/9 segments/.test(late.errorString), late.errorString)
        model.nameFilter = "x/*"
        compare(known(), "v x/1 x/2")
        compare(late.error, NanostateClient.NoError)
    }

    function test_they_are_there_again_after_a_reconnect() {
        makeLate()
        const shared = makeShared({ client: late, name: "v" })
        compare(known(), "v")
        hub.kill()
        eventually(() => late.state !== NanostateClient.Connected)
        const other = makeShared({ client: late, name: "w" })
        verify(hub.start())
        tryCompare(other, "value", 1, patience)
        verify(peer.send("v", "3"))
        tryCompare(shared, "value", 3, patience)
        compare(known(), "v w")
    }
}
