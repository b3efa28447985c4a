//! The rules of transformers against what the released versions computed.
//!
//! `tests/fixtures/rope/transformers_views.jsonl` was made by `tests/fixtures/rope/views.py` with the real config classes and
//! RoPE functions of transformers 4.57.6 and 5.24.0.

use serde_json::Value;

use super::computed::UNEXPLAINED;
use super::diagnose;
use super::view::{Outcome, Runtime};

/// Configs of many spellings, which our reader reads as transformers 5.24 does.
const CONFIGS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/configs/golden.json"
);
const VIEWS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/rope/transformers_views.jsonl"
);

/// f32 of transformers against our f64.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2e-6 * b.abs()
}

fn check(name: &str, outcome: &Outcome, real: &Value) -> Result<(), String> {
    let rules = match (outcome, real.get("error")) {
        (Outcome::Refuses { .. } | Outcome::Unknown { .. }, Some(_)) => return Ok(()),
        (Outcome::Refuses { reason } | Outcome::Unknown { reason }, None) => {
            return Err(format!("{name}: refuses: {reason}"));
        }
        (Outcome::Loads(_), Some(error)) => return Err(format!("{name}: loads, but {error}")),
        (Outcome::Loads(rules), None) => rules,
    };
    if !close(rules.theta, real["theta"].as_f64().unwrap()) {
        return Err(format!("{name}: theta {} {}", rules.theta, real["theta"]));
    }
    let sets = [
        ("short", rules.factors.first()),
        ("long", rules.factors.get(1)),
    ];
    for (key, row) in sets {
        let (Some(row), Some(inv_freq)) = (row, real[key].as_array()) else {
            continue;
        };
        if !close(row.attention_scale, real["attention"].as_f64().unwrap()) {
            return Err(format!(
                "{name}: attention {} {}",
                row.attention_scale, real["attention"]
            ));
        }
        let n_pairs = row.values.len();
        if inv_freq.len() != n_pairs {
            return Err(format!("{name}: {n_pairs} pairs, real {}", inv_freq.len()));
        }
        for (i, (factor, real)) in row.values.iter().zip(inv_freq).enumerate() {
            let exponent = i as f64 / n_pairs as f64;
            let ours = 1.0 / (factor * rules.theta.powf(exponent));
            if !close(ours, real.as_f64().unwrap()) {
                return Err(format!("{name} {key}: pair {i}: {ours} {real}"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_rules_of_transformers_are_those_of_the_released_code() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    let views = fs_err::read_to_string(VIEWS).unwrap();
    for line in views.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        // A few configs load in neither; what is in them is for the reader to refuse.
        let Ok(diagnosis) = diagnose(&line["config"]) else {
            println!(
                "refused by us: {} {:?}",
                line["name"],
                diagnose(&line["config"]).unwrap_err().to_string()
            );
            continue;
        };
        for (runtime, key) in [
            (Runtime::Transformers4, "4.57.6"),
            (Runtime::Transformers5, "5.24.0"),
        ] {
            let mut views = diagnosis.runtimes.iter();
            let view = views.find(|view| view.runtime == runtime).unwrap();
            assert_eq!(view.version, key);
            let name = format!("{} {key}", line["name"]);
            compared += 1;
            wrong.extend(check(&name, &view.outcome, &line[key]).err());
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(compared >= 200, "{compared}");
}

#[test]
fn every_config_of_the_reader_is_seen_as_transformers_5_reads_it() {
    let golden: Value = serde_json::from_slice(&fs_err::read(CONFIGS).unwrap()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let config = &case["config"];
        let diagnosis = diagnose(config).unwrap();
        for line in &diagnosis.disagreements {
            assert_ne!(line.consequence, UNEXPLAINED, "{line} {config}");
        }
        let rules = |runtime| {
            let mut views = diagnosis.runtimes.iter();
            let view = views.find(|view| view.runtime == runtime);
            view.unwrap().rules().unwrap()
        };
        let (theirs, ours) = (rules(Runtime::Transformers5), rules(Runtime::Longrope));
        assert!(close(theirs.theta, ours.theta), "{config}");
        assert_eq!(theirs.factors.len(), ours.factors.len(), "{config}");
        for (theirs, ours) in theirs.factors.iter().zip(&ours.factors) {
            let pairs = theirs.values.iter().zip(&ours.values);
            assert_eq!(theirs.values.len(), ours.values.len(), "{config}");
            assert!(pairs.into_iter().all(|(a, b)| close(*a, *b)), "{config}");
        }
    }
}
