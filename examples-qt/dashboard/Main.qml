import QtQuick 2.15
import QtQuick.Layouts 1.15
import QtQuick.Window 2.15
import Nanostate 1.0
import "."
import "Units.js" as Units

Window {
    id: window

    // Given by main.cpp.
    property alias identity: hub.identity
    property alias url: hub.url
    property string defaultUrl
    property bool secondWindow: false
    // Off for screenshots, which show what is, not how it got there.
    property bool animated: true
    property bool light: false

    readonly property alias client: hub
    readonly property bool connected: hub.state === NanostateClient.Connected
    readonly property bool hasData: isFinite(figures.load)
    readonly property bool narrow: width < 940
    readonly property string address: url || defaultUrl
    readonly property var otherWindow: secondWindow ? second : null

    width: 1200
    height: 760
    minimumWidth: 420
    minimumHeight: 400
    visible: true
    color: Theme.background
    title: "nanostate dashboard"
    onClosing: Qt.quit()

    Binding {
        target: Theme
        property: "dark"
        value: !window.light
    }
    NanostateClient { id: hub }
    Figures {
        id: figures
        client: hub
    }

    SecondWindow {
        id: second
        identity: window.identity + "-2"
        url: window.url
        visible: window.secondWindow
        x: window.x + window.width + 24
        y: window.y + 60
        onClosing: window.secondWindow = false
    }

    Flickable {
        id: page
        anchors.fill: parent
        contentWidth: width
        contentHeight: content.height + 2 * Theme.gap
        boundsBehavior: Flickable.StopAtBounds
        interactive: contentHeight > height

        ColumnLayout {
            id: content
            x: Theme.padding
            y: Theme.gap
            width: page.width - 2 * Theme.padding
            height: Math.max(implicitHeight, page.height - 2 * Theme.gap - 4)
            spacing: Theme.gap

            RowLayout {
                Layout.fillWidth: true
                Layout.bottomMargin: 2
                spacing: Theme.gap
                Column {
                    Layout.fillWidth: true
                    Layout.leftMargin: 4
                    Text {
                        width: parent.width
                        text: "nanostate dashboard"
                        elide: Text.ElideRight
                        color: Theme.text
                        font.pixelSize: Theme.title
                        font.weight: Font.DemiBold
                    }
                    Text {
                        width: parent.width
                        text: window.identity + " on " + window.address
                        elide: Text.ElideRight
                        color: Theme.muted
                        font.pixelSize: Theme.small
                    }
                }
                ConnectionPill { client: hub }
                PushButton {
                    objectName: "theme"
                    text: window.light ? "Dark" : "Light"
                    Accessible.description: "Another theme"
                    onClicked: window.light = !window.light
                }
                PushButton {
                    visible: !window.narrow
                    text: window.secondWindow ? "Close second window" : "Open second window"
                    onClicked: window.secondWindow = !window.secondWindow
                }
            }

            ConnectionBanner {
                Layout.fillWidth: true
                objectName: "banner"
                client: hub
                hub: window.address
                hasData: window.hasData
            }

            GridLayout {
                Layout.fillWidth: true
                Layout.fillHeight: true
                columns: window.narrow ? 1 : 2
                columnSpacing: Theme.gap
                rowSpacing: Theme.gap

                ColumnLayout {
                    Layout.fillWidth: true
                    Layout.fillHeight: true
                    Layout.preferredWidth: 660
                    spacing: Theme.gap

                    GridLayout {
                        Layout.fillWidth: true
                        columns: window.width < 440 ? 1 : window.width < 700 ? 2 : 3
                        columnSpacing: Theme.gap
                        rowSpacing: Theme.gap

                        Card {
                            Layout.fillWidth: true
                            Layout.preferredWidth: 200
                            implicitHeight: 230
                            title: "CPU load"
                            stale: figures.loadStale
                            note: "1 min"
                            Gauge {
                                objectName: "loadGauge"
                                anchors.fill: parent
                                value: figures.load
                                to: Units.niceBinary(Math.max(1, figures.load || 0))
                                color: Theme.teal
                                figure: Units.fixed(figures.load, 2)
                                unit: "processes"
                                dimmed: !window.connected || figures.loadStale
                                minimum: "0"
                                maximum: to.toString()
                                animated: window.animated
                            }
                        }
                        Card {
                            Layout.fillWidth: true
                            Layout.preferredWidth: 200
                            implicitHeight: 230
                            title: "Memory"
                            stale: figures.memoryStale
                            note: isFinite(figures.memoryUsed)
                                ? Math.round(100 * figures.memoryUsed / figures.memoryTotal) + " % in use" : ""
                            Gauge {
                                objectName: "memoryGauge"
                                anchors.fill: parent
                                value: figures.memoryUsed
                                to: figures.memoryTotal || 1
                                color: value > 0.9 * to ? Theme.red : value > 0.75 * to ? Theme.amber : Theme.violet
                                figure: Units.splitBytes(figures.memoryUsed).figure
                                unit: Units.splitBytes(figures.memoryUsed).unit
                                dimmed: !window.connected || figures.memoryStale
                                minimum: "0"
                                maximum: isFinite(figures.memoryTotal) ? Units.bytes(figures.memoryTotal) : ""
                                animated: window.animated
                            }
                        }
                        Card {
                            Layout.fillWidth: true
                            Layout.preferredWidth: 230
                            Layout.columnSpan: parent.columns === 2 ? 2 : 1
                            implicitHeight: 230
                            title: "Network"
                            stale: figures.networkStale
                            note: "without loopback"
                            Column {
                                anchors { left: parent.left; right: parent.right }
                                anchors.verticalCenter: parent.verticalCenter
                                spacing: 4
                                FigureRow {
                                    width: parent.width
                                    sign: "\u2193"
                                    color: Theme.blue
                                    rate: figures.received
                                    dimmed: !window.connected || figures.networkStale
                                }
                                FigureRow {
                                    width: parent.width
                                    sign: "\u2191"
                                    color: Theme.amber
                                    rate: figures.sent
                                    dimmed: !window.connected || figures.networkStale
                                }
                                Item { width: 1; height: 6 }
                                Repeater {
                                    model: window.busiest(figures.interfaces, 3)
                                    Item {
                                        id: line
                                        required property var modelData
                                        width: parent ? parent.width : 0
                                        height: 19
                                        Text {
                                            width: parent.width * 0.26
                                            text: line.modelData.name
                                            elide: Text.ElideRight
                                            color: Theme.muted
                                            font.pixelSize: Theme.small
                                        }
                                        Text {
                                            x: parent.width * 0.26
                                            width: parent.width * 0.37
                                            horizontalAlignment: Text.AlignRight
                                            text: Units.rate(line.modelData.received)
                                            color: Theme.muted
                                            font.pixelSize: Theme.small
                                        }
                                        Text {
                                            x: parent.width * 0.63
                                            width: parent.width * 0.37
                                            horizontalAlignment: Text.AlignRight
                                            text: Units.rate(line.modelData.sent)
                                            color: Theme.muted
                                            font.pixelSize: Theme.small
                                        }
                                    }
                                }
                            }
                        }
                    }

                    Card {
                        Layout.fillWidth: true
                        Layout.fillHeight: true
                        implicitHeight: 150
                        title: "CPU load"
                        stale: figures.loadStale
                        note: "last " + slider.span + " s"
                        Plot {
                            objectName: "loadPlot"
                            anchors.fill: parent
                            series: [{ label: "load", color: Theme.teal, samples: figures.loadSamples }]
                            dimmed: !window.connected || figures.loadStale
                            revision: figures.revision
                            span: slider.span
                        }
                    }
                    Card {
                        Layout.fillWidth: true
                        Layout.fillHeight: true
                        implicitHeight: 150
                        title: "Network"
                        stale: figures.networkStale
                        note: '<font color="%1">\u2193</font> received &nbsp; <font color="%2">\u2191</font> sent'
                            .arg(Theme.blue).arg(Theme.amber)
                        Plot {
                            objectName: "networkPlot"
                            anchors.fill: parent
                            series: [{ label: "received", color: Theme.blue, samples: figures.receivedSamples },
                                     { label: "sent", color: Theme.amber, samples: figures.sentSamples }]
                            dimmed: !window.connected || figures.networkStale
                            revision: figures.revision
                            span: slider.span
                            least: 1024
                            nice: Units.niceBinary
                            format: Units.rate
                        }
                    }
                }

                ColumnLayout {
                    Layout.fillWidth: true
                    Layout.fillHeight: true
                    Layout.preferredWidth: 480
                    spacing: Theme.gap
                    Card {
                        Layout.fillWidth: true
                        Layout.fillHeight: true
                        implicitHeight: 320
                        title: "All states"
                        note: table.summary
                        StateTable {
                            id: table
                            anchors.fill: parent
                            client: hub
                        }
                    }
                    Card {
                        Layout.fillWidth: true
                        implicitHeight: controls.implicitHeight + 62
                        title: "Controls"
                        note: "shared by all on this hub"
                        ColumnLayout {
                            id: controls
                            anchors { left: parent.left; right: parent.right }
                            spacing: Theme.unit
                            SpanSlider {
                                id: slider
                                Layout.fillWidth: true
                                label: "Span"
                                client: hub
                            }
                            Controls {
                                Layout.fillWidth: true
                                client: hub
                            }
                        }
                    }
                }
            }
        }
    }

    function busiest(interfaces, count) {
        return interfaces.slice().sort(function(a, b) {
            return b.received + b.sent - a.received - a.sent || (a.name < b.name ? -1 : 1)
        }).slice(0, count)
    }
}
