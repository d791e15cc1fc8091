import QtQuick 2.15
import Nanostate 1.0
import "."

// Says why there is no connection, or nothing to see, and what helps. Not visible while all is well.
Rectangle {
    id: banner

    property NanostateClient client: null
    // The hub's address in words.
    property string hub
    property bool hasData: false
    readonly property string explanation: words.heading + "\n" + words.help
    // A connection that works is up before this could be read.
    property bool patient: true

    readonly property bool connected: client !== null && client.state === NanostateClient.Connected
    readonly property bool refused: client !== null && client.state === NanostateClient.Refused
    readonly property bool broken: client !== null && (refused || !client.active)
    readonly property bool needed: !connected || !hasData
    readonly property color tint: broken ? Theme.red : connected ? Theme.blue : Theme.amber

    visible: needed && !patient
    implicitHeight: words.implicitHeight + 2 * Theme.gap
    radius: Theme.radius
    color: Theme.tinted(tint, 0.09)
    border.color: Theme.tinted(tint, 0.35)

    onNeededChanged: patient = needed
    Timer {
        interval: 700
        running: banner.needed && banner.patient
        onTriggered: banner.patient = false
    }

    Column {
        id: words

        readonly property string heading: {
            if (banner.connected)
                return "Connected to " + banner.hub + ", but nobody sends the figures of a machine"
            if (banner.refused)
                return "The hub at " + banner.hub + " does not let this program in"
            return (banner.broken ? "Cannot connect to " : "Trying to reach the hub at ") + banner.hub
        }
        readonly property string help: {
            if (banner.connected)
                return "Start examples-c/publish, or send one: nanostate send cpu/load 1.5 --type double"
            var reason = banner.client !== null && banner.client.errorString ? banner.client.errorString + "\n" : ""
            if (banner.refused)
                return reason + "Start this program with another name: --identity NAME"
            if (banner.broken)
                return reason + "Start this program with another address: --url tcp://HOST:PORT"
            return reason + "Start a hub with: nanostate hub. This program connects by itself."
                + (banner.hasData ? " The figures below are the last known." : "")
        }

        anchors { left: parent.left; right: parent.right; top: parent.top; margins: Theme.gap }
        anchors { leftMargin: Theme.padding; rightMargin: Theme.padding }
        spacing: 3
        Text {
            width: parent.width
            wrapMode: Text.Wrap
            text: words.heading
            color: banner.tint
            font.pixelSize: Theme.body
            font.weight: Font.DemiBold
        }
        Text {
            width: parent.width
            wrapMode: Text.Wrap
            text: words.help
            color: Theme.muted
            font.pixelSize: Theme.body
        }
    }
}
