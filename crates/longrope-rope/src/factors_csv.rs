//! Rescale factors from comma-separated values.

use crate::{Error, RescaleFactors, Result};

/// Reads factors from a table: one value per line, or layers × pairs with equal rows.
///
/// Blank lines, lines that start with `#`, a header line without numbers, and trailing commas are ignored. A single row
/// of several values holds the factors of one layer.
///
/// # Errors
/// The `Csv..` variants of [`Error`] with line and column, and [`Error::Factor`] for numbers that cannot be factors.
pub fn factors_from_csv(text: &str) -> Result<RescaleFactors> {
    let rows = numeric_rows(text)?;
    let first = rows.first().ok_or(Error::CsvEmpty {})?;
    if rows.iter().all(|row| row.values.len() == 1) {
        return RescaleFactors::new(rows.iter().map(|row| row.values[0]).collect());
    }
    for row in &rows[1..] {
        if row.values.len() != first.values.len() {
            return Err(Error::CsvRowLength {
                line: row.line,
                found: row.values.len(),
                expected: first.values.len(),
            });
        }
        #[expect(
            clippy::float_cmp,
            reason = "layers share factors exactly or not at all"
        )]
        let differing = row
            .values
            .iter()
            .zip(&first.values)
            .position(|(found, expected)| found != expected);
        if let Some(column) = differing {
            return Err(Error::CsvRowDiffers {
                line: row.line,
                column: column + 1,
                found: row.values[column],
                expected: first.values[column],
            });
        }
    }
    RescaleFactors::new(first.values.clone())
}

struct Row {
    line: u64,
    values: Vec<f64>,
}

fn numeric_rows(text: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut header_may_follow = true;
    // Spreadsheets put a byte order mark in front.
    for (line, row) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let row = row.trim().trim_end_matches([',', ' ', '\t']);
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let is_header = header_may_follow && row.split(',').all(|field| number(field).is_none());
        header_may_follow = false;
        if !is_header {
            rows.push(numeric_row(line, row)?);
        }
    }
    Ok(rows)
}

fn numeric_row(line: u64, row: &str) -> Result<Row> {
    let values = row
        .split(',')
        .enumerate()
        .map(|(index, field)| {
            let found = || field.trim().to_owned();
            number(field).ok_or_else(|| Error::CsvNumber {
                line,
                column: index + 1,
                found: found(),
            })
        })
        .collect::<Result<_>>()?;
    Ok(Row { line, values })
}

fn number(field: &str) -> Option<f64> {
    field.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<f64> {
        factors_from_csv(text).unwrap().as_slice().to_vec()
    }

    #[test]
    fn one_value_per_line() {
        assert_eq!(read("1\n1.5\n2e0\n"), [1.0, 1.5, 2.0]);
        assert_eq!(
            read("factor\n1,\n\n# slow pairs\n 1.5 ,\r\n2"),
            [1.0, 1.5, 2.0]
        );
    }

    #[test]
    fn equal_rows_are_one_set() {
        assert_eq!(read("1,1.5,2\n1,1.5,2\n1.0,1.50,2\n"), [1.0, 1.5, 2.0]);
        assert_eq!(read("1,1.5,2"), [1.0, 1.5, 2.0]);
    }

    #[test]
    fn different_rows_are_refused_by_line_and_column() {
        let error = factors_from_csv("1,1.5,2\n1,1.5,2\n1,1.6,2\n").unwrap_err();
        assert!(
            matches!(
                error,
                Error::CsvRowDiffers {
                    line: 3,
                    column: 2,
                    ..
                }
            ),
            "{error}"
        );
        let error = factors_from_csv("1,1.5,2\n1,1.5\n").unwrap_err();
        assert!(
            matches!(
                error,
                Error::CsvRowLength {
                    line: 2,
                    found: 2,
                    expected: 3
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn text_among_numbers_is_refused_by_line_and_column() {
        let error = factors_from_csv("1,1.5\n\n1,x\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the factor table has `x` in line 3, column 2, expected a number"
        );
    }

    #[test]
    fn numbers_that_are_no_factors_are_refused_by_index() {
        assert!(matches!(
            factors_from_csv("1\n0\n"),
            Err(Error::Factor { index: 1, .. })
        ));
        assert!(matches!(
            factors_from_csv("1\nnan\n"),
            Err(Error::Factor { index: 1, .. })
        ));
        assert!(matches!(
            factors_from_csv("1\n-1\n"),
            Err(Error::Factor { index: 1, .. })
        ));
    }

    #[test]
    fn a_table_without_numbers_is_refused() {
        for text in ["", "\n\n", "factor\n", "# nothing\n"] {
            assert!(
                matches!(factors_from_csv(text), Err(Error::CsvEmpty {})),
                "{text:?}"
            );
        }
    }
}
