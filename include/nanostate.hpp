// nanostate for C++17, header only, over nanostate.h.
//
//     #include <nanostate.hpp>
//
//     nanostate::App app("thermometer");
//     app.connect();
//     app.send("room/temperature", 21.5);
//     app.flush(5s);
//
// What is said in nanostate.h about states, apps and hubs holds here too. This file says what is different.
//
// Errors. A function that fails throws nanostate::Error. Each has a form that does not: try_send for send, noexcept,
// with a Status, or a Result<T> (a value or a Status); last_error() has the words. A program that is compiled without
// exceptions has the try_ forms only.
//
// Ownership. App and Hub own their handle, move, and are not copied. A State is one reference to a state: copies are
// cheap and outlive the app. One that was moved from is empty: calls on it are Status::invalid. Views
// (std::string_view, Bytes, Ext, Structured) last as long as any State that refers to the same state.
//
// Strings in are any std::string_view. Where the library needs a NUL at the end they are copied, short ones without an
// allocation. One with a NUL inside is refused.
//
// Time-outs are std::chrono durations, rounded up to milliseconds; 0 and less only tries, `wait_forever` waits.
//
// Threads. Every function may be called from any thread, several at once, except: on_... functions of one object by one
// thread at a time; moving and destroying an object only when no call on it runs.
//
// Exceptions in callbacks never reach the library. The dispatch() or recv() that ran the callback stops and throws
// them; what waits stays. (With several threads in recv on one app, another of them may be interrupted in its place.)
// Where no such call is there (option::callback_thread, the hub's thread, the try_ forms), the function set by
// on_exception gets them; without one it is std::terminate, as for an exception out of a std::thread.
//
// Macros of other headers. This file may be included before or after X11, Qt, ncurses, windows.h and others that define
// `Status`, `forever` or function-like `min` and `max`. A program that includes one of those writes StatusCode for
// Status, and wait_forever for forever.
#ifndef NANOSTATE_HPP
#define NANOSTATE_HPP

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "nanostate.hpp needs C++17 or later (-std=c++17); nanostate.h works with every C and C++"
#else

// Names in this file that macros of other headers replace. They are macros again at its end.
#pragma push_macro("Status")
#pragma push_macro("abs")
#pragma push_macro("check")
#pragma push_macro("clear")
#pragma push_macro("erase")
#pragma push_macro("forever")
#pragma push_macro("max")
#pragma push_macro("min")
#pragma push_macro("move")
#undef Status
#undef abs
#undef check
#undef clear
#undef erase
#undef forever
#undef max
#undef min
#undef move

#include <nanostate.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__cpp_exceptions)
#define NANOSTATE_EXCEPTIONS 1
#define NANOSTATE_TRY try
#define NANOSTATE_CATCH catch (...)
#else
#define NANOSTATE_EXCEPTIONS 0
#define NANOSTATE_TRY if (true)
#define NANOSTATE_CATCH else
#endif

// One for the whole program, also where libraries hide what they do not export.
#if defined(__GNUC__)
#define NANOSTATE_VISIBLE __attribute__((visibility("default")))
#else
#define NANOSTATE_VISIBLE
#endif

namespace nanostate {

#if !NANOSTATE_EXCEPTIONS
// Without exceptions the functions are others under the same names, and a program may have files of both sorts.
inline namespace without_exceptions {
#endif

// Numbers ------------------------------------------------------------------------------------------------------------

/// The result of a call.
enum class [[nodiscard]] Status : ns_status {
    ok = NS_OK,
    invalid = NS_ERR_INVALID,
    no_memory = NS_ERR_NO_MEMORY,
    internal = NS_ERR_INTERNAL,
    state = NS_ERR_STATE,
    timeout = NS_ERR_TIMEOUT,
    closed = NS_ERR_CLOSED,
    interrupted = NS_ERR_INTERRUPTED,
    unsupported = NS_ERR_UNSUPPORTED,
    url = NS_ERR_URL,
    name = NS_ERR_NAME,
    identity = NS_ERR_IDENTITY,
    utf8 = NS_ERR_UTF8,
    msgpack = NS_ERR_MSGPACK,
    kind = NS_ERR_KIND,
    range = NS_ERR_RANGE,
    too_large = NS_ERR_TOO_LARGE,
    full = NS_ERR_FULL,
    in_use = NS_ERR_IN_USE,
    refused = NS_ERR_REFUSED,
    resolve = NS_ERR_RESOLVE,
    permission = NS_ERR_PERMISSION,
    identity_taken = NS_ERR_IDENTITY_TAKEN,
    not_found = NS_ERR_NOT_FOUND,
    no_handler = NS_ERR_NO_HANDLER,
    io = NS_ERR_IO,
    tls = NS_ERR_TLS,
};

/// What a state holds, as it was sent.
enum class Kind : ns_kind {
    text = NS_KIND_TEXT,
    bytes = NS_KIND_BYTES,
    nil = NS_KIND_NIL,
    boolean = NS_KIND_BOOL,
    int64 = NS_KIND_INT, ///< Every integer that fits std::int64_t.
    uint64 = NS_KIND_UINT, ///< Only those above.
    float64 = NS_KIND_DOUBLE,
    array = NS_KIND_ARRAY,
    map = NS_KIND_MAP,
    ext = NS_KIND_EXT,
    cleared = NS_KIND_CLEARED, ///< No value any more: its sender has withdrawn it.
};

/// Where an app's link to its hub stands.
enum class Link : ns_link {
    idle = NS_LINK_IDLE,
    connecting = NS_LINK_CONNECTING,
    connected = NS_LINK_CONNECTED,
    refused = NS_LINK_REFUSED,
};

/// What happened to a peer of a hub.
enum class PeerEvent : ns_peer_event {
    joined = NS_PEER_JOINED,
    left = NS_PEER_LEFT,
    refused = NS_PEER_REFUSED,
};

/// What happened to another app.
enum class Presence : ns_presence {
    here = NS_PRESENCE_HERE,
    joined = NS_PRESENCE_JOINED,
    suspect = NS_PRESENCE_SUSPECT,
    recovered = NS_PRESENCE_RECOVERED,
    left = NS_PRESENCE_LEFT,
    lost = NS_PRESENCE_LOST,
};

/// A level of the log.
enum class LogLevel : int {
    off = NS_LOG_OFF,
    error = NS_LOG_ERROR,
    warn = NS_LOG_WARN,
    info = NS_LOG_INFO,
    debug = NS_LOG_DEBUG,
    trace = NS_LOG_TRACE,
};

/// An option of App::set, Hub::set or Key::set, and the type of its value.
template <typename T> struct AppOption { using Value = T; ns_opt number; };
template <typename T> struct HubOption { using Value = T; ns_opt number; };
template <typename T> struct KeyOption { using Value = T; ns_opt number; };

/// The options; nanostate.h says what each does (here `linger`, there NS_OPT_LINGER_MS). Sizes are bytes.
namespace option {
using Time = std::chrono::milliseconds;
using Count = std::int64_t;
inline constexpr AppOption<Time> linger{NS_OPT_LINGER_MS};
inline constexpr AppOption<bool> callback_thread{NS_OPT_CALLBACK_THREAD};
inline constexpr AppOption<Count> send_queue{NS_OPT_SEND_QUEUE};
inline constexpr AppOption<Count> recv_queue{NS_OPT_RECV_QUEUE};
inline constexpr AppOption<Count> max_message{NS_OPT_MAX_MESSAGE};
inline constexpr AppOption<Time> backoff_min{NS_OPT_BACKOFF_MIN_MS};
inline constexpr AppOption<Time> backoff_max{NS_OPT_BACKOFF_MAX_MS};
inline constexpr AppOption<bool> echo{NS_OPT_ECHO};
inline constexpr AppOption<bool> take_over{NS_OPT_TAKE_OVER};
inline constexpr AppOption<bool> shared{NS_OPT_SHARED};
inline constexpr AppOption<bool> clear_token{NS_OPT_CLEAR_TOKEN};
inline constexpr AppOption<bool> observer{NS_OPT_OBSERVER};
inline constexpr AppOption<std::string_view> tls_ca{NS_OPT_TLS_CA};
inline constexpr AppOption<std::string_view> tls_pin{NS_OPT_TLS_PIN};
inline constexpr AppOption<std::string_view> token{NS_OPT_TOKEN};
inline constexpr HubOption<Count> hub_max_message{NS_OPT_HUB_MAX_MESSAGE};
inline constexpr HubOption<Count> hub_legacy_max{NS_OPT_HUB_LEGACY_MAX};
inline constexpr HubOption<Count> hub_max_peers{NS_OPT_HUB_MAX_PEERS};
inline constexpr HubOption<Count> hub_outbox{NS_OPT_HUB_OUTBOX};
inline constexpr HubOption<Count> hub_unfinished{NS_OPT_HUB_UNFINISHED};
inline constexpr HubOption<Time> hub_stalled_frame{NS_OPT_HUB_STALLED_FRAME_MS};
inline constexpr HubOption<Count> hub_memory{NS_OPT_HUB_MEMORY};
inline constexpr HubOption<Count> hub_progress{NS_OPT_HUB_PROGRESS};
inline constexpr HubOption<Time> hub_handshake{NS_OPT_HUB_HANDSHAKE_MS};
inline constexpr HubOption<Count> hub_table_states{NS_OPT_HUB_TABLE_STATES};
inline constexpr HubOption<Count> hub_table_bytes{NS_OPT_HUB_TABLE_BYTES};
inline constexpr HubOption<Time> hub_departed{NS_OPT_HUB_DEPARTED_MS};
inline constexpr HubOption<Count> hub_ipc_mode{NS_OPT_HUB_IPC_MODE};
inline constexpr HubOption<bool> hub_echo{NS_OPT_HUB_ECHO};
inline constexpr HubOption<bool> hub_legacy_structured{NS_OPT_HUB_LEGACY_STRUCTURED};
inline constexpr HubOption<bool> hub_legacy_snapshot{NS_OPT_HUB_LEGACY_SNAPSHOT};
inline constexpr HubOption<bool> hub_allow_local_pages{NS_OPT_HUB_ALLOW_LOCAL_PAGES};
inline constexpr HubOption<Count> hub_max_websockets{NS_OPT_HUB_MAX_WEBSOCKETS};
inline constexpr HubOption<Count> hub_http_rate{NS_OPT_HUB_HTTP_RATE};
inline constexpr HubOption<bool> hub_read_without_token{NS_OPT_HUB_READ_WITHOUT_TOKEN};
inline constexpr HubOption<bool> hub_clear_tokens{NS_OPT_HUB_CLEAR_TOKENS};
inline constexpr HubOption<Time> hub_suspect{NS_OPT_HUB_SUSPECT_MS};
inline constexpr HubOption<Time> hub_lost{NS_OPT_HUB_LOST_MS};
inline constexpr HubOption<std::string_view> hub_tls_cert{NS_OPT_HUB_TLS_CERT};
inline constexpr HubOption<std::string_view> hub_tls_key{NS_OPT_HUB_TLS_KEY};
inline constexpr HubOption<std::string_view> hub_www{NS_OPT_HUB_WWW};
inline constexpr HubOption<std::string_view> hub_token_file{NS_OPT_HUB_TOKEN_FILE};
inline constexpr KeyOption<Time> key_ttl{NS_OPT_KEY_TTL_MS};
inline constexpr KeyOption<bool> key_transient{NS_OPT_KEY_TRANSIENT};
} // namespace option

using AppStats = ns_app_stats_t;
using HubStats = ns_hub_stats_t;
using PeerStats = ns_peer_stats_t;

// Errors -------------------------------------------------------------------------------------------------------------

constexpr bool ok(Status status) noexcept { return status == Status::ok; }

/// Status under a name that X11 does not replace: it has a macro Status.
using StatusCode = Status;

/// What a status means, in English; static.
inline const char *to_string(Status status) noexcept { return ns_strerror(static_cast<ns_status>(status)); }

/// The name of a status in C, "NS_ERR_TIMEOUT"; static.
inline const char *status_name(Status status) noexcept { return ns_status_name(static_cast<ns_status>(status)); }
/// The names of other numbers, in one word: "text", "connected", "joined"; static.
inline const char *to_string(Kind kind) noexcept { return ns_kind_name(static_cast<ns_kind>(kind)); }
inline const char *to_string(Link link) noexcept { return ns_link_name(static_cast<ns_link>(link)); }
inline const char *to_string(PeerEvent event) noexcept
{
    return ns_peer_event_name(static_cast<ns_peer_event>(event));
}

inline const char *to_string(Presence event) noexcept { return ns_presence_name(static_cast<ns_presence>(event)); }

namespace detail {

/// The words of a failure that this file found itself; null when the last one was the library's.
inline thread_local NANOSTATE_VISIBLE const char *own_words = nullptr;

inline Status told(ns_status status) noexcept
{
    if (status != NS_OK)
        own_words = nullptr;
    return static_cast<Status>(status);
}

inline Status refuse(Status status, const char *words) noexcept
{
    own_words = words;
    return status;
}

inline Status out_of_memory() noexcept { return refuse(Status::no_memory, to_string(Status::no_memory)); }

} // namespace detail

/// The last failure of a function of this file in this thread, in words; valid for the next 16 failures, or until the
/// thread ends.
inline const char *last_error() noexcept { return detail::own_words != nullptr ? detail::own_words : ns_last_error(); }

/// What functions throw. what() is last_error().
class NANOSTATE_VISIBLE Error : public std::runtime_error {
public:
    explicit Error(Status status) : Error(status, last_error()) {}
    Error(Status status, const char *words) : std::runtime_error(words), status_(status) {}
    Status status() const noexcept { return status_; }

private:
    Status status_;
};

#if NANOSTATE_EXCEPTIONS
namespace detail {

inline void check(Status status)
{
    if (status != Status::ok)
        throw Error(status);
}

} // namespace detail
#endif

/// A value, or why there is none. What a try_ form with a value returns.
template <typename T> class [[nodiscard]] Result {
public:
    Result(Status status) noexcept : status_(status) {}
    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value)), status_(Status::ok) {}

