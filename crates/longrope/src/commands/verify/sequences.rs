//! The sequences that are compared.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use longrope_rope::{RopeScaling, RopeSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::failure::Hint;
use crate::input;
use crate::settings::args::Runtime;
use crate::settings::bounds::{MOST_TOKENS, check_flag};
use crate::settings::config::Config;

/// Lengths of sequences, and what they leave out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    /// In tokens, in ascending order.
    pub(super) lengths: Vec<usize>,
    /// The sides of the border that cannot be checked, and why.
    pub(super) not_checked: Vec<String>,
}

impl Lengths {
    /// The given lengths, or one within the original context of a RoPE and one beyond it, up to the context that the model
    /// claims.
    ///
    /// # Errors
    /// If a given length is no length of a sequence.
    pub(super) fn of(
        runtime: Runtime,
        rope: &RopeSpec,
        max_context: usize,
        given: &[usize],
    ) -> Result<Self> {
        if given.is_empty() {
            return Ok(Self::default_for(runtime, rope, max_context));
        }
        for length in given {
            check_flag("--length", *length, 2, MOST_TOKENS)?;
        }
        let mut lengths = given.to_vec();
        lengths.sort_unstable();
        lengths.dedup();
        Ok(Self {
            lengths,
            not_checked: Vec::new(),
        })
    }

    fn default_for(runtime: Runtime, rope: &RopeSpec, max_context: usize) -> Self {
        let original = rope.original_context;
        let twice = original.saturating_mul(2);
        let is_scaled = !matches!(rope.scaling, RopeScaling::None {});
        // Some scalings claim the original context, as dynamic NTK does.
        let claims_no_more = is_scaled && max_context <= original;
        let most = match runtime {
            // It refuses longer texts.
            Runtime::Vllm => max_context,
            Runtime::Transformers | Runtime::LlamaCpp => {
                if claims_no_more {
                    twice
                } else {
                    max_context
                }
            }
        };
        let longer = twice.min(most).max(original);
        let has_border = set_of(rope, original) != set_of(rope, longer);
        // llama.cpp takes any length; only its choice of factors is made by rounded contexts.
        let within = match runtime {
            Runtime::LlamaCpp if !has_border => original,
            _ => runtime.longest_within(original),
        };
        let beyond = match runtime {
            Runtime::Vllm => longer - 1,
            Runtime::Transformers | Runtime::LlamaCpp => longer,
        };
        let mut lengths = vec![within, beyond];
        lengths.retain(|length| *length >= 2);
        lengths.dedup();
        let mut not_checked = Vec::new();
        if within == 0 {
            not_checked.push(format!(
                "the side within the original context: it is {original} tokens, and {} rounds its context up to {}",
                runtime.name(),
                runtime.context(original)
            ));
        }
        if claims_no_more && longer <= original {
            not_checked.push(format!(
                "the side beyond the original context: the model claims {max_context} tokens, and {} refuses longer texts",
                runtime.name()
            ));
        }
        Self {
            lengths,
            not_checked,
        }
    }
}

/// Which factor set a sequence of this length uses; 0 if the RoPE has none.
fn set_of(rope: &RopeSpec, tokens: usize) -> usize {
    match (&rope.scaling, rope.factor_set(tokens)) {
        (RopeScaling::LongRope { sets, .. }, Some(set)) => sets
            .iter()
            .position(|other| other.max_context == set.max_context)
            .unwrap_or(0),
        _ => 0,
    }
}

/// The name of the factors that a RoPE has at a context.
pub(super) fn factors_at(rope: &RopeSpec, context: usize) -> String {
    match &rope.scaling {
        RopeScaling::LongRope { sets, .. } => match (sets.len(), set_of(rope, context)) {
            (1, _) => "one set".to_owned(),
            (2, 0) => "short".to_owned(),
            (2, _) => "long".to_owned(),
            (_, index) => format!("set {}", index + 1),
        },
        RopeScaling::None {} => "plain".to_owned(),
        other => other.name().to_owned(),
    }
}

