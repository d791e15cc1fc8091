//! Reading MessagePack, one token after the other.

use rmp::Marker;

use super::{Kind, Malformed};
use crate::limits::MAX_DEPTH;

/// A value without its children, as it stands at one place of the bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Above [`i64::MAX`].
    Uint(u64),
    Double(f64),
    /// Not checked for UTF-8.
    Str(&'a [u8]),
    Bin(&'a [u8]),
    /// So many values follow.
    Array(u32),
    /// So many pairs follow.
    Map(u32),
    Ext(i8, &'a [u8]),
}

impl Token<'_> {
    #[inline]
    pub(super) fn kind(&self) -> Kind {
        match self {
            Token::Nil => Kind::Nil,
            Token::Bool(_) => Kind::Bool,
            Token::Int(_) => Kind::Int,
            Token::Uint(_) => Kind::Uint,
            Token::Double(_) => Kind::Double,
            Token::Str(_) => Kind::Text,
            Token::Bin(_) => Kind::Bytes,
            Token::Array(_) => Kind::Array,
            Token::Map(_) => Kind::Map,
            Token::Ext(..) => Kind::Ext,
        }
    }

    /// How many values follow that belong to it; `None` if it is no container.
    #[inline]
    fn children(&self) -> Option<u64> {
        match *self {
            Token::Array(count) => Some(u64::from(count)),
            Token::Map(pairs) => Some(2 * u64::from(pairs)),
            _ => None,
        }
    }

    /// The integer, if it is one that is not negative.
    pub(super) fn as_uint(&self) -> Option<u64> {
        match *self {
            Token::Int(value) => u64::try_from(value).ok(),
            Token::Uint(value) => Some(value),
            _ => None,
        }
    }
}

/// Reads MessagePack from the front of a slice. A length is compared with the bytes at hand before it is used.
pub(super) struct ValueReader<'a> {
    rest: &'a [u8],
}

