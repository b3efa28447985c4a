//! Files that appear whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file, and the folders it lies in.
///
/// # Errors
/// If a folder or the file cannot be written, for instance because the disk is full; what was there before is then
/// still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = stage(path)?;
    file.write_all(bytes)?;
    publish(file, path)
}

/// A temporary file beside `path`, to be filled and [published](publish).
///
/// # Errors
/// If its folder cannot be written.
pub fn stage(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs_err::create_dir_all(folder)?;
    tempfile::Builder::new()
        .prefix(".writing-")
        .tempfile_in(folder)
}

/// Gives a [staged](stage) file its name, once the disk has it.
///
/// # Errors
/// As [`write_atomically`].
pub fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    // A temporary file is readable by its owner only; what is written is an ordinary file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(permissions)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
