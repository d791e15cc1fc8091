//! A list of texts in a message.

use super::token::{Token, ValueReader};
use super::value::{put_array, put_str};
use super::Malformed;

/// An array of str, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    /// Appends these to `out`, and is them.
    pub fn encode<'t>(texts: impl ExactSizeIterator<Item = &'t str>, out: &'a mut Vec<u8>) -> Texts<'a> {
        let start = out.len();
        put_array(out, texts.len() as u32);
        texts.for_each(|text| put_str(out, text));
        Texts(&out[start..])
    }

    /// Reads the value at the front of `data`.
    ///
    /// # Errors
    /// [`Malformed::Control`]: it is not an array of str.
    pub fn decode(data: &'a [u8]) -> Result<Texts<'a>, Malformed> {
        let mut reader = ValueReader::new(data);
        let Token::Array(count) = reader.token()? else { return Err(Malformed::Control) };
        for _ in 0..count {
            let Token::Str(text) = reader.token()? else { return Err(Malformed::Control) };
            std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
        }
        Ok(Texts(&data[..data.len() - reader.rest().len()]))
    }

    /// As it is in a message.
    pub(super) fn encoded(self) -> &'a [u8] {
        self.0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut reader = ValueReader::new(self.0);
        let count = match reader.token() {
            Ok(Token::Array(count)) => count,
            _ => 0,
        };
        (0..count).map_while(move |_| match reader.token() {
            Ok(Token::Str(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_read_as_they_were_written(texts in vec(".{0,40}", 0..20), behind in vec(any::<u8>(), 0..5)) {
            let mut out = Vec::new();
            let written = Texts::encode(texts.iter().map(String::as_str), &mut out);
            prop_assert_eq!(written.iter().collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
            let all = [written.encoded(), &behind].concat();
            let read = Texts::decode(&all).expect("texts");
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), texts);
        }

        #[test]
        fn any_bytes_are_texts_or_an_error(bytes in vec(any::<u8>(), 0..100)) {
            if let Ok(texts) = Texts::decode(&bytes) {
                prop_assert!(texts.iter().count() <= bytes.len());
            }
        }
    }

    #[test]
    fn what_is_no_list_of_texts_is_an_error() {
        for bytes in [&b"\x01"[..], b"\x91\x01", b"\x92\xA1a", b"\x91\xA1\xFF", b"", b"\x91\xC4\x01a"] {
            assert!(Texts::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
