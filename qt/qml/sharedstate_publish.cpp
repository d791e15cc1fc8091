// How a SharedState publishes: at once, or after its publishInterval.

#include "sharedstate.h"

#include <QtCore/qcoreevent.h>
#include <QtCore/qpointer.h>
#include <QtQml/qqmlinfo.h>

#include <utility>

namespace NanostateQt {

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

bool SharedState::isTransient() const
{
    return m_options.transient;
}

void SharedState::setTransient(bool transient)
{
    if (std::exchange(m_options.transient, transient) != transient)
        tell(&SharedState::transientValueChanged);
}

int SharedState::timeToLive() const
{
    return int(m_options.timeToLive.count());
}

void SharedState::setTimeToLive(int millis)
{
    if (millis < 0) {
        qmlWarning(this) << "timeToLive is " << millis << ", and a time is not negative";
        return;
    }
    if (std::exchange(m_options.timeToLive, std::chrono::milliseconds(millis)).count() != millis)
        tell(&SharedState::timeToLiveChanged);
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

bool SharedState::canSend() const
{
    return isComplete() && m_enabled && !m_name.isEmpty() && client() && ClientAccess::app(client());
}

SharedState::Sent SharedState::send(const QVariant &value)
{
    const QPointer<SharedState> alive(this);
    const QPointer<Client> client(this->client());
    // Handlers of the client's error may run inside this call.
    const bool taken = value.isValid() ? client->publish(m_name, value, m_options) : client->clear(m_name);
    if (!alive)
        return Sent::Deleted;
    if (!taken) {
        if (client)
            qmlWarning(this) << client->errorString();
        return Sent::No;
    }
    m_offline.reset();
    if (client && client->state() != Client::State::Connected)
        m_offline = value;
    m_generation = client ? ClientAccess::generation(client) : 0;
    if (m_interval > 0 && value.isValid())
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

} // namespace NanostateQt
