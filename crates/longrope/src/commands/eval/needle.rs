//! `longrope eval needle`

use std::path::Path;

use anyhow::Result;
use longrope_data::{Tokenizer, write_atomically};
use longrope_eval::{
    Association, Haystack, Needle, NeedleConfig, NeedleKind, Ordinal, Task, TaskResult,
};
use longrope_extend::RunMode;

use super::effective_rule::effective_rule;
use super::folder::Evaluated;
use super::subject::Subject;
use super::{effective, job, keep, task_run};
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::longest_context;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::Config;
use crate::show::grid::Grid;
use crate::show::{output, task_table};
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Needle) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .paths("text", &args.text)
        .count("needle.trials", args.trials)
        .count("needle.needles", args.needles)
        .list("needle.depths", args.depths.iter().copied())
        .set("needle.needle", args.needle.clone())
        .set("needle.prompt", args.prompt.clone())
        .set("needle.answer", args.answer.clone())
        .set("needle.kind", args.kind.clone())
        .set("eval.threshold", args.threshold.threshold)
        .table();
    let config = input::configuration_of_results(&args.task.common, flags)?;
    // Earlier versions began evaluations with token ids, and did not read them.
    if !args.task.resume {
        input::check_no_tokens(&config, "eval needle")?;
    }
    let done = needle(&config, RunMode::from_flag(args.task.resume))?;
    if args.task.json {
        return output::json(&done.report());
    }
    show(config.needle.kind, &done)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// Hides needles as configured. With a run folder, draws what was found as a figure per RoPE.
pub(crate) fn needle(config: &Config, mode: RunMode) -> Result<Evaluated<TaskResult>> {
    effective_rule(config)?;
    let kind = config.needle.kind;
    let mut keep = keep::keep(config, kind.task_name(), mode)?;
    let target = longest_context(config)?;
    config.needle.validate()?;
    let subject = Subject::load(config, Work::Measure { context: target })?;
    let tokenizer = subject.tokenizer()?;
    let haystack = input::haystack(config)?;
    keep.text = Some(haystack.fingerprint());
    keep.texts = input::names(&config.text);
    let jobs = job::grid(config, &subject.ropes, |context| {
        let task = task(&config.needle, &tokenizer, &haystack, context, config.seed)?;
        Ok(task)
    })?;
    let finished = subject.run(config, &jobs, keep)?;
    if let Some(out) = &config.out {
        write_figures(out, kind, &finished.results)?;
    }
    finished.write()
}

/// The task of hiding needles of the configured kind at a context.
///
/// # Errors
/// If the settings cannot be, or a text does not fit into the context.
pub(crate) fn task<'a>(
    config: &NeedleConfig,
    tokenizer: &'a Tokenizer,
    haystack: &'a Haystack,
    context: usize,
    seed: u64,
) -> longrope_eval::Result<Box<dyn Task + 'a>> {
    Ok(match config.kind {
        NeedleKind::Association => {
            let task = Association::new(tokenizer, haystack, config, context, seed)?;
            Box::new(task) as Box<dyn Task>
        }
        NeedleKind::Ordinal => Box::new(Ordinal::new(tokenizer, haystack, config, context, seed)?),
        _ => Box::new(Needle::new(tokenizer, haystack, config, context, seed)?),
    })
}

/// Prints the results as grids.
pub(crate) fn show(kind: NeedleKind, done: &Evaluated<TaskResult>) -> Result<()> {
    let results = &done.results;
    for grid in Grid::of_ropes(results) {
        output::line(format!("{}\n{}\n", grid.rope, grid.table()))?;
    }
    output::line(task_table::metrics_by_context(results))?;
    output::line(protocol_line(kind, results))?;
    task_run::show_differences(results)?;
    effective::show(done)
}

/// Draws a heat map per RoPE, into the folder of a run.
fn write_figures(out: &Path, kind: NeedleKind, results: &[TaskResult]) -> Result<()> {
    let grids = Grid::of_ropes(results);
    for (i, grid) in grids.iter().enumerate() {
        let title = format!("Needles found: {}", grid.rope);
        let path = out.join(format!("eval/{}", svg_name(kind.task_name(), &grids, i)));
        write_atomically(&path, grid.svg(&title)?.as_bytes())?;
    }
    Ok(())
}

/// The file name of a plot: `needle.svg`, or a name per RoPE if there are several.
fn svg_name(task: &str, grids: &[Grid], i: usize) -> String {
    if grids.len() == 1 {
        return format!("{task}.svg");
    }
    // A RoPE may be a path; its file name identifies it.
    let name = Path::new(&grids[i].rope).file_stem();
    let name = name.map_or_else(String::new, |name| name.display().to_string());
    let is_unique = grids
        .iter()
        .filter(|grid| grid.rope.contains(&name))
        .count()
        == 1;
    if is_unique {
        format!("{task}-{name}.svg")
    } else {
        format!("{task}-{name}-{i}.svg")
    }
}

/// A line about how the numbers of the grids were measured.
fn protocol_line(kind: NeedleKind, results: &[TaskResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let by_candidates = |what: &str| {
        format!(
            "share of questions answered: choice is the most likely of the {} {what} of a text, exact the model's own \
             answer; {} trials per context, {}, seed {}; 95% intervals (Wilson)",
            first.settings["candidates"], first.n, first.protocol, first.seed
        )
    };
    match kind {
        NeedleKind::Association => return by_candidates("persons"),
        NeedleKind::Ordinal => return by_candidates("values"),
        _ => {}
    }
    let depths = first.settings["depths"].as_array().map_or(0, Vec::len);
    let needles = first.settings["needles"].as_u64();
    let needles = needles.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    format!(
        "share of needles found: {} per cell, {} per text, {}, seed {}",
        output::counted(first.n / depths.max(1), "trial"),
        output::counted(needles, "needle"),
        first.protocol,
        first.seed
    )
}
