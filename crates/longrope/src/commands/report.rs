//! `longrope report`

use anyhow::Result;

use crate::run_dir;
use crate::settings::args::Report;
use crate::show::output;
use crate::show::report::{RunReport, html};

pub(crate) fn run(args: &Report) -> Result<()> {
    let report = RunReport::read(&args.run)?;
    let page = args.run.join("report.html");
    run_dir::write_atomically(&page, &html(&report)?)?;
    let mut json = serde_json::to_string_pretty(&report)?;
    json.push('\n');
    run_dir::write_atomically(&args.run.join("report.json"), &json)?;
    output::line(format!(
        "wrote {}, and report.json beside it",
        page.display()
    ))
}
