import QtQml 2.15
import Nanostate 1.0

// The QML program of js/test/together.test.ts, which evaluates expressions in here.
QtObject {
    id: root

    // What has come, by "SENDER NAME", in words.
    property var latest: ({})
    // A double although it has no fraction, as the value of a slider.
    readonly property real whole: 22
    readonly property NanostateClient hub: NanostateClient {
        identity: Qt.application.arguments[1]
        url: Qt.application.arguments[2]
    }
    readonly property SharedState shared: SharedState {
        client: root.hub
        name: "qml/whole"
    }
    readonly property StateListener listener: StateListener {
        client: root.hub
        onReceived: function(sender, name, value) { root.latest[sender + " " + name] = root.shown(value) }
    }

    function shareWhole() { shared.value = whole }

    // As in js/test/chromium.ts.
    function shown(value) {
        if (value instanceof Date)
            return value.toISOString()
        if (value instanceof ArrayBuffer)
            return "[" + Array.from(new Uint8Array(value)) + "]"
        if (Array.isArray(value))
            return "(" + value.map(shown) + ")"
        if (value && typeof value === "object")
            return "{" + Object.keys(value).map(key => key + ":" + shown(value[key])) + "}"
        return String(value)
    }
}
