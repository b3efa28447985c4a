//! Paths in command lines.

use std::path::Path;

/// A path as a word of a shell's command line.
///
/// ```
/// # use longrope_data::quoted;
/// assert_eq!(quoted("a b".as_ref()), "'a b'");
/// ```
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@=,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
