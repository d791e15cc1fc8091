import QtQuick 2.15
import Nanostate 1.0

Item {
    NanostateClient {
        id: hub
        identity: "monitor"
    }
    StateImage {
        id: camera
        client: hub
        name: "camera/front"
    }
    Image {
        anchors.fill: parent
        source: camera.source
        fillMode: Image.PreserveAspectFit
        cache: false
    }
}
