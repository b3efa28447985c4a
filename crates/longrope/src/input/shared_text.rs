//! Whether two texts have something in common, by their names. No text is read or fetched.

use std::path::{Path, PathBuf};
use std::slice;

use longrope_data::text_files_below;

use super::{cargo_sources, hub};
use crate::settings::config::Config;

/// The configured text: files, folders, data sets and sources, or the file of token ids in their place.
pub(crate) fn text_of(config: &Config) -> &[PathBuf] {
    match &config.tokens {
        Some(tokens) => slice::from_ref(tokens),
        None => &config.text,
    }
}

/// Whether two texts have something in common, as far as their names say: copies under other names are not found.
pub(crate) fn may_share(a: &[PathBuf], b: &[PathBuf]) -> bool {
    a.iter().any(|a| b.iter().any(|b| is_shared(a, b)))
}

fn is_shared(a: &Path, b: &Path) -> bool {
    cargo_sources::may_share(a, b) || hub::may_share_text(a, b) || share_files(a, b)
}

/// Whether two paths lead to the same file or folder, or one to a folder that is read with what the other leads to.
fn share_files(a: &Path, b: &Path) -> bool {
    let found = |path: &Path| fs_err::canonicalize(path).ok();
    let (Some(a), Some(b)) = (found(a), found(b)) else {
        return false;
    };
    a == b || reads(&a, &b) || reads(&b, &a)
}

/// Whether a folder is read with text of a path inside it: hidden files, and those of other kinds, are left out.
fn reads(folder: &Path, path: &Path) -> bool {
    if !path.starts_with(folder) {
        return false;
    }
    let files = text_files_below(folder).unwrap_or_default();
    let is_of_path =
        |file: &PathBuf| fs_err::canonicalize(file).is_ok_and(|it| it.starts_with(path));
    files.iter().any(is_of_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shared_under_any_name_and_with_the_folders_that_are_read_with_it() {
        let here = tempfile::tempdir().unwrap();
        let path = |name: &str| here.path().join(name);
        fs_err::create_dir_all(path("texts/books")).unwrap();
        fs_err::create_dir_all(path("texts/.old")).unwrap();
        for name in [
            "texts/books/a.txt",
            "texts/books/b.txt",
            "texts/.old/a.txt",
            "texts/c.json",
            "texts-2.txt",
        ] {
            fs_err::write(path(name), "text").unwrap();
        }
        for (a, b, expected) in [
            ("texts/books/a.txt", "texts/books/a.txt", true),
            ("texts/books/a.txt", "texts/books/../books/a.txt", true),
            ("texts/books/a.txt", "texts/books/b.txt", false),
            ("texts", "texts/books", true),
            ("texts", "texts/books/a.txt", true),
            // Not read with the folder.
            ("texts", "texts/.old/a.txt", false),
            ("texts", "texts/c.json", false),
            ("texts", "texts-2.txt", false),
            ("nowhere", "nowhere", false),
        ] {
            let (a, b) = (path(a), path(b));
            let found = [is_shared(&a, &b), is_shared(&b, &a)];
            assert_eq!(found, [expected; 2], "{} {}", a.display(), b.display());
        }
        let [a, b, all] = ["texts/books/a.txt", "texts/books/b.txt", "texts"].map(path);
        assert!(may_share(&[a.clone(), b.clone()], slice::from_ref(&b)));
        assert!(may_share(&[b], &[path("texts-2.txt"), all]));
        assert!(!may_share(&[a], &[]));
    }

    #[test]
    fn token_ids_are_read_in_place_of_text() {
        let mut config = Config {
            text: vec!["a.txt".into(), "b.txt".into()],
            ..Config::default()
        };
        assert_eq!(text_of(&config), config.text);
        config.tokens = Some("ids.json".into());
        assert_eq!(text_of(&config), [PathBuf::from("ids.json")]);
    }
}
