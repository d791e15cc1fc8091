import QtQuick 2.15
import "."
import "Units.js" as Units

// A row of a StateModel.
TableRow {
    id: row

    required property string name
    required property var value
    required property string sender
    required property date time

    height: 27
    size: Theme.body
    first: name
    firstColor: Theme.text
    second: Units.oneLine(value)
    secondColor: Theme.teal
    third: sender
    color: Theme.muted
    fourth: Units.seconds(Math.max(0, Clock.now - time.getTime()) / 1000)

    Rectangle {
        width: parent.width
        height: 1
        color: Theme.border
    }
}
