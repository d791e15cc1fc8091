import QtQuick 2.15
import "."
import "Units.js" as Units

// A row of a StateModel.
Item {
    id: row

    required property string name
    required property var value
    required property string sender
    required property date time
    required property bool retained
    required property bool stale
    readonly property bool isBytes: /^(mem|net)\//.test(name) && typeof value === "number"

    height: 27

    Columns {
        id: columns
        width: row.width
    }

    Row {
        anchors.fill: parent
        Cell {
            objectName: "name"
            font.italic: row.stale
            width: columns.name
            text: row.name
            elide: Text.ElideMiddle
            color: row.stale ? Theme.muted : Theme.text
        }
        Cell {
            objectName: "value"
            font.italic: row.stale
            width: columns.value
            text: row.isBytes ? Units.bytes(row.value) : Units.oneLine(row.value)
            hint: row.isBytes ? Units.oneLine(row.value) : ""
            color: row.stale ? Theme.muted : Theme.teal
        }
        Cell {
            objectName: "sender"
            font.italic: row.stale
            width: columns.sender
            text: row.stale ? "stale: " + row.sender : row.sender
            hint: row.stale ? row.sender + " is gone, or has been started anew and has not set this since" : ""
            color: row.stale ? Theme.amber : Theme.muted
        }
        Cell {
            objectName: "age"
            width: columns.age
            rightPadding: 0
            horizontalAlignment: Text.AlignRight
            text: (row.retained ? "\u2022 " : "") + Units.seconds(Math.max(0, Clock.now - row.time.getTime()) / 1000)
            hint: row.retained ? "The hub held it when this window came" : ""
            color: Theme.muted
        }
    }
    Rectangle {
        width: parent.width
        height: 1
        color: Theme.border
    }
}
