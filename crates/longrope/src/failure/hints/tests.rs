use std::path::{Path, PathBuf};

use longrope_eval::ChangedSetting;
use longrope_extend::recipe::Verb;

use super::stage::hint_in_stage;
use super::system::suggestion;
use crate::failure::hint::InStage;

#[test]
fn typos_are_answered_with_the_nearest_word() {
    let message = "unknown field `populatoin`, expected one of `parents`, `population`";
    assert_eq!(suggestion(message).unwrap(), "did you mean `population`?");
    assert_eq!(suggestion("unknown field `zzz`, expected `seed`"), None);
    let message = "unknown variant `offical`, expected `paper`\nin `profile`";
    assert_eq!(suggestion(message), None, "`profile` is a place");
}

#[test]
fn a_word_in_capitals_is_answered_with_the_same_word() {
    let message = "unknown variant `BF16`, expected one of `auto`, `f32`, `bf16`, `f16`";
    assert_eq!(suggestion(message).unwrap(), "did you mean `bf16`?");
}

#[test]
fn a_value_that_is_no_text_is_no_typing_error() {
    for wrong in ["true", "[\"bf16\"]", "16"] {
        let message =
            format!("unknown variant `{wrong}`, expected `streamed`, `bf16` or `true-ish`");
        assert_eq!(suggestion(&message), None, "{wrong}");
    }
}

#[test]
fn another_type_of_numbers_is_no_typing_error() {
    for (wrong, words, expected) in [
        ("f16", "`auto`, `f32`, `bf16`", None),
        ("fp16", "`auto`, `f32`, `bf16`", None),
        ("bf61", "`auto`, `f32`, `bf16`", Some("`bf16`")),
        ("fp16", "`auto`, `f32`, `bf16`, `f16`", Some("`f16`")),
    ] {
        let message = format!("unknown variant `{wrong}`, expected one of {words}");
        let expected = expected.map(|word| format!("did you mean {word}?"));
        assert_eq!(suggestion(&message), expected, "{message}");
    }
}

#[test]
fn a_hint_is_for_the_key_of_a_setting_and_not_for_words_in_its_value() {
    let hint = |key: &str, saved: &str| {
        let change = ChangedSetting {
            name: key.to_owned(),
            values: Some((saved.to_owned(), "1".to_owned())),
        };
        let error = longrope_extend::Error::OtherSettings {
            path: PathBuf::new(),
            changes: vec![change],
        };
        super::extend::hint(&error).unwrap()
    };
    assert!(hint("text", "2").starts_with("restore the text"));
    assert!(hint("search.init", "2").starts_with("resume without --init"));
    assert!(hint("rope", "2").starts_with("resume without --rope"));
    assert!(hint("generated-documents", "2").starts_with("an earlier version"));
    for (key, saved) in [("seed", "`text`"), ("search.text", "2")] {
        assert!(hint(key, saved).starts_with("resume without these flags"));
    }
}

#[test]
fn hints_in_a_stage_are_about_the_recipe_and_the_folder_of_the_stage() {
    use longrope_eval::Error as V;
    use longrope_extend::{Error as E, SearchInput};
    use longrope_trainer::Error as T;
    let path = || PathBuf::from("run/03-keys/file");
    let changed = |name: &str| {
        let name = name.to_owned();
        vec![ChangedSetting { name, values: None }]
    };
    let state = |name: &str| V::StateSettings {
        path: path(),
        changes: changed(name),
    };
    let run = |name: &str| E::OtherSettings {
        path: path(),
        changes: changed(name),
    };
    let precision = V::StatePrecision {
        path: path(),
        saved: "f32".to_owned(),
        now: "bf16".to_owned(),
    };
    let text = SearchInput::Text;
    let both = vec![SearchInput::Precision, SearchInput::Objective];
    for (error, restored) in [
        (
            E::from(state("seed")),
            "restore the old values in the recipe",
        ),
        (
            state("questions").into(),
            "restore `bench.limit` in the recipe",
        ),
        (
            state("task_version").into(),
            "this version asks other prompts",
        ),
        (precision.into(), "set precision = \"f32\" for the stage"),
        (run("seed"), "restore the old values in the recipe"),
        (run("text"), "restore the text"),
        (
            run("rope"),
            "restore the RoPE that the stage was begun with",
        ),
        (
            E::OtherInputs { what: vec![text] },
            "restore the text, `search.samples`",
        ),
        (
            E::OtherInputs { what: both },
            "restore the `precision` and objective that the stage was begun with",
        ),
        (
            T::OtherSettings { folder: path() }.into(),
            "restore the settings, the model and the text",
        ),
        (
            T::NothingCounts { step: 3 }.into(),
            "give the stage a longer `train.context`",
        ),
    ] {
        let stage = InStage {
            name: "keys".to_owned(),
            verb: Verb::Passkey,
            folder: "run/03-keys".into(),
        };
        let hint = hint_in_stage(&error, &stage).unwrap();
        assert!(hint.starts_with(restored), "{restored}: {hint}");
        assert!(hint.contains("remove `run/03-keys`"), "{hint}");
        assert!(
            hint.contains("--resume") && !hint.contains("--out"),
            "{hint}"
        );
        // Other errors have the hint of a command.
        assert_eq!(hint_in_stage(&E::NoModel, &stage), None);
    }
}

