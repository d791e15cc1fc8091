import QtQuick 2.15
import Nanostate 1.0

Item {
    id: log

    property int count: 0
    property string last

    NanostateClient {
        id: hub
        identity: "log"
        onErrorOccurred: (error, errorString) => log.last = errorString
    }
    StateListener {
        client: hub
        nameFilter: "kitchen/**"
        onReceived: (sender, name, value) => {
            ++log.count
            log.last = sender + " " + name + " " + JSON.stringify(value)
        }
    }
}
