//! Writing a file in one pass: the header first, then one tensor after the other.

use std::io::{self, Write};

use super::constants::{ALIGNMENT, ALIGNMENT_KEY, MAGIC, VERSION};
use super::tensor_type::TensorType;
use super::value::{Value, write_string};

/// A tensor to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its shape, rows first.
    pub shape: Vec<u64>,
    /// Its type, of which each row is whole blocks.
    pub ty: TensorType,
}

impl Planned {
    /// Its size in bytes.
    ///
    /// # Errors
    /// If its rows are not whole blocks of its type.
    pub fn n_bytes(&self) -> io::Result<u64> {
        self.ty.n_bytes(&self.shape).ok_or_else(|| {
            io::Error::other(format!(
                "tensor `{}` of shape {:?} cannot be stored as {}",
                self.name, self.shape, self.ty
            ))
        })
    }
}

/// A file that is being written. Tensors are written in the order of the table, in pieces of any size.
///
/// ```
/// use longrope_gguf::{Planned, TensorType, Value, Writer};
///
/// # fn main() -> std::io::Result<()> {
/// let metadata = [("general.architecture".to_owned(), Value::from("llama"))];
/// let tensor = Planned { name: "output_norm.weight".to_owned(), shape: vec![2], ty: TensorType::F32 };
/// let mut writer = Writer::new(Vec::new(), &metadata, &[tensor])?;
/// writer.write(&1.0_f32.to_le_bytes())?;
/// writer.write(&2.0_f32.to_le_bytes())?;
/// let bytes = writer.finish()?;
/// assert!(bytes.starts_with(b"GGUF"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    /// Sizes of the tensors that are not complete, the last one first.
    left: Vec<u64>,
    /// Bytes of the present tensor so far.
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// If the header cannot be written, or a tensor has a size that its type does not allow.
    pub fn new(mut to: W, metadata: &[(String, Value)], tensors: &[Planned]) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        let others = metadata.iter().filter(|(key, _)| key != ALIGNMENT_KEY);
        header.extend((others.clone().count() as u64).to_le_bytes());
        for (key, value) in others {
            write_string(key, &mut header);
            value.write(&mut header);
        }
        let mut offset = 0_u64;
        let mut left = Vec::new();
        for tensor in tensors {
            let n_bytes = tensor.n_bytes()?;
            write_string(&tensor.name, &mut header);
            #[expect(clippy::cast_possible_truncation, reason = "a handful of dimensions")]
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            for dim in tensor.shape.iter().rev() {
                header.extend(dim.to_le_bytes());
            }
            header.extend(tensor.ty.id().to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset = (offset + n_bytes).next_multiple_of(ALIGNMENT);
            left.push(n_bytes);
        }
        let padding = padding(header.len() as u64);
        header.extend(padding);
        to.write_all(&header)?;
        left.reverse();
        Ok(Self {
            to,
            left,
            written: 0,
        })
    }

    /// Writes the next bytes of the present tensor.
    ///
    /// # Errors
    /// If they cannot be written, or the tensor is complete before they end.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = self.left.last().copied().unwrap_or(0);
        self.written += bytes.len() as u64;
        if self.written > size {
            return Err(io::Error::other(format!(
                "{} bytes written to a tensor of {size}",
                self.written
            )));
        }
        self.to.write_all(bytes)?;
        if self.written == size {
            let padding: Vec<u8> = padding(size).collect();
            self.to.write_all(&padding)?;
            self.left.pop();
            self.written = 0;
        }
        Ok(())
    }

    /// Returns what was written to, after the last tensor.
    ///
    /// # Errors
    /// If a tensor is not complete.
    pub fn finish(self) -> io::Result<W> {
        if self.left.iter().any(|size| *size > 0) {
            return Err(io::Error::other(format!(
                "{} tensor(s) of the table were not written",
                self.left.len()
            )));
        }
        Ok(self.to)
    }
}

/// The zeros that follow this many bytes.
fn padding(len: u64) -> impl Iterator<Item = u8> {
    (len..len.next_multiple_of(ALIGNMENT)).map(|_| 0)
}
