import QtQuick 2.15
import QtQuick.Controls 2.15
import Nanostate 1.0

Item {
    NanostateClient {
        id: hub
        identity: "mixer"
    }
    SharedState {
        id: vol
        client: hub
        name: "volume"
        defaultValue: 50
        held: s.pressed
    }
    Slider {
        id: s
        from: 0
        to: 100
        value: vol.value
        onMoved: vol.value = value
    }
}
