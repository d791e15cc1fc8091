#include "sharedstate.h"

#include "jsvalue.h"
#include "valuetype.h"

#include <NanostateQt/private/codec.h>

#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmlengine.h>
#include <QtQml/qqmlinfo.h>

#include <utility>

namespace NanostateQt {

namespace {

// undefined and null are two values in QML, though both are nil on the wire.
bool isSame(const QVariant &a, const QVariant &b)
{
    return a.isValid() == b.isValid() && Codec::deepEqual(a, b);
}

} // namespace

/*
    Every function that may change what is shown notes the changes (m_changes) and ends with tell(), which emits their
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
    m_offline = false;
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
    return m_value;
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
            show(initial, QString(), 0, false);
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
    // One that replaces a value of another type is published in any case.
    if (isSame(value, m_value) && m_errorString.isEmpty()) {
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
        m_offline = false;
    }
    m_shown.reset();
    qint64 time = 0;
    if (m_enabled && !m_waiting) {
        if (const StatePointer published = newest())
            time = ns_state_time(published.get());
    }
    show(value, client() ? client()->identity() : QString(), time, true);
    setErrorString(QString());
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
    if (!m_valid)
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
    setErrorString(QString());
    m_shown.reset();
    m_arrived.isNewest = false;
    follow();
    // What is shown is of the previous type.
    if (!m_errorString.isEmpty())
        showDefault();
    tell(&SharedState::typeChanged);
}

Client::Error SharedState::error() const
{
    return m_errorString.isEmpty() ? Client::Error::NoError : Client::Error::Kind;
}

QString SharedState::errorString() const
{
    return m_errorString;
}

bool SharedState::isValid() const
{
    return m_valid;
}

QString SharedState::sender() const
{
    return m_sender;
}

QVariant SharedState::time() const
{
    return timeOf(m_time);
}

bool SharedState::isPending() const
{
    return m_pending;
}

int SharedState::publishInterval() const
{
    return m_interval;
}

void SharedState::setPublishInterval(int millis)
{
    millis = qMax(0, millis);
    if (millis == m_interval)
        return;
    m_interval = millis;
    if (m_timer.isActive()) {
        m_timer.stop();
        if (millis > 0)
            m_timer.start(millis, this);
        else if (sendWaiting() == Sent::Deleted)
            return;
    }
    tell(&SharedState::publishIntervalChanged);
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
            if (last && !isSame(ClientAccess::valueOf(client(), last.get()), m_value)) {
                m_waiting = m_value;
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

void SharedState::timerEvent(QTimerEvent *event)
{
    if (event->timerId() != m_timer.timerId()) {
        QObject::timerEvent(event);
        return;
    }
    m_timer.stop();
    if (sendWaiting() != Sent::Deleted)
        tell();
}

void SharedState::stateArrived(const ns_state *state)
{
    const int generation = ClientAccess::generation(client());
    if (m_arrived.generation != generation)
        m_arrived = {nullptr, false, generation};
    const bool first = !m_arrived.state;
    const bool later = first || ns_state_time(state) > ns_state_time(m_arrived.state.get());
    m_arrived.isNewest = (first || (m_arrived.isNewest && later)) && hasFinalTime(state);
    if (later)
        m_arrived.state.reset(ns_state_ref(state));
    if (m_queued)
        return;
    m_queued = true;
    QMetaObject::invokeMethod(this, &SharedState::flush, Qt::QueuedConnection);
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
        m_offline = false;
        m_waiting = m_value;
    } else if (client()->state() == Client::State::Connected) {
        m_offline = false;
    }
    if (sendWaiting() == Sent::Deleted)
        return;
    follow();
    updatePending();
    tell();
}

void SharedState::decodeAgain()
{
    if (!m_shown)
        return;
    m_shown.reset();
    m_arrived.isNewest = false;
    follow();
    tell();
}

// Begins to follow the name, starting with what the client knows of it. May delete this object.
void SharedState::start()
{
    m_touched = false;
    m_shown.reset();
    m_arrived.state.reset();
    setErrorString(QString());
    if (!isComplete())
        return;
    ignore();
    if (m_enabled && !m_name.isEmpty())
        observe(m_name);
    if (sendWaiting() == Sent::Deleted)
        return;
    if (m_waiting)
        show(*m_waiting, client() ? client()->identity() : QString(), 0, true);
    else if (!m_enabled || !showNewest())
        showDefault();
    updatePending();
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
    m_arrived.state.reset();
    if (!state)
        return false;
    if (state == m_shown)
        return m_errorString.isEmpty();
    const QVariant value = ClientAccess::valueOf(client(), state.get());
    const QString sender = QString::fromUtf8(ns_state_sender(state.get()));
    if (!ValueType::isOf(value, m_type)) {
        setErrorString(QStringLiteral("\"%1\" of %2 %3").arg(m_name, sender, ValueType::mismatch(value, m_type)));
        m_shown = std::move(state);
        return false;
    }
    setErrorString(QString());
    if (!isSame(value, m_value))
        m_offline = false;
    show(value, sender, ns_state_time(state.get()), true);
    m_shown = std::move(state);
    return true;
}

void SharedState::show(const QVariant &value, const QString &sender, qint64 time, bool valid)
{
    if (!isSame(value, m_value))
        m_changes |= ValueChange;
    if (sender != m_sender)
        m_changes |= SenderChange;
    if (time != m_time)
        m_changes |= TimeChange;
    if (valid != m_valid)
        m_changes |= ValidChange;
    // Equal numbers may be of different types.
    m_value = value;
    m_sender = sender;
    m_time = time;
    m_valid = valid;
}

void SharedState::showDefault()
{
    if (m_errorString.isEmpty())
        m_shown.reset();
    show(m_default, QString(), 0, false);
}

void SharedState::setErrorString(const QString &text)
{
    if (text != m_errorString)
        m_changes |= ErrorChange;
    m_errorString = text;
}

void SharedState::updatePending()
{
    const bool pending = m_waiting || m_offline;
    if (pending != m_pending)
        m_changes |= PendingChange;
    m_pending = pending;
}

// Emits `also`, then the signals of what has changed. False: a handler deleted this object.
bool SharedState::tell(Signal also)
{
    const QPointer<SharedState> alive(this);
    if (also)
        Q_EMIT (this->*also)();
    if (!alive)
        return false;
    constexpr std::pair<Change, Signal> signalOf[] = {
        {ValidChange, &SharedState::validChanged},
        {SenderChange, &SharedState::senderChanged},
        {TimeChange, &SharedState::timeChanged},
        {PendingChange, &SharedState::pendingChanged},
        {ValueChange, &SharedState::valueChanged},
        {ErrorChange, &SharedState::errorChanged},
    };
    for (const auto &[change, signal] : signalOf) {
        if (!(m_changes & change))
            continue;
        m_changes &= ~change;
        Q_EMIT (this->*signal)();
        if (!alive)
            return false;
        if (change == ErrorChange && !m_errorString.isEmpty()) {
            Q_EMIT errorOccurred(error(), m_errorString);
            if (!alive)
                return false;
        }
    }
    return true;
}

bool SharedState::canSend() const
{
    return isComplete() && m_enabled && !m_name.isEmpty() && client() && ClientAccess::app(client());
}

SharedState::Sent SharedState::send(const QVariant &value)
{
    const QPointer<SharedState> alive(this);
    const QPointer<Client> client(this->client());
    // Handlers of the client's error may run inside this call.
    const bool taken = client->publish(m_name, value);
    if (!alive)
        return Sent::Deleted;
    if (!taken) {
        if (client)
            qmlWarning(this) << client->errorString();
        return Sent::No;
    }
    m_offline = client && client->state() != Client::State::Connected;
    m_generation = client ? ClientAccess::generation(client) : 0;
    if (m_interval > 0)
        m_timer.start(m_interval, this);
    return Sent::Yes;
}

// Publishes the waiting value, if it may be sent now.
SharedState::Sent SharedState::sendWaiting()
{
    if (!m_waiting || !canSend() || m_timer.isActive())
        return Sent::No;
    const QVariant value = *std::exchange(m_waiting, std::nullopt);
    const Sent sent = send(value);
    if (sent == Sent::Deleted)
        return sent;
    if (sent == Sent::No && !showNewest())
        showDefault();
    updatePending();
    return sent;
}

// The same, without waiting for publishInterval.
void SharedState::sendAtOnce()
{
    m_timer.stop();
    sendWaiting();
}

bool SharedState::unwrap(const QVariant &given, QVariant *value)
{
    QString why;
    if (JsValue::unwrap(given, qjsEngine(this), value, &why))
        return true;
    qmlWarning(this) << "\"" << m_name << "\": " << why;
    return false;
}

// Whether the time of a state proves it newer than those with an earlier time. An own value has no final time before
// the hub has welcomed the client, and values of an old hub have none.
bool SharedState::hasFinalTime(const ns_state *state) const
{
    return ns_state_time(state) != 0 && !isOwn(state);
}

// The newest value of the name: the one that has arrived if none can be newer, else the one that the client returns.
StatePointer SharedState::newest() const
{
    if (!client() || !ClientAccess::app(client()))
        return nullptr;
    const ns_state *const arrived =
        m_arrived.generation == ClientAccess::generation(client()) ? m_arrived.state.get() : nullptr;
    const ns_state *const shown = m_shown.get();
    const bool isNewest = arrived && m_arrived.isNewest
        && (!shown || (hasFinalTime(shown) && ns_state_time(arrived) > ns_state_time(shown)));
    StatePointer newest;
    if (!isNewest)
        newest = ClientAccess::newest(client(), m_name);
    // The client forgets values once it has received more than it keeps.
    if (!newest && arrived)
        newest.reset(ns_state_ref(arrived));
    return newest;
}

} // namespace NanostateQt
