//! Measures the jobs of one worker: losses and likeliest tokens, under a RoPE, of the model or of an adapted copy.

use std::sync::Arc;

use longrope_eval::{LanguageModel, Scorer};
use longrope_model::{Decoder, Rotary, TokenBatch};
use longrope_rope::RopeSpec;

use super::adaptation::{AdaptJob, Adaptation};
use super::job::{Losses, Measure, ScoreJob};

/// The model of one worker, and its last adapted copy.
#[derive(Debug)]
pub struct Measurer<'a> {
    decoder: &'a Decoder,
    scorer: Scorer<'a>,
    adapted: Option<AdaptedCopy>,
}

/// A copy of the model, and what it was adapted to.
#[derive(Debug)]
struct AdaptedCopy {
    adaptation: Arc<Adaptation>,
    rope: Arc<RopeSpec>,
    decoder: Decoder,
}

impl<'a> Measurer<'a> {
    /// Measures with this decoder.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self {
            decoder,
            scorer: Scorer::new(decoder),
            adapted: None,
        }
    }

    /// Measures one job.
    pub(super) fn measure(&mut self, job: &ScoreJob) -> longrope_eval::Result<Losses> {
        let sequences: Vec<&[u32]> = job.sequences.iter().map(Vec::as_slice).collect();
        let decoder = match (&job.adapt, &job.positions) {
            (None, None) => return measure_whole(&mut self.scorer, &sequences, job),
            (None, Some(_)) => self.decoder.clone(),
            (Some(adapt), _) => match self.adapted(adapt)? {
                Some(decoder) => decoder,
                None => return Ok(unmeasurable(&sequences, job)),
            },
        };
        let rotary = if let Some(positions) = &job.positions {
            decoder.rotaries().at(&job.rope, positions.to_vec())
        } else {
            let n_positions = sequences.iter().map(|tokens| tokens.len()).max();
            decoder.rotary(&job.rope, n_positions.unwrap_or(0))
        };
        measure_at(&decoder, &rotary, &sequences, job)
    }

    /// The model, adapted as a job asks; `None` if it cannot be trained under this RoPE.
    fn adapted(&mut self, job: &AdaptJob) -> longrope_eval::Result<Option<Decoder>> {
        let AdaptJob { adaptation, rope } = job;
        let is_the_last =
            |last: &&AdaptedCopy| Arc::ptr_eq(&last.adaptation, adaptation) && last.rope == *rope;
        if let Some(last) = self.adapted.as_ref().filter(is_the_last) {
            return Ok(Some(last.decoder.clone()));
        }
        let Some(decoder) = adaptation.adapted(self.decoder, rope)? else {
            return Ok(None);
        };
        self.adapted = Some(AdaptedCopy {
            adaptation: Arc::clone(adaptation),
            rope: Arc::clone(rope),
            decoder: decoder.clone(),
        });
        Ok(Some(decoder))
    }
}

/// Measures sequences at the positions `0, 1, 2, …`.
fn measure_whole(
    model: &mut Scorer<'_>,
    sequences: &[&[u32]],
    job: &ScoreJob,
) -> longrope_eval::Result<Losses> {
    match job.measure {
        Measure::Nats => model.token_nll(sequences, job.score_from, &job.rope),
        Measure::Misses => {
            let chosen = model.greedy_tokens(sequences, job.score_from, &job.rope)?;
            Ok(misses(&chosen, sequences, job.score_from))
        }
    }
}

/// Measures sequences at the positions that `rotary` is for.
fn measure_at(
    decoder: &Decoder,
    rotary: &Rotary,
    sequences: &[&[u32]],
    job: &ScoreJob,
) -> longrope_eval::Result<Losses> {
    let batch = TokenBatch {
        sequences,
        score_from: job.score_from,
    };
    match job.measure {
        Measure::Nats => Ok(decoder.token_nll(batch, rotary)?),
        Measure::Misses => {
            let chosen = decoder.greedy_tokens(batch, rotary)?;
            Ok(misses(&chosen, sequences, job.score_from))
        }
    }
}

/// 1 for each token that another one was chosen for, else 0.
fn misses(chosen: &[Vec<u32>], sequences: &[&[u32]], score_from: usize) -> Losses {
    let misses = |(chosen, sequence): (&Vec<u32>, &&[u32])| -> Vec<f32> {
        let pairs = chosen.iter().zip(&sequence[score_from..]);
        pairs.map(|(a, b)| f32::from(u8::from(a != b))).collect()
    };
    chosen.iter().zip(sequences).map(misses).collect()
}

/// The losses of a model that is not there: not a number, and no passkey found.
fn unmeasurable(sequences: &[&[u32]], job: &ScoreJob) -> Losses {
    let value = match job.measure {
        Measure::Nats => f32::NAN,
        Measure::Misses => 1.0,
    };
    let values = |tokens: &&[u32]| vec![value; tokens.len().saturating_sub(job.score_from)];
    sequences.iter().map(values).collect()
}
