//! Comparing the tensors of a checkpoint with those that its configuration needs.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::report::{WeightProblem, WeightReport};
use super::stored::StoredTensor;
use crate::config::ModelConfig;

/// Lists all tensors that are missing, are unexpected, or have the wrong shape or an unreadable type.
pub(super) fn compare(
    config: &ModelConfig,
    stored: &BTreeMap<String, StoredTensor>,
) -> WeightReport {
    let expected: BTreeMap<String, Vec<usize>> = config.tensors().into_iter().collect();
    let mut problems = Vec::new();
    for (name, shape) in &expected {
        match stored.get(name) {
            None => problems.push(WeightProblem::Missing {
                name: name.clone(),
                expected: shape.clone(),
            }),
            Some(tensor) if tensor.shape != *shape => {
                problems.push(WeightProblem::WrongShape {
                    name: name.clone(),
                    found: tensor.shape.clone(),
                    expected: shape.clone(),
                });
            }
            Some(tensor)
                if !matches!(
                    tensor.dtype,
                    Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16
                ) =>
            {
                problems.push(WeightProblem::WrongType {
                    name: name.clone(),
                    found: tensor.dtype,
                });
            }
            Some(_) => {}
        }
    }
    for (name, tensor) in stored {
        // Old checkpoints store the RoPE frequencies, and some store a tied head twice.
        let known = name.ends_with("rotary_emb.inv_freq")
            || (config.tied_embeddings && name == "lm_head.weight");
        if !expected.contains_key(name) && !known {
            problems.push(WeightProblem::Unexpected {
                name: name.clone(),
                found: tensor.shape.clone(),
            });
        }
    }
    WeightReport { problems }
}
