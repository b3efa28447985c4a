//! Reasons and numbers that several runtimes share.

use super::computed::{ANGLES, Computed, scales};
use super::facts::Facts;
use super::view::{Switch, Topic};

/// Adds the consequences of choosing by the largest position of each forward pass.
pub(super) fn per_forward(computed: Computed, facts: &Facts) -> Computed {
    let Switch::PerForward {
        border,
        recomputes_cache,
    } = computed.rules.switch
    else {
        return computed;
    };
    let unreachable = border >= facts.max_context;
    if !facts.is_long_rope() {
        return computed.because(
            &[Topic::Switch],
            "recomputes the base in each forward pass from the length so far and keeps keys rotated by older ones",
            "beyond the original context a long generation differs from the same text in one pass",
        );
    }
    let computed = computed.because_if(
        unreachable,
        &[Topic::Factors],
        format!(
            "uses the long factors above {border} tokens, which is not below the claimed context {}",
            facts.max_context
        ),
        "the long factors serve only texts that are longer than the config claims",
    );
    if recomputes_cache {
        computed.because(
            &[Topic::Switch],
            "chooses by the largest position of each forward pass, over the whole batch, and recomputes the cache when a \
             generation crosses the border",
            "prefill in chunks mixes both sets in one cache, and one long row changes the short rows of its batch",
        )
    } else {
        computed.because(
            &[Topic::Switch],
            "chooses by the largest position of each forward pass, over the whole batch, and keeps the cache when a generation \
             crosses the border",
            "a generation across the border and prefill in chunks mix both sets in one cache, which ruins the text",
        )
    }
}

/// Adds the reason of a runtime that reads only the spelling of transformers 4.
pub(super) fn ignores_rope_parameters(computed: Computed, facts: &Facts) -> Computed {
    let theta = computed.rules.theta;
    if facts.is_only_v5() {
        return computed.because(
            ANGLES,
            format!("does not read `rope_parameters` and computes plain RoPE with theta {theta}"),
            "the model was not trained for these angles",
        );
    }
    computed.because_of_theta(
        facts,
        format!("looks for `rope_theta` at the top level only and takes {theta}"),
    )
}

/// Adds the reason of a runtime that does not read some of the keys of the attention scale.
pub(super) fn ignores_attention_factor(computed: Computed, reads: &str) -> Computed {
    let scales = scales(&computed.rules);
    computed.because(
        &[Topic::AttentionScale],
        format!("{reads} and uses {scales}"),
        "attention is sharper or softer than in training",
    )
}

/// The theta of a model class that needs one at the top level.
pub(super) fn top_theta(facts: &Facts) -> Result<f64, String> {
    facts
        .top_theta
        .ok_or_else(|| "it finds no `rope_theta` at the top level".to_owned())
}

/// A runtime that multiplies the claimed context by `factor`.
pub(super) fn more_by_default(computed: Computed, facts: &Facts, default: usize) -> Computed {
    computed.by_default(default).because(
        &[Topic::DefaultContext],
        format!(
            "serves {default} tokens by default, multiplying by `factor`; the config claims {}",
            facts.max_context
        ),
        "check which of the two the model was made for",
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive product is cut to tokens, as vLLM does"
)]
pub(super) fn times(context: usize, scale: f64) -> usize {
    (context as f64 * scale) as usize
}
