//! Worked examples, and simulations: how often 95% intervals hold the true value.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::windows::Series;
use super::*;
use crate::metric::Metric;
use crate::protocol::PplProtocol;
use crate::report::{MetricValue, PplResult, TaskResult, Trial, WindowLosses};

/// The true difference in simulations.
const TRUTH: f64 = 0.3;
const DRAWS: usize = 4000;

/// Standard normal (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// The share of draws whose interval holds the truth.
fn coverage(mut draw: impl FnMut(&mut ChaCha8Rng) -> Difference) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n_held = (0..DRAWS)
        .filter(|_| {
            let interval = draw(&mut rng).interval.unwrap();
            interval[0] <= TRUTH && TRUTH <= interval[1]
        })
        .count();
    n_held as f64 / DRAWS as f64
}

fn assert_near_95(coverage: f64, what: &str) {
    assert!((0.93..=0.97).contains(&coverage), "{what}: {coverage}");
}

#[test]
fn intervals_of_independent_windows_hold_the_truth() {
    for n in [3, 5, 7, 40] {
        let covered = coverage(|rng| {
            let weights: Vec<f64> = (0..n).map(|_| rng.random_range(50.0..100.0)).collect();
            let series = Series {
                differences: (0..n).map(|_| TRUTH + normal(rng)).collect(),
                weights,
                documents: (0..n).collect(),
                n_sharing: 1,
            };
            let difference = series.difference("r");
            assert_eq!(difference.method, PairedMethod::WindowsT);
            difference
        });
        assert_near_95(covered, &format!("{n} windows"));
    }
}

#[test]
fn intervals_of_a_few_long_documents_hold_the_truth() {
    for n in [8, 16, 64] {
        let covered = coverage(|rng| {
            let series = Series {
                weights: vec![100.0; n],
                differences: (0..n).map(|_| TRUTH + normal(rng)).collect(),
                documents: (0..n).map(|i| i / 32).collect(),
                n_sharing: 1,
            };
            let difference = series.difference("r");
            assert_eq!(difference.method, PairedMethod::WindowBlocks);
            difference
        });
        assert_near_95(covered, &format!("{n} windows of a document"));
    }
}

/// Differences of windows of which `k` share context: `shared` of their variance is that of the context.
fn overlapping(rng: &mut ChaCha8Rng, n: usize, k: usize, shared: f64) -> Series {
    let parts: Vec<f64> = (0..n + k - 1).map(|_| normal(rng)).collect();
    let own = (1.0 - shared).sqrt();
    let scale = (shared / k as f64).sqrt();
    let difference = |rng: &mut ChaCha8Rng, i: usize| {
        TRUTH + scale * parts[i..i + k].iter().sum::<f64>() + own * normal(rng)
    };
    Series {
        differences: (0..n).map(|i| difference(rng, i)).collect(),
        weights: vec![64.0; n],
        documents: vec![0; n],
        n_sharing: k,
    }
}

#[test]
fn intervals_of_overlapping_windows_hold_the_truth() {
    for (n, k) in [(40, 2), (120, 4), (240, 8)] {
        for shared in [0.0, 0.5, 1.0] {
            let covered = coverage(|rng| {
                let difference = overlapping(rng, n, k, shared).difference("r");
                assert_eq!(difference.method, PairedMethod::WindowBlocks);
                difference
            });
            let what = format!("{n} windows, {k} share context, {shared} of the variance");
            assert_near_95(covered, &what);
        }
    }
    // As if they were independent, it would be far off.
    let naive = coverage(|rng| {
        Series {
            documents: (0..120).collect(),
            n_sharing: 1,
            ..overlapping(rng, 120, 4, 1.0)
        }
        .difference("r")
    });
    assert!(naive < 0.75, "{naive}");
}

