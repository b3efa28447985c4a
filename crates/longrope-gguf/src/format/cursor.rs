//! Reads the header of a file, piece by piece.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};

/// Bytes of the longest text.
const MAX_TEXT_BYTES: u64 = 1 << 26;
/// Most elements of all lists together. An element takes up to 32 bytes of memory; the largest vocabularies need 2,000,000.
const MAX_ELEMENTS: u64 = 1 << 23;

/// A position in a file. No number in the file decides how much memory is allocated: only bytes that exist are read.
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    file: BufReader<fs_err::File>,
    len: u64,
    /// Elements of the lists so far.
    n_elements: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            path,
            file: BufReader::new(file),
            len,
            n_elements: 0,
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

    /// Bytes after the position.
    fn left(&mut self) -> Result<u64> {
        Ok(self.len.saturating_sub(self.position()?))
    }

    /// Checks that a list of this many elements, each of at least `size` bytes, can be in the file, and in memory.
    pub(crate) fn check_list(&mut self, n_elements: u64, size: u64) -> Result<()> {
        let left = self.left()?;
        if n_elements.saturating_mul(size) > left {
            let problem =
                format!("a list of {n_elements} values is announced where {left} bytes are left");
            return Err(Error::truncated(self.path, problem));
        }
        self.n_elements = self.n_elements.saturating_add(n_elements);
        if self.n_elements > MAX_ELEMENTS {
            let problem = format!(
                "its lists have {} values or more, expected at most {MAX_ELEMENTS}",
                self.n_elements
            );
            return Err(Error::damaged(self.path, problem));
        }
        Ok(())
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
        let left = self.left()?;
        if len > left {
            let problem = format!("a text of {len} bytes is announced where {left} are left");
            return Err(Error::truncated(self.path, problem));
        }
        if len > MAX_TEXT_BYTES {
            let problem =
                format!("a text of {len} bytes is announced, expected at most {MAX_TEXT_BYTES}");
            return Err(Error::damaged(self.path, problem));
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
