use std::path::Path;

use super::*;
use crate::error::Error;

/// Sentences of 21 to 32 bytes, each ending at a `.`.
const HAY: &str = "The harbour was quiet that day. Boats lay in two long rows. \
                   Nobody had lit the lamps yet. Rain fell on the tin roofs.";

fn tokenizer() -> Tokenizer {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    Tokenizer::from_model_dir(&assets).unwrap()
}

fn config() -> NeedleConfig {
    NeedleConfig {
        needles: 4,
        ..NeedleConfig::default()
    }
}

#[test]
fn all_candidates_are_in_a_text_of_exactly_the_context() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let task = Association::new(&tokenizer, &hay, &config(), 700, 5).unwrap();
    assert_eq!(task.n_trials(), 25);
    for trial in 0..6 {
        let candidates = task.inputs.candidates(KIND, &task.asked(trial)).unwrap();
        let drawn = task.draw(trial);
        let sequences = candidates.sequences();
        let longest = sequences.iter().map(|tokens| tokens.len()).max();
        assert_eq!(longest, Some(700));
        let asked = &drawn.facts[0];
        assert_eq!(candidates.right(), asked.name);
        let text = tokenizer.decode(sequences[0]).unwrap();
        for fact in &drawn.facts {
            assert!(text.contains(&fact.text()), "{text}");
        }
        assert!(text.ends_with(&format!(
            "\nQuestion: {}\nAnswer: {}",
            asked.pair.question, asked.name
        )));
    }
}

#[test]
fn a_later_trial_that_does_not_fit_is_refused_at_once() {
    let (tokenizer, hay, config) = (tokenizer(), Haystack::of(HAY), config());
    let new = |seed, context| Association::new(&tokenizer, &hay, &config, context, seed);
    let needed = |seed| -> Vec<usize> {
        let task = new(seed, 700).unwrap();
        let trials = 0..task.n_trials();
        trials
            .map(|i| task.inputs.least_tokens(&task.asked(i)).unwrap())
            .collect()
    };
    let is_later = |all: &[usize]| all.iter().any(|tokens| *tokens > all[0]);
    let seed = (0..20).find(|seed| is_later(&needed(*seed))).unwrap();
    let (first, most) = (needed(seed)[0], *needed(seed).iter().max().unwrap());
    let error = new(seed, first).unwrap_err();
    assert!(
        matches!(error, Error::ContextTooShort { needed, .. } if needed == most),
        "{error}"
    );
}

#[test]
fn the_same_trial_is_the_same_at_every_context() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let names = |context| {
        let task = Association::new(&tokenizer, &hay, &config(), context, 5).unwrap();
        let facts = task.draw(3).facts.into_iter();
        facts
            .map(|fact| (fact.depth.to_bits(), fact.pair, fact.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(700), names(900));
}

#[test]
fn settings_without_effect_are_refused() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let refused = |config: &NeedleConfig| match Association::new(&tokenizer, &hay, config, 700, 5)
        .unwrap_err()
    {
        Error::InvalidSetting { setting, .. } => setting,
        error => panic!("{error}"),
    };
    assert_eq!(refused(&NeedleConfig::default()), "needles");
    let own = NeedleConfig {
        prompt: "{haystack} What now?".to_owned(),
        ..config()
    };
    assert_eq!(refused(&own), "prompt");
}
