//! The batches of a step.

use std::sync::Arc;

use longrope_data::{Goal, Mixture, TrainingWindow};
use longrope_kernels::Documents;
use longrope_model::{Teacher, TrainingBatch};

use super::distill::Distillation;
use super::rotaries::{BatchPlace, Rotaries};
use crate::error::Result;
use crate::micro_batch::MicroBatch;

/// How windows become the batches of a step.
pub(super) struct Batching {
    pub(super) rotaries: Rotaries,
    pub(super) distillation: Option<Distillation>,
    /// Windows of a batch.
    pub(super) batch: usize,
    /// Batches of a step.
    pub(super) accumulate: usize,
}

impl Batching {
    /// The batches of a step, counted from 0, made of the next windows.
    pub(super) fn of_step(&self, windows: &mut Mixture, step: usize) -> Result<Vec<MicroBatch>> {
        let first = step * self.accumulate;
        (first..first + self.accumulate)
            .map(|batch_idx| {
                let place = BatchPlace {
                    step,
                    n_windows: (batch_idx * self.batch) as u64,
                };
                let windows = windows.next_batch(self.batch)?;
                let distillation = self.distillation.as_ref();
                Ok(micro_batch(windows, &self.rotaries, distillation, place))
            })
            .collect()
    }
}

/// Makes a batch of windows that have the same length and RoPE.
///
/// Attention stays inside the documents of windows that are `confined`.
pub(super) fn micro_batch(
    windows: Vec<TrainingWindow>,
    rotaries: &Rotaries,
    distillation: Option<&Distillation>,
    place: BatchPlace,
) -> MicroBatch {
    let rotary = rotaries.of(&windows, place);
    let goal = windows.first().map_or(Goal::Text, |window| window.goal);
    let teacher = distillation.and_then(|distillation| distillation.teacher(goal));
    let teacher = teacher.map(|teacher| match rotaries.original_of(&windows) {
        Some(rotary) => Arc::new(Teacher {
            rotary,
            ..Teacher::clone(&teacher)
        }),
        None => teacher,
    });
    let confined = windows.iter().any(|window| window.confined);
    let documents = confined.then(|| {
        let lengths: Vec<Vec<usize>> = windows
            .iter()
            .map(|window| {
                if window.confined {
                    window.document_lengths()
                } else {
                    vec![window.tokens.len()]
                }
            })
            .collect();
        Documents::from_lengths(&lengths)
    });
    let loss_weights = windows.iter().map(TrainingWindow::token_weights).collect();
    MicroBatch {
        batch: TrainingBatch {
            tokens: windows.into_iter().map(|window| window.tokens).collect(),
            loss_weights,
            documents,
        },
        rotary,
        teacher,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::Device;
    use longrope_data::RopeChoice;
    use longrope_model::{DecoderConfig, DecoderSizes};

    use super::*;

    pub(in crate::run) fn window(rope: RopeChoice, confined: bool) -> TrainingWindow {
        TrainingWindow {
            tokens: vec![3, 4, 5, 6],
            document_starts: vec![0, 3],
            confined,
            together: Vec::new(),
            rope,
            goal: Goal::Text,
            loss_weights: None,
        }
    }

    pub(in crate::run) const SIZES: DecoderSizes = DecoderSizes {
        vocab: 8,
        hidden: 4,
        layers: 1,
        heads: 1,
    };

    /// The first batch of a training.
    pub(in crate::run) const FIRST: BatchPlace = BatchPlace {
        step: 0,
        n_windows: 0,
    };

    #[test]
    fn attention_stays_inside_the_documents_of_confined_windows() {
        let decoder = DecoderConfig::new(SIZES).init(&Device::flex());
        let rotaries = Rotaries::new(&decoder, &decoder.config().rope, 8);
        let open = window(RopeChoice::Rescaled, false);
        let confined = window(RopeChoice::Rescaled, true);
        let batch = micro_batch(vec![open.clone()], &rotaries, None, FIRST).batch;
        assert!(batch.documents.is_none());
        assert_eq!(batch.loss_weights, [[0.0, 1.0, 1.0, 1.0]]);
        let batch = micro_batch(vec![open, confined], &rotaries, None, FIRST).batch;
        let lengths = [vec![4], vec![3, 1]];
        assert_eq!(batch.documents, Some(Documents::from_lengths(&lengths)));
        assert_eq!(batch.loss_weights[1], [0.0, 1.0, 1.0, 0.0]);
    }
}
