import QtQuick 2.15
import "."
import "Units.js" as Units

// Lines over the last `span` seconds.
Item {
    id: plot

    // [{ label, color, samples: [{ time, value }] }]; `revision` changes when samples do.
    property var series: []
    property int revision: 0
    property real span: 60
    // The top of the scale is nice(greatest value), and at least this.
    property real least: 1
    property var nice: Units.niceDecimal
    // The samples are not up to date.
    property bool dimmed: false
    property var format: function(value) { return value.toString() }

    implicitHeight: 140

    onSeriesChanged: canvas.requestPaint()
    onRevisionChanged: canvas.requestPaint()
    onSpanChanged: canvas.requestPaint()
    onDimmedChanged: canvas.requestPaint()
    Connections {
        target: Theme
        function onDarkChanged() { canvas.requestPaint() }
    }
    Connections {
        target: Clock
        function onNowChanged() { canvas.requestPaint() }
    }

    FontMetrics {
        id: metrics
        font.pixelSize: Theme.small - 1
    }

    Canvas {
        id: canvas

        property real ceiling: plot.least

        anchors.fill: parent
        antialiasing: true
        onWidthChanged: requestPaint()
        onHeightChanged: requestPaint()
        onPaint: {
            var context = getContext("2d")
            var fontHeight = metrics.height
            var left = 70
            var area = { x: left, y: fontHeight / 2, width: width - left - 6, height: height - fontHeight * 2 }
            context.reset()
            if (area.width < 20 || area.height < 20)
                return
            // The edge is at the newest sample if that is later than the last tick of the clock.
            var end = Clock.now
            for (var i = 0; i < plot.series.length; ++i) {
                var newest = plot.series[i].samples[plot.series[i].samples.length - 1]
                if (newest && newest.time > end)
                    end = newest.time
            }
            var start = end - plot.span * 1000
            ceiling = plot.nice(Math.max(plot.least, greatest(start)))
            drawGrid(context, area)
            context.save()
            context.beginPath()
            context.rect(area.x, 0, area.width + 6, height)
            context.clip()
            context.globalAlpha = plot.dimmed ? Theme.dimmed : 1
            for (i = 0; i < plot.series.length; ++i)
                drawLine(context, area, plot.series[i], start)
            context.restore()
        }

        function greatest(start) {
            var result = 0
            for (var i = 0; i < plot.series.length; ++i) {
                var samples = plot.series[i].samples
                for (var j = samples.length - 1; j >= 0 && samples[j].time >= start; --j)
                    result = Math.max(result, samples[j].value)
            }
            return result
        }

        function drawGrid(context, area) {
            context.font = metrics.font.pixelSize + "px sans-serif"
            context.fillStyle = Theme.muted
            context.strokeStyle = Theme.border
            context.lineWidth = 1
            context.textBaseline = "middle"
            context.textAlign = "right"
            for (var i = 0; i <= 2; ++i) {
                var y = Math.round(area.y + area.height * (1 - i / 2)) + 0.5
                context.beginPath()
                context.moveTo(area.x, y)
                context.lineTo(area.x + area.width, y)
                context.stroke()
                context.fillText(plot.format(ceiling * i / 2), area.x - 10, y)
            }
            context.textBaseline = "bottom"
            for (i = 0; i <= 4; ++i) {
                context.textAlign = i === 0 ? "left" : i === 4 ? "right" : "center"
                var seconds = plot.span * (1 - i / 4)
                var label = seconds === 0 ? "now" : "\u2212" + parseFloat(seconds.toFixed(1)) + " s"
                context.fillText(label, area.x + area.width * i / 4, height)
            }
        }

        function drawLine(context, area, line, start) {
            var samples = line.samples
            var first = samples.length
            // One more than is seen, so that the line begins at the edge.
            while (first > 0 && (first === samples.length || samples[first].time >= start))
                --first
            if (first >= samples.length)
                return
            context.beginPath()
            var firstX = 0
            var lastX = 0
            var bottom = area.y + area.height
            var step = Math.max(1, Math.floor((samples.length - first) / (area.width * 2)))
            for (var i = first; i < samples.length; i += step) {
                var x = area.x + (samples[i].time - start) / (plot.span * 1000) * area.width
                var y = bottom - Math.max(0, Math.min(1, samples[i].value / ceiling)) * area.height
                if (i === first) {
                    context.moveTo(x, y)
                    firstX = x
                } else {
                    context.lineTo(x, y)
                }
                lastX = x
            }
            context.strokeStyle = line.color
            context.lineWidth = 2
            context.lineJoin = "round"
            context.stroke()
            context.lineTo(lastX, bottom)
            context.lineTo(firstX, bottom)
            context.closePath()
            context.fillStyle = Qt.rgba(line.color.r, line.color.g, line.color.b, 0.12)
            context.fill()
        }
    }
}