    explicit operator bool() const noexcept { return value_.has_value(); }
    Status status() const noexcept { return status_; }
    /// The value, which must be there.
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    T &&operator*() && noexcept { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    /// The value, or this one.
    T value_or(T other) && { return value_ ? *std::move(value_) : std::move(other); }
#if NANOSTATE_EXCEPTIONS
    /// The value; throws Error if there is none.
    T value() &&
    {
        detail::check(status_);
        return *std::move(value_);
    }
#endif

private:
    std::optional<T> value_;
    Status status_;
};

// Arguments ----------------------------------------------------------------------------------------------------------

/// Waits as long as it takes.
inline constexpr std::chrono::milliseconds wait_forever = std::chrono::milliseconds::max();
/// The same. Qt has a macro of this name.
inline constexpr std::chrono::milliseconds forever = wait_forever;

/// How long a call may wait: made from any duration. 24 days and more are indefinite.
class Timeout {
public:
    template <typename Rep, typename Period>
    Timeout(std::chrono::duration<Rep, Period> duration) noexcept
    {
        const double wait = std::chrono::duration<double, std::milli>(duration).count();
        ms_ = wait > INT_MAX ? -1 : wait > 0 ? static_cast<int>(std::ceil(wait)) : 0;
    }
    /// As in C: -1 is indefinite.
    int ms() const noexcept { return ms_; }

private:
    int ms_;
};

/// A view of bytes, made of a pointer and a length or of any contiguous container of bytes or chars. Owns nothing.
class Bytes {
    template <typename C>
    using Item = std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const C &>().data())>>;
    template <typename T>
    static constexpr bool is_byte = std::is_same_v<T, std::byte> || std::is_same_v<T, unsigned char>
        || std::is_same_v<T, signed char> || std::is_same_v<T, char>;

public:
    constexpr Bytes() noexcept = default;
    Bytes(const void *data, std::size_t size) noexcept : data_(static_cast<const std::byte *>(data)), size_(size) {}
    template <typename C, typename = std::enable_if_t<is_byte<Item<C>>>>
    Bytes(const C &container) noexcept : Bytes(container.data(), container.size())
    {
    }

    const std::byte *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const std::byte *begin() const noexcept { return data_; }
    const std::byte *end() const noexcept { return data_ + size_; }
    std::byte operator[](std::size_t i) const noexcept { return data_[i]; }
    /// The same bytes as chars.
    std::string_view chars() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }

    friend bool operator==(Bytes a, Bytes b) noexcept { return a.chars() == b.chars(); }
    friend bool operator!=(Bytes a, Bytes b) noexcept { return !(a == b); }

private:
    const std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

