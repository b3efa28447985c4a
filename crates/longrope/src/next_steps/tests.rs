use std::path::PathBuf;

use super::*;
use crate::settings::config::WeightSetting;
use crate::settings::device_names::DeviceNames;

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
        after_search(&config(bundled()), 1024, None).0,
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
fn a_gguf_file_is_named_and_not_what_was_unpacked() {
    let config = Config {
        gguf: Some(PathBuf::from("my model.gguf")),
        ..config(bundled())
    };
    for step in &after_search(&config, 1024, None).0[..2] {
        assert!(step.contains(" 'my model.gguf' "), "{step}");
    }
    // What was trained is another model.
    let trained = after_training(&config, &bundled(), Some(200));
    assert!(!trained.0[0].contains("gguf"), "{trained:?}");
}

#[test]
fn a_search_leads_to_what_its_verdict_recommends() {
    let m = words::quoted(&bundled());
    let trained = |other| {
        let steps = after_search(&config(bundled()), 1024, Some(other)).0;
        steps.into_iter().find(|step| step.starts_with("finetune "))
    };
    assert_eq!(trained("none"), None);
    let line = format!(
        "finetune {m} --text 'my book.txt' --rope yarn --context 1024 --out runs/a-trained"
    );
    assert_eq!(trained("yarn"), Some(line));
    // The RoPE that ratios multiply is measured under the name of its file.
    let mut ratios = config(bundled());
    ratios.search.run.init = Some(PathBuf::from("runs/first/rope.json"));
    let steps = after_search(&ratios, 1024, Some("init")).0;
    assert_eq!(
        steps,
        [
            format!(
                "eval passkey {m} --contexts 256,1024 --rope none yarn runs/first/rope.json runs/a/rope.json --out runs/a"
            ),
            "report runs/a".to_owned(),
        ]
    );
}

#[test]
fn factors_that_were_measured_are_exported_and_not_searched_again() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("rope.json");
    fs_err::write(&file, "{}").unwrap();
    let rope = file.display().to_string();
    let steps = |ropes: &[&str]| {
        let config = Config {
            out: None,
            rope: ropes.iter().map(|rope| (*rope).to_owned()).collect(),
            ..config(bundled())
        };
        after_measurement(&config).0
    };
    let m = words::quoted(&bundled());
    let expected = format!(
        "export {m} --rope {} --out extended",
        words::quoted(Path::new(&rope))
    );
    assert_eq!(steps(&["none", &rope]), [expected]);
    // Of two files, it is not known which to take.
    let other = here.path().join("other.json");
    fs_err::write(&other, "{}").unwrap();
    let other = other.display().to_string();
    assert!(steps(&[&rope, &other])[0].starts_with("search "));
    assert!(steps(&["none", "yarn"])[0].starts_with("search "));
}

/// Puts the bundled model with another RoPE into a folder.
fn with_rope(model: &Path, max_context: usize, rope: serde_json::Value) {
    fs_err::create_dir(model).unwrap();
    for entry in fs_err::read_dir(bundled()).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    let text = fs_err::read_to_string(model.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["max_position_embeddings"] = max_context.into();
    json["rope_parameters"] = rope;
    fs_err::write(model.join("config.json"), json.to_string()).unwrap();
}

#[test]
fn a_model_that_claims_the_context_is_not_searched_again() {
    let here = tempfile::tempdir().unwrap();
    let yarn = serde_json::json!({
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
        "original_max_position_embeddings": 256,
    });
    // It has the original context in the place of the claimed one.
    let dynamic =
        serde_json::json!({ "rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0 });
    for (name, max_context, rope) in [("yarn", 1024, yarn), ("dynamic", 256, dynamic)] {
        let model = here.path().join(name);
        with_rope(&model, max_context, rope);
        let config = Config {
            out: None,
            ..config(model)
        };
        let steps = after_measurement(&config).0;
        assert!(steps[0].starts_with("doctor "), "{name}: {steps:?}");
        assert!(steps[1].starts_with("generate "), "{name}: {steps:?}");
    }
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

#[test]
fn what_a_line_needs_to_run_where_the_command_ran_is_kept() {
    let m = words::quoted(&bundled());
    let mut config = config(bundled());
    config.data.text_field = "body".to_owned();
    config.device = DeviceNames::Several(["cuda:0", "cuda:1"].map(str::to_owned).to_vec());
    let steps = after_search(&config, 1024, None).0;
    // Passkeys are tried on one device.
    assert!(
        steps[0].ends_with(" --out runs/a --device cuda:0"),
        "{steps:?}"
    );
    assert_eq!(
        steps[1],
        format!(
            "finetune {m} --text 'my book.txt' --set data.text-field=body --rope runs/a/rope.json \
             --out runs/a-trained --device cuda:0 --device cuda:1"
        )
    );
    // Text, although it looks like a number.
    config.data.text_field = "12".to_owned();
    let steps = after_search(&config, 1024, None).0;
    assert!(
        steps[1].contains(" --set 'data.text-field=\"12\"' "),
        "{steps:?}"
    );
}

#[test]
fn work_that_was_forced_is_suggested_with_force() {
    let steps = |force: bool, context: usize| {
        let config = Config {
            out: None,
            contexts: vec![context],
            force,
            ..config(bundled())
        };
        after_measurement(&config).0
    };
    let huge = 1 << 32;
    assert_eq!(steps(false, huge), [""; 0]);
    let forced = steps(true, huge);
    assert!(forced[0].ends_with(" --force"), "{forced:?}");
    assert!(!steps(true, 512)[0].contains("--force"), "it fits");
}

#[cfg(unix)]
#[test]
fn lines_have_every_byte_of_a_path_and_no_path_that_is_a_flag() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut config = config(bundled());
    config.out = Some(PathBuf::from(OsStr::from_bytes(b"caf\xe9")));
    let steps = after_search(&config, 1024, None).0;
    assert!(
        steps[0].ends_with(r" yarn $'caf\xe9/rope.json' --out $'caf\xe9'"),
        "{steps:?}"
    );
    assert!(
        steps[1].ends_with(r" --rope $'caf\xe9/rope.json' --out $'caf\xe9-trained'"),
        "{steps:?}"
    );
    assert_eq!(steps[2], r"report $'caf\xe9'");
    config.out = Some(PathBuf::from("-a"));
    let steps = after_search(&config, 1024, None).0;
    assert!(
        steps[1].ends_with(" --rope ./-a/rope.json --out ./-a-trained"),
        "{steps:?}"
    );
}
