//! `longrope eval gain`

use anyhow::Result;
use longrope_data::text_fingerprint;
use longrope_eval::{Gain, MetricValue, Scorer, Task, TaskResult, add_gain_intervals};
use longrope_extend::RunMode;

use super::eval_folder::Evaluated;
use super::task_run::{self, Skipped};
use crate::input::memory::Work;
use crate::input::rope_arg::{longest_context, named_ropes, rope_names};
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::show::output;
use crate::{input, next_steps, signals};

pub(crate) fn run(args: &args::Gain) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .text(&args.text)
        .count("eval.windows", args.windows)
        .count("gain.tail", args.tail)
        .set("gain.far", args.far.clone())
        .table();
    let config = input::configuration_of_results(&args.task.common, flags)?;
    let done = gain(&config, RunMode::from_flag(args.task.resume))?;
    if args.task.json {
        return output::json(&done.report());
    }
    output::line(table(&done.results))?;
    output::line(explanation(&done.results))?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// Measures the context gain of the configured RoPEs at the configured contexts.
fn gain(config: &Config, mode: RunMode) -> Result<Evaluated<TaskResult>> {
    let mut keep = task_run::keep(config, "gain", mode)?;
    let target = longest_context(config)?;
    let interrupt = signals::listen()?;
    let decoder = input::load_model(config, Work::Measure { context: target })?;
    let documents = input::load_documents(config, decoder.config())?;
    keep.text = Some(text_fingerprint(&documents));
    keep.texts = input::names(config.text.iter().chain(&config.tokens));
    let ropes = named_ropes(&rope_names(config), &decoder, target)?;
    let bos = input::bos(config, decoder.config())?;
    let mut jobs = Vec::new();
    let mut skipped = Skipped::new(config.contexts.len() > 1);
    for named in &ropes {
        for &context in &config.contexts {
            let original = named.rope.spec(context)?.original_context;
            let near = named.rope.spec(original)?;
            let size = (context, config.eval.windows);
            let made = Gain::new(&documents, &config.gain, size, bos, near);
            let made = made.map(|task| Box::new(task) as Box<dyn Task>);
            jobs.extend(skipped.job(named, context, made.map_err(Into::into))?);
        }
    }
    let jobs = skipped.all_or(jobs)?;
    let mut finished = task_run::run(config, &jobs, &mut Scorer::new(&decoder), &interrupt, keep)?;
    finished.results.iter_mut().for_each(add_gain_intervals);
    finished.write()
}

/// One row per RoPE and context.
fn table(results: &[TaskResult]) -> String {
    let header = [
        "rope",
        "context",
        "window alone",
        "whole context",
        "gain",
        "± stderr",
        "95% interval",
        "windows",
    ];
    let number = |value: f64| format!("{value:.4}");
    let signed = |value: f64| format!("{value:+.4}");
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            let gain = &result.metric;
            let loss = |i: usize| result.other_metrics.get(i).map_or(f64::NAN, |it| it.value);
            vec![
                result.rope.clone(),
                output::grouped(result.context),
                number(loss(0)),
                number(loss(1)),
                signed(gain.value) + if is_clear(gain) { "" } else { " ?" },
                gain.stderr.map_or_else(|| "-".to_owned(), number),
                gain.interval.map_or_else(
                    || "-".to_owned(),
                    |[low, high]| format!("[{}, {}]", signed(low), signed(high)),
                ),
                output::grouped(result.n),
            ]
        })
        .collect();
    output::table(&header.map(str::to_owned), &rows)
}

/// Whether the interval of a gain does not include 0.
fn is_clear(gain: &MetricValue) -> bool {
    gain.interval
        .is_some_and(|[low, high]| low > 0.0 || high < 0.0)
}

/// Lines about how the numbers of the table were measured.
fn explanation(results: &[TaskResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let setting = |name: &str| &first.settings[name];
    let far = match setting("far").as_str() {
        Some("other") => {
            "; before the window, text of another document: the gain should not be above 0"
        }
        _ => "",
    };
    let unclear = if results.iter().all(|result| is_clear(&result.metric)) {
        ""
    } else {
        "; ?: the interval includes 0"
    };
    format!(
        "nats per token of the last {} tokens of each window, alone in the last {} tokens and with the whole context; \
         gain: the difference, above 0 if far text helps{unclear}{far}",
        setting("tail"),
        setting("near_context"),
    )
}
