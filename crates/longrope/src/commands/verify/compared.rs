//! The losses of the other program beside ours.

use std::path::Path;

use anyhow::Result;
use longrope_eval::{LanguageModel, Scorer};
use longrope_extend::{Interrupt, Interrupted};
use longrope_model::check_losses;
use longrope_rope::ResolvedRope;

use super::cause::{self, Suspect};
use super::comparison::{Comparison, Tolerance};
use super::exchange::{AskedSequence, Losses};
use super::report::Sequence;
use super::subject::Subject;
use super::{expected, sequences};
use crate::commands::not_finite;
use crate::settings::args::Runtime;

/// The model as this program computes it.
pub(super) struct Ours<'a> {
    pub(super) scorer: Scorer<'a>,
    pub(super) folder: &'a Path,
    pub(super) interrupt: &'a Interrupt,
}

impl Ours<'_> {
    /// Nats of the tokens of a sequence, from the second one on.
    fn losses(&mut self, tokens: &[u32], rope: &ResolvedRope) -> Result<Vec<f64>> {
        if self.interrupt.requested() {
            return Err(Interrupted.into());
        }
        let scored = self.scorer.token_nll(&[tokens], 1, rope)?;
        check_losses(&scored, 1)
            .map_err(|error| not_finite::explain(error.into(), Some(self.folder)))?;
        Ok(scored.concat().into_iter().map(f64::from).collect())
    }
}

/// How the losses of the other program compare with ours.
pub(super) struct Compared {
    pub(super) sequences: Vec<Sequence>,
    /// What the other program did, if it departs and one of the usual faults explains its losses.
    pub(super) cause: Option<String>,
}

/// Computes our losses of each sequence and compares them.
pub(super) fn compare(
    ours: &mut Ours<'_>,
    subject: &Subject,
    runtime: Runtime,
    tolerance: &Tolerance,
    questions: &[AskedSequence],
    theirs: &[Losses],
) -> Result<Compared> {
    let own = &subject.model.rope;
    let (mut sequences, mut cause) = (Vec::new(), None);
    for (question, theirs) in questions.iter().zip(theirs) {
        let context = theirs.context;
        let altered = subject
            .exported
            .as_ref()
            .and_then(|exported| Some((exported, expected::difference(own, exported, context)?)));
        let rope = altered.as_ref().map_or(own, |(exported, _)| *exported);
        let losses = ours.losses(&question.tokens, &rope.resolve(context))?;
        let comparison = Comparison::new(&losses, &theirs.nats, tolerance);
        if !comparison.passes && cause.is_none() {
            let as_altered =
                altered.map(|(_, difference)| altered_suspect(subject, context, &difference));
            let usual = cause::suspects(rope, context);
            let suspects = as_altered.into_iter().chain(usual);
            let did = explanation(ours, question, theirs, tolerance, suspects)?;
            cause = did.map(|did| format!("{} {did}", runtime.name()));
        }
        sequences.push(Sequence {
            tokens: question.tokens.len(),
            context,
            factors: sequences::factors_at(rope, context),
            comparison,
        });
    }
    Ok(Compared { sequences, cause })
}

/// What a program does that takes the RoPE of the model as it is, after it was altered.
fn altered_suspect(subject: &Subject, context: usize, difference: &str) -> Suspect {
    let holder = subject.file.as_ref().map_or("config.json", |_| "the file");
    Suspect {
        rope: subject.model.rope.resolve(context),
        did: format!("took what {holder} says, and it was altered after the export: {difference}"),
    }
}

/// What the other program did, by the first suspect that has its losses.
fn explanation(
    ours: &mut Ours<'_>,
    question: &AskedSequence,
    theirs: &Losses,
    tolerance: &Tolerance,
    suspects: impl Iterator<Item = Suspect>,
) -> Result<Option<String>> {
    for suspect in suspects {
        let would_be = ours.losses(&question.tokens, &suspect.rope)?;
        if Comparison::new(&would_be, &theirs.nats, tolerance).passes {
            return Ok(Some(suspect.did));
        }
    }
    Ok(None)
}
