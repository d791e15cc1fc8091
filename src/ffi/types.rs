//! The numbers of the C API. cbindgen prints literals only, so they are literals here, and the tests below hold each
//! against the Rust enum that it stands for.

/// The result of a call: NS_OK, or a negative NS_ERR_ number. The numbers never change.
pub type ns_status = i32;

/// Success.
pub const NS_OK: ns_status = 0;
/// An argument is not valid: a NULL handle, an unknown option, a time-out below -1.
pub const NS_ERR_INVALID: ns_status = -1;
/// Memory could not be had.
pub const NS_ERR_NO_MEMORY: ns_status = -2;
/// A bug in nanostate. The handle is closed.
pub const NS_ERR_INTERNAL: ns_status = -3;
/// The call does not fit the state that the handle is in.
pub const NS_ERR_STATE: ns_status = -4;
/// The time was up.
pub const NS_ERR_TIMEOUT: ns_status = -5;
/// The handle was closed.
pub const NS_ERR_CLOSED: ns_status = -6;
/// ns_app_interrupt was called.
pub const NS_ERR_INTERRUPTED: ns_status = -7;
/// This build or platform does not have it.
pub const NS_ERR_UNSUPPORTED: ns_status = -8;
/// The URL is malformed.
pub const NS_ERR_URL: ns_status = -9;
/// The name of the state is not allowed.
pub const NS_ERR_NAME: ns_status = -10;
/// The identity is not allowed.
pub const NS_ERR_IDENTITY: ns_status = -11;
/// Text is not valid UTF-8.
pub const NS_ERR_UTF8: ns_status = -12;
/// Not one well-formed MessagePack value.
pub const NS_ERR_MSGPACK: ns_status = -13;
/// The state is of another kind.
pub const NS_ERR_KIND: ns_status = -14;
/// The number does not fit the type that was asked for.
pub const NS_ERR_RANGE: ns_status = -15;
/// Over the message limit.
pub const NS_ERR_TOO_LARGE: ns_status = -16;
/// No room. A send: the send queue is full, and nothing changed. Else: the hub has no room for
/// a value, or for another peer.
pub const NS_ERR_FULL: ns_status = -17;
/// The address is in use.
pub const NS_ERR_IN_USE: ns_status = -18;
/// The connection was refused, or the hub refused the app.
pub const NS_ERR_REFUSED: ns_status = -19;
/// The host name could not be resolved.
pub const NS_ERR_RESOLVE: ns_status = -20;
/// The system denies it.
pub const NS_ERR_PERMISSION: ns_status = -21;
/// Another live app has this identity on the hub.
pub const NS_ERR_IDENTITY_TAKEN: ns_status = -22;
/// There is no such thing.
pub const NS_ERR_NOT_FOUND: ns_status = -23;
/// Nobody answers this request.
pub const NS_ERR_NO_HANDLER: ns_status = -24;
/// Any other failure of the system's input and output.
pub const NS_ERR_IO: ns_status = -25;
/// TLS failed: a certificate does not fit, or the other side does not speak it.
pub const NS_ERR_TLS: ns_status = -26;

/// What a state holds, as it was sent: an NS_KIND_ number. The numbers never change.
pub type ns_kind = i32;

/// UTF-8 text.
pub const NS_KIND_TEXT: ns_kind = 1;
/// Bytes. The original's C++ and Python programs send text as bytes; ns_state_text reads it.
pub const NS_KIND_BYTES: ns_kind = 2;
/// Nil: no value.
pub const NS_KIND_NIL: ns_kind = 3;
/// True or false.
pub const NS_KIND_BOOL: ns_kind = 4;
/// An integer that fits int64_t.
pub const NS_KIND_INT: ns_kind = 5;
/// An integer above INT64_MAX.
pub const NS_KIND_UINT: ns_kind = 6;
/// A floating-point number.
pub const NS_KIND_DOUBLE: ns_kind = 7;
/// An array; read it with ns_state_json or ns_state_msgpack.
pub const NS_KIND_ARRAY: ns_kind = 8;
/// A map; read it with ns_state_json or ns_state_msgpack.
pub const NS_KIND_MAP: ns_kind = 9;
/// A MessagePack extension: a number and bytes.
pub const NS_KIND_EXT: ns_kind = 10;
/// No value any more: its sender has withdrawn it with ns_app_clear. It cannot be sent, and has
/// no bit for ns_app_set_accept: a program that takes the kind that was cleared is told.
pub const NS_KIND_CLEARED: ns_kind = 11;

