//! Measures losses of sequences, on the caller's thread or with one worker per device.

use std::time::Instant;

use longrope_model::Decoder;

use super::adaptation::AdaptJob;
use super::job::{Losses, ScoreJob};
use super::measurer::Measurer;
use super::replicas::Models;
use crate::error::{Error, Result, ScoringError};
use crate::interrupt::{Interrupt, Interrupted};
use crate::pool::{Answered, CallStatus, Pool, PoolError};

/// Who measures losses.
#[derive(Debug)]
pub enum Scoring<'a> {
    /// The model, on the caller's thread.
    Here(Box<Measurer<'a>>),
    /// One worker per device.
    Workers(Workers),
}

impl Scoring<'_> {
    /// Measures all jobs and returns their losses in job order. Calls `watch` after every job.
    ///
    /// # Errors
    /// If an interrupt is requested, the model refuses a job, or all devices have failed.
    pub fn score(
        &mut self,
        jobs: Vec<ScoreJob>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
    ) -> Result<Vec<Answered<Losses>>, ScoringError> {
        self.score_each(jobs, interrupt, watch, &mut |_, _| Ok(()))
    }

    /// As [`Self::score`]. Also calls `each` with the index of every job and its losses, as soon as they are known.
    ///
    /// # Errors
    /// As [`Self::score`], and those of `each`.
    pub fn score_each(
        &mut self,
        jobs: Vec<ScoreJob>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
        each: &mut dyn FnMut(usize, &Losses) -> longrope_eval::Result<()>,
    ) -> Result<Vec<Answered<Losses>>, ScoringError> {
        let order = in_turn(&jobs);
        if order.is_sorted() {
            return self.score_in_order(jobs, interrupt, watch, each);
        }
        let mut taken: Vec<Option<ScoreJob>> = jobs.into_iter().map(Some).collect();
        let ordered = order.iter().filter_map(|index| taken[*index].take());
        let answers = self.score_in_order(
            ordered.collect(),
            interrupt,
            &mut |status| {
                let news = status.news.map(|index| order[index]);
                watch(&CallStatus { news, ..*status });
            },
            &mut |index, losses| each(order[index], losses),
        )?;
        let mut answers: Vec<(usize, Answered<Losses>)> = order.into_iter().zip(answers).collect();
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// As [`Self::score_each`], with the jobs given out in their order.
    fn score_in_order(
        &mut self,
        jobs: Vec<ScoreJob>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
        each: &mut dyn FnMut(usize, &Losses) -> longrope_eval::Result<()>,
    ) -> Result<Vec<Answered<Losses>>, ScoringError> {
        let measurer = match self {
            Self::Workers(workers) => return workers.pool.run_each(jobs, interrupt, watch, each),
            Self::Here(measurer) => measurer,
        };
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            let started = Instant::now();
            let value = measurer.measure(job).map_err(PoolError::Refused)?;
            let took = started.elapsed();
            each(index, &value).map_err(PoolError::Refused)?;
            answers.push(Answered { value, took });
            watch(&CallStatus {
                n_answered: index + 1,
                news: Some(index),
                workers: &[],
            });
        }
        Ok(answers)
    }
}

/// A thread per device, with the model on it.
#[derive(Debug)]
pub struct Workers {
    pool: Pool<ScoreJob, Losses, longrope_eval::Error>,
}

impl Workers {
    /// Starts a worker for each replica.
    ///
    /// # Errors
    /// [`Error::Thread`] if a thread cannot be started.
    pub fn start(models: &Models) -> Result<Self> {
        let mut workers = Self { pool: Pool::new() };
        for replica in models.replicas() {
            let decoder = replica.decoder.clone();
            workers.hire(&replica.device, replica.n_threads, decoder)?;
        }
        Ok(workers)
    }

