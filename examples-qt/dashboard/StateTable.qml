import QtQuick 2.15
import Nanostate 1.0
import "."

// Every state, a row each: StateModel shows what the client knows.
Item {
    id: table

    property NanostateClient client: null
    readonly property int count: states.count

    implicitHeight: 240

    StateModel {
        id: states
        client: table.client
    }

    TableRow {
        id: header
        width: parent.width
        height: 24
        first: "Name"
        second: "Value"
        third: "Sender"
        fourth: "Age"
    }
    ListView {
        id: list
        anchors { left: parent.left; right: parent.right; top: header.bottom; bottom: parent.bottom }
        clip: true
        boundsBehavior: Flickable.StopAtBounds
        model: states
        delegate: StateRow {
            width: ListView.view.width
        }
    }
    Rectangle {
        // Where the list is, if not all of it is seen.
        visible: list.visibleArea.heightRatio < 1
        x: parent.width + 7
        y: list.y + list.visibleArea.yPosition * list.height
        width: 3
        height: list.visibleArea.heightRatio * list.height
        radius: 1.5
        color: Theme.track
    }
    Text {
        anchors.centerIn: list
        visible: states.count === 0
        text: "No states yet"
        color: Theme.muted
        font.pixelSize: Theme.body
    }
}
