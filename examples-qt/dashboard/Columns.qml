import QtQml 2.15

// The widths of the columns of the table of states.
QtObject {
    property real width: 0

    readonly property real age: 64
    readonly property real sender: Math.min(120, width * 0.26)
    readonly property real name: (width - age - sender) * 0.54
    readonly property real value: width - age - sender - name
}
