//! Reading `model.safetensors.index.json`, which says which file holds which tensor.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::unique_keys::UniqueKeys;
use crate::error::{Error, Result};

/// The file that maps tensors to shards, if there are several weight files.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// The file of every tensor, relative to the folder of the index, without `.` in it.
pub(super) fn read_index(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let wrong = |problem: String| Error::Index {
        path: path.to_owned(),
        problem,
    };
    let bytes = fs_err::read(path)?;
    let UniqueKeys(entries) =
        serde_json::from_slice::<UniqueKeys<Value>>(&bytes).map_err(|source| Error::Json {
            path: path.to_owned(),
            source,
        })?;
    if !entries.contains_key("weight_map") {
        return Err(wrong("it has no `weight_map`".to_owned()));
    }
    let Index {
        weight_map: UniqueKeys(map),
    } = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("its `weight_map` cannot be used ({error})")))?;
    if map.is_empty() {
        return Err(wrong("its `weight_map` is empty".to_owned()));
    }
    map.into_iter()
        .map(|(tensor, file)| match inside(&file) {
            Some(relative) => Ok((tensor, relative)),
            None => Err(wrong(format!(
                "it places tensor `{tensor}` in `{file}`, expected a .safetensors file inside the folder"
            ))),
        })
        .collect()
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: UniqueKeys<String>,
}

/// A relative path that stays inside the folder it is relative to, without `.` in it; `None` for all others.
///
/// Symbolic links are not followed here: the cache of the Hugging Face hub consists of them.
fn inside(file: &str) -> Option<PathBuf> {
    let path = Path::new(file);
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let is_weights = relative.extension().is_some_and(|it| it == "safetensors");
    (is_weights && !file.contains('\0')).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for file in [
            "a.safetensors",
            "sub/a.safetensors",
            "./sub/./a.safetensors",
        ] {
            assert!(inside(file).is_some(), "{file}");
        }
        assert_eq!(inside("./a.safetensors"), inside("a.safetensors"));
        for file in [
            "",
            ".",
            "..",
            "../a.safetensors",
            "sub/../../a.safetensors",
            "/a.safetensors",
            "config.json",
            "a.safetensors/..",
            "a\0.safetensors",
        ] {
            assert_eq!(inside(file), None, "{file}");
        }
    }

    #[test]
    fn a_damaged_index_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX_FILE);
        for (text, words) in [
            ("{", "is not valid JSON"),
            ("", "is not valid JSON"),
            ("[]", "is not valid JSON"),
            ("{}", "no `weight_map`"),
            (r#"{"weight_map": null}"#, "cannot be used"),
            (r#"{"weight_map": []}"#, "cannot be used"),
            (r#"{"weight_map": {}}"#, "is empty"),
            (r#"{"weight_map": {"a": 3}}"#, "cannot be used"),
            (
                r#"{"weight_map": {"a": ["b.safetensors"]}}"#,
                "cannot be used",
            ),
            (
                r#"{"weight_map": {"a": "b.safetensors", "a": "c.safetensors"}}"#,
                "`a` occurs twice",
            ),
            (
                r#"{"weight_map": {"a": "../b.safetensors"}}"#,
                "inside the folder",
            ),
            (r#"{"weight_map": {"a": ""}}"#, "inside the folder"),
        ] {
            fs_err::write(&path, text).unwrap();
            let message = read_index(&path).unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
        fs_err::write(&path, b"\xff\xfe").unwrap();
        assert!(matches!(read_index(&path), Err(Error::Json { .. })));
    }
}
