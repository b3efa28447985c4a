//! Reading, continuing and extending a file of metrics.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use longrope_model::ResultSource;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::error::{Error, Result};

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
    /// After which step of each phase of a training its first state is saved; absent in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    first_states: Vec<FirstState>,
}

/// When the first state of a phase is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FirstState {
    /// Phase of a pretraining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    /// The number of the step.
    step: usize,
}

impl Header {
    fn new(kind: &str, source: Option<&ResultSource>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind: kind.to_owned(),
            source: source.cloned(),
            first_states: Vec::new(),
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

/// Reads the records of a file; an empty list if there is no file.
///
/// Lines of another form, damaged ones, and a last line that a crash has cut off, are ignored.
///
/// # Errors
/// If the file cannot be read, or its header names an unknown format or version.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let bytes = fs_err::read(path)?;
    if let Some(Header {
        format, version, ..
    }) = header_in(&bytes)
        && (format != FORMAT || version != VERSION)
    {
        return Err(Error::Metrics {
            path: path.to_owned(),
            format,
            version,
        });
    }
    let lines = lines(&bytes).map(serde_json::from_slice);
    let lines = lines.filter_map(std::result::Result::ok);
    Ok(lines.filter_map(Record::from_json).collect())
}

/// The lines of a file. They need not be text: a damaged line is not to hide the others.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

/// The first line as a header; `None` if it is none.
fn header_in(bytes: &[u8]) -> Option<Header> {
    let first = lines(bytes).next()?;
    serde_json::from_slice(first).ok()
}

/// What the training of this file was made from; `None` if there is no file, or it does not say.
///
/// # Errors
/// If the file cannot be read.
pub fn source(path: &Path) -> Result<Option<ResultSource>> {
    if !path.is_file() {
        return Ok(None);
    }
    let header = header_in(&fs_err::read(path)?);
    Ok(header.and_then(|header| header.source))
}

/// After which step the first state of a phase is saved; `None` if there is no file, or it does not say.
///
/// # Errors
/// If the file cannot be read.
pub(in crate::run) fn first_state(path: &Path, phase: Option<&str>) -> Result<Option<usize>> {
    let mut states = first_states(path)?.into_iter();
    let of_phase = states.find(|state| state.phase.as_deref() == phase);
    Ok(of_phase.map(|state| state.step))
}

fn first_states(path: &Path) -> Result<Vec<FirstState>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let header = header_in(&fs_err::read(path)?);
    Ok(header.map_or_else(Vec::new, |header| header.first_states))
}

/// The file, open for appending.
#[derive(Debug)]
pub(in crate::run) struct Records {
    file: fs_err::File,
}

impl Records {
    /// Opens the file for a phase that has made `n_steps` and saves a state every `save_every`, and removes the lines of later
    /// steps of that phase.
    ///
    /// A file without header gets one, and its lines the present form.
    ///
    /// If lines of steps that were made are missing, a warning in the log says so: they are lost.
    pub(in crate::run) fn open(
        path: &Path,
        phase: Option<&str>,
        n_steps: usize,
        save_every: usize,
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
        let mut header = Header::new("training", source);
        header.first_states = first_states(path)?;
        note_first_state(&mut header.first_states, phase, n_steps, save_every);
        let mut text = line(&header)?;
        for record in &kept {
            text.push_str(&line(record)?);
        }
        longrope_data::write_atomically(path, text.as_bytes())?;
        let file = fs_err::OpenOptions::new().append(true).open(path)?;
        Ok(Self { file })
    }