    /// Starts one worker. The model stays on the worker's thread, because GPUs keep a stream and a memory pool for each
    /// thread that uses them.
    fn hire(&mut self, device: &str, n_threads: Option<usize>, decoder: Decoder) -> Result<()> {
        self.pool
            .hire(device.to_owned(), n_threads, move |inbox| {
                let mut measurer = Measurer::new(&decoder);
                inbox.answer(|job| measurer.measure(job));
            })
            .map_err(|source| Error::Thread {
                device: device.to_owned(),
                source,
            })
    }

    /// Measures all jobs and returns their losses in job order. Calls `watch` after every job, and at least every
    /// 100 ms.
    ///
    /// # Errors
    /// If an interrupt is requested, the model refuses a job, or all devices have failed.
    pub fn score(
        &mut self,
        jobs: Vec<ScoreJob>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
    ) -> Result<Vec<Answered<Losses>>, ScoringError> {
        self.pool.run(jobs, interrupt, watch)
    }

    /// As [`Self::start`], but worker `i` fails after `lives[i]` jobs.
    #[cfg(test)]
    pub(crate) fn start_mortal(models: &Models, lives: &[usize]) -> Result<Self> {
        let mut workers = Self { pool: Pool::new() };
        for (index, &n_jobs) in lives.iter().enumerate() {
            let decoder = models.decoder().clone();
            workers
                .pool
                .hire(format!("mortal-{index}"), None, move |inbox| {
                    let mut measurer = Measurer::new(&decoder);
                    let mut n_left = n_jobs;
                    inbox.answer(|job| {
                        assert!(n_left > 0, "the connection was closed");
                        n_left -= 1;
                        measurer.measure(job)
                    });
                })
                .map_err(|source| Error::Thread {
                    device: format!("mortal-{index}"),
                    source,
                })?;
        }
        Ok(workers)
    }

    /// Gives the same job to all devices and warns if their losses differ: results then depend on which device
    /// measures which job, and so on timing. Returns the largest difference from the first device's losses, nats.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn compare(&mut self, probe: ScoreJob, interrupt: &Interrupt) -> Result<f32, ScoringError> {
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
                     results depend on which of them measures which job"
                );
            }
            most = most.max(largest);
        }
        Ok(most)
    }
}

/// The order in which jobs are given out: every RoPE that the model is adapted to gets its first job before any gets its
/// second. So each is trained once, whichever worker is free. Jobs without adaptation stay as they are.
fn in_turn(jobs: &[ScoreJob]) -> Vec<usize> {
    let mut seen: Vec<(&AdaptJob, usize)> = Vec::new();
    let turns = jobs.iter().map(|job| {
        let Some(adapt) = &job.adapt else {
            return 0;
        };
        if let Some((_, n)) = seen.iter_mut().find(|(other, _)| other.rope == adapt.rope) {
            *n += 1;
            return *n;
        }
        seen.push((adapt, 0));
        0
    });
    let turns: Vec<usize> = turns.collect();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|index| turns[*index]);
    order
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longrope_rope::RopeSpec;

    use super::*;
    use crate::scoring::job::Measure;
    use crate::scoring::replicas::tests::tiny;

    fn probe(rope: &RopeSpec) -> ScoreJob {
        let tokens: Vec<u32> = (0..64).map(|i| i * i % 97).collect();
        ScoreJob {
            rope: rope.resolve(tokens.len()),
            sequences: Arc::from([tokens]),
            score_from: 1,
            measure: Measure::Nats,
            positions: None,
            adapt: None,
        }
    }

    #[test]
    fn jobs_that_are_not_adapted_keep_their_order() {
        let rope = tiny(&["flex"]).decoder().config().rope.plain();
        assert_eq!(in_turn(&vec![probe(&rope); 4]), [0, 1, 2, 3]);
    }

    #[test]
    fn workers_on_one_kind_of_device_agree_bit_for_bit() {
        let models = tiny(&["flex", "flex"]);
        let mut workers = Workers::start(&models).unwrap();
        let rope = models.decoder().config().rope.plain();
        let interrupt = Interrupt::default();
        let most = workers.compare(probe(&rope), &interrupt);
        assert!(most.unwrap().abs() < f32::MIN_POSITIVE);
    }
}
