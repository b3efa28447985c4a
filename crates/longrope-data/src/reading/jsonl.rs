//! JSON lines: one object per line, one document per object.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use serde_json::Value;

use super::files::read_error;
use super::reader::{self, BYTE_ORDER_MARK, not_utf8};
use crate::{Document, Error, Result};

/// Bytes of the longest line that is read. A line is held in memory several times.
const MAX_LINE_BYTES: u64 = 1 << 28;
/// Errors quote at most this many characters of a bad line.
const MAX_QUOTED_CHARS: usize = 60;

/// Reads the documents of one JSONL file, a line at a time.
pub(crate) struct JsonLines {
    path: PathBuf,
    field: String,
    /// `None` after the end of the file.
    reader: Option<Box<dyn BufRead + Send>>,
    line: usize,
    byte_offset: u64,
    max_line_bytes: u64,
    n_null: u64,
    found_text: bool,
}

impl JsonLines {
    pub(crate) fn open(path: PathBuf, field: &str) -> Result<Self> {
        let reader = Some(reader::open(&path)?);
        Ok(Self {
            path,
            field: field.to_owned(),
            reader,
            line: 0,
            byte_offset: 0,
            max_line_bytes: MAX_LINE_BYTES,
            n_null: 0,
            found_text: false,
        })
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> Result<Option<String>> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        loop {
            let mut bytes = Vec::new();
            let mut line = reader.by_ref().take(self.max_line_bytes + 1);
            let n_bytes = match line.read_until(b'\n', &mut bytes) {
                Ok(n_bytes) => n_bytes,
                Err(source) => {
                    self.reader = None;
                    return Err(read_error(&self.path, source));
                }
            };
            if n_bytes == 0 {
                self.reader = None;
                return Ok(None);
            }
            self.line += 1;
            if n_bytes as u64 > self.max_line_bytes {
                self.reader = None;
                return Err(Error::LineTooLong {
                    path: self.path.clone(),
                    line: self.line,
                    limit: self.max_line_bytes,
                });
            }
            let line_start = self.byte_offset;
            self.byte_offset += n_bytes as u64;
            let mut line = String::from_utf8(bytes)
                .map_err(|error| not_utf8(&self.path, &error, line_start))?;
            if self.line == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len_utf8());
            }
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// The text of a line; empty if it is null.
    fn text_of(&mut self, line: &str) -> Result<String> {
        let (path, line_number) = (self.path.clone(), self.line);
        let value = serde_json::from_str(line).map_err(|source| Error::BadLine {
            path: path.clone(),
            line: line_number,
            found: quote(line),
            source,
        })?;
        let Value::Object(mut record) = value else {
            return Err(Error::NotAnObject {
                path,
                line: line_number,
                found: kind_of(&value),
            });
        };
        let field = self.field.clone();
        match record.get_mut(&field) {
            Some(Value::String(text)) => Ok(std::mem::take(text)),
            Some(Value::Null) => {
                self.n_null += 1;
                Ok(String::new())
            }
            Some(other) => Err(Error::FieldNotText {
                path,
                line: line_number,
                field,
                found: kind_of(other),
            }),
            None => {
                let names: Vec<_> = record.keys().map(|name| format!("`{name}`")).collect();
                let found = if names.is_empty() {
                    "no fields".to_owned()
                } else {
                    names.join(", ")
                };
                Err(Error::MissingField {
                    path,
                    line: line_number,
                    field,
                    found,
                })
            }
        }
    }

    fn warn_of_nulls(&self) {
        if self.n_null > 0 {
            tracing::warn!(
                "lines without text are skipped: field `{}` of {} of the {} lines of `{}` is null",
                self.field,
                self.n_null,
                self.line,
                self.path.display()
            );
        }
    }
}

