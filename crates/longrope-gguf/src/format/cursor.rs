//! Reads the header of a file, piece by piece.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};

/// A position in a file. No number in the file decides how much memory is allocated: only bytes that exist are read.
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    file: BufReader<fs_err::File>,
    len: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            path,
            file: BufReader::new(file),
            len,
        })
    }

    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// Size of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes before the position.
    pub(crate) fn position(&mut self) -> Result<u64> {
        Ok(self.file.stream_position()?)
    }

    /// The next `N` bytes, which are part of `what`.
    pub(crate) fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                self.ends(what)
            } else {
                error.into()
            }
        })?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(what)?))
    }

    /// A text. Bytes that are not UTF-8 are replaced: vocabularies of older files hold some.
    pub(crate) fn string(&mut self, what: &str) -> Result<String> {
        let len = self.u64(what)?;
        let left = self.len.saturating_sub(self.position()?);
        if len > left {
            let problem = format!("a text of {len} bytes is announced where {left} are left");
            return Err(Error::truncated(self.path, problem));
        }
        let mut bytes = Vec::new();
        (&mut self.file).take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(self.ends(what));
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn ends(&self, what: &str) -> Error {
        Error::truncated(
            self.path,
            format!("it ends within {what}, after {} bytes", self.len),
        )
    }
}
