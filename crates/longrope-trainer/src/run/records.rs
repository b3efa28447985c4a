//! `metrics.jsonl`: a header, then one JSON object per step and per measurement, in order.
//!
//! ```text
//! {"format":"longrope-metrics","version":1,"kind":"training","source":{"tool_version":"0.1.0","model":"base",…}}
//! {"event":"step","step":1,"loss":4.57,"nll_nats":4.57,"learning_rate":0.0005,"grad_norm":1.2,"n_tokens":128,…}
//! {"event":"eval","step":100,"context":64,"nll_nats":4.1,"ppl":60.3}
//! ```
//!
//! Pretraining has several phases in one file; each line then has a `phase`, and steps are counted anew in every
//! phase. A loss, gradient norm or perplexity that is not finite is left out. Files written before there was a header are read as well: those of
//! fine-tuning have the same lines, those of pretraining had lines of another form.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use longrope_model::ResultSource;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::session::TimedStep;

const FORMAT: &str = "longrope-metrics";
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    #[serde(default)]
    kind: String,
    /// What a training was made from; absent in the files of searches and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<ResultSource>,
}

impl Header {
    fn new(kind: &str, source: Option<&ResultSource>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind: kind.to_owned(),
            source: source.cloned(),
        }
    }
}

/// The first line of a `metrics.jsonl` about a run of this kind, with its line break.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn header(kind: &str) -> Result<String> {
    line(&Header::new(kind, None))
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// An optimizer step.
    Step {
        /// Phase of a pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Steps so far, this one included.
        step: usize,
        /// Weighted mean loss before the step, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        loss: f64,
        /// Unweighted mean loss of the tokens that count, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        nll_nats: f64,
        /// Mean loss of the hidden states that were compared with the original model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distill: Option<f64>,
        /// Learning rate.
        #[serde(deserialize_with = "number")]
        learning_rate: f64,
        /// Norm of all gradients together, before clipping.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        grad_norm: f64,
        /// Tokens that went through the model.
        n_tokens: usize,
        /// `n_tokens / elapsed_secs`.
        #[serde(deserialize_with = "number")]
        tokens_per_second: f64,
        /// Duration of the step, seconds.
        #[serde(deserialize_with = "number")]
        elapsed_secs: f64,
        /// Peak memory of the process so far, bytes.
        peak_memory_bytes: Option<u64>,
        /// Whether the weights were left unchanged because loss or gradients were not finite.
        skipped: bool,
    },
    /// A measurement.
    Eval {
        /// Phase of a pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Steps made before it.
        step: usize,
        /// Context length, tokens; `None` in old files of pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<usize>,
        /// Mean loss, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        nll_nats: f64,
        /// Perplexity, the exponential of `nll_nats`.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        ppl: f64,
        /// Share of passkeys found, if they were measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passkeys: Option<f64>,
    },
}

/// What a missing number is read as.
fn not_a_number() -> f64 {
    f64::NAN
}

/// Whether a number is left out of JSON, which has no NaN.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_not_finite(number: &f64) -> bool {
    !number.is_finite()
}

/// A number, NaN for the `null` of older files.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Record {
    /// The line of a step.
    pub(super) fn of_step(phase: Option<&str>, timed: &TimedStep) -> Self {
        let report = &timed.report;
        Self::Step {
            phase: phase.map(str::to_owned),
            step: report.step,
            loss: report.loss,
            nll_nats: report.nll_nats,
            distill: report.distill,
            learning_rate: report.learning_rate,
            grad_norm: report.grad_norm,
            n_tokens: report.n_tokens,
            tokens_per_second: report.n_tokens as f64 / timed.elapsed_secs.max(1e-9),
            elapsed_secs: timed.elapsed_secs,
            peak_memory_bytes: timed.peak_memory_bytes,
            skipped: report.skipped,
        }
    }

    /// Steps so far, counted within the phase.
    pub fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Eval { step, .. } => *step,
        }
    }

    /// Phase of a pretraining; `None` for other runs.
    pub fn phase(&self) -> Option<&str> {
        match self {
            Self::Step { phase, .. } | Self::Eval { phase, .. } => phase.as_deref(),
        }
    }

    /// A line after the header. `None` for lines of other programs and versions.
    pub fn from_json(line: Value) -> Option<Self> {
        if line.get("event").is_some() {
            return serde_json::from_value(line).ok();
        }
        serde_json::from_value::<OldLine>(line).ok().map(Self::from)
    }
}

