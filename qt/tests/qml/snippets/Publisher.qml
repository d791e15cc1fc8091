import QtQuick 2.15
import Nanostate 1.0

Item {
    NanostateClient {
        id: hub
        identity: "weather"
        onConnected: console.info("the hub is there")
    }
    Timer {
        interval: 1000
        repeat: true
        running: hub.state === NanostateClient.Connected
        onTriggered: {
            hub.publish("weather/outside", { temperature: 21.5, at: new Date() })
            hub.publish("weather/raw", new Uint8Array([1, 2, 3]))
        }
    }
}
