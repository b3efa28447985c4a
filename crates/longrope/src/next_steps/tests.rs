use std::path::PathBuf;

use super::*;

/// A model with a window of 256 tokens and a tokenizer.
fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256")
}

/// A model with a window of 32 tokens and no tokenizer.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied")
}

fn config(model: PathBuf) -> Config {
    Config {
        model: Some(model),
        text: vec![PathBuf::from("my book.txt")],
        out: Some(PathBuf::from("runs/a")),
        contexts: vec![128, 512],
        ..Config::default()
    }
}

#[test]
fn commands_have_the_paths_of_the_run() {
    let m = words::quoted(&bundled());
    assert_eq!(
        after_search(&config(bundled()), 1024).0,
        [
            format!(
                "eval passkey {m} --contexts 256,1024 --rope none yarn runs/a/rope.json --out runs/a"
            ),
            format!(
                "finetune {m} --text 'my book.txt' --rope runs/a/rope.json --out runs/a-trained"
            ),
            "report runs/a".to_owned(),
        ]
    );
    // A passkey does not fit into half of this window.
    let trained = after_training(&config(PathBuf::from("m")), &bundled(), Some(200));
    assert_eq!(
        trained.0[0],
        format!("eval passkey {m} --contexts 200 --rope checkpoint --out runs/a")
    );
    assert_eq!(after_measurement(&config(bundled())).0, ["report runs/a"]);
}

#[test]
fn models_without_a_tokenizer_are_measured_on_token_ids() {
    let m = words::quoted(&tiny());
    let config = Config {
        tokens: Some(PathBuf::from("tokens.json")),
        out: None,
        ..config(tiny())
    };
    let search = format!("search {m} --tokens tokens.json --target 512 --out runs/factors");
    assert_eq!(after_measurement(&config).0, [search]);
    let with_out = Config {
        out: Some(PathBuf::from("run")),
        rope: vec!["old.json".to_owned()],
        ..config
    };
    assert_eq!(
        after_recover(&with_out).0[0],
        format!(
            "eval ppl {m} --tokens tokens.json --contexts 128,512 --rope old.json run/rope.json --out run"
        )
    );
}

#[test]
fn settings_that_the_model_is_loaded_with_are_kept() {
    let config = Config {
        weights: WeightSetting::Streamed,
        out: None,
        ..config(bundled())
    };
    let steps = after_measurement(&config).0;
    assert!(steps[0].ends_with(" --set weights=streamed"), "{steps:?}");
}

#[test]
fn nothing_is_searched_within_the_window() {
    let config = Config {
        out: None,
        contexts: vec![256],
        ..config(bundled())
    };
    let m = words::quoted(&bundled());
    assert_eq!(
        after_measurement(&config).0,
        [format!("plan {m} --context 1024")]
    );
}

#[test]
fn a_continuation_too_short_for_passkeys_leads_to_the_window() {
    let m = words::quoted(&bundled());
    for (longest, context) in [(27, 256), (300, 300)] {
        assert_eq!(
            after_generate(&config(bundled()), longest).0,
            [format!(
                "eval passkey {m} --contexts {context} --rope checkpoint"
            )]
        );
    }
    assert_eq!(after_generate(&config(tiny()), 27).0, [""; 0]);
}