/// Where an app's link to its hub stands: an NS_LINK_ number. The numbers never change.
pub type ns_link = i32;

/// Not asked to connect.
pub const NS_LINK_IDLE: ns_link = 0;
/// Connecting, or waiting to try again.
pub const NS_LINK_CONNECTING: ns_link = 1;
/// The hub has welcomed the app.
pub const NS_LINK_CONNECTED: ns_link = 2;
/// The hub refused the app, which tries again by itself.
pub const NS_LINK_REFUSED: ns_link = 3;

/// What happened to a peer of a hub: an NS_PEER_ number. The numbers never change.
pub type ns_peer_event = i32;

/// It joined.
pub const NS_PEER_JOINED: ns_peer_event = 1;
/// It left.
pub const NS_PEER_LEFT: ns_peer_event = 2;
/// It was refused.
pub const NS_PEER_REFUSED: ns_peer_event = 3;

/// What happened to another app: an NS_PRESENCE_ number. The numbers never change.
pub type ns_presence = i32;

/// It was there before this app asked.
pub const NS_PRESENCE_HERE: ns_presence = 1;
/// It has come.
pub const NS_PRESENCE_JOINED: ns_presence = 2;
/// Nothing is heard of it, or its connection has broken: it may come back.
pub const NS_PRESENCE_SUSPECT: ns_presence = 3;
/// It is not suspect any more.
pub const NS_PRESENCE_RECOVERED: ns_presence = 4;
/// It has left on purpose, or was gone when this app had its hub back.
pub const NS_PRESENCE_LEFT: ns_presence = 5;
/// It was suspect for too long.
pub const NS_PRESENCE_LOST: ns_presence = 6;

/// An option of an app (1 to 100), of a hub (101 to 200) or of a key (from 201 on): an NS_OPT_
/// number. The numbers never change. ns_app_set, ns_hub_set and ns_key_set set numbers, and
/// ns_app_option and ns_hub_option read them; ns_app_set_text and ns_hub_set_text set texts: 51 to
/// 100, and 151 to 200.
pub type ns_opt = i32;

