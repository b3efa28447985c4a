//! The first columns of the tables of evaluations: whose a result is.

use super::groups::{Group, Row};
use crate::show::output;

/// Cells that say whose a result is.
pub(super) fn names<T>(group: &Group<'_, T>, row: &Row<'_, T>) -> Vec<String> {
    let mut cells = vec![output::grouped(row.context)];
    if group.has_stages() {
        cells.push(row.stage.clone().unwrap_or_default());
    } else if group.models().len() > 1 {
        cells.push(group.short_name(&row.model));
    }
    cells.push(row.rope.clone());
    cells
}

/// The header of these cells, followed by others.
pub(super) fn header<'h, T>(group: &Group<'_, T>, others: &[&'h str]) -> Vec<&'h str> {
    let mut header = vec!["context"];
    if group.has_stages() {
        header.push("stage");
    } else if group.models().len() > 1 {
        header.push("model");
    }
    header.push("RoPE");
    header.extend(others);
    header
}