    /// The context lengths that were not measured after `n_steps` steps of the phase.
    pub(in crate::run) fn unmeasured(
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
    pub(in crate::run) fn add(&mut self, record: &Record) -> Result<()> {
        Ok(self.file.write_all(line(record)?.as_bytes())?)
    }
}

/// Notes when the first state of a phase is saved. A phase that goes on has one by now, perhaps earlier than it began with:
/// it was interrupted.
fn note_first_state(
    states: &mut Vec<FirstState>,
    phase: Option<&str>,
    n_steps: usize,
    save_every: usize,
) {
    let known = states
        .iter_mut()
        .find(|state| state.phase.as_deref() == phase);
    let planned = save_every.max(1);
    match known {
        Some(known) if n_steps == 0 => known.step = planned,
        Some(known) => known.step = known.step.min(n_steps),
        None => states.push(FirstState {
            phase: phase.map(str::to_owned),
            step: if n_steps == 0 {
                planned
            } else {
                planned.min(n_steps)
            },
        }),
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

    /// The header of a file with this first state.
    fn header_of(first_state: &str) -> String {
        HEADER.replace('}', &format!(",\"first_states\":[{first_state}]}}"))
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
        Records::open(&path, Some("b"), 1, 8, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let header = header_of(r#"{"phase":"b","step":1}"#);
        assert_eq!(text, format!("{header}\n{a1}\n{a2}\n{b1}\n"));
        let missing = path.with_file_name("missing.jsonl");
        Records::open(&missing, Some("b"), 1, 8, None).unwrap();
        let text = fs_err::read_to_string(missing).unwrap();
        assert_eq!(text, format!("{header}\n"));
    }

    #[test]
    fn a_phase_keeps_when_its_first_state_is_saved_until_it_begins_anew() {
        let (_folder, path) = file(&[]);
        let first = |phase| first_state(&path, phase).unwrap();
        assert_eq!(first(Some("a")), None);
        let open = |phase, n_steps, save_every| {
            Records::open(&path, phase, n_steps, save_every, None).unwrap();
        };
        open(Some("a"), 0, 100);
        open(Some("b"), 0, 50);
        assert_eq!((first(Some("a")), first(Some("b"))), (Some(100), Some(50)));
        assert_eq!(first(None), None);
        // It goes on.
        open(Some("b"), 50, 20);
        assert_eq!(first(Some("b")), Some(50));
        // From the state of an interruption, which also counts when it goes on from a later one.
        open(Some("b"), 7, 20);
        open(Some("b"), 40, 20);
        assert_eq!(first(Some("b")), Some(7));
        // It begins anew.
        open(Some("b"), 0, 20);
        assert_eq!((first(Some("a")), first(Some("b"))), (Some(100), Some(20)));
        // As a file of an earlier version, which had a state after 30 steps.
        fs_err::write(&path, HEADER).unwrap();
        open(None, 30, 100);
        assert_eq!(first(None), Some(30));
    }

    #[test]
    fn old_files_of_pretraining_are_understood_and_converted() {
        let (_folder, path) = file(&[
            r#"{"phase":"a","step":1,"loss":2.5,"nll-nats":2.0,"learning-rate":0.1,"grad-norm":1.5,"tokens":64,"elapsed-secs":0.5}"#,
            r#"{"phase":"a","step":1,"held-out-nll-nats":0.0,"passkeys":0.25}"#,
            r#"{"phase":"a","step":2,"loss":null,"nll-nats":null,"learning-rate":0.1,"grad-norm":null,"tokens":64,"elapsed-secs":0.5}"#,
            r#"{"phase":"a","step":2,"held-out-nll-nats":null,"passkeys":null}"#,
        ]);
        Records::open(&path, Some("a"), 2, 8, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let header = header_of(r#"{"phase":"a","step":2}"#);
        let expected = [
            header.as_str(),
            r#"{"event":"step","phase":"a","step":1,"loss":2.5,"nll_nats":2.0,"learning_rate":0.1,"grad_norm":1.5,"n_tokens":64,"tokens_per_second":128.0,"elapsed_secs":0.5,"peak_memory_bytes":null,"skipped":false}"#,
            r#"{"event":"eval","phase":"a","step":1,"nll_nats":0.0,"ppl":1.0,"passkeys":0.25}"#,
            r#"{"event":"step","phase":"a","step":2,"learning_rate":0.1,"n_tokens":64,"tokens_per_second":128.0,"elapsed_secs":0.5,"peak_memory_bytes":null,"skipped":true}"#,
            r#"{"event":"eval","phase":"a","step":2}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        // Converted lines stay as they are.
        Records::open(&path, Some("a"), 2, 8, None).unwrap();
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
        Records::open(&path, Some("a"), 1, 8, Some(&made_from)).unwrap();
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
        Records::open(&path, None, 1, 8, None).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let header = header_of(r#"{"step":1}"#);
        assert_eq!(text, format!("{header}\n{}\n{}\n", lines[0], lines[1]));
    }

    #[test]
    fn a_byte_that_is_not_text_hides_its_own_line_only() {
        let lines = [HEADER.to_owned(), eval("a", 1), eval("b", 1), eval("a", 2)];
        let (_folder, path) = file(&lines.each_ref().map(String::as_str));
        let mut bytes = fs_err::read(&path).unwrap();
        let place = HEADER.len() + 1 + lines[1].len() + 1 + lines[2].find("\"b\"").unwrap() + 1;
        bytes[place] = 0xff;
        fs_err::write(&path, bytes).unwrap();
        let steps =
            |records: Vec<Record>| -> Vec<usize> { records.iter().map(Record::step).collect() };
        assert_eq!(steps(read(&path).unwrap()), [1, 2]);
        assert_eq!(source(&path).unwrap(), None);
        drop(Records::open(&path, Some("a"), 1, 8, None).unwrap());
        assert_eq!(steps(read(&path).unwrap()), [1]);
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
