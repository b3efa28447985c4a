//! Every family through the program: a search, its export, and the same losses from both.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::{Workplace, repository};

/// A search of a second on a random checkpoint.
const SEARCH: &str = "search --model m --tokens tokens.json --samples 1 --target 256 --out run \
    --set search.population=4 --set search.parents=2 --set search.mutations=1 \
    --set search.crossovers=1 --set search.generations=1 --set search.held-out=0 --set search.seeds=[\"yarn\"] --set search.start-tokens=[0] \
    --dashboard off";

/// Beyond the original context of all checkpoints, where a config holds the factors that were searched.
const PPL: &str = "eval ppl --tokens tokens.json --contexts 200 --windows 1 --json";

/// Two computations of one model, whose weights are the same.
const TOLERANCE_NATS: f64 = 1e-6;

fn families() -> Vec<String> {
    let root = repository().join("tests/fixtures/decoders");
    let entries = fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn losses(here: &Workplace, more: &str) -> Vec<f64> {
    let json = here.run(&format!("{PPL} {more}")).worked();
    let json: Value = serde_json::from_str(&json).unwrap();
    let results = json["results"].as_array().unwrap();
    let loss = |result: &Value| result["nll_nats"].as_f64().unwrap();
    results.iter().map(loss).collect()
}

#[test]
fn every_family_is_searched_and_exported() {
    for family in families() {
        let here = Workplace::of_family(&family);
        if family == "cohere2" || family == "exaone4" {
            here.run(SEARCH).refused_with("there is nothing to extend");
            continue;
        }
        here.run(SEARCH).worked();
        here.run("export --model m --rope run/rope.json --out x")
            .worked();
        let searched = losses(&here, "--model m --rope run/rope.json");
        let exported = losses(&here, "--model x");
        assert_eq!(searched.len(), 1, "{family}");
        for (a, b) in searched.iter().zip(&exported) {
            assert!((a - b).abs() < TOLERANCE_NATS, "{family}: {a} {b}");
        }
    }
}

#[test]
fn inspect_says_which_rope_a_layer_has() {
    let shown = |family: &str| Workplace::of_family(family).run("inspect m").worked();
    let gemma = shown("gemma3");
    assert!(gemma.contains("in layers with a sliding window"), "{gemma}");
    let smol = shown("smollm3");
    assert!(smol.contains("without rope"), "{smol}");
    let experts = Workplace::of_family("mixtral");
    experts
        .run("export --model m --rope yarn --target 512 --out x")
        .worked();
    // Without it, the class of Mixtral fails on a scaled RoPE.
    assert_eq!(experts.read_json("x/config.json")["head_dim"], 8);
}

#[test]
fn a_model_of_text_and_images_keeps_its_other_parts() {
    let here = Workplace::of_family("gemma3");
    let before = here.read_json("m/config.json");
    here.run("export --model m --rope yarn --target 512 --dtype bf16 --out x")
        .worked();
    let after = here.read_json("x/config.json");
    assert_eq!(after["vision_config"], before["vision_config"]);
    let rope = &after["text_config"]["rope_parameters"];
    assert_eq!(rope["full_attention"]["rope_type"], "yarn");
    assert_eq!(
        rope["sliding_attention"],
        before["text_config"]["rope_parameters"]["sliding_attention"]
    );
    let names = |folder: &str| {
        let bytes = fs_err::read(here.path(folder).join("model.safetensors")).unwrap();
        let mut names: Vec<String> = SafeTensors::deserialize(&bytes)
            .unwrap()
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("x"), names("m"));
    let message = here.fails(
        "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 1 --out t --set train.warmup-steps=0",
    );
    assert!(message.contains("text and images"), "{message}");
}
