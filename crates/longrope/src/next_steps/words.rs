//! The words of command lines.

use std::path::{Path, PathBuf};

pub(crate) use longrope_data::quoted;

use crate::settings::path_text::from_text;

/// A folder beside another that does not exist yet: `runs/a-trained` for `runs/a`.
pub(super) fn beside(out: &Path, what: &str) -> PathBuf {
    free(&with_end(out, what))
}

/// A path at which there is nothing: this one, or the first of `path-2`, `path-3` and so on.
pub(super) fn free(path: &Path) -> PathBuf {
    let others = (2..).map(|number: usize| with_end(path, &number.to_string()));
    let mut all = std::iter::once(path.to_owned()).chain(others);
    all.find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}

/// The path with `-` and an end after its name.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-");
    name.push(end);
    path.with_file_name(name)
}

/// Contexts as one word.
pub(super) fn joined(contexts: &[usize]) -> String {
    let texts: Vec<String> = contexts.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// RoPEs as words.
pub(super) fn words(ropes: &[&str]) -> String {
    let words: Vec<String> = ropes.iter().map(|rope| rope_word(rope)).collect();
    words.join(" ")
}

/// A RoPE as a word: its name, or its path, which is in its text form.
pub(super) fn rope_word(rope: &str) -> String {
    quoted(&from_text(PathBuf::from(rope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (path, expected) in [
            ("runs/a-1.0", "runs/a-1.0"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$(rm)", "'$(rm)'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }

    #[test]
    fn folders_that_exist_are_not_named() {
        let here = tempfile::tempdir().unwrap();
        let out = here.path().join("a");
        assert_eq!(beside(&out, "trained"), here.path().join("a-trained"));
        for name in ["a-trained", "a-trained-2"] {
            fs_err::create_dir(here.path().join(name)).unwrap();
        }
        assert_eq!(beside(&out, "trained"), here.path().join("a-trained-3"));
    }
}
