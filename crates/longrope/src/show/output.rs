//! Results on stdout, as tables or JSON.

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::HumanCount;
use serde::Serialize;

use super::escape::{one_line, printable};
use crate::settings::path_text::from_text;
use crate::terminal::hang_up::has_hung_up;

/// Writes a line to stdout, with control characters escaped. If nobody reads it any more (`longrope ... | head`), the work
/// goes on without output.
///
/// # Errors
/// If it cannot be written for another reason.
pub(crate) fn line(text: impl AsRef<str>) -> Result<()> {
    if_read(write(&(printable(text.as_ref()).into_owned() + "\n")))
}

/// Nobody reads the output, and the output is all that there is to do.
#[derive(Debug)]
pub(crate) struct NobodyReads;

impl fmt::Display for NobodyReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl std::error::Error for NobodyReads {}

/// Writes a value as one line of JSON. If nobody reads it any more, the work goes on without output.
///
/// # Errors
/// If the value cannot be written.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    if_read(write(&(serde_json::to_string(value)? + "\n")))
}

/// As [`generated`], for text besides which there is more to do. If nobody reads it any more, the work goes on without output.
///
/// # Errors
/// If it cannot be written for another reason.
pub(crate) fn generated_if_read(text: &str) -> Result<()> {
    if_read(write_generated(text))
}

/// Writes text that a model generated, at once. A terminal gets it with control characters escaped, a file or a pipe as it
/// is.
///
/// # Errors
/// [`NobodyReads`] if its reader is gone, others if it cannot be written.
pub(crate) fn generated(text: &str) -> Result<()> {
    match write_generated(text) {
        Err(error) if is_unread(&error) => Err(NobodyReads.into()),
        other => Ok(other?),
    }
}

fn write_generated(text: &str) -> std::io::Result<()> {
    if std::io::stdout().is_terminal() {
        write(&printable(text))
    } else {
        write(text)
    }
}

/// Writes text that other programs read, as it is. If nobody reads it any more, nothing is left to do.
///
/// # Errors
/// If it cannot be written for another reason.
pub(crate) fn raw(text: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if_read(stdout.write_all(text).and_then(|()| stdout.flush()))
}

fn write(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A closed pipe or terminal is no error.
fn if_read(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if !is_unread(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a write failed because nobody reads any more.
fn is_unread(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe || has_hung_up()
}

/// A table with text in the first column and numbers in the others.
pub(crate) fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = filled(header, rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    lines(&table)
}

/// One row per RoPE, one column per context, both in the order of their first occurrence.
pub(crate) fn by_context<'a>(cells: impl IntoIterator<Item = (&'a str, usize, String)>) -> String {
    by_context_of("rope", cells)
}

/// As [`by_context`], with another heading of the first column.
pub(crate) fn by_context_of<'a>(
    heading: &str,
    cells: impl IntoIterator<Item = (&'a str, usize, String)>,
) -> String {
    let cells: Vec<(&str, usize, String)> = cells.into_iter().collect();
    let mut contexts: Vec<usize> = Vec::new();
    for (_, context, _) in &cells {
        if !contexts.contains(context) {
            contexts.push(*context);
        }
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (rope, context, text) in cells {
        let row_idx = rows
            .iter()
            .position(|row| row[0] == rope)
            .unwrap_or_else(|| {
                let mut row = vec![String::new(); contexts.len() + 1];
                rope.clone_into(&mut row[0]);
                rows.push(row);
                rows.len() - 1
            });
        if let Some(column) = contexts.iter().position(|known| *known == context) {
            rows[row_idx][column + 1] = text;
        }
    }
    let header: Vec<String> = std::iter::once(heading.to_owned())
        .chain(contexts.iter().map(|context| grouped(*context)))
        .collect();
    table(&header, &rows)
}

/// The text of a cell, with line breaks and tabs escaped: they would break the table. Paths that are not UTF-8 have a
/// replacement character.
fn cell(text: &str) -> String {
    let shown = from_text(PathBuf::from(text));
    one_line(&shown.to_string_lossy()).into_owned()
}

fn filled(header: &[String], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().map(|text| cell(text)));
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)));
    }
    table
}

/// The text of a table without trailing blanks.
fn lines(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A list of names and values in two columns.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}", one_line(value)))
        .collect();
    lines.join("\n")
}

/// A path for a line of output, with line breaks escaped.
pub(crate) fn path(path: &Path) -> String {
    one_line(&path.display().to_string()).into_owned()
}

/// Formats a perplexity: three decimals below 1000, fewer above.
pub(crate) fn perplexity(ppl: f64) -> String {
    if ppl < 1000.0 {
        format!("{ppl:.3}")
    } else if ppl < 1e6 {
        format!("{ppl:.1}")
    } else {
        format!("{ppl:.2e}")
    }
}

/// Formats seconds as seconds, minutes or hours.
pub(crate) fn duration(secs: f64) -> String {
    if secs < 60.0 {
        format!("{secs:.1} s")
    } else if secs < 5400.0 {
        format!("{:.1} min", secs / 60.0)
    } else {
        format!("{:.1} h", secs / 3600.0)
    }
}

/// Formats bytes in binary units.
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{n} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Formats a number with at most six significant digits, without zeros at the end: `0.00005`, `1234.57`, `1.2e-7`.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // Rounded in scientific form; the shortest text of what is left has no further digits.
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if (1e-6..1e9).contains(&rounded.abs()) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Formats a number with thousands separators.
pub(crate) fn grouped(n: usize) -> String {
    HumanCount(n as u64).to_string()
}

/// A number with its noun, with thousands separators: `1 window`, `2,000 windows`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    let end = if n == 1 { "" } else { "s" };
    format!("{} {noun}{end}", grouped(n))
}

/// Whether log lines are coloured.
#[expect(
    clippy::disallowed_methods,
    reason = "only the program reads the environment, not its libraries"
)]
pub(crate) fn stderr_has_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
