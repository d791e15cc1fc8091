#include "stateimage.h"

#include <QtCore/qbuffer.h>
#include <QtCore/qhash.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qmutex.h>
#include <QtCore/qpointer.h>
#include <QtCore/qregularexpression.h>
#include <QtGui/qimagereader.h>
#include <QtQml/qqmlengine.h>
#include <QtQml/qqmlinfo.h>
#include <QtQuick/qquickimageprovider.h>

#include <atomic>
#include <memory>
#include <utility>

namespace NanostateQt {

namespace {

constexpr char ProviderId[] = "nanostate";
// 128 MiB with four bytes for each, which is the limit of Qt 6 for an image; Qt 5 has none.
constexpr qint64 MaxPixels = 32 * 1024 * 1024;

// The bytes of a state, which outlives the result.
QByteArray bytesOf(const ns_state *state)
{
    const void *data = nullptr;
    size_t size = 0;
    if (ns_state_bytes(state, &data, &size) != NS_OK)
        return QByteArray();
    return QByteArray::fromRawData(static_cast<const char *>(data), int(size));
}

// A format that is read from its bytes alone; SVG, for instance, may name other files. Empty if it is none.
QByteArray formatOf(QBuffer *buffer)
{
    const QByteArray format = QImageReader::imageFormat(buffer);
    for (const char *known : {"png", "jpeg", "gif", "bmp", "webp"}) {
        if (format == known)
            return format;
    }
    return QByteArray();
}

// Why a state cannot be shown; empty if it can, as far as its beginning says.
QString faultOf(const ns_state *state)
{
    if (ns_state_kind(state) != NS_KIND_BYTES)
        return QStringLiteral("is no picture: it is not bytes");
    QByteArray bytes = bytesOf(state);
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::ReadOnly);
    const QByteArray format = formatOf(&buffer);
    if (format.isEmpty())
        return QStringLiteral("is no picture in PNG, JPEG, GIF, BMP or WebP: %1 bytes").arg(bytes.size());
    const QSize size = QImageReader(&buffer, format).size();
    if (size.isEmpty())
        return QStringLiteral("is a damaged picture (%1): it does not say its size").arg(QString::fromLatin1(format));
    if (qint64(size.width()) * size.height() > MaxPixels) {
        return QStringLiteral("is too large a picture: %1 x %2 pixels, and at most %3 are shown")
            .arg(size.width())
            .arg(size.height())
            .arg(MaxPixels);
    }
    return QString();
}

// The pictures that there are URLs for, by the serial number of their StateImage. Images are also read in other threads.
class Pictures
{
public:
    using Picture = std::shared_ptr<ns_state>;

    static Pictures &instance()
    {
        // Never destroyed: an engine may be, at the end of the program, after what is static here.
        static Pictures *const pictures = new Pictures;
        return *pictures;
    }
    void set(int serial, const ns_state *state)
    {
        const QMutexLocker lock(&m_mutex);
        m_pictures.insert(serial, Picture(ns_state_ref(state), StateFree()));
    }
    void remove(int serial)
    {
        const QMutexLocker lock(&m_mutex);
        m_pictures.remove(serial);
    }
    Picture get(int serial)
    {
        const QMutexLocker lock(&m_mutex);
        return m_pictures.value(serial);
    }

private:
    QMutex m_mutex;
    QHash<int, Picture> m_pictures;
};

class Provider : public QQuickImageProvider
{
public:
    Provider() : QQuickImageProvider(QQuickImageProvider::Image) {}

    // NAME?SERIAL.REVISION: the newest picture of that StateImage, whose next revision has another URL.
    QImage requestImage(const QString &id, QSize *size, const QSize &requestedSize) override
    {
        static const QRegularExpression ofStateImage(QStringLiteral("\\?([0-9]+)\\.[0-9]+$"));
        const QRegularExpressionMatch match = ofStateImage.match(id);
        if (!match.hasMatch())
            return refuse(id);
        const auto picture = Pictures::instance().get(match.captured(1).toInt());
        if (!picture)
            return QImage();
        QByteArray bytes = bytesOf(picture.get());
        QBuffer buffer(&bytes);
        buffer.open(QIODevice::ReadOnly);
        QImageReader reader(&buffer, formatOf(&buffer));
        const QSize full = reader.size();
        if (size)
            *size = full;
        // 0 in one direction follows the other; larger than it is it need not be.
        QSize wanted = requestedSize;
        if (wanted.width() <= 0)
            wanted.setWidth(full.width());
        if (wanted.height() <= 0)
            wanted.setHeight(full.height());
        if (wanted.width() < full.width() || wanted.height() < full.height())
            reader.setScaledSize(full.scaled(wanted, Qt::KeepAspectRatio).expandedTo(QSize(1, 1)));
        return reader.read();
    }

private:
    // An Image is not told that there is another picture, and Qt caches what a URL gave.
    static QImage refuse(const QString &id)
    {
        const QString name = QUrl::fromPercentEncoding(id.toUtf8());
        qWarning("image://%s/%s: an Image cannot follow a state by itself. Write StateImage { id: picture; client: hub; name: "
                 "\"%s\" } and Image { source: picture.source; cache: false }",
                 ProviderId, qUtf8Printable(id), qUtf8Printable(name));
        return QImage();
    }
};

int nextSerial()
{
    static std::atomic<int> last{0};
    return ++last;
}

} // namespace

