//! Heat maps: a grid of shares.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::colors::TEXT;
use crate::error::{Drawn, Error, Result};

/// Width and height of a cell, in pixels.
const CELL: (i32, i32) = (88, 46);
/// Margins around the grid, in pixels: the title and column names are at the top, the row names at the left, the scale of
/// the colors at the bottom.
const TOP: i32 = 84;
const LEFT: i32 = 96;
const BOTTOM: i32 = 92;
const RIGHT: i32 = 24;
/// Parts of the scale, and the size of one, in pixels.
const N_PARTS: i32 = 11;
const PART: (i32, i32) = (28, 14);
/// Colors of the shares 0 and 1.
const NONE: RGBColor = RGBColor(240, 240, 236);
const ALL: RGBColor = RGBColor(0, 90, 150);

/// The content of a heat map.
#[derive(Clone, Debug)]
pub struct HeatMap<'a> {
    /// Title, above the grid.
    pub title: &'a str,
    /// Label of the columns, below the grid.
    pub x_label: &'a str,
    /// Label of the rows, above their names.
    pub y_label: &'a str,
    /// Names of the columns, from left to right.
    pub columns: Vec<String>,
    /// Names of the rows, from top to bottom.
    pub rows: Vec<String>,
    /// Shares from 0 to 1, `[rows, columns]`. Cells that are `None` stay white.
    pub cells: &'a [Vec<Option<f64>>],
    /// Number of trials of each cell, `[rows, columns]`, shown below the share; empty to show none.
    pub counts: &'a [Vec<usize>],
}

/// Draws a grid of shares as an SVG document: the higher a share, the darker its cell, with the percentage and the number of
/// trials in it, and a scale of the colors below.
///
/// Shares below 0 or above 1 get the color of 0 or 1; NaN and infinite shares get the color of 0.
///
/// # Errors
/// [`Error::TooLarge`] if there are too many rows or columns, [`Error::Drawing`] if the drawing library fails.
pub fn heat_map(heat: &HeatMap) -> Result<String> {
    let (columns, rows) = (heat.columns.len(), heat.rows.len());
    let size = size(columns, rows).ok_or(Error::TooLarge { columns, rows })?;
    let mut svg = String::new();
    draw(&mut svg, heat, size).map_err(Error::Drawing)?;
    Ok(svg)
}

/// Width and height of a figure with these numbers of columns and rows, in pixels; `None` if they overflow.
fn size(columns: usize, rows: usize) -> Option<(i32, i32)> {
    let pixels = |n: usize, cell: i32| i32::try_from(n).ok()?.checked_mul(cell);
    let grid_width = pixels(columns, CELL.0)?.max(N_PARTS * PART.0 + 60);
    let width = grid_width.checked_add(LEFT + RIGHT)?;
    let height = pixels(rows, CELL.1)?.checked_add(TOP + BOTTOM)?;
    Some((width, height))
}

/// The area that is drawn on.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Where a text lies, relative to the point that it is drawn at.
const CENTERED: Pos = Pos {
    h_pos: HPos::Center,
    v_pos: VPos::Center,
};
const TO_LEFT: Pos = Pos {
    h_pos: HPos::Left,
    v_pos: VPos::Center,
};
const TO_RIGHT: Pos = Pos {
    h_pos: HPos::Right,
    v_pos: VPos::Center,
};

fn draw(svg: &mut String, heat: &HeatMap, size: (i32, i32)) -> Drawn {
    let root = SVGBackend::with_string(svg, (size.0.unsigned_abs(), size.1.unsigned_abs()))
        .into_drawing_area();
    root.fill(&WHITE)?;
    draw_labels(&root, heat, size.1)?;
    draw_scale(&root, size.1 - 48)?;
    for (y, (name, cells)) in (0..).zip(heat.rows.iter().zip(heat.cells)) {
        let counts = usize::try_from(y).ok().and_then(|y| heat.counts.get(y));
        let counts = counts.map_or(&[][..], Vec::as_slice);
        draw_row(&root, TOP + y * CELL.1, name, cells, counts)?;
    }
    root.present()?;
    Ok(())
}

/// A text of this height, in pixels.
fn style(height: u32, color: RGBColor, at: Pos) -> TextStyle<'static> {
    ("sans-serif", height).into_font().color(&color).pos(at)
}

/// Draws the title, the labels and the names of the columns.
fn draw_labels(area: &Area<'_>, heat: &HeatMap, height: i32) -> Drawn {
    let n_columns = i32::try_from(heat.columns.len())?;
    area.draw(&Text::new(heat.title, (14, 24), style(21, TEXT, TO_LEFT)))?;
    area.draw(&Text::new(
        heat.y_label,
        (14, TOP - 16),
        style(16, TEXT, TO_LEFT),
    ))?;
    let below = (LEFT + n_columns * CELL.0 / 2, height - BOTTOM + 18);
    area.draw(&Text::new(heat.x_label, below, style(17, TEXT, CENTERED)))?;
    for (x, name) in (0..).zip(&heat.columns) {
        let at = (LEFT + x * CELL.0 + CELL.0 / 2, TOP - 34);
        area.draw(&Text::new(name.as_str(), at, style(17, TEXT, CENTERED)))?;
    }
    Ok(())
}

/// Draws the scale of the colors.
fn draw_scale(area: &Area<'_>, top: i32) -> Drawn {
    for part in 0..N_PARTS {
        let share = f64::from(part) / f64::from(N_PARTS - 1);
        let left = LEFT + part * PART.0;
        let corners = [(left, top), (left + PART.0, top + PART.1)];
        area.draw(&Rectangle::new(corners, mixed(share).filled()))?;
        if part % 5 == 0 {
            let at = (left + PART.0 / 2, top + PART.1 + 14);
            let text = format!("{:.0}%", 100.0 * share);
            area.draw(&Text::new(text, at, style(17, TEXT, CENTERED)))?;
        }
    }
    Ok(())
}

/// Draws the name and the cells of a row, with the numbers of trials that are known.
fn draw_row(
    area: &Area<'_>,
    top: i32,
    name: &str,
    cells: &[Option<f64>],
    counts: &[usize],
) -> Drawn {
    let at = (LEFT - 10, top + CELL.1 / 2);
    area.draw(&Text::new(name, at, style(17, TEXT, TO_RIGHT)))?;
    for (x, cell) in (0..).zip(cells) {
        let Some(share) = cell else { continue };
        let left = LEFT + x * CELL.0;
        let corners = [(left + 1, top + 1), (left + CELL.0 - 1, top + CELL.1 - 1)];
        area.draw(&Rectangle::new(corners, mixed(*share).filled()))?;
        let ink = if *share > 0.5 { WHITE } else { TEXT };
        let count = usize::try_from(x).ok().and_then(|x| counts.get(x));
        let middle = left + CELL.0 / 2;
        let up = if count.is_some() { 8 } else { 0 };
        let at = (middle, top + CELL.1 / 2 - up);
        let text = format!("{:.0}%", 100.0 * share);
        area.draw(&Text::new(text, at, style(18, ink, CENTERED)))?;
        if let Some(count) = count {
            let at = (middle, top + CELL.1 - 13);
            let text = format!("n = {count}");
            area.draw(&Text::new(text, at, style(15, ink, CENTERED)))?;
        }
    }
    Ok(())
}

/// The color of a share, between those of 0 and 1.
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
            reason = "a number between two bytes fits into a byte"
        )]
        let byte = value.round() as u8;
        byte
    };
    RGBColor(mix(NONE.0, ALL.0), mix(NONE.1, ALL.1), mix(NONE.2, ALL.2))
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
