import QtQuick 2.15
import Nanostate 1.0

ListView {
    id: view

    NanostateClient {
        id: hub
        identity: "list"
    }

    model: StateModel { client: hub }
    delegate: Text {
        required property string name
        required property var value
        required property string sender
        required property date time

        text: name + " = " + JSON.stringify(value) + " from " + sender + " at " + Qt.formatTime(time)
    }
}
