//! Statements of a config that contradict each other, and what each runtime makes of them.

use super::facts::Facts;
use super::view::{Conflict, Outcome, Reading, RuntimeView};

/// The contradictions of a config, as the reader found them; most have none.
pub(super) fn conflict(facts: &Facts, views: &[RuntimeView]) -> Option<Conflict> {
    let texts: Vec<&str> = facts
        .conflicts
        .iter()
        .map(|conflict| conflict.text.as_str())
        .collect();
    (!texts.is_empty()).then(|| Conflict {
        what: texts.join("; "),
        readings: readings(views),
    })
}

fn readings(views: &[RuntimeView]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    for view in views {
        let takes = takes(view);
        match readings.iter_mut().find(|reading| reading.takes == takes) {
            Some(reading) => reading.runtimes.push(view.runtime),
            None => readings.push(Reading {
                runtimes: vec![view.runtime],
                takes,
            }),
        }
    }
    readings
}

/// What a runtime computes, in a few words.
fn takes(view: &RuntimeView) -> String {
    let rules = match &view.outcome {
        Outcome::Refuses { .. } => return "does not load".to_owned(),
        Outcome::Unknown { .. } => return "not known".to_owned(),
        Outcome::Loads(rules) => rules,
    };
    let longest = rules.factors.last();
    let factors = match longest {
        Some(row) if !row.is_plain() => format!("factors up to {}", rounded(row.last)),
        _ => "plain RoPE".to_owned(),
    };
    let attention = longest.map_or(1.0, |row| row.attention_scale);
    let attention = if (attention - 1.0).abs() < 1e-9 {
        String::new()
    } else {
        format!(", attention scale {}", rounded(attention))
    };
    format!("{factors}, theta {}{attention}", rules.theta)
}

/// A number with up to four decimals.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::diagnose;
    use super::super::tests::{model, rules};
    use super::super::view::Runtime;

    #[test]
    fn a_config_without_contradictions_has_no_conflict() {
        for config in [
            model("llama", json!({})),
            model(
                "llama",
                json!({"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}}),
            ),
        ] {
            assert_eq!(diagnose(&config).unwrap().conflict, None);
        }
    }

    #[test]
    fn runtimes_take_different_ones_of_type_and_rope_type() {
        let section = json!({"type": "linear", "rope_type": "dynamic", "factor": 2.0});
        let config = model("llama", json!({"rope_scaling": section}));
        let conflict = diagnose(&config).unwrap().conflict.unwrap();
        let loads = |runtime| {
            let mut readings = conflict.readings.iter();
            let reading = readings.find(|reading| reading.runtimes.contains(&runtime));
            reading.unwrap().takes != "does not load"
        };
        assert!(!loads(Runtime::Vllm));
        assert!(!loads(Runtime::Exllamav3));
        for (runtime, sets) in [
            (Runtime::Transformers4, 1),
            (Runtime::MlxLm, 1),
            (Runtime::Transformers5, 2),
        ] {
            assert_eq!(rules(&config, runtime).factors.len(), sets, "{runtime:?}");
        }
    }

    #[test]
    fn runtimes_take_different_ones_of_two_sections() {
        let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024});
        let config = model(
            "llama",
            json!({"rope_theta": 500_000.0, "rope_scaling": yarn, "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}}),
        );
        let diagnosis = diagnose(&config).unwrap();
        assert_eq!(diagnosis.rope, "yarn");
        let text = diagnosis.conflict.unwrap().to_string();
        assert!(
            text.starts_with("`rope_scaling.rope_type` (yarn) is used and not"),
            "{text}"
        );
        for runtime in [
            Runtime::Transformers4,
            Runtime::Transformers5,
            Runtime::Vllm,
            Runtime::MlxLm,
        ] {
            assert_eq!(rules(&config, runtime).factors[0].last, 4.0, "{runtime:?}");
        }
    }
}