namespace detail {

/// A string with a NUL at its end, or why there is none: `fault` if it has one inside.
class CString {
public:
    CString(std::string_view text, Status fault) noexcept
    {
        if (text.find('\0') != text.npos) {
            status_ = refuse(fault, "a NUL inside a name, an identity, an address, a pattern or an option");
            return;
        }
        char *place = small_;
        if (text.size() >= sizeof small_) {
            large_.reset(new (std::nothrow) char[text.size() + 1]);
            place = large_.get();
        }
        if (place == nullptr) {
            status_ = out_of_memory();
            return;
        }
        text.copy(place, text.size());
        place[text.size()] = '\0';
    }
    Status status() const noexcept { return status_; }
    const char *get() const noexcept { return large_ != nullptr ? large_.get() : small_; }

private:
    Status status_ = Status::ok;
    std::unique_ptr<char[]> large_;
    char small_[128];
};

template <typename T, typename... Others> constexpr bool is_any_of = (std::is_same_v<T, Others> || ...);

#if defined(__cpp_char8_t)
template <typename T> constexpr bool is_character = is_any_of<T, char, wchar_t, char8_t, char16_t, char32_t>;
#else
template <typename T> constexpr bool is_character = is_any_of<T, char, wchar_t, char16_t, char32_t>;
#endif
template <typename T>
constexpr bool is_integer = std::is_integral_v<T> && !std::is_same_v<T, bool> && !is_character<T>;

template <typename T> constexpr bool is_time = false;
template <typename D> constexpr bool is_time<std::chrono::time_point<std::chrono::system_clock, D>> = true;

/// A time as a value of the C API. Its bytes are in `bytes` if it is no whole number of milliseconds.
template <typename D>
ns_value time_value(std::chrono::time_point<std::chrono::system_clock, D> time, unsigned char (&bytes)[12]) noexcept
{
    using namespace std::chrono;
    const auto since = time.time_since_epoch();
    const auto second = floor<seconds>(since);
    const auto nanos = duration_cast<nanoseconds>(since - second).count();
    const auto count = static_cast<std::int64_t>(second.count());
    if (nanos % 1000000 == 0 && count <= INT64_MAX / 1000 - 1 && count >= INT64_MIN / 1000)
        return ns_value_time(count * 1000 + nanos / 1000000);
    // MessagePack's longest form: nanoseconds and seconds, from the highest byte on.
    for (int i = 0; i < 4; i++)
        bytes[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(nanos) >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        bytes[4 + i] = static_cast<unsigned char>(static_cast<std::uint64_t>(count) >> (56 - 8 * i));
    return ns_value_ext(-1, bytes, sizeof bytes);
}

/// What is sent, as a value of the C API, which views it. `room` is for the bytes of a time.
template <typename T> ns_value value_of(const T &value, unsigned char (&room)[12]) noexcept
{
    using Value = std::decay_t<T>;
    (void)room;
    if constexpr (std::is_same_v<Value, bool>) {
        return ns_value_bool(value);
    } else if constexpr (std::is_null_pointer_v<Value>) {
        return ns_value_nil();
    } else if constexpr (is_integer<Value>) {
        static_assert(sizeof value <= sizeof(std::int64_t), "no integer of a state is wider than 64 bits");
        if constexpr (std::is_signed_v<Value>)
            return ns_value_int(value);
        else
            return ns_value_uint(value);
    } else if constexpr (is_any_of<Value, float, double>) {
        return ns_value_double(value);
    } else if constexpr (is_any_of<Value, const char *, char *>) {
        return ns_value_text(value);
    } else if constexpr (std::is_convertible_v<const T &, std::string_view>) {
        const std::string_view view = value;
        return ns_value_textn(view.data(), view.size());
    } else if constexpr (is_time<Value>) {
        return time_value(value, room);
    } else if constexpr (std::is_constructible_v<Bytes, const T &>) {
        const Bytes bytes(value);
        return ns_value_bytes(bytes.data(), bytes.size());
    } else {
        static_assert(!is_character<Value>, "a lone character: send a std::string_view, or an int");
        static_assert(!std::is_enum_v<Value>, "an enumeration: send its number or its name");
        static_assert(is_character<Value> || std::is_enum_v<Value>, "a state cannot hold this type");
        return ns_value_nil();
    }
}

template <typename T> constexpr bool always_false = false;

inline std::int64_t option_value(std::chrono::milliseconds value) noexcept { return value.count(); }
inline std::int64_t option_value(std::int64_t value) noexcept { return value; }

/// Reads an option by `read`, a function of the library.
template <typename T, typename Handle, typename Read>
Result<T> read_option(Handle *handle, ns_opt option, Read read) noexcept
{
    std::int64_t value;
    const Status status = told(read(handle, option, &value));
    return ok(status) ? Result<T>(static_cast<T>(value)) : status;
}

/// Sets an option whose value is a text by `set`, a function of the library.
template <typename Handle, typename Set>
Status set_text(Handle *handle, ns_opt option, std::string_view value, Set set) noexcept
{
    const CString text(value, Status::invalid);
    return ok(text.status()) ? told(set(handle, option, text.get())) : text.status();
}

} // namespace detail

// State --------------------------------------------------------------------------------------------------------------

/// What visit gives for a value that its sender has withdrawn.
struct Cleared {};

/// A MessagePack extension: a number, and a view of its bytes.
struct Ext {
    std::int8_t type = 0;
    Bytes data;
};

/// A view of an array or a map, to be read as JSON or by a MessagePack library.
class Structured {
public:
    explicit Structured(const ns_state *state) noexcept : state_(state) {}
    Kind kind() const noexcept { return static_cast<Kind>(ns_state_kind(state_)); }
    /// The value as MessagePack, as it was sent.
    Bytes msgpack() const noexcept
    {
        const void *data;
        std::size_t size;
        ns_state_msgpack(state_, &data, &size);
        return {data, size};
    }
    /// The value as JSON, made at the first call. Empty if there is no memory for it.
    std::string_view json() const noexcept
    {
        const char *json;
        std::size_t size;
        ns_state_json(state_, &json, &size);
        return {json, size};
    }

private:
    const ns_state *state_;
};

/// Several functions as one, for visit: overloaded{[](std::int64_t n) { ... }, [](const auto &) { ... }}.
template <typename... F> struct overloaded : F... { using F::operator()...; };
template <typename... F> overloaded(F...) -> overloaded<F...>;

/// A state: who sent it, its name and its value. It never changes. No function blocks.
class State {
public:
    /// Empty.
    State() noexcept = default;
    State(const State &other) noexcept : state_(ns_state_ref(other.state_)) {}
    State(State &&other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    State &operator=(State other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }
    ~State() { ns_state_free(state_); }

    /// Takes over a reference of the C API, or gives one to it.
    static State adopt(ns_state *state) noexcept { return State(state); }
    ns_state *release() noexcept { return std::exchange(state_, nullptr); }
    const ns_state *handle() const noexcept { return state_; }
    /// Whether it is not empty.
    explicit operator bool() const noexcept { return state_ != nullptr; }

    std::string_view sender() const & noexcept { return ns_state_sender(state_); }
    std::string_view name() const & noexcept { return ns_state_name(state_); }
    Kind kind() const noexcept { return static_cast<Kind>(ns_state_kind(state_)); }
    /// When it was sent; 1970 if that is not known.
    std::chrono::system_clock::time_point time() const noexcept
    {
        return std::chrono::system_clock::time_point(std::chrono::milliseconds(ns_state_time(state_)));
    }
    /// Whether the hub held it already when the app joined or asked for more, so that it may be of any age. Otherwise it
    /// was published while the app was there.
    bool retained() const noexcept { return ns_state_retained(state_); }
    /// Whether its name matches: `*` is one segment or part of one, `**` any number. False for a pattern that is none.
    bool matches(std::string_view pattern) const noexcept
    {
        const detail::CString text(pattern, Status::name);
        return ok(text.status()) && ns_state_matches(state_, text.get());
    }
    /// The value as JSON or as MessagePack, whatever its kind.
    std::string_view json() const & noexcept { return Structured(state_).json(); }
    Bytes msgpack() const & noexcept { return Structured(state_).msgpack(); }

    /// Reads the value as a T, never as something else than was sent:
    ///   bool                                      true or false
    ///   integers, float, double                   any number that a T holds exactly; else Status::range
    ///   std::string_view, std::string             text, and bytes that are UTF-8, as the original sends its text
    ///   Bytes, std::vector of bytes or chars      bytes
    ///   Ext, Structured, std::nullptr_t           an extension; an array or a map; nil
    ///   std::chrono::system_clock::time_point     a time, without what is finer than a T holds; else Status::range
    /// Another kind is Status::kind. Views need a State that lives on, so not that of `app.recv().as<Bytes>()`.
    template <typename T> Result<T> try_as() const & noexcept { return read<T>(); }
    template <typename T> Result<T> try_as() const && noexcept
    {
        static_assert(!is_view<T>, "a view of a temporary state: keep the State, or read a std::string or std::vector");
        return read<T>();
    }
#if NANOSTATE_EXCEPTIONS
    template <typename T> T as() const & { return read<T>().value(); }
    template <typename T> T as() const && { return std::move(*this).template try_as<T>().value(); }
    /// Short for as<std::string_view>() and as<Bytes>().
    std::string_view text() const & { return as<std::string_view>(); }
    Bytes bytes() const & { return as<Bytes>(); }
    std::string text() const && { return read<std::string>().value(); }
    Bytes bytes() const && = delete;
#endif
    // Of a temporary State, app.recv().name(): a copy, or nothing.
    std::string sender() const && { return std::string(sender()); }
    std::string name() const && { return std::string(name()); }
    std::string json() const && { return std::string(json()); }
    Bytes msgpack() const && = delete;

    /// Calls `f` with the value as what it was sent as, and returns what `f` does: a std::string_view, Bytes,
    /// std::nullptr_t, bool, std::int64_t, std::uint64_t, double, Structured or Ext. `f` takes all of them (see
    /// overloaded) and returns the same type for each. The state is not empty.
    template <typename F> decltype(auto) visit(F &&f) const
    {
        switch (ns_state_kind(state_)) {
        case NS_KIND_TEXT: return std::forward<F>(f)(*read<std::string_view>());
        case NS_KIND_BYTES: return std::forward<F>(f)(*read<Bytes>());
        case NS_KIND_NIL: return std::forward<F>(f)(nullptr);
        case NS_KIND_BOOL: return std::forward<F>(f)(*read<bool>());
        case NS_KIND_INT: return std::forward<F>(f)(*read<std::int64_t>());
        case NS_KIND_UINT: return std::forward<F>(f)(*read<std::uint64_t>());
        case NS_KIND_DOUBLE: return std::forward<F>(f)(*read<double>());
        case NS_KIND_EXT: return std::forward<F>(f)(*read<Ext>());
        case NS_KIND_CLEARED:
            if constexpr (std::is_invocable_v<F &&, Cleared>)
                return std::forward<F>(f)(Cleared());
            else
                return std::forward<F>(f)(nullptr);
        default: return std::forward<F>(f)(Structured(state_));
        }
    }

private:
    friend class App;
    explicit State(ns_state *state) noexcept : state_(state) {}

    /// Those of this file, and others such as std::span: what has nothing to destroy owns nothing.
    template <typename T> static constexpr bool is_view = std::is_class_v<T> && std::is_trivially_destructible_v<T> && !detail::is_time<T>;

    template <typename T, typename U> static Result<T> got(ns_status status, const U &value) noexcept
    {
        if (status != NS_OK)
            return detail::told(status);
        NANOSTATE_TRY
        {
            return T(value);
        }
        NANOSTATE_CATCH
        {
            return detail::out_of_memory();
        }
    }

    template <typename T> Result<T> read() const noexcept
    {
        using namespace detail;
        if constexpr (std::is_same_v<T, bool>) {
            bool value;
            const ns_status status = ns_state_bool(state_, &value);
            return got<T>(status, value);
        } else if constexpr (is_integer<T>) {
            using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
            static_assert(sizeof(T) <= sizeof(Wide), "no integer of a state is wider than 64 bits");
            Wide value;
            ns_status status;
            if constexpr (std::is_signed_v<T>)
                status = ns_state_int(state_, &value);
            else
                status = ns_state_uint(state_, &value);
            if (status == NS_OK && static_cast<Wide>(static_cast<T>(value)) != value)
                return refuse(Status::range, to_string(Status::range));
            return got<T>(status, static_cast<T>(value));
        } else if constexpr (is_any_of<T, float, double>) {
            double value;
            const ns_status status = ns_state_double(state_, &value);
            if (status == NS_OK && !std::isnan(value) && !std::isinf(value)
                && (std::abs(value) > static_cast<double>(std::numeric_limits<T>::max())
                    || static_cast<double>(static_cast<T>(value)) != value))
                return refuse(Status::range, to_string(Status::range));
            return got<T>(status, static_cast<T>(value));
        } else if constexpr (is_any_of<T, std::string_view, std::string>) {
            const char *text;
            std::size_t size;
            const ns_status status = ns_state_text(state_, &text, &size);
            return got<T>(status, std::string_view(text, size));
        } else if constexpr (std::is_same_v<T, Ext>) {
            Ext ext;
            const void *data;
            std::size_t size;
            const ns_status status = ns_state_ext(state_, &ext.type, &data, &size);
            ext.data = Bytes(data, size);
            return got<T>(status, ext);
        } else if constexpr (is_time<T>) {
            using namespace std::chrono;
            using Span = typename T::duration;
            std::int64_t ms;
            std::uint32_t ns;
            const ns_status status = ns_state_time_value(state_, &ms, &ns);
            const auto limit = [](Span span) { return duration<double, std::milli>(span).count(); };
            if (status == NS_OK
                && (static_cast<double>(ms) >= limit(Span::max()) || static_cast<double>(ms) <= limit(Span::min())))
                return refuse(Status::range, to_string(Status::range));
            // In two steps: the nanoseconds of all of it may be more than fit.
            const auto whole = floor<Span>(milliseconds(ms));
            return got<T>(status, T(whole + floor<Span>(milliseconds(ms) - whole + nanoseconds(ns))));
        } else if constexpr (std::is_same_v<T, Structured>) {
            if (kind() == Kind::array || kind() == Kind::map)
                return Structured(state_);
            return refuse(Status::kind, to_string(Status::kind));
        } else if constexpr (std::is_null_pointer_v<T>) {
            if (kind() == Kind::nil)
                return Result<T>(nullptr);
            return refuse(Status::kind, to_string(Status::kind));
        } else if constexpr (std::is_constructible_v<Bytes, const T &>) {
            const void *data;
            std::size_t size;
            const ns_status status = ns_state_bytes(state_, &data, &size);
            return got_bytes<T>(status, Bytes(data, size));
        } else {
            static_assert(always_false<T>, "no value of a state is read as this type");
        }
    }

    template <typename T> static Result<T> got_bytes(ns_status status, Bytes bytes) noexcept
    {
        if constexpr (std::is_same_v<T, Bytes>) {
            return got<T>(status, bytes);
        } else {
            struct Copy {
                Bytes bytes;
                explicit operator T() const
                {
                    const auto *first = reinterpret_cast<const typename T::value_type *>(bytes.data());
                    return bytes.empty() ? T() : T(first, first + bytes.size());
                }
            };
            return got<T>(status, Copy{bytes});
        }
    }

    ns_state *state_ = nullptr;
};

/// state.visit(f).
template <typename F> decltype(auto) visit(const State &state, F &&f) { return state.visit(std::forward<F>(f)); }

// Callbacks ----------------------------------------------------------------------------------------------------------

/// Gets a state, borrowed for the call: copy it to keep it.
using StateFunction = std::function<void(const State &state)>;
/// Hears of each change of the link and, as long as there is none, of each new reason: `why` is ok, or what broke or
/// prevents it, and `text` says so in words.
using LinkFunction = std::function<void(Link link, Status why, std::string_view text)>;
/// Hears of a state that was not delivered, because its kind is not accepted.
using RejectFunction = std::function<void(std::string_view sender, std::string_view name, Kind kind)>;
/// Hears that the hub has sent everything that it held.
using SyncedFunction = std::function<void()>;
/// Which app it is, of those that hold an identity or held it: random.
using Instance = std::array<std::uint8_t, 16>;
/// Hears of another app.
using PresenceFunction = std::function<void(Presence event, std::string_view identity, const Instance &instance)>;
/// Hears of a sender whose values may be stale now, or no longer; of all senders, if it is empty.
using StaleFunction = std::function<void(std::string_view sender)>;
/// Hears of a peer of a hub.
using PeerFunction =
    std::function<void(std::string_view identity, std::string_view from, PeerEvent event, Status why)>;
/// Gets an exception that a callback let out and no call can throw. Must not throw itself.
using ExceptionFunction = std::function<void(std::exception_ptr exception)>;
/// Gets a line of the log, without its newline.
using LogFunction = std::function<void(LogLevel level, std::string_view text)>;

namespace detail {

class Catcher;

/// What a handle and its callbacks share: a callback may destroy the handle, and goes on.
struct Shared {
    ExceptionFunction on_exception;
    bool freed = false;
    /// Exceptions for the next calls that can throw one.
    std::vector<std::exception_ptr> later;
    std::atomic<bool> has_later{false};
    /// The calls that run callbacks now, of all threads. Not a thread_local: libraries may each have their own of that.
    Catcher *catchers = nullptr;
    std::mutex mutex;
};

inline std::shared_ptr<Shared> make_shared_part() noexcept
{
    NANOSTATE_TRY
    {
        return std::make_shared<Shared>();
    }
    NANOSTATE_CATCH
    {
        return nullptr;
    }
}

#if NANOSTATE_EXCEPTIONS
inline void keep_for_later(Shared &shared, std::exception_ptr exception)
{
    const std::lock_guard<std::mutex> lock(shared.mutex);
    shared.later.push_back(std::move(exception));
    shared.has_later = true;
}

inline void throw_later(Shared *shared)
{
    if (shared == nullptr || !shared->has_later)
        return;
    std::unique_lock<std::mutex> lock(shared->mutex);
    if (shared->later.empty())
        return;
    const std::exception_ptr exception = shared->later.front();
    shared->later.erase(shared->later.begin());
    shared->has_later = !shared->later.empty();
    lock.unlock();
    std::rethrow_exception(exception);
}
#endif

/// A call that runs callbacks in this thread, and takes the exception that one lets out, unless it is a try_ form.
class Catcher {
public:
    enum Call { try_form, in_dispatch, in_recv };