#[test]
fn intervals_of_many_documents_hold_the_truth() {
    let covered = coverage(|rng| {
        let (mut differences, mut documents, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for document in 0..12 {
            let subject = normal(rng);
            for _ in 0..4 {
                differences.push(TRUTH + subject + 0.5 * normal(rng));
                documents.push(document);
                weights.push(100.0);
            }
        }
        let series = Series {
            weights,
            differences,
            documents,
            n_sharing: 1,
        };
        let difference = series.difference("r");
        assert_eq!(difference.method, PairedMethod::DocumentsT);
        difference
    });
    assert_near_95(covered, "12 documents of 4 windows");
}

#[test]
fn intervals_of_right_and_wrong_trials_hold_the_truth() {
    // Right in the first only with 0.4, in the other only with 0.1: the truth is 0.3.
    for n in [20, 50, 200] {
        let covered = coverage(|rng| {
            let (one, other): (Vec<f64>, Vec<f64>) = (0..n)
                .map(|_| match rng.random::<f64>() {
                    u if u < 0.4 => (1.0, 0.0),
                    u if u < 0.5 => (0.0, 1.0),
                    u if u < 0.8 => (1.0, 1.0),
                    _ => (0.0, 0.0),
                })
                .unzip();
            let difference = paired_scores(&one, &other, "r");
            assert_eq!(difference.method, PairedMethod::McNemar);
            difference
        });
        assert_near_95(covered, &format!("{n} trials"));
    }
}

#[test]
fn intervals_of_graded_trials_hold_the_truth() {
    for n in [10, 30, 100] {
        let covered = coverage(|rng| {
            let base: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..0.4)).collect();
            let one: Vec<f64> = base
                .iter()
                .map(|score| score + rng.random_range(0.0..0.6))
                .collect();
            let difference = paired_scores(&one, &base, "r");
            assert_eq!(difference.method, PairedMethod::TrialsT);
            difference
        });
        assert_near_95(covered, &format!("{n} graded trials"));
    }
}

#[test]
fn the_exact_test_seldom_sees_a_difference_where_there_is_none() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut n_seen = 0;
    for _ in 0..DRAWS {
        let scores = |rng: &mut ChaCha8Rng| -> Vec<f64> {
            (0..20)
                .map(|_| f64::from(u8::from(rng.random::<f64>() < 0.5)))
                .collect()
        };
        let (one, other) = (scores(&mut rng), scores(&mut rng));
        n_seen += usize::from(paired_scores(&one, &other, "r").distinguishable);
    }
    let share = n_seen as f64 / DRAWS as f64;
    assert!(share <= 0.05, "{share}");
}

fn losses(rope: &str, nats: &[f64], n_tokens: &[usize]) -> PplResult {
    PplResult {
        task: "ppl".into(),
        rope: rope.into(),
        context: 512,
        stride: 512,
        within: None,
        n_windows: nats.len(),
        windows: Some(WindowLosses {
            document: (0..nats.len()).collect(),
            start: vec![0; nats.len()],
            n_tokens: n_tokens.to_vec(),
            nll_nats: nats.to_vec(),
        }),
        ..PplResult::default()
    }
}

#[test]
fn windows_weigh_as_their_tokens_and_share_their_spread() {
    let tokens = [100, 300];
    let one = losses("yarn", &[2.0, 5.0], &tokens);
    let none = losses("none", &[2.2, 5.1], &tokens);
    let difference = window_difference(&one, &none).unwrap();
    // (100 · -0.2 + 300 · -0.1) / 400; errors 100 · -0.075 and 300 · 0.025, so e² = 7.5² twice, times 2.
    assert!((difference.value - -0.125).abs() < 1e-12);
    assert!((difference.stderr.unwrap() - 15.0 / 400.0).abs() < 1e-12);
    assert_eq!((difference.n, &*difference.reference), (2, "none"));
    // One degree of freedom: 12.7 standard errors.
    let [low, high] = difference.interval.unwrap();
    assert!((high - low - 2.0 * 12.7062 * 15.0 / 400.0).abs() < 1e-4);
    assert!(!difference.distinguishable);

    let yarn = |result: PplResult| PplResult {
        protocol: PplProtocol::Yarn,
        ..result
    };
    let means = window_difference(&yarn(one.clone()), &yarn(none.clone())).unwrap();
    assert!((means.value - -0.15).abs() < 1e-12);

    let alone = |result: &PplResult| losses(&result.rope, &[2.0], &[100]);
    let difference = window_difference(&alone(&one), &alone(&none)).unwrap();
    assert_eq!((difference.stderr, difference.interval), (None, None));
}