void providePictures(QQmlEngine *engine)
{
    const QString id = QString::fromLatin1(ProviderId);
    if (engine && !engine->imageProvider(id))
        engine->addImageProvider(id, new Provider);
}

StateImage::StateImage(QObject *parent) : QObject(parent), ClientUser(this), m_serial(nextSerial()) {}

StateImage::~StateImage()
{
    Pictures::instance().remove(m_serial);
}

QString StateImage::name() const
{
    return m_name;
}

void StateImage::setName(const QString &name)
{
    if (name == m_name)
        return;
    m_name = name;
    const QPointer<StateImage> alive(this);
    restart();
    if (alive)
        Q_EMIT nameChanged();
}

QUrl StateImage::source() const
{
    return m_source;
}

QString StateImage::errorString() const
{
    return m_errorString;
}

void StateImage::stateArrived(const ns_state *state)
{
    m_arrived.reset(ns_state_ref(state));
    showLater();
}

void StateImage::stateCleared(const ClearedState &state)
{
    if (m_arrived && qstrcmp(ns_state_sender(m_arrived.get()), state.sender) == 0)
        m_arrived.reset();
    m_cleared = true;
    showLater();
}

void StateImage::showLater()
{
    if (m_queued)
        return;
    m_queued = true;
    QMetaObject::invokeMethod(this, &StateImage::flush, Qt::QueuedConnection);
}

void StateImage::flush()
{
    m_queued = false;
    show();
}

void StateImage::restart()
{
    if (!isComplete())
        return;
    providePictures(qmlEngine(this));
    m_seen.reset();
    m_arrived.reset();
    m_cleared = false;
    ignore();
    use(m_name);
    if (!m_name.isEmpty())
        observe(m_name);
    const QPointer<StateImage> alive(this);
    update(QUrl(), QString());
    if (alive)
        show();
}

// Looks at the newest value.
void StateImage::show()
{
    if (!client() || m_name.isEmpty())
        return;
    StatePointer state = ClientAccess::newest(client(), m_name);
    // The client forgets values once it has received more than it keeps.
    if (!state)
        state = std::move(m_arrived);
    m_arrived.reset();
    const bool cleared = std::exchange(m_cleared, false);
    if (!state && cleared) {
        m_seen.reset();
        return update(QUrl(), QString());
    }
    if (!state || state == m_seen)
        return;
    m_seen = std::move(state);
    const QString fault = faultOf(m_seen.get());
    if (!fault.isEmpty()) {
        const QString sender = QString::fromUtf8(ns_state_sender(m_seen.get()));
        return update(m_source, QStringLiteral("\"%1\" of %2 %3").arg(m_name, sender, fault));
    }
    Pictures::instance().set(m_serial, m_seen.get());
    QUrl url;
    url.setScheme(QStringLiteral("image"));
    url.setHost(QString::fromLatin1(ProviderId));
    url.setPath(QLatin1Char('/') + m_name, QUrl::DecodedMode);
    url.setQuery(QStringLiteral("%1.%2").arg(m_serial).arg(++m_revision));
    update(url, QString());
}

void StateImage::update(const QUrl &source, const QString &errorString)
{
    const bool otherSource = m_source != source;
    const bool otherError = m_errorString != errorString;
    m_source = source;
    m_errorString = errorString;
    if (source.isEmpty())
        Pictures::instance().remove(m_serial);
    const QPointer<StateImage> alive(this);
    if (otherError && !errorString.isEmpty())
        qmlWarning(this) << errorString;
    if (otherSource)
        Q_EMIT sourceChanged();
    if (alive && otherError)
        Q_EMIT errorStringChanged();
}

} // namespace NanostateQt
