//! Results in the layout of lm-evaluation-harness, for programs that read its files.

use std::collections::BTreeMap;

use longrope_data::sha256_hex;
use serde_json::{Map, Value, json};

use super::kind::Bench;
use super::prompts::Prompts;
use super::question::Question;
use super::score::pooled_stderr;
use crate::report::{TaskResult, Trial};
use crate::stats::{mean, mean_stderr};

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

/// A task of the harness: the trials of one subject, or all.
struct Part<'a> {
    name: String,
    subject: Option<String>,
    trials: Vec<&'a Trial>,
}

impl Part<'_> {
    /// Scores of a metric, by its index.
    fn scores(&self, metric: usize) -> Vec<f64> {
        self.trials
            .iter()
            .map(|trial| trial.scores[metric])
            .collect()
    }
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
    let mut results = Map::new();
    if let Some(group) = &group {
        results.insert(group.clone(), group_entry(bench, group, &parts));
    }
    for part in &parts {
        results.insert(part.name.clone(), part_entry(bench, part));
    }
    let by_task = |value: &dyn Fn(&Part) -> Value| -> Map<String, Value> {
        parts
            .iter()
            .map(|part| (part.name.clone(), value(part)))
            .collect()
    };
    let better: Map<String, Value> = metric_names(bench)
        .into_iter()
        .map(|name| (name, json!(true)))
        .collect();
    let n_samples = |part: &Part| {
        let original = run.n_original.get(&part.subject).copied();
        json!({ "original": original.unwrap_or(part.trials.len()), "effective": part.trials.len() })
    };
    let hashes: Map<String, Value> = samples
        .iter()
        .map(|(name, samples)| (name.clone(), json!(task_hash(samples))))
        .collect();
    let mut file = json!({
        "results": results,
        "group_subtasks": subtasks(group.as_deref(), &parts),
        "configs": by_task(&|part| task_config(bench, part, prompts.shots())),
        "versions": by_task(&|_| json!(version(bench))),
        "n-shot": by_task(&|_| json!(prompts.shots())),
        "higher_is_better": by_task(&|_| json!(better)),
        "n-samples": by_task(&n_samples),
        "config": run_config(result, run),
        "git_hash": null,
        "date": run.date,
        "longrope_version": run.tool_version,
        "max_length": result.context,
        "task_hashes": hashes,
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

/// The tasks of the harness that a result stands for: one per subject.
fn parts<'a>(prompts: &Prompts, result: &'a TaskResult) -> Vec<Part<'a>> {
    let bench = prompts.bench();
    let mut parts: Vec<Part<'a>> = Vec::new();
    for trial in &result.trials {
        let question = prompts.questions().get(trial.trial);
        let subject = question.and_then(|question| question.subject.clone());
        let known = parts.iter().position(|part| part.subject == subject);
        let at = known.unwrap_or_else(|| {
            let own = subject.as_deref().map(slug);
            let name = own.map_or_else(
                || bench.harness_name(),
                |own| format!("{}_{own}", bench.harness_name()),
            );
            parts.push(Part {
                name,
                subject,
                trials: Vec::new(),
            });
            parts.len() - 1
        });
        parts[at].trials.push(trial);
    }
    if parts.is_empty() {
        parts.push(Part {
            name: bench.harness_name(),
            subject: None,
            trials: Vec::new(),
        });
    }
    parts
}

/// A subject as part of a name.
fn slug(subject: &str) -> String {
    let lower = subject.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// The metrics as the harness calls them.
fn metric_names(bench: Bench) -> Vec<String> {
    let name = |name: String| match name.as_str() {
        "mc1" | "mc2" => "acc".to_owned(),
        _ => name,
    };
    bench
        .metrics()
        .into_iter()
        .map(|metric| name(metric.name))
        .collect()
}

fn part_entry(bench: Bench, part: &Part) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(part.name));
    entry.insert("alias".to_owned(), json!(part.name));
    entry.insert("sample_len".to_owned(), json!(part.trials.len()));
    for (index, name) in metric_names(bench).into_iter().enumerate() {
        let scores = part.scores(index);
        entry.insert(format!("{name},none"), json!(mean(&scores)));
        entry.insert(
            format!("{name}_stderr,none"),
            stderr_json(mean_stderr(&scores)),
        );
    }
    Value::Object(entry)
}

