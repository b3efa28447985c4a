//! Ratios on top of factors, recovery, needles, published factors and racing.

use serde_json::{Value, json};

use crate::support::{TINY_SEARCH, Workplace, repository, two_sets};

const SHORT: &str = "--set search.generations=1";

/// Longest context and factors of every set of a rope.json.
fn sets(here: &Workplace, path: &str) -> Vec<(u64, Vec<f64>)> {
    let rope = here.read_json(path);
    let sets = rope["scaling"]["sets"].as_array().unwrap();
    let set = |set: &Value| {
        let factors = set["factors"].as_array().unwrap();
        let factors = factors.iter().map(|it| it.as_f64().unwrap()).collect();
        (set["max_context"].as_u64().unwrap(), factors)
    };
    sets.iter().map(set).collect()
}

fn contexts(sets: &[(u64, Vec<f64>)]) -> Vec<u64> {
    sets.iter().map(|(context, _)| *context).collect()
}

#[test]
fn ratios_chain_and_recovery_adds_sets() {
    let here = Workplace::with_model();
    here.run(&format!("{TINY_SEARCH} {SHORT} --target 64 --out a"))
        .worked();
    let ratios = "--stage ratios --set search.seeds=[\"pi\"]";
    for (init, target, out) in [("a", 96, "b"), ("b", 128, "c")] {
        here.run(&format!(
            "{TINY_SEARCH} {SHORT} {ratios} --init {init}/rope.json --target {target} --out {out}"
        ))
        .worked();
    }
    // They are compared with what they multiply, as it is at the new length.
    let found = here.read_json("c/search/result.json");
    let rows = found["baselines"].as_array().unwrap().iter();
    let methods: Vec<&str> = rows.map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(
        methods,
        ["none", "pi", "ntk", "dynamic-ntk", "yarn", "init"]
    );
    let (first, last) = (sets(&here, "a/rope.json"), sets(&here, "c/rope.json"));
    assert_eq!(contexts(&last), [32, 64, 96, 128]);
    assert_eq!(last[..2], first[..], "earlier sets stay as they are");
    for pair in last[1..].windows(2) {
        let grow = pair[0].1.iter().zip(&pair[1].1).all(|(a, b)| b >= a);
        assert!(grow, "a ratio is at least 1: {pair:?}");
    }

    let recover = "recover --model m --tokens tokens.json --samples 2 --set search.population=8 \
        --set search.parents=4 --set search.mutations=3 --set search.crossovers=3";
    let line = format!("{recover} {SHORT} --rope c/rope.json --contexts 48,16 --out r --json");
    let report: Value = serde_json::from_str(&here.run(&line).worked()).unwrap();
    let recovered = sets(&here, "r/rope.json");
    for (it, context) in report["contexts"].as_array().unwrap().iter().zip([16, 48]) {
        assert_eq!(it["context"], context);
        let highest = it["difference"]["interval"][1].as_f64();
        let is_better = highest.is_some_and(|highest| highest < 0.0);
        assert_eq!(it["kept"], is_better);
        let has = contexts(&recovered).contains(&context);
        assert_eq!(has, is_better);
    }
    assert_eq!(recovered.last(), last.last());
    let again = format!("{line} --resume");
    let repeated: Value = serde_json::from_str(&here.run(&again).worked()).unwrap();
    assert_eq!(repeated, report);
    // The set of the original context has an attention policy that this search does not try.
    let policy = "search.attention={type=\"fixed\",policy={type=\"su\"}}";
    here.run(&format!(
        "{recover} {SHORT} --rope c/rope.json --contexts 16 --out f --set {policy}"
    ))
    .worked();
}

#[test]
fn a_fixed_attention_policy_replaces_that_of_the_start() {
    let here = Workplace::with_model();
    // Factors up to 128 tokens, for a search that goes beyond.
    here.write(
        "known.json",
        two_sets([1.0, 4.0], 0, &json!({"type": "yarn"})),
    );
    for profile in ["official", "v2"] {
        here.run(&format!(
            "{TINY_SEARCH} --profile {profile} --objective perplexity --target 256 --init known.json \
             --set search.generations=0 --out {profile}"
        ))
        .worked();
        let rope = here.read_json(&format!("{profile}/rope.json"));
        assert_eq!(rope["scaling"]["attention"]["type"], "su", "{profile}");
    }
}

