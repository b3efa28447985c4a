//! Line ends of Windows, which make texts look like others than those that models were trained on.

use std::path::Path;

use super::files::{Compression, classify};
use crate::quoted::quoted;

/// Bytes at the beginning of a text that are looked at.
const LOOKED_AT: usize = 1 << 16;

/// Warns if most lines of a file of plain text end in CR LF, and says how to change that. The text stays as it is.
pub fn warn_of_line_ends(path: &Path, text: &str) {
    if has_cr_lf(text) {
        tracing::warn!(
            "most lines of `{}` end in CR LF, which few texts of a training do: models predict such text far worse; to remove it: {}",
            path.display(),
            way_to_lf(path)
        );
    }
}

/// As [`warn_of_line_ends`], for a file of several texts, of which this is one. Returns whether it has warned.
pub(super) fn warn_of_records(path: &Path, text: &str) -> bool {
    let has_cr_lf = has_cr_lf(text);
    if has_cr_lf {
        tracing::warn!(
            "texts in `{}` have lines that end in CR LF, which few texts of a training have: models predict such text far worse; \
             write the file again with LF only",
            path.display()
        );
    }
    has_cr_lf
}

/// Whether most of the first lines end in CR LF.
fn has_cr_lf(text: &str) -> bool {
    let head = &text.as_bytes()[..text.len().min(LOOKED_AT)];
    let mut lines = head.split(|byte| *byte == b'\n');
    // What follows the last line end.
    lines.next_back();
    let (mut n_lines, mut n_cr_lf) = (0, 0);
    for line in lines {
        n_lines += 1;
        if line.ends_with(b"\r") {
            n_cr_lf += 1;
        }
    }
    2 * n_cr_lf > n_lines
}

/// A command that removes the CR before each LF.
fn way_to_lf(path: &Path) -> String {
    let shown = quoted(path);
    match classify(path).0 {
        _ if path.starts_with("/dev") => "pipe the text through sed 's/\\r$//'".to_owned(),
        Compression::Gzip => format!("zcat {shown} | sed 's/\\r$//' > text.txt"),
        Compression::Zstd => format!("zstdcat {shown} | sed 's/\\r$//' > text.txt"),
        Compression::None => format!("sed -i 's/\\r$//' {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_lines_decide() {
        for (text, expected) in [
            ("", false),
            ("one line", false),
            ("a\r", false),
            ("a\nb\n", false),
            ("a\r\nb\r\n", true),
            ("a\r\nb\r\nc\n", true),
            ("a\r\nb\nc\n", false),
            ("a\r\nb\n", false),
        ] {
            assert_eq!(has_cr_lf(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_command_fits_the_file() {
        for (path, expected) in [
            ("a/b.txt", "sed -i 's/\\r$//' a/b.txt"),
            ("b.txt.gz", "zcat b.txt.gz | sed 's/\\r$//' > text.txt"),
            ("B.TXT.GZ", "zcat B.TXT.GZ | sed 's/\\r$//' > text.txt"),
            ("my book.txt", "sed -i 's/\\r$//' 'my book.txt'"),
            ("/dev/stdin", "pipe the text through sed 's/\\r$//'"),
        ] {
            assert_eq!(way_to_lf(Path::new(path)), expected);
        }
    }
}
