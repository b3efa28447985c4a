//! The batches of a step.

use longrope_data::Mixture;

use super::data::{BatchPlace, Rotaries, micro_batch};
use super::distill::Distillation;
use crate::error::Result;
use crate::micro_batch::MicroBatch;

/// The next `accumulate` batches of `batch` windows each, for a step counted from 0.
pub(super) fn step_batches(
    windows: &mut Mixture,
    (rotaries, distillation): (&Rotaries, Option<&Distillation>),
    (batch, accumulate): (usize, usize),
    step: usize,
) -> Result<Vec<MicroBatch>> {
    let first = step * accumulate;
    (first..first + accumulate)
        .map(|batch_idx| {
            let place = BatchPlace {
                step,
                n_windows: (batch_idx * batch) as u64,
            };
            let windows = windows.next_batch(batch)?;
            Ok(micro_batch(windows, rotaries, distillation, place))
        })
        .collect()
}
