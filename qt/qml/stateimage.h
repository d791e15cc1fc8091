#ifndef NANOSTATEQML_STATEIMAGE_H
#define NANOSTATEQML_STATEIMAGE_H

#include "clientuser.h"

#include <QtCore/qobject.h>
#include <QtCore/qurl.h>

QT_BEGIN_NAMESPACE
class QQmlEngine;
QT_END_NAMESPACE

namespace NanostateQt {

/*! Adds the provider of image://nanostate/ to the engine, unless that is null. It has the pictures of StateImages, and warns
    of any other URL. */
void providePictures(QQmlEngine *engine);

/*!
    A picture that programs share: the newest value of its name, if that is bytes in PNG, JPEG, GIF, BMP or WebP.

        StateImage { id: camera; client: hub; name: "camera/front" }
        Image { source: camera.source; cache: false }

    A value that is no picture, or too large a one, is not shown: it is the \l errorString, and a warning; the last
    picture stays. When the value is withdrawn, there is no picture.
*/
class StateImage : public QObject, public ClientUser
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(NanostateQt::Client *client READ client WRITE setClient NOTIFY clientChanged)
    Q_PROPERTY(QString name READ name WRITE setName NOTIFY nameChanged)
    /*! For Image: image://nanostate/NAME with a revision, another one for each picture; empty while there is none. It is
        valid in the engine of this object, as long as the object exists. */
    Q_PROPERTY(QUrl source READ source NOTIFY sourceChanged)
    /*! Why the newest value is not shown, in words that name the state and its sender; empty if it is shown. */
    Q_PROPERTY(QString errorString READ errorString NOTIFY errorStringChanged)

public:
    explicit StateImage(QObject *parent = nullptr);
    ~StateImage() override;

    QString name() const;
    void setName(const QString &name);
    QUrl source() const;
    QString errorString() const;

Q_SIGNALS:
    void clientChanged();
    void nameChanged();
    void sourceChanged();
    void errorStringChanged();

private:
    void stateArrived(const ns_state *state) override;
    void stateCleared(const ClearedState &state) override;
    void clientSynced() override { show(); }
    void restart() override;
    void emitClientChanged() override { Q_EMIT clientChanged(); }
    void showLater();
    void flush();
    void show();
    void update(const QUrl &source, const QString &errorString);

    // Of all objects, for the URL.
    const int m_serial;
    int m_revision = 0;
    QString m_name;
    QUrl m_source;
    QString m_errorString;
    // The state that was last looked at.
    StatePointer m_seen;
    StatePointer m_arrived;
    // A value was withdrawn since the newest was looked at.
    bool m_cleared = false;
    bool m_queued = false;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_STATEIMAGE_H
