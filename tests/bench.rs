//! `longrope eval bench` and the protocols of `longrope eval ppl`.

use serde_json::Value;

use crate::support::{Workplace, repository};

/// A folder with the checkpoint `b` and the data sets of the fixtures.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    here.checkpoint("../bench/checkpoint", "b");
    here.checkpoint("../bench/data", "data");
    here
}

fn expected() -> Value {
    let path = repository().join("tests/fixtures/bench/expected.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_benchmark_has_the_score_of_the_harness() {
    let here = workplace();
    let line = "eval bench --model b --bench mmlu --data data/mmlu-test.parquet \
        --fewshot data/mmlu-dev.jsonl --json";
    let found = &here.compute_json(line)["results"][0];
    let golden = &expected()["benches"]["mmlu"];
    for (found, golden) in [("value", "values"), ("stderr", "stderrs")].map(|(x, y)| {
        let number = |value: &Value| value.as_f64().unwrap();
        (number(&found[x]), number(&golden[y][0]))
    }) {
        assert!((found - golden).abs() < 1e-9, "{found} is not {golden}");
    }
    assert_eq!(
        (found["n"].clone(), found["seed"].clone()),
        (40.into(), 1234.into())
    );
    assert_eq!(found["other_metrics"][0]["metric"], "acc_subject_mean");
}

#[test]
fn missing_benchmark_inputs_are_named() {
    let here = workplace();
    let message = here.fails("eval bench --model b --bench arc --data data/arc-test.jsonl");
    assert!(message.contains("unknown benchmark `arc`"), "{message}");
    // With the hub, the questions would be fetched.
    if !cfg!(feature = "hub") {
        let message = here.fails("eval bench --model b --bench arc-easy");
        assert!(message.contains("there are no questions"), "{message}");
    }
    let message = here.fails("eval bench --model b --bench arc-easy --data data/arc-test.jsonl");
    assert!(message.contains("25 shots need 25 examples"), "{message}");
    let line = "eval bench --model b --bench hellaswag --data data/arc-test.jsonl --shots 0";
    let message = here.fails(line);
    assert!(message.contains("column `ctx_b` is missing"), "{message}");
}

#[test]
fn protocols_choose_their_windows() {
    let here = Workplace::with_model();
    let measured = |protocol: &str| {
        let line = format!(
            "eval ppl --model m --tokens tokens.json --contexts 32 --json --protocol {protocol}"
        );
        here.compute_json(&line)["results"][0].clone()
    };
    let windows = |result: &Value| (result["n_windows"].clone(), result["n_tokens"].clone());
    assert_eq!(windows(&measured("truncate")), (1.into(), 31.into()));
    // 18 chunks of 32, of which positions 17 to 31 are scored.
    assert_eq!(windows(&measured("llama.cpp")), (18.into(), 270.into()));
    let line =
        "eval ppl --model m --tokens tokens.json --contexts 32 --protocol llama.cpp --stride 8";
    let message = here.fails(line);
    assert!(message.contains("`--stride` does not apply"), "{message}");
}
