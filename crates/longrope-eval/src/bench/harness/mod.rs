//! Results in the layout of lm-evaluation-harness, for programs that read its files.

mod entries;
mod part;
mod samples;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::entries::results;
use self::part::{Part, metric_names, parts};
use self::samples::{samples, task_hashes};
use super::kind::Bench;
use super::prompts::Prompts;
use crate::report::TaskResult;

/// What the harness says about a run besides its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct HarnessRun {
    /// Folder or name of the model.
    pub model: String,
    /// Version of this program.
    pub tool_version: String,
    /// When the run ended, seconds since 1970 (UTC).
    pub date: f64,
    /// Maximum number of questions per task, if there is one.
    pub limit: Option<usize>,
    /// Number of questions before the limit, by subject.
    pub n_original: BTreeMap<Option<String>, usize>,
}

/// The content of the files of a run: the results, and the samples of every task.
#[derive(Clone, Debug, PartialEq)]
pub struct HarnessFiles {
    /// `results_*.json`.
    pub results: Value,
    /// `samples_TASK_*.jsonl` by task, one value per line.
    pub samples: Vec<(String, Vec<Value>)>,
}

/// The name of a model as part of a file name, as the harness makes it: `__` for every run of characters that some file
/// system forbids.
pub fn sanitized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut was_bad = false;
    for c in name.chars() {
        let is_bad = "\"<>:/|\\?*[]".contains(c);
        if !is_bad {
            out.push(c);
        } else if !was_bad {
            out.push_str("__");
        }
        was_bad = is_bad;
    }
    out
}

/// The files of a result of a benchmark.
pub fn harness_files(prompts: &Prompts, result: &TaskResult, run: &HarnessRun) -> HarnessFiles {
    let bench = prompts.bench();
    let parts = parts(prompts, result);
    let group = (parts.len() > 1 || parts[0].subject.is_some()).then(|| bench.harness_name());
    let samples: Vec<(String, Vec<Value>)> = parts
        .iter()
        .map(|part| (part.name.clone(), samples(prompts, part)))
        .collect();
    let results = results(bench, group.as_deref(), &parts);
    let by_task = |value: &dyn Fn(&Part) -> Value| -> Map<String, Value> {
        parts
            .iter()
            .map(|part| (part.name.clone(), value(part)))
            .collect()
    };
    let mut file = json!({
        "results": results,
        "group_subtasks": subtasks(group.as_deref(), &parts),
        "configs": by_task(&|part| task_config(bench, part, prompts.shots())),
        "versions": by_task(&|_| json!(version(bench))),
        "n-shot": by_task(&|_| json!(prompts.shots())),
        "higher_is_better": by_task(&|_| higher_is_better(bench)),
        "n-samples": by_task(&|part| n_samples(run, part)),
        "config": run_config(result, run),
        "git_hash": null,
        "date": run.date,
        "longrope_version": run.tool_version,
        "max_length": result.context,
        "task_hashes": task_hashes(&samples),
        "model_source": "longrope",
        "model_name": run.model,
        "model_name_sanitized": sanitized(&run.model),
        "system_instruction": null,
        "system_instruction_sha": null,
        "fewshot_as_multiturn": null,
        "chat_template": null,
        "chat_template_sha": null,
        "total_evaluation_time_seconds": result.elapsed_secs.to_string(),
    });
    if let (Some(group), Some(file)) = (&group, file.as_object_mut()) {
        file.insert(
            "groups".to_owned(),
            json!({ (group.clone()): results[group] }),
        );
    }
    HarnessFiles {
        results: file,
        samples,
    }
}

/// The tasks of the group, if there is one, and those of each task: none.
fn subtasks(group: Option<&str>, parts: &[Part]) -> Map<String, Value> {
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let mut subtasks = Map::new();
    if let Some(group) = group {
        subtasks.insert(group.to_owned(), json!(names));
    }
    for name in names {
        subtasks.insert(name.to_owned(), json!([]));
    }
    subtasks
}

/// Whether more is better, by metric: always.
fn higher_is_better(bench: Bench) -> Value {
    let metrics = metric_names(bench).into_iter();
    Value::Object(metrics.map(|name| (name, json!(true))).collect())
}

/// How many questions a task has, and how many of them were asked.
fn n_samples(run: &HarnessRun, part: &Part) -> Value {
    let asked = part.trials.len();
    let original = run.n_original.get(&part.subject).copied();
    json!({ "original": original.unwrap_or(asked), "effective": asked })
}

/// How the harness would have been run.
fn run_config(result: &TaskResult, run: &HarnessRun) -> Value {
    json!({
        "model": "longrope",
        "model_args": {
            "pretrained": run.model,
            "rope": result.rope,
            "max_length": result.context,
        },
        "batch_size": 1,
        "batch_sizes": [],
        "device": null,
        "use_cache": null,
        "limit": run.limit,
        "bootstrap_iters": 0,
        "gen_kwargs": {},
        "random_seed": null,
        "numpy_seed": null,
        "torch_seed": null,
        "fewshot_seed": result.seed,
    })
}

/// The settings of a task.
fn task_config(bench: Bench, part: &Part, shots: usize) -> Value {
    let is_generated = bench.tokens_to_generate().is_some();
    let output = if is_generated {
        "generate_until"
    } else {
        "multiple_choice"
    };
    let metrics: Vec<Value> = metric_names(bench)
        .iter()
        .map(|name| json!({ "metric": name, "aggregation": "mean", "higher_is_better": true }))
        .collect();
    json!({
        "task": part.name,
        "dataset_path": bench.hub_data().dataset,
        "output_type": output,
        "num_fewshot": shots,
        "metric_list": metrics,
        "metadata": { "version": version(bench) },
    })
}

/// The version of the task in lm-evaluation-harness 0.4.13.
fn version(bench: Bench) -> f64 {
    match bench {
        Bench::ArcEasy | Bench::ArcChallenge | Bench::HellaSwag | Bench::Mmlu => 1.0,
        Bench::TruthfulQaMc1 => 2.0,
        Bench::TruthfulQaMc2 => 3.0,
        Bench::LongBench2 | Bench::BabiLong(_) => 0.0,
    }
}
