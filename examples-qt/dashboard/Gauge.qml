import QtQuick 2.15
import "."

// An arc from `from` to `to`, and the figure in its middle.
Item {
    id: gauge

    property real value: NaN
    property real from: 0
    property real to: 1
    property color color: Theme.teal
    property string figure
    property string unit
    property string minimum
    property string maximum
    property bool animated: true
    // The value is not up to date.
    property bool dimmed: false

    // What is drawn: it follows value.
    property real shown: isFinite(value) ? Math.max(from, Math.min(to, value)) : from
    readonly property bool settled: !follow.running
    Behavior on shown {
        enabled: gauge.animated
        NumberAnimation { id: follow; duration: 350; easing.type: Easing.OutCubic }
    }

    implicitWidth: 180
    implicitHeight: 150

    onShownChanged: arc.requestPaint()
    onFromChanged: arc.requestPaint()
    onToChanged: arc.requestPaint()
    onColorChanged: arc.requestPaint()
    onDimmedChanged: arc.requestPaint()
    Connections {
        target: Theme
        function onDarkChanged() { arc.requestPaint() }
    }

    Canvas {
        id: arc

        // Three quarters of a circle, open below: half its width, sin 45° of the other half, and the round ends. The
        // labels stand below.
        readonly property real diameter: Math.min(width, (height - 16) / 0.87)
        readonly property real stroke: Math.max(8, diameter * 0.085)
        readonly property real centerX: width / 2
        readonly property real centerY: diameter / 2

        anchors.fill: parent
        antialiasing: true
        onWidthChanged: requestPaint()
        onHeightChanged: requestPaint()
        onPaint: {
            var context = getContext("2d")
            var start = Math.PI * 0.75
            var sweep = Math.PI * 1.5
            var part = gauge.to > gauge.from ? (gauge.shown - gauge.from) / (gauge.to - gauge.from) : 0
            var radius = (diameter - stroke) / 2 - 1
            context.reset()
            if (radius <= 0)
                return
            context.lineWidth = stroke
            context.lineCap = "round"
            context.strokeStyle = Theme.track
            context.beginPath()
            context.arc(centerX, centerY, radius, start, start + sweep, false)
            context.stroke()
            if (isFinite(gauge.value)) {
                context.strokeStyle = gauge.color
                context.globalAlpha = gauge.dimmed ? Theme.dimmed : 1
                context.beginPath()
                context.arc(centerX, centerY, radius, start, start + Math.max(0.001, sweep * part), false)
                context.stroke()
            }
        }
    }

    Column {
        x: arc.centerX - width / 2
        y: arc.centerY - height / 2 + 2
        Text {
            anchors.horizontalCenter: parent.horizontalCenter
            text: gauge.figure
            color: gauge.dimmed ? Theme.muted : Theme.text
            font.pixelSize: Math.max(16, Math.min(44, arc.diameter * 0.22))
            font.weight: Font.DemiBold
        }
        Text {
            anchors.horizontalCenter: parent.horizontalCenter
            text: gauge.unit
            color: Theme.muted
            font.pixelSize: Theme.small
        }
    }
    Text {
        x: arc.centerX - arc.diameter * 0.33 - width / 2
        y: arc.centerY + arc.diameter * 0.36 + arc.stroke * 0.4
        text: gauge.minimum
        color: Theme.muted
        font.pixelSize: Theme.small - 1
    }
    Text {
        x: arc.centerX + arc.diameter * 0.33 - width / 2
        y: arc.centerY + arc.diameter * 0.36 + arc.stroke * 0.4
        text: gauge.maximum
        color: Theme.muted
        font.pixelSize: Theme.small - 1
    }
}
