import QtQuick 2.15
import QtQuick.Templates 2.15 as T
import "."

T.Button {
    id: button

    leftPadding: Theme.padding
    rightPadding: Theme.padding
    implicitWidth: implicitContentWidth + leftPadding + rightPadding
    implicitHeight: 34
    hoverEnabled: true
    background: Rectangle {
        radius: height / 2
        color: button.down ? Theme.border : button.hovered ? Theme.track : "transparent"
        border.color: button.visualFocus ? Theme.teal : Theme.muted
    }
    contentItem: Text {
        text: button.text
        color: Theme.text
        font.pixelSize: Theme.body
        horizontalAlignment: Text.AlignHCenter
        verticalAlignment: Text.AlignVCenter
    }
}
