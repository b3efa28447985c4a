//! Reads the rows of a data set from JSON lines or Parquet.

use std::path::Path;

use longrope_data::{fenced, read_text};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
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

/// Reads all rows of a file: Parquet if its name ends in `.parquet`, otherwise one JSON object per line, or one JSON list
/// of objects. Both may be compressed (`.gz` or `.zst`).
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

/// Bytes of all columns of a Parquet file, decompressed, that are read into memory.
const MAX_PARQUET_BYTES: i64 = 1 << 30;

type Rows = Vec<(usize, Map<String, Value>)>;

fn json_rows(path: &Path) -> Result<Rows, BenchError> {
    let text = read_text(path)?;
    if text.trim_start().starts_with('[') {
        let rows: Vec<Map<String, Value>> =
            serde_json::from_str(&text).map_err(|source| BenchError::List {
                path: path.to_owned(),
                source,
            })?;
        return Ok((1..).zip(rows).collect());
    }
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
    if !path.is_file() {
        // The message says what it is instead.
        read_text(path)?;
    }
    let file = fs_err::File::open(path).map_err(|source| longrope_data::Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrap = |source| BenchError::Parquet {
        path: path.to_owned(),
        source,
    };
    let read = || {
        let reader = SerializedFileReader::new(file.into_file())?;
        let groups = reader.metadata().row_groups().iter();
        let n_bytes = groups
            .map(RowGroupMetaData::total_byte_size)
            .fold(0, i64::saturating_add);
        if !(0..=MAX_PARQUET_BYTES).contains(&n_bytes) {
            return Err(ParquetError::General(format!(
                "its columns have {n_bytes} bytes, expected at most {MAX_PARQUET_BYTES}"
            )));
        }
        reader
            .into_iter()
            .enumerate()
            .map(|(index, row)| Ok((index + 1, row_json(&row?))))
            .collect()
    };
    // The library panics on some damaged files.
    fenced(read)
        .unwrap_or_else(|panicked| Err(ParquetError::External(panicked.into())))
        .map_err(wrap)
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
        fs_err::write(&path, "[{\"a\":1},\n{\"a\":2}]").unwrap();
        let records = read_records(&path).unwrap();
        assert!(records[1].place.ends_with("a.jsonl#2"));
        assert_eq!(records[1].columns["a"], 2);
        fs_err::write(&path, "[{\"a\":1}, 2]").unwrap();
        let error = read_records(&path).unwrap_err();
        assert!(matches!(error, BenchError::List { .. }), "{error}");
        fs_err::write(&path, "{\"a\":1}\n[2]\n").unwrap();
        let error = read_records(&path).unwrap_err();
        assert!(matches!(error, BenchError::Line { line: 2, .. }));
    }

    #[test]
    fn damaged_parquet_is_an_error_wherever_it_is_damaged() {
        let good = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/bench/data/arc-train.parquet");
        let bytes = fs_err::read(good).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        for (at, bit) in (0..bytes.len()).step_by(61).zip((0..8).cycle()) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs_err::write(&path, damaged).unwrap();
            // Damage to unused parts, or to the text itself, cannot be seen.
            match read_records(&path) {
                Ok(records) => assert!(!records.is_empty()),
                Err(BenchError::Parquet { .. } | BenchError::NoRows { .. }) => {}
                Err(error) => panic!("byte {at}, bit {bit}: {error}"),
            }
        }
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
