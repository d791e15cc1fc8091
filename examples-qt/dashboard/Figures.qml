import QtQuick 2.15
import Nanostate 1.0
import "."
import "Units.js" as Units

// What publish sends, as the dashboard shows it. NaN stands for what is not known.
Item {
    id: figures

    property NanostateClient client: null

    readonly property real load: Units.number(loadState.value)
    readonly property real memoryTotal: Units.number(totalState.value)
    readonly property real memoryAvailable: Units.number(availableState.value)
    readonly property real memoryUsed: memoryTotal - memoryAvailable
    // The program that sends it is gone.
    readonly property bool loadStale: loadState.stale
    readonly property bool memoryStale: totalState.stale || availableState.stale

    // Bytes per second: of each interface, and of all but the loopback. [{ name, received, sent }], sorted by name.
    property var interfaces: []
    property real received: NaN
    property real sent: NaN
    // All who have sent counters are gone.
    property bool networkStale: false

    // [{ time: ms since 1970, value }], oldest first. Changed in place: `revision` tells when.
    readonly property var loadSamples: []
    readonly property var receivedSamples: []
    readonly property var sentSamples: []
    property int revision: 0
    // How long samples are kept, in ms, and how many at most, whatever the rate at which they come.
    readonly property int keptTime: 130000
    readonly property int keptSamples: 4000

    SharedState {
        id: loadState
        client: figures.client
        name: "cpu/load"
    }
    SharedState {
        id: totalState
        client: figures.client
        name: "mem/total"
    }
    SharedState {
        id: availableState
        client: figures.client
        name: "mem/available"
    }

    // A SharedState has the newest value, which is right for a gauge; a plot wants every one.
    StateListener {
        client: figures.client
        nameFilter: "cpu/load"
        // What the hub had kept is not the load of now.
        onReceived: function(sender, name, value, retained) {
            if (typeof value === "number" && !retained)
                figures.addSample(figures.loadSamples, Date.now(), value)
        }
    }
    StateListener {
        client: figures.client
        nameFilter: "net/*/*"
        onReceived: function(sender, name, value) {
            if (typeof value === "number")
                counters.count(sender, name, value, Date.now())
        }
    }

    Connections {
        target: figures.client
        // The first value after a connection is what the hub had kept, from whenever.
        function onConnected() { counters.known = {} }
        // What a program has sent that is gone is no rate of now.
        function onStaleChanged() { counters.changed = true }
    }

    Connections {
        target: Clock
        // The counters of one round come one after the other, and senders have rounds of their own: so they are added
        // up each second.
        function onNowChanged() {
            if (counters.changed)
                counters.sum(Clock.now)
        }
    }

    // The network counters of publish count bytes since the start of the machine.
    QtObject {
        id: counters

        property var known: ({})
        property bool changed: false

        function count(sender, name, bytes, time) {
            var key = sender + "\n" + name
            var last = known[key]
            if (last === undefined) {
                known[key] = { bytes: bytes, time: NaN, rate: NaN, sender: sender, name: name }
                return
            }
            // The second one is the first whose time is known.
            var elapsed = time - last.time
            if (isFinite(elapsed)) {
                // What has waited somewhere and comes in one go tells nothing of the time between.
                if (elapsed < 100)
                    return
                // Less than before: the machine, or its interface, has started anew.
                last.rate = bytes >= last.bytes ? (bytes - last.bytes) * 1000 / elapsed : NaN
                changed = true
            }
            last.bytes = bytes
            last.time = time
        }

        function sum(time) {
            var byName = {}
            var all = Object.keys(known)
            var stale = 0
            changed = false
            for (var i = 0; i < all.length; ++i) {
                var counter = known[all[i]]
                if (figures.client.isStale(counter.name, counter.sender)) {
                    ++stale
                    continue
                }
                if (!isFinite(counter.rate))
                    continue
                var parts = counter.name.split("/")
                var row = byName[parts[1]]
                if (!row)
                    row = byName[parts[1]] = { name: parts[1], received: 0, sent: 0 }
                if (parts[2] === "rx")
                    row.received = counter.rate
                else if (parts[2] === "tx")
                    row.sent = counter.rate
            }
            var rows = Object.keys(byName).sort().map(function(name) { return byName[name] })
            var outside = rows.filter(function(row) { return row.name !== "lo" })
            figures.interfaces = rows
            figures.networkStale = all.length > 0 && stale === all.length
            figures.received = figures.total(outside, "received")
            figures.sent = figures.total(outside, "sent")
            figures.addSample(figures.receivedSamples, time, figures.received)
            figures.addSample(figures.sentSamples, time, figures.sent)
        }
    }

    // NaN if there are no rows.
    function total(rows, way) {
        return rows.length ? rows.reduce(function(sum, row) { return sum + row[way] }, 0) : NaN
    }

    function addSample(samples, time, value) {
        if (!isFinite(value))
            return
        samples.push({ time: time, value: value })
        var old = Math.max(0, samples.length - keptSamples)
        while (old < samples.length && samples[old].time < time - keptTime)
            ++old
        // Not one by one: that would move all the others each time.
        if (old > keptSamples / 4 || (old > 0 && samples[0].time < time - 2 * keptTime))
            samples.splice(0, old)
        ++revision
    }
}
