import QtQuick 2.15
import QtQuick.Templates 2.15 as T
import "."

// A tooltip: all of a text that is elided, or an explanation.
T.ToolTip {
    id: hint

    y: parent ? parent.height : 0
    delay: 400
    margins: Theme.unit
    padding: Theme.unit
    implicitWidth: Math.min(420, contentItem.implicitWidth + leftPadding + rightPadding)
    implicitHeight: contentItem.implicitHeight + topPadding + bottomPadding
    contentItem: Text {
        text: hint.text
        textFormat: Text.PlainText
        wrapMode: Text.Wrap
        color: Theme.text
        font.pixelSize: Theme.small
    }
    background: Rectangle {
        radius: 6
        color: Theme.card
        border.color: Theme.muted
    }
}
