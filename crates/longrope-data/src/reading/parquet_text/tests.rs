use parquet::basic::{Compression, Encoding, Repetition};
use parquet::file::properties::{WriterProperties, WriterVersion};

use super::*;
use crate::fixtures::{Cells, parquet_file, parquet_with};
use crate::{ReadOptions, read_documents};

fn rows(path: &Path, column: &str) -> Vec<Result<Document>> {
    match ParquetRows::open(path.to_path_buf(), column) {
        Ok(rows) => rows.collect(),
        Err(error) => vec![Err(error)],
    }
}

fn texts(path: &Path) -> Vec<String> {
    let rows: Result<Vec<Document>> = rows(path, "text").into_iter().collect();
    rows.unwrap().into_iter().map(|row| row.text).collect()
}

#[test]
fn rows_are_documents_and_rows_without_text_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let groups = [
        vec![Some("one"), None, Some(" \n")],
        vec![Some("número 7\n"), Some("")],
        vec![None, Some("three")],
    ];
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder()
                .set_compression(compression)
                .set_writer_version(version)
                .build();
            parquet_with(&path, "text", &groups, properties);
            let found: Result<Vec<_>> = rows(&path, "text").into_iter().collect();
            let found = found.unwrap();
            assert_eq!(texts(&path), ["one", "número 7\n", "three"]);
            assert!(found[0].source.ends_with("a.parquet#1"));
            assert!(found[1].source.ends_with("a.parquet#4"));
            assert!(found[2].source.ends_with("a.parquet#7"));
        }
    }
}

#[test]
fn long_texts_are_read_in_all_encodings_that_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let long = "the quick brown fox\n".repeat(20_000);
    let mut written: Vec<String> = (0..3000).map(|i| format!("text {i}")).collect();
    written.push(long);
    let group: Vec<Option<&str>> = written.iter().map(|text| Some(text.as_str())).collect();
    for encoding in [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_dictionary_enabled(false)
                .set_encoding(encoding)
                .set_writer_version(version)
                .set_data_page_row_count_limit(1000)
                .build();
            parquet_with(&path, "text", std::slice::from_ref(&group), properties);
            assert_eq!(texts(&path), written, "{encoding}");
        }
    }
}

#[test]
fn encodings_by_which_short_files_hold_texts_of_any_length_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BYTE_ARRAY)
        .build();
    parquet_with(&path, "text", &[vec![Some("one")]], properties);
    assert!(matches!(
        &rows(&path, "text")[..],
        [Err(Error::Parquet { .. })]
    ));
}

#[test]
fn columns_that_hold_no_text_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let message = |column: &str| rows(&path, column).pop().unwrap().unwrap_err().to_string();
    parquet_file(
        &path,
        &[
            ("n", Repetition::REQUIRED, Cells::Numbers(&[1, 2])),
            ("text", Repetition::OPTIONAL, Cells::Texts(&["a", "b"])),
            ("words", Repetition::REPEATED, Cells::Texts(&["a", "b"])),
        ],
    );
    assert_eq!(texts(&path), ["a", "b"]);
    assert!(message("body").ends_with("a.parquet`: no column `body`, found `n`, `text`, `words`"));
    assert!(message("n").ends_with("column `n` is of numbers, expected one of texts"));
    assert!(message("words").ends_with("column `words` is a list, expected one of texts"));
}

#[test]
fn texts_that_are_not_utf8_are_named_and_do_not_hide_the_following_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    parquet_file(
        &path,
        &[(
            "text",
            Repetition::REQUIRED,
            Cells::Bytes(&[b"one", b"caf\xe9", b"three"]),
        )],
    );
    let found = rows(&path, "text");
    assert!(matches!(found[1], Err(Error::RowNotUtf8 { row: 2, .. })));
    assert_eq!(found[2].as_ref().unwrap().text, "three");
}

#[test]
fn a_file_without_text_is_an_error_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let none: Vec<Vec<Option<&str>>> = vec![vec![None, Some(" ")]];
    for groups in [&none[..], &[]] {
        parquet_with(&path, "text", groups, WriterProperties::default());
        let found = rows(&path, "text");
        assert!(matches!(&found[..], [Err(Error::EmptyText { .. })]));
    }
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    for content in [&b""[..], b"PAR1", b"{\"text\":\"one\"}\n"] {
        fs_err::write(&path, content).unwrap();
        let result = read_documents(std::slice::from_ref(&path), &ReadOptions::default());
        assert!(matches!(result, Err(Error::Parquet { .. })), "{result:?}");
    }
    let missing = dir.path().join("b.parquet");
    assert!(matches!(
        &rows(&missing, "text")[..],
        [Err(Error::NotFound { .. })]
    ));
}

#[test]
fn damage_is_an_error_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let good = "the quick brown fox\n".repeat(40);
    let groups = [
        vec![Some(good.as_str()), None, Some("two")],
        vec![Some("three")],
    ];
    for encoding in [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(encoding == Encoding::PLAIN)
            .set_encoding(encoding)
            .build();
        parquet_with(&path, "text", &groups, properties);
        let bytes = fs_err::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= [1_u8, 0x80, 0xff][at % 3];
            fs_err::write(&path, damaged).unwrap();
            // Damage to unused parts, or to the text itself, cannot be seen.
            for row in rows(&path, "text") {
                match row {
                    Ok(row) => assert!(row.text.len() <= 2 * good.len()),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
        for length in (0..bytes.len()).step_by(7) {
            fs_err::write(&path, &bytes[..length]).unwrap();
            assert!(rows(&path, "text").iter().any(Result::is_err), "{length}");
        }
    }
}
