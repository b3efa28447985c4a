//! Copying a file that may be large.

use std::io::{self, Read};
use std::path::Path;

use super::should_stop::ShouldStop;
use crate::error::Result;

/// Number of bytes copied between two looks at whether to stop: less than a second's work, also on a slow disk.
const PIECE_BYTES: u64 = 64 << 20;

/// Copies a file with its permissions.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) if it was asked to stop; then a part of the copy is left.
pub(super) fn copy(from: &Path, to: &Path, should_stop: ShouldStop<'_>) -> Result<()> {
    copy_by(PIECE_BYTES, from, to, should_stop)
}

fn copy_by(piece_bytes: u64, from: &Path, to: &Path, should_stop: ShouldStop<'_>) -> Result<()> {
    let source = fs_err::File::open(from)?;
    let target = fs_err::File::create(to)?;
    let mut writer = target.file();
    loop {
        should_stop.check()?;
        let mut piece = source.file().take(piece_bytes);
        let copied = io::copy(&mut piece, &mut writer);
        if copied.map_err(|error| with_paths(&error, from, to))? == 0 {
            break;
        }
    }
    fs_err::set_permissions(to, source.metadata()?.permissions())?;
    Ok(())
}

/// The error of a copy, with the names of both files.
fn with_paths(error: &io::Error, from: &Path, to: &Path) -> io::Error {
    let (from, to) = (from.display(), to.display());
    let text = format!("failed to copy file from `{from}` to `{to}`: {error}");
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::Error;

    #[test]
    fn a_copy_stops_in_the_middle_of_a_file() {
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (here.path().join("from"), here.path().join("to"));
        fs_err::write(&from, b"0123456789").unwrap();
        copy_by(4, &from, &to, ShouldStop::default()).unwrap();
        assert_eq!(fs_err::read(&to).unwrap(), b"0123456789");

        let n_asked = Cell::new(0);
        let is_asked = || {
            n_asked.set(n_asked.get() + 1);
            n_asked.get() > 2
        };
        let stopped = copy_by(4, &from, &to, ShouldStop::when(&is_asked));
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        assert_eq!(fs_err::read(&to).unwrap(), b"01234567");
    }
}
