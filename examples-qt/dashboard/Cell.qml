import QtQuick 2.15
import "."

// A text in a table. Its tooltip shows `hint`, or all of the text if it is elided.
Text {
    id: cell

    property string hint

    height: parent.height
    rightPadding: Theme.unit
    elide: Text.ElideRight
    verticalAlignment: Text.AlignVCenter
    maximumLineCount: 1
    textFormat: Text.PlainText
    font.pixelSize: Theme.body

    HoverHandler { id: pointer }
    Hint {
        objectName: "hint"
        text: cell.hint || cell.text
        visible: pointer.hovered && (cell.hint !== "" || cell.truncated)
    }
}
