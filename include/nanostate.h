/*
 * nanostate: share states between programs, through a hub.
 *
 * A state is (sender, name, data): a key, and its newest value. Apps publish and receive states; a
 * hub forwards every state to the other apps and keeps the newest for those who come later.
 *
 *     ns_app *app;
 *     if (ns_app_new("thermometer", &app) != NS_OK || ns_app_connect(app, NULL) != NS_OK)
 *         return fprintf(stderr, "%s\n", ns_last_error()), 1;
 *     ns_app_send_double(app, "kitchen/temperature", 21.5);
 *     if (ns_app_flush(app, 1000) != NS_OK)
 *         fprintf(stderr, "%s\n", ns_last_error());
 *     ns_app_free(app);
 *
 * Conventions, for every function unless its comment says otherwise:
 *
 * Errors. An ns_status is NS_OK or a negative NS_ERR_ number; ns_strerror gives its text, and
 * ns_last_error the words of this thread's last failure, which name the value at fault. A function
 * that returns something else tells failure by NULL, "", -1 or 0, and ns_last_error says why.
 * Besides the errors that its comment lists, any function may return
 *     NS_ERR_INTERNAL   a bug in nanostate; the handle is closed and returns this from then on
 *     NS_ERR_STATE      the handle was made before a fork, and this is the child (see Fork)
 *
 * Out-parameters are last, and are set to NULL, "", 0 or false on failure.
 *
 * Handles. ns_app, ns_hub and ns_state are opaque. What a function makes is freed by its _free
 * function, which accepts NULL. Any other use of a NULL handle is NS_ERR_INVALID. After a _free no
 * call on the handle may be started. Calls that are running in other threads keep it, and end as if it
 * was closed: with NS_ERR_CLOSED, or with success if they were done already.
 *
 * Strings in are NUL-terminated UTF-8 and are copied; data in is a pointer and a length, and
 * (NULL, 0) is empty. Strings out are NUL-terminated UTF-8; who owns them is said in each comment.
 *
 * Time-outs are milliseconds: -1 waits forever, 0 only tries, below -1 is NS_ERR_INVALID.
 *
 * Threads. Every function may be called from any thread, and a handle be used by several at once.
 *
 * Callbacks run in the thread that calls ns_app_dispatch or, except on_state, ns_app_recv. With
 * NS_OPT_CALLBACK_THREAD they run one at a time on the app's own thread instead. Then ns_app_recv,
 * ns_app_dispatch and ns_app_fd return NS_ERR_STATE, and so does, inside a callback, every function
 * that could wait. A callback must not unwind (throw, longjmp out) and must return within a second.
 * A thread that ends inside a callback (pthread_exit) closes the app or hub that ran it.
 *
 * Signals and cancellation. The library's own threads block all signals but those of their own faults
 * (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS); callbacks run there with the signal mask of the
 * thread that made the handle. Inside a call a thread cannot be cancelled: pthread_cancel takes effect
 * after the call has returned, and ns_app_interrupt makes one that waits return.
 *
 * Fork. A child may exec, or make handles of its own. What it inherited is NS_ERR_STATE, and _free
 * then only closes descriptors. States stay readable.
 *
 * Compatibility. Numbers and functions are never removed or changed. Structs that the library fills
 * may grow: pass sizeof.
 *
 * This file is generated from src/ffi by scripts/header.
 */
#ifndef NANOSTATE_H
#define NANOSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header; ns_version is that of the library. */
#define NS_VERSION "0.1.0"
#define NS_VERSION_MAJOR 0
#define NS_VERSION_MINOR 1
#define NS_VERSION_PATCH 0
#define NS_VERSION_NUMBER (NS_VERSION_MAJOR << 16 | NS_VERSION_MINOR << 8 | NS_VERSION_PATCH)

/**
 * Marks functions whose result has to be checked: the compiler warns where it is ignored. Empty where
 * a compiler has no such attribute; a program that wants no warning may define it as nothing.
 */
#ifndef NS_MUST_CHECK
#if defined(__cplusplus) && __cplusplus >= 201703L
#define NS_MUST_CHECK [[nodiscard]]
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
#define NS_MUST_CHECK [[nodiscard]]
#elif defined(__GNUC__)
#define NS_MUST_CHECK __attribute__((warn_unused_result))
#else
#define NS_MUST_CHECK
#endif
#endif

/** Where apps connect unless told otherwise. */
#define NS_DEFAULT_URL "tcp://127.0.0.1:15000"

/** The bit of a kind in the mask of ns_app_set_accept. */
#define NS_ACCEPT(kind) (UINT32_C(1) << (kind))
/** Every kind, also those that later versions add. */
#define NS_ACCEPT_ANY UINT32_MAX

/* Numbers -------------------------------------------------------------------------------------- */

/**
 * The result of a call: NS_OK, or a negative NS_ERR_ number. The numbers never change.
 */
typedef int32_t ns_status;
enum {
    /** Success. */
    NS_OK = 0,
    /** An argument is not valid: a NULL handle, an unknown option, a time-out below -1. */
    NS_ERR_INVALID = -1,
    /** Memory could not be had. */
    NS_ERR_NO_MEMORY = -2,
    /** A bug in nanostate. The handle is closed. */
    NS_ERR_INTERNAL = -3,
    /** The call does not fit the state that the handle is in. */
    NS_ERR_STATE = -4,
    /** The time was up. */
    NS_ERR_TIMEOUT = -5,
    /** The handle was closed. */
    NS_ERR_CLOSED = -6,
    /** ns_app_interrupt was called. */
    NS_ERR_INTERRUPTED = -7,
    /** This build or platform does not have it. */
    NS_ERR_UNSUPPORTED = -8,
    /** The URL is malformed. */
    NS_ERR_URL = -9,
    /** The name of the state is not allowed. */
    NS_ERR_NAME = -10,
    /** The identity is not allowed. */
    NS_ERR_IDENTITY = -11,
    /** Text is not valid UTF-8. */
    NS_ERR_UTF8 = -12,
    /** Not one well-formed MessagePack value. */
    NS_ERR_MSGPACK = -13,
    /** The state is of another kind. */
    NS_ERR_KIND = -14,
    /** The number does not fit the type that was asked for. */
    NS_ERR_RANGE = -15,
    /** Over the message limit. */
    NS_ERR_TOO_LARGE = -16,
    /** No room. A send: the send queue is full, and nothing changed. Else: the hub has no room for
     *  a value, or for another peer. */
    NS_ERR_FULL = -17,
    /** The address is in use. */
    NS_ERR_IN_USE = -18,
    /** The connection was refused, or the hub refused the app. */
    NS_ERR_REFUSED = -19,
    /** The host name could not be resolved. */
    NS_ERR_RESOLVE = -20,
    /** The system denies it. */
    NS_ERR_PERMISSION = -21,
    /** Another live app has this identity on the hub. */
    NS_ERR_IDENTITY_TAKEN = -22,
    /** There is no such thing. */
    NS_ERR_NOT_FOUND = -23,
    /** Nobody answers this request. */
    NS_ERR_NO_HANDLER = -24,
    /** Any other failure of the system's input and output. */
    NS_ERR_IO = -25,
    /** TLS failed: a certificate does not fit, or the other side does not speak it. */
    NS_ERR_TLS = -26
};

/**
 * What a state holds, as it was sent: an NS_KIND_ number. The numbers never change.
 */
typedef int32_t ns_kind;
enum {
    /** UTF-8 text. */
    NS_KIND_TEXT = 1,
    /** Bytes. The original's C++ and Python programs send text as bytes; ns_state_text reads it. */
    NS_KIND_BYTES = 2,
    /** Nil: no value. */
    NS_KIND_NIL = 3,
    /** True or false. */
    NS_KIND_BOOL = 4,
    /** An integer that fits int64_t. */
    NS_KIND_INT = 5,
    /** An integer above INT64_MAX. */
    NS_KIND_UINT = 6,
    /** A floating-point number. */
    NS_KIND_DOUBLE = 7,
    /** An array; read it with ns_state_json or ns_state_msgpack. */
    NS_KIND_ARRAY = 8,
    /** A map; read it with ns_state_json or ns_state_msgpack. */
    NS_KIND_MAP = 9,
    /** A MessagePack extension: a number and bytes. */
    NS_KIND_EXT = 10,
    /** No value any more: its sender has withdrawn it with ns_app_clear. It cannot be sent, and has
     *  no bit for ns_app_set_accept: a program that takes the kind that was cleared is told. */
    NS_KIND_CLEARED = 11
};

/**
 * Where an app's link to its hub stands: an NS_LINK_ number. The numbers never change.
 */
typedef int32_t ns_link;
enum {
    /** Not asked to connect. */
    NS_LINK_IDLE = 0,
    /** Connecting, or waiting to try again. */
    NS_LINK_CONNECTING = 1,
    /** The hub has welcomed the app. */
    NS_LINK_CONNECTED = 2,
    /** The hub refused the app, which tries again by itself. */
    NS_LINK_REFUSED = 3
};

/**
 * What happened to a peer of a hub: an NS_PEER_ number. The numbers never change.
 */
typedef int32_t ns_peer_event;
enum {
    /** It joined. */
    NS_PEER_JOINED = 1,
    /** It left. */
    NS_PEER_LEFT = 2,
    /** It was refused. */
    NS_PEER_REFUSED = 3
};

/**
 * What happened to another app: an NS_PRESENCE_ number. The numbers never change.
 */
typedef int32_t ns_presence;
enum {
    /** It was there before this app asked. */
    NS_PRESENCE_HERE = 1,
    /** It has come. */
    NS_PRESENCE_JOINED = 2,
    /** Nothing is heard of it, or its connection has broken: it may come back. */
    NS_PRESENCE_SUSPECT = 3,
    /** It is not suspect any more. */
    NS_PRESENCE_RECOVERED = 4,
    /** It has left on purpose, or was gone when this app had its hub back. */
    NS_PRESENCE_LEFT = 5,
    /** It was suspect for too long. */
    NS_PRESENCE_LOST = 6
};

/**
 * An option of an app (1 to 100), of a hub (101 to 200) or of a key (from 201 on): an NS_OPT_
 * number. The numbers never change. ns_app_set, ns_hub_set and ns_key_set set numbers, and
 * ns_app_option and ns_hub_option read them; ns_app_set_text and ns_hub_set_text set texts: 51 to
 * 100, and 151 to 200.
 */
