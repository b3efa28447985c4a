//! Published rescale factors load, and the closed forms give the published numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longrope_rope::{
    AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec, Warning,
    critical_ntk_factors, factors_from_csv, read_hf_rope,
};
use serde::Deserialize;
use serde_json::json;

/// Published heads have ten digits, but the critical factor they are powers of has been rounded to four.
const FOUR_DIGITS: f64 = 3e-4;

#[derive(Deserialize)]
struct Published {
    searched: Vec<Searched>,
    critical: Vec<Critical>,
}

#[derive(Deserialize)]
struct Searched {
    name: String,
    theta: f64,
    original_context: usize,
    first_decrease: Option<usize>,
    factors: Vec<f64>,
}

#[derive(Deserialize)]
struct Critical {
    name: String,
    rotary_dim: usize,
    theta: f64,
    original_context: usize,
    max_context: usize,
    #[serde(rename = "critical")]
    pair: usize,
    #[serde(default)]
    head: Vec<f64>,
    tail: Vec<f64>,
}

impl Critical {
    fn factors(&self) -> Vec<f64> {
        let mut factors = critical_ntk_factors(self.rotary_dim / 2, 0, self.pair, self.tail[0]);
        factors[self.pair..].copy_from_slice(&self.tail);
        factors
    }
}

fn published() -> Published {
    serde_json::from_str(include_str!(
        "../../../tests/fixtures/rope/published_factors.json"
    ))
    .unwrap()
}

fn llama_config(searched: &Searched) -> serde_json::Value {
    json!({
        "model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32,
        "rope_theta": searched.theta, "max_position_embeddings": 32 * searched.original_context,
        "original_max_position_embeddings": searched.original_context,
        "rope_scaling": {"type": "longrope", "short_factor": vec![1.0; 64], "long_factor": searched.factors},
    })
}

#[test]
fn searched_factors_load_with_a_warning_where_they_decrease() {
    for searched in published().searched {
        let rope = read_hf_rope(&llama_config(&searched)).unwrap();
        let expected: Vec<Warning> = searched
            .first_decrease
            .map(|index| Warning::NotMonotone {
                key: "long_factor",
                index,
            })
            .into_iter()
            .collect();
        assert_eq!(rope.warnings, expected, "{}", searched.name);
        let factors = rope.spec.factor_set(131_072).unwrap().factors.as_slice();
        assert_eq!(factors, searched.factors, "{}", searched.name);
    }
}

#[test]
fn searched_factors_load_from_a_layers_by_pairs_table() {
    for searched in published().searched {
        let row: Vec<String> = searched.factors.iter().map(f64::to_string).collect();
        let table = format!("{}\n", row.join(",")).repeat(32);
        assert_eq!(
            factors_from_csv(&table).unwrap().as_slice(),
            searched.factors,
            "{}",
            searched.name
        );
        assert_eq!(
            factors_from_csv(&row.join("\n")).unwrap().as_slice(),
            searched.factors,
            "{}",
            searched.name
        );
    }
}

#[test]
fn the_closed_form_gives_the_factors_below_the_critical_pair() {
    for critical in published().critical {
        let factors = critical.factors();
        for (found, expected) in factors.iter().zip(&critical.head) {
            assert!(
                (found / expected - 1.0).abs() < FOUR_DIGITS,
                "{}: {found}, expected {expected}",
                critical.name
            );
        }
        assert_eq!(
            RescaleFactors::new(factors).unwrap().first_decrease(),
            None,
            "{}",
            critical.name
        );
    }
}

#[test]
fn published_models_have_the_published_critical_factor_and_attention_scale() {
    let expected = [(33, 21.81, 1.143_544), (31, 32.03, 1.190_238)];
    for (published, (critical, factor, attention_scale)) in
        published().critical.iter().zip(expected)
    {
        assert_eq!(published.pair, critical);
        let set = |max_context, factors| FactorSet {
            max_context,
            start_tokens: 0,
            factors,
            attention: None,
        };
        let long = RescaleFactors::new(published.factors()).unwrap();
        let sets = vec![
            set(
                published.original_context,
                RescaleFactors::ones(published.rotary_dim / 2),
            ),
            set(published.max_context, long),
        ];
        let scaling = RopeScaling::LongRope {
            sets,
            attention: AttentionScale::Su {},
        };
        let spec = RopeSpec::new(
            published.rotary_dim,
            published.theta,
            published.original_context,
            scaling,
        )
        .unwrap();
        let rope = spec.resolve(published.max_context);
        let plain = spec.plain().resolve(published.max_context);
        let lambda = plain.inv_freq()[critical] / rope.inv_freq()[critical];
        assert!((lambda / factor - 1.0).abs() < 1e-12);
        assert!((rope.attention_scale() - attention_scale).abs() < 5e-7);
        assert_eq!(
            spec.resolve(published.original_context).inv_freq(),
            plain.inv_freq()
        );
    }
}