    /// `shared` outlives it; null is ignored.
    Catcher(Shared *shared, Call by) noexcept : call(by), shared_(shared)
    {
        if (shared_ == nullptr)
            return;
        const std::lock_guard<std::mutex> lock(shared_->mutex);
        next_ = std::exchange(shared_->catchers, this);
    }
    Catcher(const Catcher &) = delete;
    Catcher &operator=(const Catcher &) = delete;
    ~Catcher()
    {
        if (shared_ == nullptr)
            return;
        const std::lock_guard<std::mutex> lock(shared_->mutex);
        Catcher **place = &shared_->catchers;
        while (*place != this)
            place = &(*place)->next_;
        *place = next_;
    }
    /// The innermost one of this thread; null if it takes no exception.
    static Catcher *of(Shared &shared) noexcept
    {
        const std::lock_guard<std::mutex> lock(shared.mutex);
        Catcher *catcher = shared.catchers;
        while (catcher != nullptr && catcher->thread_ != std::this_thread::get_id())
            catcher = catcher->next_;
        return catcher != nullptr && catcher->call != try_form ? catcher : nullptr;
    }
    const Call call;
    std::exception_ptr caught;

private:
    Shared *shared_;
    std::thread::id thread_ = std::this_thread::get_id();
    Catcher *next_ = nullptr;
};

/// Runs a callback and keeps its exceptions from the library, which is not made for them.
template <typename F> void guard(Shared &shared, F &&callback) noexcept
{
#if NANOSTATE_EXCEPTIONS
    try {
        callback();
    } catch (...) {
        Catcher *catcher = Catcher::of(shared);
        if (catcher != nullptr && !catcher->caught)
            catcher->caught = std::current_exception();
        else if (catcher != nullptr)
            keep_for_later(shared, std::current_exception());
        else if (shared.on_exception)
            shared.on_exception(std::current_exception());
        else
            std::terminate();
    }
#else
    (void)shared;
    callback();
#endif
}

/// A function that is set, alive as long as it is set or runs.
template <typename Function> struct Slot : std::enable_shared_from_this<Slot<Function>> {
    Slot(Function f, std::shared_ptr<Shared> s) : function(std::move(f)), shared(std::move(s)) {}
    Function function;
    std::shared_ptr<Shared> shared;
};

/// Sets a function of a handle: `set` is the library's function for that, and `run` what it is to call. The one before
/// is destroyed at the end, when it does not run any more; one that replaces itself keeps itself alive.
template <typename Core, typename Function, typename Set, typename Run>
Status set_function(Core *core, std::shared_ptr<Slot<Function>> Core::*place, Set set, Run run,
                    Function &&function) noexcept
{
    if (core == nullptr)
        return told(set(nullptr, nullptr, nullptr));
    std::shared_ptr<Slot<Function>> slot;
    NANOSTATE_TRY
    {
        if (function)
            slot = std::make_shared<Slot<Function>>(std::move(function), core->shared);
    }
    NANOSTATE_CATCH
    {
        return out_of_memory();
    }
    const Status status = told(set(core->handle, slot != nullptr ? run : nullptr, slot.get()));
    if (ok(status))
        (core->*place).swap(slot);
    return status;
}

/// Calls the function of a walk; whether the walk goes on.
template <typename F, typename... Items> bool goes_on(F &f, const Items &...items)
{
    using Returned = std::invoke_result_t<F &, const Items &...>;
    static_assert(is_any_of<Returned, void, bool>, "returns nothing, or a bool: whether to go on");
    if constexpr (std::is_same_v<Returned, bool>) {
        return f(items...);
    } else {
        f(items...);
        return true;
    }
}

/// Has `walk(function, ctx)` call `f` for the counters of each peer. An exception of `f` ends the walk, and is thrown on.
template <typename Handle, typename F, typename Walk> Status walk_counters(F &f, Walk walk)
{
    struct Call {
        F &f;
        std::exception_ptr caught;
    } call{f, nullptr};
    const auto run = [](Handle *, const PeerStats *peer, void *ctx) noexcept {
        Call &current = *static_cast<Call *>(ctx);
        NANOSTATE_TRY
        {
            return goes_on(current.f, *peer);
        }
        NANOSTATE_CATCH
        {
            current.caught = std::current_exception();
            return false;
        }
    };
    const Status status = told(walk(run, &call));
    if (call.caught)
        std::rethrow_exception(call.caught);
    return status;
}

} // namespace detail

// Key ----------------------------------------------------------------------------------------------------------------

/// A name of an app, declared once by App::key: what is sent of it is the app's own value of that name, as by App::send.
/// It may outlive its App: then its functions return or throw Status::closed. No function blocks. Of any thread.
class Key {
public:
    /// Changes nothing: the value stays.
    ~Key() = default;
    Key(Key &&) noexcept = default;
    Key &operator=(Key &&) noexcept = default;

    /// The handle of the C API, which stays the Key's.
    ns_key *handle() const noexcept { return key_.get(); }

    /// Sets an option for what is sent from now on: key.set(option::key_ttl, 10s). Those of later versions by their number.
    template <typename T> Status try_set(KeyOption<T> option, typename KeyOption<T>::Value value) noexcept
    {
        return try_set(option.number, detail::option_value(value));
    }
    Status try_set(ns_opt option, std::int64_t value) noexcept
    {
        return detail::told(ns_key_set(handle(), option, value));
    }
    /// Sends the newest value, of the types that App::send takes.
    template <typename T> Status try_send(const T &value) noexcept
    {
        unsigned char room[12];
        return detail::told(ns_key_send(handle(), detail::value_of(value, room)));
    }
    /// Withdraws the value, as App::clear.
    Status try_clear() noexcept { return detail::told(ns_key_clear(handle())); }
    /// Leaves a value with the hub, which publishes it if the app is lost: if its link ends before it is closed, disconnected
    /// or destroyed and it is not back within 5 s, or nothing is heard of it for 20 s. ns_key_will says more. Does not block.
    template <typename T> Status try_will(const T &value) noexcept
    {
        unsigned char room[12];
        const ns_value will = detail::value_of(value, room);
        return detail::told(ns_key_will(handle(), &will));
    }
    /// If the app is lost, the hub withdraws the value instead.
    Status try_will_clear() noexcept
    {
        const ns_value will = ns_value_cleared();
        return detail::told(ns_key_will(handle(), &will));
    }
    /// Takes the will back.
    Status try_no_will() noexcept { return detail::told(ns_key_will(handle(), nullptr)); }

#if NANOSTATE_EXCEPTIONS
    template <typename T> void set(KeyOption<T> option, typename KeyOption<T>::Value value)
    {
        detail::check(try_set(option, value));
    }
    void set(ns_opt option, std::int64_t value) { detail::check(try_set(option, value)); }
    template <typename T> void send(const T &value) { detail::check(try_send(value)); }
    void clear() { detail::check(try_clear()); }
    template <typename T> void will(const T &value) { detail::check(try_will(value)); }
    void will_clear() { detail::check(try_will_clear()); }
    void no_will() { detail::check(try_no_will()); }
#endif

private:
    friend class App;
    struct Free {
        void operator()(ns_key *key) const noexcept { ns_key_free(key); }
    };
    explicit Key(ns_key *key) noexcept : key_(key) {}

