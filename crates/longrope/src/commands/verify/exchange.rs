//! What a script is asked, and what it answers.

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::failure::Hint;
use crate::settings::args::Runtime;

/// What a script is asked.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Request {
    /// Absolute path of the folder or file.
    pub(super) model: String,
    /// Device in PyTorch's words.
    pub(super) device: String,
    pub(super) sequences: Vec<AskedSequence>,
}

/// A sequence whose losses are wanted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AskedSequence {
    pub(super) tokens: Vec<u32>,
    /// Context to start the program with, in tokens.
    pub(super) context: usize,
}

/// What a script answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Answer {
    /// Versions of the program and what it needs.
    pub(super) runtime: String,
    sequences: Vec<Scored>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Scored {
    context: usize,
    /// `None` is NaN or infinite.
    nats: Vec<Option<f64>>,
}

/// The losses of a sequence in another program.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Losses {
    /// The context that the program was started with, in tokens.
    pub(super) context: usize,
    /// Nats, from the second token on.
    pub(super) nats: Vec<f64>,
}

/// Reads the last line of a script's output, which has to be its answer.
///
/// # Errors
/// If it is not.
pub(super) fn parse(output: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(output);
    let mut lines = text.lines().map(str::trim);
    let line = lines.rfind(|line| !line.is_empty()).unwrap_or_default();
    let shown: String = line.chars().take(80).collect();
    serde_json::from_str(line).map_err(|error| {
        let found = if shown.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{shown}`")
        };
        anyhow!("expected one line of JSON with `runtime` and `sequences`, found {found}: {error}")
    })
}

impl Answer {
    /// The losses, if there are as many as were asked for and all are finite. `first` is the number of the first sequence in
    /// messages.
    ///
    /// # Errors
    /// If not.
    pub(super) fn losses(
        self,
        runtime: Runtime,
        questions: &[AskedSequence],
        first: usize,
    ) -> Result<Vec<Losses>> {
        let name = runtime.name();
        if self.sequences.len() != questions.len() {
            return Err(anyhow!(
                "{name} answered for {} sequences, expected {}",
                self.sequences.len(),
                questions.len()
            )
            .context(same_script()));
        }
        let pairs = self.sequences.into_iter().zip(questions);
        pairs
            .enumerate()
            .map(|(i, (scored, question))| {
                let what = || format!("checking the losses of sequence {}", first + i);
                check(name, scored, question).with_context(what)
            })
            .collect()
    }
}

fn check(name: &str, scored: Scored, question: &AskedSequence) -> Result<Losses> {
    let (found, expected) = (scored.nats.len(), question.tokens.len() - 1);
    if found != expected {
        return Err(anyhow!(
            "{name} gave {found} losses, expected {expected}, one for each token but the first"
        )
        .context(same_script()));
    }
    if scored.context < question.tokens.len() {
        return Err(anyhow!(
            "{name} had a context of {} tokens for a sequence of {}",
            scored.context,
            question.tokens.len()
        )
        .context(Hint(
            "check that there is memory for the context, or give a shorter --length".to_owned(),
        )));
    }
    let bad = |loss: &Option<f64>| loss.is_none_or(|loss| !loss.is_finite());
    if let Some(index) = scored.nats.iter().position(bad) {
        return Err(anyhow!(
            "the loss of {name} at position {} is NaN or infinite",
            index + 1
        )
        .context(Hint(format!(
            "{name} computes no usable numbers with this model, whatever the RoPE; `longrope eval ppl` says whether the weights are \
             finite"
        ))));
    }
    Ok(Losses {
        context: scored.context,
        nats: scored.nats.into_iter().flatten().collect(),
    })
}

fn same_script() -> Hint {
    Hint(
        "give an interpreter of Python 3 with --python; --print-script shows what it has to run"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> AskedSequence {
        AskedSequence {
            tokens: vec![1, 2, 3],
            context: 3,
        }
    }

    #[test]
    fn the_answer_is_the_last_line() {
        let text = b"loading..\n{\"runtime\": \"t 1\", \"sequences\": [{\"context\": 3, \"nats\": [1.5, 2]}]}\n\n";
        let answer = parse(text).unwrap();
        let losses = answer.losses(Runtime::Transformers, &[question()], 1);
        assert_eq!(losses.unwrap()[0].nats, [1.5, 2.0]);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (text, expected) in [
            ("", "found nothing"),
            ("hello", "found `hello`"),
            (
                "{\"runtime\": \"t\", \"sequences\": [{\"context\": 3, \"nats\": [NaN, 1]}]}",
                "found `{",
            ),
        ] {
            let message = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        for (nats, context, expected) in [
            ("[1]", 3, "1 losses, expected 2"),
            ("[1, null]", 3, "position 2 is NaN"),
            ("[1, 2]", 2, "a context of 2 tokens"),
        ] {
            let text = format!(
                "{{\"runtime\": \"t\", \"sequences\": [{{\"context\": {context}, \"nats\": {nats}}}]}}"
            );
            let answer = parse(text.as_bytes()).unwrap();
            let error = answer
                .losses(Runtime::Transformers, &[question()], 1)
                .unwrap_err();
            let message = error.root_cause().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
