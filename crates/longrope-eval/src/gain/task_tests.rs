use longrope_model::GenerateOptions;
use longrope_rope::{ResolvedRope, RopeScaling};

use super::*;
use crate::paired::add_gain_intervals;
use crate::report::TaskResult;
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

fn windows(per_document: usize, bos: Bos) -> GainWindows {
    GainWindows {
        context: CONTEXT,
        per_document,
        bos,
    }
}

fn measured(far: FarText, bos: Bos) -> TaskResult {
    let config = GainConfig {
        far,
        ..GainConfig::default()
    };
    let task = Gain::new(&documents(), &config, windows(2, bos), rope(), 1).unwrap();
    let rope = rope();
    let mut run = TaskRun::new(&task, "none", &rope);
    while run.step(&mut Remembers).unwrap() > 0 {}
    let mut result = run.result();
    add_gain_intervals(&mut result);
    result
}

#[test]
fn far_text_that_helps_is_a_gain_and_other_text_is_none() {
    let own = measured(FarText::Own, Bos::Document);
    assert_eq!(
        (own.n, own.settings["tail"].as_u64()),
        (6, Some(8)),
        "half of 16"
    );
    // Equal gains say nothing about how others would vary.
    assert_eq!((own.metric.value, own.metric.interval), (2.0, None));
    let near = &own.other_metrics[0];
    assert_eq!((near.value, near.interval), (3.0, None));
    let other = measured(FarText::Other, Bos::Document);
    let gain = &other.metric;
    assert_eq!((gain.value, gain.interval), (0.0, Some([0.0, 0.0])));
}

#[test]
fn both_losses_are_of_the_same_tokens() {
    for bos in [
        Bos::Document,
        Bos::Window { bos_id: 9 },
        Bos::Replace { bos_id: 9 },
    ] {
        for far in [FarText::Own, FarText::Other] {
            let config = GainConfig {
                tail: Some(5),
                far,
                ..GainConfig::default()
            };
            let task = Gain::new(&documents(), &config, windows(2, bos), rope(), 1).unwrap();
            for trial in 0..task.n_trials() {
                let Pair {
                    full,
                    baseline: near,
                } = task.pair(trial);
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
        let windows = GainWindows {
            context,
            ..windows(2, Bos::Document)
        };
        Gain::new(documents, config, windows, rope(), 1).unwrap_err()
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
    // A tail that is set is never another one.
    for tail in [0, ORIGINAL / 2 + 1] {
        let config = GainConfig {
            tail: Some(tail),
            ..GainConfig::default()
        };
        let error = new(&config, 3, CONTEXT);
        let is_of_tail = matches!(
            error,
            Error::InvalidSetting {
                setting: "tail",
                ..
            }
        );
        assert!(is_of_tail, "{tail}: {error}");
    }
}

/// A model whose losses depend on what is far from the tail only, in a way that looks random.
struct Noise;

impl LanguageModel for Noise {
    fn token_nll(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        _: &ResolvedRope,
    ) -> Result<Vec<Vec<f32>>> {
        let losses = |tokens: &&[u32]| {
            let far = &tokens[..tokens.len() - ORIGINAL];
            let mixed = far
                .iter()
                .chain(tokens.last())
                .fold(17_u64, |mixed, token| {
                    (mixed ^ u64::from(*token))
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .rotate_left(23)
                });
            let loss = 2.0 + (mixed >> 40) as f32 / 16_777_216.0;
            vec![loss; tokens.len() - score_from]
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

/// Documents of tokens of their own that do not repeat.
fn many_documents(n: u32) -> Vec<TokenDocument> {
    let document = |doc: u32| TokenDocument {
        source: format!("{doc}.txt"),
        tokens: (0..2 * u32::try_from(CONTEXT).unwrap())
            .map(|i| 1000 * doc + i)
            .collect(),
    };
    (0..n).map(document).collect()
}

fn of_others(model: &mut dyn LanguageModel, documents: &[TokenDocument], seed: u64) -> TaskResult {
    let config = GainConfig {
        far: FarText::Other,
        against: GainBaseline::Other,
        ..GainConfig::default()
    };
    let windows = windows(1, Bos::Document);
    let task = Gain::new(documents, &config, windows, rope(), seed).unwrap();
    let rope = rope();
    let mut run = TaskRun::new(&task, "none", &rope);
    while run.step(model).unwrap() > 0 {}
    let mut result = run.result();
    add_gain_intervals(&mut result);
    result
}

#[test]
fn the_interval_of_the_gain_from_unrelated_text_covers_zero_as_often_as_it_says() {
    let documents = many_documents(12);
    let n_seeds = 1000;
    let covers = |seed: &u64| {
        let result = of_others(&mut Noise, &documents, *seed);
        let [low, high] = result.metric.interval.unwrap();
        low <= 0.0 && 0.0 <= high
    };
    let share = (0..n_seeds).filter(covers).count() as f64 / n_seeds as f64;
    assert!((0.93..=0.97).contains(&share), "{share}");
}

#[test]
fn against_other_text_only_what_the_far_text_says_is_a_gain() {
    let config = GainConfig {
        against: GainBaseline::Other,
        ..GainConfig::default()
    };
    let documents = documents();
    let rope = rope();
    let windows = windows(2, Bos::Document);
    let task = Gain::new(&documents, &config, windows, rope.clone(), 1).unwrap();
    let mut run = TaskRun::new(&task, "none", &rope);
    while run.step(&mut Remembers).unwrap() > 0 {}
    let result = run.result();
    let names: Vec<&str> = result
        .other_metrics
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["other_nats", "full_nats"]);
    assert!((result.metric.value - 2.0).abs() < 1e-9);
    for trial in 0..task.n_trials() {
        let Pair { full, baseline } = task.pair(trial);
        assert_eq!(full.len(), baseline.len());
        let near_from = CONTEXT - ORIGINAL;
        assert_eq!(full[near_from..], baseline[near_from..]);
        assert_ne!(full[0] / 100, baseline[0] / 100, "of different documents");
    }
    let one = Gain::new(&documents[..1], &config, windows, rope, 1);
    assert!(matches!(
        one,
        Err(Error::InvalidSetting {
            setting: "against",
            ..
        })
    ));
}
