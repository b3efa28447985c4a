//! Comparing the tensors of a checkpoint with those that its configuration needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::Dtype;

use super::report::{WeightProblem, WeightReport};
use super::stored::StoredTensor;
use crate::config::ModelConfig;
use crate::config::module_names::HEAD_WEIGHT;

/// What the names of the two parts of a packed tensor add to its own.
const PACKED: [&str; 2] = ["_blocks", "_scales"];

/// Whether both parts of a packed tensor are stored.
fn is_packed(name: &str, stored: &BTreeMap<String, StoredTensor>) -> bool {
    PACKED
        .iter()
        .all(|end| stored.contains_key(&format!("{name}{end}")))
}

/// Lists all tensors that are missing, are unexpected, or have the wrong shape or an unreadable type. `absent` are those
/// that are not in the file that the index names, and that file.
pub(super) fn compare(
    config: &ModelConfig,
    stored: &BTreeMap<String, StoredTensor>,
    absent: &BTreeMap<String, PathBuf>,
) -> WeightReport {
    // Layers beyond the number of stored tensors are missing for certain, and there may be millions of them.
    let listed = ModelConfig {
        n_layers: config.n_layers.min(stored.len() + 1),
        ..config.clone()
    };
    let expected: BTreeMap<String, Vec<usize>> = listed.tensors().into_iter().collect();
    let tensors_per_layer = expected.len() / listed.n_layers.max(1);
    let n_unlisted = (config.n_layers - listed.n_layers).saturating_mul(tensors_per_layer);
    let mut problems: Vec<WeightProblem> = expected
        .iter()
        .filter_map(|(name, shape)| problem_of(name, shape, stored, absent))
        .collect();
    for (name, tensor) in stored {
        // Old checkpoints store the RoPE frequencies, and some store a tied head twice.
        let packed = PACKED.iter().find_map(|end| name.strip_suffix(end));
        let known = name.ends_with("rotary_emb.inv_freq")
            || packed.is_some_and(|name| expected.contains_key(name) && is_packed(name, stored))
            || (config.tied_embeddings && name == HEAD_WEIGHT);
        if !expected.contains_key(name) && !known {
            problems.push(WeightProblem::Unexpected {
                name: name.clone(),
                found: tensor.shape.clone(),
            });
        }
    }
    WeightReport {
        problems,
        n_unlisted,
    }
}

/// What is wrong with a tensor that the configuration needs.
fn problem_of(
    name: &str,
    shape: &[usize],
    stored: &BTreeMap<String, StoredTensor>,
    absent: &BTreeMap<String, PathBuf>,
) -> Option<WeightProblem> {
    let name = name.to_owned();
    let Some(tensor) = stored.get(&name) else {
        return Some(if is_packed(&name, stored) {
            WeightProblem::Packed { name }
        } else if let Some(file) = absent.get(&name) {
            let file = file.clone();
            WeightProblem::NotInFile { name, file }
        } else {
            let expected = shape.to_vec();
            WeightProblem::Missing { name, expected }
        });
    };
    if tensor.shape != shape {
        return Some(WeightProblem::WrongShape {
            name,
            found: tensor.shape.clone(),
            expected: shape.to_vec(),
        });
    }
    let is_readable = matches!(
        tensor.dtype,
        Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16
    );
    (!is_readable).then_some(WeightProblem::WrongType {
        name,
        found: tensor.dtype,
    })
}
