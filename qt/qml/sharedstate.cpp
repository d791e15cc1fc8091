#include "sharedstate.h"

#include "jsvalue.h"
#include "valuetype.h"

#include <NanostateQt/private/codec.h>

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmlengine.h>
#include <QtQml/qqmlinfo.h>

#include <utility>

namespace NanostateQt {

/*
    Every function that may change what is shown notes the changes (m_shown) and ends with tell(), which emits their
    signals once all properties have their new values. Handlers may do anything: set properties of this object, which
    runs these functions again, or delete it or the client. So nothing is touched after tell() or a call of the client
    before a QPointer says that it still exists.
*/

SharedState::SharedState(QObject *parent) : QObject(parent), ClientUser(this) {}

SharedState::~SharedState()
{
    ignore();
    sendAtOnce();
}

void SharedState::leaveClient()
{
    sendAtOnce();
}

void SharedState::connectClient(Client *client)
{
    connect(client, &Client::activeChanged, this, &SharedState::linkChanged);
    connect(client, &Client::stateChanged, this, &SharedState::linkChanged);
    connect(client, &Client::identityChanged, this, &SharedState::linkChanged);
    connect(client, &Client::bytesAsTextChanged, this, &SharedState::decodeAgain);
}

void SharedState::loseClient()
{
    m_waiting.reset();
}

void SharedState::restart()
{
    m_timer.stop();
    m_offline.reset();
    start();
}

void SharedState::emitClientChanged()
{
    tell(&SharedState::clientChanged);
}

QString SharedState::name() const
{
    return m_name;
}

void SharedState::setName(const QString &name)
{
    if (name == m_name)
        return;
    const QPointer<SharedState> alive(this);
    sendAtOnce();
    if (!alive)
        return;
    // It was set for the previous name.
    if (!m_name.isEmpty())
        m_waiting.reset();
    m_name = name;
    restart();
    if (alive)
        tell(&SharedState::nameChanged);
}

QVariant SharedState::value() const
{
    return m_shown.value();
}

void SharedState::setValue(const QVariant &given)
{
    if (!isComplete()) {
        // A binding may have no value yet.
        QVariant initial;
        if (!given.isValid() || !unwrap(given, &initial))
            return;
        m_initial = initial;
        if (!m_defaultGiven)
            m_shown.show(initial, QString(), 0, false);
        tell();
        return;
    }
    QVariant value;
    if (!unwrap(given, &value))
        return;
    if (!ValueType::isSentAs(value, m_type)) {
        qmlWarning(this) << "\"" << m_name << "\": value " << ValueType::mismatch(value, m_type);
        return;
    }
    // Published although it is the same: a value that replaces one of another type, and one that would expire otherwise.
    if (isSame(value, m_shown.value()) && m_shown.errorString().isEmpty() && m_options.timeToLive.count() == 0) {
        if (!m_held || !m_enabled)
            return;
        // It has to win over values that wait for the end of the hold.
        const StatePointer last = newest();
        if (!last || isSame(ClientAccess::valueOf(client(), last.get()), value)) {
            m_touched = true;
            return;
        }
    }
    if (m_enabled) {
        if (canSend() && !m_timer.isActive()) {
            if (send(value) != Sent::Yes)
                return;
            m_waiting.reset();
        } else {
            // A value that cannot be sent is refused at once.
            QByteArray encoded;
            Codec::Error error;
            if (!Codec::encode(value, &encoded, &error)) {
                qmlWarning(this) << "\"" << m_name << "\": " << error.text;
                return;
            }
            m_waiting = value;
        }
        m_touched = m_held;
    } else {
        m_offline.reset();
    }
    m_shown.state.reset();
    m_cleared = false;
    qint64 time = 0;
    if (m_enabled && !m_waiting) {
        if (const StatePointer published = newest())
            time = ns_state_time(published.get());
    }
    m_shown.show(value, client() ? client()->identity() : QString(), time, true);
    m_shown.setErrorString(QString());
    updatePending();
    tell();
}

QVariant SharedState::defaultValue() const
{
    return m_default;
}

void SharedState::setDefaultValue(const QVariant &given)
{
    QVariant value;
    if (given.isValid() && !unwrap(given, &value))
        return;
    m_defaultGiven = true;
    const bool changed = !isSame(value, m_default);
    m_default = value;
    if (!m_shown.isValid())
        showDefault();
    tell(changed ? &SharedState::defaultValueChanged : nullptr);
}

SharedState::Type SharedState::type() const
{
    return m_type;
}

void SharedState::setType(Type type)
{
    if (type == m_type)
        return;
    m_type = type;
    m_shown.setErrorString(QString());
    m_shown.state.reset();
    m_arrived.doubt();
    follow();
    // What is shown is of the previous type.
    if (!m_shown.errorString().isEmpty())
        showDefault();
    tell(&SharedState::typeChanged);
}

Client::Error SharedState::error() const
{
    return m_shown.errorString().isEmpty() ? Client::Error::NoError : Client::Error::Kind;
}

QString SharedState::errorString() const
{
    return m_shown.errorString();
}

bool SharedState::isValid() const
{
    return m_shown.isValid();
}

QString SharedState::sender() const
{
    return m_shown.sender();
}

QVariant SharedState::time() const
{
    return timeOf(m_shown.time());
}

bool SharedState::isStale() const
{
    // The first to read it has what is known already, without a signal.
    const auto asking = const_cast<SharedState *>(this);
    if (asking->askStale()) {
        asking->m_shown.updateStale(client());
        asking->m_shown.takeChange(Shown::StaleChange);
    }
    return m_shown.isStale();
}

void SharedState::connectNotify(const QMetaMethod &signal)
{
    static const QMetaMethod stale = QMetaMethod::fromSignal(&SharedState::staleChanged);
    if (signal == stale) {
        const auto ask = [this]() {
            askStale();
            tell();
        };
        QMetaObject::invokeMethod(this, ask, Qt::QueuedConnection);
    }
}

void SharedState::staleMayChange(const QString &)
{
    tell();
}

bool SharedState::isPending() const
{
    return m_shown.isPending();
}

bool SharedState::isHeld() const
{
    return m_held;
}

void SharedState::setHeld(bool held)
{
    if (held == m_held)
        return;
    m_held = held;
    const bool touched = std::exchange(m_touched, false);
    if (!held && isComplete() && m_enabled) {
        if (touched && !m_waiting) {
            // The other programs have to end with this value, too.
            const StatePointer last = newest();
            if (last && !isSame(ClientAccess::valueOf(client(), last.get()), m_shown.value())) {
                m_waiting = m_shown.value();
                if (sendWaiting() == Sent::Deleted)
                    return;
            }
        }
        follow();
        updatePending();
    }
    tell(&SharedState::heldChanged);
}

bool SharedState::isEnabled() const
{
    return m_enabled;
}

void SharedState::setEnabled(bool enabled)
{
    if (enabled == m_enabled)
        return;
    const QPointer<SharedState> alive(this);
    sendAtOnce();
    if (!alive)
        return;
    m_enabled = enabled;
    m_touched = false;
    if (enabled) {
        start();
        if (!alive)
            return;
    } else {
        ignore();
    }
    tell(&SharedState::enabledChanged);
}

void SharedState::clear()
{
    m_touched = false;
    if (m_enabled) {
        if (canSend()) {
            m_waiting.reset();
            if (send(QVariant()) == Sent::Deleted)
                return;
        } else {
            m_waiting = QVariant();
        }
    }
    // What another program has set does not end that this is on its way.
    const auto offline = m_offline;
    m_shown.state.reset();
    m_shown.setErrorString(QString());
    if (!m_enabled || !showNewest())
        showDefault();
    m_offline = offline;
    updatePending();
    tell();
}

void SharedState::componentComplete()
{
    Signal also = nullptr;
    if (m_initial && !m_defaultGiven) {
        m_default = *m_initial;
        also = &SharedState::defaultValueChanged;
    }
    m_initial.reset();
    const QPointer<SharedState> alive(this);
    ClientUser::componentComplete();
    if (alive)
        tell(also);
}

void SharedState::stateArrived(const ns_state *state)
{
    m_arrived.add(client(), state);
    flushLater();
}

void SharedState::stateCleared(const ClearedState &state)
{
    m_arrived.addCleared(client(), state.sender);
    const bool isShown = m_shown.isValid() && m_shown.sender() == QString::fromUtf8(state.sender);
    const bool isError = m_shown.state && qstrcmp(ns_state_sender(m_shown.state.get()), state.sender) == 0;
    m_cleared = m_cleared || isShown || isError;
    flushLater();
}

void SharedState::clientSynced()
{
    // An app that has just joined is not told what was withdrawn before; it does not know it.
    if (m_shown.state && m_shownGeneration != ClientAccess::generation(client()) && !isOwn(m_shown.state.get())
        && !newest())
        m_cleared = true;
    showArrived();
}

void SharedState::clientClosing()
{
    // Without tell(): the signals of the client that follow end in it.
    sendAtOnce();
}

void SharedState::linkChanged()
{
    if (m_offline && ClientAccess::generation(client()) != m_generation) {
        // Its app was closed before it ever connected, so the next app gets the value again.
        m_waiting = std::exchange(m_offline, std::nullopt);
    } else if (client()->state() == Client::State::Connected) {
        m_offline.reset();
    }
    if (sendWaiting() == Sent::Deleted)
        return;
    follow();
    updatePending();
    tell();
}

void SharedState::decodeAgain()
{
    if (!m_shown.state)
        return;
    m_shown.state.reset();
    m_arrived.doubt();
    follow();
    tell();
}

// Begins to follow the name, starting with what the client knows of it. May delete this object.
void SharedState::start()
{
    m_touched = false;
    m_cleared = false;
    m_shown.state.reset();
    m_arrived.clear();
    m_shown.setErrorString(QString());
    if (!isComplete())
        return;
    ignore();
    // Also while it is not enabled, so that it has the newest value as soon as it is.
    use(m_name);
    if (m_enabled && !m_name.isEmpty())
        observe(m_name);
    if (sendWaiting() == Sent::Deleted)
        return;
    if (m_waiting && m_waiting->isValid())
        m_shown.show(*m_waiting, client() ? client()->identity() : QString(), 0, true);
    else if (!m_enabled || !showNewest())
        showDefault();
    updatePending();
}

void SharedState::flushLater()
{
    if (m_queued)
        return;
    m_queued = true;
    QMetaObject::invokeMethod(this, &SharedState::flush, Qt::QueuedConnection);
}

void SharedState::flush()
{
    m_queued = false;
    showArrived();
}

void SharedState::showArrived()
{
    follow();
    updatePending();
    tell();
}

// Shows what has arrived, unless it has to wait, or a value that was set here is about to replace it.
void SharedState::follow()
{
    // An app that has just connected knows no value yet, so the last one stays.
    if (isComplete() && m_enabled && !m_held && !m_waiting)
        showNewest();
}

// False: no value is known, or the newest is not of the type.
bool SharedState::showNewest()
{
    StatePointer state(newest());
    m_arrived.clear();
    const bool cleared = std::exchange(m_cleared, false);
    if (!state) {
        if (cleared) {
            m_shown.setErrorString(QString());
            m_offline.reset();
            showDefault();
        }
        return false;
    }
    if (state == m_shown.state && !cleared)
        return m_shown.errorString().isEmpty();
    const QVariant value = ClientAccess::valueOf(client(), state.get());
    const QString sender = QString::fromUtf8(ns_state_sender(state.get()));
    if (!ValueType::isOf(value, m_type)) {
        const QString mismatch = ValueType::mismatch(value, m_type);
        m_shown.setErrorString(QStringLiteral("\"%1\" of %2 %3").arg(m_name, sender, mismatch));
        m_shown.state = std::move(state);
        if (cleared)
            showDefault();
        return false;
    }
    m_shown.setErrorString(QString());
    if (!isSame(value, m_shown.value()))
        m_offline.reset();
    m_shown.show(value, sender, ns_state_time(state.get()), true);
    m_shown.state = std::move(state);
    m_shownGeneration = ClientAccess::generation(client());
    return true;
}

void SharedState::showDefault()
{
    if (m_shown.errorString().isEmpty())
        m_shown.state.reset();
    m_shown.show(m_default, QString(), 0, false);
}

void SharedState::updatePending()
{
    m_shown.setPending(m_waiting || m_offline);
}

// Emits `also`, then the signals of what has changed. False: a handler deleted this object.
bool SharedState::tell(Signal also)
{
    if (asksStale())
        m_shown.updateStale(client());
    const QPointer<SharedState> alive(this);
    if (also)
        Q_EMIT (this->*also)();
    if (!alive)
        return false;
    constexpr std::pair<Shown::Change, Signal> signalOf[] = {
        {Shown::ValidChange, &SharedState::validChanged},
        {Shown::SenderChange, &SharedState::senderChanged},
        {Shown::TimeChange, &SharedState::timeChanged},
        {Shown::StaleChange, &SharedState::staleChanged},
        {Shown::PendingChange, &SharedState::pendingChanged},
        {Shown::ValueChange, &SharedState::valueChanged},
        {Shown::ErrorChange, &SharedState::errorChanged},
    };
    for (const auto &[change, signal] : signalOf) {
        if (!m_shown.takeChange(change))
            continue;
        Q_EMIT (this->*signal)();
        if (!alive)
            return false;
        if (change == Shown::ErrorChange && !m_shown.errorString().isEmpty()) {
            Q_EMIT errorOccurred(error(), m_shown.errorString());
            if (!alive)
                return false;
        }
    }
    return true;
}

bool SharedState::unwrap(const QVariant &given, QVariant *value)
{
    QString why;
    if (JsValue::unwrap(given, qjsEngine(this), value, &why))
        return true;
    qmlWarning(this) << "\"" << m_name << "\": " << why;
    return false;
}

StatePointer SharedState::newest() const
{
    return m_arrived.newest(client(), m_name, m_shown.state.get());
}

} // namespace NanostateQt
