//! Comparing the tensors of a checkpoint with those that its configuration needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::Dtype;

use super::report::{WeightProblem, WeightReport};
use super::stored::StoredTensor;
use crate::config::ModelConfig;
use crate::config::module_names::{HEAD, HEAD_WEIGHT};

/// What the names of the two parts of a packed tensor add to its own.
const PACKED: [&str; 2] = ["_blocks", "_scales"];

/// What the names of buffers that old checkpoints store, and that no model reads, contain or end with: the frequencies of
/// the RoPE, and the mask of attention.
const ROTARY: &str = "rotary_emb.";
const MASKS: [&str; 2] = [".masked_bias", ".attn.bias"];

/// Whether a tensor would be a part of the decoder, by its name: without it, something else would be computed than the
/// checkpoint was made for.
fn is_of_decoder(name: &str) -> bool {
    name.starts_with("model.") || name.starts_with(HEAD)
}

/// Whether both parts of a packed tensor are stored.
fn is_packed(name: &str, stored: &BTreeMap<String, StoredTensor>) -> bool {
    PACKED
        .iter()
        .all(|end| stored.contains_key(&format!("{name}{end}")))
}

/// Lists all tensors that are missing, are unexpected, or have the wrong shape or an unreadable type. `absent` are those
/// that are not in the file that the index names, and that file. Tensors beside the decoder, such as the head of a
/// classifier, are no problem by themselves; transformers does not read them either.
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
    // Some checkpoints store a tied head twice.
    let is_known = |name: &str| {
        let packed = PACKED.iter().find_map(|end| name.strip_suffix(end));
        expected.contains_key(name)
            || name.contains(ROTARY)
            || MASKS.iter().any(|end| name.ends_with(end))
            || packed.is_some_and(|name| expected.contains_key(name) && is_packed(name, stored))
            || (config.tied_embeddings && name == HEAD_WEIGHT)
    };
    let unknown = stored.iter().filter(|(name, _)| !is_known(name));
    let (of_decoder, others): (Vec<_>, Vec<_>) = unknown.partition(|(name, _)| is_of_decoder(name));
    let unexpected = |(name, tensor): (&String, &StoredTensor)| WeightProblem::Unexpected {
        name: name.clone(),
        found: tensor.shape.clone(),
    };
    problems.extend(of_decoder.into_iter().map(unexpected));
    let mut unused = Vec::new();
    if problems.is_empty() {
        unused.extend(others.into_iter().map(|(name, _)| name.clone()));
    } else {
        // They may be what is missing, by another name.
        problems.extend(others.into_iter().map(unexpected));
    }
    WeightReport {
        problems,
        n_unlisted,
        unused,
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
