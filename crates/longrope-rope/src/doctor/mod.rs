//! What other programs make of a checkpoint's `config.json`, and where they would compute different angles.
//!
//! Each runtime has a file with its rules as they were read in its source, named in `SOURCE`. The rules give a
//! [`RuntimeView`] per runtime; [`compare`](compare::disagreements) finds where it differs from ours and asks the
//! runtime's file why. Nothing here is run or loaded, and releases other than the ones read may differ.

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

/// Says what transformers 4 and 5, vLLM, llama.cpp, candle and this project each compute for a model config.
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
/// Those of [`read_hf_rope`](crate::read_hf_rope), and [`Error::UnknownFamily`](crate::Error::UnknownFamily) for a
/// `model_type` whose treatment by the runtimes is not known here.
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