impl<'a> ValueReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> ValueReader<'a> {
        ValueReader { rest: bytes }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.fixed::<1>()?[0])
    }

    #[inline]
    fn len8(&mut self) -> Result<usize, Malformed> {
        Ok(usize::from(self.byte()?))
    }

    #[inline]
    fn len16(&mut self) -> Result<usize, Malformed> {
        Ok(usize::from(u16::from_be_bytes(self.fixed()?)))
    }

    #[inline]
    fn len32(&mut self) -> Result<usize, Malformed> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn ext(&mut self, len: usize) -> Result<Token<'a>, Malformed> {
        let number = self.byte()? as i8;
        Ok(Token::Ext(number, self.take(len)?))
    }

    /// The type and length of a str or bin, if one is next. Its bytes are left in the input.
    #[inline]
    pub(super) fn string_head(&mut self) -> Result<Option<(StringType, usize)>, Malformed> {
        Ok(Some(match Marker::from_u8(self.byte()?) {
            Marker::FixStr(len) => (StringType::Str, usize::from(len)),
            Marker::Str8 => (StringType::Str, self.len8()?),
            Marker::Str16 => (StringType::Str, self.len16()?),
            Marker::Str32 => (StringType::Str, self.len32()?),
            Marker::Bin8 => (StringType::Bin, self.len8()?),
            Marker::Bin16 => (StringType::Bin, self.len16()?),
            Marker::Bin32 => (StringType::Bin, self.len32()?),
            Marker::Reserved => return Err(Malformed::Reserved),
            _ => return Ok(None),
        }))
    }

    /// The next token; its children are left in the input. A str is not checked for UTF-8.
    #[inline(always)]
    pub(super) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        Ok(match Marker::from_u8(self.byte()?) {
            Marker::FixPos(value) => Token::Int(i64::from(value)),
            Marker::FixNeg(value) => Token::Int(i64::from(value)),
            Marker::FixStr(len) => Token::Str(self.take(usize::from(len))?),
            Marker::FixArray(count) => Token::Array(u32::from(count)),
            Marker::FixMap(pairs) => Token::Map(u32::from(pairs)),
            Marker::Null => Token::Nil,
            Marker::Reserved => return Err(Malformed::Reserved),
            Marker::False => Token::Bool(false),
            Marker::True => Token::Bool(true),
            Marker::U8 => Token::Int(i64::from(self.byte()?)),
            Marker::U16 => Token::Int(i64::from(u16::from_be_bytes(self.fixed()?))),
            Marker::U32 => Token::Int(i64::from(u32::from_be_bytes(self.fixed()?))),
            Marker::U64 => integer(u64::from_be_bytes(self.fixed()?)),
            Marker::I8 => Token::Int(i64::from(i8::from_be_bytes(self.fixed()?))),
            Marker::I16 => Token::Int(i64::from(i16::from_be_bytes(self.fixed()?))),
            Marker::I32 => Token::Int(i64::from(i32::from_be_bytes(self.fixed()?))),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.fixed()?)),
            Marker::F32 => Token::Double(f64::from(f32::from_be_bytes(self.fixed()?))),
            Marker::F64 => Token::Double(f64::from_be_bytes(self.fixed()?)),
            Marker::Str8 => {
                let len = self.len8()?;
                Token::Str(self.take(len)?)
            }
            Marker::Str16 => {
                let len = self.len16()?;
                Token::Str(self.take(len)?)
            }
            Marker::Str32 => {
                let len = self.len32()?;
                Token::Str(self.take(len)?)
            }
            Marker::Bin8 => {
                let len = self.len8()?;
                Token::Bin(self.take(len)?)
            }
            Marker::Bin16 => {
                let len = self.len16()?;
                Token::Bin(self.take(len)?)
            }
            Marker::Bin32 => {
                let len = self.len32()?;
                Token::Bin(self.take(len)?)
            }
            Marker::Array16 => Token::Array(u32::from(u16::from_be_bytes(self.fixed()?))),
            Marker::Array32 => Token::Array(u32::from_be_bytes(self.fixed()?)),
            Marker::Map16 => Token::Map(u32::from(u16::from_be_bytes(self.fixed()?))),
            Marker::Map32 => Token::Map(u32::from_be_bytes(self.fixed()?)),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => {
                let len = self.len8()?;
                self.ext(len)?
            }
            Marker::Ext16 => {
                let len = self.len16()?;
                self.ext(len)?
            }
            Marker::Ext32 => {
                let len = self.len32()?;
                self.ext(len)?
            }
        })
    }

    /// Like [`ValueReader::token`], but checks a str for UTF-8.
    #[inline(always)]
    fn checked(&mut self) -> Result<Token<'a>, Malformed> {
        let token = self.token()?;
        if let Token::Str(text) = token {
            // Short ones cost less in this way.
            if !text.is_ascii() {
                std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
            }
        }
        Ok(token)
    }

    /// Goes over one whole value, all of it checked.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Kind, Malformed> {
        let token = self.checked()?;
        if let Some(count) = token.children() {
            self.children(count)?;
        }
        Ok(token.kind())
    }

    /// Goes over the `count` values of the outermost container.
    fn children(&mut self, count: u64) -> Result<(), Malformed> {
        // What is left of each open container, outermost first.
        let mut open = [0; MAX_DEPTH];
        open[0] = count;
        let mut depth = 1;
        while depth > 0 {
            let left = &mut open[depth - 1];
            if *left == 0 {
                depth -= 1;
                continue;
            }
            *left -= 1;
            if let Some(count) = self.checked()?.children() {
                *open.get_mut(depth).ok_or(Malformed::Depth)? = count;
                depth += 1;
            }
        }
        Ok(())
    }
}

/// Which of the two types that carry a length of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StringType {
    Str,
    Bin,
}

/// An unsigned integer, as the narrower of the two tokens.
#[inline]
pub(super) fn integer(value: u64) -> Token<'static> {
    match i64::try_from(value) {
        Ok(value) => Token::Int(value),
        Err(_) => Token::Uint(value),
    }
}
