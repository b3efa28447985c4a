//! Line charts.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::axis::{Axis, Scale};
use crate::colors::TEXT;
use crate::error::{Drawn, Error, Result};

/// Width of a figure and height without its legend, in pixels: small, so that the text can be read on a phone too.
const SIZE: (u32, u32) = (540, 390);
/// Height of a row of the legend, width of its strokes and of a character, in pixels.
const LEGEND_ROW: i32 = 24;
const STROKE: i32 = 29;
const CHARACTER: i32 = 8;
const GRID: RGBColor = RGBColor(225, 225, 225);
/// The color of emphasized lines.
const VERMILION: RGBColor = RGBColor(213, 94, 0);
/// The rest of the palette of Okabe and Ito, without yellow, which is too pale on white.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];
/// Lines with more points than this are drawn without markers.
const MAX_MARKERS: usize = 16;

/// A named line of a figure.
///
/// Points that cannot be drawn (NaN, infinite, not positive on a logarithmic axis) break the line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// (x, y), from left to right, in the units of the figure.
    pub points: Vec<(f64, f64)>,
    /// Uncertainty: (x, lowest y, highest y), drawn as a vertical bar. Bars that cannot be drawn are left out.
    pub bars: Vec<(f64, f64, f64)>,
    /// Whether the line is drawn thicker and in vermilion.
    pub emphasized: bool,
}

/// Draws rescale factors (no unit, logarithmic) over the index of the rotary pair, as an SVG document.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn factor_curve(title: &str, series: &[Series]) -> Result<String> {
    let lines = colored(series);
    let x = Axis::new("rotary pair index i", Scale::Integer, xs(&lines));
    let y = Axis::new("rescale factor λ (log scale)", Scale::Log, ys(&lines));
    figure(title, &x, &y, &lines)
}

/// Draws the losses of a search over its generations, as an SVG document.
///
/// `best` (the best loss so far, drawn as steps) and `median` (of the generation) are pairs of generation and loss.
/// `references` are named losses to compare with, drawn as dashed horizontal lines. All are values of `quantity`, which
/// names the vertical axis with its unit, such as `text loss [nats per token]`. Those so high that they would flatten the
/// rest of the figure are left out; a line that loses all its points this way is marked "(above)" in the legend.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn loss_history(
    title: &str,
    quantity: &str,
    best: &[(usize, f64)],
    median: &[(usize, f64)],
    references: &[(String, f64)],
) -> Result<String> {
    let previous = best.first().into_iter().chain(best);
    let steps = best
        .iter()
        .zip(previous)
        .flat_map(|(new, old)| [(new.0 as f64, old.1), (new.0 as f64, new.1)]);
    let median = median.iter().map(|&(x, y)| (x as f64, y));
    let best = Line::new("best so far", steps.collect(), VERMILION, 3);
    let mut lines = vec![
        Line {
            markers: false,
            ..best
        },
        Line::new("median of generation", median.collect(), PALETTE[0], 2),
    ];
    let x = Axis::new("generation", Scale::Integer, xs(&lines));
    let (left, right) = x.ends();
    for ((name, loss), color) in references.iter().zip(PALETTE[1..].iter().cycle()) {
        let name = format!("{name}: {loss:.3}");
        let points = vec![(left, *loss), (right, *loss)];
        lines.push(Line {
            markers: false,
            dashed: true,
            ..Line::new(&name, points, *color, 2)
        });
    }
    let top = ceiling(&lines);
    for line in &mut lines {
        line.cut_above(top);
    }
    let y = Axis::new(quantity, Scale::Linear, ys(&lines));
    figure(title, &x, &y, &lines)
}

/// Draws perplexities (no unit) over contexts (tokens), both logarithmic, as an SVG document.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn perplexity_by_context(title: &str, series: &[Series]) -> Result<String> {
    let lines = colored(series);
    let x = Axis::new("context [tokens, k = 1024]", Scale::Log2, xs(&lines));
    let y = Axis::new("perplexity (log scale)", Scale::Log, ys(&lines));
    figure(title, &x, &y, &lines)
}

