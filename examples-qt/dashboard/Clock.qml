pragma Singleton
import QtQuick 2.15

// The time of the plots and of the ages, in ms since 1970. It ticks each second.
Timer {
    id: clock

    property real now: Date.now()

    interval: 1000
    repeat: true
    running: true
    onTriggered: clock.now = Date.now()
}
