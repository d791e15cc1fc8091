import QtQuick 2.15
import Dashboard 1.0
import Nanostate 1.0
import "."

// Every state, a row each: StateModel shows what the client knows, and SortedStates in which order.
Item {
    id: table

    property NanostateClient client: null
    // How many there are, in words.
    readonly property string summary: rows.count === states.count ? states.count
                                                                    : rows.count + " of " + states.count

    implicitHeight: 240

    Columns {
        id: columns
        width: table.width
    }

    SortedStates {
        id: rows
        filter: field.text
        sourceModel: StateModel {
            id: states
            client: table.client
        }
    }

    TextBox {
        id: field
        objectName: "filter"
        width: parent.width
        hint: "Name or sender"
        Accessible.name: "Show states of this name or sender only"
    }
    Row {
        id: header
        anchors { top: field.bottom; topMargin: Theme.unit }
        width: parent.width
        height: 24
        HeaderCell { sorted: rows; by: "name"; text: "Name"; width: columns.name }
        HeaderCell { sorted: rows; by: "value"; text: "Value"; width: columns.value }
        HeaderCell { sorted: rows; by: "sender"; text: "Sender"; width: columns.sender }
        HeaderCell {
            sorted: rows
            by: "age"
            text: "Age"
            width: columns.age
            rightPadding: 0
            alignment: Text.AlignRight
        }
    }
    ListView {
        id: list
        objectName: "states"
        anchors { left: parent.left; right: parent.right; top: header.bottom; bottom: parent.bottom }
        clip: true
        boundsBehavior: Flickable.StopAtBounds
        reuseItems: true
        model: rows
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
        visible: rows.count === 0
        text: states.count === 0 ? "No states yet" : "No state has this name or sender"
        color: Theme.muted
        font.pixelSize: Theme.body
    }
}
