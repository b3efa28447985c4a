//! Parquet files: one document per row of one column.

mod guard;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Type as Physical};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::fence::fenced;
use crate::reading::files::{check_is_readable, read_error};
use crate::{Document, Error, Result};

/// Reads the documents of one Parquet file, a row at a time. Of the file, one page of the column is in memory.
pub(crate) struct ParquetRows {
    path: PathBuf,
    column: Column,
    /// The column of the row group that is being read.
    values: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Row groups that were begun.
    n_groups: usize,
    /// Rows that are left in the row group.
    rows_left: u64,
    row: u64,
    n_null: u64,
    found_text: bool,
    is_over: bool,
}

/// A column of a file.
struct Column {
    file: Arc<guard::Pages>,
    metadata: ParquetMetaData,
    index: usize,
}

/// What comes next in a file.
enum Row {
    Text(ByteArray),
    Null,
    End,
}

type Values = std::result::Result<ColumnReaderImpl<ByteArrayType>, ParquetError>;

impl ParquetRows {
    /// Opens a file, of which `name` is the column with the text.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Read`], [`Error::Parquet`], [`Error::MissingColumn`],
    /// [`Error::ColumnNotText`] and [`Error::ParquetCompression`].
    pub(crate) fn open(path: PathBuf, name: &str) -> Result<Self> {
        let column = Column::open(&path, name)?;
        Ok(Self {
            path,
            column,
            values: None,
            n_groups: 0,
            rows_left: 0,
            row: 0,
            n_null: 0,
            found_text: false,
            is_over: false,
        })
    }

    fn next_row(&mut self) -> std::result::Result<Row, ParquetError> {
        while self.rows_left == 0 {
            if self.n_groups == self.column.metadata.num_row_groups() {
                return Ok(Row::End);
            }
            self.rows_left = self.column.n_rows(self.n_groups)?;
            self.values = Some(self.column.values(self.n_groups)?);
            self.n_groups += 1;
        }
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let n_rows = match &mut self.values {
            Some(reader) => {
                reader
                    .read_records(1, Some(&mut levels), None, &mut values)?
                    .0
            }
            None => 0,
        };
        if n_rows == 0 {
            return Err(ParquetError::EOF(format!(
                "row group {} ends {} rows too early",
                self.n_groups, self.rows_left
            )));
        }
        self.rows_left -= 1;
        self.row += 1;
        Ok(values.pop().map_or(Row::Null, Row::Text))
    }

    /// The text of the next row that is not null; `None` after the last row.
    fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            // The library panics on some damaged files.
            let row = fenced(|| self.next_row())
                .unwrap_or_else(|panicked| Err(ParquetError::External(panicked.into())));
            match row {
                Ok(Row::Text(bytes)) => {
                    let text = std::str::from_utf8(bytes.data());
                    return text
                        .map(|text| Some(text.to_owned()))
                        .map_err(|_| Error::RowNotUtf8 {
                            path: self.path.clone(),
                            row: self.row,
                        });
                }
                Ok(Row::Null) => self.n_null += 1,
                Ok(Row::End) => {
                    self.is_over = true;
                    return Ok(None);
                }
                Err(error) => {
                    self.is_over = true;
                    self.values = None;
                    return Err(wrap(&self.path, error));
                }
            }
        }
    }

    fn warn_of_nulls(&self) {
        if self.n_null > 0 {
            tracing::warn!(
                "rows without text are skipped: {} of the {} rows of `{}` are null",
                self.n_null,
                self.row,
                self.path.display()
            );
        }
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        loop {
            let text = match self.next_text() {
                Ok(Some(text)) => text,
                Ok(None) if self.found_text => {
                    self.warn_of_nulls();
                    return None;
                }
                Ok(None) => {
                    return Some(Err(Error::EmptyText {
                        path: self.path.clone(),
                    }));
                }
                Err(error) => return Some(Err(error)),
            };
            if text.trim().is_empty() {
                tracing::debug!(path = %self.path.display(), row = self.row, "row without text skipped");
                continue;
            }
            self.found_text = true;
            let source = format!("{}#{}", self.path.display(), self.row);
            return Some(Ok(Document { source, text }));
        }
    }
}

