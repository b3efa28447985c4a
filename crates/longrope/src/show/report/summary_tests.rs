use longrope_eval::WindowLosses;
use longrope_model::ResultSource;
use longrope_rope::{Provenance, RopeArtifact, RopeScaling, RopeSpec};
use serde_json::json;

use super::*;
use crate::show::report::data::Evaluation;

/// A perplexity of windows of 64 tokens with these losses, one per document.
fn ppl(rope: &str, nats: &[f64]) -> PplResult {
    let mean = nats.iter().sum::<f64>() / nats.len() as f64;
    PplResult {
        task: "ppl".to_owned(),
        rope: rope.to_owned(),
        context: 64,
        stride: 64,
        n_windows: nats.len(),
        n_tokens: 63 * nats.len(),
        nll_nats: mean,
        ppl: mean.exp(),
        windows: Some(WindowLosses {
            document: (0..nats.len()).collect(),
            start: vec![0; nats.len()],
            n_tokens: vec![63; nats.len()],
            nll_nats: nats.to_vec(),
        }),
        ..PplResult::default()
    }
}

/// What the summary says about the price of these losses.
fn price_of(before: PplResult, own: PplResult) -> String {
    let spec = RopeSpec::new(8, 1e4, 64, RopeScaling::None {}).unwrap();
    let report = RunReport {
        run: "run".to_owned(),
        rope: Some(RopeArtifact::from_spec(&spec, Provenance::default())),
        evaluations: vec![Evaluation {
            file: "eval/ppl.json".to_owned(),
            source: Some(ResultSource {
                model: "m".to_owned(),
                ..ResultSource::default()
            }),
            perplexities: vec![before, own],
            tasks: Vec::new(),
            effective_lengths: Vec::new(),
        }],
        ..RunReport::default()
    };
    let groups = groups::perplexities(&report);
    let price = price(&report, &groups[0]).unwrap();
    let begin =
        "The price at short contexts: at 64 tokens, inside the original window, perplexity is ";
    price.strip_prefix(begin).unwrap().to_owned()
}

#[test]
fn the_price_says_whether_it_is_more_than_chance() {
    let own = || ppl("rope.json", &[2.00, 3.00, 2.50]);
    assert_eq!(
        price_of(ppl("none", &[1.95, 2.94, 2.46]), own()),
        "12.182 instead of 11.588: 5.1% higher (+0.0500 ± 0.0248 nats per token), so it is worse on this text. These are \
         only 3 windows."
    );
    assert_eq!(
        price_of(ppl("none", &[2.05, 2.90, 2.52]), own()),
        "12.182 instead of 12.061: these windows do not tell them apart (+0.0100 ± 0.1972 nats per token). These are only \
         3 windows."
    );
    let old = |result: PplResult| PplResult {
        windows: None,
        ..result
    };
    assert_eq!(
        price_of(old(ppl("none", &[1.95, 2.94, 2.46])), old(own())),
        "12.182 instead of 11.588: 5.1% higher, of unknown certainty. These are only 3 windows."
    );
}

#[test]
fn passkeys_on_the_samples_of_a_search_are_counted() {
    let method = |name: &str, nats: f64, found: [u8; 4]| json!({"method": name, "nll_nats": nats, "passkey_accuracy": 0.5, "passkeys_found": found});
    let search = json!({
        "format": "longrope-search-result", "version": 1, "target_context": 128, "best_nats": 2.0, "best_ppl": 7.4,
        "start_tokens": 0, "attention_scale": 1.0, "evaluations": 1, "token_evaluations": 1, "failures": 0,
        "objective": "mean loss per token", "elapsed_secs": 1.0,
        "searched": method("searched", 2.0, [1, 1, 1, 0]),
        "baselines": [method("yarn", 2.1, [0, 1, 0, 1])],
    });
    let said = on_samples(&serde_json::from_value(search).unwrap());
    assert!(
        said[0].starts_with(
            "On the samples of the search, the winner has perplexity 7.389, and finds 3 of 4 passkeys; the best known method \
             on text, yarn, has 8.166, and finds 2 of 4 passkeys"
        ),
        "{said:?}"
    );
}

#[test]
fn a_tie_is_called_one() {
    let has = |n_best| first_of("none", n_best, "the highest score,");
    assert_eq!(has(1), "none has the highest score,");
    assert_eq!(has(2), "none and one other have the highest score,");
    assert_eq!(has(4), "none and 3 others have the highest score,");
}
