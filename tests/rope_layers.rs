//! `rope-layers`: results under it are not those without it.

use serde_json::Value;

use crate::support::{Workplace, token_ids};

/// Settings of a search or a recovery of a second.
const SHORT: &str = "--tokens tokens.json --samples 1 --set search.population=6 --set search.parents=2 \
    --set search.mutations=1 --set search.crossovers=1 --set search.generations=0";
const ALL: &str = "--set rope-layers=all";

/// A folder with a model whose layers with a sliding window have a RoPE of their own, and text without repetition for it.
fn workplace() -> Workplace {
    let here = Workplace::of_family("gemma3_text");
    let ids: Vec<u32> = token_ids(600).iter().map(|id| id % 64).collect();
    here.write("tokens.json", Value::from(ids).to_string());
    here
}

#[test]
fn results_say_for_which_layers_a_rope_was() {
    let here = workplace();
    let ppl = "eval ppl m --tokens tokens.json --contexts 64 --windows 1 --rope yarn@512";
    here.run(&format!("{ppl} --out full")).worked();
    here.run(&format!("{ppl} --out all {ALL}")).worked();
    let source = |run: &str| here.read_json(&format!("{run}/eval/ppl.json"))["source"].clone();
    assert_eq!(source("full").get("rope_layers"), None);
    assert_eq!(source("all")["rope_layers"], "all");
    here.run(&format!("{ppl} --out full {ALL}"))
        .refused_with("holds results under another `rope-layers`");

    let compared = here.run("compare-runs full all --json");
    let compared: Value = serde_json::from_str(&compared.worked()).unwrap();
    let layers = &compared["comparisons"][0]["rope_layers"];
    assert_eq!(*layers, Value::from(vec!["full", "all"]));
    let shown = here.run("compare-runs full all");
    assert!(
        shown.stderr.contains("full in A and all in B"),
        "{}",
        shown.stderr
    );
    let same = here.run("compare-runs all all");
    assert!(!same.stderr.contains("rope-layers"), "{}", same.stderr);
}

#[test]
fn runs_are_not_continued_for_other_layers() {
    let here = workplace();
    here.run(&format!("search m {SHORT} --target 256 --out s"))
        .worked();
    here.run(&format!("search --resume --out s {ALL}"))
        .refused_with("another `rope-layers`");
    let recover = format!("recover m {SHORT} --rope s/rope.json --contexts 64 --out r");
    here.run(&recover).worked();
    // After a warning about the part of the file for other layers.
    let outcome = here.run(&format!("{recover} --resume {ALL}"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let words = "`rope-layers` was full and is all";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    here.run(&format!("{recover} --resume")).worked();
}

#[test]
fn a_model_with_one_rope_has_the_same_results() {
    let here = Workplace::with_model();
    let ppl = "eval ppl m --tokens tokens.json --contexts 64 --windows 1 --out run";
    here.run(ppl).worked();
    here.run(&format!("{ppl} {ALL}")).worked();
    let source = &here.read_json("run/eval/ppl.json")["source"];
    assert_eq!(source.get("rope_layers"), None);
}