typedef int32_t ns_opt;
enum {
    /** App. How long closing waits for unsent values. In milliseconds: 0 to 24d, default 1s. */
    NS_OPT_LINGER_MS = 1,
    /** App. Run callbacks on the app's own thread. Set before connect. 0 or 1, default 0. */
    NS_OPT_CALLBACK_THREAD = 2,
    /** App. Limit of the own values that are kept, sent or not; beyond it sends fail with
     *  NS_ERR_FULL. In bytes: 1B to 1GiB, default 64MiB. */
    NS_OPT_SEND_QUEUE = 3,
    /** App. Limit of states received and not yet taken; beyond it only the newest value of each
     *  name waits. In bytes: 1B to 1GiB, default 16MiB. */
    NS_OPT_RECV_QUEUE = 4,
    /** App. The largest message, in both directions. Set before connect. In bytes: 1B to 1GiB,
     *  default 16MiB. */
    NS_OPT_MAX_MESSAGE = 5,
    /** App. The shortest wait before a reconnect, not above NS_OPT_BACKOFF_MAX_MS. In
     *  milliseconds: 1ms to 24d, default 50ms. */
    NS_OPT_BACKOFF_MIN_MS = 6,
    /** App. The longest wait before a reconnect, not below NS_OPT_BACKOFF_MIN_MS. In
     *  milliseconds: 1ms to 24d, default 5s. */
    NS_OPT_BACKOFF_MAX_MS = 7,
    /** App. Have the hub send the app's own states back to it. Set before connect. 0 or 1, default
     *  0. */
    NS_OPT_ECHO = 8,
    /** App. Take the identity over from a live holder. Set before connect. 0 or 1, default 0. */
    NS_OPT_TAKE_OVER = 9,
    /** App. Share the identity with other apps that set this too. Set before connect. 0 or 1,
     *  default 0. */
    NS_OPT_SHARED = 10,
    /** App. Send the token unencrypted to another machine, too: anybody on the network between can
     *  read it. Set before connect. 0 or 1, default 0. */
    NS_OPT_CLEAR_TOKEN = 11,
    /** App. Publish nothing: the hub logs only at the level debug that the app comes and goes, and
     *  refuses its states. Set before connect. 0 or 1, default 0. */
    NS_OPT_OBSERVER = 12,
    /** App. File (PEM) with the certificates of the authorities by which a hub with TLS is trusted,
     *  or its own. A text, default $NANOSTATE_TLS_CA. */
    NS_OPT_TLS_CA = 51,
    /** App. SHA-256 of the public key that a hub with TLS has to have, in base64 or hexadecimal; or
     *  several, with commas. A text, default $NANOSTATE_TLS_PIN. */
    NS_OPT_TLS_PIN = 52,
    /** App. Access token, for a hub that asks for one. A text, default $NANOSTATE_TOKEN. */
    NS_OPT_TOKEN = 53,
    /** Hub. The largest message. In bytes: 1B to 1GiB, default 16MiB. */
    NS_OPT_HUB_MAX_MESSAGE = 101,
    /** Hub. The largest message to old programs; a stock nanomsg takes no more than the default.
     *  In bytes: 1B to 1GiB, default 1MiB. */
    NS_OPT_HUB_LEGACY_MAX = 102,
    /** Hub. How many peers may be connected. A number: 1 to 2147483647, default 4096. */
    NS_OPT_HUB_MAX_PEERS = 103,
    /** Hub. Limit of what is queued for one peer; beyond it the peer gets newest values only, from
     *  the table. In bytes: 1B to 1GiB, default 4MiB. */
    NS_OPT_HUB_OUTBOX = 104,
    /** Hub. Limit of unfinished incoming messages, of all peers together. In bytes: 1B to 1TiB,
     *  default 256MiB. */
    NS_OPT_HUB_UNFINISHED = 105,
    /** Hub. How long an unfinished message may go without progress. In milliseconds: 1ms to 1000d,
     *  default 30s. */
    NS_OPT_HUB_STALLED_FRAME_MS = 106,
    /** Hub. How long a handshake may take. In milliseconds: 1ms to 1000d, default 5s. */
    NS_OPT_HUB_HANDSHAKE_MS = 107,
    /** Hub. How many states are kept, of which one sender may have half. A number: 2 to
     *  2147483647, default 1000000. */
    NS_OPT_HUB_TABLE_STATES = 108,
    /** Hub. The size of all states that are kept, of which one sender may have half. In bytes: 1B
     *  to 1TiB, default 512MiB. */
    NS_OPT_HUB_TABLE_BYTES = 109,
    /** Hub. How long the states of a departed sender are kept. In milliseconds: 1ms to 1000d,
     *  default 1d. */
    NS_OPT_HUB_DEPARTED_MS = 110,
    /** Hub. Permissions of ipc socket files; they also decide which users may connect to
     *  ipc://@name, which has no file. In octal: 0000 to 0777, default 0600. */
    NS_OPT_HUB_IPC_MODE = 112,
    /** Hub. Also send states back to the connection that they came from, as the original hub did;
     *  apps drop their own unless they ask for them. 0 or 1, default 0. */
    NS_OPT_HUB_ECHO = 113,
    /** Hub. Send numbers, booleans, nil, arrays and maps to old programs, too; some of them crash
     *  on these. 0 or 1, default 0. */
    NS_OPT_HUB_LEGACY_STRUCTURED = 114,
    /** Hub. Send an old program that joins what others published before, as if they published it
     *  again. 0 or 1, default 0. */
    NS_OPT_HUB_LEGACY_SNAPSHOT = 115,
    /** Hub. How much of an unfinished message has to arrive in NS_OPT_HUB_STALLED_FRAME_MS; one
     *  that is slower gives way when there is no memory for others. In bytes: 0 to 1GiB, default
     *  64KiB. */
    NS_OPT_HUB_PROGRESS = 116,
    /** Hub. Limit of all that states and messages take, half of it for states that are kept; 0
     *  stands for twice NS_OPT_HUB_TABLE_BYTES. In bytes: 0 to 1TiB, default 0. */
    NS_OPT_HUB_MEMORY = 117,
    /** Hub. Let web pages that other servers of this machine serve publish, and not only read; the
     *  hub has to listen on a loopback address. 0 or 1, default 0. */
    NS_OPT_HUB_ALLOW_LOCAL_PAGES = 118,
    /** Hub. How many of the peers may be WebSockets, with the connections that ask for a web page. A
     *  number: 1 to 2147483647, default 1024. */
    NS_OPT_HUB_MAX_WEBSOCKETS = 119,
    /** Hub. How many HTTP requests, for web pages and WebSockets, one address may send in a second,
     *  and as many at once; 0 stands for any number. All that come through a proxy have its address.
     *  A number: 0 to 1000000, default 64. */
    NS_OPT_HUB_HTTP_RATE = 120,
    /** Hub. Where tokens are asked for: let programs that name none read, old ones, plain
     *  WebSockets and clients of gateways among them. 0 or 1, default 0. */
    NS_OPT_HUB_READ_WITHOUT_TOKEN = 121,
    /** Hub. Take tokens unencrypted from other machines, too: anybody on the network between can
     *  read them. 0 or 1, default 0. */
    NS_OPT_HUB_CLEAR_TOKENS = 122,
    /** Hub. How long an app over tcp or ws may be silent before others are told that it is suspect;
     *  0 stands for any time. In milliseconds: 0 to 24d, default 5s. */
    NS_OPT_HUB_SUSPECT_MS = 123,
    /** Hub. How long an app over tcp or ws may be silent before its connection is closed and it counts
     *  as lost; 0 stands for any time. In milliseconds: 0 to 24d, default 20s. */
    NS_OPT_HUB_LOST_MS = 124,
    /** Hub. File (PEM) with the certificate for addresses with TLS, followed by those of its
     *  issuers. A text. */
    NS_OPT_HUB_TLS_CERT = 151,
    /** Hub. File (PEM) with the private key of NS_OPT_HUB_TLS_CERT, unless that has it, too. A
     *  text. */
    NS_OPT_HUB_TLS_KEY = 152,
    /** Hub. Folder whose files are served to browsers at the addresses of WebSockets, at most 64 MiB;
     *  its pages may publish. It is read at each listen. A text. */
    NS_OPT_HUB_WWW = 153,
    /** Hub. File with the access tokens of which one is asked for: lines of a name, read or
     *  read-write, and the token. Set before listen. A text. */
    NS_OPT_HUB_TOKEN_FILE = 154,
    /** Key. How long a value lives that is not sent again; then it is as if it had been cleared. It
     *  counts for the values that are sent from then on; 0 stands for ever. In milliseconds: 0 to
     *  1000d, default 0. */
    NS_OPT_KEY_TTL_MS = 201,
    /** Key. The old values of the name mean nothing, as those of a mouse or a camera: each is sent to
     *  those that are there, and whoever comes later is not sent it. It counts for the values that are
     *  sent from then on. 0 or 1, default 0. */
    NS_OPT_KEY_TRANSIENT = 202
};

/* Version -------------------------------------------------------------------------------------- */

/**
 * The version of the library that runs, "0.1.0"; NS_VERSION is that of the header.
 *
 * The text is static. Does not block, cannot fail; any thread.
 */
const char *ns_version(void);

/**
 * The version of the library that runs as one number, major << 16 | minor << 8 | patch, to compare
 * with NS_VERSION_NUMBER.
 *
 * Does not block, cannot fail; any thread.
 */
uint32_t ns_version_number(void);

/**
 * Whether this build has a feature: "tcp", "ipc", "inproc", "ws", "tls", "gateway". False for any
 * other name and for NULL.
 *
 * Does not block, cannot fail; any thread.
 */
bool ns_has(const char *feature);

/* Errors --------------------------------------------------------------------------------------- */

/**
 * What a status means, in English: "timed out". For a number that is no status: "unknown status".
 *
 * The text is static. Does not block, cannot fail; any thread.
 */
const char *ns_strerror(ns_status status);

/**
 * The last failure of a nanostate function in this thread, in words that name the value at fault:
 * "connection refused: tcp://127.0.0.1:15000". "" if none has failed. Success does not change it.
 *
 * The text belongs to the thread, and stays valid for the next 16 failures of nanostate functions in
 * it, or until the thread ends. Does not block, cannot fail; any thread.
 */
const char *ns_last_error(void);

/* Names ---------------------------------------------------------------------------------------- */

/**
 * The name of a status, as C has it: "NS_ERR_TIMEOUT"; ns_strerror says what it means. "unknown" for a
 * number that is no status.
 *
 * The text is static. Does not block, cannot fail; any thread. The same holds for the functions below.
 */
const char *ns_status_name(ns_status status);

/**
 * The name of a kind: "text", "bytes", "nil", "bool", "int", "uint", "double", "array", "map", "ext",
 * as `nanostate watch --json` has them; or "unknown".
 */
const char *ns_kind_name(ns_kind kind);

/**
 * The name of where a link stands: "idle", "connecting", "connected", "refused"; or "unknown".
 */
const char *ns_link_name(ns_link link);

/**
 * The name of what happened to another app: "here", "joined", "suspect", "recovered", "left", "lost";
 * or "unknown".
 */
const char *ns_presence_name(ns_presence event);

/**
 * The name of what happened to a peer: "joined", "left", "refused"; or "unknown".
 */
const char *ns_peer_event_name(ns_peer_event event);

/**
 * The name of an NS_MALFORMED_ number, an index of malformed_by in ns_hub_stats_t: "not-array", as
 * docs/protocol.md has them; or "unknown".
 */
const char *ns_malformed_name(int reason);

/* Log ------------------------------------------------------------------------------------------ */

enum {
    /** A level of the log. Nothing. */
    NS_LOG_OFF = 0,
    /** Failures that end something: a handle that is closed. */
    NS_LOG_ERROR = 1,
    /** Problems that end nothing: refused peers, malformed messages. */
    NS_LOG_WARN = 2,
    /** Joins, leaves, connects. */
    NS_LOG_INFO = 3,
    /** Every step of a connection. */
    NS_LOG_DEBUG = 4,
    /** Every message. */
    NS_LOG_TRACE = 5
};

