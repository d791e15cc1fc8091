//! Bytes of somebody else in a text.

use std::fmt;

/// Shows bytes as text in quotes where they are printable ASCII, else as hexadecimal numbers.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return write!(f, "\"{}\"", self.0.escape_ascii());
        }
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}
