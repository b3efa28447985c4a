use super::*;

fn touch(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "x").unwrap();
    }
}

#[test]
fn folder_gives_visible_text_files_sorted_by_path() {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &[
            "b.txt",
            "a/z.md",
            "a/y.jsonl.zst",
            "c.TXT.gz",
            "config.json",
            "x.bin",
            ".hidden.txt",
            ".git/d.txt",
            "a.gz",
            "d.parquet",
            "e.parquet.gz",
        ],
    );
    let files = expand(&[dir.path().to_path_buf()]).unwrap();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.strip_prefix(dir.path()).unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["a/y.jsonl.zst", "a/z.md", "b.txt", "c.TXT.gz", "d.parquet"]
    );
}

#[test]
fn named_files_keep_their_order_and_may_have_any_ending() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["b.log", "a.json"]);
    let paths = [dir.path().join("b.log"), dir.path().join("a.json")];
    assert_eq!(expand(&paths).unwrap(), paths);
    assert_eq!(kind_of_named_file(&paths[0]), FileKind::Text);
    assert_eq!(kind_of_named_file(&paths[1]), FileKind::JsonLines);
    assert_eq!(
        kind_of_named_file(Path::new("a.json.gz")),
        FileKind::JsonLines
    );
}

#[cfg(unix)]
#[test]
fn a_file_given_twice_under_any_name_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["deep/a.txt", "deep/b.txt"]);
    let path = |name: &str| dir.path().join(name);
    fs_err::os::unix::fs::symlink(path("deep/a.txt"), path("link.txt")).unwrap();
    fs_err::hard_link(path("deep/a.txt"), path("hard.txt")).unwrap();
    fs_err::os::unix::fs::symlink(path("deep"), path("other")).unwrap();
    let first = path("deep/a.txt");
    for again in [
        "deep/a.txt",
        "deep/../deep/./a.txt",
        "link.txt",
        "hard.txt",
        "other/a.txt",
    ] {
        let files = expand(&[first.clone(), path(again)]).unwrap();
        assert_eq!(files, [first.as_path()], "{again}");
    }
    let files = expand(&[path("deep/b.txt"), path("deep"), path("other")]).unwrap();
    assert_eq!(files, [path("deep/b.txt"), first.clone()]);
    // The files of a folder are different texts, even if they are equal.
    assert_eq!(expand(&[path("deep")]).unwrap().len(), 2);
}

#[cfg(unix)]
#[test]
fn links_to_nowhere_are_skipped_unless_they_are_texts() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["a.txt", "deep/b.txt"]);
    let link = |to: &str, name: &str| {
        fs_err::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
    };
    link("nowhere", "latest");
    link("nowhere.bin", "deep/model.bin");
    link("round", "round");
    link("..", "deep/up");
    link("nowhere.txt", ".hidden.txt");
    let files = expand(&[dir.path()]).unwrap();
    let expected = ["a.txt", "deep/b.txt"].map(|name| dir.path().join(name));
    assert_eq!(files, expected);
    link("nowhere.txt", "c.txt");
    let result = expand(&[dir.path()]);
    assert!(
        matches!(&result, Err(Error::Read { path, .. }) if path.ends_with("c.txt")),
        "{result:?}"
    );
}

#[test]
fn files_given_twice_are_named() {
    let repeated = |path: &str, first: &str| Repeated {
        path: path.into(),
        first: first.into(),
    };
    assert_eq!(
        describe(&[repeated("a", "a"), repeated("b", "a")]),
        "text that is given more than once is read once: `a`; `b`, which is `a`"
    );
    let many: Vec<Repeated> = (0..7).map(|_| repeated("a", "a")).collect();
    assert!(describe(&many).ends_with("; 2 more"));
}

#[test]
fn missing_paths_and_folders_without_text_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(expand(&[] as &[&Path]), Err(Error::NoPaths)));
    let missing = dir.path().join("nowhere.txt");
    assert!(
        matches!(expand(std::slice::from_ref(&missing)), Err(Error::NotFound { path }) if path == missing)
    );
    touch(dir.path(), &["config.json"]);
    let result = expand(&[dir.path().to_path_buf()]);
    assert!(matches!(result, Err(Error::NoTextFiles { folder, .. }) if folder == dir.path()));
}
