use longrope_model::GenerateOptions;
use longrope_rope::{ResolvedRope, RopeScaling};

use super::*;
use crate::report::MetricValue;
use crate::task::TaskRun;

const ORIGINAL: usize = 16;
const CONTEXT: usize = 64;

fn rope() -> RopeSpec {
    RopeSpec::new(8, 10_000.0, ORIGINAL, RopeScaling::None {}).unwrap()
}

/// A model that knows a token it has read before: 1 nat instead of 3.
struct Remembers;

impl LanguageModel for Remembers {
    fn token_nll(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        _: &ResolvedRope,
    ) -> Result<Vec<Vec<f32>>> {
        let losses = |tokens: &&[u32]| {
            let known = |i: usize| tokens[..i].contains(&tokens[i]);
            let loss = |i| if known(i) { 1.0 } else { 3.0 };
            (score_from..tokens.len()).map(loss).collect()
        };
        Ok(sequences.iter().map(losses).collect())
    }

    fn greedy_tokens(&mut self, _: &[&[u32]], _: usize, _: &ResolvedRope) -> Result<Vec<Vec<u32>>> {
        panic!("losses only")
    }

    fn generate(
        &mut self,
        _: &[&[u32]],
        _: &GenerateOptions,
        _: &RopeSpec,
    ) -> Result<Vec<Vec<u32>>> {
        panic!("losses only")
    }
}

/// Documents of tokens of their own that repeat after 40, which only the full context reaches.
fn documents() -> Vec<TokenDocument> {
    (0..3)
        .map(|doc| TokenDocument {
            source: format!("{doc}.txt"),
            tokens: (0..2 * u32::try_from(CONTEXT).unwrap())
                .map(|i| 100 * doc + i % 40)
                .collect(),
        })
        .collect()
}

fn measured(far: FarText, bos: Bos) -> TaskResult {
    let config = GainConfig {
        far,
        ..GainConfig::default()
    };
    let task = Gain::new(&documents(), &config, (CONTEXT, 2), bos, rope()).unwrap();
    let rope = rope();
    let mut run = TaskRun::new(&task, "none", &rope);
    while run.step(&mut Remembers).unwrap() > 0 {}
    let mut result = run.result();
    add_gain_intervals(&mut result);
    result
}

fn numbers(metric: &MetricValue) -> (f64, [f64; 2]) {
    (metric.value, metric.interval.unwrap())
}

#[test]
fn far_text_that_helps_is_a_gain_and_other_text_is_none() {
    let own = measured(FarText::Own, Bos::Document);
    assert_eq!(
        (own.n, own.settings["tail"].as_u64()),
        (6, Some(8)),
        "half of 16"
    );
    assert_eq!(numbers(&own.metric), (2.0, [2.0, 2.0]));
    assert_eq!(numbers(&own.other_metrics[0]), (3.0, [3.0, 3.0]));
    let other = measured(FarText::Other, Bos::Document);
    assert_eq!(numbers(&other.metric), (0.0, [0.0, 0.0]));
}

#[test]
fn both_losses_are_of_the_same_tokens() {
    for bos in [
        Bos::Document,
        Bos::Window { bos_id: 9 },
        Bos::Replace { bos_id: 9 },
    ] {
        for far in [FarText::Own, FarText::Other] {
            let config = GainConfig { tail: 5, far };
            let task = Gain::new(&documents(), &config, (CONTEXT, 2), bos, rope()).unwrap();
            for trial in 0..task.n_trials() {
                let Pair { full, near } = task.pair(trial);
                assert_eq!((full.len(), near.len()), (CONTEXT, ORIGINAL));
                assert_eq!(full[CONTEXT - ORIGINAL + 1..], near[1..]);
                let has_bos = bos != Bos::Document;
                assert_eq!((full[0] == 9, near[0] == 9), (has_bos, has_bos));
            }
        }
    }
}

#[test]
fn what_has_no_far_text_is_refused() {
    let new = |config: &GainConfig, n_documents: usize, context| {
        let documents = &documents()[..n_documents];
        Gain::new(documents, config, (context, 2), Bos::Document, rope()).unwrap_err()
    };
    let error = new(&GainConfig::default(), 3, ORIGINAL);
    assert!(matches!(error, Error::NothingFar { context: 16, .. }));
    let other = GainConfig {
        far: FarText::Other,
        ..GainConfig::default()
    };
    assert!(matches!(
        new(&other, 1, CONTEXT),
        Error::InvalidSetting { setting: "far", .. }
    ));
    let empty = GainConfig {
        tail: 0,
        ..GainConfig::default()
    };
    assert!(matches!(
        new(&empty, 3, CONTEXT),
        Error::InvalidSetting {
            setting: "tail",
            ..
        }
    ));
}