/// The mean over all questions of a group, with the error pooled over its tasks.
fn group_entry(bench: Bench, name: &str, parts: &[Part]) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(name));
    entry.insert("alias".to_owned(), json!(name));
    let n: usize = parts.iter().map(|part| part.trials.len()).sum();
    entry.insert("sample_len".to_owned(), json!(n));
    for (index, metric) in metric_names(bench).into_iter().enumerate() {
        let all: Vec<f64> = parts.iter().flat_map(|part| part.scores(index)).collect();
        let errors: Vec<(f64, usize)> = parts
            .iter()
            .map(|part| {
                let scores = part.scores(index);
                (mean_stderr(&scores).unwrap_or(0.0), scores.len())
            })
            .collect();
        entry.insert(format!("{metric},none"), json!(mean(&all)));
        entry.insert(
            format!("{metric}_stderr,none"),
            stderr_json(pooled_stderr(&errors)),
        );
    }
    Value::Object(entry)
}

/// A standard error; the harness writes `N/A` for one that does not exist.
fn stderr_json(stderr: Option<f64>) -> Value {
    stderr.map_or_else(|| json!("N/A"), Value::from)
}

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

fn samples(prompts: &Prompts, part: &Part) -> Vec<Value> {
    let questions = prompts.questions();
    let asked = part
        .trials
        .iter()
        .filter_map(|trial| Some((*trial, questions.get(trial.trial)?)));
    asked
        .enumerate()
        .map(|(doc_id, (trial, question))| {
            let prompt = prompts.context(trial.trial);
            sample(prompts.bench(), doc_id, trial, question, &prompt)
        })
        .collect()
}

/// One line of samples. The harness also says whether greedy generation would give a choice, which is not known here.
fn sample(bench: Bench, doc_id: usize, trial: &Trial, question: &Question, prompt: &str) -> Value {
    let target = target(bench, question);
    let (arguments, responses): (Vec<Value>, Vec<Value>);
    if let Some(n_new) = bench.tokens_to_generate() {
        arguments = vec![
            json!({ "do_sample": false, "temperature": 0.0, "max_gen_toks": n_new, "until": [] }),
        ];
        responses = vec![trial.details.get("answer").cloned().unwrap_or_default()];
    } else {
        let found = trial
            .details
            .get("log_likelihoods")
            .and_then(Value::as_array);
        let pair = |value: &Value| json!([value.to_string(), null]);
        responses = found.into_iter().flatten().map(pair).collect();
        let choices = question.choices.iter();
        arguments = choices.map(|choice| json!(format!(" {choice}"))).collect();
    }
    let arguments: Map<String, Value> = arguments
        .into_iter()
        .enumerate()
        .map(|(i, second)| {
            (
                format!("gen_args_{i}"),
                json!({ "arg_0": prompt, "arg_1": second }),
            )
        })
        .collect();
    let doc = Value::Object(question.record.columns.clone());
    let hash = |text: &str| sha256_hex(&[text.as_bytes()]);
    let doc_text = serde_json::to_string_pretty(&doc).unwrap_or_default();
    let names = metric_names(bench);
    let mut sample = json!({
        "doc_id": doc_id,
        "doc": doc,
        "target": target,
        "arguments": arguments,
        "resps": responses.iter().map(|response| json!([response])).collect::<Vec<_>>(),
        "filtered_resps": responses,
        "filter": "none",
        "metrics": names,
        "doc_hash": hash(&doc_text),
        "prompt_hash": hash(prompt),
        "target_hash": hash(&target),
    });
    if let Some(sample) = sample.as_object_mut() {
        sample.extend(
            names
                .into_iter()
                .zip(trial.scores.iter().map(|score| json!(score))),
        );
    }
    sample
}

/// The right answer as the harness writes it: the text or letter of the data set where its task uses that, else the index
/// of the choice.
fn target(bench: Bench, question: &Question) -> String {
    match bench {
        Bench::BabiLong(_) => question.choices[0].clone(),
        Bench::LongBench2 => question.choices[question.gold()].clone(),
        _ => question.gold().to_string(),
    }
}

fn task_hash(samples: &[Value]) -> String {
    let text: String = samples
        .iter()
        .flat_map(|sample| ["doc_hash", "prompt_hash", "target_hash"].map(|key| &sample[key]))
        .filter_map(Value::as_str)
        .collect();
    sha256_hex(&[text.as_bytes()])
}