/// Draws shares (percent, 0 to 100) over contexts (tokens, logarithmic), as an SVG document.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn share_by_context(title: &str, series: &[Series]) -> Result<String> {
    let lines = colored(series);
    let x = Axis::new("context [tokens, k = 1024]", Scale::Log2, xs(&lines));
    let y = Axis::new("share [%]", Scale::Linear, [0.0, 100.0].into_iter());
    figure(title, &x, &y, &lines)
}

/// Draws gains (nats per token) over context lengths (tokens, logarithmic axis), as an SVG document.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn gain_by_context(title: &str, series: &[Series]) -> Result<String> {
    let lines = colored(series);
    let x = Axis::new("context [tokens, k = 1024]", Scale::Log2, xs(&lines));
    let with_zero = ys(&lines).chain([0.0]);
    let y = Axis::new("gain [nats per token]", Scale::Linear, with_zero);
    figure(title, &x, &y, &lines)
}

/// Draws losses (nats per token) over training steps, as an SVG document.
///
/// # Errors
/// [`Error::Drawing`] if the drawing library fails.
pub fn loss_by_step(title: &str, series: &[Series]) -> Result<String> {
    let lines = colored(series);
    let x = Axis::new("step", Scale::Integer, xs(&lines));
    let y = Axis::new("loss [nats per token]", Scale::Linear, ys(&lines));
    figure(title, &x, &y, &lines)
}

/// A line with its style.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    bars: Vec<(f64, f64, f64)>,
    color: RGBColor,
    width: u32,
    markers: bool,
    dashed: bool,
}

impl Line {
    fn new(name: &str, points: Vec<(f64, f64)>, color: RGBColor, width: u32) -> Self {
        Self {
            name: name.to_owned(),
            markers: points.len() <= MAX_MARKERS,
            points,
            bars: Vec::new(),
            color,
            width,
            dashed: false,
        }
    }

    /// Leaves out points above `top`, and adds "(above)" to the name if no others are left.
    fn cut_above(&mut self, top: f64) {
        let is_cut = |point: &&mut (f64, f64)| point.1.is_finite() && point.1 > top;
        let n_cut = self
            .points
            .iter_mut()
            .filter(is_cut)
            .map(|point| point.1 = f64::NAN)
            .count();
        if n_cut > 0 && !self.points.iter().any(|point| point.1.is_finite()) {
            self.name.push_str(" (above)");
        }
    }
}

fn colored(series: &[Series]) -> Vec<Line> {
    let mut others = PALETTE.iter().cycle();
    let line = |one: &Series| {
        let (color, width) = if one.emphasized {
            (VERMILION, 4)
        } else {
            (others.next().copied().unwrap_or(BLACK), 2)
        };
        Line {
            bars: one.bars.clone(),
            ..Line::new(one.name, one.points.clone(), color, width)
        }
    };
    series.iter().map(line).collect()
}

fn xs(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines
        .iter()
        .flat_map(|line| line.points.iter().map(|p| p.0))
}

fn ys(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| {
        let ends = line.bars.iter().flat_map(|(_, low, high)| [*low, *high]);
        line.points.iter().map(|p| p.1).chain(ends)
    })
}

/// The loss above which points are left out, since a few outliers would flatten the rest of the figure.
fn ceiling(lines: &[Line]) -> f64 {
    let mut losses: Vec<f64> = ys(lines).filter(|loss| loss.is_finite()).collect();
    losses.sort_by(f64::total_cmp);
    let Some(lowest) = losses.first() else {
        return f64::INFINITY;
    };
    let high = losses[(losses.len() - 1) * 4 / 5];
    high + 1.5 * (high - lowest).max(0.02 * high.abs())
}

fn figure(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, x, y, lines).map_err(Error::Drawing)?;
    Ok(svg)
}

