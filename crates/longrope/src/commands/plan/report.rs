//! What a plan says: as JSON and as text.

use serde::Serialize;

use super::estimates::PlanRow;
use super::gpus::GpuRow;
use crate::input::device;
use crate::input::memory::GIB;
use crate::show::output;

/// The output of `--json`.
#[derive(Serialize)]
pub(super) struct PlanReport {
    pub(super) format: &'static str,
    pub(super) version: u32,
    pub(super) model: String,
    pub(super) device: String,
    pub(super) context: usize,
    pub(super) memory_bytes: Option<f64>,
    /// The memory in GiB, if it was given.
    #[serde(skip)]
    pub(super) given_gib: Option<f64>,
    /// Speed of the device; `None` if it is not there to be measured.
    pub(super) flops_per_sec: Option<f64>,
    pub(super) plans: Vec<PlanRow>,
    /// The longest windows that GPUs can train; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gpus: Vec<GpuRow>,
}

/// The plan as a table, with what it would take where a mode does not fit.
pub(super) fn text(report: &PlanReport) -> String {
    let header = ["", "peak memory", "time", "fits", "longest context"].map(str::to_owned);
    let rows: Vec<Vec<String>> = report
        .plans
        .iter()
        .map(|row| {
            let unit = match row.mode {
                "eval" => "per window",
                "search" => "in total",
                _ => "per step",
            };
            vec![
                row.mode.to_owned(),
                format!("{:.2} GiB", row.peak_bytes / GIB),
                row.secs.map_or_else(
                    || format!("{:.1e} operations {unit}", row.flops),
                    |secs| format!("{} {unit}", output::duration(secs)),
                ),
                match row.fits {
                    Some(true) => "yes".to_owned(),
                    Some(false) => "no".to_owned(),
                    None => "?".to_owned(),
                },
                row.longest_context
                    .map_or_else(|| "-".to_owned(), output::grouped),
            ]
        })
        .collect();
    let mut lines = vec![output::table(&header, &rows)];
    for row in report.plans.iter().filter(|row| !row.advice.is_empty()) {
        lines.push(format!(
            "{} does not fit; it would fit with one of:",
            row.mode
        ));
        lines.extend(row.advice.iter().map(|advice| format!("  {advice}")));
    }
    lines.extend(
        report
            .plans
            .iter()
            .filter_map(|row| Some(format!("{}: {}", row.mode, row.note.as_ref()?))),
    );
    let in_half = report.plans.iter().filter(|row| row.half_precision);
    let in_half: Vec<&str> = in_half.map(|row| row.mode).collect();
    if !in_half.is_empty() {
        lines.push(format!(
            "in half precision, as by default on this device: {}",
            in_half.join(", ")
        ));
    }
    lines.push(footer(report));
    lines.join("\n")
}

/// A line about how the numbers of the table were found.
fn footer(report: &PlanReport) -> String {
    let Some(bytes) = report.memory_bytes else {
        return "the available memory is unknown: give it with --memory".to_owned();
    };
    let speed = match report.flops_per_sec {
        Some(speed) => format!("at {:.0} GFLOP/s", speed / 1e9),
        None => "whose speed is unknown here".to_owned(),
    };
    let each = match device::parts(&report.device).count() {
        1 => "",
        _ => " each",
    };
    // What was given is shown with the digits that one recognises it by.
    let memory = match report.given_gib {
        Some(gib) => output::significant(gib),
        None => format!("{:.1}", bytes / GIB),
    };
    format!(
        "one window of {} tokens on {} {speed}, memory {memory} GiB{each}; memory is accurate to about 10%, time is a rough \
         guide",
        output::grouped(report.context),
        report.device,
    )
}