/// A line of pretraining as version 0.1 wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
enum OldLine {
    #[serde(rename_all = "kebab-case")]
    Eval {
        phase: String,
        step: usize,
        #[serde(deserialize_with = "number")]
        held_out_nll_nats: f64,
        passkeys: Option<f64>,
    },
    #[serde(rename_all = "kebab-case")]
    Step {
        phase: String,
        step: usize,
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        loss: f64,
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        nll_nats: f64,
        #[serde(deserialize_with = "number")]
        learning_rate: f64,
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        grad_norm: f64,
        tokens: usize,
        #[serde(deserialize_with = "number")]
        elapsed_secs: f64,
    },
}

impl From<OldLine> for Record {
    fn from(line: OldLine) -> Self {
        match line {
            OldLine::Eval {
                phase,
                step,
                held_out_nll_nats: nll_nats,
                passkeys,
            } => Self::Eval {
                phase: Some(phase),
                step,
                context: None,
                nll_nats,
                ppl: nll_nats.exp(),
                passkeys,
            },
            OldLine::Step {
                phase,
                step,
                loss,
                nll_nats,
                learning_rate,
                grad_norm,
                tokens,
                elapsed_secs,
            } => Self::Step {
                phase: Some(phase),
                step,
                loss,
                nll_nats,
                distill: None,
                learning_rate,
                grad_norm,
                n_tokens: tokens,
                tokens_per_second: tokens as f64 / elapsed_secs.max(1e-9),
                elapsed_secs,
                peak_memory_bytes: None,
                skipped: !(loss.is_finite() && grad_norm.is_finite()),
            },
        }
    }
}

/// Reads the records of a file; an empty list if there is no file.
///
/// Lines of another form, and a last line that a crash has cut off, are ignored.
///
/// # Errors
/// If the file cannot be read, or its header names an unknown format or version.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(path)?;
    if let Some(Header {
        format, version, ..
    }) = text
        .lines()
        .next()
        .and_then(|line| serde_json::from_str(line).ok())
        && (format != FORMAT || version != VERSION)
    {
        return Err(Error::Metrics {
            path: path.to_owned(),
            format,
            version,
        });
    }
    let lines = text.lines().map(serde_json::from_str);
    let lines = lines.filter_map(std::result::Result::ok);
    Ok(lines.filter_map(Record::from_json).collect())
}

/// What the training of this file was made from; `None` if there is no file, or it does not say.
///
/// # Errors
/// If the file cannot be read.
pub fn source(path: &Path) -> Result<Option<ResultSource>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(path)?;
    let first = text.lines().next().unwrap_or_default();
    let header = serde_json::from_str::<Header>(first).ok();
    Ok(header.and_then(|header| header.source))
}

/// For each record, the number of steps so far counted across all phases, in order of their first record.
///
/// ```
/// use longrope_trainer::run::records::{self, Record};
///
/// let line = |phase: &str, step: usize| Record::Eval {
///     phase: Some(phase.to_owned()),
///     step,
///     context: Some(64),
///     nll_nats: 0.0,
///     ppl: 1.0,
///     passkeys: None,
/// };
/// let lines = [line("a", 1), line("a", 2), line("b", 1)];
/// assert_eq!(records::total_steps(&lines), [1, 2, 3]);
/// ```
pub fn total_steps(records: &[Record]) -> Vec<usize> {
    let phases = phases(records);
    let before = |phase: Option<&str>| -> usize {
        let earlier = phases.iter().take_while(|(name, _)| *name != phase);
        earlier.map(|(_, n_steps)| n_steps).sum()
    };
    records
        .iter()
        .map(|record| before(record.phase()) + record.step())
        .collect()
}

