//! What was asked and answered, one line per question.

use longrope_data::sha256_hex;
use serde_json::{Map, Value, json};

use super::part::{Part, metric_names};
use crate::bench::kind::Bench;
use crate::bench::prompts::Prompts;
use crate::bench::question::Question;
use crate::report::Trial;

/// The hash of each task, by its samples.
pub(super) fn task_hashes(samples: &[(String, Vec<Value>)]) -> Map<String, Value> {
    samples
        .iter()
        .map(|(name, samples)| (name.clone(), json!(task_hash(samples))))
        .collect()
}

/// The lines of samples of a task.
pub(super) fn samples(prompts: &Prompts, part: &Part) -> Vec<Value> {
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

/// The hash of a task: that of the hashes of its samples.
fn task_hash(samples: &[Value]) -> String {
    let text: String = samples
        .iter()
        .flat_map(|sample| ["doc_hash", "prompt_hash", "target_hash"].map(|key| &sample[key]))
        .filter_map(Value::as_str)
        .collect();
    sha256_hex(&[text.as_bytes()])
}
