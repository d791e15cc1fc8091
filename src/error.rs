//! What can go wrong, as a number that never changes and a sentence that names the value at fault.

use std::fmt;

/// Declares [`Status`] once: variant, number, and the static text of `ns_strerror`.
macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)*) => {
        /// The outcome of a call. The numbers are those of the C API and never change.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(i32)]
        pub enum Status { $($(#[$doc])* $variant = $number,)* }

        impl Status {
            /// Every status, in the order of its number.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// The status with this number.
            pub fn from_code(code: i32) -> Option<Status> {
                match code { $($number => Some(Status::$variant),)* _ => None }
            }

            /// A static English text.
            pub const fn text(self) -> &'static str {
                match self { $(Status::$variant => $text,)* }
            }
        }
    };
}

statuses! {
    /// Success.
    Ok = 0, "success";
    /// An argument is not valid.
    Invalid = -1, "invalid argument";
    /// Memory could not be had.
    NoMemory = -2, "out of memory";
    /// A bug in nanostate; the handle is closed.
    Internal = -3, "internal error";
    /// The call does not fit the handle's state.
    State = -4, "not possible in this state";
    /// The time was up.
    Timeout = -5, "timed out";
    /// The handle was closed.
    Closed = -6, "closed";
    /// `interrupt` was called.
    Interrupted = -7, "interrupted";
    /// This build or platform does not have it.
    Unsupported = -8, "not supported";
    /// The URL is malformed.
    Url = -9, "malformed URL";
    /// The state's name is not allowed.
    Name = -10, "name not allowed";
    /// The identity is not allowed.
    Identity = -11, "identity not allowed";
    /// Text is not UTF-8.
    Utf8 = -12, "not valid UTF-8";
    /// Not one well-formed MessagePack value.
    Msgpack = -13, "not one well-formed MessagePack value";
    /// The state is of another kind.
    Kind = -14, "the state is of another kind";
    /// The number does not fit.
    Range = -15, "the number does not fit";
    /// Over the message limit.
    TooLarge = -16, "too large";
    /// The send queue is full.
    Full = -17, "queue full";
    /// The address is in use.
    InUse = -18, "address in use";
    /// The connection was refused.
    Refused = -19, "connection refused";
    /// The host name could not be resolved.
    Resolve = -20, "host name could not be resolved";
    /// The system denies it.
    Permission = -21, "permission denied";
    /// Another live app has this identity on the hub.
    IdentityTaken = -22, "identity taken by another app";
    /// There is no such thing.
    NotFound = -23, "not found";
    /// Nobody answers this request.
    NoHandler = -24, "no handler";
    /// Any other failure of the system's input and output.
    Io = -25, "input/output error";
}

impl Status {
    /// The number of the C API.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// A failed call: its [`Status`] and words that name the value at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    status: Status,
    text: String,
}

impl Error {
    /// An error with words of its own.
    pub fn new(status: Status, text: impl Into<String>) -> Error {
        Error { status, text: text.into() }
    }

    /// The outcome as the number of the C API.
    pub fn status(&self) -> Status {
        self.status
    }

    /// An error of the system, with `what` naming the value at fault.
    pub fn io(error: &std::io::Error, what: impl fmt::Display) -> Error {
        use std::io::ErrorKind as K;
        let status = match error.kind() {
            K::AddrInUse => Status::InUse,
            K::ConnectionRefused => Status::Refused,
            K::PermissionDenied => Status::Permission,
            K::TimedOut => Status::Timeout,
            K::OutOfMemory => Status::NoMemory,
            K::NotFound => Status::NotFound,
            _ => Status::Io,
        };
        let reason = match status {
            Status::Io | Status::NoMemory => error.to_string(),
            _ => status.text().to_owned(),
        };
        Error::new(status, format!("{reason}: {what}"))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        Error::new(status, status.text())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The result of a nanostate call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
