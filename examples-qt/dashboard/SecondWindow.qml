import QtQuick 2.15
import QtQuick.Layouts 1.15
import QtQuick.Window 2.15
import Nanostate 1.0
import "."
import "Units.js" as Units

// A small window with a client of its own: what it shares with the first one goes through the hub.
Window {
    id: window

    property alias identity: hub.identity
    property alias url: hub.url

    width: 520
    height: 420
    minimumWidth: 380
    minimumHeight: 320
    color: Theme.background
    title: "nanostate dashboard: " + hub.identity
    // A window of its own, not one that stays above the first.
    transientParent: null

    NanostateClient {
        id: hub
        active: window.visible
    }
    Figures {
        id: figures
        client: hub
    }

    ColumnLayout {
        anchors { fill: parent; margins: Theme.gap }
        spacing: Theme.gap

        RowLayout {
            Layout.fillWidth: true
            spacing: Theme.gap
            Text {
                Layout.fillWidth: true
                Layout.leftMargin: 4
                text: hub.identity
                elide: Text.ElideRight
                color: Theme.text
                font.pixelSize: Theme.title
                font.weight: Font.DemiBold
            }
            ConnectionPill { client: hub }
        }
        Card {
            Layout.fillWidth: true
            Layout.fillHeight: true
            title: "CPU load"
            stale: figures.loadStale
            note: Units.fixed(figures.load, 2)
            Plot {
                objectName: "loadPlot"
                anchors.fill: parent
                series: [{ label: "load", color: Theme.teal, samples: figures.loadSamples }]
                dimmed: hub.state !== NanostateClient.Connected || figures.loadStale
                revision: figures.revision
                span: slider.span
            }
        }
        Card {
            Layout.fillWidth: true
            implicitHeight: 92
            title: "Time span, shared"
            note: "dashboard/span"
            SpanSlider {
                id: slider
                anchors.fill: parent
                client: hub
            }
        }
    }
}
