pragma Singleton
import QtQuick 2.15

// Colours, type sizes and distances, in one place. Every colour but those of surfaces is for text, too: it has a contrast
// of 4.5 to each surface.
QtObject {
    property bool dark: true

    // Surfaces, and what stands out from them only a little.
    readonly property color background: dark ? "#0e1218" : "#f3f5f7"
    readonly property color card: dark ? "#161c25" : "#ffffff"
    readonly property color border: dark ? "#222b37" : "#dce1e6"
    readonly property color track: dark ? "#263141" : "#d5dbe2"

    readonly property color text: dark ? "#e8edf4" : "#1b2430"
    readonly property color muted: dark ? "#94a1b2" : "#57636f"
    readonly property color teal: dark ? "#2dd4bf" : "#0f766e"
    readonly property color blue: dark ? "#5b9dff" : "#1d4ed8"
    readonly property color violet: dark ? "#b18cff" : "#6d28d9"
    readonly property color amber: dark ? "#f7b955" : "#92400e"
    readonly property color red: dark ? "#ff7b7b" : "#b3261e"
    readonly property color green: dark ? "#4ade80" : "#166534"

    readonly property int unit: 8
    readonly property int gap: 14
    readonly property int padding: 18
    readonly property int radius: 12

    readonly property int small: 12
    readonly property int body: 13
    readonly property int heading: 15
    readonly property int title: 20
    readonly property int figure: 34

    // How strongly lines and arcs show that are not up to date. Texts are muted then, so that they can be read.
    readonly property real dimmed: 0.4

    // A surface that is tinted with a colour.
    function tinted(color, strength) { return Qt.rgba(color.r, color.g, color.b, strength) }
}