/**
 * Gets a line of the log: an NS_LOG_ level and a text, which is borrowed for the call. The text is
 * one line without a newline; characters that are not visible, from peers for instance, are escaped.
 *
 * Called from the log's own thread, one line at a time, some time after the event. A slow function
 * delays that thread only: up to 4096 lines wait for it, later ones are dropped, and a line tells how
 * many. It must call no nanostate function.
 */
typedef void (*ns_log_fn)(int level, const char *text, void *ctx);

/**
 * Sends the log of all handles to `function`, lines up to `level`, an NS_LOG_ number: NS_LOG_WARN is
 * errors and warnings, NS_LOG_OFF silences it. With `function` NULL they go to standard error.
 *
 * Until it is called, the environment variable NANOSTATE_LOG decides: "error", "warn", "info",
 * "debug" or "trace" sends lines to standard error; otherwise the library is silent.
 *
 * When it returns, the previous function is not running and will not run. It first waits for the
 * lines that are on their way to that function, until none has got out for a second, then for a call
 * that is running. Freeing a handle, and exit, also wait for lines in this way. NS_LOG_OFF ends the
 * log's own thread. `ctx` is passed to `function` and otherwise left alone. In a child of fork the log
 * goes on, from a thread of the child.
 *
 * Any thread; inside the function itself it does nothing.
 */
void ns_set_log(ns_log_fn function, int level, void *ctx);

/* Value ---------------------------------------------------------------------------------------- */

/**
 * What a value is, by its kind.
 */
typedef union {
    /**
     * Of NS_KIND_BOOL.
     */
    bool b;
    /**
     * Of NS_KIND_INT; of a time of ns_value_time, the milliseconds since 1970.
     */
    int64_t i;
    /**
     * Of NS_KIND_UINT.
     */
    uint64_t u;
    /**
     * Of NS_KIND_DOUBLE.
     */
    double d;
    /**
     * Of the others: `len` bytes.
     */
    const void *p;
} ns_value_as;

/**
 * A value of any kind, for ns_app_send and from ns_state_value. The functions below make one; they
 * copy nothing, so that what a pointer leads to has to stay until the value was sent.
 */
typedef struct {
    /**
     * An NS_KIND_ number; 0 of bytes that are MessagePack and say themselves what they are. Of
     * NS_KIND_ARRAY and NS_KIND_MAP the bytes are MessagePack.
     */
    ns_kind kind;
    /**
     * Of NS_KIND_EXT: the number of the extension.
     */
    int8_t ext;
    /**
     * How many bytes `as.p` leads to. SIZE_MAX: a text that ends with its NUL.
     */
    size_t len;
    /**
     * The value itself.
     */
    ns_value_as as;
} ns_value;

/**
 * Text, NUL-terminated UTF-8.
 */
static inline ns_value ns_value_text(const char *text)
{
    ns_value value;
    value.kind = NS_KIND_TEXT;
    value.ext = 0;
    value.len = SIZE_MAX;
    value.as.p = text;
    return value;
}

/**
 * Text of `len` bytes, which may hold NULs.
 */
static inline ns_value ns_value_textn(const char *text, size_t len)
{
    ns_value value;
    value.kind = NS_KIND_TEXT;
    value.ext = 0;
    value.len = len;
    value.as.p = text;
    return value;
}

/**
 * Bytes.
 */
static inline ns_value ns_value_bytes(const void *data, size_t len)
{
    ns_value value;
    value.kind = NS_KIND_BYTES;
    value.ext = 0;
    value.len = len;
    value.as.p = data;
    return value;
}

/**
 * Nil: no value.
 */
static inline ns_value ns_value_nil(void)
{
    ns_value value;
    value.kind = NS_KIND_NIL;
    value.ext = 0;
    value.len = 0;
    value.as.u = 0;
    return value;
}

/**
 * For ns_key_will: the name's value is withdrawn. It cannot be sent: see ns_app_clear.
 */
static inline ns_value ns_value_cleared(void)
{
    ns_value value;
    value.kind = NS_KIND_CLEARED;
    value.ext = 0;
    value.len = 0;
    value.as.u = 0;
    return value;
}

/**
 * True or false.
 */
static inline ns_value ns_value_bool(bool b)
{
    ns_value value;
    value.kind = NS_KIND_BOOL;
    value.ext = 0;
    value.len = 0;
    value.as.u = 0;
    value.as.b = b;
    return value;
}

/**
 * An integer.
 */
static inline ns_value ns_value_int(int64_t i)
{
    ns_value value;
    value.kind = NS_KIND_INT;
    value.ext = 0;
    value.len = 0;
    value.as.i = i;
    return value;
}

/**
 * An integer that is not negative. It arrives as NS_KIND_INT where it fits that.
 */
static inline ns_value ns_value_uint(uint64_t u)
{
    ns_value value;
    value.kind = NS_KIND_UINT;
    value.ext = 0;
    value.len = 0;
    value.as.u = u;
    return value;
}

/**
 * A floating-point number.
 */
static inline ns_value ns_value_double(double d)
{
    ns_value value;
    value.kind = NS_KIND_DOUBLE;
    value.ext = 0;
    value.len = 0;
    value.as.d = d;
    return value;
}

/**
 * A time: milliseconds since 1970 in UTC, also before it. It arrives as MessagePack's extension for
 * times, NS_KIND_EXT, which ns_state_time_value reads.
 */
static inline ns_value ns_value_time(int64_t ms)
{
    ns_value value;
    value.kind = NS_KIND_EXT;
    value.ext = -1;
    value.len = 0;
    value.as.i = ms;
    return value;
}

/**
 * A MessagePack extension: its number and its bytes. Number -1 without bytes is a time, that of
 * ns_value_time.
 */
static inline ns_value ns_value_ext(int8_t type, const void *data, size_t len)
{
    ns_value value;
    value.kind = NS_KIND_EXT;
    value.ext = type;
    value.len = len;
    value.as.p = data;
    return value;
}

/**
 * `len` bytes that are one MessagePack value already, at most 32 deep.
 */
static inline ns_value ns_value_msgpack(const void *data, size_t len)
{
    ns_value value;
    value.kind = 0;
    value.ext = 0;
    value.len = len;
    value.as.p = data;
    return value;
}

/* State ---------------------------------------------------------------------------------------- */

/**
 * A state: who sent it, its name, and its value. It never changes.
 *
 * Threads: every function may be called from any thread, several at once. Lifetime: a reference
 * count. Each ns_app_recv and ns_state_ref is answered by one ns_state_free; a state may outlive
 * its app. What the functions below point to belongs to the state and lives as long.
 */
typedef struct ns_state ns_state;

/**
 * The identity of the app that sent it; "" for NULL. The text belongs to the state.
 *
 * Does not block. Any thread.
 */
const char *ns_state_sender(const ns_state *state);

/**
 * Its name; "" for NULL. The text belongs to the state.
 *
 * Does not block. Any thread.
 */
const char *ns_state_name(const ns_state *state);

/**
 * Whether its name matches `pattern`: `*` is one segment of a name or part of one, `**` any number of
 * segments. False for NULL, and for a pattern that is empty, too long or not UTF-8 (ns_last_error).
 *
 * Does not block. Any thread.
 */
bool ns_state_matches(const ns_state *state, const char *pattern);

/**
 * When it was sent, in milliseconds since 1970; 0 if that is not known, and for NULL.
 *
 * It is the time of the hub, which orders the values of all apps and never goes back. Where clocks are
 * wrong it follows the one that is furthest ahead; an app that means harm can push it forward.
 *
 * Does not block. Any thread.
 */
int64_t ns_state_time(const ns_state *state);

/**
 * Whether the hub held it already and handed it out, because the app joined or asked for more: it may
 * be of any age. Otherwise it was published while the app was there; so is all that comes through an
 * old hub. false for NULL.
 *
 * Does not block. Any thread.
 */
bool ns_state_retained(const ns_state *state);

/**
 * What it holds, an NS_KIND_ number, as it was sent; 0 for NULL.
 *
 * Does not block. Any thread.
 */
ns_kind ns_state_kind(const ns_state *state);

/**
 * Reads text, NUL-terminated, and its length without that NUL; `len` may be NULL. Reads bytes too if
 * they are valid UTF-8, because the original nanostate sends its text as bytes.
 *
 * `*text` belongs to the state; on failure it is "" and `*len` 0. Does not block. Any thread.
 *
 * - NS_ERR_KIND: neither text nor bytes that are UTF-8
 * - NS_ERR_INVALID: `state` or `text` is NULL
 */
ns_status ns_state_text(const ns_state *state, const char **text, size_t *len);

/**
 * Reads bytes.
 *
 * `*data` belongs to the state; on failure it is NULL and `*len` 0. Does not block. Any thread.
 *
 * - NS_ERR_KIND: not bytes
 * - NS_ERR_INVALID: `state`, `data` or `len` is NULL
 */
ns_status ns_state_bytes(const ns_state *state, const void **data, size_t *len);

/**
 * Reads true or false; false on failure. Does not block. Any thread.
 *
 * - NS_ERR_KIND: not a bool
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_bool(const ns_state *state, bool *out);

/**
 * Reads any number that an int64_t holds exactly: 20.0 is 20, because JavaScript sends 20 for 20.0.
 * 0 on failure. Does not block. Any thread.
 *
 * - NS_ERR_RANGE: a number that does not fit
 * - NS_ERR_KIND: not a number
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_int(const ns_state *state, int64_t *out);

/**
 * Reads any number that a uint64_t holds exactly. 0 on failure. Does not block. Any thread.
 *
 * - NS_ERR_RANGE: a number that does not fit
 * - NS_ERR_KIND: not a number
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_uint(const ns_state *state, uint64_t *out);

/**
 * Reads any number that a double holds exactly. 0 on failure. Does not block. Any thread.
 *
 * - NS_ERR_RANGE: a number that does not fit
 * - NS_ERR_KIND: not a number
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_double(const ns_state *state, double *out);

/**
 * Reads a MessagePack extension: its number and its bytes.
 *
 * `*data` belongs to the state; on failure it is NULL, `*type` and `*len` 0. Does not block. Any
 * thread.
 *
 * - NS_ERR_KIND: not an extension
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_ext(const ns_state *state, int8_t *type, const void **data, size_t *len);

/**
 * Reads a time, in any of the forms that MessagePack has for one: the milliseconds since 1970 in UTC
 * that have passed, negative before it, and the nanoseconds behind these, 0 to 999999. `ns` may be
 * NULL; then they are cut off. Both are 0 on failure. Does not block. Any thread.
 *
 * - NS_ERR_KIND: not a time; other extensions than MessagePack's for times are none
 * - NS_ERR_RANGE: more than 292 million years from 1970, so that the milliseconds do not fit
 * - NS_ERR_INVALID: `state` or `ms` is NULL
 */
ns_status ns_state_time_value(const ns_state *state, int64_t *ms, uint32_t *ns);

/**
 * Reads the value as what it was sent as, whatever its kind: `out->kind` is ns_state_kind, and
 * `out->as` has the value. Text, bytes and extensions are `out->len` bytes at `out->as.p`, text with
 * a NUL behind them; so is the MessagePack of arrays and maps. There is nothing to read of
 * NS_KIND_NIL and NS_KIND_CLEARED. ns_app_send takes `*out` as it is, unless it is NS_KIND_CLEARED.
 *
 * What `out->as.p` leads to belongs to the state; on failure `*out` is nil. Does not block. Any
 * thread.
 *
 * - NS_ERR_INVALID: NULL
 */
