//! Where the runtimes differ from this project.

use super::computed::{Computed, Explanation};
use super::facts::Facts;
use super::view::{Disagreement, Rules, Runtime, RuntimeView, Topic};

/// Relative difference below which two numbers are equal: below the resolution of f32.
const SAME: f64 = 1e-8;

const TOPICS: [Topic; 5] = [
    Topic::Theta,
    Topic::Factors,
    Topic::AttentionScale,
    Topic::Switch,
    Topic::DefaultContext,
];

/// The differences between the runtimes and this project. Topics and runtimes with the same cause share an entry.
pub(super) fn disagreements(
    facts: &Facts,
    computed: &[(Runtime, Result<Computed, String>)],
) -> Vec<Disagreement> {
    let ours = computed
        .iter()
        .find(|(runtime, _)| *runtime == Runtime::Longrope);
    let Some((_, Ok(ours))) = ours else {
        return Vec::new();
    };
    let mut found: Vec<Disagreement> = Vec::new();
    for (runtime, theirs) in computed {
        for (topics, Explanation { what, consequence }) in differences(facts, theirs, &ours.rules) {
            let same = found.iter_mut().find(|line| {
                line.topics == topics && line.what == what && line.consequence == consequence
            });
            match same {
                Some(same) => same.runtimes.push(*runtime),
                None => found.push(Disagreement {
                    topics,
                    runtimes: vec![*runtime],
                    what,
                    consequence,
                }),
            }
        }
    }
    found
}

fn differences(
    facts: &Facts,
    theirs: &Result<Computed, String>,
    ours: &Rules,
) -> Vec<(Vec<Topic>, Explanation)> {
    let computed = match theirs {
        Ok(computed) => computed,
        Err(reason) => {
            let explanation = Explanation {
                what: reason.clone(),
                consequence: "the checkpoint does not load".to_owned(),
            };
            return vec![(vec![Topic::Loading], explanation)];
        }
    };
    let mut lines: Vec<(Vec<Topic>, Explanation)> = Vec::new();
    for topic in TOPICS {
        if agree(topic, facts, &computed.rules, ours) {
            continue;
        }
        let explanation = computed.explain(topic);
        match lines.iter_mut().find(|line| line.1 == explanation) {
            Some(line) => line.0.push(topic),
            None => lines.push((vec![topic], explanation)),
        }
    }
    lines
}

/// The rules of one runtime, if it loads the config.
pub(super) fn rules_of(views: &[RuntimeView], runtime: Runtime) -> Option<&Rules> {
    views
        .iter()
        .find(|view| view.runtime == runtime)
        .and_then(RuntimeView::rules)
}

/// Whether two runtimes agree. The default context is compared with the context that the config claims.
pub(super) fn agree(topic: Topic, facts: &Facts, theirs: &Rules, ours: &Rules) -> bool {
    match topic {
        Topic::Loading => true,
        Topic::Theta => same(theirs.theta, ours.theta),
        Topic::Factors => {
            theirs.factors.len() == ours.factors.len()
                && theirs.factors.iter().zip(&ours.factors).all(|(a, b)| {
                    a.values.len() == b.values.len()
                        && a.values.iter().zip(&b.values).all(|(a, b)| same(*a, *b))
                })
        }
        Topic::AttentionScale => {
            // If the numbers of sets differ, all scales must be equal.
            let scales = |rules: &Rules| -> Vec<f64> {
                rules
                    .factors
                    .iter()
                    .map(|row| row.attention_scale)
                    .collect()
            };
            let (theirs, ours) = (scales(theirs), scales(ours));
            if theirs.len() == ours.len() {
                theirs.iter().zip(&ours).all(|(a, b)| same(*a, *b))
            } else {
                theirs.iter().all(|a| ours.iter().all(|b| same(*a, *b)))
            }
        }
        Topic::Switch => theirs.switch == ours.switch,
        Topic::DefaultContext => theirs
            .default_context
            .is_none_or(|context| context == facts.max_context),
    }
}