/// App. How long closing waits for unsent values. In milliseconds: 0 to 24d, default 1s.
pub const NS_OPT_LINGER_MS: ns_opt = 1;
/// App. Run callbacks on the app's own thread. Set before connect. 0 or 1, default 0.
pub const NS_OPT_CALLBACK_THREAD: ns_opt = 2;
/// App. Limit of the own values that are kept, sent or not; beyond it sends fail with
/// NS_ERR_FULL. In bytes: 1B to 1GiB, default 64MiB.
pub const NS_OPT_SEND_QUEUE: ns_opt = 3;
/// App. Limit of states received and not yet taken; beyond it only the newest value of each
/// name waits. In bytes: 1B to 1GiB, default 16MiB.
pub const NS_OPT_RECV_QUEUE: ns_opt = 4;
/// App. The largest message, in both directions. Set before connect. In bytes: 1B to 1GiB,
/// default 16MiB.
pub const NS_OPT_MAX_MESSAGE: ns_opt = 5;
/// App. The shortest wait before a reconnect, not above NS_OPT_BACKOFF_MAX_MS. In
/// milliseconds: 1ms to 24d, default 50ms.
pub const NS_OPT_BACKOFF_MIN_MS: ns_opt = 6;
/// App. The longest wait before a reconnect, not below NS_OPT_BACKOFF_MIN_MS. In
/// milliseconds: 1ms to 24d, default 5s.
pub const NS_OPT_BACKOFF_MAX_MS: ns_opt = 7;
/// App. Have the hub send the app's own states back to it. Set before connect. 0 or 1, default
/// 0.
pub const NS_OPT_ECHO: ns_opt = 8;
/// App. Take the identity over from a live holder. Set before connect. 0 or 1, default 0.
pub const NS_OPT_TAKE_OVER: ns_opt = 9;
/// App. Share the identity with other apps that set this too. Set before connect. 0 or 1,
/// default 0.
pub const NS_OPT_SHARED: ns_opt = 10;
/// App. Send the token unencrypted to another machine, too: anybody on the network between can
/// read it. Set before connect. 0 or 1, default 0.
pub const NS_OPT_CLEAR_TOKEN: ns_opt = 11;
/// App. Publish nothing: the hub logs only at the level debug that the app comes and goes, and
/// refuses its states. Set before connect. 0 or 1, default 0.
pub const NS_OPT_OBSERVER: ns_opt = 12;
/// App. File (PEM) with the certificates of the authorities by which a hub with TLS is trusted,
/// or its own. A text, default $NANOSTATE_TLS_CA.
pub const NS_OPT_TLS_CA: ns_opt = 51;
/// App. SHA-256 of the public key that a hub with TLS has to have, in base64 or hexadecimal; or
/// several, with commas. A text, default $NANOSTATE_TLS_PIN.
pub const NS_OPT_TLS_PIN: ns_opt = 52;
/// App. Access token, for a hub that asks for one. A text, default $NANOSTATE_TOKEN.
pub const NS_OPT_TOKEN: ns_opt = 53;
/// Hub. The largest message. In bytes: 1B to 1GiB, default 16MiB.
pub const NS_OPT_HUB_MAX_MESSAGE: ns_opt = 101;
/// Hub. The largest message to old programs; a stock nanomsg takes no more than the default.
/// In bytes: 1B to 1GiB, default 1MiB.
pub const NS_OPT_HUB_LEGACY_MAX: ns_opt = 102;
/// Hub. How many peers may be connected. A number: 1 to 2147483647, default 4096.
pub const NS_OPT_HUB_MAX_PEERS: ns_opt = 103;
/// Hub. Limit of what is queued for one peer; beyond it the peer gets newest values only, from
/// the table. In bytes: 1B to 1GiB, default 4MiB.
pub const NS_OPT_HUB_OUTBOX: ns_opt = 104;
/// Hub. Limit of unfinished incoming messages, of all peers together. In bytes: 1B to 1TiB,
/// default 256MiB.
pub const NS_OPT_HUB_UNFINISHED: ns_opt = 105;
/// Hub. How long an unfinished message may go without progress. In milliseconds: 1ms to 1000d,
/// default 30s.
pub const NS_OPT_HUB_STALLED_FRAME_MS: ns_opt = 106;
/// Hub. How long a handshake may take. In milliseconds: 1ms to 1000d, default 5s.
pub const NS_OPT_HUB_HANDSHAKE_MS: ns_opt = 107;
/// Hub. How many states are kept, of which one sender may have half. A number: 2 to
/// 2147483647, default 1000000.
pub const NS_OPT_HUB_TABLE_STATES: ns_opt = 108;
/// Hub. The size of all states that are kept, of which one sender may have half. In bytes: 1B
/// to 1TiB, default 512MiB.
pub const NS_OPT_HUB_TABLE_BYTES: ns_opt = 109;
/// Hub. How long the states of a departed sender are kept. In milliseconds: 1ms to 1000d,
/// default 1d.
pub const NS_OPT_HUB_DEPARTED_MS: ns_opt = 110;
/// Hub. Permissions of ipc socket files; they also decide which users may connect to
/// ipc://@name, which has no file. In octal: 0000 to 0777, default 0600.
pub const NS_OPT_HUB_IPC_MODE: ns_opt = 112;
/// Hub. Also send states back to the connection that they came from, as the original hub did;
/// apps drop their own unless they ask for them. 0 or 1, default 0.
pub const NS_OPT_HUB_ECHO: ns_opt = 113;
/// Hub. Send numbers, booleans, nil, arrays and maps to old programs, too; some of them crash
/// on these. 0 or 1, default 0.
pub const NS_OPT_HUB_LEGACY_STRUCTURED: ns_opt = 114;
/// Hub. Send an old program that joins what others published before, as if they published it
/// again. 0 or 1, default 0.
pub const NS_OPT_HUB_LEGACY_SNAPSHOT: ns_opt = 115;
/// Hub. How much of an unfinished message has to arrive in NS_OPT_HUB_STALLED_FRAME_MS; one
/// that is slower gives way when there is no memory for others. In bytes: 0 to 1GiB, default
/// 64KiB.
pub const NS_OPT_HUB_PROGRESS: ns_opt = 116;
/// Hub. Limit of all that states and messages take, half of it for states that are kept; 0
/// stands for twice NS_OPT_HUB_TABLE_BYTES. In bytes: 0 to 1TiB, default 0.
pub const NS_OPT_HUB_MEMORY: ns_opt = 117;
/// Hub. Let web pages that other servers of this machine serve publish, and not only read; the
/// hub has to listen on a loopback address. 0 or 1, default 0.
pub const NS_OPT_HUB_ALLOW_LOCAL_PAGES: ns_opt = 118;
/// Hub. How many of the peers may be WebSockets, with the connections that ask for a web page. A
/// number: 1 to 2147483647, default 1024.
pub const NS_OPT_HUB_MAX_WEBSOCKETS: ns_opt = 119;
/// Hub. How many HTTP requests, for web pages and WebSockets, one address may send in a second,
/// and as many at once; 0 stands for any number. All that come through a proxy have its address.
/// A number: 0 to 1000000, default 64.
pub const NS_OPT_HUB_HTTP_RATE: ns_opt = 120;
/// Hub. Where tokens are asked for: let programs that name none read, old ones, plain
/// WebSockets and clients of gateways among them. 0 or 1, default 0.
pub const NS_OPT_HUB_READ_WITHOUT_TOKEN: ns_opt = 121;
/// Hub. Take tokens unencrypted from other machines, too: anybody on the network between can
/// read them. 0 or 1, default 0.
pub const NS_OPT_HUB_CLEAR_TOKENS: ns_opt = 122;
/// Hub. How long an app over tcp or ws may be silent before others are told that it is suspect;
/// 0 stands for any time. In milliseconds: 0 to 24d, default 5s.
pub const NS_OPT_HUB_SUSPECT_MS: ns_opt = 123;
/// Hub. How long an app over tcp or ws may be silent before its connection is closed and it counts
/// as lost; 0 stands for any time. In milliseconds: 0 to 24d, default 20s.
pub const NS_OPT_HUB_LOST_MS: ns_opt = 124;
/// Hub. File (PEM) with the certificate for addresses with TLS, followed by those of its
/// issuers. A text.
pub const NS_OPT_HUB_TLS_CERT: ns_opt = 151;
/// Hub. File (PEM) with the private key of NS_OPT_HUB_TLS_CERT, unless that has it, too. A
/// text.
pub const NS_OPT_HUB_TLS_KEY: ns_opt = 152;
/// Hub. Folder whose files are served to browsers at the addresses of WebSockets, at most 64 MiB;
/// its pages may publish. It is read at each listen. A text.
pub const NS_OPT_HUB_WWW: ns_opt = 153;
/// Hub. File with the access tokens of which one is asked for: lines of a name, read or
/// read-write, and the token. Set before listen. A text.
pub const NS_OPT_HUB_TOKEN_FILE: ns_opt = 154;
/// Key. How long a value lives that is not sent again; then it is as if it had been cleared. It
/// counts for the values that are sent from then on; 0 stands for ever. In milliseconds: 0 to
/// 1000d, default 0.
pub const NS_OPT_KEY_TTL_MS: ns_opt = 201;
/// Key. The old values of the name mean nothing, as those of a mouse or a camera: each is sent to
/// those that are there, and whoever comes later is not sent it. It counts for the values that are
/// sent from then on. 0 or 1, default 0.
pub const NS_OPT_KEY_TRANSIENT: ns_opt = 202;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{About, AboutText, Unit};
    use crate::wire::Malformed;
    use crate::{AppOption, AppText, HubOption, HubText, KeyOption, Kind, LinkState, PeerEvent, Status};

    const SOURCES: &str = concat!(include_str!("types.rs"), include_str!("log.rs"), include_str!("hub/stats.rs"));

    /// The constants of the header that begin with `prefix`, as they are written: name and number.
    fn constants(prefix: &str) -> Vec<(String, i32)> {
        SOURCES
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';'))
            .filter(|line| line.starts_with(prefix))
            .map(|line| {
                let (name, number) = line.split_once(" = ").unwrap();
                (name.split(':').next().unwrap()[prefix.len()..].to_owned(), number.parse().unwrap())
            })
            .collect()
    }

    /// `IdentityTaken` to `IDENTITY_TAKEN`, `Utf8` to `UTF8`.
    fn upper(variant: &impl std::fmt::Debug) -> String {
        let mut out = String::new();
        for letter in format!("{variant:?}").chars() {
            if letter.is_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.push(letter.to_ascii_uppercase());
        }
        out
    }

    #[test]
    fn every_status_has_its_constant_and_every_constant_its_status() {
        assert_eq!(NS_OK, Status::Ok.code());
        assert_eq!("NS_OK", Status::Ok.name());
        let rust = Status::ALL.iter().filter(|s| **s != Status::Ok).map(|s| (s.name().to_owned(), s.code()));
        let c = constants("NS_ERR_").into_iter().map(|(name, number)| (format!("NS_ERR_{name}"), number));
        assert!(c.eq(rust));
    }

    #[test]
    fn every_kind_has_its_constant_and_every_constant_its_kind() {
        let rust: Vec<_> = Kind::ALL.iter().map(|k| (k.name().to_uppercase(), *k as i32)).collect();
        assert_eq!(constants("NS_KIND_"), rust);
    }

    #[test]
    fn links_and_peer_events_have_their_numbers() {
        let links: Vec<_> = LinkState::ALL.iter().map(|l| (l.name().to_uppercase(), *l as i32)).collect();
        assert_eq!(constants("NS_LINK_"), links);
        let events: Vec<_> = PeerEvent::ALL.iter().map(|e| (e.name().to_uppercase(), *e as i32)).collect();
        assert_eq!(constants("NS_PEER_"), events);
    }

    /// Number, name and comment of every option.
    fn options() -> Vec<(i32, &'static str, String)> {
        let app = |option: &AppOption| number(*option as i32, option.about());
        let hub = |option: &HubOption| number(*option as i32, option.about());
        let app_text = |option: &AppText| text(*option as i32, option.about());
        let hub_text = |option: &HubText| text(*option as i32, option.about());
        let apps = AppOption::ALL.iter().map(app).chain(AppText::ALL.iter().map(app_text));
        let hubs = HubOption::ALL.iter().map(hub).chain(HubText::ALL.iter().map(hub_text));
        let key = |option: &KeyOption| number(*option as i32, option.about());
        apps.chain(hubs).chain(KeyOption::ALL.iter().map(key)).collect()
    }

    fn handle(number: i32) -> &'static str {
        match number {
            0..=100 => "App",
            101..=200 => "Hub",
            _ => "Key",
        }
    }

    fn number(number: i32, about: &About) -> (i32, &'static str, String) {
        let unit = match about.unit {
            Unit::Flag => "0 or 1".to_owned(),
            Unit::Count => format!("A number: {}", about.range()),
            Unit::Bytes => format!("In bytes: {}", about.range()),
            Unit::Milliseconds => format!("In milliseconds: {}", about.range()),
            Unit::Permissions => format!("In octal: {}", about.range()),
        };
        let default = about.unit.show(about.default);
        (number, about.name, format!("{}. {}. {unit}, default {default}.", handle(number), about.text))
    }

    fn text(number: i32, about: &AboutText) -> (i32, &'static str, String) {
        let default = if about.variable.is_empty() { String::new() } else { format!(", default ${}", about.variable) };
        (number, about.name, format!("{}. {}. A text{default}.", handle(number), about.text))
    }

    #[test]
    fn options_of_apps_and_hubs_share_one_number_space() {
        let c = constants("NS_OPT_").into_iter().map(|(name, number)| (number, format!("NS_OPT_{name}")));
        assert!(c.eq(options().into_iter().map(|(number, name, _)| (number, name.to_owned()))));
        assert!(options().windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_comment_of_an_option_is_that_of_its_table() {
        for (_, name, wanted) in options() {
            let line = format!("pub const {name}: ");
            let before = &SOURCES[..SOURCES.find(&line).unwrap()];
            let mut comment: Vec<_> = before.lines().rev().map_while(|line| line.strip_prefix("/// ")).collect();
            comment.reverse();
            assert_eq!(comment.join(" "), wanted);
        }
    }

    #[test]
    fn every_reason_of_a_malformed_message_has_its_index() {
        let rust: Vec<_> = Malformed::ALL.iter().map(|m| (upper(m), m.index() as i32)).collect();
        assert_eq!(constants("NS_MALFORMED_"), rust);
    }

    #[test]
    fn log_levels_are_those_of_the_log_crate() {
        use ::log::LevelFilter as L;
        let levels = [L::Off, L::Error, L::Warn, L::Info, L::Debug, L::Trace];
        assert_eq!(constants("NS_LOG_"), levels.map(|l| (l.as_str().to_owned(), l as i32)));
    }
}
