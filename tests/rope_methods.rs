//! Methods that models are compared with, beside the oldest ones: larger bases, mixed radices, no rotation, grouped positions.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Workplace, number};

const PPL: &str = "eval ppl --tokens tokens.json --windows 2 --contexts 128 --json";
const FINETUNE: &str = "finetune --model m --tokens tokens.json --steps 2 --dashboard off --set train.batch=1 \
    --set train.warmup-steps=1";

fn rows(report: &Value) -> Vec<(String, f64)> {
    let results = report["results"].as_array().unwrap();
    let row = |row: &Value| {
        let name = row["rope"].as_str().unwrap().to_owned();
        (name, row["ppl"].as_f64().unwrap())
    };
    results.iter().map(row).collect()
}

fn perplexity(here: &Workplace, line: &str) -> f64 {
    number(
        &here.compute_json(&format!("{PPL} {line}")),
        "/results/0/ppl",
    )
}

fn assert_near(found: f64, expected: f64) {
    assert!(
        (found / expected - 1.0).abs() < 1e-4,
        "{found} is not {expected}"
    );
}

#[test]
fn every_method_has_a_row_with_its_name() {
    let here = Workplace::with_model();
    let names = [
        "none",
        "theta@5e6",
        "mrrope-uni",
        "mrrope-pro",
        "drope",
        "drope@0.5",
        "selfextend",
        "selfextend@4,8",
        "selfextend@64",
        "selfextend@1,16",
    ];
    let report = here.compute_json(&format!("{PPL} --model m --rope {}", names.join(" ")));
    let rows = rows(&report);
    let found: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names);
    let of = |name: &str| rows.iter().find(|(it, _)| it == name).unwrap().1;
    for name in &names[1..9] {
        assert!((of(name) / of("none") - 1.0).abs() > 1e-4, "{name}");
    }
    // Groups of one are plain RoPE.
    assert_near(of("selfextend@1,16"), of("none"));
}

#[test]
fn compare_takes_them_too() {
    let here = Workplace::with_model();
    here.write("c.toml", "rope = [\"theta@5e6\"]\n");
    let line = "compare --config c.toml --model m --tokens tokens.json --windows 2 --contexts 64 --json \
        --set compare.methods=[\"none\",\"selfextend@2,8\"]";
    let report = here.compute_json(line);
    let names: Vec<String> = rows(&report).into_iter().map(|row| row.0).collect();
    assert_eq!(names, ["none", "selfextend@2,8", "theta@5e6"]);
}

