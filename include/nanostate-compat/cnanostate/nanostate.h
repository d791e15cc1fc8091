/*
 * The class Nanostate of the original nanostate, over the library of today: old programs compile as they are, against
 * <nanostate.h> and libnanostate (CMake: nanostate::compat). C++11, header only. New programs use <nanostate.hpp>.
 *
 * What is as it was: data is sent as bytes (MessagePack bin), names and identities are text, a receive waits 50 ms.
 * What is better: the newest value of each name arrives, also after a reconnect. The connection is made, and made
 * again, in the background. The destructor gets out what was sent, for which it waits up to one second.
 *
 * No function throws, and none ends the program. What cannot be done is `false`; the first reason of each sort (cannot
 * open, the hub refused it, a value was not taken, a receive failed) is one line on standard error.
 *
 * Threads: every function from any thread, several at once; all must have returned before the destructor begins.
 */
#ifndef NANOSTATE_COMPAT_CNANOSTATE_H
#define NANOSTATE_COMPAT_CNANOSTATE_H

/* A macro of curses. It is one again at the end of this file. */
#pragma push_macro("clear")
#undef clear

#include <nanostate.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

/* Memory may run out where the containers of the program grow; without exceptions that ends the program anyway. */
#if defined(__EXCEPTIONS) || defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define NANOSTATE_COMPAT_TRY try
#define NANOSTATE_COMPAT_CATCH catch (...)
#else
#define NANOSTATE_COMPAT_TRY if (true)
#define NANOSTATE_COMPAT_CATCH else
#endif

class Nanostate
{
public:
    /* Connects to the hub at `addr`, "tcp://127.0.0.1:15000", in the background. Does not wait. Identities need not be
     * unique, as long as only programs of this class share one. If `identity` or `addr` is NULL or not valid, the
     * object does nothing and every function returns false. */
    explicit Nanostate(const char *identity, const char *addr) : Nanostate(deferred, identity, addr)
    {
        open();
    }

    /* Waits up to one second for values that are not written yet, then disconnects. */
    ~Nanostate()
    {
        ns_state_free(_next);
        ns_app_free(_app.load());
    }

    Nanostate(const Nanostate &) = delete;
    Nanostate &operator=(const Nanostate &) = delete;

    /* Sends the newest value of `name`: 1 to 1024 bytes of UTF-8 without NUL that do not begin with "$ns/". The data is
     * any bytes. True: it is taken, and goes out as soon as there is a hub. False: the name is refused, the data is too
     * large, or the hub has refused this program. Does not wait. */
    bool send_state_update(const std::string &name, const std::vector<char> &data)
    {
        return send_bytes(name, data.data(), data.size());
    }

    bool send_state_update(const std::string &name, const std::string &data)
    {
        return send_bytes(name, data.data(), data.size());
    }

    /* Takes the next state; waits up to 50 ms for one. Text and bytes of any content are read as they are; states of
     * other kinds (numbers, maps) are skipped. False: nothing came, or nothing can come, in these 50 ms, and the
     * arguments are as they were. */
    bool recv_state_update(std::string &sender, std::string &name, std::vector<char> &data)
    {
        return receive_soon(sender, name, data);
    }

    bool recv_state_update(std::string &sender, std::string &name, std::string &data)
    {
        return receive_soon(sender, name, data);
    }

    /* Whether a state waits that recv_state_update would take at once. Does not wait. */
    bool has_state_update()
    {
        if (!open())
            return false;
        NANOSTATE_COMPAT_TRY
        {
            std::lock_guard<std::mutex> lock(_next_mutex);
            return _next != nullptr || look();
        }
        NANOSTATE_COMPAT_CATCH
        {
            return false;
        }
    }

    /* The identity that it was made with; "" for NULL. */
    const std::string &get_identity() const
    {
        return _identity;
    }

protected:
    enum Deferred { deferred };

    /* As the public constructor, but nothing is made (no thread, no descriptor) before open() or the first use. */
    Nanostate(Deferred, const char *identity, const char *addr)
        : _app(nullptr), _next(nullptr), _usable(false), _interrupted(false), _waiting(0), _receiving(0)
    {
        for (std::atomic<bool> &said : _said)
            said = false;
        NANOSTATE_COMPAT_TRY
        {
            _identity = identity != nullptr ? identity : "";
            _addr = addr != nullptr ? addr : "";
            _usable = identity != nullptr && addr != nullptr;
            if (!_usable)
                say(cannot_open, identity == nullptr ? "the identity is NULL" : "the address is NULL");
        }
        NANOSTATE_COMPAT_CATCH
        {
            say(cannot_open, ns_strerror(NS_ERR_NO_MEMORY));
        }
    }