ns_status ns_state_value(const ns_state *state, ns_value *out);

/**
 * The value as JSON, whatever its kind, NUL-terminated, and its length without that NUL; `len` may be
 * NULL. Bytes become base64, a timestamp a string like "2026-11-28T23:20:33.123Z" (RFC 3339; of the
 * years 0 to 9999), any other extension {"ext":type,"data":base64}, NaN and infinities null.
 *
 * Made at the first call and kept with the state: `*json` belongs to it; on failure it is "" and
 * `*len` 0. Does not block. Any thread.
 *
 * - NS_ERR_NO_MEMORY: there is no memory for the text
 * - NS_ERR_INVALID: `state` or `json` is NULL
 */
ns_status ns_state_json(const ns_state *state, const char **json, size_t *len);

/**
 * The value as MessagePack, whatever its kind, as it was sent.
 *
 * `*value` belongs to the state; on failure it is NULL and `*len` 0. Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `state`, `value` or `len` is NULL
 */
ns_status ns_state_msgpack(const ns_state *state, const void **value, size_t *len);

/**
 * One more reference to the state, to be freed as well. Keeps a state that a callback borrowed.
 * Returns `state`; NULL for NULL.
 *
 * Does not block. Any thread.
 */
ns_state *ns_state_ref(const ns_state *state);

/**
 * Gives one reference back; with the last one the state and what was read from it are gone. NULL is
 * ignored.
 *
 * Does not block. Any thread.
 */
void ns_state_free(ns_state *state);

/* App ------------------------------------------------------------------------------------------ */

/**
 * An app: the endpoint in a program. It has an identity, connects to a hub, and sends and receives
 * states. It reconnects by itself, indefinitely, and keeps what is sent meanwhile.
 *
 * Threads: every function may be called from any thread, several at once. Lifetime: from
 * ns_app_new to ns_app_free.
 */
typedef struct ns_app ns_app;

/**
 * A name of an app, declared once by ns_app_key. What is sent of it is the app's own value of that
 * name, as by ns_app_send; several keys of a name are as good as one.
 *
 * A key may outlive its app: then its functions return NS_ERR_CLOSED. What the app used is given back
 * when its keys are freed, too.
 *
 * Threads: every function may be called from any thread, several at once. Lifetime: from ns_app_key
 * to ns_key_free.
 */
typedef struct ns_key ns_key;

/**
 * Gets a state of ns_app_each. The state is borrowed for the call: ns_state_ref keeps it. True goes on
 * to the next, false ends the walk.
 *
 * Runs inside ns_app_each.
 */
typedef bool (*ns_each_state_fn)(ns_app *app, const ns_state *state, void *ctx);

/**
 * Gets a state. The state is borrowed for the call: ns_state_ref keeps it.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_state_fn)(ns_app *app, const ns_state *state, void *ctx);

/**
 * Is told that a function of ns_app_on, which has this `ctx`, runs no more: `ctx` may be freed.
 */
typedef void (*ns_destroy_fn)(void *ctx);

/**
 * A function that ns_app_on has set: a number of the app's, and not 0.
 */
typedef uint64_t ns_handler;

/**
 * Called for each change of the link and, as long as there is none, for each new reason: once, not
 * with every attempt. `why` is NS_OK, or what broke or prevents the link; `text` is the reason, ""
 * if there is nothing to say; `text` is borrowed for the call.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_link_fn)(ns_app *app, ns_link link, ns_status why, const char *text, void *ctx);

/**
 * Called when the hub has sent everything that it held and that the app asked for.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_synced_fn)(ns_app *app, void *ctx);

/**
 * Called for another app: what happened to it. `identity` is borrowed for the call, as is `instance`:
 * 16 bytes that tell it from others with that identity, at the same time or before and after.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_presence_fn)(ns_app *app, ns_presence event, const char *identity,
        const uint8_t *instance, void *ctx);

/**
 * Called for a sender whose values may be stale now (ns_app_is_stale), or no longer: for all senders
 * if `sender` is NULL. `sender` is borrowed for the call.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_stale_fn)(ns_app *app, const char *sender, void *ctx);

/**
 * Gets another app of ns_app_peers: its identity and the 16 bytes of its instance, borrowed for the
 * call, and whether it is suspect. True goes on to the next, false ends the walk.
 *
 * Runs inside ns_app_peers.
 */
typedef bool (*ns_app_peer_fn)(ns_app *app, const char *identity, const uint8_t *instance,
        bool suspect, void *ctx);

/**
 * Called for a state that was not delivered because its kind is not in the mask of ns_app_set_accept.
 * `sender` and `name` are borrowed for the call.
 *
 * Runs where callbacks run (see the top of this file).
 */
typedef void (*ns_reject_fn)(ns_app *app, const char *sender, const char *name, ns_kind kind,
        void *ctx);

/**
 * Counters of an app since ns_app_new. Later versions append fields.
 */
typedef struct {
    /**
     * Own values that a send took.
     */
    uint64_t sent;
    /**
     * Their bytes.
     */
    uint64_t sent_bytes;
    /**
     * States received and accepted.
     */
    uint64_t received;
    /**
     * Their bytes.
     */
    uint64_t received_bytes;
    /**
     * Own values replaced by newer ones before they were written.
     */
    uint64_t conflated_out;
    /**
     * Received values replaced by newer ones before the program took them.
     */
    uint64_t conflated_in;
    /**
     * Received values dropped: newest ones, beyond all that the app keeps.
     */
    uint64_t dropped_in;
    /**
     * Received values of a kind that is not accepted.
     */
    uint64_t rejected;
    /**
     * Received values that were there already, or are older than an own one.
     */
    uint64_t stale;
    /**
     * Own values that came back from an old hub.
     */
    uint64_t echoes;
    /**
     * Own values that the hub did not take.
     */
    uint64_t refused;
    /**
     * Own values under a shared identity (NS_OPT_SHARED) that gave way to a newer one of another app.
     */
    uint64_t superseded;
    /**
     * Own values withheld from an old hub, or larger than the hub takes.
     */
    uint64_t withheld;
    /**
     * Malformed messages received.
     */
    uint64_t malformed;
    /**
     * Messages received over the limit, or larger than there was memory for.
     */
    uint64_t too_large;
    /**
     * Links that were established.
     */
    uint64_t connects;
    /**
     * Now: bytes of own values.
     */
    uint64_t own_bytes;
    /**
     * Now: states that wait to be taken.
     */
    uint64_t queued;
    /**
     * Now: their bytes.
     */
    uint64_t queued_bytes;
} ns_app_stats_t;

/**
 * Makes an app whose identity, the name it has for others, is `identity`: 1 to 255 bytes of UTF-8.
 * It does nothing until ns_app_connect. Free `*out` with ns_app_free.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `identity` or `out` is NULL
 * - NS_ERR_UTF8: `identity` is not UTF-8
 * - NS_ERR_IDENTITY: `identity` is empty, too long, or "$ns", which is the hub's own
 * - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory, descriptors or threads left
 */
ns_status ns_app_new(const char *identity, ns_app **out);

/**
 * Sets an option, an NS_OPT_ number below 101.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL, an option that apps do not have, or a value that it cannot take
 * - NS_ERR_STATE: the option is to be set before ns_app_connect
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_set(ns_app *app, ns_opt option, int64_t value);

/**
 * Sets an option whose value is a text, an NS_OPT_ number from 51 to 100, for the next ns_app_connect.
 * NULL: the variable of the environment counts, as at first. The text is copied.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `app` is NULL, or an option that is not a text of apps
 * - NS_ERR_UTF8: `value` is not UTF-8
 * - NS_ERR_STATE: the app is connecting or connected
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_set_text(ns_app *app, ns_opt option, const char *value);

/**
 * Reads an option: what was set, else its default.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL, or an option that apps do not have
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_option(const ns_app *app, ns_opt option, int64_t *out);

/**
 * Connects to the hub at `url`, "tcp://127.0.0.1:15000", "ipc:///run/hub", "inproc://name", or
 * "ws://127.0.0.1:15001/ws", which may lead through a web server. NULL: the environment variable
 * NANOSTATE_URL, else NS_DEFAULT_URL. Several addresses of one hub are separated by commas and tried
 * in order; a comma that no URL follows is part of a path or name.
 * "ipc://run/hub" is a path from the present working directory, whatever that is later. With
 * "tls+tcp://hub.example:15443" or "wss://hub.example/ws" the connection is encrypted, and the hub is
 * one that NS_OPT_TLS_CA and NS_OPT_TLS_PIN let the app trust; the file is read here.
 *
 * Returns at once; connecting goes on in the background, indefinitely, even if there is no hub yet.
 * ns_app_wait_connected waits for it, ns_link_fn is called for it. Any thread.
 *
 * - NS_ERR_URL: `url` is malformed
 * - NS_ERR_UTF8: `url` is not UTF-8
 * - NS_ERR_UNSUPPORTED: this build does not have that transport
 * - NS_ERR_TLS: TLS, and neither NS_OPT_TLS_CA nor NS_OPT_TLS_PIN is set, or the file is wrong
 * - NS_ERR_NOT_FOUND, NS_ERR_PERMISSION: the file of NS_OPT_TLS_CA
 * - NS_ERR_STATE: the app is connecting or connected: ns_app_disconnect first
 * - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory or threads left for the app's thread
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL, NS_OPT_TLS_PIN is no pin, or NS_OPT_TOKEN no token; or others could
 *   read the token on its way, and NS_OPT_CLEAR_TOKEN is not set
 */
ns_status ns_app_connect(ns_app *app, const char *url);

/**
 * Waits until the hub has welcomed the app: `timeout_ms` milliseconds, -1 forever, 0 only checks.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: ns_last_error tells the last failure, "connection refused: tcp://127.0.0.1:15000
 *   (is "nanostate hub" running?)"
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, the last because it
 *   has too many peers; the app tries again by itself
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
 */
NS_MUST_CHECK ns_status ns_app_wait_connected(ns_app *app, int timeout_ms);

/**
 * Waits until the hub has sent everything that it held and that the app asked for before this call, on
 * the present link. ns_app_get finds it then, whether or not the program has received it; those states
 * are ns_state_retained. Returns NS_OK also when that is nothing, and with an old hub, which holds
 * nothing. `timeout_ms` milliseconds, -1 forever, 0 only checks.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
 * - NS_ERR_UNSUPPORTED: the hub does not say when it has sent what it held
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
 */
NS_MUST_CHECK ns_status ns_app_wait_synced(ns_app *app, int timeout_ms);