impl Column {
    fn open(path: &Path, name: &str) -> Result<Self> {
        let file = open_file(path)?;
        let metadata = fenced(|| ParquetMetaDataReader::new().parse_and_finish(&file))
            .unwrap_or_else(|panicked| Err(ParquetError::External(panicked.into())))
            .map_err(|error| wrap(path, error))?;
        let index = column_index(path, metadata.file_metadata().schema_descr(), name)?;
        for group in metadata.row_groups() {
            // A damaged file may have fewer columns here; reading the row group is an error then.
            let Some(column) = group.columns().get(index) else {
                continue;
            };
            let compression = column.compression();
            if !matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY) {
                return Err(Error::ParquetCompression {
                    path: path.to_path_buf(),
                    column: name.to_owned(),
                    found: compression_name(compression),
                });
            }
        }
        Ok(Self {
            file: Arc::new(guard::Pages::new(file)),
            metadata,
            index,
        })
    }

    fn n_rows(&self, group: usize) -> std::result::Result<u64, ParquetError> {
        let n_rows = self.metadata.row_group(group).num_rows();
        u64::try_from(n_rows)
            .map_err(|_| ParquetError::General(format!("a row group has {n_rows} rows")))
    }

    fn values(&self, group: usize) -> Values {
        let metadata = self.metadata.row_group(group);
        let column = metadata.column(self.index);
        let pages = guard::checked_pages(&self.file, column, metadata.num_rows())?;
        Ok(ColumnReaderImpl::new(column.column_descr_ptr(), pages))
    }
}

fn open_file(path: &Path) -> Result<File> {
    check_is_readable(path)?;
    let file = fs_err::File::open(path)
        .map_err(|source| read_error(path, source))?
        .into_file();
    let metadata = file.metadata().map_err(|source| read_error(path, source))?;
    if metadata.is_file() {
        Ok(file)
    } else {
        Err(Error::NotAFile {
            path: path.to_path_buf(),
            found: "a pipe, which can only be read from beginning to end",
        })
    }
}

fn wrap(path: &Path, error: ParquetError) -> Error {
    match error {
        // Errors of the disk have hints of their own.
        ParquetError::External(source) if source.is::<io::Error>() => {
            match source.downcast::<io::Error>() {
                Ok(source) => read_error(path, *source),
                Err(source) => parquet_error(path, ParquetError::External(source)),
            }
        }
        error => parquet_error(path, error),
    }
}

fn parquet_error(path: &Path, source: ParquetError) -> Error {
    Error::Parquet {
        path: path.to_path_buf(),
        source: Box::new(source),
    }
}

/// The index of the column `name` among the columns of numbers and texts, which are the leaves of the schema.
fn column_index(path: &Path, schema: &SchemaDescriptor, name: &str) -> Result<usize> {
    let fields = schema.root_schema().get_fields();
    let Some(field) = fields.iter().find(|field| field.name() == name) else {
        let names: Vec<String> = fields
            .iter()
            .map(|field| format!("`{}`", field.name()))
            .collect();
        return Err(Error::MissingColumn {
            path: path.to_path_buf(),
            column: name.to_owned(),
            found: if names.is_empty() {
                "no columns".to_owned()
            } else {
                names.join(", ")
            },
        });
    };
    let not_text = |found| Error::ColumnNotText {
        path: path.to_path_buf(),
        column: name.to_owned(),
        found,
    };
    let leaf = (0..schema.num_columns())
        .find(|&index| schema.column(index).path().parts() == [name.to_owned()]);
    let Some(index) = leaf else {
        return Err(not_text(kind_of_group(field)));
    };
    let column = schema.column(index);
    if column.max_rep_level() > 0 {
        return Err(not_text("a list"));
    }
    match column.physical_type() {
        Physical::BYTE_ARRAY => Ok(index),
        Physical::BOOLEAN => Err(not_text("of booleans")),
        Physical::FIXED_LEN_BYTE_ARRAY => Err(not_text("of bytes of a fixed length")),
        _ => Err(not_text("of numbers")),
    }
}

fn kind_of_group(field: &Type) -> &'static str {
    if field.is_group() && field.get_fields().len() > 1 {
        "of several fields"
    } else {
        "a list or of fields"
    }
}

/// The name of a compression, without its level.
fn compression_name(compression: Compression) -> String {
    let name = format!("{compression:?}").to_ascii_lowercase();
    name.split('(').next().unwrap_or(&name).to_owned()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
