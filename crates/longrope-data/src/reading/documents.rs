//! Reads the documents of files and folders.

use std::path::{Path, PathBuf};
use std::vec;

use super::files::{self, FileKind};
use super::jsonl::JsonLines;
use super::line_ends::{warn_of_line_ends, warn_of_records};
use super::parquet_text::ParquetRows;
use super::reader;
use crate::{Document, Error, Result};

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The field of a JSONL record, or the column of a Parquet file, that holds the text; `text` by default.
    pub text_field: String,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
        }
    }
}

/// Reads all documents of files and folders into memory; see [`stream_documents`].
///
/// # Errors
/// The first error of [`stream_documents`] or of its iterator.
pub fn read_documents(paths: &[impl AsRef<Path>], options: &ReadOptions) -> Result<Vec<Document>> {
    stream_documents(paths, options)?.collect()
}

/// Reads the documents of files and folders one after the other, with one in memory at a time.
///
/// - A folder stands for the files below it that end in `.txt`, `.text`, `.md`, `.jsonl` or `.parquet`, sorted by path;
///   hidden files and folders are skipped.
/// - A file given by name may have any ending: `.jsonl` and `.json` are read as JSON lines, `.parquet` as one document per
///   row, all others as plain text.
/// - An additional `.gz` or `.zst` means that the file is compressed. Parquet files have a compression of their own.
///
/// # Errors
/// - [`Error::NoPaths`], [`Error::NotFound`], [`Error::NoTextFiles`] and [`Error::Read`], before anything is read.
/// - The iterator returns errors in place of documents: [`Error::Read`], [`Error::EmptyText`], [`Error::NotUtf8`], and
///   for JSON lines [`Error::BadLine`], [`Error::NotAnObject`], [`Error::MissingField`], [`Error::FieldNotText`], and for
///   Parquet [`Error::Parquet`], [`Error::MissingColumn`], [`Error::ColumnNotText`], [`Error::ParquetCompression`],
///   [`Error::RowNotUtf8`].
pub fn stream_documents(paths: &[impl AsRef<Path>], options: &ReadOptions) -> Result<Documents> {
    let files = files::expand(paths)?;
    tracing::debug!(n_files = files.len(), "text files found");
    Ok(Documents {
        files: files.into_iter(),
        records: None,
        unwarned: None,
        options: options.clone(),
    })
}

/// Iterator over the documents of a list of files, made by [`stream_documents`]. Files are read on demand.
pub struct Documents {
    files: vec::IntoIter<PathBuf>,
    records: Option<Records>,
    /// The file of the records, until its line ends were warned of.
    unwarned: Option<PathBuf>,
    options: ReadOptions,
}

/// The documents of one file.
type Records = Box<dyn Iterator<Item = Result<Document>> + Send>;

impl Documents {
    /// The next document of the file of several that is being read.
    fn next_record(&mut self) -> Option<Result<Document>> {
        let document = self.records.as_mut()?.next()?;
        if let (Ok(document), Some(path)) = (&document, &self.unwarned)
            && warn_of_records(path, &document.text)
        {
            self.unwarned = None;
        }
        Some(document)
    }
}

impl Iterator for Documents {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.next_record() {
                return Some(document);
            }
            let path = self.files.next()?;
            self.unwarned = Some(path.clone());
            let field = &self.options.text_field;
            let records: Result<Records> = match files::kind_of_named_file(&path) {
                FileKind::Text => return Some(read_plain(&path)),
                FileKind::JsonLines => {
                    JsonLines::open(path, field).map(|lines| Box::new(lines) as Records)
                }
                FileKind::Parquet => {
                    ParquetRows::open(path, field).map(|rows| Box::new(rows) as Records)
                }
            };
            match records {
                Ok(records) => self.records = Some(records),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn read_plain(path: &Path) -> Result<Document> {
    let text = reader::read_text(path)?;
    if text.trim().is_empty() {
        return Err(Error::EmptyText {
            path: path.to_path_buf(),
        });
    }
    warn_of_line_ends(path, &text);
    Ok(Document {
        source: path.display().to_string(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{gzip, zstd};

    #[test]
    fn a_mixed_folder_is_read_in_the_order_of_its_paths() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs_err::write(dir.path().join(name), bytes).unwrap();
        write("c.txt", b"three\r\n");
        write(
            "a.jsonl.gz",
            &gzip("{\"text\":\"one\"}\n{\"text\":\"one and a half\"}\n"),
        );
        write("b.md.zst", &zstd("two"));
        write("config.json", b"{}");

        let documents =
            read_documents(&[dir.path().to_path_buf()], &ReadOptions::default()).unwrap();
        let found: Vec<_> = documents
            .iter()
            .map(|document| {
                (
                    document.source.rsplit('/').next().unwrap(),
                    document.text.as_str(),
                )
            })
            .collect();
        let expected = [
            ("a.jsonl.gz#1", "one"),
            ("a.jsonl.gz#2", "one and a half"),
            ("b.md.zst", "two"),
            ("c.txt", "three\r\n"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_of_white_space_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs_err::write(&path, " \n\t\n").unwrap();
        let result = read_documents(std::slice::from_ref(&path), &ReadOptions::default());
        assert!(matches!(result, Err(Error::EmptyText { path: found }) if found == path));
    }

    #[test]
    fn streaming_goes_on_after_a_bad_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("bad.txt"), dir.path().join("good.txt")];
        fs_err::write(&paths[0], b"\xff").unwrap();
        fs_err::write(&paths[1], "good").unwrap();
        let documents: Vec<_> = stream_documents(&paths, &ReadOptions::default())
            .unwrap()
            .collect();
        assert!(matches!(
            documents[0],
            Err(Error::NotUtf8 { byte_offset: 0, .. })
        ));
        assert_eq!(documents[1].as_ref().unwrap().text, "good");
    }
}