/// One sequence per length: the beginning of the configured text or token ids, or random ids.
///
/// # Errors
/// If the text cannot be read or is too short.
pub(super) fn token_ids(
    config: &Config,
    model: &ModelConfig,
    lengths: &[usize],
) -> Result<Vec<Vec<u32>>> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let ids = if config.text.is_empty() && config.tokens.is_none() {
        random_ids(config.seed, model.vocab_size, longest)
    } else {
        let documents = input::load_documents(config, model)?;
        let ids = documents.into_iter().flat_map(|document| document.tokens);
        ids.take(longest).collect()
    };
    if ids.len() < longest {
        return Err(anyhow!(
            "the text has {} tokens, expected {longest} for the longest sequence",
            ids.len()
        )
        .context(Hint(
            "give a longer text, shorter sequences with --length, or no text for random token ids"
                .to_owned(),
        )));
    }
    let beginning = |length: &usize| ids[..*length].to_vec();
    Ok(lengths.iter().map(beginning).collect())
}

/// Ids of the vocabulary, each equally likely.
fn random_ids(seed: u64, vocab_size: usize, n: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let end = u32::try_from(vocab_size).unwrap_or(u32::MAX).max(1);
    (0..n).map(|_| rng.random_range(0..end)).collect()
}

#[cfg(test)]
mod tests {
    use longrope_rope::{AttentionScale, FactorSet, RescaleFactors};

    use super::*;

    const WITHIN: &str = "the side within the original context";
    const BEYOND: &str = "the side beyond the original context";

    fn long_rope(original_context: usize) -> RopeSpec {
        let set = |max_context, factor| FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new(vec![factor; 4]).unwrap(),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set(original_context, 1.0), set(4 * original_context, 3.0)],
            attention: AttentionScale::Su {},
        };
        RopeSpec::new(8, 10_000.0, original_context, scaling).unwrap()
    }

    /// The lengths, and what is not checked, up to the reason.
    fn lengths(runtime: Runtime, rope: &RopeSpec, max_context: usize) -> (Vec<usize>, Vec<String>) {
        let found = Lengths::of(runtime, rope, max_context, &[]).unwrap();
        let texts = found.not_checked.iter();
        let sides = texts.map(|it| it.split(':').next().unwrap().to_owned());
        (found.lengths, sides.collect())
    }

    #[test]
    fn both_sides_of_the_border_are_measured() {
        let rope = long_rope(300);
        for (runtime, expected) in [
            (Runtime::Transformers, [300, 600]),
            (Runtime::LlamaCpp, [256, 600]),
            (Runtime::Vllm, [299, 599]),
        ] {
            assert_eq!(lengths(runtime, &rope, 1200), (expected.to_vec(), vec![]));
        }
        assert_eq!(
            lengths(Runtime::Transformers, &rope, 400),
            (vec![300, 400], vec![])
        );
        let names = [300, 301].map(|context| factors_at(&rope, context));
        assert_eq!(names, ["short", "long"]);
    }

    #[test]
    fn what_is_scaled_is_measured_even_if_no_more_than_the_original_context_is_claimed() {
        let dynamic = RopeScaling::DynamicNtk { scale: 4.0 };
        let dynamic = RopeSpec::new(8, 10_000.0, 300, dynamic).unwrap();
        for rope in [dynamic, long_rope(300)] {
            assert_eq!(
                lengths(Runtime::Transformers, &rope, 300),
                (vec![300, 600], vec![])
            );
            // vLLM refuses longer texts than the model claims.
            assert_eq!(
                lengths(Runtime::Vllm, &rope, 300),
                (vec![299], vec![BEYOND.to_owned()])
            );
        }
    }

    #[test]
    fn a_context_that_llama_cpp_rounds_up_over_the_border_is_not_checked() {
        let rope = long_rope(32);
        assert_eq!(
            lengths(Runtime::LlamaCpp, &rope, 128),
            (vec![64], vec![WITHIN.to_owned()])
        );
        // Without a border, any length will do.
        let plain = rope.plain();
        assert_eq!(
            lengths(Runtime::LlamaCpp, &plain, 128),
            (vec![32, 64], vec![])
        );
        assert_eq!(
            lengths(Runtime::Transformers, &plain, 32),
            (vec![32], vec![])
        );
    }

    #[test]
    fn random_ids_are_those_of_the_vocabulary() {
        let ids = random_ids(42, 97, 1000);
        assert_eq!(ids, random_ids(42, 97, 1000));
        assert!(ids.iter().all(|id| *id < 97) && ids.contains(&96) && ids.contains(&0));
    }
}
