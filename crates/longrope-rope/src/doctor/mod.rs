//! How other programs interpret a checkpoint's `config.json`, and where their angles differ.
//!
//! Each runtime has a file with its rules. They were read in the source that `SOURCE` names; other releases may differ.
//! The rules give a [`RuntimeView`] per runtime. [`compare`](compare::disagreements) finds where it differs from the view
//! of this project and gets the reason from the runtime's file. Nothing is run or loaded.

mod advice;
mod candle;
mod compare;
mod facts;
mod llama_cpp;
mod longrope;
mod transformers;
mod view;
mod vllm;

pub use view::{Advice, Diagnosis, Disagreement, FactorRow, Outcome, Rules, Runtime, Switch};
pub use view::{RuntimeView, Topic};

use serde_json::Value;

use crate::Result;
use facts::Facts;

/// Describes what transformers 4 and 5, vLLM, llama.cpp, candle and this project each compute for a model config.
///
/// ```
/// # fn main() -> longrope_rope::Result<()> {
/// let config = serde_json::json!({
///     "model_type": "llama", "hidden_size": 64, "num_attention_heads": 4,
///     "max_position_embeddings": 2048, "rope_theta": 10000.0,
/// });
/// assert!(longrope_rope::diagnose(&config)?.disagreements.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The errors of [`read_hf_rope`](crate::read_hf_rope), and [`Error::UnknownFamily`](crate::Error::UnknownFamily) for a
/// `model_type` for which the rules of the runtimes are not known.
pub fn diagnose(config: &Value) -> Result<Diagnosis> {
    let facts = Facts::new(config)?;
    let runtimes: Vec<RuntimeView> = Runtime::ALL
        .into_iter()
        .map(|runtime| view_of(runtime, &facts))
        .collect();
    let disagreements = compare::disagreements(&facts, &runtimes);
    let advice = advice::advice(&facts, &runtimes);
    Ok(Diagnosis {
        model_type: facts.model_type.to_owned(),
        rope: facts.spec.scaling.name(),
        original_context: facts.spec.original_context,
        max_context: facts.max_context,
        runtimes,
        disagreements,
        advice,
    })
}

fn view_of(runtime: Runtime, facts: &Facts) -> RuntimeView {
    let (source, rules) = match runtime {
        Runtime::Transformers4 => (transformers::SOURCE_V4, transformers::v4(facts)),
        Runtime::Transformers5 => (transformers::SOURCE_V5, transformers::v5(facts)),
        Runtime::Vllm => (vllm::SOURCE, vllm::rules(facts)),
        Runtime::LlamaCpp => (llama_cpp::SOURCE, Ok(llama_cpp::rules(facts))),
        Runtime::Candle => (candle::SOURCE, candle::rules(facts)),
        Runtime::Longrope => (longrope::SOURCE, Ok(longrope::rules(facts))),
    };
    let outcome = match rules {
        Ok(rules) => Outcome::Loads(rules),
        Err(reason) => Outcome::Refuses { reason },
    };
    RuntimeView {
        runtime,
        source,
        outcome,
    }
}

#[cfg(test)]
mod tests;