    /* Opens it if it is not open. False: it cannot be. */
    bool open()
    {
        if (_app.load() != nullptr)
            return true;
        if (!_usable)
            return false;
        NANOSTATE_COMPAT_TRY
        {
            std::lock_guard<std::mutex> lock(_mutex);
            return _app.load() != nullptr || make();
        }
        NANOSTATE_COMPAT_CATCH
        {
            return false;
        }
    }

    /* As recv_state_update, but waits `timeout_ms` milliseconds, -1 forever. False also when interrupted, or at
     * once when nothing can come any more. */
    bool wait_state_update(int timeout_ms, std::string &sender, std::string &name, std::string &data)
    {
        _waiting++;
        /* The second look is for an interruption that came while there was no app yet that could be told of it. */
        const bool received = !_interrupted.exchange(false) && open() && !_interrupted.exchange(false)
            && receive(timeout_ms, sender, name, data, true);
        _waiting--;
        wake_receivers();
        return received;
    }

    /* Makes the wait_state_update that waits, or the next one, return false. From any thread. */
    void interrupt()
    {
        _interrupted = true;
        ns_app_interrupt(_app.load());
    }

    std::string _identity;

private:
    /* What is said once each. */
    enum Trouble { cannot_open, was_refused, not_sent, not_received, troubles };

    void say(Trouble trouble, const char *words)
    {
        if (!_said[trouble].exchange(true))
            std::fprintf(stderr, "Nanostate \"%s\": %s\n", _identity.c_str(), words);
    }

    bool make()
    {
        const std::uint32_t kinds = NS_ACCEPT(NS_KIND_TEXT) | NS_ACCEPT(NS_KIND_BYTES);
        ns_app *app;
        if (ns_app_new(_identity.c_str(), &app) == NS_OK && ns_app_set(app, NS_OPT_SHARED, 1) == NS_OK
            && ns_app_set_accept(app, kinds) == NS_OK && ns_app_on_link(app, on_link, this) == NS_OK
            && ns_app_connect(app, _addr.c_str()) == NS_OK) {
            _app = app;
            return true;
        }
        say(cannot_open, ns_last_error());
        ns_app_free(app);
        return false;
    }

    /* Runs in a receive. Closes a refused app, which would try again by itself: the receive ends instead of waiting. */
    static void on_link(ns_app *app, ns_link link, ns_status, const char *text, void *self)
    {
        if (link == NS_LINK_REFUSED) {
            static_cast<Nanostate *>(self)->say(was_refused, text);
            ns_app_close(app, 0);
        }
    }

    /* The same for a program that does not receive. */
    bool refused()
    {
        if (ns_app_link(_app.load()) != NS_LINK_REFUSED)
            return false;
        const ns_status status = ns_app_wait_connected(_app.load(), 0);
        if (status == NS_ERR_INTERRUPTED)
            ns_app_interrupt(_app.load());
        else
            say(was_refused, ns_last_error());
        return true;
    }

    /* Whether a call on the app succeeded. Why the app is closed has been said. */
    bool done(ns_status status, Trouble trouble)
    {
        if (status != NS_OK && status != NS_ERR_CLOSED)
            say(trouble, ns_last_error());
        return status == NS_OK;
    }

    bool send_bytes(const std::string &name, const char *data, std::size_t len)
    {
        if (!open())
            return false;
        if (name.find('\0') != std::string::npos) {
            say(not_sent, "the name has a NUL in it");
            return false;
        }
        return !refused() && done(ns_app_send_bytes(_app.load(), name.c_str(), data, len), not_sent);
    }

    /* Takes the 50 ms also where nothing can come: programs receive in a loop, which must not spin then. */
    template <typename Container>
    bool receive_soon(std::string &sender, std::string &name, Container &data)
    {
        const int timeout_ms = 50;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
        const bool received = receive(timeout_ms, sender, name, data);
        if (!received)
            std::this_thread::sleep_until(deadline);
        return received;
    }

    /* Whether the next state is there: it is taken for the next receive, since what is counted as waiting may be
     * cleared states, which the original does not have. Under the lock of _next. */
    bool look()
    {
        bool interrupted = false;
        while (_next == nullptr && waits()) {
            ns_state *state;
            const ns_status status = ns_app_recv(_app.load(), 0, &state);
            interrupted = interrupted || status == NS_ERR_INTERRUPTED;
            if (status == NS_OK && ns_state_kind(state) != NS_KIND_CLEARED)
                _next = state;
            else if (status == NS_OK)
                ns_state_free(state);
            else if (status != NS_ERR_INTERRUPTED)
                break;
        }
        /* A receive that waits looks for it, and wait_state_update may be meant by the interruption. */
        if (_receiving > 0 ? _next != nullptr || interrupted : interrupted && _interrupted)
            ns_app_interrupt(_app.load());
        return _next != nullptr;
    }