    std::unique_ptr<ns_key, Free> key_;
};

// Handler ------------------------------------------------------------------------------------------------------------

/// A function that App::on has set, which ends with this: when it is destroyed, the function does not run and will not run,
/// unless this happens in it. It may outlive its App.
class [[nodiscard]] Handler {
public:
    /// None.
    Handler() noexcept = default;
    Handler(Handler &&other) noexcept
        : shared_(std::move(other.shared_)), app_(other.app_), number_(std::exchange(other.number_, 0))
    {
    }
    Handler &operator=(Handler &&other) noexcept
    {
        if (this != &other) {
            end();
            shared_ = std::move(other.shared_);
            app_ = other.app_;
            number_ = std::exchange(other.number_, 0);
        }
        return *this;
    }
    ~Handler() { end(); }

    /// Whether there is a function.
    explicit operator bool() const noexcept { return number_ != 0; }
    /// Ends the function now. Waits for a running callback.
    void end() noexcept
    {
        const std::shared_ptr<detail::Shared> shared = std::move(shared_);
        const ns_handler number = std::exchange(number_, 0);
        if (number != 0 && !shared->freed)
            (void)ns_app_off(app_, number);
    }
    /// The function stays until the App ends.
    void keep() noexcept { number_ = 0; }

private:
    friend class App;
    Handler(std::shared_ptr<detail::Shared> shared, ns_app *app, ns_handler number) noexcept
        : shared_(std::move(shared)), app_(app), number_(number)
    {
    }

    std::shared_ptr<detail::Shared> shared_;
    ns_app *app_ = nullptr;
    ns_handler number_ = 0;
};

// App ----------------------------------------------------------------------------------------------------------------

/// An app: the endpoint in a program. Connects to a hub, sends and receives states, reconnects by itself. Only
/// functions with a time-out wait for others, and the destructor: up to option::linger for values that are not written.
class App {
public:
    /// Makes an app; it does nothing until connect(). `identity` is 1 to 255 bytes of UTF-8.
    static Result<App> try_make(std::string_view identity) noexcept
    {
        const detail::CString text(identity, Status::identity);
        if (!ok(text.status()))
            return text.status();
        std::unique_ptr<Core> core(new (std::nothrow) Core);
        if (core == nullptr || (core->shared = detail::make_shared_part()) == nullptr)
            return detail::out_of_memory();
        const Status status = detail::told(ns_app_new(text.get(), &core->handle));
        return ok(status) ? Result<App>(App(std::move(core))) : status;
    }

    /// Closes it and ends its thread. No callback runs any more afterwards, unless this is called in one.
    ~App() = default;
    App(App &&) noexcept = default;
    App &operator=(App &&) noexcept = default;

    /// The handle of the C API, which stays the App's.
    ns_app *handle() const noexcept { return core_ != nullptr ? core_->handle : nullptr; }
    std::string_view identity() const noexcept { return ns_app_identity(handle()); }
    Link link() const noexcept { return static_cast<Link>(ns_app_link(handle())); }

    /// Sets an option: app.set(option::linger, 500ms). Those of later versions by their number.
    template <typename T> Status try_set(AppOption<T> option, typename AppOption<T>::Value value) noexcept
    {
        return try_set(option.number, detail::option_value(value));
    }
    Status try_set(ns_opt option, std::int64_t value) noexcept
    {
        const Status status = detail::told(ns_app_set(handle(), option, value));
        if (ok(status) && option == NS_OPT_CALLBACK_THREAD)
            core_->own_thread = value != 0;
        return status;
    }
    /// Sets an option whose value is a text, before connect(): app.set(option::tls_ca, "ca.pem").
    Status try_set(AppOption<std::string_view> option, std::string_view value) noexcept
    {
        return detail::set_text(handle(), option.number, value, ns_app_set_text);
    }
    /// The value of an option that is a number: what was set, else its default.
    template <typename T> Result<T> try_option(AppOption<T> option) const noexcept
    {
        return detail::read_option<T>(handle(), option.number, ns_app_option);
    }
    Result<std::int64_t> try_option(ns_opt option) const noexcept
    {
        return detail::read_option<std::int64_t>(handle(), option, ns_app_option);
    }

    /// Connects in the background, to $NANOSTATE_URL or else the default, or to `url`.
    Status try_connect() noexcept { return detail::told(ns_app_connect(handle(), nullptr)); }
    Status try_connect(std::string_view url) noexcept
    {
        const detail::CString text(url, Status::url);
        return ok(text.status()) ? detail::told(ns_app_connect(handle(), text.get())) : text.status();
    }
    /// Waits until the hub has welcomed the app. After a time-out last_error() says what prevents it.
    Status try_wait_connected(Timeout timeout = wait_forever) noexcept
    {
        return detail::told(ns_app_wait_connected(handle(), timeout.ms()));
    }
    /// Waits until the hub has sent everything that it held and that was asked for before: then get() finds it. Returns
    /// also when that is nothing. Status::unsupported: this hub does not tell.
    Status try_wait_synced(Timeout timeout = wait_forever) noexcept
    {
        return detail::told(ns_app_wait_synced(handle(), timeout.ms()));
    }
    /// Waits until the hub has all that was sent so far.
    Status try_flush(Timeout timeout = wait_forever) noexcept
    {
        return detail::told(ns_app_flush(handle(), timeout.ms()));
    }
    /// How long the hub takes to answer, once it has dealt with everything that came before from this app.
    Result<std::chrono::nanoseconds> try_ping(Timeout timeout = wait_forever) noexcept
    {
        std::int64_t ns;
        const Status status = detail::told(ns_app_ping(handle(), timeout.ms(), &ns));
        return ok(status) ? Result<std::chrono::nanoseconds>(std::chrono::nanoseconds(ns)) : status;
    }
    /// Gives up the link; connect() may follow.
    Status try_disconnect() noexcept { return detail::told(ns_app_disconnect(handle())); }
    /// Closes the app for good: waits for unsent values as long as option::linger says, or up to `linger`.
    Status try_close() noexcept { return close_app(-1); }
    Status try_close(Timeout linger) noexcept { return close_app(linger.ms() < 0 ? INT_MAX : linger.ms()); }
    /// Makes the call that waits, or the next one that would, end with Status::interrupted. For signal handlers too.
    void interrupt() noexcept { ns_app_interrupt(handle()); }

    /// Sends the newest value of `name`; its type is that of `value`:
    ///   std::string_view, std::string, const char *     text
    ///   Bytes, and contiguous containers of bytes or chars (std::vector, std::array)     bytes
    ///   bool; integers; float, double; nullptr          as they are
    ///   std::chrono::system_clock::time_point           a time, to the nanosecond; it arrives as Kind::ext
    /// A lone character, an enumeration and other pointers do not compile. Does not wait, and works without a link.
    template <typename T> Status try_send(std::string_view name, const T &value) noexcept
    {
        return named(name, [&](ns_app *app, const char *text) {
            unsigned char room[12];
            return ns_app_send(app, text, detail::value_of(value, room));
        });
    }
    /// Sends the value that this JSON describes; the error names the offset.
    Status try_send_json(std::string_view name, std::string_view json) noexcept
    {
        return named(name, [&](ns_app *app, const char *text) {
            return ns_app_send_json(app, text, json.data(), json.size());
        });
    }
    /// Withdraws the own value of `name`, whether or not it has one: receivers are given a state of Kind::cleared, and
    /// get does not find it any more. As a send, it does not wait, and works without a link.
    Status try_clear(std::string_view name) noexcept { return named(name, ns_app_clear); }
    /// Declares a name, to send its values by the Key. Sends nothing.
    Result<Key> try_key(std::string_view name) noexcept
    {
        ns_key *key = nullptr;
        const Status status = named(name, [&](ns_app *app, const char *text) { return ns_app_key(app, text, &key); });
        return ok(status) ? Result<Key>(Key(key)) : status;
    }
    /// Has the hub withdraw the value of a sender that has departed. Status::state: it is connected, and only it can do that;
    /// Status::not_found: the hub holds no such value.
    Status try_forget(std::string_view sender, std::string_view name, Timeout timeout = wait_forever) noexcept
    {
        const detail::CString text(sender, Status::identity);
        if (!ok(text.status()))
            return text.status();
        return named(name, [&](ns_app *app, const char *name_text) {
            return ns_app_forget(app, text.get(), name_text, timeout.ms());
        });
    }
    /// Sends bytes that are one MessagePack value, checked: state.msgpack() passes any state on.
    Status try_send_msgpack(std::string_view name, Bytes value) noexcept
    {
        return named(name, [&](ns_app *app, const char *text) {
            return ns_app_send_msgpack(app, text, value.data(), value.size());
        });
    }

    /// The newest value of `name` that this app knows, by any sender, own ones included, or by `sender`. Does not ask
    /// the hub. Status::not_found: it knows none.
    Result<State> try_get(std::string_view name) noexcept { return known(nullptr, name); }
    Result<State> try_get(std::string_view sender, std::string_view name) noexcept
    {
        const detail::CString text(sender, Status::identity);
        return ok(text.status()) ? known(text.get(), name) : text.status();
    }
    /// Calls `f(const State &)` for the newest value of each (sender, name) that this app knows and whose name matches;
    /// in this thread, in no particular order. `f` returns nothing, or a bool: false ends it. So does an exception.
    template <typename F> Status try_each(std::string_view pattern, F &&f)
    {
        const detail::CString text(pattern, Status::name);
        return ok(text.status()) ? each_known(text.get(), f) : text.status();
    }
    template <typename F> Status try_each(F &&f) { return each_known(nullptr, f); }