#[test]
fn numbers_that_are_missing_or_wrong_are_errors_with_an_example() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope theta"));
    assert_snapshot!(message, @r"
    error: RoPE `theta`: expected a number above 1 and up to 3e38
    hint: for example --rope theta@5e6
    ");
    let message = here.fails(&format!("{PPL} --model m --rope selfextend@8,"));
    assert_snapshot!(message, @r"
    error: RoPE `selfextend@8,`: expected two whole numbers after `@`: group size and window
    hint: for example --rope selfextend@8,1024
    ");
    let message = here.fails(&format!("{PPL} --model m --rope selfextend@8,32"));
    assert_snapshot!(message, @r"
    error: `window` is 32, expected at least 1 and less than the original context
    hint: correct `window` where it is set, to at least 1 and less than the original context
    ");
    let message = here.fails(&format!("{PPL} --model m --rope drope@8192"));
    assert!(message.contains("a number from 0 to 10"), "{message}");
}

#[test]
fn a_base_that_no_config_json_may_have_is_refused_by_every_verb() {
    let here = Workplace::with_model();
    for line in [
        format!("{PPL} --model m"),
        format!("{FINETUNE} --out x"),
        "export --model m --target 128 --out x".to_owned(),
        "compare --model m --tokens tokens.json --windows 2 --contexts 64".to_owned(),
    ] {
        let is_compare = line.starts_with("compare");
        let rope = if is_compare {
            "--set compare.methods=[\"theta@1e300\"]"
        } else {
            "--rope theta@1e300"
        };
        here.run(&format!("{line} {rope}"))
            .refused_with("a number above 1 and up to 3e38");
        assert!(!here.path("x").exists(), "{line}");
    }
}

#[test]
fn the_other_name_of_mrrope_uni_is_answered_with_its_name_here() {
    let here = Workplace::with_model();
    here.run(&format!("{PPL} --model m --rope yarn-radix"))
        .refused_with("calls YaRN-radix is mrrope-uni here");
}

#[test]
fn a_base_below_that_of_the_model_is_warned_about() {
    let here = Workplace::with_model();
    let run = here.run(&format!("{PPL} --model m --rope theta@128"));
    assert!(
        run.stderr.contains("RoPE `theta@128` lowers the base"),
        "{}",
        run.stderr
    );
}

#[test]
fn exports_compute_the_same() {
    let here = Workplace::with_model();
    for (rope, kind) in [
        ("theta@5e6", "default"),
        ("mrrope-uni", "longrope"),
        ("mrrope-pro", "longrope"),
        ("drope", "longrope"),
        ("drope@0.5", "longrope"),
    ] {
        here.run(&format!(
            "export --model m --rope {rope} --target 128 --out x --force"
        ))
        .worked();
        let config = here.read_json("x/config.json");
        assert_eq!(config["rope_parameters"]["rope_type"], kind, "{rope}");
        assert_eq!(config["max_position_embeddings"], 128);
        let expected = perplexity(&here, &format!("--model m --rope {rope}"));
        assert_near(perplexity(&here, "--model x"), expected);
        assert_near(perplexity(&here, "--model x --rope x/rope.json"), expected);
        if rope == "theta@5e6" {
            assert_eq!(config["rope_theta"], 5e6);
            assert_eq!(config["rope_scaling"], Value::Null);
        }
    }
}

#[test]
fn models_are_trained_without_rotation_and_with_a_larger_base() {
    let here = Workplace::with_model();
    for (rope, out) in [("drope", "drope"), ("theta@5e6", "theta")] {
        here.run(&format!("{FINETUNE} --rope {rope} --out {out}"))
            .worked();
        let saved = here.read_json(&format!("{out}/model/rope.json"));
        assert_eq!(saved["scaling"]["type"], out);
        assert_eq!(here.inspection(&format!("{out}/model"))["max_context"], 32);
        let model = format!("--model {out}/model");
        let expected = perplexity(&here, &format!("{model} --rope {rope}"));
        assert_near(perplexity(&here, &model), expected);
        let line = format!("{model} --rope {out}/model/rope.json");
        assert_near(perplexity(&here, &line), expected);
        // Trained under one RoPE, a model is worse under another.
        let other = if out == "drope" { "none" } else { "theta@100" };
        let other = perplexity(&here, &format!("{model} --rope {other}"));
        assert!((other / expected - 1.0).abs() > 1e-4, "{other} {expected}");
    }
    let line = format!("{FINETUNE} --rope drope --set train.data.short=0.5 --out run");
    let message = here.fails(&line);
    assert!(message.contains("is used at every length"), "{message}");
    assert!(
        message.contains("hint: set train.data.short to 0"),
        "{message}"
    );
}

#[test]
fn grouped_positions_are_only_measured() {
    let here = Workplace::with_model();
    let message = here.fails("export --model m --rope selfextend --target 128 --out x");
    assert_snapshot!(message, @r"
    error: RoPE `selfextend` cannot be exported: no key of a config.json groups positions
    hint: it is for measuring only, with `eval`, `compare` and `generate`
    ");
    assert!(!here.path("x").exists());
    let message = here.fails(&format!(
        "{FINETUNE} --rope selfextend --context 64 --out run"
    ));
    assert!(
        message.contains("its attention has no gradients"),
        "{message}"
    );
    let message = here.fails(&format!("{FINETUNE} --rope selfextend@4,8 --out run"));
    assert!(
        message.contains("its attention has no gradients"),
        "{message}"
    );
    let search = "search --model m --tokens tokens.json --target 128 --out s --init selfextend@4,8";
    let message = here.fails(search);
    assert!(message.contains("has no rescale factors"), "{message}");
    let recover = "recover --model m --tokens tokens.json --contexts 64 --rope selfextend --out r";
    let message = here.fails(recover);
    assert!(message.contains("has no factor sets"), "{message}");
}

/// The cache keeps both kinds of keys.
#[test]
fn text_is_generated_with_grouped_positions() {
    let here = Workplace::with_tokenizer();
    let line = "generate --model t --prompt Once --max-new-tokens 150 --rope";
    let plain = here.compute(&format!("{line} none"));
    assert_eq!(here.compute(&format!("{line} selfextend@1,8")), plain);
    assert_ne!(here.compute(&format!("{line} selfextend@64,1")), plain);
}
