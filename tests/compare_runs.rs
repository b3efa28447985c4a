//! `longrope compare-runs`, and the differences that `eval` and `compare` show.

use serde_json::Value;

use crate::support::{Workplace, number};

/// Two models with the same tokenizer: `m`, and `n` with other weights.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    here.checkpoint("llama-gqa-tied", "n");
    here.edit_config("n", |config| config["rms_norm_eps"] = 0.1.into());
    here
}

const PPL: &str = "eval ppl --tokens tokens.json --contexts 32,64 --windows 4 --rope";

fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

#[test]
fn two_models_are_compared_on_the_same_windows() {
    let here = workplace();
    for model in ["m", "n"] {
        here.run(&format!("{PPL} none --model {model} --out run-{model}"))
            .worked();
    }
    let found = json(&here, "compare-runs run-m run-n --json");
    assert_eq!(found["format"], "longrope-comparison");
    assert_eq!(found["b"]["sources"][0]["model"], "n");
    assert_eq!(found["left_out"], Value::Array(Vec::new()));
    let pairs = found["comparisons"].as_array().unwrap();
    assert_eq!(pairs.len(), 2);
    for pair in pairs {
        let [a, b] = ["a", "b"].map(|side| pair[side]["value"].as_f64().unwrap());
        let difference = &pair["difference"];
        assert!((difference["value"].as_f64().unwrap() - (b - a)).abs() < 1e-9);
        assert_eq!(
            (&difference["n"], &difference["reference"]),
            (&4.into(), &"A".into())
        );
        let interval = difference["interval"].as_array().unwrap();
        assert!(interval[0].as_f64() < interval[1].as_f64());
    }
    let shown = here.run("compare-runs run-m/eval/ppl.json run-n").worked();
    assert!(
        shown.contains("A: run-m/eval/ppl.json, model m ("),
        "{shown}"
    );
    assert!(
        shown.contains("minus those of A on the same 4 windows"),
        "{shown}"
    );
    let rows = shown.lines().map(str::trim);
    let rows: Vec<&str> = rows.filter(|line| line.starts_with("ppl ")).collect();
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row.ends_with(" 4")),
        "{shown}"
    );
    // A run against itself.
    let same = json(&here, "compare-runs run-m run-m --json");
    assert_eq!(same["comparisons"][0]["difference"]["value"], 0.0);
    assert_eq!(
        same["comparisons"][0]["difference"]["distinguishable"],
        false
    );
}

#[test]
fn single_ropes_are_compared_whatever_their_names() {
    let here = workplace();
    here.run(&format!("{PPL} yarn --model m --out a")).worked();
    here.run(&format!("{PPL} pi --model m --out b")).worked();
    here.run(&format!("{PPL} pi none --model m --out c"))
        .worked();
    let pair = &json(&here, "compare-runs a b --json")["comparisons"][1];
    assert_eq!(
        (&pair["a"]["rope"], &pair["b"]["rope"]),
        (&"yarn".into(), &"pi".into())
    );
    let found = json(&here, "compare-runs b c --json");
    assert_eq!(found["comparisons"].as_array().unwrap().len(), 2);
    assert_eq!(found["left_out"][0], "only in B: ppl at 32 under none");
    here.run("compare-runs a c")
        .refused_with("no result in common");
}

#[test]
fn what_differs_is_not_compared() {
    let here = workplace();
    here.tokens("more.json", 700);
    here.run(&format!("{PPL} none --model m --out a")).worked();
    let other =
        "eval ppl --tokens more.json --contexts 32 --windows 4 --model m --rope none --out b";
    here.run(other).worked();
    here.run("compare-runs a b")
        .refused_with("ppl at 32 under none is measured on different text: tokens.json (");
    let fewer =
        "eval ppl --tokens tokens.json --contexts 32 --windows 3 --model m --rope none --out c";
    here.run(fewer).worked();
    here.run("compare-runs a c")
        .refused_with("the number of windows differs: 4 and 3");
    here.run("compare-runs a nowhere")
        .refused_with("does not exist");
    here.run("compare-runs a m")
        .refused_with("holds no results");
    here.write("cut.json", "{");
    here.run("compare-runs a cut.json")
        .refused_with("reading results");
    let old = here
        .read("a/eval/ppl.json")
        .replace("\"source\"", "\"unknown\"");
    here.write("old.json", old);
    here.run("compare-runs a old.json")
        .refused_with("does not say what it was measured on");
    here.write("a/eval/cut.json", "{");
    here.run("compare-runs a a").worked();
}