    /// The next state: Status::timeout if none comes.
    Result<State> try_recv(Timeout timeout = wait_forever) noexcept
    {
        ns_state *state;
        const std::shared_ptr<detail::Shared> shared = share();
        const detail::Catcher none(shared.get(), detail::Catcher::try_form);
        const Status status = detail::told(ns_app_recv(handle(), timeout.ms(), &state));
        return ok(status) ? Result<State>(State(state)) : status;
    }
    /// Runs the callbacks of what has come, up to `max`, 0 for all; waits for the first. Status::timeout: none came.
    Status try_dispatch(Timeout timeout, std::size_t max = 0) noexcept
    {
        const std::shared_ptr<detail::Shared> shared = share();
        const detail::Catcher none(shared.get(), detail::Catcher::try_form);
        return detail::told(ns_app_dispatch(handle(), timeout.ms(), max));
    }
    /// A descriptor for poll or an event loop: readable while there is something for recv or dispatch. The app's own.
    Result<int> try_fd() noexcept
    {
        const int fd = ns_app_fd(handle());
        if (fd >= 0)
            return fd;
        // It is the one function that keeps its status to itself.
        if (core_ == nullptr)
            return detail::told(NS_ERR_INVALID);
        if (core_->own_thread)
            return detail::told(NS_ERR_STATE);
        return detail::told(core_->closed ? NS_ERR_CLOSED : NS_ERR_IO);
    }

    /// Sets the function for states, the link, or states whose kind is not accepted; an empty one for none. When it
    /// returns the one before does not run and will not run, unless this is called inside it.
    Status try_on_state(StateFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_state, ns_app_on_state, run_state, std::move(function));
    }
    /// Has a function get the states whose names match `pattern`, as long as the Handler lives: called as the one of
    /// on_state(), behind that, in the order in which they were set. It does not subscribe. A function may end itself and
    /// others; one that it sets does not get the present state.
    Result<Handler> try_on(std::string_view pattern, StateFunction function) noexcept
    {
        using Held = std::shared_ptr<detail::Slot<StateFunction>>;
        const detail::CString text(pattern, Status::name);
        if (!ok(text.status()))
            return text.status();
        if (!function || core_ == nullptr)
            return detail::told(ns_app_on(handle(), text.get(), nullptr, nullptr, nullptr, nullptr));
        std::unique_ptr<Held> held;
        NANOSTATE_TRY
        {
            held = std::make_unique<Held>(
                std::make_shared<detail::Slot<StateFunction>>(std::move(function), core_->shared));
        }
        NANOSTATE_CATCH
        {
            return detail::out_of_memory();
        }
        ns_handler number;
        const auto destroy = [](void *ctx) { delete static_cast<Held *>(ctx); };
        const Status status = detail::told(ns_app_on(handle(), text.get(), run_handler, held.get(), destroy, &number));
        if (!ok(status))
            return status;
        (void)held.release();
        return Handler(core_->shared, handle(), number);
    }
    Status try_on_link(LinkFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_link, ns_app_on_link, run_link, std::move(function));
    }
    Status try_on_reject(RejectFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_reject, ns_app_on_reject, run_reject, std::move(function));
    }
    /// Sets the function for other apps: it is called for each that is there, and then when one comes, leaves, or falls
    /// silent; after a reconnect for what has changed. Losing the hub is nothing that happened to others.
    Status try_on_presence(PresenceFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_presence, ns_app_on_presence, run_presence,
                                    std::move(function));
    }
    /// Sets the function for senders whose values may have become stale or fresh: it is called once for all senders when the
    /// hub has told which apps are there, and then for each sender when one of its apps comes or goes.
    Status try_on_stale(StaleFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_stale, ns_app_on_stale, run_stale, std::move(function));
    }
    /// Whether a value is stale: the app that set it is gone, or has been restarted and has not set it since. The first call
    /// makes the app ask the hub which apps are there.
    bool is_stale(const State &state) const noexcept { return ns_app_is_stale(handle(), state.handle()); }
    /// Calls `f(std::string_view identity, const Instance &, bool suspect)` for each other app that is there, in the order
    /// of their identities, once the hub has told which they are. If `f` returns a bool, false ends the walk.
    template <typename F> Status try_each_peer(F &&f, Timeout timeout = wait_forever)
    {
        struct Call {
            std::remove_reference_t<F> &f;
            std::exception_ptr caught;
        } call{f, nullptr};
        const auto run = [](ns_app *, const char *identity, const std::uint8_t *bytes, bool suspect, void *ctx) noexcept {
            Call &current = *static_cast<Call *>(ctx);
            Instance instance;
            std::copy(bytes, bytes + instance.size(), instance.begin());
            NANOSTATE_TRY
            {
                return detail::goes_on(current.f, std::string_view(identity), instance, suspect);
            }
            NANOSTATE_CATCH
            {
                current.caught = std::current_exception();
                return false;
            }
        };
        const Status status = detail::told(ns_app_peers(handle(), timeout.ms(), run, &call));
        if (call.caught)
            std::rethrow_exception(call.caught);
        return status;
    }
    /// Asks the app's hub for its counters, whether it runs in this program or not. Blocks until the hub has answered.
    /// Status::timeout: there is no link, or no answer; Status::unsupported: the hub does not tell.
    Result<HubStats> try_hub_stats(Timeout timeout = wait_forever)
    {
        HubStats stats;
        const Status status = detail::told(ns_app_hub_stats(handle(), timeout.ms(), &stats, sizeof stats));
        return ok(status) ? Result<HubStats>(stats) : status;
    }
    /// Asks the app's hub for the counters of its peers, and then calls `f(const PeerStats &)` for each, in no particular
    /// order. If `f` returns a bool, false ends the walk. Blocks and fails as try_hub_stats().
    template <typename F> Status try_each_hub_peer(F &&f, Timeout timeout = wait_forever)
    {
        return detail::walk_counters<ns_app>(f, [&](auto run, void *ctx) {
            return ns_app_each_hub_peer(handle(), timeout.ms(), run, ctx, sizeof(PeerStats));
        });
    }
    /// Sets the function for when the hub has sent everything that it held, as for wait_synced(). It is called behind
    /// the states that came before: on each link, each time the app asked for more, as by accept(), and soon if it is
    /// so already. Otherwise as on_state().
    Status try_on_synced(SyncedFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_synced, ns_app_on_synced, run_synced, std::move(function));
    }
    /// Sets the function for exceptions that no call can throw. Before the functions that it is for.
    void on_exception(ExceptionFunction function) noexcept
    {
        if (core_ != nullptr)
            core_->shared->on_exception = std::move(function);
    }

    /// Takes states of these kinds only: app.accept(Kind::text, Kind::bytes). Without any, none; accept_any() all.
    template <typename... Kinds> Status try_accept(Kinds... kinds) noexcept
    {
        static_assert((std::is_same_v<Kinds, Kind> && ...), "arguments are Kinds");
        return detail::told(ns_app_set_accept(handle(), (0u | ... | NS_ACCEPT(static_cast<ns_kind>(kinds)))));
    }
    Status try_accept_any() noexcept { return detail::told(ns_app_set_accept(handle(), NS_ACCEPT_ANY)); }

    /// Takes states of the names that match these patterns from now on, too: app.subscribe("room/*", "cpu/**"). With the
    /// first call it takes those only, for good, and the hub sends no others. Without any pattern none, until there is
    /// one. wait_synced() waits for what the hub holds of them. Status::full: there are 1,024 already.
    template <typename... Patterns> Status try_subscribe(const Patterns &...patterns) noexcept
    {
        if constexpr (sizeof...(patterns) == 0)
            return detail::told(ns_app_subscribe(handle(), nullptr));
        Status status = Status::ok;
        (void)(ok(status = named(patterns, ns_app_subscribe)) && ...);
        return status;
    }
    /// Gives a pattern up, and forgets what no other one matches. Status::not_found: it was not subscribed to in these
    /// words.
    Status try_unsubscribe(std::string_view pattern) noexcept { return named(pattern, ns_app_unsubscribe); }
    /// Takes states of the names that match one of these patterns from now on, and no others: any container of texts.
    /// If it fails, nothing has changed.
    template <typename Patterns> Status try_set_subscriptions(const Patterns &patterns) noexcept
    {
        std::size_t count = 0;
        std::size_t bytes = 0;
        for (const std::string_view pattern : patterns) {
            const detail::CString text(pattern, Status::name);
            if (!ok(text.status()))
                return text.status();
            count++;
            bytes += pattern.size() + 1;
        }
        const std::unique_ptr<char[]> texts(new (std::nothrow) char[bytes]);
        const std::unique_ptr<const char *[]> list(new (std::nothrow) const char *[count]);
        if (texts == nullptr || list == nullptr)
            return detail::out_of_memory();
        char *place = texts.get();
        const char **next = list.get();
        for (const std::string_view pattern : patterns) {
            *next++ = place;
            place += pattern.copy(place, pattern.size());
            *place++ = '\0';
        }
        return detail::told(ns_app_set_subscriptions(handle(), list.get(), count));
    }
    Status try_set_subscriptions(std::initializer_list<std::string_view> patterns) noexcept
    {
        return try_set_subscriptions<std::initializer_list<std::string_view>>(patterns);
    }

    /// The counters.
    Result<AppStats> try_stats() const noexcept
    {
        AppStats stats;
        const Status status = detail::told(ns_app_stats(handle(), &stats, sizeof stats));
        return ok(status) ? Result<AppStats>(stats) : status;
    }

