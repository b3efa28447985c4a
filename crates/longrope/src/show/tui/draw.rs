//! Draws the dashboard.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, BorderType, Cell, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph,
    Row, Table,
};

use super::standing::{Method, Standing};
use crate::show::output;
use longrope_extend::pool::{WorkerState, WorkerStatus};

/// Color of the searched factors.
const OURS: Color = Color::LightRed;
/// Colors of the methods.
const OTHERS: [Color; 6] = [
    Color::Blue,
    Color::Green,
    Color::Magenta,
    Color::Cyan,
    Color::Yellow,
    Color::LightBlue,
];
/// Number of log lines shown.
const LOG_ROWS: u16 = 3;

/// Draws the dashboard over the whole frame.
pub(super) fn draw(frame: &mut Frame, standing: &Standing) {
    let n_rows = standing.methods.len().max(standing.workers.len());
    let table_rows = u16::try_from(n_rows + 4).unwrap_or(u16::MAX).min(10);
    let [top, charts, tables, log, keys] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Min(8),
        Constraint::Length(table_rows),
        Constraint::Length(LOG_ROWS),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let halves = |area: Rect| -> [Rect; 2] {
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
    };
    progress(frame, top, standing);
    let [left, right] = halves(charts);
    history(frame, left, standing);
    factors(frame, right, standing);
    let [left, right] = halves(tables);
    methods(frame, left, standing);
    workers(frame, right, &standing.workers);
    frame.render_widget(log_lines(&standing.log), log);
    frame.render_widget(hint(standing.is_stopping), keys);
}

fn panel(title: impl Into<String>) -> Block<'static> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().dark_gray())
        .title(Span::from(format!(" {} ", title.into())).bold())
}

fn progress(frame: &mut Frame, area: Rect, standing: &Standing) {
    let block = panel(standing.title.clone());
    let [bar, text] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(block.inner(area));
    frame.render_widget(block, area);
    let share = standing.share();
    let gauge = Gauge::default()
        .gauge_style(Style::new().fg(OURS).bg(Color::DarkGray))
        .use_unicode(true)
        .ratio(share)
        .label(format!("{:.1} %", 100.0 * share));
    frame.render_widget(gauge, bar);
    let per_candidate = standing.n_samples.max(1);
    let left = standing.eta_secs.map_or_else(String::new, |secs| {
        format!(", {} left", output::duration(secs))
    });
    let line = |saved: &str| {
        format!(
            "generation {} of {} · {} of {} candidates{saved} · {}{left}",
            standing.generation,
            standing.n_generations,
            output::grouped(standing.done / per_candidate),
            output::grouped(standing.planned / per_candidate),
            output::duration(standing.elapsed_secs),
        )
    };
    let saved = match standing.n_saved {
        0 => String::new(),
        saved => format!(" · {} evaluations saved by racing", output::grouped(saved)),
    };
    // What racing saved gives way to the remaining time.
    let long = line(&saved);
    let fits = long.chars().count() <= usize::from(text.width);
    let shown = if fits { long } else { line("") };
    frame.render_widget(Line::from(shown), text);
}

/// Best and median score by generation, with the scores of the methods as horizontal lines.
fn history(frame: &mut Frame, area: Rect, standing: &Standing) {
    let right = (standing.n_generations.max(1)) as f64;
    let references: Vec<(String, Vec<(f64, f64)>)> = standing
        .methods
        .iter()
        .map(|method| {
            let ends = vec![(0.0, method.score), (right, method.score)];
            (method.name.clone(), ends)
        })
        .collect();
    let best = stairs(&standing.best);
    let lowest = standing.best_nats().unwrap_or(0.0);
    let top = ceiling(standing);
    let margin = 0.05 * (top - lowest).max(0.01);
    let bounds = [lowest - margin, top + margin];

    let mut lines = Vec::new();
    for ((name, points), color) in references.iter().zip(OTHERS.iter().cycle()) {
        if points.iter().all(|point| point.1 <= bounds[1]) {
            lines.push(line(name, points, *color, Marker::Dot));
        }
    }
    lines.push(line("median", &standing.median, Color::Gray, Marker::Dot));
    lines.push(line("best", &best, OURS, Marker::Braille));
    let chart = Chart::new(lines)
        .block(panel(format!(
            "{} [nats] by generation",
            standing.quantity.name()
        )))
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(4, 5)))
        .x_axis(axis([0.0, right]).labels(["0".to_owned(), standing.n_generations.to_string()]))
        .y_axis(labelled_axis(bounds, |nats| format!("{nats:.3}")));
    frame.render_widget(chart, area);
}

