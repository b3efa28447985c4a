use super::*;
use crate::fixtures::tokenizer;

const HAY: &str =
    "The road was long. It rained all day. Nobody spoke. At last they came to an inn.";

fn prompt(config: &NeedleConfig, trial: usize) -> (Vec<Hidden>, Vec<String>) {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let task = Needle::new(&tokenizer, &hay, config, 400, 5).unwrap();
    let questions = task.questions(trial).unwrap();
    let texts = questions
        .iter()
        .map(|question| {
            assert_eq!(question.tokens.len(), 400);
            tokenizer.decode(&question.tokens).unwrap()
        })
        .collect();
    (task.draw(trial).0, texts)
}

#[test]
fn a_needle_is_where_it_should_be_and_asked_for() {
    for (trial, share) in [(0, 0.0), (2, 0.5), (4, 1.0)] {
        let (hidden, texts) = prompt(&NeedleConfig::default(), trial);
        let Hidden { key, value, depth } = &hidden[0];
        assert!((depth - share).abs() < 1e-12);
        let text = &texts[0];
        assert!(text.ends_with(&format!(
            "Answer: The special magic {key} number is: {value}"
        )));
        let (_, book) = text.split_once("<book> ").unwrap();
        let (book, _) = book.split_once(" </book>").unwrap();
        let needle = format!("The special magic {key} number is: {value}.");
        let at = book.find(&needle).unwrap() as f64;
        // Needles are moved back to the end of a sentence, here by at most 31 bytes.
        let place = share * (book.len() - needle.len()) as f64;
        assert!(at <= place + 2.0 && at >= place - 33.0, "{at}, {place}");
    }
}

#[test]
fn a_later_trial_that_does_not_fit_is_refused_at_once() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    // Names have one to several tokens.
    let config = NeedleConfig::default();
    let new = |seed, context| Needle::new(&tokenizer, &hay, &config, context, seed);
    let needed = |seed| -> Vec<usize> {
        let task = new(seed, 400).unwrap();
        let trials = 0..task.n_trials();
        trials.map(|i| task.least_tokens(i).unwrap()).collect()
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
fn several_needles_are_spread_and_each_is_asked_for() {
    let config = NeedleConfig {
        needles: 3,
        ..NeedleConfig::default()
    };
    let (hidden, texts) = prompt(&config, 1);
    let depths: Vec<f64> = hidden.iter().map(|one| one.depth).collect();
    assert_eq!(depths, [0.25, 0.5, 0.75]);
    assert_eq!(texts.len(), 3);
    for (one, text) in hidden.iter().zip(&texts) {
        assert!(text.ends_with(&one.value.to_string()));
        for other in &hidden {
            assert!(text.contains(&other.fill("magic {key} number is: {value}.")));
        }
    }
}

#[test]
fn a_needle_that_does_not_say_what_is_asked_is_refused() {
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let missing = |needle: &str, answer: &str, needles: usize| {
        let config = NeedleConfig {
            needle: needle.to_owned(),
            prompt: "{haystack} The answer is:".to_owned(),
            answer: answer.to_owned(),
            needles,
            ..NeedleConfig::default()
        };
        match Needle::new(&tokenizer, &hay, &config, 400, 5) {
            Ok(_) => None,
            Err(Error::MissingPlaceholder {
                setting: "needle",
                placeholder,
                ..
            }) => Some(placeholder),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(missing("no placeholders", " {value}", 1), Some("{value}"));
    assert_eq!(missing("It is {value}.", " {key}", 1), Some("{key}"));
    assert_eq!(missing("It is {value}.", " {value}", 2), Some("{key}"));
    assert_eq!(missing("It is {value}.", " {value}", 1), None);
    assert_eq!(missing("In {key} it is {value}.", " {key}", 2), None);
    assert_eq!(missing("no placeholders", " at all", 2), None);
}

#[test]
fn texts_may_be_the_users_own() {
    let config = NeedleConfig {
        needle: "The best thing to do is to eat a sandwich.".to_owned(),
        prompt: "{haystack}\nThe best thing to do is to".to_owned(),
        answer: " eat a sandwich".to_owned(),
        ..NeedleConfig::default()
    };
    let (_, texts) = prompt(&config, 0);
    assert!(texts[0].starts_with("The best thing to do is to eat a sandwich. "));
    assert!(texts[0].ends_with("\nThe best thing to do is to eat a sandwich"));
    let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
    let broken = NeedleConfig {
        prompt: "no place".to_owned(),
        ..config
    };
    let error = Needle::new(&tokenizer, &hay, &broken, 400, 5).unwrap_err();
    assert!(matches!(
        error,
        Error::InvalidSetting {
            setting: "prompt",
            ..
        }
    ));
}