impl Iterator for JsonLines {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        // At the end of the file, its result has been returned already.
        self.reader.as_ref()?;
        loop {
            let text = match self.next_line() {
                Ok(Some(line)) => self.text_of(&line),
                Ok(None) if self.found_text => {
                    self.warn_of_nulls();
                    return None;
                }
                Ok(None) => {
                    self.warn_of_nulls();
                    Err(Error::EmptyText {
                        path: self.path.clone(),
                    })
                }
                Err(error) => Err(error),
            };
            match text {
                Ok(text) if text.trim().is_empty() => {
                    tracing::debug!(path = %self.path.display(), line = self.line, "record without text skipped");
                }
                Ok(text) => {
                    self.found_text = true;
                    let source = format!("{}#{}", self.path.display(), self.line);
                    return Some(Ok(Document { source, text }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The kind of a JSON value, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn quote(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], field: &str) -> Vec<Result<Document>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs_err::write(&path, content).unwrap();
        JsonLines::open(path, field).unwrap().collect()
    }

    #[test]
    fn blank_lines_and_blank_records_are_skipped_and_lines_are_counted() {
        let content =
            "\u{feff}{\"text\":\"one\"}\r\n\n  \n{\"text\":\" \"}\n{\"id\":5,\"text\":\"two\\n\"}";
        let documents: Result<Vec<_>> = read(content.as_bytes(), "text").into_iter().collect();
        let documents = documents.unwrap();
        assert_eq!(
            documents
                .iter()
                .map(|document| &*document.text)
                .collect::<Vec<_>>(),
            ["one", "two\n"]
        );
        assert!(documents[0].source.ends_with("a.jsonl#1"));
        assert!(documents[1].source.ends_with("a.jsonl#5"));
    }

    #[test]
    fn lines_whose_text_is_null_are_skipped() {
        let content = b"{\"text\":null}\n{\"text\":\"one\"}\n{\"text\":null}\n";
        let documents = read(content, "text");
        assert_eq!(documents.len(), 1);
        let document = documents[0].as_ref().unwrap();
        assert_eq!(document.text, "one");
        assert!(document.source.ends_with("a.jsonl#2"));
        let documents = read(b"{\"text\":null}\n", "text");
        assert!(matches!(&documents[..], [Err(Error::EmptyText { .. })]));
    }

    #[test]
    fn the_field_can_be_chosen() {
        let documents = read(br#"{"text":"no","content":"yes"}"#, "content");
        assert_eq!(documents[0].as_ref().unwrap().text, "yes");
    }

    #[test]
    fn errors_name_file_line_and_what_was_found() {
        let message = |content: &str| {
            read(content.as_bytes(), "text")
                .pop()
                .unwrap()
                .unwrap_err()
                .to_string()
        };
        let ok = "{\"text\":\"one\"}\n\n";
        assert!(
            message(&format!("{ok}{{oops"))
                .ends_with("a.jsonl`, line 3: found `{oops`, expected one JSON object per line")
        );
        assert!(
            message(&format!("{ok}[1]"))
                .ends_with("line 3: found an array, expected a JSON object")
        );
        assert!(
            message(&format!("{ok}{{\"body\":\"x\",\"id\":1}}"))
                .ends_with("line 3: no field `text`, found `body`, `id`")
        );
        assert!(
            message(&format!("{ok}{{\"text\":7}}"))
                .ends_with("line 3: field `text` is a number, expected a string")
        );
    }

    #[test]
    fn a_bad_line_does_not_hide_the_following_ones() {
        let documents = read(b"oops\n{\"text\":\"fine\"}\n", "text");
        assert!(matches!(documents[0], Err(Error::BadLine { line: 1, .. })));
        assert_eq!(documents[1].as_ref().unwrap().text, "fine");
        assert_eq!(documents.len(), 2);
    }

    #[test]
    fn lines_without_end_are_errors_that_end_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs_err::write(
            &path,
            "{\"text\":\"one\"}\n{\"text\":\"longer\"}\n{\"text\":\"three\"}",
        )
        .unwrap();
        let mut lines = JsonLines::open(path, "text").unwrap();
        lines.max_line_bytes = 15;
        let documents: Vec<_> = lines.collect();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].as_ref().unwrap().text, "one");
        assert!(matches!(
            documents[1],
            Err(Error::LineTooLong {
                line: 2,
                limit: 15,
                ..
            })
        ));
    }

    #[test]
    fn invalid_utf8_names_the_byte_in_the_file() {
        let documents = read(b"{\"text\":\"a\"}\n{\"text\":\"\xff\"}\n", "text");
        assert!(matches!(
            documents[1],
            Err(Error::NotUtf8 {
                byte_offset: 22,
                ..
            })
        ));
    }

    #[test]
    fn a_file_without_text_is_an_error_once() {
        let documents = read(b"\n{\"text\":\"\"}\n", "text");
        assert!(matches!(&documents[..], [Err(Error::EmptyText { .. })]));
    }
}
