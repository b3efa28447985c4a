//! Which RoPEs fit which models.

use serde_json::{Value, json};

use crate::support::Workplace;

/// Refused in a model that cannot be extended.
const NOTHING: &str = "there is nothing to extend in a `cohere2` model";

/// The `rope.json` of an export of a family under a method.
fn rope_json(here: &Workplace, family: &str) -> Value {
    here.family(family, "other");
    here.run("export --model other --rope yarn --target 512 --out exported")
        .worked();
    here.read_json("exported/rope.json")
}

#[test]
fn a_rope_with_a_part_for_other_layers_is_not_for_a_model_with_one_rope() {
    let here = Workplace::of_family("granite");
    let theta = here.inspection("m")["rope"]["theta"].clone();
    let mut rope = rope_json(&here, "olmo3");
    assert_eq!(rope["version"], 2);
    rope["theta"] = theta;
    here.write("rope.json", rope.to_string());
    let message = here.fails("eval ppl m --tokens tokens.json --contexts 64 --rope rope.json");
    assert!(
        message.contains("it has a RoPE of its own for `sliding_attention` layers, expected one RoPE for all layers"),
        "{message}"
    );
}

#[test]
fn the_rope_of_other_layers_in_a_file_is_compared_with_that_of_the_model() {
    let here = Workplace::of_family("gemma3_text");
    let rope = rope_json(&here, "gemma3_text");
    let run = |edit: &dyn Fn(&mut Value), more: &str| {
        let mut rope = rope.clone();
        edit(&mut rope);
        here.write("rope.json", rope.to_string());
        here.run(&format!(
            "eval ppl m --tokens tokens.json --contexts 64 --rope rope.json {more}"
        ))
    };
    let local = "/layer_types/sliding_attention";
    let same = run(&|_| {}, "");
    assert!(!same.stderr.contains("WARN"), "{}", same.stderr);
    same.worked();

    let other = run(
        &|rope| rope.pointer_mut(local).unwrap()["theta"] = json!(9999.0),
        "",
    );
    assert!(
        other
            .stderr
            .contains("none with theta 9999 in the file, and none with theta 500 in the model"),
        "{}",
        other.stderr
    );
    other.worked();
    run(
        &|rope| rope.pointer_mut(local).unwrap()["rotary_dim"] = json!(8),
        "",
    )
    .refused_with(
        "the `rotary_dim` of its `sliding_attention` layers is 8, that of the model is 16",
    );
    run(&|rope| rope["version"] = json!(1), "").refused_with("expected `version` 2");
    run(
        &|rope| {
            rope["layer_types"] =
                json!({"chunked_attention": rope["layer_types"]["sliding_attention"]});
        },
        "",
    )
    .refused_with("has \"chunked_attention\"");
    let shared = run(&|_| {}, "--set rope-layers=all");
    assert!(
        shared.stderr.contains("`rope-layers` is `all`"),
        "{}",
        shared.stderr
    );
    shared.worked();
}

#[test]
fn methods_are_refused_where_they_change_only_layers_with_a_window() {
    let here = Workplace::of_family("cohere2");
    let ppl = "eval ppl m --tokens tokens.json --contexts 256 --windows 1";
    for line in [
        "export m --rope yarn --target 512 --out x".to_owned(),
        "finetune m --tokens tokens.json --rope yarn --context 256 --steps 1 --out t --set train.warmup-steps=0".to_owned(),
        "compare m --tokens tokens.json --contexts 256 --rope yarn@512".to_owned(),
        format!("{ppl} --rope pi"),
    ] {
        here.run(&line).refused_with(NOTHING);
    }
    for rope in ["checkpoint", "none", "pi --set rope-layers=all"] {
        here.run(&format!("{ppl} --rope {rope}")).worked();
    }
    here.run("export m --rope none --out plain").worked();
}

#[test]
fn a_comparison_of_a_model_that_cannot_be_extended_is_about_longer_texts() {
    let here = Workplace::of_family("cohere2");
    let compared = here.run("compare m --tokens tokens.json --contexts 64,256 --windows 1 --json");
    assert!(
        compared.stderr.contains("only plain RoPE is measured"),
        "{}",
        compared.stderr
    );
    let compared: Value = serde_json::from_str(&compared.worked()).unwrap();
    assert_eq!(names(&compared), ["none", "checkpoint"]);
}

/// The names of the RoPEs, each once.
fn names(report: &Value) -> Vec<String> {
    let results = report["results"].as_array().unwrap().iter();
    let mut names: Vec<String> = results
        .map(|result| result["rope"].as_str().unwrap().to_owned())
        .collect();
    names.dedup();
    names
}

#[test]
fn the_own_scaling_of_a_checkpoint_is_compared_too() {
    for (family, more, expected) in [
        ("exaone4", "--set rope-layers=all", true),
        ("seed_oss", "", true),
        ("olmo2", "", false),
    ] {
        let here = Workplace::of_family(family);
        let line =
            format!("compare m --tokens tokens.json --contexts 64 --windows 1 --json {more}");
        let compared: Value = serde_json::from_str(&here.run(&line).worked()).unwrap();
        let names = names(&compared);
        assert_eq!(
            names.contains(&"checkpoint".to_owned()),
            expected,
            "{family}: {names:?}"
        );
        assert_eq!(names[0], "none");
    }
}

#[test]
fn an_export_says_that_transformers_loses_the_extension_of_phimoe() {
    let here = Workplace::of_family("phimoe");
    let n_pairs = here.inspection("m")["rope"]["rotary_dim"].as_u64().unwrap() / 2;
    let factors: Vec<String> = (0..n_pairs).map(|pair| format!("{}\n", 1 + pair)).collect();
    here.write("factors.csv", factors.concat());
    let exported = here.run("export m --rope factors.csv --target 128 --out x");
    assert!(
        exported.stderr.contains(
            "transformers 5.24 uses the short factors of a `phimoe` model at every length"
        ),
        "{}",
        exported.stderr
    );
    exported.worked();
    let doctor = here.run("doctor x").worked();
    let words: Vec<&str> = doctor.split_whitespace().collect();
    assert!(
        words.join(" ").contains("the extension is lost there"),
        "{doctor}"
    );
}

#[test]
fn a_diagnosis_of_an_own_export_asks_for_nothing_that_is_there() {
    let here = Workplace::of_family("gemma3_text");
    let factors: Vec<String> = (1..=8).map(|pair| format!("{pair}\n")).collect();
    here.write("factors.csv", factors.concat());
    here.run("export m --rope factors.csv --target 512 --out x")
        .worked();
    let doctor = here.run("doctor x").worked();
    assert!(!doctor.contains("repeat `attention_factor`"), "{doctor}");
}
