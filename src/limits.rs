//! Limits and times, each once: the defaults of the options of the same name, and some that cannot be set.

use std::time::Duration;

/// The largest body, in bytes, without its `meta`.
pub const MAX_MESSAGE: usize = 16 << 20;
/// The longest `meta` that an app may send.
pub const MAX_META: usize = 1 << 10;
/// The most that `meta` adds to a body: the hub adds a stamp where there is none, and marks what it holds as retained.
pub const META_ROOM: usize = MAX_META + 64;
/// A length beyond this is not that of a frame: about 1,000 times the largest limit that can be set.
pub const ABSURD_FRAME: u64 = 1 << 40;
/// Connections beyond the limit of peers that a hub keeps briefly, to tell them why they are refused.
pub const SURPLUS_PEERS: usize = 64;
/// The largest body towards an old peer: a stock nanomsg breaks the connection on one byte more.
pub const LEGACY_MAX: usize = 1 << 20;
/// The nesting depth of a value; a scalar has depth 0.
pub const MAX_DEPTH: usize = 32;
/// The longest sender (identity), in bytes.
pub const MAX_SENDER: usize = 255;
/// The longest name, in bytes.
pub const MAX_NAME: usize = 1024;
/// The longest access token, in bytes.
pub const MAX_TOKEN: usize = 255;
/// The shortest access token that a hub knows, in bytes: what is shorter can be guessed.
pub const MIN_TOKEN: usize = 16;
/// Access tokens of one hub. Each hello is compared with all of them.
pub const TOKENS: usize = 1024;
/// The file that has them, in bytes.
pub const TOKEN_FILE: usize = 1 << 20;
/// What an app may send before it is welcomed, in bytes of one message.
pub const MAX_HELLO: usize = 4096;
/// Peers of one hub.
pub const MAX_PEERS: usize = 4096;
/// Those of them that may be WebSockets, with the connections that ask for a page.
pub const MAX_WEBSOCKETS: usize = 1024;
/// HTTP requests that one address may send in a second, and as many at once.
pub const HTTP_RATE: usize = 64;
/// Addresses of which a hub remembers how often they asked by HTTP.
pub const VISITORS: usize = 4096;
/// Bytes that may be queued for a peer; beyond them it gets newest values from the table.
pub const OUTBOX: usize = 4 << 20;
/// Unfinished incoming frames of a hub, in bytes, together.
pub const UNFINISHED: usize = 256 << 20;
/// How long an unfinished frame may go without progress.
pub const STALLED_FRAME: Duration = Duration::from_secs(30);
/// The bytes of an unfinished frame that have to arrive within [`STALLED_FRAME`] while others need its memory.
pub const PROGRESS: usize = 64 << 10;
/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// States in a hub's table.
pub const TABLE_STATES: usize = 1_000_000;
/// Bytes in a hub's table; one sender may hold half.
pub const TABLE_BYTES: usize = 512 << 20;
/// How long the states of a departed sender are kept.
pub const DEPARTED: Duration = Duration::from_secs(24 * 3600);
/// How long it is remembered that a value was cleared.
pub const CLEARED: Duration = Duration::from_secs(24 * 3600);
/// How long after it was sent an app announces a transient value on a new link.
pub const TRANSIENT: Duration = Duration::from_secs(30);
/// The shortest time between two writes to a hub's store.
pub const STORE_EVERY: Duration = Duration::from_millis(50);
/// What one write to a hub's store has, in bytes; a single state may be larger.
pub const STORE_BATCH: usize = 1 << 20;
/// How far ahead the store reserves the times that its hub stamps with: a hub that was killed goes on from there. Half of
/// it is left when more is reserved.
pub const STORE_RESERVES: Duration = Duration::from_secs(10);
/// The shortest wait before a store that could not be written is tried again.
pub const STORE_RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest such wait.
pub const STORE_RETRY_MAX: Duration = Duration::from_secs(5);
/// An app's own values, in bytes: what waits to be sent and what is kept to be announced again.
pub const SEND_QUEUE: usize = 64 << 20;
/// States that an app received and its program has not taken, in bytes; beyond it they are conflated.
pub const RECV_QUEUE: usize = 16 << 20;
/// Newest values that an app remembers, in bytes, for `get` and to drop what it already had. Those that its program has
/// not taken may have as much as its receive queue in addition.
pub const RECEIVED: usize = 64 << 20;
/// Keys of which an app remembers that their value was cleared, beside those that its program has not taken.
pub const RECEIVED_CLEARED: usize = 10_000;
/// How long the holder of an identity has to answer a probe.
pub const IDENTITY_PROBE: Duration = Duration::from_secs(1);
/// Totals and peers in one part of what a hub tells of its counters, in bytes.
pub const STATS: usize = 32 << 10;
/// Peers of which an app takes the counters.
pub const COUNTED_PEERS: usize = 65_536;
/// Other apps of which an app knows that they are there.
pub const OTHERS: usize = 65_536;
/// Senders that wait to be told of one by one because their values may be stale; of more, the program is told at once.
pub const STALE_SENDERS: usize = 1024;
/// How long an app over a network may be silent before it counts as suspect.
pub const SUSPECT: Duration = Duration::from_secs(5);
/// How long an app whose link was cut may take to come back, before it counts as lost.
pub const CUT: Duration = Duration::from_secs(5);
/// Apps whose links were cut that a hub waits for; of more, the first is lost.
pub const CUT_APPS: usize = 4096;
/// How long a hub is young: apps may be on their way back to it.
pub const YOUNG: Duration = Duration::from_secs(10);
/// Changes of who is there that a hub keeps for those who are told; one that is further behind is sent the list again.
pub const PRESENCE_LOG: usize = 4096;
/// How long an app, or its hub, may be silent over a network before it counts as lost; and the holder of an identity before
pub const LOST: Duration = Duration::from_secs(20);
/// All files of a folder that a hub serves to browsers, in bytes: they are kept in memory.
pub const WWW_BYTES: usize = 64 << 20;
/// How long a file may take that a hub sends to a browser.
pub const SERVED: Duration = Duration::from_secs(60);
/// How often a hub pings a WebSocket, so that no proxy takes it for idle: their limits begin at 60 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Patterns of an app.
pub const PATTERNS: usize = 1024;
/// Patterns of all apps of a hub.
pub const HUB_PATTERNS: usize = 100_000;
/// Those of them with a star: to find out who is sent a name, it may have to be matched against each.
pub const HUB_STARS: usize = 20_000;
/// All of them, in bytes.
pub const HUB_PATTERN_BYTES: usize = 16 << 20;
/// Wills of an app.
pub const WILLS: usize = 1000;
/// All wills of an app, in bytes of their messages.
pub const WILL_BYTES: usize = 1 << 20;
/// All wills of a hub: one byte for so many that its table may have. They take that from the table.
pub const TABLE_BYTES_PER_WILL_BYTE: usize = 8;
/// What a WebSocket may send beside messages before its hub lets it wait: so many small fragments and pongs a second, or a
/// sixteenth as many pings.
pub const OVERHEAD: u32 = 16 << 10;
/// How often an app stamps a value anew on one link because the hub holds a later one under its key.
pub const RESTAMPS: u32 = 3;
/// How often the hub of one link may set the clock of an app back.
pub const REBASES: u32 = 3;
/// How long an address is remembered as an old hub's.
pub const OLD_PEER_REMEMBERED: Duration = Duration::from_secs(60);
/// The shortest wait before a reconnect.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait before a reconnect.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a link to an old hub stays open after the last write: nanomsg and NNG discard what they have not passed on
/// when a connection ends.
pub const OLD_HUB_SETTLES: Duration = Duration::from_millis(100);
/// How long `close` waits for unsent values.
pub const LINGER: Duration = Duration::from_millis(1000);
/// The permission bits of an `ipc` socket.
pub const IPC_MODE: u32 = 0o600;

/// Where apps connect and hubs listen unless told otherwise.
pub const DEFAULT_URL: &str = "tcp://127.0.0.1:15000";
/// Where a hub of the command line listens for browsers, too, unless told otherwise.
pub const DEFAULT_WS_URL: &str = "ws://127.0.0.1:15001/ws";
/// The environment variable that replaces [`DEFAULT_URL`] for apps.
pub const URL_VARIABLE: &str = "NANOSTATE_URL";
