//! `longrope eval ruler`

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use longrope_data::{Tokenizer, sha256_hex};
use longrope_eval::{
    Error, Essay, QaSet, Ruler, RulerAverages, RulerData, RulerTask, RulerTrials, Task, TaskResult,
};
use longrope_extend::RunMode;
use longrope_model::stop_tokens;

use super::effective;
use super::effective_rule::effective_rule;
use super::folder::Evaluated;
use super::job::{self, Job, Skipped};
use super::subject::Subject;
use super::{keep, task_run};
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::{NamedRope, distinct, longest_context};
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::Config;
use crate::show::task_table::Share;
use crate::show::{output, task_table};
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Ruler) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .paths("text", &args.text)
        .list("ruler.tasks", args.tasks.iter().cloned())
        .count("ruler.samples", args.samples)
        .path("ruler.squad", args.squad.as_ref())
        .path("ruler.hotpotqa", args.hotpotqa.as_ref())
        .set("eval.threshold", args.threshold.threshold)
        .table();
    let config = input::configuration_of_results(&args.task.common, flags)?;
    // Earlier versions began evaluations with token ids, and did not read them.
    if !args.task.resume {
        input::check_no_tokens(&config, "eval ruler")?;
    }
    let found = ruler(&config, RunMode::from_flag(args.task.resume))?;
    if args.task.json {
        return output::json(&found.done.report());
    }
    show(&config, &found)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// The results of RULER, and what has a place in its tables.
pub(crate) struct RulerResults {
    done: Evaluated<TaskResult>,
    /// The tasks that were run, in the order in which they were asked for.
    tasks: Vec<RulerTask>,
    /// Names of the RoPEs.
    ropes: Vec<String>,
}

/// Finds tasks that are unknown, have no samples, or lack what they are made from.
pub(crate) fn check(config: &Config) -> Result<()> {
    let ruler = &config.ruler;
    // Without names, all tasks whose data is there are run. This one needs none.
    RulerTask::NiahSingle1.check_samples(ruler.samples)?;
    for name in &ruler.tasks {
        let task: RulerTask = name.parse()?;
        let is_there = match task {
            RulerTask::Qa1 => ruler.squad.is_some(),
            RulerTask::Qa2 => ruler.hotpotqa.is_some(),
            _ => !config.text.is_empty(),
        };
        if let Some(what) = task.needs()
            && !is_there
        {
            let task = format!("ruler/{task}");
            return Err(Error::MissingData { task, what }.into());
        }
    }
    Ok(())
}

/// Runs the configured tasks.
pub(crate) fn ruler(config: &Config, mode: RunMode) -> Result<RulerResults> {
    effective_rule(config)?;
    check(config)?;
    let mut keep = keep::keep(config, "ruler", mode)?;
    let target = longest_context(config)?;
    let tasks = distinct(&config.ruler.tasks)
        .iter()
        .map(|name| Ok(name.parse::<RulerTask>()?))
        .collect::<Result<Vec<_>>>()?;
    let data = data(config)?;
    let subject = Subject::load(config, Work::Measure { context: target })?;
    let tokenizer = subject.tokenizer()?;
    let tasks = if tasks.is_empty() {
        possible(&data)
    } else {
        tasks
    };
    let stop = stop_tokens(input::model_folder(config)?, subject.decoder.config())?;
    let material = Material {
        data: &data,
        tokenizer: &tokenizer,
        stop: &stop,
    };
    let jobs = jobs(config, &tasks, &material, &subject.ropes)?;
    keep.text = data_fingerprint(&jobs);
    let ruler = &config.ruler;
    let files = config.text.iter().chain(&ruler.squad);
    keep.texts = input::names(files.chain(&ruler.hotpotqa));
    let done = subject.run(config, &jobs, keep)?.write()?;
    let was_run = |task: &RulerTask| {
        let name = format!("ruler/{task}");
        done.results.iter().any(|result| result.task == name)
    };
    let tasks = tasks.into_iter().filter(was_run).collect();
    let ropes = subject.ropes.iter().map(|named| named.name.clone());
    Ok(RulerResults {
        ropes: ropes.collect(),
        tasks,
        done,
    })
}

/// Prints the results: a table and averages per RoPE.
pub(crate) fn show(config: &Config, found: &RulerResults) -> Result<()> {
    let RulerResults { done, tasks, ropes } = found;
    let results = &done.results;
    // The original window is measured for comparison only; the means are over the contexts that were asked for.
    let asked = results
        .iter()
        .filter(|it| config.contexts.contains(&it.context));
    let asked: Vec<TaskResult> = asked.cloned().collect();
    for rope in ropes {
        let own = results.iter().filter(|it| it.rope == *rope);
        let own: Vec<&TaskResult> = own.collect();
        if own.is_empty() {
            continue;
        }
        let averages = RulerAverages::of(rope, &asked);
        let table = table(tasks, &own, averages.as_ref());
        output::line(format!("{rope}\n{table}\n"))?;
        output::line(means_line(averages.as_ref(), &own, tasks.len()) + "\n")?;
    }
    output::line(format!(
        "percentage of answers found, {} of 13 tasks, {} per task and context, greedy, seed {}; 95% intervals \
         (Wilson if every answer is right or wrong, else Student's t)",
        tasks.len(),
        output::counted(config.ruler.samples, "sample"),
        config.seed
    ))?;
    task_run::show_differences(results)?;
    effective::show(done)
}

