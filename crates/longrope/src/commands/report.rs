//! `longrope report`

use std::path::Path;

use anyhow::Result;
use longrope_data::write_atomically;

use crate::next_steps;
use crate::settings::args::Report;
use crate::show::output;
use crate::show::report::{RunReport, csv, html, write_events};
use crate::terminal::progress;

pub(crate) fn run(args: &Report) -> Result<()> {
    let report = RunReport::read(&args.run)?;
    if let Some(path) = &args.csv {
        write_csv(&report, path)?;
    }
    if let Some(folder) = &args.tensorboard {
        let n_files = write_events(&report, folder)?;
        let wrote = format!(
            "wrote {} to {}; see the curves with: tensorboard --logdir {}",
            output::counted(n_files, "event file"),
            output::path(folder),
            next_steps::quoted(folder)
        );
        if args.csv.as_deref().is_some_and(is_stdout) {
            // The table has stdout to itself.
            progress::line(&wrote);
        } else {
            output::line(wrote)?;
        }
    }
    if args.csv.is_some() || args.tensorboard.is_some() {
        return Ok(());
    }
    write_page(&report, &args.run)?;
    next_steps::after_report(&args.run, report.has_curves()).show();
    Ok(())
}

/// Reads a run folder, and writes its page and the data of the page.
pub(crate) fn page(run: &Path) -> Result<()> {
    write_page(&RunReport::read(run)?, run)
}

fn write_page(report: &RunReport, run: &Path) -> Result<()> {
    let page = run.join("report.html");
    write_atomically(&page, html(report)?.as_bytes())?;
    let mut json = serde_json::to_string_pretty(report)?;
    json.push('\n');
    write_atomically(&run.join("report.json"), json.as_bytes())?;
    output::line(format!("wrote {} and report.json", output::path(&page)))
}

/// Whether a file name stands for stdout.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn write_csv(report: &RunReport, path: &Path) -> Result<()> {
    let text = csv(report)?;
    if is_stdout(path) {
        return output::line(text.trim_end());
    }
    write_atomically(path, text.as_bytes())?;
    output::line(format!("wrote {}", path.display()))
}
