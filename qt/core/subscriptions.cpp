#include "subscriptions.h"

#include <memory>

namespace NanostateQt {

namespace {

struct AppFree
{
    void operator()(ns_app *app) const { ns_app_free(app); }
};

// An app that is never connected, to ask what an app can have.
std::unique_ptr<ns_app, AppFree> anApp()
{
    ns_app *app = nullptr;
    ns_app_new("patterns", &app);
    return std::unique_ptr<ns_app, AppFree>(app);
}

} // namespace

QStringList Subscriptions::list() const
{
    return m_own ? *m_own : m_byUse ? QStringList() : QStringList(everything());
}

void Subscriptions::setOwn(const std::optional<QStringList> &own)
{
    m_own = own;
    const QStringList patterns = list();
    for (const QString &pattern : patterns)
        want(pattern.toUtf8());
}

void Subscriptions::want(const QByteArray &pattern)
{
    const bool has = !m_told || m_told->contains(pattern) || m_told->contains(everything().toUtf8());
    m_behind = m_behind || !has;
}

bool Subscriptions::check(const QStringList &patterns, Failure *why)
{
    Patterns utf8;
    for (const QString &pattern : patterns) {
        QByteArray one;
        if (!toCString(pattern, NS_ERR_NAME, "the pattern", &one, why))
            return false;
        utf8.insert(one);
    }
    const auto app = anApp();
    const ns_status status = app ? tell(app.get(), utf8) : ns_status(NS_ERR_NO_MEMORY);
    if (status != NS_OK)
        *why = lastFailure(status);
    return status == NS_OK;
}

bool Subscriptions::use(const QByteArray &pattern)
{
    if (++m_uses[pattern] > 1)
        return false;
    want(pattern);
    return true;
}

bool Subscriptions::leave(const QByteArray &pattern)
{
    const auto it = m_uses.find(pattern);
    if (it == m_uses.end() || --it.value() > 0)
        return false;
    m_uses.erase(it);
    m_bad.remove(pattern);
    if (m_bad.isEmpty())
        m_fault = Failure();
    return true;
}

void Subscriptions::forgetApp()
{
    m_told.reset();
    m_behind = false;
}

std::optional<Subscriptions::Patterns> Subscriptions::wanted(bool signalUsed) const
{
    if (!m_own && (!m_byUse || signalUsed))
        return std::nullopt;
    Patterns patterns;
    for (auto it = m_uses.cbegin(); it != m_uses.cend(); ++it) {
        if (!m_bad.contains(it.key()))
            patterns.insert(it.key());
    }
    if (m_own) {
        for (const QString &pattern : *m_own)
            patterns.insert(pattern.toUtf8());
    }
    if (patterns.contains(everything().toUtf8()) || (m_tooMany && patterns.size() >= *m_tooMany))
        return std::nullopt;
    return patterns;
}

ns_status Subscriptions::tell(ns_app *app, bool signalUsed, bool *asks)
{
    m_behind = false;
    const Patterns everyName{everything().toUtf8()};
    for (;;) {
        const std::optional<Patterns> now = wanted(signalUsed);
        // An app that has no list yet is sent everything.
        if (now ? now == m_told : (!m_told || *m_told == everyName))
            return NS_OK;
        const Patterns &patterns = now ? *now : everyName;
        const ns_status status = tell(app, patterns);
        if (status == NS_OK) {
            *asks = !m_told || !m_told->contains(patterns);
            m_told = patterns;
            return NS_OK;
        }
        if (status == NS_ERR_FULL && now) {
            m_tooMany = int(patterns.size());
            continue;
        }
        if (status != NS_ERR_NAME)
            return status;
        const auto other = anApp();
        const auto before = m_bad.size();
        for (const QByteArray &pattern : patterns) {
            const ns_status one = other ? ns_app_subscribe(other.get(), pattern.constData()) : status;
            if (one == NS_ERR_NAME && !m_bad.contains(pattern)) {
                if (m_bad.isEmpty())
                    m_fault = lastFailure(one);
                m_bad.insert(pattern);
            }
        }
        if (m_bad.size() == before)
            return status;
    }
}

ns_status Subscriptions::tell(ns_app *app, const Patterns &patterns)
{
    QVector<const char *> texts;
    texts.reserve(int(patterns.size()));
    for (const QByteArray &pattern : patterns)
        texts.append(pattern.constData());
    return ns_app_set_subscriptions(app, texts.constData(), size_t(texts.size()));
}

} // namespace NanostateQt