#[test]
fn other_windows_and_other_settings_are_refused() {
    let one = losses("yarn", &[2.0, 5.0], &[100, 300]);
    let refused = |other: PplResult| window_difference(&one, &other).unwrap_err().to_string();
    let longer = PplResult {
        context: 1024,
        ..one.clone()
    };
    assert_eq!(refused(longer), "the context differs: 512 and 1024");
    let elsewhere = losses("yarn", &[2.0, 5.0], &[100, 200]);
    assert!(refused(elsewhere).contains("windows differ"));
    let old = PplResult {
        windows: None,
        ..one.clone()
    };
    assert!(refused(old).contains("older version"));
}

fn trials(rope: &str, scores: &[f64]) -> TaskResult {
    let trial = |(trial, score): (usize, &f64)| Trial {
        trial,
        scores: vec![*score],
        details: serde_json::Map::new(),
    };
    TaskResult {
        task: "passkey".into(),
        rope: rope.into(),
        context: 512,
        trials: scores.iter().enumerate().map(trial).collect(),
        ..TaskResult::default()
    }
}

#[test]
fn only_trials_that_differ_count() {
    let yarn = trials("yarn", &[1.0; 10]);
    let mut searched = [1.0; 10];
    searched[..6].fill(0.0);
    let searched = trials("searched", &searched);
    let difference = task_difference(&searched, &yarn).unwrap();
    assert!((difference.value - -0.6).abs() < 1e-12);
    // 2 / 2^6
    assert!((difference.p_value.unwrap() - 0.03125).abs() < 1e-12);
    assert!(difference.distinguishable);
    let same = task_difference(&yarn, &trials("pi", &[1.0; 10])).unwrap();
    assert!(!same.distinguishable && same.value.abs() < 1e-12);

    let seeded = TaskResult {
        seed: 7,
        ..trials("pi", &[1.0; 10])
    };
    let error = task_difference(&yarn, &seeded).unwrap_err();
    assert_eq!(error.to_string(), "the seed differs: 0 and 7");
    let settings = |digits: usize| {
        let settings = serde_json::json!({"digits": digits, "style": "passkey"});
        TaskResult {
            settings: settings.as_object().unwrap().clone(),
            ..trials("pi", &[1.0; 10])
        }
    };
    let error = task_difference(&settings(5), &settings(7)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the settings of the task differ: digits 5; digits 7"
    );
    let error = task_difference(&yarn, &trials("pi", &[1.0; 9])).unwrap_err();
    assert!(error.to_string().contains("10 and 9"), "{error}");
}

#[test]
fn further_metrics_have_differences_of_their_own() {
    let of = |rope: &str, norms: [f64; 10]| {
        let mut result = trials(rope, &[1.0; 10]);
        for (trial, norm) in result.trials.iter_mut().zip(norms) {
            trial.scores.push(norm);
        }
        let other = |name: &str| MetricValue {
            name: name.to_owned(),
            ..MetricValue::default()
        };
        // The last one is no mean over trials.
        result.other_metrics = vec![other("acc_norm"), other("acc_subject_mean")];
        result
    };
    let mut some = [0.0; 10];
    some[..4].fill(1.0);
    let (one, none) = (of("yarn", some), of("none", [0.0; 10]));
    let same = metric_difference(&one, &none, 0).unwrap();
    assert_eq!(same, task_difference(&one, &none).unwrap());
    let found = metric_difference(&one, &none, 1).unwrap();
    assert!((found.value - 0.4).abs() < 1e-12);
    // 2 / 2^4
    assert!((found.p_value.unwrap() - 0.125).abs() < 1e-12);
    assert!(!found.distinguishable);
    let error = metric_difference(&one, &none, 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the trials have no scores of `acc_subject_mean`"
    );
}

