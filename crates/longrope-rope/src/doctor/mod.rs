//! How other programs interpret a checkpoint's `config.json`, and where their angles differ.
//!
//! Each runtime has a file with its rules. They were read in the version and the source that `VERSION` and `SOURCE`
//! name; other releases may differ. The rules give a [`RuntimeView`] per runtime, with reasons for what is peculiar to
//! it. [`compare`](compare::disagreements) finds where it differs from the view of this project and shows the reason.
//! Nothing is run or loaded.

mod advice;
mod candle;
mod compare;
mod computed;
mod config_changes;
mod conflicts;
mod exllamav3;
mod facts;
mod fixed;
mod llama_cpp;
mod longrope;
mod mistral_rs;
mod mlx_lm;
mod onnxruntime_genai;
mod runtimes;
mod section;
mod sglang;
mod shared;
mod taken;
mod transformers4;
mod transformers5;
mod view;
mod vllm;

pub use taken::{Taken, taken_by};
pub use view::{Advice, Conflict, Diagnosis, Disagreement, FactorRow, Outcome, Reading, Rules};
pub use view::{Runtime, RuntimeView, Switch, Topic};

use serde_json::Value;

use crate::Result;
use crate::hf::language_model;
use computed::Computed;
use facts::Facts;
use runtimes::{computed_by, is_covered};

/// Describes what each [`Runtime`] and this project compute for a model config.
///
/// Statements that contradict each other are no error: the view of each runtime follows the one that it takes.
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
/// The errors of [`read_hf_config`](crate::read_hf_config): what no decoder can be made of has no diagnosis.
pub fn diagnose(config: &Value) -> Result<Diagnosis> {
    let language = match config {
        Value::Object(keys) => Value::Object(language_model(keys).into_owned()),
        other => other.clone(),
    };
    let facts = Facts::new(&language)?;
    let (covered, unknown): (Vec<Runtime>, Vec<Runtime>) = Runtime::ALL
        .into_iter()
        .partition(|runtime| is_covered(*runtime, &facts));
    let computed: Vec<(Runtime, std::result::Result<Computed, String>)> = covered
        .into_iter()
        .map(|runtime| (runtime, computed_by(runtime, &facts)))
        .collect();
    let disagreements = compare::disagreements(&facts, &computed);
    let mut runtimes: Vec<RuntimeView> = computed
        .into_iter()
        .map(|(runtime, computed)| {
            let outcome = match computed {
                Ok(computed) => Outcome::Loads(computed.rules),
                Err(reason) => Outcome::Refuses { reason },
            };
            view_of(runtime, outcome)
        })
        .collect();
    let conflict = conflicts::conflict(&facts, &runtimes);
    let advice = advice::advice(&facts, &runtimes);
    let reason = format!(
        "what it computes for `{}` models is not known here: compare losses before you rely on it",
        facts.model_type
    );
    runtimes.extend(unknown.into_iter().map(|runtime| {
        let reason = reason.clone();
        view_of(runtime, Outcome::Unknown { reason })
    }));
    // In the order of the list, this project last.
    runtimes.sort_by_key(|view| {
        Runtime::ALL
            .iter()
            .position(|runtime| *runtime == view.runtime)
    });
    Ok(Diagnosis {
        model_type: facts.model_type.to_owned(),
        rope: facts.spec.scaling.name(),
        original_context: facts.spec.original_context,
        max_context: facts.max_context,
        runtimes,
        conflict,
        disagreements,
        advice,
    })
}

fn view_of(runtime: Runtime, outcome: Outcome) -> RuntimeView {
    let (version, source) = match runtime {
        Runtime::Transformers4 => (transformers4::VERSION, transformers4::SOURCE),
        Runtime::Transformers5 => (transformers5::VERSION, transformers5::SOURCE),
        Runtime::Vllm => (vllm::VERSION, vllm::SOURCE),
        Runtime::Sglang => (sglang::VERSION, sglang::SOURCE),
        Runtime::LlamaCpp => (llama_cpp::VERSION, llama_cpp::SOURCE),
        Runtime::MlxLm => (mlx_lm::VERSION, mlx_lm::SOURCE),
        Runtime::Exllamav3 => (exllamav3::VERSION, exllamav3::SOURCE),
        Runtime::MistralRs => (mistral_rs::VERSION, mistral_rs::SOURCE),
        Runtime::Candle => (candle::VERSION, candle::SOURCE),
        Runtime::OnnxruntimeGenai => (onnxruntime_genai::VERSION, onnxruntime_genai::SOURCE),
        Runtime::Longrope => (longrope::VERSION, longrope::SOURCE),
    };
    RuntimeView {
        runtime,
        version,
        source,
        outcome,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[path = "transformers_tests.rs"]
mod transformers_tests;

#[cfg(test)]
#[path = "rules_tests.rs"]
mod rules_tests;