/**
 * Waits until the hub has confirmed that it holds, in memory, the newest value of each name that was
 * sent so far, or a newer one. With an old hub: until the values are written to the connection. Under
 * a shared identity (NS_OPT_SHARED) a value counts as held, too, if it gave way to a newer one of
 * another app: the hub sends that one, and ns_app_stats counts the other as superseded. `timeout_ms`
 * milliseconds, -1 forever, 0 only checks.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: not all of them in this time; sending goes on in the background. ns_last_error
 *   tells why there is no link, or how long nothing has been heard from the hub
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN: the hub refused the app, which tries again by itself
 * - NS_ERR_FULL, NS_ERR_TOO_LARGE: the hub has no room or no memory for one of the values, or takes
 *   none of its size; ns_last_error names it. NS_ERR_FULL also if the hub has no room for the app,
 *   NS_ERR_IDENTITY_TAKEN also if another program keeps replacing a value under this identity
 * - NS_ERR_NO_MEMORY: a large value needs a new stamp, and there is no memory for a copy
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
 */
NS_MUST_CHECK ns_status ns_app_flush(ns_app *app, int timeout_ms);

/**
 * Pings the hub, and tells how many nanoseconds the answer took, which comes once the hub has dealt
 * with everything that came before the ping from this app. A ping whose link is lost is not answered.
 * `timeout_ms` milliseconds, -1 forever, also for the link; `*ns` is 0 on failure.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: no answer in this time; ns_last_error tells why there is no link, or how long
 *   nothing has been heard from the hub
 * - NS_ERR_UNSUPPORTED: an old hub, which answers no pings
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` or `ns` is NULL, or `timeout_ms` is below -1
 */
NS_MUST_CHECK ns_status ns_app_ping(ns_app *app, int timeout_ms, int64_t *ns);

/**
 * Gives up the link. Own values are kept and announced after the next ns_app_connect, which may name
 * another URL. Success also when there is no link.
 *
 * Does not wait for unsent values: ns_app_flush does. Any thread.
 *
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL
 */
ns_status ns_app_disconnect(ns_app *app);

/**
 * Closes the app for good: waits up to `linger_ms` milliseconds for unsent values (-1: as long as
 * NS_OPT_LINGER_MS says, 0: not at all) and gives up the link. A call that waits in another thread
 * returns NS_ERR_CLOSED, as does every later one that needs the link. Closing again is a success.
 *
 * Blocks up to that long; in a callback it does not wait. Any thread. The handle still is to be
 * freed.
 *
 * - NS_ERR_INVALID: `app` is NULL, or `linger_ms` is below -1
 */
ns_status ns_app_close(ns_app *app, int linger_ms);

/**
 * Makes the call that waits on this app, or the next one that would, return NS_ERR_INTERRUPTED. NULL
 * is ignored.
 *
 * May be called in a signal handler. Does not block; any thread.
 */
void ns_app_interrupt(ns_app *app);

/**
 * Frees an app: closes it as ns_app_close(app, -1) does and ends its thread. NULL is ignored.
 *
 * When it returns, no callback of the app runs or will run, and the handle is gone: no new call on it
 * may be started. Calls that run in other threads end safely: those that wait return NS_ERR_CLOSED, an
 * ns_app_each ends when its function returns. States received stay valid.
 *
 * Blocks. Any thread. Inside a callback of the same app the handle is gone at once too, and the rest
 * happens when the callback returns; the ns_app_dispatch or ns_app_recv that ran it then returns
 * NS_ERR_CLOSED.
 */
void ns_app_free(ns_app *app);

/**
 * The identity that the app was made with; "" for NULL.
 *
 * The text belongs to the app and is valid until ns_app_free. Does not block. Any thread.
 */
const char *ns_app_identity(const ns_app *app);

/**
 * Where the link stands now, an NS_LINK_ number; NS_LINK_IDLE for NULL and for a closed app.
 *
 * Does not block. Any thread.
 */
ns_link ns_app_link(const ns_app *app);

/**
 * Sends `value` as the newest value of `name`: the general form of the functions below.
 *
 *   ns_app_send(app, "room/temperature", ns_value_double(21.5));
 *   ns_app_send(app, "room/aired", ns_value_time(milliseconds_since_1970));
 *
 * What `value` leads to is copied.
 *
 * - NS_ERR_INVALID: NULL, or `value.kind` is of no value
 * - NS_ERR_MSGPACK: of MessagePack, not exactly one well-formed value, or not of the kind that
 *   `value.kind` says
 * - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
 */
ns_status ns_app_send(ns_app *app, const char *name, ns_value value);

/**
 * Sends text, NUL-terminated UTF-8, as the newest value of `name`: 1 to 1024 bytes of UTF-8 that do
 * not begin with "$ns/". A value that was not written yet is replaced.
 *
 * Both strings are copied. Does not block, and works without a link: the value is kept and goes out
 * when there is one. NS_OK says that it is kept; ns_app_flush, that the hub has it. Any thread.
 *
 * - NS_ERR_INVALID: NULL
 * - NS_ERR_UTF8: `name` or `text` is not UTF-8
 * - NS_ERR_NAME: `name` is empty, too long or reserved
 * - NS_ERR_TOO_LARGE: over NS_OPT_MAX_MESSAGE, or what the hub takes
 * - NS_ERR_FULL: own values fill NS_OPT_SEND_QUEUE; nothing changed
 * - NS_ERR_NO_MEMORY: there is no memory for a copy of the value
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_send_text(ns_app *app, const char *name, const char *text);

/**
 * As ns_app_send_text, with text of `len` bytes that need not be NUL-terminated and may hold NULs.
 *
 * - NS_ERR_INVALID: `text` is NULL and `len` is not 0
 * - and the errors of ns_app_send_text
 */
ns_status ns_app_send_textn(ns_app *app, const char *name, const char *text, size_t len);

/**
 * Sends `len` bytes; `(NULL, 0)` is an empty value. They are copied.
 *
 * - NS_ERR_INVALID: `data` is NULL and `len` is not 0
 * - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
 */
ns_status ns_app_send_bytes(ns_app *app, const char *name, const void *data, size_t len);

/**
 * Sends true or false. Rules and errors of ns_app_send_text.
 */
ns_status ns_app_send_bool(ns_app *app, const char *name, bool value);

/**
 * Sends an integer. Rules and errors of ns_app_send_text.
 */
ns_status ns_app_send_int(ns_app *app, const char *name, int64_t value);

/**
 * Sends an unsigned integer. One that fits int64_t arrives as NS_KIND_INT. Rules and errors of
 * ns_app_send_text.
 */
ns_status ns_app_send_uint(ns_app *app, const char *name, uint64_t value);

/**
 * Sends a floating-point number. Rules and errors of ns_app_send_text.
 */
ns_status ns_app_send_double(ns_app *app, const char *name, double value);

/**
 * Sends nil: there is no value. Rules and errors of ns_app_send_text.
 */
ns_status ns_app_send_nil(ns_app *app, const char *name);

/**
 * Sends the value that `len` bytes of JSON describe. An object arrives as NS_KIND_MAP, an array as
 * NS_KIND_ARRAY, the others as their own kinds. The JSON is copied.
 *
 * - NS_ERR_INVALID: not one JSON value, and ns_last_error names the offset; or NULL with `len` not 0
 * - NS_ERR_UTF8: not UTF-8
 * - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
 */
ns_status ns_app_send_json(ns_app *app, const char *name, const char *json, size_t len);

/**
 * Withdraws the own value of `name`: from now on the name has none. Whoever receives it is given a
 * state of kind NS_KIND_CLEARED, and ns_app_get does not find it any more, here and there. It is a
 * statement about the name: also NS_OK if it has no value, or none any more.
 *
 * As a send it does not block, works without a link, and is acknowledged by ns_app_flush; the hub
 * remembers it for 24 hours. Old programs are not told, and neither is a hub that does not know of
 * this: ns_app_stats_t counts that as withheld. Any thread.
 *
 * - NS_ERR_INVALID: NULL
 * - NS_ERR_UTF8: `name` is not UTF-8
 * - NS_ERR_NAME: `name` is empty, too long or reserved
 * - NS_ERR_TOO_LARGE: over NS_OPT_MAX_MESSAGE, or what the hub takes
 * - NS_ERR_FULL: own values fill NS_OPT_SEND_QUEUE, and `name` has none; nothing changed
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_clear(ns_app *app, const char *name);

/**
 * Has the hub withdraw the value of a sender that has departed, as ns_app_clear withdraws an own one:
 * the hub tells whoever knows the value, and remembers that for up to 24 hours. `timeout_ms`
 * milliseconds, -1 forever, also for the link.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_NOT_FOUND: the hub holds no such value
 * - NS_ERR_STATE: the sender is connected, and clears its value itself; or ns_app_connect was not
 *   called, or inside a callback on the app's own thread
 * - NS_ERR_PERMISSION: this app may only read, or is an observer
 * - NS_ERR_FULL: the hub has no room to remember it, or for the app
 * - NS_ERR_NO_MEMORY: the hub has no memory to remember it
 * - NS_ERR_RANGE: the value has the last stamp that there is
 * - NS_ERR_UNSUPPORTED: the hub does not know of this
 * - NS_ERR_IDENTITY: `sender` is not an identity
 * - NS_ERR_NAME: `name` is empty, too long or reserved
 * - NS_ERR_UTF8: `sender` or `name` is not UTF-8
 * - NS_ERR_TIMEOUT: no answer in this time; ns_last_error tells why there is no link
 * - NS_ERR_IO: the link was lost before the answer came: the value may be withdrawn, or not
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN: the hub refused the app, which tries again by itself
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app`, `sender` or `name` is NULL, or `timeout_ms` is below -1
 */
NS_MUST_CHECK ns_status ns_app_forget(ns_app *app, const char *sender, const char *name,
        int timeout_ms);

/**
 * Sends `len` bytes that are one MessagePack value already, at most 32 deep. They are checked and
 * copied.
 *
 * - NS_ERR_MSGPACK: not exactly one well-formed value
 * - NS_ERR_INVALID: NULL with `len` not 0
 * - and the errors of ns_app_send_text, with the same rules for `name`, blocking and threads
 */
ns_status ns_app_send_msgpack(ns_app *app, const char *name, const void *value, size_t len);

/**
 * Declares a name, to send its values by ns_key_send: 1 to 1024 bytes of UTF-8 that do not begin with
 * "$ns/". It is copied. Sends nothing. Free `*out` with ns_key_free.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL
 * - NS_ERR_UTF8: `name` is not UTF-8
 * - NS_ERR_NAME: `name` is empty, too long or reserved
 * - NS_ERR_CLOSED: the app is closed
 */
ns_status ns_app_key(ns_app *app, const char *name, ns_key **out);

/**
 * Sets an option of the key, an NS_OPT_KEY_ number, for what is sent by this key from now on.
 *
 *   ns_key_set(key, NS_OPT_KEY_TTL_MS, 10000);
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `key` is NULL, an option that keys do not have, or a value that it cannot take
 */
ns_status ns_key_set(ns_key *key, ns_opt option, int64_t value);

/**
 * Sends `value` as the newest value of the key's name, as ns_app_send. What `value` leads to is
 * copied.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `key` is NULL
 * - and the errors of ns_app_send but for those of `name`
 */
ns_status ns_key_send(ns_key *key, ns_value value);

/**
 * Withdraws the app's own value of the key's name, as ns_app_clear.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `key` is NULL
 * - and the errors of ns_app_clear but for those of `name`
 */
ns_status ns_key_clear(ns_key *key);