/// A fingerprint of the text and questions that the tasks use; `None` if they make their own.
fn data_fingerprint(jobs: &[Job]) -> Option<String> {
    let used: BTreeSet<String> = jobs
        .iter()
        .filter_map(|job| Some(job.task.info().settings.get("data")?.as_str()?.to_owned()))
        .collect();
    let parts: Vec<&[u8]> = used.iter().map(String::as_bytes).collect();
    (!parts.is_empty()).then(|| sha256_hex(&parts))
}

/// Reads the data of the tasks.
fn data(config: &Config) -> Result<RulerData> {
    let essay = if config.text.is_empty() {
        None
    } else {
        Essay::new(&input::read_texts(config)?)
    };
    let ruler = &config.ruler;
    Ok(RulerData {
        essay,
        squad: ruler.squad.as_deref().map(QaSet::read_squad).transpose()?,
        hotpotqa: ruler
            .hotpotqa
            .as_deref()
            .map(QaSet::read_hotpotqa)
            .transpose()?,
    })
}

/// All tasks with available data. Logs a warning for each of the others.
fn possible(data: &RulerData) -> Vec<RulerTask> {
    let (tasks, others): (Vec<_>, Vec<_>) = RulerTask::ALL
        .into_iter()
        .partition(|task| data.missing(*task).is_none());
    for task in others {
        if let Some(what) = data.missing(task) {
            tracing::warn!("skipping task `{task}`, which needs {what}");
        }
    }
    tasks
}

/// What the tasks are made from.
struct Material<'a> {
    data: &'a RulerData,
    tokenizer: &'a Tokenizer,
    /// Tokens that end an answer.
    stop: &'a [u32],
}

/// Jobs for every RoPE, context and task. Tasks that do not fit into a context are skipped, unless the user named them.
fn jobs<'a>(
    config: &Config,
    tasks: &[RulerTask],
    material: &Material<'a>,
    ropes: &[NamedRope],
) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    let mut skipped = Skipped::new(config.ruler.tasks.is_empty());
    // All samples are checked, which may take seconds: once for all RoPEs.
    let mut known: BTreeMap<(usize, &str), Ruler<'a>> = BTreeMap::new();
    let mut too_short: BTreeSet<(usize, &str)> = BTreeSet::new();
    let Material {
        data,
        tokenizer,
        stop,
    } = *material;
    for named in ropes {
        for (context, is_configured) in job::contexts_of(config, named)? {
            for &task in tasks {
                let key = (context, task.name());
                if too_short.contains(&key) {
                    continue;
                }
                let trials = RulerTrials {
                    samples: config.ruler.samples,
                    context,
                    seed: config.seed,
                };
                let made = match known.get(&key) {
                    Some(task) => Ok(task.clone()),
                    None => Ruler::new(task, tokenizer, data, trials, stop).inspect(|task| {
                        known.insert(key, task.clone());
                    }),
                };
                let made = made.map(|task| Box::new(task) as Box<dyn Task>);
                let made = made.map_err(anyhow::Error::from);
                if made.as_ref().is_err_and(job::does_not_fit) {
                    too_short.insert(key);
                    if !is_configured {
                        continue;
                    }
                }
                jobs.extend(skipped.job(named, context, made)?);
            }
        }
    }
    skipped.all_or(jobs)
}

/// The means over the contexts with their 95% intervals, and the tasks that they are over if those are not all. `own` are the
/// results of the RoPE.
fn means_line(averages: Option<&RulerAverages>, own: &[&TaskResult], n_tasks: usize) -> String {
    let Some(averages) = averages else {
        return "no mean: no task fits every context".to_owned();
    };
    let contexts = averages.by_context.iter();
    let means: Vec<Share> = contexts
        .filter_map(|(context, _)| mean_at(*context, averages, own))
        .collect();
    let n = means.len();
    let shown = |name: &str, percent: f64, weight: &dyn Fn(usize) -> f64| {
        let means = means.iter().enumerate();
        let (_, interval) = task_table::weighted_share(means.map(|(i, mean)| (weight(i), *mean)));
        format!("{name} {}", cell(percent / 100.0, interval))
    };
    let means = [
        shown("mean", averages.mean, &|_| 1.0),
        shown("wAvg (inc)", averages.weighted_inc, &|i| (i + 1) as f64),
        shown("wAvg (dec)", averages.weighted_dec, &|i| (n - i) as f64),
    ]
    .join(", ");
    match averages.tasks.len() {
        n if n == n_tasks => means,
        1 => format!("{means}, over the task that fits every context"),
        n => format!("{means}, over the {n} tasks that fit every context"),
    }
}

