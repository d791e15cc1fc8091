import QtQuick 2.15
import "."

// A titled panel.
Rectangle {
    id: card

    property string title
    // At the right of the title.
    property string note
    // The program that sends what is in it is gone.
    property bool stale: false
    default property alias content: body.data

    implicitHeight: heading.implicitHeight + Theme.padding * 2
    radius: Theme.radius
    color: Theme.card
    border.color: Theme.border

    Text {
        id: heading
        anchors { left: parent.left; top: parent.top; leftMargin: Theme.padding; topMargin: Theme.padding - 3 }
        text: card.title
        color: Theme.text
        font.pixelSize: Theme.heading
        font.weight: Font.DemiBold
    }
    Text {
        objectName: "note"
        anchors { left: heading.right; right: parent.right; baseline: heading.baseline }
        anchors { leftMargin: Theme.gap; rightMargin: Theme.padding }
        horizontalAlignment: Text.AlignRight
        elide: Text.ElideRight
        text: card.stale ? "stale" : card.note
        textFormat: Text.StyledText
        color: card.stale ? Theme.amber : Theme.muted
        font.pixelSize: Theme.small
    }
    Item {
        id: body
        anchors { fill: parent; margins: Theme.padding; topMargin: Theme.padding + heading.height + Theme.unit }
    }
}
