#ifndef NANOSTATEQT_OBSERVERS_H
#define NANOSTATEQT_OBSERVERS_H

// Not installed.

#include "client_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qhash.h>
#include <QtCore/qvector.h>

#include <memory>
#include <utility>

namespace NanostateQt {

/*!
    The observers of a client, by the name that they observe, in UTF-8; the empty name stands for all.

    In a call, an observer may add and remove observers, itself included, and destroy this object. A walk leaves out
    observers that are added during it, and those that are removed before their turn.
*/
class Observers
{
public:
    Observers() = default;
    ~Observers()
    {
        for (const auto &list : std::as_const(*m_lists))
            list->forget();
    }

    void add(const QByteArray &name, StateObserver *observer)
    {
        auto &list = (*m_lists)[name];
        if (!list)
            list = std::make_shared<List>();
        list->add(observer);
    }

    void remove(const QByteArray &name, StateObserver *observer)
    {
        if (const auto list = m_lists->value(name)) {
            list->remove(observer);
            removeIfEmpty(*m_lists, name);
        }
    }

    /*! Whether there is an observer of this name. */
    bool has(const QByteArray &name) const { return m_lists->contains(name) || m_lists->contains(QByteArray()); }

    /*! Calls \a function of those of this name, as long as \a goesOn is true after a call. */
    template<typename Function, typename GoesOn>
    void tell(const char *name, Function function, GoesOn goesOn)
    {
        const std::shared_ptr<Lists> lists = m_lists;
        if (lists->isEmpty())
            return;
        const QByteArray keys[] = {QByteArray::fromRawData(name, int(qstrlen(name))), QByteArray()};
        {
            // Both walks begin before the first call, because an observer may move from one list to the other.
            Walk walks[] = {Walk(lists->value(keys[0])), Walk(lists->value(keys[1]))};
            bool on = true;
            for (Walk &walk : walks) {
                while (StateObserver *const observer = on ? walk.next() : nullptr) {
                    function(observer);
                    on = goesOn();
                }
            }
        }
        for (const QByteArray &key : keys)
            removeIfEmpty(*lists, key);
    }

    /*! Calls \a function of each of them, as long as \a goesOn is true after a call. */
    template<typename GoesOn>
    void tellAll(void (StateObserver::*function)(), GoesOn goesOn)
    {
        const std::shared_ptr<Lists> lists = m_lists;
        // A copy: an observer may change what is observed.
        const auto all = lists->values();
        bool on = true;
        for (const auto &list : all) {
            Walk walk(list);
            while (StateObserver *const observer = on ? walk.next() : nullptr) {
                (observer->*function)();
                on = goesOn();
            }
        }
        const auto keys = lists->keys();
        for (const QByteArray &key : keys)
            removeIfEmpty(*lists, key);
    }

private:
    Q_DISABLE_COPY(Observers)

    class Walk;

    class List
    {
    public:
        void add(StateObserver *observer) { m_observers.append(observer); }

        void remove(StateObserver *observer)
        {
            const auto i = m_observers.lastIndexOf(observer);
            if (i < 0)
                return;
            if (m_walks > 0)
                m_observers[i] = nullptr;
            else
                m_observers.remove(i);
        }

        void forget() { m_observers.fill(nullptr); }

        bool isEmpty() const { return m_observers.isEmpty(); }

    private:
        friend class Walk;

        QVector<StateObserver *> m_observers;
        int m_walks = 0;
    };

    // Visits the observers that were in a list at the start and still are at their turn.
    class Walk
    {
    public:
        explicit Walk(std::shared_ptr<List> list)
            : m_list(std::move(list)), m_count(m_list ? m_list->m_observers.size() : 0)
        {
            if (m_list)
                ++m_list->m_walks;
        }
        ~Walk()
        {
            if (m_list && --m_list->m_walks == 0)
                m_list->m_observers.removeAll(nullptr);
        }

        // NULL: no more.
        StateObserver *next()
        {
            while (m_at < m_count) {
                if (StateObserver *const observer = m_list->m_observers.at(m_at++))
                    return observer;
            }
            return nullptr;
        }

    private:
        Q_DISABLE_COPY(Walk)
        const std::shared_ptr<List> m_list;
        const decltype(QVector<StateObserver *>().size()) m_count;
        int m_at = 0;
    };

    using Lists = QHash<QByteArray, std::shared_ptr<List>>;

    static void removeIfEmpty(Lists &lists, const QByteArray &key)
    {
        const auto it = lists.constFind(key);
        if (it != lists.constEnd() && it.value()->isEmpty())
            lists.remove(key);
    }

    // Shared, as the lists are, so that they outlive this object during a walk.
    const std::shared_ptr<Lists> m_lists = std::make_shared<Lists>();
};

} // namespace NanostateQt

#endif // NANOSTATEQT_OBSERVERS_H
