use std::path::Path;

use longrope_model::GenerateOptions;
use longrope_rope::{ResolvedRope, RopeScaling};

use super::*;
use crate::error::Error;

const HAY: &str = "The harbour was quiet that day. Boats lay in two long rows. \
                   Nobody had lit the lamps yet. Rain fell on the tin roofs.";

fn tokenizer() -> Tokenizer {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    Tokenizer::from_model_dir(&assets).unwrap()
}

fn config() -> NeedleConfig {
    NeedleConfig {
        needles: 3,
        digits: 5,
        trials: 2,
        ..NeedleConfig::default()
    }
}

#[test]
fn needles_are_in_order_and_each_is_asked_for() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let task = Ordinal::new(&tokenizer, &hay, &config(), 600, 5).unwrap();
    assert_eq!(task.n_trials(), 6);
    for trial in 0..6 {
        let candidates = task.inputs.candidates(KIND, &task.asked(trial)).unwrap();
        let drawn = task.draw(trial);
        let sequences = candidates.sequences();
        assert_eq!(sequences.iter().map(|tokens| tokens.len()).max(), Some(600));
        let text = tokenizer.decode(sequences[0]).unwrap();
        let places: Vec<usize> = drawn
            .values
            .iter()
            .map(|value| text.find(&KINDS[drawn.kind].0.replace("{value}", &value.to_string())))
            .map(Option::unwrap)
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        let asked = drawn.values[trial % 3].to_string();
        assert_eq!(candidates.right(), asked);
        let ordinal = ["first", "second", "third"][trial % 3];
        assert!(
            text.contains(&format!("Question: The {ordinal} ")),
            "{text}"
        );
        assert!(text.ends_with(&format!("Answer: {asked}")), "{text}");
    }
}

/// A model that repeats the last needle of the text, whatever it is asked.
struct SaysTheLast {
    last: Vec<u32>,
}

impl LanguageModel for SaysTheLast {
    fn token_nll(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        _: &ResolvedRope,
    ) -> Result<Vec<Vec<f32>>> {
        let losses = |tokens: &&[u32]| {
            let is_last = tokens.ends_with(&self.last);
            vec![if is_last { 0.5 } else { 2.0 }; tokens.len() - score_from]
        };
        Ok(sequences.iter().map(losses).collect())
    }

    fn greedy_tokens(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        _: &ResolvedRope,
    ) -> Result<Vec<Vec<u32>>> {
        let said = |tokens: &&[u32]| {
            if tokens.ends_with(&self.last) {
                tokens[score_from..].to_vec()
            } else {
                vec![0; tokens.len() - score_from]
            }
        };
        Ok(sequences.iter().map(said).collect())
    }

    fn generate(
        &mut self,
        _: &[&[u32]],
        _: &GenerateOptions,
        _: &RopeSpec,
    ) -> Result<Vec<Vec<u32>>> {
        panic!("scored in one pass")
    }
}

#[test]
fn a_model_that_cannot_tell_needles_apart_is_right_by_chance() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let task = Ordinal::new(&tokenizer, &hay, &config(), 600, 5).unwrap();
    let rope = RopeSpec::new(64, 10_000.0, 256, RopeScaling::None {}).unwrap();
    let mut scores = Vec::new();
    for trial in 0..6 {
        let last = task.draw(trial).values[2].to_string();
        let mut model = SaysTheLast {
            last: tokenizer.encode(&last, false).unwrap(),
        };
        let ran = task.run(trial..trial + 1, &mut model, &rope).unwrap();
        assert_eq!(ran[0].details["choice"], last);
        scores.push(ran[0].scores.clone());
    }
    let expected = [
        [0.0, 0.0],
        [0.0, 0.0],
        [1.0, 1.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [1.0, 1.0],
    ];
    assert_eq!(scores, expected);
}

#[test]
fn a_later_trial_that_does_not_fit_is_refused_at_once() {
    let (tokenizer, hay, config) = (tokenizer(), Haystack::of(HAY), config());
    let new = |seed, context| Ordinal::new(&tokenizer, &hay, &config, context, seed);
    let needed = |seed| -> Vec<usize> {
        let task = new(seed, 600).unwrap();
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
fn settings_without_effect_are_refused() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    for (config, expected) in [
        (
            NeedleConfig {
                needles: 1,
                ..config()
            },
            "needles",
        ),
        (
            NeedleConfig {
                depths: vec![0.5],
                ..config()
            },
            "depths",
        ),
        (
            NeedleConfig {
                digits: 1,
                ..config()
            },
            "digits",
        ),
        (
            NeedleConfig {
                answer: "x".to_owned(),
                ..config()
            },
            "answer",
        ),
    ] {
        let error = Ordinal::new(&tokenizer, &hay, &config, 600, 5).unwrap_err();
        assert!(
            matches!(error, Error::InvalidSetting { setting, .. } if setting == expected),
            "{error}"
        );
    }
}
