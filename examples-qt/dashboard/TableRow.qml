import QtQuick 2.15
import "."

// Four texts, in the columns of the table of states.
Item {
    id: row

    property string first
    property string second
    property string third
    property string fourth
    property color firstColor: Theme.faint
    property color secondColor: Theme.faint
    property color color: Theme.faint
    property int size: Theme.small

    readonly property real lastWidth: 52
    readonly property real thirdWidth: Math.min(110, width * 0.24)

    component Cell: Text {
        height: parent.height
        rightPadding: Theme.unit
        elide: Text.ElideRight
        verticalAlignment: Text.AlignVCenter
        maximumLineCount: 1
        textFormat: Text.PlainText
    }

    Row {
        anchors.fill: parent
        Cell {
            width: (row.width - row.lastWidth - row.thirdWidth) / 2
            text: row.first
            color: row.firstColor
            font.pixelSize: row.size
        }
        Cell {
            width: (row.width - row.lastWidth - row.thirdWidth) / 2
            text: row.second
            color: row.secondColor
            font.pixelSize: row.size
        }
        Cell {
            width: row.thirdWidth
            text: row.third
            color: row.color
            font.pixelSize: row.size
        }
        Cell {
            width: row.lastWidth
            rightPadding: 0
            horizontalAlignment: Text.AlignRight
            text: row.fourth
            color: row.color
            font.pixelSize: row.size
        }
    }
}
