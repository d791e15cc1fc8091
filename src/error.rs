//! What can go wrong, as a number that never changes and a sentence that names the value at fault.

use std::fmt;

/// Declares [`Status`] once: variant, number, name in C, and the static text of `ns_strerror`.
macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:ident, $text:literal;)*) => {
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

            /// Its name in C.
            pub const fn name(self) -> &'static str {
                match self { $(Status::$variant => stringify!($name),)* }
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
    Ok = 0, NS_OK, "success";
    /// An argument is not valid.
    Invalid = -1, NS_ERR_INVALID, "invalid argument";
    /// Memory could not be had.
    NoMemory = -2, NS_ERR_NO_MEMORY, "out of memory";
    /// A bug in nanostate; the handle is closed.
    Internal = -3, NS_ERR_INTERNAL, "internal error";
    /// The call does not fit the handle's state.
    State = -4, NS_ERR_STATE, "not possible in this state";
    /// The time was up.
    Timeout = -5, NS_ERR_TIMEOUT, "timed out";
    /// The handle was closed.
    Closed = -6, NS_ERR_CLOSED, "closed";
    /// `interrupt` was called.
    Interrupted = -7, NS_ERR_INTERRUPTED, "interrupted";
    /// This build or platform does not have it.
    Unsupported = -8, NS_ERR_UNSUPPORTED, "not supported";
    /// The URL is malformed.
    Url = -9, NS_ERR_URL, "malformed URL";
    /// The state's name is not allowed.
    Name = -10, NS_ERR_NAME, "name not allowed";
    /// The identity is not allowed.
    Identity = -11, NS_ERR_IDENTITY, "identity not allowed";
    /// Text is not UTF-8.
    Utf8 = -12, NS_ERR_UTF8, "not valid UTF-8";
    /// Not one well-formed MessagePack value.
    Msgpack = -13, NS_ERR_MSGPACK, "not one well-formed MessagePack value";
    /// The state is of another kind.
    Kind = -14, NS_ERR_KIND, "the state is of another kind";
    /// The number does not fit.
    Range = -15, NS_ERR_RANGE, "the number does not fit";
    /// Over the message limit.
    TooLarge = -16, NS_ERR_TOO_LARGE, "too large";
    /// No room: in the send queue, in the hub's table, or for another peer.
    Full = -17, NS_ERR_FULL, "no room left";
    /// The address is in use.
    InUse = -18, NS_ERR_IN_USE, "address in use";
    /// The connection was refused.
    Refused = -19, NS_ERR_REFUSED, "connection refused";
    /// The host name could not be resolved.
    Resolve = -20, NS_ERR_RESOLVE, "host name could not be resolved";
    /// The system denies it.
    Permission = -21, NS_ERR_PERMISSION, "permission denied";
    /// Another live app has this identity on the hub.
    IdentityTaken = -22, NS_ERR_IDENTITY_TAKEN, "identity taken by another app";
    /// There is no such thing.
    NotFound = -23, NS_ERR_NOT_FOUND, "not found";
    /// Nobody answers this request.
    NoHandler = -24, NS_ERR_NO_HANDLER, "no handler";
    /// Any other failure of the system's input and output.
    Io = -25, NS_ERR_IO, "input/output error";
    /// TLS failed: a certificate does not fit, or the other side does not speak it.
    Tls = -26, NS_ERR_TLS, "no secure connection";
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

    /// An error of the system, or one of ours in the place of one, with `what` naming the value at fault.
    pub fn io(error: &std::io::Error, what: impl fmt::Display) -> Error {
        use std::io::ErrorKind as K;
        if let Some(ours) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return Error::new(ours.status, format!("{ours}: {what}"));
        }
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
            Status::Io | Status::NoMemory => Error::words(error),
            _ => status.text().to_owned(),
        };
        Error::new(status, format!("{reason}: {what}"))
    }

    /// The words of an error of the system, as `strerror` and `gai_strerror` have them: without what Rust's standard
    /// library puts around them.
    pub fn words(error: &std::io::Error) -> String {
        let text = error.to_string();
        let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
        let number = error.raw_os_error().map(|number| format!(" (os error {number})"));
        number.and_then(|number| text.strip_suffix(&number)).unwrap_or(text).to_owned()
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_of_the_system_is_told_in_its_own_words() {
        let text = |number| Error::io(&io::Error::from_raw_os_error(number), "ipc:///x").to_string();
        assert_eq!(text(libc::ENOTDIR), "Not a directory: ipc:///x");
        assert_eq!(text(libc::ENOMEM), "Cannot allocate memory: ipc:///x");
        assert_eq!(text(libc::EADDRINUSE), "address in use: ipc:///x");
        assert_eq!(Error::words(&io::Error::other("of ours (os error 2)")), "of ours (os error 2)");
    }
}
