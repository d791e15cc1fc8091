import QtQuick 2.15
import QtQuick.Controls 2.15
import QtQuick.Window 2.15
import Nanostate 1.0

// The slider of examples-js/slider.html and examples-c/slider.c.
Window {
    width: 420
    height: 180
    visible: true
    color: colors.window
    title: "Volume: " + hub.identity

    SystemPalette { id: colors }
    NanostateClient {
        id: hub
        identity: Qt.application.arguments[1]
        url: Qt.application.arguments[2] || ""
    }
    SharedState {
        id: volume
        client: hub
        name: "volume"
        defaultValue: 50
        held: slider.pressed
    }

    Column {
        anchors { fill: parent; margins: 20 }
        spacing: 10
        Text {
            text: Math.round(slider.value)
            color: colors.windowText
            font.pixelSize: 40
        }
        Slider {
            id: slider
            objectName: "slider"
            width: parent.width
            to: 100
            stepSize: 1
            value: volume.value
            onMoved: volume.value = value
        }
        Text {
            objectName: "status"
            width: parent.width
            elide: Text.ElideRight
            text: hub.state !== NanostateClient.Connected ? hub.errorString || "connecting"
                : volume.valid ? "set by " + volume.sender : "nobody has moved it yet"
            color: colors.windowText
        }
    }
}