#if NANOSTATE_EXCEPTIONS
    explicit App(std::string_view identity) : App(try_make(identity).value()) {}
    template <typename T> void set(AppOption<T> option, typename AppOption<T>::Value value)
    {
        detail::check(try_set(option, value));
    }
    void set(ns_opt option, std::int64_t value) { detail::check(try_set(option, value)); }
    template <typename T> T option(AppOption<T> option) const { return try_option(option).value(); }
    std::int64_t option(ns_opt option) const { return try_option(option).value(); }
    void connect() { detail::check(try_connect()); }
    void connect(std::string_view url) { detail::check(try_connect(url)); }
    void wait_connected(Timeout timeout = wait_forever) { detail::check(try_wait_connected(timeout)); }
    void wait_synced(Timeout timeout = wait_forever) { detail::check(try_wait_synced(timeout)); }
    void flush(Timeout timeout = wait_forever) { detail::check(try_flush(timeout)); }
    std::chrono::nanoseconds ping(Timeout timeout = wait_forever) { return try_ping(timeout).value(); }
    Handler on(std::string_view pattern, StateFunction function)
    {
        return try_on(pattern, std::move(function)).value();
    }
    void disconnect() { detail::check(try_disconnect()); }
    void close() { detail::check(try_close()); }
    void close(Timeout linger) { detail::check(try_close(linger)); }
    template <typename T> void send(std::string_view name, const T &value) { detail::check(try_send(name, value)); }
    void send_json(std::string_view name, std::string_view json) { detail::check(try_send_json(name, json)); }
    void send_msgpack(std::string_view name, Bytes value) { detail::check(try_send_msgpack(name, value)); }
    void clear(std::string_view name) { detail::check(try_clear(name)); }
    Key key(std::string_view name) { return try_key(name).value(); }
    void forget(std::string_view sender, std::string_view name, Timeout timeout = wait_forever)
    {
        detail::check(try_forget(sender, name, timeout));
    }
    /// Nothing if the app knows none.
    std::optional<State> get(std::string_view name) { return unless(Status::not_found, try_get(name)); }
    std::optional<State> get(std::string_view sender, std::string_view name)
    {
        return unless(Status::not_found, try_get(sender, name));
    }
    template <typename F> void each(std::string_view pattern, F &&f) { detail::check(try_each(pattern, f)); }
    template <typename F> void each(F &&f) { detail::check(try_each(f)); }
    /// The next state, however long it takes. Several threads may receive, and each state goes to one.
    State recv() { return *receive(wait_forever); }
    /// The next state; nothing if none comes in this time.
    std::optional<State> recv(Timeout timeout) { return receive(timeout); }
    /// Whether any callback ran. A callback may destroy the App: then this throws Status::closed.
    bool dispatch(Timeout timeout, std::size_t max = 0)
    {
        ns_app *const app = handle();
        const std::shared_ptr<detail::Shared> shared = share();
        detail::throw_later(shared.get());
        detail::Catcher catcher(shared.get(), detail::Catcher::in_dispatch);
        // One at a time, so that an exception leaves the others where they are.
        for (std::size_t ran = 0;; ran++) {
            const Status status = detail::told(ns_app_dispatch(app, ran == 0 ? timeout.ms() : 0, 1));
            if (catcher.caught)
                std::rethrow_exception(catcher.caught);
            if (ok(status)) {
                if (ran + 1 == max)
                    return true;
                continue;
            }
            if (status == Status::interrupted && ran > 0)
                ns_app_interrupt(app);
            else if (status != Status::timeout)
                throw Error(status);
            return ran > 0;
        }
    }
    int fd() { return try_fd().value(); }
    void on_state(StateFunction function) { detail::check(try_on_state(std::move(function))); }
    void on_link(LinkFunction function) { detail::check(try_on_link(std::move(function))); }
    void on_reject(RejectFunction function) { detail::check(try_on_reject(std::move(function))); }
    void on_stale(StaleFunction function) { detail::check(try_on_stale(std::move(function))); }
    void on_presence(PresenceFunction function) { detail::check(try_on_presence(std::move(function))); }
    template <typename F> void each_peer(F &&f, Timeout timeout = wait_forever)
    {
        detail::check(try_each_peer(f, timeout));
    }
    HubStats hub_stats(Timeout timeout = wait_forever) { return try_hub_stats(timeout).value(); }
    template <typename F> void each_hub_peer(F &&f, Timeout timeout = wait_forever)
    {
        detail::check(try_each_hub_peer(f, timeout));
    }
    /// The counters of all peers of the app's hub, as each_hub_peer() shows them.
    std::vector<PeerStats> hub_peers(Timeout timeout = wait_forever)
    {
        std::vector<PeerStats> peers;
        each_hub_peer([&](const PeerStats &peer) { peers.push_back(peer); }, timeout);
        return peers;
    }
    void on_synced(SyncedFunction function) { detail::check(try_on_synced(std::move(function))); }
    template <typename... Kinds> void accept(Kinds... kinds) { detail::check(try_accept(kinds...)); }
    void accept_any() { detail::check(try_accept_any()); }
    template <typename... Patterns> void subscribe(const Patterns &...patterns)
    {
        detail::check(try_subscribe(patterns...));
    }
    void unsubscribe(std::string_view pattern) { detail::check(try_unsubscribe(pattern)); }
    template <typename Patterns> void set_subscriptions(const Patterns &patterns)
    {
        detail::check(try_set_subscriptions(patterns));
    }
    void set_subscriptions(std::initializer_list<std::string_view> patterns)
    {
        detail::check(try_set_subscriptions(patterns));
    }
    AppStats stats() const { return try_stats().value(); }
#endif

private:
    struct Core {
        ns_app *handle = nullptr;
        std::shared_ptr<detail::Shared> shared;
        std::shared_ptr<detail::Slot<StateFunction>> on_state;
        std::shared_ptr<detail::Slot<LinkFunction>> on_link;
        std::shared_ptr<detail::Slot<RejectFunction>> on_reject;
        std::shared_ptr<detail::Slot<SyncedFunction>> on_synced;
        std::shared_ptr<detail::Slot<PresenceFunction>> on_presence;
        std::shared_ptr<detail::Slot<StaleFunction>> on_stale;
        std::atomic<bool> own_thread{false};
        std::atomic<bool> closed{false};

        Core() noexcept = default;
        Core(const Core &) = delete;
        Core &operator=(const Core &) = delete;
        ~Core()
        {
            if (shared != nullptr)
                shared->freed = true;
            ns_app_free(handle);
        }
    };

    explicit App(std::unique_ptr<Core> core) noexcept : core_(std::move(core)) {}

    Status close_app(int linger_ms) noexcept
    {
        if (core_ != nullptr)
            core_->closed = true;
        return detail::told(ns_app_close(handle(), linger_ms));
    }

    template <typename F> Status named(std::string_view name, F &&send) noexcept
    {
        const detail::CString text(name, Status::name);
        return ok(text.status()) ? detail::told(send(handle(), text.get())) : text.status();
    }

    Result<State> known(const char *sender, std::string_view name) noexcept
    {
        ns_state *state = nullptr;
        const Status status = named(name, [&](ns_app *app, const char *text) {
            return ns_app_get(app, sender, text, &state);
        });
        return ok(status) ? Result<State>(State(state)) : status;
    }

    template <typename F> Status each_known(const char *pattern, F &f)
    {
        struct Call {
            F &f;
            std::exception_ptr caught;
        } call{f, nullptr};
        const auto run = [](ns_app *, const ns_state *state, void *ctx) noexcept {
            Call &current = *static_cast<Call *>(ctx);
            const Borrowed borrowed(state);
            NANOSTATE_TRY
            {
                return detail::goes_on(current.f, borrowed.state());
            }
            NANOSTATE_CATCH
            {
                current.caught = std::current_exception();
                return false;
            }
        };
        const Status status = detail::told(ns_app_each(handle(), pattern, run, &call));
        if (call.caught)
            std::rethrow_exception(call.caught);
        return status;
    }

    /// A State without a reference of its own, for the time of a call.
    class Borrowed {
    public:
        explicit Borrowed(const ns_state *state) noexcept : state_(const_cast<ns_state *>(state)) {}
        Borrowed(const Borrowed &) = delete;
        Borrowed &operator=(const Borrowed &) = delete;
        ~Borrowed() { (void)state_.release(); }
        const State &state() const noexcept { return state_; }

    private:
        State state_;
    };

    static void run_state(ns_app *, const ns_state *state, void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<StateFunction> *>(ctx)->shared_from_this();
        const Borrowed borrowed(state);
        detail::guard(*slot->shared, [&] { slot->function(borrowed.state()); });
    }

    static void run_handler(ns_app *, const ns_state *state, void *ctx) noexcept
    {
        // The function may end itself.
        const auto slot = *static_cast<std::shared_ptr<detail::Slot<StateFunction>> *>(ctx);
        const Borrowed borrowed(state);
        detail::guard(*slot->shared, [&] { slot->function(borrowed.state()); });
    }

    static void run_link(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<LinkFunction> *>(ctx)->shared_from_this();
        detail::guard(*slot->shared, [&] {
            slot->function(static_cast<Link>(link), static_cast<Status>(why), text);
        });
        stop(app, *slot->shared);
    }

    static void run_reject(ns_app *app, const char *sender, const char *name, ns_kind kind, void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<RejectFunction> *>(ctx)->shared_from_this();
        detail::guard(*slot->shared, [&] { slot->function(sender, name, static_cast<Kind>(kind)); });
        stop(app, *slot->shared);
    }

    static void run_presence(ns_app *app, ns_presence event, const char *identity, const std::uint8_t *bytes,
                             void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<PresenceFunction> *>(ctx)->shared_from_this();
        Instance instance;
        std::copy(bytes, bytes + instance.size(), instance.begin());
        detail::guard(*slot->shared, [&] { slot->function(static_cast<Presence>(event), identity, instance); });
        stop(app, *slot->shared);
    }

    static void run_stale(ns_app *app, const char *sender, void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<StaleFunction> *>(ctx)->shared_from_this();
        detail::guard(*slot->shared, [&] { slot->function(sender == nullptr ? std::string_view() : sender); });
        stop(app, *slot->shared);
    }

    static void run_synced(ns_app *app, void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<SyncedFunction> *>(ctx)->shared_from_this();
        detail::guard(*slot->shared, [&] { slot->function(); });
        stop(app, *slot->shared);
    }

    /// Has the recv that ran a callback return, if that threw. A dispatch runs one callback at a time anyway.
    static void stop(ns_app *app, detail::Shared &shared) noexcept
    {
        const detail::Catcher *catcher = detail::Catcher::of(shared);
        if (catcher != nullptr && catcher->call == detail::Catcher::in_recv && catcher->caught && !shared.freed)
            ns_app_interrupt(app);
    }

    std::shared_ptr<detail::Shared> share() const noexcept { return core_ != nullptr ? core_->shared : nullptr; }

