//! The HTML page. It has no scripts, needs no network, and fits phones, paper and dark screens.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::data::{Problem, RunReport};
use super::parts::{Mark, code, table};
use super::{evaluations, provenance, search, settings, summary, trainings};

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
                    (search::section(report)?)
                    (trainings::sections(report)?)
                    @for stage in &report.stages {
                        @let parts = [search::section(stage)?, trainings::sections(stage)?];
                        @if parts.iter().any(|part| !part.0.is_empty()) {
                            h1 { (stage.name()) }
                            p.question { (code(&stage.question)) }
                            @for part in parts { (part) }
                        }
                    }
                    (settings_tables(report))
                    (provenance::section(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// The settings of the run and of its stages.
fn settings_tables(report: &RunReport) -> Markup {
    let own = settings::rows(report);
    let stages = report.stages.iter();
    let stages = stages.map(|stage| (stage.name(), settings::rows(stage)));
    let stages: Vec<_> = stages.filter(|(_, rows)| !rows.is_empty()).collect();
    let shown =
        |rows: &[[String; 2]]| table(&[], rows.iter().map(|row| (Mark::None, row.to_vec())));
    markup! {
        @if !own.is_empty() || !stages.is_empty() {
            section {
                h2 { "Settings" }
                @if !own.is_empty() { (shown(&own)) }
                @for (name, rows) in &stages {
                    h3 { (name) }
                    (shown(rows))
                }
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
        @if !report.former_stages.is_empty() {
            p.note { "Left out, because the recipe has no such stages: " (report.former_stages.join(", ")) "." }
        }
    }
}