/// Names of lines in rows that fit into the width of a figure, each with its distance from the left, in pixels.
fn legend(lines: &[Line], width: i32) -> Vec<Vec<(i32, &Line)>> {
    let mut rows: Vec<Vec<(i32, &Line)>> = Vec::new();
    let mut left = width;
    for line in lines {
        let characters = i32::try_from(line.name.chars().count()).unwrap_or(i32::MAX);
        let own = characters
            .saturating_mul(CHARACTER)
            .saturating_add(STROKE + 28);
        if left.saturating_add(own) > width {
            rows.push(Vec::new());
            left = 14;
        }
        if let Some(row) = rows.last_mut() {
            row.push((left, line));
        }
        left = left.saturating_add(own);
    }
    rows
}

/// A text of this size, in pixels.
fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

fn draw(svg: &mut String, title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> Drawn {
    let is_shown = |point: &(f64, f64)| x.shows(point.0) && y.shows(point.1);
    let rows = legend(lines, i32::try_from(SIZE.0)?);
    let legend_height = (i32::try_from(rows.len())? * LEGEND_ROW + 8).unsigned_abs();
    let size = (SIZE.0, SIZE.1 + legend_height);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (area, below) = root.split_vertically(SIZE.1);

    let mut chart = ChartBuilder::on(&area)
        .caption(title, font(21))
        .margin(12)
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .axis_style(TEXT)
        .bold_line_style(GRID)
        .label_style(font(18))
        .axis_desc_style(font(18))
        .x_desc(x.label.as_str())
        .y_desc(y.label.as_str())
        .draw()?;

    // In reverse order, so that the first line is drawn on top.
    for line in lines.iter().rev() {
        let style = line.color.stroke_width(line.width);
        let thin = line.color.stroke_width(1);
        for &(at, low, high) in &line.bars {
            if !(x.shows(at) && y.shows(low) && y.shows(high)) {
                continue;
            }
            let bar = PathElement::new([(at, low), (at, high)], thin);
            chart.draw_series([bar])?;
            let cap = |end| EmptyElement::at((at, end)) + PathElement::new([(-4, 0), (4, 0)], thin);
            chart.draw_series([cap(low), cap(high)])?;
        }
        for run in line.points.split(|point| !is_shown(point)) {
            if line.markers || run.first() == run.last() {
                let marker = |point: &(f64, f64)| Circle::new(*point, 4, line.color.filled());
                chart.draw_series(run.iter().map(marker))?;
            }
            let run = run.iter().copied();
            if line.dashed {
                chart.draw_series(DashedLineSeries::new(run, 7, 5, style))?;
            } else {
                chart.draw_series(LineSeries::new(run, style))?;
            }
        }
    }

    draw_legend(&below, &rows, x, y)?;
    root.present()?;
    Ok(())
}

fn draw_legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    rows: &[Vec<(i32, &Line)>],
    x: &Axis,
    y: &Axis,
) -> Drawn {
    let is_shown = |point: &(f64, f64)| x.shows(point.0) && y.shows(point.1);
    for (row, entries) in (0_i32..).zip(rows) {
        let middle = LEGEND_ROW / 2 + LEGEND_ROW * row;
        for &(left, line) in entries {
            let strokes: &[_] = if line.dashed {
                &[(0, 7), (11, 18), (22, STROKE)]
            } else {
                &[(0, STROKE)]
            };
            for &(from, to) in strokes {
                let style = line.color.stroke_width(line.width);
                let ends = [(left + from, middle), (left + to, middle)];
                area.draw(&PathElement::new(ends, style))?;
            }
            let is_empty = !line.name.ends_with("(above)") && !line.points.iter().any(is_shown);
            let note = if is_empty { " (no data)" } else { "" };
            let text = format!("{}{note}", line.name);
            area.draw(&Text::new(text, (left + STROKE + 7, middle - 9), font(18)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
