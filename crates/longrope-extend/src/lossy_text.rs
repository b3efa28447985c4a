//! Text of files that may be damaged.

use std::io;
use std::path::Path;

/// Reads a file as text. Bytes that are not UTF-8 become replacement characters: they are damage like any other, and hide
/// nothing else in the file.
pub(crate) fn read_lossy(path: &Path) -> io::Result<String> {
    let bytes = fs_err::read(path)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