/// The phases of the records with their number of steps, in order of their first record. Runs other than a pretraining have
/// one, without a name.
pub fn phases(records: &[Record]) -> Vec<(Option<&str>, usize)> {
    let mut phases: Vec<(Option<&str>, usize)> = Vec::new();
    for record in records {
        match phases.iter_mut().find(|(name, _)| *name == record.phase()) {
            Some((_, n_steps)) => *n_steps = record.step().max(*n_steps),
            None => phases.push((record.phase(), record.step())),
        }
    }
    phases
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Records {
    file: fs_err::File,
}

impl Records {
    /// Opens the file for a phase that has made `n_steps`, and removes the lines of later steps of that phase.
    ///
    /// A file without header gets one, and its lines the present form.
    ///
    /// If lines of steps that were made are missing, a warning in the log says so: they are lost.
    pub(super) fn open(
        path: &Path,
        phase: Option<&str>,
        n_steps: usize,
        source: Option<&ResultSource>,
    ) -> Result<Self> {
        let kept: Vec<Record> = read(path)?
            .into_iter()
            .filter(|record| record.phase() != phase || record.step() <= n_steps)
            .collect();
        let n_missing = n_steps.saturating_sub(n_recorded(&kept, phase));
        if n_missing > 0 {
            let of_phase = phase.map_or_else(String::new, |name| format!(" of phase `{name}`"));
            tracing::warn!(
                "`{}` lacks {n_missing} of the {n_steps} steps{of_phase} that were made before: it was removed, cut or \
                 damaged, and summaries and reports are without them",
                path.display()
            );
        }
        let mut text = line(&Header::new("training", source))?;
        for record in &kept {
            text.push_str(&line(record)?);
        }
        longrope_data::write_atomically(path, text.as_bytes())?;
        let file = fs_err::OpenOptions::new().append(true).open(path)?;
        Ok(Self { file })
    }

    /// The context lengths that were not measured after `n_steps` steps of the phase.
    pub(super) fn unmeasured(
        path: &Path,
        phase: Option<&str>,
        n_steps: usize,
        contexts: &[usize],
    ) -> Result<Vec<usize>> {
        let records = read(path)?;
        let is_measured = |wanted: usize| {
            records.iter().any(|record| {
                record.phase() == phase
                    && matches!(record, Record::Eval { step, context, .. }
                        // Files of version 0.1 do not say the context, and have one measurement per step.
                        if *step == n_steps && context.is_none_or(|context| context == wanted))
            })
        };
        let missing = contexts.iter().copied();
        Ok(missing.filter(|context| !is_measured(*context)).collect())
    }

    /// Appends a line.
    pub(super) fn add(&mut self, record: &Record) -> Result<()> {
        Ok(self.file.write_all(line(record)?.as_bytes())?)
    }
}

/// Number of different steps of a phase in some records.
fn n_recorded(records: &[Record], phase: Option<&str>) -> usize {
    let of_phase = records.iter().filter(|record| record.phase() == phase);
    let steps = of_phase.filter_map(|record| match record {
        Record::Step { step, .. } if *step > 0 => Some(*step),
        _ => None,
    });
    steps.collect::<BTreeSet<usize>>().len()
}

fn line(value: &impl Serialize) -> Result<String> {
    let mut line = serde_json::to_string(value).map_err(std::io::Error::from)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"format":"longrope-metrics","version":1,"kind":"training"}"#;

    fn file(lines: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs_err::write(&path, lines.join("\n")).unwrap();
        (folder, path)
    }

    fn eval(phase: &str, step: usize) -> String {
        format!(
            r#"{{"event":"eval","phase":"{phase}","step":{step},"context":64,"nll_nats":0.0,"ppl":1.0}}"#
        )
    }

    #[test]
    fn lines_of_steps_that_are_repeated_are_removed() {
        let lines = [eval("a", 1), eval("a", 2), eval("b", 1), eval("b", 2)];
        let [a1, a2, b1, b2] = lines.each_ref().map(String::as_str);
        let (_folder, path) = file(&[HEADER, a1, a2, b1, b2, "{\"cut"]);
        Records::open(&path, Some("b"), 1, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEADER}\n{a1}\n{a2}\n{b1}\n"));
        let missing = path.with_file_name("missing.jsonl");
        Records::open(&missing, Some("b"), 1, None).unwrap();
        let text = fs_err::read_to_string(missing).unwrap();
        assert_eq!(text, format!("{HEADER}\n"));
    }

    #[test]
    fn old_files_of_pretraining_are_understood_and_converted() {
        let (_folder, path) = file(&[
            r#"{"phase":"a","step":1,"loss":2.5,"nll-nats":2.0,"learning-rate":0.1,"grad-norm":1.5,"tokens":64,"elapsed-secs":0.5}"#,
            r#"{"phase":"a","step":1,"held-out-nll-nats":0.0,"passkeys":0.25}"#,
            r#"{"phase":"a","step":2,"loss":null,"nll-nats":null,"learning-rate":0.1,"grad-norm":null,"tokens":64,"elapsed-secs":0.5}"#,
            r#"{"phase":"a","step":2,"held-out-nll-nats":null,"passkeys":null}"#,
        ]);
        Records::open(&path, Some("a"), 2, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let expected = [
            HEADER,
            r#"{"event":"step","phase":"a","step":1,"loss":2.5,"nll_nats":2.0,"learning_rate":0.1,"grad_norm":1.5,"n_tokens":64,"tokens_per_second":128.0,"elapsed_secs":0.5,"peak_memory_bytes":null,"skipped":false}"#,
            r#"{"event":"eval","phase":"a","step":1,"nll_nats":0.0,"ppl":1.0,"passkeys":0.25}"#,
            r#"{"event":"step","phase":"a","step":2,"learning_rate":0.1,"n_tokens":64,"tokens_per_second":128.0,"elapsed_secs":0.5,"peak_memory_bytes":null,"skipped":true}"#,
            r#"{"event":"eval","phase":"a","step":2}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        // Converted lines stay as they are.
        Records::open(&path, Some("a"), 2, None).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn the_header_says_what_the_training_was_made_from() {
        let (_folder, path) = file(&[HEADER, &eval("a", 1)]);
        assert_eq!(source(&path).unwrap(), None);
        let made_from = ResultSource {
            tool_version: "0.2.0".into(),
            model: "base".into(),
            model_fingerprint: "ab".into(),
            ..ResultSource::default()
        };
        Records::open(&path, Some("a"), 1, Some(&made_from)).unwrap();
        assert_eq!(source(&path).unwrap(), Some(made_from));
        assert_eq!(read(&path).unwrap().len(), 1);
        let missing = path.with_file_name("missing.jsonl");
        assert_eq!(source(&missing).unwrap(), None);
    }

    #[test]
    fn old_files_of_finetuning_get_a_header() {
        let lines = [
            r#"{"event":"step","step":1,"loss":2.5,"nll_nats":2.0,"learning_rate":0.1,"grad_norm":1.5,"n_tokens":64,"tokens_per_second":128.0,"elapsed_secs":0.5,"peak_memory_bytes":1,"skipped":false}"#,
            r#"{"event":"eval","step":1,"context":64,"nll_nats":0.0,"ppl":1.0}"#,
        ];
        let (_folder, path) = file(&lines);
        assert_eq!(read(&path).unwrap().len(), 2);
        Records::open(&path, None, 1, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEADER}\n{}\n{}\n", lines[0], lines[1]));
    }

    #[test]
    fn unknown_versions_are_refused_and_other_lines_ignored() {
        let (_folder, path) = file(&[r#"{"format":"longrope-metrics","version":2}"#]);
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, Error::Metrics { version: 2, .. }),
            "{error}"
        );
        let (_folder, path) = file(&[r#"{"generation":1,"best_nats":2.0}"#]);
        assert_eq!(read(&path).unwrap(), []);
    }
}
