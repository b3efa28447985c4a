use super::*;

const LOCK: &str = r#"
version = 4
[[package]]
name = "alpha"
version = "1.0.0"
source = "registry+somewhere"
[[package]]
name = "alpha"
version = "0.9.0"
source = "registry+somewhere"
[[package]]
name = "away"
version = "1.0.0"
source = "registry+somewhere"
[[package]]
name = "held"
version = "2.0.0"
source = "registry+somewhere"
[[package]]
name = "some-sys"
version = "2.0.0"
source = "registry+somewhere"
"#;

fn registry() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("alpha-0.9.0/src/lib.rs", "// old\n");
    write("alpha-1.0.0/src/lib.rs", "mod b;\n");
    write("alpha-1.0.0/src/b/mod.rs", "// b");
    write("alpha-1.0.0/src/table.rs", "// @generated\n");
    write("alpha-1.0.0/src/large.rs", &"// large\n".repeat(100));
    write("alpha-1.0.0/src/notes.txt", "no source\n");
    write("alpha-1.0.0/README.md", "# alpha\n");
    write("alpha-1.0.0/tests/a.rs", "// a test\n");
    write("held-2.0.0/src/lib.rs", "// held\n");
    write("some-sys-2.0.0/src/lib.rs", "// sys\n");
    dir
}

fn options() -> SourceOptions {
    SourceOptions {
        held_out: vec!["held".to_owned()],
        most_file_bytes: 500,
        ..SourceOptions::default()
    }
}

fn find(options: &SourceOptions) -> Result<SourceCorpus> {
    let dir = registry();
    let registries = [dir.path().join("nowhere"), dir.path().to_owned()];
    SourceCorpus::find(&Lockfile::parse(LOCK).unwrap(), &registries, options)
}

#[test]
fn written_files_of_the_newest_versions_are_read_in_order() {
    let corpus = find(&options()).unwrap();
    assert_eq!(corpus.missing, ["away-1.0.0"]);
    let names = |crates: &[SourceCrate]| -> Vec<String> {
        crates.iter().map(|source| source.name.clone()).collect()
    };
    assert_eq!(names(&corpus.training), ["alpha-1.0.0"]);
    assert_eq!(names(&corpus.held_out), ["held-2.0.0"]);
    assert_eq!(
        corpus.training[0].joined().text,
        "// alpha-1.0.0/README.md\n\n# alpha\n\n// alpha-1.0.0/src/b/mod.rs\n\n// b\n\n\
         // alpha-1.0.0/src/lib.rs\n\nmod b;\n\n"
    );
    assert_eq!(corpus.training[0].n_bytes(), 8 + 4 + 7);
}

#[test]
fn the_fingerprint_is_that_of_the_text() {
    let corpus = find(&options()).unwrap();
    assert_eq!(corpus, find(&options()).unwrap());
    let print = corpus.training_fingerprint();
    assert_eq!(&print[..16], "ed50ee52c70f40ea");
    assert_ne!(print, corpus.held_out_fingerprint());
}

#[test]
fn a_list_of_names_is_kept_to() {
    let only = SourceOptions {
        only: vec!["some-sys".to_owned()],
        ..options()
    };
    let corpus = find(&only).unwrap();
    assert_eq!(corpus.training[0].name, "some-sys-2.0.0");
    assert_eq!((corpus.training.len(), corpus.held_out.len()), (1, 1));
    assert!(corpus.missing.is_empty());
}

#[test]
fn a_crate_ends_with_the_file_that_fills_it() {
    let short = SourceOptions {
        most_crate_bytes: 9,
        ..options()
    };
    assert_eq!(find(&short).unwrap().training[0].n_bytes(), 8 + 4);
}

#[test]
fn no_sources_at_all_is_an_error() {
    let result = SourceCorpus::find(&Lockfile::parse(LOCK).unwrap(), &[], &options());
    assert!(matches!(result, Err(Error::NoSources { n_missing: 3 })));
}