/// Factors by pair, on a logarithmic axis.
fn factors(frame: &mut Frame, area: Rect, standing: &Standing) {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = standing
        .curves
        .iter()
        .map(|curve| {
            let logs = curve.points.iter();
            let logs = logs.map(|(pair, factor)| (*pair, factor.ln()));
            (curve.name, logs.collect())
        })
        .collect();
    let all = || curves.iter().flat_map(|curve| &curve.1);
    let most = all().map(|point| point.1).fold(f64::EPSILON, f64::max);
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let colors = std::iter::once(OURS).chain(OTHERS.iter().copied().cycle());
    let mut lines: Vec<Dataset> = curves
        .iter()
        .zip(colors)
        .enumerate()
        .map(|(index, ((name, points), color))| {
            let marker = if index == 0 {
                Marker::Braille
            } else {
                Marker::Dot
            };
            line(name, points, color, marker)
        })
        .collect();
    // The last line is drawn on top.
    lines.reverse();
    let title = format!("factors by pair, {} start tokens", standing.start_tokens);
    let chart = Chart::new(lines)
        .block(panel(title))
        .legend_position(Some(LegendPosition::BottomRight))
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(4, 5)))
        .x_axis(axis([0.0, last]).labels(["0".to_owned(), format!("{last:.0}")]))
        .y_axis(labelled_axis([0.0, 1.05 * most], |ln| {
            format!("{:.1}", ln.exp())
        }));
    frame.render_widget(chart, area);
}

fn line<'a>(name: &'a str, points: &'a [(f64, f64)], color: Color, marker: Marker) -> Dataset<'a> {
    Dataset::default()
        .name(name)
        .data(points)
        .marker(marker)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(color))
}

fn axis(bounds: [f64; 2]) -> Axis<'static> {
    Axis::default()
        .bounds(bounds)
        .style(Style::new().dark_gray())
        .labels_alignment(Alignment::Right)
}

/// An axis with labels where they are drawn: at both ends and in the middle.
fn labelled_axis(bounds: [f64; 2], label: impl Fn(f64) -> String) -> Axis<'static> {
    let places = [bounds[0], f64::midpoint(bounds[0], bounds[1]), bounds[1]];
    axis(bounds).labels(places.map(label))
}

/// Turns points into steps: each value holds up to the next point.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let previous = points.first().into_iter().chain(points);
    points
        .iter()
        .zip(previous)
        .flat_map(|(new, old)| [(new.0, old.1), *new])
        .collect()
}

/// The largest score to show. The best scores of the search and the best method lie below it.
fn ceiling(standing: &Standing) -> f64 {
    let first = standing.best.first().map(|(_, nats)| *nats);
    let methods = standing.methods.iter().map(|method| method.score);
    let best_method = methods.fold(f64::INFINITY, f64::min);
    let top = first.into_iter().chain([best_method]);
    let top = top.filter(|nats| nats.is_finite()).fold(0.0, f64::max);
    let lowest = standing.best_nats().unwrap_or(top);
    top + 0.25 * (top - lowest).max(0.02)
}

/// A column of the table of methods.
struct Column {
    name: &'static str,
    width: u16,
    cell: Box<dyn Fn(&Method) -> String>,
}

impl Column {
    fn new(name: &'static str, width: u16, cell: impl Fn(&Method) -> String + 'static) -> Self {
        Self {
            name,
            width,
            cell: Box::new(cell),
        }
    }
}

