//! Names of tensors: of a checkpoint, and of a file.

use longrope_rope::{ModuleNames, Pairs};

use super::architecture::Architecture;
use super::shape::ModelShape;
use crate::error::{Error, Result};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A tensor of a file, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedTensor {
    /// Its name in the file.
    pub name: String,
    /// Its name in the checkpoint.
    pub source: String,
    /// Its shape, rows first.
    pub shape: Vec<usize>,
    /// The rows of each group of this many are [interleaved](crate::interleave_rows): those of one head of queries or keys.
    pub interleaved: Option<usize>,
}

impl MappedTensor {
    /// Whether it stays F32 whatever the type of the others is: normalizations and biases.
    pub fn stays_f32(&self) -> bool {
        self.shape.len() < 2
    }
}

/// The tensors of a file, given those of a checkpoint with their shapes, in the same order.
///
/// # Errors
/// [`Error::Unsupported`] for a tensor without a name in llama.cpp.
pub fn map_tensors(
    architecture: Architecture,
    shape: &ModelShape,
    tensors: &[(String, Vec<usize>)],
) -> Result<Vec<MappedTensor>> {
    let names = &shape.layout.names;
    let swaps = architecture.rotates_neighbours() && shape.layout.attention.pairs == Pairs::Halves;
    let map = |(source, tensor_shape): &(String, Vec<usize>)| {
        let (name, is_rotated) = name_in_file(names, source).ok_or_else(|| Error::Unsupported {
            family: shape.family.model_type().to_owned(),
            reason: format!("llama.cpp has no name for tensor `{source}`"),
        })?;
        Ok(MappedTensor {
            name,
            source: source.clone(),
            shape: tensor_shape.clone(),
            interleaved: (swaps && is_rotated).then_some(shape.head_dim),
        })
    };
    let mut mapped: Vec<MappedTensor> = tensors.iter().map(map).collect::<Result<_>>()?;
    // This architecture has no tied head.
    if architecture == Architecture::Olmo2
        && shape.tied
        && let Some(embedding) = mapped.iter().find(|it| it.source == EMBEDDING).cloned()
    {
        mapped.push(MappedTensor {
            name: "output.weight".to_owned(),
            ..embedding
        });
    }
    Ok(mapped)
}

/// The name in a file, and whether the tensor makes queries or keys.
pub(crate) fn name_in_file(names: &ModuleNames, source: &str) -> Option<(String, bool)> {
    match source {
        EMBEDDING => return Some(("token_embd.weight".to_owned(), false)),
        HEAD => return Some(("output.weight".to_owned(), false)),
        _ => {}
    }
    let rest = source.strip_prefix("model.")?;
    let (module, kind) = rest.rsplit_once('.')?;
    if module == names.norm {
        return Some((format!("output_norm.{kind}"), false));
    }
    let (layer, module) = module.strip_prefix("layers.")?.split_once('.')?;
    let module_in_file = modules(names)
        .into_iter()
        .find(|(name, _)| *name == Some(module))?
        .1;
    let is_rotated = matches!(module_in_file, "attn_q" | "attn_k");
    Some((format!("blk.{layer}.{module_in_file}.{kind}"), is_rotated))
}

/// Whether a tensor of a file holds factors instead of weights.
pub(crate) fn is_rope_tensor(name: &str) -> bool {
    name.starts_with("rope_")
}

/// Modules of a layer: in a checkpoint, and in a file.
fn modules(names: &ModuleNames) -> [(Option<&'static str>, &'static str); 15] {
    [
        (Some(names.query), "attn_q"),
        (Some(names.key), "attn_k"),
        (Some(names.value), "attn_v"),
        (names.query_key_value, "attn_qkv"),
        (Some(names.output), "attn_output"),
        (Some(names.query_norm), "attn_q_norm"),
        (Some(names.key_norm), "attn_k_norm"),
        (Some(names.gate), "ffn_gate"),
        (Some(names.up), "ffn_up"),
        (names.gate_up, "ffn_up"),
        (Some(names.down), "ffn_down"),
        (names.before_attention, "attn_norm"),
        (names.after_attention, "post_attention_norm"),
        (names.before_mlp, "ffn_norm"),
        (names.after_mlp, "post_ffw_norm"),
    ]
}

#[cfg(test)]
mod tests {
    use longrope_rope::read_hf_config;
    use serde_json::json;

    use super::*;

    fn mapped(model_type: &str, tensors: &[&str]) -> Vec<(String, bool)> {
        let json = json!({
            "model_type": model_type, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "head_dim": 16,
            "max_position_embeddings": 256, "hidden_act": "silu", "tie_word_embeddings": true,
        });
        let config = read_hf_config(&json).unwrap();
        let shape = ModelShape::from(&config);
        let architecture = Architecture::of(&shape).unwrap();
        let named = tensors.iter().map(|name| ((*name).to_owned(), vec![64]));
        let tensors: Vec<_> = named.collect();
        let mapped = map_tensors(architecture, &shape, &tensors).unwrap();
        let pairs = mapped.into_iter();
        pairs
            .map(|it| (it.name, it.interleaved.is_some()))
            .collect()
    }

    fn plain(names: &[&str]) -> Vec<(String, bool)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), false))
            .collect()
    }

    #[test]
    fn queries_and_keys_of_llama_change_places() {
        let found = mapped(
            "qwen2",
            &[
                "model.embed_tokens.weight",
                "model.layers.3.self_attn.q_proj.weight",
                "model.layers.3.self_attn.k_proj.bias",
                "model.layers.3.self_attn.v_proj.bias",
                "model.layers.3.post_attention_layernorm.weight",
                "model.norm.weight",
            ],
        );
        let mut expected = plain(&[
            "token_embd.weight",
            "blk.3.attn_q.weight",
            "blk.3.attn_k.bias",
            "blk.3.attn_v.bias",
            "blk.3.ffn_norm.weight",
            "output_norm.weight",
        ]);
        expected[1].1 = true;
        expected[2].1 = true;
        assert_eq!(found, expected);
    }

    #[test]
    fn the_same_name_means_another_normalization_in_another_family() {
        let found = mapped(
            "olmo2",
            &[
                "model.embed_tokens.weight",
                "model.layers.0.self_attn.q_norm.weight",
                "model.layers.0.post_attention_layernorm.weight",
                "model.layers.0.post_feedforward_layernorm.weight",
            ],
        );
        let expected = plain(&[
            "token_embd.weight",
            "blk.0.attn_q_norm.weight",
            "blk.0.post_attention_norm.weight",
            "blk.0.post_ffw_norm.weight",
            // The tied head is written out.
            "output.weight",
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn fused_projections_stay_fused() {
        let found = mapped(
            "phi3",
            &[
                "model.layers.1.self_attn.qkv_proj.weight",
                "model.layers.1.mlp.gate_up_proj.weight",
            ],
        );
        assert_eq!(
            found,
            plain(&["blk.1.attn_qkv.weight", "blk.1.ffn_up.weight"])
        );
    }
}