/**
 * Leaves a will with the hub, for the key's name: when the app is lost, the hub publishes `*will`
 * as its value, or withdraws the value if `*will` is ns_value_cleared. NULL takes the will back. It
 * may be changed at any time. What `will` leads to is copied.
 *
 * An app is lost if its link ends before it is closed or disconnected, and it is not back within
 * 5 s, or if nothing is heard of it for NS_OPT_HUB_LOST_MS, by default 20 s. A will is void once the
 * app is closed or disconnected, or another app has taken its place. If apps share an identity,
 * their wills have no effect until the last of them is lost. An app that was lost and comes back
 * publishes its own values over its wills, unless it shares its identity.
 *
 * The app tells its wills to the hub on every link, before its values. The hub keeps them in
 * memory, and in its store if it has one. A flush returns when the hub has them, and fails if it
 * did not take one: with NS_ERR_PERMISSION if the app may only read, with NS_ERR_FULL if the hub
 * has no room. A hub that keeps no wills, such as an old one, is not told; the log says so. An app
 * may leave 1,000 wills, of 1 MiB together.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `key` is NULL
 * - NS_ERR_FULL: the app leaves as much as it may, and nothing changed
 * - and the errors of ns_app_send but for those of `name`
 */
ns_status ns_key_will(ns_key *key, const ns_value *will);

/**
 * Frees a key. NULL is ignored. Changes nothing else: the value stays, and a call with this key that
 * runs in another thread goes on.
 *
 * Does not block. Any thread.
 */
void ns_key_free(ns_key *key);

/**
 * The newest value of `name` by `sender` that this app knows; with `sender` NULL the newest of any
 * sender, own values included: the same one for every app that takes all kinds, whatever their clocks
 * say. It does not ask the hub, and takes nothing from ns_app_recv. Free `*out` with ns_state_free; on
 * failure it is NULL.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_NOT_FOUND: this app knows no such value, or is closed
 * - NS_ERR_NO_MEMORY: there is no memory for a copy of a large own value
 * - NS_ERR_UTF8: `sender` or `name` is not UTF-8
 * - NS_ERR_INVALID: `app`, `name` or `out` is NULL
 */
ns_status ns_app_get(ns_app *app, const char *sender, const char *name, ns_state **out);

/**
 * Whether a value is stale: the app that set it is gone, or has been restarted and has not set it
 * since. A suspect app is not gone. Values that the hub itself has stamped are not stale while that
 * hub runs: those of old programs and of clients of gateways, and wills.
 *
 * The first call makes the app ask the hub which apps are there; ns_app_on_stale tells of changes.
 * Until the hub has told all of them, on each link and for 10 s after it was started, a value
 * becomes stale only if the hub says that its app is gone. Without a hub, and with one that does
 * not tell which apps are there, no value becomes stale. False on failure, too: `app` is closed, or
 * an argument is NULL.
 *
 * Does not block. Any thread.
 */
bool ns_app_is_stale(ns_app *app, const ns_state *state);

/**
 * Calls `function` for the newest value of each (sender, name) that this app knows and whose name
 * matches `pattern`: `*` is one segment of a name or part of one, `**` any number of segments, NULL
 * every name. Own values are included; they come in no particular order. It does not ask the hub, and
 * takes nothing from ns_app_recv.
 *
 * The calls come in this thread, before it returns, until one returns false, which is a success too.
 * What is shown is what the app knew when the walk began. `function` may use the app. Does not wait
 * for others. Any thread.
 *
 * - NS_ERR_NAME: `pattern` is empty or too long
 * - NS_ERR_UTF8: `pattern` is not UTF-8
 * - NS_ERR_NO_MEMORY: there is no memory for copies of large own values
 * - NS_ERR_CLOSED: the app is closed, or was freed during the walk
 * - NS_ERR_INVALID: `app` or `function` is NULL
 */
ns_status ns_app_each(ns_app *app, const char *pattern, ns_each_state_fn function, void *ctx);

/**
 * Takes the next state: waits `timeout_ms` milliseconds, -1 forever, 0 only tries. Free `*out` with
 * ns_state_free; on failure it is NULL. Callbacks other than on_state run in here.
 *
 * Every state comes, in order, while at most NS_OPT_RECV_QUEUE bytes of them wait. A program that is
 * slower, or pauses, still gets the newest value of every (sender, name), each in the place of the
 * oldest that waited; what it does not get is counted as conflated_in.
 *
 * Blocks. Any thread; several may receive, and each state goes to one of them.
 *
 * - NS_ERR_TIMEOUT: nothing came
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, as of
 *   ns_app_wait_connected; returned once for each new refusal
 * - NS_ERR_STATE: there is an on_state function, or NS_OPT_CALLBACK_THREAD is set
 * - NS_ERR_NO_MEMORY, NS_ERR_IO: as ns_app_connect, for an app that was never connected
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` or `out` is NULL, or `timeout_ms` is below -1
 */
ns_status ns_app_recv(ns_app *app, int timeout_ms, ns_state **out);

/**
 * Runs the callbacks of what has come, in this thread: up to `max` of them, 0 for all. Waits
 * `timeout_ms` milliseconds for the first, -1 forever, 0 only tries.
 *
 * Blocks. Any thread; callbacks of one app run one at a time.
 *
 * - NS_ERR_TIMEOUT: nothing came
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: as of ns_app_recv
 * - NS_ERR_STATE: NS_OPT_CALLBACK_THREAD is set, or inside a callback of this app
 * - NS_ERR_NO_MEMORY, NS_ERR_IO: as ns_app_connect, for an app that was never connected
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, was closed while this waited, or a callback freed it
 * - NS_ERR_INVALID: `app` is NULL, or `timeout_ms` is below -1
 */
ns_status ns_app_dispatch(ns_app *app, int timeout_ms, size_t max);

/**
 * A descriptor for poll, select or an event loop: readable while ns_app_recv or ns_app_dispatch has
 * anything to take. For level-triggered pollers (not EPOLLET, nor on Linux EPOLLEXCLUSIVE); may be
 * readable without cause. -1 on failure.
 *
 * It belongs to the app, is the same for its whole life, and is closed by ns_app_free: never read,
 * write or close it. While the program often takes what it tells of, these calls read the socket, and
 * the app's own thread sleeps; otherwise that thread reads, and wakes the program. Does not block.
 * Any thread.
 *
 * - NS_ERR_STATE (see ns_last_error): NS_OPT_CALLBACK_THREAD is set
 * - NS_ERR_IO: no descriptors left
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL
 */
int ns_app_fd(ns_app *app);

/**
 * Sets the function that gets states; NULL for none. With one, states come through ns_app_dispatch
 * (or on the app's own thread) and ns_app_recv is NS_ERR_STATE.
 *
 * When it returns, the previous function is not running and will not run, unless this is called inside
 * it. `ctx` is passed to it and otherwise left alone. Waits for a running callback. Any thread.
 *
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL
 */
ns_status ns_app_on_state(ns_app *app, ns_state_fn function, void *ctx);

/**
 * Has `function` get the states whose names match `pattern` (`*` is one segment of a name or part of
 * one, `**` any number of segments), until ns_app_off ends it. It is called where the function of
 * ns_app_on_state is, behind that one; those of several matching patterns in the order in which they
 * were set. With the first one states come through ns_app_dispatch (or on the app's own thread), for
 * which all functions of one state count as one callback; a state for which there is no function is
 * left out, and ns_app_recv is NS_ERR_STATE. It gets what comes from now on. It does not subscribe:
 * ns_app_subscribe does. However many patterns there are, a state takes the same time.
 *
 * A function may set and end functions, itself too: one that is set in a function does not get the
 * state that this one has. `destroy`, if it is not NULL, is called with `ctx` once `function` has run
 * for the last time: inside ns_app_off, or when the function has returned that called it, or inside
 * ns_app_free. If this fails, it is not called.
 *
 * Does not block. Any thread. On failure `*out` is 0.
 *
 * - NS_ERR_NAME: `pattern` is none
 * - NS_ERR_UTF8: `pattern` is not UTF-8
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app`, `pattern`, `function` or `out` is NULL
 */
ns_status ns_app_on(ns_app *app, const char *pattern, ns_state_fn function, void *ctx,
        ns_destroy_fn destroy, ns_handler *out);

/**
 * Ends a function of ns_app_on. When it returns, the function is not running and will not run, unless
 * this is called inside it. Waits for a running callback. Any thread.
 *
 * - NS_ERR_NOT_FOUND: `handler` was ended before, or is of another app
 * - NS_ERR_INVALID: `app` is NULL
 */
ns_status ns_app_off(ns_app *app, ns_handler handler);

/**
 * Sets the function for changes of the link; NULL for none. Otherwise as ns_app_on_state, with the
 * same errors.
 */
ns_status ns_app_on_link(ns_app *app, ns_link_fn function, void *ctx);

/**
 * Sets the function for when the hub has sent everything that it held, as for ns_app_wait_synced; NULL
 * for none. It is called behind the states that came before: on each link, each time the app asked
 * for more, as by ns_app_set_accept, and soon if it is so already. Otherwise as ns_app_on_state, with
 * the same errors.
 */
ns_status ns_app_on_synced(ns_app *app, ns_synced_fn function, void *ctx);

/**
 * Sets the function for other apps; NULL for none. It is called for each that is there
 * (NS_PRESENCE_HERE), and then when one comes, leaves, or falls silent; after a reconnect for what
 * has changed. What passed before the function had its turn is not told, and losing the hub is
 * nothing that happened to others. Old programs, observers and clients of gateways are not told of.
 * Otherwise as ns_app_on_state, with the same errors.
 */
ns_status ns_app_on_presence(ns_app *app, ns_presence_fn function, void *ctx);

/**
 * Sets the function for senders whose values may have become stale or fresh; NULL for none. It is
 * called once for all senders when the hub has told which apps are there, on each link, and then
 * for each sender when one of its apps comes or goes. A program that shows values calls
 * ns_app_is_stale for each value that arrives, and again for those of the sender when this function
 * is called. Losing the hub makes no value stale. Otherwise as ns_app_on_state, with the same
 * errors.
 */
ns_status ns_app_on_stale(ns_app *app, ns_stale_fn function, void *ctx);

/**
 * Calls `function` for each other app that is there, in the order of their identities. Waits until the
 * hub has told which they are: `timeout_ms` milliseconds, -1 forever, 0 only tries. It is asked the
 * first time, and tells of changes from then on. Apps that were there before a hub was restarted may
 * be on their way back to it, and are among them for 10 s.
 *
 * The calls come in this thread, before it returns, until one returns false, which is a success too.
 * `function` may use the app.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
 * - NS_ERR_UNSUPPORTED: the hub does not say which apps are there
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` or `function` is NULL, or `timeout_ms` is below -1
 */
ns_status ns_app_peers(ns_app *app, int timeout_ms, ns_app_peer_fn function, void *ctx);

/**
 * Sets the function for states whose kind is not accepted; NULL for none. Otherwise as
 * ns_app_on_state, with the same errors.
 */
ns_status ns_app_on_reject(ns_app *app, ns_reject_fn function, void *ctx);

