//! Losses of sequences, measured by all devices at once.

use std::sync::Arc;

use anyhow::{Context, Result};
use longrope_eval::{LanguageModel, Scorer};
use longrope_rope::ResolvedRope;

use crate::models::Models;
use crate::pool::{Answered, CallStatus, Pool, PoolError};
use crate::signals::Interrupt;

/// Sequences of equal length to score together.
#[derive(Clone, Debug)]
pub(crate) struct ScoreJob {
    pub(crate) sequences: Arc<[Vec<u32>]>,
    /// The first position whose token is scored.
    pub(crate) score_from: usize,
    pub(crate) rope: ResolvedRope,
    pub(crate) measure: Measure,
}

/// What is wanted of every scored token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Its negative log-likelihood, nats.
    Nats,
    /// 1 where another token is the most likely one behind those before it, else 0.
    Misses,
}

/// The measure of every scored token, per sequence.
pub(crate) type Losses = Vec<Vec<f32>>;

/// Why there are no losses.
pub(crate) type WorkersError = PoolError<longrope_eval::Error>;

/// The error as users see it.
pub(crate) fn explain(error: WorkersError) -> anyhow::Error {
    match error {
        PoolError::Interrupted(stop) => stop.into(),
        PoolError::Refused(error) => error.into(),
        lost @ PoolError::NobodyLeft { .. } => lost.into(),
    }
}

/// A thread per device, with the model on it.
pub(crate) struct Workers {
    pool: Pool<ScoreJob, Losses, longrope_eval::Error>,
}

impl Workers {
    /// Starts a worker for each replica.
    pub(crate) fn start(models: &Models) -> Result<Self> {
        let mut workers = Self { pool: Pool::new() };
        for replica in models.replicas() {
            let decoder = replica.decoder.clone();
            workers.hire(&replica.device, replica.n_threads, move || decoder)?;
        }
        Ok(workers)
    }

    /// Starts one worker. Its model is made on its own thread and stays there: GPUs keep a stream
    /// and a pool of memory for each thread that uses them.
    fn hire(
        &mut self,
        device: &str,
        n_threads: Option<usize>,
        model: impl FnOnce() -> longrope_model::Decoder + Send + 'static,
    ) -> Result<()> {
        self.pool
            .hire(device.to_owned(), n_threads, move |inbox| {
                let decoder = model();
                let mut scorer = Scorer::new(&decoder);
                inbox.answer(|job| score(&mut scorer, job));
            })
            .with_context(|| format!("starting a thread for device `{device}`"))
    }

    /// Losses for every job, in the order of the jobs.
    pub(crate) fn score(
        &mut self,
        jobs: Vec<ScoreJob>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
    ) -> Result<Vec<Answered<Losses>>, WorkersError> {
        self.pool.run(jobs, interrupt, watch)
    }

    /// As [`Self::start`], with devices that are gone after so many jobs.
    #[cfg(test)]
    pub(crate) fn start_mortal(models: &Models, lives: &[usize]) -> Result<Self> {
        let mut workers = Self { pool: Pool::new() };
        for (index, &n_jobs) in lives.iter().enumerate() {
            let decoder = models.decoder().clone();
            workers
                .pool
                .hire(format!("mortal-{index}"), None, move |inbox| {
                    let mut scorer = Scorer::new(&decoder);
                    let mut n_left = n_jobs;
                    inbox.answer(|job| {
                        assert!(n_left > 0, "the connection was closed");
                        n_left -= 1;
                        score(&mut scorer, job)
                    });
                })?;
        }
        Ok(workers)
    }

    /// Warns if the devices do not give the same numbers: results then depend on which of them
    /// measured what, and so on timing. The largest difference of a loss from the first's, nats.
    pub(crate) fn compare(
        &mut self,
        probe: ScoreJob,
        interrupt: &Interrupt,
    ) -> Result<f32, WorkersError> {
        let answers = self.pool.ask_each(probe, interrupt)?;
        let Some((first, expected)) = answers.first() else {
            return Ok(0.0);
        };
        let mut most = 0.0_f32;
        for (name, found) in answers.iter().skip(1) {
            let differences = found.iter().flatten().zip(expected.iter().flatten());
            let largest = differences.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            if largest > 0.0 {
                tracing::warn!(
                    "devices `{first}` and `{name}` round differently, losses by up to {largest:.1e} nats: \
                     what comes out depends on which of them measures what"
                );
            }
            most = most.max(largest);
        }
        Ok(most)
    }
}

fn score(model: &mut impl LanguageModel, job: &ScoreJob) -> longrope_eval::Result<Losses> {
    let sequences: Vec<&[u32]> = job.sequences.iter().map(Vec::as_slice).collect();
    match job.measure {
        Measure::Nats => model.token_nll(&sequences, job.score_from, &job.rope),
        Measure::Misses => {
            let chosen = model.greedy_tokens(&sequences, job.score_from, &job.rope)?;
            let misses = |(chosen, sequence): (&Vec<u32>, &&[u32])| -> Vec<f32> {
                let pairs = chosen.iter().zip(&sequence[job.score_from..]);
                pairs.map(|(a, b)| f32::from(u8::from(a != b))).collect()
            };
            Ok(chosen.iter().zip(&sequences).map(misses).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::RopeSpec;

    use super::*;

    fn probe(rope: &RopeSpec) -> ScoreJob {
        let tokens: Vec<u32> = (0..64).map(|i| i * i % 97).collect();
        ScoreJob {
            rope: rope.resolve(tokens.len()),
            sequences: Arc::from([tokens]),
            score_from: 1,
            measure: Measure::Nats,
        }
    }

    #[test]
    fn workers_on_one_kind_of_device_agree_bit_for_bit() {
        let models = Models::tiny(&["flex", "flex"]);
        let mut workers = Workers::start(&models).unwrap();
        let rope = models.decoder().config().rope.plain();
        let interrupt = Interrupt::default();
        let most = workers.compare(probe(&rope), &interrupt);
        assert!(most.unwrap().abs() < f32::MIN_POSITIVE);
    }
}
