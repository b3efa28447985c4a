//! Names of models and texts of the hub: `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION`, `hf:OWNER/NAME@REVISION/PATH`.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::failure::Hint;

/// Prefix of a name of the hub in the place of a path.
pub(super) const PREFIX: &str = "hf:";

/// What a name without a revision means.
pub(super) const MAIN: &str = "main";

/// What follows `hf:`; `None` for an ordinary path.
pub(super) fn on_hub(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PREFIX)
}

/// A data set of the hub, or files of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextPlace {
    /// `OWNER/NAME`.
    pub(super) id: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
    /// A file or folder in the repository; empty for all of it.
    pub(super) path: String,
}

impl TextPlace {
    /// Reads what follows `hf:`. As in the addresses of `huggingface_hub`, `//` and `datasets/` may come first, and a
    /// revision that contains slashes is written with `%2F`, except those that begin with `refs/`.
    pub(super) fn parse(name: &str) -> Result<Self> {
        let bare = name.strip_prefix("//").unwrap_or(name);
        let bare = bare.strip_prefix("datasets/").unwrap_or(bare);
        let place = match bare.split_once('@') {
            None => {
                let (id, path) = split_after(bare, 2);
                Self::new(id, MAIN, path)
            }
            Some((id, rest)) => {
                let n_parts = match rest.split('/').collect::<Vec<_>>()[..] {
                    ["refs", "pr" | "convert", ..] => 3,
                    _ => 1,
                };
                let (revision, path) = split_after(rest, n_parts);
                Self::new(id, &revision.replace("%2F", "/").replace("%2f", "/"), path)
            }
        };
        let is_id = place.id.split('/').count() <= 2;
        let parts = [&place.id, &place.revision].map(|it| it.split('/'));
        let path = place.path.split('/').filter(|_| !place.path.is_empty());
        let is_safe = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if is_id && parts.into_iter().flatten().chain(path).all(is_safe) {
            return Ok(place);
        }
        Err(
            anyhow!("`{PREFIX}{name}` does not name a data set of the Hugging Face hub").context(Hint(
                "write hf:OWNER/NAME, hf:OWNER/NAME@REVISION, or a file or folder of it: hf:OWNER/NAME/PATH".to_owned(),
            )),
        )
    }

    fn new(id: &str, revision: &str, path: &str) -> Self {
        Self {
            id: id.to_owned(),
            revision: revision.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        }
    }
}

/// The first `n` parts of a path, and the rest.
fn split_after(path: &str, n: usize) -> (&str, &str) {
    match path.match_indices('/').nth(n - 1) {
        Some((at, _)) => (&path[..at], &path[at + 1..]),
        None => (path, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (name, id, revision, path) in [
            ("o/n", "o/n", "main", ""),
            ("n", "n", "main", ""),
            ("o/n/", "o/n", "main", ""),
            ("o/n@v1", "o/n", "v1", ""),
            ("o/n/data", "o/n", "main", "data"),
            ("o/n/data/a.parquet", "o/n", "main", "data/a.parquet"),
            ("o/n@v1/data/a b.txt", "o/n", "v1", "data/a b.txt"),
            ("o/n@a%2Fb/c", "o/n", "a/b", "c"),
            ("o/n@refs/pr/7", "o/n", "refs/pr/7", ""),
            (
                "o/n@refs/convert/parquet/default",
                "o/n",
                "refs/convert/parquet",
                "default",
            ),
            ("//datasets/o/n/c", "o/n", "main", "c"),
        ] {
            let expected = TextPlace::new(id, revision, path);
            assert_eq!(TextPlace::parse(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            "/n",
            "o//n",
            "../n",
            "o/n/../../x",
            "o/n@",
            "o/n@../x",
            "o/n/x@y",
            "o/n/a\\b",
        ] {
            assert!(TextPlace::parse(name).is_err(), "{name}");
        }
    }
}
