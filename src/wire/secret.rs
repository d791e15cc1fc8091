//! What proves that two connections belong to the same app.

use std::fmt;

/// A random number that an app sends only to its hub, in each hello. The hub never forwards it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// Whether `other` is the same secret, in constant time.
    pub fn matches(&self, other: &Secret) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// Without the value, which must not get into a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
