.pragma library

// Texts for figures. What is no number is shown as a dash.

var none = "\u2013"

function number(value) {
    return typeof value === "number" ? value : NaN
}

function fixed(value, digits) {
    return isFinite(value) ? value.toFixed(digits) : none
}

// 1536 -> { figure: "1.50", unit: "KiB" }
function splitBytes(bytes) {
    if (!isFinite(bytes))
        return { figure: none, unit: "" }
    var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var i = 0
    while (Math.abs(bytes) >= 1000 && i < units.length - 1) {
        bytes /= 1024
        ++i
    }
    var digits = i === 0 || Math.abs(bytes) >= 100 ? 0 : Math.abs(bytes) >= 10 ? 1 : 2
    return { figure: bytes.toFixed(digits), unit: units[i] }
}

function bytes(value) {
    var parts = splitBytes(value)
    return parts.unit ? parts.figure + " " + parts.unit : parts.figure
}

function rate(value) {
    return isFinite(value) ? bytes(value) + "/s" : none
}

function seconds(value) {
    if (value < 120)
        return Math.round(value) + " s"
    if (value < 7200)
        return Math.round(value / 60) + " min"
    if (value < 172800)
        return Math.round(value / 3600) + " h"
    return Math.round(value / 86400) + " days"
}

// The smallest of 1, 2, 3, 4, 5, 6, 8, 10, 20, … that is not less than the value.
function niceDecimal(value) {
    var power = Math.pow(10, Math.floor(Math.log(value) / Math.LN10))
    var steps = [1, 2, 3, 4, 5, 6, 8, 10]
    for (var i = 0; i < steps.length; ++i) {
        if (value <= steps[i] * power * 1.000001)
            return steps[i] * power
    }
    return 10 * power
}

// The smallest power of two that is not less than the value.
function niceBinary(value) {
    return Math.pow(2, Math.ceil(Math.log(value) / Math.LN2 - 0.000001))
}

// Any value of a state in one short line.
function oneLine(value) {
    if (value === null || value === undefined)
        return "null"
    if (typeof value === "string")
        return value.replace(/\s+/g, " ")
    if (typeof value === "number")
        return Number.isInteger(value) ? value.toString() : parseFloat(value.toPrecision(6)).toString()
    if (value instanceof ArrayBuffer)
        return bytes(value.byteLength)
    if (value instanceof Date)
        return value.toISOString()
    return typeof value === "object" ? JSON.stringify(value) : String(value)
}
