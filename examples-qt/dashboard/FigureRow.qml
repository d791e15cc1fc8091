import QtQuick 2.15
import "."
import "Units.js" as Units

// A rate with its sign: ↓ 1.20 MiB/s
Item {
    id: row

    property string sign
    property color color: Theme.blue
    property real rate: NaN
    property bool dimmed: false
    readonly property var parts: Units.splitBytes(rate)

    implicitHeight: figure.implicitHeight

    Text {
        id: arrow
        anchors.baseline: figure.baseline
        width: 28
        text: row.sign
        color: row.dimmed ? Theme.muted : row.color
        font.pixelSize: Theme.title
    }
    Text {
        id: figure
        anchors.left: arrow.right
        text: row.parts.figure
        color: row.dimmed ? Theme.muted : Theme.text
        font.pixelSize: 30
        font.weight: Font.DemiBold
    }
    Text {
        anchors { left: figure.right; leftMargin: 6; baseline: figure.baseline }
        text: row.parts.unit ? row.parts.unit + "/s" : ""
        color: Theme.muted
        font.pixelSize: Theme.body
    }
}
