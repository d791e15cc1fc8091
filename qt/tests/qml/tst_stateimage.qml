import QtQuick 2.15
import QtTest 1.15
import Nanostate 1.0
import NanostateTest 1.0

HubTestCase {
    id: test
    name: "StateImage"

    // PNG: red, 2 x 3 and 4 x 2 pixels; and the beginning of one that claims 60000 x 60000.
    readonly property string small: "89504e470d0a1a0a0000000d4948445200000002000000030802000000368849d60000001049444154789c63f8cfc000440c28140044d005fba4cfde800000000049454e44ae426082"
    readonly property string wide: "89504e470d0a1a0a0000000d4948445200000004000000020802000000f0caea340000001049444154789c63f8cfc000470cc81c006faa07f980dc00280000000049454e44ae426082"
    readonly property string huge: "89504e470d0a1a0a0000000d494844520000ea600000ea6008020000000fb0e2150000000849444154789c030000000001480689d20000000049454e44ae426082"

    Component {
        id: imageComponent
        StateImage {}
    }
    Component {
        id: itemComponent
        Image {
            property StateImage picture
            source: picture.source
            cache: false
        }
    }

    Component {
        id: plainComponent
        Image {}
    }

    function makeImage(properties) {
        return own(imageComponent.createObject(test, Object.assign({ client: client, name: "v" }, properties || {})))
    }

    function makeItem(picture, properties) {
        return own(itemComponent.createObject(test, Object.assign({ picture: picture }, properties || {})))
    }

    // MessagePack of bytes, given in hexadecimal digits.
    function bytes(hex) {
        return "c4" + (hex.length / 2).toString(16).padStart(2, "0") + hex
    }

    function test_properties_have_their_documented_defaults() {
        const picture = makeImage({ client: null, name: "" })
        compare(picture.client, null)
        compare(picture.name, "")
        compare(picture.source, "")
        compare(picture.errorString, "")
    }

    function test_a_picture_is_shown_and_replaced_as_the_state_changes() {
        const picture = makeImage()
        const item = makeItem(picture)
        compare(item.status, Image.Null)
        const changed = makeSpy(picture, "sourceChanged")
        verify(peer.sendRaw("v", bytes(small)))
        tryCompare(item, "status", Image.Ready, patience)
        compare([item.implicitWidth, item.implicitHeight], [2, 3])
        verify(/^image:\/\/nanostate\/v\?/.test(picture.source), picture.source)
        compare(changed.count, 1)
        verify(peer.sendRaw("v", bytes(wide)))
        tryCompare(item, "implicitWidth", 4, patience)
        compare(item.implicitHeight, 2)
        compare(item.status, Image.Ready)
        compare(changed.count, 2)
    }

    function test_it_may_be_read_in_another_thread_and_smaller() {
        verify(peer.sendRaw("v", bytes(wide)))
        eventually(() => client.value("v") !== undefined)
        const item = makeItem(makeImage(), { asynchronous: true, "sourceSize.width": 2 })
        tryCompare(item, "status", Image.Ready, patience)
        compare([item.implicitWidth, item.implicitHeight], [2, 1])
    }

    function test_a_name_may_have_any_characters_data() {
        const names = ["a b/\u00fc?x#y%41&z.1", "50% off?", "?1.1", "#1", "/", "//a", "a/../b", "..", " ", "a:b@c\\d"]
        return Array.from(names, name => ({ tag: name, name: name }))
    }
    function test_a_name_may_have_any_characters(data) {
        verify(peer.sendRaw(data.name, bytes(small)))
        eventually(() => client.value(data.name) !== undefined)
        const item = makeItem(makeImage({ name: data.name }))
        compare(item.status, Image.Ready)
        compare(item.implicitWidth, 2)
    }

    function test_whoever_writes_the_URL_of_a_state_is_told_of_StateImage_data() {
        return [
            { tag: "name", url: "camera/front", name: "camera/front" },
            { tag: "other characters", url: "a%20b%3F/100%25", name: "a b\\?/100%" },
            { tag: "query", url: "camera/front?1", name: "camera/front\\?1" }
        ]
    }
    function test_whoever_writes_the_URL_of_a_state_is_told_of_StateImage(data) {
        const [url, name] = ["image://nanostate/" + data.url, "camera/front"]
        verify(peer.sendRaw(name, bytes(small)))
        eventually(() => client.value(name) !== undefined)
        ignoreWarning(new RegExp("an Image cannot follow a state by itself\\. Write StateImage \\{ id: picture; client: hub; name: \""
                                 + data.name + "\" \\} and Image \\{ source: picture\\.source; cache: false \\}$"))
        ignoreWarning(/Failed to get image from provider: image:/)
        const item = own(plainComponent.createObject(test, { source: url }))
        tryCompare(item, "status", Image.Error, patience)
    }

    function test_another_name_is_another_picture() {
        verify(peer.sendRaw("v", bytes(small)))
        eventually(() => client.value("v") !== undefined)
        const picture = makeImage()
        const item = makeItem(picture)
        compare(item.status, Image.Ready)
        picture.name = "w"
        compare(picture.source, "")
        compare(item.status, Image.Null)
        picture.name = "v"
        compare(item.status, Image.Ready)
        picture.client = null
        compare(picture.source, "")
    }

    function test_what_is_no_picture_is_refused_with_words_and_the_last_one_stays_data() {
        return [
            { tag: "text", raw: "a3616263", why: "is no picture: it is not bytes" },
            { tag: "bytes", raw: "c403616263", why: "is no picture in PNG, JPEG, GIF, BMP or WebP: 3 bytes" },
            { tag: "nothing", raw: "c400", why: "is no picture in PNG, JPEG, GIF, BMP or WebP: 0 bytes" },
            { tag: "too large", raw: bytes(huge),
              why: "is too large a picture: 60000 x 60000 pixels, and at most 33554432 are shown" }
        ]
    }
    function test_what_is_no_picture_is_refused_with_words_and_the_last_one_stays(data) {
        const picture = makeImage()
        const item = makeItem(picture)
        verify(peer.sendRaw("v", bytes(small)))
        tryCompare(item, "status", Image.Ready, patience)
        const source = picture.source
        const changed = makeSpy(picture, "errorStringChanged")
        const words = "\"v\" of peer " + data.why
        ignoreWarning(new RegExp(words.replace(/[().]/g, "\\$&") + "$"))
        verify(peer.sendRaw("v", data.raw))
        tryCompare(picture, "errorString", words, patience)
        compare(picture.source, source)
        compare(item.status, Image.Ready)
        compare(changed.count, 1)
        verify(peer.sendRaw("v", bytes(wide)))
        tryCompare(picture, "errorString", "", patience)
        compare(item.implicitWidth, 4)
    }

    function test_a_picture_goes_with_its_value() {
        const picture = makeImage()
        const item = makeItem(picture)
        verify(peer.sendRaw("v", bytes(small)))
        tryCompare(item, "status", Image.Ready, patience)
        verify(peer.clear("v"))
        tryCompare(item, "status", Image.Null, patience)
        compare([picture.source, picture.errorString], ["", ""])
        ignoreWarning(/is no picture: it is not bytes$/)
        verify(peer.send("v", "1"))
        eventually(() => picture.errorString !== "")
        verify(peer.clear("v"))
        tryCompare(picture, "errorString", "", patience)
        verify(peer.sendRaw("v", bytes(wide)))
        tryCompare(item, "status", Image.Ready, patience)
    }

    function test_it_has_its_picture_before_its_client_is_synced() {
        verify(peer.sendRaw("v", bytes(small)))
        const late = makeClient({ active: false, identity: "late", url: hub.url })
        const picture = makeImage({ client: late })
        let source = ""
        late.syncedChanged.connect(() => { source = String(picture.source) })
        late.active = true
        verify(TestTools.haveEverything(late))
        eventually(() => late.synced)
        verify(source !== "")
    }
}