#[test]
fn trials_that_all_differ_by_the_same_are_not_certain() {
    let of = |score: f64, other: f64, n: usize| {
        let (one, other) = (vec![score; n], vec![other; n]);
        task_difference(&trials("yarn", &one), &trials("pi", &other)).unwrap()
    };
    // 84% of all trials may differ by something else, from -1 to 1.
    let two = of(0.5, 0.0, 2);
    let [low, high] = two.interval.unwrap();
    assert!((low + 0.7628).abs() < 1e-4 && (high - 0.9209).abs() < 1e-4);
    assert!(!two.distinguishable && two.stderr.is_none());
    // 31% of them.
    let ten = of(0.5, 0.0, 10);
    assert!(ten.distinguishable && ten.interval.unwrap()[0] > 0.03);
    let same = of(0.25, 0.25, 10);
    assert!(!same.distinguishable && same.half_width().unwrap() > 0.3);
}

#[test]
fn nats_that_all_differ_by_the_same_have_no_interval() {
    let certain = |found: &Difference| (found.interval, found.distinguishable);
    let found = paired_scores(&[1.5, 2.5], &[1.0, 2.0], "none");
    assert_eq!(certain(&found), (None, false));
    // Two windows of the same text, say.
    let one = losses("yarn", &[2.0, 2.0], &[100, 100]);
    let none = losses("none", &[2.5, 2.5], &[100, 100]);
    let found = window_difference(&one, &none).unwrap();
    assert_eq!((certain(&found), found.stderr), ((None, false), None));
    // One RoPE under two names.
    let found = window_difference(&one, &losses("pi", &[2.0, 2.0], &[100, 100])).unwrap();
    assert_eq!(certain(&found), (Some([0.0, 0.0]), false));
}

/// Context gains of windows of these documents.
fn gains(rope: &str, scores: &[f64], documents: impl Iterator<Item = usize>) -> TaskResult {
    let mut result = TaskResult {
        task: "gain".into(),
        n: scores.len(),
        metric: MetricValue::of(&Metric::number("context_gain", true), scores),
        ..trials(rope, scores)
    };
    for (trial, document) in result.trials.iter_mut().zip(documents) {
        let document = serde_json::json!(document);
        trial.details.insert("document".to_owned(), document);
    }
    result
}

#[test]
fn gains_in_windows_of_one_document_are_not_independent() {
    // Twelve documents of four windows each; the gain is that of the document.
    let documents = || (0..48_usize).map(|window| window / 4);
    let scores: Vec<f64> = documents().map(|document| 0.1 * document as f64).collect();
    let mut one = gains("yarn", &scores, documents());
    add_gain_intervals(&mut one);
    // That of twelve values: 0.1 · sqrt(143 / 11 / 12), with eleven degrees of freedom.
    let stderr = 0.1 * (143.0_f64 / 11.0 / 12.0).sqrt();
    assert!((one.metric.stderr.unwrap() - stderr).abs() < 1e-12);
    let [low, high] = one.metric.interval.unwrap();
    assert!((high - low - 2.0 * 2.201 * stderr).abs() < 1e-4);
    let none = gains("none", &[0.0; 48], documents());
    let difference = task_difference(&one, &none).unwrap();
    assert_eq!(difference.method, PairedMethod::DocumentsT);
    assert!((difference.stderr.unwrap() - stderr).abs() < 1e-12);
    let elsewhere = gains("none", &[0.0; 48], documents().map(|document| document + 1));
    let error = task_difference(&one, &elsewhere).unwrap_err();
    assert_eq!(error, Unpaired::Windows);
}

#[test]
fn every_result_gets_its_difference_to_the_reference_at_its_context() {
    let mut results = vec![
        losses("none", &[2.2, 5.1], &[100, 300]),
        losses("yarn", &[2.0, 5.0], &[100, 300]),
        PplResult {
            context: 1024,
            ..losses("yarn", &[2.0, 5.0], &[100, 300])
        },
    ];
    add_window_differences(&mut results, "none");
    let has: Vec<bool> = results.iter().map(|r| r.difference.is_some()).collect();
    assert_eq!(has, [false, true, false]);
    let mut results = vec![trials("none", &[0.0]), trials("yarn", &[1.0])];
    add_task_differences(&mut results, "yarn");
    assert!((results[0].difference.as_ref().unwrap().value - -1.0).abs() < 1e-12);
    assert_eq!(results[1].difference, None);
}