/**
 * Takes states of the names that match `pattern` from now on, too: `*` is one segment of a name or
 * part of one, `**` any number of segments. With the first call the app takes those only, for good:
 * what it knows of other names it forgets, and the hub sends no more of them. The hub sends what it
 * holds of a new pattern; ns_app_wait_synced waits for that. NULL: no names, until there is a
 * pattern. An app has at most 1,024 patterns, also over reconnects.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_NAME: `pattern` is none
 * - NS_ERR_UTF8: `pattern` is not UTF-8
 * - NS_ERR_FULL: there are 1,024 already
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL
 */
ns_status ns_app_subscribe(ns_app *app, const char *pattern);

/**
 * Takes states of the names that match `pattern` no longer, unless another pattern of the app matches.
 * What it knows of them it forgets; what waits to be received is still received.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_NOT_FOUND: the app has not subscribed to it in these words
 * - NS_ERR_UTF8: `pattern` is not UTF-8
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` or `pattern` is NULL
 */
ns_status ns_app_unsubscribe(ns_app *app, const char *pattern);

/**
 * Takes states of the names that match one of these `count` patterns from now on, and no others: as
 * ns_app_subscribe of those that are new, which the hub is told together, and then ns_app_unsubscribe
 * of those that are not among them. `patterns` may be NULL if `count` is 0. If it fails, nothing has
 * changed.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_NAME: one is no pattern
 * - NS_ERR_UTF8: one is not UTF-8
 * - NS_ERR_FULL: there are more than 1,024
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app`, `patterns` or one of the patterns is NULL
 */
ns_status ns_app_set_subscriptions(ns_app *app, const char *const *patterns, size_t count);

/**
 * Says which kinds of states the app takes: NS_ACCEPT(NS_KIND_TEXT) | NS_ACCEPT(NS_KIND_INT), or
 * NS_ACCEPT_ANY, as at the start. 0 takes nothing. Other states are not delivered but counted, and
 * told to the function of ns_app_on_reject. Takes effect for what comes from now on.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_CLOSED: the app is closed
 * - NS_ERR_INVALID: `app` is NULL
 */
ns_status ns_app_set_accept(ns_app *app, uint32_t mask);

/**
 * Reads the counters. `size` is sizeof *out: fields that the library does not know are 0, and so are
 * all on failure.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `app` or `out` is NULL, or `size` is 0
 */
ns_status ns_app_stats(const ns_app *app, ns_app_stats_t *out, size_t size);

/* Hub ------------------------------------------------------------------------------------------ */

enum {
    /** Why a message is malformed, as an index of malformed_by in ns_hub_stats_t. It is empty. */
    NS_MALFORMED_EMPTY = 0,
    /** It is not an array. */
    NS_MALFORMED_NOT_ARRAY = 1,
    /** The array has the wrong number of elements. */
    NS_MALFORMED_WRONG_COUNT = 2,
    /** The sender is no text of 1 to 255 bytes without NUL. */
    NS_MALFORMED_SENDER = 3,
    /** The name is no text of 1 to 1024 bytes without NUL. */
    NS_MALFORMED_NAME = 4,
    /** A text is not UTF-8. */
    NS_MALFORMED_UTF8 = 5,
    /** It ends inside a value. */
    NS_MALFORMED_TRUNCATED = 6,
    /** Bytes follow behind its end. */
    NS_MALFORMED_TRAILING = 7,
    /** It is nested too deeply. */
    NS_MALFORMED_DEPTH = 8,
    /** It has the byte that MessagePack never uses. */
    NS_MALFORMED_RESERVED = 9,
    /** Its fourth element is not of the known form. */
    NS_MALFORMED_META = 10,
    /** It is a message between app and hub whose data has the wrong form. */
    NS_MALFORMED_CONTROL = 11,
    /** It uses a feature that was not announced: a flag, a request or a target. */
    NS_MALFORMED_FEATURE = 12,
    /** It is a text message of a WebSocket, not a binary one. */
    NS_MALFORMED_TEXT = 13,
    /** The data of a value that is cleared is neither the number of a kind nor nil. */
    NS_MALFORMED_CLEAR = 14
};

/**
 * A hub: forwards every state to the other apps, and keeps the newest of each key for those who come
 * later. A program may have several, and apps beside them.
 *
 * Threads: every function may be called from any thread, several at once. Lifetime: from
 * ns_hub_new to ns_hub_free. Hubs and apps may be freed in any order.
 */
typedef struct ns_hub ns_hub;

/**
 * Called for a peer of the hub: `identity` is its identity ("" if it is not known yet or never told),
 * `from` where it comes from, `event` an NS_PEER_ number, `why` NS_OK or the reason. Both strings are
 * borrowed for the call.
 *
 * Runs on the hub's own thread, which serves no peer meanwhile (apps of this process may be served by
 * their own): return soon.
 */
typedef void (*ns_peer_fn)(ns_hub *hub, const char *identity, const char *from,
        ns_peer_event event, ns_status why, void *ctx);

/**
 * Counters of a hub since ns_hub_new. Later versions append fields.
 */
typedef struct {
    /**
     * Now: peers that take part.
     */
    uint64_t peers;
    /**
     * Now: old ones among them: programs of the original, and nanomsg or NNG sockets.
     */
    uint64_t old_peers;
    /**
     * Peers that were let in.
     */
    uint64_t joined;
    /**
     * Peers that were refused.
     */
    uint64_t refused_peers;
    /**
     * Now: states kept.
     */
    uint64_t states;
    /**
     * Now: their bytes.
     */
    uint64_t table_bytes;
    /**
     * Now: bytes of unfinished incoming messages.
     */
    uint64_t unfinished_bytes;
    /**
     * States taken.
     */
    uint64_t messages_in;
    /**
     * Their bytes.
     */
    uint64_t bytes_in;
    /**
     * States passed on, counted for each receiver.
     */
    uint64_t messages_out;
    /**
     * Their bytes.
     */
    uint64_t bytes_out;
    /**
     * States that a receiver was not sent because a newer one took their place.
     */
    uint64_t conflated;
    /**
     * States that a receiver was not sent: of a kind that it does not take, or too large for it.
     */
    uint64_t withheld;
    /**
     * States and wills not taken: no room, no memory, or the sender may only read.
     */
    uint64_t refused;
    /**
     * States not newer than the one held.
     */
    uint64_t stale;
    /**
     * States not taken because their stamp is both beyond the year 2200 and more than a minute ahead
     * of the hub's time.
     */
    uint64_t ahead;
    /**
     * Messages over the limit.
     */
    uint64_t too_large;
    /**
     * States in the name of another peer, or stamped by another instance.
     */
    uint64_t foreign_sender;
    /**
     * Messages of old peers with a reserved name.
     */
    uint64_t reserved;
    /**
     * Malformed messages, for whatever reason.
     */
    uint64_t malformed;
    /**
     * Malformed messages by reason: NS_MALFORMED_ numbers are the indices, the others are 0.
     */
    uint64_t malformed_by[32];
    /**
     * Now: bytes that wait to be written.
     */
    uint64_t outbox_bytes;
    /**
     * Now: bytes of states and messages, all together.
     */
    uint64_t memory_bytes;
    /**
     * States written to the store, counted each time.
     */
    uint64_t stored;
    /**
     * How often writing to the store failed. It is tried again until it succeeds.
     */
    uint64_t store_failed;
    /**
     * Now: for how many milliseconds the hub has been there.
     */
    uint64_t uptime_ms;
    /**
     * Of withheld: of a kind that the app does not accept (ns_app_set_accept).
     */
    uint64_t withheld_unaccepted;
    /**
     * Of withheld: of a kind that is withheld from old peers (NS_OPT_HUB_LEGACY_STRUCTURED).
     */
    uint64_t withheld_structured;
    /**
     * Of withheld: too large for an old peer (NS_OPT_HUB_LEGACY_MAX).
     */
    uint64_t withheld_large;
    /**
     * Of withheld: that a value was cleared, which the peer cannot be told.
     */
    uint64_t withheld_cleared;
    /**
     * Of refused: the hub had no room.
     */
    uint64_t refused_full;
    /**
     * Of refused: there was no memory.
     */
    uint64_t refused_memory;
    /**
     * Of refused: the sender may only read.
     */
    uint64_t refused_rights;
    /**
     * The most peers (NS_OPT_HUB_MAX_PEERS).
     */
    uint64_t max_peers;
    /**
     * The most states (NS_OPT_HUB_TABLE_STATES).
     */
    uint64_t max_states;
    /**
     * The most bytes of states (NS_OPT_HUB_TABLE_BYTES).
     */
    uint64_t max_table_bytes;
    /**
     * The most bytes of states and messages (NS_OPT_HUB_MEMORY).
     */
    uint64_t max_memory_bytes;
    /**
     * Now: senders that are gone, of which something is kept: no connection speaks for them.
     */
    uint64_t departed_senders;
} ns_hub_stats_t;

/**
 * One peer of a hub. Later versions append fields.
 */
typedef struct {
    /**
     * Its identity, NUL-terminated; "" if it is not known.
     */
    char identity[256];
    /**
     * Where it comes from, NUL-terminated, cut if longer.
     */
    char from[128];
    /**
     * 1: it is an old peer.
     */
    uint64_t old;
    /**
     * 1: it keeps up. 0: it is being caught up from the table.
     */
    uint64_t live;
    /**
     * States taken from it.
     */
    uint64_t messages_in;
    /**
     * Their bytes.
     */
    uint64_t bytes_in;
    /**
     * States passed on to it.
     */
    uint64_t messages_out;
    /**
     * Their bytes.
     */
    uint64_t bytes_out;
    /**
     * States that it did not get because a newer one took their place.
     */
    uint64_t conflated;
    /**
     * States withheld from it: of a kind that it does not take, or too large for it.
     */
    uint64_t withheld;
    /**
     * Malformed messages from it.
     */
    uint64_t malformed;
    /**
     * Messages from it over the limit.
     */
    uint64_t too_large;
    /**
     * Now: bytes that wait for it.
     */
    uint64_t outbox_bytes;
    /**
     * The number of its connection, which no other one of this hub has.
     */
    uint64_t connection;
    /**
     * Now: for how many milliseconds it has been connected.
     */
    uint64_t connected_ms;
    /**
     * 1: nothing is heard of it (NS_OPT_HUB_SUSPECT_MS).
     */
    uint64_t suspect;
    /**
     * Of withheld: of a kind that it does not accept (ns_app_set_accept).
     */
    uint64_t withheld_unaccepted;
    /**
     * Of withheld: of a kind that is withheld from old peers (NS_OPT_HUB_LEGACY_STRUCTURED).
     */
    uint64_t withheld_structured;
    /**
     * Of withheld: too large for an old peer (NS_OPT_HUB_LEGACY_MAX).
     */
    uint64_t withheld_large;
    /**
     * Of withheld: that a value was cleared, which it cannot be told.
     */
    uint64_t withheld_cleared;
    /**
     * Its states and wills that were not taken: no room, no memory, or it may only read.
     */
    uint64_t refused;
    /**
     * Of refused: the hub had no room.
     */
    uint64_t refused_full;
    /**
     * Of refused: there was no memory.
     */
    uint64_t refused_memory;
    /**
     * Of refused: it may only read.
     */
    uint64_t refused_rights;
    /**
     * Its states that were not newer than the one held.
     */
    uint64_t stale;
    /**
     * Its states whose stamp is too far in the future, as in ns_hub_stats_t.
     */
    uint64_t ahead;
    /**
     * Its states in the name of another peer, or stamped by another instance.
     */
    uint64_t foreign_sender;
    /**
     * Its messages with a reserved name, if it is an old peer.
     */
    uint64_t reserved;
} ns_peer_stats_t;

