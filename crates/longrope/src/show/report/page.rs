//! The HTML page. It has no scripts, needs no network, and fits phones and paper.

use anyhow::Result;
use longrope_trainer::run::records;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::data::{Problem, RunReport};
use super::figures::{self, Figure};
use crate::show::output;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(crate) fn html(report: &RunReport) -> Result<String> {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "LongRoPE: " (report.run) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (report.run) } p.question { (report.question) } }
                main {
                    (problems(report))
                    (results(report)?)
                    @for stage in &report.stages {
                        h1 { (stage.name()) }
                        p.question { (stage.question) }
                        (results(stage)?)
                    }
                    (settings(report)?)
                    (provenance(report))
                }
            }
        }
    };
    Ok(page.into_string())
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

/// The results, without settings and provenance.
fn results(report: &RunReport) -> Result<Markup> {
    Ok(markup! {
        (search(report)?)
        (perplexity(report)?)
        (tasks(report)?)
        (training(report)?)
    })
}

fn figure(figure: &Figure) -> Markup {
    markup! {
        figure { div.plot { (PreEscaped(&figure.svg)) } figcaption { (figure.caption) } }
    }
}

fn table(header: &[&str], rows: &[Vec<String>]) -> Markup {
    markup! {
        div.scroll { table {
            thead { tr { @for cell in header { th { (cell) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        } }
    }
}

fn search(report: &RunReport) -> Result<Markup> {
    let (history, factors) = (figures::history(report)?, figures::factors(report)?);
    if report.search.is_none() && history.is_none() && factors.is_none() {
        return Ok(markup! {});
    }
    Ok(markup! {
        section {
            h2 { "Search" }
            @if let Some(result) = &report.search {
                @let rows = std::iter::once(vec![
                    "searched".to_owned(),
                    format!("{:.4}", result.best_nats),
                    output::perplexity(result.best_ppl),
                    String::new(),
                ]).chain(result.baselines.iter().map(|method| vec![
                    method.method.clone(),
                    format!("{:.4}", method.nll_nats),
                    output::perplexity(method.nll_nats.exp()),
                    format!("{:+.4}", method.nll_nats - result.best_nats),
                ])).collect::<Vec<_>>();
                div.winner { (table(&["RoPE", "nats/token", "perplexity", "gain, nats"], &rows)) }
                p {
                    (output::grouped(result.evaluations)) " candidates, "
                    (output::grouped(result.token_evaluations)) " tokens, "
                    (output::duration(result.elapsed_secs)) "; start tokens "
                    (result.start_tokens) ", attention scale " (format!("{:.4}", result.attention_scale))
                    ". Measured on the samples of the search; for results on other text, see the evaluations below, if there are any."
                }
            }
            @for drawn in history.iter().chain(&factors) { (figure(drawn)) }
        }
    })
}

fn perplexity(report: &RunReport) -> Result<Markup> {
    if report.perplexities.is_empty() {
        return Ok(markup! {});
    }
    let rows: Vec<Vec<String>> = report
        .perplexities
        .iter()
        .map(|r| {
            let stderr = r.stderr_nats;
            vec![
                r.rope.clone(),
                output::grouped(r.context),
                output::perplexity(r.reported_ppl()),
                stderr.map_or_else(
                    || "-".to_owned(),
                    |stderr| format!("{:.3}", stderr * r.reported_ppl()),
                ),
                format!("{:.4}", r.nll_nats),
                format!(
                    "{} / {}",
                    output::grouped(r.n_windows),
                    output::grouped(r.n_tokens)
                ),
                format!(
                    "{}, stride {}, bos {}",
                    r.protocol,
                    output::grouped(r.stride),
                    r.bos
                ),
            ]
        })
        .collect();
    let header = [
        "RoPE",
        "context",
        "perplexity",
        "± stderr",
        "nats/token",
        "windows / tokens",
        "protocol",
    ];
    Ok(markup! {
        section {
            h2 { "Perplexity" }
            @if let Some(drawn) = figures::perplexity(report)? { (figure(&drawn)) }
            (table(&header, &rows))
        }
    })
}

fn tasks(report: &RunReport) -> Result<Markup> {
    if report.tasks.is_empty() {
        return Ok(markup! {});
    }
    let mut rows = Vec::new();
    for result in &report.tasks {
        for metric in std::iter::once(&result.metric).chain(&result.other_metrics) {
            let interval = match (metric.interval, metric.stderr) {
                (Some([low, high]), _) => format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high),
                (None, Some(stderr)) => format!("± {:.1} (stderr)", 100.0 * stderr),
                (None, None) => "-".to_owned(),
            };
            let better = if metric.higher_is_better {
                "↑"
            } else {
                "↓"
            };
            rows.push(vec![
                result.task.clone(),
                result.rope.clone(),
                output::grouped(result.context),
                format!("{} {better}", metric.name),
                format!("{:.1}%", 100.0 * metric.value),
                interval,
                output::grouped(result.n),
                format!(
                    "{}, v{}, seed {}",
                    result.protocol, result.task_version, result.seed
                ),
            ]);
        }
    }
    let header = [
        "task",
        "RoPE",
        "context",
        "metric",
        "score",
        "95% interval",
        "n",
        "protocol",
    ];
    Ok(markup! {
        section {
            h2 { "Tasks" }
            @for drawn in figures::grids(report)? { (figure(&drawn)) }
            (table(&header, &rows))
        }
    })
}

fn training(report: &RunReport) -> Result<Markup> {
    let mut sections = Vec::new();
    for run in &report.training {
        let last_step = records::total_steps(&run.lines).into_iter().max();
        let of = |key: &str| {
            let lines = run.lines.iter().rev();
            lines
                .filter_map(|line| serde_json::to_value(line).ok())
                .find_map(|line| line.get(key)?.as_f64())
        };
        let rows = [
            ("last step", last_step.map(|step| step as f64)),
            ("loss, nats/token", of("loss")),
            ("learning rate", of("learning_rate")),
            ("tokens per second", of("tokens_per_second")),
            ("peak memory, bytes", of("peak_memory_bytes")),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(vec![name.to_owned(), value?.to_string()]))
        .collect::<Vec<_>>();
        sections.push((run.name.as_str(), figures::training(run)?, rows));
    }
    Ok(markup! {
        @for (name, drawn, rows) in &sections {
            section {
                h2 { "Training: " (name) }
                @if let Some(drawn) = drawn { (figure(drawn)) }
                (table(&["", "at the end"], rows))
            }
        }
    })
}

fn settings(report: &RunReport) -> Result<Markup> {
    let Some(settings) = &report.settings else {
        return Ok(markup! {});
    };
    let text = toml::to_string_pretty(settings)?;
    Ok(markup! {
        section { h2 { "Settings" } pre { (text) } }
    })
}

fn provenance(report: &RunReport) -> Markup {
    let mut rows = vec![vec![
        "report by".to_owned(),
        format!("longrope {}", report.tool_version),
    ]];
    if let Some(rope) = &report.rope
        && let Ok(serde_json::Value::Object(facts)) = serde_json::to_value(&rope.provenance)
    {
        rows.extend(facts.iter().map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            vec![name.replace('_', " "), text]
        }));
    }
    markup! {
        section { h2 { "Provenance" } (table(&["", ""], &rows)) p { "report.json has the same data." } }
    }
}
