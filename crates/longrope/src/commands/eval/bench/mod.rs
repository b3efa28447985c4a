//! `longrope eval bench`

mod questions;
mod table;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use longrope_eval::bench::{Bench, BenchTask, FEWSHOT_SEED, pooled_stderr};
use longrope_eval::{MetricValue, TaskResult, mean, mean_stderr};
use longrope_extend::RunMode;
use longrope_model::stop_tokens;
use serde_json::Value;

use self::questions::{Asked, prompts};
use self::table::{cut_line, table};
use super::folder::Evaluated;
use super::subject::Subject;
use super::{job, keep, lm_eval};
use crate::failure::Hint;
use crate::input::memory::Work;
use crate::input::rope_arg::{RopeArg, missing_context};
use crate::input::ropes_and_contexts::longest_context;
use crate::settings;
use crate::settings::args;
use crate::settings::args::{FlagLayer, ResultFormat};
use crate::settings::config::Config;
use crate::show::{difference, output};
use crate::{input, next_steps};

/// Tokens of a question with its examples, as far as the check of memory is concerned.
const QUESTION_TOKENS: usize = 2048;

pub(crate) fn run(args: &args::Bench) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .set("bench.name", args.bench.clone())
        .paths("bench.data", &args.data)
        .paths("bench.fewshot", &args.fewshot)
        .count("bench.shots", args.shots)
        .count("bench.limit", args.limit)
        .table();
    let config = input::configuration_of_results(&args.task.common, flags)?;
    let mode = RunMode::from_flag(args.task.resume);
    let answered = bench(config.clone(), mode, args.format)?;
    if args.task.json {
        return output::json(&answered.done.report());
    }
    show(&answered)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// The results of a benchmark, and how it was run.
pub(crate) struct BenchResults {
    done: Evaluated<TaskResult>,
    bench: Bench,
    n_shots: usize,
    seed: u32,
}

/// Finds what is wrong with the settings of a benchmark.
pub(crate) fn check(config: &Config) -> Result<()> {
    let section = &config.bench;
    let bench: Bench = settings::required(section.name.as_ref(), "bench.name")?.parse()?;
    questions::check_examples(bench, config)?;
    fewshot_seed(config)?;
    input::check_files(section.data.iter().chain(&section.fewshot))
}

/// Runs the configured benchmark. The examples are drawn with the configured seed, by default with that of
/// lm-evaluation-harness.
pub(crate) fn bench(
    mut config: Config,
    mode: RunMode,
    format: ResultFormat,
) -> Result<BenchResults> {
    let bench: Bench = settings::required(config.bench.name.as_ref(), "--bench")?.parse()?;
    let for_harness = format == ResultFormat::LmEval;
    if for_harness && config.out.is_none() {
        return Err(anyhow!("`--format lm-eval` needs `--out`").context(Hint(
            "give a run folder with --out; the files are written into it".to_owned(),
        )));
    }
    let name = format!("bench-{bench}");
    let mut keep = keep::keep(&config, &name, mode)?;
    let seed = match begun_seed(&config, &name, mode) {
        Some(seed) => seed,
        None => fewshot_seed(&config)?,
    };
    let Asked {
        prompts,
        fingerprint,
        files,
        n_original,
    } = prompts(bench, &config, seed)?;
    keep.text = Some(fingerprint);
    keep.texts = files;
    keep.seed = u64::from(seed);
    if config.contexts.is_empty() {
        config.contexts = vec![own_context(&config)?];
    }
    let subject = Subject::load(&config, work(bench, &config)?)?;
    let tokenizer = subject.tokenizer()?;
    let stop = stop_tokens(input::model_folder(&config)?, subject.decoder.config())?;
    let jobs = job::jobs(&config, &subject.ropes, |context| {
        let task = BenchTask::new(prompts.clone(), &tokenizer, context, seed);
        Ok(Box::new(task.stopping_at(&stop)))
    })?;
    let mut finished = subject.run(&config, &jobs, keep)?;
    finished.results.iter_mut().for_each(pool_subjects);
    let done = finished.write()?;
    if for_harness {
        lm_eval::write(&config, &prompts, &done.results, &n_original)?;
    }
    Ok(BenchResults {
        done,
        bench,
        n_shots: prompts.shots(),
        seed,
    })
}

/// Prints the results as a table.
pub(crate) fn show(answered: &BenchResults) -> Result<()> {
    let BenchResults {
        done,
        bench,
        n_shots,
        seed,
    } = answered;
    let results = &done.results;
    output::line(table(results))?;
    output::line(format!(
        "{} on {bench}, {}, seed {seed}, scored as by lm-evaluation-harness",
        results.first().map_or("", |result| &result.metric.name),
        output::counted(*n_shots, "shot"),
    ))?;
    for line in [cut_line(*bench, results), difference::task_line(results)]
        .into_iter()
        .flatten()
    {
        output::line(line)?;
    }
    Ok(())
}