/**
 * Gets a peer of ns_hub_each_peer, borrowed for the call. True goes on to the next, false ends the
 * walk.
 *
 * Runs inside ns_hub_each_peer.
 */
typedef bool (*ns_each_peer_fn)(ns_hub *hub, const ns_peer_stats_t *peer, void *ctx);

/**
 * Gets a peer of ns_app_each_hub_peer, borrowed for the call. True goes on to the next, false ends the
 * walk.
 *
 * Runs inside ns_app_each_hub_peer.
 */
typedef bool (*ns_hub_peer_fn)(ns_app *app, const ns_peer_stats_t *peer, void *ctx);

/**
 * Makes a hub. It listens nowhere until ns_hub_listen. Free `*out` with ns_hub_free.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `out` is NULL
 * - NS_ERR_NO_MEMORY, NS_ERR_IO: no memory, descriptors or threads left
 */
ns_status ns_hub_new(ns_hub **out);

/**
 * Sets an option, an NS_OPT_HUB_ number. Before ns_hub_listen.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL, an option that hubs do not have, or a value that it cannot take
 * - NS_ERR_STATE: the hub listens already
 */
ns_status ns_hub_set(ns_hub *hub, ns_opt option, int64_t value);

/**
 * Sets an option whose value is a text, an NS_OPT_HUB_ number from 151 on; NULL: none. Before
 * ns_hub_listen; the certificate and its key at the latest before that at the first address with TLS,
 * or before ns_hub_reload. The text is copied.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `hub` is NULL, or an option that is not a text of hubs
 * - NS_ERR_UTF8: `value` is not UTF-8
 * - NS_ERR_STATE: NS_OPT_HUB_TOKEN_FILE, and the hub listens already
 */
ns_status ns_hub_set_text(ns_hub *hub, ns_opt option, const char *value);

/**
 * Keeps what the hub holds in this directory, too, and begins with what is kept there; before
 * ns_hub_listen, and after the options of the table. The directory is made if it is not there, and
 * belongs to one hub at a time. What a peer has sent is there within 100 ms unless the disk is slow;
 * nothing waits for it. When the program is killed, a hub that is made anew with the directory has
 * it, as states of senders that have departed. If the disk is full, or the like, the log says so,
 * store_failed of ns_hub_stats_t counts it, and all that the hub still holds is written later.
 *
 * The library has this only if it was built with the cargo feature capi-store, since it is much
 * larger with it; `nanostate hub --store` is always there.
 *
 * Reads files, which may take seconds if there is much in them. Any thread.
 *
 * - NS_ERR_INVALID: NULL
 * - NS_ERR_UTF8: `directory` is not UTF-8
 * - NS_ERR_IN_USE: another hub has the directory
 * - NS_ERR_PERMISSION, NS_ERR_NOT_FOUND, NS_ERR_IO: it cannot be made, read or written
 * - NS_ERR_STATE: the hub listens already, or has a store
 * - NS_ERR_UNSUPPORTED: the library was built without stores
 */
ns_status ns_hub_set_store(ns_hub *hub, const char *directory);

/**
 * Reads the files of NS_OPT_HUB_TLS_CERT, NS_OPT_HUB_TLS_KEY and NS_OPT_HUB_TOKEN_FILE again. New
 * connections are shown the certificate that is there now; those that exist are not affected. Peers
 * whose token is not there any more, or has other rights, are refused. If there is something wrong
 * with a file, nothing changes.
 *
 * Reads files. Any thread.
 *
 * - NS_ERR_TLS: something is wrong with the certificate or its key: not PEM, expired, not valid yet,
 *   a key that does not fit the certificate
 * - NS_ERR_NOT_FOUND, NS_ERR_PERMISSION, NS_ERR_UTF8, NS_ERR_IO: a file cannot be read
 * - NS_ERR_STATE: the hub has no address with TLS, and asks for no tokens
 * - NS_ERR_INVALID: NULL, NS_OPT_HUB_TLS_CERT is no longer set, or something is wrong with the tokens
 */
ns_status ns_hub_reload(ns_hub *hub);

/**
 * Lets web pages of this origin, `https://example.org` or `http://localhost:8000`, connect to the
 * WebSockets of this hub, read and publish; once for each origin, before ns_hub_listen. Pages that
 * the hub did not serve may not connect otherwise, and those of this machine only read.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL, or not an origin
 * - NS_ERR_STATE: the hub listens already
 */
ns_status ns_hub_allow_origin(ns_hub *hub, const char *origin);

/**
 * Reads an option: what was set, else its default.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: NULL, or an option that hubs do not have
 */
ns_status ns_hub_option(const ns_hub *hub, ns_opt option, int64_t *out);

/**
 * Listens at `url`: "tcp://127.0.0.1:15000", "ipc:///run/hub", "inproc://name". The host "*" is every
 * interface, port 0 any free one. Any number of times; returns once bound.
 *
 * "tls+tcp://0.0.0.0:15443" is tcp with TLS 1.3, by the certificate of NS_OPT_HUB_TLS_CERT. At
 * "ws://127.0.0.1:15001/ws" browsers connect, too, as far as ns_hub_allow_origin and
 * NS_OPT_HUB_ALLOW_LOCAL_PAGES let their pages in; "wss://" is the same with TLS.
 *
 * If NS_OPT_HUB_TOKEN_FILE is set, apps have to name a token, and nobody else is let in unless
 * NS_OPT_HUB_READ_WITHOUT_TOKEN is set. The file is read at the first listen.
 *
 * Behind "pub+", "pull+", "rep+" or "respondent+" the URL is that of a gateway, for nanomsg and NNG
 * programs that speak another scalability protocol, see docs/gateways.md. At "ws://" they are served
 * beside apps.
 *
 * Blocks while a host name is resolved. Any thread.
 *
 * - NS_ERR_URL, NS_ERR_UTF8: `url` is malformed, or not UTF-8
 * - NS_ERR_UNSUPPORTED: this build does not have that transport
 * - NS_ERR_IN_USE: something else listens there
 * - NS_ERR_RESOLVE: the host name could not be resolved
 * - NS_ERR_PERMISSION: the system denies it
 * - NS_ERR_NOT_FOUND, NS_ERR_IO: the directory is missing; any other failure of the system
 * - NS_ERR_TLS, NS_ERR_NOT_FOUND: the certificate or its key is wrong, as of ns_hub_reload
 * - NS_ERR_CLOSED: the hub was freed meanwhile
 * - NS_ERR_INVALID: NULL; TLS and NS_OPT_HUB_TLS_CERT is not set; something is wrong with the tokens;
 *   or others could read them on their way, and NS_OPT_HUB_CLEAR_TOKENS is not set
 */
ns_status ns_hub_listen(ns_hub *hub, const char *url);

/**
 * Where the hub really listens, in the order of ns_hub_listen: the URL with the port that the system
 * chose for port 0, and with an absolute path. NULL past the end, and for a NULL hub.
 *
 * The text belongs to the hub and is valid until ns_hub_free. Does not block. Any thread.
 */
const char *ns_hub_address(const ns_hub *hub, size_t i);

/**
 * Sets the function for events of peers; NULL for none.
 *
 * When it returns, the previous function is not running and will not run, unless this is called inside
 * it. `ctx` is passed to it and otherwise left alone. Waits for a running call. Any thread.
 *
 * - NS_ERR_INVALID: `hub` is NULL
 */
ns_status ns_hub_on_peer(ns_hub *hub, ns_peer_fn function, void *ctx);

/**
 * Reads the counters. `size` is sizeof *out: fields that the library does not know are 0, and so are
 * all on failure.
 *
 * Does not block. Any thread.
 *
 * - NS_ERR_INVALID: `hub` or `out` is NULL, or `size` is 0
 */
ns_status ns_hub_stats(const ns_hub *hub, ns_hub_stats_t *out, size_t size);

/**
 * Calls `function` for each peer that takes part, with its counters. All are read at one moment,
 * before the first call: each peer is shown once, even while peers come and go. They come in no
 * particular order. `size` is sizeof(ns_peer_stats_t), as in ns_hub_stats.
 *
 * The calls come in this thread, before it returns, until one returns false, which is a success too.
 * `function` may use the hub. Does not wait for others. Any thread.
 *
 * - NS_ERR_CLOSED: the hub was freed during the walk
 * - NS_ERR_INVALID: `hub` or `function` is NULL, or `size` is 0 or above 65536
 */
ns_status ns_hub_each_peer(ns_hub *hub, ns_each_peer_fn function, void *ctx, size_t size);

/**
 * Frees a hub: closes its listeners and peers and ends its thread. The apps reconnect as soon as
 * there is another hub, and announce their states to it. NULL is ignored.
 *
 * When it returns, its function of ns_hub_on_peer does not run and will not run. Blocks until the
 * thread has ended; inside that function, the thread ends after it returns. Calls that run in other
 * threads end safely; no new one may be started. Any thread.
 */
void ns_hub_free(ns_hub *hub);

/**
 * Asks the app's hub for its counters, whether it runs in this program or not. `size` is sizeof
 * *out: fields that the library or the hub does not know are 0, and so are all on failure. Waits
 * for a link and the answer: `timeout_ms` milliseconds, -1 forever; 0 leaves no time for an answer.
 * If the link is lost meanwhile, asks again on the next one.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
 * - NS_ERR_UNSUPPORTED: the hub does not tell
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` or `out` is NULL, `size` is 0, or `timeout_ms` is below -1
 */
ns_status ns_app_hub_stats(ns_app *app, int timeout_ms, ns_hub_stats_t *out, size_t size);

/**
 * Asks the app's hub for the counters of its peers, and then calls `function` for each: apps, this
 * one among them, and old programs, in no particular order. `size` is sizeof(ns_peer_stats_t), as
 * in ns_hub_each_peer. A hub with many peers sends their counters in several messages, so that they
 * are not all of one moment. `from` is empty if the hub lets this app only read. Waits as
 * ns_app_hub_stats, before the first call.
 *
 * The calls come in this thread, before it returns, until one returns false, which is a success too.
 * `function` may use the app.
 *
 * Blocks. Any thread, but not a callback on the app's own thread.
 *
 * - NS_ERR_TIMEOUT: ns_last_error tells why there is no link, if there is none
 * - NS_ERR_UNSUPPORTED: the hub does not tell
 * - NS_ERR_REFUSED, NS_ERR_IDENTITY_TAKEN, NS_ERR_FULL: the hub refused the app, which tries again
 * - NS_ERR_STATE: ns_app_connect was not called, or inside a callback on the app's own thread
 * - NS_ERR_INTERRUPTED: by ns_app_interrupt
 * - NS_ERR_CLOSED: the app is closed, or was while this waited
 * - NS_ERR_INVALID: `app` or `function` is NULL, `size` is 0 or above 65536, or `timeout_ms` is below
 *   -1
 */
ns_status ns_app_each_hub_peer(ns_app *app, int timeout_ms, ns_hub_peer_fn function, void *ctx,
        size_t size);

#ifdef __cplusplus
}
#endif

#endif /* NANOSTATE_H */
