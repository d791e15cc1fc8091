//! Keys of a terminal.

use std::str;

/// A key that was pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// It writes this.
    Char(char),
    Enter,
    Backspace,
    Escape,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What a terminal sends for a key that writes nothing, behind the escape character.
const SEQUENCES: [(&[u8], Key); 14] = [
    (b"[A", Key::Up),
    (b"OA", Key::Up),
    (b"[B", Key::Down),
    (b"OB", Key::Down),
    (b"[5~", Key::PageUp),
    (b"[6~", Key::PageDown),
    (b"[H", Key::Home),
    (b"OH", Key::Home),
    (b"[1~", Key::Home),
    (b"[7~", Key::Home),
    (b"[F", Key::End),
    (b"OF", Key::End),
    (b"[4~", Key::End),
    (b"[8~", Key::End),
];

/// Takes the keys out of what was read from a terminal. An incomplete character stays in `input`; so does an incomplete
/// sequence, if more of it `is_to_come`. Unknown keys are skipped.
pub fn keys(input: &mut Vec<u8>, is_to_come: bool) -> Vec<Key> {
    let (mut keys, mut rest) = (Vec::new(), &input[..]);
    while let Some((&byte, behind)) = rest.split_first() {
        match byte {
            0x1B if is_to_come && is_beginning(behind) => break,
            0x1B => match length(behind) {
                0 => {
                    keys.push(Key::Escape);
                    rest = behind;
                }
                length => {
                    let (sequence, behind) = behind.split_at(length);
                    keys.extend(SEQUENCES.iter().find(|(known, _)| *known == sequence).map(|(_, key)| *key));
                    rest = behind;
                }
            },
            b'\r' | b'\n' => {
                keys.push(Key::Enter);
                rest = behind;
            }
            0x7F | 0x08 => {
                keys.push(Key::Backspace);
                rest = behind;
            }
            0..=0x1F => rest = behind,
            _ => match character(rest) {
                Ok((char, length)) => {
                    keys.push(Key::Char(char));
                    rest = &rest[length..];
                }
                Err(false) => rest = behind,
                Err(true) => break,
            },
        }
    }
    *input = rest.to_vec();
    keys
}

/// Whether these bytes after an escape character may be an incomplete sequence.
fn is_beginning(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b'O'] => true,
        [b'[', rest @ ..] => rest.iter().all(|byte| (0x20..0x40).contains(byte)),
        _ => false,
    }
}

/// How long the sequence is whose escape character came before; 0 if that was the escape key.
fn length(bytes: &[u8]) -> usize {
    match bytes {
        [b'O', _, ..] => 2,
        [b'[', rest @ ..] => {
            let parameters = rest.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            (1 + parameters + 1).min(bytes.len())
        }
        _ => 0,
    }
}

/// The first character, and how long it is. Otherwise whether it is only the beginning of one.
fn character(bytes: &[u8]) -> Result<(char, usize), bool> {
    let valid = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() == 0 => return Err(error.error_len().is_none()),
        Err(error) => str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map(|char| (char, char.len_utf8())).ok_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Key>, Vec<u8>) {
        let mut input = bytes.to_vec();
        (keys(&mut input, false), input)
    }

    #[test]
    fn a_sequence_that_comes_in_pieces_is_one_key() {
        for (_, key) in SEQUENCES {
            let whole = SEQUENCES.iter().filter(|(_, of)| *of == key).map(|(rest, _)| [b"\x1b", *rest].concat());
            for bytes in whole {
                for at in 1..bytes.len() {
                    let mut input = bytes[..at].to_vec();
                    assert_eq!(keys(&mut input, true), [], "{bytes:?}");
                    input.extend_from_slice(&bytes[at..]);
                    assert_eq!((keys(&mut input, true), input), (vec![key], vec![]), "{bytes:?}");
                }
            }
        }
        let mut input = b"q\x1b".to_vec();
        assert_eq!(keys(&mut input, true), [Key::Char('q')]);
        assert_eq!(keys(&mut input, false), [Key::Escape]);
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        let (found, rest) = read(b"s\xC3\xA4\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~\r\x7f /");
        use Key::{Backspace, Char, Down, End, Enter, Home, PageDown, PageUp, Up};
        let expected =
            [Char('s'), Char('\u{e4}'), Up, Down, PageUp, PageDown, Home, End, Enter, Backspace, Char(' '), Char('/')];
        assert_eq!((&found[..], &rest[..]), (&expected[..], &b""[..]));
        assert_eq!(read(b"\x1b").0, [Key::Escape]);
        assert_eq!(read(b"\x1bq").0, [Key::Escape, Key::Char('q')]);
    }

    #[test]
    fn keys_that_are_not_known_give_nothing_and_half_a_character_waits() {
        assert_eq!(read(b"\x1b[200~q\x01\x1b[1;5A"), (vec![Key::Char('q')], vec![]));
        assert_eq!(read(b"\xFFq"), (vec![Key::Char('q')], vec![]));
        assert_eq!(read(b"q\xE2\x82"), (vec![Key::Char('q')], vec![0xE2, 0x82]));
        assert_eq!(read(b"\x1b["), (vec![], vec![]));
    }
}
