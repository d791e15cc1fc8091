import QtQuick 2.15
import Nanostate 1.0
import "."

// Who has set a state.
Text {
    property SharedState of: null

    text: of === null ? "" : of.pending ? "not sent yet" : !of.valid ? "default"
        : (of.stale ? "stale: set by " : "set by ") + of.sender
    elide: Text.ElideMiddle
    textFormat: Text.PlainText
    color: of !== null && (of.pending || of.stale) ? Theme.amber : Theme.muted
    font.pixelSize: Theme.small
    font.italic: of !== null && of.stale
}
