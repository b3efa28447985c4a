//! Heat maps: shares in a grid, each with its number.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::colors::TEXT;

/// Width and height of a cell, pixels.
const CELL: (i32, i32) = (96, 44);
/// Room for the title and the names of columns, and for the names of rows.
const TOP: i32 = 84;
const LEFT: i32 = 96;
const BOTTOM: i32 = 44;
const RIGHT: i32 = 24;
/// A share of nothing, and of everything.
const NONE: RGBColor = RGBColor(240, 240, 236);
const ALL: RGBColor = RGBColor(0, 90, 150);

/// What a heat map shows.
pub(crate) struct Heat<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
    /// Names, from left to right.
    pub(crate) columns: Vec<String>,
    /// Names, from top to bottom.
    pub(crate) rows: Vec<String>,
    /// Shares from 0 to 1, row by row.
    pub(crate) cells: &'a [Vec<Option<f64>>],
}

/// Draws a grid of shares, darker the higher, with the number in every cell.
pub(crate) fn heat_map(heat: &Heat) -> Result<String> {
    let (n_columns, n_rows) = (
        i32::try_from(heat.columns.len())?,
        i32::try_from(heat.rows.len())?,
    );
    let grid_width = (n_columns * CELL.0).max(360);
    let size = (LEFT + grid_width + RIGHT, TOP + n_rows * CELL.1 + BOTTOM);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (size.0.unsigned_abs(), size.1.unsigned_abs()))
        .into_drawing_area();
    root.fill(&WHITE)?;
    let style = |height: u32, color: &RGBColor, at: Pos| {
        ("sans-serif", height).into_font().color(color).pos(at)
    };
    let centered = Pos::new(HPos::Center, VPos::Center);
    let to_left = Pos::new(HPos::Left, VPos::Center);
    let to_right = Pos::new(HPos::Right, VPos::Center);
    root.draw(&Text::new(heat.title, (14, 24), style(20, &TEXT, to_left)))?;
    root.draw(&Text::new(
        heat.y_label,
        (14, TOP - 16),
        style(13, &TEXT, to_left),
    ))?;
    let below = (LEFT + n_columns * CELL.0 / 2, size.1 - 18);
    root.draw(&Text::new(heat.x_label, below, style(14, &TEXT, centered)))?;
    for (x, name) in (0..).zip(&heat.columns) {
        let at = (LEFT + x * CELL.0 + CELL.0 / 2, TOP - 34);
        root.draw(&Text::new(name.as_str(), at, style(14, &TEXT, centered)))?;
    }
    for (y, (name, cells)) in (0..).zip(heat.rows.iter().zip(heat.cells)) {
        let top = TOP + y * CELL.1;
        let at = (LEFT - 10, top + CELL.1 / 2);
        root.draw(&Text::new(name.as_str(), at, style(14, &TEXT, to_right)))?;
        for (x, cell) in (0..).zip(cells) {
            let Some(share) = cell else { continue };
            let left = LEFT + x * CELL.0;
            let corners = [(left + 1, top + 1), (left + CELL.0 - 1, top + CELL.1 - 1)];
            root.draw(&Rectangle::new(corners, mixed(*share).filled()))?;
            let ink = if *share > 0.5 { WHITE } else { TEXT };
            let at = (left + CELL.0 / 2, top + CELL.1 / 2);
            let text = format!("{:.0}%", 100.0 * share);
            root.draw(&Text::new(text, at, style(14, &ink, centered)))?;
        }
    }
    root.present()?;
    drop(root);
    Ok(svg)
}

/// A color between those of nothing and everything.
fn mixed(share: f64) -> RGBColor {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let mix = |from: u8, to: u8| {
        let value = f64::from(from) + share * (f64::from(to) - f64::from(from));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between two bytes"
        )]
        let byte = value.round() as u8;
        byte
    };
    RGBColor(mix(NONE.0, ALL.0), mix(NONE.1, ALL.1), mix(NONE.2, ALL.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_without_cells_is_a_figure_too() {
        let heat = Heat {
            title: "t",
            x_label: "x",
            y_label: "y",
            columns: Vec::new(),
            rows: Vec::new(),
            cells: &[],
        };
        assert!(heat_map(&heat).unwrap().starts_with("<svg"));
        let cells = [vec![None, Some(f64::NAN), Some(2.0)]];
        let heat = Heat {
            columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
            rows: vec!["r".to_owned()],
            cells: &cells,
            ..heat
        };
        assert!(heat_map(&heat).unwrap().contains(">\nc\n</text>"));
    }

    #[test]
    fn more_is_darker() {
        assert_eq!(mixed(0.0), NONE);
        assert_eq!(mixed(1.0), ALL);
        assert!(mixed(0.5).0 < mixed(0.25).0);
    }
}
