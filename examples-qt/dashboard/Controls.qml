import QtQuick 2.15
import QtQuick.Layouts 1.15
import QtQuick.Templates 2.15 as T
import Nanostate 1.0
import "."
import "Units.js" as Units

// A switch, a text and an image that all dashboards on the hub share, in a window or in a browser.
GridLayout {
    id: controls

    property NanostateClient client: null

    columns: 3
    columnSpacing: Theme.gap
    rowSpacing: Theme.unit

    component Label: Text {
        color: Theme.text
        font.pixelSize: Theme.body
    }

    SharedState {
        id: switchState
        client: controls.client
        name: "dashboard/switch"
        type: SharedState.Boolean
        defaultValue: false
    }
    Label { text: "Switch" }
    T.Switch {
        id: toggle
        objectName: "switch"
        implicitWidth: 40
        implicitHeight: 22
        checked: switchState.value
        onToggled: switchState.value = checked
        Accessible.name: "Switch"
        indicator: Rectangle {
            anchors.fill: parent
            radius: height / 2
            color: toggle.checked ? Theme.teal : "transparent"
            border.color: toggle.checked ? Theme.teal : Theme.muted
            border.width: 2
            Rectangle {
                x: toggle.checked ? parent.width - width - 5 : 5
                anchors.verticalCenter: parent.verticalCenter
                width: 12
                height: 12
                radius: 6
                color: toggle.checked ? Theme.card : Theme.muted
            }
        }
        background: Rectangle {
            visible: toggle.visualFocus
            anchors { fill: parent; margins: -3 }
            radius: height / 2
            color: "transparent"
            border.color: Theme.teal
        }
    }
    Origin {
        objectName: "switchOrigin"
        Layout.preferredWidth: 140
        of: switchState
    }

    SharedState {
        id: textState
        client: controls.client
        name: "dashboard/text"
        type: SharedState.String
        defaultValue: ""
    }
    Label { text: "Text" }
    TextBox {
        id: field
        objectName: "text"
        Layout.fillWidth: true
        Layout.preferredWidth: 190
        hint: "Write to all"
        Accessible.name: "Text"
        onTextEdited: textState.value = text
        // Setting the same text would move the cursor.
        readonly property string shared: textState.value
        onSharedChanged: {
            if (text !== shared)
                text = shared
        }
    }
    Origin {
        objectName: "textOrigin"
        Layout.preferredWidth: 140
        of: textState
    }

    // StateImage has the picture, SharedState its sender.
    StateImage {
        id: picture
        client: controls.client
        name: "image"
    }
    SharedState {
        id: imageState
        client: controls.client
        name: "image"
    }
    Label { text: "Image" }
    Image {
        id: image
        objectName: "image"
        visible: status !== Image.Null
        Layout.preferredHeight: 44
        Layout.fillWidth: true
        Layout.preferredWidth: 190
        horizontalAlignment: Image.AlignLeft
        fillMode: Image.PreserveAspectFit
        sourceSize.height: 88
        source: picture.source
        cache: false
        Accessible.name: "Image"
    }
    Text {
        objectName: "imageNote"
        Layout.fillWidth: !image.visible
        Layout.preferredWidth: 140
        Layout.columnSpan: image.visible ? 1 : 2
        Layout.minimumHeight: 30
        verticalAlignment: Text.AlignVCenter
        wrapMode: Text.Wrap
        maximumLineCount: 3
        elide: Text.ElideRight
        textFormat: Text.PlainText
        text: {
            if (picture.errorString)
                return picture.errorString
            if (!(imageState.value instanceof ArrayBuffer))
                return "nanostate send image --type bytes - <front.jpg"
            return Units.bytes(imageState.value.byteLength) + (imageState.stale ? ", stale: set by " : ", set by ")
                + imageState.sender
        }
        color: picture.errorString || imageState.stale ? Theme.amber : Theme.muted
        font.pixelSize: Theme.small
    }
}
