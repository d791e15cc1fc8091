// Adds what the C and the C++ program say, and quits when both have seen the sum.
import QtQuick 2.15
import QtQuick.Window 2.15
import Nanostate 1.0

Window {
    readonly property bool complete: one.valid && two.valid
    readonly property bool done: oneDone.value && twoDone.value

    visible: true
    width: 200
    height: 100
    onCompleteChanged: sum.value = one.value + two.value
    onDoneChanged: Qt.quit()

    NanostateClient { id: hub; identity: "sum" }
    SharedState { id: one; client: hub; name: "one" }
    SharedState { id: two; client: hub; name: "two" }
    SharedState { id: sum; client: hub; name: "sum" }
    SharedState { id: oneDone; client: hub; name: "one/done"; defaultValue: false }
    SharedState { id: twoDone; client: hub; name: "two/done"; defaultValue: false }
}