#[test]
fn results_that_can_be_compared_are_whatever_comes_first() {
    let here = workplace();
    let on = "--model m --tokens tokens.json --contexts 32";
    let ppl = format!("eval ppl {on} --windows 4 --rope none");
    here.run(&format!("{ppl} --out a")).worked();
    // Its file comes before that of the perplexity, with other windows.
    here.run(&format!("compare {on} --windows 3 --out b"))
        .worked();
    here.run(&format!("{ppl} --out b")).worked();
    for line in ["compare-runs a b --json", "compare-runs b a --json"] {
        let found = json(&here, line);
        let pairs = found["comparisons"].as_array().unwrap();
        assert_eq!(pairs.len(), 1, "{line}");
        assert_eq!(pairs[0]["difference"]["n"], 4, "{line}");
    }
    // No result is compared twice.
    here.run(&format!("compare {on} --windows 4 --out c"))
        .worked();
    here.run(&format!("{ppl} --out c")).worked();
    for line in ["compare-runs a c --json", "compare-runs c a --json"] {
        let found = json(&here, line);
        assert_eq!(found["comparisons"].as_array().unwrap().len(), 1, "{line}");
        let left_out = found["left_out"].to_string();
        assert!(left_out.contains("ppl at 32 under none"), "{left_out}");
    }
}