#if NANOSTATE_EXCEPTIONS
    std::optional<State> receive(Timeout timeout)
    {
        ns_state *state;
        ns_app *const app = handle();
        const std::shared_ptr<detail::Shared> shared = share();
        detail::throw_later(shared.get());
        detail::Catcher catcher(shared.get(), detail::Catcher::in_recv);
        const Status status = detail::told(ns_app_recv(app, timeout.ms(), &state));
        if (catcher.caught && !ok(status))
            std::rethrow_exception(catcher.caught);
        // The interruption went to another thread that waits on this app, and a state came.
        if (catcher.caught)
            detail::keep_for_later(*shared, catcher.caught);
        return unless(Status::timeout, ok(status) ? Result<State>(State(state)) : status);
    }

    static std::optional<State> unless(Status fine, Result<State> result)
    {
        if (result.status() == fine)
            return std::nullopt;
        return std::move(result).value();
    }
#endif

    std::unique_ptr<Core> core_;
};

// Hub ----------------------------------------------------------------------------------------------------------------

/// A hub: forwards every state to the other apps, and keeps the newest of each key for those who come later. No
/// function waits, but listen() for a host name to be resolved, and the destructor for the hub's thread.
class Hub {
public:
    /// Makes a hub; it listens nowhere until listen().
    static Result<Hub> try_make() noexcept
    {
        std::unique_ptr<Core> core(new (std::nothrow) Core);
        if (core == nullptr || (core->shared = detail::make_shared_part()) == nullptr)
            return detail::out_of_memory();
        const Status status = detail::told(ns_hub_new(&core->handle));
        return ok(status) ? Result<Hub>(Hub(std::move(core))) : status;
    }

    /// Closes its listeners and peers and ends its thread. Its callback does not run any more afterwards.
    ~Hub() = default;
    Hub(Hub &&) noexcept = default;
    Hub &operator=(Hub &&) noexcept = default;

    /// The handle of the C API, which stays the Hub's.
    ns_hub *handle() const noexcept { return core_ != nullptr ? core_->handle : nullptr; }

    /// Sets an option, before listen(): hub.set(option::hub_ipc_mode, 0660).
    template <typename T> Status try_set(HubOption<T> option, typename HubOption<T>::Value value) noexcept
    {
        return try_set(option.number, detail::option_value(value));
    }
    Status try_set(ns_opt option, std::int64_t value) noexcept
    {
        return detail::told(ns_hub_set(handle(), option, value));
    }
    /// Sets an option whose value is a text: hub.set(option::hub_tls_cert, "hub.pem").
    Status try_set(HubOption<std::string_view> option, std::string_view value) noexcept
    {
        return detail::set_text(handle(), option.number, value, ns_hub_set_text);
    }
    /// Keeps what the hub holds in this directory, too, if the library was built with stores: before `listen()`.
    Status try_set_store(std::string_view directory) noexcept
    {
        const detail::CString text(directory, Status::invalid);
        return ok(text.status()) ? detail::told(ns_hub_set_store(handle(), text.get())) : text.status();
    }
    /// Reads the certificate and its key again, for new connections.
    Status try_reload() noexcept { return detail::told(ns_hub_reload(handle())); }
    /// The value of an option that is a number: what was set, else its default.
    template <typename T> Result<T> try_option(HubOption<T> option) const noexcept
    {
        return detail::read_option<T>(handle(), option.number, ns_hub_option);
    }
    Result<std::int64_t> try_option(ns_opt option) const noexcept
    {
        return detail::read_option<std::int64_t>(handle(), option, ns_hub_option);
    }

    /// Lets web pages of this origin, "https://example.org", connect, read and publish; before listen(), any number of
    /// times.
    Status try_allow_origin(std::string_view origin) noexcept
    {
        const detail::CString text(origin, Status::invalid);
        return ok(text.status()) ? detail::told(ns_hub_allow_origin(handle(), text.get())) : text.status();
    }
    /// Listens at `url`, port 0 for a free one; any number of times.
    Status try_listen(std::string_view url) noexcept
    {
        const detail::CString text(url, Status::url);
        return ok(text.status()) ? detail::told(ns_hub_listen(handle(), text.get())) : text.status();
    }
    /// Where it really listens, in the order of listen(); "" past the end. Lasts as long as the hub.
    std::string_view address(std::size_t i = 0) const noexcept
    {
        const char *address = ns_hub_address(handle(), i);
        return address != nullptr ? address : "";
    }

    /// Sets the function that is called for peers, on the hub's own thread; an empty one for none. Otherwise as App's.
    Status try_on_peer(PeerFunction function) noexcept
    {
        return detail::set_function(core_.get(), &Core::on_peer, ns_hub_on_peer, run_peer, std::move(function));
    }
    /// Sets the function for exceptions of on_peer's, before that.
    void on_exception(ExceptionFunction function) noexcept
    {
        if (core_ != nullptr)
            core_->shared->on_exception = std::move(function);
    }

    /// The counters.
    Result<HubStats> try_stats() const noexcept
    {
        HubStats stats;
        const Status status = detail::told(ns_hub_stats(handle(), &stats, sizeof stats));
        return ok(status) ? Result<HubStats>(stats) : status;
    }
    /// Calls `f(const PeerStats &)` for each peer, in this thread, in no particular order; all are read at one moment,
    /// before the first call. `f` returns nothing, or a bool: false ends it. So does an exception.
    template <typename F> Status try_each_peer(F &&f) const
    {
        return detail::walk_counters<ns_hub>(
            f, [&](auto run, void *ctx) { return ns_hub_each_peer(handle(), run, ctx, sizeof(PeerStats)); });
    }

#if NANOSTATE_EXCEPTIONS
    Hub() : Hub(try_make().value()) {}
    /// Makes a hub that listens at `url`.
    explicit Hub(std::string_view url) : Hub() { listen(url); }
    template <typename T> void set(HubOption<T> option, typename HubOption<T>::Value value)
    {
        detail::check(try_set(option, value));
    }
    void set(ns_opt option, std::int64_t value) { detail::check(try_set(option, value)); }
    template <typename T> T option(HubOption<T> option) const { return try_option(option).value(); }
    std::int64_t option(ns_opt option) const { return try_option(option).value(); }
    void allow_origin(std::string_view origin) { detail::check(try_allow_origin(origin)); }
    void set_store(std::string_view directory) { detail::check(try_set_store(directory)); }
    void reload() { detail::check(try_reload()); }
    void listen(std::string_view url) { detail::check(try_listen(url)); }
    void on_peer(PeerFunction function) { detail::check(try_on_peer(std::move(function))); }
    HubStats stats() const { return try_stats().value(); }
    template <typename F> void each_peer(F &&f) const { detail::check(try_each_peer(f)); }
    /// The counters of all peers.
    std::vector<PeerStats> peers() const
    {
        std::vector<PeerStats> peers;
        each_peer([&](const PeerStats &peer) { peers.push_back(peer); });
        return peers;
    }
#endif

private:
    struct Core {
        ns_hub *handle = nullptr;
        std::shared_ptr<detail::Shared> shared;
        std::shared_ptr<detail::Slot<PeerFunction>> on_peer;

        Core() noexcept = default;
        Core(const Core &) = delete;
        Core &operator=(const Core &) = delete;
        ~Core() { ns_hub_free(handle); }
    };

    explicit Hub(std::unique_ptr<Core> core) noexcept : core_(std::move(core)) {}

    static void run_peer(ns_hub *, const char *identity, const char *from, ns_peer_event event, ns_status why,
                         void *ctx) noexcept
    {
        const auto slot = static_cast<detail::Slot<PeerFunction> *>(ctx)->shared_from_this();
        detail::guard(*slot->shared, [&] {
            slot->function(identity, from, static_cast<PeerEvent>(event), static_cast<Status>(why));
        });
    }

    std::unique_ptr<Core> core_;
};

// Version and log ----------------------------------------------------------------------------------------------------

/// The version of the library that runs: "0.1.0".
inline std::string_view version() noexcept { return ns_version(); }
/// The same as a number, to compare with NS_VERSION_NUMBER, that of the header.
inline std::uint32_t version_number() noexcept { return ns_version_number(); }
/// Whether this build has a feature: "tcp", "ipc", "inproc", "ws", "tls", "gateway".
inline bool has(std::string_view feature) noexcept
{
    const detail::CString text(feature, Status::invalid);
    return ok(text.status()) && ns_has(text.get());
}

/// Sends the log of all handles, lines up to `level`, to `function`; with an empty one to standard error. It is called
/// from a thread of the log, one line at a time, and must use nothing of nanostate; what it throws is dropped. Waits for
/// a running call of the previous function, and up to a few seconds for the lines that are on their way to it.
inline Status try_set_log(LogFunction function, LogLevel level) noexcept
{
    // Never destroyed: the library may log while the program ends.
    static std::mutex &mutex = *new std::mutex;
    static LogFunction *&place = *new LogFunction *(nullptr);
    const auto run = [](int line_level, const char *text, void *ctx) noexcept {
        NANOSTATE_TRY
        {
            (*static_cast<LogFunction *>(ctx))(static_cast<LogLevel>(line_level), text);
        }
        NANOSTATE_CATCH
        {
        }
    };
    LogFunction *next = nullptr;
    if (function) {
        next = new (std::nothrow) LogFunction(std::move(function));
        if (next == nullptr)
            return detail::out_of_memory();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (next != nullptr)
        ns_set_log(run, static_cast<int>(level), next);
    else
        ns_set_log(nullptr, static_cast<int>(level), nullptr);
    delete std::exchange(place, next);
    return Status::ok;
}

#if NANOSTATE_EXCEPTIONS
inline void set_log(LogFunction function, LogLevel level) { detail::check(try_set_log(std::move(function), level)); }
#endif

#if !NANOSTATE_EXCEPTIONS
} // namespace without_exceptions
#endif

} // namespace nanostate

#undef NANOSTATE_TRY
#undef NANOSTATE_CATCH
#undef NANOSTATE_VISIBLE

#pragma pop_macro("Status")
#pragma pop_macro("abs")
#pragma pop_macro("check")
#pragma pop_macro("clear")
#pragma pop_macro("erase")
#pragma pop_macro("forever")
#pragma pop_macro("max")
#pragma pop_macro("min")
#pragma pop_macro("move")

#endif // C++17

#endif // NANOSTATE_HPP
