// What the tests of nanostate.hpp share.
#ifndef NANOSTATE_TEST_PAIR_HPP
#define NANOSTATE_TEST_PAIR_HPP

#include <nanostate.hpp>

#include "../test.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <ostream>
#include <utility>

namespace nanostate {

inline std::ostream &operator<<(std::ostream &out, Status status) { return out << to_string(status); }
inline std::ostream &operator<<(std::ostream &out, Kind kind) { return out << static_cast<int>(kind); }
inline std::ostream &operator<<(std::ostream &out, Link link) { return out << static_cast<int>(link); }
inline std::ostream &operator<<(std::ostream &out, Bytes bytes) { return out << bytes.chars(); }

} // namespace nanostate

constexpr std::chrono::seconds patience{test::patience};

// Something that threads tell each other.
template <typename T> class Told {
public:
    void tell(T value)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        value_ = std::move(value);
        changed_.notify_all();
    }
    T wait()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        CHECK(changed_.wait_for(lock, patience, [&] { return value_.has_value(); }));
        return *std::exchange(value_, std::nullopt);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<T> value_;
};

#if NANOSTATE_EXCEPTIONS
// The call throws an Error with this status.
#define FAILS(wanted, ...)                                                                                             \
    do {                                                                                                               \
        nanostate::Status failed_with = nanostate::Status::ok;                                                         \
        try {                                                                                                          \
            (void)(__VA_ARGS__);                                                                                       \
        } catch (const nanostate::Error &error) {                                                                      \
            failed_with = error.status();                                                                              \
            CHECK(*error.what() != '\0');                                                                              \
        }                                                                                                              \
        test::equal(__FILE__, __LINE__, #__VA_ARGS__, wanted, failed_with);                                            \
    } while (false)

// A hub and two apps that are connected to it.
struct Pair {
    nanostate::Hub hub{"tcp://127.0.0.1:0"};
    nanostate::App a{"a"};
    nanostate::App b{"b"};

    Pair()
    {
        a.connect(hub.address());
        b.connect(hub.address());
        a.wait_connected(patience);
        b.wait_connected(patience);
    }

    // What b gets when a sends this.
    template <typename T> nanostate::State passed(const T &value)
    {
        a.send("value", value);
        return next();
    }

    // The next state of b, which must come.
    nanostate::State next()
    {
        std::optional<nanostate::State> state = b.recv(patience);
        CHECK(state.has_value());
        return std::move(*state);
    }
};
#endif

#endif
