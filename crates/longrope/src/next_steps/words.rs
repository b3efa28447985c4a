//! The words of command lines.

use std::path::{Path, PathBuf};

pub(crate) use longrope_data::quoted;

/// A folder beside another that does not exist yet: `runs/a-trained` for `runs/a`.
pub(super) fn beside(out: &Path, what: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    free(&out.with_file_name(format!("{name}-{what}")))
}

/// A path at which there is nothing: this one, or the first of `path-2`, `path-3` and so on.
pub(super) fn free(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let others = (2..).map(|number| path.with_file_name(format!("{name}-{number}")));
    let mut all = std::iter::once(path.to_owned()).chain(others);
    all.find(|path| !path.exists())
        .unwrap_or_else(|| path.to_owned())
}

/// Contexts as one word.
pub(super) fn joined(contexts: &[usize]) -> String {
    let texts: Vec<String> = contexts.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// Names as words.
pub(super) fn words(names: &[&str]) -> String {
    let words: Vec<String> = names.iter().map(|name| quoted(Path::new(name))).collect();
    words.join(" ")
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
