//! `ns_value`: one value of any kind, as a program passes it in or is shown it.

use std::ffi::{c_char, c_void, CStr};

use super::{
    data, invalid, ns_kind, null, utf8, NS_KIND_ARRAY, NS_KIND_BOOL, NS_KIND_BYTES, NS_KIND_CLEARED, NS_KIND_DOUBLE,
    NS_KIND_EXT, NS_KIND_INT, NS_KIND_MAP, NS_KIND_NIL, NS_KIND_TEXT, NS_KIND_UINT,
};
use crate::wire::{self, Time};
use crate::{Error, Kind, Result, State, Status, Value};

/// What a value is, by its kind.
#[derive(Clone, Copy)]
#[repr(C)]
pub union ns_value_as {
    /// Of NS_KIND_BOOL.
    pub b: bool,
    /// Of NS_KIND_INT; of a time of ns_value_time, the milliseconds since 1970.
    pub i: i64,
    /// Of NS_KIND_UINT.
    pub u: u64,
    /// Of NS_KIND_DOUBLE.
    pub d: f64,
    /// Of the others: `len` bytes.
    pub p: *const c_void,
}

/// A value of any kind, for ns_app_send and from ns_state_value. The functions below make one; they
/// copy nothing, so that what a pointer leads to has to stay until the value was sent.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ns_value {
    /// An NS_KIND_ number; 0 of bytes that are MessagePack and say themselves what they are. Of
    /// NS_KIND_ARRAY and NS_KIND_MAP the bytes are MessagePack.
    pub kind: ns_kind,
    /// Of NS_KIND_EXT: the number of the extension.
    pub ext: i8,
    /// How many bytes `as.p` leads to. SIZE_MAX: a text that ends with its NUL.
    pub len: usize,
    /// The value itself.
    pub r#as: ns_value_as,
}

/// The number of MessagePack's extension for times.
const TIME: i8 = -1;

impl ns_value {
    /// What it says, for the time of a call.
    ///
    /// # Safety
    /// Its pointer, if its kind has one, leads to `len` bytes that are not changed during `'a`, or to a text with a NUL.
    pub(super) unsafe fn read<'a>(&self) -> Result<Value<'a>> {
        // SAFETY: every pattern of bits is one of these types, and what is not of the kind is not looked at.
        let (int, uint, double, pointer) = unsafe { (self.r#as.i, self.r#as.u, self.r#as.d, self.r#as.p) };
        // SAFETY: as the caller promises.
        let bytes = || unsafe { data(pointer, self.len, "value.as.p") };
        Ok(match self.kind {
            NS_KIND_TEXT if self.len == usize::MAX => {
                if pointer.is_null() {
                    return Err(null("value.as.p"));
                }
                // SAFETY: not NULL, and NUL-terminated as the caller promises.
                Value::Text(utf8(unsafe { CStr::from_ptr(pointer.cast::<c_char>()) }.to_bytes(), "value.as.p")?)
            }
            NS_KIND_TEXT => Value::Text(utf8(bytes()?, "value.as.p")?),
            NS_KIND_BYTES => Value::Bytes(bytes()?),
            NS_KIND_NIL => Value::Nil,
            // SAFETY: as above; C may have left another byte than 0 and 1 there, which is no bool of Rust.
            NS_KIND_BOOL => Value::Bool(unsafe { (&raw const self.r#as.b).cast::<u8>().read() } != 0),
            NS_KIND_INT => Value::Int(int),
            NS_KIND_UINT => Value::Uint(uint),
            NS_KIND_DOUBLE => Value::Double(double),
            // No extension for times has no bytes.
            NS_KIND_EXT if self.ext == TIME && self.len == 0 => Value::Time(Time::from_millis(int)),
            NS_KIND_EXT => Value::Ext(self.ext, bytes()?),
            0 => Value::Msgpack(bytes()?),
            NS_KIND_ARRAY | NS_KIND_MAP => {
                let bytes = bytes()?;
                let kind = wire::check(bytes)?;
                if kind.code() != self.kind {
                    let wanted = Kind::from_code(self.kind).map_or("", Kind::name);
                    let text = format!("value.kind says {wanted}, and its MessagePack is {}", kind.name());
                    return Err(Error::new(Status::Msgpack, text));
                }
                Value::Msgpack(bytes)
            }
            NS_KIND_CLEARED => {
                return Err(invalid("value.kind is NS_KIND_CLEARED: ns_app_clear withdraws a value".to_owned()))
            }
            other => return Err(invalid(format!("value.kind is {other}, which is no NS_KIND_ number"))),
        })
    }

    /// Nothing.
    pub(super) fn nil() -> ns_value {
        ns_value { kind: NS_KIND_NIL, ext: 0, len: 0, r#as: ns_value_as { u: 0 } }
    }

    /// What a state holds. Pointers lead into the state.
    pub(super) fn of(state: &State) -> Result<ns_value> {
        let value = |kind, r#as| ns_value { kind, r#as, ..ns_value::nil() };
        let slice = |kind, ext, bytes: &[u8]| ns_value {
            kind,
            ext,
            len: bytes.len(),
            r#as: ns_value_as { p: bytes.as_ptr().cast() },
        };
        let kind = state.kind().code();
        Ok(match state.kind() {
            Kind::Text => slice(kind, 0, state.text()?.as_bytes()),
            Kind::Bytes => slice(kind, 0, state.bytes()?),
            Kind::Nil | Kind::Cleared => value(kind, ns_value_as { u: 0 }),
            Kind::Bool => {
                // All bytes of it are written, for a program that compares.
                let mut r#as = ns_value_as { u: 0 };
                r#as.b = state.bool()?;
                value(kind, r#as)
            }
            Kind::Int => value(kind, ns_value_as { i: state.int()? }),
            Kind::Uint => value(kind, ns_value_as { u: state.uint()? }),
            Kind::Double => value(kind, ns_value_as { d: state.double()? }),
            Kind::Array | Kind::Map => slice(kind, 0, state.msgpack()),
            Kind::Ext => {
                let (number, bytes) = state.ext()?;
                slice(kind, number, bytes)
            }
        })
    }
}
