import QtQuick 2.15
import QtQuick.Templates 2.15 as T
import "."

// A line of text to edit.
T.TextField {
    id: box

    // Shown while it is empty.
    property string hint

    implicitWidth: 160
    implicitHeight: 30
    leftPadding: 10
    rightPadding: 10
    verticalAlignment: TextInput.AlignVCenter
    selectByMouse: true
    color: Theme.text
    selectionColor: Theme.violet
    selectedTextColor: Theme.card
    font.pixelSize: Theme.body
    background: Rectangle {
        radius: 6
        color: "transparent"
        border.color: box.activeFocus ? Theme.teal : Theme.muted
        Text {
            anchors { fill: parent; leftMargin: box.leftPadding; rightMargin: box.rightPadding }
            visible: box.text === ""
            text: box.hint
            elide: Text.ElideRight
            verticalAlignment: Text.AlignVCenter
            color: Theme.muted
            font.pixelSize: Theme.body
        }
    }
}
