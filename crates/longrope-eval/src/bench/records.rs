//! Reads the rows of a data set from JSON lines or Parquet.

use std::path::Path;

use longrope_data::read_text;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::error::BenchError;

/// A row and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// File and row, counted from 1, for messages.
    pub place: String,
    /// Columns by name.
    pub columns: Map<String, Value>,
}

/// Reads all rows of a file: Parquet if its name ends in `.parquet`, otherwise one JSON object per line, which may be
/// compressed (`.gz` or `.zst`).
///
/// # Errors
/// If the file cannot be read, has another form, or has no rows.
pub fn read_records(path: &Path) -> Result<Vec<Record>, BenchError> {
    let is_parquet = path.extension().is_some_and(|ending| ending == "parquet");
    let rows = if is_parquet {
        parquet_rows(path)?
    } else {
        json_rows(path)?
    };
    if rows.is_empty() {
        return Err(BenchError::NoRows {
            path: path.to_owned(),
        });
    }
    let record = |(row, columns)| Record {
        place: format!("{}#{row}", path.display()),
        columns,
    };
    Ok(rows.into_iter().map(record).collect())
}

type Rows = Vec<(usize, Map<String, Value>)>;

fn json_rows(path: &Path) -> Result<Rows, BenchError> {
    let text = read_text(path)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let columns = serde_json::from_str(line).map_err(|source| BenchError::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
            Ok((index + 1, columns))
        })
        .collect()
}

fn parquet_rows(path: &Path) -> Result<Rows, BenchError> {
    let file = fs_err::File::open(path).map_err(|source| longrope_data::Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrap = |source| BenchError::Parquet {
        path: path.to_owned(),
        source,
    };
    let reader = SerializedFileReader::new(file.into_file()).map_err(wrap)?;
    reader
        .into_iter()
        .enumerate()
        .map(|(index, row)| Ok((index + 1, row_json(&row.map_err(wrap)?))))
        .collect()
}

fn row_json(row: &Row) -> Map<String, Value> {
    row.get_column_iter()
        .map(|(name, field)| (name.clone(), field_json(field)))
        .collect()
}

/// A field as JSON. Benchmarks have texts, numbers, flags, and lists and structs of these; everything else is null.
fn field_json(field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float(value) => Value::from(*value),
        Field::Double(value) => Value::from(*value),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Group(row) => Value::Object(row_json(row)),
        Field::ListInternal(list) => list.elements().iter().map(field_json).collect(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_rows_and_blank_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs_err::write(&path, "{\"a\":1}\n\n{\"a\":[\"x\"]}\n").unwrap();
        let records = read_records(&path).unwrap();
        assert_eq!(records.len(), 2);
        assert!(records[1].place.ends_with("a.jsonl#3"));
        fs_err::write(&path, "\n").unwrap();
        assert!(matches!(
            read_records(&path),
            Err(BenchError::NoRows { .. })
        ));
        fs_err::write(&path, "{\"a\":1}\n[2]\n").unwrap();
        let error = read_records(&path).unwrap_err();
        assert!(matches!(error, BenchError::Line { line: 2, .. }));
    }

    #[test]
    fn what_is_no_parquet_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        fs_err::write(&path, "{\"a\":1}\n").unwrap();
        let error = read_records(&path).unwrap_err();
        assert!(matches!(error, BenchError::Parquet { .. }));
    }
}
