//! The options of apps, hubs and keys, each once: number, name, unit, range, default, and what it is.
//!
//! Checks and error texts, the comments of the C header and the flags of `nanostate hub` all come from here. Most are
//! numbers ([`AppOption`], [`HubOption`], [`KeyOption`]), some texts ([`AppText`], [`HubText`]).

use crate::limits;
use crate::numbered::numbers;
use crate::{Error, Result, Status};

/// What the value of an option counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// 0 or 1.
    Flag,
    /// A number of things.
    Count,
    /// A size.
    Bytes,
    /// A duration.
    Milliseconds,
    /// Permission bits of a file, written in octal.
    Permissions,
}

/// Units of [`Unit::Bytes`] in texts, the largest first.
const SIZES: &[(&str, i64)] = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// Units of [`Unit::Milliseconds`] in texts, the largest first.
const TIMES: &[(&str, i64)] = &[("d", DAY), ("h", DAY / 24), ("min", 60_000), ("s", 1000), ("ms", 1)];

const DAY: i64 = 24 * 3600 * 1000;
const GIB: i64 = 1 << 30;
const TIB: i64 = 1 << 40;
const INT: i64 = i32::MAX as i64;

impl Unit {
    /// A value in words that [`Unit::parse`] reads: `16MiB`, `30s`, `0600`, `4096`.
    pub fn show(self, value: i64) -> String {
        match self {
            Unit::Flag | Unit::Count => value.to_string(),
            Unit::Bytes => in_units(value, SIZES),
            Unit::Milliseconds => in_units(value, TIMES),
            Unit::Permissions => octal(value),
        }
    }

    /// Reads a value: sizes as bytes or with a unit (`64KiB`, `64K`), durations always with one (`500ms`, `2min`),
    /// permissions in octal.
    ///
    /// # Errors
    /// What would be right, in words.
    pub fn parse(self, text: &str) -> Result<i64, String> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = (&text[..digits], text[digits..].trim_start());
        let read = |units: &[(&str, i64)]| -> Option<i64> {
            let short = |name: &str| name.strip_suffix("iB").is_some_and(|name| name == unit);
            let (_, factor) = units.iter().find(|(name, _)| *name == unit || short(name))?;
            number.parse::<i64>().ok()?.checked_mul(*factor)
        };
        match self {
            Unit::Flag | Unit::Count if unit.is_empty() => number.parse().ok(),
            Unit::Flag | Unit::Count => None,
            Unit::Bytes if unit.is_empty() => number.parse().ok(),
            Unit::Bytes => read(SIZES),
            Unit::Milliseconds if text == "0" => Some(0),
            Unit::Milliseconds => read(TIMES),
            Unit::Permissions if unit.is_empty() => i64::from_str_radix(number, 8).ok(),
            Unit::Permissions => None,
        }
        .ok_or_else(|| self.wanted().to_owned())
    }

    /// What a value of this unit looks like.
    fn wanted(self) -> &'static str {
        match self {
            Unit::Flag => "expected 0 or 1",
            Unit::Count => "expected a number",
            Unit::Bytes => "expected a size, like 65536, 64KiB, 16MiB or 1GiB",
            Unit::Milliseconds => "expected a duration with its unit, like 500ms, 30s, 5min, 24h or 7d",
            Unit::Permissions => "expected octal permissions, like 0660",
        }
    }

    /// A value as C programs write it.
    fn number(self, value: i64) -> String {
        match self {
            Unit::Permissions => octal(value),
            _ => value.to_string(),
        }
    }
}

fn in_units(value: i64, units: &[(&str, i64)]) -> String {
    let unit = units.iter().find(|(_, factor)| value != 0 && value % factor == 0);
    unit.map_or("0".to_owned(), |(name, factor)| format!("{}{name}", value / factor))
}

fn octal(value: i64) -> String {
    match value {
        0.. => format!("0{value:03o}"),
        _ => value.to_string(),
    }
}

/// What is known of an option.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct About {
    /// Its name in C.
    pub name: &'static str,
    /// What its value counts.
    pub unit: Unit,
    /// The smallest value that it takes.
    pub low: i64,
    /// The largest.
    pub high: i64,
    /// The value that it has unless set.
    pub default: i64,
    /// What it does, in words that end without a full stop.
    pub text: &'static str,
}

