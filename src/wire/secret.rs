//! What proves that two connections belong to the same app.

use std::fmt;

use sha1_smol::Sha1;

use crate::{limits, Error, Result, Status};

/// A random number that an app sends only to its hub, in each hello. The hub never forwards it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// Whether `other` is the same secret, in constant time.
    pub fn matches(&self, other: &Secret) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// A digest by which the app is recognised. The secret cannot be computed from it.
    pub fn digest(&self) -> Digest {
        let bytes = Sha1::from(self.0).digest().bytes();
        Digest(*bytes.first_chunk().expect("20 bytes"))
    }
}

/// The digest of a [`Secret`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest(pub [u8; 16]);

/// Without the value, which must not get into a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A text that must not get into a log: it is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// Checks an access token: 1 to 255 bytes without NUL.
///
/// # Errors
/// [`Status::Invalid`], with words that do not name the value.
pub fn check_token(token: &str) -> Result<()> {
    let why = match token.len() {
        0 => "is empty".to_owned(),
        len if len > limits::MAX_TOKEN => format!("has {len} bytes, at most {}", limits::MAX_TOKEN),
        _ if token.contains('\0') => "contains a NUL".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::new(Status::Invalid, format!("the token {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_checked_and_never_shown() {
        assert_eq!(check_token("x").and(check_token(&"x".repeat(255))), Ok(()));
        for (token, text) in [
            ("", "the token is empty"),
            ("a\0b", "the token contains a NUL"),
            (&"\u{e9}".repeat(128), "the token has 256 bytes, at most 255"),
        ] {
            assert_eq!(check_token(token).unwrap_err().to_string(), text);
        }
        assert_eq!(format!("{:?}", Hidden("x")), "Hidden(..)");
    }

    #[test]
    fn a_secret_matches_itself_alone_and_is_not_shown() {
        let secret = Secret([7; 16]);
        assert!(secret.matches(&Secret([7; 16])));
        for at in 0..16 {
            let mut other = secret;
            other.0[at] ^= 0x80;
            assert!(!secret.matches(&other));
        }
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.digest(), Secret([7; 16]).digest());
        assert!(secret.digest() != Secret([8; 16]).digest() && secret.digest().0 != secret.0);
    }
}
