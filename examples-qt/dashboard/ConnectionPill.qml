import QtQuick 2.15
import Nanostate 1.0
import "."

// The state of the connection in two words and a coloured dot.
Rectangle {
    id: pill

    property NanostateClient client: null
    readonly property bool connected: client !== null && client.state === NanostateClient.Connected
    readonly property bool connecting: client !== null && client.state === NanostateClient.Connecting
    readonly property color tint: connected ? Theme.green : connecting ? Theme.amber : Theme.red

    implicitWidth: row.implicitWidth + 2 * Theme.gap
    implicitHeight: 34
    radius: height / 2
    color: Theme.tinted(tint, 0.1)

    Row {
        id: row
        anchors.centerIn: parent
        spacing: Theme.unit
        Rectangle {
            anchors.verticalCenter: parent.verticalCenter
            width: 8
            height: 8
            radius: 4
            color: pill.tint
        }
        Text {
            text: {
                if (pill.client === null)
                    return "Disconnected"
                switch (pill.client.state) {
                case NanostateClient.Connected: return "Connected"
                case NanostateClient.Connecting: return "Connecting\u2026"
                case NanostateClient.Refused: return "Refused"
                default: return "Disconnected"
                }
            }
            color: pill.tint
            font.pixelSize: Theme.body
        }
    }
}