pub(super) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::computed::UNEXPLAINED;
    use super::super::diagnose;
    use super::super::tests::{FAMILIES, LONG, SHORT, about, model, published, rules, with};
    use super::*;
    use crate::Outcome;

    /// Configs of every kind and family.
    fn configs() -> Vec<Value> {
        let yarn = |factor: f64, original: usize| {
            json!({
                "rope_type": "yarn", "factor": factor,
                "original_max_position_embeddings": original,
            })
        };
        let llama3 = |original: usize| {
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": original})
        };
        let long = |more: Value| {
            let mut section =
                json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG});
            section
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            section
        };
        let sections = [
            json!({"rope_type": "default"}),
            json!({"rope_type": "linear", "factor": 4.0}),
            json!({"rope_type": "dynamic", "factor": 4.0}),
            yarn(4.0, 1024),
            yarn(4.0, 4096),
            json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024, "attention_factor": 1.5}),
            llama3(8192),
            llama3(512),
            long(json!({})),
            long(json!({"type": "su", "rope_type": "su"})),
            long(json!({"original_max_position_embeddings": 1024})),
            long(json!({"original_max_position_embeddings": 1024, "factor": 8.0})),
            long(json!({"original_max_position_embeddings": 1024, "attention_factor": 1.5})),
            long(
                json!({"original_max_position_embeddings": 1024, "short_mscale": 1.1, "long_mscale": 1.2}),
            ),
        ];
        // The classes of these fill in YaRN.
        let mut configs = vec![
            model("gpt_oss", json!({})),
            model(
                "gpt_oss",
                json!({"rope_scaling": {}, "original_max_position_embeddings": 32}),
            ),
            model("ministral3", json!({})),
        ];
        // Neither true nor false.
        for family in ["llama", "arcee"] {
            let mut section = yarn(4.0, 1024);
            section["truncate"] = Value::Null;
            configs.push(model(family, json!({"rope_scaling": section})));
        }
        for family in FAMILIES {
            configs.push(model(family, json!({})));
            configs.push(published(family));
            for section in &sections {
                // A Phi-3 config that says YaRN means longrope, and these have no factors.
                if family == "phi3" && section["rope_type"] == "yarn" {
                    continue;
                }
                for spelling in ["rope_scaling", "rope_parameters"] {
                    let config = model(family, json!({spelling: section}));
                    configs.push(with(
                        config.clone(),
                        "",
                        "original_max_position_embeddings",
                        json!(1024),
                    ));
                    configs.push(config);
                }
            }
        }
        configs
    }

    #[test]
    fn every_difference_is_told_once_and_nothing_else_is() {
        for config in configs() {
            let diagnosis = diagnose(&config).unwrap();
            let facts = Facts::new(&config).unwrap();
            let ours = rules(&config, Runtime::Longrope);
            for view in &diagnosis.runtimes {
                if matches!(view.outcome, Outcome::Unknown { .. }) {
                    continue;
                }
                let mut expected = Vec::new();
                match view.rules() {
                    None => expected.push(Topic::Loading),
                    Some(theirs) => expected.extend(
                        [
                            Topic::Theta,
                            Topic::Factors,
                            Topic::AttentionScale,
                            Topic::Switch,
                            Topic::DefaultContext,
                        ]
                        .into_iter()
                        .filter(|topic| !agree(*topic, &facts, theirs, &ours)),
                    ),
                }
                let mut told: Vec<String> = about(&config, view.runtime)
                    .iter()
                    .map(|topic| format!("{topic:?}"))
                    .collect();
                let mut expected: Vec<String> =
                    expected.iter().map(|topic| format!("{topic:?}")).collect();
                told.sort();
                expected.sort();
                assert_eq!(told, expected, "{config} {:?}", view.runtime);
            }
            for line in diagnosis.disagreements {
                assert_ne!(line.consequence, UNEXPLAINED, "{line} {config}");
                assert!(!line.runtimes.contains(&Runtime::Longrope), "{config}");
            }
        }
    }
}
