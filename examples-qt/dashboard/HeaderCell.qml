import QtQuick 2.15
import QtQuick.Templates 2.15 as T
import Dashboard 1.0
import "."

// The heading of a column: a click sorts the states by it, a second click reverses the order.
T.AbstractButton {
    id: heading

    property SortedStates sorted: null
    // The column, as a value of SortedStates.by.
    property string by
    property int alignment: Text.AlignLeft
    readonly property bool chosen: sorted !== null && sorted.by === by

    objectName: by + "Heading"
    height: parent.height
    rightPadding: Theme.unit
    focusPolicy: Qt.TabFocus
    Accessible.name: text + (chosen ? sorted.descending ? ", descending" : ", ascending" : "")
    contentItem: Text {
        text: heading.text + (heading.chosen ? heading.sorted.descending ? " \u2193" : " \u2191" : "")
        horizontalAlignment: heading.alignment
        verticalAlignment: Text.AlignVCenter
        elide: Text.ElideRight
        color: heading.chosen ? Theme.text : Theme.muted
        font.pixelSize: Theme.small
        font.weight: heading.chosen ? Font.DemiBold : Font.Normal
        font.underline: heading.visualFocus
    }
    onClicked: {
        if (chosen) {
            sorted.descending = !sorted.descending
        } else {
            sorted.descending = false
            sorted.by = by
        }
    }
    Keys.onReturnPressed: clicked()
}