#[test]
fn the_hint_for_a_start_outside_of_a_search_is_about_what_excludes_it() {
    let hint = |key| {
        let error = longrope_search::Error::InitOutsideSpace {
            index: 0,
            key,
            found: "4 start tokens".to_owned(),
            expected: "one of [0]".to_owned(),
        };
        super::training::search_hint(&error).unwrap()
    };
    assert!(hint(Some("max-factor-ratio")).starts_with("raise `search.max-factor-ratio`"));
    assert!(hint(Some("start-tokens")).contains("`search.start-tokens`"));
    assert!(hint(Some("attention")).contains("`search.attention`"));
    assert_eq!(hint(None), "start from other factors with --init");
}

#[test]
fn a_training_whose_next_step_would_fail_again_is_not_to_be_resumed() {
    use longrope_trainer::Error as T;
    let run = |source: T| {
        let (folder, source) = (PathBuf::new(), Box::new(source));
        super::training::hint(&T::Run { folder, source })
    };
    let not_finite = || T::NotFinite {
        step: 3,
        loss: f64::NAN,
        norm: 1.0,
    };
    assert_eq!(run(not_finite()), None);
    let hint = super::training::hint(&not_finite()).unwrap();
    assert!(hint.contains("in another --out"), "{hint}");
    assert_eq!(run(longrope_data::Error::NoFiller.into()), None);
    assert!(run(T::Panicked).unwrap().contains("--resume"));
}

/// The variants of the first enum of a file: lines with a name at the first level of indentation.
fn variants(text: &str) -> Vec<String> {
    let (_, body) = text.split_once("pub enum ").unwrap();
    let body = body.split("\n}\n").next().unwrap();
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| {
            let is_part = |c: char| c.is_ascii_alphanumeric();
            line.chars().take_while(|c| is_part(*c)).collect()
        })
        .collect()
}

/// Every variant of an error of our libraries is named in the file of its hints.
#[test]
fn every_error_has_its_place() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (errors, hints, prefixes) in [
        ("longrope-rope/src/error.rs", include_str!("rope.rs"), "E"),
        ("longrope-data/src/error.rs", include_str!("data.rs"), "E"),
        ("longrope-gguf/src/error.rs", include_str!("gguf.rs"), "E"),
        ("longrope-model/src/error.rs", include_str!("model.rs"), "E"),
        (
            "longrope-model/src/lora/error.rs",
            include_str!("model.rs"),
            "LoraError",
        ),
        ("longrope-eval/src/error.rs", include_str!("eval.rs"), "E"),
        (
            "longrope-eval/src/bench/error.rs",
            include_str!("eval.rs"),
            "B",
        ),
        (
            "longrope-search/src/error.rs",
            include_str!("training.rs"),
            "S",
        ),
        (
            "longrope-trainer/src/error.rs",
            include_str!("training.rs"),
            "T",
        ),
        (
            "longrope-extend/src/error.rs",
            include_str!("extend.rs"),
            "E",
        ),
        (
            "longrope-extend/src/recipe/error.rs",
            include_str!("extend.rs"),
            "R",
        ),
        (
            "longrope-extend/src/pretrain/error.rs",
            include_str!("extend.rs"),
            "P",
        ),
        (
            "longrope-figures/src/error.rs",
            include_str!("extend.rs"),
            "F",
        ),
    ] {
        let text = fs_err::read_to_string(crates.join(errors)).unwrap();
        let variants = variants(&text);
        assert!(variants.len() >= 2, "{errors}: {variants:?}");
        for variant in variants {
            let named =
                hints
                    .match_indices(&format!("{prefixes}::{variant}"))
                    .any(|(at, found)| {
                        !hints[at + found.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
                    });
            assert!(named, "{errors}: `{variant}` has no hint");
        }
    }
}
