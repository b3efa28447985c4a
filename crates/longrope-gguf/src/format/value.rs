//! Typed values of metadata.

use super::cursor::Cursor;
use crate::error::{Error, Result};

/// Keys and values, in file order.
pub type Metadata = Vec<(String, Value)>;

/// A value of metadata.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say what they are")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    /// Elements of one type.
    Array(Vec<Value>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// The number of the type of arrays.
const ARRAY: u32 = 9;
/// The type of an empty array; readers ignore it.
const OF_EMPTY: u32 = 8;

impl Value {
    /// The number of its type in a file.
    fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(_) => ARRAY,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    /// Appends type and value as a file holds them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.type_id().to_le_bytes());
        self.write_bare(out);
    }

    fn write_bare(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => out.push(*value),
            Self::I8(value) => out.extend(value.to_le_bytes()),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::I16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::String(text) => write_string(text, out),
            Self::Array(values) => {
                let of = values.first().map_or(OF_EMPTY, Self::type_id);
                out.extend(of.to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                for value in values {
                    value.write_bare(out);
                }
            }
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::I64(value) => out.extend(value.to_le_bytes()),
            Self::F64(value) => out.extend(value.to_le_bytes()),
        }
    }

    /// Reads type and value.
    pub(crate) fn read(cursor: &mut Cursor) -> Result<Self> {
        let type_id = cursor.u32("the type of a value")?;
        Self::read_bare(cursor, type_id)
    }

    fn read_bare(cursor: &mut Cursor, type_id: u32) -> Result<Self> {
        const VALUE: &str = "a value";
        Ok(match type_id {
            0 => Self::U8(u8::from_le_bytes(cursor.take(VALUE)?)),
            1 => Self::I8(i8::from_le_bytes(cursor.take(VALUE)?)),
            2 => Self::U16(u16::from_le_bytes(cursor.take(VALUE)?)),
            3 => Self::I16(i16::from_le_bytes(cursor.take(VALUE)?)),
            4 => Self::U32(cursor.u32(VALUE)?),
            5 => Self::I32(i32::from_le_bytes(cursor.take(VALUE)?)),
            6 => Self::F32(f32::from_le_bytes(cursor.take(VALUE)?)),
            7 => match cursor.take(VALUE)? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                [other] => {
                    let problem = format!("a Boolean is {other}, expected 0 or 1");
                    return Err(Error::damaged(cursor.path(), problem));
                }
            },
            8 => Self::String(cursor.string(VALUE)?),
            ARRAY => {
                let of = cursor.u32("the type of a list")?;
                let len = cursor.u64("the length of a list")?;
                if of == ARRAY {
                    return Err(Error::damaged(cursor.path(), "a list holds lists"));
                }
                cursor.check_list(len, smallest_size(of))?;
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(Self::read_bare(cursor, of)?);
                }
                Self::Array(values)
            }
            10 => Self::U64(cursor.u64(VALUE)?),
            11 => Self::I64(i64::from_le_bytes(cursor.take(VALUE)?)),
            12 => Self::F64(f64::from_le_bytes(cursor.take(VALUE)?)),
            other => {
                let problem = format!("a value has type {other}, expected 0 to 12");
                return Err(Error::damaged(cursor.path(), problem));
            }
        })
    }

    /// The value as a number that is not negative, if it is a whole number.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U8(value) => Some((*value).into()),
            Self::U16(value) => Some((*value).into()),
            Self::U32(value) => Some((*value).into()),
            Self::U64(value) => Some(*value),
            Self::I8(value) => (*value).try_into().ok(),
            Self::I16(value) => (*value).try_into().ok(),
            Self::I32(value) => (*value).try_into().ok(),
            Self::I64(value) => (*value).try_into().ok(),
            _ => None,
        }
    }

    /// The value as a floating-point number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => Some((*value).into()),
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The Boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// Bytes that a value of this type takes at least; 1 for a type that is not known, which is found when it is read.
fn smallest_size(type_id: u32) -> u64 {
    match type_id {
        2 | 3 => 2,
        4..=6 => 4,
        // A text begins with its length.
        8 | 10..=12 => 8,
        _ => 1,
    }
}

/// Appends a text: its length in bytes, then the bytes.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
