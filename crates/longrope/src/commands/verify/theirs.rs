//! The losses of the other program.

use anyhow::{Context, Result};
use longrope_extend::Interrupt;

use super::child::Interpreter;
use super::exchange::{self, AskedSequence, Losses, Request};
use super::subject::Subject;
use crate::failure::Hint;
use crate::settings::config::Config;
use crate::terminal::progress;

/// Bytes of an answer by token, and all others: more than any number takes.
const ANSWER_BYTES: [u64; 2] = [64, 1 << 20];

/// What the other program computed.
pub(super) struct Theirs {
    /// Its versions.
    pub(super) versions: String,
    /// Its losses of each sequence.
    pub(super) losses: Vec<Losses>,
}

/// Runs the other program.
pub(super) fn ask(
    interpreter: &Interpreter<'_>,
    subject: &Subject,
    config: &Config,
    questions: &[AskedSequence],
    interrupt: &Interrupt,
) -> Result<Theirs> {
    let runtime = interpreter.runtime;
    let per_process = if runtime.takes_all_at_once() {
        questions.len()
    } else {
        1
    };
    let device = config.device.only()?;
    let (mut versions, mut losses) = (String::new(), Vec::new());
    let spinner = progress::spinner(&format!("running {}", runtime.name()));
    for part in questions.chunks(per_process.max(1)) {
        let request = Request {
            model: subject.place.display().to_string(),
            device: if device.starts_with("cuda") {
                device
            } else {
                "cpu"
            }
            .to_owned(),
            sequences: part.to_vec(),
        };
        let n_tokens: usize = part.iter().map(|question| question.tokens.len()).sum();
        let most_bytes = ANSWER_BYTES[0] * n_tokens as u64 + ANSWER_BYTES[1];
        let request = serde_json::to_string(&request)?;
        let output = interpreter.run(&request, most_bytes, interrupt)?;
        let answer = exchange::parse(&output).with_context(|| {
            format!("reading the answer of `{}`", interpreter.shown())
        }).context(Hint(format!(
            "give an interpreter of Python 3 with --python; `longrope verify --with {} --print-script` shows what it has to run",
            runtime.flag()
        )))?;
        versions.clone_from(&answer.runtime);
        losses.extend(answer.losses(runtime, part, losses.len() + 1)?);
    }
    spinner.finish_and_clear();
    Ok(Theirs { versions, losses })
}