/// The mean over the tasks of the averages at a context; `None` if it lacks one of them.
fn mean_at(context: usize, averages: &RulerAverages, own: &[&TaskResult]) -> Option<Share> {
    let here = own
        .iter()
        .filter(|it| it.context == context && averages.tasks.contains(&it.task));
    let here: Vec<_> = here.map(|result| (&result.metric, result.n)).collect();
    (here.len() >= averages.tasks.len()).then(|| task_table::mean_share(here))
}

/// One row per task of a RoPE, one column per context, and a last row with the means over the tasks of the averages. A
/// context that lacks one of them, as the original window may, has no mean.
fn table(tasks: &[RulerTask], own: &[&TaskResult], averages: Option<&RulerAverages>) -> String {
    let contexts: BTreeSet<usize> = own.iter().map(|it| it.context).collect();
    let header: Vec<String> = std::iter::once("task".to_owned())
        .chain(contexts.iter().map(|context| output::grouped(*context)))
        .collect();
    let value = |task: RulerTask, context: usize| {
        let name = format!("ruler/{task}");
        let result = own
            .iter()
            .find(|it| it.task == name && it.context == context);
        result.map_or_else(String::new, |result| {
            let interval = task_table::interval(&result.metric, result.n);
            cell(result.metric.value, interval)
        })
    };
    let mut rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            std::iter::once(task.name().to_owned())
                .chain(contexts.iter().map(|context| value(*task, *context)))
                .collect()
        })
        .collect();
    if let Some(averages) = averages {
        let mean = |context: &usize| {
            let mean = mean_at(*context, averages, own);
            mean.map_or_else(String::new, |(mean, interval)| cell(mean, interval))
        };
        let means = contexts.iter().map(mean);
        rows.push(std::iter::once("mean".to_owned()).chain(means).collect());
    }
    output::table(&header, &rows)
}

/// A score in percent with its 95% interval.
fn cell(value: f64, interval: Option<[f64; 2]>) -> String {
    let percent = |value: f64| 100.0 * value;
    match interval.map(|ends| ends.map(percent)) {
        Some([low, high]) => format!("{:.1} [{low:.0}, {high:.0}]", percent(value)),
        None => format!("{:.1}", percent(value)),
    }
}

#[cfg(test)]
mod tests {
    use longrope_eval::{Metric, MetricValue};

    use super::*;

    fn result(task: &str, context: usize, score: f64) -> TaskResult {
        TaskResult {
            task: format!("ruler/{task}"),
            rope: "yarn".to_owned(),
            context,
            n: 1,
            metric: MetricValue::of(&Metric::higher("string_match_all"), &[score]),
            ..TaskResult::default()
        }
    }

    #[test]
    fn means_are_over_the_tasks_that_fit_every_context() {
        let tasks = ["vt", "cwe"].map(|name| name.parse::<RulerTask>().unwrap());
        let results = [
            result("vt", 256, 1.0),
            result("vt", 512, 1.0),
            result("cwe", 512, 0.0),
        ];
        let own: Vec<&TaskResult> = results.iter().collect();
        let shown = |averages: Option<&RulerAverages>| {
            let text = table(&tasks, &own, averages);
            let last = text.lines().last().unwrap_or_default().to_owned();
            (last, means_line(averages, &own, tasks.len()))
        };
        let (means, line) = shown(RulerAverages::of("yarn", &results).as_ref());
        assert_eq!(means.matches("100.0").count(), 2, "{means}");
        assert_eq!(
            line,
            // One of one is Wilson's 21 to 100%; of several contexts, the sides are combined with their weights.
            "mean 100.0 [44, 100], wAvg (inc) 100.0 [41, 100], wAvg (dec) 100.0 [41, 100], over the task that fits every context"
        );
        // The original window was not asked for: it takes no task out, and has no mean of fewer tasks.
        let (means, line) = shown(RulerAverages::of("yarn", &results[1..]).as_ref());
        assert_eq!(means.matches("50.0").count(), 1, "{means}");
        assert!(!means.contains("100.0"), "{means}");
        let expected = "mean 50.0 [10, 90], wAvg (inc) 50.0 [10, 90], wAvg (dec) 50.0 [10, 90]";
        assert_eq!(line, expected);
        // `vt` at 256 and `cwe` at 512.
        let apart = [results[0].clone(), results[2].clone()];
        let (last, line) = shown(RulerAverages::of("yarn", &apart).as_ref());
        assert!(last.trim_start().starts_with("cwe"), "{last}");
        assert_eq!(line, "no mean: no task fits every context");
    }
}