#[test]
fn how_numbers_were_computed_is_said_where_it_differs() {
    let here = workplace();
    here.run(&format!("{PPL} none --model m --out a")).worked();
    here.run(&format!(
        "{PPL} none --model m --out b --set precision=bf16 --set eval.angles=compat-f32"
    ))
    .worked();
    let source = &here.read_json("b/eval/ppl.json")["source"];
    assert_eq!(source["angles"], "compat-f32");
    let outcome = here.run("compare-runs a b");
    assert!(
        outcome
            .stderr
            .contains("A was computed in f32 and B in bf16, angles compat-f32"),
        "{}",
        outcome.stderr
    );
    outcome.worked();
    let pair = &json(&here, "compare-runs a b --json")["comparisons"][0];
    assert_eq!(pair["computed_in"][0], "f32");

    let newer = here
        .read("a/eval/ppl.json")
        .replace(r#""version":1,"#, r#""version":2,"#);
    here.write("newer.json", newer);
    here.run("compare-runs a newer.json")
        .refused_with("`version` of `newer.json` is 2, expected 1");
}

#[test]
fn passkeys_of_two_seeds_are_not_compared() {
    let here = Workplace::with_tokenizer();
    for (seed, out) in [(1, "a"), (1, "b"), (2, "c")] {
        here.run(&format!(
            "eval passkey t --contexts 128 --trials 3 --seed {seed} --out {out}"
        ))
        .worked();
    }
    let found = json(&here, "compare-runs a b --json");
    let difference = &found["comparisons"][0]["difference"];
    assert_eq!(
        (&difference["method"], &difference["n"]),
        (&"mcnemar".into(), &3.into())
    );
    here.run("compare-runs a c")
        .refused_with("the seed differs: 1 and 2");
}

#[test]
fn values_are_those_that_the_protocol_reports() {
    let here = workplace();
    let line =
        "eval ppl --tokens tokens.json --contexts 64 --rope none --protocol yarn --stride 48";
    for model in ["m", "n"] {
        here.run(&format!("{line} --model {model} --out run-{model}"))
            .worked();
    }
    let found = json(&here, "compare-runs run-m run-n --json");
    let pair = &found["comparisons"][0];
    for (side, run) in [("a", "run-m"), ("b", "run-n")] {
        let report = here.read_json(&format!("{run}/eval/ppl.json"));
        let value = number(pair, &format!("/{side}/value"));
        let of_windows = number(&report, "/results/0/ppl_window_mean").ln();
        assert!((value - of_windows).abs() < 1e-9, "{side}");
        // The first window scores more tokens than the others.
        let of_tokens = number(&report, "/results/0/nll_nats");
        assert!((value - of_tokens).abs() > 1e-6, "{side}");
    }
    let [a, b] = ["/a/value", "/b/value"].map(|it| number(pair, it));
    assert!((number(pair, "/difference/value") - (b - a)).abs() < 1e-9);
}

#[test]
fn differences_are_shown_to_the_first_or_to_the_reference() {
    let here = Workplace::with_model();
    let line = "eval ppl m --tokens tokens.json --contexts 64 --windows 4 --rope none yarn pi";
    let found = json(&here, &format!("{line} --json"));
    let results = found["results"].as_array().unwrap();
    assert_eq!(results[0].get("difference"), None);
    let nats = |index: usize| results[index]["nll_nats"].as_f64().unwrap();
    let difference = &results[1]["difference"];
    assert_eq!(
        (&difference["reference"], &difference["n"]),
        (&"none".into(), &4.into())
    );
    assert!((difference["value"].as_f64().unwrap() - (nats(1) - nats(0))).abs() < 1e-9);
    let shown = here.run(line).worked();
    assert!(
        shown.contains("minus those of none on the same 4 windows"),
        "{shown}"
    );

    let found = json(&here, &format!("{line} --reference yarn --json"));
    let names = found["results"].as_array().unwrap().iter();
    let references: Vec<Option<&str>> = names
        .map(|result| result["difference"]["reference"].as_str())
        .collect();
    assert_eq!(references, [Some("yarn"), None, Some("yarn")]);
    here.run(&format!("{line} --reference ntk"))
        .refused_with("the reference `ntk` is not measured; measured are none, yarn, pi");

    let compare = "compare m --tokens tokens.json --contexts 32,64 --windows 4 --reference yarn";
    let shown = here.run(compare).worked();
    assert!(
        shown.contains("minus those of yarn on the same 4 windows"),
        "{shown}"
    );
}

#[test]
fn tasks_show_differences_on_the_same_trials() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey t --contexts 512 --trials 4 --rope none yarn";
    let found = json(&here, &format!("{line} --json"));
    // Both are measured at the original window too.
    let difference = &found["results"][3]["difference"];
    assert_eq!(
        (&difference["method"], &difference["n"]),
        (&"mcnemar".into(), &4.into())
    );
    assert!(difference["p_value"].is_number(), "{difference}");
    let shown = here.run(line).worked();
    assert!(
        shown.contains("percentage points minus none on the same 4 trials"),
        "{shown}"
    );
}

#[test]
fn settings_are_refused_before_weights_are_read() {
    let here = workplace();
    here.edit_config("m", |config| config["bos_token_id"] = Value::Null);
    fs_err::remove_file(here.path("m/model.safetensors")).unwrap();
    for verb in ["compare", "eval ppl"] {
        for (flags, words) in [
            ("--rope zzz", "RoPE `zzz` is neither a method"),
            (
                "--rope none yarn --reference zzz",
                "the reference `zzz` is not measured",
            ),
            (
                "--within 48",
                "`eval.within` is 48, but 32 does not divide it",
            ),
            (
                "--set eval.bos=window",
                "`eval.bos` is `window`, but config.json has no bos_token_id",
            ),
        ] {
            let line = format!("{verb} m --tokens tokens.json --contexts 32,64 {flags}");
            here.run(&line).refused_with(words);
        }
    }
    for (line, words) in [
        ("eval passkey m --contexts 32 --trials 0", "`trials` is 0"),
        (
            "eval passkey m --contexts 32 --rope zzz",
            "RoPE `zzz` is neither a method",
        ),
        ("eval needle m --contexts 32 --depths 2", "`depths` is 2"),
        (
            "eval gain m --tokens tokens.json --contexts 64 --rope zzz",
            "RoPE `zzz` is neither",
        ),
    ] {
        here.run(line).refused_with(words);
    }
}
