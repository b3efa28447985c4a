//! `longrope report`

use anyhow::Result;
use longrope_data::write_atomically;

use crate::settings::args::Report;
use crate::show::output;
use crate::show::report::{RunReport, html};

pub(crate) fn run(args: &Report) -> Result<()> {
    let report = RunReport::read(&args.run)?;
    let page = args.run.join("report.html");
    write_atomically(&page, html(&report)?.as_bytes())?;
    let mut json = serde_json::to_string_pretty(&report)?;
    json.push('\n');
    write_atomically(&args.run.join("report.json"), json.as_bytes())?;
    output::line(format!("wrote {} and report.json", output::path(&page)))
}
