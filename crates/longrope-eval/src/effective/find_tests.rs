use serde_json::json;

use super::*;
use crate::metric::Metric;
use crate::report::MetricValue;

/// A result of 20 trials at a window of 256 tokens.
fn result(task: &str, rope: &str, context: usize, n_right: usize) -> TaskResult {
    let scores: Vec<f64> = (0..20).map(|i| f64::from(u8::from(i < n_right))).collect();
    TaskResult {
        task: task.to_owned(),
        task_version: 1,
        rope: rope.to_owned(),
        context,
        original_context: Some(256),
        n: 20,
        metric: MetricValue::of(&Metric::higher("accuracy"), &scores),
        ..TaskResult::default()
    }
}

fn contexts(results: &[TaskResult], rule: EffectiveRule) -> Vec<Option<usize>> {
    let found = effective_lengths(results, rule);
    found.iter().map(|one| one.effective_context).collect()
}

#[test]
fn every_context_up_to_the_effective_length_keeps_the_score() {
    // 20, 18 and 17 of 20 are at least 85% of 20; a later context that does well again does not count.
    let grid = |scores: [usize; 4]| {
        let contexts = [256, 512, 1024, 2048];
        let cell = |(context, n)| result("passkey", "yarn", context, n);
        contexts
            .into_iter()
            .zip(scores)
            .map(cell)
            .collect::<Vec<_>>()
    };
    let share = EffectiveRule::default();
    assert_eq!(contexts(&grid([20, 18, 17, 16]), share), [Some(1024)]);
    assert_eq!(contexts(&grid([20, 16, 20, 20]), share), [Some(256)]);
    assert_eq!(contexts(&grid([10, 9, 9, 9]), share), [Some(2048)]);
    assert_eq!(
        contexts(&grid([10, 9, 9, 9]), EffectiveRule::Score(0.85)),
        [None]
    );
    assert_eq!(
        contexts(&grid([20, 18, 17, 16]), EffectiveRule::Score(0.9)),
        [Some(512)]
    );
}

#[test]
fn what_fails_inside_the_original_window_is_said_to_fail() {
    let results = [
        result("passkey", "none", 256, 0),
        result("passkey", "none", 512, 0),
    ];
    let found = &effective_lengths(&results, EffectiveRule::default())[0];
    assert!(
        found.unable && found.effective_context.is_none(),
        "{found:?}"
    );
    // A choice of four is right in a quarter of trials by chance: 8 of 20 are not clearly more.
    let choice = |n_right| {
        let mut pair = [
            result("needle-association", "none", 256, n_right),
            result("needle-association", "none", 512, n_right),
        ];
        for one in &mut pair {
            one.settings.insert("candidates".to_owned(), json!(4));
        }
        effective_lengths(&pair, EffectiveRule::default())[0].clone()
    };
    assert!(choice(8).unable);
    assert_eq!(choice(16).effective_context, Some(512));
}

#[test]
fn without_a_score_at_the_original_window_there_is_no_share_of_it() {
    let results = [result("passkey", "pi", 512, 20)];
    let found = &effective_lengths(&results, EffectiveRule::default())[0];
    assert_eq!(
        (
            found.original_score,
            found.threshold,
            found.effective_context
        ),
        (None, None, None)
    );
    assert_eq!(contexts(&results, EffectiveRule::Score(0.5)), [Some(512)]);
}

#[test]
fn only_grids_beyond_the_window_have_a_length() {
    assert!(
        effective_lengths(
            &[result("passkey", "none", 256, 20)],
            EffectiveRule::default()
        )
        .is_empty()
    );
    let mut old = result("passkey", "none", 512, 20);
    old.original_context = None;
    assert!(effective_lengths(&[old], EffectiveRule::default()).is_empty());
}

#[test]
fn ruler_has_one_length_of_the_tasks_that_fit_everywhere() {
    let results = [
        result("ruler/vt", "yarn", 256, 20),
        result("ruler/vt", "yarn", 512, 20),
        result("ruler/fwe", "yarn", 256, 20),
        result("ruler/fwe", "yarn", 512, 10),
        // It does not fit into 256 tokens, so it is no part of the mean.
        result("ruler/cwe", "yarn", 512, 0),
    ];
    let found = effective_lengths(&results, EffectiveRule::default());
    let names: Vec<&str> = found.iter().map(|one| one.task.as_str()).collect();
    assert_eq!(names, ["ruler/vt", "ruler/fwe", "ruler/cwe", "ruler"]);
    assert_eq!(
        found[3].effective_context,
        Some(256),
        "the mean at 512 is 75%"
    );
    assert_eq!(contexts(&results, EffectiveRule::Score(0.7))[3], Some(512));
}

#[test]
fn contexts_below_the_window_take_no_task_out_of_the_mean_of_ruler() {
    let results = [
        // `cwe` does not fit into 128 tokens, which say nothing about a length.
        result("ruler/vt", "yarn", 128, 20),
        result("ruler/vt", "yarn", 256, 20),
        result("ruler/vt", "yarn", 512, 20),
        result("ruler/cwe", "yarn", 256, 20),
        result("ruler/cwe", "yarn", 512, 0),
    ];
    let found = effective_lengths(&results, EffectiveRule::default());
    assert_eq!(found[2].task, "ruler");
    assert_eq!(
        found[2].effective_context,
        Some(256),
        "the mean at 512 is 50%"
    );
    let below = [result("ruler/vt", "yarn", 128, 20)];
    assert!(effective_lengths(&below, EffectiveRule::default()).is_empty());
}

#[test]
fn the_json_is_pinned() {
    let results = [
        result("passkey", "yarn", 256, 20),
        result("passkey", "yarn", 512, 17),
    ];
    let report = EvalReport::new(results).with_effective_lengths(EffectiveRule::default());
    let expected = concat!(
        r#"[{"task":"passkey","rope":"yarn","original_context":256,"original_score":1.0,"#,
        r#""threshold":0.85,"share":0.85,"effective_context":512,"longest_context":512,"#,
        r#""unable":false}]"#
    );
    let text = serde_json::to_string(&report.effective_lengths).unwrap();
    assert_eq!(text, expected);
}
