//! Which files of a data set are its text to train on.

/// Words in the names of files and folders that tell a split, as `datasets` knows them.
/// <https://huggingface.co/docs/hub/datasets-file-names-and-splits>
const TRAIN: [&str; 2] = ["train", "training"];
const OTHERS: [&str; 7] = [
    "validation",
    "valid",
    "dev",
    "val",
    "test",
    "testing",
    "eval",
];

/// Endings of files that hold text.
const ENDINGS: [&str; 7] = [
    ".parquet",
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".txt",
    ".txt.gz",
    ".txt.zst",
];

/// Text files that belong to the repository and not to its data.
const NO_DATA: [&str; 6] = [
    "license",
    "licence",
    "notice",
    "readme",
    "requirements",
    "robots",
];

/// A split of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Train,
    Other,
}

/// The files of `path`, a file, a folder, or all of the repository if it is empty, in the order of their names: those of
/// the split for training if names tell splits, else those that name none, else all.
pub(super) fn text_files<'a>(files: &[&'a str], path: &str) -> Vec<&'a str> {
    if let Some(file) = files.iter().find(|file| **file == path) {
        return vec![file];
    }
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let mut found: Vec<(&str, Option<Split>)> = files
        .iter()
        .filter_map(|file| Some((*file, file.strip_prefix(&prefix)?)))
        .filter(|(_, inside)| is_text(inside))
        .map(|(file, inside)| (file, split_of(inside)))
        .collect();
    for wanted in [Some(Split::Train), None] {
        if found.iter().any(|(_, split)| *split == wanted) {
            found.retain(|(_, split)| *split == wanted);
            break;
        }
    }
    let mut names: Vec<&str> = found.into_iter().map(|(file, _)| file).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether the texts of two paths of a repository have files in common, as far as their names say.
pub(super) fn may_share(a: &str, b: &str) -> bool {
    a == b || takes(a, b) || takes(b, a)
}

/// Whether the text of a folder has that of a path in it. It has no files of another split than that for training, as long
/// as there are some for training.
fn takes(folder: &str, path: &str) -> bool {
    let inside = if folder.is_empty() {
        Some(path)
    } else {
        let below = path.strip_prefix(folder);
        below.and_then(|below| below.strip_prefix('/'))
    };
    inside.is_some_and(|inside| split_of(inside) != Some(Split::Other))
}

fn is_text(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let is_hidden = path.split('/').any(|part| part.starts_with('.'));
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !NO_DATA.iter().any(|begin| name.starts_with(begin))
        && !is_hidden
}

/// The split that the name of a file tells, or else the nearest of its folders that tells one.
fn split_of(path: &str) -> Option<Split> {
    let path = path.to_ascii_lowercase();
    path.rsplit('/').find_map(|part| {
        let mut words = part.split(|c: char| !c.is_ascii_alphanumeric());
        words.find_map(|word| {
            if TRAIN.contains(&word) {
                Some(Split::Train)
            } else {
                OTHERS.contains(&word).then_some(Split::Other)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_training_split_is_taken_where_names_tell_splits() {
        let files = [
            "README.md",
            ".gitattributes",
            "LICENSE.txt",
            "data/train-00001-of-00002.parquet",
            "data/train-00000-of-00002.parquet",
            "data/test-00000-of-00001.parquet",
            "data/validation.jsonl",
            "config.json",
        ];
        assert_eq!(
            text_files(&files, ""),
            [
                "data/train-00000-of-00002.parquet",
                "data/train-00001-of-00002.parquet"
            ]
        );
        // The file's own name counts before that of its folder.
        assert_eq!(
            text_files(&["train/a-test.txt", "train/b.txt"], ""),
            ["train/b.txt"]
        );
        // Words are whole words.
        assert_eq!(
            text_files(&["trainer.txt", "a.txt"], ""),
            ["a.txt", "trainer.txt"]
        );
    }

    #[test]
    fn without_a_training_split_files_of_no_split_are_taken_and_else_all() {
        assert_eq!(
            text_files(&["b.jsonl.gz", "a.txt", "test.txt"], ""),
            ["a.txt", "b.jsonl.gz"]
        );
        assert_eq!(
            text_files(&["test.txt", "dev.txt"], ""),
            ["dev.txt", "test.txt"]
        );
        assert_eq!(text_files(&["x.json", "a.csv"], ""), [""; 0]);
    }

    #[test]
    fn a_path_shares_text_with_the_folders_that_take_it() {
        for (a, b, expected) in [
            ("", "", true),
            ("", "data", true),
            ("", "data/train-0.parquet", true),
            ("data", "data/train-0.parquet", true),
            ("", "data/test-0.parquet", false),
            ("data/test-0.parquet", "data/test-0.parquet", true),
            ("data", "database/a.txt", false),
            ("train", "test", false),
        ] {
            assert_eq!(may_share(a, b), expected, "{a} {b}");
            assert_eq!(may_share(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn files_and_folders_can_be_named() {
        let files = [
            "test/1.parquet",
            "test/2.txt",
            "tests/3.txt",
            "train/4.txt",
            "x.json",
        ];
        assert_eq!(text_files(&files, "test"), ["test/1.parquet", "test/2.txt"]);
        assert_eq!(text_files(&files, "test/2.txt"), ["test/2.txt"]);
        assert_eq!(text_files(&files, "x.json"), ["x.json"]);
        assert_eq!(text_files(&files, "nothing"), [""; 0]);
    }
}
