//! `longrope eval passkey`

use anyhow::Result;
use longrope_eval::{Passkey, TaskResult};
use longrope_extend::RunMode;

use super::effective_rule::effective_rule;
use super::folder::Evaluated;
use super::subject::Subject;
use super::{effective, job, keep, task_run};
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::longest_context;
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::show::{output, task_table};
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Passkey) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .count("passkey.trials", args.trials)
        .list("passkey.depths", args.depths.iter().copied())
        .set("eval.threshold", args.threshold.threshold)
        .table();
    let config = input::configuration_of_results(&args.task.common, flags)?;
    let done = passkey(&config, RunMode::from_flag(args.task.resume))?;
    if args.task.json {
        return output::json(&done.report());
    }
    show(&done)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// Measures passkey retrieval under the configured RoPEs at the configured contexts.
pub(crate) fn passkey(config: &Config, mode: RunMode) -> Result<Evaluated<TaskResult>> {
    effective_rule(config)?;
    let keep = keep::keep(config, "passkey", mode)?;
    let target = longest_context(config)?;
    config.passkey.validate()?;
    let subject = Subject::load(config, Work::Measure { context: target })?;
    let tokenizer = subject.tokenizer()?;
    let jobs = job::grid(config, &subject.ropes, |context| {
        let task = Passkey::new(&tokenizer, &config.passkey, context, config.seed)?;
        Ok(Box::new(task))
    })?;
    subject.run(config, &jobs, keep)?.write()
}

/// Prints the results as a table.
pub(crate) fn show(done: &Evaluated<TaskResult>) -> Result<()> {
    let results = &done.results;
    output::line(task_table::by_context(results))?;
    output::line(protocol_line(results))?;
    task_run::show_differences(results)?;
    effective::show(done)
}

/// A line about how the numbers of the table were measured.
fn protocol_line(results: &[TaskResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let depths = match first.settings["depths"].as_array() {
        Some(depths) => output::counted(depths.len(), "depth"),
        None => "random depths".to_owned(),
    };
    format!(
        "share of five-digit keys found, {} per context at {depths}, {}, seed {}; 95% intervals (Wilson)",
        output::counted(first.n, "trial"),
        first.protocol,
        first.seed
    )
}
