use std::path::Path;

use longrope_model::ModelConfig;

use super::*;
use crate::error::Error;
use crate::scoring::tests::tiny;

/// A model with a window of 32 tokens.
fn model() -> ModelConfig {
    tiny(&["flex"]).decoder().config().clone()
}

fn refused(config: &AdaptConfig) -> String {
    config
        .validate(&model(), 128, None)
        .unwrap_err()
        .to_string()
}

fn on() -> AdaptConfig {
    AdaptConfig {
        steps: 2,
        ..AdaptConfig::default()
    }
}

#[test]
fn settings_without_a_meaning_name_the_key_and_what_it_may_be() {
    on().validate(&model(), 128, None).unwrap();
    let data = |text: f64| AdaptConfig {
        data: TrainDataConfig {
            text,
            ..TrainDataConfig::default()
        },
        ..on()
    };
    let window = |window| AdaptConfig {
        window: Some(window),
        ..on()
    };
    for (config, words) in [
        (window(1), "`search.adapt.window` is 1, expected at least 2"),
        (
            window(128),
            "`search.adapt.window` is 128, expected at least 2 and below the target, 128",
        ),
        (
            AdaptConfig { pieces: 1, ..on() },
            "`search.adapt.pieces` is 1",
        ),
        (
            AdaptConfig { batch: 0, ..on() },
            "`search.adapt.batch` is 0",
        ),
        (
            AdaptConfig {
                accumulate: 0,
                ..on()
            },
            "`search.adapt.accumulate` is 0",
        ),
        (AdaptConfig { rank: 0, ..on() }, "`search.adapt.rank` is 0"),
        (
            AdaptConfig {
                learning_rate: -1.0,
                ..on()
            },
            "`search.adapt.learning-rate` is -1",
        ),
        (
            AdaptConfig {
                learning_rate: f64::NAN,
                ..on()
            },
            "`search.adapt.learning-rate` is NaN",
        ),
        (
            AdaptConfig { alpha: 0.0, ..on() },
            "`search.adapt.alpha` is 0",
        ),
        (
            data(0.0),
            "`search.adapt.data` is [0.0, 0.0, 0.0, 0.0, 0.0], expected shares",
        ),
        (data(-1.0), "`search.adapt.data` is [-1.0"),
    ] {
        let message = refused(&config);
        assert!(message.contains(words), "{message}");
        // What is off needs no valid settings.
        AdaptConfig { steps: 0, ..config }
            .validate(&model(), 128, None)
            .unwrap();
    }
    let message = on()
        .validate(&model(), 128, Some(64))
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("`search.sample-context` is 64, expected no such key"),
        "{message}"
    );
}

#[test]
fn a_model_that_sees_nothing_far_is_refused() {
    let mut near = model();
    near.windows = vec![Some(16); near.n_layers];
    let error = on().validate(&near, 128, None).unwrap_err();
    assert!(matches!(error, Error::AdaptNothingFar), "{error}");
    AdaptConfig::default().validate(&near, 128, None).unwrap();
}

#[test]
fn windows_are_as_long_as_the_original_context_up_to_a_limit() {
    assert_eq!(on().window(256), 256);
    assert_eq!(on().window(131_072), 2048);
    let set = AdaptConfig {
        window: Some(100),
        ..on()
    };
    assert_eq!(set.window(256), 100);
}

#[test]
fn keys_are_in_kebab_case_and_unknown_ones_are_refused() {
    let read = |text: &str| serde_json::from_str::<AdaptConfig>(text);
    let given = read(r#"{"steps": 3, "learning-rate": 0.5, "data": {"passkey": 0.5}}"#).unwrap();
    let expected = AdaptConfig {
        steps: 3,
        learning_rate: 0.5,
        data: TrainDataConfig {
            passkey: 0.5,
            ..TrainDataConfig::default()
        },
        ..AdaptConfig::default()
    };
    assert_eq!(given, expected);
    assert_eq!(read("{}").unwrap(), AdaptConfig::default());
    let error = read(r#"{"step": 3}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field"), "{error}");
}

#[test]
fn a_search_keeps_the_beginnings_of_documents_that_it_began_with() {
    let models = tiny(&["flex"]);
    let decoder = models.decoder();
    let bos = decoder.config().bos_token.unwrap();
    let documents = [TokenDocument {
        source: String::new(),
        tokens: vec![bos + 1; 200],
    }];
    let config = on();
    let start = |begun: Option<&RecordedAdapt>| {
        let started = config.start(decoder, &documents, None, 128, 3, begun);
        started.unwrap().1
    };
    let recorded = start(None);
    assert!(recorded.without_bos);
    assert_eq!(start(Some(&recorded)), recorded);
    // As an earlier version began, which put the token before all documents.
    let old = RecordedAdapt {
        without_bos: false,
        ..recorded
    };
    assert_eq!(start(Some(&old)), old);
    let written = serde_json::to_value(&old).unwrap();
    assert!(written.get("without_bos").is_none(), "{written}");
}

#[test]
fn a_search_keeps_the_generated_documents_that_it_began_with() {
    let models = tiny(&["flex"]);
    let decoder = models.decoder();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    let tokenizer = Tokenizer::from_model_dir(&assets).unwrap();
    let documents = [TokenDocument {
        source: String::new(),
        tokens: vec![5; 200],
    }];
    let start = |copying: f64, begun: Option<&RecordedAdapt>| {
        let config = AdaptConfig {
            data: TrainDataConfig {
                copying,
                ..TrainDataConfig::default()
            },
            ..on()
        };
        let started = config.start(decoder, &documents, Some(&tokenizer), 128, 3, begun);
        started.unwrap().1
    };
    assert!(!start(0.0, None).documents_alone, "none are generated");
    let recorded = start(1.0, None);
    assert!(recorded.documents_alone);
    assert_eq!(start(1.0, Some(&recorded)), recorded);
    // As an earlier version began.
    let old = RecordedAdapt {
        documents_alone: false,
        ..recorded
    };
    assert_eq!(start(1.0, Some(&old)), old);
    let written = serde_json::to_value(&old).unwrap();
    assert!(written.get("documents_alone").is_none(), "{written}");
}