    /* Whether the app has anything for a receive. */
    bool waits()
    {
        /* A program that is refused gets no more: the receive that meets it closes the app, which then is idle. */
        const ns_link link = ns_app_link(_app.load());
        ns_app_stats_t stats;
        return link != NS_LINK_REFUSED && link != NS_LINK_IDLE
            && ns_app_stats(_app.load(), &stats, sizeof stats) == NS_OK && stats.queued > 0;
    }

    /* Takes the state that has_state_update has found, else the next one that is no cleared one. */
    ns_status take_next(int timeout_ms, ns_state **state)
    {
        NANOSTATE_COMPAT_TRY
        {
            std::lock_guard<std::mutex> lock(_next_mutex);
            *state = _next;
            _next = nullptr;
        }
        NANOSTATE_COMPAT_CATCH
        {
            return NS_ERR_NO_MEMORY;
        }
        return *state != nullptr ? NS_OK : ns_app_recv(_app.load(), timeout_ms, state);
    }

    template <typename Container>
    bool receive(int timeout_ms, std::string &sender, std::string &name, Container &data, bool interruptible = false)
    {
        if (!open())
            return false;
        _receiving++;
        const bool received = receive_open(timeout_ms, sender, name, data, interruptible);
        _receiving--;
        return received;
    }

    template <typename Container>
    bool receive_open(int timeout_ms, std::string &sender, std::string &name, Container &data, bool interruptible)
    {
        using std::chrono::steady_clock;
        const steady_clock::time_point deadline = steady_clock::now() + std::chrono::milliseconds(timeout_ms);
        for (int left = timeout_ms;;) {
            ns_state *state;
            const ns_status status = take_next(left, &state);
            const bool cleared = status == NS_OK && ns_state_kind(state) == NS_KIND_CLEARED;
            if (status == NS_OK && !cleared)
                return take(state, sender, name, data);
            if (cleared)
                ns_state_free(state); /* The original has no such thing. */
            else if (status != NS_ERR_INTERRUPTED)
                return status != NS_ERR_TIMEOUT && done(status, not_received);
            else if (interruptible && _interrupted.exchange(false))
                return false;
            else if (!interruptible && !pass_interruption(deadline))
                return false;
            if (timeout_ms > 0) {
                const steady_clock::duration rest = deadline - steady_clock::now();
                left = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(rest).count());
                left = left < 0 ? 0 : left;
            }
        }
    }

    /* An interruption is for wait_state_update. Another receive that meets it gives it to who waits there, if anybody
     * does, and stays out of the way until it has arrived: true if that is before the deadline. */
    bool pass_interruption(std::chrono::steady_clock::time_point deadline)
    {
        NANOSTATE_COMPAT_TRY
        {
            std::unique_lock<std::mutex> lock(_mutex);
            const auto arrived = [this] { return !_interrupted || _waiting == 0; };
            if (arrived())
                return true;
            ns_app_interrupt(_app.load());
            return _arrived.wait_until(lock, deadline, arrived);
        }
        NANOSTATE_COMPAT_CATCH
        {
            return false;
        }
    }

    void wake_receivers()
    {
        NANOSTATE_COMPAT_TRY
        {
            std::lock_guard<std::mutex> lock(_mutex);
            _arrived.notify_all();
        }
        NANOSTATE_COMPAT_CATCH
        {
        }
    }

    template <typename Container>
    bool take(ns_state *state, std::string &sender, std::string &name, Container &data)
    {
        const void *bytes;
        const char *text;
        std::size_t len;
        bool taken = false;
        NANOSTATE_COMPAT_TRY
        {
            if (ns_state_bytes(state, &bytes, &len) == NS_OK)
                text = static_cast<const char *>(bytes);
            else
                ns_state_text(state, &text, &len);
            std::string new_sender(ns_state_sender(state)), new_name(ns_state_name(state));
            if (len > 0)
                data.assign(text, text + len);
            else
                data.clear();
            sender.swap(new_sender);
            name.swap(new_name);
            taken = true;
        }
        NANOSTATE_COMPAT_CATCH
        {
            say(not_received, ns_strerror(NS_ERR_NO_MEMORY));
        }
        ns_state_free(state);
        return taken;
    }

    std::atomic<ns_app *> _app;
    std::mutex _next_mutex;
    ns_state *_next;
    std::mutex _mutex;
    std::condition_variable _arrived;
    std::string _addr;
    bool _usable;
    std::atomic<bool> _interrupted;
    std::atomic<int> _waiting;
    std::atomic<int> _receiving;
    std::atomic<bool> _said[troubles];
};

#undef NANOSTATE_COMPAT_TRY
#undef NANOSTATE_COMPAT_CATCH

#pragma pop_macro("clear")

#endif /* NANOSTATE_COMPAT_CNANOSTATE_H */
