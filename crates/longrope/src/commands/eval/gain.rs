//! `longrope eval gain`

use anyhow::Result;
use longrope_data::text_fingerprint;
use longrope_eval::{Gain, GainWindows, MetricValue, Task, TaskResult, add_gain_intervals};
use longrope_extend::RunMode;

use super::folder::Evaluated;
use super::job::Skipped;
use super::keep;
use super::subject::Subject;
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::{contexts, longest_context};
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::show::output;
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Gain) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .text(&args.text)
        .count("eval.windows", args.windows)
        .count("gain.tail", args.tail)
        .set("gain.far", args.far.clone())
        .set("gain.against", args.against.clone())
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
    let mut keep = keep::keep(config, "gain", mode)?;
    let target = longest_context(config)?;
    // Without a model, that is what is wrong.
    input::model_folder(config)?;
    input::check_text(config)?;
    let subject = Subject::load(config, Work::Measure { context: target })?;
    let model = subject.decoder.config();
    let documents = input::load_documents(config, model)?;
    keep.text = Some(text_fingerprint(&documents));
    keep.texts = input::names(config.text.iter().chain(&config.tokens));
    let bos = input::bos(config, model)?;
    let mut jobs = Vec::new();
    let contexts = contexts(config);
    let mut skipped = Skipped::new(contexts.len() > 1);
    for named in &subject.ropes {
        for &context in &contexts {
            let original = named.rope.spec(context)?.original_context;
            let near = named.rope.spec(original)?;
            let windows = GainWindows {
                context,
                per_document: config.eval.windows,
                bos,
            };
            let made = Gain::new(&documents, &config.gain, windows, near, config.seed);
            let made = made.map(|task| Box::new(task) as Box<dyn Task>);
            jobs.extend(skipped.job(named, context, made.map_err(Into::into))?);
        }
    }
    let jobs = skipped.all_or(jobs)?;
    let mut finished = subject.run(config, &jobs, keep)?;
    finished.results.iter_mut().for_each(add_gain_intervals);
    finished.write()
}

/// One row per RoPE and context.
fn table(results: &[TaskResult]) -> String {
    let baseline = if results.iter().all(is_against_other_text) {
        "other far text"
    } else {
        "window alone"
    };
    let header = [
        "rope",
        "context",
        baseline,
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

/// Whether the whole context is compared with other text before the same window.
fn is_against_other_text(result: &TaskResult) -> bool {
    result
        .settings
        .get("against")
        .is_some_and(|against| against == "other")
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
    let is_other = setting("far").as_str() == Some("other");
    let against_other = is_against_other_text(first);
    let note = match (is_other, against_other) {
        (true, true) => {
            "; both before the window are texts of other documents: the gain is 0 but for chance"
        }
        (true, false) => {
            "; before the window, text of another document: the gain should not be above 0"
        }
        _ => "",
    };
    let unclear = if results.iter().all(|result| is_clear(&result.metric)) {
        ""
    } else {
        "; ?: the interval includes 0, or there is none"
    };
    let (tail, near) = (setting("tail"), setting("near_context"));
    let (baseline, helps) = if against_other {
        (
            format!("with text of another document before the last {near} tokens"),
            "what far text says helps",
        )
    } else {
        (format!("alone in the last {near} tokens"), "far text helps")
    };
    format!(
        "nats per token of the last {tail} tokens of each window, {baseline} and with the whole context; \
         gain: the difference, above 0 if {helps}{unclear}{note}"
    )
}