#[test]
fn impossible_stages_are_refused() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 64 --out x --stage ratios"));
    assert!(message.contains("`--init` is missing"), "{message}");
    here.run(&format!("{TINY_SEARCH} {SHORT} --target 64 --out a"))
        .worked();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 48 --out x --stage ratios --init a/rope.json"
    ));
    assert!(message.contains("expected at least 64"), "{message}");
    let recover = "recover --model m --tokens tokens.json --out y";
    let message = here.fails(&format!("{recover} --rope a/rope.json --contexts 128"));
    assert!(message.contains("nothing to recover at 128"), "{message}");
    let message = here.fails(&format!("{recover} --rope yarn --contexts 16"));
    assert!(message.contains("has no factor sets"), "{message}");
    // The hint of the search inside a recovery is shown.
    let small = "--rope a/rope.json --contexts 16 --samples 1 --set search.population=1 --set search.parents=1";
    let outcome = here.run(&format!("{recover} {small}"));
    assert!(
        outcome.stderr.contains("recovering 16 tokens"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("hint: configs/README.md"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn keys_that_the_operators_never_read_are_told() {
    let here = Workplace::with_model();
    let line = format!(
        "{TINY_SEARCH} --target 64 --profile v2 --objective perplexity --set search.generations=0"
    );
    let plain = here.run(&format!("{line} --out plain"));
    let any = "with operators `critical`";
    assert!(!plain.stderr.contains(any), "{}", plain.stderr);
    plain.worked();
    let outcome = here.run(&format!(
        "{line} --out other --set search.start-tokens=[0,4,8] --set search.smooth-share=0.5 \
         --set search.critical-min=1"
    ));
    for words in [
        "`search.start-tokens` has no effect beyond its smallest value with operators `critical`",
        "`search.smooth-share` has no effect with operators `critical`",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    assert!(
        !outcome.stderr.contains("critical-min"),
        "{}",
        outcome.stderr
    );
    outcome.worked();
}

#[test]
fn racing_saves_samples_and_reports_it() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --target 128 --set search.generations=4 --json");
    let result = |flags: &str| -> Value {
        let line = format!("{search} {flags}");
        serde_json::from_str(&here.run(&line).worked()).unwrap()
    };
    let race = result("--set search.racing-strictness=1 --out race");
    let whole = result("--out whole");
    assert_eq!(whole["token_evaluations_saved"], 0);
    assert!(
        race["token_evaluations_saved"].as_u64().unwrap() > 0,
        "{race}"
    );
    let dropped: u64 = here
        .read_json_lines("race/metrics.jsonl")
        .iter()
        .skip(1) // the header
        .map(|line| line["dropped"].as_u64().unwrap())
        .sum();
    assert!(dropped > 0);
}

#[test]
fn needles_and_passkeys_are_part_of_the_result() {
    let here = Workplace::with_tokenizer();
    let text = repository().join("CONTRIBUTING.md").canonicalize().unwrap();
    let line = format!(
        "search --model t --text {} --target 384 --samples 1 --profile v2 --out v2 --json \
         --set search.population=4 --set search.parents=2 --set search.mutations=1 \
         --set search.crossovers=1 --set search.generations=1 --set search.passkey-trials=2 \
         --set search-needle.style=passkey --set search-needle.digits=5 --set search-needle.samples=2 \
         --set search-needle.filler=sentences",
        text.display()
    );
    let result: Value = serde_json::from_str(&here.run(&line).worked()).unwrap();
    let rows = result["baselines"].as_array().unwrap().iter();
    for row in rows.chain([&result["searched"]]) {
        assert!(row["answer_nats"].as_f64().unwrap() > 0.0, "{row}");
        let found = row["passkey_accuracy"].as_f64().unwrap();
        assert!([0.0, 0.5, 1.0].contains(&found), "{row}");
    }
    // The objective is the loss on answers.
    assert_eq!(result["best_nats"], result["searched"]["answer_nats"]);
    // Factors below the critical pair follow in closed form: every ratio of neighbours is the same there.
    let rope = sets(&here, "v2/rope.json");
    let factors = &rope.last().unwrap().1;
    let ratios: Vec<f64> = factors.windows(2).map(|pair| pair[1] / pair[0]).collect();
    for ratio in &ratios[..5] {
        assert!((ratio - ratios[0]).abs() < 1e-9, "{factors:?}");
    }
    assert!(factors[31] >= 1.5 && factors[31] <= 3.0);
}

#[test]
fn published_factors_work_by_name_and_only_for_their_models() {
    let here = Workplace::with_model();
    let message = here
        .fails("eval ppl --model m --tokens tokens.json --contexts 64 --rope llama2-2048k-ft256k");
    assert!(message.contains("its `rotary_dim` is 128"), "{message}");
}
