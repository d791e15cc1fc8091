import QtQuick 2.15
import Nanostate 1.0

Item {
    NanostateClient { id: hub; identity: "pump" }
    SharedState { id: alive; client: hub; name: "pump/alive"; timeToLive: 5000 }
    Timer { interval: 1000; repeat: true; running: true; triggeredOnStart: true; onTriggered: alive.value = true }
    SharedState { id: mouse; client: hub; name: "mouse"; transientValue: true }
    MouseArea {
        anchors.fill: parent
        hoverEnabled: true
        onPositionChanged: {
            mouse.value = [mouseX, mouseY]
            hub.publish("mouse/x", mouseX, { transient: true, timeToLive: 5000 })
        }
    }
}
