//! Families that are known but not supported, and why.

const LATENT: &str = "it has multi-head latent attention";
const LINEAR: &str =
    "some of its layers have linear attention, a state space or convolutions instead of attention";
const CROSS: &str = "it has cross-attention";
const ALIBI: &str = "it has ALiBi, a bias that grows with distance, instead of a rotary embedding";

/// `model_type` and the reason.
const REFUSED: &[(&str, &str)] = &[
    ("apertus", "its activation is xIELU"),
    (
        "baichuan",
        "its query, key and value share a packed matrix, and its larger models have no rotary embedding",
    ),
    ("bamba", LINEAR),
    ("bitnet", "its weights are ternary"),
    ("bloom", ALIBI),
    (
        "chatglm",
        "its files are those of remote code; convert it to `glm`",
    ),
    (
        "cohere",
        "its normalizations differ for each head; `cohere2` is supported",
    ),
    ("deepseek_v2", LATENT),
    ("deepseek_v3", LATENT),
    ("falcon", "its query, key and value share a packed matrix"),
    ("falcon_h1", LINEAR),
    ("gemma4_text", "its rotary embedding is proportional"),
    (
        "glm4_moe",
        "its router scores experts with sigmoids and learned corrections; `glm4` is supported",
    ),
    ("glm5", LATENT),
    ("granitemoehybrid", LINEAR),
    ("jamba", LINEAR),
    ("kimi_k2", LATENT),
    ("kimi_linear", LINEAR),
    ("lfm2", LINEAR),
    (
        "llama4_text",
        "some of its layers attend in chunks, and its queries and keys are normalized after their rotation",
    ),
    ("longcat_flash", LATENT),
    ("mamba", LINEAR),
    ("mamba2", LINEAR),
    ("minicpm3", LATENT),
    ("minimax", LINEAR),
    (
        "ministral",
        "its layers are of two types, with and without a sliding window; `mistral` and `ministral3` are supported",
    ),
    ("mllama", CROSS),
    ("mllama_text_model", CROSS),
    ("mpt", ALIBI),
    ("nemotron_h", LINEAR),
    ("qwen3_5", LINEAR),
    ("qwen3_5_text", LINEAR),
    ("qwen3_next", LINEAR),
    (
        "t5",
        "it is an encoder with a decoder, and has biases by distance instead of a rotary embedding",
    ),
    ("t5gemma", CROSS),
    ("zamba2", LINEAR),
];

/// Why a family is not supported, if it is known.
pub(super) fn reason(model_type: &str) -> Option<&'static str> {
    let known = REFUSED.iter().find(|(name, _)| *name == model_type);
    known.map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_that_people_try_have_a_reason() {
        for name in ["bloom", "glm4_moe", "kimi_k2", "ministral", "t5"] {
            assert!(reason(name).is_some(), "{name}");
        }
        let names = REFUSED.iter().map(|(name, _)| name);
        assert!(names.is_sorted(), "the list is in alphabetical order");
    }
}
