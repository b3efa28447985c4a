//! llama.cpp, with a GGUF made by `convert_hf_to_gguf.py`.

use super::facts::{Explanation, Facts, Family, because};
use super::view::{Rules, Switch, Topic, scales};
use crate::{AttentionScale, RopeScaling};

pub(super) const SOURCE: &str =
    "ggml-org/llama.cpp, get_rope_factors and conversion/{base,llama,phi}.py of unknown commit";

/// Where llama3 factors start when the top level does not say.
const LLAMA3_ORIGINAL: usize = 8192;

/// What llama.cpp computes.
///
/// The converter writes the factors of longrope for the Phi-3 family only; for other families it writes only the name of the
/// type. The set is chosen by the number of tokens allocated for the context. Attention is `su` of the ratio, or `0.1 ln s + 1` for YaRN.
/// Dynamic NTK is not written. llama3 factors are made from the top level's original context, else 8192.
///
/// # Reference
/// `llama_model::get_rope_factors`; `Phi3MiniModel.generate_extra_tensors`, `TextModel.set_gguf_parameters` and
/// `LlamaModel.generate_extra_tensors` of the converter; `n_ctx = 0` in `common.h` for the default context.
pub(super) fn rules(facts: &Facts) -> Rules {
    let mut spec = facts.spec.clone();
    match &mut spec.scaling {
        RopeScaling::LongRope { .. } if facts.is_phi3() => {
            spec = facts.with_attention(facts.su(facts.ratio()));
        }
        RopeScaling::Yarn {
            scale,
            truncate,
            attention,
            ..
        } if facts.number("factor").is_some() => {
            *attention = AttentionScale::Constant {
                value: AttentionScale::Yarn {}.value(*scale, facts.spec.original_context),
            };
            *truncate = true;
        }
        RopeScaling::Llama3 { .. } if in_llama_class(facts) => {
            spec.original_context = facts.top_original.unwrap_or(LLAMA3_ORIGINAL);
        }
        RopeScaling::Linear { .. } if !facts.is_phi3() => {}
        _ => spec = spec.plain(),
    }
    Rules::of(
        &spec,
        |border| Switch::ByAllocation { border },
        Some(facts.max_context),
    )
}

/// LLaMA and Mistral share a class of the converter, the one that writes llama3 factors.
fn in_llama_class(facts: &Facts) -> bool {
    matches!(facts.family, Family::Llama | Family::Mistral)
}

pub(super) fn explain(topic: Topic, facts: &Facts, rules: &Rules) -> Explanation {
    match &facts.spec.scaling {
        RopeScaling::LongRope { .. } if !facts.is_phi3() => because(
            format!(
                "its converter writes the name of the type but no factors for `{}` models: plain RoPE, attention scale 1",
                facts.model_type
            ),
            "the extension is silently lost",
        ),
        RopeScaling::LongRope { .. } if topic == Topic::Switch => because(
            format!(
                "chooses once by the allocated context ({} tokens by default) and above {} uses the long factors for all texts",
                facts.max_context, facts.spec.original_context
            ),
            "short texts lose quality in a large context",
        ),
        RopeScaling::LongRope { .. } => because(
            format!(
                "its converter computes the attention scale from max / original and writes {}",
                scales(rules)
            ),
            "`attention_factor`, `short_mscale` and `long_mscale` have no effect",
        ),
        RopeScaling::Yarn { .. } if facts.number("factor").is_some() => because(
            format!(
                "computes YaRN with rounded bounds and attention scale {}",
                scales(rules)
            ),
            "`attention_factor`, `mscale` and `truncate` have no effect",
        ),
        RopeScaling::Llama3 { .. } if in_llama_class(facts) => because(
            format!(
                "its converter reads the original context of llama3 at the top level only, else takes {LLAMA3_ORIGINAL}"
            ),
            "the factors are for another original context",
        ),
        scaling => because(
            format!(
                "its converter writes nothing for this {} scaling of a `{}` model: plain RoPE",
                scaling.name(),
                facts.model_type
            ),
            "the extension is silently lost",
        ),
    }
}
