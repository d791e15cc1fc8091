import QtQuick 2.15
import QtQuick.Layouts 1.15
import QtQuick.Templates 2.15 as T
import Nanostate 1.0
import "."
import "Units.js" as Units

// The time that the plots show: one state for all windows and all dashboards on the hub.
RowLayout {
    id: control

    property NanostateClient client: null
    readonly property real span: slider.value
    property string label

    spacing: Theme.gap

    // The two that matter. The rest is how it looks.
    SharedState {
        id: span
        client: control.client
        name: "dashboard/span"
        defaultValue: 60
        held: slider.pressed
    }
    Text {
        visible: control.label !== ""
        Layout.preferredWidth: 43
        text: control.label
        color: Theme.text
        font.pixelSize: Theme.body
    }
    T.Slider {
        id: slider
        objectName: "spanSlider"
        from: 10
        to: 120
        stepSize: 5
        value: isFinite(Units.number(span.value)) ? span.value : span.defaultValue
        onMoved: span.value = value

        Layout.fillWidth: true
        implicitWidth: 160
        implicitHeight: 24
        Accessible.name: "Time span of the plots"
        background: Rectangle {
            y: (slider.height - height) / 2
            width: slider.width
            height: 6
            radius: 3
            color: Theme.track
            Rectangle {
                width: slider.visualPosition * (slider.width - slider.handle.width) + slider.handle.width / 2
                height: parent.height
                radius: 3
                color: Theme.violet
            }
        }
        handle: Rectangle {
            x: slider.visualPosition * (slider.width - width)
            y: (slider.height - height) / 2
            width: 20
            height: 20
            radius: 10
            color: slider.pressed ? Theme.violet : Theme.text
            border.color: slider.visualFocus ? Theme.teal : Theme.violet
            border.width: 3
        }
    }
    Text {
        Layout.preferredWidth: 46
        horizontalAlignment: Text.AlignRight
        text: slider.value + " s"
        color: Theme.text
        font.pixelSize: Theme.heading
        font.weight: Font.DemiBold
    }
    Origin {
        objectName: "spanOrigin"
        Layout.preferredWidth: 140
        of: span
    }
}