/// The searched factors and the methods, best first. The gain is in what the search minimizes. The loss of the searched
/// factors on text alone is not known while the objective is another one.
fn methods(frame: &mut Frame, area: Rect, standing: &Standing) {
    let best = standing.best_nats();
    let mut rows: Vec<Method> = standing.methods.clone();
    rows.extend(best.map(|score| Method {
        name: "searched".to_owned(),
        score,
        text_nats: if standing.quantity.is_text_loss() {
            score
        } else {
            f64::NAN
        },
        passkeys: None,
    }));
    rows.sort_by(|a, b| a.score.total_cmp(&b.score));
    let columns = columns(standing, best, area.width);
    let drawn = rows.iter().map(|method| {
        let style = if method.name == "searched" {
            Style::new().fg(OURS)
        } else {
            Style::new()
        };
        row(columns.iter().map(|column| (column.cell)(method))).style(style)
    });
    let widths = columns.iter().enumerate().map(|(index, column)| {
        if index == 0 {
            Constraint::Min(column.width)
        } else {
            Constraint::Length(column.width)
        }
    });
    let header = row(columns.iter().map(|column| column.name.to_owned()));
    let table = Table::new(drawn, widths)
        .header(header.bold())
        .block(panel("against known methods"));
    frame.render_widget(table, area);
}

/// The columns that have a place in this width.
fn columns(standing: &Standing, best: Option<f64>, width: u16) -> Vec<Column> {
    let quantity = standing.quantity;
    let mut methods = standing.methods.iter();
    let has_passkeys = methods.any(|method| method.passkeys.is_some());
    let is_wide = width >= 56;
    let gain = move |method: &Method| {
        best.map_or_else(String::new, |best| format!("{:+.4}", method.score - best))
    };
    let mut columns = vec![
        Column::new("rope", 8, |method| method.name.clone()),
        Column::new(quantity.name(), 11, |method| format!("{:.4}", method.score)),
        Column::new("gain", 8, gain),
    ];
    if !quantity.is_text_loss() && is_wide {
        columns.push(Column::new("text loss", 10, |method| {
            known(method.text_nats, format!("{:.4}", method.text_nats))
        }));
    }
    if is_wide || !has_passkeys {
        columns.push(Column::new("perplexity", 10, |method| {
            known(method.text_nats, output::perplexity(method.text_nats.exp()))
        }));
    }
    if has_passkeys {
        columns.push(Column::new("keys", 5, |method| {
            let share = method.passkeys;
            share.map_or_else(String::new, |share| format!("{:.0}%", 100.0 * share))
        }));
    }
    columns
}

/// The text, unless its number is not known.
fn known(number: f64, text: String) -> String {
    if number.is_finite() {
        text
    } else {
        String::new()
    }
}

fn workers(frame: &mut Frame, area: Rect, workers: &[WorkerStatus]) {
    let rows = workers.iter().map(|worker| {
        let (state, style) = match &worker.state {
            WorkerState::Idle => ("idle", Style::new().dark_gray()),
            WorkerState::Working => ("working", Style::new().green()),
            WorkerState::Retired(_) => ("failed", Style::new().red()),
        };
        let n_answered = u32::try_from(worker.n_answered).unwrap_or(u32::MAX);
        let mean = worker.worked.checked_div(n_answered);
        let mean = mean.map_or_else(String::new, |mean| format!("{:.2} s", mean.as_secs_f64()));
        row([
            worker.name.clone(),
            state.to_owned(),
            output::grouped(worker.n_answered),
            mean,
        ])
        .style(style)
    });
    let widths = [
        Constraint::Min(12),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(9),
    ];
    let table = Table::new(rows, widths)
        .header(row(["device", "state", "losses", "mean"].map(str::to_owned)).bold())
        .block(panel("workers"));
    frame.render_widget(table, area);
}

/// A row with text in the first cell and numbers in the others.
fn row(cells: impl IntoIterator<Item = String>) -> Row<'static> {
    let cells = cells.into_iter().enumerate().map(|(index, text)| {
        let line = Line::from(text);
        Cell::from(if index == 0 {
            line
        } else {
            line.alignment(Alignment::Right)
        })
    });
    Row::new(cells)
}

/// The last lines of the log.
fn log_lines(log: &[String]) -> Paragraph<'static> {
    let first = log.len().saturating_sub(usize::from(LOG_ROWS));
    let lines: Vec<Line> = log[first..]
        .iter()
        .map(|line| Line::from(without_escapes(line)))
        .collect();
    Paragraph::new(lines)
}

fn hint(is_stopping: bool) -> Line<'static> {
    let text = if is_stopping {
        " stopping ..."
    } else {
        " q  stop and save; continue later with --resume"
    };
    Line::from(text).dark_gray()
}

/// Removes escape sequences from text.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        plain.push_str(&rest[..start]);
        let end = rest[start..].find(|c: char| c.is_ascii_alphabetic());
        rest = end.map_or("", |end| &rest[start + end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
