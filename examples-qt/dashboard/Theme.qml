pragma Singleton
import QtQuick 2.15

// Colours, type sizes and distances, in one place.
QtObject {
    readonly property color background: "#0e1218"
    readonly property color card: "#161c25"
    readonly property color border: "#222b37"
    readonly property color track: "#263141"
    readonly property color text: "#e8edf4"
    readonly property color muted: "#8d9aab"
    readonly property color faint: "#5d6a7b"

    readonly property color teal: "#2dd4bf"
    readonly property color blue: "#5b9dff"
    readonly property color violet: "#b18cff"
    readonly property color amber: "#f7b955"
    readonly property color red: "#ff6b6b"
    readonly property color green: "#4ade80"

    readonly property int unit: 8
    readonly property int gap: 14
    readonly property int padding: 18
    readonly property int radius: 12

    readonly property int small: 12
    readonly property int body: 13
    readonly property int heading: 15
    readonly property int title: 20
    readonly property int figure: 34

    // How strongly figures show that are not up to date.
    readonly property real dimmed: 0.4
}
