use super::*;

fn ppl(rope: &str, context: usize, nll_nats: f64) -> PplResult {
    PplResult {
        task: "ppl".to_owned(),
        rope: rope.to_owned(),
        context,
        stride: context,
        within: None,
        n_windows: 4,
        n_tokens: 4 * (context - 1),
        nll_nats,
        stderr_nats: Some(0.1),
        ppl: nll_nats.exp(),
        ppl_window_mean: nll_nats.exp(),
        bos: "document".to_owned(),
        ..PplResult::default()
    }
}

fn evaluation(file: &str, model: &str, text: &str, perplexities: Vec<PplResult>) -> Evaluation {
    Evaluation {
        file: file.to_owned(),
        source: Some(ResultSource {
            tool_version: "0.2.0".to_owned(),
            model: model.to_owned(),
            model_fingerprint: format!("fingerprint of {model}"),
            text_fingerprint: Some(text.to_owned()),
            texts: vec![format!("{file}.txt")],
            rope: None,
            seed: Some(42),
            devices: vec!["flex".to_owned()],
            precision: Some("f32".to_owned()),
            angles: None,
            rope_layers: None,
        }),
        perplexities,
        tasks: Vec::new(),
        effective_lengths: Vec::new(),
    }
}

fn report(evaluations: Vec<Evaluation>) -> RunReport {
    RunReport {
        run: "run".to_owned(),
        evaluations,
        ..RunReport::default()
    }
}

fn sizes(report: &RunReport) -> Vec<usize> {
    perplexities(report)
        .iter()
        .map(|group| group.rows.len())
        .collect()
}

#[test]
fn results_of_other_texts_and_settings_stay_apart() {
    let two = || vec![ppl("none", 256, 3.0), ppl("yarn", 256, 2.9)];
    let other = |change: fn(&mut PplResult)| {
        let mut results = two();
        results.iter_mut().for_each(change);
        results
    };
    let beside = |results, text| {
        sizes(&report(vec![
            evaluation("eval/ppl.json", "a", "t", two()),
            evaluation("eval/compare.json", "b", text, results),
        ]))
    };
    assert_eq!(beside(two(), "t"), [4]);
    assert_eq!(beside(two(), "u"), [2, 2]);
    assert_eq!(beside(other(|ppl| ppl.n_windows = 8), "t"), [2, 2]);
    assert_eq!(beside(other(|ppl| ppl.stride = 16), "t"), [2, 2]);
    assert_eq!(beside(other(|ppl| ppl.within = Some(64)), "t"), [2, 2]);
    assert_eq!(
        beside(other(|ppl| ppl.bos = "none".to_owned()), "t"),
        [2, 2]
    );
    // A file of factors that was written again.
    let rope = |fingerprint: &str| {
        let fingerprint = Some(fingerprint.to_owned());
        let result = ppl("rope.json", 256, 3.0);
        vec![PplResult {
            rope_fingerprint: fingerprint,
            ..result
        }]
    };
    let other_context = |fingerprint: &str| {
        let mut results = rope(fingerprint);
        results[0].context = 512;
        results
    };
    for (fingerprint, expected) in [("old", vec![2]), ("new", vec![1, 1])] {
        let both = report(vec![
            evaluation("eval/ppl.json", "a", "t", rope("old")),
            evaluation("eval/compare.json", "a", "t", other_context(fingerprint)),
        ]);
        assert_eq!(sizes(&both), expected, "{fingerprint}");
    }
    // A RoPE in all layers is another one than in those that see all tokens.
    let mut shared = evaluation("eval/compare.json", "a", "t", two());
    if let Some(source) = &mut shared.source {
        source.rope_layers = Some("all".to_owned());
    }
    let known = evaluation("eval/ppl.json", "b", "t", two());
    assert_eq!(sizes(&report(vec![known, shared])), [2, 2]);
    // Without a source, nobody knows.
    let mut old = evaluation("eval/old.json", "a", "t", two());
    old.source = None;
    let known = evaluation("eval/ppl.json", "a", "t", two());
    assert_eq!(sizes(&report(vec![old, known])), [2, 2]);
}

#[test]
fn lines_are_of_one_rope_of_one_model() {
    let results = |nats: f64| vec![ppl("none", 512, nats + 1.0), ppl("none", 256, nats)];
    let both = report(vec![
        evaluation("eval/ppl.json", "run/model", "t", results(3.0)),
        evaluation("eval/compare.json", "b", "t", results(2.0)),
    ]);
    let groups = perplexities(&both);
    assert_eq!(groups.len(), 1);
    let lines = groups[0].lines();
    let contexts: Vec<Vec<usize>> = lines
        .iter()
        .map(|line| line.iter().map(|row| row.context).collect())
        .collect();
    assert_eq!(contexts, [[256, 512], [256, 512]]);
    assert_eq!(groups[0].label(lines[0][0]), "model: none");
    assert_eq!(groups[0].label(lines[1][0]), "b: none");
    assert!(lines[0][0].is_own && !lines[1][0].is_own);
    // The same model twice, with other numbers, is no line that goes up and down.
    let twice = report(vec![
        evaluation("eval/ppl.json", "a", "t", results(3.0)),
        evaluation("eval/compare.json", "a", "t", results(2.0)),
    ]);
    assert_eq!(sizes(&twice), [2, 2]);
}

#[test]
fn models_are_named_by_the_ends_of_their_paths() {
    let one = |file: &str, model: &str| evaluation(file, model, "t", vec![ppl("none", 256, 3.0)]);
    let both = report(vec![
        one("eval/ppl.json", "/models/base/tiny"),
        one("eval/a.json", "runs/a/model"),
        one("eval/b.json", "runs/b/model"),
    ]);
    let groups = perplexities(&both);
    let labels: Vec<String> = groups[0]
        .rows
        .iter()
        .map(|row| groups[0].label(row))
        .collect();
    assert_eq!(labels, ["tiny: none", "a/model: none", "b/model: none"]);
}
