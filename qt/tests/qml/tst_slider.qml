import QtQuick 2.15
import QtQuick.Controls 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

// The example of the documentation, with a real slider and a real mouse.
HubTestCase {
    id: test
    name: "Slider"
    width: 240
    height: 120
    visible: true
    when: windowShown

    Component {
        id: example
        Item {
            property alias hub: vol.client
            property alias vol: vol
            property alias slider: s
            anchors.fill: parent

            SharedState {
                id: vol
                name: "volume"
                defaultValue: 50
                held: s.pressed
            }
            Slider {
                id: s
                from: 0
                to: 100
                stepSize: 1
                width: 220
                value: vol.value
                onMoved: vol.value = value
            }
        }
    }
    // Another one of the same state, which follows the first.
    SharedState {
        id: witness
        client: test.client
        name: "volume"
    }

    function makeExample(properties) {
        return own(example.createObject(test, Object.assign({ hub: client }, properties || {})))
    }

    // What the peer received. The values of a slider are doubles: 51.0.
    function volumes() { return Array.from(peer.all("volume")).map(json => Number(json)) }
    function peerHasVolume(value) { eventually(() => volumes().pop() === value, "the volume is " + value) }

    // The centre of the handle for a value.
    function at(slider, value) {
        return slider.leftPadding + slider.handle.width / 2
            + value / 100 * (slider.availableWidth - slider.handle.width)
    }
    function press(slider, value) { mousePress(slider, at(slider, value), slider.height / 2) }
    function move(slider, value) { mouseMove(slider, at(slider, value), slider.height / 2, -1, Qt.LeftButton) }
    function release(slider, value) { mouseRelease(slider, at(slider, value), slider.height / 2) }

    function test_it_shows_the_default_and_follows_remote_values_without_publishing() {
        const shown = makeExample()
        compare(shown.slider.value, 50)
        verify(peer.send("volume", "70"))
        tryCompare(shown.slider, "value", 70, patience)
        verify(peer.send("volume", "20.0"))
        tryCompare(shown.slider, "value", 20, patience)
        fence()
        compare(peer.all("volume"), [])
    }

    function test_a_drag_publishes_and_the_slider_follows_again_afterwards() {
        const shown = makeExample()
        const slider = shown.slider
        press(slider, 50)
        compare(slider.pressed, true)
        compare(shown.vol.held, true)
        for (const value of [40, 30, 20, 10])
            move(slider, value)
        release(slider, 10)
        compare(slider.pressed, false)
        compare(slider.value, 10)
        compare(shown.vol.value, 10)
        peerHasVolume(10)
        const published = volumes()
        compare(published[published.length - 1], 10)
        verify(published.length > 1, published.join())
        verify(peer.send("volume", "90"))
        tryCompare(slider, "value", 90, patience)
        compare(shown.vol.sender, "peer")
    }

    function test_remote_values_do_not_move_a_slider_that_is_held_and_the_users_value_wins() {
        const shown = makeExample()
        const slider = shown.slider
        press(slider, 50)
        move(slider, 40)
        move(slider, 30)
        const mine = slider.value
        peerHasVolume(mine)
        verify(peer.send("volume", "90"))
        tryCompare(witness, "value", 90, patience)
        compare(slider.value, mine)
        compare(shown.vol.value, mine)
        release(slider, 30)
        compare(slider.value, mine)
        tryCompare(witness, "value", mine, patience)
        fence()
        const published = volumes()
        compare(published[published.length - 1], mine)
        compare(published[published.length - 2], mine)
    }

    function test_a_slider_that_was_only_touched_shows_the_newest_on_release() {
        const shown = makeExample()
        const slider = shown.slider
        press(slider, 50)
        compare(slider.value, 50)
        verify(peer.send("volume", "90"))
        tryCompare(witness, "value", 90, patience)
        compare(slider.value, 50)
        release(slider, 50)
        compare(slider.value, 90)
        fence()
        compare(peer.all("volume"), [])
    }

    function test_keys_publish_too() {
        const shown = makeExample()
        shown.slider.forceActiveFocus()
        keyClick(Qt.Key_Right)
        compare(shown.slider.value, 51)
        peerHasVolume(51)
        verify(peer.send("volume", "3"))
        tryCompare(shown.slider, "value", 3, patience)
    }

    function test_it_works_before_the_connection_and_across_reconnects() {
        hub.kill()
        const late = makeClient({ identity: "late", url: hub.url })
        const shown = makeExample({ hub: late })
        const slider = shown.slider
        compare(slider.value, 50)
        press(slider, 50)
        move(slider, 65)
        move(slider, 80)
        release(slider, 80)
        compare(slider.value, 80)
        compare(shown.vol.pending, true)
        verify(hub.start())
        peerHasVolume(80)
        tryCompare(shown.vol, "pending", false, patience)
        compare(slider.value, 80)
        for (const value of [10, 20, 30]) {
            hub.kill()
            tryCompare(late, "state", NanostateClient.Connecting, patience)
            verify(hub.start())
            verify(peer.send("volume", String(value)))
            tryCompare(slider, "value", value, patience)
        }
        press(slider, 30)
        move(slider, 40)
        move(slider, 60)
        release(slider, 60)
        peerHasVolume(60)
    }

    function test_two_windows_of_two_clients_move_each_other() {
        const other = makeClient({ identity: "other", url: hub.url })
        const one = makeExample()
        const two = makeExample({ hub: other })
        two.y = 60
        two.anchors.fill = undefined
        tryCompare(other, "state", NanostateClient.Connected, patience)
        one.slider.forceActiveFocus()
        keyClick(Qt.Key_Right)
        tryCompare(two.slider, "value", 51, patience)
        two.slider.forceActiveFocus()
        keyClick(Qt.Key_Right)
        tryCompare(one.slider, "value", 52, patience)
    }
}