/// The seed of the examples, by default that of lm-evaluation-harness.
fn fewshot_seed(config: &Config) -> Result<u32> {
    if !config.has_seed {
        return Ok(FEWSHOT_SEED);
    }
    let seed = config.seed;
    u32::try_from(seed).map_err(|_| {
        anyhow!("`seed` is {seed}, expected at most {}", u32::MAX).context(Hint(
            "lm-evaluation-harness draws the examples with a seed of 32 bits: give a smaller one, in a recipe as `seed` of \
             the stage"
                .to_owned(),
        ))
    })
}

/// The seed that a stage which has begun draws its examples with: earlier versions did not read that of a recipe.
fn begun_seed(config: &Config, name: &str, mode: RunMode) -> Option<u32> {
    if mode != RunMode::Part {
        return None;
    }
    let path = config.out.as_ref()?.join(format!("eval/{name}.state.json"));
    let state: Value = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    let seed = state.get("jobs")?.get(0)?.get("key")?.get("seed")?;
    u32::try_from(seed.as_u64()?).ok()
}

/// The longest context of the model, at which it is measured if none is configured.
///
/// # Errors
/// If a RoPE is made for a context, which must then be given.
fn own_context(config: &Config) -> Result<usize> {
    let model = input::model_config(config)?;
    for name in &config.rope {
        if RopeArg::read(name, &model, model.max_context)?.needs_context() {
            return Err(missing_context(name, "--contexts", model.max_context));
        }
    }
    Ok(model.max_context)
}

/// The sequences to have memory for: most questions are short, however long the context is.
fn work(bench: Bench, config: &Config) -> Result<Work<'static>> {
    let target = longest_context(config)?;
    let context = if bench.has_long_texts() {
        target
    } else {
        target.min(QUESTION_TOKENS)
    };
    Ok(Work::Measure { context })
}

/// For a benchmark with subjects: pools the standard error over subjects and adds the mean over subjects.
fn pool_subjects(result: &mut TaskResult) {
    let mut subjects: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for trial in &result.trials {
        if let Some(subject) = trial
            .details
            .get("subject")
            .and_then(|subject| subject.as_str())
        {
            subjects.entry(subject).or_default().push(trial.scores[0]);
        }
    }
    if subjects.len() < 2 {
        return;
    }
    let parts: Vec<(f64, usize)> = subjects
        .values()
        .map(|scores| (mean_stderr(scores).unwrap_or(0.0), scores.len()))
        .collect();
    let means: Vec<f64> = subjects.values().map(|scores| mean(scores)).collect();
    // A single question says nothing about the spread of its subject: then there is no error.
    result.metric.stderr = pooled_stderr(&parts);
    let squares: f64 = parts.iter().map(|(stderr, _)| stderr * stderr).sum();
    let pooled = result.metric.stderr;
    let stderr = pooled.map(|_| squares.sqrt() / means.len() as f64);
    result.other_metrics.push(MetricValue {
        name: "acc_subject_mean".to_owned(),
        value: mean(&means),
        stderr,
        interval: None,
        higher_is_better: true,
    });
}

#[cfg(test)]
mod tests {
    use longrope_eval::{Metric, Trial};
    use serde_json::{Map, Value};

    use super::*;

    /// A result with these scores of subjects.
    fn result(scores: &[(&str, f64)]) -> TaskResult {
        let trial = |(trial, (subject, score)): (usize, &(&str, f64))| {
            let mut details = Map::new();
            details.insert("subject".to_owned(), Value::from(*subject));
            Trial {
                trial,
                scores: vec![*score],
                details,
            }
        };
        let values: Vec<f64> = scores.iter().map(|(_, score)| *score).collect();
        TaskResult {
            metric: MetricValue::of(&Metric::higher("acc"), &values),
            trials: scores.iter().enumerate().map(trial).collect(),
            ..TaskResult::default()
        }
    }

    #[test]
    fn a_subject_with_one_question_has_no_error() {
        let mut one_each = result(&[("a", 1.0), ("b", 0.0)]);
        pool_subjects(&mut one_each);
        let mean = &one_each.other_metrics[0];
        assert_eq!((one_each.metric.stderr, mean.stderr), (None, None));
        assert!((mean.value - 0.5).abs() < 1e-12);

        let mut two_each = result(&[("a", 1.0), ("a", 0.0), ("b", 0.0), ("b", 0.0)]);
        pool_subjects(&mut two_each);
        // The error of `a` is 1/2, that of `b` is 0.
        let stderr = two_each.other_metrics[0].stderr.unwrap();
        assert!((stderr - 0.25).abs() < 1e-12, "{stderr}");
    }

    #[test]
    fn a_stage_that_has_begun_keeps_its_seed() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            out: Some(folder.path().to_owned()),
            ..Config::default()
        };
        let seed = |mode| begun_seed(&config, "bench-mmlu", mode);
        assert_eq!(seed(RunMode::Part), None);
        fs_err::create_dir(folder.path().join("eval")).unwrap();
        let state = r#"{"jobs":[{"key":{"seed":1234}}]}"#;
        fs_err::write(folder.path().join("eval/bench-mmlu.state.json"), state).unwrap();
        assert_eq!(seed(RunMode::Part), Some(1234));
        assert_eq!(seed(RunMode::New), None);
    }
}
