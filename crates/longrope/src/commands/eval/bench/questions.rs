//! The questions and examples of a benchmark, from its files or from the hub.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use longrope_data::sha256_hex;
use longrope_eval::bench::{Bench, Prompts, Question, read_records};

use crate::failure::Hint;
use crate::input;
use crate::input::hub;
use crate::settings::config::Config;
use crate::show::output;

/// The questions of a benchmark and where they come from.
pub(super) struct Asked {
    pub(super) prompts: Prompts,
    /// Fingerprint of the files.
    pub(super) fingerprint: String,
    /// The files as they were given.
    pub(super) files: Vec<String>,
    /// Number of questions in the files, by subject.
    pub(super) n_original: BTreeMap<Option<String>, usize>,
}

/// Reads the questions and examples.
pub(super) fn prompts(bench: Bench, config: &Config, seed: u32) -> Result<Asked> {
    let section = &config.bench;
    let (mut data, mut fewshot) = (section.data.clone(), section.fewshot.clone());
    check_examples(bench, config)?;
    if data.is_empty() {
        let (questions, examples) = hub::bench_files(&bench.hub_data())?;
        data.extend(questions);
        if fewshot.is_empty() {
            fewshot.extend(examples);
        }
    }
    let mut questions = read_questions(bench, &data)?;
    let files = data.iter().chain(&fewshot);
    let files = files.map(|file| Ok(sha256_hex(&[&fs_err::read(file)?])));
    let fingerprint = sha256_hex(&[files.collect::<Result<String>>()?.as_bytes()]);
    let mut n_original: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for question in &questions {
        *n_original.entry(question.subject.clone()).or_default() += 1;
    }
    if let Some(limit) = section.limit {
        keep_first(&mut questions, limit);
    }
    let examples = read_questions(bench, &fewshot)?;
    let shots = section.shots.unwrap_or(bench.default_shots());
    let prompts = Prompts::new(bench, questions, examples, shots, seed).map_err(|error| {
        anyhow!(error).context(Hint(
            "give the train split (for MMLU the dev split) with --fewshot, or change --shots"
                .to_owned(),
        ))
    })?;
    let n_told = prompts.n_with_own_answer();
    if n_told > 0 {
        tracing::warn!(
            "the examples before {n_told} of {} hold the question itself with its answer: give other questions with \
             --fewshot than with --data, such as the train split",
            output::counted(prompts.questions().len(), "question")
        );
    }
    let files = input::names(data.iter().chain(&fewshot));
    Ok(Asked {
        prompts,
        fingerprint,
        files,
        n_original,
    })
}

/// Refuses examples for a benchmark that has its own.
pub(super) fn check_examples(bench: Bench, config: &Config) -> Result<()> {
    if bench.has_own_examples() && !config.bench.fewshot.is_empty() {
        return Err(
            anyhow!("`--fewshot` does not apply to benchmark `{bench}`").context(Hint(
                "leave it out: the examples are part of the benchmark".to_owned(),
            )),
        );
    }
    Ok(())
}

/// The questions of some files, in order.
fn read_questions(bench: Bench, files: &[PathBuf]) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for file in files {
        for record in read_records(file)? {
            questions.push(Question::new(bench, record)?);
        }
    }
    Ok(questions)
}

/// Keeps the first `limit` questions of every subject.
fn keep_first(questions: &mut Vec<Question>, limit: usize) {
    let mut seen: BTreeMap<Option<String>, usize> = BTreeMap::new();
    questions.retain(|question| {
        let n = seen.entry(question.subject.clone()).or_default();
        *n += 1;
        *n <= limit
    });
}
