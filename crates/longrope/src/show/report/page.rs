//! The HTML page. It has no scripts, needs no network, and fits phones, paper and dark screens.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::data::{Problem, RunReport};
use super::parts::{Mark, code, table};
use super::{evaluations, provenance, runs, settings, summary};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(crate) fn html(report: &RunReport) -> Result<String> {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "LongRoPE: " (report.run) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (report.run) } p.question { (code(&report.question)) } }
                main {
                    section.summary {
                        h2 { "Summary" }
                        @for sentence in summary::sentences(report) { p { (code(&sentence)) } }
                    }
                    (problems(report))
                    (evaluations::perplexities(report)?)
                    (evaluations::tasks(report)?)
                    (runs::search(report)?)
                    (runs::trainings(report)?)
                    @for stage in &report.stages {
                        @let parts = [runs::search(stage)?, runs::trainings(stage)?];
                        @if parts.iter().any(|part| !part.0.is_empty()) {
                            h1 { (stage.name()) }
                            p.question { (code(&stage.question)) }
                            @for part in parts { (part) }
                        }
                    }
                    (settings_table(report))
                    (provenance::section(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

fn settings_table(report: &RunReport) -> Markup {
    let rows = settings::rows(report);
    markup! {
        @if !rows.is_empty() {
            section {
                h2 { "Settings" }
                (table(&[], rows.iter().map(|row| (Mark::None, row.to_vec()))))
            }
        }
    }
}

/// The files that are left out, of the folder and of its stages.
fn problems(report: &RunReport) -> Markup {
    let stages = report.stages.iter().flat_map(|stage| &stage.problems);
    let all: Vec<&Problem> = report.problems.iter().chain(stages).collect();
    markup! {
        @if !all.is_empty() {
            section {
                h2 { "Left out" }
                p { "These files could not be read as a whole. Numbers from them are missing on this page." }
                ul { @for problem in all { li { code { (problem.file) } ": " (problem.reason) } } }
            }
        }
    }
}