impl About {
    /// Refuses a value out of range.
    pub(crate) fn check(&self, value: i64) -> Result<()> {
        if (self.low..=self.high).contains(&value) {
            return Ok(());
        }
        let [value, low, high] = [value, self.low, self.high].map(|value| self.unit.number(value));
        Err(Error::new(Status::Invalid, format!("{} must be {low} to {high}, not {value}", self.name)))
    }

    /// Reads a value as [`Unit::parse`] does, and refuses one out of range.
    ///
    /// # Errors
    /// What would be right, in words.
    pub fn parse(&self, text: &str) -> Result<i64, String> {
        let value = self.unit.parse(text)?;
        match (self.low..=self.high).contains(&value) {
            true => Ok(value),
            false => Err(format!("expected {}", self.range())),
        }
    }

    /// The smallest and the largest value, as [`Unit::show`] shows them.
    pub fn range(&self) -> String {
        format!("{} to {}", self.unit.show(self.low), self.unit.show(self.high))
    }
}

/// Declares the options of one kind of handle.
macro_rules! options {
    ($(#[$doc:meta])* $Options:ident {
        $($variant:ident = $number:literal, $name:ident, $unit:ident, $low:tt..$high:expr, $default:expr, $text:literal;)*
    }) => {
        numbers! {
            $(#[$doc])*
            pub enum $Options { $(#[doc = concat!($text, ".")] $variant = $number;)* }
        }

        impl $Options {
            /// What is known of it.
            pub const fn about(self) -> &'static About {
                match self {
                    $($Options::$variant => {
                        const ABOUT: &About = &About {
                            name: stringify!($name),
                            unit: Unit::$unit,
                            low: $low,
                            high: $high,
                            default: $default as i64,
                            text: $text,
                        };
                        ABOUT
                    })*
                }
            }
        }
    };
}

options! {
    /// What [`App::set`](crate::App::set) sets. The numbers are those of the C API.
    AppOption {
        LingerMs = 1, NS_OPT_LINGER_MS, Milliseconds, 0..24 * DAY, limits::LINGER.as_millis(),
            "How long closing waits for unsent values";
        CallbackThread = 2, NS_OPT_CALLBACK_THREAD, Flag, 0..1, false,
            "Run callbacks on the app's own thread. Set before connect";
        SendQueue = 3, NS_OPT_SEND_QUEUE, Bytes, 1..GIB, limits::SEND_QUEUE,
            "Limit of the own values that are kept, sent or not; beyond it sends fail with NS_ERR_FULL";
        RecvQueue = 4, NS_OPT_RECV_QUEUE, Bytes, 1..GIB, limits::RECV_QUEUE,
            "Limit of states received and not yet taken; beyond it only the newest value of each name waits";
        MaxMessage = 5, NS_OPT_MAX_MESSAGE, Bytes, 1..GIB, limits::MAX_MESSAGE,
            "The largest message, in both directions. Set before connect";
        BackoffMinMs = 6, NS_OPT_BACKOFF_MIN_MS, Milliseconds, 1..24 * DAY, limits::BACKOFF_MIN.as_millis(),
            "The shortest wait before a reconnect, not above NS_OPT_BACKOFF_MAX_MS";
        BackoffMaxMs = 7, NS_OPT_BACKOFF_MAX_MS, Milliseconds, 1..24 * DAY, limits::BACKOFF_MAX.as_millis(),
            "The longest wait before a reconnect, not below NS_OPT_BACKOFF_MIN_MS";
        Echo = 8, NS_OPT_ECHO, Flag, 0..1, false,
            "Have the hub send the app's own states back to it. Set before connect";
        TakeOver = 9, NS_OPT_TAKE_OVER, Flag, 0..1, false,
            "Take the identity over from a live holder. Set before connect";
        Shared = 10, NS_OPT_SHARED, Flag, 0..1, false,
            "Share the identity with other apps that set this too. Set before connect";
        ClearToken = 11, NS_OPT_CLEAR_TOKEN, Flag, 0..1, false,
            "Send the token unencrypted to another machine, too: anybody on the network between can read it. Set before \
             connect";
        Observer = 12, NS_OPT_OBSERVER, Flag, 0..1, false,
            "Publish nothing: the hub logs only at the level debug that the app comes and goes, and refuses its states. Set \
             before connect";
    }
}

options! {
    /// What [`Hub::set`](crate::Hub::set) sets. The numbers are those of the C API.
    HubOption {
        MaxMessage = 101, NS_OPT_HUB_MAX_MESSAGE, Bytes, 1..GIB, limits::MAX_MESSAGE,
            "The largest message";
        LegacyMax = 102, NS_OPT_HUB_LEGACY_MAX, Bytes, 1..GIB, limits::LEGACY_MAX,
            "The largest message to old programs; a stock nanomsg takes no more than the default";
        MaxPeers = 103, NS_OPT_HUB_MAX_PEERS, Count, 1..INT, limits::MAX_PEERS,
            "How many peers may be connected";
        Outbox = 104, NS_OPT_HUB_OUTBOX, Bytes, 1..GIB, limits::OUTBOX,
            "Limit of what is queued for one peer; beyond it the peer gets newest values only, from the table";
        Unfinished = 105, NS_OPT_HUB_UNFINISHED, Bytes, 1..TIB, limits::UNFINISHED,
            "Limit of unfinished incoming messages, of all peers together";
        StalledFrameMs = 106, NS_OPT_HUB_STALLED_FRAME_MS, Milliseconds, 1..1000 * DAY, limits::STALLED_FRAME.as_millis(),
            "How long an unfinished message may go without progress";
        HandshakeMs = 107, NS_OPT_HUB_HANDSHAKE_MS, Milliseconds, 1..1000 * DAY, limits::HANDSHAKE.as_millis(),
            "How long a handshake may take";
        TableStates = 108, NS_OPT_HUB_TABLE_STATES, Count, 2..INT, limits::TABLE_STATES,
            "How many states are kept, of which one sender may have half";
        TableBytes = 109, NS_OPT_HUB_TABLE_BYTES, Bytes, 1..TIB, limits::TABLE_BYTES,
            "The size of all states that are kept, of which one sender may have half";
        DepartedMs = 110, NS_OPT_HUB_DEPARTED_MS, Milliseconds, 1..1000 * DAY, limits::DEPARTED.as_millis(),
            "How long the states of a departed sender are kept";
        IpcMode = 112, NS_OPT_HUB_IPC_MODE, Permissions, 0..0o777, limits::IPC_MODE,
            "Permissions of ipc socket files; they also decide which users may connect to ipc://@name, which has no \
             file";
        Echo = 113, NS_OPT_HUB_ECHO, Flag, 0..1, false,
            "Also send states back to the connection that they came from, as the original hub did; apps drop their own \
             unless they ask for them";
        LegacyStructured = 114, NS_OPT_HUB_LEGACY_STRUCTURED, Flag, 0..1, false,
            "Send numbers, booleans, nil, arrays and maps to old programs, too; some of them crash on these";
        LegacySnapshot = 115, NS_OPT_HUB_LEGACY_SNAPSHOT, Flag, 0..1, false,
            "Send an old program that joins what others published before, as if they published it again";
        Progress = 116, NS_OPT_HUB_PROGRESS, Bytes, 0..GIB, limits::PROGRESS,
            "How much of an unfinished message has to arrive in NS_OPT_HUB_STALLED_FRAME_MS; one that is slower gives way \
             when there is no memory for others";
        Memory = 117, NS_OPT_HUB_MEMORY, Bytes, 0..TIB, 0,
            "Limit of all that states and messages take, half of it for states that are kept; 0 stands for twice \
             NS_OPT_HUB_TABLE_BYTES";
        AllowLocalPages = 118, NS_OPT_HUB_ALLOW_LOCAL_PAGES, Flag, 0..1, false,
            "Let web pages that other servers of this machine serve publish, and not only read; the hub has to listen on \
             a loopback address";
        MaxWebsockets = 119, NS_OPT_HUB_MAX_WEBSOCKETS, Count, 1..INT, limits::MAX_WEBSOCKETS,
            "How many of the peers may be WebSockets, with the connections that ask for a web page";
        HttpRate = 120, NS_OPT_HUB_HTTP_RATE, Count, 0..1_000_000, limits::HTTP_RATE,
            "How many HTTP requests, for web pages and WebSockets, one address may send in a second, and as many at once; \
             0 stands for any number. All that come through a proxy have its address";
        ReadWithoutToken = 121, NS_OPT_HUB_READ_WITHOUT_TOKEN, Flag, 0..1, false,
            "Where tokens are asked for: let programs that name none read, old ones, plain WebSockets and clients of \
             gateways among them";
        ClearTokens = 122, NS_OPT_HUB_CLEAR_TOKENS, Flag, 0..1, false,
            "Take tokens unencrypted from other machines, too: anybody on the network between can read them";
        SuspectMs = 123, NS_OPT_HUB_SUSPECT_MS, Milliseconds, 0..24 * DAY, limits::SUSPECT.as_millis(),
            "How long an app over tcp or ws may be silent before others are told that it is suspect; 0 stands for any time";
        LostMs = 124, NS_OPT_HUB_LOST_MS, Milliseconds, 0..24 * DAY, limits::LOST.as_millis(),
            "How long an app over tcp or ws may be silent before its connection is closed and it counts as lost; 0 stands \
             for any time";
    }
}

options! {
    /// What [`Key::set`](crate::Key::set) sets. The numbers are those of the C API.
    KeyOption {
        TtlMs = 201, NS_OPT_KEY_TTL_MS, Milliseconds, 0..1000 * DAY, 0,
            "How long a value lives that is not sent again; then it is as if it had been cleared. It counts for the values \
             that are sent from then on; 0 stands for ever";
        Transient = 202, NS_OPT_KEY_TRANSIENT, Flag, 0..1, 0,
            "The old values of the name mean nothing, as those of a mouse or a camera: each is sent to those that are there, \
             and whoever comes later is not sent it. It counts for the values that are sent from then on";
    }
}

/// What is known of an option whose value is a text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AboutText {
    /// Its name in C.
    pub name: &'static str,
    /// The environment variable that stands for it where it is not set; "" if there is none.
    pub variable: &'static str,
    /// What it does, in words that end without a full stop.
    pub text: &'static str,
}

/// Declares the options of one kind of handle whose values are texts.
macro_rules! text_options {
    ($(#[$doc:meta])* $Options:ident { $($variant:ident = $number:literal, $name:ident, $variable:literal, $text:literal;)* }) => {
        numbers! {
            $(#[$doc])*
            pub enum $Options { $(#[doc = concat!($text, ".")] $variant = $number;)* }
        }

        impl $Options {
            /// What is known of it.
            pub const fn about(self) -> &'static AboutText {
                match self {
                    $($Options::$variant => {
                        const ABOUT: &AboutText =
                            &AboutText { name: stringify!($name), variable: $variable, text: $text };
                        ABOUT
                    })*
                }
            }

            /// What is set, else the variable of the environment. Without either, or if it is empty: `None`.
            pub(crate) fn value(self, texts: &Texts) -> Option<String> {
                let variable = self.about().variable;
                let set = texts.0.iter().find(|(number, _)| *number == self as i32).map(|(_, text)| text.clone());
                let value = set.or_else(|| Some(variable).filter(|name| !name.is_empty()).and_then(|v| std::env::var(v).ok()));
                value.filter(|value| !value.is_empty())
            }

            /// Sets it, or with `None` sets it no longer.
            pub(crate) fn set(self, texts: &mut Texts, value: Option<&str>) {
                texts.0.retain(|(number, _)| *number != self as i32);
                texts.0.extend(value.map(|value| (self as i32, value.to_owned())));
            }
        }
    };
}

/// The texts that are set, each with the number of its option.
#[derive(Default)]
pub(crate) struct Texts(Vec<(i32, String)>);

text_options! {
    /// What [`App::set_text`](crate::App::set_text) sets. The numbers are those of the C API.
    AppText {
        TlsCa = 51, NS_OPT_TLS_CA, "NANOSTATE_TLS_CA",
            "File (PEM) with the certificates of the authorities by which a hub with TLS is trusted, or its own";
        TlsPin = 52, NS_OPT_TLS_PIN, "NANOSTATE_TLS_PIN",
            "SHA-256 of the public key that a hub with TLS has to have, in base64 or hexadecimal; or several, with commas";
        Token = 53, NS_OPT_TOKEN, "NANOSTATE_TOKEN",
            "Access token, for a hub that asks for one";
    }
}

text_options! {
    /// What [`Hub::set_text`](crate::Hub::set_text) sets. The numbers are those of the C API.
    HubText {
        TlsCert = 151, NS_OPT_HUB_TLS_CERT, "",
            "File (PEM) with the certificate for addresses with TLS, followed by those of its issuers";
        TlsKey = 152, NS_OPT_HUB_TLS_KEY, "",
            "File (PEM) with the private key of NS_OPT_HUB_TLS_CERT, unless that has it, too";
        Www = 153, NS_OPT_HUB_WWW, "",
            "Folder whose files are served to browsers at the addresses of WebSockets, at most 64 MiB; its pages may \
             publish. It is read at each listen";
        TokenFile = 154, NS_OPT_HUB_TOKEN_FILE, "",
            "File with the access tokens of which one is asked for: lines of a name, read or read-write, and the token. \
             Set before listen";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_that_which_was_set_last() {
        let mut texts = Texts::default();
        assert_eq!(HubText::TlsCert.value(&texts), None);
        for value in ["a", "b"] {
            HubText::TlsCert.set(&mut texts, Some(value));
            assert_eq!(HubText::TlsCert.value(&texts).as_deref(), Some(value));
        }
        assert_eq!(HubText::TlsKey.value(&texts), None);
        HubText::TlsCert.set(&mut texts, Some(""));
        assert_eq!(HubText::TlsCert.value(&texts), None);
        HubText::TlsCert.set(&mut texts, None);
        assert_eq!(HubText::TlsCert.value(&texts), None);
    }

    fn all() -> Vec<&'static About> {
        let apps = AppOption::ALL.iter().map(|option| option.about());
        let hubs = HubOption::ALL.iter().map(|option| option.about());
        apps.chain(hubs).chain(KeyOption::ALL.iter().map(|option| option.about())).collect()
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for about in all() {
            for value in [about.low, about.high, about.default] {
                assert_eq!(about.parse(&about.unit.show(value)), Ok(value), "{}", about.name);
            }
        }
        for (unit, value, shown) in [
            (Unit::Bytes, 64 << 20, "64MiB"),
            (Unit::Bytes, 1000, "1000B"),
            (Unit::Bytes, 0, "0"),
            (Unit::Milliseconds, 1500, "1500ms"),
            (Unit::Milliseconds, 90_000, "90s"),
            (Unit::Milliseconds, DAY, "1d"),
            (Unit::Permissions, 0o60, "0060"),
            (Unit::Count, 1 << 20, "1048576"),
        ] {
            assert_eq!(unit.show(value), shown);
        }
    }

    #[test]
    fn sizes_and_durations_are_read_with_their_units() {
        for (unit, text, value) in [
            (Unit::Bytes, "65536", 65536),
            (Unit::Bytes, "64K", 65536),
            (Unit::Bytes, "64 KiB", 65536),
            (Unit::Bytes, "2G", 2 << 30),
            (Unit::Milliseconds, "2min", 120_000),
            (Unit::Milliseconds, "24 h", DAY),
            (Unit::Permissions, "660", 0o660),
        ] {
            assert_eq!(unit.parse(text), Ok(value), "{text}");
        }
        for (unit, text) in [
            (Unit::Bytes, ""),
            (Unit::Bytes, "-1"),
            (Unit::Bytes, "MiB"),
            (Unit::Bytes, "1MB"),
            (Unit::Bytes, "99999999999T"),
            (Unit::Bytes, "1.5MiB"),
            (Unit::Milliseconds, "5000"),
            (Unit::Milliseconds, "5m"),
            (Unit::Count, "4K"),
            (Unit::Permissions, "0680"),
            (Unit::Permissions, "+7"),
        ] {
            assert_eq!(unit.parse(text), Err(unit.wanted().to_owned()), "{text}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_name_of_its_option() {
        let text = |about: &About, value| about.check(value).unwrap_err().to_string();
        assert_eq!(text(AppOption::LingerMs.about(), -5), "NS_OPT_LINGER_MS must be 0 to 2073600000, not -5");
        assert_eq!(text(HubOption::IpcMode.about(), 0o1000), "NS_OPT_HUB_IPC_MODE must be 0000 to 0777, not 01000");
        assert_eq!(HubOption::Outbox.about().parse("2GiB"), Err("expected 1B to 1GiB".to_owned()));
    }

    #[test]
    fn every_default_is_in_its_range() {
        for about in all() {
            assert!(about.check(about.default).is_ok(), "{}", about.name);
        }
    }
}
